//! What `parton why` found: which conditions make which places differ, by which builds that is known, and what to do.

use super::text::{BOLD, DIM, GREEN, RED, RESET, YELLOW};
use crate::base::{Blake3, DrvId, TreeDigest, printable};
use crate::build::{Class, Knob};
use crate::compare::search::{Confidence, Purpose, Site};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// Why the rounds of a package differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Name of the profile.
    pub profile: String,
    /// The derivation.
    pub id: DrvId,
    /// The builds, in order; the first is the baseline.
    pub builds: Vec<Made>,
    /// How many there may be.
    pub budget: usize,
    /// Whether nothing is left to be asked.
    pub complete: bool,
    /// What is known of the places that differ, the surest first.
    pub findings: Vec<Explained>,
}

/// One build.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Made {
    /// Which, from 1.
    pub number: usize,
    /// What was not as in the baseline.
    pub moved: BTreeSet<Knob>,
    /// Why it was made.
    pub purpose: Purpose,
    /// Its output; `None` if it failed.
    pub output: Option<TreeDigest>,
    /// Digest of its log.
    pub log: Blake3,
    /// Time it took.
    pub wall: Duration,
    /// Whether an earlier run of this command made it.
    pub known: bool,
    /// Entries of its output that are not as in the first.
    pub differing: usize,
}

/// What is known of some places that behave alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Where; a place without path is the build itself, which fails.
    pub places: BTreeSet<Site>,
    /// What is known.
    pub kind: Kind,
    /// Knobs of which each makes it differ.
    pub any: BTreeSet<Knob>,
    /// Knobs that make it differ together, and not one without the others.
    pub together: BTreeSet<Knob>,
    /// How sure it is, of a leak.
    pub confidence: Option<Confidence>,
    /// Whether the jail could hold all those knobs still.
    pub class: Option<Class>,
    /// The likelihood that something random would have agreed with such a cause in all builds; of what is open, that it is
    /// a race.
    pub chance: Option<f64>,
    /// Builds that moved only those knobs: it differed.
    pub alone: Vec<usize>,
    /// Builds that moved all but those: it did not.
    pub all_but: Vec<usize>,
    /// What else is possible, of what is open: sets of knobs, any of which would do.
    pub candidates: Vec<BTreeSet<Knob>>,
    /// Two builds under the same conditions that do not agree, of what is nondeterministic.
    pub disagree: Option<(usize, usize)>,
    /// How often it differed, and in how many builds after the first.
    pub differed: (usize, usize),
    /// How many causes were left after each build.
    pub left: Vec<usize>,
    /// What of the conditions was found in the bytes.
    pub clues: Vec<Clue>,
    /// Where it may come from.
    pub suspects: Vec<Suspect>,
    /// What helps.
    pub remedies: Vec<String>,
}

/// What is known of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Conditions make it differ.
    Leak,
    /// It differs by itself, and the bytes say what they hold: `any` is known from them alone.
    Witnessed,
    /// It differs by itself; `any` is the knob without which it never did, if there is one.
    Nondeterministic,
    /// It depends on conditions in a way that the search does not know; `any` are those that make it differ alone.
    NotUnderstood,
    /// Too few builds.
    Open,
}

/// What of a condition was found in bytes that differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Clue {
    /// Whose condition; `None` if it belongs to none.
    pub knob: Option<Knob>,
    /// What was found.
    pub what: String,
    /// In the first build.
    pub a: String,
    /// In the other one.
    pub b: String,
}

/// A line that may be the cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Suspect {
    /// File of the sources, `phase NAME` of the spec, or `log`.
    pub file: String,
    /// Which line, from 1.
    pub line: usize,
    /// What it says, printable and cut.
    pub text: String,
    /// What speaks for it; more is more.
    pub weight: u32,
    /// What would help there.
    pub remedy: String,
}

impl Why {
    /// Whether all that differs has a cause.
    pub fn explained(&self) -> bool {
        self.findings.iter().all(|finding| matches!(finding.kind, Kind::Leak | Kind::Witnessed))
    }
}

