//! From a directory to a [`Tree`]: first all directories are listed, level by level, then all files are hashed, both
//! spread over the processors. Nothing is opened through a link.

use super::dir::{list, open_beneath, open_root};
use super::{Entry, Error, Tree};
use crate::base::{Blake3, RelPath, printable};
use rayon::prelude::*;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::cell::Cell;
use std::path::Path;

/// Files that a processor takes at a time; hashing one is too little work to share.
const BATCH: usize = 8;
/// From this size on, one file is hashed on all processors.
const LARGE: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Tree {
    /// Reads what is beneath a directory. The directory itself may be reached through links; nothing beneath it is.
    ///
    /// # Errors
    /// Devices, fifos, sockets and extended attributes are refused by name; see [`Error::Special`] and
    /// [`Error::Xattr`]. When several things are wrong, which one is reported does not depend on the processors' order.
    pub fn scan(dir: &Path) -> Result<Self, Error> {
        let root = open_root(dir).map_err(|e| Error::io("open the directory", dir, e))?;
        let walk = Walk { root, name: dir };
        let mut entries = Vec::new();
        let mut files = Vec::new();
        let mut level = walk.list(None)?;
        loop {
            let mut dirs = Vec::new();
            for found in level.drain(..) {
                match found {
                    Found::Dir(path) => dirs.push(path),
                    Found::File(path) => files.push(path),
                    Found::Link(path, target) => entries.push((path, Entry::Link { target })),
                    Found::Mode(path, mode) => entries.push((path, Entry::Dir { mode })),
                }
            }
            if dirs.is_empty() {
                break;
            }
            let lists: Vec<_> = dirs.par_iter().map(|dir| walk.list(Some(dir))).collect();
            for list in lists {
                level.append(&mut list?);
            }
        }
        // Neighbours in one batch share their directory.
        files.sort_unstable_by(|a, b| (parent(a), a.name()).cmp(&(parent(b), b.name())));
        let hashed: Vec<_> = files.par_chunks(BATCH).map(|batch| walk.files(batch)).collect();
        for (batch, hashed) in files.chunks(BATCH).zip(hashed) {
            entries.extend(batch.iter().cloned().zip(hashed?));
        }
        Ok(Self { entries: entries.into_iter().collect() })
    }
}

enum Found {
    Dir(RelPath),
    File(RelPath),
    Link(RelPath, Vec<u8>),
    /// The permissions of the directory that was listed.
    Mode(RelPath, u32),
}

struct Walk<'a> {
    root: OwnedFd,
    name: &'a Path,
}

