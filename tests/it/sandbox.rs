//! The jail from the inside: a static C program (fixtures/probe.c, built with the host's `cc`) tries and looks.
//!
//! Nothing here is skipped: where the host gives no user namespaces the first test says so and all others fail.

mod canaries;

use parton::base::Cancel;
use parton::sandbox::{
    Bind, Error, Exit, Jail, Launcher, Limits, Overlay, Report, Status, Stdin, Stdio, Step, Stopped, World, probe, run,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The directory with `bin/probe`, made once per test process.
fn tools() -> &'static Path {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("parton-it-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(dir.path().join("layer/bin")).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/probe.c");
        for (flags, to) in [(&["-static"][..], "layer/bin/probe"), (&[], "probe-dynamic")] {
            let status = Command::new("cc")
                .args(["-O1", "-w", "-pthread", "-o"])
                .arg(dir.path().join(to))
                .args(flags)
                .arg(source)
                .status()
                .expect("a C compiler");
            assert!(status.success());
        }
        dir
    })
    .path()
}

/// The program of parton; another copy of it where the variable says so (see `an_ordinary_user_gets_the_same`).
#[expect(
    clippy::disallowed_methods,
    reason = "tests re-executed as another user are told their program by the environment"
)]
fn program() -> PathBuf {
    std::env::var_os("PARTON_IT_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_parton").into(), PathBuf::from)
}

pub fn launcher() -> Launcher {
    Launcher::with_program(program())
}

pub struct Build {
    pub jail: Jail,
    pub scratch: tempfile::TempDir,
}

/// What a run gave.
pub struct Ran {
    pub exit: Exit,
    pub lines: Vec<String>,
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Vec<String> {
        assert!(self.exit.success(self.exit.steps.len()), "{:?}\n{}", self.exit, self.lines.join("\n"));
        self.lines
    }

    #[track_caller]
    fn line(self) -> String {
        let mut lines = self.ok();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

impl Build {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["build", "out"] {
            fs::create_dir(scratch.path().join(name)).unwrap();
        }
        let bind = |name: &str| Bind { at: format!("/{name}"), from: scratch.path().join(name), write: true };
        let jail = Jail {
            root: vec![tools().join("layer")],
            overlays: vec![],
            binds: vec![bind("build"), bind("out")],
            overlaid: BTreeMap::new(),
            files: BTreeMap::from([("/etc/hostname".to_owned(), b"builder\n".to_vec())]),
            tmp_size: 16 << 20,
            uid: 1000,
            umask: 0o022,
            hostname: "builder".to_owned(),
            domainname: "parton".to_owned(),
            world: World::default(),
            limits: Limits { time: Duration::from_secs(60), disk_reserve: 1 << 20, ..Limits::default() },
            canaries: false,
            steps: vec![],
            stdio: Stdio::Captured,
            stdin: Stdin::Null,
        };
        Self { jail, scratch }
    }

    fn step(mut self, argv: &[&str]) -> Self {
        let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
        let name = argv.get(1).cloned().unwrap_or_default();
        let env = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        self.jail.steps.push(Step { name, argv, env, cwd: "/build".to_owned(), timeout: None });
        self
    }

    pub fn probe(self, args: &[&str]) -> Self {
        self.step(&[&["/bin/probe"], args].concat())
    }

    pub fn world(mut self, world: World) -> Self {
        self.jail.world = world;
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.jail.limits);
        self
    }

    pub fn jail(mut self, change: impl FnOnce(&mut Jail)) -> Self {
        change(&mut self.jail);
        self
    }

    pub fn run_result(&mut self, cancel: &Cancel) -> Result<Ran, Error> {
        let mut lines = vec![];
        let exit = run(
            &launcher(),
            &self.jail,
            &mut |report| {
                if let Report::Line(line) = report {
                    lines.push(String::from_utf8_lossy(line).into_owned());
                }
            },
            cancel,
        )?;
        Ok(Ran { exit, lines })
    }

    #[track_caller]
    pub fn run(mut self) -> Ran {
        self.run_result(&Cancel::new()).unwrap_or_else(|e| panic!("{e} {:?}", e.help()))
    }
}

fn probe_line(args: &[&str], world: World) -> String {
    Build::new().probe(args).world(world).run().line()
}

