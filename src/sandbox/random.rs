//! Random bytes that come again: what `getrandom`, the random devices and the sixteen bytes that the kernel tells every
//! program at its start are in a world with a seed.
//!
//! Who gets which bytes is decided by seed, command line and how often that command line asked before. So programs that
//! run at the same time do not take each other's bytes, and no two askers get the same ones. The devices are one stream:
//! who reads them first gets the first bytes. The processor's own instructions (`rdrand`, `rdseed`) are not held.

use super::error::{Doing, Failure};
use super::sys;
use rustix::fs::{CWD, Mode, OFlags, open};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;

/// Bytes that the devices have ready.
const READY: usize = 1 << 20;

/// The devices, as they are called below `/dev`.
pub(super) const DEVICES: [&str; 2] = ["random", "urandom"];

/// A source of bytes for those who call.
pub(super) struct Bytes {
    key: [u8; 32],
    /// How often each command line asked.
    asked: BTreeMap<[u8; 32], u64>,
}

impl Bytes {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: blake3::derive_key("parton random bytes for callers", &seed.to_le_bytes()), asked: BTreeMap::new() }
    }

    /// The next bytes for a thread.
    pub(super) fn fill(&mut self, thread: u32, into: &mut [u8]) {
        let line = fs::read(format!("/proc/{thread}/cmdline")).unwrap_or_default();
        let who = *blake3::hash(&line).as_bytes();
        let asked = self.asked.entry(who).or_default();
        blake3::Hasher::new_keyed(&self.key).update(&who).update(&asked.to_le_bytes()).finalize_xof().fill(into);
        *asked += 1;
    }
}

/// Feeds the pipe that stands for the devices.
pub(super) struct Devices<'a> {
    /// Has room for more when it can be written.
    pub to: &'a OwnedFd,
    stream: blake3::OutputReader,
    /// What was drawn and found no room.
    rest: Vec<u8>,
}

impl<'a> Devices<'a> {
    pub(super) fn new(to: &'a OwnedFd, seed: u64) -> Self {
        let key = blake3::derive_key("parton random bytes of the devices", &seed.to_le_bytes());
        let mut devices = Self { to, stream: blake3::Hasher::new_keyed(&key).finalize_xof(), rest: Vec::new() };
        // What an earlier step left unread is not the beginning.
        let mut stale = [0; 4096];
        while rustix::io::read(to, &mut stale).is_ok_and(|got| got != 0) {}
        devices.feed();
        devices
    }

    /// Writes until there is no room.
    pub(super) fn feed(&mut self) {
        loop {
            if self.rest.is_empty() {
                self.rest.resize(4096, 0);
                self.stream.fill(&mut self.rest);
            }
            match rustix::io::write(self.to, &self.rest) {
                Ok(put) => drop(self.rest.drain(..put)),
                Err(_) => return,
            }
        }
    }
}

/// Makes a pipe with a name, which becomes the devices.
pub(super) fn make_devices(at: &str) -> Result<(), Failure> {
    rustix::fs::mkfifoat(CWD, at, Mode::from(0o666)).wall("world", "make the pipe", "of random bytes")
}

/// Opens the pipe behind the devices, from inside, for writing to it.
pub(super) fn open_devices() -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = open("/dev/urandom", flags, Mode::empty()).wall("world", "open", "the pipe of random bytes")?;
    // Less room only means shorter reads.
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe, READY);
    Ok(pipe)
}

/// Writes bytes of ours over those that the kernel told a new program at `address`.
pub(super) fn overwrite(bytes: &mut Bytes, thread: u32, address: u64) -> std::io::Result<()> {
    let mut told = [0; 16];
    bytes.fill(thread, &mut told);
    sys::write_memory(thread, address, &told)
}
