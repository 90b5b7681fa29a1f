//! `parton build` from end to end: real sandboxes, the real seed, small packages made here. Needs user namespaces, and
//! the machine's package archive once, for the seed.

use crate::common::{Env, Run};
use parton::base::Sha256;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

impl Env {
    /// A package with these files as its source and this text behind its `[package]` and `[[source]]` tables.
    pub fn package(&self, name: &str, files: &[(&str, &str)], rest: &str) {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o644 });
            header.set_mtime(1_600_000_000);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, format!("{name}-1.0/{path}"), text.as_bytes()).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        let url = format!("file://{}/{name}-1.0.tar", self.path().display());
        self.write(&format!("{name}-1.0.tar"), &bytes);
        let mut spec = String::new();
        write!(
            spec,
            "[package]\nname = \"{name}\"\nversion = \"1.0\"\nlicense = \"Apache-2.0\"\n\n\
             [[source]]\nurls = [\"{url}\"]\nsha256 = \"{}\"\n\n{rest}",
            Sha256::of(&bytes)
        )
        .unwrap();
        self.write(&format!("specs/{name}/spec.toml"), spec);
    }

    /// A package whose install phase is this script.
    pub fn script(&self, name: &str, script: &str) {
        self.package(
            name,
            &[("README", "a test\n"), ("b", "b"), ("a", "a"), ("c", "c"), ("d", "d")],
            &format!(
                "[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = '''\nmkdir -p $OUT/usr\n{script}\n'''\n"
            ),
        );
    }
}

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

const MAKE_HELLO: &str = "[build]\nsystem = \"script\"\n\n[build.phases]\ncompile = \"cc $CFLAGS -o hello hello.c\"\n\
                          install = \"mkdir -p $OUT/usr/bin && cp hello $OUT/usr/bin/\"\n";

#[test]
fn a_program_is_built_twice_against_musl_and_known_afterwards() {
    let env = Env::workspace();
    env.package("hello", &[("hello.c", HELLO)], MAKE_HELLO);
    let report = env.run(&["build", "hello", "--rebuild", "--json"]).ok().json();
    assert_eq!(report["schema"], "parton.build/1");
    let record = &report["packages"][0]["state"]["record"];
    assert_eq!(record["verdict"], "identical", "{record:#}");
    assert_eq!(record["rounds"].as_array().unwrap().len(), 2);
    let end = &record["rounds"][1]["end"];
    assert_eq!(end["programs"][0]["interpreter"], "/lib/ld-musl-x86_64.so.1");
    assert_eq!(end["programs"][0]["needed"][0], "libc.so");
    assert_eq!(record["rounds"][0]["source_date"], 1_600_000_000);
    assert!(record["rounds"][0]["walls"].as_array().unwrap().len() > 5);

    let again = env.run(&["build", "hello", "--json"]).ok().json();
    assert_eq!(again["packages"][0]["state"]["kind"], "known");
    assert_eq!(again["packages"][0]["output"], end["tree"]);
    let path = env.command(&["store", "path", "hello"]).output().unwrap();
    let path = String::from_utf8(path.stdout).unwrap();
    assert!(std::path::Path::new(path.trim()).join("usr/bin/hello").is_file());
}

#[test]
fn one_round_proves_nothing_and_says_so() {
    let env = Env::workspace();
    env.script("single", "echo 1 > $OUT/usr/one");
    let run = env.run(&["build", "single", "--rounds", "1", "--rebuild"]).ok();
    assert!(run.stdout.contains("unproved: built once"), "{}", run.stdout);
    // What one round came to is not enough for two.
    let run = env.run(&["build", "single"]).ok();
    assert!(run.stdout.contains("identical in 2 rounds"), "{}", run.stdout);
}

