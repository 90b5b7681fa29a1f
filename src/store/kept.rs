//! What failed or differing rounds left behind, kept for a person to look into.

use super::disk::{make_dir, names, rename_new};
use super::error::{At as _, Result};
use super::name::escape;
use super::open::make_movable;
use super::{Stage, Store};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Something kept. It is not removed as long as this lives.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    number: u64,
    _held: File,
}

impl Kept {
    /// The directory, as it was handed to [`Store::keep`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rises with every thing kept for the package.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Store {
    /// Keeps a stage under a package's name instead of removing it, and drops all but the `newest` ones of this package.
    pub fn keep(&self, package: &str, stage: Stage, newest: usize) -> Result<Kept> {
        let dir = self.dir("kept").join(escape(package));
        make_dir(&dir)?;
        let number = loop {
            let number = self.numbers(&dir)?.last().map_or(1, |last| last + 1);
            make_movable(stage.path())?;
            if rename_new(stage.path(), &dir.join(number.to_string()))? {
                break number;
            }
        };
        let path = dir.join(number.to_string());
        // The stage's lock went with the directory; it is made a shared one, as every `Kept` has.
        let held = stage.share().at("keep", &path)?;
        drop(stage);
        self.drop_kept(&dir, newest.max(1))?;
        Ok(Kept { path, number, _held: held })
    }

    /// What is kept for a package, the newest first.
    pub fn kept(&self, package: &str) -> Result<Vec<Kept>> {
        let dir = self.dir("kept").join(escape(package));
        let mut all = Vec::new();
        for number in self.numbers(&dir)?.into_iter().rev() {
            all.extend(self.kept_one(&dir, number)?);
        }
        Ok(all)
    }

    /// Removes all but the newest things kept for each package; says how many went.
    pub(super) fn drop_kept_of_all(&self, newest: usize) -> Result<u64> {
        let mut removed = 0;
        for package in names(&self.dir("kept"))? {
            removed += self.drop_kept(&self.dir("kept").join(package), newest)?;
        }
        Ok(removed)
    }

    fn drop_kept(&self, dir: &Path, newest: usize) -> Result<u64> {
        let mut removed = 0;
        for number in self.numbers(dir)?.into_iter().rev().skip(newest) {
            let path = dir.join(number.to_string());
            // Somebody may have a shell in there.
            let free = File::open(&path).is_ok_and(|open| open.try_lock().is_ok());
            if free {
                self.discard(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn kept_one(&self, dir: &Path, number: u64) -> Result<Option<Kept>> {
        let path = dir.join(number.to_string());
        match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => {
                let held = opened.at("open", &path)?;
                // Fails only while somebody is about to remove it.
                Ok(held.try_lock_shared().is_ok().then_some(Kept { path, number, _held: held }))
            }
        }
    }

    pub(super) fn numbers(&self, dir: &Path) -> Result<Vec<u64>> {
        let mut numbers: Vec<u64> = names(dir)?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}
