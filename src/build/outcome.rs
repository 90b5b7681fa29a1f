//! What an executor is asked and what it answers: plain values.

use super::Conditions;
use crate::base::{Blake3, TreeDigest};
use crate::plan::Derivation;
use crate::sandbox::{Limits, Probe, Status, Stopped, Wall};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One round to be executed. Complete: an executor needs nothing else but the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What to build.
    pub derivation: Derivation,
    /// Which round this is, from 1.
    pub round: u32,
    /// Under which circumstances.
    pub conditions: Conditions,
    /// When to stop it.
    pub limits: Limits,
    /// Whether to run the package's own tests afterwards.
    pub check: bool,
}

/// What a round produced, and what was enforced while it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which round.
    pub round: u32,
    /// Under which circumstances.
    pub conditions: Conditions,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 of the newest file in the sources.
    pub source_date: i64,
    /// The phases that were begun, the check last.
    pub phases: Vec<PhaseOutcome>,
    /// The walls that stood.
    pub walls: Vec<Wall>,
    /// What was tried against them from inside, before the first phase and after the last, and what stopped it.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// Time to unpack the sources.
    pub unpack: Duration,
    /// Time of the whole round.
    pub wall: Duration,
    /// Digest of the log in the store.
    pub log: Blake3,
    /// How it ended.
    pub end: End,
}

/// How a round ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum End {
    /// With an output.
    Built(Output),
    /// A phase failed.
    Failed {
        /// Which phase.
        phase: String,
        /// Its script.
        script: String,
        /// How its process ended.
        status: Status,
    },
    /// It was stopped.
    Stopped {
        /// During which phase.
        phase: String,
        /// Why.
        reason: Stopped,
    },
    /// Every phase succeeded, but the output may not be used.
    Refused {
        /// What is wrong with it.
        faults: Vec<Fault>,
    },
}

impl End {
    /// Whether the round's directories are kept for a person to look into: those of an output are not there any more,
    /// nobody wants what they interrupted themselves, and what filled the disk would keep it full.
    pub fn leaves_state(&self) -> bool {
        match self {
            Self::Built(_) => false,
            Self::Stopped { reason, .. } => {
                !matches!(reason, Stopped::Cancelled | Stopped::Disk(_) | Stopped::DiskReserve(_))
            }
            Self::Failed { .. } | Self::Refused { .. } => true,
        }
    }
}

/// What a build installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Digest of the tree, which is in the store.
    pub tree: TreeDigest,
    /// Regular files.
    pub files: u64,
    /// Directories, without the top one.
    pub dirs: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in regular files.
    pub bytes: u64,
    /// ELF files that are linked or loaded, in order of their paths.
    pub programs: Vec<Program>,
    /// Files that contain a path below `/build`. Such a path is the same for every user of parton, but not for
    /// somebody who rebuilds in another way.
    pub build_paths: Vec<String>,
}

/// An ELF program or shared library in an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its path.
    pub path: String,
    /// The loader it names; `None` for libraries and static programs.
    pub interpreter: Option<String>,
    /// The libraries it asks for.
    pub needed: Vec<String>,
    /// The name under which others ask for it.
    pub soname: Option<String>,
}

/// Why an output may not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Fault {
    /// Nothing was installed.
    #[error("the install phase put nothing into $OUT")]
    Empty,
    /// A program names a loader that is not the profile's.
    #[error("{path} asks for the loader {interpreter}, not {expected}: it was not built against musl")]
    Interpreter {
        /// The program.
        path: String,
        /// What it names.
        interpreter: String,
        /// What it should name.
        expected: String,
    },
    /// A program asks for a library that neither the output nor a declared need provides.
    #[error("{path} asks for {library}, which no declared need provides")]
    Undeclared {
        /// The program.
        path: String,
        /// The library.
        library: String,
    },
    /// A program looks for libraries in a place that exists only during the build.
    #[error("{path} looks for libraries in {rpath}, which exists only during the build")]
    SearchPath {
        /// The program.
        path: String,
        /// Its RPATH or RUNPATH.
        rpath: String,
    },
    /// Something is there that an output can not hold.
    #[error("{what}")]
    Unfit {
        /// What it is, where, and why.
        what: String,
    },
}

/// How one phase went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseOutcome {
    /// Its name.
    pub name: String,
    /// How its process ended.
    pub status: Status,
    /// Elapsed time.
    pub wall: Duration,
    /// Processor time.
    pub cpu: Duration,
    /// Peak memory of its largest process, in bytes.
    pub peak_memory: u64,
    /// Processes it left behind, which were killed.
    pub orphans: u64,
}

impl Outcome {
    /// The output, if there is one.
    pub fn output(&self) -> Option<&Output> {
        match &self.end {
            End::Built(output) => Some(output),
            _ => None,
        }
    }
}
