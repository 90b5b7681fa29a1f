//! The stories: one file per verb, from top to bottom, without cleverness. The only place where rooms meet.
//!
//! Every verb gets a [`Session`], which holds what all of them need, and returns a value that `cli` shows.

mod build;
mod closure;
mod conditions;
mod ddc;
mod diff;
mod doctor;
mod export;
mod fetch;
mod hash;
mod host;
mod init;
mod inspect;
mod new;
mod package;
mod seed;
mod shell;
mod sources;
mod why;

pub use crate::build::Error as RoundError;
pub use crate::compare::Limits as DiffLimits;
pub use crate::plan::{ArchiveSeed, ArchivedPackage, PackageSeed, Seed, Target};
pub use crate::sandbox::Status;
pub use crate::store::Store as OpenStore;
pub use build::{LogTail, PackageReport, Report, Settings, State, build};
pub use closure::{closure, ledger};
pub use conditions::{KnobFacts, Vary, Varying, conditions};
pub use ddc::ddc;
pub use diff::{Side, diff, side};
pub use doctor::{Diagnosis, Problem, Uncontrolled, WallFound, doctor};
pub use export::{Exported, export_seed};
pub use fetch::{FetchReport, FetchedPackage, fetch};
pub use hash::{Hashed, hash};
pub use host::{Host, fetcher, launcher, open_store};
pub use init::init;
pub use inspect::{Verified, WhyRebuild, gc, graph, verify_store, why_rebuild};
pub use new::{NewSpec, new_spec, write_new};
pub use seed::{Resolved, resolve as resolve_seed};
pub use shell::{Opened, open_shell};
pub use why::{WhySettings, why};