impl Walk<'_> {
    fn list(&self, path: Option<&RelPath>) -> Result<Vec<Found>, Error> {
        let dir = open_beneath(&self.root, path).map_err(|e| self.failed("open the directory", path, e))?;
        let names = list(&dir).map_err(|e| self.failed("list the directory", path, e))?;
        let mut found = Vec::with_capacity(names.len() + 1);
        if let Some(path) = path {
            let stat = rustix::fs::fstat(&dir).map_err(|e| self.failed("look at", Some(path), e))?;
            self.no_xattrs(&dir, path)?;
            found.push(Found::Mode(path.clone(), permissions(&stat)));
        }
        for (name, kind) in names {
            let path = match path {
                Some(parent) => parent.join(&name),
                None => RelPath::new(&name),
            }
            .map_err(|reason| {
                let mut whole = path.map_or(Vec::new(), |p| [p.as_bytes(), b"/"].concat());
                whole.extend_from_slice(&name);
                Error::Unnameable { path: printable(&whole), reason }
            })?;
            found.push(match kind {
                FileType::RegularFile => Found::File(path),
                FileType::Directory => Found::Dir(path),
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&dir, name.as_slice(), Vec::new())
                        .map_err(|e| self.failed("read the link", Some(&path), e))?;
                    Found::Link(path, target.into_bytes())
                }
                other => return Err(Error::Special { path, kind: kind_name(other) }),
            });
        }
        Ok(found)
    }

    fn files(&self, paths: &[RelPath]) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::with_capacity(paths.len());
        for together in paths.chunk_by(|a, b| parent(a) == parent(b)) {
            let parent = together[0].parent();
            let dir = open_beneath(&self.root, parent.as_ref())
                .map_err(|e| self.failed("open the directory", parent.as_ref(), e))?;
            for path in together {
                entries.push(self.file(&dir, path)?);
            }
        }
        Ok(entries)
    }

    fn file(&self, dir: &OwnedFd, path: &RelPath) -> Result<Entry, Error> {
        // Non-blocking, in case a fifo was put here since the directory was listed.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, path.name(), flags, Mode::empty())
            .map_err(|e| self.failed("open", Some(path), e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| self.failed("look at", Some(path), e))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(Error::Special { path: path.clone(), kind: kind_name(kind) });
        }
        self.no_xattrs(&file, path)?;
        let (size, digest) = hash(&file, stat.st_size as u64).map_err(|e| self.failed("read", Some(path), e))?;
        if size != stat.st_size as u64 {
            return Err(Error::Changed { path: path.clone() });
        }
        Ok(Entry::File { mode: permissions(&stat), size, digest })
    }

    /// Refuses attributes that a program or a person set; labels that the host's security modules put on every file
    /// belong to the host as owners do.
    fn no_xattrs(&self, file: impl AsFd, path: &RelPath) -> Result<(), Error> {
        const OF_THE_HOST: [&[u8]; 4] = [b"security.selinux", b"security.SMACK64", b"security.ima", b"security.evm"];
        let mut space = [0_u8; 1024];
        let names = match rustix::fs::flistxattr(file, &mut space[..]) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
            Ok(length) => &space[..length],
            Err(Errno::RANGE) => b"(very many)\0".as_slice(),
            Err(e) => return Err(self.failed("list the extended attributes of", Some(path), e)),
        };
        match names.split(|b| *b == 0).find(|name| !name.is_empty() && !OF_THE_HOST.contains(name)) {
            Some(name) => Err(Error::Xattr { path: path.clone(), name: printable(name) }),
            None => Ok(()),
        }
    }

    fn failed(&self, doing: &'static str, path: Option<&RelPath>, source: Errno) -> Error {
        Error::io(doing, path.map_or(self.name.to_owned(), |path| self.name.join(path)), source)
    }
}

/// Size and digest of an open file, read to its end. `expected` only chooses how; a file may lie about its size.
pub(super) fn hash(file: impl AsFd, expected: u64) -> rustix::io::Result<(u64, Blake3)> {
    // Taken out rather than borrowed: while a large file is hashed, this thread may be given another file to hash.
    let mut buffer = BUFFER.take();
    // One byte more than expected, so that the end is seen without a second call of read for most files.
    let wanted = usize::try_from(expected).map_or(LARGE, |size| (size + 1).clamp(4 << 10, LARGE));
    if buffer.len() < wanted {
        buffer.resize(wanted, 0);
    }
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    loop {
        let filled = fill(&file, &mut buffer[..wanted], expected.saturating_sub(size))?;
        size += filled as u64;
        if filled == LARGE {
            hasher.update_rayon(&buffer[..filled]);
        } else {
            hasher.update(&buffer[..filled]);
        }
        if filled < wanted {
            BUFFER.set(buffer);
            return Ok((size, Blake3::from_bytes(*hasher.finalize().as_bytes())));
        }
    }
}

