//! Raw kernel calls: the one address of `unsafe` in parton.
//!
//! Everything here is a thin, safe-to-call wrapper with owned descriptors, slices and `io::Result`; what a call is good
//! for is decided elsewhere. What rustix offers safely is called from there and does not appear here.
#![expect(unsafe_code, reason = "namespaces, seccomp notifications, ptrace and foreign memory have no safe interface")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// What a call that reports errors by -1 and `errno` said.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Namespaces that [`unshare`] makes anew; combined with `|`.
pub mod namespace {
    /// Users and capabilities.
    pub const USER: i32 = libc::CLONE_NEWUSER;
    /// Mounts.
    pub const MOUNT: i32 = libc::CLONE_NEWNS;
    /// Process ids.
    pub const PID: i32 = libc::CLONE_NEWPID;
    /// Network devices, addresses, sockets.
    pub const NET: i32 = libc::CLONE_NEWNET;
    /// System V and POSIX inter-process communication.
    pub const IPC: i32 = libc::CLONE_NEWIPC;
    /// Host and domain name.
    pub const UTS: i32 = libc::CLONE_NEWUTS;
    /// Root of the control group tree.
    pub const CGROUP: i32 = libc::CLONE_NEWCGROUP;
    /// Offsets of the monotonic and boot clocks.
    pub const TIME: i32 = libc::CLONE_NEWTIME;
}

/// Leaves the given namespaces for new ones. Never shares or unshares descriptors or memory.
pub fn unshare(namespaces: i32) -> io::Result<()> {
    use namespace::*;
    let known = USER | MOUNT | PID | NET | IPC | UTS | CGROUP | TIME;
    // SAFETY: no pointers; CLONE_FILES and CLONE_VM, which could surprise other threads, are masked out.
    check(unsafe { libc::unshare(namespaces & known) }.into()).map(drop)
}

/// How a child process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Birth {
    /// With a copy of our memory, while we go on.
    Copied,
    /// Within our memory, while we stand still until it has executed a program or ended. Saves the copying, which is
    /// most of what a process costs.
    Shared,
}

/// Makes a child process that runs `body` and exits with what it returns. Only for a process with a single thread.
/// Gives its process id; for a shared birth only when the child has executed a program or ended.
pub fn child(birth: Birth, body: impl FnOnce() -> i32) -> io::Result<i32> {
    extern "C" fn enter<F: FnOnce() -> i32>(body: *mut libc::c_void) -> i32 {
        // SAFETY: `body` points to the `Option<F>` of the call below, which stands still while we run.
        let body = unsafe { (*body.cast::<Option<F>>()).take() };
        exit_now(body.map_or(127, |body| body()))
    }
    fn start<F: FnOnce() -> i32>(body: &mut Option<F>) -> io::Result<i32> {
        const STACK: usize = 8 << 20;
        // SAFETY: a fresh private mapping is the child's stack, of which clone gets the upper end, aligned to a page. The
        // caller has one thread and, by CLONE_VFORK, does not run while the child uses its memory, so that the child has
        // it to itself; the child never returns from `enter`. The mapping is unmapped when the child has left it.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
            let stack = libc::mmap(std::ptr::null_mut(), STACK, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if stack == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let pid = libc::clone(enter::<F>, stack.byte_add(STACK), flags, (&raw mut *body).cast());
            let result = check(pid.into());
            libc::munmap(stack, STACK);
            result.map(|pid| pid as i32)
        }
    }
    match birth {
        Birth::Shared => start(&mut Some(body)),
        Birth::Copied => {
            // SAFETY: the callers (the jail's own first processes) have exactly one thread, so that no lock can be held
            // by a thread that does not exist in the child.
            match check(unsafe { libc::fork() }.into())? {
                0 => exit_now(body()),
                pid => Ok(pid as i32),
            }
        }
    }
}

/// Ends this process at once, without running destructors or flushing anything.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called before anything owns one of those descriptors (start of a re-executed process), or just before the
    // process only waits and exits.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Marks every descriptor from `first` on as closed by the next exec.
