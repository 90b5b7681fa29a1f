//! `parton why`: what it says, what it remembers, and what it leaves alone.

use crate::common::Env;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// A script that leaks the host name, and whose files have the same permissions under every umask.
const LEAK: &str = "mkdir -p $OUT/usr/share\nuname -n > $OUT/usr/share/host\nchmod -R u=rwX,go=rX $OUT";

/// A package of one leak, which no earlier run of the tests has built.
fn leaking(env: &Env, name: &str) {
    env.script(name, &format!("{LEAK}\n: {}", env.path().display()));
}

#[test]
fn a_host_name_is_named_with_its_line_and_a_remedy() {
    let env = Env::workspace();
    env.script("why-host", LEAK);
    let run = env.run(&["why", "why-host", "--fresh"]).ok();
    for part in [
        "host-name (the jail holds it still: a leak)",
        "usr/share/host: line 1",
        "the host name: parton → varied-",
        "phase install:3  uname -n > $OUT/usr/share/host",
        "do  leave the host name out",
        "all but that: the same",
    ] {
        assert!(run.stdout.contains(part), "{part}\n{}", run.stdout);
    }
    let progress = "build 1: moves nothing (the baseline)";
    assert!(run.stderr.contains(progress), "{}", run.stderr);
    // With the cause removed there is nothing to find: it was this line.
    env.script("why-host", &LEAK.replace("uname -n", "echo parton"));
    let run = env.run(&["why", "why-host", "--fresh"]).ok();
    assert!(run.stdout.contains("nothing differs"), "{}", run.stdout);
    assert!(run.stdout.contains("2 of at most 32"), "{}", run.stdout);
}

#[test]
fn what_is_known_is_not_built_again() {
    let env = Env::workspace();
    leaking(&env, "why-again");
    let args = ["why", "why-again", "--json"];
    let known = |why: &serde_json::Value| -> Vec<bool> {
        why["builds"].as_array().unwrap().iter().map(|made| made["known"].as_bool().unwrap()).collect()
    };
    let cut = env.run(&["why", "why-again", "--json", "--builds", "4"]).json();
    assert_eq!(known(&cut), [false; 4]);
    let whole = env.run(&args).ok().json();
    let builds = known(&whole);
    assert!(builds.len() > 4 && builds[..4] == [true; 4] && !builds[4..].contains(&true), "{builds:?}");
    assert_eq!(whole["complete"], true);
    let again = env.run(&args).ok().json();
    assert!(known(&again).iter().all(|known| *known));
    assert_eq!(again["findings"], whole["findings"]);
    let fresh = env.run(&["why", "why-again", "--json", "--fresh"]).ok().json();
    assert!(!known(&fresh).contains(&true));
}

/// A search that is killed while it builds loses only that build.
#[test]
fn a_killed_search_goes_on() {
    let env = Env::workspace();
    leaking(&env, "why-killed");
    let mut child = env.command(&["why", "why-killed"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // What is said of the fourth build is said when the third is remembered.
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.into_iter().any(|line| line.contains("build 4: ")));
    child.kill().unwrap();
    child.wait().unwrap();
    let whole = env.run(&["why", "why-killed", "--json"]).ok().json();
    let known: Vec<bool> =
        whole["builds"].as_array().unwrap().iter().map(|made| made["known"].as_bool().unwrap()).collect();
    assert!(known.len() > 4 && known[..3] == [true; 3], "{known:?}");
}

/// Builds of a search are nobody's output: they change neither what is known of the package nor what is kept of its failed
/// rounds.
#[test]
fn the_record_of_a_package_is_left_alone() {
    let env = Env::workspace();
    leaking(&env, "why-record");
    let before = env.run(&["build", "why-record"]).code(3);
    assert!(before.stdout.contains("usr/share/host"), "{}", before.stdout);
    let record = env.run(&["show", "why-record", "--json"]).ok().stdout;
    let why = env.run(&["why", "why-record", "--json"]).ok().json();
    assert_eq!(why["findings"][0]["any"], serde_json::json!(["host-name"]), "{why:#}");
    assert_eq!(env.run(&["show", "why-record", "--json"]).ok().stdout, record);
    // Known or not, it still differs.
    let _ = env.run(&["build", "why-record"]).code(3);
    let _ = env.run(&["store", "verify"]).ok();
}

#[test]
fn a_condition_that_breaks_the_build_is_found() {
    let env = Env::workspace();
    let script = format!(": {}\numask 022\ntest $TERM = dumb\nuname -n > $OUT/usr/host", env.path().display());
    env.script("why-breaks", &script);
    let why = env.run(&["why", "why-breaks", "--json", "--builds", "60"]).json();
    let findings = why["findings"].as_array().unwrap();
    let of = |knob: &str| findings.iter().find(|finding| finding["any"] == serde_json::json!([knob]));
    let breaks = of("terminal").unwrap_or_else(|| panic!("{why:#}"));
    assert_eq!(breaks["places"], serde_json::json!([{ "path": "", "part": "" }]));
    let leak = of("host-name").unwrap_or_else(|| panic!("{why:#}"));
    assert_eq!(leak["places"][0]["path"], "usr/host");
    let text = env.run(&["why", "why-breaks", "--builds", "60"]).ok().stdout;
    assert!(text.contains("the build itself, which fails"), "{text}");
    // What those builds left is not the package's.
    assert_eq!(env.run(&["shell", "why-breaks", "-c", "test ! -e /nothing"]).ok().stdout, "");
}

#[test]
fn a_package_that_does_not_build_is_refused() {
    let env = Env::workspace();
    env.script("why-never", "false");
    let run = env.run(&["why", "why-never", "--fresh"]).code(1);
    assert!(run.stderr.contains("why-never does not build under plain conditions"), "{}", run.stderr);
    assert!(run.stderr.contains("`parton build why-never`"), "{}", run.stderr);
    let _ = env.run(&["why", "no-such-package"]).code(2);
}
