//! Commands are killed at instants drawn uniformly over the time they take: parton, the first process of a jail, or all
//! processes at once.

use super::world::{Copied, Ran, World, objects, outputs};
use super::{Dice, parameter, report};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Parton,
    /// The first process of a jail, which must take all of the jail with it; parton has to say that it lost it.
    First,
    /// Parton's process group, and every process below it.
    All,
}

/// A command in a state of the store from which it has much to do.
struct Phase {
    name: &'static str,
    store: PathBuf,
    args: &'static [&'static str],
    code: i32,
    /// Whether jails are started.
    jails: bool,
    /// What a run that nothing happened to left in the store.
    after: BTreeSet<String>,
    outputs: BTreeMap<String, String>,
    /// Which part of the time is of interest.
    from: f64,
    took: Duration,
}

/// The phases, from fetching to repairing, each measured by running it so often.
fn phases(world: &World, measured: usize) -> Vec<Phase> {
    let at = |name: &str| world.path().join(name);
    let ok = |store: &Path, args: &[&str], code| {
        let ran = world.run(store, args);
        assert_eq!(ran.code, Some(code), "{args:?} {ran:#?}");
        ran
    };
    let derive = |from: &str, to: &str| {
        super::errors::copy(&at(from), &at(to));
        at(to)
    };
    ok(&at("ready"), &["fetch", "--all"], 0);
    let packed = derive("ready", "packed");
    for dir in ["seed", "tree"] {
        for entry in fs::read_dir(packed.join(dir)).unwrap() {
            parton::tree::remove_all(&entry.unwrap().path()).unwrap();
        }
    }
    let built = derive("ready", "built");
    ok(&built, &["build", "--all", "--keep-going"], 3);
    let full = derive("built", "full");
    for n in 0..3 {
        let many = format!("i=0; while [ $i -lt 60 ]; do echo $i {n} > $OUT/usr/$i; i=$((i + 1)); done");
        world.script("garbage", "", &many);
        ok(&full, &["build", "garbage"], 0);
    }
    parton::tree::remove_all(&at("specs/garbage")).unwrap();
    let damaged = derive("full", "damaged");
    let mut trees: Vec<PathBuf> = fs::read_dir(damaged.join("tree")).unwrap().map(|e| e.unwrap().path()).collect();
    trees.sort();
    for tree in trees.iter().filter(|tree| !tree.join("usr/bin").exists()).take(3) {
        fs::write(tree.join("extra"), "").unwrap();
    }
    let all: [(_, _, &[&str], _, _, _); 7] = [
        ("fetch", at("nothing"), &["fetch", "--all"], 0, false, 0.0),
        ("unpack", packed, &["fetch", "--all"], 0, false, 0.0),
        ("build", at("ready"), &["build", "user", "--json"], 0, true, 0.0),
        ("compare", at("ready"), &["build", "leaky", "--json"], 3, true, 0.0),
        // What happens after the last round: scanning, moving and syncing hundreds of files, twice, and the record.
        ("commit", at("ready"), &["build", "wide", "--json", "--parallel", "1"], 0, false, 0.4),
        ("gc", full, &["gc"], 0, false, 0.0),
        ("repair", damaged, &["store", "verify", "--repair"], 0, false, 0.0),
    ];
    let measure =
        |(name, store, args, code, jails, from): (&'static str, PathBuf, &'static [&'static str], _, _, _)| {
            let mut took = Vec::new();
            let mut last = None;
            for n in 0..measured {
                let copied = Copied::of(&store, at(&format!("measure-{name}-{n}")));
                let ran = ok(copied.path(), args, code);
                took.push(ran.took);
                let built = if args.contains(&"--json") { outputs(&ran.out) } else { BTreeMap::new() };
                last = Some((objects(copied.path()), built));
            }
            took.sort();
            let (after, outputs) = last.unwrap();
            Phase { name, store, args, code, jails, after, outputs, from, took: took[measured / 2] }
        };
    all.map(measure).into()
}

/// Every process below this one, itself not included.
fn below(pid: Pid) -> Vec<Pid> {
    let mut found: Vec<Pid> = Vec::new();
    let mut waiting = vec![pid.as_raw_nonzero().get()];
    while let Some(pid) = waiting.pop() {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
                waiting.push(child);
                found.extend(Pid::from_raw(child));
            }
        }
    }
    found
}

/// The first process of a jail below this one.
fn first_process(parton: Pid) -> Option<Pid> {
    below(parton).into_iter().find(|pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
        numbers.len() > 1 && numbers.last() == Some(&"1")
    })
}

/// Kills at this instant; whether there was something to kill.
fn strike(child: &mut Child, victim: Victim, at: Duration) -> bool {
    let parton = Pid::from_child(child);
    let begun = Instant::now();
    std::thread::sleep(at);
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        match victim {
            Victim::Parton => return kill_process(parton, Signal::KILL).is_ok(),
            Victim::All => {
                let others = below(parton);
                let struck = kill_process_group(parton, Signal::KILL).is_ok();
                for pid in others {
                    let _ = kill_process(pid, Signal::KILL);
                }
                return struck;
            }
            // The next one, if there is none right now.
            Victim::First => match first_process(parton) {
                Some(first) => return kill_process(first, Signal::KILL).is_ok(),
                None => std::thread::sleep(Duration::from_micros(200)),
            },
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "neither a jail nor an end");
    }
}

