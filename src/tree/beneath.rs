//! Creating things beneath one directory and nowhere else.
//!
//! Every directory on the way is opened by its descriptor, one name at a time and never through a link, so that no
//! sequence of members, and nobody who changes the directory meanwhile, can lead a write elsewhere.

use super::Error;
use super::dir::{open_dir, open_root};
use super::header::Time;
use super::scan::kind_name;
use crate::base::{RelPath, printable};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A directory with the descriptors on the way to where the last thing was created.
pub(super) struct Beneath {
    root: OwnedFd,
    name: PathBuf,
    open: Vec<(Vec<u8>, OwnedFd)>,
    /// Directories that were there before and had to be made writable, with the permissions they had.
    opened_up: BTreeMap<RelPath, u32>,
    /// For a mode that was asked for, whether the process's umask lets it through.
    masked: BTreeMap<u32, bool>,
}

impl Beneath {
    pub(super) fn new(root: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: open_root(root).map_err(|e| Error::io("open the directory", root, e))?,
            name: root.to_owned(),
            open: Vec::new(),
            opened_up: BTreeMap::new(),
            masked: BTreeMap::new(),
        })
    }

    /// The directory at `path`, made if it is not there.
    pub(super) fn enter(&mut self, path: &RelPath) -> Result<BorrowedFd<'_>, Error> {
        self.enter_for(Some(path), path)
    }

    /// The directory at `path`, or the top one, for something that is to lie in it.
    fn enter_for(&mut self, path: Option<&RelPath>, member: &RelPath) -> Result<BorrowedFd<'_>, Error> {
        let Some(path) = path else {
            self.open.clear();
            return Ok(self.root.as_fd());
        };
        let same = self.open.iter().zip(path.components()).take_while(|((name, _), part)| name == part).count();
        self.open.truncate(same);
        for (depth, part) in path.components().enumerate().skip(same) {
            let at = self.open.last().map_or(self.root.as_fd(), |(_, dir)| dir.as_fd());
            let here = || {
                let parts: Vec<_> = path.components().take(depth + 1).collect();
                RelPath::new(parts.join(&b'/')).unwrap_or_else(|_| path.clone())
            };
            let dir = match open_dir(at, part) {
                Ok(dir) => {
                    self.opened_up.extend(open_up(&dir, &here).map_err(|e| self.failed("make writable", &here(), e))?);
                    dir
                }
                Err(Errno::NOENT) => match make(at, part) {
                    // Another archive that is unpacked here at the same time came first.
                    Err(Errno::EXIST) => open_dir(at, part),
                    made => made,
                }
                .map_err(|e| self.failed("make the directory", &here(), e))?,
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(in_the_way(at, part, member, &here())),
                Err(e) => return Err(self.failed("open the directory", &here(), e)),
            };
            self.open.push((part.to_vec(), dir));
        }
        Ok(self.open.last().map_or(self.root.as_fd(), |(_, dir)| dir.as_fd()))
    }

    /// Creates a file that must not be there yet, with exactly this mode.
    pub(super) fn file(&mut self, path: &RelPath, mode: u32) -> Result<OwnedFd, Error> {
        let parent = path.parent();
        let dir = self.enter_for(parent.as_ref(), path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, path.name(), flags, Mode::from_raw_mode(mode))
            .map_err(|e| self.failed("create", path, e))?;
        let masked = match self.masked.get(&mode) {
            Some(masked) => *masked,
            None => {
                let stat = rustix::fs::fstat(&file).map_err(|e| self.failed("look at", path, e))?;
                let masked = stat.st_mode & 0o7777 != mode;
                self.masked.insert(mode, masked);
                masked
            }
        };
        if masked {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
                .map_err(|e| self.failed("change the mode of", path, e))?;
        }
        Ok(file)
    }

    /// Creates a symbolic link that must not be there yet.
    pub(super) fn link(&mut self, path: &RelPath, target: &[u8], time: Time) -> Result<(), Error> {
        let parent = path.parent();
        let dir = self.enter_for(parent.as_ref(), path)?;
        rustix::fs::symlinkat(target, dir, path.name())
            .and_then(|()| rustix::fs::utimensat(dir, path.name(), &stamps(time), AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|e| self.failed("make the link", path, e))
    }

    /// Gives a file another name that must not be there yet.
    pub(super) fn hard_link(&mut self, path: &RelPath, target: &RelPath) -> Result<(), Error> {
        let from = self
            .enter_for(target.parent().as_ref(), target)?
            .try_clone_to_owned()
            .map_err(|e| Error::io("open", target, e))?;
        let parent = path.parent();
        let to = self.enter_for(parent.as_ref(), path)?;
        rustix::fs::linkat(&from, target.name(), to, path.name(), AtFlags::empty())
            .map_err(|e| self.failed("make the hard link", path, e))
    }

    /// Gives a directory its mode, if any, and time. Nothing can be created in it afterwards without changing the time.
    pub(super) fn settle(&mut self, path: Option<&RelPath>, mode: Option<u32>, time: Time) -> Result<(), Error> {
        let mode = mode.or_else(|| path.and_then(|path| self.opened_up.get(path).copied()));
        let dir = match path {
            Some(path) => self.enter(path)?,
            None => self.root.as_fd(),
        };
        mode.map_or(Ok(()), |mode| rustix::fs::fchmod(dir, Mode::from_raw_mode(mode)))
            .and_then(|()| rustix::fs::futimens(dir, &stamps(time)))
            .map_err(|e| match path {
                Some(path) => self.failed("settle the directory", path, e),
                None => Error::io("settle the directory", &self.name, e),
            })
    }

    pub(super) fn failed(&self, doing: &'static str, path: &RelPath, source: Errno) -> Error {
        match source {
            Errno::EXIST => Error::Conflict { path: path.clone() },
            _ => Error::io(doing, self.name.join(path), source),
        }
    }
}

/// Makes a directory with the same mode whatever the umask and the mode of the directory above.
fn make(at: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(at, name, Mode::RWXU)?;
    let dir = open_dir(at, name)?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
    Ok(dir)
}

/// Lets the owner write into a directory that an earlier archive left read-only, and says what to restore.
fn open_up(dir: &OwnedFd, path: &impl Fn() -> RelPath) -> rustix::io::Result<Option<(RelPath, u32)>> {
    let mode = rustix::fs::fstat(dir)?.st_mode & 0o7777;
    if mode & 0o300 == 0o300 {
        return Ok(None);
    }
    rustix::fs::fchmod(dir, Mode::from_raw_mode(mode | 0o700))?;
    Ok(Some((path(), mode)))
}

fn in_the_way(at: BorrowedFd<'_>, part: &[u8], member: &RelPath, through: &RelPath) -> Error {
    let kind = rustix::fs::statat(at, part, AtFlags::SYMLINK_NOFOLLOW)
        .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode));
    Error::Through { member: printable(member.as_bytes()), through: through.to_string(), kind: kind_name(kind) }
}

/// Sets only the time of modification.
pub(super) fn stamps(time: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.secs, tv_nsec: i64::from(time.nanos) },
    }
}
