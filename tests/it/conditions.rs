//! Every knob by itself, from [`Conditions`] down to what a static program inside the jail sees: a whole round of the real
//! executor, on a seed whose shell is fixtures/facts.c. The jail's walls are probed in each.

use crate::common::{Env, parton};
use parton::base::{Blake3, Cancel, Sha256};
use parton::build::{Class, Conditions, Executor as _, Knob, Local, Order, Outcome};
use parton::plan::{Derivation, Linkage, Phase, SourceInput, SourcePin};
use parton::sandbox::{Launcher, Limits};
use parton::store::Store;
use parton::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

const FILES: usize = 24;

struct World {
    _dir: tempfile::TempDir,
    store: Store,
    derivation: Derivation,
}

/// A store with the seed and the source, made once per test process.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), &mut |_| true).unwrap();
        let seed = dir.path().join("seed");
        fs::create_dir_all(seed.join("bin")).unwrap();
        fs::create_dir_all(seed.join("names")).unwrap();
        for n in 0..40 {
            fs::write(seed.join(format!("names/{}-{n}", n * 7919 % 101)), "").unwrap();
        }
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/facts.c");
        let cc = Command::new("cc").args(["-O1", "-w", "-static", "-o"]).arg(seed.join("bin/sh")).arg(source).status();
        assert!(cc.expect("a C compiler").success());
        let tree = store.put_tree(&seed, &Tree::scan(&seed).unwrap()).unwrap().digest;
        store.bind_seed(Blake3::of(b"facts"), tree).unwrap();

        let mut tar = tar::Builder::new(Vec::new());
        for n in 0..FILES {
            let mut header = tar::Header::new_ustar();
            header.set_size(1);
            header.set_mode(0o644);
            header.set_mtime(1_600_000_000);
            tar.append_data(&mut header, format!("src-1/f{n:02}"), &b"x"[..]).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        let archive = dir.path().join("src.tar");
        fs::write(&archive, &bytes).unwrap();
        store.put_blob(&archive, Sha256::of(&bytes), Blake3::of(&bytes)).unwrap();
        let pin = SourcePin::Archive { sha256: Sha256::of(&bytes), strip: 1, nested: None };
        let derivation = Derivation {
            contract: parton::build::CONTRACT,
            name: "facts".to_owned(),
            version: "1".to_owned(),
            sources: vec![SourceInput { dest: "src".to_owned(), pin }],
            patches: vec![],
            seed: Some(Blake3::of(b"facts")),
            inputs: vec![],
            phases: vec![phase("say what there is")],
            check: None,
            env: BTreeMap::new(),
            target: "x86_64-linux-musl".to_owned(),
            sysroot: "/".to_owned(),
            linkage: Linkage { interpreter: "/none".to_owned(), provided: BTreeSet::new() },
        };
        World { _dir: dir, store, derivation }
    })
}

fn phase(script: &str) -> Phase {
    Phase { name: "look".to_owned(), dir: "src".to_owned(), script: script.to_owned() }
}

/// Executes a round, which must end with an output, and gives its log without the heads of the phases.
fn round(derivation: &Derivation, conditions: &Conditions, check: bool) -> (Outcome, Vec<String>) {
    let world = world();
    let order = Order {
        derivation: derivation.clone(),
        round: 2,
        conditions: conditions.clone(),
        limits: Limits { disk_reserve: 1 << 20, ..Limits::default() },
        check,
    };
    let launcher = Launcher::with_program(parton());
    let executor = Local { store: &world.store, launcher: &launcher };
    let outcome = executor.execute(&order, &|_| {}, &Cancel::new()).unwrap();
    let log = fs::read_to_string(world.store.log(outcome.log).unwrap().unwrap()).unwrap();
    assert!(outcome.output().is_some(), "{:?}\n{log}", outcome.end);
    let lines = log.lines().filter(|line| !line.starts_with("═══")).map(str::to_owned).collect();
    (outcome, lines)
}

/// What each knob's program sees of it.
type Facts = BTreeMap<String, Vec<String>>;

fn facts(conditions: &Conditions) -> Facts {
    let (outcome, lines) = round(&world().derivation, conditions, false);
    assert_eq!(outcome.conditions, *conditions);
    let mut facts = Facts::new();
    for line in lines {
        let (knob, fact) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        facts.entry(knob.to_owned()).or_default().push(fact.to_owned());
    }
    facts
}