/// The log of each round of the last build: no two are the same where the script prints a clock.
fn logs(env: &Env, name: &str) -> Vec<String> {
    let record = env.run(&["show", name, "--json"]).ok().json();
    record["rounds"].as_array().unwrap().iter().map(|round| round["log"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_the_rounds_that_are_missing_are_run() {
    let env = Env::workspace();
    // Not known from an earlier run of the tests: the script says which run this is.
    env.script("resumed", &format!("date +%s.%N; : {}; echo x > $OUT/usr/x", std::process::id()));
    let _ = env.run(&["build", "resumed", "--rounds", "1"]).ok();
    let once = logs(&env, "resumed");
    let run = env.run(&["build", "resumed", "--rounds", "2"]).ok();
    assert!(run.stdout.contains("identical in 2 rounds"), "{}", run.stdout);
    assert!(run.stderr.contains("resumed: round 1 was built before"), "{}", run.stderr);
    let twice = logs(&env, "resumed");
    assert_eq!((twice.len(), &twice[..1]), (2, once.as_slice()));
    let run = env.run(&["build", "resumed", "--rounds", "3"]).ok();
    assert!(run.stdout.contains("identical in 3 rounds"), "{}", run.stdout);
    let thrice = logs(&env, "resumed");
    assert_eq!((thrice.len(), &thrice[..2]), (3, twice.as_slice()));
    let run = env.run(&["build", "resumed", "--rounds", "3", "--rebuild"]).ok();
    assert!(run.stdout.contains("identical in 3 rounds"), "{}", run.stdout);
    assert!(logs(&env, "resumed").iter().all(|log| !thrice.contains(log)));

    // Under other conditions a round is another round; where its log is gone there is no proof of it.
    let before = logs(&env, "resumed");
    let _ = env.run(&["build", "resumed", "--rounds", "4", "--jobs", "7"]).ok();
    assert!(logs(&env, "resumed").iter().all(|log| !before.contains(log)));
    let before = logs(&env, "resumed");
    std::fs::remove_file(env.store().join("log").join(&before[2])).unwrap();
    let _ = env.run(&["build", "resumed", "--rounds", "5", "--jobs", "7"]).ok();
    let after = logs(&env, "resumed");
    assert_eq!((&after[..2], &after[3..4]), (&before[..2], &before[3..]));
    assert_ne!(after[2], before[2]);
}

#[test]
fn a_round_without_the_tests_that_are_wanted_is_run_again() {
    let env = Env::workspace();
    let install = format!("date +%s.%N; : {}; mkdir -p $OUT; cp x $OUT/", std::process::id());
    let rest = format!(
        "[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"{install}\"\n\n[check]\nscript = \"date +%N\"\n"
    );
    env.package("untested", &[("x", "x")], &rest);
    let _ = env.run(&["build", "untested", "--rounds", "2", "--no-check"]).ok();
    let before = logs(&env, "untested");
    let _ = env.run(&["build", "untested", "--rounds", "3"]).ok();
    let after = logs(&env, "untested");
    assert_eq!((after.len(), &after[1]), (3, &before[1]));
    assert_ne!(after[0], before[0]);
}

#[test]
fn no_round_of_a_build_that_failed_is_kept() {
    let env = Env::workspace();
    let script = format!("date +%s.%N; : {}; test $JOBS = 2; echo x > $OUT/usr/x", std::process::id());
    env.script("half", &script);
    let args = ["build", "half", "--jobs", "2", "--parallel", "1"];
    let _ = env.run(&args).code(1);
    let before = logs(&env, "half");
    let _ = env.run(&args).code(1);
    let after = logs(&env, "half");
    assert_eq!((before.len(), after.len()), (2, 2));
    assert!(after.iter().all(|log| !before.contains(log)));
}

#[test]
fn a_killed_build_loses_only_the_round_that_ran() {
    let env = Env::workspace();
    let unique = std::process::id();
    env.script("killed-between", &format!(": {unique}; test $JOBS = 2 || sleep 10; echo x > $OUT/usr/x"));
    let args = ["build", "killed-between", "--jobs", "2", "--parallel", "1"];
    let mut child = env.command(&args).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    // An earlier run of the tests left a record of both rounds.
    let one = |run: Run| run.code == Some(0) && run.json()["rounds"].as_array().unwrap().len() == 1;
    while !one(env.run(&["show", "killed-between", "--json"])) {
        assert!(begun.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = logs(&env, "killed-between");
    assert_eq!(before.len(), 1);
    let shown = env.run(&["show", "killed-between"]).ok();
    assert!(shown.stdout.contains("unproved: built once"), "{}", shown.stdout);
    // What asks for one round has it; what asks for two has not.
    let one = env.run(&["build", "killed-between", "--rounds", "1", "--json"]).ok().json();
    assert_eq!(one["packages"][0]["state"]["kind"], "known");
    let run = env.run(&args).ok();
    assert!(run.stdout.contains("identical in 2 rounds"), "{}", run.stdout);
    assert_eq!(logs(&env, "killed-between")[0], before[0]);
}

/// Builds a package that leaks, and returns what parton says of it.
fn leak(name: &str, script: &str) -> Run {
    let env = Env::workspace();
    env.script(name, script);
    env.run(&["build", name, "--rebuild"]).code(3)
}

#[test]
fn a_date_is_found() {
    let run = leak("leak-date", "date > $OUT/usr/when");
    assert!(run.stdout.contains("usr/when"), "{}", run.stdout);
    assert!(run.stderr.contains("leak-date is not reproducible"), "{}", run.stderr);
}

#[test]
fn a_date_that_a_static_program_reads_is_found() {
    let env = Env::workspace();
    let source = "#include <stdio.h>\n#include <time.h>\n\
                  int main(void) { time_t t = time(0); printf(\"%d\\n\", gmtime(&t)->tm_year); return 0; }\n";
    env.package(
        "leak-year",
        &[("year.c", source)],
        "[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = '''\ncc -static -o year year.c\nmkdir -p $OUT/usr\n\
         ./year > $OUT/usr/year\n'''\n",
    );
    let run = env.run(&["build", "leak-year", "--rebuild"]).code(3);
    assert!(run.stdout.contains("usr/year"), "{}", run.stdout);
}

#[test]
fn every_other_condition_is_found() {
    for (name, script) in [
        ("leak-host", "uname -n > $OUT/usr/x"),
        ("leak-kernel", "uname -r > $OUT/usr/x"),
        ("leak-order", "for i in 1 2 3 4 5 6 7 8 9; do : > f$i; done; ls -U > $OUT/usr/x"),
        ("leak-jobs", "echo $JOBS > $OUT/usr/x"),
        ("leak-cpus", "nproc > $OUT/usr/x"),
        ("leak-cpuinfo", "grep -c ^processor /proc/cpuinfo > $OUT/usr/x"),
        ("leak-memory", "grep MemTotal /proc/meminfo > $OUT/usr/x"),
        ("leak-pid", "echo $$ > $OUT/usr/x"),
        ("leak-user", "id -un > $OUT/usr/x"),
        ("leak-noise", "env | grep PARTON_NOISE > $OUT/usr/x || :"),
        ("leak-addresses", "grep stack /proc/self/maps > $OUT/usr/x"),
        ("leak-inodes", "ls -i a b c d | sort -n | sed 's/.* //' > $OUT/usr/x"),
    ] {
        let run = leak(name, script);
        assert!(run.stdout.contains("usr/x"), "{name}: {}", run.stdout);
    }
}

#[test]
fn a_failing_phase_shows_its_log_and_its_state_can_be_entered() {
    let env = Env::workspace();
    env.script("breaks", "echo precious > state\necho about to fail\nfalse");
    let run = env.run(&["build", "breaks", "--rebuild"]).code(1);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("about to fail"), "{said}");
    assert!(said.contains("phase install exited with 1"), "{said}");
    assert!(said.contains("parton shell breaks"), "{said}");
    let shell = env.run(&["shell", "breaks", "-c", "cat state; echo $OUT; id -u"]).ok();
    assert_eq!(shell.stdout, "precious\n/out\n1000\n");
    assert!(env.run(&["log", "breaks"]).ok().stdout.contains("about to fail"));
    // More than one failure is kept; the shell is at the last one.
    env.script("breaks", "echo newer > state\nfalse");
    let _ = env.run(&["build", "breaks", "--rounds", "1"]).code(1);
    assert_eq!(env.run(&["shell", "breaks", "-c", "cat state"]).ok().stdout, "newer\n");
}

#[test]
fn an_undeclared_library_is_refused() {
    let env = Env::workspace();
    let files = [("hello.c", HELLO), ("lib.c", "int f(void) { return 1; }\n")];
    env.package(
        "undeclared",
        &files,
        "[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = '''\ncc -shared -fPIC -o libf.so lib.c -Wl,-soname,libf.so.1\n\
         cc -o hello hello.c -Wl,--no-as-needed -L. -lf\nmkdir -p $OUT/usr/bin\ncp hello $OUT/usr/bin/\n'''\n",
    );
    let run = env.run(&["build", "undeclared", "--rebuild"]).code(1);
    assert!(run.stdout.contains("usr/bin/hello asks for libf.so.1, which no declared need provides"), "{}", run.stdout);
}

#[test]
fn nothing_of_the_host_is_there() {
    let env = Env::workspace();
    let host = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = if host.trim().is_empty() { "none" } else { host.trim() };
    env.script(
        "sealed",
        &format!(
            "for path in /root /home /work /usr/lib/rustlib /etc/debian_version /sys/class /var/lib/dpkg; do\n\
         test ! -e $path || {{ echo \"$path is visible\"; exit 1; }}\ndone\n\
         grep -qx '[0-9a-f]\\{{32\\}}' /etc/machine-id && ! grep -q {host} /etc/machine-id\n\
         for path in /usr/bin/x /etc/x /sysroot/x /x; do\n  ! (: > $path) 2>/dev/null || exit 1\ndone\n\
         ls /proc/net/dev && test $(grep -c : /proc/net/dev) = 1\n\
         env | sort > $OUT/usr/env.$JOBS; rm $OUT/usr/env.*; echo fine > $OUT/usr/x"
        ),
    );
    env.run(&["build", "sealed", "--rebuild"]).ok();
}

#[test]
fn what_is_linked_against_is_built_first_and_a_comment_rebuilds_one() {
    let env = Env::workspace();
    let library = |comment: &str| {
        env.package(
            "libone",
            &[("one.c", &format!("/* {comment} */ int one(void) {{ return 1; }}\n")), ("one.h", "int one(void);\n")],
            "[build]\nsystem = \"script\"\n\n[build.phases]\ncompile = \"cc -shared -fPIC -o libone.so.1 one.c -Wl,-soname,libone.so.1\"\n\
             install = '''\nmkdir -p $OUT/usr/lib $OUT/usr/include\ncp libone.so.1 $OUT/usr/lib/\nln -s libone.so.1 $OUT/usr/lib/libone.so\n\
             cp one.h $OUT/usr/include/\n'''\n",
        );
    };
    // Not known from an earlier run of the tests: the comments say which run this is.
    let run = std::process::id();
    library(&format!("first, {run}"));
    env.package(
        "user",
        &[("user.c", "#include <one.h>\nint main(void) { return one() - 1; }\n")],
        "[needs]\nhost = [\"libone\"]\n\n[build]\nsystem = \"script\"\n\n[build.phases]\ncompile = \"cc -o user user.c -lone\"\n\
         install = \"mkdir -p $OUT/usr/bin && cp user $OUT/usr/bin/\"\n\n[check]\nscript = \"./user\"\n",
    );
    let first = env.run(&["build", "user", "--json"]).ok().json();
    assert_eq!(first["packages"][0]["name"], "libone");
    assert_ne!(first["packages"][1]["output"], serde_json::Value::Null);

    library(&format!("second, only a comment, {run}"));
    let second = env.run(&["build", "user", "--json"]).ok().json();
    let states: Vec<&str> =
        second["packages"].as_array().unwrap().iter().map(|p| p["state"]["kind"].as_str().unwrap()).collect();
    assert_eq!(states, ["built", "known"], "an equal output rebuilds nothing above it");
    let why = env.run(&["why-rebuild", "user"]).ok();
    assert!(why.stdout.contains("would not be built again"), "{}", why.stdout);
}

#[test]
fn a_failing_test_suite_fails_the_build() {
    let env = Env::workspace();
    env.package(
        "untested",
        &[("x", "x")],
        "[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"mkdir -p $OUT/usr && cp x $OUT/usr/\"\n\n\
         [check]\nscript = \"touch $OUT/usr/y 2>/dev/null && echo could write; exit 7\"\n",
    );
    let run = env.run(&["build", "untested", "--rebuild"]).code(1);
    assert!(run.stdout.contains("phase check exited with 7"), "{}", run.stdout);
    assert!(!env.run(&["log", "untested"]).ok().stdout.contains("could write"), "the output must be out of reach");
    env.run(&["build", "untested", "--no-check", "--rebuild"]).ok();
}

#[test]
fn a_build_that_does_not_end_is_stopped_by_name() {
    let env = Env::workspace();
    let spec = |name: &str, script: &str, limits: &str| {
        env.package(
            name,
            &[("x", "x")],
            &format!(
                "[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = '''\n{script}\n'''\n\n[limits]\n{limits}\n"
            ),
        );
    };
    spec("hangs", "sleep 1000", "time = \"2s\"");
    spec("silent", "echo x; sleep 1000", "silence = \"2s\"");
    spec("forks", "f() { f & f; }; f", "time = \"5s\"\nprocesses = 64");
    let begun = Instant::now();
    for (name, words) in [("hangs", "longer than 2 s"), ("silent", "no output for 2 s")] {
        let run = env.run(&["build", name, "--rebuild"]).code(1);
        assert!(run.stdout.contains(words), "{name}: {}", run.stdout);
    }
    let _ = env.run(&["build", "forks", "--rebuild"]).code(1);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_wrong_hash_and_a_missing_file_have_an_exit_code_of_their_own() {
    let env = Env::workspace();
    env.script("tampered", ":");
    env.write("tampered-1.0.tar", "other bytes");
    let run = env.run(&["--offline", "build", "tampered"]).code(5);
    assert!(run.stderr.contains("tampered"), "{}", run.stderr);
    std::fs::remove_file(env.path().join("tampered-1.0.tar")).unwrap();
    let _ = env.run(&["--offline", "build", "tampered"]).code(5);
}

#[test]
fn two_partons_build_one_package_once() {
    let env = Env::workspace();
    env.script("slow", "sleep 2; date +%s%N > /dev/null; echo x > $OUT/usr/x");
    // Not known from an earlier run of the tests: the script says which run this is.
    let unique = format!("sleep 2; : {}; echo x > $OUT/usr/x", std::process::id());
    env.script("slow", &unique);
    let children: Vec<_> = (0..2)
        .map(|_| {
            let mut command = env.command(&["build", "slow", "--json"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<serde_json::Value> = children
        .into_iter()
        .map(|child| {
            let out = child.wait_with_output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            serde_json::from_slice(&out.stdout).unwrap()
        })
        .collect();
    let id = |n: usize| outputs[n]["packages"][0]["output"].clone();
    assert_eq!(id(0), id(1));
    let wall = |n: usize| outputs[n]["packages"][0]["state"]["record"]["rounds"][0]["wall"].clone();
    assert_eq!(wall(0), wall(1), "the second one took over what the first one built");
}

#[test]
fn the_store_a_build_leaves_is_sound_and_can_be_swept() {
    let env = Env::with_own_store();
    env.copy_seed();
    env.script("sound", "echo x > $OUT/usr/x");
    let first = env.run(&["build", "sound", "--json"]).ok().json();
    let _ = env.run(&["store", "verify"]).ok();
    let _ = env.run(&["gc"]).ok();
    let _ = env.run(&["store", "verify"]).ok();
    let again = env.run(&["--offline", "build", "sound", "--json"]).ok().json();
    assert_eq!(again["packages"][0]["state"]["kind"], "known", "a sweep keeps what a package's name means");
    assert_eq!(first["packages"][0]["output"], again["packages"][0]["output"]);

    // A package means its last output, with whichever profile.
    assert_eq!(env.run(&["diff", "sound", "sound@seed"]).ok().stdout, "no differences\n");
    env.write("other/usr/x", "y\n");
    let told = env.run(&["diff", "sound", "other"]).code(3).stdout;
    assert!(told.contains("usr/x\n  line 1: 'x' → 'y'\n"), "{told}");

    let path = env.command(&["store", "path", "sound"]).output().unwrap();
    let file = std::path::Path::new(String::from_utf8(path.stdout).unwrap().trim()).join("usr/x");
    std::fs::write(&file, "y").unwrap();
    let run = env.run(&["store", "verify"]).code(1);
    assert!(run.stdout.contains("1 damaged") && run.stderr.contains("--repair"), "{}{}", run.stdout, run.stderr);
    let _ = env.run(&["store", "verify", "--repair"]).ok();
    let _ = env.run(&["--offline", "build", "sound"]).ok();
    let _ = env.run(&["store", "verify"]).ok();
}

#[test]
fn two_needs_that_would_hide_one_another_are_refused() {
    let env = Env::workspace();
    env.script("left", "echo same > $OUT/usr/same; echo left > $OUT/usr/other");
    env.script("right", "echo same > $OUT/usr/same; echo right > $OUT/usr/other");
    env.package(
        "both",
        &[("x", "x")],
        "[needs]\nhost = [\"left\", \"right\"]\n\n[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"cp x $OUT\"\n",
    );
    let run = env.run(&["build", "both"]).code(1);
    assert!(run.stderr.contains("left and right both have usr/other, and not the same"), "{}", run.stderr);
    env.script("right", "echo same > $OUT/usr/same");
    let _ = env.run(&["build", "both"]).ok();
}
