//! A control group around a run: the kernel's own bound of its memory and processes, behind [`super::watch`].
//!
//! Made where it is given:
//!
//! - **Delegated to us** (version 2): parton's own group, if it is ours to write and either shares its controllers out
//!   already or holds nobody but parton, who then moves to a leaf of it. `systemd-run --user --scope -p Delegate=yes parton
//!   …` makes such a one. Memory and processes are bounded.
//! - **To root, before Linux 6.14**: below the root of the hierarchy, for processes only, since there the kernel counts
//!   root's processes in no other way.
//!
//! Elsewhere there is none, and what pid 1 sees is what stops a run; a limit is never looser for it. The kernel's bound of
//! memory lies a little above the limit: it counts the cache of files as well, and what it does at its bound is to kill
//! some process.

use super::init::pid_max_is_per_namespace;
use super::jail::Limits;
use super::memory;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What we call ours.
const NAME: &str = "parton-";
/// The leaf for parton itself.
const LEAF: &str = "parton-self";

/// The groups of one run, gone with the value. All processes must be.
pub(super) struct Group {
    dir: PathBuf,
    memory: bool,
    processes: bool,
}

impl Group {
    /// Makes one, where one is given. `memory` is the limit in force.
    pub(super) fn make(limits: &Limits, memory: u64) -> Option<Self> {
        let (above, memory_too) = delegated().map(|dir| (dir, true)).or_else(|| Some((for_root()?, false)))?;
        sweep(&above);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = above.join(format!("{NAME}{}-{number}", std::process::id()));
        fs::create_dir(&dir).ok()?;
        let mut group = Self { dir, memory: false, processes: false };
        // Stage 1 and pid 1 count as well.
        group.processes = group.set("pids.max", limits.processes.saturating_add(2));
        group.memory =
            memory_too && group.set("memory.max", memory.saturating_add(memory / 8).saturating_add(32 << 20));
        (group.memory || group.processes).then_some(group)
    }

    fn set(&self, file: &str, value: u64) -> bool {
        fs::write(self.dir.join(file), value.to_string()).is_ok()
    }

    /// Puts a process into it, and all that it will start.
    pub(super) fn add(&self, pid: u32) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// How many of its processes the kernel ended for lack of memory; `None` if it does not bound memory.
    pub(super) fn kills(&self) -> Option<u64> {
        if self.memory { memory::counter(&self.dir.join("memory.events"), "oom_kill") } else { None }
    }

    /// Whether that was at its own bound, and not for lack of memory around it.
    pub(super) fn was_full(&self) -> bool {
        memory::counter(&self.dir.join("memory.events.local"), "oom").is_some_and(|times| times > 0)
    }

    /// What it bounds, for the record.
    pub(super) fn bounds(&self) -> &'static str {
        match (self.memory, self.processes) {
            (true, true) => "a control group for memory and processes",
            (true, false) => "a control group for memory",
            _ => "a control group for processes",
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel may need a moment to notice that its last process is gone.
        for _ in 0..100 {
            match fs::remove_dir(&self.dir) {
                Err(e) if e.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(Duration::from_millis(1)),
                _ => return,
            }
        }
    }
}

/// Where the unified hierarchy can be seen.
fn unified() -> Option<&'static Path> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new).into_iter().find(|dir| shares(dir).is_some())
}

/// The controllers that a group shares out; `None` if it is none of version 2.
fn shares(dir: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(dir.join("cgroup.subtree_control")).ok()?;
    Some(text.split_ascii_whitespace().map(str::to_owned).collect())
}

fn shares_both(dir: &Path) -> bool {
    shares(dir).is_some_and(|list| ["memory", "pids"].iter().all(|name| list.iter().any(|shared| shared == name)))
}

/// The group of version 2 that parton may divide, if it was given one.
fn delegated() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = unified()?.join(path);
    let own = if own.ends_with(LEAF) { own.parent()?.to_owned() } else { own };
    if shares_both(&own) {
        return Some(own);
    }
    let alone = fs::read_to_string(own.join("cgroup.procs")).is_ok_and(|list| {
        let mut pids = list.split_ascii_whitespace();
        pids.next() == Some(&std::process::id().to_string()) && pids.next().is_none()
    });
    if !alone {
        return None;
    }
    let leaf = own.join(LEAF);
    match fs::create_dir(&leaf) {
        // An earlier parton's.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.ok()?,
    }
    let divided = fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())
        .and_then(|()| fs::write(own.join("cgroup.subtree_control"), "+memory +pids"));
    if divided.is_err() {
        // As it was before.
        let _ = fs::write(own.join("cgroup.procs"), std::process::id().to_string());
        let _ = fs::remove_dir(&leaf);
        return None;
    }
    Some(own)
}

/// The root of the hierarchy of processes, for a root whose processes are not counted otherwise.
fn for_root() -> Option<PathBuf> {
    let uname = rustix::system::uname();
    if !rustix::process::geteuid().is_root() || pid_max_is_per_namespace(&uname.release().to_string_lossy()) {
        return None;
    }
    let shared = unified().filter(|dir| shares(dir).is_some_and(|list| list.iter().any(|name| name == "pids")));
    let first = Path::new("/sys/fs/cgroup/pids");
    shared.or_else(|| first.join("cgroup.procs").is_file().then_some(first)).map(Path::to_owned)
}

/// Removes what killed partons left.
fn sweep(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split_once('-')?.0.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