fn now() -> i64 {
    // The library may not ask for the wall clock; tests compare with it.
    let output = Command::new("date").arg("+%s").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Host processes whose command line or executable belongs to the jails of a scratch directory or marker.
pub fn processes_with(marker: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let text = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        if text.contains(marker) {
            found.push(format!("{} {text}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

pub fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn every_wall_stands_and_is_named() {
    let walls = probe(&launcher()).unwrap_or_else(|e| panic!("{e}\n{:?}", e.help()));
    let names: Vec<&str> = walls.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "clock",
            "files",
            "groups",
            "limits",
            "memory",
            "names",
            "network",
            "processes",
            "rights",
            "system calls",
            "users",
            "world"
        ]
    );
}

#[test]
fn steps_run_in_order_until_one_fails() {
    let ran = Build::new().probe(&["say", "one"]).probe(&["exit", "3"]).probe(&["say", "never"]).run();
    assert_eq!(ran.lines, ["one"]);
    let statuses: Vec<Status> = ran.exit.steps.iter().map(|s| s.status).collect();
    assert_eq!(statuses, [Status::Code(0), Status::Code(3)]);
    assert!(!ran.exit.success(3) && ran.exit.stopped.is_none());
    let ran = Build::new().probe(&["die", "11"]).run();
    assert_eq!(ran.exit.steps[0].status, Status::Signal(11));
}

#[test]
fn output_is_complete_and_belongs_to_its_step() {
    let mut build = Build::new();
    for step in 0..20 {
        build = build.probe(&["say", &format!("a{step}"), &format!("b{step}")]);
    }
    let mut seen = vec![];
    run(
        &launcher(),
        &build.jail,
        &mut |report| {
            seen.push(match report {
                Report::Step(index) => format!("step {index}"),
                Report::Line(line) => String::from_utf8_lossy(line).into_owned(),
            });
        },
        &Cancel::new(),
    )
    .unwrap();
    let expected: Vec<String> = (0..20).flat_map(|i| [format!("step {i}"), format!("a{i}"), format!("b{i}")]).collect();
    assert_eq!(seen, expected);
    let long = Build::new().probe(&["bytes", "200000"]).run().ok();
    assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [65536, 65536, 65536, 3392]);
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    assert_eq!(Build::new().probe(&["env"]).run().ok(), ["PATH=/bin"]);
    assert_eq!(Build::new().probe(&["cat", "/etc/hostname"]).run().line(), "builder");
    assert_eq!(
        probe_line(&["uname"], World { kernel_release: Some("5.4.321-x".into()), ..World::default() }),
        "5.4.321-x builder parton"
    );
    let mut top = Build::new().probe(&["list", "/"]).run().ok();
    top.sort();
    assert_eq!(top, [".", "..", "bin", "build", "dev", "etc", "out", "proc", "tmp"]);
    let mut dev = Build::new().probe(&["list", "/dev"]).run().ok();
    dev.sort();
    assert_eq!(dev, [".", "..", "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]);
}

#[test]
fn no_descriptor_leaks_in() {
    // The listing's own descriptor is the fourth.
    let mut build = Build::new().probe(&["list", "/proc/self/fd"]);
    let leak = fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let mut fds = build.run_result(&Cancel::new()).unwrap().ok();
    fds.sort();
    assert_eq!(fds, [".", "..", "0", "1", "2", "3"]);
    drop(leak);
}

#[test]
fn only_the_given_places_can_be_written() {
    let lines = Build::new()
        .jail(|jail| jail.overlays.push(Overlay { at: "/in".into(), layers: vec![tools().join("layer")] }))
        .probe(&[
            "write",
            "/build/f",
            "/out/f",
            "/tmp/f",
            "/dev/shm/f",
            "/dev/null",
            "/f",
            "/bin/probe",
            "/etc/hostname",
            "/in/bin/probe",
            "/in/f",
            "/dev/f",
            "/proc/sys/kernel/hostname",
            "/proc/sysrq-trigger",
            "/proc/f",
        ])
        .run()
        .ok();
    let (can, can_not) = lines.split_at(5);
    assert_eq!(can, ["/build/f ok", "/out/f ok", "/tmp/f ok", "/dev/shm/f ok", "/dev/null ok"]);
    assert!(can_not.iter().all(|line| !line.ends_with(" ok")), "{can_not:?}");
}

/// The change of root stacks the old root, and on it the file system the jail was put together in, over the new one. Only
/// the topmost of the two was unmounted. `/..` led from the jail's root to the host's: landlock kept its files from being
/// opened, but they could be looked at, and a build run by root could change their modes and times.
#[test]
fn nothing_is_above_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let bait = dir.path().join("bait");
    fs::write(&bait, "secret").unwrap();
    fs::set_permissions(&bait, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::metadata(&bait).unwrap();
    let lines = Build::new().probe(&["above", &format!("/..{}", bait.display())]).run().ok();
    assert_eq!(lines, ["the root is the top", "stat ENOENT", "chmod ENOENT", "utime ENOENT"]);
    let after = fs::metadata(&bait).unwrap();
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
}

#[test]
fn rights_are_shed_and_refusals_have_their_errors() {
    let build = Build::new().probe(&["rights"]);
    let out = build.scratch.path().join("build");
    let mut build = build;
    let lines = build.run_result(&Cancel::new()).unwrap().ok();
    let expected = [
        "chown ok",
        "fchown ok",
        "chmod-suid EPERM",
        "fchmod-sgid EPERM",
        "creat-suid EPERM",
        "fchmodat2-suid EPERM",
        "openat2 ENOSYS",
        "chmod ok",
        "mknod-device EPERM",
        "setxattr EOPNOTSUPP",
        "setuid EINVAL",
        "unshare-user EPERM",
        "unshare-net EPERM",
        "clone-user EPERM",
        "clone3 ENOSYS",
        "mount EPERM",
        "fsopen EPERM",
        "chroot EPERM",
        "ptrace EPERM",
        "process_vm_readv EPERM",
        "keyctl ENOSYS",
        "bpf ENOSYS",
        "io_uring ENOSYS",
        "userfaultfd ENOSYS",
        "syslog EPERM",
        "vsock EAFNOSUPPORT",
        "settime EPERM",
        "sethostname EPERM",
        "groups ok",
        "tiocsti EPERM",
        "personality EPERM",
        "int80 ok",
    ];
    assert_eq!(lines, expected);
    let meta = fs::metadata(out.join("f")).unwrap();
    assert_eq!(meta.uid(), rustix::process::geteuid().as_raw(), "a file made inside belongs to who runs parton");
    assert_eq!(meta.mode() & 0o7777, 0o1755);
    let ran = Build::new().probe(&["int80"]).run();
    assert_eq!(ran.exit.steps[0].status, Status::Signal(31), "another architecture's calls kill");
    assert_eq!(probe_line(&["status"], World::default()), "1 2");
}

#[test]
fn capabilities_are_gone_even_for_user_zero() {
    for uid in [0, 1000] {
        let lines = Build::new().jail(|jail| jail.uid = uid).probe(&["cat", "/proc/self/status"]).run().ok();
        let caps: Vec<&String> = lines.iter().filter(|l| l.starts_with("Cap")).collect();
        assert_eq!(caps.len(), 5);
        assert!(caps.iter().all(|l| l.ends_with("\t0000000000000000")), "{caps:?}");
        assert!(lines.iter().any(|l| l.starts_with(&format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"))));
    }
}

#[test]
fn the_network_is_a_loopback_of_its_own() {
    use std::os::linux::net::SocketAddrExt as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let name = format!("parton-it-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let lines = Build::new().probe(&["network", &port, &name]).run().ok();
    assert_eq!(
        lines,
        [
            "host-loopback ECONNREFUSED",
            "outside ENETUNREACH",
            "abstract ECONNREFUSED",
            "own-bind ok",
            "own-listen ok",
            "own-connect ok"
        ]
    );
}

#[test]
fn pid_one_is_out_of_reach() {
    let lines = Build::new().probe(&["kill"]).probe(&["say", "still here"]).run().ok();
    // Kill is "allowed" where landlock has no scopes yet; the kernel then drops it, as pid 1 handles no signal.
    assert!(lines[2..].iter().take(5).all(|l| l.ends_with(" EACCES") || l.ends_with(" EPERM")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "still here");
    for file in ["cmdline", "status", "limits", "mountinfo"] {
        assert_eq!(Build::new().probe(&["cat", &format!("/proc/1/{file}")]).run().line(), "EPERM", "{file}");
    }
}

#[test]
fn proc_shows_nothing_of_the_host() {
    for file in [
        "cmdline",
        "kallsyms",
        "kcore",
        "modules",
        "config.gz",
        "timer_list",
        "sched_debug",
        "iomem",
        "keys",
        "diskstats",
        "version_signature",
    ] {
        let lines = Build::new().probe(&["cat", &format!("/proc/{file}")]).run().ok();
        assert!(lines.is_empty() || lines == [""] || lines == ["ENOENT"], "{file}: {lines:?}");
    }
    let boot = Build::new().probe(&["cat", "/proc/sys/kernel/random/boot_id"]).run().line();
    assert_eq!(boot, "00000000-0000-4000-8000-000000000000");
    assert_eq!(Build::new().probe(&["cat", "/proc/loadavg"]).run().line(), "0.00 0.00 0.00 1/1 1");
    for table in ["mounts", "mountinfo", "mountstats"] {
        let lines = Build::new().probe(&["cat", &format!("/proc/self/{table}")]).run().ok();
        assert_eq!(lines, Vec::<String>::new(), "{table}");
    }
    assert_eq!(Build::new().probe(&["list", "/sys"]).run().line(), "ENOENT");
}

#[test]
fn orphans_are_killed_and_counted() {
    let ran = Build::new().probe(&["orphans", "5"]).probe(&["list", "/proc"]).run();
    assert_eq!(ran.exit.steps[0].orphans, 10);
    let others = ran.lines.iter().filter(|l| l.bytes().all(|b| b.is_ascii_digit())).count();
    assert_eq!(others, 1, "the second step; pid 1 is not shown");
}

// ---- limits -------------------------------------------------------------------------------------------------------

#[test]
fn a_hang_is_stopped_by_time_and_by_silence() {
    let begun = Instant::now();
    let ran = Build::new().limits(|l| l.time = Duration::from_millis(300)).probe(&["hang"]).run();
    assert_eq!(ran.exit.stopped, Some(Stopped::Time(Duration::from_millis(300))));
    assert_eq!(ran.lines, ["hanging"]);
    assert_eq!(ran.exit.steps[0].status, Status::Signal(9));
    let ran = Build::new().limits(|l| l.silence = Duration::from_millis(300)).probe(&["hang"]).run();
    assert_eq!(ran.exit.stopped, Some(Stopped::Silence(Duration::from_millis(300))));
    let ran = Build::new().probe(&["hang"]).jail(|jail| jail.steps[0].timeout = Some(Duration::from_millis(200))).run();
    assert_eq!(ran.exit.stopped, Some(Stopped::Time(Duration::from_millis(200))));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_wish_to_stop_is_obeyed() {
    let cancel = Cancel::new();
    let other = cancel.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        other.cancel();
    });
    let ran = Build::new().probe(&["hang"]).run_result(&cancel).unwrap();
    assert_eq!(ran.exit.stopped, Some(Stopped::Cancelled));
    thread.join().unwrap();
}

#[test]
fn a_flood_of_output_is_stopped() {
    let ran = Build::new().limits(|l| l.output = 1 << 20).probe(&["flood"]).run();
    assert_eq!(ran.exit.stopped, Some(Stopped::Output(1 << 20)));
    let bytes: usize = ran.lines.iter().map(|l| l.len() + 1).sum();
    assert!(bytes <= (1 << 20) + 1, "{bytes}");
}

#[test]
fn a_fork_bomb_hits_its_limit() {
    let ran = Build::new().limits(|l| l.processes = 100).probe(&["fork-bomb"]).run();
    match &ran.exit.stopped {
        None => {
            let line = &ran.lines[0];
            let made: u64 = line.split(' ').nth(2).unwrap().trim_end_matches(':').parse().unwrap();
            // As root the kernel counts by process ids, of which the first 300 come for free.
            assert!(line.ends_with("EAGAIN") && (50..=410).contains(&made), "{line}");
        }
        stopped => assert_eq!(stopped, &Some(Stopped::Processes(100))),
    }
    let marker = "fork-bomb-of-sandbox-test";
    let ran = Build::new()
        .limits(|l| (l.processes, l.time) = (200, Duration::from_secs(2)))
        .probe(&["fork-bomb", "", marker])
        .run();
    assert!(ran.exit.stopped.is_some());
    assert_eq!(processes_with(marker), Vec::<String>::new());
}

#[test]
fn disk_memory_and_files_are_bounded() {
    let lines = Build::new().limits(|l| l.file_size = 5 << 20).probe(&["fill", "/out/f"]).run().ok();
    assert_eq!(lines, ["filled 5242880: EFBIG"]);
    let lines = Build::new().probe(&["fill", "/tmp/f"]).run().ok();
    assert_eq!(lines, ["filled 16777216: ENOSPC"]);
    let lines = Build::new().limits(|l| l.memory = Some(1 << 30)).probe(&["allocate", "2000000000"]).run().ok();
    assert_eq!(lines, ["allocate ok"], "only what is used counts");
    let ran = Build::new().limits(|l| l.disk = 20 << 20).probe(&["fill", "/out/f", "60000000", "stay"]).run();
    assert_eq!(ran.exit.stopped, Some(Stopped::Disk(20 << 20)));
    let ran = Build::new().limits(|l| l.disk_reserve = 1 << 60).probe(&["hang"]).run();
    assert_eq!(ran.exit.stopped, Some(Stopped::DiskReserve(1 << 60)));
}

/// Not a test: what another test runs in a process of its own, to kill it.
#[test]
#[ignore = "run by a_killed_parton_leaves_nothing"]
fn helper_that_hangs() {
    let build = Build::new().probe(&["hang", "in-a-killed-parton"]);
    run(
        &launcher(),
        &build.jail,
        &mut |report| {
            if matches!(report, Report::Line(b"hanging")) {
                use std::io::Write as _;
                std::io::stderr().write_all(b"hanging\n").unwrap();
            }
        },
        &Cancel::new(),
    )
    .unwrap();
}

#[test]
fn a_killed_parton_leaves_nothing() {
    use std::io::BufRead as _;
    // Both the processes are gone, and with them their mount namespace: it lives as long as they do.
    let exe = fs::read_link("/proc/self/exe").unwrap();
    let mut child = Command::new(exe)
        .args(["--exact", "sandbox::helper_that_hangs", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(stderr.any(|line| line.unwrap() == "hanging"));
    let inside = processes_with("in-a-killed-parton");
    assert_eq!(inside.len(), 1, "{inside:?}");
    let pid = inside[0].split(' ').next().unwrap();
    let namespace = fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(wait_until(|| processes_with("in-a-killed-parton").is_empty()));
    let shares = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter(|p| fs::read_link(p.path().join("ns/mnt")).is_ok_and(|ns| ns == namespace)).count()
    };
    assert!(wait_until(|| shares() == 0));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("parton "), "{mounts}");
}

/// Not a test: what another test runs in a terminal.
#[test]
#[ignore = "run by a_terminal_is_handed_through_and_given_back"]
fn helper_in_a_terminal() {
    let build = Build::new().probe(&["terminal"]).probe(&["say", "done"]).jail(|jail| jail.stdio = Stdio::Terminal);
    let before = rustix::termios::tcgetpgrp(std::io::stderr()).unwrap();
    // A captured run knows nothing of the terminal: parent, group, session and terminal are the same everywhere.
    assert_eq!(identity(), "1 2 0 0");
    build.run().ok();
    assert_eq!(rustix::termios::tcgetpgrp(std::io::stderr()).unwrap(), before);
}

/// Parent, group, session and terminal of a step's process.
fn identity() -> String {
    let stat = Build::new().probe(&["cat", "/proc/self/stat"]).run().line();
    stat.split(' ').skip(3).take(4).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_step_leads_its_group_and_has_no_terminal() {
    assert_eq!(identity(), "1 2 0 0");
}

#[test]
fn a_terminal_is_handed_through_and_given_back() {
    use std::io::Write as _;
    let exe = fs::read_link("/proc/self/exe").unwrap();
    let inner = format!("{} --exact sandbox::helper_in_a_terminal --ignored --nocapture", exe.display());
    let mut child = Command::new("script")
        .args(["-qec", &inner, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.contains("tty ok\n1 1 1 1\ntiocsti EPERM\nread 1\ndone\n"), "{text}");
    assert!(output.status.success(), "{text}");
}

/// Not a test: prints what `probe` says.
#[test]
#[ignore = "run by a_host_without_user_namespaces_is_told_the_way_out"]
fn helper_that_probes() {
    use std::io::Write as _;
    let error = probe(&launcher()).unwrap_err();
    std::io::stderr().write_all(format!("{error}\n{}\n", error.help().unwrap_or_default()).as_bytes()).unwrap();
}

#[test]
fn a_host_without_user_namespaces_is_told_the_way_out() {
    let exe = fs::read_link("/proc/self/exe").unwrap();
    let says = |setup: &str| {
        let script =
            format!("{setup}; exec {} --exact sandbox::helper_that_probes --ignored --nocapture", exe.display());
        let output = Command::new("unshare").args(["-Urm", "sh", "-c", &script]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = says("echo 0 > /proc/sys/user/max_user_namespaces");
    assert!(text.contains("wall 'users' can not be built: unshare user namespace: No space left on device"), "{text}");
    assert!(text.contains("sysctl user.max_user_namespaces="), "{text}");
    let text = says("echo 0 > /proc/sys/user/max_net_namespaces");
    assert!(text.contains("wall 'network' can not be built: unshare net namespace: No space left on device"), "{text}");
    let text = says("mount -t tmpfs x /proc/sys");
    assert!(text.contains("wall 'processes' can not be built: mount /proc: Operation not permitted"), "{text}");
    assert!(text.contains("inside a container"), "{text}");
}

#[test]
fn a_killed_pid_one_is_reported() {
    let thread = std::thread::spawn(|| Build::new().probe(&["hang", "under-a-killed-init"]).run_result(&Cancel::new()));
    assert!(wait_until(|| processes_with("under-a-killed-init").len() == 1));
    let child = processes_with("under-a-killed-init")[0].split(' ').next().unwrap().to_owned();
    let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    let parent = status.lines().find_map(|l| l.strip_prefix("PPid:\t")).unwrap();
    assert!(Command::new("kill").args(["-9", parent]).status().unwrap().success());
    let error = thread.join().unwrap().err().expect("an error").to_string();
    assert!(error.starts_with("the first process of the sandbox was lost"), "{error}");
    assert!(wait_until(|| processes_with("under-a-killed-init").is_empty()));
}

#[test]
fn an_ordinary_user_gets_the_same() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        return; // all other tests just showed it
    }
    let dir = tempfile::Builder::new().prefix("parton-it-").tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: &Path, name: &str| {
        let to = dir.path().join(name);
        fs::copy(from, &to).unwrap();
        to
    };
    let tests = copy(&fs::read_link("/proc/self/exe").unwrap(), "tests");
    let output = Command::new(tests)
        .args(["sandbox::", "resources::jail", "--skip", "an_ordinary_user", "--test-threads=2"])
        .env("PARTON_IT_PROGRAM", copy(&program(), "parton"))
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 0 failed") && !text.contains(" 0 passed"), "{text}");
}

// ---- the world ----------------------------------------------------------------------------------------------------

const YEARS: i64 = 3 * 366 * 86400;

#[track_caller]
fn assert_shifted(line: &str, offset: i64) {
    let now = now();
    for number in line.split(' ') {
        let seen: i64 = number.parse().unwrap();
        assert!((seen - now - offset).abs() < 60, "{line} at {now}");
    }
}

#[test]
fn the_clock_is_another_for_static_programs() {
    for offset in [YEARS, -YEARS] {
        let world = World { clock_offset: offset, ..World::default() };
        assert_shifted(&probe_line(&["clock"], world.clone()), offset);
        assert_shifted(&probe_line(&["exec", "/bin/probe", "clock"], world.clone()), offset);
        assert_shifted(&probe_line(&["exec-missing", "/bin/probe", "clock"], world.clone()), offset);
        assert_shifted(&probe_line(&["exec-thread", "/bin/probe", "clock"], world.clone()), offset);
        assert_shifted(&probe_line(&["spawn", "1", "/bin/probe", "clock"], world), offset);
    }
    assert_shifted(&probe_line(&["clock"], World::default()), 0);
}

/// A thread that executes a program takes over its process's id. Pid 1 went on counting the thread's own id among those it
/// traces, and when the id was given to another process believed that it was watching that one, too: what it executed saw
/// the vDSO, and in it the true clock.
#[test]
fn the_clock_is_another_where_a_process_id_is_used_again() {
    // Few ids, so that they come round soon (to 300); only root's jails have a highest id of their own, and only since Linux 6.14.
    let world = World { clock_offset: YEARS, pid_base: Some(320), ..World::default() };
    let line = Build::new()
        .world(world)
        .limits(|l| l.processes = 32)
        .probe(&["reuse", "70000", "/bin/probe", "vdso"])
        .run()
        .line();
    let uname = rustix::system::uname();
    let mut release = uname.release().to_str().unwrap().split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let own = (release.next().unwrap(), release.next().unwrap()) >= (6, 14) && rustix::process::geteuid().is_root();
    assert!(line == "no vdso" || line == "not used again" && !own, "{line}");
}

#[test]
fn the_clock_is_another_for_dynamic_programs() {
    let mut layers = vec![];
    let build = Build::new();
    let root = build.scratch.path().join("host");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    // What the loader needs, found where the program says it is.
    fs::copy(tools().join("probe-dynamic"), root.join("usr/bin/probe")).unwrap();
    let needs = Command::new("ldd").arg(tools().join("probe-dynamic")).output().unwrap();
    for word in String::from_utf8(needs.stdout).unwrap().split_whitespace().filter(|w| w.starts_with('/')) {
        let to = root.join(word.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(word, to).unwrap();
    }
    layers.push(root);
    let world = World { clock_offset: YEARS, ..World::default() };
    let line = build.world(world).jail(|jail| jail.root = layers).step(&["/usr/bin/probe", "clock"]).run().line();
    assert_shifted(&line, YEARS);
}

#[test]
fn waiting_for_a_clock_time_takes_as_long_as_ever() {
    let world = World { clock_offset: YEARS, ..World::default() };
    let seconds = |line: &str| line.split(' ').nth(1).unwrap().parse::<f64>().unwrap();
    let line = probe_line(&["wait-cond"], world.clone());
    assert!(line.starts_with("ETIMEDOUT ") && (0.19..0.5).contains(&seconds(&line)), "{line}");
    let line = probe_line(&["wait-signal"], world.clone());
    assert!(line.starts_with("0 ") && (0.04..0.5).contains(&seconds(&line)), "{line}");
    let lines = Build::new().world(world).probe(&["wait-until"]).run().ok();
    assert!(lines[0].starts_with("0 ") && (0.19..0.5).contains(&seconds(&lines[0])), "{lines:?}");
    assert_eq!(lines[1], "EINTR 1");
}

#[test]
fn processors_and_memory_are_as_told() {
    assert_eq!(probe_line(&["cpus"], World { cpus: Some(3), ..World::default() }), "3 3 3 3");
    assert_eq!(probe_line(&["cpus"], World { cpus: Some(130), ..World::default() }), "130 130 130 130");
    let memory = World { memory: Some(3 << 30), ..World::default() };
    assert_eq!(probe_line(&["memory"], memory), format!("{0} {0}", 3_u64 << 30));
}

#[test]
fn process_ids_begin_where_told() {
    let line = probe_line(&["pids"], World { pid_base: Some(20_000), ..World::default() });
    assert_eq!(line, "20001 1 1000");
    assert_eq!(probe_line(&["pids"], World::default()), "2 1 1000");
}

#[test]
fn addresses_are_fixed_or_not() {
    let fixed: Vec<String> = (0..3).map(|_| probe_line(&["address"], World::default())).collect();
    assert!(fixed.iter().all(|line| *line == fixed[0]), "{fixed:?}");
    let world = World { random_addresses: true, ..World::default() };
    let random: Vec<String> = (0..3).map(|_| probe_line(&["address"], world.clone())).collect();
    assert!(random.iter().any(|line| *line != random[0]), "{random:?}");
}

#[test]
fn uptime_is_shifted() {
    let plain = probe_line(&["uptime"], World::default());
    let shifted = probe_line(&["uptime"], World { uptime_offset: 40_000_000, ..World::default() });
    let numbers = |line: &str| line.split(' ').map(|n| n.parse::<i64>().unwrap()).collect::<Vec<_>>();
    for (a, b) in numbers(&plain).into_iter().zip(numbers(&shifted)) {
        assert!((b - a - 40_000_000).abs() < 60, "{plain} / {shifted}");
    }
}

#[test]
fn directories_are_in_another_order_and_whole() {
    let list = |seed: Option<u64>| {
        let build = Build::new().world(World { dir_order: seed, ..World::default() });
        let dir = build.scratch.path().join("build/d");
        fs::create_dir(&dir).unwrap();
        // More than one batch of the C library.
        (0..3000).for_each(|i| drop(fs::File::create(dir.join(format!("file-with-a-longer-name-{i}"))).unwrap()));
        build.probe(&["list", "/build/d"]).run().ok()
    };
    let (plain, one, two) = (list(None), list(Some(1)), list(Some(2)));
    assert!(plain != one && one != two);
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(one), sorted(plain.clone()));
    assert_eq!(sorted(two), sorted(plain));
}

#[test]
fn all_knobs_turn_together() {
    let world = World {
        cpus: Some(5),
        clock_offset: YEARS,
        uptime_offset: 1_000_000,
        dir_order: Some(7),
        pid_base: Some(5000),
        random_addresses: true,
        kernel_release: Some("4.4.0".into()),
        memory: Some(1 << 31),
        ..World::default()
    };
    let lines = Build::new()
        .world(world)
        .probe(&["cpus"])
        .probe(&["pids"])
        .probe(&["uname"])
        .probe(&["spawn", "50", "/bin/probe", "exit", "0"])
        .probe(&["clock"])
        .run()
        .ok();
    assert_eq!(lines[..3], ["5 5 5 5", "5002 1 1000", "4.4.0 builder parton"]);
    assert_shifted(&lines[3], YEARS);
}

// ---- layers and mistakes ------------------------------------------------------------------------------------------

#[test]
fn three_hundred_layers_are_merged_in_order() {
    let build = Build::new();
    let mut layers: Vec<PathBuf> = (0..300)
        .map(|i| {
            let layer = build.scratch.path().join(format!("layers, with:odd\\names/{i}"));
            fs::create_dir_all(layer.join("d")).unwrap();
            fs::write(layer.join("d/same"), format!("{i}\n")).unwrap();
            fs::write(layer.join(format!("d/own-{i}")), "").unwrap();
            layer
        })
        .collect();
    layers.push(tools().join("layer"));
    let lines = build.jail(|jail| jail.root = layers).probe(&["cat", "/d/same"]).probe(&["list", "/d"]).run().ok();
    assert_eq!(lines[0], "0", "the first layer is the topmost");
    assert_eq!(lines.len(), 1 + 2 + 1 + 300);
}

#[test]
fn overlays_show_none_one_and_several() {
    let build = Build::new();
    let layer = |name: &str| {
        let layer = build.scratch.path().join(name);
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join(name), "").unwrap();
        layer
    };
    let (a, b) = (layer("a"), layer("b"));
    let at = |at: &str, layers: Vec<PathBuf>| Overlay { at: at.into(), layers };
    let overlays = vec![at("/x/none", vec![]), at("/x/one", vec![a.clone()]), at("/x/two", vec![a, b])];
    let mut lines = build
        .jail(|jail| jail.overlays = overlays)
        .probe(&["list", "/x/none"])
        .probe(&["list", "/x/one"])
        .probe(&["list", "/x/two"])
        .run()
        .ok();
    lines.retain(|l| !l.starts_with('.'));
    lines[1..].sort();
    assert_eq!(lines, ["a", "a", "b"]);
}

#[test]
fn mistakes_are_named() {
    let error = |build: Build| {
        let mut build = build;
        build.run_result(&Cancel::new()).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(
        error(Build::new().step(&["/bin/missing", "x"])),
        "step 'x' can not be started: execute /bin/missing: No such file or directory (os error 2)"
    );
    assert_eq!(
        error(Build::new().probe(&["x"]).jail(|jail| jail.steps[0].cwd = "/nowhere".into())),
        "step 'x' can not be started: enter /nowhere: No such file or directory (os error 2)"
    );
    assert_eq!(
        error(Build::new().probe(&["x"]).jail(|jail| jail.root.push("/no/layer".into()))),
        "the sandbox's wall 'files' can not be built: open the layer /no/layer: No such file or directory (os error 2)"
    );
    let linked = Build::new();
    let layer = linked.scratch.path().join("l");
    fs::create_dir(&layer).unwrap();
    std::os::unix::fs::symlink("bin", layer.join("sbin")).unwrap();
    assert_eq!(
        error(linked.jail(|jail| {
            jail.root.insert(0, layer);
            jail.files.insert("/sbin/x".into(), vec![]);
        })),
        "the sandbox's wall 'files' can not be built: lay over /sbin: /sbin is not a directory in the layers (a link?): Not a directory (os error 20)"
    );
    assert_eq!(
        error(Build::new().jail(|jail| jail.binds[0].at = "/a/../b".into())),
        "the description of the sandbox is wrong: '/a/../b' is not a clean absolute path"
    );
    assert_eq!(
        error(Build::new().jail(|jail| jail.root.clear())),
        "the description of the sandbox is wrong: the root has no layer"
    );
    let no_program = run(&Launcher::with_program("/no/parton"), &Build::new().jail, &mut |_| {}, &Cancel::new());
    assert_eq!(
        no_program.unwrap_err().to_string(),
        "start /no/parton as the first process of the sandbox: No such file or directory (os error 2)"
    );
}

// ---- figures ------------------------------------------------------------------------------------------------------

/// Not a test: `cargo test --release --test it figures_of_the_sandbox -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn figures_of_the_sandbox() {
    use std::io::Write as _;
    let build = Build::new();
    let mut layers: Vec<PathBuf> = (0..20)
        .map(|i| {
            let layer = build.scratch.path().join(format!("layers/{i}"));
            fs::create_dir_all(layer.join(format!("usr/lib/{i}"))).unwrap();
            layer
        })
        .collect();
    layers.push(tools().join("layer"));
    let build = build.jail(|jail| jail.root = layers);
    let say = |text: String| std::io::stderr().write_all(text.as_bytes()).unwrap();
    let build = build.probe(&["exit", "0"]);
    let jail = build.jail.clone();
    // bwrap can not make mount points in a read-only root.
    let peer = build.scratch.path().join("peer");
    for name in ["proc", "dev", "tmp", "bin"] {
        fs::create_dir_all(peer.join(name)).unwrap();
    }
    (0..20).for_each(|i| fs::create_dir_all(peer.join(format!("usr/lib/{i}"))).unwrap());
    fs::copy(tools().join("layer/bin/probe"), peer.join("bin/probe")).unwrap();
    let (launcher, cancel) = (launcher(), Cancel::new());
    let probe = tools().join("layer/bin/probe");
    let mut bwrap = Command::new("bwrap");
    bwrap.args(["--unshare-all", "--ro-bind"]).arg(&peer);
    bwrap.arg("/");
    // It merges nothing (before 0.11), so each layer is shown at a place of its own.
    for (index, layer) in jail.root.iter().take(20).enumerate() {
        bwrap.arg("--ro-bind").arg(layer).arg(format!("/usr/lib/{index}"));
    }
    bwrap.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/bin/probe", "exit", "0"]);
    let mut times = [const { Vec::new() }; 4];
    // In turn, so that whatever else the machine does falls on all alike.
    for _ in 0..201 {
        let begun = Instant::now();
        times[0].push(run(&launcher, &jail, &mut |_| {}, &cancel).unwrap().setup);
        times[1].push(begun.elapsed());
        let begun = Instant::now();
        let there = bwrap.status().is_ok_and(|status| status.success());
        times[2].push(if there { begun.elapsed() } else { Duration::ZERO });
        let begun = Instant::now();
        Command::new(&probe).args(["exit", "0"]).status().unwrap();
        times[3].push(begun.elapsed());
    }
    let [setup, whole, bwrap, bare] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    say(format!(
        "to the first step {setup:?}, whole run {whole:?}; bwrap with as many binds {bwrap:?}; bare {bare:?}\n"
    ));
}

/// Not a test: what the varied world costs a build, as the ratio to the plain one. Needs the host's make and compiler.
#[test]
#[ignore = "prints figures"]
fn figures_of_the_world() {
    use std::io::Write as _;
    let world = World {
        cpus: Some(2),
        clock_offset: YEARS,
        uptime_offset: 1_000_000,
        dir_order: Some(7),
        pid_base: Some(5000),
        random_addresses: true,
        kernel_release: Some("4.4.0".into()),
        memory: Some(1 << 33),
        ..World::default()
    };
    let source = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/probe.c")).unwrap();
    let make = "all: $(patsubst %,%.o,$(shell seq 1 24))\n\t@true\n%.o:\n\t@gcc -w -O2 -c -o $@ probe.c\n";
    let shell = "i=0; while [ $i -lt 1500 ]; do i=$((i+1)); /bin/true; done";
    let find = "for i in 1 2 3; do find /usr/include /usr/lib -name no-such-file; done";
    for (name, argv) in [
        ("1500 execs from a shell", ["/bin/sh", "-c", shell]),
        ("24 compilations by make -j2", ["/usr/bin/make", "-j2", "-s"]),
        ("find over three times /usr/include and /usr/lib", ["/bin/sh", "-c", find]),
    ] {
        let mut best = (f64::MAX, f64::MAX);
        for _ in 0..5 {
            let once = |world: World| {
                let build = Build::new();
                let root = build.scratch.path().join("host");
                fs::create_dir(&root).unwrap();
                for link in ["bin", "lib", "lib64"] {
                    std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
                }
                fs::write(build.scratch.path().join("build/probe.c"), &source).unwrap();
                fs::write(build.scratch.path().join("build/Makefile"), make).unwrap();
                let mut build = build.world(world).step(&argv).jail(|jail| {
                    jail.root = vec![root];
                    jail.binds.push(Bind { at: "/usr".into(), from: "/usr".into(), write: false });
                });
                build.jail.steps[0].env.insert("PATH".into(), "/usr/bin".into());
                let ran = build.run();
                assert!(ran.exit.success(1), "{:?} {:?}", ran.exit, ran.lines);
                ran.exit.steps[0].wall.as_secs_f64()
            };
            let random = World { random_addresses: true, ..World::default() };
            best.0 = best.0.min(once(random));
            best.1 = best.1.min(once(world.clone()));
        }
        // The best of each: whatever else the machine does only adds.
        let (plain, ratio) = (best.0, best.1 / best.0);
        std::io::stderr()
            .write_all(format!("{name}: plain {plain:.2} s, varied {ratio:.3} of it\n").as_bytes())
            .unwrap();
    }
}
