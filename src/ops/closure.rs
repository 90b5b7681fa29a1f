//! `parton closure` and `parton ledger`: what a package was built from, down to the seeds.

use super::{Error, Session, ddc, package};
use crate::base::{Blake3, DrvId, RelPath};
use crate::plan::{Derivation, NodeId, Plan, Target};
use crate::report::closure::{Closure, Ledger, Member, SeedMember};
use crate::tree;
use fs_err as fs;
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// `parton closure`: everything that today's plan builds a package from. What is not built yet is named all the same.
///
/// # Errors
/// Mistakes in the specs, an unknown package, an unreadable store.
pub fn closure(session: &Session<'_>, name: &str) -> Result<Closure, Error> {
    let seeds = session.seeds()?;
    let plan = session.plan(&Target::Names(vec![name.to_owned()]), &seeds)?;
    let standing = package::standing(session, &plan)?;
    // A plan for a name has it, or was refused.
    let start = plan.find(name).ok_or_else(|| Error::Unknown(name.to_owned()))?;

    // Breadth first, so that the first way to anything is a shortest one.
    let mut members = Vec::new();
    let mut found: BTreeMap<Blake3, SeedMember> = BTreeMap::new();
    let mut ways: BTreeMap<NodeId, Vec<String>> = BTreeMap::from([(start, vec![label(&plan, start)])]);
    // Equal builds in two profiles are one build, but what they need was not built by the same.
    let mut told: BTreeSet<DrvId> = BTreeSet::new();
    let mut queue = VecDeque::from([start]);
    while let Some(id) = queue.pop_front() {
        let (node, (derivation, known)) = (&plan.nodes[id.0], &standing[id.0]);
        let path = ways[&id].clone();
        let jails = u32::try_from(path.len() - 1).unwrap_or(u32::MAX);
        if let Some(seed) = seeds.by_profile.get(node.profile) {
            found.entry(seed.id()).or_insert_with(|| SeedMember {
                id: seed.id(),
                lock: node.with.seed.clone().unwrap_or_default(),
                packages: seed.count(),
                bytes: seed.size(),
                jails: jails + 1,
                path: path.clone(),
            });
        }
        for input in node.inputs() {
            if let Entry::Vacant(way) = ways.entry(input) {
                way.insert([path.as_slice(), &[label(&plan, input)]].concat());
                queue.push_back(input);
            }
        }
        let id = derivation.as_ref().map(Derivation::id);
        if id.is_some_and(|id| !told.insert(id)) {
            continue;
        }
        members.push(Member {
            name: node.spec.id().to_owned(),
            version: node.spec.version.value.clone(),
            profile: node.profile.to_owned(),
            id,
            output: known.map(|known| known.output),
            rounds: known.map_or(0, |known| known.rounds),
            jails,
            path,
            sources: derivation.as_ref().map(|derivation| derivation.sources.clone()).unwrap_or_default(),
        });
    }
    members.sort_by(|a, b| (a.jails, &a.name, &a.profile).cmp(&(b.jails, &b.name, &b.profile)));
    let mut seeds: Vec<SeedMember> = found.into_values().collect();
    seeds.sort_by(|a, b| (a.jails, &a.lock).cmp(&(b.jails, &b.lock)));
    let node = &plan.nodes[start.0];
    Ok(Closure {
        name: node.spec.id().to_owned(),
        version: node.spec.version.value.clone(),
        profile: node.profile.to_owned(),
        members,
        seeds,
    })
}

/// `parton ledger`: the opaque bytes that can reach a package, or a file by way of the package that installs it.
///
/// # Errors
/// As [`closure`]; a file that no package's output holds.
pub fn ledger(session: &Session<'_>, what: &str) -> Result<Ledger, Error> {
    let (package, file) = if session.workspace.specs.contains_key(what) {
        (what.to_owned(), None)
    } else {
        let found = holder(session, what)?.ok_or_else(|| Error::NoHolder(what.to_owned()))?;
        (found.0, Some(found.1.to_string()))
    };
    let diverse = ddc::of_tools(session)?;
    Ok(Ledger::new(&closure(session, &package)?, file, diverse))
}

/// The package of this profile whose output holds a file of this content; failing that, one at this path.
fn holder(session: &Session<'_>, what: &str) -> Result<Option<(String, RelPath)>, Error> {
    let content = match fs::symlink_metadata(what) {
        Ok(meta) if meta.is_file() => Some(fs::read(what)?),
        _ => None,
    };
    let place = RelPath::new(what.trim_start_matches('/')).ok();
    let mut by_place = None;
    for name in session.store.packages()? {
        // A package that is known to the store and was since taken out of the workspace has no closure to show.
        if !session.workspace.specs.contains_key(&name) {
            continue;
        }
        let dir = match session.output(&name) {
            Err(Error::Unknown(_) | Error::Record { .. }) => continue,
            dir => dir?,
        };
        if let Some(place) = place.as_ref().filter(|place| fs::symlink_metadata(dir.join(place.as_path())).is_ok()) {
            by_place.get_or_insert((name.clone(), place.clone()));
        }
        let Some(content) = &content else { continue };
        for path in tree::list(&dir)? {
            if same(&dir.join(path.as_path()), content)? {
                return Ok(Some((name, path)));
            }
        }
    }
    // A file of the machine that no output equals is not the file of that name in an output.
    Ok(if content.is_some() { None } else { by_place })
}

fn same(path: &Path, content: &[u8]) -> Result<bool, Error> {
    let meta = fs::symlink_metadata(path)?;
    Ok(meta.is_file() && meta.len() == content.len() as u64 && fs::read(path)? == content)
}

fn label(plan: &Plan<'_>, id: NodeId) -> String {
    let node = &plan.nodes[id.0];
    format!("{} ({})", node.spec.id(), node.profile)
}
