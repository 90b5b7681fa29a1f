//! The first two processes of a jail.
//!
//! *Stage 1* is parton re-executed: one thread, no open files but the wire and the output. It makes the namespaces, maps
//! the user id and makes *pid 1*, then only waits for it (and lends it its memory, which saves copying it). Pid 1 builds the walls, starts the steps one after the other,
//! reaps everything, answers the calls that the world changes, and ends (and with it, by the kernel's hand, everything
//! inside) when parton goes away, however that happens.

use super::bait::Bait;
use super::canary::{self, Tried};
use super::error::{Doing, Failure};
use super::examine;
use super::jail::{Jail, Status, Stdio, StepExit, Wall};
use super::proc::KERNEL_VERSION;
use super::random::{self, Devices};
use super::root::{self, Machine};
use super::step::{self, Common, Probing, Started};
use super::supervise::Supervisor;
use super::sys::{self, Birth, Change, namespace};
use super::watch::Watch;
use super::wire::{self, Down, Up, Wire};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, Signal};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const USERS: &str = "users";

/// Entry of the re-executed program: becomes the first process of a jail. Standard input must be the wire.
pub fn init() -> ExitCode {
    // None of the caller's habits is anything to us: not its open files, not the machine it pretends to be, not what it did
    // with signals (an ignored one would stay ignored in every step, and without SIGCHLD nobody would be waited for).
    let closed = sys::close_from(3);
    let personality = sys::personality(0);
    let setup = sys::default_signals()
        .and_then(|()| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?))
        .and_then(|()| std::io::stdin().as_fd().try_clone_to_owned());
    let Ok(socket) = setup else { return ExitCode::from(2) };
    let Ok(Some(input)) = wire::receive_descriptor(socket.as_fd()) else { return ExitCode::from(2) };
    let mut wire = Wire::new(UnixStream::from(socket));
    let (jail, bait) = match wire.receive::<Down>() {
        Ok(Some(Down::Jail(mut jail, bait))) => {
            jail.world.settle(sys::clock(libc::CLOCK_REALTIME).0);
            (jail, bait)
        }
        Ok(Some(Down::Examine(jail))) => return answer(&wire, &Up::Examined(examine::run(&jail))),
        // Without any wall: what gets through here could get through there.
        Ok(Some(Down::Control(jail, bait))) => return answer(&wire, &Up::Probed(canary::run(&jail, &bait))),
        _ => return ExitCode::from(2),
    };
    if jail.stdio != Stdio::Terminal
        && let Ok(tty) = fs::OpenOptions::new().read(true).write(true).open("/dev/tty")
    {
        // Not by a session of its own: the kernel may schedule that as a newcomer, which costs milliseconds on a busy
        // machine. The file opens only where there is a terminal to leave.
        let _ = sys::leave_terminal(tty.as_fd());
    }
    let ours = closed
        .wall("files", "close", "the caller's descriptors")
        .and_then(|()| personality.wall("system calls", "set", "the personality"));
    // Before it may be changed.
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    let privileged = match ours.and_then(|()| separate(&jail)) {
        Ok(privileged) => privileged,
        Err(failure) => {
            let _ = wire::introduce(wire.as_fd());
            return report(&wire, Err(failure));
        }
    };
    // The kernel lets no process share memory with one of another time namespace.
    let birth = if jail.world.uptime_offset == 0 { Birth::Shared } else { Birth::Copied };
    let made = sys::child(birth, || {
        let _ = wire::introduce(wire.as_fd());
        pid_one(&jail, bait.as_deref(), &mut wire, &input, privileged, nice).into()
    });
    match made {
        // Nothing of the run depends on this process any more but its life.
        Ok(pid) => while !matches!(sys::wait(true), Ok(Some((ended, ..))) if ended == pid) {},
        Err(error) => {
            let _ = wire::introduce(wire.as_fd());
            return report(&wire, Err(error).wall("processes", "make", "pid 1"));
        }
    }
    // The child may have used this memory: nothing of it is touched again.
    sys::exit_now(0)
}

fn answer(wire: &Wire, up: &Up) -> ExitCode {
    ExitCode::from(if wire.send(up).is_ok() { 0 } else { 2 })
}

