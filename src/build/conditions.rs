//! What a round varies.
//!
//! Each [`Knob`] owns some fields of [`Conditions`] and no two own the same, so that any set of knobs can be moved while
//! all others stay where they are. Values are drawn from the derivation, the round and the knob's name alone: what else
//! moves does not change them, and the same round of the same derivation gets the same conditions again.

use super::knob::Knob;
use crate::base::{DrvId, Encoder};
use crate::sandbox::{Stdin, World};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The circumstances of one round: everything about it that is not in the derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Which knobs are not at their plain level, and at which they are. Empty in a plain round and in records of old.
    #[serde(default)]
    pub levels: BTreeMap<Knob, String>,
    /// Jobs that build tools are told to run at once (`$JOBS`).
    pub jobs: u32,
    /// Facts of the machine.
    pub world: World,
    /// Whether files are created in the reverse order of the archive, so that inode numbers run the other way.
    pub reverse_inodes: bool,
    /// Whether `/tmp` is a directory of the store's disk rather than memory.
    #[serde(default)]
    pub tmp_on_disk: bool,
    /// Whether the build directory is shown through an overlay.
    #[serde(default)]
    pub build_on_overlay: bool,
    /// Host name. Held by the jail, like all that follows.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// Content of `/etc/machine-id`, without the end of the line.
    #[serde(default = "plain::machine_id")]
    pub machine_id: String,
    /// User and group id.
    #[serde(default = "plain::uid")]
    pub uid: u32,
    /// Name of the user.
    pub user: String,
    /// Home directory; one other than [`plain::BUILD`] is empty and can be written.
    #[serde(default = "plain::build")]
    pub home: String,
    /// Where the build directory is.
    #[serde(default = "plain::build")]
    pub build_path: String,
    /// `LC_ALL`.
    #[serde(default = "plain::locale")]
    pub locale: String,
    /// `TZ`.
    #[serde(default = "plain::time_zone")]
    pub time_zone: String,
    /// Umask of every step.
    #[serde(default = "plain::umask")]
    pub umask: u32,
    /// Variables that nothing should look at.
    pub noise: BTreeMap<String, String>,
    /// What the output is said to be.
    #[serde(default)]
    pub terminal: Terminal,
    /// What standard input is.
    #[serde(default)]
    pub stdin: Stdin,
}

/// What a build is told of its terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// `COLUMNS` and `LINES`, if they are set.
    pub size: Option<(u16, u16)>,
    /// Whether standard output and error are a terminal of that size rather than a pipe.
    pub pty: bool,
}

impl Default for Terminal {
    /// A dumb one of which nothing is known, and no terminal at all.
    fn default() -> Self {
        Self { term: "dumb".to_owned(), size: None, pty: false }
    }
}

/// The plain values of what records of old do not tell.
pub mod plain {
    /// Build directory and home.
    pub const BUILD: &str = "/build";

    pub(super) fn machine_id() -> String {
        "0".repeat(32)
    }
    pub(super) fn uid() -> u32 {
        1000
    }
    pub(super) fn build() -> String {
        BUILD.to_owned()
    }
    pub(super) fn locale() -> String {
        "C.UTF-8".to_owned()
    }
    pub(super) fn time_zone() -> String {
        "UTC".to_owned()
    }
    pub(super) fn umask() -> u32 {
        0o022
    }
}

impl Conditions {
    /// The first round: what the jail holds is at its defaults, the rest is as the machine has it.
    pub fn plain(jobs: u32) -> Self {
        Self {
            levels: BTreeMap::new(),
            jobs,
            world: World::default(),
            reverse_inodes: false,
            tmp_on_disk: false,
            build_on_overlay: false,
            hostname: "parton".to_owned(),
            domainname: "(none)".to_owned(),
            machine_id: plain::machine_id(),
            uid: plain::uid(),
            user: "builder".to_owned(),
            home: plain::build(),
            build_path: plain::build(),
            locale: plain::locale(),
            time_zone: plain::time_zone(),
            umask: plain::umask(),
            noise: BTreeMap::new(),
            terminal: Terminal::default(),
            stdin: Stdin::Null,
        }
    }

