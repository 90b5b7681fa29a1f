//! Time and memory of processes.

use crate::Result;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// From the call until it was over.
    pub wall: Duration,
    /// The part of it that the run itself measured, if it did.
    pub inner: Option<Duration>,
    /// Peak memory of its largest process, in bytes, if it was looked at.
    pub memory: Option<u64>,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// To warm caches up, and to see how much memory it takes.
    Memory,
    /// To see how long it takes.
    Time,
}

/// One of those who take turns.
pub struct Side<'a> {
    /// What people call it.
    pub name: String,
    run: Box<dyn FnMut(Look) -> Result<Taken> + 'a>,
}

impl<'a> Side<'a> {
    /// A side that measures itself.
    pub fn new(name: impl Into<String>, run: impl FnMut(Look) -> Result<Taken> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// A side that is a process; `make` prepares a run of it, which is not measured.
    pub fn process(name: impl Into<String>, mut make: impl FnMut() -> Result<Command> + 'a) -> Self {
        Self::new(name, move |look| process(&mut make()?, look))
    }
}

/// Lets all sides take turns; what each took in each turn.
pub fn turns(sides: &mut [Side<'_>], turns: usize) -> Result<Vec<Vec<Taken>>> {
    let mut taken: Vec<Vec<Taken>> = sides.iter().map(|_| Vec::new()).collect();
    for turn in 0..=turns {
        let look = if turn == 0 { Look::Memory } else { Look::Time };
        for (side, taken) in sides.iter_mut().zip(&mut taken) {
            taken.push((side.run)(look).map_err(|error| format!("{}: {error}", side.name))?);
        }
    }
    Ok(taken)
}

/// Runs a process to its end. A line `inner <nanoseconds>` on its standard output is the part it measured itself.
pub fn process(command: &mut Command, look: Look) -> Result<Taken> {
    if look == Look::Memory {
        // A child that shares our memory until it executes its program (as vfork has it) is charged with our peak.
        // Setting an id, even the one it has, makes the standard library fork.
        command.gid(rustix::process::getgid().as_raw());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let mut errors = child.stderr.take();
    // Peers that say much on both must not block; what they say on standard error is little.
    let out = child.stdout.take().map(std::io::read_to_string).transpose()?.unwrap_or_default();
    let said = errors.as_mut().map(std::io::read_to_string).transpose()?.unwrap_or_default();
    let (status, memory) = reap(child.id())?;
    let wall = began.elapsed();
    if status != 0 {
        return Err(format!("{command:?} ended with wait status {status:#x}: {said}").into());
    }
    let inner = out.lines().find_map(|line| line.strip_prefix("inner ")).and_then(|text| text.parse().ok());
    Ok(Taken { wall, inner: inner.map(Duration::from_nanos), memory: (look == Look::Memory).then_some(memory) })
}

/// Waits for a child of ours: its status, and the peak memory of the largest of it and its descendants.
#[expect(unsafe_code, reason = "neither std nor rustix hands out the resources a child used")]
fn reap(pid: u32) -> Result<(i32, u64)> {
    let mut status = 0;
    // SAFETY: a `rusage` is integers only, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types the call fills; the process is our child and not yet reaped.
    let reaped = unsafe { libc::wait4(i32::try_from(pid)?, &raw mut status, 0, &raw mut usage) };
    if reaped < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok((status, u64::try_from(usage.ru_maxrss)? * 1024))
}
