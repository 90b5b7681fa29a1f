//! What the binary is linked from. One static program is shipped, so nothing copyleft may be in it but libgit2, whose
//! licence makes an exception for linking.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "MPL-2.0",
    "CDLA-Permissive-2.0",
    "bzip2-1.0.6",
    "Unlicense",
];

/// Crates whose Cargo metadata does not tell the whole story: (crate, what is true, why it is fine).
const EXCEPTIONS: &[(&str, &str)] = &[("libgit2-sys", "libgit2 is GPL-2.0 with an exception for linking")];

#[test]
fn every_linked_crate_has_an_allowed_licence() {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages: BTreeMap<&str, &Value> =
        metadata["packages"].as_array().unwrap().iter().map(|p| (p["id"].as_str().unwrap(), p)).collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();

    // Only normal dependencies end up in the program; build scripts and tests do not.
    let mut linked = BTreeSet::new();
    let mut open = vec![metadata["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = open.pop() {
        if !linked.insert(id) {
            continue;
        }
        for dep in nodes[id]["deps"].as_array().unwrap() {
            if dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()) {
                open.push(dep["pkg"].as_str().unwrap());
            }
        }
    }
    assert!(linked.len() > 50, "the walk over the dependencies found only {}", linked.len());

    let mut wrong = Vec::new();
    for id in linked {
        let package = packages[id];
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        if EXCEPTIONS.iter().any(|(crate_name, _)| *crate_name == name) {
            continue;
        }
        // Some crates still write "MIT/Apache-2.0".
        let expression = licence.replace('/', " OR ");
        let fine = spdx::Expression::parse(&expression)
            .map(|parsed| parsed.evaluate(|req| req.license.id().is_some_and(|id| ALLOWED.contains(&id.name))))
            .unwrap_or(false);
        if !fine {
            wrong.push(format!("{name}: {licence}"));
        }
    }
    assert!(wrong.is_empty(), "not allowed in the program: {wrong:#?}");
}
