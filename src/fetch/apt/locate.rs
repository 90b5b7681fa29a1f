//! Keeps verified indexes: fetched when first needed, checked whenever read, cached between runs.

use super::conf::Archive;
use super::index::{Located, Lookup};
use super::release::{Release, keyring};
use crate::base::{Cancel, Event, Events, Lock, LockKind, Progress, Sha256, Task, write_atomic};
use crate::fetch::config::Config;
use crate::fetch::download::{Meter, Wanted, download};
use crate::fetch::error::{Failure, Halt};
use crate::fetch::net::Net;
use crate::fetch::part::Part;
use crate::fetch::place::{Address, Place};
use crate::fetch::signature::uncompressed;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

/// Bytes of an `InRelease`, at most; real ones have 200 KiB.
const RELEASE_LIMIT: u64 = 8 << 20;
/// Bytes of a compressed index, at most; the largest has 10 MiB.
const INDEX_LIMIT: u64 = 256 << 20;

/// The source index of one suite of one archive: one lookup per component.
#[derive(Debug)]
pub struct Index {
    lookups: Vec<Lookup>,
}

impl Index {
    /// Where the file with this digest lies.
    pub fn find(&self, sha256: &Sha256) -> Option<Located> {
        self.lookups.iter().find_map(|lookup| lookup.find(sha256))
    }
}

type Known = Result<Arc<Index>, Failure>;

/// The indexes of every archive and suite, each loaded when first asked for and then kept.
#[derive(Debug)]
pub struct Indexes {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    archive: Archive,
    suite: String,
    /// Locked while loading, so that of many downloads one loads and the others wait.
    known: Mutex<Option<Known>>,
}

impl Indexes {
    pub(in crate::fetch) fn new(config: &Config) -> Self {
        let slot = |suite: &String, archive: &Archive| Slot {
            archive: archive.clone(),
            suite: suite.clone(),
            known: Mutex::new(None),
        };
        let each = config.archive_suites.iter().flat_map(|suite| config.archives.iter().map(move |a| slot(suite, a)));
        Self { slots: each.collect() }
    }

    /// What can be asked, in order.
    pub fn suites(&self) -> impl Iterator<Item = (&Archive, &str)> {
        self.slots.iter().map(|slot| (&slot.archive, slot.suite.as_str()))
    }

    pub(in crate::fetch) fn get(
        &self,
        net: &Net,
        config: &Config,
        archive: &Archive,
        suite: &str,
        events: Events<'_>,
        cancel: &Cancel,
    ) -> Result<Arc<Index>, Halt> {
        let slot = self.slots.iter().find(|slot| slot.suite == suite && slot.archive.base == archive.base);
        let Some(slot) = slot else { return Err(Failure::Index("it is not configured".to_owned()).into()) };
        let mut known = slot.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return known.clone().map_err(Halt::Place);
        }
        let loaded = match (Suite { net, config, archive, suite, events, cancel }).load() {
            Ok(index) => Ok(Arc::new(index)),
            Err(Halt::Place(failure)) => Err(failure),
            Err(halt) => return Err(halt),
        };
        *known = Some(loaded.clone());
        loaded.map_err(Halt::Place)
    }
}

/// One suite of one archive, and everything needed to ask it.
pub(super) struct Suite<'a> {
    pub net: &'a Net,
    pub config: &'a Config,
    pub archive: &'a Archive,
    pub suite: &'a str,
    pub events: Events<'a>,
    pub cancel: &'a Cancel,
}

