//! Parton's side of a run: starts the jail, listens, enforces the limits that need a clock, and makes sure of the end.

use super::bait::{Bait, Baits};
use super::canary::Tried;
use super::disk::Disk;
use super::error::Error;
use super::group::Group;
use super::jail::{Exit, Jail, Probe, Report, Status, Stdio, Step, StepExit, Stopped, Wall};
use super::lines::Lines;
use super::memory;
use super::pty::Pty;
use super::sys;
use super::wire::{self, Down, Up, Wire};
use crate::base::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as Io};
use std::time::{Duration, Instant};

/// The hidden first argument by which parton's program is told to become the first process of a jail.
pub const INIT_ARGUMENT: &str = "__jail";

/// The program that becomes the first process of a jail: parton itself.
///
/// Its `main` must call [`super::init`] before anything else when its first argument is [`INIT_ARGUMENT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    pub(super) exe: PathBuf,
}

impl Default for Launcher {
    /// The running program, even if its file was replaced or deleted meanwhile.
    fn default() -> Self {
        Self { exe: PathBuf::from("/proc/self/exe") }
    }
}

impl Launcher {
    /// Another program than the running one; for tests, which run in a program of their own.
    pub fn with_program(exe: impl Into<PathBuf>) -> Self {
        Self { exe: exe.into() }
    }

    pub(super) fn start(&self, stdio: Stdio, socket: UnixStream, output: Option<OwnedFd>) -> io::Result<Child> {
        sys::expect_children();
        let mut command = Command::new(&self.exe);
        command.arg0("parton").arg(INIT_ARGUMENT).env_clear().current_dir("/").stdin(OwnedFd::from(socket));
        // Keys that interrupt are for parton, which then ends the run in order.
        command.process_group(0);
        match (stdio, output) {
            (Stdio::Captured | Stdio::Emulated { .. }, Some(output)) => {
                command.stdout(output.try_clone()?).stderr(output);
            }
            _ => {
                command.stdout(Io::inherit()).stderr(Io::inherit());
            }
        }
        command.spawn()
    }
}

