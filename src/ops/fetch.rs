//! `parton fetch`: sources only.

use super::{Error, Session, sources};
use crate::plan::Target;
use crate::report::SourceEvidence;
use crate::spec::Spec;
use serde::Serialize;

/// What was fetched, or was there.
#[derive(Debug, Clone, Serialize)]
pub struct FetchReport {
    /// The packages, in build order.
    pub packages: Vec<FetchedPackage>,
}

/// The sources of one package.
#[derive(Debug, Clone, Serialize)]
pub struct FetchedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What speaks for each of its sources.
    pub sources: Vec<SourceEvidence>,
}

/// Fetches and proves the sources of these packages and of all they need, and the seed.
///
/// # Errors
/// A source can't be had or proved. What did arrive stays in the store.
pub fn fetch(session: &Session<'_>, target: &Target) -> Result<FetchReport, Error> {
    let seeds = session.seeds()?;
    let plan = session.plan(target, &seeds)?;
    let specs: Vec<&Spec> = plan.nodes.iter().map(|node| node.spec).collect();
    sources::prefetch(session, &specs)?;
    for name in plan.seeded() {
        seeds.by_profile.get(name).map_or(Ok(()), |seed| super::seed::ensure(session, seed))?;
    }
    let mut packages = Vec::new();
    for spec in specs {
        session.go_on()?;
        packages.push(FetchedPackage {
            name: spec.name.value.clone(),
            version: spec.version.value.clone(),
            sources: sources::ensure(session, spec)?,
        });
    }
    Ok(FetchReport { packages })
}
