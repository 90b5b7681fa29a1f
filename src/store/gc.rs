//! Removing what nothing leads to.

use super::disk::{names, remove_file, remove_tree, sync_dir};
use super::error::{At as _, Result};
use super::name::drv_of;
use super::open::Hidden;
use super::{Object, Patience, Record, Store};
use crate::base::DrvId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// What a sweep leaves, besides what is pinned, what packages' names mean, and what those refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// So many of the newest records of every package and profile that has a name.
    pub keep_latest: usize,
    /// Whatever came into the store at this time or later.
    pub keep_since: Option<SystemTime>,
    /// So many of the newest things kept of failed rounds, for every package.
    pub keep_kept: usize,
    /// Seeds that nothing refers to are removed too; they are large, and needed by the next build.
    pub seeds: bool,
    /// Only count.
    pub dry_run: bool,
}

/// How much of one kind was removed, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct SweptKind {
    /// How many objects.
    pub count: u64,
    /// How many bytes of content they held.
    pub bytes: u64,
}

/// What a sweep removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Sources and signatures.
    pub blobs: SweptKind,
    /// Outputs and unpacked seeds.
    pub trees: SweptKind,
    /// Logs.
    pub logs: SweptKind,
    /// Records of derivations.
    pub records: SweptKind,
    /// Unfinished downloads.
    pub partials: SweptKind,
    /// Remains of failed rounds; their bytes are not counted.
    pub kept: SweptKind,
    /// What `repair` set aside; their bytes are not counted.
    pub damaged: SweptKind,
    /// Remains of killed processes; their bytes are not counted.
    pub stages: SweptKind,
}

impl Swept {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        [self.blobs, self.trees, self.logs, self.records, self.partials].iter().map(|kind| kind.bytes).sum()
    }
}

impl Store {
    /// Removes what nothing leads to. Waits until no other handle is open.
    ///
    /// Records go first and durably, so that a crash leaves none that refers to something removed.
    ///
    /// # Errors
    /// [`Error::GaveUp`](super::Error::GaveUp) when `patience` ends while others use the store;
    /// [`Error::Damaged`](super::Error::Damaged) when a record can't be read, because what it refers to is unknown.
    pub fn gc(&mut self, options: &GcOptions, patience: Patience<'_>) -> Result<Swept> {
        self.alone(patience, |store| {
            let live = store.mark(options)?;
            store.sweep(options, &live)
        })
    }

    /// Everything that some root leads to.
    fn mark(&self, options: &GcOptions) -> Result<BTreeSet<Object>> {
        let mut records = BTreeMap::new();
        for drv in self.records()? {
            if let Some(record) = self.record(drv)? {
                records.insert(drv, (self.came(&Object::Record(drv))?, record));
            }
        }
        let mut live = BTreeSet::new();
        let mut keep = |drv: DrvId| {
            let refs = records.get(&drv).map(|(_, Record { refs, .. })| refs.objects());
            live.insert(Object::Record(drv));
            live.extend(refs.into_iter().flatten());
        };
        let mut series: BTreeMap<(&str, &str), Vec<(i128, DrvId)>> = BTreeMap::new();
        for package in names(&self.dir("name"))? {
            for profile in names(&self.dir("name").join(&package))? {
                let link = self.dir("name").join(&package).join(profile);
                let drv = super::disk::link_text(&link)?.as_deref().and_then(drv_of);
                if let Some((drv, (_, record))) = drv.and_then(|drv| Some((drv, records.get(&drv)?))) {
                    keep(drv);
                    series.insert((&record.package, &record.profile), Vec::new());
                }
            }
        }
        for (drv, (came, record)) in &records {
            if let Some(of_name) = series.get_mut(&(record.package.as_str(), record.profile.as_str())) {
                of_name.push((*came, *drv));
            }
            if is_since(*came, options.keep_since) {
                keep(*drv);
            }
        }
        for mut of_name in series.into_values() {
            of_name.sort_unstable_by(|a, b| b.cmp(a));
            of_name.iter().take(options.keep_latest).for_each(|(_, drv)| keep(*drv));
        }
        let pins = self.pins()?;
        for (_, pin) in &pins {
            match pin {
                Object::Record(drv) => keep(*drv),
                Object::Blob(_) | Object::Tree(_) | Object::Log(_) | Object::Seed(_) => {}
            }
        }
        live.extend(pins.into_iter().map(|(_, object)| object));
        for seed in self.all("seed")? {
            let Object::Seed(lock) = seed else { continue };
            let Some(tree) = self.seed(lock)?.map(Object::Tree) else { continue };
            let young = is_since(self.came(&seed)?, options.keep_since);
            if !options.seeds || young || live.contains(&seed) || live.contains(&tree) {
                live.extend([seed, tree]);
            }
        }
        Ok(live)
    }

