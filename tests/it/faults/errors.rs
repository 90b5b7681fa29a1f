//! Every call by which the store is changed fails once with each of the errors that are likely on a bad day, writes less than
//! it should, or is the last of its process.

use super::cycle::{DONE, FAILED, Promises, SCENARIOS, Scenario, examine};
use super::shim::{Call, Fault, Kind, Watch, Watched, run};
use super::world::{Copied, World, outputs};
use super::{Dice, parameter, report};
use std::path::Path;
use std::process::Command;

/// What may befall a call.
fn faults(call: &Call) -> Vec<Fault> {
    let mut faults = Vec::new();
    match call.kind {
        Kind::Grow | Kind::Change | Kind::Sync | Kind::Lock => {
            faults.extend([libc::ENOSPC, libc::EIO, libc::EMFILE, libc::EINTR].map(Fault::Error));
            faults.push(Fault::Kill);
        }
        Kind::Open => faults.extend([libc::EIO, libc::EMFILE, libc::EINTR].map(Fault::Error)),
        Kind::Look => faults.push(Fault::Error(libc::EIO)),
    }
    if call.kind == Kind::Grow {
        faults.push(Fault::Full);
    }
    if matches!(call.name, "write" | "pwrite64") {
        faults.push(Fault::Short);
    }
    faults
}

/// What a fault may make a program say.
fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Error(libc::ENOSPC) | Fault::Full => "No space left on device",
        Fault::Error(libc::EIO) => "Input/output error",
        Fault::Error(libc::EMFILE) => "Too many open files",
        Fault::Error(libc::EINTR) => "Interrupted system call",
        Fault::Error(_) | Fault::Short | Fault::Kill => "",
    }
}

/// A directory in memory if possible: nothing here depends on a disk, and there are thousands of runs.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Copies a directory with all that stores depend on.
pub fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// What the runs came to.
#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    /// The program said what went wrong.
    named: usize,
    /// It came to its end nevertheless.
    borne: usize,
    /// It was killed.
    killed: usize,
}

/// One run with one fault, on a fresh copy.
///
/// # Errors
/// What is wrong with what came of it.
fn meet(
    scenario: Scenario,
    base: &Path,
    before: &Promises,
    (at, fault): (usize, Fault),
    tally: &mut Tally,
) -> Result<(), String> {
    let scratch = scratch();
    let dir = scratch.path().join("d");
    copy(base, &dir);
    let watch = Watch { root: &dir, counted: &|_| true, fault: Some((at, fault)), record: false };
    let Watched { code, out, err, hit, hung, .. } = run(&mut scenario.command(&scenario.store(&dir)), &watch);
    let wrong = |what: &str| Err(format!("{what}\n{scenario:?}, call {at} {fault:?}: {hit:?}\n{out}\n{err}"));
    match hit {
        Some(_) => {}
        // A single byte can't be cut.
        None if fault == Fault::Short => return Ok(()),
        None => return wrong("never came so far"),
    }
    if hung || out.contains("panicked") || err.contains("panicked") {
        return wrong("hangs or panics");
    }
    tally.runs += 1;
    if let Some((_, failed)) = out.lines().find_map(|line| line.split_once(FAILED)) {
        tally.named += 1;
        if !failed.contains(words(fault)) {
            return wrong("does not say what happened");
        }
        if !failed.contains(dir.to_str().unwrap()) {
            return wrong("does not say to what");
        }
    } else if out.contains(DONE) {
        tally.borne += 1;
    } else {
        tally.killed += 1;
        if fault != Fault::Kill || code.is_some() {
            return wrong("says nothing");
        }
    }
    let mut promises = before.clone();
    out.lines().for_each(|line| promises.hear(line));
    examine(scenario, &dir, &promises).or_else(|found| wrong(&found))
}

/// Every `step`-th pair of a call and what may befall it, of those that are `wanted`.
fn try_every(step: usize, seed: u64, scenarios: &[Scenario], wanted: &dyn Fn(&Call, Fault) -> bool) -> Tally {
    let mut dice = Dice::new(seed);
    let mut wrong: Vec<String> = Vec::new();
    let mut sum = Tally::default();
    for scenario in scenarios.iter().copied() {
        let base = scratch();
        let before = scenario.prepare(&base.path().join("d"));
        std::fs::create_dir_all(base.path().join("d")).unwrap();
        let base = base.path().join("d");
        let clean = scratch();
        copy(&base, &clean.path().join("d"));
        let dir = clean.path().join("d");
        let watch = Watch { root: &dir, counted: &|_| true, fault: None, record: false };
        let whole = run(&mut scenario.command(&scenario.store(&dir)), &watch);
        assert!(whole.out.contains(DONE), "{whole:#?}");
        let all: Vec<(usize, Fault)> = (1..)
            .zip(&whole.calls)
            .flat_map(|(at, call)| faults(call).into_iter().map(move |fault| (at, call, fault)))
            .filter(|(_, call, fault)| wanted(call, *fault))
            .map(|(at, _, fault)| (at, fault))
            .collect();
        let mut tally = Tally::default();
        let mut next = dice.below(step);
        while let Some((at, fault)) = all.get(next) {
            wrong.extend(meet(scenario, &base, &before, (*at, *fault), &mut tally).err());
            next += 1 + if step > 1 { dice.below(2 * step - 1) } else { 0 };
        }
        let Tally { runs, named, borne, killed } = tally;
        sum = Tally {
            runs: sum.runs + runs,
            named: sum.named + named,
            borne: sum.borne + borne,
            killed: sum.killed + killed,
        };
        report(&format!(
            "calls of {scenario:?}: {} calls, {} pairs of a call and a fault; {runs} tried: {named} named, {borne} borne, \
             {killed} killed; {} wrong",
            whole.calls.len(),
            all.len(),
            wrong.len(),
        ));
    }
    assert!(wrong.is_empty(), "{} wrong, of which these:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n\n"));
    sum
}

