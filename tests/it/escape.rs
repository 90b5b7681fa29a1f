//! The escape suite: programs that try to read, write, signal, connect, keep running or learn something from outside,
//! compiled and run by `parton build` itself, in both rounds. The programs are in `escape/`; this file plants what they
//! are after, runs them, and judges from outside as well.
//!
//! No attempt may be vacuous: [`outside_of_a_jail_they_succeed`] runs the same programs without a jail, where they must
//! escape; [`list`] says for each whether that can be asked of it.

mod list;
mod outputs;

use crate::common::{Env, parton, shared_store};
use list::{
    ATTEMPTS,
    Control::{All, Host, Not, Root},
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

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
