//! parton: a reproducible package builder and source verifier.
//!
//! Start here, then read the story of a verb in [`ops`], then the page of a room.
//!
//! | room | owns |
//! |---|---|
//! | [`base`] | digests, the canonical encoding, paths, events, diagnostics, durable writes, locks |
//! | [`tree`] | a file tree as a value; the only parser of foreign archives and only writer of canonical ones |
//! | [`spec`] | TOML → [`spec::Spec`], every field with its place; form only |
//! | [`plan`] | meaning: who needs whom, and what one build consists of ([`plan::Derivation`]); why two builds differ |
//! | [`store`] | the content-addressed directory: objects, records, locks, sweep |
//! | [`fetch`] | a pin → verified bytes; the only user of the network |
//! | [`sandbox`] | one run inside exactly this root with exactly these rights; the only place of raw kernel calls |
//! | [`build`] | one derivation under some conditions → a [`build::Outcome`] |
//! | [`compare`] | two trees → ordered, named differences |
//! | [`report`] | records: what is remembered, as text and JSON |
//! | [`ops`] | the stories: one file per verb; the only place where rooms meet |
//! | [`cli`] | flags, environment, colour, progress, exit codes |
//!
//! Imports go upwards in this table, and only as `tests/it/rooms.rs` allows. A stage is a type: `Spec` → `Derivation` →
//! `Outcome` → `Record`. The library never prints and asks for no environment, clock or home; all of that is `cli`'s.
//!
//! # Files
//!
//! | path | what |
//! |---|---|
//! | `parton.toml`, `specs/NAME/spec.toml`, `specs/NAME/keys/`, `patches/NAME/` | a spec repository; see `docs/spec.md` |
//! | `specs/seed.toml`, `specs/seed.lock` | the seed: what a person wrote, and what it was resolved to |
//! | `$PARTON_STORE`, else `~/.local/share/parton/store` | the store; its page draws what is in it |
//! | `STORE/fetch/`, `STORE/partial/` | verified indexes of the package archive; downloads under way |
//! | `/etc/apt/` | read, to find the machine's package archive |

pub mod base;
pub mod build;
pub mod cli;
pub mod compare;
pub mod fetch;
pub mod ops;
pub mod plan;
pub mod report;
pub mod sandbox;
pub mod spec;
pub mod store;
pub mod tree;
