//! Asks one place after the other, for one pin or many.

use super::apt;
use super::config::Config;
use super::download::{Meter, Wanted, download};
use super::error::{Error, Failure, Halt, Tried};
use super::net::Net;
use super::part::Part;
use super::place::{Address, Place, addresses, without_credentials};
use crate::base::{Blake3, Cancel, Event, Events, Progress, Sha256, Task};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// File name: for people, and for mirrors that keep files by name.
    pub name: String,
    /// Where it is published, in order of preference.
    pub urls: Vec<String>,
    /// Decides.
    pub sha256: Sha256,
    /// Size in bytes, if known: a wrong place is then noticed before the transfer.
    pub size: Option<u64>,
    /// Path below an archive's address (`pool/…`), for files that are known to lie there.
    pub archive_path: Option<String>,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// The pin's digest, found to hold.
    pub sha256: Sha256,
    /// parton's digest of the same bytes, computed in the same pass.
    pub blake3: Blake3,
    /// Size in bytes.
    pub size: u64,
    /// What served the bytes (the last of them, if several places did).
    pub place: Place,
    /// Places that were asked before, in vain.
    pub tried: Vec<Tried>,
}

/// A pin and the file it is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is wanted.
    pub pin: Pin,
    /// Final name; its directory exists.
    pub dest: PathBuf,
}

/// Fetches pins. One per command: it keeps connections, verified indexes and knowledge of dead hosts.
#[derive(Debug)]
pub struct Fetcher {
    pub(super) config: Config,
    pub(super) net: Arc<Net>,
    pub(super) indexes: apt::Indexes,
}

impl Fetcher {
    /// A fetcher that knows what the configuration says and has opened nothing yet.
    pub fn new(config: Config) -> Self {
        Self { net: Arc::new(Net::new(&config)), indexes: apt::Indexes::new(&config), config }
    }

    /// What it was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Makes `dest` a file with exactly the pinned bytes, or leaves it alone.
    ///
    /// # Errors
    /// Names every place and why it failed; see [`Error::help`].
    pub fn fetch(&self, pin: &Pin, dest: &Path, events: Events<'_>, cancel: &Cancel) -> Result<Fetched, Error> {
        let fatal = |halt: Halt| halt.fatal(&pin.name).err().unwrap_or(Error::Cancelled { name: pin.name.clone() });
        let progress = Progress::start(events, Task::Download, &pin.name, pin.size);
        let mut part = Part::open(&self.config.partial, pin.sha256, cancel).map_err(fatal)?;
        let mut tried = Vec::new();
        let served = self.serve(pin, &mut part, &progress, &mut tried, events, cancel);
        let (place, blake3) = match served {
            Ok(Some(served)) => served,
            Ok(None) => {
                if part.len() == 0 {
                    part.forget();
                }
                return Err(self.nowhere(pin, tried));
            }
            Err(halt) => return Err(fatal(halt)),
        };
        let size = part.len();
        part.deliver(dest).map_err(fatal)?;
        progress.done();
        Ok(Fetched { sha256: pin.sha256, blake3, size, place, tried })
    }

    /// Fetches what an address serves now, whatever that is, so that a person can pin it.
    ///
    /// # Errors
    /// Why the address did not serve.
    pub fn fetch_unpinned(
        &self,
        url: &str,
        dest: &Path,
        events: Events<'_>,
        cancel: &Cancel,
    ) -> Result<Fetched, Error> {
        let shown = without_credentials(url);
        let outcome = || {
            let place = Place::Upstream { url: shown.clone() };
            let address = Address { place, url: url.to_owned(), proxy: self.config.proxy.clone(), private: false };
            let wanted = Wanted { sha256: None, size: None, max_size: self.config.max_size };
            let progress = Progress::start(events, Task::Download, &shown, None);
            let key = Sha256::of(url.as_bytes());
            let mut part = Part::open(&self.config.partial, key, cancel)?;
            part.reset()?;
            let blake3 = match download(&self.net, &address, &wanted, &mut part, &mut Meter::new(&progress), cancel) {
                Ok(blake3) => blake3,
                Err(halt) => {
                    part.forget();
                    return Err(halt);
                }
            };
            let (size, (sha256, _)) = (part.len(), part.digests());
            part.deliver(dest)?;
            progress.done();
            Ok(Fetched { sha256, blake3, size, place: address.place, tried: Vec::new() })
        };
        outcome().or_else(|halt: Halt| Err(Error::Unpinned { why: halt.fatal(&shown)?, url: shown.clone() }))
    }

