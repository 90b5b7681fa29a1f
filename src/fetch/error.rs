//! Why a place did not serve the bytes, and why a fetch failed.

use super::Place;
use crate::base::{Sha256, printable};
use serde::Serialize;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why one place did not serve the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The place is on the network, which may not be used.
    #[error("not asked: parton is offline")]
    Offline,
    /// Not an address of a kind that parton speaks.
    #[error("not an address parton can fetch from ({0})")]
    Address(String),
    /// The name system knows no such host.
    #[error("the host's name does not resolve")]
    Unresolvable,
    /// No connection came about, or it died before an answer.
    #[error("no connection ({0})")]
    Connect(String),
    /// The server can not prove who it is.
    #[error("the server's certificate is not trusted ({0})")]
    Untrusted(String),
    /// Anything but success.
    #[error("the server answered {0}")]
    Status(u16),
    /// A chain of redirects that is too long.
    #[error("more than {0} redirects")]
    Redirects(usize),
    /// Silence.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// Bytes come, but too slowly to wait for.
    #[error("too slow: {received} bytes in {window:?}")]
    Slow {
        /// Bytes received in the last window.
        received: u64,
        /// Length of the window.
        window: Duration,
    },
    /// The connection ended too early.
    #[error("broke off after {received} bytes ({why})")]
    Broken {
        /// Bytes that are there, all attempts together.
        received: u64,
        /// What the connection said.
        why: String,
    },
    /// More bytes than the pin, or the general limit, allows.
    #[error("sends more than the {limit} bytes expected")]
    TooLarge {
        /// The pinned size or the general limit.
        limit: u64,
    },
    /// The size is known before or after the transfer and differs from the pin's.
    #[error("has {found} bytes, the pin says {expected}")]
    WrongSize {
        /// The pin's size.
        expected: u64,
        /// The place's.
        found: u64,
    },
    /// Other bytes.
    #[error("serves other bytes: expected sha256 {expected}, found {found}")]
    WrongHash {
        /// The pin.
        expected: Sha256,
        /// Digest of what was served.
        found: Sha256,
    },
    /// The archive's index could not be had, or not be trusted.
    #[error("no usable index ({0})")]
    Index(String),
    /// The archive has no suite of this name.
    #[error("no archive of this machine has such a suite")]
    NoSuite,
    /// The archive's index is good and does not list the digest.
    #[error("its index lists no file with this sha256")]
    NotListed,
    /// A local file could not be read.
    #[error("{0}")]
    Unreadable(String),
}

impl Failure {
    /// Whether another attempt at the same place may help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Silent(_) | Self::Slow { .. } | Self::Broken { .. } => true,
            Self::Status(code) => matches!(code, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// A place that was asked in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The place.
    pub place: Place,
    /// Why it did not serve the bytes.
    pub why: Failure,
}

impl Serialize for Tried {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut out = serializer.serialize_struct("Tried", 2)?;
        out.serialize_field("place", &self.place)?;
        out.serialize_field("why", &self.why.to_string())?;
        out.end()
    }
}

fn list(tried: &[Tried]) -> String {
    let mut out = String::new();
    for Tried { place, why } in tried {
        let _ =
            write!(out, "\n  {}: {}", printable(place.to_string().as_bytes()), printable(why.to_string().as_bytes()));
    }
    out
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No place served the bytes.
    #[error("fetch {name} (sha256 {sha256}): no place has it{}", list(tried))]
    Nowhere {
        /// The pin's name.
        name: String,
        /// The pin.
        sha256: Sha256,
        /// Every place asked, in order.
        tried: Vec<Tried>,
    },
    /// An address without a pin did not serve.
    #[error("fetch {url}: {why}")]
    Unpinned {
        /// The address.
        url: String,
        /// Why.
        why: Failure,
    },
    /// The bytes are not on this machine, and the network may not be used.
    #[error("fetch {name} (sha256 {sha256}): it is not on this machine and parton is offline{}", list(tried))]
    Offline {
        /// What was to be fetched.
        name: String,
        /// The pin.
        sha256: Sha256,
        /// Every place that was or would have been asked.
        tried: Vec<Tried>,
    },
    /// The user wanted to stop.
    #[error("fetch {name}: stopped on request; what was received is kept")]
    Cancelled {
        /// What was being fetched.
        name: String,
    },
    /// The local disk said no.
    #[error("{doing} {}", path.display())]
    Disk {
        /// What was being done, as an imperative.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Work for parton and the archive's index.
    #[error(transparent)]
    Apt(#[from] super::apt::Error),
}

impl Error {
    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Nowhere { name, sha256, tried } => {
                let wrong =
                    tried.iter().any(|t| matches!(t.why, Failure::WrongHash { .. } | Failure::WrongSize { .. }));
                Some(if wrong {
                    "a place serves other bytes than were pinned: compare them with upstream's announcement before \
                     you change the pin"
                        .to_owned()
                } else {
                    format!(
                        "put the file into a directory and name it as a mirror: `mirrors = [\"file:///that/directory\"]` \
                         finds it there as {name}, `…/{{sha256}}` as {sha256}"
                    )
                })
            }
            Self::Offline { .. } => Some("run once without --offline, or name a mirror on this machine".to_owned()),
            Self::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space; the download goes on where it stopped".to_owned())
            }
            Self::Apt(error) => error.help(),
            Self::Cancelled { .. } | Self::Disk { .. } | Self::Unpinned { .. } => None,
        }
    }

    /// Whether a place served bytes that contradict the pin.
    pub fn is_mismatch(&self) -> bool {
        let (Self::Nowhere { tried, .. } | Self::Offline { tried, .. }) = self else { return false };
        tried.iter().any(|t| matches!(t.why, Failure::WrongHash { .. } | Failure::WrongSize { .. }))
    }
}

/// What ends the work at one place: the place's fault, or ours.
#[derive(Debug)]
pub(super) enum Halt {
    /// Ask the next place.
    Place(Failure),
    /// Asking others is pointless.
    Disk { doing: &'static str, path: PathBuf, source: io::Error },
    /// The user wanted to stop.
    Cancelled,
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Place(failure)
    }
}

impl Halt {
    /// For `map_err` on calls to the local disk.
    pub(super) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }

    /// The error for the caller of the room, unless it is only one place's fault.
    pub(super) fn fatal(self, name: &str) -> Result<Failure, Error> {
        match self {
            Self::Place(failure) => Ok(failure),
            Self::Disk { doing, path, source } => Err(Error::Disk { doing, path, source }),
            Self::Cancelled => Err(Error::Cancelled { name: name.to_owned() }),
        }
    }
}
