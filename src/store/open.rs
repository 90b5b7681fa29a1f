//! The handle: opening, creating, locks, and the paths of everything.

use super::disk::{exists, make_dir, names, rename, rename_new, sync_dir, write_new};
use super::error::{At as _, Error, Result};
use super::stage::{Stage, fresh_name};
use super::{Object, Patience, Waiting};
use crate::base::{DrvId, Lock, LockKind, printable};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

const FORMAT: &str = "parton store 1";

/// Every directory of a store.
const DIRS: [&str; 12] =
    ["blob", "tree", "log", "drv", "name", "seed", "root", "kept", "damaged", "partial", "tmp", "lock"];

/// An open store. Cheap to open; may be used from many threads.
///
/// As long as the handle lives, nothing is removed from the store by others.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// `lock/store`, shared; exclusive while something is removed.
    lock: Option<Lock>,
    /// `drv/` and `tree/`: a build that has nothing to do asks them thousands of times.
    pub(super) records: OwnedFd,
    pub(super) trees: OwnedFd,
    /// Where this handle's own temporary files are made, once there is one.
    session: Mutex<Option<Stage>>,
    next: AtomicU64,
    /// Modification time of the newest record of this handle.
    pub(super) newest: Mutex<SystemTime>,
    pub(super) swept: AtomicBool,
}

/// A lock on something in the store, until dropped or the process ends.
#[derive(Debug)]
#[must_use]
pub struct Held {
    _lock: Lock,
}

/// Something that is no longer where it was, and about to be removed. If it is not, whoever stages next removes it.
#[derive(Debug)]
pub(super) struct Hidden {
    path: PathBuf,
    /// Keeps others from taking it for a dead one's stage.
    _held: Option<fs::File>,
}

impl Hidden {
    pub(super) fn remove(self) -> Result<()> {
        super::disk::remove_tree(&self.path)
    }

    /// Lets others sweep it, which costs no descriptor.
    pub(super) fn unheld(self) -> Self {
        Self { _held: None, ..self }
    }
}

impl Store {
    /// Opens the store at `path`, which is created if nothing or an empty directory is there.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Foreign`] and [`Error::Unfit`] say that this can't be parton's store.
    pub fn open(path: &Path, patience: Patience<'_>) -> Result<Self> {
        match fs::read(path.join("format")) {
            Ok(line) => check_format(path, &line)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(e) => return Err(e).at("read", &path.join("format")),
        }
        Self::attach(path, patience)
    }

    /// Takes part in a store that has all its directories.
    fn attach(root: &Path, patience: Patience<'_>) -> Result<Self> {
        let lock = take(&root.join("lock/store"), LockKind::Shared, Waiting::Sweep, patience).map_err(|e| match e {
            Error::Io { source, .. }
                if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                Error::Unfit { path: root.to_owned(), missing: "taking a lock", source }
            }
            other => other,
        })?;
        let open = |name: &str| {
            let path = root.join(name);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, &path, flags, Mode::empty()).at("open", &path)
        };
        Ok(Self {
            lock: Some(lock),
            records: open("drv")?,
            trees: open("tree")?,
            root: root.to_owned(),
            session: Mutex::new(None),
            next: AtomicU64::new(0),
            newest: Mutex::new(SystemTime::UNIX_EPOCH),
            swept: AtomicBool::new(false),
        })
    }

    /// A directory for whoever fetches, to keep verified indexes in. The store only keeps a place for it, so that everything
    /// parton keeps lies together; it may be deleted at any time and is made when it is needed.
    pub fn fetch_dir(&self) -> PathBuf {
        self.dir("fetch")
    }

    /// A directory for whoever fetches, for downloads under way. A sweep empties it.
    pub fn partial_dir(&self) -> PathBuf {
        self.dir("partial")
    }

    /// The directory that was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes this handle the only one that builds `drv`; waits for another that does.
    ///
    /// Whoever had to wait should look for the record again before building.
    pub fn lock_drv(&self, drv: DrvId, patience: Patience<'_>) -> Result<Held> {
        let path = self.dir("lock").join(format!("drv-{drv}"));
        Ok(Held { _lock: take(&path, LockKind::Exclusive, Waiting::Derivation(drv), patience)? })
    }

    /// Runs `work` while nobody else uses the store.
    pub(super) fn alone<T>(&mut self, patience: Patience<'_>, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let path = self.dir("lock").join("store");
        // Two handles that both went from shared to exclusive without letting go would wait for each other for ever.
        self.lock = None;
        let taken = take(&path, LockKind::Exclusive, Waiting::Users, patience);
        let done = match taken {
            Ok(exclusive) => {
                self.lock = Some(exclusive);
                work(self)
            }
            Err(e) => Err(e),
        };
        self.lock = None;
        self.lock = Some(take(&path, LockKind::Shared, Waiting::Sweep, &mut |_| true)?);
        done
    }

    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn object(&self, object: &Object) -> PathBuf {
        self.root.join(object.kind()).join(object.id())
    }

    /// Whether the object is there; says nothing about whether it is sound.
    pub fn contains(&self, object: &Object) -> Result<bool> {
        match object {
            Object::Tree(digest) => self.has_tree(*digest),
            _ => exists(&self.object(object)),
        }
    }

    /// A name for a temporary file that dies with this handle.
    pub(super) fn temp(&self) -> Result<PathBuf> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = match &mut *session {
            Some(stage) => stage,
            none => none.insert(self.stage()?),
        };
        Ok(stage.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    /// Makes a file in one step that survives a power cut; replaces one that is there. Its modification time is later
    /// than that of every file this handle committed before.
    pub(super) fn commit_file(&self, to: &Path, parts: &[&[u8]]) -> Result<()> {
        let temp = self.temp()?;
        write_new(&temp, &self.newest, parts).inspect_err(|_| drop(fs::remove_file(&temp)))?;
        rename(&temp, to)?;
        self.sync_parent(to)
    }

    /// Makes a link in one step that survives a power cut; replaces one that is there.
    pub(super) fn commit_link(&self, to: &Path, text: &str) -> Result<()> {
        let temp = self.temp()?;
        rustix::fs::symlink(text, &temp).at("make the link", to)?;
        rename(&temp, to)?;
        self.sync_parent(to)
    }

    /// Moves what is at `path` out of sight and removes it; for readers and crashes it goes in one step.
    pub(super) fn discard(&self, path: &Path) -> Result<()> {
        let Some(hidden) = self.hide(path)? else { return Ok(()) };
        // Else a power cut might leave the old name, and behind it what is left by then.
        self.sync_parent(path)?;
        hidden.remove()
    }

    /// Moves what is at `path` out of sight; `None` when nothing is there. It may be removed as soon as the directory it was
    /// in is durable.
    pub(super) fn hide(&self, path: &Path) -> Result<Option<Hidden>> {
        // It becomes a stage of its own, locked as one. (Making a directory to move it to may need space, of which
        // there may be none when things are removed.)
        let temp = self.dir("tmp").join(fresh_name());
        let held = fs::File::open(path).ok().filter(|open| open.try_lock().is_ok());
        match rename(path, &temp) {
            // A directory that its owner may not write to can't be moved by that owner.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied && path.is_dir() => {
                make_movable(path)?;
                rename(path, &temp)?;
            }
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            moved => moved?,
        }
        Ok(Some(Hidden { path: temp, _held: held }))
    }

    fn sync_parent(&self, path: &Path) -> Result<()> {
        sync_dir(path.parent().unwrap_or(&self.root))
    }

    /// Whether a name in `dir` (one of the open directories) exists; one system call, no allocation.
    pub(super) fn probe(dir: &OwnedFd, name: &std::ffi::CStr) -> io::Result<bool> {
        match rustix::fs::accessat(dir, name, rustix::fs::Access::EXISTS, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// Gives a directory's owner the right to move it elsewhere.
pub(super) fn make_movable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).at("make movable", path)
}