    /// Fetches many, several at once; the results stand in the order of the orders.
    pub fn fetch_all(&self, orders: &[Order], events: Events<'_>, cancel: &Cancel) -> Vec<Result<Fetched, Error>> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(orders.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.config.max_parallel.clamp(1, orders.len().max(1)) {
                scope.spawn(|| {
                    while let Some((i, order)) = {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        orders.get(i).map(|order| (i, order))
                    } {
                        let result = self.fetch(&order.pin, &order.dest, events, cancel);
                        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((i, result));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// Asks the places in order; `None` when all of them failed.
    fn serve(
        &self,
        pin: &Pin,
        part: &mut Part,
        progress: &Progress<'_>,
        tried: &mut Vec<Tried>,
        events: Events<'_>,
        cancel: &Cancel,
    ) -> Result<Option<(Place, Blake3)>, Halt> {
        if part.len() > 0 {
            let (sha256, blake3) = part.digests();
            if sha256 == pin.sha256 {
                let place = part.from().map_or(Place::Cache, |from| from.place.clone());
                return Ok(Some((place, blake3)));
            }
        }
        let mut meter = Meter::new(progress);
        let wanted = Wanted { sha256: Some(pin.sha256), size: pin.size, max_size: self.config.max_size };
        let mut ask = |address: Address, wanted: &Wanted, part: &mut Part, tried: &mut Vec<Tried>| match download(
            &self.net, &address, wanted, part, &mut meter, cancel,
        ) {
            Ok(blake3) => Ok(Some((address.place, blake3))),
            Err(Halt::Place(why)) => {
                if let Failure::WrongHash { .. } = why {
                    events(Event::Warning(format!("{}: {} {why}", pin.name, address.place)));
                }
                tried.push(Tried { place: address.place, why });
                Ok(None)
            }
            Err(halt) => Err(halt),
        };
        for address in addresses(&self.config, pin) {
            if let Some(served) = ask(address, &wanted, part, tried)? {
                return Ok(Some(served));
            }
        }
        let mut without: BTreeMap<&str, usize> = BTreeMap::new();
        for (archive, suite) in self.indexes.suites() {
            let place = |path: &str| Place::Archive { suite: Some(suite.to_owned()), path: path.to_owned() };
            let index = match self.indexes.get(&self.net, &self.config, archive, suite, events, cancel) {
                Ok(index) => index,
                Err(Halt::Place(Failure::NoSuite)) => {
                    // Archives share the suites among them; one that nobody has is a slip in the configuration.
                    let count = without.entry(suite).or_default();
                    *count += 1;
                    if *count == self.config.archives.len() {
                        tried.push(Tried { place: place(""), why: Failure::NoSuite });
                    }
                    continue;
                }
                Err(Halt::Place(why)) => {
                    tried.push(Tried { place: place(""), why });
                    continue;
                }
                Err(halt) => return Err(halt),
            };
            let Some(found) = index.find(&pin.sha256) else {
                tried.push(Tried { place: place(""), why: Failure::NotListed });
                continue;
            };
            let address = Address {
                place: place(&found.path),
                url: archive.url(&found.path),
                proxy: archive.proxy.clone(),
                private: true,
            };
            let wanted = Wanted { size: Some(pin.size.unwrap_or(found.size)), ..wanted };
            if let Some(served) = ask(address, &wanted, part, tried)? {
                return Ok(Some(served));
            }
        }
        Ok(None)
    }

    fn nowhere(&self, pin: &Pin, tried: Vec<Tried>) -> Error {
        let (name, sha256) = (pin.name.clone(), pin.sha256);
        if self.config.offline && !tried.iter().any(|t| matches!(t.why, Failure::WrongHash { .. })) {
            Error::Offline { name, sha256, tried }
        } else {
            Error::Nowhere { name, sha256, tried }
        }
    }
}