    /// Plain but for exactly these knobs, each at one of its everyday levels (or of all, if it has none).
    ///
    /// `round` is any number; the same derivation, round and knob give the same value whatever else is moved. `jobs` is
    /// what the plain round has, `cpus` what the machine has.
    pub fn with(derivation: DrvId, round: u32, jobs: u32, cpus: u32, knobs: &BTreeSet<Knob>) -> Self {
        let pick = |knob: Knob| {
            let mut levels: Vec<&str> = knob.everyday().map(|level| level.name).collect();
            if levels.is_empty() {
                levels = knob.levels().iter().map(|level| level.name).collect();
            }
            let at = Dice::new(derivation, round, knob, "").between(0, levels.len() as u32 - 1);
            (knob, levels[at as usize].to_owned())
        };
        Self::at(derivation, round, jobs, cpus, &knobs.iter().map(|knob| pick(*knob)).collect())
    }

    /// Plain but for these knobs, each at this level. A level that its knob does not have leaves it plain.
    pub fn at(derivation: DrvId, round: u32, jobs: u32, cpus: u32, levels: &BTreeMap<Knob, String>) -> Self {
        let mut conditions = Self::plain(jobs);
        for (knob, level) in levels {
            if knob.level(level).is_some() {
                conditions.turn(*knob, level, &mut Dice::new(derivation, round, *knob, level), cpus);
                conditions.levels.insert(*knob, level.clone());
            }
        }
        conditions
    }

    /// These conditions, but with all that belongs to `knobs` as `other` has it. Taking some of what a round varied into
    /// the plain conditions gives those under which a difference can be looked for.
    pub fn taking(&self, other: &Self, knobs: &BTreeSet<Knob>) -> Self {
        let mut mixed = self.clone();
        for knob in knobs {
            mixed.copy(*knob, other);
            match other.levels.get(knob) {
                Some(level) => mixed.levels.insert(*knob, level.clone()),
                None => mixed.levels.remove(knob),
            };
        }
        mixed
    }

    /// The knobs that are not as in plain conditions. How many jobs would be plain is known from the levels only.
    pub fn knobs(&self) -> BTreeSet<Knob> {
        let plain = Self::plain(self.jobs);
        let moved = |knob: &Knob| {
            let mut other = plain.clone();
            other.copy(*knob, self);
            other != plain
        };
        Knob::ALL.into_iter().filter(|knob| self.levels.contains_key(knob) || moved(knob)).collect()
    }

    /// The knobs in which these conditions and others differ.
    pub fn differing(&self, other: &Self) -> BTreeSet<Knob> {
        let mut bare = self.clone();
        bare.levels.clear();
        let differs = |knob: &Knob| {
            let mut mixed = bare.clone();
            mixed.copy(*knob, other);
            mixed != bare
        };
        Knob::ALL.into_iter().filter(differs).collect()
    }

