//! From specs to an order: who needs whom.

use super::derivation::{Derivation, Input, Linkage, PatchInput, Phase, Place, SourceInput, SourcePin};
use super::phases;
use crate::base::{Blake3, Diagnostic, TreeDigest, nearest};
use crate::spec::{At, Profile, SourceKind, Spec, Toolchain};
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

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Every spec and every pass, by name.
    pub specs: &'a BTreeMap<String, Spec>,
    /// Every profile, by name.
    pub profiles: &'a BTreeMap<String, Profile>,
    /// Ids of the profiles' seeds, by the name of the profile; a profile without a seed is not in it.
    pub seeds: &'a BTreeMap<String, Blake3>,
    /// Version of the jail.
    pub contract: u64,
}

/// Packages in an order in which each comes after all it needs.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The nodes in build order; a [`NodeId`] is an index into it.
    pub nodes: Vec<Node<'a>>,
    ground: Ground<'a>,
    profile: &'a str,
}

/// One package of a plan, built with one profile.
#[derive(Debug)]
pub struct Node<'a> {
    /// What its author wrote.
    pub spec: &'a Spec,
    /// Name of the profile it is built with.
    pub profile: &'a str,
    /// The profile.
    pub with: &'a Profile,
    /// The profile's tools with all that those need to run: built with the profile's own toolchain. Sorted.
    pub tools: Vec<NodeId>,
    /// What runs during its build: `needs.build` and all that those need to run. Sorted.
    pub build: Vec<NodeId>,
    /// What it is linked against: `needs.host`, `needs.target`, the profile's libraries, and all that those are linked against
    /// or need to run. Sorted.
    pub host: Vec<NodeId>,
    /// What it needs in order to run: `needs.host` and `needs.run` with all that those need to run. Sorted.
    pub run: Vec<NodeId>,
    /// The text of its patches, in order.
    pub patches: Vec<PatchInput>,
    /// Whether it was asked for, rather than needed by something that was.
    pub wanted: bool,
}

impl Node<'_> {
    /// Every node whose output enters this one's derivation.
    pub fn inputs(&self) -> impl Iterator<Item = NodeId> {
        self.build.iter().chain(&self.host).chain(&self.tools).copied()
    }
}

/// Finds all that `target` needs when it is built with the profile of this name, and an order. `patches` gives the text of
/// a spec's patch file.
///
/// # Errors
/// All of: names that no spec has, packages that can't be built with a profile, and cycles (each named with its path).
pub fn resolve<'a>(
    ground: Ground<'a>,
    target: &Target,
    profile: &'a str,
    patches: &dyn Fn(&Spec, &str) -> String,
) -> Result<Plan<'a>, Vec<Diagnostic>> {
    let specs = ground.specs;
    let mut walk = Walk::new(ground, patches);
    let wanted: Vec<&str> = match target {
        // A pass is a means to an end: it is built where it is needed.
        Target::All => {
            let cross = ground.profiles.get(profile).is_some_and(Profile::is_cross);
            let fits = |spec: &&Spec| spec.is_whole() && spec.builds_with(profile) && !(cross && runs(specs, spec));
            specs.values().filter(fits).map(Spec::id).collect()
        }
        Target::Names(names) => names.iter().map(String::as_str).collect(),
    };
    for name in &wanted {
        match specs.get(*name) {
            Some(spec) => {
                walk.visit(spec, profile);
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
        node.wanted = node.profile == profile && wanted.contains(node.spec.id());
    }
    Ok(Plan { nodes, ground, profile })
}

/// What a profile has in every build, with the plan of all that built it.
#[derive(Debug)]
pub struct Toolset<'a> {
    /// What built it.
    pub plan: Plan<'a>,
    /// The tools, with all that they need to run. Sorted.
    pub tools: Vec<NodeId>,
    /// The libraries, likewise.
    pub libraries: Vec<NodeId>,
}

/// Finds what the profile of this name has in every build. As [`resolve`].
///
/// # Errors
/// As [`resolve`].
pub fn resolve_tools<'a>(
    ground: Ground<'a>,
    profile: &'a str,
    patches: &dyn Fn(&Spec, &str) -> String,
) -> Result<Toolset<'a>, Vec<Diagnostic>> {
    let mut walk = Walk::new(ground, patches);
    let found = ground.profiles.get(profile).and_then(|with| walk.toolchain(profile, with));
    match found {
        Some((tools, libraries)) if walk.errors.is_empty() => {
            Ok(Toolset { plan: Plan { nodes: walk.nodes, ground, profile }, tools, libraries })
        }
        _ => Err(walk.errors),
    }
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

