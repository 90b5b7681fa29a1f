//! Every call by which the store changes its directory goes through here: each names its path when it fails, and each is
//! atomic for readers and crashes. `commit_*` is also durable: what it returned from survives a power cut.

use super::error::{At as _, Error, Result};
use rustix::fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Modification time of everything in a stored tree: 1980-01-02, the first day that zip files can express in every time
/// zone. A build sees it on all its inputs.
pub const TREE_TIME: i64 = 315_619_200;

/// Makes a directory that may be there already.
pub(super) fn make_dir(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.at("make the directory", path),
    }
}

/// Makes a new file of these bytes; they are durable, its name is not.
///
/// It is later than `newest`, which then becomes its time: the kernel stamps files with a clock that stands still for
/// milliseconds, so that files made one after the other would be of the same age.
pub(super) fn write_new(path: &Path, newest: &Mutex<SystemTime>, parts: &[&[u8]]) -> Result<()> {
    let mut file = fs::File::create_new(path).at("make", path)?;
    for part in parts {
        file.write_all(part).at("write", path)?;
    }
    file.set_permissions(fs::Permissions::from_mode(0o444)).at("protect", path)?;
    {
        let written = file.metadata().and_then(|found| found.modified()).at("look at", path)?;
        let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = if written > *newest { written } else { *newest + Duration::from_nanos(1) };
        if *newest != written {
            file.set_modified(*newest).at("set the time of", path)?;
        }
    }
    file.sync_all().at("write", path)
}

/// Makes the content of a finished file durable and protects it from accidental writes.
pub(super) fn settle_file(path: &Path) -> Result<()> {
    let file = fs::File::open(path).at("open", path)?;
    file.set_permissions(fs::Permissions::from_mode(0o444)).at("protect", path)?;
    file.sync_all().at("write", path)
}

/// Makes names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|dir| dir.sync_all()).at("write the directory", path)
}

/// Makes all data of the file system that holds `path` durable: for many small files this is one wait instead of one each.
pub(super) fn sync_file_system(path: &Path) -> Result<()> {
    let file = fs::File::open(path).at("open", path)?;
    rustix::fs::syncfs(&file).at("write", path)
}

/// Moves `from` to `to`, replacing a file or link there.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).at("move a finished file to", to)
}

/// Moves `from` to `to` if nothing is there; says whether it did.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<bool> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
        Err(e) => Err(e).at("move a finished object to", to),
    }
}

/// Removes a file or link that may be gone already.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        gone => gone.at("remove", path),
    }
}

/// Whether anything, a dangling link included, has this name.
pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).at("look at", path),
    }
}

/// The target of a link as text; `None` when there is none, or no link.
pub(super) fn link_text(path: &Path) -> Result<Option<String>> {
    match fs::read_link(path) {
        Ok(target) => Ok(target.into_os_string().into_string().ok()),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidInput) => Ok(None),
        Err(e) => Err(e).at("read the link", path),
    }
}

/// The names in a directory, sorted; empty when the directory is gone.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let listing = match fs::read_dir(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.at("list", path)?,
    };
    let mut names = Vec::new();
    for entry in listing {
        // A name that is not UTF-8 was not given by the store; the lossy form will be reported as stray by `verify`.
        names.push(entry.at("list", path)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Sets the modification time of a file, link or directory, without following links.
pub(super) fn set_time(path: &Path, seconds: i64) -> Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).at("set the time of", path)
}

/// Removes a directory and everything in it, however hostile, without following links. May be gone already.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    crate::tree::remove_all(path).map_err(|e| Error::Tree { doing: "remove", source: Box::new(e) })
}