    fn sweep(&self, options: &GcOptions, live: &BTreeSet<Object>) -> Result<Swept> {
        let mut swept = Swept::default();
        let mut hidden = Vec::new();
        for (kind, count) in [
            ("drv", &mut swept.records),
            ("seed", &mut SweptKind::default()),
            ("tree", &mut swept.trees),
            ("log", &mut swept.logs),
            ("blob", &mut swept.blobs),
        ] {
            for object in self.all(kind)? {
                let path = self.object(&object);
                // A record is kept for its age in `mark`, with what it refers to.
                let young = kind != "drv" && is_since(self.came(&object)?, options.keep_since);
                if live.contains(&object) || young {
                    continue;
                }
                count.count += 1;
                count.bytes += measure(&path)?;
                match object {
                    _ if options.dry_run => {}
                    // Nobody else is here who could sweep it.
                    Object::Tree(_) => hidden.extend(self.hide(&path)?.map(Hidden::unheld)),
                    // Of a blob only what makes it one: were all of it removed at once, a power cut could leave the blob
                    // without its digest. The rest goes with the leftovers.
                    Object::Blob(_) | Object::Log(_) | Object::Record(_) | Object::Seed(_) => remove_file(&path)?,
                }
            }
            if !options.dry_run {
                sync_dir(&self.dir(kind))?;
            }
        }
        // No name leads to them any more, not even after a power cut.
        hidden.into_iter().try_for_each(Hidden::remove)?;
        // Nobody fetches now. A download may be several files; empty ones were only to be locked.
        let mut downloads = BTreeSet::new();
        for name in names(&self.dir("partial"))? {
            let path = self.dir("partial").join(&name);
            let found = fs::symlink_metadata(&path).at("look at", &path)?;
            if is_since(time_of(&found), options.keep_since) {
                continue;
            }
            swept.partials.bytes += found.len();
            if found.len() > 0 {
                downloads.insert(name.split('.').next().unwrap_or_default().to_owned());
            }
            if !options.dry_run {
                remove_file(&path)?;
            }
        }
        swept.partials.count = downloads.len() as u64;
        for name in names(&self.dir("damaged"))? {
            let path = self.dir("damaged").join(name);
            let found = fs::symlink_metadata(&path).at("look at", &path)?;
            if is_since(time_of(&found), options.keep_since) {
                continue;
            }
            swept.damaged.count += 1;
            if !options.dry_run {
                remove_tree(&path)?;
            }
        }
        if !options.dry_run {
            swept.kept.count = self.drop_kept_of_all(options.keep_kept)?;
            swept.stages.count = self.sweep_stages()?;
            self.remove_leftovers()?;
        }
        Ok(swept)
    }

    /// Removes what means nothing while nobody else is here: free locks, and digests of blobs that never came
    /// or are gone.
    fn remove_leftovers(&self) -> Result<()> {
        for name in names(&self.dir("lock"))?.iter().filter(|name| *name != "store") {
            remove_file(&self.dir("lock").join(name))?;
        }
        for name in names(&self.dir("blob"))? {
            let path = self.dir("blob").join(&name);
            if (name.ends_with(".blake3") || name.ends_with(".place"))
                && !super::disk::exists(&path.with_extension(""))?
            {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Every object of one kind, sorted.
    pub(super) fn all(&self, kind: &str) -> Result<Vec<Object>> {
        Ok(names(&self.dir(kind))?.iter().filter_map(|name| Object::parse(kind, name)).collect())
    }

    /// When the object came to its place.
    fn came(&self, object: &Object) -> Result<i128> {
        let path = self.object(object);
        let found = fs::symlink_metadata(&path).at("look at", &path)?;
        Ok(match object {
            // No two that one handle bound are of the same age; see `write_new`.
            Object::Record(_) => nanoseconds(found.mtime(), found.mtime_nsec()),
            // Modification times of trees are constant, those of downloads may be a server's.
            _ => time_of(&found),
        })
    }
}

/// When an inode last changed, in nanoseconds since 1970.
fn time_of(found: &fs::Metadata) -> i128 {
    nanoseconds(found.ctime(), found.ctime_nsec())
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

fn is_since(came: i128, since: Option<SystemTime>) -> bool {
    since.is_some_and(|since| match since.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => came >= i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => came >= -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
    })
}

/// Bytes of content beneath a path, without following links.
fn measure(path: &Path) -> Result<u64> {
    let found = fs::symlink_metadata(path).at("look at", path)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path).at("list", path)? {
        bytes += measure(&entry.at("list", path)?.path())?;
    }
    Ok(bytes)
}
