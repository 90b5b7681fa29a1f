//! The canonical archive of a tree.
//!
//! The form is a contract like the digest: members in the order of their paths (a directory before what is in it, its
//! name with a slash at the end), POSIX ustar headers with owner and group 0 and no names for them, one time of
//! modification for all, permissions as in the tree, numbers in octal and NUL-terminated. What does not fit a header
//! (names, targets, sizes, times) goes into one pax header before it, with the records in the order `hdrcharset`,
//! `linkpath`, `mtime`, `path`, `size`. Two blocks of zeros end the archive.

use super::dir::{open_beneath, open_root};
use super::header::BLOCK;
use super::{Entry, Error, Tree};
use crate::base::{Blake3, RelPath};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::io::{Read, Write};
use std::path::Path;

/// Writes the canonical archive of `tree`, whose files are read from `dir`; returns how many bytes it has.
///
/// # Errors
/// [`Error::Changed`] when a file in `dir` is not the one that the tree describes.
pub fn pack(tree: &Tree, dir: &Path, mtime: i64, out: &mut dyn Write) -> Result<u64, Error> {
    pack_from(tree, &|_| dir, mtime, out)
}

/// As [`pack`], with files from several directories: `dir` says from which.
pub(super) fn pack_from<'a>(
    tree: &Tree,
    dir: &dyn Fn(&RelPath) -> &'a Path,
    mtime: i64,
    out: &mut dyn Write,
) -> Result<u64, Error> {
    let mut last: Option<(&Path, OwnedFd)> = None;
    let mut out = Out { out, written: 0 };
    let mut buffer = vec![0; 256 << 10];
    for (path, entry) in tree.iter() {
        out.write(&header(path, entry, mtime))?;
        let Entry::File { size, digest, .. } = entry else { continue };
        let dir = dir(path);
        let failed = |doing, e: std::io::Error| Error::io(doing, dir.join(path), e);
        let root = match last.take_if(|(known, _)| *known == dir) {
            Some((_, root)) => root,
            None => open_root(dir).map_err(|e| Error::io("open the directory", dir, e))?,
        };
        let (_, root) = last.insert((dir, root));
        let parent =
            open_beneath(&*root, path.parent().as_ref()).map_err(|e| failed("open the directory of", e.into()))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(parent, path.name(), flags, Mode::empty()).map_err(|e| failed("open", e.into()))?;
        let mut file = std::fs::File::from(file).take(*size);
        let mut hasher = blake3::Hasher::new();
        loop {
            let read = file.read(&mut buffer).map_err(|e| failed("read", e))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            out.write(&buffer[..read])?;
        }
        if file.limit() > 0 || Blake3::from_bytes(*hasher.finalize().as_bytes()) != *digest {
            return Err(Error::Changed { path: path.clone() });
        }
        out.fill()?;
    }
    out.write(&[0; 2 * BLOCK])?;
    Ok(out.written)
}

struct Out<'a> {
    out: &'a mut dyn Write,
    written: u64,
}

impl Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|e| Error::io("write", "the archive", e))
    }

    fn fill(&mut self) -> Result<(), Error> {
        match self.written as usize % BLOCK {
            0 => Ok(()),
            used => self.write(&[0; BLOCK][used..]),
        }
    }
}

/// The header of an entry, with the pax header before it if it needs one.
fn header(path: &RelPath, entry: &Entry, mtime: i64) -> Vec<u8> {
    let mut name = path.as_bytes().to_vec();
    let (kind, mode, size, target): (_, _, _, &[u8]) = match entry {
        Entry::File { mode, size, .. } => (b'0', *mode, *size, b""),
        Entry::Dir { mode } => {
            name.push(b'/');
            (b'5', *mode, 0, b"")
        }
        Entry::Link { target } => (b'2', 0o777, 0, target),
    };
    let mut records = Vec::new();
    let mut plain = Plain { kind, mode, size, mtime: 0, ..Plain::default() };
    if target.len() <= 100 {
        plain.target = target;
    } else {
        record(&mut records, "linkpath", target);
    }
    match u64::try_from(mtime) {
        Ok(mtime) if mtime <= 0o777_7777_7777 => plain.mtime = mtime,
        _ => record(&mut records, "mtime", mtime.to_string().as_bytes()),
    }
    match split(&name) {
        Some((prefix, rest)) => (plain.prefix, plain.name) = (prefix, rest),
        None => record(&mut records, "path", &name),
    }
    if size > 0o777_7777_7777 {
        plain.size = 0;
        record(&mut records, "size", size.to_string().as_bytes());
    }
    let mut all = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        if std::str::from_utf8(&records).is_err() {
            let mut binary = Vec::new();
            record(&mut binary, "hdrcharset", b"BINARY");
            records.splice(0..0, binary);
        }
        let extended =
            Plain { kind: b'x', mode: 0o644, size: records.len() as u64, name: b"pax_header", ..Plain::default() };
        all.extend_from_slice(&extended.block());
        all.extend_from_slice(&records);
        all.resize(all.len().next_multiple_of(BLOCK), 0);
    }
    all.extend_from_slice(&plain.block());
    all
}

/// Front and rest of a name that fits a plain header.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    // The last slash that leaves the front short enough, so that there is one way to write every name.
    let at = (1..name.len().min(156)).rev().find(|at| name[*at] == b'/' && *at + 1 < name.len())?;
    let (front, rest) = (&name[..at], &name[at + 1..]);
    (rest.len() <= 100).then_some((front, rest))
}

/// Appends `length key=value\n`, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[derive(Default)]
struct Plain<'a> {
    kind: u8,
    mode: u32,
    size: u64,
    mtime: u64,
    name: &'a [u8],
    prefix: &'a [u8],
    target: &'a [u8],
}

impl Plain<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, self.name);
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", self.size).as_bytes());
        put(136, format!("{:011o}", self.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, self.target);
        put(257, b"ustar\x0000");
        put(345, self.prefix);
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}
