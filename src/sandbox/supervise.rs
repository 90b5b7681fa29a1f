//! The world as the steps see it, without any library inside: pid 1 answers the system calls that tell facts.
//!
//! | fact | calls answered here |
//! |---|---|
//! | wall clock | `clock_gettime` of the real-time clocks, `gettimeofday`, `time` |
//! | waiting for a wall clock time | `futex(FUTEX_WAIT_BITSET, FUTEX_CLOCK_REALTIME)`, `clock_nanosleep(TIMER_ABSTIME)` |
//! | processors | `sched_getaffinity` |
//! | memory | `sysinfo` |
//! | kernel release | `uname` |
//! | random bytes | `getrandom`; the devices and what a program is told at its start are [`super::random`]'s |
//! | directory order | `getdents64`: each batch that the kernel hands out is reordered, `.` and `..` stay first |
//!
//! **Hiding the vDSO.** Programs usually read the clock from a page that the kernel maps into them, without any call. Its
//! address is told to a new program in the auxiliary vector on its stack. So `execve` is intercepted: pid 1 begins to
//! trace the thread, lets the call go on, and when it stops with the new program loaded turns the entry into one that
//! every C library ignores. Then it is released; nothing else of it is traced. Where random bytes are ours the sixteen that
//! the kernel tells a new program are overwritten at the same time.
//!
//! **What still shows the true clock**: time stamps of files and what is computed from them, `timerfd_settime`,
//! `timer_settime` and `mq_timedsend`/`mq_timedreceive` with absolute real time (they would wait too long),
//! `FUTEX_LOCK_PI` with a deadline, and a program that searches its own memory map for the vDSO.

use super::error::{Doing, Failure};
use super::jail::World;
use super::proc::KERNEL_VERSION;
use super::random::{self, Bytes};
use super::sys::{self, Call, Change, Reply};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Answers the intercepted calls of one step.
pub(super) struct Supervisor {
    listener: OwnedFd,
    world: World,
    /// Threads that are traced until their exec succeeds.
    seized: BTreeSet<i32>,
    held: Vec<Held>,
    buffer: Vec<u8>,
    random: Option<Bytes>,
    /// Why the very first program could not be watched.
    refused: Option<Failure>,
    /// Whether any was.
    watched: bool,
}

/// A thread that waits for a point of the wall clock.
struct Held {
    call: Call,
    /// The point, in the true clock.
    until: (i64, i64),
    /// The word and its expected value, for a futex.
    futex: Option<(u64, u32)>,
    since: Instant,
}

/// How often waiting threads are looked after.
const TICK: Duration = Duration::from_millis(2);
/// A futex wait may return for no reason, and does after this long, so that a wake-up it missed costs no more.
const NUDGE: Duration = Duration::from_millis(20);

/// The largest batch of directory entries that is handed out at once.
const LARGEST_BATCH: usize = 256 << 10;

/// Makes sure of the calls that answering needs, by trying them on this very process.
pub(super) fn able() -> Result<(), Failure> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    const CALLS: &str = "system calls";
    let own = getpid();
    let number = own.as_raw_nonzero().get() as u32;
    let mut word = [0; 8];
    let address = (&raw mut word) as u64;
    sys::read_memory(number, address, &mut [0; 8]).wall(CALLS, "use", "process_vm_readv")?;
    sys::write_memory(number, address, &[0; 8]).wall(CALLS, "use", "process_vm_writev")?;
    let process = pidfd_open(own, PidfdFlags::empty()).wall(CALLS, "use", "pidfd_open")?;
    pidfd_getfd(&process, 0, PidfdGetfdFlags::empty()).wall(CALLS, "use", "pidfd_getfd")?;
    match sys::seize(i32::MAX) {
        // Nobody has that number, and that would be the only reason.
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other.wall(CALLS, "trace", "the programs inside"),
    }
}

/// Success, an answer, or an error number for the caller.
type Answered = Result<Reply, i32>;

impl Supervisor {
    pub(super) fn new(listener: OwnedFd, world: &World) -> Self {
        sys::wake_in_step(listener.as_fd());
        Self {
            listener,
            world: world.clone(),
            seized: BTreeSet::new(),
            held: Vec::new(),
            buffer: Vec::new(),
            random: world.random.map(Bytes::new),
            refused: None,
            watched: false,
        }
    }

    /// Why this host lets nobody be watched, if that is so.
    pub(super) fn refused(&mut self) -> Option<Failure> {
        self.refused.take()
    }

    /// Becomes readable when a call waits.
    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// How soon [`Supervisor::look_after`] wants to be called.
    pub(super) fn patience(&self) -> Option<Duration> {
        (!self.held.is_empty()).then_some(TICK)
    }

