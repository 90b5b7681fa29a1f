//! Watches what the processes of a step take together: memory, processes, descriptors.
//!
//! Pid 1 does it, with the `/proc` of the jail: no control group, no right on the host and no help of the kernel's is
//! needed, and nothing outside of the jail can be mistaken for a part of it.
//!
//! **Cheap and exact.** A look reads three numbers of each process. Its sum of resident pages counts what processes share
//! more than once, so it can only be too high; while it is below the limit nothing more is asked. Above it the *exact*
//! count is taken from the memory maps, in which the kernel divides each page among those who share it. A build is
//! stopped for the exact count only: a hundred forked children that share a gigabyte take one gigabyte.
//!
//! **What counts as memory**: anonymous pages; shared anonymous memory; System V segments; memory files, mapped or not;
//! what lies in `/tmp` and `/dev/shm`. The cache of files on disk does not: the kernel takes it back when it needs to.
//!
//! **How often.** The closer to the limit the sooner, at most as often as costs a hundredth of a processor (a twentieth
//! while an exact count is called for).
//!
//! Where the kernel refuses first (a descriptor, a process, a byte in `/tmp`), a step may fail before it is seen at its
//! limit twice. What was [`Watch::met`] is then reported as the reason of its failure.

use super::jail::{Limits, Stopped};
use super::sys;
use rustix::fs::{AtFlags, Mode, OFlags, openat, statat, statvfs};
use rustix::process::{Resource, getrlimit};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest time between two looks.
const SELDOM: Duration = Duration::from_millis(200);
/// As long as that only where each look is dear.
const AT_LEAST: Duration = Duration::from_millis(500);
/// The shortest.
const OFTEN: Duration = Duration::from_millis(10);
/// Bytes that a machine may fill in a second; only decides how soon to look again.
const RATE: u64 = 4 << 30;
/// Looks may take one part in so many of the time.
const SHARE: u32 = 100;
/// The same for exact counts.
const EXACT_SHARE: u32 = 20;
/// How often an exact count is repeated at most.
const EXACT_AT_MOST: Duration = Duration::from_millis(250);
/// What an empty file in a memory file system takes beside its content.
const INODE: u64 = 1 << 10;

/// Watches over one step.
pub(super) struct Watch {
    proc: OwnedFd,
    /// The machine's own, whatever the world shows; and its shared memory when the step began.
    meminfo: Option<(File, u64)>,
    memory: u64,
    processes: u64,
    descriptors: u64,
    tmp: u64,
    next: Instant,
    /// The last exact count: when it was taken, what it was, the cheap sum beside it.
    exact: Option<(Instant, u64, u64)>,
    exact_cost: Duration,
    /// Looks in a row that found the step at its limit of processes, of descriptors.
    at: [u32; 2],
    met: Option<Stopped>,
    counts_descriptors: bool,
    buffer: Vec<u8>,
}

/// What a cheap look found.
#[derive(Debug, Default)]
struct Look {
    pids: Vec<u32>,
    resident: u64,
    threads: u64,
    /// Of the process that has most.
    descriptors: u64,
}