fn wrong_profile(spec: &Spec, profile: &str) -> Diagnostic {
    let known: Vec<&str> = spec.profiles.iter().map(|profile| profile.value.as_str()).collect();
    let label = spec.profiles.first().map(|first| spec.at(&first.span, "these only"));
    Diagnostic {
        rule: "wrong-profile",
        level: crate::base::Level::Error,
        message: format!("'{}' can't be built with the profile '{profile}'", spec.id()),
        labels: label.into_iter().collect(),
        help: Some(format!("it can be built with {}: `--profile NAME`", known.join(", "))),
    }
}

/// Whether something of the same profile runs during a build of this, or of what it needs.
fn runs(specs: &BTreeMap<String, Spec>, spec: &Spec) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![spec];
    while let Some(spec) = waiting.pop() {
        let needs = &spec.needs;
        if !needs.build.is_empty() {
            return true;
        }
        let others = [&needs.host, &needs.target, &needs.run].into_iter().flatten();
        waiting
            .extend(others.filter(|need| seen.insert(need.value.as_str())).filter_map(|need| specs.get(&need.value)));
    }
    false
}

/// What a cross profile builds does not run where it builds: such a profile has all that runs in its toolchain.
fn unrunnable(spec: &Spec, need: &At<String>, profile: &str) -> Diagnostic {
    Diagnostic {
        rule: "cross-build-need",
        level: crate::base::Level::Error,
        message: format!("the profile '{profile}' builds for another machine, on which '{}' would run", need.value),
        labels: vec![spec.at(&need.span, "to be run during the build")],
        help: Some(format!("have '{}' among the tools of the profile instead, built by its toolchain", need.value)),
    }
}

#[derive(Clone, Copy)]
enum State {
    Open,
    Done(NodeId),
    Broken,
}

/// A package and a profile.
type Key<'a> = (&'a str, &'a str);

/// What a profile has in every build: tools, and libraries.
type Tools = (Vec<NodeId>, Vec<NodeId>);

struct Walk<'a, 'p> {
    ground: Ground<'a>,
    patches: &'p dyn Fn(&Spec, &str) -> String,
    nodes: Vec<Node<'a>>,
    state: BTreeMap<Key<'a>, State>,
    /// Tools and libraries of each profile that was met, with all that they need to run.
    toolchains: BTreeMap<&'a str, Option<Tools>>,
    /// The needs that led here: the spec, and the place in it that names the next one.
    path: Vec<(&'a Spec, &'a At<String>)>,
    errors: Vec<Diagnostic>,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(ground: Ground<'a>, patches: &'p dyn Fn(&Spec, &str) -> String) -> Self {
        Self {
            ground,
            patches,
            nodes: Vec::new(),
            state: BTreeMap::new(),
            toolchains: BTreeMap::new(),
            path: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Depth first; the depth is the longest chain of needs, which the stack of a thread holds for thousands of specs.
    fn visit(&mut self, spec: &'a Spec, profile: &'a str) -> Option<NodeId> {
        let key = (spec.id(), profile);
        match self.state.get(&key) {
            Some(State::Done(id)) => return Some(*id),
            Some(State::Broken) => return None,
            Some(State::Open) => {
                self.cycle(spec);
                return None;
            }
            None => {}
        }
        let with = self.ground.profiles.get(profile)?;
        if !spec.builds_with(profile) {
            self.errors.push(wrong_profile(spec, profile));
            self.state.insert(key, State::Broken);
            return None;
        }
        if let Some(need) = spec.needs.build.first().filter(|_| with.is_cross()) {
            self.errors.push(unrunnable(spec, need, profile));
            self.state.insert(key, State::Broken);
            return None;
        }
        self.state.insert(key, State::Open);
        let toolchain = self.toolchain(profile, with);
        let needs = &spec.needs;
        let [build, host, target, run] =
            [&needs.build, &needs.host, &needs.target, &needs.run].map(|needs| self.needs(spec, needs, profile));
        let (Some((tools, libraries)), Some(build), Some(host), Some(target), Some(run)) =
            (toolchain, build, host, target, run)
        else {
            self.state.insert(key, State::Broken);
            return None;
        };
        let target = self.with_runtime(&target);
        let (build, host, extra) = (self.with_runtime(&build), self.with_runtime(&host), self.with_runtime(&run));
        let run: BTreeSet<NodeId> = host.iter().chain(&extra).copied().collect();
        let host: BTreeSet<NodeId> = host.into_iter().chain(target).chain(libraries).collect();
        let patch =
            |name: &At<String>| PatchInput { name: name.value.clone(), text: (self.patches)(spec, &name.value) };
        let patches = spec.patches.iter().map(patch).collect();
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            spec,
            profile,
            with,
            tools,
            build,
            host: host.into_iter().collect(),
            run: run.into_iter().collect(),
            patches,
            wanted: false,
        });
        self.state.insert(key, State::Done(id));
        Some(id)
    }

