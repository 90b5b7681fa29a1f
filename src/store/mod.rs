//! The content-addressed directory: sources, trees, logs, and the records that say what a derivation produced.
//!
//! What enters is finished: a file whose digest is known, a directory whose [`Tree`](crate::tree::Tree) was scanned.
//! What leaves are paths to things that no longer change. Nobody else knows or builds a path in here; this room knows
//! nothing of packages, builds or what is written in a record.
//!
//! # On disk
//!
//! | path in the store | what it is |
//! |---|---|
//! | `format` | the line `parton store 1`; any other is refused |
//! | `blob/<sha256>` | a source, signature or seed package; mode 0444 |
//! | `blob/<sha256>.blake3` | a link whose text is the blob's BLAKE3 digest |
//! | `blob/<sha256>.place` | a link whose text says which place served the blob |
//! | `tree/<tree digest>/` | files of an output or an unpacked seed, usable as an overlayfs layer as it is |
//! | `log/<blake3>` | what a build printed; mode 0444 |
//! | `drv/<derivation id>` | a record (below) |
//! | `name/<package>/<profile>` | a link to the record that `show`, `log` and `shell` mean by this name |
//! | `seed/<digest of the seed lock>` | a link to the tree it was unpacked to |
//! | `root/<name>` | a link to a tree, blob or record that a person pinned |
//! | `kept/<package>/<number>/` | what a failed or differing round left, for a person to look at; higher is newer |
//! | `damaged/<kind>-<name>.<number>` | what `verify` found to be not what its name says; there until the next sweep |
//! | `fetch/` | what the room `fetch` keeps between runs; nothing of it is an object |
//! | `partial/` | its downloads under way, which may be continued; a sweep empties it |
//! | `tmp/<pid>-<random>/` | a stage: work in progress, locked by its owner (flock on the directory) |
//! | `lock/…` | `store` and `drv-<id>`: empty files to be locked |
//!
//! All links are relative: a store can be moved. Package and profile names are escaped like URLs where needed.
//!
//! Everything in a tree has the modification time 1980-01-02, belongs to the user who runs parton, and has a link count
//! of one, so that what a build sees of a tree depends on the tree's digest alone. Modes are part of a tree, so they
//! can't protect it from being written to; nothing in parton opens a stored tree for writing, jails see it read-only,
//! and `verify` finds what changed.
//!
//! A record is the line `parton record 1 <BLAKE3 of all that follows>`, lines of a word and a value (`name <package>
//! <profile>`, then `tree`, `log`, `blob` with a digest each, sorted), an empty line, and the bytes the caller gave. Its
//! modification time says which of two records is newer; no two that one handle wrote have the same.
//!
//! # Promises
//!
//! - **Whole or absent.** Objects are made in a stage and renamed into place, so none is ever visible half-written,
//!   whenever a process is killed. What a killed process left in its stage is removed by the next one that stages.
//! - **Committed is durable.** A `put_*` or `bind*` that returned survives a power cut; data is on disk before its name,
//!   and a record's trees before the record. One exception saves a wait on each build that has nothing to do: a
//!   `bind_name` that finds the name bound as it should be trusts that whoever bound it came to the end.
//! - **Gone is gone.** What is removed is out of sight durably before it is taken apart, so that no power cut brings back a
//!   name without all that was behind it.
//! - **Several at once.** Any number of partons may use a store. Each holds `lock/store` shared for as long as its
//!   [`Store`] lives; [`Store::gc`] and [`Store::repair`] take it exclusively, so nothing that a live handle was told
//!   about goes away. [`Store::lock_drv`] lets one build what others then find done.
//! - **Nothing outside is touched.** Deleting never follows a link.
//!
//! `tests/it/faults` holds the store to them.

mod blob;
mod disk;
mod error;
mod gc;
mod kept;
mod name;
mod open;
mod record;
mod stage;
mod trees;
mod verify;

pub use blob::Blob;
pub use disk::TREE_TIME;
pub use error::{Error, Result};
pub use gc::{GcOptions, Swept, SweptKind};
pub use kept::Kept;
pub use name::Current;
pub use open::{Held, Store};
pub use record::{Record, Refs};
pub use stage::Stage;
pub use trees::PutTree;
pub use verify::{Damage, DamageKind};

use crate::base::{Blake3, DrvId, Sha256, TreeDigest};
use std::fmt;

/// Something in the store, by kind and identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(tag = "object", content = "id", rename_all = "kebab-case")]
pub enum Object {
    /// A file from outside.
    Blob(Sha256),
    /// A directory.
    Tree(TreeDigest),
    /// The log of a build.
    Log(Blake3),
    /// The record of a derivation.
    Record(DrvId),
    /// The tree of a seed, by the digest of the seed's lock.
    Seed(Blake3),
}

impl Object {
    /// The word for its kind; also the directory it lies in.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Blob(_) => "blob",
            Self::Tree(_) => "tree",
            Self::Log(_) => "log",
            Self::Record(_) => "drv",
            Self::Seed(_) => "seed",
        }
    }

    /// Its identity in hexadecimal; also its file name.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Blob(id) => id.to_string(),
            Self::Tree(id) => id.to_string(),
            Self::Log(id) | Self::Seed(id) => id.to_string(),
            Self::Record(id) => id.to_string(),
        }
    }

    /// The object whose file `name` lies in the directory `kind`.
    pub(super) fn parse(kind: &str, name: &str) -> Option<Self> {
        // Digests parse from upper case too; a file name must be the one spelling that the store writes.
        let object = match kind {
            "blob" => Self::Blob(name.parse().ok()?),
            "tree" => Self::Tree(name.parse().ok()?),
            "log" => Self::Log(name.parse().ok()?),
            "drv" => Self::Record(name.parse().ok()?),
            "seed" => Self::Seed(name.parse().ok()?),
            _ => return None,
        };
        (object.id() == name).then_some(object)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(id) => write!(f, "source {id}"),
            Self::Tree(id) => write!(f, "tree {id}"),
            Self::Log(id) => write!(f, "log {id}"),
            Self::Record(id) => write!(f, "record of {id}"),
            Self::Seed(id) => write!(f, "seed {id}"),
        }
    }
}

/// What a call waits for; handed to the caller about ten times a second, who says whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Another parton removes or repairs things; nobody can use the store meanwhile.
    Sweep,
    /// Other partons use the store, so nothing can be removed.
    Users,
    /// Another parton builds this derivation.
    Derivation(DrvId),
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sweep => f.write_str("another parton that removes things from the store"),
            Self::Users => f.write_str("other partons that use the store"),
            Self::Derivation(id) => write!(f, "another parton that builds derivation {}", id.short()),
        }
    }
}

/// Asked while waiting, about ten times a second; `false` gives up.
pub type Patience<'a> = &'a mut dyn FnMut(Waiting) -> bool;
