//! A file tree as a value. The only parser of foreign archives and the only writer of canonical ones.
//!
//! **What enters:** a directory ([`Tree::scan`]), an archive ([`unpack`], [`unpack_deb`]), the bytes of a program
//! ([`elf::facts`]) or of an archive that is only to be looked at ([`index`], [`unpacked`]). **What leaves:** a [`Tree`], its [digest](Tree::digest), a canonical archive ([`pack`]), files
//! beneath a directory that the caller names. **What is promised:** nothing is created, read or removed outside that
//! directory or through a link in it; every byte that comes from an archive is counted against [`Limits`] before it is
//! kept; every refusal has a name ([`Error`]). **What this room refuses to know:** where directories lie, what a
//! package is, and what the clock says.
//!
//! # What a tree is
//!
//! What lies *beneath* a directory: files with their permissions, size and content, directories with their permissions,
//! symbolic links with their target. A canonical tree leaves out the times of modification and the owner **and nothing
//! else**: what it could not hold (devices, fifos, sockets, extended attributes such as file capabilities) is refused by
//! name. Two names of one file (hard links) are two files with the same content. The directory itself is not part of its
//! tree, so a tree keeps its digest wherever it lies, and a directory in a tree has the digest of its own tree.
//!
//! # The digest
//!
//! A Merkle digest in the encoding of [`crate::base::Encoder`], so that equal subtrees have equal digests. One message
//! per directory, domain `parton.tree`, version 1: the number of names, then for each name in ascending byte order
//!
//! | field | encoded as |
//! |---|---|
//! | name | bytes |
//! | file | the number 0, permissions (12 bits: number), size (number), BLAKE3 of the content (fixed) |
//! | directory | the number 1, permissions (number), digest of its own message (fixed) |
//! | link | the number 2, target (bytes) |
//!
//! The digest of a tree is that of the message of its top directory.

mod beneath;
mod bunzip;
mod compress;
mod copy;
mod deb;
mod digest;
mod dir;
pub mod elf;
mod error;
mod header;
pub mod index;
mod layers;
mod layout;
mod list;
mod members;
mod pack;
mod pipe;
mod remove;
mod scan;
mod unpack;

use crate::base::{Blake3, RelPath};
use std::collections::BTreeMap;

pub use compress::{inflated, unpacked, unzlibbed};
pub use copy::{Files, copy, set_times};
pub use error::Error;
pub use layers::Layers;
pub use list::{list, remove_matching};
pub use pack::pack;
pub use remove::remove_all;
pub use unpack::{Limits, Links, Modes, Order, Unpack, Unpacked, unpack, unpack_deb};

/// One thing in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Permission bits, with set-user-id, set-group-id and sticky (`0o7777`).
        mode: u32,
        /// Length of the content.
        size: u64,
        /// Digest of the content.
        digest: Blake3,
    },
    /// A directory; what is in it are entries of their own.
    Dir {
        /// Permission bits, with set-user-id, set-group-id and sticky (`0o7777`).
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it points, as it is written.
        target: Vec<u8>,
    },
}

/// What lies beneath a directory, as a value.
///
/// Every entry's parent is a directory of the same tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<RelPath, Entry>,
}

/// A tree in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// Regular files.
    pub files: u64,
    /// Directories, the top one left out.
    pub dirs: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in all regular files.
    pub bytes: u64,
}

impl Tree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Its parent must be there already, the entry itself must not.
    pub fn insert(&mut self, path: RelPath, entry: Entry) -> Result<(), Error> {
        if let Some(parent) = path.parent()
            && !matches!(self.entries.get(&parent), Some(Entry::Dir { .. }))
        {
            return Err(Error::Misplaced { path, reason: "its parent is no directory of the tree" });
        }
        if self.entries.contains_key(&path) {
            return Err(Error::Misplaced { path, reason: "the tree already has this name" });
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// The entry at a path.
    pub fn get(&self, path: &RelPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries in ascending order of their paths; a directory comes before what is in it.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&RelPath, &Entry)> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing in the tree.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tree in numbers.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        for entry in self.entries.values() {
            match entry {
                Entry::File { size, .. } => {
                    facts.files += 1;
                    facts.bytes += size;
                }
                Entry::Dir { .. } => facts.dirs += 1,
                Entry::Link { .. } => facts.links += 1,
            }
        }
        facts
    }
}
