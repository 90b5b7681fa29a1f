//! Directories by descriptor: opened without following links, listed in order.

use crate::base::RelPath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom};
use std::path::Path;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory that the caller named; links on the way to it are the caller's.
pub(super) fn open_root(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, DIRECTORY, Mode::empty())
}

/// Opens the directory `name` in `at`; a link in its place is an error.
pub(super) fn open_dir(at: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens the directory at `path` beneath `root`, or `root` anew. A link anywhere on the way is an error.
pub(super) fn open_beneath(root: impl AsFd, path: Option<&RelPath>) -> rustix::io::Result<OwnedFd> {
    let path = path.map_or(Path::new("."), |path| path.as_path());
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, DIRECTORY, Mode::empty(), resolve)
}

/// The names in a directory with what they name, in ascending order.
pub(super) fn list(dir: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, FileType)>> {
    // A descriptor that was listed before stands at the end.
    rustix::fs::seek(dir.as_fd(), SeekFrom::Start(0))?;
    let mut names = Vec::new();
    let mut space = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(dir.as_fd(), space.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    for (name, kind) in &mut names {
        // Some file systems do not say the kind while listing.
        if *kind == FileType::Unknown {
            let stat = rustix::fs::statat(&dir, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
            *kind = FileType::from_raw_mode(stat.st_mode);
        }
    }
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(names)
}
