//! Why a run could not take place. A command that fails inside is not an error: see [`super::Exit`].

use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// Why the sandbox could not be built or was lost. Nothing ran outside of it, and nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The description contradicts itself; nothing was started.
    #[error("the description of the sandbox is wrong: {0}")]
    Invalid(String),
    /// Parton could not start itself as the sandbox's first process.
    #[error("start {} as the first process of the sandbox: {source}", exe.display())]
    Launch {
        /// The program.
        exe: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A wall can not be built on this host, so nothing was run.
    #[error("the sandbox's wall '{wall}' can not be built: {operation} {object}: {source}")]
    Wall {
        /// Which one, as in [`super::Wall::name`].
        wall: String,
        /// What was being done.
        operation: String,
        /// To what.
        object: String,
        /// Why not.
        source: io::Error,
    },
    /// A wall that was built let a probe through, or could not be tried. Nothing that ran behind it counts.
    #[error("the sandbox's wall '{wall}' does not hold ({when}): {probe}: {what}")]
    Breached {
        /// Which one, as in [`super::Wall::name`].
        wall: String,
        /// What was tried, as in [`super::Probe::name`].
        probe: String,
        /// What was got, or why it could not be tried.
        what: String,
        /// Before the first step, or after the last.
        when: &'static str,
    },
    /// A step's program could not be started inside.
    #[error("step '{step}' can not be started: {operation} {object}: {source}")]
    Step {
        /// The step's name.
        step: String,
        /// What was being done.
        operation: String,
        /// To what.
        object: String,
        /// Why not.
        source: io::Error,
    },
    /// The sandbox's first process ended without a word: somebody killed it, or memory ran out.
    #[error("the first process of the sandbox was lost ({status})")]
    Lost {
        /// Its exit status.
        status: String,
    },
    /// Talking to the sandbox failed.
    #[error("{operation}: {source}")]
    Talk {
        /// What was being done.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// What a person can do about it, if that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Wall { wall, operation, object, source } => advice(wall, operation, object, source),
            Self::Breached { .. } => Some(
                "do not build on this machine before this is understood: `parton doctor -v` tries every wall again; if the \
                 kernel is not at fault, parton is (SECURITY.md says how to report it)"
                    .to_owned(),
            ),
            Self::Launch { exe, .. } if exe.starts_with("/proc") => {
                Some("parton starts itself anew by way of /proc: mount it (`mount -t proc proc /proc`)".to_owned())
            }
            Self::Lost { .. } => Some("look into the kernel's log (dmesg) for a kill for lack of memory".to_owned()),
            _ => None,
        }
    }

    /// A failure that the inside reported. `steps` are the names of the jail's steps.
    pub(super) fn from_inside(failure: Failure, step: Option<&str>) -> Self {
        let Failure { wall, operation, object, errno } = failure;
        let source = io::Error::from_raw_os_error(errno);
        match wall {
            Some(wall) => Self::Wall { wall, operation, object, source },
            None => Self::Step { step: step.unwrap_or("?").to_owned(), operation, object, source },
        }
    }
}

