//! The one integration test binary. A file per room, `rooms.rs` for the law between them, and `main.rs` for the list.

#![expect(clippy::disallowed_methods, reason = "tests live outside of the library's law")]

mod build;
mod cli;
mod common;
mod compare;
mod conditions;
mod corpus;
mod docs;
mod escape;
mod faults;
mod fetch;
mod hosts;
mod licences;
mod ops;
mod plan;
mod report;
mod resources;
mod rooms;
mod sandbox;
mod seed;
mod spec;
mod store;
mod tree;
mod why;
mod zoo;

use std::collections::BTreeSet;

/// A test file that nobody declares is a test that nobody runs.
#[test]
fn every_test_file_is_declared() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let list = include_str!("main.rs");
    let declared: BTreeSet<String> =
        list.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)).collect();
    let present: BTreeSet<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned()))
        .filter(|name| name != "main")
        .collect();
    assert_eq!(declared, present);
}
