//! Everything the room is told instead of finding it out: places, limits, times.

use super::apt::Archive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Where distributions keep the bundle of certificate authorities they trust, most common first.
pub const CA_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a [`super::Fetcher`] is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Asked first: prefixes under which files lie by name, or templates with `{name}` or `{sha256}`.
    pub mirrors: Vec<String>,
    /// Asked after the pin's own addresses: templates with `{sha256}`.
    pub content_mirrors: Vec<String>,
    /// Asked last; see [`super::apt::discover`].
    pub archives: Vec<Archive>,
    /// Suites whose source indexes are searched for a pin's digest, in this order.
    pub archive_suites: Vec<String>,
    /// Open no connection. Files on this machine may still be read.
    pub offline: bool,
    /// Directory for verified indexes; made when needed.
    pub cache: PathBuf,
    /// Directory for downloads under way, which later ones continue; made when needed.
    pub partial: PathBuf,
    /// The time that signatures and indexes are judged by.
    pub now: SystemTime,
    /// How old a cached index may be before the archive is asked for a newer one.
    pub index_age: Duration,
    /// Downloads at once.
    pub max_parallel: usize,
    /// Bytes a download may have when its pin names no size.
    pub max_size: u64,
    /// How parton introduces itself to servers.
    pub user_agent: String,
    /// Proxy for everything but the archives, which bring their own.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy, comma-separated.
    pub no_proxy: Option<String>,
    /// Files with trusted certificates; the first that exists is used.
    pub ca_bundles: Vec<PathBuf>,
    /// Limits in time.
    pub patience: Patience,
}

impl Config {
    /// Sensible defaults: online, no mirrors, no archives, downloads in the cache.
    pub fn new(cache: impl Into<PathBuf>, now: SystemTime) -> Self {
        let cache = cache.into();
        Self {
            mirrors: Vec::new(),
            content_mirrors: Vec::new(),
            archives: Vec::new(),
            archive_suites: Vec::new(),
            offline: false,
            partial: cache.join("partial"),
            cache,
            now,
            index_age: Duration::from_secs(24 * 3600),
            max_parallel: 4,
            max_size: 8 << 30,
            user_agent: concat!("parton/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: None,
            no_proxy: None,
            ca_bundles: CA_BUNDLES.iter().map(PathBuf::from).collect(),
            patience: Patience::default(),
        }
    }
}

/// How long to wait for what, and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts at one address before the next place is asked. An attempt that brought at least a mebibyte is free.
    pub attempts: u32,
    /// Pause before the second attempt; doubled for each further one.
    pub pause: Duration,
    /// Longest pause, also when a server asks for a longer one.
    pub longest_pause: Duration,
    /// Until a connection stands.
    pub connect: Duration,
    /// Between two receptions, and until the headers are there.
    pub idle: Duration,
    /// Bytes per second that must come on average over each window.
    pub min_rate: u64,
    /// Length of that window.
    pub rate_window: Duration,
    /// Redirects followed for one request.
    pub redirects: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            min_rate: 1024,
            rate_window: Duration::from_secs(30),
            redirects: 8,
        }
    }
}

impl Patience {
    /// Pause before attempt number `next` (the first is 1).
    pub(super) fn pause_before(&self, next: u32) -> Duration {
        let doublings = next.saturating_sub(2).min(16);
        (self.pause * 2_u32.pow(doublings)).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let patience = Patience::default();
        let pauses: Vec<u64> = (2..9).map(|n| patience.pause_before(n).as_millis() as u64).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 20000]);
    }
}
