//! One package: sources, rounds, comparison, record.

use super::build::Settings;
use super::{Error, Session, sources};
use crate::base::{DrvId, Event, TreeDigest};
use crate::build::coverage::{self, Levels};
use crate::build::{Conditions, Executor, Local, Order, Outcome};
use crate::compare;
use crate::plan::{Derivation, Plan, Target};
use crate::report::{Differing, Glance, Record, SourceEvidence, Verdict};
use crate::sandbox::Limits;
use crate::spec::{LimitsOverride, Spec};
use crate::store::{self, Refs, Store};
use crate::tree::Tree;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The result of a derivation that was built before.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What its rounds prove.
    pub verdict: Verdict,
    /// How many there were.
    pub rounds: u32,
    /// Its output, which is still there.
    pub output: TreeDigest,
}

/// The known result of a derivation, if it was built in at least `rounds` rounds and its output is still there.
pub fn known(session: &Session<'_>, derivation: &Derivation, rounds: u32) -> Result<Option<Known>, Error> {
    let Some(record) = session.store.record(derivation.id())? else { return Ok(None) };
    // A record of another version is not an error here: the package is built again.
    let Some(glance) = Glance::read(&record.body) else { return Ok(None) };
    let Some(output) = glance.output else { return Ok(None) };
    let enough = glance.rounds >= rounds && session.store.has_tree(output)?;
    Ok(enough.then_some(Known { verdict: glance.verdict, rounds: glance.rounds, output }))
}

/// What is known of each node of a plan, in its order: the derivation, if all it needs is known, and its result.
pub type Standing = Vec<(Option<Derivation>, Option<Known>)>;

/// Looks up a whole plan without building anything.
pub fn standing(session: &Session<'_>, plan: &Plan<'_>) -> Result<Standing, Error> {
    let mut standing = Standing::with_capacity(plan.nodes.len());
    for (id, _) in plan.iter() {
        let derivation = plan.derivation(id, &|input| Some(standing[input.0].1?.output));
        let known = derivation.as_ref().map(|derivation| known(session, derivation, 1)).transpose()?.flatten();
        standing.push((derivation, known));
    }
    Ok(standing)
}

/// The derivation of one package, with its seed and its sources in the store, though itself it need not be built.
pub struct Ready {
    /// What would be built.
    pub derivation: Derivation,
    /// Name of the profile.
    pub profile: String,
    /// What a round of it may use.
    pub limits: Limits,
}

/// Makes everything ready for rounds of one package.
///
/// # Errors
/// What it needs is not built yet, or a source can't be had.
pub fn ready(session: &Session<'_>, name: &str) -> Result<Ready, Error> {
    let seeds = session.seeds()?;
    let plan = session.plan(&Target::Names(vec![name.to_owned()]), &seeds)?;
    let standing = standing(session, &plan)?;
    let mut missing = None;
    for (node, (derivation, known)) in plan.nodes.iter().zip(standing) {
        let Some(derivation) = derivation.filter(|_| node.wanted) else {
            missing = missing.or(known.is_none().then_some(node));
            continue;
        };
        seeds.by_profile.get(node.profile).map_or(Ok(()), |seed| super::seed::ensure(session, seed))?;
        sources::ensure(session, node.spec)?;
        return Ok(Ready { derivation, profile: node.profile.to_owned(), limits: limits(&node.spec.limits) });
    }
    Err(missing.map_or(Error::Unknown(name.to_owned()), |need| Error::NeedsFirst {
        package: name.to_owned(),
        need: need.spec.id().to_owned(),
        profile: need.profile.to_owned(),
    }))
}

/// One package to be built.
pub struct Task<'a> {
    /// What every verb has.
    pub session: &'a Session<'a>,
    /// How to build.
    pub settings: &'a Settings,
    /// Who may run when.
    pub slots: &'a Slots,
    /// What its author wrote.
    pub spec: &'a Spec,
    /// Name of the profile.
    pub profile: &'a str,
    /// Whether to build it even if another process has just done so.
    pub rebuild: bool,
}

