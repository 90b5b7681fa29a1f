//! From what `cli` knows of the machine to the tools of a session.

use super::Error;
use crate::base::{Cancel, Event, Events};
use crate::fetch::{self, Config, Fetcher, apt};
use crate::sandbox::Launcher;
use crate::spec::Workspace;
use crate::store::{Store, Waiting};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What `cli` found out about the machine and its user.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where the store is or shall be.
    pub store: PathBuf,
    /// Whether no connection may be opened.
    pub offline: bool,
    /// The time that signatures and indexes are judged by.
    pub now: SystemTime,
    /// Proxy for the network.
    pub proxy: Option<String>,
    /// Hosts that are reached without it.
    pub no_proxy: Option<String>,
    /// Certificates to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// Opens the store, and makes it where there is none.
///
/// # Errors
/// The directory is no store, or one of another version, or can't be used.
pub fn open_store(host: &Host, events: Events<'_>, cancel: &Cancel) -> Result<Store, Error> {
    Ok(Store::open(&host.store, &mut patience(events, cancel))?)
}

/// Waits as long as nobody cancels, and says once what for.
pub(super) fn patience<'a>(events: Events<'a>, cancel: &'a Cancel) -> impl FnMut(Waiting) -> bool + 'a {
    let mut told = None;
    move |waiting| {
        if told.replace(waiting) != Some(waiting) {
            events(Event::Note(format!("waiting for {waiting}")));
        }
        !cancel.is_cancelled()
    }
}

/// The fetcher of a session. Where the machine's package archive is comes from its own package configuration.
pub fn fetcher(host: &Host, workspace: &Workspace, store: &Store) -> Fetcher {
    let mut config = Config::new(store.fetch_dir(), host.now);
    config.partial = store.partial_dir();
    config.mirrors.clone_from(&workspace.config.mirrors);
    config.content_mirrors.clone_from(&workspace.config.content_mirrors);
    config.archive_suites.clone_from(&workspace.config.archive_suites);
    config.archives = apt::discover(Path::new("/"));
    config.offline = host.offline;
    config.proxy.clone_from(&host.proxy);
    config.no_proxy.clone_from(&host.no_proxy);
    config.ca_bundles = host.ca_bundle.iter().cloned().chain(fetch::CA_BUNDLES.iter().map(PathBuf::from)).collect();
    Fetcher::new(config)
}

/// How this session starts sandboxes.
pub fn launcher() -> Launcher {
    Launcher::default()
}