/// A digest as a file name, without allocation.
pub(super) fn file_name(digest: &[u8; 32]) -> [u8; 65] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut name = [0; 65];
    for (pair, byte) in name.chunks_exact_mut(2).zip(digest) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    name
}

fn take(path: &Path, kind: LockKind, waiting: Waiting, patience: Patience<'_>) -> Result<Lock> {
    match Lock::take(path, kind, || patience(waiting)) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(Error::GaveUp(waiting)),
        taken => taken.at("lock", path),
    }
}

fn check_format(path: &Path, line: &[u8]) -> Result<()> {
    let found = line.strip_suffix(b"\n").unwrap_or(line);
    if found == FORMAT.as_bytes() {
        return Ok(());
    }
    let found = format!("'{}'", printable(&found[..found.len().min(64)]));
    Err(Error::Format { path: path.to_owned(), found, known: FORMAT })
}

/// Whether a name at the top of a store belongs there; `lost+found` is there when the store is a file system of its own.
pub(super) fn is_ours(name: &str) -> bool {
    DIRS.contains(&name) || matches!(name, "format" | "fetch" | "lost+found")
}

/// Makes a store of an empty directory. Safe to be killed in, and to be run by several at once: `format` comes last.
fn create(path: &Path) -> Result<()> {
    let unfit = |missing| {
        move |e: Error| match e {
            Error::Io { source, .. } if !matches!(source.kind(), io::ErrorKind::StorageFull) => {
                Error::Unfit { path: path.to_owned(), missing, source }
            }
            other => other,
        }
    };
    let there = path.ancestors().position(Path::exists).unwrap_or(0);
    fs::create_dir_all(path).at("make the directory", path).map_err(unfit("making a directory"))?;
    let found = names(path)?;
    if let Some(other) = found.iter().find(|name| !is_ours(name)) {
        return Err(Error::Foreign { path: path.to_owned(), found: other.into() });
    }
    for dir in DIRS {
        make_dir(&path.join(dir)).map_err(unfit("making a directory"))?;
    }
    // What will be needed later is tried now, while there is nothing to lose.
    let store = Store::attach(path, &mut |_| true)?;
    let (file, link) = (store.temp()?, store.temp()?);
    write_new(&file, &store.newest, &[FORMAT.as_bytes(), b"\n"]).map_err(unfit("writing a file"))?;
    rustix::fs::symlink("../drv", &link).at("make the link", &link).map_err(unfit("making a link"))?;
    rename_new(&link, &store.temp()?).map_err(unfit("renaming without replacing"))?;
    super::disk::set_time(&file, super::disk::TREE_TIME).map_err(unfit("setting a time"))?;
    sync_dir(path)?;
    // The way to the store is as durable as what will be in it, before anybody can see that it is a store. Directories
    // that were there may have been made by a parton that was killed here; those of others are not ours to worry about.
    for (made, dir) in path.ancestors().skip(1).enumerate() {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        match sync_dir(dir) {
            Err(e) if made < there => return Err(e),
            _ => {}
        }
    }
    rename(&file, &path.join("format"))?;
    sync_dir(path)
}
