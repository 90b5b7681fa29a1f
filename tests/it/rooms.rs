//! The import law. Rooms import only what this table allows; the table is the design.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// room → rooms it may import.
const TABLE: &[(&str, &str)] = &[
    ("base", ""),
    ("tree", "base"),
    ("spec", "base"),
    ("plan", "base spec"),
    ("store", "base tree"),
    ("fetch", "base tree plan store"),
    ("sandbox", "base"),
    ("build", "base tree plan store sandbox"),
    ("compare", "base tree"),
    ("report", "base plan sandbox build compare"),
    ("ops", "base tree spec plan store fetch sandbox build compare report"),
    ("cli", "base spec report ops"),
];

/// Files that may do what no other file may: (needle, where it may be, why).
const ADDRESSES: &[(&str, &[&str], &str)] = &[
    (
        "unsafe {",
        &["sandbox/sys", "fetch/git_http"],
        "raw kernel calls have one address; libgit2's set-up is the other",
    ),
    ("reqwest::", &["fetch/"], "one room uses the network"),
    ("git2::", &["fetch/"], "one room uses the network"),
    ("println!", &[], "the library never speaks"),
    ("eprintln!", &[], "the library never speaks"),
];

fn sources(dir: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, code(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The text without comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms that a text names after `crate::`, also in `use crate::{a, b::c}`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in text.split("crate::").skip(1) {
        let group = match after.strip_prefix('{') {
            Some(group) => group.split_once(';').map_or(group, |(group, _)| group),
            None => after,
        };
        let mut depth = 0;
        let mut word = String::new();
        let mut fresh = true;
        for c in group.chars() {
            match c {
                'a'..='z' | '_' | '0'..='9' | 'A'..='Z' => word.push(c),
                _ => {
                    if fresh && depth == 0 && !word.is_empty() {
                        found.insert(std::mem::take(&mut word));
                        fresh = false;
                    }
                    word.clear();
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => fresh = true,
                        _ => {}
                    }
                    if !after.starts_with('{') {
                        break;
                    }
                }
            }
        }
    }
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let table: BTreeMap<&str, BTreeSet<&str>> =
        TABLE.iter().map(|(room, may)| (*room, may.split_whitespace().collect())).collect();
    let mut wrong = Vec::new();
    for (file, text) in &files {
        let room = file.split(['/', '.']).next().unwrap();
        if room == "lib" || room == "main" {
            continue;
        }
        let Some(may) = table.get(room) else {
            wrong.push(format!("{file}: '{room}' is not in the table"));
            continue;
        };
        for import in imports(text) {
            if import != room && table.contains_key(import.as_str()) && !may.contains(import.as_str()) {
                wrong.push(format!("{file}: '{room}' imports '{import}'"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nthe table allows: {TABLE:#?}", wrong.join("\n"));
}

#[test]
fn danger_has_one_address() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut wrong = Vec::new();
    for (file, text) in &files {
        for (needle, places, why) in ADDRESSES {
            if text.contains(needle) && !places.iter().any(|place| file.starts_with(place)) {
                wrong.push(format!("{file} contains `{needle}`: {why} ({places:?})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_reads() {
    let text = "use crate::base::Digest;\nuse crate::{plan::{A, B}, store, tree as t};\nfn f() { crate::fetch::g() }";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["base", "fetch", "plan", "store", "tree"]);
}