/// Says how it ended; the exit code.
fn report(wire: &Wire, result: Result<(), Failure>) -> ExitCode {
    ExitCode::from(last_words(wire, result))
}

fn last_words(wire: &Wire, result: Result<(), Failure>) -> u8 {
    let sent = match result {
        Ok(()) => wire.send(&Up::Done),
        Err(failure) => wire.send(&Up::Failed(failure)),
    };
    if sent.is_ok() { 0 } else { 2 }
}

/// Makes the namespaces. Whether the kernel takes us for the real root, whose processes it does not count.
fn separate(jail: &Jail) -> Result<bool, Failure> {
    use namespace::*;
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let privileged = uid == 0
        && fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]));
    if privileged {
        // Only privilege can leave groups; without it they stay, without any file inside to be good for.
        let _ = rustix::thread::set_thread_groups(&[]);
    }
    if privileged && !pid_max_is_per_namespace(&rustix::system::uname().release().to_string_lossy()) {
        // Nothing but pid 1 may be there to stop a fork bomb then: it must not have to queue up behind it.
        let _ = rustix::process::setpriority_process(None, -20);
    }
    let mut spaces = vec![
        (USER, USERS, "user namespace"),
        (MOUNT, "files", "mount namespace"),
        (PID, "processes", "pid namespace"),
        (NET, "network", "net namespace"),
        (IPC, "memory", "ipc namespace"),
        (UTS, "names", "uts namespace"),
        (CGROUP, "groups", "cgroup namespace"),
    ];
    if jail.world.uptime_offset != 0 {
        spaces.push((TIME, "clock", "time namespace"));
    }
    let all = spaces.iter().fold(0, |all, (one, ..)| all | one);
    if let Err(together) = sys::unshare(all) {
        // One by one, to find out which it was.
        for (one, wall, name) in spaces {
            sys::unshare(one).wall(wall, "unshare", name)?;
        }
        return Err(together).wall(USERS, "unshare", "all namespaces together");
    }
    map_ids(jail.uid, uid, gid)?;
    if jail.world.uptime_offset != 0 {
        set_time_offsets(jail.world.uptime_offset)?;
    }
    Ok(privileged)
}

/// Maps one id of a new user namespace to the user and group that made it.
pub(super) fn map_ids(inside: u32, uid: u32, gid: u32) -> Result<(), Failure> {
    let map = |file: &str, text: String| fs::write(file, text).wall(USERS, "write", file);
    map("/proc/self/setgroups", "deny".to_owned())?;
    map("/proc/self/uid_map", format!("{inside} {uid} 1"))?;
    map("/proc/self/gid_map", format!("{inside} {gid} 1"))
}

/// Shifts the clocks of a new time namespace, which children will be in.
pub(super) fn set_time_offsets(seconds: u64) -> Result<(), Failure> {
    let file = "/proc/self/timens_offsets";
    fs::write(file, format!("monotonic {seconds} 0\nboottime {seconds} 0\n")).wall("clock", "write", file)
}

fn pid_one(jail: &Jail, bait: Option<&Bait>, wire: &mut Wire, input: &OwnedFd, privileged: bool, nice: i32) -> u8 {
    let built = build(jail, privileged, nice);
    let (common, walls, meminfo) = match built {
        Ok(built) => built,
        Err(failure) => return last_words(wire, Err(failure)),
    };
    if wire.send(&Up::Ready(walls)).is_err() {
        return 2;
    }
    let signals = match sys::child_signals().step("watch", "for ended processes") {
        Ok(signals) => signals,
        Err(failure) => return last_words(wire, Err(failure)),
    };
    let random = match jail.world.random.map(|_| random::open_devices()).transpose() {
        Ok(random) => random,
        Err(failure) => return last_words(wire, Err(failure)),
    };
    let result = Inside { jail, bait, common, input, signals, meminfo, random }.run(wire);
    last_words(wire, result)
}