impl Task<'_> {
    /// Builds the package, or waits for another parton that is building it.
    pub fn run(&self, derivation: Derivation) -> Result<Record, Error> {
        let Session { store, events, cancel, .. } = self.session;
        let id = derivation.id();
        let mut told = false;
        let _lock = store.lock_drv(id, &mut |_| {
            if !std::mem::replace(&mut told, true) {
                events(Event::Note(format!("another parton is building {}; waiting for it", derivation.name)));
            }
            !cancel.is_cancelled()
        })?;
        // Whoever held the lock may have built it; asking again costs nothing beside a build.
        if !self.rebuild && known(self.session, &derivation, self.settings.rounds)?.is_some() {
            return self.session.record(&derivation.name, id);
        }
        let course = self.course(derivation)?;
        let derivation = &course.derivation;
        let earlier = if self.rebuild { Vec::new() } else { self.earlier(&course)? };
        if !earlier.is_empty() {
            let rounds: Vec<String> = earlier.iter().map(|outcome| outcome.round.to_string()).collect();
            events(Event::Note(format!("{}: round {} was built before", derivation.name, rounds.join(", "))));
        }
        let evidence = sources::ensure(self.session, self.spec)?;
        let rounds = self.rounds(&course, &evidence, earlier)?;
        self.session.go_on()?;
        let differences = differences(store, &rounds)?;
        let record = self.record(&course, evidence, rounds, differences);
        self.bind(&record)?;
        Ok(record)
    }

    /// Remembers what was built, under its derivation and under its name.
    fn bind(&self, record: &Record) -> Result<(), Error> {
        let refs = Refs {
            trees: record.rounds.iter().filter_map(|r| r.output().map(|o| o.tree)).collect(),
            logs: record.rounds.iter().map(|r| r.log).collect(),
            blobs: record.sources.iter().filter_map(|s| s.sha256).collect(),
        };
        let body = record.to_bytes().map_err(std::io::Error::other)?;
        let bound = store::Record { package: record.name.clone(), profile: record.profile.clone(), refs, body };
        self.session.store.bind(record.id, &bound)?;
        self.session.store.bind_name(&record.name, &record.profile, record.id)?;
        Ok(())
    }

    /// What the rounds will be, as far as it can be said before.
    fn course(&self, derivation: Derivation) -> Result<Course, Error> {
        let id = derivation.id();
        let read = |id: DrvId| -> Result<Option<Record>, Error> {
            // A record of another version is not an error here: the package is built again.
            Ok(self.session.store.record(id)?.and_then(|found| Record::from_bytes(&found.body).ok()))
        };
        let known = read(id)?;
        let history = match &known {
            // Rounds that are missing are to be what they would have been at once.
            Some(record) if !self.rebuild => record.history.clone(),
            Some(record) => record.walked(),
            None => {
                let current = self.session.store.current(&derivation.name, self.profile)?;
                current.map(read).transpose()?.flatten().map(|record| record.walked()).unwrap_or_default()
            }
        };
        let Settings { jobs, cpus, rounds, .. } = *self.settings;
        let mut conditions = vec![Conditions::plain(jobs)];
        match self.settings.vary.as_ref().filter(|_| self.rebuild) {
            Some(vary) => conditions.extend((2..=rounds).map(|round| vary.conditions(id, round, jobs, cpus))),
            None => {
                let plan = coverage::plan(&history, rounds.saturating_sub(1));
                conditions
                    .extend((2..).zip(&plan).map(|(round, levels)| Conditions::at(id, round, jobs, cpus, levels)));
            }
        }
        Ok(Course { derivation, known, history, conditions })
    }

    fn record(
        &self,
        course: &Course,
        evidence: Vec<SourceEvidence>,
        rounds: Vec<Outcome>,
        differences: Vec<Differing>,
    ) -> Record {
        let Course { derivation, history, .. } = course;
        Record::new(derivation.clone(), self.profile.to_owned(), evidence, rounds, differences, history.clone())
    }

    /// The rounds of an earlier build of this derivation that need not be run again: each ran as it would run now, and what
    /// it left is still there. None of a build that failed or differed, which is to be looked at as a whole.
    fn earlier(&self, course: &Course) -> Result<Vec<Outcome>, Error> {
        let Some(record) = course.known.as_ref().filter(|record| record.output().is_some()) else {
            return Ok(Vec::new());
        };
        let mut kept = Vec::new();
        for outcome in &record.rounds {
            if self.holds(course, outcome)? {
                kept.push(outcome.clone());
            }
        }
        Ok(kept)
    }

    fn holds(&self, course: &Course, outcome: &Outcome) -> Result<bool, Error> {
        let (store, derivation) = (self.session.store, &course.derivation);
        let Some(output) = outcome.output() else { return Ok(false) };
        // With other jobs than today's it might not differ from the rounds that are still to come.
        let same = course.conditions(outcome.round) == Some(&outcome.conditions);
        // A phase more than the build has: the package's own tests.
        let checked = outcome.phases.len() > derivation.phases.len();
        let wanted = derivation.check.is_some() && self.checks(outcome.round);
        Ok(same && (checked || !wanted) && store.has_tree(output.tree)? && store.log(outcome.log)?.is_some())
    }

    fn checks(&self, round: u32) -> bool {
        self.settings.check && round == 1
    }

    /// Runs the rounds that are missing, at the same time where slots allow. After a round that ends without output, none is
    /// begun. All rounds are returned, in order.
    fn rounds(
        &self,
        course: &Course,
        evidence: &[SourceEvidence],
        earlier: Vec<Outcome>,
    ) -> Result<Vec<Outcome>, Error> {
        let executor = Local { store: self.session.store, launcher: self.session.launcher };
        let missing: Vec<u32> =
            (1..=self.settings.rounds).filter(|round| earlier.iter().all(|outcome| outcome.round != *round)).collect();
        let (failed, next, done) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(earlier));
        let run = || -> Result<(), Error> {
            let _slot = self.slots.take();
            if failed.load(Ordering::Relaxed) || self.session.cancel.is_cancelled() {
                return Ok(());
            }
            // Not before there is a slot: where rounds run one after the other, the first is to be the first.
            let Some(round) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            let Some(conditions) = course.conditions(*round) else { return Ok(()) };
            let order = Order {
                derivation: course.derivation.clone(),
                round: *round,
                conditions: conditions.clone(),
                limits: limits(&self.spec.limits),
                check: self.checks(*round),
            };
            let result = executor.execute(&order, self.session.events, self.session.cancel);
            if !matches!(&result, Ok(outcome) if outcome.output().is_some()) {
                failed.store(true, Ordering::Relaxed);
            }
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(result?);
            done.sort_by_key(|outcome| outcome.round);
            if done.len() < self.settings.rounds as usize { self.keep(course, evidence, &done) } else { Ok(()) }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = missing.iter().map(|_| scope.spawn(run)).collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(()))).collect();
            results.into_iter().collect::<Result<(), Error>>()
        })?;
        self.session.go_on()?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers the rounds that are done while others run, so that whoever is killed meanwhile loses only those. Such a
    /// record says of itself how few rounds it has: nobody who asks for more takes it for an answer.
    fn keep(&self, course: &Course, evidence: &[SourceEvidence], rounds: &[Outcome]) -> Result<(), Error> {
        let Some(output) = rounds.first().filter(|outcome| outcome.round == 1).and_then(Outcome::output) else {
            // Only the first round tests the package: no record goes without it.
            return Ok(());
        };
        let same = rounds.iter().all(|other| other.output().is_some_and(|other| other.tree == output.tree));
        // What says more stays until all rounds are done.
        let glance = self.session.store.record(course.derivation.id())?.and_then(|found| Glance::read(&found.body));
        let more = match glance {
            Some(Glance { verdict: Verdict::Differs | Verdict::Leaks, .. }) => false,
            Some(Glance { verdict: Verdict::Failed, .. }) | None => true,
            Some(glance) => rounds.len() > glance.rounds as usize,
        };
        if self.rebuild || !same || !more {
            return Ok(());
        }
        self.bind(&self.record(course, evidence.to_vec(), rounds.to_vec(), Vec::new()))
    }
}

