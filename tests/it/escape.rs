//! The escape suite: programs that try to read, write, signal, connect, keep running or learn something from outside,
//! compiled and run by `parton build` itself, in both rounds. The programs are in `escape/`; this file plants what they
//! are after, runs them, and judges from outside as well.
//!
//! No attempt may be vacuous: [`outside_of_a_jail_they_succeed`] runs the same programs without a jail, where they must
//! escape; [`ATTEMPTS`] says for each whether that can be asked of it.

use crate::common::{Env, parton, shared_store};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// What running an attempt without a jail shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    /// Every user escapes.
    All,
    /// Root escapes, where it has all of its rights.
    Root,
    /// Whether one escapes is up to the host, because of this.
    Host(&'static str),
    /// It is not tried, because of this.
    Not(&'static str),
}
use Control::{All, Host, Not, Root};

/// The written list. Each line must come out of every round, each time as held.
#[rustfmt::skip]
const ATTEMPTS: &[(&str, Control)] = &[
    // files.c
    ("read_home", All),
    ("read_workspace", All),
    ("read_store", All),
    ("read_tmp", All),
    ("above_the_root_read", All),
    ("above_the_root_look", All),
    ("above_the_root_change", All),
    ("dotdot_out_of_a_bind", All),
    ("rename_out_of_a_bind", All),
    ("root_of_another", All),
    ("open_by_handle", Root),
    ("device_nodes", Root),
    ("terminals", Host("a container may have none")),
    ("sysfs", All),
    ("settings_written", All),
    ("proc_of_the_machine", All),
    ("mount_table", All),
    ("mount_calls_that_tell", Host("Linux 6.8 and later")),
    ("input_written", All),
    ("input_by_descriptor", All),
    ("input_mode", All),
    ("input_time", All),
    ("input_renamed", All),
    ("input_linked_to_output", All),
    ("input_linked_by_descriptor", Host("protected_hardlinks and the file system decide")),
    ("unnamed_file_among_inputs", All),
    ("created_outside", Root),
    ("lock_on_an_input", All),
    ("device_mode", Root),
    ("device_time", All),
    ("descriptors_mode", Root),
    ("descriptors_time", All),
    ("descriptors_left_open", All),
    ("device_made", Root),
    ("set_id_bits", All),
    ("attributes", Host("the file system may have none")),
    ("mount_something", Root),
    ("mount_by_descriptors", Root),
    ("cover_removed", Root),
    ("root_made_writable", Root),
    ("chroot_and_pivot", Root),
    // network.c
    ("tcp4", All),
    ("tcp6", Host("a machine without IPv6")),
    ("udp4", All),
    ("tcp_fast_open", All),
    ("the_machines_address", Host("a machine without a network")),
    ("far_away", Host("a machine without a route")),
    ("broadcast", Not("it would reach other machines")),
    ("devices", Host("a machine without a network")),
    ("abstract_stream", All),
    ("abstract_datagram", All),
    ("path_socket", All),
    ("path_socket_above_the_root", All),
    ("abstract_of_another_build", All),
    ("abstract_list", All),
    ("netlink_families", All),
    ("netlink_uevents", All),
    ("raw_packets", Root),
    ("families", Host("the kernel may have no other family")),
    ("families_in_pairs", All),
    ("protocols", Host("the kernel may have no other protocol")),
    ("sysv_memory", All),
    ("sysv_queue", All),
    ("posix_queue", Host("the limit of queues may be used up")),
    ("posix_memory", All),
    ("left_in_shared_places", All),
    ("namespace_of_another", Root),
    ("namespace_above", Host("a process of the first namespace has none above")),
    // processes.c
    ("seen", All),
    ("signalled", All),
    ("signalled_by_descriptor", All),
    ("everybody_signalled", Not("it would reach every process of the user")),
    ("group_and_session", Host("whoever leads the session has no other")),
    ("one_killed", Not("the victim is to live")),
    ("one_traced", Root),
    ("one_memory", Root),
    ("one_looked_into", All),
    ("one_program", All),
    ("one_descriptor", Root),
    ("one_limits", All),
    ("one_priority", All),
    ("one_processors", All),
    ("everybody_priority", Not("it would slow the user's session down")),
    ("capabilities", All),
    ("user_changed", Root),
    ("new_privileges", Host("a container may have given them up")),
    ("namespaces", Host("user namespaces may be root's alone")),
    ("namespaces_by_clone", Host("user namespaces may be root's alone")),
    ("group_made_elsewhere", Host("the control groups may be root's alone")),
    // kernel.c
    ("user_faults", Host("the kernel's setting vm.unprivileged_userfaultfd")),
    ("io_uring", Host("the kernel's setting io_uring_disabled")),
    ("bpf", Host("the kernel's setting unprivileged_bpf_disabled")),
    ("perf_events", Host("the kernel's setting perf_event_paranoid")),
    ("keyrings_read", Host("a container may have no keyrings")),
    ("keyrings_written", Host("a container may have no keyrings")),
    ("keyring_joined", Host("a container may have no keyrings")),
    ("watches_on_everything", Root),
    ("kernel_log", Root),
    ("modules", Host("a kernel without modules refuses them as if they were forbidden")),
    ("administration", All),
    ("names_set", Root),
    ("clock_set", Not("it would set the machine's clock")),
    ("clock_adjusted", All),
    ("typing", Not("it would type into the terminal")),
    ("terminal_taken", Host("no terminal")),
    ("other_numbers", Host("the kernel may have no 32-bit calls")),
    ("x32_numbers", Host("the kernel may have no x32 calls")),
    ("personality_set", Host("a container may refuse it")),
    ("crash_handler", All),
    ("filter_overruled", Root),
    ("answers_raced", Not("outside the kernel itself answers")),
    ("deputy_lists", All),
    // facts.c
    ("host_name", All),
    ("machine_id", Host("a container may have none")),
    ("boot_id", All),
    ("command_line", All),
    ("environment", All),
    ("user_name", All),
    ("places", Not("outside nothing is bound")),
    ("ids_outside", Not("outside a process has one id")),
    ("control_group", Host("a machine may have only one")),
    ("activity", All),
    ("habits", All),
    ("modes", All),
    ("clock_calls", All),
    ("clock_of_the_library", All),
    ("clock_of_the_fixed_page", Host("the kernel may have no such page")),
    ("clock_after_odd_starts", All),
    ("processors", All),
    ("processor_model", All),
    ("memory", All),
    ("kernel_release", All),
    // run.sh
    ("output_replaced", Not("outside it is a directory like any other")),
    // outlive.c
    ("outlive_forked", All),
    ("outlive_double_fork", All),
    ("outlive_new_session", All),
    ("outlive_deaf", All),
    ("outlive_stopped", All),
    ("outlive_subreaper", All),
    ("outlive_in_vfork", All),
    ("outlive_leader_gone", All),
    ("outlive_without_signal", All),
    ("outlive_traced", Host("tracing may be forbidden")),
    ("outlive_generations", Not("nobody would stop it, and it would take every process id there is")),
    ("outlive_waiting_for_an_answer", All),
    ("outlive_holding_the_pipe", All),
];

const SOURCES: &[(&str, &str)] = &[
    ("attempt.h", include_str!("escape/attempt.h")),
    ("files.c", include_str!("escape/files.c")),
    ("network.c", include_str!("escape/network.c")),
    ("processes.c", include_str!("escape/processes.c")),
    ("kernel.c", include_str!("escape/kernel.c")),
    ("facts.c", include_str!("escape/facts.c")),
    ("outlive.c", include_str!("escape/outlive.c")),
    ("outside.c", include_str!("escape/outside.c")),
    ("run.sh", include_str!("escape/run.sh")),
];

/// Where the results go if the environment names a file: one line for each attempt.
fn record(title: &str, lines: &[String]) {
    let Some(path) = std::env::var_os("PARTON_IT_ESCAPES") else { return };
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let whole = lines.iter().fold(format!("{title}\n"), |text, line| text + "  " + line + "\n");
    file.write_all(whole.as_bytes()).unwrap();
}

fn who() -> &'static str {
    if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" }
}

