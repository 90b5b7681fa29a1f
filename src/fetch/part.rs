//! A download under way: the bytes received so far, on disk and in the hasher, across attempts, places and processes.

use super::error::Halt;
use super::place::Place;
use crate::base::{Blake3, Cancel, Hasher, Lock, LockKind, Sha256, sync_dir};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Where the last bytes came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct From {
    pub place: Place,
    /// The server's name for the version they belong to.
    pub validator: Option<String>,
}

/// The partial file of one digest, held exclusively.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    from_path: PathBuf,
    file: File,
    hasher: Hasher,
    from: Option<From>,
    /// Some bytes are older than the current place's first answer: if the digest is wrong, they may be to blame.
    mixed: bool,
    /// Absent when something larger is locked already.
    _lock: Option<Lock>,
}

impl Part {
    /// Takes up the partial file of a digest, or starts one, and keeps others away from it.
    ///
    /// Locks are taken in this order, and of each kind at most one by a thread: a pin's, one archive suite's. So nobody
    /// waits in a circle.
    pub fn open(dir: &Path, sha256: Sha256, cancel: &Cancel) -> Result<Self, Halt> {
        fs_err::create_dir_all(dir).map_err(Halt::disk("make the directory", dir))?;
        let lock_path = dir.join(format!("lock-{}", &sha256.to_string()[..2]));
        let lock = Lock::take(&lock_path, LockKind::Exclusive, || !cancel.is_cancelled()).map_err(|e| {
            if cancel.is_cancelled() { Halt::Cancelled } else { Halt::disk("take the lock", &lock_path)(e) }
        })?;
        Ok(Self { _lock: Some(lock), ..Self::open_within(dir, sha256, cancel)? })
    }

    /// The same in a directory that the caller has locked.
    pub fn open_within(dir: &Path, sha256: Sha256, cancel: &Cancel) -> Result<Self, Halt> {
        let name = sha256.to_string();
        let path = dir.join(format!("{name}.part"));
        let from_path = dir.join(format!("{name}.from"));
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Halt::disk("open the partial download", &path))?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 128 << 10];
        loop {
            if cancel.is_cancelled() {
                return Err(Halt::Cancelled);
            }
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Halt::disk("read the partial download", &path)(e)),
            }
        }
        let from = fs_err::read(&from_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mixed = hasher.size() > 0;
        Ok(Self { path, from_path, file, hasher, from, mixed, _lock: None })
    }

    /// Bytes that are there.
    pub fn len(&self) -> u64 {
        self.hasher.size()
    }

    /// Where the last of them came from, if that is known.
    pub fn from(&self) -> Option<&From> {
        self.from.as_ref()
    }

    /// Whether bytes of different answers were put together.
    pub fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Both digests of what is there.
    pub fn digests(&self) -> (Sha256, Blake3) {
        self.hasher.clone().finish()
    }

    /// Says that what follows is another answer: the place, or its version of the file, may be another.
    pub fn goes_on(&mut self, from: From) -> Result<(), Halt> {
        self.mixed = self.len() > 0;
        if self.from.as_ref() != Some(&from) {
            let bytes = serde_json::to_vec(&from).unwrap_or_default();
            // Under the lock, so that the name needs to be nobody else's: whoever is killed here leaves at most one file,
            // and `forget` knows it. Nothing hangs on it: what can't be read is as good as not there.
            let new = self.new_path();
            let written = std::fs::write(&new, bytes).and_then(|()| std::fs::rename(&new, &self.from_path));
            written.map_err(Halt::disk("write", &self.from_path))?;
            self.from = Some(from);
        }
        Ok(())
    }

    /// Appends the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.file.write_all(bytes).map_err(Halt::disk("write the partial download", &self.path))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Drops everything received.
    pub fn reset(&mut self) -> Result<(), Halt> {
        let rewound = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        rewound.map_err(Halt::disk("empty the partial download", &self.path))?;
        self.hasher = Hasher::new();
        self.mixed = false;
        Ok(())
    }

    /// Gives the file its final name, durably. Whoever calls has checked the digest.
    pub fn deliver(self, dest: &Path) -> Result<(), Halt> {
        self.file.sync_all().map_err(Halt::disk("write the download to the disk", &self.path))?;
        match std::fs::rename(&self.path, dest) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => self.copy(dest)?,
            Err(e) => return Err(Halt::disk("move the download to", dest)(e)),
        }
        let dir = dest.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(dir).map_err(Halt::disk("write the directory to the disk", dir))?;
        self.forget();
        Ok(())
    }

    /// For a destination on another file system. What is copied is what was hashed only if it is hashed again.
    fn copy(&self, dest: &Path) -> Result<(), Halt> {
        let dir = dest.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut temp = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(dir)
            .map_err(Halt::disk("create a temporary file in", dir))?;
        let mut source = File::open(&self.path).map_err(Halt::disk("read the partial download", &self.path))?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Halt::disk("read the partial download", &self.path)(e)),
            };
            hasher.update(&buffer[..n]);
            temp.write_all(&buffer[..n]).map_err(Halt::disk("write", dest))?;
        }
        if hasher.finish() != self.digests() {
            let changed = io::Error::other("the file changed while it was copied");
            return Err(Halt::disk("copy the download to", dest)(changed));
        }
        temp.as_file().sync_all().map_err(Halt::disk("write", dest))?;
        temp.persist(dest).map_err(|e| Halt::disk("move the download to", dest)(e.error))?;
        let _ = std::fs::remove_file(&self.path);
        Ok(())
    }

    /// Removes the traces of a download that is over or has no bytes worth keeping.
    pub fn forget(self) {
        for path in [&self.new_path(), &self.from_path, &self.path] {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Where the next `.from` is written before it becomes that.
    fn new_path(&self) -> PathBuf {
        self.from_path.with_extension("from-new")
    }
}
