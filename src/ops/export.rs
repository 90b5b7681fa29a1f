//! `parton seed export`: what a profile's builds stand on, packed into one archive that is a seed by itself.

use super::{Error, Session, package, seed};
use crate::base::{Cancel, Event, Hasher, Progress, Task, TreeDigest, printable, sync_dir, write_atomic};
use crate::build::{Layer, check_layers, provided};
use crate::plan::{ArchiveSeed, ArchivedPackage, NodeId, Plan};
use crate::report::Verdict;
use crate::spec::{Profile, Toolchain};
use crate::store::TREE_TIME;
use crate::tree::{Entry, Layers};
use fs_err as fs;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What `parton seed export` wrote.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// The archive.
    pub archive: PathBuf,
    /// Its lock, for `seed` of a profile.
    pub lock: PathBuf,
    /// What the lock says.
    pub seed: ArchiveSeed,
    /// Regular files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// A profile that builds with it what the exported one builds, for `parton.toml`.
    pub profile: String,
}

/// What is known of a toolchain's packages.
struct Outputs<'a> {
    plan: Plan<'a>,
    of: Vec<TreeDigest>,
}

/// Packs what every build of the profile has in its root: the outputs of its tools and libraries, laid over one another as
/// in a jail.
///
/// # Errors
/// The profile stands on more than that, or a part is not built yet.
pub fn export_seed(session: &Session<'_>, to: Option<&Path>) -> Result<Exported, Error> {
    let (name, profile) = session.profile()?;
    let toolchain = profile.toolchain.as_ref().ok_or_else(|| Error::NoToolchain(name.to_owned()))?;
    let refused = |why: String| Err(Error::Unexportable { profile: name.to_owned(), why });
    if profile.seed.is_some() {
        return refused("it starts from a seed as well, which would not be in the archive".to_owned());
    }
    if profile.sysroot != "/" {
        let why = format!("its libraries lie in {}; in a seed all is one root", profile.sysroot);
        return refused(why);
    }
    let archive = to.map_or_else(|| default_path(session, name), Path::to_owned);
    let lock = lock_path(&archive);
    // What was exported before may be replaced, and nothing else.
    for path in [&archive, &lock] {
        if path.exists() && !seed::is_archive(&lock)? {
            return Err(Error::Exists(path.clone()));
        }
    }

    let seeds = session.seeds()?;
    let tools = session.toolset(name, &seeds)?;
    let outputs = Outputs { of: known(session, &tools.plan, toolchain)?, plan: tools.plan };
    // As in a jail: what is linked against lies over the tools, and within each of the two none hides another.
    let mut dirs = Vec::new();
    for nodes in [&tools.libraries, &tools.tools] {
        let layers = outputs.layers(session, nodes)?;
        check_layers(&layers)?;
        dirs.extend(layers.into_iter().map(|(_, path)| path));
    }
    let libraries = dirs.iter().map(|dir| provided(dir)).collect::<Result<Vec<_>, _>>()?;
    let layers = Layers::scan(dirs)?;
    let lost = layers.tree().iter().find(|(_, entry)| match entry {
        Entry::File { mode, .. } => mode & 0o7000 != 0,
        Entry::Dir { mode } => mode & 0o6000 != 0,
        Entry::Link { .. } => false,
    });
    if let Some((path, _)) = lost {
        return refused(format!("{path} has a set-id or sticky bit, which no seed keeps"));
    }
    session.go_on()?;
    let (sha256, size) = write(session, &layers, &archive)?;
    let packages: BTreeSet<NodeId> = tools.tools.iter().chain(&tools.libraries).copied().collect();
    let seed = ArchiveSeed {
        file: printable(archive.file_name().unwrap_or_default().as_encoded_bytes()),
        urls: Vec::new(),
        size,
        sha256,
        tree: layers.tree().digest(),
        packages: outputs.packages(&packages),
        beside: None,
    };
    write_atomic(&lock, seed.lock_text().as_bytes())?;
    let facts = layers.tree().facts();
    let libraries = libraries.into_iter().flatten().chain(profile.provides.iter().cloned()).collect();
    let lock_in_workspace = lock.strip_prefix(&session.workspace.root).unwrap_or(&lock);
    let profile = profile_text(name, profile, lock_in_workspace, &libraries);
    Ok(Exported { archive, lock, seed, files: facts.files, bytes: facts.bytes, profile })
}

fn default_path(session: &Session<'_>, profile: &str) -> PathBuf {
    session.workspace.root.join("specs").join(format!("{profile}-seed.tar.zst"))
}

