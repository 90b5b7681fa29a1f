//! One package: sources, rounds, comparison, record.

use super::build::Settings;
use super::{Error, Session, sources};
use crate::base::{Event, TreeDigest};
use crate::build::{Conditions, Executor, Local, Order, Outcome};
use crate::compare;
use crate::plan::Derivation;
use crate::report::{Differing, Glance, Record, Verdict};
use crate::sandbox::Limits;
use crate::spec::{LimitsOverride, Spec};
use crate::store::{self, Refs, Store};
use crate::tree::Tree;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The known result of a derivation, if it was built in at least `rounds` rounds and its output is still there.
pub fn known(
    session: &Session<'_>,
    derivation: &Derivation,
    rounds: u32,
) -> Result<Option<(Verdict, TreeDigest)>, Error> {
    let Some(glance) = glance(session, derivation)? else { return Ok(None) };
    let Some(output) = glance.output else { return Ok(None) };
    let enough = glance.rounds >= rounds && session.store.has_tree(output)?;
    Ok(enough.then_some((glance.verdict, output)))
}

/// What the store remembers of a derivation, whether or not its output is still there.
pub fn glance(session: &Session<'_>, derivation: &Derivation) -> Result<Option<Glance>, Error> {
    let record = session.store.record(derivation.id())?;
    // A record of another version is not an error here: the package is built again.
    Ok(record.and_then(|record| Glance::read(&record.body)))
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
        let evidence = sources::ensure(self.session, self.spec)?;
        let rounds = self.rounds(&derivation)?;
        self.session.go_on()?;
        let differences = differences(store, &rounds)?;
        let record = Record::new(derivation, self.profile.to_owned(), evidence, rounds, differences);
        let refs = Refs {
            trees: record.rounds.iter().filter_map(|r| r.output().map(|o| o.tree)).collect(),
            logs: record.rounds.iter().map(|r| r.log).collect(),
            blobs: record.sources.iter().filter_map(|s| s.sha256).collect(),
        };
        let body = record.to_bytes().map_err(std::io::Error::other)?;
        let bound = store::Record { package: record.name.clone(), profile: record.profile.clone(), refs, body };
        store.bind(id, &bound)?;
        store.bind_name(&record.name, &record.profile, id)?;
        Ok(record)
    }

    /// Runs the rounds, at the same time where slots allow. After a round that ends without output, none is begun.
    fn rounds(&self, derivation: &Derivation) -> Result<Vec<Outcome>, Error> {
        let executor = Local { store: self.session.store, launcher: self.session.launcher };
        let failed = AtomicBool::new(false);
        let id = derivation.id();
        let results: Vec<Option<Result<Outcome, Error>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=self.settings.rounds)
                .map(|round| {
                    let (failed, executor) = (&failed, &executor);
                    scope.spawn(move || {
                        let _slot = self.slots.take();
                        if failed.load(Ordering::Relaxed) || self.session.cancel.is_cancelled() {
                            return None;
                        }
                        let conditions = match round {
                            1 => Conditions::plain(self.settings.jobs),
                            _ => Conditions::varied(id, round, self.settings.jobs, self.settings.cpus),
                        };
                        let order = Order {
                            derivation: derivation.clone(),
                            round,
                            conditions,
                            limits: limits(&self.spec.limits),
                            check: self.settings.check && round == 1,
                        };
                        let result = executor.execute(&order, self.session.events, self.session.cancel);
                        if !matches!(&result, Ok(outcome) if outcome.output().is_some()) {
                            failed.store(true, Ordering::Relaxed);
                        }
                        Some(result.map_err(Error::from))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(None)).collect()
        });
        let outcomes: Vec<Outcome> = results.into_iter().flatten().collect::<Result<_, _>>()?;
        self.session.go_on()?;
        Ok(outcomes)
    }
}

/// What differs between the first output and the first other one.
fn differences(store: &Store, rounds: &[Outcome]) -> Result<Vec<Differing>, Error> {
    let mut outputs = rounds.iter().filter_map(|round| round.output().map(|output| output.tree));
    let Some(first) = outputs.next() else { return Ok(Vec::new()) };
    let Some(other) = outputs.find(|output| *output != first) else { return Ok(Vec::new()) };
    let (Some(a), Some(b)) = (store.tree_path(first)?, store.tree_path(other)?) else { return Ok(Vec::new()) };
    let found = compare::compare(&a, &Tree::scan(&a)?, &b, &Tree::scan(&b)?, &compare::Limits::default())?;
    let both = |difference: &compare::Difference| {
        let detail = serde_json::to_value(difference).map_err(std::io::Error::other)?;
        Ok(Differing { line: difference.to_string(), detail })
    };
    found.iter().map(both).collect()
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
