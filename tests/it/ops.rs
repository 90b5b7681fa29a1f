//! What a package was built from: by the plan of this repository, and for a real build.

use crate::common::Env;
use serde_json::Value;
use std::collections::BTreeSet;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn json(env: &Env, args: &[&str]) -> Value {
    serde_json::from_str(&env.run(args).ok().stdout).unwrap()
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
    assert_eq!(ledger["file"], Value::Null);

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
