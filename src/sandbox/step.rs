//! One step: from a fork of pid 1 to the step's own program, shedding every right on the way.

use super::bait::Bait;
use super::canary::{self, Tried};
use super::error::{Doing, Failure};
use super::filter;
use super::jail::{Jail, Limits, Stdin, Stdio, Step};
use super::root;
use super::supervise;
use super::sys::{self, Birth, Insn};
use super::wire;
use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

const RIGHTS: &str = "rights";
const CALLS: &str = "system calls";

/// Older versions of landlock can not move a file to another directory.
const LANDLOCK_AT_LEAST: i32 = 2;

/// What all steps of a run have in common, made once.
pub(super) struct Common {
    /// How nice the caller wants its processes to be; pid 1 may be less so.
    nice: i32,
    program: Vec<Insn>,
    listen: bool,
    landlock: ABI,
    /// Its version, for the record.
    pub landlock_version: i32,
}

impl Common {
    /// Compiles the filter and makes sure that the kernel has what steps will need.
    pub(super) fn new(jail: &Jail, nice: i32) -> Result<Self, Failure> {
        let version = sys::landlock_version().wall(RIGHTS, "use", "landlock")?;
        if version < LANDLOCK_AT_LEAST {
            let object = format!("landlock, of which this kernel has version {version}, not {LANDLOCK_AT_LEAST}");
            return Err(rustix::io::Errno::OPNOTSUPP).wall(RIGHTS, "use", object);
        }
        for action in filter::ACTIONS {
            sys::seccomp_knows(action).wall(CALLS, "use", "system call filters")?;
        }
        if jail.world.intercepts() {
            supervise::able()?;
        }
        Ok(Self {
            nice,
            program: filter::program(&jail.world),
            listen: jail.world.intercepts(),
            landlock: ABI::from(version),
            landlock_version: version,
        })
    }

    /// Puts this process, which is good for nothing afterwards, under the filter.
    pub(super) fn try_filter(&self) -> Result<(), Failure> {
        rustix::thread::set_no_new_privs(true).wall(CALLS, "set", "no_new_privs")?;
        sys::seccomp(&self.program, self.listen).map(drop).wall(CALLS, "install", "the filter")
    }

    /// The file rights of a step. To be called inside the new root.
    fn ruleset(&self, jail: &Jail) -> Result<RulesetCreated, Failure> {
        let refuse = |what: String| Failure {
            wall: Some(RIGHTS.to_owned()),
            operation: "set up".to_owned(),
            object: format!("landlock: {what}"),
            errno: std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO),
        };
        let everything = AccessFs::from_all(self.landlock);
        let mut ruleset = Ruleset::default().handle_access(everything).map_err(|e| refuse(e.to_string()))?;
        let scopes = Scope::from_all(self.landlock);
        if !scopes.is_empty() {
            ruleset = ruleset.scope(scopes).map_err(|e| refuse(e.to_string()))?;
        }
        let mut created = ruleset.create().map_err(|e| refuse(e.to_string()))?;
        let mut allow = |path: &str, access| -> Result<(), Failure> {
            let fd = PathFd::new(path).map_err(|e| refuse(e.to_string()))?;
            (&mut created).add_rule(PathBeneath::new(fd, access)).map_err(|e| refuse(e.to_string()))?;
            Ok(())
        };
        allow("/", AccessFs::from_read(self.landlock))?;
        allow("/tmp", everything)?;
        allow("/dev/shm", everything)?;
        for device in root::devices(jail.stdio) {
            // The rights that make no sense for a single file are left out by the kernel's rules.
            allow(&format!("/dev/{device}"), everything & AccessFs::from_file(self.landlock))?;
        }
        for bind in jail.binds.iter().filter(|bind| bind.write) {
            allow(&bind.at, everything)?;
        }
        Ok(created)
    }
}

/// A step that was started.
pub(super) struct Started {
    /// Its first process.
    pub pid: i32,
    /// Where the calls arrive that the world changes.
    pub listener: Option<OwnedFd>,
}

