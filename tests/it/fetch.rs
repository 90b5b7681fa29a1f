//! The fetch room against servers on the loopback that misbehave in every way we could think of.

mod archive;
mod git;
mod http;
pub mod openpgp;
pub mod server;
mod signature;

use parton::base::{Cancel, Event, Sha256};
use parton::fetch::{Config, Error, Fetched, Fetcher, Patience, Pin};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time in these tests: 2024-06-01 00:00:00 UTC.
const NOW: u64 = 1_717_200_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A directory with a cache and a place for results, and everything that was said.
struct Bench {
    dir: tempfile::TempDir,
    config: Config,
    events: Mutex<Vec<Event>>,
    cancel: Cancel,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("cache"), now());
        config.patience = Patience {
            attempts: 3,
            pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(50),
            connect: Duration::from_millis(500),
            idle: Duration::from_millis(400),
            min_rate: 1000,
            rate_window: Duration::from_millis(300),
            redirects: 5,
        };
        Self { dir, config, events: Mutex::default(), cancel: Cancel::new() }
    }

    fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    /// A fetch by a fetcher of its own, as another process would do it.
    fn fetch(&self, pin: &Pin) -> Result<Fetched, Error> {
        self.fetch_with(&Fetcher::new(self.config.clone()), pin)
    }

    fn fetch_with(&self, fetcher: &Fetcher, pin: &Pin) -> Result<Fetched, Error> {
        fetcher.fetch(pin, &self.dest(), &|event| self.events.lock().unwrap().push(event), &self.cancel)
    }

    /// Notes and warnings so far.
    fn said(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let text = |event: &Event| match event {
            Event::Note(text) => Some(format!("note: {text}")),
            Event::Warning(text) => Some(format!("warning: {text}")),
            _ => None,
        };
        events.iter().filter_map(text).collect()
    }

    fn part(&self, pin: &Pin) -> PathBuf {
        self.config.partial.join(format!("{}.part", pin.sha256))
    }

    /// What a fetch may leave in the cache: locks only.
    fn assert_tidy(&self) {
        let left: Vec<String> = list(&self.config.partial);
        assert!(left.iter().all(|name| name.starts_with("lock-")), "{left:?}");
    }
}

fn list(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Bytes that compress badly and differ everywhere.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(len)
    .collect()
}

fn pin(content: &[u8], urls: &[String]) -> Pin {
    Pin {
        name: "file.tar".to_owned(),
        urls: urls.to_vec(),
        sha256: Sha256::of(content),
        size: Some(content.len() as u64),
        archive_path: None,
    }
}

/// Why the places failed, in order.
fn reasons(error: &Error) -> Vec<String> {
    match error {
        Error::Nowhere { tried, .. } | Error::Offline { tried, .. } => {
            tried.iter().map(|t| t.why.to_string()).collect()
        }
        other => panic!("unexpected: {other}"),
    }
}
