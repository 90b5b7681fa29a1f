//! The jail's file system: what is mounted where, and the change of the root.
//!
//! Everything that is not a layer or a bind comes from two small memory file systems. The *stock* holds what is only
//! ever read:
//!
//! ```text
//! top/      topmost layer of the root: mount points and the jail's `files`
//! dev/      becomes /dev: links, empty files for the device nodes to be bound to
//! sys/      becomes /proc/sys
//! facts/    texts for /proc
//! none, void/   an empty file and directory to cover other things in /proc with
//! pipe          what stands for the random devices, if the world has bytes of its own
//! spare/    where the second one, the *scratch* (/tmp and /dev/shm, writable, bounded), is mounted at first
//! root/     where the new root is put together
//! ```
//!
//! The stock is made read-only before anything of it is shown; after the change of root nothing leads to it but what was
//! bound. Layers are handed to overlayfs by descriptor number, so that no path of the host appears in the mount table
//! and a name may contain any character.

use super::error::{Doing, Failure};
use super::jail::{Jail, Stdio};
use super::proc::{self, Cover};
use super::random;
use super::sys;
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, mkdirat, open, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_bind, mount_change, move_mount,
    open_tree, unmount,
};
use rustix::process::{chdir, chroot, fchdir, pivot_root};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const FILES: &str = "files";
const PROCESSES: &str = "processes";

/// Facts of the machine that the jail may show.
pub(super) struct Machine {
    /// Processors we may use.
    pub cpus: u32,
    /// Release of the kernel that programs see.
    pub release: String,
    /// Version text of the kernel that programs see.
    pub version: String,
}

/// Where the device nodes may be opened and written.
pub(super) fn devices(stdio: Stdio) -> &'static [&'static str] {
    match stdio {
        Stdio::Captured | Stdio::Emulated { .. } => &["null", "zero", "full", "random", "urandom"],
        Stdio::Terminal => &["null", "zero", "full", "random", "urandom", "tty"],
    }
}

/// Builds the root of `jail` and moves this process into it. Needs fresh mount and pid namespaces.
/// `early` is called when `/proc` is mounted (its path is given) and not yet covered.
pub(super) fn enter(
    jail: &Jail,
    machine: &Machine,
    early: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).wall(FILES, "make private", "/")?;
    let stock = stock()?;
    let world = &jail.world;
    let cpuinfo = match world.cpus.is_some() || world.cpu_model.is_some() {
        true => Some(match fs::read_to_string("/proc/cpuinfo") {
            // A /proc of processes only, which tells nothing of the machine.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => proc::unknown_processors(machine.cpus),
            text => text.wall("world", "read", "/proc/cpuinfo")?,
        }),
        false => None,
    };
    let facts = proc::facts(world, machine.cpus, cpuinfo.as_deref());
    fill_stock(jail, machine, &facts)?;
    overlay(&jail.root, Some("top"), "root", &stock)?;
    sys::restrict_mount(stock.as_fd(), sys::attribute::READ_ONLY | sys::attribute::NO_SUID | sys::attribute::NO_DEV)
        .wall(FILES, "make read-only", "the stock")?;

    let nothing = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Pid 1 is not shown to those who may not look into it.
    mount("proc", "root/proc", "proc", nothing, Some(c"hidepid=ptraceable")).wall(PROCESSES, "mount", "/proc")?;
    early(Path::new("root/proc"))?;
    cover_proc(&facts)?;

    bind("dev", "root/dev")?;
    for device in devices(jail.stdio) {
        match jail.world.random {
            Some(_) if random::DEVICES.contains(device) => bind("pipe", &format!("root/dev/{device}"))?,
            _ => lend(device)?,
        }
    }
    scratch(jail.tmp_size, !jail.binds.iter().any(|bind| bind.at == "/tmp"))?;

    for extra in &jail.overlays {
        let at = format!("root{}", extra.at);
        match extra.layers.as_slice() {
            [] => bind("void", &at)?,
            layers => overlay(layers, None, &at, &stock)?,
        }
    }
    for given in &jail.binds {
        match jail.overlaid.get(&given.at) {
            Some(work) if given.write => overlay_over(&given.from, work, &given.at, &stock)?,
            _ => attach(&given.from, &format!("root{}", given.at), given.write)?,
        }
    }
    leave_for("root")?;
    empty_table()
}

