//! The usual ways by which conditions get into outputs, and what is done about them: one table.

use super::holds_word;

/// A way by which a condition gets into outputs.
#[derive(Debug, Clone, Copy)]
pub struct Habit {
    /// The conditions, by the names of their knobs.
    pub knobs: &'static [&'static str],
    /// What a line of source says where it is done. Whole words; nothing here is a pattern.
    pub words: &'static [&'static str],
    /// What a line must not say, because with it the same is harmless.
    pub unless: &'static [&'static str],
    /// How much it says: 3 hardly means anything else, 1 is in every other source.
    pub weight: u32,
    /// What helps.
    pub remedy: &'static str,
}

const fn habit(
    knobs: &'static [&'static str],
    weight: u32,
    words: &'static [&'static str],
    unless: &'static [&'static str],
    remedy: &'static str,
) -> Habit {
    Habit { knobs, words, unless, weight, remedy }
}

/// The usual ways, and their remedies.
pub const HABITS: &[Habit] = &[
    habit(
        &["clock"],
        3,
        &["__DATE__", "__TIME__"],
        &[],
        "leave __DATE__ and __TIME__ out, or keep SOURCE_DATE_EPOCH set: gcc and clang take them from it",
    ),
    habit(
        &["clock"],
        3,
        &["__TIMESTAMP__"],
        &[],
        "leave __TIMESTAMP__ out: no compiler takes it from SOURCE_DATE_EPOCH",
    ),
    habit(
        &["clock", "time-zone", "locale"],
        3,
        &["date", "`date", "$(date", "(date"],
        &["-d", "--date", "SOURCE_DATE_EPOCH"],
        "LC_ALL=C date -u -d \"@$SOURCE_DATE_EPOCH\" instead of the time of the build",
    ),
    habit(
        &["time-zone"],
        3,
        &["date", "`date", "$(date", "(date"],
        &["-u", "--utc"],
        "date -u: the time zone is that of the builder",
    ),
    habit(
        &["clock"],
        2,
        &[
            "time(NULL)",
            "time(0)",
            "time(nullptr)",
            "gettimeofday",
            "clock_gettime",
            "time.time",
            "datetime.now",
            "datetime.utcnow",
            "Time.now",
            "Date.now",
            "string(TIMESTAMP",
            "localtime(time",
            "gmtime(time",
            "scalar localtime",
        ],
        &["SOURCE_DATE_EPOCH"],
        "take the time from SOURCE_DATE_EPOCH where it is set",
    ),
    habit(
        &["clock", "time-zone"],
        1,
        &["localtime", "localtime_r", "mktime", "strftime", "ctime", "asctime"],
        &[],
        "gmtime of SOURCE_DATE_EPOCH instead of the local time of the build",
    ),
    habit(
        &["clock"],
        2,
        &["gzip", "pigz"],
        &["-n", "-dc", "-d", "-9n", "-cd"],
        "gzip -n leaves name and time out of the header",
    ),
    habit(
        &["clock", "uid", "user", "umask", "directory-order"],
        2,
        &["tar", "$(TAR)", "bsdtar", "tarfile"],
        &["xf", "-x", "xzf", "--mtime"],
        "tar --sort=name --mtime=\"@$SOURCE_DATE_EPOCH\" --owner=0 --group=0 --numeric-owner --mode=go-w",
    ),
    habit(
        &["clock", "uid", "umask"],
        2,
        &["ar", "$(AR)", "${AR}", "ranlib"],
        &["Dcr", "crD", "rcD", "rcsD", "-D", "crsD"],
        "ar D (deterministic archives: no times, owners or modes)",
    ),
    habit(
        &["clock", "umask", "directory-order"],
        2,
        &["zip", "zipfile", "jar"],
        &["unzip"],
        "zip -X on sorted names, after touching all files to SOURCE_DATE_EPOCH",
    ),
    habit(
        &["clock", "umask", "directory-order", "inode-order"],
        2,
        &["cpio"],
        &["--reproducible"],
        "cpio --reproducible on sorted names, after touching all files to SOURCE_DATE_EPOCH",
    ),
    habit(&["time-zone"], 2, &["TZ", "$TZ", "tzset", "tzname"], &[], "do not write the time zone down; use UTC"),
    habit(
        &["host-name"],
        3,
        &["hostname", "gethostname", "uname -n", "uname -a", "nodename", "$HOSTNAME", "${HOSTNAME}", "platform.node"],
        &[],
        "leave the host name out, or write a fixed one",
    ),
    habit(
        &["domain"],
        3,
        &["domainname", "dnsdomainname", "getdomainname", "hostname -d", "hostname -f", "/proc/sys/kernel/domainname"],
        &[],
        "leave the domain out",
    ),
    habit(
        &["kernel"],
        3,
        &[
            "uname -r",
            "uname -v",
            "uname -a",
            "uname -s -r",
            "uname -sr",
            "uname -srm",
            "/proc/version",
            "/proc/sys/kernel/osrelease",
            "platform.release",
        ],
        &[],
        "leave the kernel's release out: it is that of the builder",
    ),
    habit(
        &["kernel", "host-name"],
        2,
        &["uname(&", "uname (&", "utsname", "os.uname", "platform.uname", "POSIX::uname"],
        &[],
        "leave what uname says out: it is that of the builder",
    ),
    habit(
        &["user"],
        3,
        &[
            "whoami",
            "logname",
            "id -un",
            "id -nu",
            "$USER",
            "${USER}",
            "$LOGNAME",
            "$(USER)",
            "getlogin",
            "getpwuid",
            "getpass.getuser",
            "/etc/passwd",
        ],
        &[],
        "leave the name of who builds out",
    ),
    habit(
        &["uid"],
        3,
        &["id -u", "id -g", "$UID", "getuid", "geteuid", "getgid", "st_uid", "%u", "stat"],
        &[],
        "leave the ids of who builds out; in archives --owner=0 --group=0 --numeric-owner",
    ),
    habit(&["uid", "user"], 1, &["ls -l", "id"], &[], "leave owners out"),
    habit(
        &["home"],
        3,
        &["$HOME", "${HOME}", "$(HOME)", "\"HOME\"", "'HOME'", "~/", "$ENV{HOME}", "Path.home"],
        &[],
        "do not write the home directory down",
    ),
    habit(
        &["build-path"],
        2,
        &["__FILE__", "assert", "__BASE_FILE__"],
        &[],
        "-ffile-prefix-map=$PWD=. (it covers __FILE__, assert and debugging information)",
    ),
    habit(
        &["build-path"],
        2,
        &[
            "pwd",
            "$PWD",
            "${PWD}",
            "$(PWD)",
            "$(CURDIR)",
            "abs_srcdir",
            "abs_builddir",
            "abs_top_srcdir",
            "getcwd",
            "os.getcwd",
            "realpath",
            "readlink -f",
            "CMAKE_SOURCE_DIR",
            "CMAKE_BINARY_DIR",
            "$0",
        ],
        &[],
        "paths relative to the source, or a fixed prefix",
    ),
    habit(&["build-path"], 1, &["-g", "-ggdb", "-g3"], &[], "-ffile-prefix-map=$PWD=. and -gno-record-gcc-switches"),
    habit(
        &["jobs"],
        2,
        &["$JOBS", "${JOBS}", "$(JOBS)", "MAKEFLAGS", "-j", "jobserver"],
        &[],
        "nothing in the output may depend on how many jobs run: declare the missing dependency, or write in a fixed order",
    ),
    habit(
        &["cpus"],
        3,
        &[
            "nproc",
            "_NPROCESSORS_ONLN",
            "_NPROCESSORS_CONF",
            "_SC_NPROCESSORS_ONLN",
            "_SC_NPROCESSORS_CONF",
            "cpu_count",
            "sched_getaffinity",
            "hw.ncpu",
            "get_nprocs",
            "ProcessorCount",
        ],
        &[],
        "a fixed number, or what the user asks for at run time",
    ),
    habit(
        &["cpus", "cpu-facts"],
        2,
        &["/proc/cpuinfo", "/proc/stat", "lscpu"],
        &[],
        "do not look at the builder's processors",
    ),
    habit(
        &["cpu-facts"],
        3,
        &["-march=native", "-mtune=native", "model name", "cpuid", "__builtin_cpu_supports", "platform.processor"],
        &[],
        "a fixed -march; look at the processor when the program runs",
    ),
    habit(
        &["directory-order"],
        3,
        &[
            "readdir",
            "opendir",
            "scandir",
            "os.listdir",
            "os.scandir",
            "os.walk",
            "iterdir",
            "ls -U",
            "ls -f",
            "GLOB_NOSORT",
            "File::Find",
            "Dir.entries",
            "nftw",
        ],
        &["sorted", "alphasort"],
        "sort what a directory lists (LC_ALL=C sort, sorted(), alphasort)",
    ),
    habit(
        &["directory-order"],
        2,
        &["find", "`find", "$(find", "$(wildcard", "glob.glob", "file(GLOB", "grep -r", "grep -rl"],
        &["sort", "sorted", "$(sort"],
        "LC_ALL=C sort after it; $(sort $(wildcard …)) in makefiles",
    ),
    habit(
        &["inode-order"],
        3,
        &["ls -i", "st_ino", "%i", "-inum", "d_ino"],
        &[],
        "do not order or name anything by inode numbers",
    ),
    habit(&["inode-order", "directory-order"], 1, &["find", "tar", "readdir"], &["sort"], "sort by name"),
    habit(
        &["pid-base"],
        3,
        &["$$", "getpid", "os.getpid", "$PPID", "$BASHPID", "Process.pid", "/proc/self"],
        &[],
        "a fixed name; where it must be unique, one in a directory of its own",
    ),
    habit(
        &["pid-base", "random", "file-system"],
        2,
        &["mktemp", "mkstemp", "tmpnam", "tempfile", "mkdtemp"],
        &[],
        "do not let the name of a temporary file into the output",
    ),
    habit(
        &["addresses"],
        3,
        &["%p", "/proc/self/maps", "uintptr_t", "id(", "hash(", "0x%lx"],
        &[],
        "do not print addresses, nor order anything by them",
    ),
    habit(
        &["uptime"],
        3,
        &["/proc/uptime", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME", "uptime", "time.monotonic", "/proc/stat", "sysinfo"],
        &[],
        "leave the time since the machine started out",
    ),
    habit(
        &["memory"],
        3,
        &["/proc/meminfo", "_SC_PHYS_PAGES", "_PHYS_PAGES", "free", "sysinfo", "MemTotal"],
        &[],
        "a fixed size, or look when the program runs",
    ),
    habit(
        &["random"],
        3,
        &[
            "$RANDOM",
            "${RANDOM}",
            "/dev/urandom",
            "/dev/random",
            "getrandom",
            "uuidgen",
            "uuid4",
            "/proc/sys/kernel/random/uuid",
            "arc4random",
            "shuf",
            "openssl rand",
            "random.random",
            "randint",
            "srand(time",
            "secrets.",
            "token_hex",
        ],
        &["--random-source"],
        "a fixed seed, or a digest of the inputs instead of random bytes",
    ),
    habit(
        &["random", "addresses"],
        2,
        &["PYTHONHASHSEED", "set(", "frozenset", "keys %", "each %", "HashMap", "Math.random", "rand(", "rand()"],
        &["sorted", "sort keys"],
        "sort before writing; PYTHONHASHSEED=0, PERL_HASH_SEED=0",
    ),
    habit(
        &["machine-id"],
        3,
        &["/etc/machine-id", "machine-id", "/var/lib/dbus/machine-id", "hostid", "gethostid"],
        &[],
        "never write the machine's id down",
    ),
    habit(
        &["locale"],
        2,
        &[
            "sort",
            "LC_ALL",
            "$LC_ALL",
            "${LC_ALL}",
            "LANG",
            "$LANG",
            "setlocale",
            "locale",
            "LC_COLLATE",
            "nl_langinfo",
            "toupper",
            "ls",
            "getlocale",
            "getpreferredencoding",
        ],
        &["LC_ALL=C"],
        "LC_ALL=C before whatever sorts, formats or lists",
    ),
    habit(
        &["umask"],
        2,
        &["umask", "mkdir", "cp", "touch", "install -d", "ls -l", "stat", ">"],
        &["-m", "--mode"],
        "install -m, or chmod after it: permissions must not come from the builder's umask",
    ),
    habit(
        &["environment"],
        3,
        &["env", "printenv", "export -p", "os.environ", "environ", "%ENV", "declare -x", "set"],
        &[],
        "write down only the variables that matter",
    ),
    habit(
        &["terminal"],
        3,
        &[
            "$TERM",
            "${TERM}",
            "\"TERM\"",
            "$COLUMNS",
            "COLUMNS",
            "${COLUMNS}",
            "LINES",
            "tput",
            "isatty",
            "-t 1",
            "-t 2",
            "stty",
            "get_terminal_size",
        ],
        &[],
        "a fixed width, and no colours in what is installed",
    ),
    habit(
        &["stdin"],
        3,
        &["-t 0", "isatty(0)", "isatty", "/dev/stdin", "/proc/self/fd/0", "stdin", "read", "-p /dev/stdin", "test -p"],
        &[],
        "do not look at standard input, or give it one: </dev/null",
    ),
    habit(
        &["file-system"],
        3,
        &[
            "df",
            "stat -f",
            "statfs",
            "statvfs",
            "$TMPDIR",
            "${TMPDIR}",
            "/tmp",
            "mktemp",
            "/proc/mounts",
            "/proc/self/mountinfo",
            "findmnt",
        ],
        &[],
        "nothing in the output may depend on the file system of temporary files",
    ),
];

/// What a line of source is suspected of.
pub fn suspect(line: &[u8], knobs: &[&str]) -> Option<&'static Habit> {
    let of = |habit: &&Habit| habit.knobs.iter().any(|knob| knobs.contains(knob));
    let says = |words: &[&str]| words.iter().any(|word| holds_word(line, word.as_bytes()));
    let fitting = HABITS.iter().filter(of).filter(|habit| says(habit.words) && !says(habit.unless));
    fitting.max_by_key(|habit| habit.weight)
}