pub fn close_from_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: changes flags only, no descriptor is closed here.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Kills every process of this process id namespace but the caller, which must be its pid 1.
pub fn kill_everybody_else() {
    // SAFETY: no memory involved. The guard keeps a slip from killing the whole host.
    unsafe {
        if libc::getpid() == 1 {
            libc::kill(-1, libc::SIGKILL);
        }
    }
}

/// Resources a process and its waited-for children used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Peak resident size of the largest, in bytes.
    pub peak: u64,
}

impl Usage {
    fn new(raw: &libc::rusage) -> Self {
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
        Self { cpu: time(raw.ru_utime) + time(raw.ru_stime), peak: raw.ru_maxrss as u64 * 1024 }
    }
}

/// Time used by all children that were waited for so far.
pub fn usage_of_children() -> Usage {
    // SAFETY: rusage is plain numbers, for which zeroes are valid; the call fills our own value.
    unsafe {
        let mut raw: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut raw);
        Usage::new(&raw)
    }
}

/// What [`wait`] reports: process id, raw status word, usage.
pub type Waited = (i32, i32, Usage);

/// Takes the next change of state of any child or traced process; `None` when there is none now (only if not `block`).
/// No children at all is the error `ECHILD`.
pub fn wait(block: bool) -> io::Result<Option<Waited>> {
    let options = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        let mut status = 0;
        // SAFETY: rusage is plain numbers; both out-pointers are ours and live through the call.
        let (pid, raw) = unsafe {
            let mut raw: libc::rusage = std::mem::zeroed();
            (libc::wait4(-1, &raw mut status, options, &raw mut raw), raw)
        };
        match check(pid.into()) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some((pid as i32, status, Usage::new(&raw)))),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Blocks SIGCHLD and gives a descriptor that becomes readable when one is pending.
pub fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the signal set is initialised by sigemptyset before use; signalfd gives a new descriptor that we own.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Undoes what a caller may have left to us that keeps every child from being waited for: an ignored SIGCHLD.
pub fn expect_children() {
    // SAFETY: the old action is read into our own structure, for which zeroes are valid; only the disposition that means
    // "ignore" is changed, to the default, which runs no code either.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut old) == 0 && old.sa_sigaction == libc::SIG_IGN {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
}

/// Runs `work` with SIGTTOU blocked for this thread, so that a background process may set the terminal's group.
pub fn without_ttou<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are ours; the old mask is put back before returning.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut old);
        let result = work();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, std::ptr::null_mut());
        result
    }
}

/// Gives every signal but SIGPIPE its default meaning, and blocks none: what the caller ignored would stay ignored in
/// every program to come.
pub fn default_signals() -> io::Result<()> {
    const HIGHEST: i32 = 64;
    let default = [0_u64; 4]; // handler, flags, restorer, mask: as the kernel has it
    for signal in 1..=HIGHEST {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP | libc::SIGPIPE) {
            continue;
        }
        // SAFETY: the kernel reads 32 bytes from our own array; no handler of ours goes with the default action. Not by
        // the C library, which keeps two signals for itself.
        let set = unsafe {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, size_of::<u64>())
        };
        check(set)?;
    }
    // SAFETY: the set is initialised by sigemptyset before use.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()).into()).map(drop)
    }
}

/// Leaves the controlling terminal (which `tty` is), without leaving the session.
pub fn leave_terminal(tty: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCNOTTY) }.into()).map(drop)
}

/// Sets how the next program is laid out and what it is told about the machine.
pub fn personality(flags: u32) -> io::Result<()> {
    // SAFETY: no pointers; affects only later execs.
    check(unsafe { libc::personality(flags.into()) }.into()).map(drop)
}

/// Layout of later programs is the same in every run.
pub const FIXED_ADDRESSES: u32 = libc::ADDR_NO_RANDOMIZE as u32;

/// Bytes of a page of memory, on the one architecture there is.
pub const PAGE: u64 = 4096;