/// Does what [`enter`] does, as far as it needs no process id namespace, with a root of nothing.
pub(super) fn rehearse() -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).wall(FILES, "make private", "/")?;
    let stock = stock()?;
    for path in ["top", "root", "void", "spare"] {
        mkdirat(CWD, path, Mode::from(0o755)).wall(FILES, "make the directory", path)?;
    }
    overlay(&[], Some("top"), "root", &stock)?;
    sys::restrict_mount(stock.as_fd(), sys::attribute::READ_ONLY | sys::attribute::NO_SUID | sys::attribute::NO_DEV)
        .wall(FILES, "make read-only", "the stock")?;
    leave_for("root")
}

/// Makes a directory of the stock the root of everything, and lets go of what was there.
///
/// The kernel lays the old root over the new one, and the stock still lies over the old root: `.` means the topmost. When
/// both are gone nothing is left to be unmounted; were something left, `/..` would lead to it.
fn leave_for(new: &str) -> Result<(), Failure> {
    chdir(new).wall(FILES, "enter", "the new root")?;
    pivot_root(".", ".").wall(FILES, "pivot_root to", "the new root")?;
    unmount(".", UnmountFlags::DETACH).wall(FILES, "unmount", "the stock")?;
    unmount(".", UnmountFlags::DETACH).wall(FILES, "unmount", "the old root")?;
    chdir("/").wall(FILES, "enter", "/")?;
    let look = |path: &str| rustix::fs::stat(path).wall(FILES, "look at", path);
    let (root, above) = (look("/")?, look("/..")?);
    match (root.st_dev, root.st_ino) == (above.st_dev, above.st_ino) {
        true => Ok(()),
        false => Err(rustix::io::Errno::BUSY).wall(FILES, "leave", "the old root: /.. still leads there"),
    }
}

/// Moves this process to another mount namespace while its root stays in this one. The kernel's table of mounts lists those
/// of the reader's namespace as far as they can be reached from its root: here none, so that the table, which would name
/// the host's path of each bind and the host's devices, is empty. To mount anything here is impossible from then on.
fn empty_table() -> Result<(), Failure> {
    let inner = || -> std::io::Result<()> {
        let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // The namespace lives for as long as somebody holds it: this process, to its end. Steps do not inherit it.
        let held = open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        sys::unshare(sys::namespace::MOUNT)?;
        fchdir(&root)?;
        chroot(".")?;
        let _ = held.into_raw_fd();
        Ok(())
    };
    inner().wall(FILES, "empty", "the table of mounts")?;
    let table = fs::read("/proc/self/mountinfo").wall(FILES, "read", "the table of mounts")?;
    if table.is_empty() { Ok(()) } else { Err(rustix::io::Errno::BUSY).wall(FILES, "empty", "the table of mounts") }
}

