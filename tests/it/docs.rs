//! What is written about parton is true: the reference of commands is their own help, and README stays short.

use crate::common::{Env, project};
use std::fmt::Write as _;
use std::fs;

/// The help of a command and of everything below it.
fn reference(env: &Env, words: &[&str], out: &mut String) {
    let mut args = words.to_vec();
    args.push("--help");
    let help = env.run(&args).ok().stdout;
    let _ = write!(
        out,
        "\n## {}\n\n```text\n{}\n```\n",
        ["parton"].iter().chain(words).copied().collect::<Vec<_>>().join(" "),
        help.trim_end()
    );
    let Some((_, list)) = help.split_once("Commands:\n") else { return };
    for line in list.lines().take_while(|line| line.starts_with("  ")) {
        let name = line.split_whitespace().next().unwrap_or("help");
        let is_command = line.starts_with("  ") && !line.starts_with("   ") && name != "help";
        if is_command {
            let mut deeper = words.to_vec();
            deeper.push(name);
            reference(env, &deeper, out);
        }
    }
}

/// Run with `PARTON_UPDATE_DOCS=1` to write the page anew; the diff is the review.
#[test]
fn the_reference_of_commands_is_their_help() {
    let env = Env::with_own_store();
    let mut text =
        String::from("# Commands\n\nEvery command's own `--help`; written and checked by `tests/it/docs.rs`.\n");
    reference(&env, &[], &mut text);
    let path = project().join("docs/commands.md");
    if std::env::var_os("PARTON_UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/commands.md is not what --help says; PARTON_UPDATE_DOCS=1 cargo test docs writes it"
    );
}

#[test]
fn readme_is_short_and_names_commands_that_exist() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!((60..=150).contains(&lines), "README has {lines} lines");
    let env = Env::with_own_store();
    let help = env.run(&["--help"]).ok().stdout;
    for line in readme.lines() {
        for call in line.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("parton ")) {
            let verb = call.split_whitespace().find(|word| !word.starts_with('-')).unwrap();
            assert!(help.contains(&format!("\n  {verb}")), "README speaks of `parton {call}`");
        }
    }
}

#[test]
fn every_json_schema_is_documented() {
    let page = fs::read_to_string(project().join("docs/json.md")).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(project().join("src/cli/commands")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        names.extend(text.split('"').filter(|s| s.starts_with("parton.") && s.contains("/1")).map(str::to_owned));
    }
    names.push(parton::report::SCHEMA.to_owned());
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/json.md does not describe {name}");
    }
}
