//! Probes of files and processes.

use super::{Attempt, View, filtered, refused, stopped};
use crate::sandbox::bait::FileBait;
use crate::sandbox::proc::{self, Cover};
use crate::sandbox::{root, sys};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

pub(super) fn host_files(view: &View<'_>) -> Attempt {
    for bait in &view.bait.files {
        if FileBait::look(&bait.path).is_some_and(|found| found.known_by == bait.known_by) {
            return Err(format!("{} is there", bait.path.display()));
        }
    }
    Ok(format!("{} of them are not there", view.bait.files.len()))
}

/// From the top of a tree of mounts `..` leads to the mount that lies over it, if one does.
pub(super) fn above_the_root() -> Attempt {
    let look = |path| rustix::fs::stat(path).map(|found| (found.st_dev, found.st_ino));
    match (look("/"), look("/..")) {
        (Ok(root), Ok(up)) if root == up => Ok("nothing".to_owned()),
        (Ok(_), Ok(_)) => Err("another root".to_owned()),
        (Err(error), _) | (_, Err(error)) => Err(format!("could not be tried: {error}")),
    }
}

/// The kernel's table of mounts shows those of the reader's mount namespace below its root. A jail's root is in another
/// one, so that the table is empty; what it would name is where inputs and outputs lie on the host.
pub(super) fn mount_table(_: &View<'_>) -> Attempt {
    for name in ["mountinfo", "mounts", "mountstats"] {
        match fs::read(format!("/proc/self/{name}")) {
            Ok(table) if table.is_empty() => {}
            Ok(table) => {
                let count = table.iter().filter(|byte| **byte == b'\n').count();
                return Err(format!("/proc/self/{name} lists {count} of them"));
            }
            Err(error) => return stopped(error),
        }
    }
    Ok("none is listed".to_owned())
}

const NAME: &str = ".parton-canary";

pub(super) fn write_inputs(view: &View<'_>) -> Attempt {
    let jail = view.jail;
    let read_only = jail.binds.iter().filter(|bind| !bind.write).map(|bind| bind.at.as_str());
    let places = jail.overlays.iter().map(|overlay| overlay.at.as_str()).chain(read_only).chain(["/"]);
    let mut by = String::new();
    for place in places {
        let path = Path::new(place).join(NAME);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::from(0o600));
        if opened.is_ok() {
            let _ = fs::remove_file(&path);
        }
        by = refused(opened, |_| format!("made a file in {place}"))?;
    }
    Ok(by)
}

pub(super) fn link_input(view: &View<'_>) -> Attempt {
    let Some(input) = view.jail.files.keys().next() else { return Ok("no file to link to".to_owned()) };
    let path = Path::new("/tmp").join(NAME);
    let made = rustix::fs::linkat(CWD, input.as_str(), CWD, &path, AtFlags::empty());
    if made.is_ok() {
        let _ = fs::remove_file(&path);
    }
    refused(made, |()| format!("made a link to {input}"))
}

pub(super) fn foreign_devices(view: &View<'_>) -> Attempt {
    let own: BTreeSet<&str> = root::devices(view.jail.stdio).iter().copied().chain(LINKS).collect();
    match fs::read_dir("/dev")
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
    {
        Ok(names) => match names.iter().find(|name| !name.to_str().is_some_and(|name| own.contains(name))) {
            None => Ok("none".to_owned()),
            Some(name) => Err(format!("/dev/{} is there", name.display())),
        },
        Err(error) => stopped(error),
    }
}

const LINKS: [&str; 5] = ["fd", "stdin", "stdout", "stderr", "shm"];

pub(super) fn device_node() -> Attempt {
    // The filter answers before the path is looked at, which leads nowhere.
    filtered(
        libc::EPERM,
        rustix::fs::mknodat(CWD, "/proc/none/node", FileType::CharacterDevice, Mode::from(0o600), 0x103),
    )
}

/// That a directory is empty, or not there at all.
pub(super) fn nothing_in(path: &Path) -> Attempt {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok("empty".to_owned()),
            Some(_) => Err(format!("there is something in {}", path.display())),
        },
        Err(error) => stopped(error),
    }
}

pub(super) fn other_processes(_: &View<'_>) -> Attempt {
    let own = std::process::id();
    let names = match fs::read_dir("/proc") {
        Ok(names) => names,
        Err(error) => return stopped(error),
    };
    let pids = names.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let others: Vec<u32> = pids.filter(|pid| *pid != 1 && *pid != own).collect();
    match others.first() {
        None => Ok("none".to_owned()),
        Some(first) => Err(format!("{} of them, {first} among them", others.len())),
    }
}

pub(super) fn signal_outside(view: &View<'_>) -> Attempt {
    let number = view.bait.process;
    // By chance one of the jail's own processes may have the same number.
    let own = [1, std::process::id().cast_signed()].contains(&number);
    match Pid::from_raw(number).filter(|_| !own) {
        Some(pid) => refused(rustix::process::test_kill_process(pid), |()| format!("could signal process {number}")),
        None => Ok("its number means another here".to_owned()),
    }
}

pub(super) fn pid_one(what: &str) -> Attempt {
    refused(fs::File::open(format!("/proc/1/{what}")), |_| format!("opened /proc/1/{what}"))
}

pub(super) fn signal_pid_one(_: &View<'_>) -> Attempt {
    if sys::landlock_version().unwrap_or(0) < SCOPES_SIGNALS {
        return Ok("it ignores all it did not ask for".to_owned());
    }
    refused(rustix::process::test_kill_process(Pid::INIT), |()| "could signal pid 1".to_owned())
}

/// Version of landlock from which on signals can be kept in.
const SCOPES_SIGNALS: i32 = 6;

pub(super) fn proc_facts(view: &View<'_>) -> Attempt {
    let cpus = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    let world = &view.jail.world;
    // What is shown of the processors must be what comes of itself: neither their number nor their model can be the true one.
    let cpuinfo = match world.cpus.is_some() || world.cpu_model.is_some() {
        true => Some(fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        false => None,
    };
    let facts = proc::facts(world, cpus, cpuinfo.as_deref());
    let names = match fs::read_dir("/proc") {
        Ok(names) => names,
        Err(error) => return stopped(error),
    };
    let mut covered = 0;
    for entry in names.flatten() {
        let path = entry.path();
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        let cover = proc::cover(&name, &facts);
        if kind.is_symlink() || cover == Cover::Keep || name == "sys" {
            continue;
        }
        covered += 1;
        if kind.is_dir() {
            nothing_in(&path)?;
            continue;
        }
        let mut text = Vec::new();
        let expected = if cover == Cover::Fact { facts[name.as_str()].as_bytes() } else { &[] };
        // Never more than what is expected and a byte: some of these files have no end.
        let read = fs::File::open(&path).and_then(|file| file.take(expected.len() as u64 + 1).read_to_end(&mut text));
        match read {
            Ok(_) if text == expected => {}
            Ok(_) => return Err(format!("{} shows something", path.display())),
            Err(error) => drop(stopped(error)?),
        }
    }
    Ok(format!("{covered} of them are covered"))
}

pub(super) fn write_setting() -> Attempt {
    let path = "/proc/sys/kernel/hostname";
    refused(fs::OpenOptions::new().write(true).open(path), |_| format!("opened {path} for writing"))
}
