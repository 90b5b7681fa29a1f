//! What the sandbox is told and what it answers: plain values.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Version of what a step sees beyond its [`Jail`]. It enters the identity of what is built inside; raised when the same
/// jail would look different from within.
pub const CONTRACT: u64 = 2;

/// Everything one sandboxed run needs to know. Nothing else of the host is visible inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// Read-only layers that are merged to the root `/`, topmost first. At least one.
    #[serde(with = "super::bytes::paths")]
    pub root: Vec<PathBuf>,
    /// Further read-only merged trees, each at an absolute path.
    pub overlays: Vec<Overlay>,
    /// Host directories shown inside, in this order. One at `/tmp` takes the place of the memory file system there.
    pub binds: Vec<Bind>,
    /// Writable binds, by their place, that are shown through an overlay: the same files on another kind of file system. Each
    /// with an empty directory beside it, on the same file system, for the kernel's own use.
    #[serde(default)]
    pub overlaid: BTreeMap<String, PathBuf>,
    /// Small read-only files laid over the root (absolute path inside → content); parent directories are made. Those that
    /// begin with `#!` can be executed. None of their parents may be a symbolic link in the layers.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Size limit of the private `/tmp` in bytes.
    pub tmp_size: u64,
    /// The user and group id that the steps see and run as.
    pub uid: u32,
    /// Umask of the steps.
    pub umask: u32,
    /// Host name inside.
    pub hostname: String,
    /// NIS domain name inside.
    pub domainname: String,
    /// The facts of the machine as the steps see them.
    pub world: World,
    /// What stops a run that takes too much.
    pub limits: Limits,
    /// Whether every wall is tried from inside, before the first step and after the last. One that lets something through
    /// ends the run with [`super::Error::Breached`].
    pub canaries: bool,
    /// What is run, one after the other, until one fails. All processes of a step are gone before the next begins.
    pub steps: Vec<Step>,
    /// Where the steps' input and output go.
    pub stdio: Stdio,
    /// What a captured step's input is.
    pub stdin: Stdin,
}

/// Several trees merged read-only at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Absolute path inside.
    pub at: String,
    /// Layers, topmost first. Empty shows an empty directory.
    #[serde(with = "super::bytes::paths")]
    pub layers: Vec<PathBuf>,
}

/// A host directory shown inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path inside.
    pub at: String,
    /// The directory outside.
    #[serde(with = "super::bytes::path")]
    pub from: PathBuf,
    /// Whether steps may write there.
    pub write: bool,
}

/// Where a run's input and output go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// Input is empty; standard output and error are one stream of lines given to the caller.
    Captured,
    /// The same, but the stream is a terminal of this size: one of nobody's, without echo, that changes no byte.
    Emulated {
        /// Columns.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// The caller's own terminal, for `parton shell`. No line is reported.
    Terminal,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What people call it (`configure`).
    pub name: String,
    /// Program (absolute path inside) and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Absolute working directory inside.
    pub cwd: String,
    /// Stop the step after this long, if given.
    pub timeout: Option<Duration>,
}

/// The facts of the machine that no sandbox can hold still everywhere, as this run shall see them (DESIGN: open knobs).
///
/// `None` (or zero, or `false`) leaves a fact as the machine has it; then nothing is intercepted and nothing costs time.
/// Everything here works for static programs too: no preload library is involved.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct World {
    /// Processors seen in `sched_getaffinity`, `/proc/cpuinfo` and `/proc/stat`. May exceed what the machine has.
    pub cpus: Option<u32>,
    /// Seconds added to the wall clock (`clock_gettime`, `gettimeofday`, `time`; the vDSO is hidden from programs).
    pub clock_offset: i64,
    /// Seconds added to the monotonic and boot clocks, by a time namespace.
    pub uptime_offset: u64,
    /// Orders the entries of every directory listing by a hash keyed with this seed.
    pub dir_order: Option<u64>,
    /// The first process id a step gets is just above this.
    pub pid_base: Option<u32>,
    /// Whether address space layout is randomised; without, it is the same in every run.
    pub random_addresses: bool,
    /// Kernel release, in `uname` and `/proc`.
    pub kernel_release: Option<String>,
    /// Bytes of memory seen in `sysinfo` and `/proc/meminfo`.
    pub memory: Option<u64>,
    /// When the wall clock of the run starts, in seconds since 1970. Moved on by whole cycles of the calendar (28 years)
    /// until it lies at least a year ahead, so that no clock ever goes backwards; 29 February stays one.
    #[serde(default)]
    pub clock_start: Option<i64>,
    /// Model of every processor in `/proc/cpuinfo`, whose other facts then are the least that the architecture has.
    #[serde(default)]
    pub cpu_model: Option<String>,
    /// Whether the entries of every directory listing are in descending order of their names.
    #[serde(default)]
    pub dir_backwards: bool,
    /// Seed of the bytes that `getrandom`, `/dev/random` and `/dev/urandom` give.
    #[serde(default)]
    pub random: Option<u64>,
}

/// What the standard input of a step is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// A pipe without any writer.
    Pipe,
    /// An empty file.
    File,
}

impl World {
    /// Whether system calls have to be answered for this world.
    pub(super) fn intercepts(&self) -> bool {
        self.cpus.is_some()
            || self.clock_offset != 0
            || self.orders()
            || self.kernel_release.is_some()
            || self.memory.is_some()
            || self.random.is_some()
    }

