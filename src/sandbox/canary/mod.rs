//! Canaries: probes that try every wall from inside.
//!
//! Before the first step of a run and after its last one, pid 1 makes a process exactly as it makes a step's (the same
//! limits, rights, filter, world) which then, instead of executing a program, tries to get through each wall and tells
//! what stopped it. What it reaches for is really there outside ([`super::bait`]). One probe that gets through, or that
//! could not be tried, ends the run.
//!
//! The same probes can be run without any jail ([`run`] does not know where it is): that most of them get through there
//! is the proof that they can fail. None of them changes anything where it succeeds.

mod network;
mod places;
mod rights;

use super::bait::Bait;
use super::filter::{ABSENT, REFUSED};
use super::jail::Jail;
use rustix::net::{AddressFamily, SocketType};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The wall it tried, as in [`super::Wall::name`].
    pub wall: String,
    /// What it tried.
    pub name: String,
    /// Whether it was stopped.
    pub held: bool,
    /// By what it was stopped, or what it got.
    pub what: String,
}

impl Tried {
    /// What stands for probes that were not made although they should have been.
    pub(super) fn missing() -> Self {
        let what = "the probes were not made".to_owned();
        Self { wall: "rights".to_owned(), name: "all probes".to_owned(), held: false, what }
    }
}

/// `Ok`: what stopped it. `Err`: what it got.
type Attempt = Result<String, String>;