    /// These and all they need to run.
    fn with_runtime(&self, ids: &[NodeId]) -> Vec<NodeId> {
        let mut all: BTreeSet<NodeId> = ids.iter().copied().collect();
        ids.iter().for_each(|id| all.extend(&self.nodes[id.0].run));
        all.into_iter().collect()
    }

    /// What a profile has in every build; `None` if something is wrong with it, which is said once.
    fn toolchain(&mut self, name: &'a str, profile: &'a Profile) -> Option<Tools> {
        let Some(Toolchain { profile: by, tools, libraries }) = &profile.toolchain else {
            return Some((Vec::new(), Vec::new()));
        };
        if let Some(known) = self.toolchains.get(name) {
            return known.clone();
        }
        let mut list = |names: &'a [String]| -> Option<Vec<NodeId>> {
            let found = names.iter().map(|package| match self.ground.specs.get(package) {
                Some(spec) => self.visit(spec, by),
                None => {
                    let mut error = unknown(self.ground.specs, package);
                    error.message = format!("{}, but the profile '{name}' has it in its toolchain", error.message);
                    self.errors.push(error);
                    None
                }
            });
            // All of them are looked at, so that all mistakes are found.
            let found: Vec<Option<NodeId>> = found.collect();
            found.into_iter().collect()
        };
        let (tools, libraries) = (list(tools), list(libraries));
        let found = tools.zip(libraries).map(|(t, l)| (self.with_runtime(&t), self.with_runtime(&l)));
        self.toolchains.insert(name, found.clone());
        found
    }

    fn needs(&mut self, spec: &'a Spec, needs: &'a [At<String>], profile: &'a str) -> Option<Vec<NodeId>> {
        let mut ids = Some(Vec::with_capacity(needs.len()));
        for need in needs {
            let found = match self.ground.specs.get(&need.value) {
                Some(other) => {
                    self.path.push((spec, need));
                    let found = self.visit(other, profile);
                    self.path.pop();
                    found
                }
                None => {
                    let mut error = unknown(self.ground.specs, &need.value);
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
    /// The node of a package, built with the plan's own profile.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        let is_it = |node: &Node<'_>| node.profile == self.profile && node.spec.id() == name;
        self.nodes.iter().position(is_it).map(NodeId)
    }

    /// Names of the profiles that have a seed and build something in this plan.
    pub fn seeded(&self) -> BTreeSet<&str> {
        self.nodes.iter().filter(|node| node.with.seed.is_some()).map(|node| node.profile).collect()
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
        let (spec, profile) = (node.spec, node.with);
        let mut inputs = Vec::with_capacity(node.build.len() + node.host.len() + node.tools.len());
        for (place, ids) in [(Place::Build, &node.build), (Place::Host, &node.host), (Place::Tools, &node.tools)] {
            for input in ids {
                let name = self.nodes[input.0].spec.name.value.clone();
                inputs.push(Input { name, place, tree: output(*input)? });
            }
        }
        // By name, so that an unrelated package elsewhere in the plan can not change the order of layers.
        inputs.sort_by(|a, b| (a.place, &a.name).cmp(&(b.place, &b.name)));

        let sources: Vec<SourceInput> = spec.sources.iter().map(|source| source_input(spec, source)).collect();
        let main = main_dir(&sources);
        let mut env = profile.env.clone();
        env.extend(spec.build.env.clone());
        env.insert("SYSROOT".to_owned(), profile.sysroot.clone());
        let provided = profile.provides.iter().chain(spec.allow_needed.iter().map(|lib| &lib.value));
        Some(Derivation {
            contract: self.ground.contract,
            name: spec.name.value.clone(),
            version: spec.version.value.clone(),
            patches: node.patches.clone(),
            seed: self.ground.seeds.get(node.profile).copied(),
            inputs,
            phases: phases::expand(spec, &main, profile),
            check: spec.check.as_ref().filter(|_| !profile.is_cross()).map(|check| Phase {
                name: "check".to_owned(),
                dir: if spec.build.out_of_tree { "obj".to_owned() } else { main.clone() },
                script: check.script.value.clone(),
            }),
            env,
            target: profile.target.clone(),
            sysroot: profile.sysroot.clone(),
            linkage: Linkage { interpreter: profile.interpreter.clone(), provided: provided.cloned().collect() },
            sources,
        })
    }
}

/// Where a source goes below `/build`, and how it is fixed. A file that is not unpacked keeps its name.
fn source_input(spec: &Spec, source: &crate::spec::Source) -> SourceInput {
    let dir = source.dir.as_ref().map(|dir| dir.value.clone());
    let unpacked = || dir.clone().unwrap_or_else(|| format!("{}-{}", spec.package, spec.version.value));
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
