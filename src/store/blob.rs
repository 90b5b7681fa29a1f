//! Files from outside: sources, signatures, seed packages; and the builds' logs, which are kept the same way.

use super::disk::{exists, link_text, remove_file, rename, settle_file, sync_dir};
use super::error::{At as _, Error, Result};
use super::{Object, Store};
use crate::base::{Blake3, Hasher, Sha256};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A file in the store. It was hashed when it came in; [`Blob::check`] hashes it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Where its bytes can be read.
    pub path: PathBuf,
    /// By which it is known.
    pub sha256: Sha256,
    /// Its other digest.
    pub blake3: Blake3,
    /// In bytes.
    pub size: u64,
}

impl Blob {
    /// Reads all of it and says whether both digests still hold.
    pub fn check(&self) -> Result<bool> {
        let (sha256, blake3, _) = hash_file(&self.path)?;
        Ok((sha256, blake3) == (self.sha256, self.blake3))
    }
}

impl Store {
    /// The source with this digest, if it is here.
    pub fn blob(&self, sha256: Sha256) -> Result<Option<Blob>> {
        let path = self.object(&Object::Blob(sha256));
        let size = match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found.at("look at", &path)?.len(),
        };
        // Without its other digest (nothing but damage takes it away) a blob counts as absent: it will be put again.
        let blake3 = link_text(&beside(&path))?.and_then(|text| text.parse().ok());
        Ok(blake3.map(|blake3| Blob { path, sha256, blake3, size }))
    }

    /// Takes over a complete file that lies in a stage and was hashed while it was written.
    ///
    /// If the source is here already, the store keeps one of the two, durably.
    pub fn put_blob(&self, file: &Path, sha256: Sha256, blake3: Blake3) -> Result<Blob> {
        let object = Object::Blob(sha256);
        let path = self.object(&object);
        let metadata = fs::symlink_metadata(file).at("look at", file)?;
        if !metadata.is_file() {
            return Err(Error::Mismatch { object, path: file.to_owned() });
        }
        settle_file(file)?;
        // First what is read second: a blob is complete from the moment it can be seen.
        self.commit_link(&beside(&path), &blake3.to_string())?;
        rename(file, &path)?;
        sync_dir(&self.dir("blob"))?;
        Ok(Blob { path, sha256, blake3, size: metadata.len() })
    }

    /// Remembers which place served a source, in words: evidence for the records of later builds.
    pub fn note_blob(&self, sha256: Sha256, place: &str) -> Result<()> {
        // As long as a link's text may be; what is longer says nothing to anybody.
        let text: String = place.chars().take(1000).collect();
        self.commit_link(&self.object(&Object::Blob(sha256)).with_extension("place"), &text)
    }

    /// What [`Store::note_blob`] remembers of a source.
    pub fn blob_note(&self, sha256: Sha256) -> Result<Option<String>> {
        link_text(&self.object(&Object::Blob(sha256)).with_extension("place"))
    }

    /// Every source that is here, sorted by digest.
    pub fn blobs(&self) -> Result<Vec<Sha256>> {
        let names = super::disk::names(&self.dir("blob"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Takes over a complete log that lies in a stage; its digest is its name from now on.
    pub fn put_log(&self, file: &Path) -> Result<Blake3> {
        let (_, digest, _) = hash_file(file)?;
        let path = self.object(&Object::Log(digest));
        if exists(&path)? {
            remove_file(file)?;
        } else {
            settle_file(file)?;
            rename(file, &path)?;
        }
        sync_dir(&self.dir("log"))?;
        Ok(digest)
    }

    /// Where a log can be read, if it is here.
    pub fn log(&self, digest: Blake3) -> Result<Option<PathBuf>> {
        let path = self.object(&Object::Log(digest));
        Ok(exists(&path)?.then_some(path))
    }
}

/// Where the other digest of the blob at `path` is.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension("blake3")
}

/// Both digests and the size of a file, which is not followed if it is a link.
pub(super) fn hash_file(path: &Path) -> Result<(Sha256, Blake3, u64)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).at("open", path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let size = hasher.size();
    let (sha256, blake3) = hasher.finish();
    Ok((sha256, blake3, size))
}
