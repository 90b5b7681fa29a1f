//! Writing files so that a crash at any instant leaves the old content or the new, and locks between processes.

use fs_err as fs;
use std::fs::TryLockError;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by `bytes`, durably: after a return the new content survives a power cut, before it the
/// old content is there in full.
///
/// Whoever is killed in here leaves one file, `.new-` and the name, which the next one who writes the same file takes over.
///
/// # Errors
/// Any error of the file system; the old content is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = |doing: &str, path: &Path| {
        let text = format!("{doing} {}", path.display());
        move |e: io::Error| io::Error::new(e.kind(), format!("{text}: {e}"))
    };
    let mut name = std::ffi::OsString::from(".new-");
    name.push(path.file_name().unwrap_or_default());
    let temp = dir.join(name);
    let mut file = own(&temp).map_err(named("create the temporary file", &temp))?;
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .map_err(named("write", path))
        .and_then(|()| std::fs::rename(&temp, path).map_err(named("move the new content to", path)));
    if written.is_err() {
        let _ = std::fs::remove_file(&temp);
    }
    written?;
    sync_dir(dir)
}

/// The file at `path`, new or left by the dead, that only this process writes to as long as it is open.
fn own(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    loop {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(false).write(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        let file = options.open(path)?;
        file.lock()?;
        // Whoever had the lock before may have moved it away meanwhile.
        let held = file.metadata()?;
        if std::fs::symlink_metadata(path).is_ok_and(|at| (at.dev(), at.ino()) == (held.dev(), held.ino())) {
            return Ok(file);
        }
    }
}

/// Makes renames and new names in a directory survive a power cut.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

/// An advisory lock on a file, held until dropped. The kernel releases it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    _file: std::fs::File,
    path: PathBuf,
}

/// Whether others may hold the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Many holders at once, as long as none is exclusive.
    Shared,
    /// One holder.
    Exclusive,
}

impl Lock {
    /// Takes the lock if it is free; `None` when another process holds it.
    pub fn try_take(path: &Path, kind: LockKind) -> io::Result<Option<Self>> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| io::Error::new(e.kind(), format!("open the lock file {}: {e}", path.display())))?;
        loop {
            let taken = match kind {
                LockKind::Shared => file.try_lock_shared(),
                LockKind::Exclusive => file.try_lock(),
            };
            return match taken {
                Ok(()) => Ok(Some(Self { _file: file, path: path.to_owned() })),
                Err(TryLockError::WouldBlock) => Ok(None),
                // Said by file systems over a network. Nobody gave up, which is what `take` means by it.
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(e)) => Err(io::Error::new(e.kind(), format!("lock {}: {e}", path.display()))),
            };
        }
    }

    /// Waits for the lock, asking `waiting` about ten times a second whether to go on (`false` gives up).
    ///
    /// # Errors
    /// `ErrorKind::Interrupted` when `waiting` gave up; otherwise what the file system says.
    pub fn take(path: &Path, kind: LockKind, mut waiting: impl FnMut() -> bool) -> io::Result<Self> {
        loop {
            if let Some(lock) = Self::try_take(path, kind)? {
                return Ok(lock);
            }
            if !waiting() {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    format!("gave up waiting for the lock {}", path.display()),
                ));
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"long old content").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_the_dead_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".new-f"), b"half of something much longer").unwrap();
        let path = dir.path().join("f");
        std::thread::scope(|scope| {
            for n in 0..4 {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write_atomic(path, &[n; 1000]).unwrap()));
            }
        });
        let found = std::fs::read(&path).unwrap();
        assert!(found.len() == 1000 && found.iter().all(|byte| *byte == found[0]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let one = Lock::try_take(&path, LockKind::Shared).unwrap().unwrap();
        let two = Lock::try_take(&path, LockKind::Shared).unwrap().unwrap();
        assert!(Lock::try_take(&path, LockKind::Exclusive).unwrap().is_none());
        drop((one, two));
        assert!(Lock::try_take(&path, LockKind::Exclusive).unwrap().is_some());
    }

    #[test]
    fn waiting_can_be_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _held = Lock::try_take(&path, LockKind::Exclusive).unwrap().unwrap();
        let error = Lock::take(&path, LockKind::Exclusive, || false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