use crate::base::{Blake3, Cancel, Diagnostic, Events};
use crate::build as rounds;
use crate::fetch::{self as fetching, Fetcher};
use crate::plan::{self, Ground, Plan, Toolset};
use crate::sandbox::Launcher;
use crate::spec::{Profile, Spec, Workspace};
use crate::store::Store;
use crate::{compare, sandbox, store, tree};
use fs_err as fs;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What every verb needs.
pub struct Session<'a> {
    /// The specs.
    pub workspace: &'a Workspace,
    /// Name of the profile, if it is not the workspace's default one.
    pub profile: Option<&'a str>,
    /// Where everything is kept.
    pub store: &'a Store,
    /// How sources are had.
    pub fetcher: &'a Fetcher,
    /// How sandboxes are started.
    pub launcher: &'a Launcher,
    /// Where progress goes.
    pub events: Events<'a>,
    /// Whether to stop.
    pub cancel: &'a Cancel,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in what a person wrote.
    #[error("{} in the specs", count(.0.len(), "mistake"))]
    Mistakes(Vec<Diagnostic>),
    /// No such profile.
    #[error("the workspace has no profile '{name}'; it has {}", known.join(", "))]
    Profile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The seed's texts.
    #[error("{}: {error}", path.display())]
    Seed {
        /// The lock.
        path: PathBuf,
        /// What is wrong with it.
        error: plan::SeedError,
    },
    /// A source can't be had or proved.
    #[error("get the sources of {package}")]
    Source {
        /// Whose.
        package: String,
        /// Why.
        #[source]
        error: fetching::Error,
    },
    /// A commit can't be had.
    #[error("get the repository of {package}")]
    Git {
        /// Whose.
        package: String,
        /// Why.
        #[source]
        error: fetching::git::Error,
    },
    /// A signature does not hold.
    #[error("the signature of {name} ({package}) does not hold: {reason}")]
    Signature {
        /// Whose source.
        package: String,
        /// Which source.
        name: String,
        /// Why.
        reason: String,
    },
    /// A profile starts from no seed.
    #[error("this profile has no seed; `--profile NAME` names another")]
    NoSeed,
    /// A profile has nothing that could be packed.
    #[error("the profile '{0}' has no toolchain: `parton seed export` packs what another profile built for this one")]
    NoToolchain(String),
    /// A profile's tools are not all that its builds stand on.
    #[error("the profile '{profile}' can't be exported: {why}")]
    Unexportable {
        /// Which.
        profile: String,
        /// What is in the way.
        why: String,
    },
    /// A part of a toolchain is not built yet.
    #[error("{package} is not built with the profile '{profile}' yet; `{command}` builds all that is to be packed")]
    NotBuilt {
        /// What is missing.
        package: String,
        /// What it is built with.
        profile: String,
        /// What to do.
        command: String,
    },
    /// An archive has another tree than its lock says.
    #[error("the seed {file} has the tree {found}, its lock says {pinned}")]
    SeedTree {
        /// The archive.
        file: String,
        /// What the lock says.
        pinned: crate::base::TreeDigest,
        /// What was unpacked.
        found: crate::base::TreeDigest,
    },
    /// A package of the seed can't be unpacked.
    #[error("unpack {package} of the seed")]
    SeedPackage {
        /// Which.
        package: String,
        /// Why.
        #[source]
        error: tree::Error,
    },
    /// A repository has another tree than was pinned.
    #[error("commit {commit} of {package} has the tree {found}, pinned is {pinned}")]
    GitTree {
        /// Whose.
        package: String,
        /// Which commit.
        commit: String,
        /// What the spec says.
        pinned: crate::base::TreeDigest,
        /// What was found.
        found: crate::base::TreeDigest,
    },
    /// What a package needs is not built yet.
    #[error("{package} needs {need}, which is not built yet; `parton --profile {profile} build {need}` builds it")]
    NeedsFirst {
        /// Who needs it.
        package: String,
        /// What.
        need: String,
        /// With which profile.
        profile: String,
    },
    /// A file that would be written is there already.
    #[error("{} is there already; nothing was written", .0.display())]
    Exists(PathBuf),
    /// A pattern of the seed's recipe that fits nothing: it would hide a change in the packages.
    #[error("the seed's recipe removes '{0}', but nothing of that name is in its packages")]
    SeedPattern(String),
    /// A name that means nothing that could be compared.
    #[error(
        "'{0}' is neither a file or directory, nor the digest of a tree in the store, nor a package of this workspace"
    )]
    Nowhere(String),
    /// Neither a file nor a directory.
    #[error("{}: neither a regular file nor a directory", .0.display())]
    NotComparable(PathBuf),
    /// No result of a package is known.
    #[error("nothing is known of '{0}' yet; `parton build {0}` builds it")]
    Unknown(String),
    /// No profile of a chain names another chain.
    #[error(
        "neither the profile '{0}' nor one that builds its tools names a profile as `diverse`; `--with PROFILE` names one"
    )]
    NotDiverse(String),
    /// A file whose package can't be found.
    #[error(
        "'{0}' is no package, and no output of this profile holds a file of this content or at this path; `parton build PKG` makes an output known"
    )]
    NoHolder(String),
    /// A record of another version or kind.
    #[error("the record of {package} can't be read ({reason}); `parton build --rebuild {package}` makes a new one")]
    Record {
        /// Whose.
        package: String,
        /// Why.
        reason: String,
    },
    /// A package does not build even under plain conditions, so that there is nothing to hold other builds against.
    #[error("{package} does not build under plain conditions ({reason}); `parton build {package}` shows how it fails")]
    Baseline {
        /// Which.
        package: String,
        /// How it ended.
        reason: String,
    },
    /// A round could not be executed.
    #[error(transparent)]
    Round(#[from] rounds::Error),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A tree.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The comparison of two rounds.
    #[error(transparent)]
    Compare(#[from] compare::Error),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The caller cancelled.
    #[error("interrupted")]
    Cancelled,
}

/// Looks for every mistake that can be found without fetching or building: form, needs, cycles, profiles, seeds.
///
/// # Errors
/// The mistakes.
pub fn check(workspace: &Workspace) -> Result<(), Error> {
    let mut mistakes = Vec::new();
    for name in workspace.config.profiles.keys() {
        let seeds = Seeds::read(workspace, name)?;
        match make_plan(workspace, &Target::All, name, &seeds) {
            // What is wrong with one profile is often wrong with the next.
            Err(Error::Mistakes(found)) => {
                mistakes.extend(found.into_iter().filter(|one| !mistakes.contains(one)).collect::<Vec<_>>())
            }
            other => drop(other?),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Error::Mistakes(mistakes)) }
}

/// An error and its causes in one text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        cause = error.source();
    }
    text
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The seeds of a profile and of all profiles that built its tools.
#[derive(Debug, Clone)]
pub struct Seeds {
    /// By the name of the profile. Profiles without a seed are not in it.
    pub by_profile: BTreeMap<String, Seed>,
    ids: BTreeMap<String, Blake3>,
}

