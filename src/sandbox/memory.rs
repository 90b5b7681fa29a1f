//! How much memory the machine has for a run, and whether its kernel ended somebody for lack of it.
//!
//! Parton itself may be confined to a control group (a container, a service): then that group's limit is the machine's,
//! and its count of ended processes the one that matters.

use std::fs;
use std::path::{Path, PathBuf};

/// What a run may take when nobody says otherwise: three quarters of what there is.
pub(super) fn default_limit() -> u64 {
    there_is(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), &groups()) / 4 * 3
}

fn there_is(meminfo: &str, groups: &[Group]) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok());
    // A machine that does not say how much it has: no limit of ours, its kernel's remains.
    let total = total.map_or(u64::MAX, |kib| kib.saturating_mul(1024));
    groups.iter().filter_map(Group::limit).fold(total, u64::min)
}

/// How many processes the kernel has ended for lack of memory: in parton's control group if that can be known, else on
/// the whole machine.
pub(super) fn kills() -> Option<u64> {
    groups().first().and_then(Group::kills).or_else(|| counter(Path::new("/proc/vmstat"), "oom_kill"))
}

/// A control group that accounts for memory.
struct Group {
    dir: PathBuf,
    unified: bool,
}

impl Group {
    fn limit(&self) -> Option<u64> {
        let file = if self.unified { "memory.max" } else { "memory.limit_in_bytes" };
        // "max" is no number, and the first version's "no limit" is more than any machine has.
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }

    fn kills(&self) -> Option<u64> {
        let file = if self.unified { "memory.events" } else { "memory.oom_control" };
        counter(&self.dir.join(file), "oom_kill")
    }
}

/// The number behind a word at the beginning of a line.
pub(super) fn counter(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Parton's own group and all above it that can be seen, the innermost first.
fn groups() -> Vec<Group> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some((path, unified)) = own(&text) else { return Vec::new() };
    let roots: &[&str] =
        if unified { &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] } else { &["/sys/fs/cgroup/memory"] };
    let inside = path.trim_start_matches('/');
    for root in roots {
        let root = Path::new(root);
        // In a container the path may be the host's while only the own group is shown.
        let own = [root.join(inside), root.to_owned()];
        let Some(own) = own.into_iter().find(|dir| dir.join("cgroup.procs").is_file()) else { continue };
        let up = own.ancestors().take_while(|dir| dir.starts_with(root));
        return up.map(|dir| Group { dir: dir.to_owned(), unified }).collect();
    }
    Vec::new()
}

/// From `/proc/self/cgroup`, the group that accounts for memory, and whether it is of the unified hierarchy.
fn own(text: &str) -> Option<(&str, bool)> {
    let mut unified = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.split(',').any(|name| name == "memory") {
            return Some((path, false));
        }
        if number == "0" && controllers.is_empty() {
            unified = Some((path, true));
        }
    }
    unified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_in_both_versions() {
        assert_eq!(own("0::/user.slice/a:b\n"), Some(("/user.slice/a:b", true)));
        assert_eq!(own("5:cpu,memory:/docker/x\n0::/\n"), Some(("/docker/x", false)));
        assert_eq!(own("3:cpuset:/\n"), None);
        assert_eq!(own(""), None);
    }

    #[test]
    fn the_tightest_limit_counts() {
        let dir = tempfile::tempdir().unwrap();
        let group = |name: &str, text: &str| {
            let dir = dir.path().join(name);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("memory.max"), text).unwrap();
            fs::write(dir.join("memory.events"), "low 0\noom 4\noom_kill 2\noom_group_kill 1\n").unwrap();
            Group { dir, unified: true }
        };
        let meminfo = "MemTotal:        1000 kB\nMemFree: 1 kB\n";
        let groups = [group("a", "max\n"), group("b", "4096\n"), group("c", "8192\n")];
        assert_eq!(there_is(meminfo, &groups), 4096);
        assert_eq!(there_is(meminfo, &groups[..1]), 1_024_000);
        assert_eq!(there_is("", &[]), u64::MAX);
        assert_eq!(groups[0].kills(), Some(2));
    }
}