/// Names in a row.
pub fn names(knobs: &BTreeSet<Knob>) -> String {
    knobs.iter().map(|knob| knob.name()).collect::<Vec<_>>().join(", ")
}

/// What a build is for, in words.
pub fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Baseline => "the baseline",
        Purpose::All => "everything at once",
        Purpose::Control => "the same again, to see what differs by itself",
        Purpose::Split => "parts what is left",
        Purpose::Alone => "the suspect alone",
        Purpose::AllBut => "all but the suspect",
    }
}

/// What was moved, in few words.
pub fn moved(knobs: &BTreeSet<Knob>) -> String {
    let rest: BTreeSet<Knob> = Knob::ALL.into_iter().filter(|knob| !knobs.contains(knob)).collect();
    match (knobs.len(), rest.len()) {
        (0, _) => "nothing".to_owned(),
        (_, 0) => "everything".to_owned(),
        (_, 1..=5) => format!("all but {}", names(&rest)),
        (1..=5, _) => names(knobs),
        (count, _) => format!("{count} of {}", Knob::ALL.len()),
    }
}

/// For people. `verbose` tells every place, build and line.
pub fn text(why: &Why, verbose: bool) -> String {
    let mut out = format!("{BOLD}{} {}{RESET}  {}\n", why.name, why.version, why.id.short());
    let _ = writeln!(out, "  builds   {} of at most {}", why.builds.len(), why.budget);
    for made in &why.builds {
        let came = match &made.output {
            None => format!("{RED}failed{RESET}"),
            Some(_) if made.number == 1 => "built".to_owned(),
            Some(_) if made.differing == 0 => "the same".to_owned(),
            Some(_) => format!(
                "{} {}",
                count(made.differing, "entry", "entries"),
                if made.differing == 1 { "differs" } else { "differ" }
            ),
        };
        let known = if made.known { ", made before" } else { "" };
        let _ = writeln!(
            out,
            "   {DIM}{:>3}{RESET}  {}: {came} {DIM}({}{known}){RESET}",
            made.number,
            moved(&made.moved),
            purpose(made.purpose)
        );
        if verbose && (6..Knob::ALL.len() - 5).contains(&made.moved.len()) {
            let _ = writeln!(out, "        {DIM}{}{RESET}", names(&made.moved));
        }
    }
    if why.findings.is_empty() {
        let _ = writeln!(out, "  {GREEN}nothing differs{RESET}, whatever is moved");
    }
    for finding in &why.findings {
        explained(&mut out, finding, verbose);
    }
    if !why.complete {
        let _ = writeln!(out, "  {YELLOW}more builds would tell more{RESET}: --builds {}", why.budget * 2);
    }
    out
}

fn explained(out: &mut String, finding: &Explained, verbose: bool) {
    let _ = writeln!(out, "\n  {}", headline(finding));
    let most = if verbose { usize::MAX } else { 6 };
    for site in finding.places.iter().take(most) {
        let _ = writeln!(out, "    {}", place(site));
    }
    if finding.places.len() > most {
        let _ = writeln!(out, "    {DIM}and {} more places{RESET}", finding.places.len() - most);
    }
    let _ = writeln!(out, "    {DIM}{}{RESET}", because(finding));
    for clue in finding.clues.iter().take(if verbose { usize::MAX } else { 3 }) {
        let _ = writeln!(out, "    holds {}: {} {DIM}→{RESET} {}", clue.what, clue.a, clue.b);
    }
    for suspect in finding.suspects.iter().take(if verbose { usize::MAX } else { 3 }) {
        let _ = writeln!(out, "    see {BOLD}{}:{}{RESET}  {}", suspect.file, suspect.line, suspect.text);
    }
    for remedy in finding.remedies.iter().take(if verbose { usize::MAX } else { 2 }) {
        let _ = writeln!(out, "    {GREEN}do{RESET}  {remedy}");
    }
}