impl Watch {
    /// For a step that is about to start. To be called by pid 1 inside the jail; `meminfo` is the machine's, if it could
    /// be opened.
    pub(super) fn new(limits: &Limits, tmp: u64, meminfo: Option<&File>) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = openat(rustix::fs::CWD, "/proc", flags, Mode::empty())?;
        let meminfo = meminfo.and_then(|file| file.try_clone().ok()).and_then(|file| {
            let shared = shared_memory(&file)?;
            Some((file, shared))
        });
        let host = |resource, wanted: u64| getrlimit(resource).maximum.unwrap_or(u64::MAX).min(wanted);
        // Before Linux 6.2 this number is 0 for everybody.
        let counts_descriptors = statat(&proc, "self/fd", AtFlags::empty()).is_ok_and(|stat| stat.st_size > 0);
        Ok(Self {
            proc,
            meminfo,
            memory: limits.memory.unwrap_or(u64::MAX),
            processes: limits.processes,
            descriptors: host(Resource::Nofile, limits.descriptors),
            tmp,
            next: Instant::now() + OFTEN,
            exact: None,
            exact_cost: Duration::ZERO,
            at: [0; 2],
            met: None,
            counts_descriptors,
            buffer: vec![0; 512],
        })
    }

    /// How soon [`Watch::look`] wants to be called.
    pub(super) fn patience(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// The limit at which the step was seen, if that was not yet reason enough to stop it. To be asked while what it left
    /// in `/tmp` is still there.
    pub(super) fn met(&self) -> Option<Stopped> {
        self.met.clone().or_else(|| scratch().1.then_some(Stopped::Scratch(self.tmp)))
    }

    /// Looks if it is time, and says why to stop if there is a reason.
    pub(super) fn look(&mut self) -> Option<Stopped> {
        let begun = Instant::now();
        if begun < self.next {
            return None;
        }
        let look = self.cheap();
        let cost = begun.elapsed();
        let (scratch, _) = scratch();
        self.too_many(&look).or_else(|| {
            let left = self.memory_left(&look, scratch);
            let soon = left.map_or(Duration::ZERO, |left| Duration::from_millis(left.saturating_mul(1000) / RATE));
            self.next = Instant::now() + soon.clamp(OFTEN, SELDOM).max((cost * SHARE).min(AT_LEAST));
            left.is_none().then_some(Stopped::Memory(self.memory))
        })
    }

    /// Reads what is cheap to read of every process but this one.
    fn cheap(&mut self) -> Look {
        let mut look = Look::default();
        let pids = self.pids();
        if pids.len() as u64 > self.processes {
            // Enough to know, and in a hurry.
            look.threads = pids.len() as u64;
            return look;
        }
        for pid in pids {
            let mut name = String::with_capacity(24);
            let mut of = |file: &str| {
                name.clear();
                name.push_str(&pid.to_string());
                name.push('/');
                name.push_str(file);
                name.clone()
            };
            let Ok(task) = statat(&self.proc, of("task"), AtFlags::empty()) else { continue };
            look.pids.push(pid);
            look.threads += task.st_nlink.saturating_sub(2).max(1);
            let fd = of("fd");
            let open = if self.counts_descriptors {
                statat(&self.proc, fd, AtFlags::empty()).map_or(0, |stat| stat.st_size as u64)
            } else {
                fs::read_dir(Path::new("/proc").join(fd)).map_or(0, |list| list.count() as u64)
            };
            look.descriptors = look.descriptors.max(open);
            let Ok(statm) = openat(&self.proc, of("statm"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
                continue;
            };
            let got = rustix::io::read(&statm, &mut self.buffer[..]).unwrap_or(0);
            let text = std::str::from_utf8(&self.buffer[..got]).unwrap_or_default();
            let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
            look.resident = look.resident.saturating_add(pages * sys::PAGE);
        }
        look
    }

    fn pids(&self) -> Vec<u32> {
        let numbers = |name: &std::ffi::CStr| name.to_str().ok().and_then(|name| name.parse().ok());
        match rustix::fs::Dir::read_from(&self.proc) {
            Ok(dir) => dir.flatten().filter_map(|entry| numbers(entry.file_name())).filter(|pid| *pid != 1).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Processes and descriptors. Being at a limit is no reason yet, for a test suite may want to see it; staying there is.
    fn too_many(&mut self, look: &Look) -> Option<Stopped> {
        let all = [
            (look.threads, self.processes, Stopped::Processes(self.processes)),
            (look.descriptors, self.descriptors, Stopped::Descriptors(self.descriptors)),
        ];
        for ((found, limit, reason), at) in all.into_iter().zip(&mut self.at) {
            if found < limit {
                *at = 0;
                continue;
            }
            *at += 1;
            if found > limit || *at > 1 {
                return Some(reason);
            }
            self.met = Some(reason);
        }
        None
    }

    /// Bytes that the step may still take; `None` if it took more than all.
    fn memory_left(&mut self, look: &Look, scratch: u64) -> Option<u64> {
        let segments = sys::shared_segments();
        let shared =
            self.meminfo.as_ref().map_or(0, |(file, before)| shared_memory(file).unwrap_or(0).saturating_sub(*before));
        // Shared memory may be in none of the sums: a memory file that nobody maps. What others on this machine do with
        // theirs only makes this look at it more closely.
        let most = look.resident.saturating_add(scratch).saturating_add(segments).saturating_add(shared);
        if most <= self.memory {
            self.exact = None;
            return Some(self.memory - most);
        }
        let wait = EXACT_AT_MOST.max(self.exact_cost * EXACT_SHARE);
        let guess = self.exact.map(|(_, exact, beside)| exact.saturating_add(most.saturating_sub(beside)));
        let fresh = self.exact.is_some_and(|(when, ..)| when.elapsed() < wait);
        let taken = match guess {
            Some(guess) if fresh && guess <= self.memory => guess,
            _ => {
                let begun = Instant::now();
                let exact = exact(&look.pids).saturating_add(scratch).saturating_add(segments);
                self.exact_cost = begun.elapsed();
                self.exact = Some((Instant::now(), exact, most));
                exact
            }
        };
        self.memory.checked_sub(taken)
    }
}

/// Bytes in `/tmp` and `/dev/shm`, which are one file system; and whether it is full.
fn scratch() -> (u64, bool) {
    // Not of /tmp, which may lie on a disk.
    let Ok(stat) = statvfs("/dev/shm") else { return (0, false) };
    let used = stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize;
    let files = stat.f_files.saturating_sub(stat.f_ffree) * INODE;
    (used + files, stat.f_bfree == 0 || stat.f_ffree == 0)
}

/// Bytes of shared memory in use on the machine.
fn shared_memory(meminfo: &File) -> Option<u64> {
    let mut buffer = [0; 4096];
    let got = meminfo.read_at(&mut buffer, 0).ok()?;
    kib(std::str::from_utf8(&buffer[..got]).ok()?.lines().find_map(|line| line.strip_prefix("Shmem:"))?)
}

/// `"  12 kB"` in bytes.
fn kib(text: &str) -> Option<u64> {
    text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes that these processes hold, whatever they share counted once; without `/tmp` and System V segments.
fn exact(pids: &[u32]) -> u64 {
    let mut bytes = 0_u64;
    // Memory files, by inode: what is mapped of them, and what they hold as open files.
    let mut files = BTreeMap::<u64, (u64, u64)>::new();
    let mut seen = BTreeSet::new();
    for pid in pids {
        let maps = fs::read(format!("/proc/{pid}/smaps")).unwrap_or_default();
        bytes = bytes.saturating_add(mapped(&String::from_utf8_lossy(&maps), &mut files));
        for fd in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let memory =
                fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"));
            if let Some(meta) = memory.then(|| fs::metadata(fd.path()).ok()).flatten()
                && seen.insert(meta.ino())
            {
                files.entry(meta.ino()).or_default().1 = meta.blocks() * 512;
            }
        }
    }
    files.values().fold(bytes, |sum, (mapped, held)| sum.saturating_add(*mapped.max(held)))
}

/// Bytes of one process's share in its mappings (the text of `/proc/PID/smaps`); memory files go to `files`.
fn mapped(smaps: &str, files: &mut BTreeMap<u64, (u64, u64)>) -> u64 {
    let mut bytes = 0_u64;
    let mut kind = Mapping::Anonymous;
    let mut share = 0;
    for line in smaps.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            // The kernel writes these in this order.
            "Pss:" => {
                share = kib(value).unwrap_or(0);
                match kind {
                    Mapping::Anonymous => bytes += share,
                    Mapping::MemoryFile(inode) => files.entry(inode).or_default().0 += share,
                    Mapping::File => {}
                }
            }
            "Anonymous:" if kind != Mapping::Anonymous => bytes += kib(value).unwrap_or(0).min(share),
            "SwapPss:" => bytes += kib(value).unwrap_or(0),
            _ if !key.ends_with(':') => kind = Mapping::of(line),
            _ => {}
        }
    }
    bytes
}

/// What lies behind a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapping {
    /// Nothing but memory.
    Anonymous,
    /// A file that exists in memory only, by inode.
    MemoryFile(u64),
    /// Any other file, the private memory file system's included; of these only what was changed privately counts.
    File,
}

