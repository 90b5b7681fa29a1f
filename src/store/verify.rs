//! Finding what is not as it was put, and taking it out of the way.

use super::blob::hash_file;
use super::disk::{link_text, names, remove_file, rename_new, sync_dir};
use super::error::Result;
use super::open::{is_ours, make_movable};
use super::trees::{settle, unsettled};
use super::{Error, Object, Patience, Store};
use crate::base::{Cancel, Events, Progress, Task};
use crate::tree::Tree;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is wrong with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageKind {
    /// It is not what its name says, or can't be read.
    Content,
    /// A tree's times, mode or link counts changed; repaired in place.
    Metadata,
    /// It refers to something that is not there.
    Dangling,
    /// Nothing in a store has such a name.
    Stray,
}

/// Something in the store that is not as it was put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Damage {
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: DamageKind,
    /// What it should be, if its name says so.
    pub object: Option<Object>,
    /// In words.
    pub detail: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.detail)
    }
}

impl Store {
    /// Reads everything and compares it with its name. Others may use the store meanwhile.
    ///
    /// The result is sorted by path and does not depend on the number of processors. After `cancel` it says only what
    /// was found until then.
    ///
    /// # Errors
    /// This process lacks what reading takes, such as descriptors or memory: then nothing is known of what it could not
    /// read. What the disk does not give, however, is damaged.
    pub fn verify(&self, events: Events<'_>, cancel: &Cancel) -> Result<Vec<Damage>> {
        let (trees, mut files) = (self.all("tree")?, self.all("blob")?);
        files.extend(self.all("log")?);
        let progress = Progress::start(events, Task::Verify, "store", Some((trees.len() + files.len()) as u64));
        let done = AtomicU64::new(0);
        let check = |object: Object| {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            let path = self.object(&object);
            let found = self.examine(&object, &path);
            progress.advance(done.fetch_add(1, Ordering::Relaxed) + 1);
            // What can't be read is as bad as what is wrong.
            let wrong = found.or_else(|e| self.unreadable(e).map(Some))?;
            Ok(wrong.map(|(kind, detail)| Damage { path, kind, object: Some(object), detail }))
        };
        // A scan spreads over the processors by itself; one within another would pile up on the pool's stacks.
        let mut checked: Vec<Result<Option<Damage>>> = trees.into_iter().map(check).collect();
        checked.par_extend(files.into_par_iter().map(check));
        let mut damages: Vec<Damage> = checked.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
        damages.extend(self.broken_records()?);
        damages.extend(self.dangling_links()?);
        damages.extend(self.strays()?);
        damages.sort_unstable();
        progress.done();
        Ok(damages)
    }

    /// Takes what `verify` found out of the way, so that the next build makes it anew: damaged and stray things move to
    /// `damaged/`, records and links that thereby lead nowhere go too, metadata is set right in place.
    ///
    /// Waits until no other handle is open. Returns where things were moved to; they stay there until the next sweep.
    pub fn repair(&mut self, damages: &[Damage], patience: Patience<'_>) -> Result<Vec<PathBuf>> {
        self.alone(patience, |store| {
            let mut moved = Vec::new();
            for damage in damages {
                // Look again: somebody may have repaired it between `verify` and now, or it could not be read only then.
                let wrong = match &damage.object {
                    Some(object) => match store.examine(object, &damage.path) {
                        Ok(found) => found.map(|(kind, _)| kind),
                        Err(e) => Some(store.unreadable(e)?.0),
                    },
                    None => Some(damage.kind),
                };
                match wrong {
                    Some(DamageKind::Metadata) => match Tree::scan(&damage.path) {
                        Ok(tree) => settle(&damage.path, &tree)?,
                        Err(source) => return Err(Error::Tree { doing: "read", source: Box::new(source) }),
                    },
                    Some(DamageKind::Content | DamageKind::Stray) => moved.extend(store.quarantine(&damage.path)?),
                    Some(DamageKind::Dangling) | None => {}
                }
            }
            // In this order, because the one makes the other. A record that can't be read only now was sound just before.
            for damage in store.broken_records()? {
                if damage.kind == DamageKind::Dangling || damages.iter().any(|known| known.path == damage.path) {
                    moved.extend(store.quarantine(&damage.path)?);
                }
            }
            for damage in store.dangling_links()? {
                remove_file(&damage.path)?;
                sync_dir(damage.path.parent().unwrap_or(store.path()))?;
            }
            Ok(moved)
        })
    }