/// What is known of a build before its first round.
struct Course {
    derivation: Derivation,
    /// Of the same derivation.
    known: Option<Record>,
    /// What earlier builds covered.
    history: Vec<Levels>,
    /// Of each round, the first first.
    conditions: Vec<Conditions>,
}

impl Course {
    fn conditions(&self, round: u32) -> Option<&Conditions> {
        self.conditions.get((round as usize).checked_sub(1)?)
    }
}

/// What differs between the first output and the first other one.
fn differences(store: &Store, rounds: &[Outcome]) -> Result<Vec<Differing>, Error> {
    let mut outputs = rounds.iter().filter_map(|round| round.output().map(|output| output.tree));
    let Some(first) = outputs.next() else { return Ok(Vec::new()) };
    let Some(other) = outputs.find(|output| *output != first) else { return Ok(Vec::new()) };
    let found = compared(store, first, other)?;
    let both = |difference: &compare::Difference| {
        let detail = serde_json::to_value(difference).map_err(std::io::Error::other)?;
        Ok(Differing { line: difference.to_string(), detail })
    };
    found.iter().map(both).collect()
}

/// What differs between two trees of the store.
pub fn compared(store: &Store, one: TreeDigest, other: TreeDigest) -> Result<Vec<compare::Difference>, Error> {
    compared_within(store, one, other, compare::Limits::default())
}

/// The same with other limits than the usual ones; what is unpacked meanwhile lies in the store.
pub fn compared_within(
    store: &Store,
    one: TreeDigest,
    other: TreeDigest,
    limits: compare::Limits,
) -> Result<Vec<compare::Difference>, Error> {
    let path = |tree| store.tree_path(tree)?.ok_or_else(|| Error::from(crate::build::Error::NoTree(tree)));
    let (a, b) = (path(one)?, path(other)?);
    let stage = store.stage()?;
    let limits = compare::Limits { scratch: stage.path().to_owned(), ..limits };
    Ok(compare::compare(&a, &Tree::scan(&a)?, &b, &Tree::scan(&b)?, &limits)?)
}

/// The default limits with what the spec says otherwise.
pub fn limits(spec: &LimitsOverride) -> Limits {
    let default = Limits::default();
    Limits {
        time: spec.time.map_or(default.time, Duration::from_secs),
        silence: spec.silence.map_or(default.silence, Duration::from_secs),
        memory: spec.memory.or(default.memory),
        disk: spec.disk.unwrap_or(default.disk),
        processes: spec.processes.unwrap_or(default.processes),
        descriptors: spec.descriptors.unwrap_or(default.descriptors),
        output: spec.output.unwrap_or(default.output),
        ..default
    }
}

/// Bounds how many rounds run at the same time.
pub struct Slots {
    free: Mutex<u32>,
    freed: Condvar,
}

/// The right to run, until dropped.
pub struct Slot<'a>(&'a Slots);

impl Slots {
    /// So many at once, and at least one.
    pub fn new(count: u32) -> Self {
        Self { free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
