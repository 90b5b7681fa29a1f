//! The seed: pinned binary packages, or one pinned archive, that make the lowest layer of the root, before anything is
//! built.
//!
//! A person writes `NAME.toml` (package names, links, files, removals: [`SeedRecipe`]); `parton seed resolve` writes
//! `NAME.lock` beside it (version, size and digest of each package). Both together are a [`PackageSeed`]. Or the seed is
//! what parton has built itself, in one archive: an [`ArchiveSeed`].

use super::archive::ArchiveSeed;
use crate::base::{Blake3, Canon, Encoder, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a person writes about a seed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRecipe {
    /// Suite of the archive the packages come from.
    pub suite: String,
    /// Architecture of the packages.
    pub arch: String,
    /// Package names. Nothing is added for their dependencies.
    pub packages: BTreeSet<String>,
    /// Symbolic links to make: path → target.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Files to write.
    #[serde(default, rename = "file")]
    pub files: Vec<SeedFile>,
    /// Paths to drop after unpacking: files, or directories with all they hold; `*` stands for any characters but `/`.
    /// One that matches nothing is an error: it would hide a change in the packages.
    #[serde(default)]
    pub remove: BTreeSet<String>,
}

/// A file of ours in the seed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedFile {
    /// Path in the root, without a leading slash.
    pub path: String,
    /// Content.
    pub content: String,
    /// Permission bits in octal.
    #[serde(default = "plain_file")]
    pub mode: String,
}

fn plain_file() -> String {
    "0644".to_owned()
}

impl SeedFile {
    /// The permission bits.
    ///
    /// # Errors
    /// The text is not an octal number of up to four digits.
    pub fn bits(&self) -> Result<u32, SeedError> {
        u32::from_str_radix(&self.mode, 8)
            .ok()
            .filter(|bits| *bits <= 0o777)
            .ok_or_else(|| SeedError::Mode { path: self.path.clone(), mode: self.mode.clone() })
    }
}

/// A pinned binary package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Sha256,
    /// Path below the archive's root, where it can usually be found.
    pub path: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SeedLock {
    suite: String,
    arch: String,
    package: Vec<SeedPackage>,
}

/// A seed, complete: what to fetch and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seed {
    /// Binary packages of another distribution.
    Packages(PackageSeed),
    /// What parton has built and packed.
    Archive(ArchiveSeed),
}

impl Seed {
    /// Changes when anything in the unpacked layer could change.
    pub fn id(&self) -> Blake3 {
        match self {
            Self::Packages(seed) => seed.id(),
            Self::Archive(seed) => seed.id(),
        }
    }

    /// Bytes to fetch.
    pub fn size(&self) -> u64 {
        match self {
            Self::Packages(seed) => seed.size(),
            Self::Archive(seed) => seed.size,
        }
    }

    /// How many packages are in it.
    pub fn count(&self) -> usize {
        match self {
            Self::Packages(seed) => seed.packages.len(),
            Self::Archive(seed) => seed.packages.len(),
        }
    }

    /// The files that are fetched: digest, name, bytes.
    pub fn parts(&self) -> Vec<(Sha256, &str, u64)> {
        match self {
            Self::Packages(seed) => {
                seed.packages.iter().map(|package| (package.sha256, package.name.as_str(), package.size)).collect()
            }
            Self::Archive(seed) => vec![(seed.sha256, seed.file.as_str(), seed.size)],
        }
    }
}

/// A seed of binary packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSeed {
    /// What a person wrote.
    pub recipe: SeedRecipe,
    /// The packages, sorted by name.
    pub packages: Vec<SeedPackage>,
}

/// Why a seed can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The recipe is not what it should be.
    #[error("read the seed recipe: {0}")]
    Recipe(toml::de::Error),
    /// The lock is not what it should be.
    #[error("read the seed lock: {0}")]
    Lock(toml::de::Error),
    /// A file's mode is not a mode.
    #[error("the seed's file {path} has the mode '{mode}', which is not an octal number up to 0777")]
    Mode {
        /// The file.
        path: String,
        /// What was written.
        mode: String,
    },
    /// The recipe was changed after the lock was written.
    #[error("the seed lock does not match its recipe ({0}); run `parton seed resolve`")]
    Stale(String),
    /// The archive's name is a path.
    #[error("the seed lock names the archive '{0}'; it must be the name of a file beside the lock")]
    ArchiveName(String),
    /// There is no recipe to resolve.
    #[error("this seed is an archive that `parton seed export` wrote; there is nothing to resolve")]
    NoRecipe,
}

impl SeedRecipe {
    /// Reads what a person wrote.
    ///
    /// # Errors
    /// [`SeedError::Recipe`] with the place of the mistake.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        toml::from_str(text).map_err(SeedError::Recipe)
    }
}

impl PackageSeed {
    /// Reads a recipe and its lock, and checks that they belong together.
    ///
    /// # Errors
    /// Either text is malformed, or the lock is of another list of packages.
    pub fn parse(recipe: &str, lock: &str) -> Result<Self, SeedError> {
        let recipe = SeedRecipe::parse(recipe)?;
        let mut lock: SeedLock = toml::from_str(lock).map_err(SeedError::Lock)?;
        lock.package.sort();
        let locked: BTreeSet<String> = lock.package.iter().map(|p| p.name.clone()).collect();
        if let Some(name) = recipe.packages.symmetric_difference(&locked).next() {
            let side = if locked.contains(name) { "lock" } else { "recipe" };
            return Err(SeedError::Stale(format!("'{name}' is only in the {side}")));
        }
        if (&lock.suite, &lock.arch) != (&recipe.suite, &recipe.arch) {
            return Err(SeedError::Stale("another suite or architecture".to_owned()));
        }
        Ok(Self { recipe, packages: lock.package })
    }

    /// The text of the lock.
    pub fn lock_text(&self) -> String {
        let mut text = String::from("# Written by `parton seed resolve`. Do not edit: change the recipe beside it.\n");
        let lock = SeedLock {
            suite: self.recipe.suite.clone(),
            arch: self.recipe.arch.clone(),
            package: self.packages.clone(),
        };
        // Strings and numbers only: there is nothing in a lock that TOML can not write.
        text.push_str(&toml::to_string(&lock).unwrap_or_default());
        text
    }

    /// Changes when anything in the unpacked layer could change.
    pub fn id(&self) -> Blake3 {
        let mut to = Encoder::new("parton.seed", 1);
        to.put(&self.packages).put(&self.recipe.links).put(&self.recipe.files).put(&self.recipe.remove);
        to.finish()
    }

    /// Bytes to fetch.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|p| p.size).sum()
    }
}

impl Canon for SeedPackage {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.name).put(&self.sha256);
    }
}

impl Canon for SeedFile {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.path).put(&self.content).put(&self.mode);
    }
}
