//! What this host gives: each wall tried on its own, so that all that is missing is found at once and not only the first.

use super::error::{Doing, Failure};
use super::init::{map_ids, set_time_offsets};
use super::jail::{Jail, World};
use super::root;
use super::step::Common;
use super::sys::{self, Birth, namespace};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::io::Write as _;

/// A wall, what it is made of, and why it can't be built, if it can't.
pub(super) type Examined = (String, String, Option<Failure>);

type Attempt = fn(&Jail) -> Result<(), Failure>;

/// Every wall, what it is made of, and how it is built alone.
const WALLS: [(&str, &str, Attempt); 11] = [
    ("users", "user namespace", |jail| enter(jail, "users", 0, "user namespace")),
    ("files", "mount namespace, overlayfs, pivot_root", files),
    ("processes", "pid namespace, a /proc of its own", processes),
    ("network", "net namespace, a loopback of its own", network),
    ("memory", "ipc namespace", |jail| enter(jail, "memory", namespace::IPC, "ipc namespace")),
    ("names", "uts namespace", |jail| enter(jail, "names", namespace::UTS, "uts namespace")),
    ("groups", "cgroup namespace", |jail| enter(jail, "groups", namespace::CGROUP, "cgroup namespace")),
    ("clock", "time namespace", clock),
    ("rights", "landlock, no new privileges", |jail| Common::new(jail, 0).map(drop)),
    ("system calls", "seccomp filter", |jail| Common::new(jail, 0)?.try_filter()),
    ("world", "seccomp filter that asks pid 1", world),
];

/// Tries to build every wall, each in a process of its own. Changes nothing outside of those.
pub(super) fn run(jail: &Jail) -> Vec<Examined> {
    WALLS.iter().map(|(wall, by, build)| ((*wall).to_owned(), (*by).to_owned(), apart(|| build(jail)).err())).collect()
}

fn files(jail: &Jail) -> Result<(), Failure> {
    enter(jail, "files", namespace::MOUNT, "mount namespace")?;
    root::rehearse()
}

fn processes(jail: &Jail) -> Result<(), Failure> {
    enter(jail, "processes", namespace::PID | namespace::MOUNT, "pid namespace")?;
    // Only children are in the new namespace.
    apart(|| {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).wall("files", "make private", "/")?;
        mount("proc", "/proc", "proc", MountFlags::empty(), None).wall("processes", "mount", "/proc")
    })
}

fn network(jail: &Jail) -> Result<(), Failure> {
    enter(jail, "network", namespace::NET, "net namespace")?;
    sys::loopback_up().map(drop).wall("network", "switch on", "the loopback device")
}

fn clock(jail: &Jail) -> Result<(), Failure> {
    enter(jail, "clock", namespace::TIME, "time namespace")?;
    set_time_offsets(1)
}

fn world(jail: &Jail) -> Result<(), Failure> {
    let world = World { clock_offset: 1, ..World::default() };
    Common::new(&Jail { world, ..jail.clone() }, 0)?.try_filter()
}

/// A user namespace, and in it the one that makes this wall.
fn enter(jail: &Jail, wall: &str, kind: i32, name: &str) -> Result<(), Failure> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    sys::unshare(namespace::USER).wall("users", "unshare", "user namespace")?;
    map_ids(jail.uid, uid, gid)?;
    sys::unshare(kind).wall(wall, "unshare", name)
}

/// Does something in a process of its own.
fn apart(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let (said, mut say) = std::io::pipe().step("make", "a pipe")?;
    let result = sys::child(Birth::Copied, || {
        let sent = serde_json::to_vec(&work()).map(|bytes| say.write_all(&bytes));
        i32::from(!matches!(sent, Ok(Ok(()))))
    });
    result.step("make", "a process")?;
    drop(say);
    let heard = serde_json::from_reader::<_, Result<(), Failure>>(said).map_err(std::io::Error::from);
    let _ = sys::wait(true);
    heard.step("hear", "a process that tries a wall")?
}
