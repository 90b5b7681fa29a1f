//! Everything this room refuses, each under its own name.

use crate::base::{RelPath, RelPathError, printable};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why a tree or an archive was refused, or what the file system said.
///
/// `member` is a name as an archive spells it, made printable; `path` is a place on disk or in a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("{doing} {}: {source}", show(path))]
    Io {
        /// What was being done ("open", "write").
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The archive could not be read from where it comes from.
    #[error("read the archive: {0}")]
    Read(#[source] io::Error),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,

    /// A device, fifo or socket lies in a directory that is to become a tree.
    #[error("{path}: a {kind} can not be part of a tree")]
    Special {
        /// Where it lies.
        path: RelPath,
        /// What it is.
        kind: &'static str,
    },
    /// A file carries an extended attribute, which a tree can not hold (`security.capability`, an ACL, …).
    #[error("{path}: the extended attribute '{name}' can not be part of a tree")]
    Xattr {
        /// Which file.
        path: RelPath,
        /// Which attribute.
        name: String,
    },
    /// A name on disk does not make a path a tree can hold.
    #[error("'{path}' can not be part of a tree: {reason}")]
    Unnameable {
        /// The path, made printable.
        path: String,
        /// What is wrong with it.
        reason: RelPathError,
    },
    /// A file is not what the tree says, or changed while it was read.
    #[error("{path}: the file changed while it was read, or is not the one the tree describes")]
    Changed {
        /// Which file.
        path: RelPath,
    },
    /// An entry was put into a tree where it can not be.
    #[error("{path}: {reason}")]
    Misplaced {
        /// Where.
        path: RelPath,
        /// Why not.
        reason: &'static str,
    },

    /// The bytes are no archive this room knows.
    #[error("neither a tar archive nor one compressed with gzip, bzip2, xz or zstd")]
    UnknownFormat,
    /// The bytes end early.
    #[error("the {format} data ends early")]
    Truncated {
        /// Which layer ended.
        format: &'static str,
    },
    /// A checksum fails or a structure makes no sense.
    #[error("the {format} data is corrupt: {detail}")]
    Corrupt {
        /// Which layer.
        format: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Something follows the end of the data.
    #[error("something that is not {format} data follows its end")]
    Trailing {
        /// Which layer ended.
        format: &'static str,
    },
    /// The archive exceeds a limit.
    #[error("{member}: {what} is {actual}, more than the limit of {limit}")]
    Limit {
        /// Which member was being read; empty for the archive as a whole.
        member: String,
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What was found (at least).
        actual: u64,
    },
    /// Far more comes out than went in: a decompression bomb.
    #[error("{produced} bytes came out of {consumed}: more than {limit} for one")]
    Bomb {
        /// Bytes of the archive read so far.
        consumed: u64,
        /// Bytes that came out of them.
        produced: u64,
        /// The allowed ratio.
        limit: u64,
    },

    /// A header's checksum fails.
    #[error("the header after '{after}' has a wrong checksum")]
    Checksum {
        /// The member before it.
        after: String,
    },
    /// A number in a header is not a number.
    #[error("{member}: the field '{field}' of its header is not a number")]
    Number {
        /// Which member.
        member: String,
        /// Which field.
        field: &'static str,
    },
    /// A member's name (or the target of a hard link) is not one that can be created beneath a directory.
    #[error("the name '{member}' is refused: {reason}")]
    Name {
        /// The name.
        member: String,
        /// What is wrong with it.
        reason: RelPathError,
    },
    /// A member that has a name only in the part that is to be stripped.
    #[error("{member}: nothing is left of the name without its first {strip} components")]
    Stripped {
        /// Which member.
        member: String,
        /// How many components were to be stripped.
        strip: u32,
    },
    /// Leading components are to be stripped, but they are not the same for all members.
    #[error("{member}: the components to strip differ from the '{first}' of earlier members")]
    StripDiffers {
        /// Which member.
        member: String,
        /// What was stripped before.
        first: String,
    },
    /// A device node or fifo.
    #[error("{member}: a {kind} in an archive is refused")]
    SpecialMember {
        /// Which member.
        member: String,
        /// What it is.
        kind: &'static str,
    },
    /// A member with holes, in any of the encodings of holes.
    #[error("{member}: a sparse file in an archive is refused")]
    Sparse {
        /// Which member.
        member: String,
    },
    /// A kind of member this room does not know.
    #[error("{member}: members of type '{kind}' are unknown")]
    UnknownMember {
        /// Which member.
        member: String,
        /// The type byte, made printable.
        kind: String,
    },
    /// A directory or link claims to have content.
    #[error("{member}: a {kind} can not have {size} bytes of content")]
    ContentOfNonFile {
        /// Which member.
        member: String,
        /// What it is.
        kind: &'static str,
        /// The claimed size.
        size: u64,
    },
    /// An extended header (pax, GNU long name) is malformed, contradicts another one, or belongs to nothing.
    #[error("the extended header at '{member}' is refused: {reason}")]
    Extension {
        /// The member it belongs to, or the last one before it.
        member: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The extended header and the plain one state different sizes, which different readers would read differently.
    #[error("{member}: the extended header says {extended} bytes, the plain one {plain}")]
    SizeDiffers {
        /// Which member.
        member: String,
        /// The size in the pax header.
        extended: u64,
        /// The size in the plain header.
        plain: u64,
    },
    /// A member that an earlier one has already made, and not both are directories.
    #[error("{member}: the archive has this member twice")]
    Duplicate {
        /// Which member.
        member: String,
    },
    /// A member beneath something that is no directory.
    #[error("{member}: '{through}' is a {kind}, nothing can be beneath it")]
    Through {
        /// Which member.
        member: String,
        /// What it would lie beneath.
        through: String,
        /// What that is.
        kind: &'static str,
    },
    /// The destination already has something else at this place.
    #[error("{path}: the destination already has this name")]
    Conflict {
        /// Where.
        path: RelPath,
    },
    /// A hard link to something that is no earlier regular file of the same archive.
    #[error("{member}: a hard link to '{target}', which is {reason}")]
    HardLink {
        /// Which member.
        member: String,
        /// What it wants to be linked to.
        target: String,
        /// Why not.
        reason: &'static str,
    },
    /// A symbolic link that can not be made (empty or overlong target).
    #[error("{member}: the target of the link is {reason}")]
    LinkTarget {
        /// Which member.
        member: String,
        /// What is wrong with the target.
        reason: &'static str,
    },
    /// A symbolic link that leads out of the tree.
    #[error("{member}: the link to '{target}' leads out of the tree")]
    LinkEscapes {
        /// Which member.
        member: String,
        /// Its target.
        target: String,
    },
    /// The archive that should lie inside the archive is not there.
    #[error("there is no file '{member}' in the archive")]
    NoNested {
        /// The name that was asked for.
        member: String,
    },
    /// The bytes are no Debian package as `deb(5)` describes it.
    #[error("not a Debian package: {reason}")]
    NotDeb {
        /// What is wrong.
        reason: &'static str,
    },
    /// The bytes start like an ELF file but are not a sound one.
    #[error("malformed ELF file: {0}")]
    Elf(String),
}

impl Error {
    pub(super) fn io(doing: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::Io { doing, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// An error of a reader that may be one of ours in disguise: our readers are stacked on each other through `Read`.
    pub(super) fn from_stream(format: &'static str, error: io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<Self>()) {
            return match error.downcast::<Self>() {
                Ok(ours) => ours,
                Err(error) => Self::Read(error),
            };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated { format },
            // Decoders report damage in these kinds; the others come from the disk or network below.
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Other
            | io::ErrorKind::Unsupported
            | io::ErrorKind::OutOfMemory
                if error.raw_os_error().is_none() =>
            {
                Self::Corrupt { format, detail: printable(error.to_string().as_bytes()) }
            }
            _ => Self::Read(error),
        }
    }

    /// The same in disguise, for passing through `Read`.
    pub(super) fn into_stream(self) -> io::Error {
        io::Error::other(self)
    }
}

fn show(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}