/// The names of what is seen to differ. Clocks go on between two rounds, and random bytes are never the same twice.
fn seen(one: &Facts, other: &Facts) -> BTreeSet<String> {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    let differs = |name: &&String| {
        let (a, b) = (&one[*name], &other[*name]);
        let far = |(a, b): (&String, &String)| a.parse::<i64>().unwrap().abs_diff(b.parse().unwrap()) > 86_400;
        match name.as_str() {
            "clock" | "uptime" => {
                let moved = a.iter().zip(b).filter(|pair| far(*pair)).count();
                assert!([0, a.len()].contains(&moved), "each way to ask says the same: {a:?} {b:?}");
                moved > 0
            }
            "random" => false,
            _ => a != b,
        }
    };
    one.keys().filter(differs).cloned().collect()
}

fn plain() -> &'static Facts {
    static PLAIN: OnceLock<Facts> = OnceLock::new();
    PLAIN.get_or_init(|| facts(&Conditions::plain(3)))
}

fn at(knob: Knob, level: &str) -> Conditions {
    Conditions::at(world().derivation.id(), 2, 3, 2, &BTreeMap::from([(knob, level.to_owned())]))
}

#[test]
fn a_plain_round_shows_the_same_again() {
    let again = facts(&Conditions::plain(3));
    assert_eq!(seen(plain(), &again), BTreeSet::new());
    for knob in Knob::ALL {
        assert!(plain().contains_key(knob.name()), "nothing is looked at for {knob}");
    }
    // What the jail was like before there were knobs, in words.
    let is = |name: &str, expected: &[&str]| assert_eq!(plain()[name], expected, "{name}");
    is("jobs", &["3"]);
    is("uid", &["1000 1000 1000 1000, /out 1000 1000", "1000", "Gid:\t1000\t1000\t1000\t1000"]);
    is("user", &["builder builder", "builder"]);
    is("home", &["/build", "/build", "can be written"]);
    is("build-path", &["/build/src", "/build/src"]);
    is("locale", &["C.UTF-8 unset unset"]);
    is("time-zone", &["UTC 0"]);
    is("umask", &["022 644"]);
    is("environment", &["0 variables of 0 bytes"]);
    is("terminal", &["dumb unset unset", "pipe pipe, 0 0, 0 by 0"]);
    is("stdin", &["device, reads 0"]);
    is("machine-id", &["00000000000000000000000000000000"]);
    is("inode-order", &["forwards"]);
    is("file-system", &["/tmp in memory, mode 1777", if below_is_overlay() { "overlay" } else { "the disk's" }]);
}

/// The heart: each knob at each of its levels is seen, and nothing else is.
#[test]
fn each_knob_is_seen_and_moves_nothing_else() {
    for knob in Knob::ALL.into_iter().filter(|knob| *knob != Knob::Random) {
        for level in knob.levels() {
            if level.name == "overlay" && below_is_overlay() {
                continue; // see an_overlay_that_the_kernel_does_not_give_is_refused_by_name
            }
            let moved = facts(&at(knob, level.name));
            let expected = BTreeSet::from([knob.name().to_owned()]);
            let name = (knob.name(), level.name);
            assert_eq!(seen(plain(), &moved), expected, "{name:?}: {:?} {:?}", plain()[name.0], moved[name.0]);
        }
    }
}

/// Two rounds never see the same random bytes, unless the knob holds them still.
#[test]
fn random_bytes_come_again_only_where_they_are_held() {
    let again = facts(&Conditions::plain(3));
    let kinds = |facts: &Facts| facts["random"].iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let expected: Vec<String> = ["getrandom", "udevice", "device", "start"].map(str::to_owned).to_vec();
    for (one, other) in plain()["random"].iter().zip(&again["random"]) {
        assert_ne!(one, other);
    }
    let held = at(Knob::Random, "seeded");
    let (one, other) = (facts(&held), facts(&held));
    assert_eq!(one["random"], other["random"]);
    assert_eq!(
        (kinds(&one), one["random"].iter().collect::<BTreeSet<_>>().len()),
        (expected, 4),
        "{:?}",
        one["random"]
    );
    assert_eq!(seen(plain(), &one), BTreeSet::new());
    let seed = Conditions::with(world().derivation.id(), 3, 3, 2, &BTreeSet::from([Knob::Random]));
    for (one, other) in one["random"].iter().zip(&facts(&seed)["random"]) {
        assert_ne!(one, other, "another round, another stream");
    }
}

