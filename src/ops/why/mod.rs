//! `parton why`: builds a package under chosen conditions until it is known which of them make which places differ.
//!
//! The builds are remembered beside the package's own record, under an id of their own: they are nobody's output, a sweep
//! removes them, and a search that was interrupted goes on where it was.

mod clues;
mod places;
mod suspects;

use super::{Error, Session, package};
use crate::base::{Blake3, DrvId, Encoder, Event};
use crate::build::{Conditions, Executor, Knob, Local, Order, Outcome};
use crate::compare;
use crate::compare::search::{Cause, Moved, Purpose, Question, Search, Seen, Site, Verdict};
use crate::plan::Derivation;
use crate::report::why::{Explained, Kind, Made, Why, moved as moved_text, purpose};
use crate::report::{self, Record};
use crate::sandbox::Limits;
use crate::store::{self, Refs};
use places::Places;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How to search.
#[derive(Debug, Clone)]
pub struct WhySettings {
    /// How many builds there may be in all, those of earlier runs included.
    pub builds: usize,
    /// Jobs of the baseline.
    pub jobs: u32,
    /// Processors of this machine.
    pub cpus: u32,
    /// Whether to forget what earlier runs built.
    pub fresh: bool,
}

/// When the clock of a build starts that does not move it: noon of 15 June 2031, UTC.
const NOON: i64 = 1_939_291_200;

/// Name and version of what is remembered.
const SCHEMA: &str = "parton.why-builds/1";

/// What is remembered of the builds of a search.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    schema: String,
    builds: Vec<One>,
}

/// One build of a search.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct One {
    question: Question,
    outcome: Outcome,
    #[serde(skip)]
    known: bool,
}

/// Finds out why a package's rounds differ.
///
/// # Errors
/// What the package needs is not built yet; it does not build under plain conditions; a round can't be executed.
pub fn why(session: &Session<'_>, name: &str, settings: &WhySettings) -> Result<Why, Error> {
    let mut inquiry = Inquiry::new(session, package::ready(session, name)?, settings)?;
    let store = session.store;
    let _lock = store.lock_drv(inquiry.id, &mut |_| !session.cancel.is_cancelled())?;
    if !settings.fresh {
        inquiry.recall()?;
    }
    let mut search = inquiry.search();
    while let Some(question) = search.next() {
        session.go_on()?;
        inquiry.build(question)?;
        search = inquiry.search();
    }
    inquiry.report(&search)
}

/// A search with real builds.
struct Inquiry<'a> {
    session: &'a Session<'a>,
    derivation: Derivation,
    profile: String,
    limits: Limits,
    budget: usize,
    /// Conditions of the first build, and those with everything moved.
    plain: Conditions,
    all: Conditions,
    /// Under which the builds are remembered.
    id: DrvId,
    builds: Vec<One>,
    /// What differs from the first build, for each; `None` if it failed.
    found: Vec<Option<BTreeMap<String, Places>>>,
    /// What the bytes of places hold, as far as it was looked at.
    hints: BTreeSet<(Site, Knob)>,
}

impl<'a> Inquiry<'a> {
    fn new(session: &'a Session<'a>, ready: package::Ready, settings: &WhySettings) -> Result<Self, Error> {
        let package::Ready { derivation, profile, limits } = ready;
        let drv = derivation.id();
        let (jobs, cpus) = (settings.jobs, settings.cpus);
        // The clock runs and random bytes flow in a plain round: what holds them would differ by itself. Here they begin at
        // the same point each time.
        let seeded = BTreeMap::from([(Knob::Random, "seeded".to_owned())]);
        let mut plain = Conditions::at(drv, 1, jobs, cpus, &seeded);
        plain.world.clock_start = Some(NOON);
        let mut all = Conditions::with(drv, 2, jobs, cpus, &Knob::ALL.into());
        // A clock that passes the end of a year while the build runs is a race of its own.
        let clock = BTreeMap::from([(Knob::Clock, "later-year".to_owned())]);
        all = all.taking(&Conditions::at(drv, 2, jobs, cpus, &clock), &[Knob::Clock].into());
        // What showed a difference will show it again.
        if let Some(round) = differing_round(session, drv)? {
            let is_still = |knob: &Knob| !matches!(knob, Knob::Clock | Knob::Jobs);
            all = all.taking(&round, &round.levels.keys().copied().filter(is_still).collect());
        }
        let mut to = Encoder::new("parton.why", 1);
        to.put(&drv);
        for conditions in [&plain, &all] {
            to.bytes(&serde_json::to_vec(conditions).map_err(std::io::Error::other)?);
        }
        let id = DrvId::from_bytes(*to.finish().as_bytes());
        Ok(Self {
            session,
            derivation,
            profile,
            limits,
            budget: settings.builds,
            plain,
            all,
            id,
            builds: Vec::new(),
            found: Vec::new(),
            hints: BTreeSet::new(),
        })
    }

