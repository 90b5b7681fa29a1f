//! Traces of conditions: in bytes, the condition itself; in sources, the usual ways by which it gets in, and what is done
//! about them. All that is known of habits and remedies is one table, [`HABITS`].

/// A date or a time that was found in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// How it is written.
    pub form: &'static str,
    /// The bytes, printable.
    pub text: String,
}

/// The first way in which bytes hold a moment between `from` and `to`, in seconds since 1970, the most precise one first.
pub fn moment(bytes: &[u8], from: i64, to: i64) -> Option<Moment> {
    let digits = |length: usize, unit: i64, form| {
        let mut runs = bytes.split(|byte| !byte.is_ascii_digit()).filter(move |run| run.len() == length);
        runs.find_map(|run| {
            let text = std::str::from_utf8(run).ok()?;
            let value: i64 = text.parse().ok()?;
            (from..=to).contains(&(value / unit)).then(|| Moment { form, text: text.to_owned() })
        })
    };
    digits(10, 1, "seconds since 1970")
        .or_else(|| digits(13, 1_000, "milliseconds since 1970"))
        .or_else(|| digits(19, 1_000_000_000, "nanoseconds since 1970"))
        .or_else(|| spelled(bytes, from, to))
        .or_else(|| packed(bytes, from, to))
}

/// Dates as people write them. A run has few days, so each is spelled out and looked for.
fn spelled(bytes: &[u8], from: i64, to: i64) -> Option<Moment> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // A time zone moves a moment by up to 14 hours.
    let days = (from - 50_400).div_euclid(86_400)..=(to + 50_400).div_euclid(86_400);
    for day in days.take(4) {
        let (y, m, d) = civil(day);
        let month = MONTHS[(m - 1) as usize];
        let forms = [
            ("year-month-day", format!("{y}-{m:02}-{d:02}")),
            ("yearmonthday", format!("{y}{m:02}{d:02}")),
            ("the form of __DATE__", format!("{month} {d:>2} {y}")),
            ("the form of mail headers", format!("{d:02} {month} {y}")),
            ("the form of mail headers", format!("{d} {month} {y}")),
            ("the form of date", format!("{month} {d:>2} ")),
            ("month/day/year", format!("{m:02}/{d:02}/{y}")),
            ("month/day/year", format!("{m:02}/{d:02}/{:02}", y % 100)),
            ("day.month.year", format!("{d:02}.{m:02}.{y}")),
            ("year/month/day", format!("{y}/{m:02}/{d:02}")),
        ];
        // ISO 8601 has the time of day follow without a gap.
        let with_time = |text: &str| (0..24).any(|hour| holds_word(bytes, format!("{text}T{hour:02}").as_bytes()));
        let holds =
            |form: &str, text: &str| holds_word(bytes, text.as_bytes()) || form == "year-month-day" && with_time(text);
        if let Some((form, text)) = forms.into_iter().find(|(form, text)| holds(form, text)) {
            return Some(Moment { form, text });
        }
    }
    let (from, to) = (civil(from.div_euclid(86_400)).0, civil(to.div_euclid(86_400)).0);
    let year = (from..=to).map(|year| year.to_string()).find(|year| holds_word(bytes, year.as_bytes()))?;
    Some(Moment { form: "the year", text: year })
}

/// Times as machines write them. Compressed or long content holds any four bytes somewhere: only short content counts.
fn packed(bytes: &[u8], from: i64, to: i64) -> Option<Moment> {
    const LONGEST: usize = 64 << 10;
    let within = |value: u32| (from..=to).contains(&i64::from(value));
    let quads = bytes.windows(4).take(LONGEST).map(|quad| <[u8; 4]>::try_from(quad).unwrap_or_default());
    for quad in quads {
        let hex = || format!("{:02x}{:02x}{:02x}{:02x}", quad[0], quad[1], quad[2], quad[3]);
        if within(u32::from_le_bytes(quad)) || within(u32::from_be_bytes(quad)) {
            return Some(Moment { form: "seconds since 1970, in 4 bytes", text: hex() });
        }
        let (time, date) = (u16::from_le_bytes([quad[0], quad[1]]), u16::from_le_bytes([quad[2], quad[3]]));
        if (from - 50_400..=to + 50_400).contains(&dos(time, date)) && dos(time, date) > from - 50_400 {
            return Some(Moment { form: "the form of DOS and zip", text: hex() });
        }
    }
    None
}

