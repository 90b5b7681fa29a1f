//! Stages: private directories for work in progress.

use super::Store;
use super::disk::{names, remove_file, remove_tree, sync_dir};
use super::error::{At as _, Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// A private directory in the store; removed with everything in it when dropped, or by another parton if this one dies.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    /// The open directory carries the lock that says the owner is alive.
    alive: File,
}

impl Stage {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle of the directory's lock, which others can share from now on and which outlives the stage.
    pub(super) fn share(&self) -> io::Result<File> {
        let alive = self.alive.try_clone()?;
        alive.lock_shared()?;
        Ok(alive)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What can't be removed now is swept by whoever stages next.
        drop(remove_tree(&self.path));
    }
}

impl Store {
    /// A new private directory, on the store's file system.
    pub fn stage(&self) -> Result<Stage> {
        if !self.swept.swap(true, Ordering::Relaxed) {
            self.sweep_stages()?;
        }
        let tmp = self.dir("tmp");
        for _ in 0..100 {
            let path = tmp.join(fresh_name());
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.at("make the stage", &path)?,
            }
            // Between any two of these calls a sweeper may take the directory for a dead one's; then try another.
            let alive = match File::open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.at("open the stage", &path)?,
            };
            match alive.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(e)) => return Err(e).at("lock the stage", &path),
            }
            if is_at(&alive, &path)? {
                return Ok(Stage { path, alive });
            }
        }
        let source = io::Error::new(io::ErrorKind::WouldBlock, "others removed it, a hundred times");
        Err(Error::Io { doing: "make a stage in", path: tmp, source })
    }

    /// Removes the stages of processes that no longer live.
    pub(super) fn sweep_stages(&self) -> Result<u64> {
        let mut removed = 0;
        for name in names(&self.dir("tmp"))? {
            let path = self.dir("tmp").join(name);
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let gone = match rustix::fs::open(&path, flags, Mode::empty()).map(File::from) {
                Ok(directory) if directory.try_lock().is_ok() => {
                    if removed == 0 {
                        // One of them may be a tree that its remover could only just move out of sight; see `discard`.
                        sync_dir(&self.dir("tree"))?;
                    }
                    remove_tree(&path)
                }
                Ok(_) => continue,
                // Nothing but stages is made here.
                Err(Errno::NOTDIR | Errno::LOOP) => remove_file(&path),
                Err(_) => continue,
            };
            // A leftover that can't be removed hurts nobody; the next one tries again.
            removed += u64::from(gone.is_ok());
        }
        Ok(removed)
    }
}

/// Whether the open directory still has this path.
fn is_at(open: &File, path: &Path) -> Result<bool> {
    let held = open.metadata().at("look at", path)?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).at("look at", path),
    }
}

/// A name in `tmp/` that nobody else uses.
pub(super) fn fresh_name() -> String {
    let mut random = [0; 8];
    // Should the kernel have no random bytes, the process id and the loop in `stage` still tell names apart.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    format!("{}-{:016x}", std::process::id(), u64::from_le_bytes(random))
}
