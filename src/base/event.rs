//! Progress as values. The library never prints; it sends events and `cli` decides what a person sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Bytes are downloaded; progress counts bytes.
    Download,
    /// A seed or an archive is unpacked; progress counts bytes of the archive.
    Unpack,
    /// An archive is written; progress counts its bytes.
    Pack,
    /// One round of a package is built; progress counts phases.
    Round,
    /// Two trees are compared; progress counts files.
    Compare,
    /// The store is checked; progress counts objects.
    Verify,
}

/// Names one running task among all of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// Something that happened during long work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A task began.
    Started {
        /// Names the task in the events that follow.
        id: TaskId,
        /// What it does.
        task: Task,
        /// To what: a package (`zlib 1.3.1`, `round 2 of zlib`) or a file name.
        name: String,
        /// How much there is to do, in the task's unit, if known.
        total: Option<u64>,
    },
    /// A task got on.
    Advanced {
        /// Which task.
        id: TaskId,
        /// How much is done in all (not since the last event).
        done: u64,
        /// What it is doing now (a phase, a mirror), if that changed.
        now: Option<String>,
    },
    /// A task ended, well or not; the error itself travels as a return value.
    Finished {
        /// Which task.
        id: TaskId,
        /// Whether it succeeded.
        ok: bool,
    },
    /// A line that the build of `package` wrote.
    Log {
        /// The package.
        package: String,
        /// The line, without its end, not yet made printable.
        line: Vec<u8>,
    },
    /// Something a person should know though nothing failed.
    Note(String),
    /// Something a person should act on though nothing failed.
    Warning(String),
}

/// Where events go. Called from many threads.
pub type Events<'a> = &'a (dyn Fn(Event) + Sync);

/// A task that reports itself: `Started` when made, `Finished` when dropped (as failed unless [`Progress::done`] was called).
pub struct Progress<'a> {
    events: Events<'a>,
    id: TaskId,
    ok: bool,
}

impl<'a> Progress<'a> {
    /// Announces a task.
    pub fn start(events: Events<'a>, task: Task, name: impl Into<String>, total: Option<u64>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = TaskId(NEXT.fetch_add(1, Ordering::Relaxed));
        events(Event::Started { id, task, name: name.into(), total });
        Self { events, id, ok: false }
    }

    /// Reports how much is done in all.
    pub fn advance(&self, done: u64) {
        (self.events)(Event::Advanced { id: self.id, done, now: None });
    }

    /// Reports how much is done in all and what comes now.
    pub fn now(&self, done: u64, now: impl Into<String>) {
        (self.events)(Event::Advanced { id: self.id, done, now: Some(now.into()) });
    }

    /// Ends the task as a success.
    pub fn done(mut self) {
        self.ok = true;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        (self.events)(Event::Finished { id: self.id, ok: self.ok });
    }
}

/// A wish to stop, shared by everything that works for one command. Cheap to clone and to ask.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything to stop soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether work should stop at the next good moment.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
