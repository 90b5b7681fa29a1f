//! What a person wrote, typed: every value still knows its place in the text.

use crate::base::{Label, Sha256, SourceText};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A value and the byte range it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Byte range in the spec's text.
    pub span: Range<usize>,
}

/// One `spec.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Name by which it is needed: the package's, or `<package>:<pass>`.
    pub name: At<String>,
    /// The package's name: equal to the name of the spec's directory, and the same for all its passes.
    pub package: String,
    /// Upstream's version.
    pub version: At<String>,
    /// SPDX licence expression, already checked.
    pub license: At<String>,
    /// Upstream's page.
    pub homepage: Option<String>,
    /// One line for people; not part of any hash.
    pub summary: Option<String>,
    /// Where the bytes come from. The first is the main source.
    pub sources: Vec<Source>,
    /// Patch files in order of application; paths below `patches/<name>/`, existence already checked.
    pub patches: Vec<At<String>>,
    /// Other packages.
    pub needs: Needs,
    /// How it is built.
    pub build: Build,
    /// How it is tested, if it is.
    pub check: Option<Check>,
    /// Libraries and interpreters its ELF files may ask for though no needed package provides them.
    pub allow_needed: Vec<At<String>>,
    /// Limits other than the defaults.
    pub limits: LimitsOverride,
    /// Profiles it can be built with; empty for all.
    pub profiles: Vec<At<String>>,
    /// Other ways to build the same sources; each is a spec of its own, without passes.
    pub passes: Vec<Spec>,
    /// The directory that holds `spec.toml`.
    pub dir: PathBuf,
    /// The text, for diagnostics.
    pub text: Arc<SourceText>,
}

impl Spec {
    /// The name by which it is needed.
    pub fn id(&self) -> &str {
        &self.name.value
    }

    /// Whether it is the package itself and not one of its passes.
    pub fn is_whole(&self) -> bool {
        self.name.value == self.package
    }

    /// Whether it can be built with the profile of this name.
    pub fn builds_with(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|known| known.value == profile)
    }

    /// A label at a place in this spec.
    pub fn at(&self, span: &Range<usize>, text: impl Into<String>) -> Label {
        Label { source: Arc::clone(&self.text), span: span.clone(), text: text.into() }
    }
}

/// One upstream artifact and how it is fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File or git repository.
    pub kind: SourceKind,
    /// What the bits are.
    pub origin: Origin,
    /// Why the bits are not upstream's own release, when they are not. Required with `origin = "repack"`.
    pub origin_note: Option<String>,
    /// Directory below `/build` it is unpacked to; the default for the first source is `<name>-<version>`. Always there
    /// for a further source that is unpacked; absent for a file that is laid into `/build` itself.
    pub dir: Option<At<String>>,
    /// The repository this release was made from, for audits.
    pub vcs: Option<Vcs>,
    /// The whole `[[source]]` table.
    pub span: Range<usize>,
}

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A file, pinned by SHA-256.
    File {
        /// Where upstream publishes these very bits; in order of preference.
        urls: Vec<At<String>>,
        /// The pin.
        sha256: At<Sha256>,
        /// Size in bytes, when written.
        size: Option<u64>,
        /// Upstream's signature.
        signature: Option<Box<Signature>>,
        /// Whether it is an archive to unpack (default) or a file to lay down as it is.
        unpack: bool,
        /// Leading path components dropped while unpacking (default 1).
        strip: u32,
        /// Path of an archive inside the archive that is the real source, if they are nested.
        nested: Option<String>,
    },
    /// A git commit, pinned by its id and by the digest of the exported tree.
    Git {
        /// Repository.
        url: At<String>,
        /// Full commit id, 40 (SHA-1) hexadecimal digits.
        commit: At<String>,
        /// parton's digest of the exported tree (64 hexadecimal digits).
        tree: At<crate::base::TreeDigest>,
    },
}

/// What the bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The file that upstream released (default).
    Release,
    /// An archive that a forge generates from a tag.
    Forge,
    /// Somebody else's repack of the release.
    Repack,
}

/// A detached signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Where it is published.
    pub urls: Vec<At<String>>,
    /// SHA-256 of the signature file: it can then be found by content like any source.
    pub sha256: Option<At<Sha256>>,
    /// File with the pinned public key, below the spec's directory; existence already checked.
    pub key: At<String>,
    /// Full fingerprint of the pinned primary key: 40 or 64 hexadecimal digits, upper case.
    pub fingerprint: At<String>,
    /// What was signed.
    pub over: SignedOver,
    /// Why it may be impossible to fetch; without this a signature that can't be had is fatal.
    pub may_be_missing: Option<String>,
    /// Why it counts although it uses SHA-1; without this such a signature is fatal.
    pub may_be_sha1: Option<String>,
}