/// Bytes in the System V shared memory segments of this ipc namespace.
pub fn shared_segments() -> u64 {
    const SHM_INFO: libc::c_int = 14;
    #[repr(C)]
    struct Info {
        used: libc::c_int,
        total: libc::c_ulong,
        resident: libc::c_ulong,
        swapped: libc::c_ulong,
        swap: [libc::c_ulong; 2],
    }
    let mut info = Info { used: 0, total: 0, resident: 0, swapped: 0, swap: [0; 2] };
    // SAFETY: for this request the kernel fills a structure of this layout, which is ours; no segment is named.
    let result = unsafe { libc::shmctl(0, SHM_INFO, (&raw mut info).cast()) };
    if result < 0 { 0 } else { (info.resident + info.swapped).saturating_mul(PAGE) }
}

/// A clock's seconds and nanoseconds; zero for one that this kernel does not have.
pub fn clock(id: i32) -> (i64, i64) {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills our own structure.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    (now.tv_sec, now.tv_nsec)
}

/// A clock's seconds, asked of the kernel by a call even where a program could read them without one.
pub fn clock_by_call(id: i32) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills our own structure.
    unsafe { libc::syscall(libc::SYS_clock_gettime, id, &raw mut now) };
    now.tv_sec
}

/// Leaves this process, which is about to probe its jail, nothing but an empty input, its output and two descriptors,
/// which become 3 and 4.
pub fn keep_only(input: BorrowedFd<'_>, kept: [BorrowedFd<'_>; 2]) -> io::Result<[OwnedFd; 2]> {
    // SAFETY: called in a fresh child that never returns into code which owns one of the closed descriptors. Both are
    // moved out of the way first, so that neither overwrites the other; what is returned is open and owned by nobody.
    unsafe {
        let above = |fd: BorrowedFd<'_>| check(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, 16).into());
        let (one, other) = (above(kept[0])? as i32, above(kept[1])? as i32);
        check(libc::dup2(input.as_raw_fd(), 0).into())?;
        check(libc::dup2(one, 3).into())?;
        check(libc::dup2(other, 4).into())?;
        check(libc::syscall(libc::SYS_close_range, 5, u32::MAX, 0))?;
        Ok([OwnedFd::from_raw_fd(3), OwnedFd::from_raw_fd(4)])
    }
}

/// A System V shared memory segment that vanishes with this process, however that ends.
#[derive(Debug)]
pub struct SharedMemory {
    id: i32,
    address: usize,
}

impl SharedMemory {
    /// A new segment of one page that only its id leads to.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a new segment is attached where the kernel likes and never read or written. Marked for removal at once,
        // it lives as long as it is attached, and can be attached by its id until then.
        unsafe {
            let id = check(libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600).into())? as i32;
            let address = libc::shmat(id, std::ptr::null(), 0);
            let removed = check(libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()).into());
            if address.addr() == usize::MAX {
                return Err(io::Error::last_os_error());
            }
            removed.map(|_| Self { id, address: address.addr() })
        }
    }

    /// By which it can be attached from the same ipc namespace.
    pub fn id(&self) -> i32 {
        self.id
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: it was attached at this address and nothing refers into it.
        unsafe { libc::shmdt(self.address as *const libc::c_void) };
    }
}

/// Attaches a segment by its id for reading, and lets it go.
pub fn try_shared_memory(id: i32) -> io::Result<()> {
    // SAFETY: attached where the kernel likes, never read, and detached at once.
    unsafe {
        let address = libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY);
        if address.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        libc::shmdt(address);
        Ok(())
    }
}