fn build(jail: &Jail, privileged: bool, nice: i32) -> Result<(Common, Vec<Wall>, Option<fs::File>), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).wall("processes", "tie", "pid 1 to parton")?;
    rustix::process::umask(rustix::fs::Mode::from(0o022));
    let common = Common::new(jail, nice)?;
    rustix::system::sethostname(jail.hostname.as_bytes()).wall("names", "set", "the host name")?;
    rustix::system::setdomainname(jail.domainname.as_bytes()).wall("names", "set", "the domain name")?;
    let others = sys::loopback_up().wall("network", "switch on", "the loopback device")?;
    let cpus = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    let uname = rustix::system::uname();
    let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    let (release, version) = match &jail.world.kernel_release {
        Some(release) => (release.clone(), KERNEL_VERSION.to_owned()),
        None => (text(uname.release()), text(uname.version())),
    };
    let machine = Machine { cpus, release, version };
    let kernel = text(uname.release());
    let mut meminfo = None;
    root::enter(jail, &machine, |proc| {
        // The true one, before another may be laid over it.
        meminfo = fs::File::open(proc.join("meminfo")).ok();
        number_processes(jail, privileged, &kernel, proc)
    })?;
    // From here on the builder, which has the same user id, can not look into this process.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).wall("processes", "hide", "pid 1")?;
    let walls = walls(jail, &common, &others);
    Ok((common, walls, meminfo))
}

/// Sets where process ids begin, and their highest where that is the only way to bound the number of processes.
fn number_processes(jail: &Jail, privileged: bool, kernel: &str, proc: &Path) -> Result<(), Failure> {
    let settings = proc.join("sys/kernel");
    let base = jail.world.pid_base.unwrap_or(0);
    if privileged && pid_max_is_per_namespace(kernel) {
        // The kernel starts over at 300 when the highest is reached.
        let highest = u64::from(base).max(300) + jail.limits.processes.clamp(32, 4_000_000);
        fs::write(settings.join("pid_max"), highest.min(4_194_304).to_string()).wall("limits", "set", "pid_max")?;
    }
    if base != 0 {
        fs::write(settings.join("ns_last_pid"), base.to_string()).wall("processes", "set", "the first process id")?;
    }
    Ok(())
}

/// Before Linux 6.14 the highest process id was one for the whole machine, and must not be touched.
pub(super) fn pid_max_is_per_namespace(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 14)
}

fn walls(jail: &Jail, common: &Common, devices: &[String]) -> Vec<Wall> {
    let network = match devices {
        [] => "net namespace with a loopback only".to_owned(),
        // Tunnel templates that some kernels put into every namespace; all are down and lead nowhere.
        some => format!("net namespace with a loopback; {} down and unconfigured", some.join(", ")),
    };
    let clock = match (jail.world.clock_offset, jail.world.uptime_offset) {
        (0, _) => "monotonic time of a time namespace",
        (_, 0) => "real time answered by pid 1",
        _ => "real time answered by pid 1, monotonic time of a time namespace",
    };
    let mut walls = vec![
        ("clock", clock.to_owned()),
        ("files", "mount namespace, pivot_root, read-only overlay".to_owned()),
        ("groups", "cgroup namespace".to_owned()),
        ("limits", "rlimits; memory, processes, descriptors, time, silence, output and disk watched".to_owned()),
        ("memory", "ipc namespace".to_owned()),
        ("names", "uts namespace".to_owned()),
        ("network", network),
        ("processes", "pid namespace, fresh /proc, everything unknown in it covered".to_owned()),
        ("rights", format!("no capabilities, no_new_privs, landlock {}", common.landlock_version)),
        ("system calls", "seccomp filter".to_owned()),
        ("users", "user namespace with a single id".to_owned()),
        ("world", "facts of the machine answered by pid 1".to_owned()),
    ];
    walls.retain(|(name, _)| match *name {
        "clock" => jail.world.uptime_offset != 0 || jail.world.clock_offset != 0,
        "world" => jail.world.intercepts(),
        _ => true,
    });
    walls.into_iter().map(|(name, by)| Wall { name: name.to_owned(), by }).collect()
}

/// How the wait for a step ended.
enum Ending {
    /// Its own process ended.
    Itself(Status),
    /// Parton asked to stop it, or a limit was passed.
    Cut,
    /// Parton is gone.
    Alone,
}