#[test]
fn calls_that_fail_are_named_and_lose_nothing() {
    let tally = try_every(24, 1, &SCENARIOS, &|_, _| true);
    assert!(tally.named > 0 && tally.borne > 0 && tally.killed > 0, "{tally:?}");
}

/// Once a lock that was interrupted, as file systems over a network may do, was taken for a person's wish not to wait any
/// longer: parton then said that it gave up waiting for another one, which was not there.
#[test]
fn an_interrupted_lock_is_taken_again() {
    let tally = try_every(1, 1, &[Scenario::Commit], &|call, fault| {
        call.kind == Kind::Lock && call.path.ends_with("lock/store") && fault == Fault::Error(libc::EINTR)
    });
    assert!(tally.runs > 2 && tally.borne == tally.runs, "{tally:?}");
}

/// Once `verify` called whatever it could not read damaged, and `repair` set it aside together with the records that refer
/// to it. A parton that ran out of descriptors at the wrong time would have taken sound results out of the store, and one
/// failed read that would have succeeded a moment later as well.
#[test]
fn repair_sets_nothing_aside_that_could_only_not_be_read_now() {
    let tally = try_every(1, 1, &[Scenario::Repair], &|call, fault| {
        call.path.to_string_lossy().contains("/store/tree/")
            && [Fault::Error(libc::EMFILE), Fault::Error(libc::EIO)].contains(&fault)
    });
    assert!(tally.runs > 20, "{tally:?}");
}

/// Whole commands, from the first byte of a source to the record: some of the calls on their stores meet a fault.
fn try_whole_builds(count: usize, seed: u64) {
    let world = World::new();
    let at = |name: &str| world.path().join(name);
    let ready = world.run(&at("ready"), &["fetch", "--all"]);
    assert_eq!(ready.code, Some(0), "{ready:#?}");
    let counted = |call: &Call| call.kind != Kind::Look;
    // A build of what was fetched, and one that fetches all and unpacks the seed first.
    let builds: [(&str, &[&str]); 2] =
        [("ready", &["build", "user", "--json"]), ("nothing", &["build", "base", "--json"])];
    let whole = builds.map(|(store, args)| {
        let copied = Copied::of(&at(store), at(&format!("whole-{store}")));
        let watch = Watch { root: copied.path(), counted: &counted, fault: None, record: false };
        let whole = run(&mut world.waiting(copied.path(), args), &watch);
        assert_eq!(whole.code, Some(0), "{whole:#?}");
        (whole.calls, outputs(&whole.out))
    });
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    for n in 0..count {
        let ((store, args), (calls, right)) = (builds[n % 2], &whole[n % 2]);
        let copied = Copied::of(&at(store), at(&format!("fault-{n}")));
        let drawn = dice.below(calls.len());
        let may = faults(&calls[drawn]);
        let fault = may[dice.below(may.len())];
        let watch = Watch { root: copied.path(), counted: &counted, fault: Some((drawn + 1, fault)), record: false };
        let ran = run(&mut world.waiting(copied.path(), args), &watch);
        let context = format!("{args:?}, call {} {fault:?}: {:?}, {:?}\n{}", drawn + 1, ran.hit, ran.code, ran.err);
        // Threads do not come in the same order every time: the call may be another one, or none.
        if ran.hit.is_none() {
            continue;
        }
        assert!(!ran.hung && !ran.err.contains("panicked"), "{context}");
        tally.runs += 1;
        match ran.code {
            Some(0) => {
                tally.borne += 1;
                assert_eq!(outputs(&ran.out), *right, "{context}");
            }
            Some(_) => {
                tally.named += 1;
                assert!(ran.err.contains(words(fault)) || fault == Fault::Short, "not named: {context}");
            }
            None => {
                tally.killed += 1;
                assert_eq!(fault, Fault::Kill, "{context}");
            }
        }
        let verified = world.run(copied.path(), &["store", "verify"]);
        assert_eq!(verified.code, Some(0), "{verified:#?}\n{context}");
        let next = world.run(copied.path(), args);
        assert_eq!(next.code, Some(0), "{next:#?}\n{context}");
        assert_eq!(outputs(&next.out), *right, "{context}");
        assert_eq!(world.leftovers(copied.path()), [""; 0], "{context}");
    }
    let Tally { runs, named, borne, killed } = tally;
    report(&format!(
        "calls of whole builds: {} and {} calls, {runs} drawn pairs of a call and a fault tried: {named} named, {borne} borne, \
         {killed} killed; after each the store was verified and the next run came to the same digests",
        whole[0].0.len(),
        whole[1].0.len()
    ));
    assert!(runs > count / 2, "{tally:?}");
}

#[test]
fn calls_of_whole_builds_may_fail_needs_namespaces() {
    try_whole_builds(8, 1);
}

#[test]
#[ignore = "takes minutes; run by ci/faults"]
fn all_whole_builds_needs_namespaces() {
    try_whole_builds(parameter("PARTON_FAULTS_BUILDS", 200) as usize, parameter("PARTON_FAULTS_SEED", 1));
}

#[test]
#[ignore = "takes minutes; run by ci/faults"]
fn all_calls_may_fail() {
    try_every(1, parameter("PARTON_FAULTS_SEED", 1), &SCENARIOS, &|_, _| true);
}
