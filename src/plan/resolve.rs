//! From specs to an order: who needs whom.

use super::derivation::{Derivation, Input, Linkage, PatchInput, Phase, Place, SourceInput, SourcePin};
use super::phases;
use crate::base::{Blake3, Diagnostic, TreeDigest, nearest};
use crate::spec::{At, Profile, SourceKind, Spec};
use std::collections::{BTreeMap, BTreeSet};

/// Names a node within its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// Which packages are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every spec of the workspace.
    All,
    /// These, and what they need.
    Names(Vec<String>),
}

/// Packages in an order in which each comes after all it needs.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The nodes in build order; a [`NodeId`] is an index into it.
    pub nodes: Vec<Node<'a>>,
    profile: &'a Profile,
    seed: Blake3,
    contract: u64,
}

/// One package of a plan.
#[derive(Debug)]
pub struct Node<'a> {
    /// What its author wrote.
    pub spec: &'a Spec,
    /// What runs during its build: `needs.build` and all that those need to run. Sorted.
    pub build: Vec<NodeId>,
    /// What it is linked against: `needs.host` and all that those are linked against or need to run. Sorted.
    pub host: Vec<NodeId>,
    /// What it needs in order to run: `host` and `needs.run` with all that those need to run. Sorted.
    pub run: Vec<NodeId>,
    /// The text of its patches, in order.
    pub patches: Vec<PatchInput>,
    /// Whether it was asked for, rather than needed by something that was.
    pub wanted: bool,
}

impl Node<'_> {
    /// Every node whose output enters this one's derivation.
    pub fn inputs(&self) -> impl Iterator<Item = NodeId> {
        self.build.iter().chain(&self.host).copied()
    }
}

/// Finds all that `target` needs, and an order. `contract` is the version of the jail, `patches` are the texts of the patch files by package and file name.
///
/// # Errors
/// All of: names that no spec has, and cycles (each named with its path).
pub fn resolve<'a>(
    specs: &'a BTreeMap<String, Spec>,
    target: &Target,
    profile: &'a Profile,
    seed: Blake3,
    contract: u64,
    patches: &dyn Fn(&Spec, &str) -> String,
) -> Result<Plan<'a>, Vec<Diagnostic>> {
    let mut walk =
        Walk { specs, patches, nodes: Vec::new(), state: BTreeMap::new(), path: Vec::new(), errors: Vec::new() };
    let wanted: Vec<&str> = match target {
        Target::All => specs.keys().map(String::as_str).collect(),
        Target::Names(names) => names.iter().map(String::as_str).collect(),
    };
    for name in &wanted {
        match specs.get(*name) {
            Some(spec) => {
                walk.visit(spec);
            }
            None => walk.errors.push(unknown(specs, name)),
        }
    }
    if !walk.errors.is_empty() {
        return Err(walk.errors);
    }
    let mut nodes = walk.nodes;
    let wanted: BTreeSet<&str> = wanted.into_iter().collect();
    for node in &mut nodes {
        node.wanted = wanted.contains(node.spec.name.value.as_str());
    }
    Ok(Plan { nodes, profile, seed, contract })
}

fn unknown(specs: &BTreeMap<String, Spec>, name: &str) -> Diagnostic {
    let help = match nearest(name, specs.keys().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("no specs/{name}/spec.toml exists; `parton new URL` writes one"),
    };
    Diagnostic {
        rule: "unknown-package",
        level: crate::base::Level::Error,
        message: format!("no package is called '{name}'"),
        labels: Vec::new(),
        help: Some(help),
    }
}

#[derive(Clone, Copy)]
enum State {
    Open,
    Done(NodeId),
    Broken,
}

struct Walk<'a, 'p> {
    specs: &'a BTreeMap<String, Spec>,
    patches: &'p dyn Fn(&Spec, &str) -> String,
    nodes: Vec<Node<'a>>,
    state: BTreeMap<&'a str, State>,
    /// The needs that led here: the spec, and the place in it that names the next one.
    path: Vec<(&'a Spec, &'a At<String>)>,
    errors: Vec<Diagnostic>,
}

