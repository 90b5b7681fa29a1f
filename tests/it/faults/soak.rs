//! Eight partons use one store, each doing one thing after another: no deadlock, no wrong result, no error.

use super::world::{World, outputs};
use super::{Dice, parameter, report};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const PARTONS: usize = 8;

/// Versions of a package that the partons build, each its own; what is no longer meant by its name gc may take.
const VERSIONS: usize = 6;

/// What happened, by verb: how often, and the longest time one took.
type Tally = BTreeMap<&'static str, (usize, Duration)>;

/// What each build came to when it was first done, by package.
type Outputs = BTreeMap<String, String>;

fn soak(time: Duration, seed: u64) {
    let world = World::new();
    for n in 0..VERSIONS {
        world.script(
            &format!("version{n}"),
            "host = [\"base\"]",
            &format!("echo {n} > $OUT/usr/n; cp -r . $OUT/usr/all"),
        );
    }
    let store = world.path().join("store");
    let first = world.run(&store, &["build", "base", "user", "leaky", "--keep-going", "--json"]);
    assert_eq!(first.code, Some(3), "{first:#?}");
    let known = Mutex::new(outputs(&first.out));
    let tally: Mutex<Tally> = Mutex::default();
    let wrong: Mutex<Vec<String>> = Mutex::default();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for who in 0..PARTONS {
            let (world, store, known, tally, wrong) = (&world, &store, &known, &tally, &wrong);
            scope.spawn(move || {
                let mut dice = Dice::new(seed * 1000 + who as u64);
                while begun.elapsed() < time && wrong.lock().unwrap().is_empty() {
                    let done = one(world, store, known, &mut dice);
                    match done {
                        Ok((verb, took)) => {
                            let mut tally = tally.lock().unwrap();
                            let (count, longest) = tally.entry(verb).or_default();
                            *count += 1;
                            *longest = took.max(*longest);
                        }
                        Err(text) => wrong.lock().unwrap().push(text),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let verified = world.run(&store, &["store", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:#?}");
    let swept = world.run(&store, &["gc"]);
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert_eq!(world.leftovers(&store), [""; 0]);
    let tally = tally.into_inner().unwrap();
    let all: usize = tally.values().map(|(count, _)| count).sum();
    let each: Vec<String> = tally
        .iter()
        .map(|(verb, (count, longest))| format!("{count} {verb} (longest {:.1} s)", longest.as_secs_f64()))
        .collect();
    report(&format!(
        "soak: {PARTONS} partons for {:.1} minutes on one store: {all} commands, none failed, none hung, every output as it \
         was built first; {}",
        begun.elapsed().as_secs_f64() / 60.0,
        each.join(", ")
    ));
    assert!(all > PARTONS, "{all} commands");
}

/// One command; its verb, and how long it took.
///
/// # Errors
/// It did not do what it should.
fn one(
    world: &World,
    store: &std::path::Path,
    known: &Mutex<Outputs>,
    dice: &mut Dice,
) -> Result<(&'static str, Duration), String> {
    let version = format!("version{}", dice.below(VERSIONS));
    let package = ["base", "user", version.as_str()][dice.below(3)];
    let roll = dice.below(100);
    let (verb, args, code): (_, Vec<&str>, _) = match roll {
        0..15 => ("build", vec!["build", package, "--json"], 0),
        15..40 => ("rebuild", vec!["build", package, "--json", "--rebuild"], 0),
        40..45 => ("differing build", vec!["build", "leaky", "--json", "--rebuild"], 3),
        45..55 => ("gc", vec!["gc", "--json"], 0),
        55..65 => ("verify", vec!["store", "verify", "--json"], 0),
        65..72 => ("show", vec!["show", "user"], 0),
        72..79 => ("log", vec!["log", "base", "--round", "2"], 0),
        79..86 => ("fetch", vec!["fetch", package, "--json"], 0),
        86..93 => ("why-rebuild", vec!["why-rebuild", package, "--json"], 0),
        _ => ("store path", vec!["store", "path", "user"], 0),
    };
    let ran = world.run(store, &args);
    if ran.code != Some(code) {
        return Err(format!("{args:?} {ran:#?}"));
    }
    if args[0] == "build" {
        let mut known = known.lock().unwrap();
        for (package, output) in outputs(&ran.out).into_iter().filter(|(package, _)| package != "leaky") {
            let first = known.entry(package.clone()).or_insert_with(|| output.clone());
            if *first != output {
                return Err(format!("{package} came to {output}, before to {first}"));
            }
        }
    }
    Ok((verb, ran.took))
}

#[test]
fn eight_partons_on_one_store_get_along_needs_namespaces() {
    soak(Duration::from_secs(5), 1);
}

#[test]
#[ignore = "takes ten minutes; run by ci/faults"]
fn all_soak_needs_namespaces() {
    let seconds = parameter("PARTON_FAULTS_SOAK", 600);
    soak(Duration::from_secs(seconds), parameter("PARTON_FAULTS_SEED", 1));
}
