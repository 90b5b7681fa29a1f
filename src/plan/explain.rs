//! Why two derivations are not the same build.

use super::derivation::{Derivation, Input, PatchInput, Phase, SourceInput};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One difference between two derivations, in terms of what a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What changed (`source libfoo-1.2`, `phase configure`, `variable CFLAGS`, `input zlib`).
    pub what: String,
    /// How it was; `None` if it was not there.
    pub before: Option<String>,
    /// How it is; `None` if it is gone.
    pub after: Option<String>,
}

/// Everything that differs between two derivations, in the order in which the id is made. Empty exactly when the ids are
/// equal.
pub fn explain(before: &Derivation, after: &Derivation) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    changes.one("parton's jail", &before.contract.to_string(), &after.contract.to_string());
    changes.one("package", &before.name, &after.name);
    changes.one("version", &before.version, &after.version);
    changes.each("source", &sources(&before.sources), &sources(&after.sources));
    changes.list("patches", &patches(&before.patches), &patches(&after.patches));
    let seed = |derivation: &Derivation| derivation.seed.map_or_else(|| "none".to_owned(), |seed| seed.short());
    changes.one("seed", &seed(before), &seed(after));
    changes.each("input", &inputs(&before.inputs), &inputs(&after.inputs));
    changes.order("order of inputs", before.inputs.iter().map(|i| &i.name), after.inputs.iter().map(|i| &i.name));
    changes.each("phase", &phases(&before.phases), &phases(&after.phases));
    changes.order("order of phases", before.phases.iter().map(|p| &p.name), after.phases.iter().map(|p| &p.name));
    changes.each("phase", &phases(before.check.as_slice()), &phases(after.check.as_slice()));
    changes.each("variable", &before.env, &after.env);
    changes.one("target", &before.target, &after.target);
    changes.one("sysroot", &before.sysroot, &after.sysroot);
    changes.one("loader", &before.linkage.interpreter, &after.linkage.interpreter);
    let provided = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    changes.list("allowed libraries", &provided(&before.linkage.provided), &provided(&after.linkage.provided));
    changes.0
}

struct Changes(Vec<Change>);

impl Changes {
    fn one(&mut self, what: &str, before: &str, after: &str) {
        if before != after {
            self.push(what.to_owned(), Some(before.to_owned()), Some(after.to_owned()));
        }
    }

    fn each(&mut self, what: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                self.push(format!("{what} {name}"), old.cloned(), new.cloned());
            }
        }
    }

    fn list(&mut self, what: &str, before: &[String], after: &[String]) {
        if before != after {
            self.push(what.to_owned(), Some(before.join(", ")), Some(after.join(", ")));
        }
    }

    /// Reports a change of order only when the members are the same; other changes are reported one by one.
    fn order<'a>(
        &mut self,
        what: &str,
        before: impl Iterator<Item = &'a String>,
        after: impl Iterator<Item = &'a String>,
    ) {
        let (before, after): (Vec<String>, Vec<String>) = (before.cloned().collect(), after.cloned().collect());
        let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        if sorted(&before) == sorted(&after) {
            self.list(what, &before, &after);
        }
    }

    fn push(&mut self, what: String, before: Option<String>, after: Option<String>) {
        self.0.push(Change { what, before, after });
    }
}

fn sources(list: &[SourceInput]) -> BTreeMap<String, String> {
    list.iter().map(|s| (s.dest.clone(), format!("{:?}", s.pin))).collect()
}

fn patches(list: &[PatchInput]) -> Vec<String> {
    list.iter().map(|p| format!("{} ({})", p.name, crate::base::Blake3::of(p.text.as_bytes()).short())).collect()
}

fn inputs(list: &[Input]) -> BTreeMap<String, String> {
    list.iter().map(|i| (format!("{} ({:?})", i.name, i.place), i.tree.short())).collect()
}

fn phases(list: &[Phase]) -> BTreeMap<String, String> {
    list.iter().map(|p| (p.name.clone(), format!("in {}: {}", p.dir, p.script.trim()))).collect()
}
