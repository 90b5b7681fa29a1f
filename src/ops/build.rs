//! `parton build`: everything that is not known yet is fetched, built at least twice, compared and remembered.

use super::package::{self, Slots, Task};
use super::{Error, Seeds, Session, Vary};
use crate::base::{Event, TreeDigest, printable};
use crate::build::Outcome;
use crate::plan::{Derivation, Node, NodeId, Plan};
use crate::report::{Record, Verdict};
use crate::spec::Spec;
use crate::store::Store;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How to build.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often each package is built.
    pub rounds: u32,
    /// Jobs of a plain round.
    pub jobs: u32,
    /// Rounds that run at the same time.
    pub parallel: u32,
    /// Processors of this machine.
    pub cpus: u32,
    /// Whether packages' own tests are run.
    pub check: bool,
    /// What the further rounds of wanted packages move, if not what is their turn; such packages are always built.
    pub vary: Option<Vary>,
    /// Whether wanted packages are built even if their results are known.
    pub rebuild: bool,
    /// Whether packages that do not need a failed one are built nevertheless.
    pub keep_going: bool,
}

impl Settings {
    /// Whether a package is built even if its result is known.
    fn renews(&self, node: &Node<'_>) -> bool {
        node.wanted && (self.rebuild || self.vary.is_some())
    }
}

/// What `parton build` did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Every package of the plan, in build order.
    pub packages: Vec<PackageReport>,
    /// Time it took.
    pub wall: Duration,
}

/// What became of one package.
#[derive(Debug, Clone, Serialize)]
pub struct PackageReport {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Name of the profile it is built with.
    pub profile: String,
    /// Whether it was asked for, rather than needed by something that was.
    pub wanted: bool,
    /// What became of it.
    pub state: State,
    /// Its output, if it has one.
    pub output: Option<TreeDigest>,
    /// The end of the log of the round that failed, if one did.
    pub log: Option<LogTail>,
}

/// The last lines of a log.
#[derive(Debug, Clone, Serialize)]
pub struct LogTail {
    /// Where the whole log is.
    pub path: PathBuf,
    /// Its last lines, made printable.
    pub lines: Vec<String>,
}

/// What became of a package.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum State {
    /// Its result was known already.
    Known {
        /// What is known.
        verdict: Verdict,
    },
    /// It was built now; well, if the record's verdict is good.
    Built {
        /// Everything about it.
        record: Box<Record>,
    },
    /// Something it needs failed.
    Skipped {
        /// What.
        because: String,
    },
    /// It could not be built at all.
    Error {
        /// Why, with causes.
        message: String,
    },
}

impl Report {
    /// The worst verdict of all packages; `None` if something has no verdict because it was not built.
    pub fn verdict(&self) -> Option<Verdict> {
        let verdicts = self.packages.iter().map(|package| match &package.state {
            State::Known { verdict } => Some(*verdict),
            State::Built { record } => Some(record.verdict),
            State::Skipped { .. } | State::Error { .. } => None,
        });
        let badness = |verdict: &Verdict| match verdict {
            Verdict::Identical => 0,
            Verdict::Unproved => 1,
            Verdict::Leaks => 2,
            Verdict::Differs => 3,
            Verdict::Failed => 4,
        };
        verdicts.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(badness).or(Some(Verdict::Identical))
    }
}

/// Builds what a plan holds.
///
/// # Errors
/// Something that stops everything: the store, the sandbox, a source, an interruption. Failing builds are in the report.
pub fn build(session: &Session<'_>, plan: &Plan<'_>, seeds: &Seeds, settings: &Settings) -> Result<Report, Error> {
    let begun = Instant::now();
    let mut work = Work::new(session, plan, settings);
    work.look_up()?;
    if !work.is_done() {
        work.announce_stages();
        for seed in work.pending().filter_map(|node| seeds.by_profile.get(node.profile)) {
            super::seed::ensure(session, seed)?;
        }
        work.prefetch()?;
        work.run()?;
    }
    Ok(Report { packages: work.packages(), wall: begun.elapsed() })
}

