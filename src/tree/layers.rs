//! Trees laid over one another, as an overlay of the file system shows them: a value, and one archive.

use super::pack::pack_from;
use super::{Entry, Error, Tree};
use crate::base::RelPath;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Compression of an archive of layers: what more would save is not worth the time.
const LEVEL: i32 = 12;

/// Directories laid over one another.
#[derive(Debug, Clone)]
pub struct Layers {
    tree: Tree,
    /// Which directory each file comes from.
    files: BTreeMap<RelPath, usize>,
    dirs: Vec<PathBuf>,
}

impl Layers {
    /// Lays directories over one another, the topmost first. Directories of one name are one, with the permissions of the
    /// upper; of all else the upper hides the lower.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub fn scan(dirs: Vec<PathBuf>) -> Result<Self, Error> {
        let mut entries: BTreeMap<RelPath, (Entry, usize)> = BTreeMap::new();
        for (n, dir) in dirs.iter().enumerate().rev() {
            for (path, entry) in Tree::scan(dir)?.entries {
                let hides = !matches!(entry, Entry::Dir { .. });
                if hides && matches!(entries.get(&path), Some((Entry::Dir { .. }, _))) {
                    entries.retain(|below, _| !below.as_path().starts_with(path.as_path()));
                }
                entries.insert(path, (entry, n));
            }
        }
        let mut layers = Self { tree: Tree::new(), files: BTreeMap::new(), dirs };
        for (path, (entry, n)) in entries {
            if matches!(entry, Entry::File { .. }) {
                layers.files.insert(path.clone(), n);
            }
            layers.tree.insert(path, entry)?;
        }
        Ok(layers)
    }

    /// What is seen from above.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Writes the canonical archive of what is seen from above, compressed with zstd. The same layers give the same bytes,
    /// as long as the compressor is the same.
    ///
    /// # Errors
    /// As [`super::pack`].
    pub fn pack(&self, mtime: i64, out: &mut dyn Write) -> Result<(), Error> {
        let failed = |e| Error::io("write", "the archive", e);
        let mut zstd = zstd::Encoder::new(out, LEVEL).map_err(failed)?;
        zstd.include_checksum(true).map_err(failed)?;
        let dir = |path: &RelPath| -> &Path {
            // Every file of the tree is in the other map too.
            self.files.get(path).and_then(|n| self.dirs.get(*n)).map_or(Path::new("."), PathBuf::as_path)
        };
        pack_from(&self.tree, &dir, mtime, &mut zstd)?;
        zstd.finish().map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Unpack, unpack};
    use fs_err as fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn layer(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
        for (path, text) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, text).unwrap(),
            }
        }
        dir.to_owned()
    }

    #[test]
    fn the_upper_hides_the_lower_and_directories_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let upper =
            layer(&at("upper"), &[("a/one", "upper"), ("dir", "a file"), ("link/in", "a directory"), ("same", "s")]);
        let lower = [
            ("a/one", "lower"),
            ("a/two", "2"),
            ("dir/x/y", "y"),
            ("dir-x", "beside"),
            ("link", "-> a"),
            ("same", "s"),
        ];
        let lower = layer(&at("lower"), &lower);
        fs::set_permissions(upper.join("a"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let seen =
            [("a/one", "upper"), ("a/two", "2"), ("dir", "a file"), ("dir-x", "beside"), ("link/in", "a directory")];
        let seen = layer(&at("seen"), &[&seen[..], &[("same", "s")]].concat());
        fs::set_permissions(seen.join("a"), std::fs::Permissions::from_mode(0o700)).unwrap();

        let layers = Layers::scan(vec![upper, lower]).unwrap();
        assert_eq!(layers.tree(), &Tree::scan(&seen).unwrap());
        let (mut one, mut two) = (Vec::new(), Vec::new());
        layers.pack(7, &mut one).unwrap();
        Layers::scan(vec![seen]).unwrap().pack(7, &mut two).unwrap();
        assert_eq!(one, two, "how many layers there were is not in the archive");
        let back = at("back");
        fs::create_dir(&back).unwrap();
        unpack(one.as_slice(), &back, &Unpack::package(), None).unwrap();
        assert_eq!(layers.tree(), &Tree::scan(&back).unwrap());
    }
}
