//! The verbs that look at what is known: `show`, `log`, `store path`, `why-rebuild`, `graph`, `gc`, `store verify`.

use super::{Error, Session};
use crate::base::{Cancel, DrvId, Events};
use crate::build::Outcome;
use crate::plan::{self, Change, Target};
use crate::report::Record;
use crate::report::graph::{Graph, GraphNode};
use crate::store::{Damage, GcOptions, Store, Swept};
use serde::Serialize;
use std::path::PathBuf;

impl Session<'_> {
    /// The newest record of a package.
    ///
    /// # Errors
    /// There is none, or it is of another version.
    pub fn latest(&self, package: &str) -> Result<Record, Error> {
        let (profile, _) = self.profile()?;
        let id = self.store.current(package, profile)?.ok_or_else(|| Error::Unknown(package.to_owned()))?;
        self.record(package, id)
    }

    /// The record of one derivation.
    pub(super) fn record(&self, package: &str, id: DrvId) -> Result<Record, Error> {
        let found = self.store.record(id)?.ok_or_else(|| Error::Unknown(package.to_owned()))?;
        Record::from_bytes(&found.body).map_err(|reason| Error::Record { package: package.to_owned(), reason })
    }

    /// Where a package's output lies.
    ///
    /// # Errors
    /// Nothing is known of the package, or its last build left no output.
    pub fn output(&self, package: &str) -> Result<PathBuf, Error> {
        let record = self.latest(package)?;
        let output = record.output().ok_or_else(|| Error::Unknown(package.to_owned()))?;
        self.store.tree_path(output.tree)?.ok_or_else(|| Error::Unknown(package.to_owned()))
    }

    /// The log of a round.
    pub fn log(&self, round: &Outcome) -> Result<Vec<u8>, Error> {
        let path = self.store.log(round.log)?.ok_or_else(|| Error::Unknown("the log".to_owned()))?;
        Ok(fs_err::read(path)?)
    }
}

/// Whether and why a package would be built again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum WhyRebuild {
    /// It would not be.
    Known {
        /// Its derivation.
        id: DrvId,
    },
    /// It was never built.
    Never,
    /// What it needs must be built first; what that will come to is not known.
    Waits {
        /// What it waits for.
        inputs: Vec<String>,
    },
    /// Its description changed.
    Changed {
        /// The derivation of the last build.
        before: DrvId,
        /// Today's.
        after: DrvId,
        /// What differs.
        changes: Vec<Change>,
    },
}

/// `parton why-rebuild`: holds today's derivation of a package against that of its last build.
pub fn why_rebuild(session: &Session<'_>, package: &str) -> Result<WhyRebuild, Error> {
    let seeds = session.seeds()?;
    let plan = session.plan(&Target::Names(vec![package.to_owned()]), &seeds)?;
    let mut outputs = vec![None; plan.nodes.len()];
    for (id, node) in plan.iter() {
        let Some(derivation) = plan.derivation(id, &|input| outputs[input.0]) else {
            if node.wanted {
                let missing = node.inputs().filter(|input| outputs[input.0].is_none());
                let inputs = missing.map(|input| plan.nodes[input.0].spec.name.value.clone()).collect();
                return Ok(WhyRebuild::Waits { inputs });
            }
            continue;
        };
        let known = super::package::known(session, &derivation, 1)?;
        outputs[id.0] = known.map(|known| known.output);
        if !node.wanted {
            continue;
        }
        let after = derivation.id();
        if known.is_some() {
            return Ok(WhyRebuild::Known { id: after });
        }
        return match session.latest(package) {
            Err(Error::Unknown(_)) => Ok(WhyRebuild::Never),
            Err(error) => Err(error),
            Ok(last) => Ok(WhyRebuild::Changed {
                before: last.id,
                after,
                changes: plan::explain(&last.derivation, &derivation),
            }),
        };
    }
    Ok(WhyRebuild::Never)
}

/// `parton graph`: who needs whom.
pub fn graph(session: &Session<'_>, packages: &[String]) -> Result<Graph, Error> {
    let target = if packages.is_empty() { Target::All } else { Target::Names(packages.to_vec()) };
    let seeds = session.seeds()?;
    let plan = session.plan(&target, &seeds)?;
    let (profile, _) = session.profile()?;
    let names =
        |list: &[crate::spec::At<String>]| -> Vec<String> { list.iter().map(|need| need.value.clone()).collect() };
    // What built the toolchain is another picture.
    let packages = plan.nodes.iter().filter(|node| node.profile == profile).map(|node| GraphNode {
        name: node.spec.name.value.clone(),
        version: node.spec.version.value.clone(),
        wanted: node.wanted,
        build: names(&node.spec.needs.build),
        host: [names(&node.spec.needs.host), names(&node.spec.needs.target)].concat(),
        run: names(&node.spec.needs.run),
    });
    Ok(Graph { packages: packages.collect() })
}

/// `parton gc`: removes what no package's last result refers to.
pub fn gc(store: &mut Store, dry_run: bool, events: Events<'_>, cancel: &Cancel) -> Result<Swept, Error> {
    let options = GcOptions { keep_latest: 1, keep_kept: 1, dry_run, ..GcOptions::default() };
    Ok(store.gc(&options, &mut super::host::patience(events, cancel))?)
}

/// What a check of the store found.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// What is not what its name says.
    pub damages: Vec<Damage>,
    /// Where damaged objects were moved to.
    pub moved: Vec<PathBuf>,
}

/// `parton store verify`: hashes everything again; with `repair`, sets aside what is damaged.
pub fn verify_store(store: &mut Store, repair: bool, events: Events<'_>, cancel: &Cancel) -> Result<Verified, Error> {
    let damages = store.verify(events, cancel)?;
    let moved = if repair { store.repair(&damages, &mut super::host::patience(events, cancel))? } else { Vec::new() };
    Ok(Verified { damages, moved })
}
