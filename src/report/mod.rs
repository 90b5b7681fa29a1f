//! Results as records, and records as text and JSON.
//!
//! A [`Record`] is what the store keeps of a package's build and what `--json` prints; its format has a name and a
//! version ([`SCHEMA`]).

pub mod closure;
pub mod ddc;
pub mod diff;
pub mod graph;
pub mod html;
mod record;
pub mod text;
pub mod why;

pub use record::{Differing, Glance, Moved, Record, SCHEMA, SignatureEvidence, SourceEvidence, Varied, Verdict};