/// What helps against a condition when nothing more is known: the remedy of its most telling habit.
pub fn remedy(knob: &str) -> Option<&'static str> {
    let fitting = HABITS.iter().filter(|habit| habit.knobs.first() == Some(&knob));
    fitting.max_by_key(|habit| habit.weight).map(|habit| habit.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_told_from_harmless_lines() {
        let of = |line: &str, knob: &str| suspect(line.as_bytes(), &[knob]).map(|habit| habit.remedy);
        assert!(of("echo built $(date) > x", "clock").is_some_and(|remedy| remedy.contains("SOURCE_DATE_EPOCH")));
        assert!(of("printf(\"%s\", __DATE__);", "clock").is_some());
        assert!(of("date -u -d @$SOURCE_DATE_EPOCH", "clock").is_none());
        assert!(of("an update of the validated candidate", "clock").is_none());
        assert!(of("find . -name '*.o' | xargs ar", "directory-order").is_some());
        assert!(of("find . -name '*.o' | sort", "directory-order").is_none());
        assert!(of("hostname > x", "clock").is_none());
        assert!(of("gzip -n -9 x", "clock").is_none());
        assert!(of("date -d @86400 +%H", "time-zone").is_some_and(|remedy| remedy.contains("date -u")));
    }

    #[test]
    fn every_habit_has_words_and_a_remedy() {
        for habit in HABITS {
            assert!(!habit.words.is_empty() && !habit.remedy.is_empty() && !habit.knobs.is_empty());
            assert!((1..=3).contains(&habit.weight));
        }
    }
}
