//! One derivation → one [`Outcome`].
//!
//! In: an [`Order`], which says everything about one round. Out: what it produced, under which conditions, behind which
//! walls. The executor is dumb: it decides nothing, and has one method. What the phases see is described in `root.rs`.
//!
//! A round unpacks the sources anew, runs the phases in a jail, takes `/out` as a tree, refuses it if its programs ask
//! for a foreign loader or for libraries that no declared need provides, and commits it to the store. Only then, with
//! the output out of reach, it runs the package's own tests.

mod conditions;
pub mod coverage;
mod knob;
mod linkage;
mod local;
mod merge;
mod outcome;
mod root;

pub use conditions::{Conditions, Terminal};
pub use knob::{Class, Knob, Level};
pub use linkage::provided;
pub use local::{Local, lay_source};
pub use merge::{Layer, check as check_layers};
pub use outcome::{End, Fault, Order, Outcome, Output, PhaseOutcome, Program};
pub use root::CONTRACT;

use crate::base::{Blake3, Cancel, Events, RelPath, Sha256, TreeDigest};
use crate::{sandbox, store, tree};
use serde::{Deserialize, Serialize};

/// Executes rounds: on this machine, later on others.
pub trait Executor: Sync {
    /// Executes one round to its end. A build that fails is an outcome, not an error.
    ///
    /// # Errors
    /// The round could not be executed: something is missing in the store, the sandbox can't be built, the disk is full.
    fn execute(&self, order: &Order, events: Events<'_>, cancel: &Cancel) -> Result<Outcome, Error>;
}

/// What is written beside the kept state of a failed round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What was to be done.
    pub order: Order,
    /// What came of it.
    pub outcome: Outcome,
}

/// Why a round could not be executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source was not fetched before.
    #[error("the store has no source with sha256 {0}; `parton fetch` gets it")]
    NoBlob(Sha256),
    /// An input was not built before, or was removed meanwhile.
    #[error("the store has no tree {0}; build it again")]
    NoTree(TreeDigest),
    /// The seed was not unpacked before.
    #[error("the store has no unpacked seed {0}")]
    NoSeed(Blake3),
    /// Two needed packages can't be in one root.
    #[error("{one} and {other} both have {path}, and not the same; a build can need only one of them")]
    Collision {
        /// What both have.
        path: RelPath,
        /// One package.
        one: String,
        /// The other.
        other: String,
    },
    /// A source can't be unpacked.
    #[error("unpack the source to /build/{dest}")]
    Unpack {
        /// What is wrong with the archive.
        source: tree::Error,
        /// Where it should go.
        dest: String,
    },
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A tree.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