    /// Answers the next waiting call.
    pub(super) fn serve(&mut self) {
        let Ok(Some(call)) = sys::next_call(self.listener()) else { return };
        let answered = match i64::from(call.nr) {
            libc::SYS_clock_gettime => self.clock_gettime(&call),
            libc::SYS_gettimeofday => self.gettimeofday(&call),
            libc::SYS_time => self.time(&call),
            libc::SYS_execve | libc::SYS_execveat => self.exec(&call),
            libc::SYS_getdents64 => self.getdents(&call),
            libc::SYS_uname => self.uname(&call),
            libc::SYS_sysinfo => self.sysinfo(&call),
            libc::SYS_sched_getaffinity => self.affinity(&call),
            libc::SYS_getrandom => self.getrandom(&call),
            libc::SYS_futex => match self.hold(&call, call.args[3], Some((call.args[0], call.args[2] as u32))) {
                Ok(()) => return,
                Err(errno) => Err(errno),
            },
            libc::SYS_clock_nanosleep => match self.hold(&call, call.args[2], None) {
                Ok(()) => return,
                Err(errno) => Err(errno),
            },
            _ => Ok(Reply::Continue),
        };
        self.answer(&call, answered.unwrap_or_else(Reply::Errno));
    }

    fn answer(&self, call: &Call, reply: Reply) {
        // If even this fails the listener is unusable and the step hangs until a limit ends it: nothing leaks.
        let _ = sys::answer(self.listener(), call.id, reply);
    }

    /// Writes to the caller, if it is still the one that called.
    fn write(&self, call: &Call, address: u64, bytes: &[u8]) -> Result<(), i32> {
        if !sys::still_waits(self.listener(), call.id) {
            return Err(libc::EINTR);
        }
        sys::write_memory(call.pid, address, bytes).map_err(errno)
    }

    fn shifted(&self, clock: i32) -> (i64, i64) {
        let (seconds, nanoseconds) = sys::clock(clock);
        (seconds.saturating_add(self.world.clock_offset), nanoseconds)
    }

    fn clock_gettime(&self, call: &Call) -> Answered {
        let (seconds, nanoseconds) = self.shifted(call.args[0] as i32);
        self.write(call, call.args[1], &pair(seconds, nanoseconds))?;
        Ok(Reply::Value(0))
    }

    fn gettimeofday(&self, call: &Call) -> Answered {
        let [to, zone, ..] = call.args;
        let (seconds, nanoseconds) = self.shifted(libc::CLOCK_REALTIME);
        if to != 0 {
            self.write(call, to, &pair(seconds, nanoseconds / 1000))?;
        }
        if zone != 0 {
            self.write(call, zone, &[0; 8])?;
        }
        Ok(Reply::Value(0))
    }

    fn time(&self, call: &Call) -> Answered {
        let (now, _) = self.shifted(libc::CLOCK_REALTIME_COARSE);
        if call.args[0] != 0 {
            self.write(call, call.args[0], &now.to_ne_bytes())?;
        }
        Ok(Reply::Value(now))
    }

    fn uname(&self, call: &Call) -> Answered {
        let uname = rustix::system::uname();
        let release = self.world.kernel_release.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(6 * 65);
        for field in [
            uname.sysname().to_bytes(),
            uname.nodename().to_bytes(),
            release.as_bytes(),
            KERNEL_VERSION.as_bytes(),
            uname.machine().to_bytes(),
            uname.domainname().to_bytes(),
        ] {
            let field = &field[..field.len().min(64)];
            bytes.extend_from_slice(field);
            bytes.resize(bytes.len() + 65 - field.len(), 0);
        }
        self.write(call, call.args[0], &bytes)?;
        Ok(Reply::Value(0))
    }

