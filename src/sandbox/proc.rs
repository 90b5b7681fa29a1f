//! What `/proc` says inside: pid directories as they are, little else, and nothing of the host by default.
//!
//! A fresh `/proc` shows some sixty files and directories about the whole machine. Those of [`KEPT`] stay; for those that
//! [`facts`] names a fixed text is shown; everything else, whatever a future kernel adds, is covered by something empty.

use super::jail::{Jail, World};
use std::collections::BTreeMap;

/// Names in `/proc` that stay as the kernel shows them: they lead to the asking process.
const KEPT: &[&str] = &["self", "thread-self", "mounts", "net"];

/// Shown as the machine has them unless the world says otherwise.
const KEPT_UNLESS_VARIED: &[&str] = &["cpuinfo", "meminfo", "version"];

/// What to do with a name found in `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    /// Leave it alone.
    Keep,
    /// Show the text of [`facts`] of this name.
    Fact,
    /// Show something empty.
    Empty,
}

/// Decides about one name of a fresh `/proc`.
pub(super) fn cover(name: &str, facts: &BTreeMap<&str, String>) -> Cover {
    if name.bytes().all(|b| b.is_ascii_digit()) || KEPT.contains(&name) {
        Cover::Keep
    } else if facts.contains_key(name) {
        Cover::Fact
    } else if KEPT_UNLESS_VARIED.contains(&name) {
        Cover::Keep
    } else {
        Cover::Empty
    }
}

/// The version text of every kernel inside.
pub(super) const KERNEL_VERSION: &str = "#1 SMP PREEMPT_DYNAMIC";

/// Texts shown in `/proc`. `cpus` is how many processors the machine lets us use, `cpuinfo` what it says of them all, if the
/// world changes anything of that.
pub(super) fn facts(world: &World, cpus: u32, cpuinfo: Option<&str>) -> BTreeMap<&'static str, String> {
    let cpus = world.cpus.unwrap_or(cpus);
    let mut facts = BTreeMap::from([
        ("cmdline", "\n".to_owned()),
        ("filesystems", "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n".to_owned()),
        ("loadavg", "0.00 0.00 0.00 1/1 1\n".to_owned()),
        ("stat", stat(cpus)),
        // The idle time beside it is that of the machine.
        ("uptime", "1.00 0.00\n".to_owned()),
        ("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned()),
    ]);
    if let Some(text) = cpuinfo {
        let count = world.cpus.unwrap_or_else(|| text.matches("processor\t:").count().max(1) as u32);
        facts.insert("cpuinfo", processors(text, count, world.cpu_model.as_deref()));
    }
    if let Some(bytes) = world.memory {
        facts.insert("meminfo", meminfo(bytes / 1024));
    }
    if let Some(release) = &world.kernel_release {
        facts.insert("version", format!("Linux version {release} (builder@parton) {KERNEL_VERSION}\n"));
    }
    facts
}

/// The whole of `/proc/sys` inside: path below it, text.
pub(super) fn settings(jail: &Jail, release: &str, version: &str) -> Vec<(&'static str, String)> {
    let line = |text: &str| format!("{text}\n");
    vec![
        ("kernel/ostype", line("Linux")),
        ("kernel/osrelease", line(release)),
        ("kernel/version", line(version)),
        ("kernel/hostname", line(&jail.hostname)),
        ("kernel/domainname", line(&jail.domainname)),
        ("kernel/pid_max", line("4194304")),
        ("kernel/threads-max", line("65536")),
        ("kernel/ngroups_max", line("65536")),
        ("kernel/cap_last_cap", line("40")),
        ("kernel/overflowuid", line("65534")),
        ("kernel/overflowgid", line("65534")),
        ("kernel/random/boot_id", line("00000000-0000-4000-8000-000000000000")),
        ("kernel/random/entropy_avail", line("256")),
        ("kernel/randomize_va_space", line("2")),
        ("fs/file-max", line("1048576")),
        ("fs/nr_open", line("1048576")),
        ("fs/pipe-max-size", line("1048576")),
        ("net/core/somaxconn", line("4096")),
        ("vm/max_map_count", line("65530")),
        ("vm/mmap_min_addr", line("65536")),
        ("vm/overcommit_memory", line("0")),
    ]
}

