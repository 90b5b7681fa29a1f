//! Two trees → what differs between them, where, down to the byte, the section, the member, the line.
//!
//! What enters: two directories and the [`Tree`]s that were scanned from them. What leaves: [`Difference`]s, ordered by
//! path and the same on every machine. Files with equal digests are not opened. All bytes count as hostile: they are
//! streamed, tables in them are read up to a bound, and whatever does not parse is compared as plain bytes. This room
//! knows nothing of builds and never says which side is right.
//!
//! What a file is, its first bytes say, never its name. Parts within parts are looked into as deep as [`Limits`] allow; what
//! they keep from being looked at is told ([`Place::Unseen`]). What differs only because something else does (an offset, a
//! checksum) is told only where nothing else is found.
//!
//! | page | what it reads |
//! |---|---|
//! | `trees`, `content` | two trees side by side; what a file is |
//! | `archive`, `packed` | members of archives (listed by [`crate::tree::index`]); what is compressed |
//! | `elf/` | headers, sections, symbols, notes, names in debugging information, functions |
//! | `pyc`, `mo`, `png`, `text` | compiled Python, translations, images, lines |
//! | `bytes`, `spool`, `edits` | parts of files and where they differ; what was unpacked; shortest scripts of edits |
//!
//! What leaves as JSON is described in `docs/json.md`.

mod archive;
mod bytes;
pub mod cause;
mod content;
mod difference;
mod edits;
mod elf;
mod mo;
mod packed;
mod png;
mod pyc;
pub mod search;
mod show;
mod spool;
mod text;
mod trees;

pub use difference::{Change, Content, Difference, Field, Format, Kind, Mode, Place, Side, Sides, Unit, What};
pub use show::Bytes;
pub use trees::{compare, contents};

use crate::base::{RelPath, printable};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(doc)]
use crate::tree::Tree;

/// How much is looked at and told. What a limit keeps from being looked at is told as [`Place::Unseen`]: nothing is taken
/// for equal that was not compared.
///
/// They bound the memory of one comparison too: two buffers of 1 MiB for each level of [`Limits::depth`] that is packed
/// (what is larger goes to [`Limits::scratch`]), what a decoder needs (512 MiB for the worst xz file), the tables of one ELF
/// file, the names of an archive's members, and the hashes of a text's lines; [`Limits::table`] bounds each of the latter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Places told for one file, and for each part of it; at least two, so that what was not looked at has room.
    pub places: usize,
    /// How deep parts within parts are looked into.
    pub depth: usize,
    /// Bytes unpacked from what is compressed in one file, its members together, of each side; what comes after is not compared.
    /// As much may lie in [`Limits::scratch`], for each file that is compared at the same time.
    pub unpacked: u64,
    /// Bytes of one table that is read whole: symbols, texts, bytecode, an image's chunk.
    pub table: usize,
    /// Where what is unpacked is kept while it is compared, in files without a name.
    pub scratch: PathBuf,
}

impl Default for Limits {
    fn default() -> Self {
        Self { places: 16, depth: 12, unpacked: 4 << 30, table: 64 << 20, scratch: PathBuf::from("/var/tmp") }
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