/// Runs a phase, kills, and looks; whether there was something to kill.
fn kill_once(world: &World, phase: &Phase, victim: Victim, at: Duration, name: &str) -> bool {
    let copied = Copied::of(&phase.store, world.path().join(name));
    let store = copied.path();
    let before = objects(store);
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut command = world.command(store, phase.args);
    command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap()).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().unwrap();
    let struck = strike(&mut child, victim, at);
    let status = wait(&mut child);
    // What just ended can be killed as well, without any effect.
    let struck = struck && (victim == Victim::First || status.is_none());
    let said = [&mut out, &mut err].map(|file| {
        let mut text = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut text)).map(|_| text)
    });
    let context = || {
        format!(
            "{} {victim:?} after {at:?}
{said:#?}",
            phase.name
        )
    };
    if !struck {
        assert_eq!(status, Some(phase.code), "it ended by itself: {}", context());
        return false;
    }
    match victim {
        Victim::Parton | Victim::All => assert_eq!(status, None, "{}", context()),
        // It may have had nothing more to say than what was said.
        Victim::First => assert!([Some(1), Some(4), Some(phase.code)].contains(&status), "{status:?} {}", context()),
    }
    let killed = objects(store);
    let sweeps = matches!(phase.name, "gc" | "repair");
    let lost =
        |must: &BTreeSet<String>, from: &BTreeSet<String>| must.difference(from).cloned().collect::<Vec<String>>();
    let must = if sweeps { &phase.after } else { &before };
    assert_eq!(lost(must, &killed), [""; 0], "lost by the kill: {}", context());
    let verified = world.run(store, &["store", "verify"]);
    if phase.name == "repair" {
        assert!([Some(0), Some(1)].contains(&verified.code), "{verified:#?}");
    } else if store.exists() {
        assert_eq!(verified.code, Some(0), "{verified:#?}\n{}", context());
    }
    let next: Ran = world.run(store, phase.args);
    assert_eq!(next.code, Some(phase.code), "the next run: {next:#?}\n{}", context());
    if phase.args.contains(&"--json") {
        assert_eq!(outputs(&next.out), phase.outputs, "{}", context());
    }
    let after = objects(store);
    let must = if sweeps { &phase.after } else { &killed };
    assert_eq!(lost(must, &after), [""; 0], "lost by the next run: {}", context());
    // A record's digest covers how long it took; what was built and fetched is the same.
    let same = |all: &BTreeSet<String>| -> BTreeSet<String> {
        all.iter().filter(|name| !name.starts_with("log/")).cloned().collect()
    };
    assert_eq!(lost(&same(&phase.after), &after), [""; 0], "not made by the next run: {}", context());
    if phase.name == "gc" {
        assert_eq!(after, phase.after, "{}", context());
    }
    let verified = world.run(store, &["store", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:#?}\n{}", context());
    assert_eq!(world.leftovers(store), [""; 0], "{}", context());
    true
}

/// The exit code of a child, which must end.
fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills at so many instants, drawn over the median time of so many runs.
fn kill_at(instants: usize, measured: usize, seed: u64) {
    let world = World::new();
    let phases = phases(&world, measured);
    let mut dice = Dice::new(seed);
    let mut tally: BTreeMap<(&str, Victim), usize> = BTreeMap::new();
    let (mut struck, mut tried) = (0, 0);
    while struck < instants {
        // Each phase and victim in turn; what is drawn is the instant.
        let phase = &phases[tried % phases.len()];
        let victim = match (tried / phases.len()) % 3 {
            0 => Victim::Parton,
            1 if phase.jails => Victim::First,
            1 => Victim::Parton,
            _ => Victim::All,
        };
        let at = phase.took.mul_f64(phase.from + (1.0 - phase.from) * dice.part());
        tried += 1;
        if kill_once(&world, phase, victim, at, &format!("kill-{tried}")) {
            struck += 1;
            *tally.entry((phase.name, victim)).or_default() += 1;
        }
    }
    for phase in &phases {
        let of = |victim| tally.get(&(phase.name, victim)).copied().unwrap_or(0);
        report(&format!(
            "kills in {}, which takes {} ms: {} of parton, {} of a jail's first process, {} of all",
            phase.name,
            phase.took.as_millis(),
            of(Victim::Parton),
            of(Victim::First),
            of(Victim::All)
        ));
    }
    report(&format!(
        "kills: {struck} instants ({tried} runs, the others had ended before); after each the store was verified, nothing \
         was lost, the next run succeeded with the same digests, and nothing was left over"
    ));
}

#[test]
fn killed_at_seeded_instants_nothing_is_lost_needs_namespaces() {
    kill_at(7, 1, 1);
}

#[test]
#[ignore = "takes minutes; run by ci/faults"]
fn all_kills_needs_namespaces() {
    kill_at(parameter("PARTON_FAULTS_INSTANTS", 300) as usize, 3, parameter("PARTON_FAULTS_SEED", 1));
}