/// Starts a step. `failed` is called in the child if its program can not be executed.
pub(super) fn start(
    jail: &Jail,
    step: &Step,
    common: &Common,
    input: &OwnedFd,
    failed: impl FnOnce(Failure),
) -> Result<Started, Failure> {
    let (ours, theirs) = UnixStream::pair().step("make", "a pair of sockets")?;
    // Who has to answer calls of the child can not stand still until it executes its program.
    let birth = if common.listen { Birth::Copied } else { Birth::Shared };
    let pid = sys::child(birth, || {
        failed(become_step(jail, step, common, input, &theirs));
        127
    })
    .step("make", "a process")?;
    drop(theirs);
    // Without a listener the child has failed and said so.
    let listener = match common.listen {
        true => wire::receive_descriptor(ours.as_fd()).step("receive", "the filter's descriptor")?,
        false => None,
    };
    Ok(Started { pid, listener })
}

/// A probing process that was started.
pub(super) struct Probing {
    /// The process, watched over like a step's.
    pub started: Started,
    /// What it has to say, complete when it has ended.
    pub said: PipeReader,
}

/// Starts a process that is confined as a step's is, but tries the walls instead of executing a program.
pub(super) fn probe(jail: &Jail, bait: &Bait, common: &Common, input: &OwnedFd) -> Result<Probing, Failure> {
    let (ours, theirs) = UnixStream::pair().step("make", "a pair of sockets")?;
    let (said, say) = std::io::pipe().step("make", "a pipe")?;
    let pid = sys::child(Birth::Copied, || {
        let Ok([socket, say]) = sys::keep_only(input.as_fd(), [theirs.as_fd(), say.as_fd()]) else { return 127 };
        let result: Result<Vec<Tried>, Failure> =
            confine(jail, common, socket.as_fd()).map(|()| canary::run(jail, bait));
        drop(socket);
        let sent = serde_json::to_vec(&result).map(|bytes| PipeWriter::from(say).write_all(&bytes));
        if matches!(sent, Ok(Ok(()))) { 0 } else { 127 }
    })
    .step("make", "a process")?;
    drop((theirs, say));
    let listener = match common.listen {
        // Without one it has failed, and says so.
        true => wire::receive_descriptor(ours.as_fd()).step("receive", "the filter's descriptor")?,
        false => None,
    };
    Ok(Probing { started: Started { pid, listener }, said })
}

/// Takes everything from this process that a step may not have. A filter's descriptor goes over the socket.
fn confine(jail: &Jail, common: &Common, socket: BorrowedFd<'_>) -> Result<(), Failure> {
    if common.listen {
        // Pid 1 hides itself, and so its copy. It must see the copy before that has executed its program.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).step("make", "the process dumpable")?;
    }
    limits(jail)?;
    rustix::process::setpriority_process(None, common.nice).wall("limits", "set", "the priority")?;
    shed_rights(jail, common)?;
    let listener = sys::seccomp(&common.program, common.listen).wall(CALLS, "install", "the filter")?;
    match listener {
        Some(listener) => {
            wire::send_descriptor(socket, listener.as_fd()).wall(CALLS, "hand over", "the filter's descriptor")
        }
        None => Ok(()),
    }
}

