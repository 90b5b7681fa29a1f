//! The conditions of two builds, as they are spelled, and where they are found in what the builds made.

use super::places::Places;
use crate::base::printable;
use crate::build::{Conditions, Knob, Outcome};
use crate::compare::cause::{Moment, holds, holds_word, moment, reordered};
use crate::compare::search::Site;
use crate::report::why::Clue;
use fs_err as fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes of a file that are looked through.
const LONGEST: u64 = 8 << 20;

/// What a build could tell of its conditions.
pub struct Facts {
    /// Whose, what it is, how it is spelled. Long enough not to be anywhere by accident.
    strong: Vec<(Knob, &'static str, String)>,
    /// The same, but short: numbers and the like, which say something only where they alone differ.
    weak: Vec<(Knob, &'static str, String)>,
    /// When it ran, by its own clock.
    from: i64,
    to: i64,
    /// When it ran, by the clock of this machine, which files that it made have their times from.
    outside: Option<(i64, i64)>,
    wall: i64,
    pid_base: u32,
}

impl Facts {
    /// The facts of a build under these conditions.
    pub fn new(conditions: &Conditions, outcome: &Outcome) -> Self {
        let world = &conditions.world;
        let mut strong = vec![
            (Knob::HostName, "the host name", conditions.hostname.clone()),
            (Knob::Domain, "the domain", conditions.domainname.clone()),
            (Knob::MachineId, "the machine's id", conditions.machine_id.clone()),
            (Knob::User, "the user's name", conditions.user.clone()),
            (Knob::BuildPath, "the build directory", conditions.build_path.clone()),
            (Knob::Terminal, "the terminal's name", conditions.terminal.term.clone()),
            (Knob::Locale, "the locale", conditions.locale.clone()),
            (Knob::TimeZone, "the time zone", conditions.time_zone.clone()),
        ];
        // Home and build directory are the same unless one is moved.
        if conditions.home != conditions.build_path {
            strong.push((Knob::Home, "the home directory", conditions.home.clone()));
        }
        strong.extend(world.kernel_release.clone().map(|text| (Knob::Kernel, "the kernel's release", text)));
        strong.extend(world.cpu_model.clone().map(|text| (Knob::CpuFacts, "the processor's model", text)));
        strong.extend(
            conditions.noise.keys().map(|name| (Knob::Environment, "a variable of the environment", name.clone())),
        );
        let mut weak = vec![
            (Knob::Jobs, "the number of jobs", conditions.jobs.to_string()),
            (Knob::Uid, "the user's id", conditions.uid.to_string()),
        ];
        weak.extend(world.cpus.map(|cpus| (Knob::Cpus, "the number of processors", cpus.to_string())));
        weak.extend(world.memory.map(|bytes| (Knob::Memory, "the size of the memory", (bytes >> 10).to_string())));
        weak.extend(
            conditions.terminal.size.map(|(wide, _)| (Knob::Terminal, "the terminal's width", wide.to_string())),
        );
        let from = world.clock_start.unwrap_or(0) + world.clock_offset;
        let pid_base = world.pid_base.unwrap_or(0);
        // A build's clock starts a little before its first phase.
        let wall = outcome.wall.as_secs().cast_signed() + 2;
        Self { strong, weak, from, to: from + wall, outside: None, wall, pid_base }
    }

    /// Adds when the build's output came into the store, and so when it ran.
    pub fn made(self, output: &Path) -> Self {
        let came = fs::symlink_metadata(output).ok().map(|meta| meta.ctime());
        Self { outside: came.map(|came| (came - self.wall - 60, came + 2)), ..self }
    }
}

fn read(root: &Path, path: &str) -> Option<Vec<u8>> {
    let path = root.join(path);
    let meta = fs::symlink_metadata(&path).ok()?;
    if meta.is_symlink() {
        return fs::read_link(&path).ok().map(|target| target.as_os_str().as_encoded_bytes().to_vec());
    }
    if !meta.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(&path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The places of an entry whose bytes hold what was moved, as it is after and was not before.
pub fn hints(before: &Facts, after: &Facts, a: &Path, b: &Path, path: &str, places: &Places) -> Vec<(Site, Knob)> {
    let (Some(a), Some(b)) = (read(a, path), read(b, path)) else { return Vec::new() };
    let mut found = Vec::new();
    for part in places.names() {
        let (a, b) = match places.line(part) {
            Some((a, b)) => (a.as_bytes(), b.as_bytes()),
            None => (a.as_slice(), b.as_slice()),
        };
        for knob in strong(before, after, a, b).into_iter().filter_map(|clue| clue.knob) {
            found.push((Site { path: path.to_owned(), part: part.clone() }, knob));
        }
    }
    found
}

fn clue(knob: Option<Knob>, what: &str, a: &str, b: &str) -> Clue {
    let cut = |text: &str| printable(text.chars().take(120).collect::<String>().as_bytes());
    Clue { knob, what: what.to_owned(), a: cut(a), b: cut(b) }
}

/// What can hardly be there by accident.
fn strong(before: &Facts, after: &Facts, a: &[u8], b: &[u8]) -> Vec<Clue> {
    let mut found = Vec::new();
    for (knob, what, text) in after.strong.iter().filter(|(_, _, text)| text.len() >= 4) {
        let same = before.strong.iter().any(|(other, _, value)| other == knob && value == text);
        if !same && holds(b, text.as_bytes()) && !holds(a, text.as_bytes()) {
            let was = before.strong.iter().find(|(other, _, value)| other == knob && holds(a, value.as_bytes()));
            found.push(clue(Some(*knob), what, was.map_or("", |(_, _, value)| value), text));
        }
    }
    if let (Some(one), Some(other)) = (moment(a, before.from, before.to), moment(b, after.from, after.to))
        && one.text != other.text
    {
        let what = format!("the time of the build ({})", other.form);
        found.push(clue(Some(Knob::Clock), &what, &one.text, &other.text));
    } else if let (Some(before), Some(after)) = (before.outside, after.outside)
        && let (Some(one), Some(other)) = (stamp(a, before), stamp(b, after))
        && one.text != other.text
    {
        let what = format!("the time at which a file was made ({})", other.form);
        found.push(clue(Some(Knob::Clock), &what, &one.text, &other.text));
    }
    found
}

/// A time within a window, also in the octal digits of tar.
fn stamp(bytes: &[u8], (from, to): (i64, i64)) -> Option<Moment> {
    let mut runs = bytes.split(|byte| !(b'0'..=b'7').contains(byte)).filter(|run| run.len() == 11);
    let octal = runs.find_map(|run| {
        let text = std::str::from_utf8(run).ok()?;
        let value = i64::from_str_radix(text, 8).ok()?;
        (from..=to).contains(&value).then(|| Moment { form: "the octal digits of tar", text: text.to_owned() })
    });
    octal.or_else(|| moment(bytes, from, to).filter(|moment| moment.form.contains("since 1970")))
}

/// What the bytes of a place say in two builds. `line` are both versions, where the place is a line of a text.
pub fn clues(
    before: &Facts,
    after: &Facts,
    a_root: &Path,
    b_root: &Path,
    site: &Site,
    line: Option<(&str, &str)>,
) -> Vec<Clue> {
    let (Some(a), Some(b)) = (read(a_root, &site.path), read(b_root, &site.path)) else { return Vec::new() };
    let (part_a, part_b) = match line {
        Some((a, b)) => (a.as_bytes(), b.as_bytes()),
        None => (a.as_slice(), b.as_slice()),
    };
    let mut found = strong(before, after, part_a, part_b);
    for (knob, what, text) in &after.weak {
        let was = before.weak.iter().find(|(other, kind, _)| (other, kind) == (knob, what)).map(|(_, _, text)| text);
        let is_new = was != Some(text) && holds_word(part_b, text.as_bytes()) && !holds_word(part_a, text.as_bytes());
        // Where it was held too, or is all that there is.
        if is_new && (part_b.len() < 200 || was.is_some_and(|was| holds_word(part_a, was.as_bytes()))) {
            found.push(clue(Some(*knob), what, was.map_or("", |was| was), text));
        }
    }
    if let Some(order) = reordered(&a, &b).or_else(|| reordered(part_a, part_b)) {
        found.push(clue(None, order, &first_line(part_a), &first_line(part_b)));
    }
    if before.pid_base != after.pid_base {
        let of = |bytes: &[u8], base: u32| {
            let mut numbers = bytes.split(|byte| !byte.is_ascii_digit()).filter(|run| (1..=6).contains(&run.len()));
            numbers.find_map(|run| {
                let number: u32 = std::str::from_utf8(run).ok()?.parse().ok()?;
                (base.max(1)..base + 2_000).contains(&number).then(|| number.to_string())
            })
        };
        if let (Some(one), Some(other)) = (of(part_a, before.pid_base), of(part_b, after.pid_base))
            && one != other
        {
            found.push(clue(Some(Knob::PidBase), "a process id", &one, &other));
        }
    }
    if found.is_empty() && line.is_some() {
        found.push(clue(None, "this line", &first_line(part_a), &first_line(part_b)));
    }
    found
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned()
}
