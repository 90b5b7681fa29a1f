//! A seed that is one archive: what `parton seed export` packed of a profile's tools and libraries.

use super::seed::SeedError;
use crate::base::{Blake3, Encoder, Sha256, TreeDigest};
use serde::{Deserialize, Serialize};

/// One archive that makes the lowest layer of the root. Its lock says all of it; there is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSeed {
    /// Name of the archive, which may lie beside the lock.
    pub file: String,
    /// Where it is published; a person adds these.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the archive.
    pub sha256: Sha256,
    /// Digest of the tree that it unpacks to.
    pub tree: TreeDigest,
    /// What it was made of, for people.
    #[serde(default, rename = "package")]
    pub packages: Vec<ArchivedPackage>,
    /// The address of the archive beside the lock, where there is one. Whoever read the lock knows; the lock does not.
    #[serde(skip)]
    pub beside: Option<String>,
}

/// A package whose output is in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ArchivedPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Its output.
    pub tree: TreeDigest,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    archive: ArchiveSeed,
}

impl ArchiveSeed {
    /// Reads a lock; `None` if it is one of binary packages, which belongs to a recipe.
    ///
    /// # Errors
    /// The text is malformed, or names a file that can not lie beside it.
    pub fn parse(lock: &str) -> Result<Option<Self>, SeedError> {
        let table: toml::Table = toml::from_str(lock).map_err(SeedError::Lock)?;
        if !table.contains_key("archive") {
            return Ok(None);
        }
        // Once more from the text, so that a mistake has its place.
        let Lock { archive } = toml::from_str(lock).map_err(SeedError::Lock)?;
        match archive.file.as_str() {
            "" | "." | ".." => Err(SeedError::ArchiveName(archive.file)),
            name if name.contains(['/', '\0']) => Err(SeedError::ArchiveName(archive.file)),
            _ => Ok(Some(archive)),
        }
    }

    /// The text of the lock.
    pub fn lock_text(&self) -> String {
        let head = "# Written by `parton seed export`. The archive is sought beside this file, and at `urls = [\"…\"]`, which \
                    may be\n# added below [archive]; whatever serves it, its bytes and its tree are the ones named here.\n";
        let lock = Lock { archive: self.clone() };
        // Strings and numbers only: there is nothing in a lock that TOML can not write.
        format!("{head}{}", toml::to_string(&lock).unwrap_or_default())
    }

    /// Changes when the unpacked layer changes, and not with how it was packed.
    pub fn id(&self) -> Blake3 {
        let mut to = Encoder::new("parton.seed.archive", 1);
        to.put(&self.tree);
        to.finish()
    }
}