impl<'a> Walk<'a, '_> {
    /// Depth first; the depth is the longest chain of needs, which the stack of a thread holds for thousands of specs.
    fn visit(&mut self, spec: &'a Spec) -> Option<NodeId> {
        match self.state.get(spec.name.value.as_str()) {
            Some(State::Done(id)) => return Some(*id),
            Some(State::Broken) => return None,
            Some(State::Open) => {
                self.cycle(spec);
                return None;
            }
            None => {}
        }
        self.state.insert(&spec.name.value, State::Open);
        let (build, host, run) = (&spec.needs.build, &spec.needs.host, &spec.needs.run);
        let (build, host, run) = (self.needs(spec, build), self.needs(spec, host), self.needs(spec, run));
        let (Some(build), Some(host), Some(run)) = (build, host, run) else {
            self.state.insert(&spec.name.value, State::Broken);
            return None;
        };
        let with_runtime = |ids: &[NodeId]| {
            let mut all: BTreeSet<NodeId> = ids.iter().copied().collect();
            ids.iter().for_each(|id| all.extend(&self.nodes[id.0].run));
            all.into_iter().collect::<Vec<_>>()
        };
        let (build, host, extra) = (with_runtime(&build), with_runtime(&host), with_runtime(&run));
        let run: BTreeSet<NodeId> = host.iter().chain(&extra).copied().collect();
        let patches = spec
            .patches
            .iter()
            .map(|patch| PatchInput { name: patch.value.clone(), text: (self.patches)(spec, &patch.value) })
            .collect();
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node { spec, build, host, run: run.into_iter().collect(), patches, wanted: false });
        self.state.insert(&spec.name.value, State::Done(id));
        Some(id)
    }

    fn needs(&mut self, spec: &'a Spec, needs: &'a [At<String>]) -> Option<Vec<NodeId>> {
        let mut ids = Some(Vec::with_capacity(needs.len()));
        for need in needs {
            let found = match self.specs.get(&need.value) {
                Some(other) => {
                    self.path.push((spec, need));
                    let found = self.visit(other);
                    self.path.pop();
                    found
                }
                None => {
                    let mut error = unknown(self.specs, &need.value);
                    error.rule = "unknown-need";
                    error.labels.push(spec.at(&need.span, "needed here"));
                    self.errors.push(error);
                    None
                }
            };
            ids = ids.zip(found).map(|(mut ids, id)| {
                ids.push(id);
                ids
            });
        }
        ids
    }

    fn cycle(&mut self, again: &Spec) {
        let start = self.path.iter().position(|(spec, _)| spec.name.value == again.name.value).unwrap_or(0);
        let round = &self.path[start..];
        let names: Vec<&str> = round.iter().map(|(spec, _)| spec.name.value.as_str()).collect();
        let message = format!("packages need each other: {} → {}", names.join(" → "), again.name.value);
        let labels =
            round.iter().map(|(spec, need)| spec.at(&need.span, format!("{} needs {}", spec.name.value, need.value)));
        self.errors.push(Diagnostic {
            rule: "cycle",
            level: crate::base::Level::Error,
            message,
            labels: labels.collect(),
            help: Some("build one of them without the other first, under a name of its own".to_owned()),
        });
    }
}

impl Plan<'_> {
    /// The node of a package.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.spec.name.value == name).map(NodeId)
    }

    /// The nodes with their ids, in build order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node<'_>)> {
        self.nodes.iter().enumerate().map(|(n, node)| (NodeId(n), node))
    }

    /// The complete description of a node's build, given what its inputs turned out to be.
    ///
    /// `None` as long as `output` does not know every input.
    pub fn derivation(&self, id: NodeId, output: &dyn Fn(NodeId) -> Option<TreeDigest>) -> Option<Derivation> {
        let node = &self.nodes[id.0];
        let spec = node.spec;
        let mut inputs = Vec::with_capacity(node.build.len() + node.host.len());
        for (place, ids) in [(Place::Build, &node.build), (Place::Host, &node.host)] {
            for input in ids {
                let name = self.nodes[input.0].spec.name.value.clone();
                inputs.push(Input { name, place, tree: output(*input)? });
            }
        }
        // By name, so that an unrelated package elsewhere in the plan can not change the order of layers.
        inputs.sort_by(|a, b| (a.place, &a.name).cmp(&(b.place, &b.name)));

        let sources: Vec<SourceInput> = spec.sources.iter().map(|source| source_input(spec, source)).collect();
        let main = main_dir(&sources);
        let mut env = self.profile.env.clone();
        env.extend(spec.build.env.clone());
        env.insert("SYSROOT".to_owned(), self.profile.sysroot.clone());
        let provided = self.profile.provides.iter().chain(spec.allow_needed.iter().map(|lib| &lib.value));
        Some(Derivation {
            contract: self.contract,
            name: spec.name.value.clone(),
            version: spec.version.value.clone(),
            patches: node.patches.clone(),
            seed: self.seed,
            inputs,
            phases: phases::expand(spec, &main),
            check: spec.check.as_ref().map(|check| Phase {
                name: "check".to_owned(),
                dir: if spec.build.out_of_tree { "obj".to_owned() } else { main.clone() },
                script: check.script.value.clone(),
            }),
            env,
            target: self.profile.target.clone(),
            sysroot: self.profile.sysroot.clone(),
            linkage: Linkage { interpreter: self.profile.interpreter.clone(), provided: provided.cloned().collect() },
            sources,
        })
    }
}

/// Where a source goes below `/build`, and how it is fixed. A file that is not unpacked keeps its name.
fn source_input(spec: &Spec, source: &crate::spec::Source) -> SourceInput {
    let dir = source.dir.as_ref().map(|dir| dir.value.clone());
    let unpacked = || dir.clone().unwrap_or_else(|| format!("{}-{}", spec.name.value, spec.version.value));
    match &source.kind {
        SourceKind::File { urls, sha256, unpack: false, .. } => {
            let name = urls.first().map_or("source", |url| file_name(&url.value));
            let dest = dir.map_or_else(|| name.to_owned(), |dir| format!("{dir}/{name}"));
            SourceInput { dest, pin: SourcePin::File { sha256: sha256.value } }
        }
        SourceKind::File { sha256, strip, nested, .. } => SourceInput {
            dest: unpacked(),
            pin: SourcePin::Archive { sha256: sha256.value, strip: *strip, nested: nested.clone() },
        },
        SourceKind::Git { tree, .. } => SourceInput { dest: unpacked(), pin: SourcePin::Tree { tree: tree.value } },
    }
}

/// The directory below `/build` that phases run in: the main source's, or `/build` itself if that is a mere file.
fn main_dir(sources: &[SourceInput]) -> String {
    match sources.first() {
        Some(SourceInput { dest, pin: SourcePin::Archive { .. } | SourcePin::Tree { .. } }) => dest.clone(),
        Some(SourceInput { dest, pin: SourcePin::File { .. } }) => {
            dest.rsplit_once('/').map_or_else(String::new, |(dir, _)| dir.to_owned())
        }
        None => String::new(),
    }
}

/// The last component of a URL's path.
fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}