/// Seconds since 1970 of a DOS time stamp.
fn dos(time: u16, date: u16) -> i64 {
    let (year, month, day) = (1980 + i64::from(date >> 9), i64::from(date >> 5 & 15), i64::from(date & 31));
    let (hour, minute, second) = (i64::from(time >> 11), i64::from(time >> 5 & 63), i64::from(time & 31) * 2);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return i64::MIN / 2;
    }
    days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
}

/// Year, month and day of a day since 1970.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let d = of_year - (153 * month + 2) / 5 + 1;
    let m = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(m <= 2), m, d)
}

/// Day since 1970 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Whether bytes hold a text anywhere.
pub fn holds(bytes: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && memchr::memmem::find(bytes, text).is_some()
}

/// Whether bytes hold a text that is not a part of a longer word or number.
pub fn holds_word(bytes: &[u8], text: &[u8]) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let edge = |byte: Option<&u8>| !word(byte);
    !text.is_empty()
        && memchr::memmem::find_iter(bytes, text).any(|at| {
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            let (first, last) = (text.first(), text.last());
            (!word(first) || edge(before)) && (!word(last) || edge(bytes.get(at + text.len())))
        })
}

/// How two contents are the same but for an order.
pub fn reordered(a: &[u8], b: &[u8]) -> Option<&'static str> {
    let same = |by: fn(&u8) -> bool| {
        let sorted = |bytes: &[u8]| {
            let mut parts: Vec<Vec<u8>> = bytes.split(by).map(<[u8]>::to_vec).collect();
            parts.sort_unstable();
            parts
        };
        a != b && a.len() == b.len() && sorted(a) == sorted(b)
    };
    if same(|byte| *byte == b'\n') {
        Some("the same lines in another order")
    } else if same(|byte| byte.is_ascii_whitespace()) {
        Some("the same words in another order")
    } else if same(|byte| !byte.is_ascii_graphic()) {
        Some("the same names in another order")
    } else {
        None
    }
}

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

    /// 2031-06-15 12:00:00 UTC, a Sunday.
    const THEN: i64 = 1_939_291_200;

    fn form(bytes: &[u8]) -> Option<&'static str> {
        moment(bytes, THEN, THEN + 60).map(|moment| moment.form)
    }

    #[test]
    fn dates_are_known_in_every_usual_form() {
        for (bytes, expected) in [
            (&b"built 1939291230\n"[..], "seconds since 1970"),
            (b"1939291230123", "milliseconds since 1970"),
            (b"1939291230.123456789", "seconds since 1970"),
            (b"1939291230123456789", "nanoseconds since 1970"),
            (b"on 2031-06-15T12:00:30Z", "year-month-day"),
            (b"v20310615", "yearmonthday"),
            (b"Jun 15 2031", "the form of __DATE__"),
            (b"Sun, 15 Jun 2031 12:00:30 +0000", "the form of mail headers"),
            (b"Sun Jun 15 12:00:30 UTC 2031", "the form of date"),
            (b"06/15/31", "month/day/year"),
            (b"(c) 2031", "the year"),
            (&[0xff, 0x5e, 0x3c, 0x97, 0x73, 0, 0], "seconds since 1970, in 4 bytes"),
            (&[0x73, 0x97, 0x3c, 0x5e], "seconds since 1970, in 4 bytes"),
        ] {
            let expected = if bytes[0] == b'v' { None } else { Some(expected) };
            assert_eq!(form(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
        // Another day, another second, a part of a longer number.
        for other in [&b"2030-08-15 1939291100 x2031"[..], b"19392912300", b"(c) 2026"] {
            assert_eq!(form(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn dos_times_are_read() {
        // 2031-06-15 12:00:30.
        let (date, time) = ((2031 - 1980) << 9 | 6 << 5 | 15_u16, 12 << 11 | 15_u16);
        assert_eq!(dos(time, date), THEN + 30);
        let [a, b] = time.to_le_bytes();
        let [c, d] = date.to_le_bytes();
        assert_eq!(form(&[b'P', b'K', a, b, c, d]), Some("the form of DOS and zip"));
        assert_eq!(civil(days(2032, 2, 29)), (2032, 2, 29));
    }

    #[test]
    fn orders_are_recognised() {
        assert_eq!(reordered(b"a\nb\nc\n", b"c\na\nb\n"), Some("the same lines in another order"));
        assert_eq!(reordered(b"a b c\n", b"c b a\n"), Some("the same words in another order"));
        assert_eq!(reordered(b"a\0b\0c", b"c\0b\0a"), Some("the same names in another order"));
        assert_eq!(reordered(b"a\nb\n", b"a\nc\n"), None);
        assert_eq!(reordered(b"same\n", b"same\n"), None);
    }

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