/// What a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedOver {
    /// The file as published.
    File,
    /// The decompressed archive, as kernel.org signs.
    Uncompressed,
}

/// The repository behind a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vcs {
    /// Clone URL.
    pub git: At<String>,
    /// Tag of this release.
    pub tag: Option<At<String>>,
    /// Commit of this release: 40 hexadecimal digits.
    pub commit: Option<At<String>>,
}

/// Names of other packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Run on the build machine during the build.
    pub build: Vec<At<String>>,
    /// Linked against.
    pub host: Vec<At<String>>,
    /// What a compiler's own libraries are built against: linked against during the build, not needed to run the compiler.
    pub target: Vec<At<String>>,
    /// Needed at run time though not linked.
    pub run: Vec<At<String>>,
}

/// `[build]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Which helper makes the phases.
    pub system: At<System>,
    /// Flags for the helper (`configure`'s arguments, `make`'s variables).
    pub flags: Vec<String>,
    /// Targets of the compile phase (`make`).
    pub targets: Vec<String>,
    /// Targets of the install phase; default `install`.
    pub install: Vec<String>,
    /// Directory below the source to build in.
    pub dir: Option<String>,
    /// Build outside of the source directory (`configure`).
    pub out_of_tree: bool,
    /// Variables of the environment, over the profile's.
    pub env: BTreeMap<String, String>,
    /// Shell that replaces or adds phases: `prepare`, `configure`, `compile`, `install`, `finish`.
    pub phases: BTreeMap<String, At<String>>,
}

/// Which helper makes the phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// `./configure`, `make`, `make install`.
    Configure,
    /// `make`, `make install`.
    Make,
    /// Only what `phases` says.
    Script,
}

/// `[check]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Shell run after the install phase.
    pub script: At<String>,
}

/// `[limits]`; what is absent keeps its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsOverride {
    /// Seconds for one round.
    pub time: Option<u64>,
    /// Seconds without output.
    pub silence: Option<u64>,
    /// Bytes of memory of all processes together.
    pub memory: Option<u64>,
    /// Bytes on disk.
    pub disk: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u64>,
    /// Open descriptors of one process.
    pub descriptors: Option<u64>,
    /// Bytes of output.
    pub output: Option<u64>,
}

/// `parton.toml` and everything below it.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The directory of `parton.toml`.
    pub root: PathBuf,
    /// What `parton.toml` says.
    pub config: Config,
    /// Every spec by name.
    pub specs: BTreeMap<String, Spec>,
}

/// `parton.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the default profile.
    pub profile: String,
    /// Profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Store directory, if the workspace names one.
    pub store: Option<PathBuf>,
    /// Mirrors asked first: URL prefixes under which files lie by name, or templates with `{sha256}` or `{name}`.
    pub mirrors: Vec<String>,
    /// Content-addressed places asked last: templates with `{sha256}`.
    pub content_mirrors: Vec<String>,
    /// Suites of the Debian-style archive (found through the machine's apt configuration) whose source index is
    /// searched for pins by hash; empty turns the archive off.
    pub archive_suites: Vec<String>,
    /// The text, for diagnostics.
    pub text: Arc<SourceText>,
}

/// A profile: what the build machine's root is made of and what the compiler is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Seed lock file, below the workspace: the lowest layer of the root.
    pub seed: Option<String>,
    /// What another profile built for this one.
    pub toolchain: Option<Toolchain>,
    /// Target triple.
    pub target: String,
    /// Triple of the machine that builds, where it is not the target.
    pub build: Option<String>,
    /// Where packages that are linked against are shown, `/` or a directory such as `/sysroot`.
    pub sysroot: String,
    /// The loader every dynamic program must name.
    pub interpreter: String,
    /// Libraries that the profile itself provides (`libc.so`).
    pub provides: Vec<String>,
    /// Environment of every build.
    pub env: BTreeMap<String, String>,
}

impl Profile {
    /// Whether what it builds is for another machine than the one that builds, so that it can't be run there.
    pub fn is_cross(&self) -> bool {
        self.build.as_ref().is_some_and(|build| *build != self.target)
    }
}

/// Packages that another profile builds, and that are there in every build of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The other profile.
    pub profile: String,
    /// In the root, over the seed if there is one.
    pub tools: Vec<String>,
    /// Where packages that are linked against are.
    pub libraries: Vec<String>,
}