    fn sysinfo(&self, call: &Call) -> Answered {
        let total = self.world.memory.unwrap_or(0);
        let mut bytes = Vec::with_capacity(112);
        bytes.extend(rustix::system::sysinfo().uptime.to_ne_bytes());
        bytes.extend([0; 3 * 8]); // load
        for number in [total, total / 2, 0, 0, 0, 0] {
            bytes.extend(number.to_ne_bytes()); // total, free, shared and buffer memory; total and free swap
        }
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]); // processes, padding
        bytes.extend([0; 2 * 8]); // high memory
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]); // unit, padding
        self.write(call, call.args[0], &bytes)?;
        Ok(Reply::Value(0))
    }

    fn affinity(&self, call: &Call) -> Answered {
        let [_, length, to, ..] = call.args;
        let mask = processors(self.world.cpus.unwrap_or(1));
        if length < mask.len() as u64 || length % 8 != 0 {
            return Err(libc::EINVAL);
        }
        self.write(call, to, &mask)?;
        Ok(Reply::Value(mask.len() as i64))
    }

    fn getrandom(&mut self, call: &Call) -> Answered {
        let [to, length, flags, ..] = call.args;
        // GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE; the last two not together.
        if flags as u32 & !7 != 0 || flags as u32 & 6 == 6 {
            return Err(libc::EINVAL);
        }
        // Callers must expect less than they asked for.
        self.buffer.resize((length as usize).min(LARGEST_BATCH), 0);
        if let Some(random) = &mut self.random {
            random.fill(call.pid, &mut self.buffer);
        }
        self.write(call, to, &self.buffer)?;
        Ok(Reply::Value(self.buffer.len() as i64))
    }

    fn exec(&mut self, call: &Call) -> Answered {
        let pid = call.pid as i32;
        match sys::seize(pid) {
            Ok(()) => {
                self.seized.insert(pid);
                self.watched = true;
            }
            // Traced since an exec that failed. What the set says is not enough: a thread that executes a program takes
            // over its process's id, and its own may be given to another process, which nobody has seized.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) && self.seized.contains(&pid) => {}
            // A program that could not be watched would see the true clock, so it does not start.
            Err(error) => {
                if !self.watched {
                    self.refused = Err::<(), _>(error).wall("system calls", "trace", "the programs inside").err();
                }
                return Err(libc::EAGAIN);
            }
        }
        Ok(Reply::Continue)
    }

    /// A traced thread stopped.
    pub(super) fn stopped(&mut self, pid: i32, change: Change) {
        self.seized.remove(&pid);
        let signal = match change {
            Change::Executed => match settle_program(pid, self.random.as_mut()) {
                Ok(()) => 0,
                // Never run with the true clock in sight.
                Err(_) => libc::SIGKILL,
            },
            Change::Signalled(signal) => signal,
            _ => 0,
        };
        // It may have been killed meanwhile; then its end is reported like any other's.
        let _ = sys::release(pid, signal);
    }

    /// A process or traced thread ended.
    pub(super) fn gone(&mut self, pid: i32) {
        self.seized.remove(&pid);
    }

    fn getdents(&mut self, call: &Call) -> Answered {
        let [fd, to, length, ..] = call.args;
        let directory = descriptor_of(call.pid, fd as i32)?;
        if !sys::still_waits(self.listener(), call.id) {
            return Err(libc::EINTR);
        }
        let length = (length as u32 as usize).min(LARGEST_BATCH);
        self.buffer.resize(length, 0);
        let got = sys::directory_entries(directory.as_fd(), &mut self.buffer).map_err(errno)?;
        let order = self.world.dir_order.filter(|_| !self.world.dir_backwards);
        let ordered = reorder(&self.buffer[..got], order);
        self.write(call, to, &ordered)?;
        Ok(Reply::Value(got as i64))
    }

    /// Keeps a thread waiting for a wall clock time; its deadline is at `deadline` in its memory.
    fn hold(&mut self, call: &Call, deadline: u64, futex: Option<(u64, u32)>) -> Result<(), i32> {
        let mut raw = [0; 16];
        if sys::read_memory(call.pid, deadline, &mut raw).map_err(errno)? < raw.len() {
            return Err(libc::EFAULT);
        }
        let (seconds, nanoseconds) = raw.split_at(8);
        let seconds = i64::from_ne_bytes(seconds.try_into().unwrap_or_default());
        let nanoseconds = i64::from_ne_bytes(nanoseconds.try_into().unwrap_or_default());
        if seconds < 0 || !(0..1_000_000_000).contains(&nanoseconds) {
            return Err(libc::EINVAL);
        }
        let until = (seconds.saturating_sub(self.world.clock_offset), nanoseconds);
        self.held.push(Held { call: *call, until, futex, since: Instant::now() });
        Ok(())
    }

    /// Lets those threads go on whose waiting is over.
    pub(super) fn look_after(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let now = sys::clock(libc::CLOCK_REALTIME);
        let held = std::mem::take(&mut self.held);
        for mut one in held {
            let over = now >= one.until;
            let reply = match one.futex {
                Some((word, expected)) => {
                    let mut value = [0; 4];
                    match sys::read_memory(one.call.pid, word, &mut value) {
                        Ok(4) if u32::from_ne_bytes(value) != expected => Some(Reply::Errno(libc::EAGAIN)),
                        Ok(4) if over => Some(Reply::Errno(libc::ETIMEDOUT)),
                        Ok(4) if one.since.elapsed() >= NUDGE => Some(Reply::Value(0)),
                        Ok(4) => None,
                        _ => Some(Reply::Errno(libc::EFAULT)),
                    }
                }
                None if over => Some(Reply::Value(0)),
                None if one.since.elapsed() >= NUDGE => {
                    one.since = Instant::now();
                    let gone = !sys::still_waits(self.listener(), one.call.id);
                    (gone || signal_waits(one.call.pid)).then_some(Reply::Errno(libc::EINTR))
                }
                None => None,
            };
            match reply {
                Some(reply) => self.answer(&one.call, reply),
                None => self.held.push(one),
            }
        }
    }
}