#[test]
fn values_are_seen_as_they_were_drawn() {
    let conditions = at(Knob::Clock, "leap-day");
    let start = conditions.world.clock_start.unwrap();
    let clock: i64 = facts(&conditions)["clock"][0].parse().unwrap();
    // Until a year before that day; later the day is one of 28 years later.
    assert!((0..3600).contains(&((clock - start) % (10_227 * 86_400))), "{clock} is not just after {start}");
    let other = facts(&at(Knob::TimeZone, "east"));
    assert_eq!(other["time-zone"], ["<+14>-14 50400"]);
    assert_eq!(facts(&at(Knob::Umask, "closed"))["umask"], ["077 600"]);
    assert_eq!(facts(&at(Knob::Stdin, "pipe"))["stdin"], ["pipe, reads 0"]);
    assert_eq!(facts(&at(Knob::Stdin, "file"))["stdin"], ["file, reads 0"]);
    assert_eq!(facts(&at(Knob::Cpus, "one"))["cpus"], ["affinity 1", "cpuinfo 1", "stat 1"]);
    let names = facts(&at(Knob::DirectoryOrder, "backwards"))["directory-order"][0].clone();
    let names: Vec<&str> = names.split(' ').collect();
    let mut sorted = names[2..].to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((&names[..2], &names[2..]), (&[".", ".."][..], &sorted[..]));
    let pty = at(Knob::Terminal, "pty");
    let (columns, rows) = pty.terminal.size.unwrap();
    let told = &facts(&pty)["terminal"];
    assert_eq!(told[0], format!("{} {columns} {rows}", pty.terminal.term));
    assert_eq!(told[1], format!("device device, 1 1, {columns} by {rows}"));
    let home = at(Knob::Home, "other");
    assert_eq!(facts(&home)["home"], [home.home.as_str(), &home.home, "can be written"]);
}

/// Whether the tests' own store is on an overlay, as in most containers; the kernel lays none over another there.
fn below_is_overlay() -> bool {
    const OVERLAYFS: u64 = 0x794c_7630;
    rustix::fs::statfs(world().store.path()).unwrap().f_type as u64 == OVERLAYFS
}

/// Never a weaker round than was asked for: where the kernel gives no overlay for the build directory there is none.
#[test]
fn an_overlay_that_the_kernel_does_not_give_is_refused_by_name() {
    let world = world();
    let mut order = Order {
        derivation: world.derivation.clone(),
        round: 2,
        conditions: at(Knob::FileSystem, "overlay"),
        limits: Limits::default(),
        check: false,
    };
    let launcher = Launcher::with_program(parton());
    let executor = Local { store: &world.store, launcher: &launcher };
    let result = executor.execute(&order, &|_| {}, &Cancel::new());
    if below_is_overlay() {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("mount an overlay over") && error.contains("at /build"), "{error}");
    } else {
        assert!(result.unwrap().output().is_some());
        // What was made on it lies in the directory below, as ever: it can be entered again.
        order.derivation.phases = vec![phase("noise 1"), phase("noise 2")];
        let (_, lines) = round(&order.derivation, &order.conditions, false);
        assert_eq!(lines, ["y", "yy"]);
    }
}

#[test]
fn all_knobs_move_together() {
    let all = Conditions::with(world().derivation.id(), 2, 3, 2, &Knob::ALL.into());
    let moved = seen(plain(), &facts(&all));
    let expected = Knob::ALL.into_iter().filter(|knob| *knob != Knob::Random).map(|knob| knob.name().to_owned());
    assert_eq!(moved, expected.collect());
    assert_eq!(Knob::ALL.iter().filter(|knob| knob.class() == Class::Open).count(), 13);
}

