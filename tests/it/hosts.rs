//! Odd and crippled hosts. Each is made for real, with namespaces, mounts, limits and the system call filters that
//! container runtimes use (`fixtures/host.c`), and then a small package is built there with two rounds.
//!
//! Nothing between is allowed: either the build comes out as on a healthy host, with the same output (in which the steps
//! write down what they saw of the caller's habits) and the same walls in every round; or it is refused with the wall, the
//! reason and the way out, and exit code 4. `sandbox::probe` must say the same.
//!
//! `ci/hosts` prints the table of all of them.

use crate::common::{Env, parton, shared_store};
use crate::sandbox::{processes_with, wait_until};
use parton::sandbox::{Launcher, probe};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// A host and what must come of it.
struct Case {
    /// What is odd about it.
    name: &'static str,
    /// Flags of `unshare`; none is the machine itself.
    unshare: &'static str,
    /// Shell that makes the host: `$DIR` is an empty directory of its own, `$PARTON_STORE` the store.
    setup: &'static str,
    /// Directives of `fixtures/host.c`.
    host: &'static str,
    /// What must come of it.
    expect: Expect,
}

enum Expect {
    /// The same as on a healthy host.
    Builds,
    /// The same walls, but the caller's own limits are tighter than parton's, and the steps can see that.
    Tighter,
    /// Exit code 0, where nobody can hear of more.
    Succeeds,
    /// Exit code 4, and the wall: reason and way out, in these words.
    Refuses(&'static str, &'static [&'static str]),
    /// Another exit code (1: the file system, 2: the command line), and these words.
    Fails(i32, &'static [&'static str]),
}
use Expect::{Builds, Fails, Refuses, Succeeds, Tighter};

/// `unshare` for an own user and mount namespace, in which this user is root. Works for everybody.
const ROOT: &str = "-Urm";
/// The same with its own process ids and a fresh `/proc`: a container.
const CONTAINER: &str = "-Urmpfi --mount-proc";

/// No namespace, but a right that only root has: to give itself groups.
const AS_ROOT: &str = "root";

const fn case(
    name: &'static str,
    unshare: &'static str,
    setup: &'static str,
    host: &'static str,
    expect: Expect,
) -> Case {
    Case { name, unshare, setup, host, expect }
}

const USERNS: &[&str] = &["user namespaces are forbidden for you"];

static NAMESPACES: &[Case] = &[
    case("nothing odd, as this user", "", "", "", Builds),
    case("nothing odd, in a user namespace", ROOT, "", "", Builds),
    case(
        "user namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_user_namespaces",
        "",
        Refuses("users", &["unshare user namespace: No space left on device", "sysctl user.max_user_namespaces="]),
    ),
    case(
        "a kernel without user namespaces",
        "",
        "",
        "deny=unshare:EINVAL:0&0x10000000",
        Refuses("users", &["unshare user namespace: Invalid argument", "no user namespaces (CONFIG_USER_NS)"]),
    ),
    case("user namespaces forbidden", "", "", "deny=unshare:EPERM:0&0x10000000", Refuses("users", USERNS)),
    case(
        "user namespaces that give no rights (AppArmor's restriction)",
        "",
        "",
        "ubuntu",
        Refuses(
            "files",
            &["unshare mount namespace: Operation not permitted", "apparmor_restrict_unprivileged_userns"],
        ),
    ),
    case(
        "mount namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_mnt_namespaces",
        "",
        Refuses("files", &["unshare mount namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "pid namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_pid_namespaces",
        "",
        Refuses("processes", &["unshare pid namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "net namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_net_namespaces",
        "",
        Refuses("network", &["unshare net namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "ipc namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_ipc_namespaces",
        "",
        Refuses("memory", &["unshare ipc namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "uts namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_uts_namespaces",
        "",
        Refuses("names", &["unshare uts namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "cgroup namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_cgroup_namespaces",
        "",
        Refuses("groups", &["unshare cgroup namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "time namespaces limited to 0",
        ROOT,
        "echo 0 > /proc/sys/user/max_time_namespaces",
        "",
        Refuses("clock", &["unshare time namespace: No space left", "/proc/sys/user"]),
    ),
    case(
        "a kernel without time namespaces",
        "",
        "",
        "deny=unshare:EINVAL:0&0x80",
        Refuses("clock", &["unshare time namespace: Invalid argument", "this kernel has no time namespace"]),
    ),
    case(
        "a kernel without net namespaces",
        "",
        "",
        "deny=unshare:EINVAL:0&0x40000000",
        Refuses("network", &["unshare net namespace: Invalid argument", "this kernel has no net namespace"]),
    ),
    case(
        "no loopback device to switch on",
        "",
        "",
        "deny=ioctl:ENODEV:1=0x8914",
        Refuses("network", &["switch on the loopback device: No such device"]),
    ),
    case(
        "in a chroot",
        ROOT,
        "mount --rbind / $DIR; set -- chroot $DIR sh -c 'cd \"$0\"; exec \"$@\"' \"$PWD\" \"$@\"",
        "",
        Refuses("users", &["unshare user namespace: Operation not permitted", "In a chroot the kernel forbids them"]),
    ),
];

static KERNEL: &[Case] = &[
    case(
        "a kernel without overlayfs",
        "",
        "",
        "no-overlay=ENODEV",
        Refuses("files", &["overlay", "No such device", "modprobe overlay"]),
    ),
    case(
        "no overlayfs in user namespaces",
        "",
        "",
        "no-overlay=EPERM",
        Refuses("files", &["overlay", "Operation not permitted", "Linux 5.11"]),
    ),
    case(
        "a kernel without landlock",
        "",
        "",
        "deny=landlock_create_ruleset:ENOSYS",
        Refuses("rights", &["use landlock: Function not implemented", "CONFIG_SECURITY_LANDLOCK=y"]),
    ),
    case(
        "landlock switched off at boot",
        "",
        "",
        "deny=landlock_create_ruleset:EOPNOTSUPP",
        Refuses("rights", &["use landlock: Operation not supported", "boot parameter lsm="]),
    ),
    case(
        "landlock of Linux 5.13",
        "",
        "",
        "old-landlock=1",
        Refuses("rights", &["landlock", "version 1", "Linux 5.19"]),
    ),
    case(
        "landlock forbidden by a filter",
        "",
        "",
        "deny=landlock_restrict_self:EPERM",
        Refuses("rights", &["landlock", "Operation not permitted"]),
    ),
    case(
        "system call filters forbidden",
        "",
        "",
        "nnp deny=seccomp:EPERM",
        Refuses("system calls", &["Operation not permitted", "CONFIG_SECCOMP_FILTER"]),
    ),
    case(
        "a kernel without system call filters",
        "",
        "",
        "nnp deny=seccomp:ENOSYS",
        Refuses("system calls", &["Function not implemented", "CONFIG_SECCOMP_FILTER"]),
    ),
    case("a system call filter already there", "", "", "filter filter", Builds),
    case(
        "an outer sandbox that listens to system calls",
        "",
        "",
        "listener",
        Refuses("system calls", &["install the filter: Device or resource busy", "outer sandbox listens"]),
    ),
    case(
        "tracing forbidden",
        "",
        "",
        "deny=ptrace:EPERM",
        Refuses("system calls", &["trace the programs inside", "Operation not permitted"]),
    ),
    case(
        "foreign memory can't be written",
        "",
        "",
        "deny=process_vm_writev:EPERM",
        Refuses("system calls", &["process_vm_writev", "Operation not permitted"]),
    ),
    case(
        "foreign memory can't be read",
        "",
        "",
        "deny=process_vm_readv:ENOSYS",
        Refuses("system calls", &["process_vm_readv", "Function not implemented"]),
    ),
    case(
        "foreign descriptors can't be taken",
        "",
        "",
        "deny=pidfd_getfd:EPERM",
        Refuses("system calls", &["pidfd_getfd", "Operation not permitted"]),
    ),
    case("no descriptors of processes", "", "", "deny=pidfd_open:ENOSYS", Refuses("system calls", &["pidfd_open"])),
    case(
        "a kernel without close_range",
        "",
        "",
        "deny=close_range:ENOSYS",
        Refuses("files", &["close", "descriptors", "Function not implemented", "Linux 5.19"]),
    ),
    case(
        "a kernel without the new mount calls",
        "",
        "",
        "deny=fsopen:ENOSYS",
        Refuses("files", &["memory file system: Function not implemented", "Linux 5.19"]),
    ),
    case(
        "mount_setattr forbidden, as by old filters",
        "",
        "",
        "deny=mount_setattr:EPERM",
        Refuses("files", &["Operation not permitted", "inside a container"]),
    ),
    case(
        "pivot_root forbidden",
        "",
        "",
        "deny=pivot_root:EPERM",
        Refuses("files", &["pivot_root", "Operation not permitted", "inside a container"]),
    ),
    case(
        "personalities forbidden, as by docker's filter",
        "",
        "",
        "deny=personality:EPERM:0&0x40000",
        Refuses("system calls", &["set the personality: Operation not permitted", "inside a container"]),
    ),
    case("no clone3", "", "", "deny=clone3:ENOSYS", Builds),
    case("no statx", "", "", "deny=statx:ENOSYS", Builds),
];

static CONTAINERS: &[Case] = &[
    case("a container with CAP_SYS_ADMIN, as its pid 1", CONTAINER, "", "", Builds),
    case(
        "a container without CAP_SYS_ADMIN, filtered",
        CONTAINER,
        "",
        "drop=21 docker",
        Refuses("users", &["user namespaces are forbidden for you", "inside a container"]),
    ),
    case("a container without CAP_SYS_ADMIN, unfiltered", CONTAINER, "", "drop=21", Builds),
    case(
        "a container's root without any capability",
        CONTAINER,
        "",
        "drop",
        Refuses("users", &["write /proc/self/uid_map: Operation not permitted", "CAP_SETFCAP", "--user 1000"]),
    ),
    case(
        "a container's user without any capability",
        "-Umpfi --map-user=1000 --map-group=1000 --mount-proc",
        "",
        "",
        Builds,
    ),
    case(
        "a container with parts of /proc masked",
        CONTAINER,
        "for f in kcore keys timer_list interrupts; do ! test -e /proc/$f || mount --bind /dev/null /proc/$f; done",
        "",
        Refuses("processes", &["mount /proc: Operation not permitted", "parts of this host's /proc are hidden"]),
    ),
    case(
        "a container with /proc/sys read-only",
        CONTAINER,
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
        "",
        Refuses("processes", &["mount /proc: Operation not permitted", "parts of this host's /proc are hidden"]),
    ),
    case(
        "/proc read-only",
        ROOT,
        "mount --bind /proc /proc; mount -o remount,bind,ro /proc",
        "",
        Refuses("users", &["write /proc/self/setgroups: Read-only file system", "/proc is mounted read-only"]),
    ),
    case("/proc with hidepid=2", "-Urmpf", "mount -t proc -o hidepid=2 proc /proc", "", Builds),
    case(
        "/proc with hidepid=2, as an ordinary user",
        "-Urmpf",
        "mount -t proc -o hidepid=2 proc /proc; set -- unshare -U --map-user=1000 --map-group=1000 \"$@\"",
        "",
        Builds,
    ),
    case("/proc with hidepid=4", "-Urmpf", "mount -t proc -o hidepid=4 proc /proc", "", Builds),
    case("/proc with processes only", "-Urmpf", "mount -t proc -o subset=pid proc /proc", "", Builds),
    case("no /proc", ROOT, "mount -t tmpfs x /proc", "", Refuses("", &["start /proc/self/exe", "mount -t proc"])),
    case("no /sys", ROOT, "umount -l /sys || mount -t tmpfs x /sys", "", Builds),
    case("no /dev but what containers have", ROOT, MINIMAL_DEV, "", Builds),
    case(
        "no /dev/null",
        ROOT,
        "mount -t tmpfs x /dev",
        "",
        Refuses("files", &["open /dev/null", "mount --rbind /dev"]),
    ),
];

const MINIMAL_DEV: &str = "mkdir $DIR/dev; mount -t tmpfs x $DIR/dev; for d in null zero full random urandom; do : > $DIR/dev/$d; \
                           mount --bind /dev/$d $DIR/dev/$d; done; mount --rbind $DIR/dev /dev";

/// With what a control group view needs: a tmpfs over the machine's.
const GROUPS: &str = "mount -t tmpfs x /sys/fs/cgroup; ";

/// Another, tiny `/tmp`, in which only what these tests need is shown (all of it may lie there), and no byte is left.
macro_rules! tmp {
    ($options:literal) => {
        concat!(
            "mkdir $DIR/t; mount -t tmpfs -o size=64k,",
            $options,
            " x $DIR/t; for d in $HOME $TOOLS $PROGRAM $PARTON_STORE; do case $d in /tmp/*) mkdir -p $DIR/t/${d#/tmp/}; \
             mount --rbind $d $DIR/t/${d#/tmp/};; esac; done; \
             ! cat /dev/zero > $DIR/t/filler 2>/dev/null; mount --rbind $DIR/t /tmp; cd $PWD"
        )
    };
}
const OTHER_TMP: &str = tmp!("mode=1777");
const NOEXEC_TMP: &str = tmp!("mode=1777,noexec");

static FILES: &[Case] = &[
    case("a read-only home", ROOT, "mount --bind $HOME $HOME; mount -o remount,bind,ro $HOME", "", Builds),
    case(
        "a read-only store",
        ROOT,
        "mount --bind $PARTON_STORE $PARTON_STORE; mount -o remount,bind,ro $PARTON_STORE",
        "",
        Fails(1, &["Read-only file system", "store"]),
    ),
    case(
        "no store named, and a read-only home",
        ROOT,
        "unset PARTON_STORE; mount --bind $HOME $HOME; mount -o remount,bind,ro $HOME",
        "",
        Fails(1, &["Read-only file system", ".local/share/parton/store"]),
    ),
    case(
        "a tmpfs too small for the store",
        ROOT,
        "mkdir $DIR/s; mount -t tmpfs -o size=1m x $DIR/s; export PARTON_STORE=$DIR/s",
        "",
        Fails(5, &["No space left on device", "free some space"]),
    ),
    case("a full /tmp outside", ROOT, OTHER_TMP, "", Builds),
    case("a /tmp that is noexec and full", ROOT, NOEXEC_TMP, "", Builds),
    case(
        "a store mounted noexec",
        ROOT,
        "mount --bind $PARTON_STORE $PARTON_STORE; mount -o remount,bind,noexec $PARTON_STORE",
        "",
        Refuses("files", &["it is mounted noexec: Permission denied", "PARTON_STORE"]),
    ),
    case(
        "a store mounted nosuid, nodev",
        ROOT,
        "mount --bind $PARTON_STORE $PARTON_STORE; mount -o remount,bind,nosuid,nodev $PARTON_STORE",
        "",
        Builds,
    ),
    case(
        "a store on an overlay",
        ROOT,
        "mkdir $DIR/u $DIR/w $DIR/m; mount -t overlay x -o userxattr,lowerdir=$PARTON_STORE,upperdir=$DIR/u,workdir=$DIR/w $DIR/m; export PARTON_STORE=$DIR/m",
        "",
        Builds,
    ),
    case(
        "a store on an overlay over an overlay",
        ROOT,
        "mkdir $DIR/e $DIR/n $DIR/u $DIR/w $DIR/m; mount -t overlay x -o userxattr,lowerdir=$PARTON_STORE:$DIR/e $DIR/n; mount -t overlay x -o userxattr,lowerdir=$DIR/n,upperdir=$DIR/u,workdir=$DIR/w $DIR/m; export PARTON_STORE=$DIR/m",
        "",
        Refuses("files", &["overlay", "Invalid argument", "two overlays"]),
    ),
    case(
        "a store on a tmpfs",
        ROOT,
        "mkdir $DIR/m; mount -t tmpfs x $DIR/m; mkdir $DIR/m/store; cd $PARTON_STORE; cp -a $(ls | grep -vx -e tmp -e kept) $DIR/m/store; mkdir $DIR/m/store/tmp $DIR/m/store/kept; cd $DIR; export PARTON_STORE=$DIR/m/store",
        "",
        Builds,
    ),
    case(
        "a store with odd characters",
        ROOT,
        "d=\"$DIR/a:b,c\\\\ d'\"; mkdir \"$d\"; mount --bind $PARTON_STORE \"$d\"; export PARTON_STORE=\"$d\"",
        "",
        Builds,
    ),
    case(
        "a store with a line break",
        ROOT,
        "d=\"$DIR/a\nb\"; mkdir \"$d\"; mount --bind $PARTON_STORE \"$d\"; export PARTON_STORE=\"$d\"",
        "",
        Builds,
    ),
    case(
        "a store that is not UTF-8",
        ROOT,
        "d=$(printf \"$DIR/\\377x\"); mkdir \"$d\"; mount --bind $PARTON_STORE \"$d\"; export PARTON_STORE=\"$d\"",
        "",
        Builds,
    ),
    case("control groups of the first version only", ROOT, V1, "", Builds),
    case("control groups of the second version only", ROOT, V2, "", Builds),
    case("no control groups", ROOT, GROUPS, "", Builds),
];

const V1: &str = "mkdir $DIR/g; mount --rbind /sys/fs/cgroup $DIR/g; mount -t tmpfs x /sys/fs/cgroup; \
                  for d in memory pids; do mkdir /sys/fs/cgroup/$d; mount --bind $DIR/g/$d /sys/fs/cgroup/$d; done; umount -l $DIR/g";
const V2: &str = "mkdir $DIR/g; mount --rbind /sys/fs/cgroup $DIR/g; if test -d $DIR/g/unified; then mount --bind $DIR/g/unified /sys/fs/cgroup; fi";

static CALLERS: &[Case] = &[
    case("8 descriptors", "", "", "limit=NOFILE=8", Fails(1, &["Too many open files"])),
    case("64 descriptors", "", "", "limit=NOFILE=64", Tighter),
    case("no file may grow", "", "", "limit=FSIZE=0", Fails(5, &["File too large"])),
    case("100 MB of address space", "", "", "limit=AS=100000000", Builds),
    case("a stack of 1 MiB", "", "", "limit=STACK=1048576", Builds),
    case("a stack without limit", "", "", "limit=STACK=0xffffffffffffffff", Builds),
    case("nothing may be locked", "", "", "limit=MEMLOCK=0", Builds),
    case("standard input closed", "", "", "close=0", Builds),
    case("standard output and error closed", "", "", "close=0 close=1 close=2", Succeeds),
    case("a hundred descriptors leaked", "", "", "leak=100", Builds),
    case("all signals ignored", "", "", "ignore-signals", Builds),
    case("all signals blocked", "", "", "block-signals", Builds),
    case("umask 077", "", "", "umask=077", Builds),
    case("umask 777", "", "", "umask=777", Builds),
    case("no new privileges", "", "", "nnp", Builds),
    case("a child subreaper", "", "", "subreaper", Builds),
    case("32-bit personality", "", "", "personality=8", Builds),
    case("fixed addresses, executable data", "", "", "personality=440000", Builds),
    case("every capability ambient", ROOT, "", "ambient", Builds),
    case("user 70000, without rights", "-U --map-user=70000 --map-group=70000", "", "", Builds),
    case("user 4294967290, without rights", "-U --map-user=4294967290 --map-group=4294967290", "", "", Builds),
    case("three hundred groups", AS_ROOT, "", "groups=300", Builds),
    case("one processor", "", "", "processor", Builds),
    case("the lowest priority", "", "", "nice=19", Builds),
    case(
        "a directory that was removed meanwhile",
        "",
        "mkdir $DIR/w; cd $DIR/w; rmdir $DIR/w",
        "",
        Fails(2, &["find the working directory"]),
    ),
];

/// Every case, by group.
static ALL: &[(&str, &[Case])] = &[
    ("namespaces", NAMESPACES),
    ("kernel", KERNEL),
    ("containers", CONTAINERS),
    ("files", FILES),
    ("callers", CALLERS),
];

/// The wrapper, made once per test process.
fn wrapper() -> &'static Path {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let dir = tempfile::Builder::new().prefix("parton-it-").tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/host.c");
        let out = dir.path().join("host");
        let status = Command::new("cc").args(["-static", "-O1", "-w", "-o"]).arg(&out).arg(source).status();
        assert!(status.expect("a C compiler").success());
        dir
    };
    DIR.get_or_init(make).path()
}

/// What the steps write down: nothing of it may depend on the host.
const SCRIPT: &str = "echo x > $OUT/usr/x\n\
                      { umask; ulimit -n; ulimit -c; ulimit -f; uname -m; id -u; id -g; \
                      grep -E '^(Sig(Ign|Blk)|Shd|Cap|NoNewPrivs|Umask)' /proc/self/status; \
                      ls -l /proc/self/fd | wc -l; } > $OUT/usr/facts\n\
                      printf '#!/bin/sh\\necho ran\\n' > script; chmod +x script; ./script > $OUT/usr/ran\n\
                      ls -l $OUT/usr > /dev/null";

/// What came of a build.
struct Came {
    output: Output,
}

impl Came {
    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn code(&self) -> String {
        match (self.output.status.code(), self.output.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {signal:?}"),
        }
    }

    /// Output digest and the walls of every round, if those were tried from inside as well.
    fn result(&self) -> Option<(String, Vec<serde_json::Value>)> {
        let report: serde_json::Value = serde_json::from_slice(&self.output.stdout).ok()?;
        let package = &report["packages"][0];
        let rounds = package["state"]["record"]["rounds"].as_array()?;
        let tried = |round: &serde_json::Value| round["probes"].as_array().is_some_and(|probes| probes.len() >= 40);
        let digest = package["output"].as_str().filter(|_| rounds.iter().all(tried))?.to_owned();
        Some((digest, rounds.iter().map(|round| round["walls"].clone()).collect()))
    }

    /// The error in one line.
    fn reason(&self) -> String {
        let stderr = self.stderr();
        let mut lines = stderr.lines().skip_while(|line| !line.starts_with("error"));
        let first = lines.next().unwrap_or_default().trim_start_matches("error:").trim().to_owned();
        lines
            .filter_map(|line| line.trim().strip_prefix("because: "))
            .fold(first, |all, cause| format!("{all}: {cause}"))
    }
}

impl Case {
    fn command(&self, env: &Env, program: &[&str]) -> Command {
        let dir = env.path().join("host");
        fs::create_dir_all(&dir).unwrap();
        let mut command = match self.unshare {
            "" | AS_ROOT => Command::new("sh"),
            flags => {
                let mut command = Command::new("unshare");
                command.args(flags.split(' ')).args(["--", "sh"]);
                command
            }
        };
        command.args(["-euc", &format!("{}\nexec \"$@\"", self.setup), "sh"]);
        command.arg(wrapper().join("host")).args(self.host.split_whitespace()).arg("--").args(program);
        let like = env.command(&[]);
        command.current_dir(env.path()).env_clear().env("DIR", dir).env("TOOLS", wrapper()).stdin(Stdio::null());
        command.env("PROGRAM", parton().parent().unwrap());
        for (key, value) in like.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What `sandbox::probe` says there: the names of all walls, or the error as `parton build` says it.
    fn probe(&self) -> String {
        let env = Env::workspace();
        let exe = std::env::current_exe().unwrap();
        let program = [exe.to_str().unwrap(), "--exact", "hosts::helper_that_probes", "--ignored", "--nocapture"];
        let output = self.command(&env, &program).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Builds there.
    fn build(&self) -> Came {
        let env = Env::workspace();
        let name: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let name = format!("host-{}", name.trim_matches('-').replace("--", "-"));
        env.script(&name, SCRIPT);
        let output =
            self.command(&env, &[parton().to_str().unwrap(), "build", &name, "--rebuild", "--json"]).output().unwrap();
        Came { output }
    }
}

/// What a healthy host makes.
fn healthy() -> &'static (String, Vec<serde_json::Value>) {
    static RESULT: OnceLock<(String, Vec<serde_json::Value>)> = OnceLock::new();
    RESULT.get_or_init(|| {
        let came = case("healthy", "", "", "", Builds).build();
        came.result().unwrap_or_else(|| panic!("{}{}", came.code(), came.stderr()))
    })
}

/// Builds on a host, and says in one line what came of it; or how that is not what must come of it.
fn judge(case: &Case) -> Result<String, String> {
    if case.unshare == AS_ROOT && !rustix::process::geteuid().is_root() {
        return Ok("not made: only root can".to_owned());
    }
    let came = case.build();
    let all = || {
        let report: serde_json::Value = serde_json::from_slice(&came.output.stdout).unwrap_or_default();
        let state = &report["packages"][0]["state"];
        let ends = state["record"]["rounds"].as_array().into_iter().flatten().map(|round| &round["end"]);
        let ends: Vec<String> = ends.map(ToString::to_string).collect();
        let result = came.result();
        format!(
            "{}: {}\n{}\n{}\n{}\n{result:?}",
            case.name,
            came.code(),
            came.stderr(),
            state["record"]["differences"],
            ends.join("\n")
        )
    };
    match &case.expect {
        Succeeds if came.output.status.success() => Ok("builds, unheard".to_owned()),
        Succeeds => Err(all()),
        Tighter => match came.result() {
            Some(result) if came.output.status.success() && result.1 == healthy().1 && result.0 != healthy().0 => {
                Ok("builds, with the caller's tighter limits".to_owned())
            }
            _ => Err(all()),
        },
        Builds => match came.result() {
            Some(result) if came.output.status.success() && result == *healthy() => {
                Ok(format!("builds, {} walls in each round", result.1[0].as_array().unwrap().len()))
            }
            _ => Err(all()),
        },
        Refuses(wall, words) => {
            let named = wall.is_empty() || came.stderr().contains(&format!("wall '{wall}' can not be built"));
            let says = words.iter().all(|word| came.stderr().contains(word));
            if came.output.status.code() == Some(4) && named && says {
                Ok(format!("refused: {}", came.reason()))
            } else {
                Err(all())
            }
        }
        Fails(code, words) => {
            let says = words.iter().all(|word| came.stderr().contains(word));
            if came.output.status.code() == Some(*code) && says {
                Ok(format!("fails: {}", came.reason()))
            } else {
                Err(all())
            }
        }
    }
}

/// Not a test: prints what `probe` says.
#[test]
#[ignore = "run on each host"]
fn helper_that_probes() {
    use std::io::Write as _;
    let text = match probe(&Launcher::with_program(parton())) {
        Ok(walls) => {
            let names: Vec<&str> = walls.iter().map(|wall| wall.name.as_str()).collect();
            let limits = walls.iter().find(|wall| wall.name == "limits").map_or("", |wall| &wall.by);
            format!("walls: {}\nlimits: {limits}", names.join(", "))
        }
        Err(error) => format!("error: {error}\nhint: {}", error.help().unwrap_or_default()),
    };
    std::io::stderr().write_all(format!("\n{text}\n").as_bytes()).unwrap();
}

const WALLS: &str =
    "walls: clock, files, groups, limits, memory, names, network, processes, rights, system calls, users, world\n";

/// The probe says of a host what a build there comes to.
fn all_of_with_probe(cases: &[Case]) {
    all_of(cases);
    for case in cases {
        let said = case.probe();
        match &case.expect {
            Refuses(wall, words) if !wall.is_empty() => {
                let named = said.contains(&format!("the sandbox's wall '{wall}' can not be built"));
                assert!(named && words.iter().all(|word| said.contains(word)), "{}: {said}", case.name);
            }
            Refuses(..) => assert!(!said.contains(WALLS), "{}: {said}", case.name),
            _ => assert!(said.contains(WALLS), "{}: {said}", case.name),
        }
    }
}

/// A service manager, or a person with `kill`, ends all of parton's process group at once.
#[test]
fn a_group_that_is_terminated_leaves_nothing() {
    use std::os::unix::process::CommandExt as _;
    let env = Env::workspace();
    let marker = format!("terminated-{}", std::process::id());
    env.script("host-terminated", &format!("sh -c 'sleep 1000; : {marker}'"));
    let mut command = env.command(&["build", "host-terminated", "--rebuild"]);
    let child = command.process_group(0).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(|| !processes_with(&marker).is_empty()));
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-TERM", "--", &group]).status().unwrap().success());
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(processes_with(&marker), Vec::<String>::new());
    let stages = fs::read_dir(shared_store().join("tmp")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = stages.filter(|name| name.to_str().unwrap().starts_with(&format!("{pid}-"))).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Prints what comes of each host; `ci/hosts` writes it down.
#[test]
#[ignore = "prints the table of hosts"]
fn table_of_hosts() {
    use std::io::Write as _;
    let say = |text: String| std::io::stderr().write_all(text.as_bytes()).unwrap();
    let mut failed = 0;
    for (group, cases) in ALL {
        say(format!("\n{group}\n"));
        for case in *cases {
            let came = judge(case).unwrap_or_else(|wrong| {
                failed += 1;
                format!("WRONG {wrong}")
            });
            say(format!("  {:<64} {came}\n", case.name));
        }
    }
    assert_eq!(failed, 0);
}

fn all_of(cases: &[Case]) {
    let wrong: Vec<String> = cases.iter().filter_map(|case| judge(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n────\n"));
}

#[test]
fn namespaces_that_are_missing_are_named() {
    all_of_with_probe(NAMESPACES);
}

#[test]
fn kernels_that_lack_something_are_refused() {
    all_of_with_probe(KERNEL);
}

#[test]
fn containers_are_no_lesser_hosts() {
    all_of_with_probe(CONTAINERS);
}

#[test]
fn odd_file_systems_make_no_difference() {
    all_of(FILES);
}

#[test]
fn callers_leave_no_trace() {
    all_of(CALLERS);
}
