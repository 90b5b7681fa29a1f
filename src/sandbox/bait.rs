//! What the probes of a jail reach for: things of the outside that are really there while the run lasts.
//!
//! A probe that finds nothing where there was nothing to find proves nothing. So parton lays its baits before each run,
//! and reaches each of them itself; a bait that even parton can't reach is none, and its probe says so.

use super::jail::Jail;
use super::sys;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the baits are, as the inside is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bait {
    /// Ports of listeners on the host's own loopback, IPv4 and IPv6.
    pub tcp: [Option<u16>; 2],
    /// Name of a listening abstract unix socket.
    pub unix: Option<String>,
    /// Identity of a System V shared memory segment.
    pub shared_memory: Option<i32>,
    /// Process id of parton.
    pub process: i32,
    /// Files and directories of the host: parton's program, the layers of the root.
    pub files: Vec<FileBait>,
    /// Identities of the machine that nobody inside shall read, with the files they are in.
    pub identities: Vec<(String, String)>,
    /// The real-time clock less the monotonic one, in seconds.
    pub real_less_monotonic: i64,
    /// The boot clock, in seconds.
    pub uptime: i64,
}

/// A file of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileBait {
    #[serde(with = "super::bytes::path")]
    pub path: PathBuf,
    /// Inode number and time of last change, by which it would be known inside.
    pub known_by: (u64, i64, i64),
}

impl FileBait {
    /// What is at this path, if anything is.
    pub(super) fn look(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { path: path.to_owned(), known_by: (found.ino(), found.ctime(), found.ctime_nsec()) })
    }
}

/// The baits, there until dropped.
#[derive(Debug)]
pub(super) struct Baits {
    /// What the inside is told.
    pub told: Bait,
    _tcp: [Option<TcpListener>; 2],
    _unix: Option<UnixListener>,
    _shared_memory: Option<sys::SharedMemory>,
}

/// Files that hold an identity of the machine.
const IDENTITIES: [&str; 3] = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"];

impl Baits {
    /// Lays them, and reaches each once.
    pub(super) fn lay(jail: &Jail) -> Self {
        let tcp = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))]
            .map(|address| TcpListener::bind(address).ok().filter(|listener| reached(listener).is_some()));
        let (unix, name) = unix_bait().unzip();
        let shared_memory = sys::SharedMemory::new().ok();
        let clock = |id| sys::clock(id).0;
        let program = fs::read_link("/proc/self/exe").ok();
        let files = program.iter().map(PathBuf::as_path).chain(jail.root.iter().map(PathBuf::as_path));
        let identities = IDENTITIES.iter().filter_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            // An identity that is not set, or the one that every jail shows, tells nothing.
            let real = text.trim().chars().any(|c| !matches!(c, '0' | '-' | '4' | '8'));
            real.then(|| ((*path).to_owned(), text.trim().to_owned()))
        });
        let told = Bait {
            tcp: [0, 1].map(|n: usize| tcp[n].as_ref().and_then(reached)),
            unix: name,
            shared_memory: shared_memory.as_ref().map(sys::SharedMemory::id),
            process: std::process::id().cast_signed(),
            files: files.filter_map(FileBait::look).collect(),
            identities: identities.collect(),
            real_less_monotonic: clock(libc::CLOCK_REALTIME) - clock(libc::CLOCK_MONOTONIC),
            uptime: clock(libc::CLOCK_BOOTTIME),
        };
        Self { told, _tcp: tcp, _unix: unix, _shared_memory: shared_memory }
    }
}

/// The port of a listener that can be reached.
fn reached(listener: &TcpListener) -> Option<u16> {
    let address = listener.local_addr().ok()?;
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    Some(address.port())
}

/// An abstract unix socket with a name that nobody else has.
fn unix_bait() -> Option<(UnixListener, String)> {
    let mut random = [0; 8];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    let name = format!("parton-bait-{}-{:016x}", std::process::id(), u64::from_le_bytes(random));
    let address = UnixAddr::from_abstract_name(&name).ok()?;
    let listener = UnixListener::bind_addr(&address).ok()?;
    UnixStream::connect_addr(&address).ok()?;
    Some((listener, name))
}
