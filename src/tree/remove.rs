//! Removing trees, whatever their permissions and however deep.

use super::Error;
use super::dir::{list, open_dir};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Every level costs a descriptor; what is deeper is moved up first.
const MAX_DEPTH: usize = 64;

/// Removes what lies at `path`: a file, a link (never what it points to) or a directory with everything in it, also if
/// directories in it may not be written or read. Nothing there is no error.
pub fn remove_all(path: &Path) -> Result<(), Error> {
    let failed = |doing| move |e: Errno| Error::io(doing, path, e);
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux says EISDIR, POSIX EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(failed("remove")(e)),
    }
    let top = enter(CWD, path.as_os_str().as_bytes()).map_err(failed("open the directory"))?;
    let mut moved = 0;
    loop {
        empty(&top, &top, 0, &mut moved).map_err(failed("empty the directory"))?;
        // Full again when something deep was moved up.
        match rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(e) => return Err(failed("remove the directory")(e)),
        }
    }
}

fn empty(dir: &OwnedFd, top: &OwnedFd, depth: usize, moved: &mut u64) -> rustix::io::Result<()> {
    for (name, kind) in list(dir)? {
        let name = name.as_slice();
        if kind != FileType::Directory {
            gone(rustix::fs::unlinkat(dir, name, AtFlags::empty()))?;
            continue;
        }
        if depth < MAX_DEPTH {
            match enter(dir, name) {
                Ok(inner) => empty(&inner, top, depth + 1, moved)?,
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(e),
            }
            gone(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR))?;
            continue;
        }
        // A directory that may not be written can not be moved either: its `..` changes.
        drop(enter(dir, name)?);
        loop {
            let fresh = format!("deep-{moved}");
            *moved += 1;
            match rustix::fs::renameat_with(dir, name, top, fresh.as_str(), RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => {
                    gone(other)?;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Opens a directory after making sure that its owner may empty it.
fn enter(at: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    match open_dir(&at, name) {
        Ok(dir) => {
            let mode = rustix::fs::fstat(&dir)?.st_mode & 0o7777;
            if mode & 0o700 != 0o700 {
                rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode | 0o700))?;
            }
            Ok(dir)
        }
        Err(Errno::ACCESS) => {
            // A descriptor that only names the directory needs no permission, and keeps a link from taking its place.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let named = rustix::fs::openat(&at, name, flags, Mode::empty())?;
            let itself = format!("/proc/self/fd/{}", named.as_raw_fd());
            rustix::fs::chmod(itself, Mode::RWXU)?;
            open_dir(at, name)
        }
        Err(e) => Err(e),
    }
}

fn gone(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn links_are_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("kept/sub")).unwrap();
        fs::write(at("kept/sub/f"), b"").unwrap();
        fs::create_dir(at("gone")).unwrap();
        symlink("../kept", at("gone/link")).unwrap();
        symlink("kept", at("top")).unwrap();
        remove_all(&at("gone")).unwrap();
        remove_all(&at("top")).unwrap();
        remove_all(&at("never")).unwrap();
        assert!(at("kept/sub/f").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn permissions_do_not_protect() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("t");
        fs::create_dir_all(top.join("r/x")).unwrap();
        fs::write(top.join("r/x/f"), b"").unwrap();
        for (path, mode) in [("r/x", 0o000), ("r", 0o555)] {
            fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove_all(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn depth_does_not_protect() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("t");
        fs::create_dir(&top).unwrap();
        let mut at = super::super::dir::open_root(&top).unwrap();
        for _ in 0..300 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open_dir(&at, b"d").unwrap();
        }
        drop(at);
        fs::write(top.join("d/deep-0"), b"").unwrap();
        fs::write(top.join("deep-0"), b"").unwrap();
        remove_all(&top).unwrap();
        assert!(!top.exists());
    }
}
