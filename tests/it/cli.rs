//! How parton speaks to people and machines: exit codes, streams, colour, files that commands write.

use crate::common::Env;
use std::process::{Command, Stdio};
use std::time::Duration;

const EMPTY: &str = "[package]\nname = \"empty\"\nversion = \"1\"\nlicense = \"MIT\"\n\n[[source]]\n\
                     urls = [\"https://example.org/empty-1.tar\"]\n\
                     sha256 = \"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"\nunpack = false\n\n\
                     [build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"true\"\n";

#[test]
fn exit_codes_mean_what_help_says() {
    let env = Env::workspace();
    let _ = env.run(&["build"]).code(2);
    let _ = env.run(&["nonsense"]).code(2);
    let _ = env.run(&["build", "nothing-of-this-name"]).code(2);
    let _ = env.run(&["show", "nothing-of-this-name"]).code(2);
    // A digest of nothing that any other test could have put into the store.
    env.write("specs/empty/spec.toml", EMPTY.replace("2d711642", "00000001"));
    let run = env.run(&["--offline", "build", "empty"]).code(5);
    assert!(run.stderr.contains("empty-1.tar") && run.stderr.contains("hint:"), "{}", run.stderr);
    let _ = env.run(&["check"]).ok();
    let outside = Env::new();
    let run = outside.run(&["check"]).code(2);
    assert!(run.stderr.contains("no parton.toml") && run.stderr.contains("parton init"), "{}", run.stderr);
    let _ = env.run(&["--help"]).ok();
    let _ = env.run(&["--version"]).ok();
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let env = Env::workspace();
    env.write(
        "specs/empty/spec.toml",
        EMPTY.replace("license", "licence").replace("[build]", "[needs]\nhost = [\"emty\"]\n\n[build]"),
    );
    env.write("specs/other/spec.toml", EMPTY.replace("\"empty\"", "\"other\"").replace("sha256", "md5"));
    let run = env.run(&["check"]).code(2);
    for part in ["specs/empty/spec.toml:4:1", "did you mean", "license", "specs/other/spec.toml", "weak-hash"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    assert_eq!(run.stdout, "");
}

#[test]
fn needs_are_checked_with_cycles_named_by_their_path() {
    let env = Env::workspace();
    let with = |name: &str, need: &str| {
        let text = EMPTY.replace("\"empty\"", &format!("\"{name}\""));
        env.write(
            &format!("specs/{name}/spec.toml"),
            text.replace("[build]", &format!("[needs]\nhost = [\"{need}\"]\n\n[build]")),
        );
    };
    with("a", "b");
    with("b", "c");
    with("c", "a");
    with("d", "aa");
    let run = env.run(&["check"]).code(2);
    assert!(run.stderr.contains("packages need each other: a → b → c → a"), "{}", run.stderr);
    assert!(run.stderr.contains("no package is called 'aa'"), "{}", run.stderr);
    assert!(run.stderr.contains("specs/b/spec.toml:12:9"), "{}", run.stderr);
}

#[test]
fn a_machine_without_user_namespaces_is_told_the_way_out() {
    let env = Env::workspace();
    env.write(
        "specs/empty/spec.toml",
        EMPTY.replace("https://example.org/empty-1.tar", &format!("file://{}/empty-1.tar", env.path().display())),
    );
    env.write("empty-1.tar", "x");
    let parton = env.command(&["build", "empty"]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c"]);
    command.arg(format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec '{}' build empty",
        crate::common::parton().display()
    ));
    command.current_dir(env.path()).env_clear().stdin(Stdio::null());
    command.envs(parton.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let out = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("user.max_user_namespaces"), "{stderr}");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let env = Env::workspace();
    env.write("specs/empty/spec.toml", EMPTY.replace("license", "licence"));
    assert!(!env.run(&["check"]).code(2).stderr.contains('\x1b'));
    assert!(env.run(&["--color", "always", "check"]).code(2).stderr.contains('\x1b'));
    let out =
        env.command(&["--color", "auto", "check"]).env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(!out.stderr.contains(&0x1b), "NO_COLOR is stronger");
}

#[test]
fn an_interrupt_ends_a_build_at_once_and_leaves_nothing_behind() {
    let env = Env::workspace();
    env.write("empty-1.tar", "x");
    let spec = EMPTY
        .replace("https://example.org/empty-1.tar", &format!("file://{}/empty-1.tar", env.path().display()))
        .replace("install = \"true\"", "install = \"sleep 600\"");
    env.write("specs/empty/spec.toml", spec);
    let child = env.command(&["build", "empty"]).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let begun = std::time::Instant::now();
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn init_starts_a_repository_and_overwrites_nothing() {
    let env = Env::new();
    let _ = env.run(&["init", "new"]).ok();
    assert!(env.path().join("new/specs/seed.lock").is_file());
    let _ = env.run(&["-C", "new", "check"]).ok();
    let again = env.run(&["init", "new"]).code(2);
    assert!(again.stderr.contains("is there already; nothing was written"), "{}", again.stderr);
}

#[test]
fn new_writes_a_spec_that_loads() {
    let env = Env::workspace();
    let mut tar = tar::Builder::new(Vec::new());
    let licence = std::fs::read_to_string(crate::common::project().join("LICENSE")).unwrap();
    for (path, text) in [("tool-1.4/configure", "#!/bin/sh\n"), ("tool-1.4/LICENSE", licence.as_str())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    env.write("tool-1.4.tar", tar.into_inner().unwrap());
    let url = format!("file://{}/tool-1.4.tar", env.path().display());
    let _ = env.run(&["new", &url]).ok();
    let text = std::fs::read_to_string(env.path().join("specs/tool/spec.toml")).unwrap();
    assert!(text.contains("name = \"tool\"") && text.contains("version = \"1.4\""), "{text}");
    assert!(text.contains("license = \"Apache-2.0\"") && text.contains("system = \"configure\""), "{text}");
    let _ = env.run(&["check"]).ok();
    let again = env.run(&["new", &url]).code(2);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let hash = env.run(&["hash", "tool-1.4.tar"]).ok().stdout;
    assert!(text.contains(hash.lines().next().unwrap()), "{hash}");
}

#[test]
fn completions_and_manual_pages_are_made_of_the_same_definition() {
    let env = Env::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(env.run(&["completions", shell]).ok().stdout.contains("why-rebuild"));
    }
    assert!(env.run(&["man"]).ok().stdout.contains(".TH parton"));
    let _ = env.run(&["man", "pages"]).ok();
    assert!(env.path().join("pages/parton-build.1").is_file());
}

#[test]
fn a_graph_can_be_drawn_in_every_form() {
    let env = Env::workspace();
    env.write("specs/empty/spec.toml", EMPTY);
    env.write(
        "specs/user/spec.toml",
        EMPTY.replace("\"empty\"", "\"user\"").replace("[build]", "[needs]\nhost = [\"empty\"]\n\n[build]"),
    );
    assert_eq!(env.run(&["graph"]).ok().stdout, "user 1\n└── empty 1\n");
    let dot = env.run(&["graph", "--format", "dot"]).ok().stdout;
    assert!(dot.contains("\"user\" -> \"empty\";"), "{dot}");
    let mermaid = env.run(&["graph", "--format", "mermaid"]).ok().stdout;
    assert_eq!(mermaid, "graph LR\n  p0[\"empty 1\"]\n  p1[\"user 1\"]\n  p1 --> p0\n");
    let json = env.run(&["graph", "user", "--json"]).ok().json();
    assert_eq!(json["packages"][1]["host"][0], "empty");
}