/// Calls this number with arguments that are wrong for every call of the filter's tables, and gives the error number; 0
/// for none. `vhangup`, which has no arguments, must not be tried.
pub fn try_call(number: i64) -> i32 {
    const WRONG: libc::c_long = -1;
    // SAFETY: as an address, a descriptor, a length, a flag or an id, -1 is refused by every kernel before anything is done.
    let result = unsafe { libc::syscall(number, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG) };
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

/// Types a NUL byte into a terminal as if its user had done so.
pub fn type_into(terminal: impl std::os::fd::AsFd) -> io::Result<()> {
    // SAFETY: the kernel reads one byte from a pointer to our own.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSTI, &raw const *b"\0") }.into()).map(drop)
}

/// Switches on the loopback device of this network namespace, and says which devices there are besides.
pub fn loopback_up() -> io::Result<Vec<String>> {
    // SAFETY: `ifreq` is plain bytes; its name is NUL-terminated because it is zeroed first and "lo" is shorter. The
    // socket is owned and closed on return. `if_nameindex` returns an array that ends with a null name and is freed.
    unsafe {
        let socket = check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0).into())?;
        let socket = OwnedFd::from_raw_fd(socket as i32);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request).into())?;
        let list = libc::if_nameindex();
        if list.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut others = Vec::new();
        let mut at = list;
        while !(*at).if_name.is_null() {
            let name = std::ffi::CStr::from_ptr((*at).if_name).to_string_lossy().into_owned();
            if name != "lo" {
                others.push(name);
            }
            at = at.add(1);
        }
        libc::if_freenameindex(list);
        Ok(others)
    }
}

/// Attributes that [`restrict_mount`] adds.
pub mod attribute {
    /// No writing.
    pub const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    /// No set-user-id programs.
    pub const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
    /// No device nodes.
    pub const NO_DEV: u64 = libc::MOUNT_ATTR_NODEV;
}

/// Adds attributes to the mount that `fd` is the root of.
pub fn restrict_mount(fd: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let change = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a NUL-terminated constant and `change` lives through the call with its size beside it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const change,
            size_of_val(&change),
        )
    };
    check(result).map(drop)
}

/// The version of landlock that the kernel offers.
pub fn landlock_version() -> io::Result<i32> {
    // SAFETY: with the version flag the kernel takes no structure.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, 1_u32) };
    check(version).map(|version| version as i32)
}

/// One instruction of a classic BPF program, as the kernel wants it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

const SECCOMP_SPEC_ALLOW: libc::c_ulong = 1 << 2;
const SECCOMP_NEW_LISTENER: libc::c_ulong = 1 << 3;
const SECCOMP_WAIT_KILLABLE: libc::c_ulong = 1 << 5;

/// Puts this process and all it will start under a system call filter. With `listen` the descriptor of the filter's
/// notifications is returned.
pub fn seccomp(program: &[Insn], listen: bool) -> io::Result<Option<OwnedFd>> {
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const Insn,
    }
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let raw = Program { len, filter: program.as_ptr() };
    let flags = SECCOMP_SPEC_ALLOW | if listen { SECCOMP_NEW_LISTENER | SECCOMP_WAIT_KILLABLE } else { 0 };
    // SAFETY: `raw` and the instructions it points to live through the call, which copies them; `Insn` has the layout of
    // `sock_filter`. A listener descriptor is new and ours.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const raw))?;
        Ok(listen.then(|| OwnedFd::from_raw_fd(fd as i32)))
    }
}

/// Makes sure that the kernel knows this return value of filters.
pub fn seccomp_knows(action: u32) -> io::Result<()> {
    // SAFETY: the kernel reads one number from a pointer to our own.
    let known = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    check(known).map(drop)
}

/// A system call that waits for our answer.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Names the call until it is answered.
    pub id: u64,
    /// The thread that made it, 0 when it is not of our process id namespace.
    pub pid: u32,
    flags: u32,
    /// Number of the call.
    pub nr: i32,
    arch: u32,
    ip: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const NOTIF_RECV: libc::c_ulong = 0xc050_2100;
const NOTIF_SEND: libc::c_ulong = 0xc018_2101;
const NOTIF_ID_VALID: libc::c_ulong = 0x4008_2102;
const NOTIF_SET_FLAGS: libc::c_ulong = 0x4008_2104;
const _: () = assert!(size_of::<Call>() == 80 && size_of::<Answer>() == 24);