/// What all processes that pid 1 starts have in common.
struct Inside<'a> {
    jail: &'a Jail,
    bait: Option<&'a Bait>,
    common: Common,
    input: &'a OwnedFd,
    signals: OwnedFd,
    /// The host's `/proc/meminfo`, if it is needed.
    meminfo: Option<fs::File>,
    /// The writing end of what stands for the random devices, if they are ours.
    random: Option<OwnedFd>,
}

impl Inside<'_> {
    fn run(&self, wire: &mut Wire) -> Result<(), Failure> {
        // A run that was cut short is not probed again: it has no result that could be worth anything.
        if self.probe(wire)? && self.steps(wire)? {
            self.probe(wire)?;
        }
        Ok(())
    }

    /// Tries the walls, if that is wanted; whether all held.
    fn probe(&self, wire: &mut Wire) -> Result<bool, Failure> {
        let Some(bait) = self.bait else { return Ok(true) };
        let Probing { started, said } = step::probe(self.jail, bait, &self.common, self.input)?;
        let mut guard = self.guard(started)?;
        let ending = guard.watch(wire, &self.signals)?;
        guard.end_all();
        match ending {
            Ending::Itself(_) => {}
            Ending::Cut => return Ok(false),
            Ending::Alone => sys::exit_now(2),
        }
        let tried = serde_json::from_reader::<_, Result<Vec<Tried>, Failure>>(said).map_err(std::io::Error::from);
        let tried = tried.wall("rights", "hear", "the probes of the walls")??;
        let held = tried.iter().all(|tried| tried.held);
        wire.send(&Up::Probed(tried)).step("tell", "parton")?;
        Ok(held)
    }

    /// Runs the steps; whether they came to their end, good or bad, by themselves.
    fn steps(&self, wire: &mut Wire) -> Result<bool, Failure> {
        for (index, step) in self.jail.steps.iter().enumerate() {
            let gone = |result: std::io::Result<()>| result.step("tell", "parton");
            gone(wire.send(&Up::Step(index)))?;
            let begun = Instant::now();
            let used = sys::usage_of_children().cpu;
            let started = step::start(self.jail, step, &self.common, self.input, |failure| {
                // In the child. If parton can not hear it, it is gone and so are we.
                let _ = wire.send(&Up::Failed(failure));
            })?;
            let mut guard = self.guard(started)?;
            let ending = guard.watch(wire, &self.signals)?;
            if matches!(ending, Ending::Alone) {
                sys::exit_now(2);
            }
            let (killed, own) = guard.end_all();
            let status = match ending {
                Ending::Itself(status) => status,
                _ => own.unwrap_or(Status::Signal(libc::SIGKILL)),
            };
            if let (Ending::Itself(status), Some(met)) = (&ending, guard.watch.met())
                && *status != Status::Code(0)
            {
                gone(wire.send(&Up::Stopped(met)))?;
            }
            gone(wire.send(&Up::Ended(StepExit {
                name: step.name.clone(),
                status,
                wall: begun.elapsed(),
                cpu: sys::usage_of_children().cpu.saturating_sub(used),
                peak_memory: guard.peak,
                orphans: if matches!(ending, Ending::Itself(_)) { killed } else { 0 },
            })))?;
            if matches!(ending, Ending::Cut) {
                return Ok(false);
            }
            let last = index + 1 == self.jail.steps.len();
            if last || status != Status::Code(0) {
                break;
            }
            match wire.receive::<Down>() {
                Ok(Some(Down::Next)) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn guard(&self, started: Started) -> Result<Guard<'_>, Failure> {
        Ok(Guard {
            pid: started.pid,
            peak: 0,
            supervisor: started.listener.map(|fd| Supervisor::new(fd, &self.jail.world)),
            random: self.random.as_ref().zip(self.jail.world.random).map(|(to, seed)| Devices::new(to, seed)),
            watch: Watch::new(&self.jail.limits, self.jail.tmp_size, self.meminfo.as_ref()).step("watch", "/proc")?,
        })
    }
}

/// Watches over the processes of one step.
struct Guard<'a> {
    pid: i32,
    peak: u64,
    supervisor: Option<Supervisor>,
    /// Feeds those who read the random devices.
    random: Option<Devices<'a>>,
    watch: Watch,
}