/// Returns only if the program could not be executed.
fn become_step(jail: &Jail, step: &Step, common: &Common, input: &OwnedFd, socket: &UnixStream) -> Failure {
    let prepare = || -> Result<Command, Failure> {
        let mut command = Command::new(&step.argv[0]);
        command.args(&step.argv[1..]).env_clear().envs(&step.env);
        command.stdin(
            match (jail.stdio, jail.stdin) {
                (Stdio::Terminal, _) => input.try_clone(),
                // The jail's own, whose mode and times can not be changed.
                (_, Stdin::Null) => File::open("/dev/null").map(OwnedFd::from),
                (_, Stdin::Pipe) => std::io::pipe().map(|(read, _)| OwnedFd::from(read)),
                (_, Stdin::File) => empty_file(),
            }
            .step("pass", "the standard input")?,
        );
        match jail.stdio {
            Stdio::Captured | Stdio::Emulated { .. } => {
                rustix::process::setpgid(None, None).step("make", "a process group")?
            }
            Stdio::Terminal => foreground(),
        }
        // Never the caller's, which may be another machine's or fix what shall be random.
        let personality = if jail.world.random_addresses { 0 } else { sys::FIXED_ADDRESSES };
        sys::personality(personality).wall(CALLS, "set", "the personality")?;
        rustix::process::umask(rustix::fs::Mode::from(jail.umask));
        rustix::process::chdir(step.cwd.as_str()).step("enter", &step.cwd)?;
        sys::close_from_on_exec(3).step("close", "descriptors")?;
        confine(jail, common, socket.as_fd())?;
        Ok(command)
    };
    match prepare() {
        Ok(mut command) => {
            let failure: Result<(), _> = Err(command.exec()).step("execute", &step.argv[0]);
            failure.unwrap_err()
        }
        Err(failure) => failure,
    }
}

/// An empty file without a name, which can only be read.
fn empty_file() -> std::io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open("/dev/shm", flags, Mode::from(0o444))?;
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map(OwnedFd::from)
}

/// Makes the step the foreground of the caller's terminal, if there is one.
fn foreground() {
    let _ = rustix::process::setpgid(None, None);
    let group = rustix::process::getpgrp();
    let stderr = std::io::stderr();
    sys::without_ttou(|| {
        // Not a terminal: then there is no foreground to be in.
        let _ = rustix::termios::tcsetpgrp(&stderr, group);
    });
}

/// What a process may have at most, with the names of it; also what the probes ask for.
pub(super) fn resources(limits: &Limits) -> [(Resource, u64, &'static str); 4] {
    [
        // Not 0: that keeps a dump from being written to a file, but where the host has a program for dumps the kernel
        // starts it all the same, outside and as root. 1 is what the kernel takes for never.
        (Resource::Core, 1, "core size"),
        // The kernel counts stage 1 and pid 1 as well.
        (Resource::Nproc, limits.processes.saturating_add(2), "processes"),
        (Resource::Fsize, limits.file_size, "file size"),
        (Resource::Nofile, limits.descriptors, "descriptors"),
    ]
}

fn limits(jail: &Jail) -> Result<(), Failure> {
    for (resource, wanted, name) in resources(&jail.limits) {
        // A host that allows less stays in force.
        let host = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Some(wanted.min(host));
        setrlimit(resource, Rlimit { current: limit, maximum: limit }).wall("limits", "limit", name)?;
    }
    // What is left of the caller's habits becomes the same everywhere.
    let stack = rustix::process::getrlimit(Resource::Stack).maximum;
    let stack = Rlimit { current: Some(stack.unwrap_or(u64::MAX).min(8 << 20)), maximum: stack };
    setrlimit(Resource::Stack, stack).wall("limits", "limit", "stack")
}

fn shed_rights(jail: &Jail, common: &Common) -> Result<(), Failure> {
    let capabilities = || -> rustix::io::Result<()> {
        rustix::thread::clear_ambient_capability_set()?;
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // Past the last one that this kernel has.
                Err(rustix::io::Errno::INVAL) => break,
                Err(e) => return Err(e),
            }
        }
        let locked = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        rustix::thread::set_capabilities_secure_bits(locked)?;
        rustix::thread::set_no_new_privs(true)
    };
    capabilities().wall(RIGHTS, "drop", "capabilities")?;
    let status = common.ruleset(jail)?.restrict_self().map_err(|e| Failure {
        wall: Some(RIGHTS.to_owned()),
        operation: "enforce".to_owned(),
        object: format!("landlock: {e}"),
        errno: libc::EPERM,
    })?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(rustix::io::Errno::PERM).wall(RIGHTS, "enforce", "landlock in full");
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).wall(
        RIGHTS,
        "drop",
        "capabilities",
    )
}