// ---- the outside --------------------------------------------------------------------------------------------------

/// The program that plants baits and watches them.
struct Outside {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    baits: BTreeMap<String, String>,
}

impl Outside {
    fn start(program: &Path, arguments: &[&str], secret: &str, more: &BTreeMap<String, String>) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .env("SECRET", secret)
            .envs(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut this = Self { child, input, output: BufReader::new(output), baits: BTreeMap::new() };
        loop {
            let line = this.line();
            if line == "ready" {
                return this;
            }
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("the outside says {line:?}"));
            this.baits.insert(name.to_owned(), value.to_owned());
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the outside is gone");
        line.trim_end().to_owned()
    }

    /// Takes the baits away; what somebody touched.
    fn end(mut self) -> Vec<String> {
        drop(self.input);
        let lines: Vec<String> = self.output.lines().map(|line| line.unwrap()).collect();
        assert!(self.child.wait().unwrap().success());
        assert_eq!(lines.last().map(String::as_str), Some("end"), "{lines:?}");
        lines[..lines.len() - 1].to_vec()
    }
}

/// A directory with the sources and the programs built by the host's compiler.
fn built_outside(dir: &Path, programs: &[&str]) {
    for (name, text) in SOURCES {
        fs::write(dir.join(name), text).unwrap();
    }
    for program in programs {
        let (to, from) = (dir.join(program), dir.join(format!("{program}.c")));
        let status = Command::new("cc").args(["-w", "-O1", "-pthread", "-o"]).args([to, from]).status().unwrap();
        assert!(status.success(), "{program}");
    }
}