    /// Takes over the fields that belong to a knob.
    fn copy(&mut self, knob: Knob, from: &Self) {
        let (world, other) = (&mut self.world, &from.world);
        match knob {
            Knob::Jobs => self.jobs = from.jobs,
            Knob::Cpus => world.cpus = other.cpus,
            Knob::CpuFacts => world.cpu_model.clone_from(&other.cpu_model),
            Knob::Clock => (world.clock_offset, world.clock_start) = (other.clock_offset, other.clock_start),
            Knob::Uptime => world.uptime_offset = other.uptime_offset,
            Knob::DirectoryOrder => (world.dir_order, world.dir_backwards) = (other.dir_order, other.dir_backwards),
            Knob::InodeOrder => self.reverse_inodes = from.reverse_inodes,
            Knob::FileSystem => {
                (self.tmp_on_disk, self.build_on_overlay) = (from.tmp_on_disk, from.build_on_overlay);
            }
            Knob::PidBase => world.pid_base = other.pid_base,
            Knob::Addresses => world.random_addresses = other.random_addresses,
            Knob::Kernel => world.kernel_release.clone_from(&other.kernel_release),
            Knob::Memory => world.memory = other.memory,
            Knob::Random => world.random = other.random,
            Knob::HostName => self.hostname.clone_from(&from.hostname),
            Knob::Domain => self.domainname.clone_from(&from.domainname),
            Knob::MachineId => self.machine_id.clone_from(&from.machine_id),
            Knob::Uid => self.uid = from.uid,
            Knob::User => self.user.clone_from(&from.user),
            Knob::Home => self.home.clone_from(&from.home),
            Knob::BuildPath => self.build_path.clone_from(&from.build_path),
            Knob::Locale => self.locale.clone_from(&from.locale),
            Knob::TimeZone => self.time_zone.clone_from(&from.time_zone),
            Knob::Umask => self.umask = from.umask,
            Knob::Environment => self.noise.clone_from(&from.noise),
            Knob::Terminal => self.terminal.clone_from(&from.terminal),
            Knob::Stdin => self.stdin = from.stdin,
        }
    }

    /// Puts one knob, which is at its plain level, to another.
    fn turn(&mut self, knob: Knob, level: &str, dice: &mut Dice, cpus: u32) {
        let world = &mut self.world;
        match (knob, level) {
            (Knob::Jobs, "more") => self.jobs += 1,
            (Knob::Jobs, "twice") => self.jobs = self.jobs * 2 + 1,
            (Knob::Jobs, _) => self.jobs = 1,
            (Knob::Cpus, "more") => world.cpus = Some(cpus + dice.between(1, 6)),
            (Knob::Cpus, "many") => world.cpus = Some(cpus + dice.between(7, 14)),
            (Knob::Cpus, _) => world.cpus = Some(1),
            (Knob::CpuFacts, _) => {
                world.cpu_model = Some(format!("generic x86-64 at {}.{} GHz", dice.between(1, 5), dice.between(0, 9)));
            }
            (Knob::Clock, level) => world.clock_start = Some(start(level, dice)),
            (Knob::Uptime, "days") => world.uptime_offset = u64::from(dice.between(3, 300)) * DAY as u64,
            (Knob::Uptime, _) => world.uptime_offset = u64::from(dice.between(800, 3_000)) * DAY as u64,
            (Knob::DirectoryOrder, "backwards") => world.dir_backwards = true,
            (Knob::DirectoryOrder, _) => world.dir_order = Some(dice.wide()),
            (Knob::InodeOrder, _) => self.reverse_inodes = true,
            (Knob::FileSystem, "overlay") => self.build_on_overlay = true,
            (Knob::FileSystem, _) => self.tmp_on_disk = true,
            (Knob::PidBase, "hundreds") => world.pid_base = Some(dice.between(301, 900)),
            (Knob::PidBase, _) => world.pid_base = Some(dice.between(2_000, 28_000)),
            (Knob::Addresses, _) => world.random_addresses = true,
            (Knob::Kernel, "older") => {
                world.kernel_release = Some(format!("5.{}.{}-varied", dice.between(4, 15), dice.between(0, 250)));
            }
            (Knob::Kernel, _) => {
                world.kernel_release =
                    Some(format!("{}.{}.{}-varied", dice.between(8, 9), dice.between(0, 20), dice.between(0, 250)));
            }
            (Knob::Memory, level) => {
                let gib = if level == "small" { dice.between(3, 6) } else { dice.between(48, 96) };
                world.memory = Some(u64::from(gib) * (1 << 30) + u64::from(dice.between(1, 200)) * (1 << 20));
            }
            (Knob::Random, _) => world.random = Some(dice.wide()),
            (Knob::HostName, "long") => {
                self.hostname = format!("varied-{:08x}.rack-{}.example", dice.next(), dice.between(0, 9999));
            }
            (Knob::HostName, _) => self.hostname = format!("varied-{:04x}", dice.between(0, 0xffff)),
            (Knob::Domain, _) => self.domainname = format!("domain-{:04x}.example", dice.between(0, 0xffff)),
            (Knob::MachineId, _) => self.machine_id = format!("{:016x}{:016x}", dice.wide(), dice.wide() | 1),
            (Knob::Uid, _) => self.uid = dice.between(1_001, 59_999),
            (Knob::User, _) => self.user = format!("someone-{:04x}", dice.between(0, 0xffff)),
            (Knob::Home, _) => self.home = format!("/varied/home-{:04x}", dice.between(0, 0xffff)),
            (Knob::BuildPath, _) => self.build_path = format!("/varied/build-{:08x}/dir", dice.next()),
            (Knob::Locale, "posix") => "C".clone_into(&mut self.locale),
            (Knob::Locale, _) => {
                dice.of(&["fr_FR.UTF-8", "tr_TR.UTF-8", "ja_JP.UTF-8", "et_EE.UTF-8"]).clone_into(&mut self.locale);
            }
            (Knob::TimeZone, "west") => "<-0930>+9:30".clone_into(&mut self.time_zone),
            (Knob::TimeZone, _) => "<+14>-14".clone_into(&mut self.time_zone),
            (Knob::Umask, "group") => self.umask = 0o002,
            (Knob::Umask, _) => self.umask = 0o077,
            (Knob::Environment, level) => self.noise = noise(level, dice),
            (Knob::Terminal, level) => {
                let size = (100 + dice.between(1, 90) as u16, 30 + dice.between(1, 40) as u16);
                let term = dice.of(&["xterm", "xterm-256color", "linux", "screen"]).to_owned();
                self.terminal = Terminal { term, size: Some(size), pty: level == "pty" };
            }
            (Knob::Stdin, "pipe") => self.stdin = Stdin::Pipe,
            (Knob::Stdin, _) => self.stdin = Stdin::File,
        }
    }
}