/// A place, for people.
pub fn place(site: &Site) -> String {
    match (site.path.as_str(), site.part.as_str()) {
        ("", _) => "the build itself, which fails".to_owned(),
        (path, "") => printable(path.as_bytes()),
        (path, part) => format!("{}: {}", printable(path.as_bytes()), printable(part.as_bytes())),
    }
}

fn headline(finding: &Explained) -> String {
    let cause = match (finding.any.len(), finding.together.len()) {
        (_, 0) if finding.any.len() < 2 => names(&finding.any),
        (_, 0) => format!("any of {}", names(&finding.any)),
        (0, _) => format!("{} together", names(&finding.together)),
        _ => format!("{}, or {} together", names(&finding.any), names(&finding.together)),
    };
    let class = match finding.class {
        Some(Class::Open) => " (no jail holds it still everywhere: a failure)",
        Some(Class::Sealed) => " (the jail holds it still: a leak)",
        None => "",
    };
    match (finding.kind, finding.confidence) {
        (Kind::Leak, Some(Confidence::Confirmed)) => format!("{RED}{BOLD}{cause}{RESET}{class}"),
        (Kind::Leak, _) => format!("{RED}{BOLD}{cause}{RESET}, very likely{class}"),
        (Kind::Witnessed, _) => {
            format!(
                "{RED}{BOLD}{cause}{RESET}{class}, by what the bytes hold; they differ even under the same conditions"
            )
        }
        (Kind::Nondeterministic, _) if finding.any.is_empty() => {
            format!("{YELLOW}{BOLD}nondeterministic by itself{RESET}: a race, or true randomness")
        }
        (Kind::Nondeterministic, _) => {
            format!("{YELLOW}{BOLD}nondeterministic, but only where {cause} is moved{RESET}: a race that it provokes")
        }
        (Kind::NotUnderstood, _) if finding.any.is_empty() => format!("{YELLOW}{BOLD}not understood{RESET}"),
        (Kind::NotUnderstood, _) => format!("{YELLOW}{BOLD}not understood{RESET}; alone, {cause} makes it differ"),
        (Kind::Open, _) => {
            let list: Vec<String> = finding.candidates.iter().take(4).map(names).collect();
            let race = finding.chance.unwrap_or(0.0);
            match list.is_empty() {
                true => format!("{YELLOW}{BOLD}open{RESET}: a race, or a cause of many conditions"),
                false => format!("{YELLOW}{BOLD}open{RESET}: {} (a race: {:.0} %)", list.join("; or "), race * 100.0),
            }
        }
    }
}

/// By which builds it is known.
fn because(finding: &Explained) -> String {
    let numbers = |list: &[usize]| list.iter().map(|build| (build + 1).to_string()).collect::<Vec<_>>().join(", ");
    let (ones, of) = finding.differed;
    let mut text = format!("differed in {ones} of {of} builds");
    if let Some((one, other)) = finding.disagree {
        let _ = write!(text, "; builds {} and {} had the same conditions and do not agree", one + 1, other + 1);
    }
    if !finding.alone.is_empty() {
        let _ = write!(text, "; alone: differs (build {})", numbers(&finding.alone));
    }
    if !finding.all_but.is_empty() {
        let _ = write!(text, "; all but that: the same (build {})", numbers(&finding.all_but));
    }
    if finding.kind == Kind::Leak {
        let mut before = None;
        let ruled: Vec<String> = finding
            .left
            .iter()
            .enumerate()
            .filter_map(|(build, left)| {
                let fewer = before.is_some_and(|before| *left < before);
                before = Some(*left);
                (fewer && build > 0).then(|| format!("{left} after build {}", build + 1))
            })
            .collect();
        if !ruled.is_empty() {
            let _ = write!(text, "; causes left: {}", ruled.join(", "));
        }
        if let Some(chance) = finding.chance {
            let _ = write!(text, "; by chance: 1 in {:.0}", (1.0 / chance.max(1e-9)).round());
        }
    }
    text
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