/// What the machine is like, for the attempts to compare with.
fn facts() -> BTreeMap<String, String> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |path: &str, name: &str| {
        let found =
            text(path).lines().find_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim().to_owned()));
        found.unwrap_or_default()
    };
    let uname = rustix::system::uname();
    let known = ["root", "builder", "nobody", "localhost", "parton", ""];
    let unknown_inside = |name: String| if known.contains(&name.as_str()) { String::new() } else { name };
    let users = text("/etc/passwd");
    let user = users.lines().rev().filter_map(|line| line.split(':').next()).map(str::to_owned);
    let now = Command::new("date").arg("+%s").output().unwrap().stdout;
    let cpus = rustix::thread::sched_getaffinity(None).unwrap().count();
    BTreeMap::from(
        [
            ("FACT_HOST", unknown_inside(uname.nodename().to_string_lossy().into_owned())),
            ("FACT_MACHINE_ID", text("/etc/machine-id").trim().to_owned()),
            ("FACT_BOOT_ID", text("/proc/sys/kernel/random/boot_id").trim().to_owned()),
            ("FACT_CMDLINE", text("/proc/cmdline").trim().to_owned()),
            ("FACT_USER", user.map(unknown_inside).find(|name| !name.is_empty()).unwrap_or_default()),
            ("FACT_NOW", String::from_utf8(now).unwrap().trim().to_owned()),
            ("FACT_CPUS", cpus.to_string()),
            ("FACT_MODEL", field("/proc/cpuinfo", "model name")),
            ("FACT_MEMORY", field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").to_owned()),
            ("FACT_RELEASE", uname.release().to_string_lossy().into_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// Files with a secret, and how they must look afterwards.
struct Files {
    all: BTreeMap<String, PathBuf>,
    look: Vec<(PathBuf, String)>,
}

impl Files {
    fn plant(secret: &str, places: &[(&str, PathBuf)]) -> Self {
        let all: BTreeMap<String, PathBuf> =
            places.iter().map(|(name, path)| ((*name).to_owned(), path.clone())).collect();
        for path in all.values() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{secret}\n")).unwrap();
        }
        let look = all.values().map(|path| (path.clone(), Self::look(path))).collect();
        Self { all, look }
    }

    fn look(path: &Path) -> String {
        let meta = fs::symlink_metadata(path).unwrap();
        let text = fs::read_to_string(path).unwrap();
        format!("{text} {:o} {} {} {}.{}", meta.mode(), meta.nlink(), meta.uid(), meta.mtime(), meta.mtime_nsec())
    }

    fn assert_untouched(&self) {
        for (path, before) in &self.look {
            assert_eq!(&Self::look(path), before, "{}", path.display());
        }
    }
}

/// The lines `attempt NAME: …` of a text, by name.
fn said(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut lines = BTreeMap::<_, Vec<_>>::new();
    for line in text.lines() {
        if let Some((name, how)) = line.strip_prefix("attempt ").and_then(|line| line.split_once(": ")) {
            lines.entry(name).or_default().push(how);
        }
    }
    lines
}

/// Every attempt of the list must have been made and have failed.
#[track_caller]
fn assert_held(text: &str, round: u32) {
    let said = said(text);
    let made: BTreeSet<&str> = said.keys().copied().collect();
    let written: BTreeSet<&str> = ATTEMPTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(made, written, "round {round}:\n{text}");
    let mut wrong = vec![];
    let mut lines = vec![];
    for (name, hows) in &said {
        for how in hows {
            lines.push(format!("{name}: {how}"));
            if !how.starts_with("held (") || how.contains("never lived") {
                wrong.push(format!("{name}: {how}"));
            }
        }
    }
    record(&format!("round {round}, as {}", who()), &lines);
    assert!(wrong.is_empty(), "round {round}, as {}:\n{}", who(), wrong.join("\n"));
}

// ---- inside -------------------------------------------------------------------------------------------------------

/// A store of its own that has the seed already, for this user.
fn own_store(env: &Env) {
    // Whoever comes first fetches and unpacks it.
    let first = Env::workspace();
    first.script("seeded", "echo x > $OUT/usr/x");
    let _ = first.run(&["build", "seeded"]).ok();
    drop(parton::store::Store::open(env.store(), &mut |_| true).unwrap());
    copy_seed(&shared_store(), env.store());
}

/// Copies the unpacked seed of one store to another.
fn copy_seed(from: &Path, to: &Path) {
    let copy = |what: &Path| {
        let dir = to.join(what).parent().unwrap().to_owned();
        fs::create_dir_all(&dir).unwrap();
        let status = Command::new("cp").arg("-a").arg(from.join(what)).arg(dir).status().unwrap();
        assert!(status.success());
    };
    copy(Path::new("seed"));
    for seed in fs::read_dir(from.join("seed")).unwrap() {
        let tree = fs::read_link(seed.unwrap().path()).unwrap();
        copy(&Path::new("tree").join(tree.file_name().unwrap()));
    }
}

#[test]
fn no_attempt_succeeds() {
    let env = Env::with_own_store();
    env.copy_seed();
    own_store(&env);
    let id = std::process::id() & 0xff_ffff;
    let mark = format!("ol{id}");
    let secret = format!("secret-{id}-of-the-outside");
    let baits = tempfile::tempdir().unwrap();
    fs::set_permissions(baits.path(), fs::Permissions::from_mode(0o755)).unwrap();
    built_outside(baits.path(), &["outside"]);
    let files = Files::plant(
        &secret,
        &[
            ("BAIT_HOME", env.path().join("home-bait")),
            ("BAIT_WORKSPACE", env.path().join("specs/bait.txt")),
            ("BAIT_STORE", env.store().join("fetch/bait")),
            ("BAIT_TMP", baits.path().join("bait")),
        ],
    );
    let dir = baits.path().to_str().unwrap();
    let outside = Outside::start(&baits.path().join("outside"), &[dir, &id.to_string()], &secret, &BTreeMap::new());

    // What the attempts are told.
    let mut told = facts();
    told.extend(outside.baits.clone());
    told.extend(files.all.iter().map(|(name, path)| (name.clone(), path.display().to_string())));
    let left_id = id + 1;
    for (name, value) in [
        ("SECRET", secret.clone()),
        ("MARK", mark.clone()),
        ("SHARED", "/sysroot/usr/shared".to_owned()),
        ("FACT_PLACE", env.path().display().to_string()),
        ("LEFT_ABSTRACT", format!("left-{id}")),
        ("LEFT_NAME", format!("left-{id}")),
        ("LEFT_KEY", (0x7000_0000 | left_id).to_string()),
    ] {
        told.insert(name.to_owned(), value);
    }
    let told = told.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name}='{}'", value.replace('\'', "'\\''")).unwrap();
        text
    });
    let mut sources: Vec<(&str, &str)> = SOURCES.to_vec();
    sources.push(("baits", &told));
    env.script("shared", "echo shared > $OUT/usr/shared");
    let needs = "[needs]\nhost = [\"shared\"]\n\n[build]\nsystem = \"script\"\n\n[build.phases]\n";
    env.package(
        "left",
        &sources,
        &format!(
            "{needs}install = '''\nset -a; . ./baits; set +a\ncc -w -pthread -o outside outside.c\n\
             (sleep 100; echo) | ./outside left {left_id}\n'''\n"
        ),
    );
    env.package(
        "escape",
        &sources,
        &format!("{needs}install = \"sh run.sh attempts\"\nfinish = \"sh run.sh afterwards\"\n"),
    );

    // Another build runs meanwhile, and has everything open that two builds could meet at.
    let mut left = env.command(&["build", "left", "-v", "--rounds", "1"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = String::new();
    let mut stderr = BufReader::new(left.stderr.take().unwrap());
    while !seen.contains("left │ ready") {
        assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "{seen}");
    }

    // Parton's own surroundings are such that there is something to leak: open descriptors, a terminal, a secret in the
    // environment, ignored signals, an odd mask of modes.
    let leak = |fd: &dyn std::os::fd::AsFd| rustix::io::fcntl_setfd(fd.as_fd(), rustix::io::FdFlags::empty()).unwrap();
    let leaked = (fs::File::open("/").unwrap(), std::os::unix::net::UnixStream::pair().unwrap());
    leak(&leaked.0);
    leak(&leaked.1.0);
    let run = format!(
        "umask 077; trap '' HUP USR1 USR2 TERM; exec script -qec '{} build escape' /dev/null",
        parton().display()
    );
    let mut command = env.command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &run]).current_dir(env.path()).env_clear().stdin(Stdio::null());
    for (name, value) in command.env("CREDENTIAL", &secret).get_envs() {
        shell.env(name, value.unwrap());
    }
    let output = shell.output().unwrap();
    drop(leaked);
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    for round in 1..3 {
        let log = env.run(&["log", "escape", "--round", &round.to_string()]);
        assert_eq!(log.code, Some(0), "{output}\n{}", log.stderr);
        assert_held(&log.stdout, round);
    }
    assert!(output.contains("identical in 2 rounds"), "{output}");

    // The other build is killed while its processes are busy; then nothing of either is left.
    left.kill().unwrap();
    left.wait().unwrap();
    let jailed = || {
        let ours = fs::read_link("/proc/self/ns/pid").unwrap();
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter(|process| {
            let comm = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let named = comm.trim() == mark || comm.trim() == "outside";
            named && fs::read_link(process.path().join("ns/pid")).is_ok_and(|theirs| theirs != ours)
        })
        .count()
    };
    let begun = Instant::now();
    while jailed() != 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "processes of a build live on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("parton "), "{mounts}");
    // Whoever stages next sweeps what the killed one left.
    env.script("next", "echo x > $OUT/usr/x");
    let _ = env.run(&["build", "next", "--rounds", "1"]).ok();
    assert_eq!(fs::read_dir(env.store().join("tmp")).unwrap().count(), 0, "a directory of a build is left");
    let _ = env.run(&["store", "verify"]).ok();

    files.assert_untouched();
    assert_eq!(outside.end(), Vec::<String>::new());
}

