//! The knobs: what can differ between two rounds of one derivation, each by itself.
//!
//! A knob has *levels*: kinds of values that are unlike each other ("a leap day", "the end of a year"). The plain round
//! has every knob at its plain level, which has no name here. An *everyday* level is one that the further rounds of a
//! build take by themselves; the others are taken where somebody asks for the knob.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What can differ between two rounds of one derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knob {
    /// Jobs that build tools are told to run at once.
    Jobs,
    /// Processors that programs see.
    Cpus,
    /// What `/proc/cpuinfo` says of each processor.
    CpuFacts,
    /// The wall clock.
    Clock,
    /// The monotonic and boot clocks.
    Uptime,
    /// Order of directory listings.
    DirectoryOrder,
    /// Order in which the sources were created, and so of their inode numbers.
    InodeOrder,
    /// What kind of file system lies behind `/tmp` or `/build`.
    FileSystem,
    /// Where process ids begin.
    PidBase,
    /// Layout of address spaces.
    Addresses,
    /// Kernel release and version.
    Kernel,
    /// Size of the memory.
    Memory,
    /// The stream of random bytes.
    Random,
    /// Host name.
    HostName,
    /// NIS domain name.
    Domain,
    /// `/etc/machine-id`.
    MachineId,
    /// User and group id.
    Uid,
    /// Name of the user.
    User,
    /// Home directory.
    Home,
    /// Where the build directory is.
    BuildPath,
    /// Locale variables.
    Locale,
    /// Time zone.
    TimeZone,
    /// Umask.
    Umask,
    /// Variables that nothing should look at.
    Environment,
    /// Terminal: its variables, and whether the output is one.
    Terminal,
    /// What standard input is.
    Stdin,
}

/// Whether the jail holds a knob still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// No jail can hold it still on every machine: a difference that it causes is a failure.
    Open,
    /// The jail does hold it: a difference that it causes is a leak, which only who rebuilds without parton would meet.
    Sealed,
}

impl Class {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
        }
    }
}

/// A kind of values of a knob, unlike the plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Level {
    /// Its name, unique within its knob and stable.
    pub name: &'static str,
    /// Whether further rounds of a build take it by themselves.
    pub everyday: bool,
    /// What is so, in a few words.
    pub meaning: &'static str,
}

const fn daily(name: &'static str, meaning: &'static str) -> Level {
    Level { name, everyday: true, meaning }
}

const fn asked(name: &'static str, meaning: &'static str) -> Level {
    Level { name, everyday: false, meaning }
}

impl Knob {
    /// Every knob: the open ones first.
    pub const ALL: [Self; 26] = [
        Self::Jobs,
        Self::Cpus,
        Self::CpuFacts,
        Self::Clock,
        Self::Uptime,
        Self::DirectoryOrder,
        Self::InodeOrder,
        Self::FileSystem,
        Self::PidBase,
        Self::Addresses,
        Self::Kernel,
        Self::Memory,
        Self::Random,
        Self::HostName,
        Self::Domain,
        Self::MachineId,
        Self::Uid,
        Self::User,
        Self::Home,
        Self::BuildPath,
        Self::Locale,
        Self::TimeZone,
        Self::Umask,
        Self::Environment,
        Self::Terminal,
        Self::Stdin,
    ];