fn stat(cpus: u32) -> String {
    let zeroes = "0 0 0 0 0 0 0 0 0 0";
    let mut text = format!("cpu  {zeroes}\n");
    for cpu in 0..cpus {
        text.push_str(&format!("cpu{cpu} {zeroes}\n"));
    }
    text + "intr 0\nctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n"
}

/// What `/proc/cpuinfo` says of so many processors: of each what the machine says of its first, or, for another model, the
/// least there is to say.
fn processors(machine: &str, count: u32, model: Option<&str>) -> String {
    let first = machine.split("\n\n").next().unwrap_or_default();
    let own = |cpu: u32| -> String {
        let line = |line: &str| match line.split_once(':') {
            Some((key, _)) if NUMBERS.contains(&key.trim_end()) => format!("{key}: {cpu}\n"),
            _ => format!("{line}\n"),
        };
        first.lines().map(line).collect::<String>() + "\n"
    };
    match model {
        Some(model) => (0..count).map(|cpu| other(cpu, model)).collect(),
        None => (0..count).map(own).collect(),
    }
}

/// What stands for a machine's own text where that can't be had.
pub(super) fn unknown_processors(count: u32) -> String {
    (0..count).map(|cpu| other(cpu, "generic x86-64")).collect()
}

/// What differs from one processor to the next.
const NUMBERS: [&str; 4] = ["processor", "core id", "apicid", "initial apicid"];

fn other(cpu: u32, model: &str) -> String {
    format!(
        "processor\t: {cpu}\nvendor_id\t: GenuineParton\ncpu family\t: 6\nmodel\t\t: 1\nmodel name\t: {model}\n\
         stepping\t: 1\ncpu MHz\t\t: 1000.000\ncache size\t: 1024 KB\nphysical id\t: 0\ncore id\t\t: {cpu}\n\
         apicid\t\t: {cpu}\nfpu\t\t: yes\ncpuid level\t: 1\nflags\t\t: fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm\n\
         bogomips\t: 2000.00\nclflush size\t: 64\naddress sizes\t: 40 bits physical, 48 bits virtual\n\n"
    )
}

fn meminfo(kib: u64) -> String {
    let rows = [
        ("MemTotal", kib),
        ("MemFree", kib / 2),
        ("MemAvailable", kib / 4 * 3),
        ("Buffers", 0),
        ("Cached", kib / 4),
        ("SwapCached", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
    ];
    rows.iter().map(|(name, value)| format!("{:<16}{value:>8} kB\n", format!("{name}:"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str =
        "processor\t: 0\nmodel name\t: Real\ncore id\t\t: 0\n\nprocessor\t: 1\nmodel name\t: Real\ncore id\t\t: 1\n\n";

    #[test]
    fn unknown_names_are_covered() {
        let plain = facts(&World::default(), 2, None);
        assert_eq!(cover("123", &plain), Cover::Keep);
        assert_eq!(cover("self", &plain), Cover::Keep);
        assert_eq!(cover("cpuinfo", &plain), Cover::Keep);
        assert_eq!(cover("stat", &plain), Cover::Fact);
        assert_eq!(cover("kcore", &plain), Cover::Empty);
        assert_eq!(cover("of-a-future-kernel", &plain), Cover::Empty);
        let varied = facts(&World { cpus: Some(7), memory: Some(1 << 30), ..World::default() }, 2, Some(MACHINE));
        assert_eq!(cover("cpuinfo", &varied), Cover::Fact);
        assert_eq!(varied["cpuinfo"].matches("processor").count(), 7);
        assert!(
            varied["cpuinfo"].ends_with("processor\t: 6\nmodel name\t: Real\ncore id\t\t: 6\n\n"),
            "{}",
            varied["cpuinfo"]
        );
        let model = facts(&World { cpu_model: Some("Other".to_owned()), ..World::default() }, 1, Some(MACHINE));
        assert_eq!(model["cpuinfo"].matches("processor\t:").count(), 2, "as many as the machine has");
        assert!(model["cpuinfo"].contains("model name\t: Other\n") && !model["cpuinfo"].contains("Real"));
        assert_eq!(varied["stat"].lines().filter(|l| l.starts_with("cpu")).count(), 8);
        assert!(varied["meminfo"].starts_with("MemTotal:        1048576 kB\n"), "{}", varied["meminfo"]);
    }
}
