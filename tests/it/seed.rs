//! `parton seed export`: a toolchain packed into one archive builds what the packages themselves build. The toolchain here
//! is a shell and a few tools that its first profile takes out of the project's own seed.

use crate::common::Env;
use std::fs;

/// Profiles behind the workspace's own: one that takes tools out of the seed, one that stands on nothing but those.
const PROFILES: &str = r#"
[profile.host]
seed = "specs/seed.lock"
target = "x86_64-linux-gnu"
interpreter = "/lib64/ld-linux-x86-64.so.2"

[profile.small]
toolchain = "host"
tools = ["shell", "words"]
libraries = ["library"]
target = "x86_64-linux-gnu"
interpreter = "/lib64/ld-linux-x86-64.so.2"

[profile.small.env]
FLAVOUR = "plain"
"#;

const SHELL: &str = "mkdir -p $OUT/bin $OUT/lib $OUT/lib64
for tool in sh cat cp find grep mkdir sort stat; do cp -L $(command -v $tool) $OUT/bin/$tool; done
cp -L /lib64/ld-linux-x86-64.so.2 $OUT/lib64/
for lib in libc.so.6 libm.so.6 libselinux.so.1 libacl.so.1 libattr.so.1 libpcre2-8.so.0; do
cp -L $(find /lib/ /usr/lib/ -name $lib | sort | sed 1q) $OUT/lib/$lib
done";

/// Everything there is in the root, with all that a build can see of it, and a program.
const TINY: &str = "cat /share/which /share/words > $OUT/usr/words
find /bin /lib /lib64 /share -exec stat -c '%n %F %a %u %g %Y' {} + | sort > $OUT/usr/listing
test $(grep -c share $OUT/usr/listing) -ge 3
mkdir $OUT/usr/bin; cp /bin/cat $OUT/usr/bin/; echo $FLAVOUR > $OUT/usr/flavour";

fn workspace() -> Env {
    let env = Env::workspace();
    let config = fs::read_to_string(env.path().join("parton.toml")).unwrap();
    env.write("parton.toml", config + PROFILES);
    env.script("shell", SHELL);
    // What is linked against lies over the tools: of two files of one name it is the library's that is seen.
    env.script(
        "words",
        "mkdir $OUT/share; echo a tool > $OUT/share/which; echo words > $OUT/share/words; chmod 444 $OUT/share/*",
    );
    env.script("library", "mkdir $OUT/share; echo a library > $OUT/share/which; ln -s which $OUT/share/link");
    // Not known from an earlier run of the tests: the script says which run this is.
    env.script("tiny", &format!(": {}\n{TINY}", std::process::id()));
    env
}

fn append(env: &Env, profile: &str) {
    let config = fs::read_to_string(env.path().join("parton.toml")).unwrap();
    env.write("parton.toml", format!("{config}\n{profile}"));
}

