//! What every room stands on: digests, the canonical encoding, paths, events, diagnostics, durable writes and locks.
//!
//! Knows nothing of packages and imports no other room.

mod calendar;
mod canon;
mod diagnostic;
mod digest;
mod disk;
mod event;
mod path;

pub use calendar::{civil, date, day_of};
pub use canon::{Canon, Encoder};
pub use diagnostic::{Diagnostic, Label, Level, SourceText, nearest};
pub use digest::{Blake3, DrvId, Hasher, ParseDigestError, Sha256, TreeDigest};
pub use disk::{Lock, LockKind, sync_dir, write_atomic};
pub use event::{Cancel, Event, Events, Progress, Task, TaskId};
pub use path::{RelPath, RelPathError, printable};