// ---- controls -----------------------------------------------------------------------------------------------------

/// Whether this process has the rights of the real root, and not of a container's.
fn has_all_rights() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    // Reading files by handles, modules, tracing, administration, device nodes, reading the kernel's log.
    let needed = [2, 16, 19, 21, 27, 34].iter().fold(0_u64, |all, bit| all | 1 << bit);
    u64::from_str_radix(effective, 16).unwrap() & needed == needed
}

#[test]
fn outside_of_a_jail_they_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let programs = ["files", "network", "processes", "kernel", "facts", "outlive", "outside"];
    built_outside(dir.path(), &programs);
    for name in ["out", "beats", "work"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::set_permissions(at("out"), fs::Permissions::from_mode(0o700)).unwrap();
    let id = (std::process::id() & 0xff_ffff) | 0x100_0000;
    let secret = format!("secret-{id}-of-the-control");
    let places = ["BAIT_HOME", "BAIT_WORKSPACE", "BAIT_STORE", "BAIT_TMP", "INPUT", "SHARED"];
    let files = Files::plant(&secret, &places.map(|name| (name, at(&format!("baits/{name}")))));
    let mut told = facts();
    told.extend(files.all.iter().map(|(name, path)| (name.clone(), path.display().to_string())));
    let left_id = id + 1;
    for (name, value) in [
        ("SECRET", secret.clone()),
        ("CONTROL", "1".to_owned()),
        ("CREDENTIAL", secret.clone()),
        ("OUT", at("out").display().to_string()),
        ("LEFT_ABSTRACT", format!("left-{id}")),
        ("LEFT_NAME", format!("left-{id}")),
        ("LEFT_KEY", (0x7000_0000 | left_id).to_string()),
    ] {
        told.insert(name.to_owned(), value);
    }
    let outside = Outside::start(&at("outside"), &[dir.path().to_str().unwrap(), &id.to_string()], &secret, &told);
    // It also locks the file that is shared.
    let left = Outside::start(&at("outside"), &["left", &left_id.to_string()], &secret, &told);
    told.extend(outside.baits.clone());
    told.insert("TARGET".to_owned(), outside.baits["BAIT_VICTIM"].clone());

    let leaked = fs::File::open(dir.path()).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let run = |command: &str| {
        let output = Command::new("sh")
            .args(["-c", &format!("umask 077; trap '' HUP; {command}")])
            .current_dir(at("work"))
            .envs(&told)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut text: String = programs[..5].iter().map(|program| run(&format!("../{program}"))).collect();
    // Not into our pipe, whose end would be waited for.
    run("../outlive start ../beats > /dev/null 2>&1");
    text += &run("../outlive check ../beats");
    drop(leaked);
    // Whoever lives on does so for as long as this is there.
    fs::remove_dir_all(at("beats")).unwrap();
    for dir in ["/tmp", "/dev/shm"] {
        let _ = fs::remove_file(format!("{dir}/left-{id}"));
    }
    left.end();
    let touched = outside.end();
    for bait in ["BAIT_TCP4", "BAIT_UDP4", "BAIT_ABSTRACT", "BAIT_SOCKET"] {
        assert!(touched.iter().any(|line| line == &format!("touched {bait}")), "{bait} is not watched: {touched:?}");
    }
    assert!(touched.iter().any(|line| line.starts_with("touched the victim")), "{touched:?}");

    let said = said(&text);
    let root = has_all_rights();
    let (mut lines, mut wrong) = (vec![], vec![]);
    for (name, control) in ATTEMPTS {
        let escaped = said.get(name).is_some_and(|how| how.iter().any(|how| how.starts_with("ESCAPED (")));
        let how = said.get(name).map_or("not tried".to_owned(), |how| how.join("; "));
        lines.push(match control {
            Not(why) => format!("{name}: not tried: {why}"),
            Host(why) if !escaped => format!("{name}: {how}; up to the host: {why}"),
            Root if !escaped => format!("{name}: {how}; root's alone"),
            _ => format!("{name}: {how}"),
        });
        let must = match control {
            All => true,
            Root => root,
            Host(_) | Not(_) => false,
        };
        if must && !escaped {
            wrong.push(format!("{name}: {how}"));
        }
    }
    record(&format!("control, as {}", who()), &lines);
    assert!(wrong.is_empty(), "these tests prove nothing, as {}:\n{}", who(), wrong.join("\n"));
}

/// The same, and the outputs' tests too, as a user without any right.
#[test]
fn an_ordinary_user_gets_no_further() {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return; // all other tests just showed it
    }
    let env = Env::with_own_store();
    env.copy_seed();
    own_store(&env);
    let dir = env.path();
    let copy = |from: &Path, name: &str| {
        fs::copy(from, dir.join(name)).unwrap();
        dir.join(name)
    };
    let tests = copy(&fs::read_link("/proc/self/exe").unwrap(), "tests");
    let program = copy(&parton(), "parton");
    let owner = format!("{NOBODY}:{NOBODY}");
    assert!(Command::new("chown").args(["-R", &owner]).arg(dir).status().unwrap().success());
    let output = Command::new(tests)
        .args(["escape::", "--skip", "an_ordinary_user", "--test-threads=2"])
        .env("PARTON_IT_PROGRAM", program)
        .env("PARTON_IT_STORE", env.store())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 0 failed") && !text.contains(" 0 passed"), "{text}");
}