/// Runs the jail's steps. Blocks until they ended or were stopped; then nothing of the run is left: no process, no mount,
/// no descriptor.
///
/// # Errors
/// When a wall can not be built (then nothing was run), a program can not be started, or the sandbox was lost. A program
/// that fails is no error but an [`Exit`].
pub fn run(
    launcher: &Launcher,
    jail: &Jail,
    report: &mut dyn FnMut(Report<'_>),
    cancel: &Cancel,
) -> Result<Exit, Error> {
    check(jail)?;
    run_checked(launcher, jail, report, cancel)
}

pub(super) fn run_checked(
    launcher: &Launcher,
    jail: &Jail,
    report: &mut dyn FnMut(Report<'_>),
    cancel: &Cancel,
) -> Result<Exit, Error> {
    match attempt(launcher, jail, report, cancel)? {
        (exit, None) => Ok(exit),
        (_, Some(error)) => Err(error),
    }
}

/// What became of a run; with what the inside could not do, if that ended it.
pub(super) fn attempt(
    launcher: &Launcher,
    jail: &Jail,
    report: &mut dyn FnMut(Report<'_>),
    cancel: &Cancel,
) -> Result<(Exit, Option<Error>), Error> {
    let began = Instant::now();
    let launch = |source| Error::Launch { exe: launcher.exe.clone(), source };
    let (ours, theirs) = UnixStream::pair().map_err(launch)?;
    let (output, input, pty) = match jail.stdio {
        Stdio::Captured => {
            let (read, write) = io::pipe().map_err(launch)?;
            (Some(File::from(OwnedFd::from(read))), Some(OwnedFd::from(write)), None)
        }
        Stdio::Emulated { columns, rows } => {
            let open = Pty::open(columns, rows);
            let (read, write, pty) = open.map_err(|source| Error::Talk { operation: "open a terminal", source })?;
            (Some(read), Some(write), Some(pty))
        }
        Stdio::Terminal => (None, None, None),
    };
    if let Some(output) = &output {
        rustix::io::ioctl_fionbio(output, true).map_err(|e| launch(e.into()))?;
    }
    let baits = jail.canaries.then(|| Baits::lay(jail));
    let foreground = Foreground::remember(jail.stdio);
    let memory = jail.limits.memory.unwrap_or_else(memory::default_limit);
    let group = Group::make(&jail.limits, memory);
    let child = launcher.start(jail.stdio, theirs, input).map_err(launch)?;
    // It waits for our first word, so that everything it starts will be in there.
    let group = group.filter(|group| group.add(child.id()).is_ok());
    let kills = || group.as_ref().and_then(Group::kills).or_else(memory::kills);
    let before = kills();
    let mut run = Run {
        jail,
        bait: baits.as_ref().map(|baits| baits.told.clone()),
        memory,
        report,
        cancel,
        wire: Wire::new(ours),
        output,
        pty,
        child: Ended(child),
        met: false,
        init: None,
        began,
        step: None,
        heard: began,
        lines: Lines::default(),
        written: 0,
        stopping: None,
        failure: None,
        walls: None,
        done: false,
        probed: 0,
        exit: Exit { steps: Vec::new(), stopped: None, walls: Vec::new(), probes: Vec::new(), setup: Duration::ZERO },
    };
    let result = run.follow();
    let ended = run.end();
    foreground.restore();
    let killed = before.zip(kills()).is_some_and(|(before, after)| after > before);
    // Whoever failed meanwhile, pid 1 included, most likely failed for that; in a group of the run's own it is certain.
    let failed =
        result.is_err() || ended.is_err() || run.exit.steps.last().is_some_and(|s| s.status != Status::Code(0));
    let bounded = group.as_ref().is_some_and(|group| group.kills().is_some());
    if killed && run.exit.stopped.is_none() && (failed || bounded) {
        let own = bounded && group.as_ref().is_some_and(Group::was_full);
        run.exit.stopped = Some(if own { Stopped::Memory(memory) } else { Stopped::OutOfMemory });
    } else {
        result?;
        ended?;
    }
    let Run { failure, walls, mut exit, .. } = run;
    // A run that was stopped before its walls stood has none to show.
    exit.walls = walls.unwrap_or_default();
    if let (Some(group), Some(wall)) = (&group, exit.walls.iter_mut().find(|wall| wall.name == "limits")) {
        wall.by = format!("{}; {}", wall.by, group.bounds());
    }
    let failure = failure.filter(|_| exit.stopped.is_none());
    Ok((exit, failure))
}

/// Refuses what could only be a mistake.
fn check(jail: &Jail) -> Result<(), Error> {
    let invalid = |what: String| Err(Error::Invalid(what));
    let clean = |path: &str| {
        path.starts_with('/')
            && path.len() > 1
            && !path.contains('\0')
            && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    let ours = |path: &str| ["/proc", "/dev"].iter().any(|top| Path::new(path).starts_with(top));
    if jail.root.is_empty() {
        return invalid("the root has no layer".to_owned());
    }
    let bound = jail.binds.iter().map(|b| &b.at);
    let tmp = bound.clone().filter(|at| *at == "/tmp").count();
    let shown = jail.overlays.iter().map(|o| &o.at).chain(bound.filter(|at| *at != "/tmp")).chain(jail.files.keys());
    if tmp > 1 {
        return invalid("'/tmp' is bound twice".to_owned());
    }
    if let Some(at) = jail.overlaid.keys().find(|at| !jail.binds.iter().any(|bind| bind.write && bind.at == **at)) {
        return invalid(format!("'{at}' is to be overlaid, but can't be written"));
    }
    if jail.umask & !0o777 != 0 || jail.umask & 0o700 != 0 {
        return invalid(format!("with the umask {:03o} the steps could not use their own files", jail.umask));
    }
    for at in shown {
        if !clean(at) {
            return invalid(format!("'{at}' is not a clean absolute path"));
        }
        if ours(at) || at == "/tmp" {
            return invalid(format!("'{at}' belongs to the sandbox"));
        }
    }
    for step in &jail.steps {
        if !step.argv.first().is_some_and(|program| program.starts_with('/')) {
            return invalid(format!("step '{}' has no absolute program", step.name));
        }
        if !step.cwd.starts_with('/') {
            return invalid(format!("step '{}' has no absolute working directory", step.name));
        }
        let texts = step.argv.iter().chain(step.env.keys()).chain(step.env.values()).chain([&step.cwd]);
        if texts.into_iter().any(|text| text.contains('\0'))
            || step.env.keys().any(|key| key.is_empty() || key.contains('='))
        {
            return invalid(format!("step '{}' has a malformed argument or variable", step.name));
        }
    }
    if jail.world.cpus.is_some_and(|cpus| !(1..=4096).contains(&cpus)) {
        return invalid("the world's processors must be 1 to 4096".to_owned());
    }
    if jail.world.kernel_release.as_ref().is_some_and(|r| r.len() > 64 || r.contains(['\0', '\n'])) {
        return invalid("the world's kernel release is longer than 64 bytes or not one line".to_owned());
    }
    Ok(())
}

/// How long a step that is to be stopped may take to vanish before pid 1 itself is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How often a wish to stop is looked for.
const CANCEL_EVERY: Duration = Duration::from_millis(50);

struct Run<'a> {
    jail: &'a Jail,
    bait: Option<Bait>,
    /// The limit of memory in force.
    memory: u64,
    report: &'a mut dyn FnMut(Report<'_>),
    cancel: &'a Cancel,
    wire: Wire,
    output: Option<File>,
    /// Our end of it where it is a terminal.
    pty: Option<Pty>,
    child: Ended,
    /// Whether pid 1 introduced itself.
    met: bool,
    /// Pid 1, from outside.
    init: Option<OwnedFd>,
    began: Instant,
    /// The running step and since when.
    step: Option<(usize, Instant)>,
    /// When there was output last.
    heard: Instant,
    lines: Lines,
    written: u64,
    /// When the stop was asked for.
    stopping: Option<Instant>,
    failure: Option<Error>,
    walls: Option<Vec<Wall>>,
    /// Whether pid 1 said that it came to the end.
    done: bool,
    /// How often the walls were tried.
    probed: u32,
    exit: Exit,
}

/// Makes sure that stage 1 is gone whatever happens, and everything else with it.
pub(super) struct Ended(pub(super) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Run<'_> {
    fn follow(&mut self) -> Result<(), Error> {
        let talk = |operation| move |source| Error::Talk { operation, source };
        let input = match self.jail.stdio {
            Stdio::Captured | Stdio::Emulated { .. } => {
                File::open("/dev/null").map(OwnedFd::from).map_err(|source| Error::Wall {
                    wall: "files".to_owned(),
                    operation: "open".to_owned(),
                    object: "/dev/null".to_owned(),
                    source,
                })?
            }
            Stdio::Terminal => io::stdin().as_fd().try_clone_to_owned().map_err(talk("take the standard input"))?,
        };
        wire::expect_introduction(self.wire.as_fd()).map_err(talk("meet the sandbox"))?;
        let mut jail = Box::new(self.jail.clone());
        jail.limits.memory = Some(self.memory);
        let told = wire::send_descriptor(self.wire.as_fd(), input.as_fd())
            .and_then(|()| self.wire.send(&Down::Jail(jail, self.bait.take().map(Box::new))));
        match told {
            // A sandbox that is gone already: the end finds out.
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
            told => told.map_err(talk("tell the sandbox what to build"))?,
        }
        drop(input);
        let mut disk = Disk::new(self.jail);
        loop {
            let (mut wire, output) = self.wait(disk.due()).map_err(talk("wait for the sandbox"))?;
            // A step is announced before it can write, but we may have looked at the wire just before both.
            wire = wire || (output && self.wire.readable());
            if wire && !self.met {
                let pid = match wire::introduced(self.wire.as_fd()) {
                    Err(e) if e.kind() == io::ErrorKind::ConnectionReset => None,
                    pid => pid.map_err(talk("meet the sandbox"))?,
                };
                // Gone without a word: the end finds out.
                let Some(pid) = pid else { return Ok(()) };
                // A short run may be over before we look: then there is no process to hold, but all it said is there.
                (self.met, self.init) = (true, pidfd_open(pid, PidfdFlags::empty()).ok());
                continue;
            }
            if wire {
                let there = self.wire.fill().map_err(talk("listen to the sandbox"))?;
                while let Some(up) = self.wire.take().map_err(talk("understand the sandbox"))? {
                    if !self.hear(up)? {
                        return Ok(());
                    }
                }
                if !there {
                    return Ok(());
                }
            }
            // After a message the next step may be running already: its output is read when its announcement was.
            if output && !wire {
                self.read(false).map_err(talk("read the output"))?;
            }
            let due = disk.due().is_some_and(|due| Instant::now() >= due);
            let found = self.overdue().or_else(|| if due { disk.look() } else { None });
            if let Some(stopped) = found {
                self.stop(stopped);
            }
            if self.stopping.is_some_and(|since| since.elapsed() >= GRACE) {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do; whether the wire and the output have something to read.
    fn wait(&self, disk: Option<Instant>) -> io::Result<(bool, bool)> {
        let mut fds = vec![PollFd::new(&self.wire, PollFlags::IN)];
        if let Some(output) = &self.output {
            fds.push(PollFd::new(output, PollFlags::IN));
        }
        let limits = &self.jail.limits;
        let mut wake = vec![self.began + limits.time.min(Duration::from_secs(1 << 30))];
        wake.extend(disk);
        if let Some((index, since)) = self.step {
            wake.push(self.heard + limits.silence.min(Duration::from_secs(1 << 30)));
            wake.extend(self.jail.steps[index].timeout.map(|t| since + t.min(Duration::from_secs(1 << 30))));
        }
        let now = Instant::now();
        let left = wake.iter().map(|at| at.saturating_duration_since(now)).min().unwrap_or(CANCEL_EVERY);
        // Rounded up, so that a limit is really over when we wake for it.
        let left = left.min(CANCEL_EVERY) + Duration::from_micros(100);
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok((ready(0), ready(1)))
    }

    /// Reads the output: what is there now, at most a piece of it, or (`all`) until nothing is there.
    fn read(&mut self, all: bool) -> io::Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        if let Some(pty) = self.pty.as_ref().filter(|_| all) {
            let rest = pty.rest(output)?;
            self.write_down(&rest);
            return Ok(());
        }
        let mut buffer = [0; 64 << 10];
        let limit = self.jail.limits.output;
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(0) => {
                    self.output = None;
                    return Ok(());
                }
                Ok(n) => {
                    self.write_down(&buffer[..n]);
                    if !all || self.written > limit {
                        return Ok(());
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Takes output that was read, as far as the limit allows.
    fn write_down(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.heard = Instant::now();
        let left = self.jail.limits.output.saturating_sub(self.written);
        let allowed = bytes.len().min(left.try_into().unwrap_or(usize::MAX));
        self.written += bytes.len() as u64;
        let report = &mut self.report;
        self.lines.feed(&bytes[..allowed], &mut |line| report(Report::Line(line)));
    }

    /// Takes a message; `false` when it was the last.
    fn hear(&mut self, up: Up) -> Result<bool, Error> {
        match up {
            Up::Ready(walls) => self.walls = Some(walls),
            Up::Probed(tried) => return self.judge(tried),
            Up::Step(index) if index < self.jail.steps.len() => {
                let now = Instant::now();
                if self.exit.steps.is_empty() {
                    self.exit.setup = now - self.began;
                }
                (self.step, self.heard) = (Some((index, now)), now);
                (self.report)(Report::Step(index));
            }
            // Answers to questions that were not asked, or steps that there are not: it is not what we started.
            Up::Step(_) | Up::Examined(_) => return Ok(false),
            Up::Ended(exit) => {
                // All writers are gone, so that everything the step wrote is in the pipe.
                self.read(true).map_err(|source| Error::Talk { operation: "read the output", source })?;
                let report = &mut self.report;
                self.lines.end(&mut |line| report(Report::Line(line)));
                self.step = None;
                // Nothing follows on a step that failed but the probes, which take any word for the end.
                let well = exit.status == Status::Code(0);
                self.exit.steps.push(exit);
                let more = well && self.exit.steps.len() < self.jail.steps.len();
                if more && self.stopping.is_none() && self.overdue().is_none() {
                    // If it is gone the next look at the wire says so.
                    let _ = self.wire.send(&Down::Next);
                }
            }
            Up::Stopped(why) => {
                self.exit.stopped.get_or_insert(why);
                self.stopping.get_or_insert_with(Instant::now);
            }
            Up::Failed(failure) => {
                let step = self.step.and_then(|(index, _)| self.jail.steps.get(index));
                self.failure = Some(Error::from_inside(failure, step.map(|step: &Step| step.name.as_str())));
                return Ok(false);
            }
            Up::Done => {
                self.done = true;
                if self.jail.canaries && self.probed < 2 && self.stopping.is_none() {
                    return Err(breach(Tried::missing(), self.probed));
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes note of what the probes say; an error if a wall did not hold.
    fn judge(&mut self, tried: Vec<Tried>) -> Result<bool, Error> {
        for tried in tried {
            if !tried.held {
                return Err(breach(tried, self.probed));
            }
            let known = self.exit.probes.iter_mut().find(|probe| probe.wall == tried.wall && probe.name == tried.name);
            match known {
                Some(probe) => probe.times += 1,
                None => {
                    let Tried { wall, name, what: by, .. } = tried;
                    self.exit.probes.push(Probe { wall, name, by, times: 1 });
                }
            }
        }
        self.probed += 1;
        Ok(true)
    }

    /// The limit that was passed, if one was.
    fn overdue(&self) -> Option<Stopped> {
        if self.stopping.is_some() {
            return None;
        }
        let limits = &self.jail.limits;
        if self.cancel.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        if self.written > limits.output {
            return Some(Stopped::Output(limits.output));
        }
        if self.began.elapsed() >= limits.time {
            return Some(Stopped::Time(limits.time));
        }
        let (index, since) = self.step?;
        match self.jail.steps[index].timeout {
            Some(timeout) if since.elapsed() >= timeout => return Some(Stopped::Time(timeout)),
            _ => {}
        }
        let silent = self.jail.stdio != Stdio::Terminal && self.heard.elapsed() >= limits.silence;
        silent.then_some(Stopped::Silence(limits.silence))
    }

    /// Asks pid 1 to end the step; it then tells what the step used.
    fn stop(&mut self, why: Stopped) {
        self.exit.stopped.get_or_insert(why);
        self.stopping = Some(Instant::now());
        let _ = self.wire.send(&Down::Stop);
    }

    /// Ends everything that is left and waits until it is gone.
    fn end(&mut self) -> Result<(), Error> {
        // Pid 1, if it still lives, takes the closed wire for the end of parton.
        let (closed, _) = UnixStream::pair().map_err(|source| Error::Talk { operation: "close the wire", source })?;
        drop(std::mem::replace(&mut self.wire, Wire::new(closed)));
        if let Some(init) = &self.init {
            // Stage 1 is gone when pid 1 is, and that when everything else inside is.
            let patience = if self.stopping.is_some() { Duration::ZERO } else { GRACE };
            let stage_one = pidfd_open(Pid::from_child(&self.child.0), PidfdFlags::empty());
            if !stage_one.is_ok_and(|stage_one| gone(&stage_one, Some(patience))) {
                let _ = pidfd_send_signal(init, Signal::KILL);
            }
            // If somebody killed stage 1, pid 1 is still dying.
            gone(init, None);
        } else {
            let _ = self.child.0.kill();
        }
        let status = self.child.0.wait().map_err(|source| Error::Talk { operation: "wait for the end", source })?;
        let rest = self.read(true);
        let report = &mut self.report;
        self.lines.end(&mut |line| report(Report::Line(line)));
        if let Some((index, since)) = self.step.take() {
            self.exit.steps.push(StepExit {
                name: self.jail.steps[index].name.clone(),
                status: Status::Signal(libc::SIGKILL),
                wall: since.elapsed(),
                cpu: Duration::ZERO,
                peak_memory: 0,
                orphans: 0,
            });
        }
        rest.map_err(|source| Error::Talk { operation: "read the output", source })?;
        if self.exit.steps.is_empty() && self.exit.setup.is_zero() {
            self.exit.setup = self.began.elapsed();
        }
        if !self.done && self.exit.stopped.is_none() && self.failure.is_none() {
            return Err(Error::Lost { status: status.to_string() });
        }
        Ok(())
    }
}

fn breach(tried: Tried, probed: u32) -> Error {
    let when = if probed == 0 { "before the first step" } else { "after the last step" };
    Error::Breached { wall: tried.wall, probe: tried.name, what: tried.what, when }
}

/// Waits until a process is gone, or for so long.
fn gone(process: &OwnedFd, patience: Option<Duration>) -> bool {
    let timeout = patience.map(|d| Timespec { tv_sec: d.as_secs() as i64, tv_nsec: d.subsec_nanos().into() });
    loop {
        match poll(&mut [PollFd::new(process, PollFlags::IN)], timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|ready| ready != 0),
        }
    }
}

/// The terminal's foreground process group before a run, to be put back after it.
struct Foreground(Option<Pid>);

impl Foreground {
    fn remember(stdio: Stdio) -> Self {
        Self((stdio == Stdio::Terminal).then(|| rustix::termios::tcgetpgrp(io::stderr()).ok()).flatten())
    }

    fn restore(self) {
        if let Some(group) = self.0 {
            let _ = sys::without_ttou(|| rustix::termios::tcsetpgrp(io::stderr(), group));
        }
    }
}