impl Mapping {
    /// Of a mapping's first line: addresses, rights, offset, device, inode, path.
    fn of(line: &str) -> Self {
        let mut words = line.split_ascii_whitespace().skip(4);
        let inode = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        match words.next() {
            None => Self::Anonymous,
            Some(path) if path.starts_with('[') => Self::Anonymous,
            // What the kernel calls shared memory without a file.
            Some("/dev/zero") if words.next() == Some("(deleted)") => Self::Anonymous,
            Some(path) if path.starts_with("/memfd:") => Self::MemoryFile(inode),
            Some(_) => Self::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0-55d1 r-xp 00000000 08:01 77     /bin/sh
Rss:                 400 kB
Pss:                 100 kB
Anonymous:             8 kB
SwapPss:               0 kB
7ff0-7ff1 rw-p 00000000 00:00 0
Rss:                1000 kB
Pss:                 500 kB
Pss_Dirty:           500 kB
Anonymous:          1000 kB
SwapPss:               3 kB
7ff2-7ff3 rw-s 00000000 00:01 12     /dev/zero (deleted)
Pss:                  20 kB
Anonymous:             0 kB
7ff4-7ff5 rw-s 00000000 00:01 13     /memfd:with space (deleted)
Pss:                  30 kB
Anonymous:             0 kB
7ff6-7ff7 rw-s 00000000 00:01 14     /SYSV00000000 (deleted)
Pss:                  40 kB
Anonymous:             0 kB
7ffe-7fff rw-p 00000000 00:00 0      [stack]
Pss:                  16 kB
Anonymous:            16 kB
VmFlags: rd wr mr
";

    #[test]
    fn maps_are_counted_by_what_is_behind_them() {
        let mut files = BTreeMap::new();
        assert_eq!(mapped(SMAPS, &mut files), (8 + 500 + 3 + 20 + 16) * 1024);
        assert_eq!(files, BTreeMap::from([(13, (30 * 1024, 0))]));
    }

    #[test]
    fn the_exact_count_finds_what_is_held() {
        let held = vec![1_u8; 64 << 20];
        let exact = exact(&[std::process::id()]);
        assert!(exact >= held.len() as u64, "{exact}");
    }
}