/// What to do about a wall that can't be built. The words are for whoever runs this machine, or the container parton is in.
fn advice(wall: &str, operation: &str, object: &str, source: &io::Error) -> Option<String> {
    const NESTED: &str = "inside a container: start that container with user namespaces allowed (docker: \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined)";
    const OLD: &str =
        "needs Linux 5.19 or newer; an old container runtime may answer so for calls that it does not know";
    let errno = source.raw_os_error();
    let text = match (wall, operation) {
        (_, "unshare") => unshare(wall, object, errno, NESTED),
        ("users", "write") if errno == Some(libc::EROFS) => {
            "the user id can not be mapped because /proc is mounted read-only: mount it writable (the parts of it that are not \
             about single processes may stay read-only only outside of a container)"
                .to_owned()
        }
        ("users", "write") => format!(
            "the user id can not be mapped: {object} is refused. Root of a container needs CAP_SETFCAP for that (docker: \
             --cap-add SETFCAP), an ordinary user needs nothing (docker: --user 1000). On Ubuntu `sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0`; {NESTED}"
        ),
        ("processes", "mount") if errno == Some(libc::EPERM) => format!(
            "a fresh /proc is refused because parts of this host's /proc are hidden; {NESTED}"
        ),
        ("files", "mount") if object.contains("overlay") => match errno {
            Some(libc::ENODEV) => "this kernel has no overlay file system: `modprobe overlay`".to_owned(),
            Some(libc::EPERM) => {
                format!("overlay file systems in user namespaces need Linux 5.11 or newer, and nobody who forbids them; {NESTED}")
            }
            _ => "overlayfs refuses these layers: they must be directories, not on NFS without extended attributes, and on no \
                  more than one overlay (two overlays are all that the kernel stacks; in a container put the store on a volume)"
                .to_owned(),
        },
        ("files", "open") if object.starts_with("/dev/") => {
            format!("this host has no {object}; a container gets it from its runtime, a chroot from `mount --rbind /dev`")
        }
        ("files", "show") if object.contains("noexec") => {
            "what is built there could not be run: mount the file system of the store with `exec`, or name another place with \
             --store or PARTON_STORE"
                .to_owned()
        }
        ("system calls", _) if errno == Some(libc::EBUSY) => {
            "an outer sandbox listens to system calls already, of which the kernel allows only one: run parton outside of it, or \
             without its listener"
                .to_owned()
        }
        ("system calls", "install" | "use") if object.contains("filter") => {
            format!("needs Linux 5.19 or newer with CONFIG_SECCOMP_FILTER, and nobody who forbids it; {NESTED}")
        }
        ("files" | "processes" | "system calls" | "network" | "names", _) if errno == Some(libc::ENOSYS) => OLD.to_owned(),
        ("rights", _) if object.contains("landlock") => {
            "needs Linux 5.19 or newer with landlock switched on: CONFIG_SECURITY_LANDLOCK=y, and `landlock` in the list \
             of /sys/kernel/security/lsm (boot parameter lsm=); an outer sandbox must not forbid it"
                .to_owned()
        }
        ("system calls", "trace") => format!(
            "the programs of a varied round must be traced as they start: `sysctl kernel.yama.ptrace_scope=1` where that is 3; \
             {NESTED}"
        ),
        ("clock", _) => "needs a kernel with time namespaces (CONFIG_TIME_NS)".to_owned(),
        ("network", "switch on") => "this kernel gives new net namespaces no loopback device that can be used".to_owned(),
        _ if matches!(errno, Some(libc::EPERM | libc::EACCES)) => format!("an outer sandbox forbids it; {NESTED}"),
        _ => return None,
    };
    Some(text)
}

/// The same for new namespaces.
fn unshare(wall: &str, object: &str, errno: Option<i32>, nested: &str) -> String {
    match (wall, errno) {
        ("users", Some(libc::ENOSPC)) => {
            "no more user namespaces are allowed: raise the limit with `sysctl user.max_user_namespaces=15000`"
                .to_owned()
        }
        ("users", Some(libc::EPERM)) => format!(
            "user namespaces are forbidden for you: `sysctl kernel.unprivileged_userns_clone=1` where that exists \
             (Debian), `sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), or {nested}. In a chroot the kernel \
             forbids them to everybody: enter it by pivot_root, as containers do"
        ),
        ("users", _) => "this kernel has no user namespaces (CONFIG_USER_NS)".to_owned(),
        (_, Some(libc::ENOSPC)) => {
            format!("no more namespaces of this kind are allowed: raise the limit in /proc/sys/user for the {object}")
        }
        (_, Some(libc::EINVAL)) => format!("this kernel has no {object}"),
        _ => format!(
            "new namespaces give you no rights here: `sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), or {nested}"
        ),
    }
}

/// An error on its way out of the jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The wall that could not be built; without, a step could not be started.
    pub wall: Option<String>,
    pub operation: String,
    pub object: String,
    pub errno: i32,
}

/// Says what was being done to what, so that an error number becomes a [`Failure`].
pub(super) trait Doing<T> {
    /// While building this wall.
    fn wall(self, wall: &str, operation: &str, object: impl Into<String>) -> Result<T, Failure>;
    /// While starting a step.
    fn step(self, operation: &str, object: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn wall(self, wall: &str, operation: &str, object: impl Into<String>) -> Result<T, Failure> {
        self.step(operation, object).map_err(|failure| Failure { wall: Some(wall.to_owned()), ..failure })
    }

    fn step(self, operation: &str, object: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            wall: None,
            operation: operation.to_owned(),
            object: object.into(),
            errno: error.into().raw_os_error().unwrap_or(libc::EIO),
        })
    }
}
