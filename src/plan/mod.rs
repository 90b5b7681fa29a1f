//! What specs mean: which package needs which, in what order they are built, and what exactly one build consists of.
//!
//! In: the specs and the profiles. Out: a [`Plan`], and from it, as soon as the outputs of a package's inputs are known,
//! its [`Derivation`]: the complete canonical description of one build. Two derivations with the same id are the same
//! build; [`explain`] says what differs between two that are not.
//!
//! Inputs enter a derivation by the digest of their *output*, not by their own id. That is early cutoff: an edit that
//! leaves a package's output as it was changes nothing above it.
//!
//! # Stages
//!
//! A profile's tools and libraries are packages too, built with another profile. So a plan is made of packages *with
//! profiles*, and a chain of toolchains (each built by the one before, the first by a seed) is ordinary derivations. What a
//! profile is called is not in any id: when two stages come to the same outputs, what is built with one is already built
//! with the other.
//!
//! | enters the id | does not |
//! |---|---|
//! | name and version, which name the build directory | summary, homepage, licence, comments, order of keys |
//! | sources: digest, where and how they are unpacked | their URLs, mirrors, signatures |
//! | patches: order and content | their file names |
//! | phases after the helper is expanded | which helper wrote them |
//! | environment | number of jobs and every other condition of a round |
//! | inputs: place, order and output digest | how the inputs were built |
//! | seed: packages, links, files, removals; or an archive's tree | where its packages were found, how it was packed |
//! | what the output's programs may be linked to | limits of time, memory and disk |
//! | version of the jail's contract | |
//!
//! Knows no files but the texts it was given, no store, no clock.

mod archive;
mod derivation;
mod explain;
mod phases;
mod resolve;
mod seed;

pub use archive::{ArchiveSeed, ArchivedPackage};
pub use derivation::{Derivation, Input, Linkage, PatchInput, Phase, Place, SourceInput, SourcePin};
pub use explain::{Change, explain};
pub use resolve::{Ground, Node, NodeId, Plan, Target, Toolset, resolve, resolve_tools};
pub use seed::{PackageSeed, Seed, SeedError, SeedFile, SeedPackage, SeedRecipe};
