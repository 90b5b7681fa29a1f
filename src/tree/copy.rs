//! Copying trees on disk, and making their times say nothing.

use super::dir::{list, open_beneath, open_root};
use super::header::Time;
use super::scan::kind_name;
use super::{Error, beneath::stamps};
use crate::base::{RelPath, printable};
use rayon::prelude::*;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timestamps};
use rustix::io::Errno;
use std::path::Path;

/// Files that a processor copies at a time.
const BATCH: usize = 32;

/// How files come into a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// As files of their own, sharing blocks with the original where the file system can.
    Copied,
    /// As further names of the original files: nobody may write into either tree any more.
    Linked,
}

/// One thing beneath a directory, as a walk without hashing finds it.
struct Found {
    path: RelPath,
    kind: FileType,
}

/// Copies the directory `from` to `to`, which must not be there yet. Permissions, times and links are kept as they are;
/// owners become the caller's, and hard links between files of the tree become files.
pub fn copy(from: &Path, to: &Path, files: Files) -> Result<(), Error> {
    let source = open_root(from).map_err(|e| Error::io("open the directory", from, e))?;
    rustix::fs::mkdir(to, Mode::RWXU).map_err(|e| Error::io("make the directory", to, e))?;
    let dest = open_root(to).map_err(|e| Error::io("open the directory", to, e))?;
    let copy = Copy { source, dest, from, files };
    let found = walk(&copy.source, from)?;
    let dirs: Vec<_> = found.iter().filter(|one| one.kind == FileType::Directory).map(|one| &one.path).collect();
    for path in &dirs {
        let parent = copy.open(&copy.dest, path.parent().as_ref(), path)?;
        rustix::fs::mkdirat(parent, path.name(), Mode::RWXU).map_err(|e| copy.failed("make the directory", path, e))?;
    }
    let others: Vec<_> = found.iter().filter(|one| one.kind != FileType::Directory).collect();
    let batches: Vec<Result<(), Error>> = others.par_chunks(BATCH).map(|batch| copy.batch(batch)).collect();
    batches.into_iter().collect::<Result<(), _>>()?;
    // From the end: what is in a directory is done before the directory may become read-only.
    for path in dirs.iter().rev() {
        copy.settle(path)?;
    }
    rustix::fs::fstat(&copy.source)
        .and_then(|stat| settle(&copy.dest, &stat))
        .map_err(|e| Error::io("settle the directory", to, e))
}

/// Sets the time of modification of everything beneath a directory, and of itself, to one value.
pub fn set_times(dir: &Path, secs: i64) -> Result<(), Error> {
    let root = open_root(dir).map_err(|e| Error::io("open the directory", dir, e))?;
    let time = stamps(Time { secs, nanos: 0 });
    let mut at: Option<(Option<RelPath>, OwnedFd)> = None;
    for Found { path, .. } in walk(&root, dir)? {
        let failed = |e| Error::io("set the time of", dir.join(&path), e);
        let parent = path.parent();
        if at.as_ref().is_none_or(|(known, _)| *known != parent) {
            let opened = open_beneath(&root, parent.as_ref()).map_err(failed)?;
            at = Some((parent, opened));
        }
        if let Some((_, parent)) = &at {
            rustix::fs::utimensat(parent, path.name(), &time, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        }
    }
    rustix::fs::futimens(&root, &time).map_err(|e| Error::io("set the time of", dir, e))
}

/// Everything beneath a directory, directories before what is in them, the things of one directory together.
fn walk(root: &OwnedFd, name: &Path) -> Result<Vec<Found>, Error> {
    let mut found: Vec<Found> = Vec::new();
    let mut dirs = vec![None];
    while let Some(dir) = dirs.pop() {
        let dir: Option<RelPath> = dir;
        let here = || dir.as_ref().map_or(name.to_owned(), |dir| name.join(dir));
        let opened = open_beneath(root, dir.as_ref()).map_err(|e| Error::io("open the directory", here(), e))?;
        for (name, kind) in list(&opened).map_err(|e| Error::io("list the directory", here(), e))? {
            let path = match &dir {
                Some(dir) => dir.join(&name),
                None => RelPath::new(&name),
            };
            let path = path.map_err(|reason| Error::Unnameable { path: printable(&name), reason })?;
            if kind == FileType::Directory {
                dirs.push(Some(path.clone()));
            }
            found.push(Found { path, kind });
        }
    }
    Ok(found)
}

struct Copy<'a> {
    source: OwnedFd,
    dest: OwnedFd,
    from: &'a Path,
    files: Files,
}