/// Mounts the stock over the host's root (in our mount namespace only) and makes it the working directory.
fn stock() -> Result<OwnedFd, Failure> {
    let make = || -> rustix::io::Result<OwnedFd> {
        let config = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(config.as_fd(), "mode", "0755")?;
        fsconfig_set_string(config.as_fd(), "source", "parton")?;
        fsconfig_create(config.as_fd())?;
        let stock = fsmount(config.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        move_mount(stock.as_fd(), "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        fchdir(&stock)?;
        Ok(stock)
    };
    make().wall(FILES, "mount", "a memory file system")
}

fn fill_stock(jail: &Jail, machine: &Machine, facts: &BTreeMap<&str, String>) -> Result<(), Failure> {
    let dir = |path: &str| mkdirat(CWD, path, Mode::from(0o755)).wall(FILES, "make the directory", path);
    for path in ["top", "dev", "dev/shm", "sys", "facts", "void", "spare", "root", "top/proc", "top/dev", "top/tmp"] {
        dir(path)?;
    }
    write("none", b"", 0o444)?;
    if jail.world.random.is_some() {
        random::make_devices("pipe")?;
    }
    for (name, text) in facts {
        write(&format!("facts/{name}"), text.as_bytes(), 0o444)?;
    }
    let mut made = String::new();
    for (path, text) in proc::settings(jail, &machine.release, &machine.version) {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent != made {
            made = parent.to_owned();
            fs::create_dir_all(format!("sys/{parent}")).wall(
                FILES,
                "make the directory",
                format!("/proc/sys/{parent}"),
            )?;
        }
        write(&format!("sys/{path}"), text.as_bytes(), 0o444)?;
    }
    for name in devices(jail.stdio) {
        write(&format!("dev/{name}"), b"", 0o666)?;
    }
    for (name, to) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(to, format!("dev/{name}")).wall(FILES, "make the link", format!("/dev/{name}"))?;
    }
    let points = jail.overlays.iter().map(|o| o.at.as_str()).chain(jail.binds.iter().map(|b| b.at.as_str()));
    for at in points {
        no_links(&jail.root, at)?;
        fs::create_dir_all(format!("top{at}")).wall(FILES, "make the mount point", at)?;
    }
    for (at, content) in &jail.files {
        let parent = Path::new(at).parent().and_then(Path::to_str).unwrap_or("/");
        no_links(&jail.root, parent)?;
        fs::create_dir_all(format!("top{parent}")).wall(FILES, "make the directory", parent)?;
        let mode = if content.starts_with(b"#!") { 0o555 } else { 0o444 };
        write(&format!("top{at}"), content, mode)?;
    }
    Ok(())
}

/// Refuses to cover a symbolic link of a layer by a directory of ours: everything behind it would disappear.
fn no_links(layers: &[PathBuf], at: &str) -> Result<(), Failure> {
    let mut path = PathBuf::new();
    for part in at.split('/').filter(|part| !part.is_empty()) {
        path.push(part);
        // The topmost layer that has the name decides what it is.
        let found = layers.iter().find_map(|layer| fs::symlink_metadata(layer.join(&path)).ok());
        match found {
            None => return Ok(()),
            Some(meta) if meta.is_dir() => {}
            Some(_) => {
                let object = format!("{at}: /{} is not a directory in the layers (a link?)", path.display());
                return Err(rustix::io::Errno::NOTDIR).wall(FILES, "lay over", object);
            }
        }
    }
    Ok(())
}

fn write(path: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || -> rustix::io::Result<()> {
        let file = open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC, Mode::from(mode))?;
        let mut rest = content;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        Ok(())
    };
    write().wall(FILES, "write", path)
}

fn bind(from: &str, to: &str) -> Result<(), Failure> {
    mount_bind(from, to).wall(FILES, "bind", format!("{from} to {to}"))
}

/// Shows a device node of the host. Its mount is read-only: that keeps nobody from writing to the device, but keeps who
/// owns the node (root, when root runs parton) from changing its mode and times, which are the host's.
fn lend(device: &str) -> Result<(), Failure> {
    let show = || -> std::io::Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let node = open_tree(CWD, format!("/dev/{device}"), flags)?;
        sys::restrict_mount(node.as_fd(), sys::attribute::READ_ONLY | sys::attribute::NO_SUID)?;
        let at = format!("root/dev/{device}");
        Ok(move_mount(node.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    };
    show().wall(FILES, "show", format!("/dev/{device}"))
}

/// Merges layers (topmost first) read-only at `at`, with `first` of the stock on top of them.
fn overlay(layers: &[PathBuf], first: Option<&str>, at: &str, stock: &OwnedFd) -> Result<(), Failure> {
    let what = |path: &Path| format!("the layer {}", path.display());
    let mut open_layers = Vec::with_capacity(layers.len() + 1);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Some(first) = first {
        open_layers.push(openat(stock, first, flags, Mode::empty()).wall(FILES, "open", first)?);
    }
    for layer in layers {
        open_layers.push(open(layer, flags, Mode::empty()).wall(FILES, "open", what(layer))?);
    }
    // A single layer is merged with nothing rather than bound: so its files get inodes of this jail's own, and locks on
    // them or watches meet nobody who has the same layer.
    while open_layers.len() < 2 {
        open_layers.push(openat(stock, "void", flags, Mode::empty()).wall(FILES, "open", "void")?);
    }
    let target = openat(stock, at, flags, Mode::empty()).wall(FILES, "open", at)?;
    let numbers: Vec<String> = open_layers.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let options = format!("userxattr,lowerdir={}\0", numbers.join(":"));
    let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).unwrap_or_default();
    let shown = || {
        let (count, s) = (layers.len(), if layers.len() == 1 { "" } else { "s" });
        format!("an overlay of {count} layer{s} at /{}", at.trim_start_matches("root").trim_start_matches('/'))
    };
    chdir("/proc/self/fd").wall(FILES, "enter", "/proc/self/fd")?;
    let target = format!("{}", target.as_raw_fd());
    let read_only = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount("parton", &target, "overlay", read_only, Some(options)).wall(FILES, "mount", shown())?;
    fchdir(stock).wall(FILES, "enter", "the stock")
}

