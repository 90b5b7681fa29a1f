//! Directories: outputs of builds and unpacked seeds.

use super::disk::{TREE_TIME, link_text, remove_tree, rename_new, set_time, sync_dir, sync_file_system};
use super::error::{At as _, Error, Result};
use super::open::{file_name, make_movable};
use super::{Object, Store};
use crate::base::{Blake3, RelPath, TreeDigest};
use crate::tree::{Entry, Tree};
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What became of a directory that was put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutTree {
    /// Its name from now on.
    pub digest: TreeDigest,
    /// Whether an equal tree was there already; then the new one was removed.
    pub known: bool,
}

impl Store {
    /// Takes over a directory that lies in a stage, that nothing writes to any more, and that is as `tree` says.
    ///
    /// Times, owners and hard links are made constant on the way, and everything is durable on return.
    pub fn put_tree(&self, dir: &Path, tree: &Tree) -> Result<PutTree> {
        let digest = tree.digest();
        let path = self.object(&Object::Tree(digest));
        make_movable(dir)?;
        let known = self.has_tree(digest)? || {
            settle(dir, tree)?;
            sync_file_system(dir)?;
            !rename_new(dir, &path)?
        };
        if known {
            remove_tree(dir)?;
        }
        // Also when it was known: whoever put it may not have come this far yet.
        sync_dir(&self.dir("tree"))?;
        Ok(PutTree { digest, known })
    }

    /// Where a tree lies, if it is here: a directory to read from or to lay into a jail's root.
    pub fn tree_path(&self, digest: TreeDigest) -> Result<Option<PathBuf>> {
        Ok(self.has_tree(digest)?.then(|| self.object(&Object::Tree(digest))))
    }

    /// Whether a tree is here; quicker than asking for its path.
    pub fn has_tree(&self, digest: TreeDigest) -> Result<bool> {
        let name = file_name(digest.as_bytes());
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Self::probe(&self.trees, name).map_err(|source| Error::Io {
            doing: "look at",
            path: self.object(&Object::Tree(digest)),
            source,
        })
    }

    /// Remembers which tree a seed's lock was unpacked to.
    pub fn bind_seed(&self, lock: Blake3, tree: TreeDigest) -> Result<()> {
        let seed = Object::Seed(lock);
        if !self.has_tree(tree)? {
            return Err(Error::Missing { object: Object::Tree(tree), by: seed.to_string() });
        }
        self.commit_link(&self.object(&seed), &format!("../tree/{tree}"))
    }

    /// The tree of a seed, if it was unpacked and is here.
    pub fn seed(&self, lock: Blake3) -> Result<Option<TreeDigest>> {
        let text = link_text(&self.object(&Object::Seed(lock)))?;
        match text.and_then(|text| text.strip_prefix("../tree/")?.parse().ok()) {
            Some(tree) if self.has_tree(tree)? => Ok(Some(tree)),
            _ => Ok(None),
        }
    }
}

/// Makes everything that a tree's digest does not cover the same for every copy of it.
pub(super) fn settle(dir: &Path, tree: &Tree) -> Result<()> {
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    own(dir, us)?;
    make_movable(dir)?;
    let paths: Vec<(&RelPath, &Entry)> = tree.iter().collect();
    for (path, entry) in &paths {
        let full = dir.join(path.as_path());
        let found = fs::symlink_metadata(&full).at("look at", &full)?;
        let foreign = (found.uid(), found.gid()) != us;
        // Another name of a file may lie outside, in a build directory that is kept for a person to play in.
        let shared = matches!(entry, Entry::File { .. }) && found.nlink() > 1;
        if shared {
            unshare(&full)?;
        }
        if foreign {
            own(&full, us)?;
        }
        if let (true, Entry::File { mode, .. } | Entry::Dir { mode }) = (shared || foreign, entry) {
            // The kernel takes set-id bits away when the owner or the content changes.
            fs::set_permissions(&full, fs::Permissions::from_mode(*mode)).at("set the mode of", &full)?;
        }
    }
    // A directory sorts before what is in it; its time is to be set last.
    for (path, _) in paths.iter().rev() {
        set_time(&dir.join(path.as_path()), TREE_TIME)?;
    }
    set_time(dir, TREE_TIME)
}

/// The first path that is not as [`settle`] left it, and why.
pub(super) fn unsettled(dir: &Path, tree: &Tree) -> Result<Option<(PathBuf, &'static str)>> {
    let root = fs::symlink_metadata(dir).at("look at", dir)?;
    if root.permissions().mode() & 0o7777 != 0o755 {
        return Ok(Some((dir.to_owned(), "the mode of a tree's top must be 0755")));
    }
    let inner = tree.iter().map(|(path, entry)| (dir.join(path.as_path()), matches!(entry, Entry::File { .. })));
    for (path, is_file) in std::iter::once((dir.to_owned(), false)).chain(inner) {
        let found = fs::symlink_metadata(&path).at("look at", &path)?;
        if (found.mtime(), found.mtime_nsec()) != (TREE_TIME, 0) {
            return Ok(Some((path, "the modification time changed")));
        }
        if is_file && found.nlink() > 1 {
            return Ok(Some((path, "the file has a second name, through which it may be changed")));
        }
    }
    Ok(None)
}

fn own(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).at("take over", path)
}

/// Gives a file with several names an inode of its own.
fn unshare(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    let mode = fs::symlink_metadata(dir).at("look at", dir)?.permissions();
    fs::set_permissions(dir, fs::Permissions::from_mode(mode.mode() | 0o700)).at("open for writing", dir)?;
    let copied = (|| {
        let copy = tempfile::Builder::new().prefix(".unshared-").tempfile_in(dir)?;
        // Copies the mode too.
        fs::copy(path, copy.path())?;
        copy.persist(path).map_err(|e| e.error).map(drop)
    })();
    fs::set_permissions(dir, mode).at("close for writing", dir)?;
    copied.at("copy the hard-linked file", path)
}
