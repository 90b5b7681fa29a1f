//! The Debian-style archives of this machine's package manager, asked by digest.
//!
//! Such an archive publishes, per suite, a signed list of index files (`InRelease`); one of these lists the SHA-256 of
//! every upstream tarball it carries. So a pin can be found there by its digest alone, and who serves the bytes does
//! not matter. Which archives there are comes from the machine's own configuration ([`discover`]); no address of one
//! is written anywhere in parton, nor in what it reports.
//!
//! An index only *locates* a file: the pin's digest decides. So an index that is past its date, or signed by a key that
//! has expired since, is still used, and said so once. For the binary packages of a seed ([`Packages`]) the index also
//! *says* which digest a name has; there the same facts stand in [`Release`], for the person who commits the lock.

mod conf;
mod deb822;
mod index;
mod locate;
mod packages;
mod release;
mod version;

pub use conf::{Archive, Keys, discover};
pub use index::{Located, Lookup};
pub use locate::Indexes;
pub use packages::{BinaryPackage, Packages, Resolved, Unlisted};
pub use release::Release;
pub use version::compare as compare_versions;

use super::error::Failure;

/// Why a question to the archive's indexes had no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine has no such archive.
    #[error("look up {what}: this machine's apt configuration names no archive parton can use")]
    NoArchive {
        /// What was looked up.
        what: String,
    },
    /// None of the archives has a usable index of the suite.
    #[error("read the package index of suite {suite}: {why}")]
    Suite {
        /// The suite.
        suite: String,
        /// Why, for the last archive that was asked.
        why: Failure,
    },
    /// Names that the index does not have.
    #[error("resolve packages in suite {suite}: no package {}", names(missing))]
    Missing {
        /// The suite.
        suite: String,
        /// The names, each with the nearest one that exists.
        missing: Vec<(String, Option<String>)>,
    },
}

fn names(missing: &[(String, Option<String>)]) -> String {
    let each = missing.iter().map(|(name, near)| match near {
        Some(near) => format!("'{name}' (did you mean '{near}'?)"),
        None => format!("'{name}'"),
    });
    each.collect::<Vec<_>>().join(", ")
}

impl Error {
    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoArchive { .. } => Some(
                "a Debian-style archive is read from /etc/apt/sources.list and /etc/apt/sources.list.d; run this where \
                 apt is configured"
                    .to_owned(),
            ),
            Self::Suite { why: Failure::Offline, .. } => Some("run it without --offline".to_owned()),
            Self::Suite { .. } => Some("check the suite's name and that `apt-get update` works here".to_owned()),
            Self::Missing { .. } => None,
        }
    }
}