    fn conditions(&self, moved: Moved) -> Conditions {
        self.plain.taking(&self.all, &knobs(moved))
    }

    /// Takes over the builds of earlier runs whose outputs are still there.
    fn recall(&mut self) -> Result<(), Error> {
        let Some(found) = self.session.store.record(self.id)? else { return Ok(()) };
        // What another version wrote is not an error: everything is built anew.
        let Ok(remembered) = serde_json::from_slice::<Remembered>(&found.body) else { return Ok(()) };
        if remembered.schema != SCHEMA {
            return Ok(());
        }
        for one in remembered.builds {
            let there = match one.outcome.output() {
                Some(output) => self.session.store.has_tree(output.tree)?,
                None => true,
            };
            if !there {
                break;
            }
            self.take(One { known: true, ..one })?;
        }
        Ok(())
    }

    fn remember(&self) -> Result<(), Error> {
        let outcomes = || self.builds.iter().map(|one| &one.outcome);
        let refs = Refs {
            trees: outcomes().filter_map(|outcome| outcome.output().map(|output| output.tree)).collect(),
            logs: outcomes().map(|outcome| outcome.log).collect(),
            blobs: BTreeSet::new(),
        };
        let all = Remembered { schema: SCHEMA.to_owned(), builds: self.builds.clone() };
        let body = serde_json::to_vec(&all).map_err(std::io::Error::other)?;
        // Not the package's name: what a sweep keeps for that one are its own results.
        let package = format!("{} (why)", self.derivation.name);
        self.session.store.bind(self.id, &store::Record { package, profile: self.profile.clone(), refs, body })?;
        Ok(())
    }

    /// Makes one build.
    fn build(&mut self, question: Question) -> Result<(), Error> {
        let Session { store, launcher, events, cancel, .. } = self.session;
        let number = self.builds.len() + 1;
        let moved = moved_text(&knobs(question.moved));
        events(Event::Note(format!("build {number}: moves {moved} ({})", purpose(question.purpose))));
        let mut derivation = self.derivation.clone();
        // What a failed one leaves is not to push out what is kept of the package's own rounds.
        derivation.name = format!("{} (why)", derivation.name);
        let order = Order {
            derivation,
            round: u32::try_from(number).unwrap_or(u32::MAX),
            conditions: self.conditions(question.moved),
            limits: self.limits.clone(),
            check: false,
        };
        let outcome = Local { store, launcher }.execute(&order, events, cancel)?;
        // An interrupted build says nothing.
        self.session.go_on()?;
        self.take(One { question, outcome, known: false })?;
        self.remember()
    }

    /// Holds a build against the first.
    fn take(&mut self, one: One) -> Result<(), Error> {
        let first = self.builds.first().unwrap_or(&one).outcome.output().map(|output| output.tree);
        let Some(first) = first else {
            let reason = report::text::end(&one.outcome.end);
            return Err(Error::Baseline { package: self.derivation.name.clone(), reason });
        };
        let found = match one.outcome.output().map(|output| output.tree) {
            None => None,
            Some(other) if other == first => Some(BTreeMap::new()),
            Some(other) => {
                let store = self.session.store;
                let limits = compare::Limits { places: places::MOST + 1, ..compare::Limits::default() };
                let differences = package::compared_within(store, first, other, limits)?;
                let path = |tree| store.tree_path(tree)?.ok_or_else(|| Error::from(crate::build::Error::NoTree(tree)));
                let (a, b) = (path(first)?, path(other)?);
                let found = places::of(&differences, &a, &b)?;
                if one.question.purpose == Purpose::All {
                    let facts = clues::Facts::new(&self.conditions(one.question.moved), &one.outcome);
                    let before = clues::Facts::new(&self.plain, &self.builds[0].outcome);
                    for (path, places) in &found {
                        self.hints.extend(clues::hints(&before, &facts, &a, &b, path, places));
                    }
                }
                Some(found)
            }
        };
        self.builds.push(one);
        self.found.push(found);
        Ok(())
    }

