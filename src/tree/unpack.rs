//! Unpacking archives beneath a directory: what may be asked for, and who does what on which thread.

use super::Error;
use super::deb::deb_content;
use super::layout::lay_out;
use super::members::{Kind, Members};
use super::pipe::{Sink, Watch, decode, pipe};
use crate::base::{Cancel, Progress, RelPath, printable};
use std::io::{self, BufRead, Read};
use std::path::Path;

/// How much of an archive is believed.
///
/// They also bound the memory that unpacking takes: three times [`Limits::names`]; 64 MiB of contents that wait for their
/// turn ([`Order::Reverse`]); 4 MiB between the threads of each layer of compression; one extended header of 1 MiB; and
/// what the decoders hold: at most 512 MiB for xz, 256 MiB for zstd, 64 MiB for each of ten blocks of bzip2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that come out of the decompressor.
    pub total: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Members, extended headers counted; and what is made of them, with the directories that are only implied.
    pub entries: u64,
    /// Bytes of the names and link targets of everything that is made.
    pub names: u64,
    /// Components of one name.
    pub depth: u32,
    /// Bytes of one name.
    pub name: u32,
    /// Bytes that may come out for each that goes in. Archives that unpack to less than 64 MiB are not measured.
    pub ratio: u64,
}

impl Default for Limits {
    /// Far above every release of our set (Linux: 1.6 GB, 92,000 members, ratio 11), far below harm.
    fn default() -> Self {
        Self { total: 16 << 30, file: 4 << 30, entries: 1_000_000, names: 256 << 20, depth: 64, name: 2048, ratio: 200 }
    }
}

/// In which order files are made, and so which inode numbers they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// In the order of the archive.
    #[default]
    Forward,
    /// In the opposite order, within stretches of 64 MiB of content that are held in memory meanwhile; a larger file is a
    /// stretch of its own. Directories are made when the first thing in them is.
    Reverse,
}

/// Where symbolic links may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Only to places in the same tree (which need not exist), however many links are on the way.
    Inside,
    /// Anywhere. For trees that become the root of a jail, where `/usr` is the jail's own. Unpacking itself goes through
    /// no link either way.
    Anywhere,
}

/// Which permissions files and directories get. Set-user-id and set-group-id are never kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modes {
    /// For sources, which carry their packager's umask: files 0755 if anybody may execute them, otherwise 0644;
    /// directories 0755.
    Plain,
    /// For packages: the permission bits of the archive, and the sticky bit of directories.
    Kept,
}

/// How to unpack an archive.
#[derive(Debug, Clone)]
pub struct Unpack {
    /// Leading components that are dropped from every name. They must be the same for all members.
    pub strip: u32,
    /// The archive inside the archive that is to be unpacked instead, by its whole name. [`Unpack::strip`] is about the
    /// inner one.
    pub nested: Option<RelPath>,
    /// In which order files are made.
    pub order: Order,
    /// Where links may lead.
    pub links: Links,
    /// Which permissions are set.
    pub modes: Modes,
    /// How much is believed.
    pub limits: Limits,
    /// Stops the work between two chunks.
    pub cancel: Cancel,
}

impl Unpack {
    /// For sources: links stay inside, modes are plain.
    pub fn source(strip: u32) -> Self {
        Self {
            strip,
            nested: None,
            order: Order::Forward,
            links: Links::Inside,
            modes: Modes::Plain,
            limits: Limits::default(),
            cancel: Cancel::new(),
        }
    }

    /// For binary packages that make up a root directory: links lead anywhere in it, modes are kept.
    pub fn package() -> Self {
        Self { links: Links::Anywhere, modes: Modes::Kept, ..Self::source(0) }
    }
}

/// What an archive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// The newest time of modification of a regular file in the archive, in seconds; 0 if there is no file.
    pub newest_mtime: i64,
    /// Regular files, each name of a hard-linked one counted.
    pub files: u64,
    /// Directories, those that are only implied counted.
    pub dirs: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Unpacks a tar archive, compressed with gzip, bzip2, xz, zstd or not at all, beneath the existing directory `dest`.
///
/// Nothing outside `dest` is touched and nothing that lies in it already is replaced; directories that are there are
/// used. Times of modification come from the archive; owners, extended attributes and set-id bits are left out. Hard
/// links become hard links. On error, what was made so far stays: unpack into a directory of your own and throw it away.
///
/// # Errors
/// See [`Error`]; whatever readers of archives are known to disagree about is refused.
pub fn unpack(
    archive: impl Read + Send,
    dest: &Path,
    options: &Unpack,
    progress: Option<&Progress<'_>>,
) -> Result<Unpacked, Error> {
    let watch = Watch { progress, cancel: &options.cancel };
    let limits = &options.limits;
    std::thread::scope(|scope| {
        let plain = pipe(scope, move |sink| decode(archive, limits, watch, sink))?;
        let plain = match &options.nested {
            None => plain,
            Some(inner) => pipe(scope, move |sink| decode_nested(plain, inner, options, sink))?,
        };
        lay_out(plain, dest, options)
    })
}

/// Unpacks what a Debian package (`deb(5)`) installs. As [`unpack`]; several packages can be unpacked into one directory,
/// as long as they share nothing but directories.
pub fn unpack_deb(
    package: impl Read + Send,
    dest: &Path,
    options: &Unpack,
    progress: Option<&Progress<'_>>,
) -> Result<Unpacked, Error> {
    let watch = Watch { progress, cancel: &options.cancel };
    std::thread::scope(|scope| {
        let plain = pipe(scope, move |sink| deb_content(package, |data| decode(data, &options.limits, watch, sink)))?;
        lay_out(plain, dest, options)
    })
}

/// Decodes the archive that is a member of the archive in `outer`.
fn decode_nested(outer: impl BufRead, inner: &RelPath, options: &Unpack, sink: &Sink) -> Result<(), Error> {
    let mut members = Members::new(outer, &options.limits);
    let mut found = false;
    while let Some(member) = members.next()? {
        if RelPath::new(&member.name).as_ref() != Ok(inner) {
            continue;
        }
        if !matches!(member.kind, Kind::File) || std::mem::replace(&mut found, true) {
            return Err(Error::Duplicate { member: printable(&member.name) });
        }
        let watch = Watch { progress: None, cancel: &options.cancel };
        decode(Content(&mut members), &options.limits, watch, sink)?;
    }
    // The outer archive is read to its end, so that its checksums are checked as well.
    match found {
        true => Ok(()),
        false => Err(Error::NoNested { member: inner.to_string() }),
    }
}

/// The content of a member as a stream.
struct Content<'a, 'b, R>(&'a mut Members<'b, R>);

impl<R: BufRead> Read for Content<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.0.content().map_err(Error::into_stream)?;
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        self.0.used(length);
        Ok(length)
    }
}
