//! A pin → verified bytes in a file. The only room that uses the network.
//!
//! What enters is a [`Pin`]: a name for people, addresses, the SHA-256 that decides, perhaps a size. What leaves is a
//! file with exactly those bytes under the name the caller chose, and a [`Fetched`] that says which [`Place`] served
//! them and which places failed before, and why. Nothing appears under the final name before its digest is right.
//!
//! Places are asked in this order, until one has the bytes:
//!
//! 1. configured mirrors, by file name or digest;
//! 2. the pin's own addresses (`https`, `http`, `file`);
//! 3. content-addressed mirrors, by digest;
//! 4. the Debian-style archives that the machine's package manager is configured for: by path when the pin knows one
//!    (binary packages of a seed), else by digest, through the archive's signed source indexes ([`apt`]).
//!
//! A place that drips, lies about sizes, redirects for ever, breaks off or serves other bytes costs bounded time and
//! nothing else: what was received stays in [`Config::partial`] and the next attempt, at this place or another, in this
//! process or a later one, goes on from there.
//!
//! [`signature`] judges OpenPGP signatures by a written policy; [`git`] fetches one commit and exports its tree.
//!
//! On disk, below [`Config::partial`] (nothing there is needed when no fetch is under way):
//!
//! | path | what |
//! |---|---|
//! | `<sha256>.part` | bytes received so far |
//! | `<sha256>.from` | where the last of them came from, and the server's validator (JSON) |
//! | `lock-<xx>` | lock over the downloads whose digest starts with these two digits |
//!
//! Below [`Config::cache`]:
//!
//! | path | what |
//! |---|---|
//! | `apt/<key>/InRelease` | signed index of one suite of one archive, verified whenever it is read |
//! | `apt/<key>/checked` | when the archive was last asked for it (seconds since 1970) |
//! | `apt/<key>/lock` | lock over this directory |
//! | `apt/<key>/<component>.by-hash` | lookup made from a source index; its layout is in `apt/index.rs` |
//! | `apt/<key>/<sha256>.part`, `.from` | an index file being received, as above; gone when its lookup is made |
//!
//! The room knows no store, no environment and no clock: everything it is told stands in [`Config`].

pub mod apt;
mod config;
mod date;
mod download;
mod error;
mod fetcher;
pub mod git;
mod git_http;
mod net;
mod part;
mod place;
pub mod signature;

pub use config::{CA_BUNDLES, Config, Patience};
pub use error::{Error, Failure, Tried};
pub use fetcher::{Fetched, Fetcher, Order, Pin};
pub use place::Place;
