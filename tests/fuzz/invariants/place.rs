//! A directory for one input, with things beside it that nothing may touch.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

/// A directory that goes away with the value, in memory where the machine has such a place.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// A destination and its neighbours.
pub struct Place {
    dir: tempfile::TempDir,
    before: Vec<Seen>,
}

/// What can be seen of a neighbour from outside: kind and permissions, size, time, names.
type Seen = (u32, u64, i64, i64, u64);

impl Place {
    pub fn new() -> Self {
        let mut place = Self { dir: scratch(), before: Vec::new() };
        fs::create_dir(place.dest()).unwrap();
        fs::create_dir(place.at("beside")).unwrap();
        fs::write(place.at("beside/file"), b"untouched").unwrap();
        symlink("dest", place.at("link")).unwrap();
        place.before = place.seen();
        place
    }

    pub fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn seen(&self) -> Vec<Seen> {
        let look = |name| {
            let meta = fs::symlink_metadata(self.at(name)).unwrap();
            (meta.mode(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.nlink())
        };
        ["beside", "beside/file", "link"].map(look).to_vec()
    }

    /// Nothing beside the destination was made, changed, linked to or removed.
    pub fn assert_untouched(&self) {
        assert_eq!(self.seen(), self.before);
        assert_eq!(fs::read(self.at("beside/file")).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 3);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Permissions from an archive may keep the ordinary way of removing from working.
        parton::tree::remove_all(&self.dest()).unwrap();
    }
}