/// What is written to a terminal reaches its other end when the kernel finds time for it; the end of a step must wait.
#[test]
fn nothing_that_is_written_to_a_terminal_is_lost() {
    let mut derivation = world().derivation.clone();
    derivation.phases = [1_000_000, 1, 70_000, 4_095, 4_096].map(|n| phase(&format!("noise {n}"))).to_vec();
    let (_, lines) = round(&derivation, &at(Knob::Terminal, "pty"), false);
    // Longer lines come in pieces of 64 KiB.
    let full = [vec![65_536; 15], vec![16_960], vec![1], vec![65_536, 4_464], vec![4_095], vec![4_096]].concat();
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), full);
    assert!(lines.iter().all(|line| line.bytes().all(|byte| byte == b'y')));
}

/// The package's own tests get an empty /tmp, and one of their own, wherever it lies.
#[test]
fn tests_get_a_fresh_tmp_on_disk_too() {
    let mut derivation = world().derivation.clone();
    derivation.phases = vec![phase("noise 4"), phase("noise 5")];
    derivation.check = Some(Phase { name: "check".to_owned(), ..phase("noise 5") });
    for level in ["tmp-on-disk", "none"] {
        let (_, lines) = round(&derivation, &at(Knob::FileSystem, level), true);
        assert_eq!(lines, ["yyyy", "nyyyyy", "yyyyy"], "one /tmp for all phases, another for the tests: {level}");
    }
}

// ---- the walk of a package's builds over the conditions, through the program ---------------------------------------

fn show(env: &Env, name: &str) -> serde_json::Value {
    env.run(&["show", name, "--json"]).ok().json()
}

fn pairs(record: &serde_json::Value) -> u64 {
    ["open", "sealed", "mixed"].iter().map(|class| record["coverage"][class]["pairs"].as_u64().unwrap()).sum()
}

/// Each build of a package brings other conditions together, a new version's too; several rounds at once do the same.
#[test]
fn coverage_grows_with_every_build() {
    let env = Env::workspace();
    // Not known from an earlier run of the tests.
    let script = |version: u32| format!("echo {version} > $OUT/usr/x # {}", env.path().display());
    let (walked, at_once) = (&format!("walked-{}", std::process::id()), &format!("at-once-{}", std::process::id()));
    env.script(walked, &script(1));
    let _ = env.run(&["build", walked]).ok();
    let first = show(&env, walked);
    assert_eq!(pairs(&first), 22 * 21 / 2, "every two of the knobs once");
    assert_eq!(first["history"], serde_json::json!([]));
    let moved = |record: &serde_json::Value, class: &str| -> Vec<String> {
        let list = record["varied"][0][class].as_array().unwrap();
        list.iter().map(|moved| moved["knob"].as_str().unwrap().to_owned()).collect()
    };
    let everyday = |class: Class| -> Vec<String> {
        let all = Knob::ALL.into_iter().filter(|knob| knob.class() == class && knob.everyday().next().is_some());
        all.map(|knob| knob.name().to_owned()).collect()
    };
    assert_eq!(moved(&first, "open"), everyday(Class::Open));
    assert_eq!(moved(&first, "sealed"), everyday(Class::Sealed));

    let _ = env.run(&["build", walked, "--rebuild"]).ok();
    let second = show(&env, walked);
    env.script(walked, &script(2));
    let text = env.run(&["build", walked]).ok().stdout;
    let third = show(&env, walked);
    assert!(pairs(&second) > pairs(&first) && pairs(&third) > pairs(&second));
    assert_ne!(third["id"], second["id"]);
    assert_eq!(third["history"].as_array().unwrap().len(), 2);
    assert!(text.contains(&format!("covered  {} of ", pairs(&third))), "{text}");
    assert!(text.contains("2 rounds of earlier builds counted"), "{text}");
    assert_eq!(moved(&third, "open"), everyday(Class::Open), "whatever was covered before");

    // The same walk in one go.
    env.script(at_once, &script(1));
    let _ = env.run(&["build", at_once, "--rounds", "4"]).ok();
    let four = show(&env, at_once);
    assert_eq!(four["coverage"], third["coverage"]);
    // What is there is part of what is asked for, so that rounds that are missing are those that would have been run.
    let _ = env.run(&["build", at_once, "--rounds", "5"]).ok();
    let five = show(&env, at_once);
    assert_eq!(five["rounds"].as_array().unwrap()[..4], four["rounds"].as_array().unwrap()[..]);
    assert!(pairs(&five) > pairs(&four));
}

