//! What an archive holds, by place: for whoever compares archives, not for whoever unpacks them.
//!
//! [`unpack`](super::unpack) refuses whatever readers disagree about. Here nothing is refused and nothing is made: an
//! index says where each member's header and content lie, as far as the archive makes sense, and leaves the rest to the
//! caller as bytes. Nothing is read but headers, each once and at most [`MEMBERS`] of them.

#![expect(clippy::single_range_in_vec_init, reason = "a header lies in one place or more")]

mod ar;
mod cpio;
mod tar;
mod zip;

use std::borrow::Cow;
use std::io;
use std::ops::Range;

/// More members than this are not listed.
pub const MEMBERS: usize = 500_000;
/// Bytes of all names together.
const NAMES: usize = 64 << 20;
/// Longer names are cut; longer headers are not believed.
const NAME: usize = 4096;
const HEADER: u64 = 1 << 20;

/// Bytes that can be read anywhere.
pub trait ReadAt {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills the buffer from `at` on, or less of it at the end; says how much.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// How members lie one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Archive {
    /// `ar`: static libraries, Debian packages.
    Ar,
    /// `tar` in all its dialects.
    Tar,
    /// `cpio` in its "new" form.
    Cpio,
    /// `zip`: also jar and wheel.
    Zip,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As the archive spells it, cut at 4,096 bytes.
    pub name: Vec<u8>,
    /// Where what is said about it lies, in the order in which [`facts`] wants it.
    pub heads: Vec<Range<u64>>,
    /// Where its content lies, as it is stored.
    pub content: Range<u64>,
    /// Whether the content is packed by itself.
    pub packing: Packing,
    /// What lies between the content and whatever comes next: padding.
    pub tail: Range<u64>,
}

/// How the content of a member of a zip archive is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    Stored,
    /// Raw deflate.
    Deflate,
    /// As a stream that says itself what it is.
    Stream,
    /// In a way that is not known here, or encrypted: comparable as bytes only.
    Unknown,
}

/// All members, in the order of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The members.
    pub members: Vec<Member>,
    /// Where the archive's own end mark or directory lies, which is no member's.
    pub frame: Range<u64>,
    /// Where the archive ends, or stops to make sense. What follows is not part of it.
    pub end: u64,
    /// Whether there are more members than [`MEMBERS`], or names longer than this page allows.
    pub cut: bool,
}

/// Something that a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub field: Cow<'static, str>,
    /// As printable text.
    pub value: String,
    /// Whether it follows from something else (a checksum, an offset), so that a difference in it alone says little.
    pub follows: bool,
}

impl Fact {
    fn new(field: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.into(), follows: false }
    }

    fn following(field: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self { follows: true, ..Self::new(field, value) }
    }
}

/// Tells by its first bytes (at least 512, if there are so many) whether a file is an archive.
pub fn recognise(head: &[u8]) -> Option<Archive> {
    match head {
        _ if head.starts_with(ar::MAGIC) => Some(Archive::Ar),
        _ if head.starts_with(b"070701") || head.starts_with(b"070702") => Some(Archive::Cpio),
        _ if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") => Some(Archive::Zip),
        _ => tar::is_header(head).then_some(Archive::Tar),
    }
}

/// Lists an archive.
///
/// # Errors
/// It can't be read. An archive that makes no sense has no members.
pub fn index(archive: Archive, bytes: &impl ReadAt) -> io::Result<Index> {
    match archive {
        Archive::Ar => ar::index(bytes),
        Archive::Tar => tar::index(bytes),
        Archive::Cpio => cpio::index(bytes),
        Archive::Zip => zip::index(bytes),
    }
}

/// What a member's header says; `heads` are the bytes of [`Member::heads`]. A header that makes no sense says nothing.
pub fn facts(archive: Archive, heads: &[Vec<u8>]) -> Vec<Fact> {
    match archive {
        Archive::Ar => ar::facts(heads),
        Archive::Tar => tar::facts(heads),
        Archive::Cpio => cpio::facts(heads),
        Archive::Zip => zip::facts(heads),
    }
}

/// What the archive says about itself in [`Index::frame`].
pub fn frame_facts(archive: Archive, frame: &[u8]) -> Vec<Fact> {
    if archive == Archive::Zip { zip::frame_facts(frame) } else { Vec::new() }
}

/// The bytes at a place, fewer at the end.
fn bytes_at(from: &impl ReadAt, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let there = usize::try_from(from.size().saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(there)];
    let filled = from.read_at(at, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Adds members, and stops when there are too many.
struct Lister {
    index: Index,
    named: usize,
}

impl Lister {
    fn new() -> Self {
        Self { index: Index::default(), named: 0 }
    }

    /// Whether there was room for it.
    fn add(&mut self, mut member: Member) -> bool {
        member.name.truncate(NAME);
        self.named += member.name.len();
        if self.index.members.len() == MEMBERS || self.named > NAMES {
            self.index.cut = true;
            return false;
        }
        self.index.members.push(member);
        true
    }

    fn end(mut self, end: u64) -> Index {
        self.index.end = end;
        self.index
    }
}
