//! What differing bytes mean, by what kind of file they are in.

use super::bytes::{Runs, View};
use super::{Format, Limits, Place, archive, elf, mo, packed, png, pyc, text};
use crate::tree::index::{self, Archive};
use std::cell::Cell;
use std::io;

/// How deep we are, and what may still be spent. What is spent is spent for all of a file.
#[derive(Clone, Copy)]
pub(super) struct Scope<'l> {
    pub(super) limits: &'l Limits,
    pub(super) depth: usize,
    /// Bytes that may still be unpacked.
    pub(super) budget: &'l Cell<u64>,
}

impl Scope<'_> {
    /// The same one level deeper.
    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Whether so many places are more than will be told.
    pub(super) fn enough(&self, places: &[Place]) -> bool {
        places.len() > self.limits.places.max(1)
    }
}

/// Places, and whether there are more.
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) more: bool,
}

/// Enough of a beginning to tell what a file is.
const HEAD: usize = 4096;

/// Where two versions of a file or of a part of one differ; `None` if they do not.
pub(super) fn compared(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Option<(u64, Found)>> {
    let runs = a.differ(&b, scope.limits.places)?;
    let Some(first) = runs.first() else { return Ok(None) };
    Ok(Some((first, places(a, b, &runs, scope)?)))
}

/// Where two versions of a file or of a part of one differ, and whether there is more. Never empty if `runs` is not.
pub(super) fn places(a: View<'_>, b: View<'_>, runs: &Runs, scope: Scope<'_>) -> io::Result<Found> {
    let limits = scope.limits;
    let (left, right) = (recognise(a)?, recognise(b)?);
    let mut found = match (left, right) {
        (Some(left), Some(right)) if left == right => match left {
            Format::Text => text::places(a, b, runs, scope)?,
            _ if scope.depth >= limits.depth => {
                let mut places = told(runs);
                let name = left.name();
                let why = format!("not looked into as {name}: it lies deeper than the limit of {}", limits.depth);
                places.push(Place::Unseen { why: why.into() });
                places
            }
            Format::Ar => archive::places(Archive::Ar, a, b, scope)?,
            Format::Tar => archive::places(Archive::Tar, a, b, scope)?,
            Format::Cpio => archive::places(Archive::Cpio, a, b, scope)?,
            Format::Zip => archive::places(Archive::Zip, a, b, scope)?,
            Format::Gzip | Format::Bzip2 | Format::Xz | Format::Zstd => packed::places(left, a, b, scope)?,
            Format::Elf => elf::places(a, b, scope)?,
            Format::Pyc => pyc::places(a, b, scope)?,
            Format::Mo => mo::places(a, b, scope)?,
            Format::Png => png::places(a, b, scope)?,
            Format::Zlib => Vec::new(),
        },
        (Some(left), Some(right)) => {
            let mut places = vec![Place::header(left, "format", left.name(), right.name())];
            places.extend(told(runs));
            places
        }
        _ => Vec::new(),
    };
    // A part may only say that something in it was not seen; that it differs is known.
    if !found.iter().any(|place| !matches!(place, Place::Unseen { .. })) {
        let unseen = std::mem::replace(&mut found, told(runs));
        found.extend(unseen);
        return Ok(cut(found, runs.more, limits));
    }
    Ok(cut(found, false, limits))
}

/// Runs of bytes as places, with room for one more.
fn told(runs: &Runs) -> Vec<Place> {
    runs.places()
}

/// No more places than are wanted. What was not looked at stays.
fn cut(mut found: Vec<Place>, more: bool, limits: &Limits) -> Found {
    let room = limits.places.max(2);
    if found.len() <= room {
        return Found { places: found, more };
    }
    let unseen = found.iter().position(|place| matches!(place, Place::Unseen { .. }));
    let unseen = unseen.filter(|at| *at >= room).map(|at| found.swap_remove(at));
    found.truncate(room - usize::from(unseen.is_some()));
    found.extend(unseen);
    Found { places: found, more: true }
}

/// What a file is, by its content.
fn recognise(view: View<'_>) -> io::Result<Option<Format>> {
    let head = view.bytes(0, HEAD)?;
    if let Some(archive) = index::recognise(&head) {
        return Ok(Some(archive.into()));
    }
    let found = match &head[..] {
        [0x1f, 0x8b, 8, ..] => Some(Format::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Format::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zstd),
        _ if head.starts_with(elf::MAGIC) => Some(Format::Elf),
        _ if head.starts_with(png::MAGIC) => Some(Format::Png),
        _ if mo::is(&head) => Some(Format::Mo),
        _ if pyc::is(&head) => Some(Format::Pyc),
        _ => None,
    };
    if found.is_some() {
        return Ok(found);
    }
    // A program or script may stand before a zip archive.
    let tail = view.bytes(view.len().saturating_sub(22), 22)?;
    if tail.len() == 22 && tail.starts_with(b"PK\x05\x06") && tail.ends_with(&[0, 0]) {
        return Ok(Some(Format::Zip));
    }
    Ok(text::encoding(&head).map(|_| Format::Text))
}

impl From<Archive> for Format {
    fn from(archive: Archive) -> Self {
        match archive {
            Archive::Ar => Self::Ar,
            Archive::Tar => Self::Tar,
            Archive::Cpio => Self::Cpio,
            Archive::Zip => Self::Zip,
        }
    }
}