/// A probe: the wall it tries, what it tries, and how.
type Probe = (&'static str, &'static str, fn(&View<'_>) -> Attempt);

/// The probes, in the order in which they are made.
const PROBES: &[Probe] = &[
    ("network", "the host's IPv4 loopback", |view| network::tcp(view.bait.tcp[0], Ipv4Addr::LOCALHOST.into())),
    ("network", "the host's IPv6 loopback", |view| network::tcp(view.bait.tcp[1], Ipv6Addr::LOCALHOST.into())),
    ("network", "a route out, IPv4", |_| network::route((Ipv4Addr::UNSPECIFIED, 0).into(), ([192, 0, 2, 1], 9).into())),
    ("network", "a route out, IPv6", |_| {
        network::route((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
    }),
    ("network", "the host's abstract sockets", network::abstract_socket),
    ("network", "devices, by netlink", |_| network::links()),
    ("network", "changing a device, by netlink", |_| network::change_link()),
    ("network", "raw packets", |_| {
        network::socket(AddressFamily::INET, SocketType::RAW, Some(rustix::net::ipproto::ICMP))
    }),
    ("network", "packet sockets", |_| network::socket(AddressFamily::PACKET, SocketType::RAW, None)),
    ("network", "vsock", |_| network::socket(AddressFamily::VSOCK, SocketType::STREAM, None)),
    ("files", "the host's files", places::host_files),
    ("files", "what is above the root", |_| places::above_the_root()),
    ("files", "the table of mounts", places::mount_table),
    ("files", "writing to inputs", places::write_inputs),
    ("files", "hard links to inputs", places::link_input),
    ("files", "devices", places::foreign_devices),
    ("files", "making a device node", |_| places::device_node()),
    ("files", "/sys", |_| places::nothing_in(Path::new("/sys"))),
    ("processes", "other processes", places::other_processes),
    ("processes", "signals to the host's processes", places::signal_outside),
    ("processes", "the memory of pid 1", |_| places::pid_one("mem")),
    ("processes", "the root of pid 1", |_| places::pid_one("root")),
    ("processes", "the environment of pid 1", |_| places::pid_one("environ")),
    ("processes", "facts of the host in /proc", places::proc_facts),
    ("processes", "writing to /proc/sys", |_| places::write_setting()),
    ("memory", "the host's shared memory", rights::shared_memory),
    ("names", "host and domain name", rights::names),
    ("names", "identities of the machine", rights::identities),
    ("users", "user and group ids", rights::ids),
    ("users", "becoming another user", rights::become_another),
    ("rights", "capabilities", |_| rights::status(&["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], 16, 0)),
    ("rights", "gaining rights by executing", |_| rights::status(&["NoNewPrivs"], 10, 1)),
    ("rights", "signals to pid 1", places::signal_pid_one),
    ("rights", "set-user-id bits", |_| rights::set_id()),
    ("rights", "extended attributes", |_| rights::attribute()),
    ("system calls", "being without a filter", |_| rights::status(&["Seccomp"], 10, 2)),
    ("system calls", "refused calls", |_| rights::calls(REFUSED, libc::EPERM)),
    ("system calls", "absent calls (keyrings, bpf, io_uring …)", |_| rights::calls(ABSENT, libc::ENOSYS)),
    ("system calls", "typing for the user (TIOCSTI)", |_| rights::type_for_the_user()),
    ("system calls", "new namespaces", |_| rights::namespaces()),
    ("limits", "limits of a process", rights::limits),
    ("groups", "control groups of the host", |_| rights::groups()),
    ("clock", "the true time", rights::true_time),
    ("clock", "the true uptime", rights::true_uptime),
    ("world", "the true processors", rights::true_processors),
    ("world", "the true memory", rights::true_memory),
    ("world", "the true kernel release", rights::true_release),
];

/// What a probe may look at.
struct View<'a> {
    jail: &'a Jail,
    bait: &'a Bait,
}

/// Tries every wall of the jail that this process is in.
pub(super) fn run(jail: &Jail, bait: &Bait) -> Vec<Tried> {
    let view = View { jail, bait };
    let all = PROBES.iter().filter(|(wall, ..)| stands(jail, wall));
    all.map(|(wall, name, attempt)| {
        let (held, what) = match attempt(&view) {
            Ok(by) => (true, by),
            Err(got) => (false, got),
        };
        Tried { wall: (*wall).to_owned(), name: (*name).to_owned(), held, what }
    })
    .collect()
}

/// Whether this jail has the wall at all: what is left as the machine has it can't be tried.
fn stands(jail: &Jail, wall: &str) -> bool {
    match wall {
        "clock" => jail.world.clock_offset != 0 || jail.world.uptime_offset != 0,
        "world" => jail.world.intercepts(),
        _ => true,
    }
}

/// What got through says what it `got`; an error is the answer of a wall.
fn refused<T>(result: Result<T, impl Into<io::Error>>, got: impl FnOnce(T) -> String) -> Attempt {
    match result {
        Ok(value) => Err(got(value)),
        Err(error) => stopped(error),
    }
}

/// Reads an error as the answer of a wall. Some errors only say that the probe itself could not be made.
fn stopped(error: impl Into<io::Error>) -> Attempt {
    let error = error.into();
    match error.raw_os_error() {
        Some(errno) if !NO_PROOF.contains(&errno) => Ok(name_of(errno)),
        _ => Err(format!("could not be tried: {error}")),
    }
}

const NO_PROOF: [i32; 6] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EINTR, libc::EAGAIN, libc::EFAULT];

/// Only this error is the filter's; any other means that the kernel looked at the call.
fn filtered(errno: i32, result: Result<impl Sized, impl Into<io::Error>>) -> Attempt {
    match result.map_err(|error| error.into().raw_os_error()) {
        Err(Some(found)) if found == errno => Ok(name_of(errno)),
        Err(Some(found)) => Err(format!("the call got as far as {}", name_of(found))),
        Err(None) => Err("the call got through".to_owned()),
        Ok(_) => Err("the call succeeded".to_owned()),
    }
}

fn name_of(errno: i32) -> String {
    let names = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EBADF, "EBADF"),
        (libc::EACCES, "EACCES"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ENOTSUP, "ENOTSUP"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::EHOSTUNREACH, "EHOSTUNREACH"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
    ];
    let known = names.iter().find(|(number, _)| *number == errno).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| format!("error {errno}"))
}
