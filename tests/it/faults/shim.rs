//! A supervisor that runs a program by ptrace, sees every call by which it touches files below one directory, and makes one
//! of them fail, be cut short or be the program's last; or records what they change, for the model of a power cut.
//!
//! Only the program's own threads are followed, not the processes it starts: a jail's first process traces others itself.
#![expect(unsafe_code, reason = "ptrace has no safe form; a wrong call here can break nothing but a test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and returns this error.
    Error(i32),
    /// The same from then on, for every call that needs space.
    Full,
    /// It writes half of what it was given.
    Short,
    /// The program is killed before it.
    Kill,
}

/// What a call can do to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Changes something, and takes space for it.
    Grow,
    /// Changes something.
    Change,
    /// Makes changes durable.
    Sync,
    /// Takes a lock.
    Lock,
    /// Opens something that is there.
    Open,
    /// Looks.
    Look,
}

/// One call on something below the directory.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: &'static str,
    pub kind: Kind,
    /// What it is about: for a rename or a link, the new name.
    pub path: PathBuf,
    /// The old name, if there are two.
    pub from: PathBuf,
}

/// A change, as the program made it. Paths are absolute.
#[derive(Debug, Clone)]
pub enum Op {
    Create {
        path: PathBuf,
        mode: u32,
    },
    Mkdir {
        path: PathBuf,
        mode: u32,
    },
    Symlink {
        path: PathBuf,
        target: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Write {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        len: u64,
    },
    /// The mode or the time was set; what they are now is what was asked for.
    Attributes {
        path: PathBuf,
        mode: u32,
        mtime: (i64, i64),
    },
    /// A file or a directory was made durable.
    Sync {
        path: PathBuf,
    },
    /// Everything was.
    SyncAll,
    /// The program printed this line.
    Said(String),
}

/// How a program is run.
pub struct Watch<'a> {
    /// The directory.
    pub root: &'a Path,
    /// Which of the calls on it are counted.
    pub counted: &'a dyn Fn(&Call) -> bool,
    /// What becomes of which of them, from 1.
    pub fault: Option<(usize, Fault)>,
    /// Whether changes are recorded.
    pub record: bool,
}

/// How it ended.
#[derive(Debug)]
pub struct Watched {
    /// Exit code, if it was not killed.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    /// The counted calls.
    pub calls: Vec<Call>,
    /// The call that met its fault.
    pub hit: Option<Call>,
    pub ops: Vec<Op>,
    /// Whether it took too long and was killed for that.
    pub hung: bool,
}

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a program to its end. It must first read a line from its standard input: by then it is being watched.
///
/// It is not traced from its birth on, because a process that forks by hand holds for a moment what other tests have
/// locked.
#[expect(clippy::zombie_processes, reason = "whoever traces it is told of its end, and waits for it with its threads")]
pub fn run(command: &mut Command, watch: &Watch<'_>) -> Watched {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let pid = child.id() as i32;
    let options =
        libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    // SAFETY: no memory is handed over.
    let seized = unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, pid, 0_usize, options as usize) == 0
            && libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0_usize, 0_usize) == 0
    };
    assert!(seized, "{}", io::Error::last_os_error());
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let (over, wait) = mpsc::channel::<()>();
    let timer = std::thread::spawn(move || {
        let late = wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            kill(pid);
        }
        late
    });
    let mut tracer = Tracer {
        watch,
        pid,
        memory: None,
        pending: BTreeMap::new(),
        out: &out,
        calls: Vec::new(),
        hit: None,
        ops: Vec::new(),
    };
    let code = tracer.follow();
    let Tracer { calls, hit, ops, .. } = tracer;
    drop(over);
    let hung = timer.join().unwrap();
    let text = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Watched { code, out: text(&mut out), err: text(&mut err), calls, hit, ops, hung }
}

fn kill(pid: i32) {
    // SAFETY: no memory is touched. The process is a child that was not waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

struct Tracer<'a> {
    watch: &'a Watch<'a>,
    pid: i32,
    /// The program's memory; another one after an exec.
    memory: Option<File>,
    /// The call that a thread is in.
    pending: BTreeMap<i32, Pending>,
    out: &'a File,
    calls: Vec<Call>,
    hit: Option<Call>,
    ops: Vec<Op>,
}

/// A call between its entry and its exit.
struct Pending {
    nr: i64,
    args: [u64; 6],
    call: Option<Call>,
    /// The error it is to return without having been made.
    error: Option<i32>,
    /// Where it will write.
    offset: u64,
    /// Whether what it may create was there.
    existed: bool,
}

