//! Probes of identities, rights, system calls, limits and the world.

use super::{Attempt, View, filtered, name_of, refused, stopped};
use crate::sandbox::{step, sys};
use rustix::fs::Mode;
use std::fs;

pub(super) fn shared_memory(view: &View<'_>) -> Attempt {
    let Some(id) = view.bait.shared_memory else { return Ok("nothing there outside either".to_owned()) };
    refused(sys::try_shared_memory(id), |()| format!("attached segment {id}"))
}

pub(super) fn names(view: &View<'_>) -> Attempt {
    let uname = rustix::system::uname();
    let found = [uname.nodename(), uname.domainname()].map(|name| name.to_string_lossy().into_owned());
    let given = [view.jail.hostname.clone(), view.jail.domainname.clone()];
    if found == given { Ok("the jail's own".to_owned()) } else { Err(format!("they are {}", found.join(" and "))) }
}

pub(super) fn identities(view: &View<'_>) -> Attempt {
    for (path, identity) in &view.bait.identities {
        if fs::read_to_string(path).is_ok_and(|found| found.trim() == identity) {
            return Err(format!("{path} is the machine's"));
        }
    }
    Ok(format!("{} of them are others or not there", view.bait.identities.len()))
}

pub(super) fn ids(view: &View<'_>) -> Attempt {
    let want = view.jail.uid;
    for key in ["Uid", "Gid"] {
        let found = status_of(key)?;
        if !found.split_whitespace().all(|id| id.parse() == Ok(want)) {
            return Err(format!("{key} is {found}"));
        }
    }
    match rustix::process::getgroups() {
        Ok(groups) if groups.is_empty() => Ok("the jail's own, no groups".to_owned()),
        Ok(groups) => Err(format!("{} further groups", groups.len())),
        Err(error) => stopped(error),
    }
}

pub(super) fn become_another(view: &View<'_>) -> Attempt {
    let other = if view.jail.uid == 0 { 1 } else { 0 };
    let user = rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(other));
    let by = refused(user, |()| format!("became user {other}"))?;
    let group = rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(other));
    refused(group, |()| format!("became group {other}"))?;
    Ok(by)
}

/// A line of `/proc/self/status`.
fn status_of(key: &str) -> Result<String, String> {
    let text = fs::read_to_string("/proc/self/status").map_err(|error| format!("could not be tried: {error}"))?;
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    found
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| format!("could not be tried: no {key} in /proc/self/status"))
}

pub(super) fn status(keys: &[&str], radix: u32, wanted: u64) -> Attempt {
    for key in keys {
        let found = status_of(key)?;
        if u64::from_str_radix(&found, radix) != Ok(wanted) {
            return Err(format!("{key} is {found}"));
        }
    }
    Ok(if wanted == 0 { "none".to_owned() } else { format!("{} is {wanted}", keys.join(", ")) })
}

pub(super) fn set_id() -> Attempt {
    filtered(libc::EPERM, rustix::fs::chmod("/proc/none/program", Mode::from(0o4755)))
}

pub(super) fn attribute() -> Attempt {
    let flags = rustix::fs::XattrFlags::empty();
    filtered(libc::ENOTSUP, rustix::fs::setxattr("/proc/none/file", "user.parton", b"canary", flags))
}

pub(super) fn calls(numbers: &[i64], errno: i32) -> Attempt {
    for number in numbers.iter().filter(|number| **number != libc::SYS_vhangup) {
        match sys::try_call(*number) {
            found if found == errno => {}
            found => return Err(format!("call {number} got as far as {}", name_of(found))),
        }
    }
    Ok(format!("{} of them answer {}", numbers.len(), name_of(errno)))
}

pub(super) fn type_for_the_user() -> Attempt {
    match fs::File::open("/dev/null") {
        Ok(file) => filtered(libc::EPERM, sys::type_into(&file)),
        Err(error) => stopped(error),
    }
}

pub(super) fn namespaces() -> Attempt {
    filtered(libc::EPERM, sys::unshare(sys::namespace::USER))
}

pub(super) fn limits(view: &View<'_>) -> Attempt {
    for (resource, wanted, name) in step::resources(&view.jail.limits) {
        let found = rustix::process::getrlimit(resource).maximum;
        if found.unwrap_or(u64::MAX) > wanted {
            return Err(format!("{name} may be raised to {}", found.map_or("anything".to_owned(), |n| n.to_string())));
        }
    }
    Ok("as told".to_owned())
}

pub(super) fn groups() -> Attempt {
    match fs::read_to_string("/proc/self/cgroup") {
        Ok(text) => match text.lines().find(|line| !line.ends_with(":/")) {
            None => Ok("all seem to be the root".to_owned()),
            Some(line) => Err(line.to_owned()),
        },
        Err(error) => stopped(error),
    }
}

const DAY: i64 = 86_400;

/// The clocks agree with what the world says, give or take a day in which somebody may have set the true one.
fn near(found: i64, wanted: i64) -> Attempt {
    match (found - wanted).abs() {
        0..DAY => Ok("as told".to_owned()),
        off => Err(format!("it is off by {} days", off / DAY)),
    }
}

pub(super) fn true_time(view: &View<'_>) -> Attempt {
    let world = &view.jail.world;
    let found = sys::clock_by_call(libc::CLOCK_REALTIME) - sys::clock_by_call(libc::CLOCK_MONOTONIC);
    near(found, view.bait.real_less_monotonic + world.clock_offset - world.uptime_offset.cast_signed())
}

pub(super) fn true_uptime(view: &View<'_>) -> Attempt {
    let least = view.bait.uptime + view.jail.world.uptime_offset.cast_signed();
    let found = sys::clock_by_call(libc::CLOCK_BOOTTIME);
    if found >= least { Ok("as told".to_owned()) } else { Err(format!("{found} s, not {least} s")) }
}

/// That a fact is what the world says, or that the world says nothing.
fn told<T: PartialEq + std::fmt::Display>(found: T, told: Option<T>) -> Attempt {
    match told {
        None => Ok("as the machine has it".to_owned()),
        Some(told) if told == found => Ok("as told".to_owned()),
        Some(told) => Err(format!("{found}, not {told}")),
    }
}

pub(super) fn true_processors(view: &View<'_>) -> Attempt {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => told(set.count(), view.jail.world.cpus),
        Err(error) => stopped(error),
    }
}

pub(super) fn true_memory(view: &View<'_>) -> Attempt {
    let info = rustix::system::sysinfo();
    // The kernel counts in units, to which the world's number is rounded.
    let unit = u64::from(info.mem_unit.max(1));
    told(info.totalram * unit / 4096, view.jail.world.memory.map(|bytes| bytes / 4096))
}

pub(super) fn true_release(view: &View<'_>) -> Attempt {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    told(release, view.jail.world.kernel_release.clone())
}
