//! What the comparison of two trees says: plain values.

use crate::base::RelPath;
use serde::Serialize;

/// One thing that is not the same in both trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where.
    pub path: RelPath,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// What a person may want to know about it, such as a likely cause. This room adds none yet.
    pub notes: Vec<String>,
}

/// How an entry differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// One tree does not have it.
    OnlyIn {
        /// The tree that has it.
        side: Side,
        /// What it is there.
        kind: Kind,
    },
    /// It is not the same kind of thing.
    Kind(Sides<Kind>),
    /// Its permissions differ.
    Mode(Sides<Mode>),
    /// The link leads elsewhere.
    LinkTarget(Sides<String>),
    /// The file's bytes differ.
    Content(Content),
}

/// How the bytes of a file differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Sizes of the two files.
    pub size: Sides<u64>,
    /// Offset of the first byte that differs or that only one file has.
    pub first_offset: u64,
    /// How many bytes differ at equal offsets, plus how many only one file has.
    pub differing: u64,
    /// What the bytes mean, as far as the file's format is known; else runs of bytes. Never empty.
    pub places: Vec<Place>,
    /// Whether there are places beyond [`Limits::places`](super::Limits::places).
    pub more: bool,
}

/// A place in a file where two versions of it differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "place", rename_all = "kebab-case")]
pub enum Place {
    /// A run of bytes.
    Bytes {
        /// Its offset in the file, section or member.
        offset: u64,
        /// The first bytes from there on, in hexadecimal.
        #[serde(flatten)]
        hex: Sides<String>,
    },
    /// A line of a text.
    TextLine {
        /// Its number, counted from 1.
        line: u64,
        /// The line, or the part of it around the difference; `None` where the file has ended.
        #[serde(flatten)]
        text: Sides<Option<String>>,
    },
    /// A field of an ELF file's header.
    ElfHeader(Field),
    /// A section of an ELF file.
    ElfSection {
        /// Its name.
        name: String,
        /// What changed.
        #[serde(flatten)]
        change: Change,
    },
    /// A member of an ar archive.
    ArMember {
        /// Its name.
        name: String,
        /// What changed.
        #[serde(flatten)]
        change: Change,
    },
    /// The members of an ar archive come in another order.
    ArOrder {
        /// The first member that is elsewhere.
        name: String,
        /// Its positions.
        #[serde(flatten)]
        position: Sides<u64>,
    },
    /// A field of a gzip header.
    GzipHeader(Field),
    /// The content that was compressed.
    GzipContent {
        /// Of the first differing byte.
        offset: u64,
        /// Where in the unpacked content.
        places: Vec<Place>,
    },
    /// The same content was compressed to other bytes.
    GzipStream,
}

/// How a part of a file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// One file does not have it.
    OnlyIn {
        /// The file that has it.
        side: Side,
    },
    /// Something that is said about it.
    Field(Field),
    /// Its bytes.
    Content {
        /// Of the first differing byte, within the part.
        offset: u64,
        /// Where, within the part.
        places: Vec<Place>,
    },
}

/// A named value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Which.
    pub field: &'static str,
    /// Its values, printable.
    #[serde(flatten)]
    pub values: Sides<String>,
}

/// The same thing on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sides<T> {
    /// In the first tree.
    pub a: T,
    /// In the second tree.
    pub b: T,
}

/// One of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
}

/// Permission bits; shown and serialised as four octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);
