//! `parton ddc`: the toolchain from two seeds.

use super::{Error, Seeds, Session, Settings, package};
use crate::base::{Sha256, TreeDigest};
use crate::plan::{Seed, Target};
use crate::report::ddc::{Common, Compared, Ddc, Lineage, Start};
use crate::spec::Toolchain;
use std::collections::{BTreeMap, BTreeSet};

/// Compares what two profiles come to. Without `settings` nothing is built: what is known is compared. Without `packages` it is
/// what the profile makes for others; without `with` the profile that it names as `diverse`.
///
/// # Errors
/// No other profile is named, an unknown package, a build that could not be executed.
pub fn ddc(
    session: &Session<'_>,
    packages: &[String],
    with: Option<&str>,
    settings: Option<&Settings>,
) -> Result<Ddc, Error> {
    let (first, second) = lineages(session, with)?;
    between(session, first, second, packages, settings)
}

/// What is known of a second chain to the tools of the session's profile; `None` where there is none, or where one would prove
/// nothing: a profile with a seed of its own stands on more than its tools.
pub(super) fn of_tools(session: &Session<'_>) -> Result<Option<Ddc>, Error> {
    let profiles = &session.workspace.config.profiles;
    let (_, mut profile) = session.profile()?;
    loop {
        let Some(Toolchain { profile: below, .. }) = profile.toolchain.as_ref().filter(|_| profile.seed.is_none())
        else {
            return Ok(None);
        };
        profile = &profiles[below];
        if let Some(other) = &profile.diverse {
            return between(session, below.clone(), other.clone(), &[], None).map(Some);
        }
    }
}

fn between(
    session: &Session<'_>,
    first: String,
    second: String,
    packages: &[String],
    settings: Option<&Settings>,
) -> Result<Ddc, Error> {
    let packages = if packages.is_empty() { made_for_others(session, &first) } else { packages.to_vec() };
    let target = Target::Names(packages.clone());
    let (one, one_seeds) = outputs(session, &first, &target, settings)?;
    let (other, other_seeds) = outputs(session, &second, &target, settings)?;
    let compared = packages.into_iter().map(|name| {
        let (first, second) = (one.get(&name).copied(), other.get(&name).copied());
        let differences = match (first, second) {
            (Some(a), Some(b)) if a != b => {
                package::compared(session.store, a, b)?.iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        };
        Ok(Compared { name, first, second, differences })
    });
    let packages: Vec<Compared> = compared.collect::<Result<_, Error>>()?;
    Ok(Ddc {
        first: lineage(first, &one_seeds),
        second: lineage(second, &other_seeds),
        common: common(&one_seeds, &other_seeds),
        verdict: Ddc::judge(&packages),
        packages,
    })
}

/// The profile of the session, or the one that built its tools, or the one that built theirs, whichever names another.
fn lineages(session: &Session<'_>, with: Option<&str>) -> Result<(String, String), Error> {
    let config = &session.workspace.config;
    let (asked, mut profile) = session.profile()?;
    let mut name = asked;
    if let Some(with) = with {
        return match config.profiles.contains_key(with) {
            true => Ok((name.to_owned(), with.to_owned())),
            false => Err(Error::Profile { name: with.to_owned(), known: config.profiles.keys().cloned().collect() }),
        };
    }
    loop {
        if let Some(other) = &profile.diverse {
            return Ok((name.to_owned(), other.clone()));
        }
        let below = profile.toolchain.as_ref().and_then(|toolchain| config.profiles.get_key_value(&toolchain.profile));
        let Some(below) = below else { return Err(Error::NotDiverse(asked.to_owned())) };
        (name, profile) = (below.0, below.1);
    }
}

/// The tools and libraries that any profile has from this one.
fn made_for_others(session: &Session<'_>, profile: &str) -> Vec<String> {
    let toolchains = session.workspace.config.profiles.values().filter_map(|other| other.toolchain.as_ref());
    let made = toolchains.filter(|toolchain| toolchain.profile == profile);
    let names: BTreeSet<&String> =
        made.flat_map(|toolchain| toolchain.tools.iter().chain(&toolchain.libraries)).collect();
    names.into_iter().cloned().collect()
}

/// The outputs of packages by name, built first if there are settings.
fn outputs(
    session: &Session<'_>,
    profile: &str,
    target: &Target,
    settings: Option<&Settings>,
) -> Result<(BTreeMap<String, TreeDigest>, Seeds), Error> {
    let session = Session { profile: Some(profile), ..*session };
    let seeds = session.seeds()?;
    let plan = session.plan(target, &seeds)?;
    if let Some(settings) = settings {
        super::build(&session, &plan, &seeds, settings)?;
    }
    let standing = package::standing(&session, &plan)?;
    let wanted = plan.iter().filter(|(_, node)| node.wanted);
    let found = wanted.filter_map(|(id, node)| Some((node.spec.id().to_owned(), standing[id.0].1?.output)));
    let found = found.collect();
    drop(plan);
    Ok((found, seeds))
}

fn lineage(profile: String, seeds: &Seeds) -> Lineage {
    let start = |seed: &Seed| Start { id: seed.id(), packages: seed.count(), bytes: seed.size() };
    Lineage { profile, seeds: distinct(seeds).into_iter().map(start).collect() }
}

/// The seeds of a chain, each once.
fn distinct(seeds: &Seeds) -> Vec<&Seed> {
    let by_id: BTreeMap<_, _> = seeds.by_profile.values().map(|seed| (seed.id(), seed)).collect();
    by_id.into_values().collect()
}

/// What both chains start from, by content.
fn common(one: &Seeds, other: &Seeds) -> Common {
    let held = |seeds: &Seeds| -> BTreeMap<Sha256, (String, u64)> {
        let parts = distinct(seeds).into_iter().flat_map(Seed::parts);
        parts.map(|(digest, name, size)| (digest, (name.to_owned(), size))).collect()
    };
    let other = held(other);
    let mut both: Vec<(String, u64)> =
        held(one).into_iter().filter(|(digest, _)| other.contains_key(digest)).map(|(_, package)| package).collect();
    both.sort();
    Common {
        bytes: both.iter().map(|(_, size)| size).sum(),
        packages: both.into_iter().map(|(name, _)| name).collect(),
    }
}
