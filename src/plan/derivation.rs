//! The complete, canonical description of one build.

use crate::base::{Blake3, Canon, DrvId, Encoder, Sha256, TreeDigest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One build, completely described. See the module for what enters its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// Version of what a builder finds inside the jail (paths, user, devices, environment): when the jail changes in a
    /// way that a build can see, everything is built anew.
    pub contract: u64,
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// What is unpacked or laid down below `/build` before the first phase.
    pub sources: Vec<SourceInput>,
    /// Patches in order of application.
    pub patches: Vec<PatchInput>,
    /// Id of the seed that makes the lowest layer of the root, if there is one.
    pub seed: Option<Blake3>,
    /// Other packages' outputs, the topmost layer of each place first.
    pub inputs: Vec<Input>,
    /// What is run, in order.
    pub phases: Vec<Phase>,
    /// What is run afterwards, when the output can no longer change, to test it.
    pub check: Option<Phase>,
    /// The environment of every phase, without what the round's conditions add.
    pub env: BTreeMap<String, String>,
    /// Target triple.
    pub target: String,
    /// Where packages that are linked against are shown.
    pub sysroot: String,
    /// What the output's programs may ask for.
    pub linkage: Linkage,
}

/// A source of a derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInput {
    /// Path below `/build`: the directory to unpack to, or the file to lay down.
    pub dest: String,
    /// The bytes.
    pub pin: SourcePin,
}

/// How the bytes of a source are fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourcePin {
    /// An archive that is unpacked.
    Archive {
        /// Digest of the archive.
        sha256: Sha256,
        /// Leading path components dropped.
        strip: u32,
        /// Archive inside the archive that is the real source.
        nested: Option<String>,
    },
    /// A file that is laid down as it is.
    File {
        /// Digest of the file.
        sha256: Sha256,
    },
    /// A tree exported from a repository.
    Tree {
        /// Digest of the tree.
        tree: TreeDigest,
    },
}

/// A patch of a derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchInput {
    /// File name, for people; not part of the id.
    pub name: String,
    /// Content.
    pub text: String,
}

/// Another package's output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// The package, for people; not part of the id.
    pub name: String,
    /// Where it is shown.
    pub place: Place,
    /// Its output.
    pub tree: TreeDigest,
}

/// Where an input is shown inside the jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Merged into `/`: its programs run during the build.
    Build,
    /// Merged into the sysroot: it is linked against.
    Host,
    /// Merged into `/` below those: the profile's tools, in the place of a seed's or over them.
    Tools,
}

/// One phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What people call it.
    pub name: String,
    /// Directory below `/build`.
    pub dir: String,
    /// Shell, run with `sh -eu`.
    pub script: String,
}

/// What the output's ELF files may ask for at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linkage {
    /// The one loader that dynamic programs may name.
    pub interpreter: String,
    /// Libraries that need no package: the profile's own and those that the spec allows.
    pub provided: BTreeSet<String>,
}

impl Derivation {
    /// The id: changes when anything that could change the build's outcome changes.
    pub fn id(&self) -> DrvId {
        let mut to = Encoder::new("parton.derivation", 2);
        to.put(&self.contract)
            .put(&self.name)
            .put(&self.version)
            .put(&self.sources)
            .put(&self.patches)
            .put(&self.seed)
            .put(&self.inputs)
            .put(&self.phases)
            .put(&self.check)
            .put(&self.env)
            .put(&self.target)
            .put(&self.sysroot)
            .put(&self.linkage);
        DrvId::from_bytes(*to.finish().as_bytes())
    }
}

impl Canon for SourceInput {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.dest).put(&self.pin);
    }
}

impl Canon for SourcePin {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Archive { sha256, strip, nested } => to.put(&0_u64).put(sha256).put(strip).put(nested),
            Self::File { sha256 } => to.put(&1_u64).put(sha256),
            Self::Tree { tree } => to.put(&2_u64).put(tree),
        };
    }
}

impl Canon for PatchInput {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.text);
    }
}

impl Canon for Input {
    fn encode(&self, to: &mut Encoder) {
        let place: u64 = match self.place {
            Place::Build => 0,
            Place::Host => 1,
            Place::Tools => 2,
        };
        to.put(&place).put(&self.tree);
    }
}

impl Canon for Phase {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.name).put(&self.dir).put(&self.script);
    }
}

impl Canon for Linkage {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.interpreter).put(&self.provided);
    }
}