/// By hand: only what is named moves, and whether open or sealed conditions are behind a difference makes the verdict.
#[test]
fn conditions_are_chosen_by_hand_and_a_leak_is_told_from_a_failure() {
    let env = Env::workspace();
    // What an earlier run of the tests covered would count.
    let leaky = &format!("leaky-{}", std::process::id());
    env.script(
        leaky,
        &format!("{{ date +%m-%d; cat /proc/sys/kernel/hostname; }} > $OUT/usr/x # {}", env.path().display()),
    );
    let sealed = env.run(&["build", leaky, "--vary", "host-name=long,user"]).code(3);
    assert!(sealed.stdout.contains("open    nothing moved\n"), "{}", sealed.stdout);
    assert!(sealed.stdout.contains("sealed  other host-name, user\n"), "{}", sealed.stdout);
    assert!(
        sealed.stdout.contains("leaks: 1 difference, where only sealed conditions were moved: a leak"),
        "{}",
        sealed.stdout
    );
    assert!(sealed.stderr.contains("leaks what the jail holds still otherwise"), "{}", sealed.stderr);
    let record = show(&env, leaky);
    assert_eq!((&record["verdict"], &record["coverage"]["sealed"]["pairs"]), (&"leaks".into(), &0.into()));
    assert!(record["varied"][0]["sealed"][0]["to"].as_str().unwrap().ends_with(".example"));

    // One job is what there is already: what differs then does so by chance, and nobody's jail holds that.
    let random = &format!("random-{}", std::process::id());
    env.script(random, &format!("od -An -N8 -tx8 /dev/urandom > $OUT/usr/x # {}", env.path().display()));
    let chance = env.run(&["build", random, "--vary", "jobs=one", "--jobs", "1"]).code(3);
    assert!(
        chance.stdout.contains("differs: 1 difference, where nothing was moved: chance, or a race"),
        "{}",
        chance.stdout
    );

    let open = env.run(&["build", leaky, "--vary", "clock=leap-day"]).code(3);
    assert!(
        open.stdout.contains("differs: 1 difference, where only open conditions were moved: a failure"),
        "{}",
        open.stdout
    );
    assert!(show(&env, leaky)["differences"][0]["line"].as_str().unwrap().contains("02-29"), "{}", open.stdout);
    assert_eq!(show(&env, leaky)["verdict"], "differs");

    let neither = env.run(&["build", leaky, "--vary", "jobs,locale,random", "--verbose"]).ok();
    assert!(neither.stdout.contains("identical in 2 rounds"), "{}", neither.stdout);
    assert!(neither.stdout.contains("open    random=seeded: new each time → seeded by "), "{}", neither.stdout);
}

#[test]
fn what_can_be_varied_is_listed_and_mistakes_are_named() {
    let env = Env::workspace();
    let list = env.run(&["conditions"]).ok().stdout;
    for knob in Knob::ALL {
        let line = list.lines().find(|line| line.split_whitespace().nth(1) == Some(knob.name())).unwrap();
        assert!(line.starts_with(knob.class().name()), "{line}");
        assert!(knob.levels().iter().all(|level| list.contains(level.name)), "{knob}");
    }
    let page = fs::read_to_string(crate::common::project().join("docs/conditions.md")).unwrap();
    for knob in Knob::ALL {
        let mark = |level: &parton::build::Level| format!("`{}`{}", level.name, if level.everyday { "" } else { "*" });
        let levels: Vec<String> = knob.levels().iter().map(mark).collect();
        let row = format!("| `{knob}` | {} | {} |", knob.class().name(), levels.join(", "));
        assert!(page.contains(&row), "docs/conditions.md has no row that begins with {row}");
    }
    let json = env.run(&["conditions", "--json"]).ok().json();
    assert_eq!((&json["schema"], &json["knobs"][3]["name"]), (&"parton.conditions/1".into(), &"clock".into()));
    env.script("x", "echo > $OUT/usr/x");
    for (word, told) in [
        ("clocks", "no knob is called 'clocks'; there are jobs, cpus, "),
        ("clock=noon", "clock has no level 'noon', only later-year, year-end, leap-day"),
    ] {
        let run = env.run(&["build", "x", "--vary", word]).code(2);
        assert!(run.stderr.contains(told) && run.stderr.contains("`parton conditions` lists all"), "{}", run.stderr);
    }
}