fn errno(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EFAULT)
}

fn pair(a: i64, b: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_ne_bytes());
    bytes[8..].copy_from_slice(&b.to_ne_bytes());
    bytes
}

/// A mask of the first `count` processors, in whole words.
fn processors(count: u32) -> Vec<u8> {
    let count = count.max(1) as usize;
    let mut mask = vec![0; count.div_ceil(64) * 8];
    (0..count).for_each(|cpu| mask[cpu / 8] |= 1 << (cpu % 8));
    mask
}

/// One number out of `/proc/<pid>/status`, as text.
fn status_field(status: &str, name: &str) -> Option<String> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|v| v.trim().to_owned()))
}

/// The same open directory as the caller's, so that its position moves with our reading.
fn descriptor_of(thread: u32, fd: i32) -> Result<OwnedFd, i32> {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let open = |pid: i32| Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let process = match open(thread as i32) {
        Some(Ok(process)) => process,
        // Not the first thread of its process, which is the only one that can be opened everywhere.
        _ => {
            let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| libc::EINTR)?;
            let leader = status_field(&status, "Tgid").and_then(|t| t.parse().ok()).ok_or(libc::EINTR)?;
            open(leader).and_then(Result::ok).ok_or(libc::EINTR)?
        }
    };
    pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).map_err(|e| e.raw_os_error())
}

/// Whether a signal that the thread handles waits to be delivered.
fn signal_waits(thread: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{thread}/status")) else { return true };
    let mask = |name| status_field(&status, name).and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(0);
    (mask("SigPnd") | mask("ShdPnd")) & !mask("SigBlk") & !mask("SigIgn") != 0
}

const AT_NULL: u64 = 0;
const AT_IGNORE: u64 = 1;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;

/// Makes a thread that has just executed a program, and is stopped, forget the address of the vDSO, and gives it other
/// bytes than the kernel did where bytes are ours.
fn settle_program(pid: i32, mut bytes: Option<&mut Bytes>) -> std::io::Result<()> {
    let bad = || std::io::Error::from_raw_os_error(libc::EFAULT);
    let stack = sys::stack_pointer(pid)?;
    // From the stack pointer up: argc, the arguments, 0, the environment, 0, then pairs up to AT_NULL.
    let mut words = Words { pid: pid as u32, next: stack, chunk: Vec::new(), at: 0 };
    let argc = words.next()?;
    words.skip(argc.checked_add(1).ok_or_else(bad)?)?;
    while words.next()? != 0 {}
    loop {
        let place = words.address();
        match (words.next()?, words.next()?) {
            (AT_NULL, _) => return Ok(()),
            (AT_SYSINFO_EHDR, _) => {
                sys::write_memory(pid as u32, place, &AT_IGNORE.to_ne_bytes())?;
                // It comes first of all.
                if bytes.is_none() {
                    return Ok(());
                }
            }
            (AT_RANDOM, address) => {
                if let Some(bytes) = bytes.as_deref_mut() {
                    random::overwrite(bytes, pid as u32, address)?;
                }
            }
            _ => {}
        }
    }
}

/// Reads another process's memory word by word, in larger pieces.
struct Words {
    pid: u32,
    /// Where the memory behind `chunk` goes on.
    next: u64,
    chunk: Vec<u8>,
    at: usize,
}

impl Words {
    fn address(&self) -> u64 {
        self.next - (self.chunk.len() - self.at) as u64
    }

    fn next(&mut self) -> std::io::Result<u64> {
        if self.at + 8 > self.chunk.len() {
            // To the end of the page, so that memory that ends there is no error.
            let page = 4096 - (self.next % 4096) as usize;
            self.chunk.resize(page, 0);
            let got = sys::read_memory(self.pid, self.next, &mut self.chunk)?;
            if got < 8 {
                return Err(std::io::Error::from_raw_os_error(libc::EFAULT));
            }
            self.chunk.truncate(got);
            self.next += got as u64;
            self.at = 0;
        }
        let word = self.chunk[self.at..self.at + 8].try_into().unwrap_or_default();
        self.at += 8;
        Ok(u64::from_ne_bytes(word))
    }