const DAY: i64 = 86_400;

/// When the clock of a run starts, in seconds since 1970; the sandbox moves it on by whole cycles of the calendar until it
/// is a year ahead.
fn start(level: &str, dice: &mut Dice) -> i64 {
    // The first seconds of 2031 and of 29 February 2032.
    const YEAR_2031: i64 = 1_924_992_000;
    const LEAP_DAY_2032: i64 = 1_961_625_600;
    match level {
        "leap-day" => LEAP_DAY_2032 + i64::from(dice.between(0, 79_200)),
        // A year of 365 days on either side, so that adding whole days finds another end of a year.
        "year-end" => YEAR_2031 + 365 * DAY * i64::from(dice.between(0, 1)) - i64::from(dice.between(5, 50)),
        _ => YEAR_2031 + i64::from(dice.between(370, 1_400)) * DAY + i64::from(dice.between(0, 86_399)),
    }
}

fn noise(level: &str, dice: &mut Dice) -> BTreeMap<String, String> {
    // Each program that is started gets a copy of all: not more than costs nothing.
    let (count, length) = if level == "much" { (20, 50) } else { (3, 1) };
    let mut noise = BTreeMap::new();
    for n in 0..count {
        noise.insert(format!("PARTON_NOISE_{n:02}"), format!("{:08x}", dice.next()).repeat(length));
    }
    noise
}

/// Numbers that depend on nothing but derivation, round, knob and level.
struct Dice {
    seed: [u8; 32],
    rolls: u64,
}

impl Dice {
    fn new(derivation: DrvId, round: u32, knob: Knob, level: &str) -> Self {
        let mut to = Encoder::new("parton.conditions", 2);
        to.put(&derivation).put(&round).put(knob.name()).put(level);
        Self { seed: *to.finish().as_bytes(), rolls: 0 }
    }

