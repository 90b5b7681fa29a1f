//! What the comparison of two trees says: plain values.

use crate::base::RelPath;
use serde::Serialize;
use std::borrow::Cow;

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

/// A format that is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Archives of `ar`: static libraries, Debian packages.
    Ar,
    /// Archives of `tar`.
    Tar,
    /// Archives of `cpio`.
    Cpio,
    /// Archives of `zip`, jar files, wheels.
    Zip,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with bzip2.
    Bzip2,
    /// Compressed with xz.
    Xz,
    /// Compressed with zstd.
    Zstd,
    /// Compressed with zlib, within something else.
    Zlib,
    /// Programs, libraries and objects.
    Elf,
    /// Compiled Python.
    Pyc,
    /// Compiled translations of gettext.
    Mo,
    /// Images.
    Png,
    /// Texts.
    Text,
}

/// What a named part of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Of an archive.
    Member,
    /// What an archive says of itself: its directory, its end mark.
    Frame,
    /// Bytes behind the end of a format that are not part of it.
    Rest,
    /// Of an ELF file.
    Section,
    /// Of an ELF file: an entry of its program headers.
    Segment,
    /// Of an ELF file.
    Symbol,
    /// Of an ELF file: code between two symbols.
    Function,
    /// Of an ELF file, such as its build id.
    Note,
    /// Of an ELF file: an entry of its dynamic section.
    Dynamic,
    /// A file or directory that debugging information names.
    SourceName,
    /// A text in a table of texts.
    Text,
    /// Of an image.
    Chunk,
    /// Of compiled translations.
    Entry,
    /// Of compiled Python: what code consists of.
    Object,
}

/// A place in a file where two versions of it differ.
///
/// In JSON the member `place` is the format and what kind of place it is in it, joined by a hyphen: `ar-member`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(remote = "Self", untagged)]
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
        /// Its number in the first text, counted from 1; where it is only in the second, the number it would have.
        line: u64,
        /// The same in the second text.
        line_b: u64,
        /// The line, or the part of it around the difference; `None` where a text does not have it.
        #[serde(flatten)]
        text: Sides<Option<String>>,
    },
    /// A machine instruction.
    Instruction {
        /// Its offset in the function in the first file; where it is only in the second, in that.
        offset: u64,
        /// The instruction; `None` where a function does not have it.
        #[serde(flatten)]
        text: Sides<Option<String>>,
    },
    /// A field of a format's header.
    Header {
        /// Which format.
        #[serde(skip)]
        format: Format,
        /// Which field.
        #[serde(flatten)]
        field: Field,
    },
    /// A named part of a file.
    Part {
        /// Of which format.
        #[serde(skip)]
        format: Format,
        /// What it is.
        #[serde(skip)]
        unit: Unit,
        /// Its name.
        name: String,
        /// What changed.
        #[serde(flatten)]
        change: Change,
    },
    /// Parts come in another order.
    Order {
        /// Of which format.
        #[serde(skip)]
        format: Format,
        /// The first part that is elsewhere.
        name: String,
        /// Its positions.
        #[serde(flatten)]
        position: Sides<u64>,
    },
    /// What is packed in it, or how it reads in another encoding.
    Content {
        /// Packed how.
        #[serde(skip)]
        format: Format,
        /// Of the first differing byte.
        offset: u64,
        /// Where in the unpacked content.
        places: Vec<Place>,
        /// Whether there are more.
        more: bool,
    },
    /// The same content is packed to other bytes.
    Stream {
        /// Packed how.
        #[serde(skip)]
        format: Format,
    },
    /// Something was not looked at, because a limit would be passed or because it is damaged. There may be more
    /// differences in it.
    Unseen {
        /// What, and why.
        why: Cow<'static, str>,
    },
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
        /// Of the first differing byte, within the part; 0 where only names differ that it refers to.
        offset: u64,
        /// Where, within the part.
        places: Vec<Place>,
        /// Whether there are more.
        more: bool,
    },
}

/// A named value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Which.
    pub field: Cow<'static, str>,
    /// Its values, printable; "(none)" where there is none.
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

impl Place {
    /// The places within this one, and whether there are more.
    pub fn parts(&self) -> (&[Place], bool) {
        match self {
            Self::Part { change: Change::Content { places, more, .. }, .. } | Self::Content { places, more, .. } => {
                (places, *more)
            }
            _ => (&[], false),
        }
    }

    pub(super) fn part(format: Format, unit: Unit, name: impl Into<String>, change: Change) -> Self {
        Self::Part { format, unit, name: name.into(), change }
    }

    /// A part that holds different values of something.
    pub(super) fn value(
        format: Format,
        unit: Unit,
        name: impl Into<String>,
        field: impl Into<Cow<'static, str>>,
        a: impl Into<String>,
        b: impl Into<String>,
    ) -> Self {
        Self::part(format, unit, name, Change::Field(Field::new(field, a, b)))
    }

    pub(super) fn only_in(format: Format, unit: Unit, name: impl Into<String>, side: Side) -> Self {
        Self::part(format, unit, name, Change::OnlyIn { side })
    }

    pub(super) fn header(
        format: Format,
        field: impl Into<Cow<'static, str>>,
        a: impl Into<String>,
        b: impl Into<String>,
    ) -> Self {
        Self::Header { format, field: Field::new(field, a, b) }
    }
}

impl Field {
    pub(super) fn new(field: impl Into<Cow<'static, str>>, a: impl Into<String>, b: impl Into<String>) -> Self {
        Self { field: field.into(), values: Sides { a: a.into(), b: b.into() } }
    }
}

impl Format {
    /// As it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ar => "ar",
            Self::Tar => "tar",
            Self::Cpio => "cpio",
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Zlib => "zlib",
            Self::Elf => "elf",
            Self::Pyc => "pyc",
            Self::Mo => "mo",
            Self::Png => "png",
            Self::Text => "text",
        }
    }
}

impl Unit {
    /// As it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Frame => "frame",
            Self::Rest => "rest",
            Self::Section => "section",
            Self::Segment => "segment",
            Self::Symbol => "symbol",
            Self::Function => "function",
            Self::Note => "note",
            Self::Dynamic => "dynamic",
            Self::SourceName => "source-name",
            Self::Text => "text",
            Self::Chunk => "chunk",
            Self::Entry => "entry",
            Self::Object => "object",
        }
    }
}