/// Shows a directory of the host at `at`, as the upper layer over nothing: what is made there lies in it, and so does what is
/// there already.
fn overlay_over(from: &Path, work: &Path, at: &str, stock: &OwnedFd) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let object = || format!("an overlay over {} at {at} (it lies on an overlay itself?)", from.display());
    let show = || -> std::io::Result<bool> {
        let (upper, work) = (open(from, flags, Mode::empty())?, open(work, flags, Mode::empty())?);
        let lower = openat(stock, "void", flags, Mode::empty())?;
        let target = openat(stock, format!("root{at}"), flags, Mode::empty())?;
        let [lower, above, work] = [&lower, &upper, &work].map(AsRawFd::as_raw_fd);
        let options = format!("userxattr,lowerdir={lower},upperdir={above},workdir={work}\0");
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).unwrap_or_default();
        chdir("/proc/self/fd")?;
        let target = target.as_raw_fd().to_string();
        mount("parton", &target, "overlay", MountFlags::NOSUID | MountFlags::NODEV, Some(options))?;
        fchdir(stock)?;
        Ok(fstatvfs(&upper)?.f_flag.contains(StatVfsMountFlags::NOEXEC))
    };
    match show().wall(FILES, "mount", object())? {
        false => Ok(()),
        true => Err(rustix::io::Errno::ACCESS).wall(FILES, "show", format!("{}: it is mounted noexec", from.display())),
    }
}

/// Shows a directory of the host at `at`.
fn attach(from: &Path, at: &str, write: bool) -> Result<(), Failure> {
    let object = || format!("{} at {}", from.display(), at.trim_start_matches("root"));
    let show = || -> std::io::Result<bool> {
        let tree = open_tree(CWD, from, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
        let read_only = if write { 0 } else { sys::attribute::READ_ONLY };
        sys::restrict_mount(tree.as_fd(), read_only | sys::attribute::NO_SUID | sys::attribute::NO_DEV)?;
        move_mount(tree.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(fstatvfs(&tree)?.f_flag.contains(StatVfsMountFlags::NOEXEC))
    };
    match show().wall(FILES, "show", object())? {
        false => Ok(()),
        // The kernel lets no user namespace take that back, and every build would fail at its first own program.
        true => Err(rustix::io::Errno::ACCESS).wall(FILES, "show", format!("{}: it is mounted noexec", object())),
    }
}

/// Mounts the writable memory file system behind `/dev/shm` and, unless something else comes there, `/tmp`.
fn scratch(size: u64, tmp: bool) -> Result<(), Failure> {
    let options = format!("size={size},mode=0755\0");
    let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).unwrap_or_default();
    mount("parton", "spare", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(options)).wall(
        FILES,
        "mount",
        "a memory file system",
    )?;
    for (name, at) in [("spare/tmp", "root/tmp"), ("spare/shm", "root/dev/shm")] {
        if name == "spare/tmp" && !tmp {
            continue;
        }
        let make = || -> std::io::Result<()> {
            fs::create_dir(name)?;
            fs::set_permissions(name, fs::Permissions::from_mode(0o1777))
        };
        make().wall(FILES, "make the directory", name)?;
        bind(name, at)?;
    }
    Ok(())
}

fn cover_proc(facts: &BTreeMap<&str, String>) -> Result<(), Failure> {
    let entries = fs::read_dir("root/proc").wall(PROCESSES, "list", "/proc")?;
    for entry in entries {
        let entry = entry.wall(PROCESSES, "list", "/proc")?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let at = format!("root/proc/{name}");
        let kind = entry.file_type().wall(PROCESSES, "look at", &at)?;
        match proc::cover(name, facts) {
            _ if kind.is_symlink() => {}
            Cover::Keep => {}
            Cover::Fact => bind(&format!("facts/{name}"), &at)?,
            Cover::Empty if name == "sys" => bind("sys", &at)?,
            Cover::Empty if kind.is_dir() => bind("void", &at)?,
            Cover::Empty => bind("none", &at)?,
        }
    }
    // What was bound comes from a read-only mount; make sure of the one that would hurt most.
    let flags = rustix::fs::statvfs("root/proc/sys").wall(PROCESSES, "look at", "/proc/sys")?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        Ok(())
    } else {
        Err(rustix::io::Errno::ROFS).wall(PROCESSES, "make read-only", "/proc/sys")
    }
}