impl Copy<'_> {
    fn batch(&self, batch: &[&Found]) -> Result<(), Error> {
        for together in batch.chunk_by(|a, b| a.path.parent() == b.path.parent()) {
            let first = &together[0].path;
            let parent = first.parent();
            let source = self.open(&self.source, parent.as_ref(), first)?;
            let dest = self.open(&self.dest, parent.as_ref(), first)?;
            for Found { path, kind } in together {
                match kind {
                    FileType::RegularFile if self.files == Files::Linked => {
                        rustix::fs::linkat(&source, path.name(), &dest, path.name(), AtFlags::empty())
                    }
                    FileType::RegularFile => copy_file(&source, &dest, path.name()),
                    FileType::Symlink => copy_link(&source, &dest, path.name()),
                    other => return Err(Error::Special { path: path.clone(), kind: kind_name(*other) }),
                }
                .map_err(|e| self.failed("copy", path, e))?;
            }
        }
        Ok(())
    }

    fn settle(&self, path: &RelPath) -> Result<(), Error> {
        let source = self.open(&self.source, Some(path), path)?;
        let dest = self.open(&self.dest, Some(path), path)?;
        rustix::fs::fstat(source)
            .and_then(|stat| settle(&dest, &stat))
            .map_err(|e| self.failed("settle the copy of", path, e))
    }

    fn open(&self, root: &OwnedFd, dir: Option<&RelPath>, path: &RelPath) -> Result<OwnedFd, Error> {
        open_beneath(root, dir).map_err(|e| self.failed("open the directory of", path, e))
    }

    fn failed(&self, doing: &'static str, path: &RelPath, source: Errno) -> Error {
        Error::io(doing, self.from.join(path), source)
    }
}

fn copy_file(source: &OwnedFd, dest: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let from = rustix::fs::openat(source, name, flags | OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let stat = rustix::fs::fstat(&from)?;
    let create = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let to = rustix::fs::openat(dest, name, create, Mode::RUSR | Mode::WUSR)?;
    if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
        copy_bytes(from, &to)?;
    }
    settle(&to, &stat)
}

fn copy_bytes(from: OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::copy_file_range(&from, None, to, None, 1 << 30) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            // Not between these file systems; and some answer with no bytes where there are some, hence the loop below.
            Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => break,
            Err(e) => return Err(e),
        }
    }
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&from, &mut buffer[..]))?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(to, rest))?;
            rest = &rest[written..];
        }
    }
}

fn copy_link(source: &OwnedFd, dest: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    let target = rustix::fs::readlinkat(source, name, Vec::new())?;
    let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::symlinkat(target.as_c_str(), dest, name)?;
    rustix::fs::utimensat(dest, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)
}

/// Permissions and time as they were.
fn settle(file: &OwnedFd, like: &Stat) -> rustix::io::Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(like.st_mode & 0o7777))?;
    rustix::fs::futimens(file, &times(like))
}

fn times(like: &Stat) -> Timestamps {
    let nanos = u32::try_from(like.st_mtime_nsec).unwrap_or(0);
    stamps(Time { secs: like.st_mtime, nanos })
}

/// The paths of everything beneath a directory, sorted.
pub(super) fn paths(dir: &Path) -> Result<Vec<RelPath>, Error> {
    let root = open_root(dir).map_err(|e| Error::io("open the directory", dir, e))?;
    let mut paths: Vec<RelPath> = walk(&root, dir)?.into_iter().map(|found| found.path).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn sample(dir: &Path) {
        fs::create_dir_all(dir.join("d/e")).unwrap();
        fs::write(dir.join("d/e/f"), vec![7; 300_000]).unwrap();
        fs::write(dir.join("x"), b"").unwrap();
        fs::set_permissions(dir.join("x"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("nowhere", dir.join("d/l")).unwrap();
        set_times(dir, 1_000_000).unwrap();
        fs::set_permissions(dir.join("d"), fs::Permissions::from_mode(0o555)).unwrap();
    }

    fn mtimes(dir: &Path) -> Vec<i64> {
        ["", "d", "d/e", "d/e/f", "d/l", "x"].map(|path| fs::symlink_metadata(dir.join(path)).unwrap().mtime()).to_vec()
    }

    #[test]
    fn a_copy_is_the_same_tree_with_the_same_times() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        sample(&from);
        for (name, files, links) in [("copied", Files::Copied, 1), ("linked", Files::Linked, 2)] {
            let to = dir.path().join(name);
            copy(&from, &to, files).unwrap();
            assert_eq!(Tree::scan(&to).unwrap(), Tree::scan(&from).unwrap());
            assert_eq!(mtimes(&to), vec![1_000_000; 6]);
            assert_eq!(fs::metadata(to.join("x")).unwrap().nlink(), links);
            assert!(copy(&from, &to, files).is_err());
        }
        for name in ["from", "copied", "linked"] {
            super::super::remove_all(&dir.path().join(name)).unwrap();
        }
    }

    #[test]
    fn times_of_links_and_not_of_their_targets_are_set() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, b"").unwrap();
        let before = fs::metadata(&outside).unwrap().mtime();
        let inside = dir.path().join("in");
        fs::create_dir(&inside).unwrap();
        symlink("../outside", inside.join("l")).unwrap();
        set_times(&inside, 5).unwrap();
        assert_eq!(fs::symlink_metadata(inside.join("l")).unwrap().mtime(), 5);
        assert_eq!(fs::metadata(&outside).unwrap().mtime(), before);
    }
}
