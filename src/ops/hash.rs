//! `parton hash`: what a spec could pin.

use super::{Error, Session};
use crate::base::{Blake3, Hasher, Sha256, TreeDigest};
use crate::tree::Tree;
use fs_err as fs;
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;

/// Digests and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Hashed {
    /// Of a file.
    File {
        /// As specs pin it.
        sha256: Sha256,
        /// As parton names it.
        blake3: Blake3,
        /// In bytes.
        size: u64,
    },
    /// Of a directory, or of the exported tree of a commit.
    Tree {
        /// As specs pin it.
        tree: TreeDigest,
        /// Regular files.
        files: u64,
        /// Bytes in them.
        bytes: u64,
    },
}

/// Hashes a URL, or a path that is relative to `base`; with a commit, that commit of a repository.
///
/// # Errors
/// It can't be had or read.
pub fn hash(session: &Session<'_>, base: &Path, what: &str, commit: Option<&str>) -> Result<Hashed, Error> {
    let failed = |error| Error::Source { package: what.to_owned(), error };
    if let Some(commit) = commit {
        let stage = session.store.stage()?;
        let dest = stage.path().join("tree");
        session
            .fetcher
            .git(what, commit, &dest, session.events, session.cancel)
            .map_err(|error| Error::Git { package: what.to_owned(), error })?;
        return tree(&dest);
    }
    let path = base.join(what);
    if what.contains("://") {
        let stage = session.store.stage()?;
        let dest = stage.path().join("file");
        let fetched = session.fetcher.fetch_unpinned(what, &dest, session.events, session.cancel).map_err(failed)?;
        // Whoever asks is about to pin it: the next build need not fetch it again.
        session.store.put_blob(&dest, fetched.sha256, fetched.blake3)?;
        session.store.note_blob(fetched.sha256, &fetched.place.to_string())?;
        return Ok(Hashed::File { sha256: fetched.sha256, blake3: fetched.blake3, size: fetched.size });
    }
    if path.is_dir() {
        return tree(&path);
    }
    let mut file = fs::File::open(&path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let size = hasher.size();
    let (sha256, blake3) = hasher.finish();
    Ok(Hashed::File { sha256, blake3, size })
}

fn tree(dir: &Path) -> Result<Hashed, Error> {
    let files = Tree::scan(dir)?;
    let facts = files.facts();
    Ok(Hashed::Tree { tree: files.digest(), files: facts.files, bytes: facts.bytes })
}
