//! Runs commands inside exactly this root with exactly these rights. Knows no packages.
//!
//! What enters is a [`Jail`], a complete description; what leaves is an [`Exit`] with the walls that stood, or an
//! [`Error`] that names the wall which this host does not give. There is nothing between: no wall is ever left out.
//!
//! # What a step sees
//!
//! - **Files.** The merged layers as `/`, read-only, with the jail's `files` laid over them; the binds, of which some are
//!   writable; `/tmp` and `/dev/shm`, private, empty and of bounded size; `/dev` with `null zero full random urandom`
//!   (and `tty` in a terminal) and the links to its own descriptors; `/proc` of its own processes, in which everything
//!   about the machine is covered but what the [`World`] and a few harmless texts say. No `/sys`. Set-user-id bits have
//!   no effect anywhere and can not be set; device nodes can not be made; extended attributes can not be set.
//! - **User.** One user and group id. Changing owners succeeds and does nothing. No groups, no capabilities, no way to
//!   gain any: no new privileges, no new namespaces, no mounts.
//! - **Processes.** Its own only. Pid 1 can not be looked into or signalled. Nobody can be traced. When the step's own
//!   process ends, all others are killed and counted.
//! - **Network.** A loopback of its own. Sockets are unix, IPv4, IPv6 and netlink.
//! - **Names.** Host and domain name of the jail; no boot id, no kernel log, no keyrings.
//! - **Standard streams.** Input is empty; output and error are one pipe. There is no controlling terminal; the session is
//!   somebody else's (its id reads 0), the process group a step's own. In [`Stdio::Terminal`] they are the caller's,
//!   and typing into it on the user's behalf is refused.
//! - **Machine.** Clock, processors, memory, kernel release, directory order, process ids, address layout as the
//!   [`World`] says, for static programs as well.
//!
//! # How it is built
//!
//! ```text
//! parton ── socket, output pipe ──▶ stage 1: parton re-executed, one thread     init.rs
//!   launch.rs                         namespaces, one mapped id
//!   limits, lines, disk               └─▶ pid 1: mounts, pivot                  root.rs, proc.rs
//!                                           └─▶ each step: rlimits, landlock,   step.rs
//!                                               no capabilities, seccomp        filter.rs
//!                                           answers what the World changes      supervise.rs
//!                                           probes the walls                    canary/
//! ```
//!
//! Both processes die with parton, by a parent-death signal and by the closed socket; with pid 1 the kernel ends every
//! process and mount of the jail. Nothing is created on the host's file systems.
//!
//! # How it is proved
//!
//! With [`Jail::canaries`], a process made like a step's tries every wall, before the first step and after the last: it
//! reaches for things that are really there outside (`bait.rs`, `canary/`). What stopped each attempt is in
//! [`Exit::probes`]; one that is not stopped ends the run with [`Error::Breached`].
//!
//! # What it does not keep
//!
//! The kernel is shared: a hole in it is a hole in the jail. The mount table inside shows the host's path of each bind
//! (not of the layers). Time stamps of files show the true clock. CPU instructions (`cpuid`, `rdtsc`) are not intercepted.
//! A user's supplementary groups can not be left without privilege; nothing inside is accessible through them.

mod bait;
mod canary;
mod disk;
mod error;
mod examine;
mod filter;
mod init;
mod jail;
mod launch;
mod lines;
mod proc;
mod root;
mod step;
mod supervise;
mod sys;
mod wire;

pub use canary::Tried;
pub use error::Error;
pub use init::init;
pub use jail::*;
pub use launch::{INIT_ARGUMENT, Launcher, control, examine, probe, prove, run};