/// `NAME.lock` beside `NAME.tar.zst`.
fn lock_path(archive: &Path) -> PathBuf {
    let name = printable(archive.file_name().unwrap_or_default().as_encoded_bytes());
    let stem = [".tar.zst", ".zst", ".tar"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    archive.with_file_name(format!("{stem}.lock"))
}

/// The output of every package of the plan; each must be there.
fn known(session: &Session<'_>, plan: &Plan<'_>, toolchain: &Toolchain) -> Result<Vec<TreeDigest>, Error> {
    let mut outputs = Vec::with_capacity(plan.nodes.len());
    let mut unproved = Vec::new();
    for ((_, known), node) in package::standing(session, plan)?.into_iter().zip(&plan.nodes) {
        let Some(known) = known else {
            let names: Vec<&str> = toolchain.tools.iter().chain(&toolchain.libraries).map(String::as_str).collect();
            return Err(Error::NotBuilt {
                package: node.spec.id().to_owned(),
                profile: node.profile.to_owned(),
                command: format!("parton --profile {} build {}", toolchain.profile, names.join(" ")),
            });
        };
        if known.verdict == Verdict::Unproved {
            unproved.push(format!("{} ({})", node.spec.id(), node.profile));
        }
        outputs.push(known.output);
    }
    if !unproved.is_empty() {
        let text = format!("built only once, so that nothing proves what is packed: {}", unproved.join(", "));
        (session.events)(Event::Warning(text));
    }
    Ok(outputs)
}

impl Outputs<'_> {
    /// These packages by name, as a derivation has them.
    fn layers(&self, session: &Session<'_>, nodes: &[NodeId]) -> Result<Vec<Layer>, Error> {
        let mut layers = Vec::new();
        for node in nodes {
            let tree = self.of[node.0];
            let path = session.store.tree_path(tree)?.ok_or(crate::build::Error::NoTree(tree))?;
            layers.push((self.plan.nodes[node.0].spec.name.value.clone(), path));
        }
        // Stable, as the order of a derivation's inputs is.
        layers.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(layers)
    }

    fn packages(&self, nodes: &BTreeSet<NodeId>) -> Vec<ArchivedPackage> {
        let package = |node: &NodeId| {
            let spec = self.plan.nodes[node.0].spec;
            let (name, version) = (spec.id().to_owned(), spec.version.value.clone());
            ArchivedPackage { name, version, tree: self.of[node.0] }
        };
        let mut packages: Vec<ArchivedPackage> = nodes.iter().map(package).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        packages
    }
}

/// Writes the archive, whole or not at all.
fn write(session: &Session<'_>, layers: &Layers, path: &Path) -> Result<(crate::base::Sha256, u64), Error> {
    let name = printable(path.file_name().unwrap_or_default().as_encoded_bytes());
    let progress = Progress::start(session.events, Task::Pack, name, None);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    let hasher = {
        let out = std::io::BufWriter::new(file.as_file());
        let mut out = HashingWriter { out, hasher: Hasher::new(), progress: &progress, cancel: session.cancel };
        let packed = layers.pack(TREE_TIME, &mut out);
        session.go_on()?;
        packed?;
        out.flush()?;
        out.hasher
    };
    let (size, (sha256, _)) = (hasher.size(), hasher.finish());
    fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)?;
    progress.done();
    Ok((sha256, size))
}

/// Hashes in passing, says how far it is, and stops when it is asked to.
struct HashingWriter<'a, W> {
    out: W,
    hasher: Hasher,
    progress: &'a Progress<'a>,
    cancel: &'a Cancel,
}

impl<W: Write> Write for HashingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.progress.advance(self.hasher.size());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[derive(Serialize)]
struct Text<'a> {
    seed: String,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    interpreter: &'a str,
    provides: &'a BTreeSet<String>,
    env: &'a BTreeMap<String, String>,
}

/// The profile that has the archive for its seed. It provides what those packages did as needs.
fn profile_text(name: &str, profile: &Profile, lock: &Path, provides: &BTreeSet<String>) -> String {
    let text = Text {
        seed: lock.display().to_string(),
        target: &profile.target,
        build: profile.build.as_deref(),
        interpreter: &profile.interpreter,
        provides,
        env: &profile.env,
    };
    let table = BTreeMap::from([("profile", BTreeMap::from([(format!("{name}-seed"), text)]))]);
    toml::to_string(&table).unwrap_or_default()
}