/// Takes the next waiting call; `None` when its caller died meanwhile.
pub fn next_call(listener: BorrowedFd<'_>) -> io::Result<Option<Call>> {
    let mut call = Call { id: 0, pid: 0, flags: 0, nr: 0, arch: 0, ip: 0, args: [0; 6] };
    // SAFETY: the kernel fills our zeroed structure, whose size is part of the request's number.
    match check(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut call) }.into()) {
        Ok(_) => Ok(Some(call)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// How a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It succeeded with this value.
    Value(i64),
    /// It failed with this error number.
    Errno(i32),
    /// The kernel runs it as if it had not been intercepted.
    Continue,
}

/// Answers a call. A caller that died meanwhile is no error.
pub fn answer(listener: BorrowedFd<'_>, id: u64, reply: Reply) -> io::Result<()> {
    let answer = match reply {
        Reply::Value(value) => Answer { id, value, error: 0, flags: 0 },
        Reply::Errno(errno) => Answer { id, value: 0, error: -errno, flags: 0 },
        Reply::Continue => Answer { id, value: 0, error: 0, flags: 1 },
    };
    // SAFETY: the kernel reads our structure, whose size is part of the request's number.
    match check(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND, &raw const answer) }.into()) {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => Ok(()),
    }
}

/// Whether the caller of a call still waits, so that its process id can not have been given to another.
pub fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one number from a pointer to our own.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Asks the kernel to switch between caller and listener on one processor, which is faster. Older kernels can not.
pub fn wake_in_step(listener: BorrowedFd<'_>) {
    // SAFETY: the argument is a plain number.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SET_FLAGS, 1_u64) };
}

/// Reads another process's memory; returns how much was readable from `address` on.
pub fn read_memory(pid: u32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: the kernel writes at most `into.len()` bytes to our slice and checks the foreign address itself.
    let got = unsafe { libc::process_vm_readv(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    check(got as libc::c_long).map(|n| n as usize)
}

/// Writes all of `bytes` into another process's memory, as far as that process could itself.
pub fn write_memory(pid: u32, address: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the kernel only reads from our slice and checks the foreign address itself.
    let put = unsafe { libc::process_vm_writev(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    match check(put as libc::c_long)? {
        n if n as usize == bytes.len() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}

fn ptrace(request: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: only used below with requests that take plain numbers in place of pointers, or, for PEEKUSER, a pointer to
    // our own number.
    check(unsafe { libc::syscall(libc::SYS_ptrace, libc::c_long::from(request as i32), pid, address, data) })
}

/// Begins to trace a thread without stopping it; it will stop when it has executed another program.
pub fn seize(pid: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, pid, 0, libc::PTRACE_O_TRACEEXEC as usize).map(drop)
}

/// Lets a stopped, traced thread go on untraced, with the signal it stopped for (or 0).
pub fn release(pid: i32, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH, pid, 0, signal as usize).map(drop)
}

/// The stack pointer of a stopped, traced thread.
pub fn stack_pointer(pid: i32) -> io::Result<u64> {
    let mut value = 0_u64;
    let offset = std::mem::offset_of!(libc::user_regs_struct, rsp);
    ptrace(libc::PTRACE_PEEKUSER, pid, offset, (&raw mut value) as usize)?;
    Ok(value)
}

/// What stopped or ended a process, from the status word of [`wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// Traced: it executed another program.
    Executed,
    /// Traced: it is stopped as its whole group is.
    GroupStopped,
    /// Traced: this signal is about to be delivered.
    Signalled(i32),
}

/// Reads a status word.
pub fn change(status: i32) -> Change {
    if libc::WIFEXITED(status) {
        Change::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Killed(libc::WTERMSIG(status))
    } else {
        match status >> 16 {
            libc::PTRACE_EVENT_EXEC => Change::Executed,
            libc::PTRACE_EVENT_STOP => Change::GroupStopped,
            _ => Change::Signalled(libc::WSTOPSIG(status)),
        }
    }
}

/// Reads directory entries in the kernel's own form; 0 at the end.
pub fn directory_entries(directory: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `into.len()` bytes to our slice.
    let got = unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), into.as_mut_ptr(), into.len()) };
    check(got).map(|n| n as usize)
}