/// Reads until the buffer is full or the file ends: at the end the kernel says, or where a short read meets `expected`.
fn fill(file: impl AsFd, buffer: &mut [u8], expected: u64) -> rustix::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::read(&file, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => {
                filled += read;
                if filled as u64 == expected && filled < buffer.len() {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn parent(path: &RelPath) -> &[u8] {
    let path = path.as_bytes();
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}

fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

pub(super) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::BlockDevice => "block device",
        FileType::CharacterDevice => "character device",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::RegularFile => "file",
        FileType::Unknown => "thing of unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::super::dir::open_dir;
    use super::*;
    use crate::base::RelPathError;
    use rustix::fs::{CWD, XattrFlags, mknodat, setxattr};
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn path(name: impl AsRef<[u8]>) -> RelPath {
        RelPath::new(name).unwrap()
    }

    #[test]
    fn what_is_there_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
        fs::create_dir(at(b"d")).unwrap();
        fs::set_permissions(at(b"d"), fs::Permissions::from_mode(0o1750)).unwrap();
        fs::write(at(b"d/f\xff\n"), b"content").unwrap();
        fs::set_permissions(at(b"d/f\xff\n"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("/nowhere", at(b"l")).unwrap();
        symlink("d", at(b"m")).unwrap();
        let tree = Tree::scan(dir.path()).unwrap();
        let found: Vec<_> = tree.iter().map(|(path, entry)| (path.clone(), entry.clone())).collect();
        let wanted = vec![
            (path("d"), Entry::Dir { mode: 0o1750 }),
            (path(b"d/f\xff\n"), Entry::File { mode: 0o4711, size: 7, digest: Blake3::of(b"content") }),
            (path("l"), Entry::Link { target: b"/nowhere".to_vec() }),
            (path("m"), Entry::Link { target: b"d".to_vec() }),
        ];
        assert_eq!(found, wanted);
        assert_eq!(tree.facts(), super::super::Facts { files: 1, dirs: 1, links: 2, bytes: 7 });
    }

    #[test]
    fn contents_of_every_size_are_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let sizes = [0, 1, 4095, 4096, 4097, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 5];
        let content: Vec<u8> = (0..sizes[8]).map(|i| (i % 251) as u8).collect();
        for size in sizes {
            fs::write(dir.path().join(size.to_string()), &content[..size]).unwrap();
        }
        let tree = Tree::scan(dir.path()).unwrap();
        for size in sizes {
            let Some(Entry::File { size: found, digest, .. }) = tree.get(&path(size.to_string())) else {
                panic!("{size}")
            };
            assert_eq!((*found, *digest), (size as u64, Blake3::of(&content[..size])));
        }
    }

    #[test]
    fn special_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let fifo = dir.path().join("d/fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let error = Tree::scan(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "d/fifo: a fifo can not be part of a tree");
        fs::remove_file(fifo).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("d/socket")).unwrap();
        let error = Tree::scan(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "d/socket: a socket can not be part of a tree");
    }

    #[test]
    fn extended_attributes_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, b"").unwrap();
        match setxattr(&file, "user.mine", b"x", XattrFlags::CREATE) {
            // Without attributes on this file system there is nothing to refuse, and the scan must not stumble.
            Err(Errno::NOTSUP) => assert_eq!(Tree::scan(dir.path()).unwrap().len(), 1),
            set => {
                set.unwrap();
                let error = Tree::scan(dir.path()).unwrap_err();
                assert_eq!(error.to_string(), "f: the extended attribute 'user.mine' can not be part of a tree");
            }
        }
    }

    /// Deeper than a recursion through the thread pool survives; and longer than a path can be.
    #[test]
    fn nesting_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = open_root(dir.path()).unwrap();
        let mut deeper = |name: &str| {
            rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
            at = open_dir(&at, name.as_bytes()).unwrap();
        };
        (0..400).for_each(|_| deeper("d"));
        (0..12).for_each(|_| deeper(&"n".repeat(250)));
        assert_eq!(Tree::scan(dir.path()).unwrap().len(), 412);
        (0..2).for_each(|_| deeper(&"n".repeat(250)));
        assert!(matches!(Tree::scan(dir.path()), Err(Error::Unnameable { reason: RelPathError::TooLong, .. })));
    }

    #[test]
    fn a_directory_in_a_tree_has_the_digest_of_its_own_tree() {
        let dir = tempfile::tempdir().unwrap();
        for top in ["a", "b"] {
            fs::create_dir_all(dir.path().join(top).join("x/y")).unwrap();
            fs::write(dir.path().join(top).join("x/y/f"), b"f").unwrap();
        }
        let digest = |path: &str| Tree::scan(&dir.path().join(path)).unwrap().digest();
        assert_eq!(digest("a"), digest("b"));
        assert_ne!(digest("a"), digest("."));
    }
}