// ---- outputs ------------------------------------------------------------------------------------------------------

/// A build of a script's output: parton's exit code and all it said.
fn output_of(name: &str, script: &str) -> (Option<i32>, String) {
    let env = Env::workspace();
    env.script(name, &format!("{script}\n: {}", std::process::id()));
    let run = env.run(&["build", name, "--rebuild", "--rounds", "1", "--color", "never"]);
    (run.code, format!("{}{}", run.stdout, run.stderr))
}

/// What can not be part of a tree is refused by name.
#[test]
fn outputs_carry_no_special_files() {
    const MAKE: &str = "cat > s.c <<'EOF'\n#include <string.h>\n#include <sys/socket.h>\n#include <sys/un.h>\n\
        int main(void) { struct sockaddr_un a = {AF_UNIX, \"s\"}; return bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, \
        sizeof a); }\nEOF\ncc -o s.out s.c && cd $OUT/usr && /build/*/s.out";
    let mut lines = vec![];
    for (name, script, says) in [
        ("output_fifo", "mkfifo $OUT/usr/f", "usr/f: a fifo can not be part of a tree"),
        ("output_socket", MAKE, "usr/s: a socket can not be part of a tree"),
        ("output_device", "mknod $OUT/usr/d c 1 3", "Operation not permitted"),
        ("output_link_to_input", "ln /bin/dash $OUT/usr/d", "Invalid cross-device link"),
        ("output_set_id", "cp /bin/dash $OUT/usr/ && chmod 4755 $OUT/usr/dash", "Operation not permitted"),
    ] {
        let (code, said) = output_of(name, script);
        assert!(code == Some(1) && said.contains(says), "{name}: {said}");
        lines.push(format!("{name}: held ({says})"));
    }
    record(&format!("outputs, as {}", who()), &lines);
}