    fn next(&mut self) -> u32 {
        let mut to = Encoder::new("parton.dice", 1);
        to.fixed(&self.seed);
        to.put(&self.rolls);
        self.rolls += 1;
        let digest = to.finish();
        let [a, b, c, d, ..] = *digest.as_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    fn wide(&mut self) -> u64 {
        u64::from(self.next()) << 32 | u64::from(self.next())
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.next() % (high - low + 1)
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.next() as usize % list.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(knob: Knob) -> BTreeSet<Knob> {
        BTreeSet::from([knob])
    }

    #[test]
    fn each_knob_and_level_moves_exactly_what_is_its_own() {
        let id = DrvId::from_bytes([7; 32]);
        let plain = Conditions::plain(4);
        assert!(plain.knobs().is_empty());
        for knob in Knob::ALL {
            for level in knob.levels() {
                let levels = BTreeMap::from([(knob, level.name.to_owned())]);
                let moved = Conditions::at(id, 2, 4, 4, &levels);
                assert_eq!(moved.knobs(), one(knob), "{}", level.name);
                assert_eq!(plain.differing(&moved), one(knob), "{}", level.name);
                assert_eq!(moved.levels, levels);
                assert_eq!(plain.taking(&moved, &one(knob)), moved);
                assert_eq!(moved.taking(&plain, &one(knob)), plain);
            }
        }
    }

    #[test]
    fn what_else_moves_changes_no_value() {
        let id = DrvId::from_bytes([7; 32]);
        let all = Conditions::with(id, 3, 2, 2, &Knob::ALL.into());
        assert_eq!(all, Conditions::with(id, 3, 2, 2, &Knob::ALL.into()));
        assert_ne!(all, Conditions::with(id, 4, 2, 2, &Knob::ALL.into()));
        assert_eq!(all.knobs(), Knob::ALL.into());
        for knob in Knob::ALL {
            let alone = Conditions::with(id, 3, 2, 2, &one(knob));
            assert_eq!(alone, Conditions::plain(2).taking(&all, &one(knob)), "{knob}");
        }
    }

    #[test]
    fn conditions_of_old_are_still_read() {
        // As parton wrote them before there were knobs.
        let old = r#"{"jobs":3,"world":{"cpus":5,"clock_offset":40000000,"uptime_offset":86400,"dir_order":7,"pid_base":5000,
            "random_addresses":true,"kernel_release":"7.1.2-varied","memory":4294967296},"reverse_inodes":true,
            "hostname":"varied-1","domainname":"domain-2.example","user":"someone2","noise":{"A":"b"}}"#;
        let read: Conditions = serde_json::from_str(old).unwrap();
        let sealed = [Knob::HostName, Knob::Domain, Knob::User, Knob::Environment];
        let knobs: Vec<Knob> = read.knobs().into_iter().filter(|knob| *knob >= Knob::HostName).collect();
        assert_eq!(knobs, sealed);
        assert!(read.knobs().contains(&Knob::Clock) && !read.knobs().contains(&Knob::FileSystem));
    }

    #[test]
    fn clocks_start_where_their_level_says() {
        for round in 0..40 {
            let at = |level| {
                let mut dice = Dice::new(DrvId::from_bytes([1; 32]), round, Knob::Clock, level);
                start(level, &mut dice)
            };
            assert_eq!(date(at("leap-day")), (2, 29));
            assert_eq!(date(at("year-end")), (12, 31));
            assert_eq!(date(at("year-end") + 60), (1, 1));
            assert!(at("later-year") > at("leap-day") - 366 * DAY);
        }
    }

    /// Month and day, by counting.
    fn date(seconds: i64) -> (u32, u32) {
        let (mut days, mut year) = (seconds / DAY, 1970);
        loop {
            let leap = year % 4 == 0;
            if days < 365 + i64::from(leap) {
                let months = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
                for (month, length) in (1..).zip(months) {
                    if days < length {
                        return (month, days as u32 + 1);
                    }
                    days -= length;
                }
            }
            days -= 365 + i64::from(leap);
            year += 1;
        }
    }
}
