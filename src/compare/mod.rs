//! Two trees → what differs between them, where, down to the byte, the section, the member, the line.
//!
//! What enters: two directories and the [`Tree`]s that were scanned from them. What leaves: [`Difference`]s, ordered by
//! path and the same on every machine. Files with equal digests are not opened. All bytes count as hostile: they are
//! streamed, tables in them are read up to a bound, and whatever does not parse is compared as plain bytes. This room
//! knows nothing of builds and never says which side is right.
//!
//! # As JSON
//!
//! A difference is an object with `path` (a text; what is not printable is escaped), `notes` (texts), `what`, and:
//!
//! | `what` | further members |
//! |---|---|
//! | `only-in` | `side`: `a` or `b`; `kind`: `file`, `dir` or `link` |
//! | `kind` | `a`, `b`: kinds |
//! | `mode` | `a`, `b`: permissions as four octal digits |
//! | `link-target` | `a`, `b`: texts |
//! | `content` | `size`: `{a, b}`; `first_offset`; `differing`: bytes at equal offsets that differ, and those only one file has; `places`: a list; `more`: whether there are places beyond the list |
//!
//! A place is an object with `place` and:
//!
//! | `place` | further members |
//! |---|---|
//! | `bytes` | `offset`; `a`, `b`: the first bytes there in hexadecimal, empty where a file ends |
//! | `text-line` | `line`, counted from 1; `a`, `b`: the line or the part around the difference; null where a file ends |
//! | `elf-header` | `field`, `a`, `b` |
//! | `elf-section` | `name`; a change |
//! | `ar-member` | `name`; a change |
//! | `ar-order` | `name` of the first member that is elsewhere; `a`, `b`: its positions, counted from 0 |
//! | `gzip-header` | `field`, `a`, `b` |
//! | `gzip-content` | `offset`, `places` in the unpacked content |
//! | `gzip-stream` | none: the content is the same, it was compressed in another way |
//!
//! A change is `change`: `only-in` with `side`; `field` with `field`, `a`, `b`; or `content` with `offset` of the first
//! differing byte within the section or member, and `places` in it.

mod ar;
mod bytes;
pub mod cause;
mod content;
mod difference;
mod elf;
mod gzip;
pub mod search;
mod show;
mod text;
mod trees;

pub use difference::{Change, Content, Difference, Field, Kind, Mode, Place, Side, Sides, What};
pub use trees::compare;

use crate::base::{RelPath, printable};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(doc)]
use crate::tree::Tree;

/// How much is looked at and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Places told for one file, and for each part of it.
    pub places: usize,
    /// How deep parts within parts are looked into.
    pub depth: usize,
    /// Bytes unpacked from what is compressed in one file, its members together; what comes after is not compared.
    pub unpacked: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { places: 16, depth: 4, unpacked: 1 << 30 }
    }
}

/// Why two trees could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("could not {doing} {}: {source}", show(path))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A file is not as its tree says.
    #[error("{path} changed after its tree was scanned; scan again when nothing writes there")]
    Changed {
        /// Which file.
        path: RelPath,
    },
}

fn show(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    printable(path.as_os_str().as_bytes())
}