    /// Its name on the command line and in JSON; stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Cpus => "cpus",
            Self::CpuFacts => "cpu-facts",
            Self::Clock => "clock",
            Self::Uptime => "uptime",
            Self::DirectoryOrder => "directory-order",
            Self::InodeOrder => "inode-order",
            Self::FileSystem => "file-system",
            Self::PidBase => "pid-base",
            Self::Addresses => "addresses",
            Self::Kernel => "kernel",
            Self::Memory => "memory",
            Self::Random => "random",
            Self::HostName => "host-name",
            Self::Domain => "domain",
            Self::MachineId => "machine-id",
            Self::Uid => "uid",
            Self::User => "user",
            Self::Home => "home",
            Self::BuildPath => "build-path",
            Self::Locale => "locale",
            Self::TimeZone => "time-zone",
            Self::Umask => "umask",
            Self::Environment => "environment",
            Self::Terminal => "terminal",
            Self::Stdin => "stdin",
        }
    }

    /// Whether the jail holds it still.
    pub fn class(self) -> Class {
        if self <= Self::Random { Class::Open } else { Class::Sealed }
    }

    /// What it is, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Jobs => "jobs that build tools are told to run at once ($JOBS)",
            Self::Cpus => "processors seen in sched_getaffinity, /proc/cpuinfo and /proc/stat",
            Self::CpuFacts => "what /proc/cpuinfo says of each processor (not the cpuid instruction)",
            Self::Clock => "the wall clock",
            Self::Uptime => "the monotonic and boot clocks, sysinfo's uptime",
            Self::DirectoryOrder => "the order in which directories list their entries",
            Self::InodeOrder => "the order in which the sources were created, and so of their inode numbers",
            Self::FileSystem => "the kind of file system behind /tmp or the build directory",
            Self::PidBase => "where process ids begin",
            Self::Addresses => "whether address spaces are laid out at random",
            Self::Kernel => "kernel release and version (uname, /proc)",
            Self::Memory => "size of the memory (sysinfo, /proc/meminfo)",
            Self::Random => {
                "getrandom, /dev/random and /dev/urandom: a repeatable stream instead of a new one each time"
            }
            Self::HostName => "host name",
            Self::Domain => "NIS domain name",
            Self::MachineId => "/etc/machine-id",
            Self::Uid => "user and group id",
            Self::User => "name of the user ($USER, $LOGNAME, /etc/passwd)",
            Self::Home => "home directory ($HOME, /etc/passwd)",
            Self::BuildPath => "where the build directory is",
            Self::Locale => "LC_ALL, LANG and LANGUAGE",
            Self::TimeZone => "TZ",
            Self::Umask => "umask",
            Self::Environment => "variables that nothing should look at",
            Self::Terminal => "TERM, COLUMNS and LINES, and whether the output is a terminal",
            Self::Stdin => "what standard input is: /dev/null, a closed pipe, an empty file",
        }
    }

    /// Its levels beside the plain one. At least one.
    pub fn levels(self) -> &'static [Level] {
        match self {
            Self::Jobs => {
                const { &[daily("more", "one more"), daily("twice", "twice as many and one"), asked("one", "1")] }
            }
            Self::Cpus => {
                const { &[daily("more", "up to 6 more"), daily("many", "7 to 14 more"), asked("one", "a single one")] }
            }
            Self::CpuFacts => const { &[daily("other", "another model, with the fewest features")] },
            Self::Clock => {
                const {
                    &[
                        daily("later-year", "a day of another year, to come"),
                        daily("year-end", "the last minute of a year to come"),
                        daily("leap-day", "a 29 February to come"),
                    ]
                }
            }
            Self::Uptime => const { &[daily("days", "days more"), daily("years", "years more")] },
            Self::DirectoryOrder => {
                const { &[daily("shuffled", "by a hash of the names"), daily("backwards", "names in descending order")] }
            }
            Self::InodeOrder => const { &[daily("backwards", "the archive's last file first")] },
            Self::FileSystem => {
                const {
                    &[
                        daily("tmp-on-disk", "/tmp lies on the store's disk, not in memory"),
                        asked("overlay", "the build directory is shown through an overlay"),
                    ]
                }
            }
            Self::PidBase => {
                const { &[daily("thousands", "from some thousands"), daily("hundreds", "from some hundreds")] }
            }
            Self::Addresses => const { &[daily("random", "at random")] },
            Self::Kernel => const { &[daily("newer", "newer than any"), daily("older", "some years old")] },
            Self::Memory => const { &[daily("large", "48 to 96 GiB"), daily("small", "3 to 6 GiB")] },
            Self::Random => const { &[asked("seeded", "the same bytes in each run under these conditions")] },
            Self::HostName => const { &[daily("other", "another"), daily("long", "a long one with dots")] },
            Self::Domain => const { &[daily("other", "another")] },
            Self::MachineId => const { &[daily("other", "another")] },
            Self::Uid => const { &[asked("other", "not 1000")] },
            Self::User => const { &[daily("other", "another")] },
            Self::Home => const { &[daily("other", "an empty directory of its own")] },
            Self::BuildPath => const { &[asked("other", "another, longer")] },
            Self::Locale => {
                const { &[daily("posix", "C"), asked("foreign", "a language that may not be installed, UTF-8")] }
            }
            Self::TimeZone => const { &[daily("east", "14 hours east"), daily("west", "9 and a half hours west")] },
            Self::Umask => const { &[asked("group", "002"), asked("closed", "077")] },
            Self::Environment => {
                const { &[daily("noise", "a few more"), daily("much", "many more, with long values")] }
            }
            Self::Terminal => {
                const {
                    &[
                        daily("wide", "another TERM, COLUMNS and LINES"),
                        asked("pty", "the same, and the output is a terminal"),
                    ]
                }
            }
            Self::Stdin => const { &[daily("pipe", "a pipe that nobody writes to"), daily("file", "an empty file")] },
        }
    }

    /// The level of this name.
    pub fn level(self, name: &str) -> Option<&'static Level> {
        self.levels().iter().find(|level| level.name == name)
    }

    /// The levels that further rounds take by themselves; none for a knob that is varied only when asked for.
    pub fn everyday(self) -> impl Iterator<Item = &'static Level> {
        self.levels().iter().filter(|level| level.everyday)
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Knob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|knob| knob.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|knob| knob.name()).collect();
            format!("no knob is called '{text}'; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_all_in_order_and_names_are_those_of_json() {
        assert!(Knob::ALL.is_sorted());
        assert_eq!(Knob::ALL.last(), Some(&Knob::Stdin), "the last variant");
        for (n, knob) in Knob::ALL.into_iter().enumerate() {
            assert_eq!(knob as usize, n, "{knob} is missing or twice");
            assert_eq!(serde_json::to_value(knob).unwrap(), knob.name());
            assert_eq!(knob.name().parse(), Ok(knob));
            let mut names: Vec<&str> = knob.levels().iter().map(|level| level.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), knob.levels().len(), "{knob}");
            assert!(!names.is_empty() && !names.contains(&"plain"), "{knob}");
        }
        assert!("nothing".parse::<Knob>().unwrap_err().contains("jobs, cpus"));
    }

    #[test]
    fn every_open_knob_but_the_random_stream_is_varied_every_day() {
        // Two rounds never get the same random bytes anyhow: seeding them is what holds them still.
        let idle: Vec<Knob> = Knob::ALL.into_iter().filter(|knob| knob.everyday().next().is_none()).collect();
        assert_eq!(idle, [Knob::Random, Knob::Uid, Knob::BuildPath, Knob::Umask]);
    }
}
