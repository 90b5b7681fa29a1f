//! Runs commands inside exactly this root with exactly these rights. Knows no packages.
//!
//! What enters is a [`Jail`], a complete description; what leaves is an [`Exit`] with the walls that stood, or an
//! [`Error`] that names the wall which this host does not give. There is nothing between: no wall is ever left out.
//!
//! # What a step sees
//!
//! - **Files.** The merged layers as `/`, read-only, with the jail's `files` laid over them; the binds, of which some are
//!   writable; `/tmp` and `/dev/shm`, private, empty and of bounded size; `/dev` with `null zero full random urandom`
//!   (and `tty` in a terminal), which can be used but not changed, and the links to its own descriptors; `/proc` of its own
//!   processes, in which everything about the machine is covered but what the [`World`] and a few harmless texts say, and
//!   whose tables of mounts are empty. No `/sys`. Set-user-id bits have no effect anywhere and can not be set; device nodes
//!   can not be made; extended attributes can not be set.
//! - **User.** One user and group id. Changing owners succeeds and does nothing. No groups, no capabilities, no way to
//!   gain any: no new privileges, no new namespaces, no mounts.
//! - **Processes.** Its own only. Pid 1 is not shown, and can not be looked into, signalled, limited or slowed down. Nobody
//!   can be traced. When the step's own process ends, all others are killed and counted. No signal is ignored or blocked
//!   at first, and no crash starts a program of the host.
//! - **Network.** A loopback of its own. Sockets are unix, TCP, UDP and ICMP over IPv4 and IPv6, and netlink's for routes.
//! - **Names.** Host and domain name of the jail; no boot id, no kernel log, no keyrings.
//! - **Standard streams.** Input is empty: `/dev/null`, or what [`Stdin`] says. Output and error are one pipe, or in
//!   [`Stdio::Emulated`] a terminal of nobody's. There is no controlling terminal; the session is
//!   somebody else's (its id reads 0), the process group a step's own. In [`Stdio::Terminal`] they are the caller's,
//!   and typing into it on the user's behalf is refused.
//! - **Machine.** Clock, processors, memory, kernel release, directory order, process ids, address layout as the
//!   [`World`] says, for static programs as well. Where it has random bytes of its own, the random devices are a pipe.
//!
//! # How it is built
//!
//! ```text
//! parton ── socket, output pipe ──▶ stage 1: parton re-executed, one thread     init.rs
//!   launch.rs                         namespaces, one mapped id
//!   limits, lines, disk               └─▶ pid 1: mounts, pivot                  root.rs, proc.rs
//!   memory, group                           memory, processes, descriptors        watch.rs
//!                                           └─▶ each step: rlimits, landlock,   step.rs
//!                                               no capabilities, seccomp        filter.rs
//!                                           answers what the World changes      supervise.rs
//!                                           probes the walls                    canary/
//! ```
//!
//! Both processes die with parton, by a parent-death signal and by the closed socket; with pid 1 the kernel ends every
//! process and mount of the jail. Nothing is created on the host's file systems but a control group, where one is given.
//!
//! # How it is proved
//!
//! With [`Jail::canaries`], a process made like a step's tries every wall, before the first step and after the last: it
//! reaches for things that are really there outside (`bait.rs`, `canary/`). What stopped each attempt is in
//! [`Exit::probes`]; one that is not stopped ends the run with [`Error::Breached`].
//!
//! # What it does not keep
//!
//! - The kernel is shared: a hole in it is a hole in the jail, and what it has in its caches can be timed.
//! - Time stamps of files, of System V objects and of received packets show the true clock, and so does how long a timer
//!   set to a point of it takes ([`supervise`] has the list).
//! - CPU instructions (`cpuid`, `rdtsc`) are not intercepted; `getcpu`, `Cpus_allowed` in `/proc/self/status` and
//!   `/proc/self/sched` speak of the true processors.
//! - In a plain world `sysinfo` tells the load, the free memory and the number of processes of the machine.
//! - `statfs` of a bind tells how large and how full the host's file system is.
//! - `/proc/net/sockstat` and `/proc/net/protocols` count memory of the whole machine's sockets.
//! - `/proc/self/uid_map` tells the user id of who runs parton, `loginuid` and `sessionid` who logged in and how often.
//! - The device nodes are the host's: who locks or watches one meets others that do.
//! - A terminal of nobody's has a number among the host's terminals.
//! - A user's supplementary groups can not be left without privilege; nothing inside is accessible through them.

mod ask;
mod bait;
mod bytes;
mod canary;
mod disk;
mod error;
mod examine;
mod filter;
mod group;
mod init;
mod jail;
mod launch;
mod lines;
mod memory;
mod proc;
mod pty;
mod random;
mod root;
mod step;
mod supervise;
mod sys;
mod watch;
mod wire;

pub use ask::{control, examine, probe, prove};
pub use canary::Tried;
pub use error::Error;
pub use init::init;
pub use jail::*;
pub use launch::{INIT_ARGUMENT, Launcher, run};