    fn examine(&self, object: &Object, path: &Path) -> Result<Option<(DamageKind, String)>> {
        let content = |detail: String| Ok(Some((DamageKind::Content, detail)));
        match object {
            Object::Tree(digest) => {
                let tree = Tree::scan(path).map_err(|e| Error::Tree { doing: "read", source: Box::new(e) })?;
                let found = tree.digest();
                if found != *digest {
                    return content(format!("its files have the digest {found}"));
                }
                let wrong = unsettled(path, &tree)?;
                Ok(wrong.map(|(at, why)| (DamageKind::Metadata, format!("{}: {why}", at.display()))))
            }
            Object::Blob(digest) => {
                let (sha256, blake3, _) = hash_file(path)?;
                let recorded = self.blob(*digest)?.map(|blob| blob.blake3);
                match recorded {
                    _ if sha256 != *digest => content(format!("its bytes have the digest {sha256}")),
                    Some(recorded) if recorded == blake3 => Ok(None),
                    Some(recorded) => content(format!("its BLAKE3 is {blake3}, but {recorded} was recorded")),
                    None => content("its BLAKE3 is not recorded".to_owned()),
                }
            }
            Object::Log(digest) => match hash_file(path)? {
                (_, found, _) if found == *digest => Ok(None),
                (_, found, _) => content(format!("its bytes have the digest {found}")),
            },
            Object::Record(_) | Object::Seed(_) => Ok(None),
        }
    }

    /// What it means for an object that it could not be read.
    ///
    /// # Errors
    /// Nothing: the reason lies in this process.
    fn unreadable(&self, error: Error) -> Result<(DamageKind, String)> {
        if error.is_of_process() { Err(error) } else { Ok((DamageKind::Content, in_full(&error))) }
    }

    fn broken_records(&self) -> Result<Vec<Damage>> {
        let mut broken = Vec::new();
        for drv in self.records()? {
            let object = Object::Record(drv);
            let path = self.object(&object);
            let (kind, detail) = match self.record(drv) {
                Ok(None) => continue,
                Err(e) => self.unreadable(e)?,
                Ok(Some(record)) => {
                    let mut missing = None;
                    for object in record.refs.objects() {
                        if missing.is_none() && !self.contains(&object)? {
                            missing = Some(object);
                        }
                    }
                    let Some(missing) = missing else { continue };
                    (DamageKind::Dangling, format!("{} {}: the {missing} is gone", record.package, record.profile))
                }
            };
            broken.push(Damage { path, kind, object: Some(object), detail });
        }
        Ok(broken)
    }

    fn dangling_links(&self) -> Result<Vec<Damage>> {
        let mut links: Vec<PathBuf> = Vec::new();
        for dir in ["seed", "root"].map(|name| self.dir(name)) {
            links.extend(names(&dir)?.into_iter().map(|name| dir.join(name)));
        }
        for package in names(&self.dir("name"))? {
            let dir = self.dir("name").join(package);
            links.extend(names(&dir)?.into_iter().map(|name| dir.join(name)));
        }
        let mut dangling = Vec::new();
        for path in links {
            let Some(text) = link_text(&path)? else { continue };
            let target = Path::new(&text);
            let object = target.parent().and_then(Path::file_name).zip(target.file_name());
            let object = object.and_then(|(kind, id)| Object::parse(kind.to_str()?, id.to_str()?));
            match &object {
                Some(object) if self.contains(object)? => {}
                _ => {
                    let detail = format!("it leads to {text}, which is gone");
                    dangling.push(Damage { path, kind: DamageKind::Dangling, object: None, detail });
                }
            }
        }
        Ok(dangling)
    }

    fn strays(&self) -> Result<Vec<Damage>> {
        let stray = |path: PathBuf| Damage {
            path,
            kind: DamageKind::Stray,
            object: None,
            detail: "nothing in a store has such a name".to_owned(),
        };
        let mut strays: Vec<Damage> = Vec::new();
        for name in names(self.path())?.iter().filter(|name| !is_ours(name)) {
            strays.push(stray(self.dir(name)));
        }
        for kind in ["blob", "tree", "log", "drv", "seed"] {
            for name in names(&self.dir(kind))? {
                let stem = name
                    .strip_suffix(".blake3")
                    .or_else(|| name.strip_suffix(".place"))
                    .filter(|_| kind == "blob")
                    .unwrap_or(&name);
                if Object::parse(kind, stem).is_none() {
                    strays.push(stray(self.dir(kind).join(name)));
                }
            }
        }
        Ok(strays)
    }

    /// Moves something to `damaged/`; `None` when it is gone already.
    fn quarantine(&self, path: &Path) -> Result<Option<PathBuf>> {
        if !super::disk::exists(path)? {
            return Ok(None);
        }
        let kind = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_dir = path.is_dir() && !path.is_symlink();
        if is_dir {
            make_movable(path)?;
        }
        for number in 1_u64.. {
            let to = self.dir("damaged").join(format!("{kind}-{name}.{number}"));
            if rename_new(path, &to)? {
                sync_dir(path.parent().unwrap_or(self.path()))?;
                sync_dir(&self.dir("damaged"))?;
                return Ok(Some(to));
            }
        }
        Ok(None)
    }
}

/// An error with its causes, in one line.
fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    // Our own messages already contain what the file system said.
    while let (Error::Tree { .. }, Some(inner)) = (error, cause) {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