struct Work<'a> {
    session: &'a Session<'a>,
    plan: &'a Plan<'a>,
    settings: &'a Settings,
    states: Vec<Option<State>>,
    outputs: Vec<Option<TreeDigest>>,
    /// What is being built, or was.
    taken: BTreeSet<NodeId>,
}

impl<'a> Work<'a> {
    fn new(session: &'a Session<'a>, plan: &'a Plan<'a>, settings: &'a Settings) -> Self {
        let count = plan.nodes.len();
        Self { session, plan, settings, states: vec![None; count], outputs: vec![None; count], taken: BTreeSet::new() }
    }

    fn is_done(&self) -> bool {
        self.states.iter().all(Option::is_some)
    }

    fn derivation(&self, id: NodeId) -> Option<Derivation> {
        self.plan.derivation(id, &|input| self.outputs[input.0])
    }

    /// Finds every result that is known already. In build order, one look each: this is all that a build with nothing
    /// to do does.
    fn look_up(&mut self) -> Result<(), Error> {
        for (id, node) in self.plan.iter() {
            if self.settings.renews(node) {
                continue;
            }
            let Some(derivation) = self.derivation(id) else { continue };
            self.settle_known(id, &derivation)?;
        }
        Ok(())
    }

    /// Takes over the known result of a derivation, if there is one that is good enough.
    fn settle_known(&mut self, id: NodeId, derivation: &Derivation) -> Result<bool, Error> {
        match package::known(self.session, derivation, self.settings.rounds)? {
            Some(package::Known { verdict, output, .. }) => {
                // An edit that was taken back: `show` and `log` mean today's result, not the newest.
                self.session.store.bind_name(&derivation.name, self.plan.nodes[id.0].profile, derivation.id())?;
                self.states[id.0] = Some(State::Known { verdict });
                self.outputs[id.0] = Some(output);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// What is not known yet.
    fn pending(&self) -> impl Iterator<Item = &Node<'a>> {
        self.plan.iter().filter(|(id, _)| self.states[id.0].is_none()).map(|(_, node)| node)
    }

    /// Says that a toolchain has to be built first: who asked for one small package may wait for hours.
    fn announce_stages(&self) {
        let mut stages: Vec<(&str, usize)> = Vec::new();
        for node in self.pending().filter(|node| !node.wanted) {
            match stages.iter_mut().find(|(stage, _)| *stage == node.profile) {
                Some((_, count)) => *count += 1,
                None => stages.push((node.profile, 1)),
            }
        }
        stages.retain(|(stage, _)| !self.plan.iter().any(|(_, node)| node.wanted && node.profile == *stage));
        if stages.is_empty() {
            return;
        }
        let stages: Vec<String> = stages.iter().map(|(stage, count)| format!("{stage}: {count}")).collect();
        (self.session.events)(Event::Note(format!(
            "the toolchain comes first, from source; packages to build or to look up: {}",
            stages.join(", ")
        )));
    }

    /// Fetches the sources of all that is not known, so that the network works while processors wait for each other.
    fn prefetch(&self) -> Result<(), Error> {
        let pending: Vec<&Spec> = self.pending().map(|node| node.spec).collect();
        match super::sources::prefetch(self.session, &pending) {
            // Each package will say for itself what it can't have.
            Err(Error::Source { .. }) if self.settings.keep_going => Ok(()),
            fetched => fetched,
        }
    }

    /// Builds what is left, each package as soon as its inputs are there.
    fn run(&mut self) -> Result<(), Error> {
        let slots = Slots::new(self.settings.parallel);
        let (done, results) = mpsc::channel();
        let mut running = 0_u32;
        let mut failed: Option<Error> = None;
        std::thread::scope(|scope| {
            loop {
                while failed.is_none() && running < self.settings.parallel.max(1) {
                    let Some((id, derivation)) = self.next_ready(&mut failed) else { break };
                    let task = Task {
                        session: self.session,
                        settings: self.settings,
                        slots: &slots,
                        spec: self.plan.nodes[id.0].spec,
                        profile: self.plan.nodes[id.0].profile,
                        rebuild: self.settings.renews(&self.plan.nodes[id.0]),
                    };
                    let done = done.clone();
                    running += 1;
                    scope.spawn(move || {
                        let result = task.run(derivation);
                        // The receiver outlives every thread of this scope.
                        let _ = done.send((id, result));
                    });
                }
                if running == 0 {
                    break;
                }
                let Ok((id, result)) = results.recv() else { break };
                running -= 1;
                self.settle(id, result, &mut failed);
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A package whose inputs are all there. Marks as taken what it returns, settles what turns out to be known, and
    /// skips what needs something that failed.
    fn next_ready(&mut self, failed: &mut Option<Error>) -> Option<(NodeId, Derivation)> {
        for (id, node) in self.plan.iter() {
            if self.states[id.0].is_some() || self.taken.contains(&id) {
                continue;
            }
            let broken = node.inputs().find(|input| self.states[input.0].is_some() && self.outputs[input.0].is_none());
            if let Some(broken) = broken {
                let because = self.plan.nodes[broken.0].spec.name.value.clone();
                self.states[id.0] = Some(State::Skipped { because });
                continue;
            }
            let Some(derivation) = self.derivation(id) else { continue };
            // Early cutoff: an input was built anew, but its output is what it was.
            let fresh = self.settings.renews(node);
            match if fresh { Ok(false) } else { self.settle_known(id, &derivation) } {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    *failed = Some(error);
                    return None;
                }
            }
            self.taken.insert(id);
            return Some((id, derivation));
        }
        None
    }

    /// Takes over what a task came to.
    fn settle(&mut self, id: NodeId, result: Result<Record, Error>, failed: &mut Option<Error>) {
        let bad = match &result {
            Ok(record) => record.output().is_none(),
            Err(_) => true,
        };
        match result {
            Ok(record) => {
                self.outputs[id.0] = record.output().map(|output| output.tree);
                self.states[id.0] = Some(State::Built { record: Box::new(record) });
            }
            // What is wrong with one package's sources need not stop the others; everything else would stop them too.
            Err(error @ (Error::Source { .. } | Error::Signature { .. })) => {
                self.states[id.0] = Some(State::Error { message: super::chain(&error) });
            }
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
        if bad && !self.settings.keep_going {
            // Nothing new is begun; what runs already may end.
            for (state, node) in self.states.iter_mut().zip(0..) {
                if state.is_none() && !self.taken.contains(&NodeId(node)) {
                    let because = self.plan.nodes[id.0].spec.name.value.clone();
                    *state = Some(State::Skipped { because });
                }
            }
        }
    }

    fn packages(self) -> Vec<PackageReport> {
        let skipped = || State::Skipped { because: "the rest of the plan".to_owned() };
        let states = self.states.into_iter().map(|state| state.unwrap_or_else(skipped));
        let packages = self.plan.nodes.iter().zip(states).zip(self.outputs);
        packages
            .map(|((node, state), output)| {
                let failed = match &state {
                    State::Built { record } => record.failure(),
                    _ => None,
                };
                PackageReport {
                    name: node.spec.name.value.clone(),
                    version: node.spec.version.value.clone(),
                    profile: node.profile.to_owned(),
                    wanted: node.wanted,
                    output,
                    // A log that can't be read must not hide the failure it belongs to.
                    log: failed.and_then(|round| tail(self.session.store, round).ok().flatten()),
                    state,
                }
            })
            .collect()
    }
}

/// Lines of a failed round's log that are shown.
const TAIL: usize = 25;

fn tail(store: &Store, round: &Outcome) -> Result<Option<LogTail>, Error> {
    let Some(path) = store.log(round.log)? else { return Ok(None) };
    let bytes = fs_err::read(&path)?;
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    Ok(Some(LogTail { path, lines: last.iter().map(|line| printable(line)).collect() }))
}