/// What would hurt whoever reads an output: files that are mostly hole, which no limit on disk notices and which took as
/// much memory as they are long; directories deeper than a path can name; what only root can read.
#[test]
fn outputs_do_no_harm_to_their_reader() {
    let mut lines = vec![];
    for (name, script, says) in [
        ("output_giant", "for i in 1 2 3; do truncate -s 15G $OUT/usr/$i; done", "more than the disk limit of"),
        (
            "output_giant_program",
            "printf '\\177ELF\\2\\1\\1' > $OUT/usr/p; truncate -s 1100M $OUT/usr/p",
            "usr/p looks like ELF but is 1153433600 bytes long",
        ),
        (
            "output_deep",
            "cd $OUT/usr; n=$(printf '%0200d' 0); d=$n/$n/$n/$n/$n/$n/$n/$n; mkdir -p p1/$d; \
             for i in 2 3 4; do mkdir -p p$i/$d; mv p$((i-1)) p$i/$d/; done",
            "the path or one of its components is too long",
        ),
        (
            "output_closed_directory",
            "mkdir $OUT/usr/d; : > $OUT/usr/d/f; chmod 0 $OUT/usr/d",
            "usr/d can not be read by its owner",
        ),
        ("output_closed_file", ": > $OUT/usr/f; chmod 0 $OUT/usr/f", "usr/f can not be read by its owner"),
    ] {
        let (code, said) = output_of(name, script);
        assert!(code == Some(1) && said.contains(says), "{name}: {said}");
        lines.push(format!("{name}: held (… {says} …)"));
    }
    record(&format!("outputs, as {}", who()), &lines);
}