impl Seeds {
    fn read(workspace: &Workspace, profile: &str) -> Result<Self, Error> {
        let mut by_profile = BTreeMap::new();
        let mut next = Some(profile);
        while let Some(name) = next {
            let Some(profile) = workspace.config.profiles.get(name) else { break };
            if let Some(seed) = read_seed(workspace, profile)? {
                by_profile.insert(name.to_owned(), seed);
            }
            // The workspace was refused if this led in a circle.
            next = profile.toolchain.as_ref().map(|toolchain| toolchain.profile.as_str());
        }
        let ids = by_profile.iter().map(|(name, seed)| (name.clone(), seed.id())).collect();
        Ok(Self { by_profile, ids })
    }
}

impl Session<'_> {
    /// The profile that was asked for, or the default one: its name and itself.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn profile(&self) -> Result<(&str, &Profile), Error> {
        let config = &self.workspace.config;
        let name = self.profile.unwrap_or(&config.profile);
        match config.profiles.get_key_value(name) {
            Some((name, profile)) => Ok((name, profile)),
            None => Err(Error::Profile { name: name.to_owned(), known: config.profiles.keys().cloned().collect() }),
        }
    }

    /// The seeds of the profile's chain of toolchains.
    pub fn seeds(&self) -> Result<Seeds, Error> {
        Seeds::read(self.workspace, self.profile()?.0)
    }

    /// The plan for these packages.
    pub fn plan<'s>(&'s self, target: &Target, seeds: &'s Seeds) -> Result<Plan<'s>, Error> {
        make_plan(self.workspace, target, self.profile()?.0, seeds)
    }

    /// What the profile has in every build.
    fn toolset<'s>(&'s self, profile: &'s str, seeds: &'s Seeds) -> Result<Toolset<'s>, Error> {
        on_ground(self.workspace, seeds, |ground, patches| plan::resolve_tools(ground, profile, patches))
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// The seed of a profile, if it has one.
fn read_seed(workspace: &Workspace, profile: &Profile) -> Result<Option<Seed>, Error> {
    let Some(lock) = &profile.seed else { return Ok(None) };
    let path = workspace.root.join(lock);
    let lock = fs::read_to_string(&path)?;
    match ArchiveSeed::parse(&lock) {
        Ok(Some(mut archive)) => {
            let file = path.with_file_name(&archive.file);
            archive.beside = file.is_file().then(|| seed::file_url(&file));
            return Ok(Some(Seed::Archive(archive)));
        }
        Ok(None) => {}
        Err(error) => return Err(Error::Seed { path, error }),
    }
    let recipe = fs::read_to_string(path.with_extension("toml"))?;
    PackageSeed::parse(&recipe, &lock)
        .map(|seed| Some(Seed::Packages(seed)))
        .map_err(|error| Error::Seed { path, error })
}

fn make_plan<'s>(
    workspace: &'s Workspace,
    target: &Target,
    profile: &'s str,
    seeds: &'s Seeds,
) -> Result<Plan<'s>, Error> {
    on_ground(workspace, seeds, |ground, patches| plan::resolve(ground, target, profile, patches))
}

/// Lets `resolve` work on what plans are made from.
fn on_ground<'s, T>(
    workspace: &'s Workspace,
    seeds: &'s Seeds,
    resolve: impl FnOnce(Ground<'s>, &dyn Fn(&Spec, &str) -> String) -> Result<T, Vec<Diagnostic>>,
) -> Result<T, Error> {
    let mut failed = std::cell::RefCell::new(None);
    let patches = |spec: &Spec, file: &str| {
        let path = workspace.root.join("patches").join(&spec.package).join(file);
        fs::read_to_string(path).unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            String::new()
        })
    };
    let ground = Ground {
        specs: &workspace.specs,
        profiles: &workspace.config.profiles,
        seeds: &seeds.ids,
        contract: rounds::CONTRACT,
    };
    let plan = resolve(ground, &patches);
    match failed.get_mut().take() {
        Some(error) => Err(error.into()),
        None => plan.map_err(Error::Mistakes),
    }
}