    /// The search with all that is known. Files that differ in too many places count as one place, in all builds; and so do
    /// those whose places do not behave as any cause would have it: a comparison may hide one place behind another.
    fn search(&self) -> Search {
        let every = self.found.iter().flatten().flatten();
        let mut whole: BTreeSet<String> =
            every.filter(|(_, places)| places.are_many()).map(|(path, _)| path.clone()).collect();
        let search = self.search_with(&whole);
        let hidden: Vec<Site> = search.not_understood().into_iter().filter(|site| !site.part.is_empty()).collect();
        if hidden.is_empty() {
            return search;
        }
        whole.extend(hidden.into_iter().map(|site| site.path));
        self.search_with(&whole)
    }

    fn search_with(&self, many: &BTreeSet<String>) -> Search {
        let mut search = Search::new(Knob::ALL.len(), self.budget);
        for (site, knob) in &self.hints {
            let known = if many.contains(&site.path) { places::whole(&site.path) } else { site.clone() };
            search.hint(known, *knob as usize);
        }
        for (one, found) in self.builds.iter().zip(&self.found) {
            let seen = match found {
                None => Seen::Failed,
                Some(found) => Seen::Output {
                    differing: found
                        .iter()
                        .flat_map(|(path, places)| places.sites(path, many.contains(path)))
                        .collect(),
                },
            };
            search.tell(one.question.moved, seen);
        }
        search
    }

    fn report(&self, search: &Search) -> Result<Why, Error> {
        let builds = self.builds.iter().zip(&self.found).enumerate().map(|(index, (one, found))| Made {
            number: index + 1,
            moved: knobs(one.question.moved),
            purpose: one.question.purpose,
            output: one.outcome.output().map(|output| output.tree),
            log: one.outcome.log,
            wall: one.outcome.wall,
            known: one.known,
            differing: found.as_ref().map_or(0, BTreeMap::len),
        });
        let mut findings = Vec::new();
        for finding in search.findings() {
            findings.push(self.explain(finding)?);
        }
        let mut sources = suspects::Sources::new(self.session, &self.derivation, self.log()?);
        for finding in &mut findings {
            let wanted: BTreeSet<Knob> = finding.any.union(&finding.together).copied().collect();
            sources.suspects(finding, &wanted)?;
        }
        findings.sort_by_key(|finding| (finding.kind, finding.class, std::cmp::Reverse(finding.confidence)));
        let exhausted = self.builds.len() >= self.budget;
        let open = findings.iter().any(|finding| {
            finding.kind == Kind::Open || finding.confidence == Some(compare::search::Confidence::Likely)
        });
        Ok(Why {
            name: self.derivation.name.clone(),
            version: self.derivation.version.clone(),
            profile: self.profile.clone(),
            id: self.derivation.id(),
            builds: builds.collect(),
            budget: self.budget,
            complete: !(exhausted && open),
            findings,
        })
    }

    /// The log of the first build.
    fn log(&self) -> Result<Option<PathBuf>, Error> {
        Ok(self.builds.first().map(|one| self.session.store.log(one.outcome.log)).transpose()?.flatten())
    }