/// Links of an output lead nowhere for parton: what they point to outside is neither read nor changed, also where the
/// output changed until the very last moment of its build.
#[test]
fn links_in_outputs_are_not_followed() {
    let env = Env::workspace();
    let dir = tempfile::tempdir().unwrap();
    let secret = format!("secret-behind-a-link-{}", std::process::id());
    let files = Files::plant(&secret, &[("BAIT", dir.path().join("d/bait"))]);
    let (bait, baits) = (dir.path().join("d/bait"), dir.path().join("d"));
    let script = format!(
        "cd $OUT/usr\nln -s {0} file\nln -s {1} dir\nln -s / root\nln -s ../../../../../../..{0} up\nln -s loop loop\n\
         ln -s /proc/self/root{0} magic\nmkdir real\necho x > real/bait\n\
         (while :; do mv -T real away; ln -sT {1} real; rm real; mv -T away real; done) 2>/dev/null &\nsleep 0.1\n\
         : {2}\nmkdir -p real || :\nmkdir kept\necho x > kept/x",
        bait.display(),
        baits.display(),
        std::process::id()
    );
    env.script("links", &script);
    // Whether the race leaves a directory or not is not parton's to decide.
    let run = env.run(&["build", "links", "--rebuild", "--rounds", "1"]).ok();
    assert!(run.stdout.contains("unproved"), "{}", run.stdout);
    let path = env.command(&["store", "path", "links"]).output().unwrap();
    let tree = PathBuf::from(String::from_utf8(path.stdout).unwrap().trim());
    for name in ["file", "dir", "root", "up", "loop", "magic"] {
        assert!(fs::symlink_metadata(tree.join("usr").join(name)).unwrap().is_symlink(), "{name}");
    }
    let mut waiting = vec![tree];
    while let Some(at) = waiting.pop() {
        let meta = fs::symlink_metadata(&at).unwrap();
        if meta.is_dir() {
            waiting.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            assert!(!fs::read_to_string(&at).unwrap_or_default().contains(&secret), "{}", at.display());
        }
    }
    files.assert_untouched();
    record(&format!("outputs, as {}", who()), &["output_links: held (6 kinds and a race, none followed)".into()]);
}

/// What a build prints, and the names of its files, reach a terminal only with their control characters made visible: raw
/// they could type answers, set titles or write to the clipboard.
#[test]
fn nothing_a_build_says_controls_the_terminal() {
    let evil = "printf '\\033]0;title\\007\\033[6n\\302\\2332J evil\\n'";
    for (name, script) in [
        ("evil-log", format!("{evil}; false")),
        ("evil-names", format!("{evil} > \"$OUT/usr/$({evil})$(date +%s%N)\"; mkfifo \"$OUT/usr/$({evil})\"")),
    ] {
        let env = Env::workspace();
        env.script(name, &script);
        let run = env.run(&["build", name, "--rebuild", "-v", "--color", "never"]).code(1);
        for text in [&run.stdout, &run.stderr] {
            let raw = text.chars().find(|c| c.is_control() && *c != '\n');
            assert!(raw.is_none(), "{name}: {raw:?} in {text:?}");
        }
        assert!(format!("{}{}", run.stdout, run.stderr).contains("evil"));
        if name == "evil-names" {
            continue;
        }
        // A log is shown as it is where it can do no harm.
        let log = env.command(&["log", name]).output().unwrap().stdout;
        assert!(log.windows(4).any(|bytes| bytes == b"\x1b]0;"), "{name}");
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &format!("{} log {name}", parton().display()), "/dev/null"]).current_dir(env.path());
        terminal
            .env_clear()
            .envs(env.command(&[]).get_envs().map(|(name, value)| (name, value.unwrap())))
            .stdin(Stdio::null());
        let shown = terminal.output().unwrap().stdout;
        let text = String::from_utf8_lossy(&shown);
        assert!(
            text.contains("evil") && !text.contains(|c: char| c.is_control() && c != '\n' && c != '\r'),
            "{text:?}"
        );
    }
    record(&format!("outputs, as {}", who()), &["output_control_characters: held (made visible)".to_owned()]);
}