#[test]
fn an_exported_toolchain_builds_the_same_bits() {
    let env = workspace();
    let report = env.run(&["--profile", "small", "build", "tiny", "--json"]).ok().json();
    let built = report["packages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(built["name"], "tiny");

    let run = env.run(&["--profile", "small", "seed", "export"]).ok();
    assert!(
        run.stderr.contains("specs/small-seed.tar.zst") && run.stderr.contains("small-seed.lock"),
        "{}",
        run.stderr
    );
    let (_, profile) = run.stdout.split_once("for parton.toml:\n\n").unwrap();
    append(&env, profile);

    // The same bytes again, under another name.
    let run = env.run(&["--profile", "small", "seed", "export", "-o", "other.tar.zst", "--json"]).ok().json();
    let read = |path: &str| fs::read(env.path().join(path)).unwrap();
    let archive = read("specs/small-seed.tar.zst");
    assert_eq!(archive, read("other.tar.zst"));
    assert_eq!(run["seed"]["size"], archive.len());
    let _ = env.run(&["--profile", "small", "seed", "export"]).ok();
    assert_eq!(archive, read("specs/small-seed.tar.zst"), "what was exported before may be replaced");

    let shown = env.run(&["--profile", "small-seed", "seed", "show"]).ok().stdout;
    assert!(
        ["library 1.0", "shell 1.0", "words 1.0", "small-seed.tar.zst"].iter().all(|w| shown.contains(w)),
        "{shown}"
    );
    let shown = env.run(&["--profile", "small-seed", "seed", "show", "--json"]).ok().json();
    assert_eq!(shown["archive"]["sha256"], run["seed"]["sha256"]);
    let run = env.run(&["--profile", "small-seed", "seed", "resolve"]).code(2);
    assert!(run.stderr.contains("nothing to resolve"), "{}", run.stderr);

    let report = env.run(&["--offline", "--profile", "small-seed", "build", "tiny", "--json"]).ok().json();
    let packages = report["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 1, "nothing of the toolchain is built or asked for");
    assert_eq!(packages[0]["state"]["record"]["verdict"], "identical");
    assert_eq!(packages[0]["output"], built["output"]);
    let path = env.command(&["--profile", "small-seed", "store", "path", "tiny"]).output().unwrap();
    let words = std::path::Path::new(String::from_utf8(path.stdout).unwrap().trim()).join("usr/words");
    assert_eq!(fs::read_to_string(words).unwrap(), "a library\nwords\n");
}

#[test]
fn an_archive_that_is_not_the_pinned_one_is_refused() {
    let env = workspace();
    // Its own tree, so that no other test has unpacked it.
    env.script("library", &format!("echo {} > $OUT/usr/own", std::process::id()));
    let run = env.run(&["--profile", "small", "seed", "export"]).code(2);
    let command = "`parton --profile host build shell words library` builds all that is to be packed";
    assert!(run.stderr.contains(command), "{}", run.stderr);
    let _ = env.run(&["--profile", "host", "build", "shell", "words", "library", "--rounds", "1"]).ok();
    let run = env.run(&["--profile", "small", "seed", "export"]).ok();
    assert!(run.stderr.contains("built only once"), "{}", run.stderr);
    append(&env, run.stdout.split_once("for parton.toml:\n\n").unwrap().1);

    let archive = fs::read(env.path().join("specs/small-seed.tar.zst")).unwrap();
    let mut tampered = archive.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    env.write("specs/small-seed.tar.zst", &tampered);
    let build = ["--offline", "--profile", "small-seed", "build", "tiny", "--rounds", "1"];
    let run = env.run(&build).code(5);
    assert!(run.stderr.contains("small-seed.tar.zst"), "{}", run.stderr);
    fs::remove_file(env.path().join("specs/small-seed.tar.zst")).unwrap();
    let run = env.run(&build).code(5);
    assert!(run.stderr.contains("small-seed.tar.zst"), "{}", run.stderr);

    // The archive holds, but is not of the tree that the lock promises.
    env.write("specs/small-seed.tar.zst", &archive);
    let lock = fs::read_to_string(env.path().join("specs/small-seed.lock")).unwrap();
    let tree = lock.lines().find_map(|line| line.strip_prefix("tree = ")).unwrap().trim_matches('"').to_owned();
    env.write("specs/small-seed.lock", lock.replacen(&tree, &"ab".repeat(32), 1));
    let run = env.run(&build).code(5);
    assert!(run.stderr.contains(&tree), "{}", run.stderr);
    env.write("specs/small-seed.lock", lock.replace("file = \"small", "file = \"../small"));
    let run = env.run(&build).code(2);
    assert!(run.stderr.contains("must be the name of a file beside the lock"), "{}", run.stderr);
    env.write("specs/small-seed.lock", &lock);
    let _ = env.run(&build).ok();
}

#[test]
fn what_is_no_whole_root_is_not_exported() {
    let env = workspace();
    let run = env.run(&["--profile", "seed", "seed", "export"]).code(2);
    assert!(run.stderr.contains("has no toolchain"), "{}", run.stderr);
    append(
        &env,
        &PROFILES
            .replace("toolchain =", "seed = \"specs/seed.lock\"\ntoolchain =")
            .replace("small", "both")
            .split_once("[profile.both]")
            .map(|(_, rest)| format!("[profile.both]{rest}"))
            .unwrap(),
    );
    let run = env.run(&["--profile", "both", "seed", "export"]).code(2);
    assert!(run.stderr.contains("it starts from a seed as well"), "{}", run.stderr);
    // The lock of the project's own seed lies there.
    let run = env.run(&["--profile", "small", "seed", "export", "-o", "specs/seed.tar.zst"]).code(2);
    assert!(run.stderr.contains("specs/seed.lock is there already; nothing was written"), "{}", run.stderr);
}