impl Guard<'_> {
    fn watch(&mut self, wire: &mut Wire, signals: &OwnedFd) -> Result<Ending, Failure> {
        loop {
            let listener = self.supervisor.as_ref().map(Supervisor::listener);
            let mut fds = vec![PollFd::new(&*wire, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
            let (mut asked, mut wanted) = (usize::MAX, usize::MAX);
            if let Some(listener) = &listener {
                asked = fds.len();
                fds.push(PollFd::new(listener, PollFlags::IN));
            }
            if let Some(devices) = &self.random {
                wanted = fds.len();
                fds.push(PollFd::new(devices.to, PollFlags::OUT));
            }
            let held = self.supervisor.as_ref().and_then(Supervisor::patience);
            let look = self.watch.patience();
            let timeout = held.map_or(look, |held| held.min(look));
            let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e).step("wait", "for the step"),
            }
            let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            if !ready[0].is_empty() {
                return Ok(match wire.receive::<Down>() {
                    Ok(Some(_)) => Ending::Cut,
                    Ok(None) | Err(_) => Ending::Alone,
                });
            }
            if let Some(supervisor) = &mut self.supervisor {
                if ready.get(asked).is_some_and(|r| r.contains(PollFlags::IN)) {
                    supervisor.serve();
                    if let Some(failure) = supervisor.refused() {
                        return Err(failure);
                    }
                }
                supervisor.look_after();
            }
            if let Some(devices) = &mut self.random
                && ready.get(wanted).is_some_and(|r| r.contains(PollFlags::OUT))
            {
                devices.feed();
            }
            if !ready[1].is_empty() {
                let mut drained = [0; 512];
                while rustix::io::read(signals, &mut drained).is_ok_and(|n| n != 0) {}
                if let Some(status) = self.reap() {
                    return Ok(Ending::Itself(status));
                }
            }
            if let Some(stopped) = self.watch.look() {
                return match wire.send(&Up::Stopped(stopped)) {
                    Ok(()) => Ok(Ending::Cut),
                    Err(_) => Ok(Ending::Alone),
                };
            }
        }
    }

    /// Takes note of everything that changed; the status when the step's own process ended.
    fn reap(&mut self) -> Option<Status> {
        let mut own = None;
        while let Ok(Some((pid, status, usage))) = sys::wait(false) {
            self.peak = self.peak.max(usage.peak);
            let ended = match sys::change(status) {
                Change::Exited(code) => Status::Code(code),
                Change::Killed(signal) => Status::Signal(signal),
                stop => {
                    if let Some(supervisor) = &mut self.supervisor {
                        supervisor.stopped(pid, stop);
                    }
                    continue;
                }
            };
            if let Some(supervisor) = &mut self.supervisor {
                supervisor.gone(pid);
            }
            if pid == self.pid {
                own = Some(ended);
            }
        }
        own
    }

    /// Kills and reaps everything that is left; how many had to be killed, and the own process's status if it was left.
    fn end_all(&mut self) -> (u64, Option<Status>) {
        let (mut killed, mut own) = (0, None);
        sys::kill_everybody_else();
        // Nobody answers calls any more; all that wait for an answer are dying.
        self.supervisor = None;
        while let Ok(Some((pid, status, usage))) = sys::wait(true) {
            self.peak = self.peak.max(usage.peak);
            match sys::change(status) {
                Change::Exited(code) if pid == self.pid => own = Some(Status::Code(code)),
                Change::Killed(signal) if pid == self.pid => own = Some(Status::Signal(signal)),
                Change::Killed(libc::SIGKILL) => killed += 1,
                _ => {}
            }
            sys::kill_everybody_else();
        }
        (killed, own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_share_one_highest_process_id() {
        assert!(!pid_max_is_per_namespace("6.1.0-40-amd64"));
        assert!(!pid_max_is_per_namespace("5.19"));
        assert!(pid_max_is_per_namespace("6.14.0"));
        assert!(pid_max_is_per_namespace("7.0-rc1"));
    }
}