    fn skip(&mut self, words: u64) -> std::io::Result<()> {
        let to = words.checked_mul(8).and_then(|bytes| self.address().checked_add(bytes));
        let to = to.ok_or_else(|| std::io::Error::from_raw_os_error(libc::EFAULT))?;
        if to <= self.next {
            self.at = self.chunk.len() - (self.next - to) as usize;
        } else {
            (self.next, self.at) = (to, 0);
            self.chunk.clear();
        }
        Ok(())
    }
}

/// Puts a batch of directory entries into an order that depends on the seed and the names only; without a seed the names
/// come in descending order.
///
/// The positions (`d_off`) stay where they are in the batch: the last entry still says where the next batch begins.
fn reorder(batch: &[u8], seed: Option<u64>) -> Vec<u8> {
    const OFFSET: std::ops::Range<usize> = 8..16;
    const LENGTH: std::ops::Range<usize> = 16..18;
    const NAME: usize = 19;
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.unwrap_or(0).to_le_bytes());
    let mut entries = Vec::new();
    let mut offsets = Vec::new();
    let mut rest = batch;
    while rest.len() >= NAME {
        let length = u16::from_ne_bytes(rest[LENGTH].try_into().unwrap_or_default()) as usize;
        if length < NAME || length > rest.len() {
            return batch.to_vec();
        }
        let (entry, after) = rest.split_at(length);
        let name = entry[NAME..].split(|b| *b == 0).next().unwrap_or_default();
        let rank = match name {
            b"." => (0, [0; 8]),
            b".." => (1, [0; 8]),
            _ if seed.is_none() => (2, [0; 8]),
            _ => {
                let hash = *blake3::keyed_hash(&key, name).as_bytes();
                (2, hash[..8].try_into().unwrap_or_default())
            }
        };
        offsets.push(&entry[OFFSET]);
        entries.push((rank, name, entry));
        rest = after;
    }
    match seed {
        Some(_) => entries.sort(),
        None => entries.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1))),
    }
    let mut out = Vec::with_capacity(batch.len());
    for ((.., entry), offset) in entries.iter().zip(offsets) {
        let start = out.len();
        out.extend_from_slice(entry);
        out[start..][OFFSET].copy_from_slice(offset);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(names: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let length = (19 + name.len() + 1).next_multiple_of(8);
            let start = out.len();
            out.extend((index as u64 + 100).to_ne_bytes());
            out.extend((index as u64 + 1).to_ne_bytes());
            out.extend((length as u16).to_ne_bytes());
            out.push(8);
            out.extend(name.bytes());
            out.resize(start + length, 0);
        }
        out
    }

    fn names(batch: &[u8]) -> (Vec<String>, Vec<u64>) {
        let (mut names, mut offsets, mut rest) = (Vec::new(), Vec::new(), batch);
        while !rest.is_empty() {
            let length = u16::from_ne_bytes(rest[16..18].try_into().unwrap()) as usize;
            offsets.push(u64::from_ne_bytes(rest[8..16].try_into().unwrap()));
            let name = rest[19..length].split(|b| *b == 0).next().unwrap();
            names.push(String::from_utf8(name.to_vec()).unwrap());
            rest = &rest[length..];
        }
        (names, offsets)
    }

    #[test]
    fn order_depends_on_names_and_seed_and_nothing_is_lost() {
        let given = ["longer-name", ".", "a", "..", "b", "c", "d", "e"];
        let mut backwards = given;
        backwards.reverse();
        let (one, offsets) = names(&reorder(&batch(&given), Some(1)));
        assert_eq!(offsets, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(one[..2], [".", ".."]);
        assert_eq!(one, names(&reorder(&batch(&backwards), Some(1))).0);
        assert_ne!(one, names(&reorder(&batch(&given), Some(2))).0);
        let mut sorted = one.clone();
        sorted.sort();
        let mut expected = given.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(sorted, expected);
        assert!(reorder(&[], Some(1)).is_empty());
        let descending = [".", "..", "longer-name", "e", "d", "c", "b", "a"];
        assert_eq!(names(&reorder(&batch(&given), None)), (descending.map(str::to_owned).to_vec(), offsets));
    }

    #[test]
    fn masks_come_in_whole_words() {
        assert_eq!(processors(3), [7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(processors(65).len(), 16);
        assert_eq!(processors(65)[8], 1);
    }
}