impl Suite<'_> {
    /// The cache directory of this suite of this archive, locked.
    pub fn lock(&self) -> Result<(PathBuf, Lock), Halt> {
        let key = Sha256::of(format!("{}\n{}", self.archive.base, self.suite).as_bytes());
        let dir = self.config.cache.join("apt").join(key.short());
        fs_err::create_dir_all(&dir).map_err(Halt::disk("make the directory", &dir))?;
        let path = dir.join("lock");
        let lock = Lock::take(&path, LockKind::Exclusive, || !self.cancel.is_cancelled()).map_err(|e| {
            if self.cancel.is_cancelled() { Halt::Cancelled } else { Halt::disk("take the lock", &path)(e) }
        })?;
        Ok((dir, lock))
    }

    fn load(&self) -> Result<Index, Halt> {
        let (dir, _lock) = self.lock()?;
        let release = self.release(&dir)?;
        for note in &release.notes {
            (self.events)(Event::Note(format!(
                "package archive, {}: {note}; it is used to locate files only, the pins' digests decide",
                self.suite
            )));
        }
        let mut lookups = Vec::new();
        for component in self.components() {
            let Some((name, sha256, size)) = release.index(&format!("{component}/source/Sources")) else { continue };
            let path = dir.join(format!("{}.by-hash", component.replace('/', "-")));
            if let Some(lookup) = Lookup::open(&path, sha256) {
                lookups.push(lookup);
                continue;
            }
            let fetched = self.index_file(&release, &dir, &name, sha256, size)?;
            let opened = std::fs::File::open(&fetched).map_err(Halt::disk("open the index", &fetched))?;
            let made = uncompressed(opened)
                .and_then(|plain| Lookup::build(BufReader::with_capacity(256 << 10, plain), sha256, &path));
            let _ = std::fs::remove_file(&fetched);
            made.map_err(|e| Failure::Index(format!("{name}: {e}")))?;
            let lookup = Lookup::open(&path, sha256).ok_or_else(|| Failure::Index(format!("{name} has no lookup")))?;
            lookups.push(lookup);
        }
        if lookups.is_empty() {
            return Err(Failure::Index("the suite has no source index".to_owned()).into());
        }
        Ok(Index { lookups })
    }

    fn components(&self) -> Vec<String> {
        let configured = &self.archive.components;
        if configured.is_empty() { vec!["main".to_owned()] } else { configured.clone() }
    }

    fn address(&self, path: &str) -> Address {
        Address {
            place: Place::Archive { suite: Some(self.suite.to_owned()), path: path.to_owned() },
            url: self.archive.url(path),
            proxy: self.archive.proxy.clone(),
            private: true,
        }
    }

    /// The suite's signed list: the cached one while it is young, else the archive's, else the cached one after all.
    pub fn release(&self, dir: &Path) -> Result<Release, Halt> {
        let ring = keyring(self.archive).map_err(Failure::Index)?;
        let read = |bytes: &[u8]| Release::read(self.suite, bytes, &ring, self.config.now);
        let (path, checked) = (dir.join("InRelease"), dir.join("checked"));
        let cached = fs_err::read(&path).ok().and_then(|bytes| read(&bytes).ok());
        let age = fs_err::read_to_string(&checked).ok().and_then(|text| text.trim().parse::<u64>().ok()).and_then(
            // A stamp from the future is no stamp.
            |then| self.now().checked_sub(then),
        );
        if let Some(release) = &cached
            && (self.net.is_offline() || age.is_some_and(|age| age < self.config.index_age.as_secs()))
        {
            return Ok(release.clone());
        }
        // Most archives of a machine have only some of the suites asked for; that they lack one is remembered as well.
        if cached.is_none() && !path.exists() && age.is_some_and(|age| age < self.config.index_age.as_secs()) {
            return Err(Failure::NoSuite.into());
        }
        let stamp = || write_atomic(&checked, self.now().to_string().as_bytes()).map_err(Halt::disk("write", &checked));
        let address = self.address(&format!("dists/{}/InRelease", self.suite));
        let fresh = self.net.read(&address, RELEASE_LIMIT, self.cancel).and_then(|bytes| {
            let release = read(&bytes).map_err(Failure::Index)?;
            write_atomic(&path, &bytes).map_err(Halt::disk("write", &path))?;
            stamp()?;
            Ok(release)
        });
        match (fresh, cached) {
            (Err(Halt::Place(why)), Some(mut release)) => {
                release.notes.push(format!("a newer index could not be had ({why})"));
                Ok(release)
            }
            (Err(Halt::Place(Failure::Status(404 | 410))), None) if !path.exists() => {
                stamp()?;
                Err(Failure::NoSuite.into())
            }
            (fresh, _) => fresh,
        }
    }

    fn now(&self) -> u64 {
        self.config.now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
    }

    /// Fetches an index file that the signed list names, and returns where it lies now.
    pub fn index_file(
        &self,
        release: &Release,
        dir: &Path,
        name: &str,
        sha256: Sha256,
        size: u64,
    ) -> Result<PathBuf, Halt> {
        if size > INDEX_LIMIT {
            return Err(Failure::TooLarge { limit: INDEX_LIMIT }.into());
        }
        let base = format!("dists/{}/", self.suite);
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut paths = vec![format!("{base}{name}")];
        if release.by_hash {
            // Asked by digest an archive that is being updated can not serve a newer file.
            paths.insert(0, format!("{base}{parent}/by-hash/SHA256/{sha256}"));
        }
        let task = format!("{}: {name}", self.suite);
        let progress = Progress::start(self.events, Task::Download, task, Some(size));
        let mut meter = Meter::new(&progress);
        let mut part = Part::open_within(dir, sha256, self.cancel)?;
        let wanted = Wanted { sha256: Some(sha256), size: Some(size), max_size: size };
        let mut last = Failure::NotListed;
        for path in &paths {
            match download(self.net, &self.address(path), &wanted, &mut part, &mut meter, self.cancel) {
                Ok(_) => {
                    let dest = dir.join(name.rsplit('/').next().unwrap_or("index"));
                    part.deliver(&dest)?;
                    progress.done();
                    return Ok(dest);
                }
                Err(Halt::Place(failure)) => last = failure,
                Err(halt) => return Err(halt),
            }
        }
        Err(last.into())
    }
}