    /// Whether listings of directories have an order of their own.
    pub(super) fn orders(&self) -> bool {
        self.dir_order.is_some() || self.dir_backwards
    }

    /// Whether programs must be kept from asking without a call: from the vDSO, or by what the kernel tells them at their
    /// start.
    pub(super) fn watches_programs(&self) -> bool {
        self.clock_offset != 0 || self.random.is_some()
    }

    /// Turns the start of the clock into its offset, `now` being the true time.
    pub(super) fn settle(&mut self, now: i64) {
        /// 28 years, after which days of the week, leap years and all come again (until 2100).
        const CYCLE: i64 = 10_227 * 86_400;
        const YEAR: i64 = 366 * 86_400;
        if let Some(start) = self.clock_start.take() {
            let late = now.saturating_add(YEAR).saturating_sub(start).max(0);
            let cycles = late / CYCLE + i64::from(late % CYCLE != 0);
            self.clock_offset = start.saturating_add(cycles * CYCLE).saturating_sub(now);
        }
    }
}

/// When a run is stopped. Each is a hard stop that is reported by name, never a slow-down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads at once.
    pub processes: u64,
    /// Bytes of memory that all processes of a step together may hold, what they share counted once, with what lies in
    /// `/tmp` and `/dev/shm`. `None` is three quarters of what the machine, or parton's control group, has.
    pub memory: Option<u64>,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes that all writable binds together may come to hold.
    pub disk: u64,
    /// Bytes that must stay free on the file system of the writable binds.
    pub disk_reserve: u64,
    /// Open descriptors of one process.
    pub descriptors: u64,
    /// The whole run.
    pub time: Duration,
    /// Without any output.
    pub silence: Duration,
    /// Bytes of output.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            processes: 4096,
            memory: None,
            file_size: 16 * GIB,
            disk: 40 * GIB,
            disk_reserve: GIB / 4,
            descriptors: 4096,
            time: Duration::from_secs(6 * 3600),
            silence: Duration::from_secs(3600),
            output: GIB / 4,
        }
    }
}

/// What a run says while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report<'a> {
    /// A step began.
    Step(usize),
    /// A line of output, without its end. Lines longer than 64 KiB come in pieces.
    Line(&'a [u8]),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The steps that were begun.
    pub steps: Vec<StepExit>,
    /// Why the run was cut short, if it was.
    pub stopped: Option<Stopped>,
    /// The walls that stood around this run, each with how it is enforced. Sorted by name.
    pub walls: Vec<Wall>,
    /// What was tried against them, and what held. Empty without [`Jail::canaries`].
    pub probes: Vec<Probe>,
    /// Time from the call to the first step.
    pub setup: Duration,
}

impl Exit {
    /// Whether every step of the jail ran and succeeded. `steps` is how many the jail had.
    pub fn success(&self, steps: usize) -> bool {
        self.stopped.is_none() && self.steps.len() == steps && self.steps.iter().all(|s| s.status == Status::Code(0))
    }
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepExit {
    /// Its name.
    pub name: String,
    /// Exit status of the step's own process.
    pub status: Status,
    /// Elapsed time.
    pub wall: Duration,
    /// Processor time of all its processes, user and system.
    pub cpu: Duration,
    /// Peak memory of its largest process, in bytes.
    pub peak_memory: u64,
    /// Processes that outlived the step's own process and were killed.
    pub orphans: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

/// Why a run was cut short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stopped {
    /// The whole run or the step took longer than this.
    Time(Duration),
    /// Nothing was written for this long.
    Silence(Duration),
    /// More output than this many bytes.
    Output(u64),
    /// The writable binds grew past this many bytes.
    Disk(u64),
    /// Fewer than this many bytes were left on the file system.
    DiskReserve(u64),
    /// This many processes and threads at once, or more.
    Processes(u64),
    /// More than this many bytes of memory.
    Memory(u64),
    /// The kernel ended a process for lack of memory before any limit was passed.
    OutOfMemory,
    /// A process with this many open descriptors.
    Descriptors(u64),
    /// The private `/tmp` of so many bytes was full, and the step failed.
    Scratch(u64),
    /// The caller cancelled.
    Cancelled,
}

/// A wall that stood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall {
    /// What it keeps apart (`network`, `files`, `processes` …).
    pub name: String,
    /// By what (`user namespace`, `landlock 6` …).
    pub by: String,
}

/// An attempt to get through a wall from inside, which was stopped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Probe {
    /// The wall, as in [`Wall::name`].
    pub wall: String,
    /// What was tried.
    pub name: String,
    /// What stopped it the first time.
    pub by: String,
    /// How often it was tried, and stopped each time.
    pub times: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_ahead_and_on_the_day_it_was_told() {
        const LEAP_DAY_2032: i64 = 1_961_625_600;
        const LEAP_DAY_2060: i64 = 2_845_238_400;
        let at = |now: i64| {
            let mut world = World { clock_start: Some(LEAP_DAY_2032), ..World::default() };
            world.settle(now);
            now + world.clock_offset
        };
        assert_eq!(at(1_795_000_000), LEAP_DAY_2032);
        assert_eq!(at(LEAP_DAY_2032 - 1000), LEAP_DAY_2060, "not within a year");
        assert_eq!(at(LEAP_DAY_2032 + 1000), LEAP_DAY_2060, "never backwards");
        let mut plain = World::default();
        plain.settle(1_795_000_000);
        assert_eq!(plain, World::default());
    }
}