/// The known trick with a script whose interpreter is /proc/self/exe: the first program of a step is executed by parton's own
/// process, so that the interpreter would be parton's program file on the host, with a descriptor that can be written to
/// when it ended. A needed package brings such a shell.
#[test]
fn the_first_program_is_not_parton_itself() {
    let env = Env::workspace();
    env.script(
        "evil-shell",
        "mkdir -p $OUT/bin; printf '#!/proc/self/exe\\n' > $OUT/bin/dash; chmod 755 $OUT/bin/dash",
    );
    env.package(
        "victim",
        &[("x", "x")],
        "[needs]\nbuild = [\"evil-shell\"]\n\n[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"cp x $OUT\"\n",
    );
    let program = fs::metadata(parton()).unwrap();
    let run = env.run(&["build", "victim", "--rounds", "1"]).code(4);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("can not be started: execute /bin/sh: Permission denied"), "{said}");
    let after = fs::metadata(parton()).unwrap();
    assert_eq!((program.mtime(), program.len()), (after.mtime(), after.len()));
    record(&format!("outputs, as {}", who()), &["program_of_parton: held (execute: Permission denied)".to_owned()]);
}

/// A store may hand its group down, in the way of directories that several people share; then its directories have the
/// set-group-id bit, and so had those of a build, which could copy them into its output.
#[test]
fn a_store_that_hands_its_group_down_is_not_seen() {
    let env = Env::with_own_store();
    env.copy_seed();
    own_store(&env);
    let tmp = env.store().join("tmp");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o2755)).unwrap();
    assert_eq!(fs::metadata(&tmp).unwrap().mode() & 0o7777, 0o2755);
    env.script(
        "modes",
        "mkdir $OUT/usr/d; stat -c %a.%g /build . $OUT $OUT/usr/d | tee $OUT/usr/modes; cp -a . $OUT/usr/copy",
    );
    let run = env.run(&["build", "modes", "--rounds", "1"]).ok();
    let path = env.command(&["store", "path", "modes"]).output().unwrap();
    let tree = PathBuf::from(String::from_utf8(path.stdout).unwrap().trim());
    let modes = fs::read_to_string(tree.join("usr/modes")).unwrap();
    assert_eq!(modes, "755.1000\n".repeat(4), "{}", run.stdout);
    assert_eq!(fs::metadata(tree.join("usr/copy")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn every_attempt_is_on_the_list() {
    let mut there = BTreeSet::new();
    for (file, text) in SOURCES.iter().filter(|(file, _)| file.ends_with(".c")) {
        let Some((_, list)) = text.rsplit_once("static const struct") else { continue };
        there.extend(list.split("{\"").skip(1).map(|rest| rest.split('"').next().unwrap()));
        assert!(!there.is_empty(), "{file}");
    }
    there.insert("output_replaced");
    let mut list: Vec<&str> = ATTEMPTS.iter().map(|(name, _)| *name).collect();
    list.sort_unstable();
    assert!(list.windows(2).all(|two| two[0] != two[1]), "a name twice: {list:?}");
    assert_eq!(there.into_iter().collect::<Vec<_>>(), list);
    assert!(list.len() >= 140, "{}", list.len());
}

/// What no wall keeps must not be called an attempt that was held, but be said to whoever reads what the walls are.
#[test]
fn what_is_not_kept_is_said() {
    let page = include_str!("../../src/sandbox/mod.rs");
    let (_, open) = page.split_once("//! # What it does not keep").unwrap();
    for word in [
        "kernel is shared",
        "Time stamps",
        "`cpuid`",
        "`rdtsc`",
        "`getcpu`",
        "Cpus_allowed",
        "/proc/self/sched",
        "`sysinfo`",
        "`statfs`",
        "/proc/net/sockstat",
        "uid_map",
        "sessionid",
        "device nodes are the host's",
        "supplementary groups",
    ] {
        assert!(open.contains(word), "{word}");
    }
    let list = include_str!("../../src/sandbox/supervise.rs");
    for word in ["timerfd_settime", "timer_settime", "mq_timedsend", "FUTEX_LOCK_PI", "searches its own memory map"] {
        assert!(list.contains(word), "{word}");
    }
}