impl Tracer<'_> {
    /// Until the last thread is gone; the exit code.
    fn follow(&mut self) -> Option<i32> {
        let mut code = None;
        loop {
            let mut status = 0;
            // Only this thread's children: others of the test's threads wait for theirs.
            // SAFETY: `status` outlives the call.
            let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
            if tid < 0 {
                match io::Error::last_os_error().raw_os_error() {
                    Some(libc::EINTR) => continue,
                    _ => return code,
                }
            }
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                self.pending.remove(&tid);
                if tid == self.pid {
                    code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
                }
                continue;
            }
            let signal = libc::WSTOPSIG(status);
            let mut deliver = 0;
            if signal == libc::SIGTRAP | 0x80 {
                self.at_call(tid);
            } else if status >> 16 == libc::PTRACE_EVENT_EXEC {
                self.memory = None;
            } else if status >> 16 == 0 && signal != libc::SIGTRAP {
                deliver = signal;
            }
            // SAFETY: no memory is handed over. It fails only for a thread that was killed meanwhile.
            unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, 0_usize, deliver as usize) };
        }
    }

    fn at_call(&mut self, tid: i32) {
        let mut info = [0_u8; 88];
        // SAFETY: the kernel writes at most as many bytes as it is told there are.
        let length = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, info.len(), info.as_mut_ptr()) };
        if length < 0 {
            return;
        }
        let word = |n: usize| u64::from_ne_bytes(info[24 + 8 * n..32 + 8 * n].try_into().unwrap());
        match info[0] {
            1 => {
                let pending = self.enter(tid, word(0) as i64, std::array::from_fn(|n| word(n + 1)));
                self.pending.insert(tid, pending);
            }
            2 => {
                let Some(pending) = self.pending.remove(&tid) else { return };
                match pending.error {
                    Some(error) => change_registers(tid, |registers| registers.rax = -i64::from(error) as u64),
                    None if self.watch.record && word(0) as i64 >= 0 => self.record(tid, pending, word(0)),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, tid: i32, nr: i64, args: [u64; 6]) -> Pending {
        let call = self.classify(tid, nr, args).filter(|call| call.path.starts_with(self.watch.root));
        let mut pending = Pending { nr, args, call, error: None, offset: 0, existed: true };
        let said = self.watch.record && nr == libc::SYS_write && args[0] == 1;
        if pending.call.is_none() && !said {
            return pending;
        }
        if self.watch.record {
            pending.offset = position(tid, args[0]);
            pending.existed = pending.call.as_ref().is_none_or(|call| fs::symlink_metadata(&call.path).is_ok());
        }
        let Some(call) = &pending.call else { return pending };
        let counted = (self.watch.counted)(call);
        if counted {
            self.calls.push(call.clone());
        }
        let Some((at, fault)) = self.watch.fault else { return pending };
        let now = counted && self.calls.len() == at;
        match fault {
            Fault::Error(error) if now => pending.error = Some(error),
            Fault::Full if call.kind == Kind::Grow && self.calls.len() >= at => pending.error = Some(libc::ENOSPC),
            Fault::Short if now && args[2] > 1 => change_registers(tid, |registers| registers.rdx = args[2] / 2),
            Fault::Kill if now => kill(self.pid),
            _ => return pending,
        }
        if pending.error.is_some() {
            // No such call: the kernel makes none, and what it returns is replaced at the exit.
            change_registers(tid, |registers| registers.orig_rax = u64::MAX);
        }
        self.hit.get_or_insert_with(|| call.clone());
        pending
    }

    /// What a call is about, if it is one that touches files.
    fn classify(&mut self, tid: i32, nr: i64, args: [u64; 6]) -> Option<Call> {
        use Kind::{Change, Grow, Lock, Look, Open, Sync};
        let here = libc::AT_FDCWD as u64;
        let call = |name, kind, path| Some(Call { name, kind, path, from: PathBuf::new() });
        match nr {
            libc::SYS_openat => {
                let creates = args[2] & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
                call("openat", if creates { Grow } else { Open }, self.path(tid, args[0], args[1])?)
            }
            libc::SYS_open | libc::SYS_creat => {
                let creates = nr == libc::SYS_creat || args[1] & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
                call("open", if creates { Grow } else { Open }, self.path(tid, here, args[0])?)
            }
            libc::SYS_mkdir => call("mkdir", Grow, self.path(tid, here, args[0])?),
            libc::SYS_mkdirat => call("mkdirat", Grow, self.path(tid, args[0], args[1])?),
            libc::SYS_symlink => call("symlink", Grow, self.path(tid, here, args[1])?),
            libc::SYS_symlinkat => call("symlinkat", Grow, self.path(tid, args[1], args[2])?),
            libc::SYS_rename | libc::SYS_link => {
                let (from, path) = (self.path(tid, here, args[0])?, self.path(tid, here, args[1])?);
                let name = if nr == libc::SYS_link { "link" } else { "rename" };
                Some(Call { name, kind: Grow, path, from })
            }
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => {
                let (from, path) = (self.path(tid, args[0], args[1])?, self.path(tid, args[2], args[3])?);
                let name = if nr == libc::SYS_linkat { "linkat" } else { "renameat" };
                Some(Call { name, kind: Grow, path, from })
            }
            libc::SYS_unlink => call("unlink", Change, self.path(tid, here, args[0])?),
            libc::SYS_rmdir => call("rmdir", Change, self.path(tid, here, args[0])?),
            libc::SYS_unlinkat => call("unlinkat", Change, self.path(tid, args[0], args[1])?),
            libc::SYS_write => call("write", Grow, of_descriptor(tid, args[0])?),
            libc::SYS_writev => call("writev", Grow, of_descriptor(tid, args[0])?),
            libc::SYS_pwrite64 => call("pwrite64", Grow, of_descriptor(tid, args[0])?),
            libc::SYS_copy_file_range => call("copy_file_range", Grow, of_descriptor(tid, args[2])?),
            libc::SYS_sendfile => call("sendfile", Grow, of_descriptor(tid, args[0])?),
            libc::SYS_fallocate => call("fallocate", Grow, of_descriptor(tid, args[0])?),
            libc::SYS_ftruncate => call("ftruncate", Change, of_descriptor(tid, args[0])?),
            libc::SYS_fsync => call("fsync", Sync, of_descriptor(tid, args[0])?),
            libc::SYS_fdatasync => call("fdatasync", Sync, of_descriptor(tid, args[0])?),
            libc::SYS_syncfs => call("syncfs", Sync, of_descriptor(tid, args[0])?),
            libc::SYS_fchmod => call("fchmod", Change, of_descriptor(tid, args[0])?),
            libc::SYS_chmod => call("chmod", Change, self.path(tid, here, args[0])?),
            libc::SYS_fchmodat => call("fchmodat", Change, self.path(tid, args[0], args[1])?),
            libc::SYS_fchown => call("fchown", Change, of_descriptor(tid, args[0])?),
            libc::SYS_chown | libc::SYS_lchown => call("chown", Change, self.path(tid, here, args[0])?),
            libc::SYS_fchownat => call("fchownat", Change, self.path(tid, args[0], args[1])?),
            libc::SYS_utimensat if args[1] == 0 => call("utimensat", Change, of_descriptor(tid, args[0])?),
            libc::SYS_utimensat => call("utimensat", Change, self.path(tid, args[0], args[1])?),
            libc::SYS_flock => call("flock", Lock, of_descriptor(tid, args[0])?),
            libc::SYS_stat | libc::SYS_lstat | libc::SYS_access => call("stat", Look, self.path(tid, here, args[0])?),
            libc::SYS_statx => call("statx", Look, self.path(tid, args[0], args[1])?),
            libc::SYS_newfstatat => call("newfstatat", Look, self.path(tid, args[0], args[1])?),
            libc::SYS_faccessat | libc::SYS_faccessat2 => call("faccessat", Look, self.path(tid, args[0], args[1])?),
            libc::SYS_readlink => call("readlink", Look, self.path(tid, here, args[0])?),
            libc::SYS_readlinkat => call("readlinkat", Look, self.path(tid, args[0], args[1])?),
            libc::SYS_fstat => call("fstat", Look, of_descriptor(tid, args[0])?),
            libc::SYS_read | libc::SYS_pread64 => call("read", Look, of_descriptor(tid, args[0])?),
            libc::SYS_getdents64 => call("getdents64", Look, of_descriptor(tid, args[0])?),
            _ => None,
        }
    }

    /// The absolute path of a name in the program's memory.
    fn path(&mut self, tid: i32, dir: u64, name: u64) -> Option<PathBuf> {
        if self.memory.is_none() {
            self.memory =
                File::options().read(true).custom_flags(libc::O_CLOEXEC).open(format!("/proc/{tid}/mem")).ok();
        }
        let memory = self.memory.as_ref()?;
        let mut bytes = Vec::new();
        while !bytes.contains(&0) && bytes.len() < 8192 {
            // Up to the end of a page: the next one may be nobody's.
            let at = name + bytes.len() as u64;
            let mut piece = vec![0; (256 - at % 256) as usize];
            match memory.read_at(&mut piece, at) {
                Ok(0) | Err(_) => return None,
                Ok(read) => bytes.extend_from_slice(&piece[..read]),
            }
        }
        bytes.truncate(bytes.iter().position(|byte| *byte == 0)?);
        let name = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        if name.is_absolute() {
            return Some(name);
        }
        let base = if dir as i32 == libc::AT_FDCWD {
            fs::read_link(format!("/proc/{tid}/cwd")).ok()?
        } else {
            of_descriptor(tid, dir)?
        };
        Some(if name.as_os_str().is_empty() { base } else { base.join(name) })
    }

    /// Notes what a call changed.
    fn record(&mut self, tid: i32, pending: Pending, result: u64) {
        let Pending { nr, args, call, offset, existed, .. } = pending;
        let Some(Call { path, from, kind, .. }) = call else {
            if nr == libc::SYS_write && args[0] == 1 {
                let mut bytes = vec![0; result as usize];
                self.out.read_exact_at(&mut bytes, offset).unwrap();
                self.ops.extend(String::from_utf8(bytes).unwrap().lines().map(|line| Op::Said(line.to_owned())));
            }
            return;
        };
        let open = || File::open(format!("/proc/{tid}/fd/{}", args[0]));
        let op = match nr {
            libc::SYS_openat | libc::SYS_open | libc::SYS_creat if kind == Kind::Grow => {
                let mode = fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
                match existed {
                    false => Op::Create { path, mode },
                    true if args[2] & libc::O_TRUNC as u64 != 0 => Op::Truncate { path, len: 0 },
                    true => return,
                }
            }
            libc::SYS_mkdir | libc::SYS_mkdirat => {
                let mode = fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
                Op::Mkdir { path, mode }
            }
            libc::SYS_symlink | libc::SYS_symlinkat => Op::Symlink { target: fs::read_link(&path).unwrap(), path },
            libc::SYS_link | libc::SYS_linkat => Op::Link { from, to: path },
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => Op::Rename { from, to: path },
            libc::SYS_unlink | libc::SYS_unlinkat | libc::SYS_rmdir => Op::Remove { path },
            libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_pwrite64
            | libc::SYS_copy_file_range
            | libc::SYS_sendfile => {
                let (descriptor, at) = match nr {
                    libc::SYS_pwrite64 => (args[0], args[3]),
                    libc::SYS_copy_file_range => (args[2], position(tid, args[2]).saturating_sub(result)),
                    _ => (args[0], offset),
                };
                let mut bytes = vec![0; result as usize];
                let file = File::open(format!("/proc/{tid}/fd/{descriptor}")).unwrap();
                file.read_exact_at(&mut bytes, at).unwrap();
                Op::Write { path, at, bytes }
            }
            libc::SYS_ftruncate => Op::Truncate { path, len: args[1] },
            libc::SYS_chmod
            | libc::SYS_fchmod
            | libc::SYS_fchmodat
            | libc::SYS_utimensat
            | libc::SYS_chown
            | libc::SYS_lchown
            | libc::SYS_fchown
            | libc::SYS_fchownat => {
                let found = match fs::symlink_metadata(&path) {
                    Ok(found) => found,
                    // Its name is gone, its descriptor is not.
                    Err(_) => open().unwrap().metadata().unwrap(),
                };
                Op::Attributes { path, mode: found.mode() & 0o7777, mtime: (found.mtime(), found.mtime_nsec()) }
            }
            libc::SYS_fsync | libc::SYS_fdatasync => Op::Sync { path },
            libc::SYS_syncfs => Op::SyncAll,
            _ => return,
        };
        self.ops.push(op);
    }
}

/// What a descriptor of the program leads to.
fn of_descriptor(tid: i32, descriptor: u64) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{tid}/fd/{}", descriptor as i32)).ok()
}

/// Where a descriptor stands.
fn position(tid: i32, descriptor: u64) -> u64 {
    let text = fs::read_to_string(format!("/proc/{tid}/fdinfo/{}", descriptor as i32)).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok()).unwrap_or(0)
}

fn change_registers(tid: i32, change: impl FnOnce(&mut libc::user_regs_struct)) {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::uninit();
    // SAFETY: the kernel fills the whole structure or fails.
    let read = unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, 0_usize, registers.as_mut_ptr()) };
    if read == -1 {
        // Killed meanwhile.
        return;
    }
    // SAFETY: filled, as the call before said.
    let mut registers = unsafe { registers.assume_init() };
    change(&mut registers);
    // SAFETY: the structure outlives the call.
    unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0_usize, &raw const registers) };
}
