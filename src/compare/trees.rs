//! Walking two trees side by side.

use super::bytes::View;
use super::content::Scope;
use super::{Content, Difference, Error, Kind, Limits, Mode, Side, Sides, What, content};
use crate::base::{RelPath, printable};
use crate::tree::{Entry, Tree};
use rayon::prelude::*;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode as OpenMode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::path::Path;

/// All differences between two directories, ordered by path; for one path the mode comes before the content.
///
/// # Errors
/// When a file can't be read, or is no longer as its tree says.
pub fn compare(a: &Path, a_tree: &Tree, b: &Path, b_tree: &Tree, limits: &Limits) -> Result<Vec<Difference>, Error> {
    let mut found: Vec<Found> = Vec::new();
    let (mut left, mut right) = (a_tree.iter().peekable(), b_tree.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((x, _)), Some((y, _))) => x.cmp(y),
        };
        let before = if order == Ordering::Greater { None } else { left.next() };
        let after = if order == Ordering::Less { None } else { right.next() };
        match (before, after) {
            (Some((path, x)), Some((_, y))) => entries(path, x, y, &mut found),
            (Some((path, x)), None) => found.push(Found::known(path, What::OnlyIn { side: Side::A, kind: kind(x) })),
            (None, Some((path, y))) => found.push(Found::known(path, What::OnlyIn { side: Side::B, kind: kind(y) })),
            (None, None) => {}
        }
    }
    let roots = (Root::open(a)?, Root::open(b)?);
    found
        .into_par_iter()
        .map(|Found { path, what }| {
            let what = match what {
                Some(what) => what,
                None => What::Content(files(&roots, &path, limits)?),
            };
            Ok(Difference { path, what, notes: Vec::new() })
        })
        .collect()
}

/// A difference, or (without `what`) a file whose content is still to be looked at.
struct Found {
    path: RelPath,
    what: Option<What>,
}

impl Found {
    fn known(path: &RelPath, what: What) -> Self {
        Self { path: path.clone(), what: Some(what) }
    }
}

fn kind(entry: &Entry) -> Kind {
    match entry {
        Entry::File { .. } => Kind::File,
        Entry::Dir { .. } => Kind::Dir,
        Entry::Link { .. } => Kind::Link,
    }
}

fn entries(path: &RelPath, x: &Entry, y: &Entry, found: &mut Vec<Found>) {
    let mode = |a: u32, b: u32| (a != b).then(|| Found::known(path, What::Mode(Sides { a: Mode(a), b: Mode(b) })));
    match (x, y) {
        (Entry::File { mode: a, size: p, digest: x }, Entry::File { mode: b, size: q, digest: y }) => {
            found.extend(mode(*a, *b));
            if (p, x) != (q, y) {
                found.push(Found { path: path.clone(), what: None });
            }
        }
        (Entry::Dir { mode: a }, Entry::Dir { mode: b }) => found.extend(mode(*a, *b)),
        (Entry::Link { target: a }, Entry::Link { target: b }) if a == b => {}
        (Entry::Link { target: a }, Entry::Link { target: b }) => {
            found.push(Found::known(path, What::LinkTarget(Sides { a: printable(a), b: printable(b) })));
        }
        (x, y) => found.push(Found::known(path, What::Kind(Sides { a: kind(x), b: kind(y) }))),
    }
}

struct Root<'a> {
    fd: OwnedFd,
    path: &'a Path,
}

impl<'a> Root<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, OpenMode::empty()).map_err(|e| Error::Io {
            doing: "open",
            path: path.to_owned(),
            source: e.into(),
        })?;
        Ok(Self { fd, path })
    }

    fn error(&self, doing: &'static str, path: &RelPath, source: io::Error) -> Error {
        Error::Io { doing, path: self.path.join(path), source }
    }

    /// Opens a regular file beneath the directory, not through links.
    fn file(&self, path: &RelPath) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = loop {
            match rustix::fs::openat2(&self.fd, path.as_path(), flags, OpenMode::empty(), resolve) {
                // Somebody renamed a directory on the way meanwhile.
                Err(Errno::AGAIN | Errno::INTR) => continue,
                opened => break opened,
            }
        };
        let file = opened.map(File::from).map_err(|e| self.error("open", path, e.into()))?;
        let found = file.metadata().map_err(|e| self.error("look at", path, e))?;
        if found.is_file() { Ok(file) } else { Err(Error::Changed { path: path.clone() }) }
    }
}

fn files(roots: &(Root<'_>, Root<'_>), path: &RelPath, limits: &Limits) -> Result<Content, Error> {
    let (file_a, file_b) = (roots.0.file(path)?, roots.1.file(path)?);
    // Which of the two could not be read does not reach us through the streams; the path is the same in both.
    match contents(&file_a, &file_b, limits).map_err(|e| roots.0.error("compare", path, e))? {
        Some(content) => Ok(content),
        None => Err(Error::Changed { path: path.clone() }),
    }
}

/// Where two open files differ; `None` if they do not.
///
/// # Errors
/// One can't be read, or what is unpacked can't be kept meanwhile.
pub fn contents(a: &File, b: &File, limits: &Limits) -> io::Result<Option<Content>> {
    let (a, b) = (View::whole(a)?, View::whole(b)?);
    let runs = a.differ(&b, limits.places)?;
    let Some(first_offset) = runs.first() else { return Ok(None) };
    let budget = Cell::new(limits.unpacked);
    let found = content::places(a, b, &runs, Scope { limits, depth: 0, budget: &budget })?;
    let size = Sides { a: runs.len.0, b: runs.len.1 };
    Ok(Some(Content { size, first_offset, differing: runs.differing, places: found.places, more: found.more }))
}
