//! What a package was built from: by the plan of this repository, and for a real build.

use crate::common::Env;
use serde_json::Value;
use std::collections::BTreeSet;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn json(env: &Env, args: &[&str]) -> Value {
    serde_json::from_str(&env.run(args).ok().stdout).unwrap()
}

/// A rule for profiles that build for another machine made mistakes of this repository's own specs, and nobody asked: every other
/// test of `check` has specs made for it.
#[test]
fn the_specs_of_this_repository_have_no_mistakes() {
    let checked = json(&Env::with_own_store(), &["-C", ROOT, "check", "--json"]);
    assert!(checked["specs"].as_u64().unwrap() > 30, "{checked}");
}

/// The seed is behind all that ships, but no build of the profile `native`, and none of the two stages before it, can see a file
/// of it.
#[test]
fn nothing_native_sees_the_seed() {
    let env = Env::with_own_store();
    let packages: Vec<String> = std::fs::read_dir(format!("{ROOT}/specs"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        // These ship as stage 3 made them.
        .filter(|package| !["binutils", "gcc"].contains(&package.as_str()))
        .collect();
    assert!(packages.len() > 25);
    for package in &packages {
        let closure = json(&env, &["-C", ROOT, "--profile", "native", "closure", package, "--json"]);
        let members = closure["members"].as_array().unwrap();
        let profiles = |jails: u64| -> BTreeSet<&str> {
            members.iter().filter(|m| m["jails"] == jails).map(|m| m["profile"].as_str().unwrap()).collect()
        };
        assert_eq!(profiles(0), BTreeSet::from(["native"]), "{package}");
        assert!(profiles(1).is_subset(&BTreeSet::from(["native", "stage3"])), "{package}");
        assert!(profiles(1).contains("stage3"), "{package}");
        let seeds = closure["seeds"].as_array().unwrap();
        assert_eq!(seeds.len(), 1, "{package}");
        for seed in seeds {
            assert!(seed["jails"].as_u64().unwrap() >= 4, "{package} is nearer to a seed than three stages");
            let path = seed["path"].as_array().unwrap();
            let profiles: Vec<&str> =
                path.iter().filter_map(|s| s.as_str()?.rsplit_once('(')?.1.strip_suffix(')')).collect();
            let seeing = *profiles.last().unwrap();
            assert!(["stage1", "bootstrap"].contains(&seeing), "{package}: {seeing} sees a seed");
        }
    }
}

/// A package and a file of it come to the same account; a file that nobody installs has none.
#[test]
fn a_ledger_counts_the_seed_and_names_the_way() {
    let env = Env::workspace();
    // The store is shared with other tests and with earlier runs.
    let content = format!("{}\n", env.path().display());
    env.write("words.txt", &content);
    env.write(
        "specs/words/spec.toml",
        format!(
            "[package]\nname = \"words\"\nversion = \"1\"\nlicense = \"MIT\"\n\n[[source]]\nurls = \
             [\"file://{}/words.txt\"]\nsha256 = \"{}\"\nunpack = false\n\n[build]\nsystem = \"script\"\n\n\
             [build.phases]\ninstall = \"mkdir -p $OUT/usr/share && cp words.txt $OUT/usr/share/words-of-ours\"\n",
            env.path().display(),
            parton::base::Sha256::of(content.as_bytes()),
        ),
    );
    let before = json(&env, &["ledger", "words", "--json"]);
    assert_eq!(before["unproved"], serde_json::json!(["words (seed)"]), "it is not built yet");
    let _ = env.run(&["build", "words"]).ok();

    let ledger = json(&env, &["ledger", "words", "--json"]);
    assert_eq!(ledger["unproved"], serde_json::json!([]));
    assert_eq!(ledger["opaque"], ledger["seen"], "the quick seed is in the jail itself");
    assert!(ledger["opaque"].as_u64().unwrap() > 10 << 20);
    assert_eq!(ledger["seeds"][0]["path"], serde_json::json!(["words (seed)"]));
    assert_eq!((&ledger["file"], &ledger["diverse"]), (&Value::Null, &Value::Null));
    assert_eq!(ledger["uncovered"], ledger["opaque"], "nothing speaks for the quick seed");

    // By the path it is installed at, and as a copy under another name.
    for what in ["/usr/share/words-of-ours", "words.txt"] {
        let file = json(&env, &["ledger", what, "--json"]);
        assert_eq!(file["file"], "usr/share/words-of-ours");
        assert_eq!((&file["name"], &file["opaque"]), (&ledger["name"], &ledger["opaque"]));
    }
    env.write("usr/share/words-of-ours", "parton?\n");
    for what in ["usr/share/words-of-ours", "/usr/share/nobody's"] {
        let run = env.run(&["ledger", what]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains("no output of this profile holds a file"), "{}", run.stderr);
    }

    let text = env.run(&["closure", "words"]).ok().stdout;
    assert!(text.contains("seed specs/seed.lock: ") && text.contains("shown in its jail"), "{text}");
}

/// A compiler that puts a line before what it compiles, and one that does so in other words.
const HONEST: &str = "# toy compiler\n{ echo '#!/bin/sh'; cat \"$1\"; } >\"$2\"\nchmod +x \"$2\"\n";
const OTHER: &str =
    "# toy compiler of somebody else\nprintf '#!/bin/sh\\n' >\"$2\"\ncat <\"$1\" >>\"$2\"\nchmod 755 \"$2\"\n";
/// What Thompson's compiler does: it knows its own source, and puts into it what is not there.
const PAYLOAD: &str =
    "#payload\nif grep -q '^# toy compiler' \"$1\"; then sed -n '/^#payload/,$p' \"$0\" >>\"$2\"; fi\n";

/// A toy compiler that plants itself passes any number of rebuilds; a second lineage shows it.
#[test]
fn a_second_seed_catches_a_compiler_that_plants_itself() {
    let env = Env::workspace();
    // The store is shared with earlier runs, which must not have built this yet.
    let honest = format!("{HONEST}# {}\n", env.path().display());
    env.write("toycc.src", &honest);
    let plant = |text: &str| {
        format!(
            "mkdir -p $OUT/usr/bin\ncat >$OUT/usr/bin/toycc <<'EOF'\n#!/bin/sh\n{text}EOF\nchmod +x $OUT/usr/bin/toycc\n"
        )
    };
    let pass = |name: &str, text: &str| {
        format!(
            "\n[pass.{name}]\nprofiles = [\"seed\"]\n\n[pass.{name}.build]\nsystem = \"script\"\n\n\
             [pass.{name}.build.phases]\ninstall = '''\n{}'''\n",
            plant(text)
        )
    };
    let spec = format!(
        "[package]\nname = \"toycc\"\nversion = \"1\"\nlicense = \"MIT\"\nprofiles = [\"a1\", \"a2\", \"b1\", \"b2\", \
         \"c1\", \"c2\"]\n\n[[source]]\nurls = [\"file://{}/toycc.src\"]\nsha256 = \"{}\"\nunpack = false\n\n[build]\n\
         system = \"script\"\n\n[build.phases]\ninstall = \"mkdir -p $OUT/usr/bin && toycc toycc.src $OUT/usr/bin/toycc\"\n",
        env.path().display(),
        parton::base::Sha256::of(honest.as_bytes()),
    );
    let passes = [pass("honest", &honest), pass("trojan", &format!("{honest}{PAYLOAD}")), pass("other", OTHER)];
    env.write("specs/toycc/spec.toml", spec + &passes.concat());
    let mut config = std::fs::read_to_string(env.path().join("parton.toml")).unwrap();
    let profiles = [
        ("a1", "seed", "toycc:honest", "b1"),
        ("a2", "a1", "toycc", "c2"),
        ("b1", "seed", "toycc:trojan", "a1"),
        ("b2", "b1", "toycc", "a2"),
        ("c1", "seed", "toycc:other", "a1"),
        ("c2", "c1", "toycc", "a2"),
    ];
    for (name, by, tool, diverse) in profiles {
        config += &format!(
            "\n[profile.{name}]\nseed = \"specs/seed.lock\"\ntoolchain = \"{by}\"\ntools = [\"{tool}\"]\ntarget = \
             \"x86_64-linux-musl\"\nsysroot = \"/sysroot\"\ninterpreter = \"/lib/ld-musl-x86_64.so.1\"\ndiverse = \"{diverse}\"\n"
        );
    }
    env.write("parton.toml", config);
    let known = env.run(&["--profile", "a2", "ddc", "toycc", "--known"]);
    assert_eq!(known.code, Some(1), "nothing is built yet: {}", known.stderr);
    assert!(known.stdout.contains("nothing is proved"), "{}", known.stdout);

    // Two rebuilds of the trojan by itself, from an honest source: a fixed point, reproducible, and planted.
    let output = |profile: &str| {
        let built = env.run(&["--profile", profile, "build", "toycc"]).ok();
        let stages = "the toolchain comes first, from source; packages to build or to look up: ";
        let note = format!("{stages}seed: 1, {}1: 1", &profile[..1]);
        assert_eq!(built.stderr.contains(&note), profile.ends_with('2'), "{}", built.stderr);
        let path = env.command(&["--profile", profile, "store", "path", "toycc"]).output().unwrap().stdout;
        let path = String::from_utf8(path).unwrap();
        std::fs::read_to_string(format!("{}/usr/bin/toycc", path.trim())).unwrap()
    };
    let planted = output("b2");
    assert_eq!(planted, output("b1"));
    assert!(planted.ends_with(PAYLOAD));
    assert_eq!(output("a2"), format!("#!/bin/sh\n{honest}"));

    // Two equal builds are told as one, and what is below the second is still told.
    let closure = json(&env, &["--profile", "b2", "closure", "toycc", "--json"]);
    let members: Vec<&str> =
        closure["members"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(members, ["toycc", "toycc:trojan"]);

    let caught = env.run(&["--profile", "b2", "ddc", "toycc", "--json"]);
    assert_eq!(caught.code, Some(3), "{}", caught.stderr);
    let ddc: Value = serde_json::from_str(&caught.stdout).unwrap();
    assert_eq!(ddc["verdict"], "differs");
    assert!(ddc["packages"][0]["differences"][0].as_str().unwrap().contains("usr/bin/toycc"), "{ddc}");

    // Two honest compilers that share not a line come to the same.
    let equal = env.run(&["--profile", "a2", "ddc", "toycc"]).ok();
    assert!(equal.stdout.contains("equal"), "{}", equal.stdout);
    // The profile's own seed is in each jail: that the tools are proved says nothing of it.
    let ledger = json(&env, &["--profile", "a2", "ledger", "toycc", "--json"]);
    assert_eq!((&ledger["diverse"], &ledger["uncovered"]), (&Value::Null, &ledger["opaque"]));
    let none = env.run(&["ddc", "toycc"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("`--with PROFILE` names one"), "{}", none.stderr);
}