    fn explain(&self, finding: compare::search::Finding) -> Result<Explained, Error> {
        let ones = finding.differed.iter().filter(|differed| **differed == Some(true)).count();
        let of = finding.differed.iter().flatten().count() - 1;
        let mut explained = Explained {
            places: finding.sites,
            kind: Kind::Open,
            any: BTreeSet::new(),
            together: BTreeSet::new(),
            confidence: None,
            class: None,
            chance: None,
            alone: Vec::new(),
            all_but: Vec::new(),
            candidates: Vec::new(),
            disagree: None,
            differed: (ones, of),
            left: finding.left,
            clues: Vec::new(),
            suspects: Vec::new(),
            remedies: Vec::new(),
        };
        let of_cause = |cause: Cause| knobs(cause.any.or(cause.together));
        let mut shown = finding.differed.iter().rposition(|differed| *differed == Some(true)).map(|build| (0, build));
        match finding.verdict {
            Verdict::Leak { cause, confidence, alone, all_but, chance, .. } => {
                explained.kind = Kind::Leak;
                (explained.any, explained.together) = (knobs(cause.any), knobs(cause.together));
                explained.confidence = Some(confidence);
                explained.chance = Some(chance);
                shown = alone.first().map(|build| (0, *build)).or(shown);
                (explained.alone, explained.all_but) = (alone, all_but);
            }
            Verdict::Open { candidates, race } => {
                explained.candidates = candidates.into_iter().map(of_cause).collect();
                explained.chance = Some(race);
            }
            Verdict::Nondeterministic { only_with, builds, .. } => {
                explained.kind = Kind::Nondeterministic;
                explained.any = only_with.map(|index| Knob::ALL[index]).into_iter().collect();
                explained.disagree = Some(builds);
                shown = Some(builds);
            }
            Verdict::NotUnderstood { alone } => {
                explained.kind = Kind::NotUnderstood;
                explained.any = knobs(alone);
            }
        }
        if let Some((a, b)) = shown {
            explained.clues = self.clues(&explained.places, a, b)?;
        }
        // A running clock is never the same twice: that what is there is the time says more than any number of builds.
        let witnessed = explained.clues.iter().filter_map(|clue| clue.knob).find(|knob| *knob == Knob::Clock);
        if let (Kind::Nondeterministic, Some(knob)) = (explained.kind, witnessed) {
            explained.kind = Kind::Witnessed;
            explained.any = BTreeSet::from([knob]);
        }
        let wanted: BTreeSet<Knob> = explained.any.union(&explained.together).copied().collect();
        if explained.kind == Kind::Leak {
            // What else the bytes hold belongs to other causes.
            explained.clues.retain(|clue| clue.knob.is_none_or(|knob| wanted.contains(&knob)));
        }
        explained.class = wanted.iter().map(|knob| knob.class()).min();
        Ok(explained)
    }

    /// What the bytes of the first few places say, in two builds.
    fn clues(&self, places: &BTreeSet<Site>, a: usize, b: usize) -> Result<Vec<report::why::Clue>, Error> {
        let tree = |build: usize| -> Result<Option<PathBuf>, Error> {
            let output = self.builds[build].outcome.output().map(|output| output.tree);
            Ok(output.map(|tree| self.session.store.tree_path(tree)).transpose()?.flatten())
        };
        let (Some(before), Some(after)) = (tree(a)?, tree(b)?) else { return Ok(Vec::new()) };
        let facts = |build: usize, tree: &PathBuf| {
            let one = &self.builds[build];
            clues::Facts::new(&self.conditions(one.question.moved), &one.outcome).made(tree)
        };
        let (one, other) = (facts(a, &before), facts(b, &after));
        let mut found = BTreeSet::new();
        for site in places.iter().take(4) {
            let line = self.found[b].as_ref().and_then(|found| found.get(&site.path)?.line(&site.part));
            found.extend(clues::clues(&one, &other, &before, &after, site, line));
        }
        Ok(found.into_iter().collect())
    }
}

/// The conditions of the first round of the package's last build that came to another output.
fn differing_round(session: &Session<'_>, id: DrvId) -> Result<Option<Conditions>, Error> {
    let Some(found) = session.store.record(id)? else { return Ok(None) };
    let Ok(record) = Record::from_bytes(&found.body) else { return Ok(None) };
    let mut outputs = record.rounds.iter().filter_map(|round| Some((round.output()?.tree, round)));
    let Some((first, _)) = outputs.next() else { return Ok(None) };
    Ok(outputs.find(|(tree, _)| *tree != first).map(|(_, round)| round.conditions.clone()))
}

/// The knobs of a set of the search, in which they have the numbers of [`Knob::ALL`].
fn knobs(moved: Moved) -> BTreeSet<Knob> {
    moved.iter().filter_map(|index| Knob::ALL.get(index).copied()).collect()
}

/// A digest of a value that is written as JSON.
fn digest(value: &impl Serialize) -> Result<Blake3, Error> {
    Ok(Blake3::of(&serde_json::to_vec(value).map_err(std::io::Error::other)?))
}
