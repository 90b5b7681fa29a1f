//! Executes rounds on this machine.

use super::conditions::Conditions;
use super::linkage::{self, Inspection};
use super::outcome::{End, Fault, Order, Outcome, Output, PhaseOutcome};
use super::root::{self, Places};
use super::{Error, Executor, merge};
use crate::base::{Cancel, Event, Events, Progress, RelPath, Task};
use crate::plan::{Derivation, Phase, Place, SourceInput, SourcePin};
use crate::sandbox::{self, Exit, Launcher, Report, Status};
use crate::store::{Stage, Store};
use crate::tree::{self, Entry, Tree, Unpack};
use fs_err as fs;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Failed rounds whose directories are kept, for each package.
const KEPT: usize = 2;

/// Executes rounds in sandboxes of this machine, on trees of this store.
pub struct Local<'a> {
    /// Where inputs are and outputs go.
    pub store: &'a Store,
    /// How sandboxes are started.
    pub launcher: &'a Launcher,
}

impl Executor for Local<'_> {
    fn execute(&self, order: &Order, events: Events<'_>, cancel: &Cancel) -> Result<Outcome, Error> {
        let begun = Instant::now();
        let drv = &order.derivation;
        let check: Option<&Phase> = drv.check.as_ref().filter(|_| order.check);
        let phases = drv.phases.len() as u64 + u64::from(check.is_some());
        let name = format!("{} {}, round {}", drv.name, drv.version, order.round);
        let progress = Progress::start(events, Task::Round, name, Some(phases));

        let stage = self.store.stage()?;
        let prepared = self.prepare(order, &stage, cancel)?;
        let mut log = Log::create(&stage)?;
        let mut steps = Steps { progress: &progress, events, package: &drv.name, first: 0 };

        let jail = root::jail(order, &prepared.places, prepared.source_date, &drv.phases, true);
        let exit = steps.run(self.launcher, &jail, &drv.phases, &mut log, cancel)?;
        let mut outcome = Outcome {
            round: order.round,
            conditions: order.conditions.clone(),
            source_date: prepared.source_date,
            phases: exit.steps.iter().map(PhaseOutcome::from).collect(),
            walls: exit.walls.clone(),
            probes: exit.probes.clone(),
            unpack: prepared.unpack,
            wall: Duration::ZERO,
            log: crate::base::Blake3::of(b""),
            end: End::Refused { faults: Vec::new() },
        };
        outcome.end = match failure(&exit, &drv.phases) {
            Some(end) => end,
            None => self.collect(order, &prepared.places)?,
        };
        if let (End::Built(_), Some(check)) = (&outcome.end, check) {
            // The output is in the store by now: a test suite can not change what it tests. It gets a copy-free view of
            // the finished tree, read-only.
            let mut places = prepared.places.clone();
            places.out = self.output_path(&outcome)?;
            places.tmp = stage.path().join("tmp-of-check");
            writable(stage.path(), &order.conditions, &places)?;
            let phases = std::slice::from_ref(check);
            let jail = root::jail(order, &places, prepared.source_date, phases, false);
            steps.first = drv.phases.len() as u64;
            let exit = steps.run(self.launcher, &jail, phases, &mut log, cancel)?;
            outcome.phases.extend(exit.steps.iter().map(PhaseOutcome::from));
            for probe in &mut outcome.probes {
                let again = exit.probes.iter().find(|other| (&other.wall, &other.name) == (&probe.wall, &probe.name));
                probe.times += again.map_or(0, |again| again.times);
            }
            if let Some(end) = failure(&exit, phases) {
                outcome.end = end;
            }
        }
        outcome.log = self.store.put_log(&log.finish()?)?;
        outcome.wall = begun.elapsed();
        match &outcome.end {
            End::Built(_) => progress.done(),
            end if !end.leaves_state() => {}
            _ => self.keep(order, &outcome, stage)?,
        }
        Ok(outcome)
    }
}

/// A round's directories, ready for the first phase.
struct Prepared {
    places: Places,
    source_date: i64,
    unpack: Duration,
}

impl Local<'_> {
    /// Finds the layers and unpacks the sources.
    fn prepare(&self, order: &Order, stage: &Stage, cancel: &Cancel) -> Result<Prepared, Error> {
        let begun = Instant::now();
        let places = self.places(order, stage.path())?;
        plain_dirs(stage.path(), &places.build)?;
        plain_dirs(stage.path(), &places.out)?;
        writable(stage.path(), &order.conditions, &places)?;
        // Without any archive the date is the first second that FAT and zip can write.
        let mut source_date = 315_532_800;
        let files = if order.conditions.reverse_inodes { tree::Order::Reverse } else { tree::Order::Forward };
        for source in &order.derivation.sources {
            let newest = lay_source(self.store, source, &places.build, files, cancel)?;
            source_date = source_date.max(newest.unwrap_or(source_date));
        }
        for phase in &order.derivation.phases {
            plain_dirs(&places.build, &places.build.join(&phase.dir))?;
        }
        Ok(Prepared { places, source_date, unpack: begun.elapsed() })
    }

    /// The layers of an order's root, and the directories of its round, which are below `dir`.
    pub fn places(&self, order: &Order, dir: &Path) -> Result<Places, Error> {
        let drv = &order.derivation;
        let [build, out, home, tmp, work] = ["build", "out", "home", "tmp", "work"].map(|name| dir.join(name));
        let mut places = Places { root: Vec::new(), sysroot: Vec::new(), build, out, home, tmp, work };
        // Where the sysroot is the root itself, what is linked against lies beside the tools.
        if drv.sysroot == "/" {
            places.root = self.layers(drv, &[Place::Build, Place::Host])?;
        } else {
            places.root = self.layers(drv, &[Place::Build])?;
            places.sysroot = self.layers(drv, &[Place::Host])?;
        }
        // Over a toolchain or a seed tools may lie: replacing those is what some are built for.
        places.root.extend(self.layers(drv, &[Place::Tools])?);
        if let Some(seed) = drv.seed {
            let tree = self.store.seed(seed)?.ok_or(Error::NoSeed(seed))?;
            places.root.push(self.store.tree_path(tree)?.ok_or(Error::NoTree(tree))?);
        }
        Ok(places)
    }

    /// The outputs at these places, none of which hides another.
    fn layers(&self, derivation: &Derivation, kinds: &[Place]) -> Result<Vec<PathBuf>, Error> {
        let mut named = Vec::new();
        for input in derivation.inputs.iter().filter(|input| kinds.contains(&input.place)) {
            let path = self.store.tree_path(input.tree)?.ok_or(Error::NoTree(input.tree))?;
            let layer = (input.name.clone(), path);
            // What is both a tool and linked against is one layer.
            if !named.contains(&layer) {
                named.push(layer);
            }
        }
        merge::check(&named)?;
        Ok(named.into_iter().map(|(_, path)| path).collect())
    }

    /// Turns `/out` into a tree of the store, if it may be one.
    fn collect(&self, order: &Order, places: &Places) -> Result<End, Error> {
        let unfit = |what: String| Ok(End::Refused { faults: vec![Fault::Unfit { what }] });
        // Holes in files take no disk, so that no limit stopped the build, but reading them takes as long as anything.
        let length = length(&places.out)?;
        if length > order.limits.disk {
            let limit = order.limits.disk;
            return unfit(format!("the files in $OUT are {length} bytes long, more than the disk limit of {limit}"));
        }
        let files = match Tree::scan(&places.out) {
            Ok(files) => files,
            Err(tree::Error::Io { path, source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                let path = path.strip_prefix(&places.out).unwrap_or(&path).to_owned();
                return unfit(unreadable(&path));
            }
            Err(error @ tree::Error::Io { .. }) => return Err(error.into()),
            Err(unfit) => return Ok(End::Refused { faults: vec![Fault::Unfit { what: unfit.to_string() }] }),
        };
        // Root could read them; whoever else builds or uses the same could not.
        let closed = files.iter().find(|(_, entry)| match entry {
            Entry::File { mode, .. } => mode & 0o400 == 0,
            Entry::Dir { mode } => mode & 0o500 != 0o500,
            Entry::Link { .. } => false,
        });
        if let Some((path, _)) = closed {
            return unfit(unreadable(path.as_path()));
        }
        let facts = files.facts();
        if facts.files + facts.links == 0 {
            return Ok(End::Refused { faults: vec![Fault::Empty] });
        }
        let mut libraries = BTreeSet::new();
        for input in &order.derivation.inputs {
            let path = self.store.tree_path(input.tree)?.ok_or(Error::NoTree(input.tree))?;
            libraries.extend(linkage::provided(&path)?);
        }
        let Inspection { programs, build_paths, faults } =
            linkage::inspect(&places.out, &files, &order.derivation.linkage, &libraries, &order.conditions.build_path)?;
        if !faults.is_empty() {
            return Ok(End::Refused { faults });
        }
        let tree = self.store.put_tree(&places.out, &files)?.digest;
        Ok(End::Built(Output {
            tree,
            files: facts.files,
            dirs: facts.dirs,
            links: facts.links,
            bytes: facts.bytes,
            programs,
            build_paths,
        }))
    }

    fn output_path(&self, outcome: &Outcome) -> Result<PathBuf, Error> {
        let tree = outcome.output().map(|output| output.tree);
        let tree =
            tree.ok_or_else(|| Error::Io(std::io::Error::other("a round without an output was to be tested")))?;
        self.store.tree_path(tree)?.ok_or(Error::NoTree(tree))
    }

    /// Enters the jail of an order with the caller's terminal: with the directories that a failed round left in `state`, or
    /// with sources unpacked anew. Runs `script`, or an interactive shell.
    ///
    /// # Errors
    /// The jail can't be built.
    pub fn shell(
        &self,
        order: &Order,
        state: Option<&Path>,
        script: Option<&str>,
        cancel: &Cancel,
    ) -> Result<Status, Error> {
        let stage = self.store.stage()?;
        let (places, source_date) = match state {
            Some(state) => {
                let mut places = self.places(order, state)?;
                // What was there is gone with the round.
                places.tmp = stage.path().join("tmp");
                places.work = stage.path().join("work");
                writable(stage.path(), &order.conditions, &places)?;
                (places, self.kept_date(state)?)
            }
            None => {
                let prepared = self.prepare(order, &stage, cancel)?;
                (prepared.places, prepared.source_date)
            }
        };
        let dir = order.derivation.phases.last().map_or("", |phase| &phase.dir);
        let phase = Phase { name: "shell".to_owned(), dir: dir.to_owned(), script: String::new() };
        let mut jail = root::jail(order, &places, source_date, std::slice::from_ref(&phase), true);
        jail.stdio = sandbox::Stdio::Terminal;
        jail.limits.silence = jail.limits.time;
        for step in &mut jail.steps {
            step.argv = match script {
                Some(script) => ["/bin/sh", "-euc", script].map(str::to_owned).to_vec(),
                None => ["/bin/sh", "-i"].map(str::to_owned).to_vec(),
            };
            step.env.insert("TERM".to_owned(), "xterm".to_owned());
            step.env.insert("PS1".to_owned(), format!("[{}] \\w $ ", order.derivation.name));
        }
        let exit = sandbox::run(self.launcher, &jail, &mut |_| {}, cancel)?;
        Ok(exit.steps.first().map_or(Status::Signal(9), |step| step.status))
    }

    fn kept_date(&self, state: &Path) -> Result<i64, Error> {
        let text = fs::read(state.join("kept.json"))?;
        let kept: super::Kept = serde_json::from_slice(&text).map_err(std::io::Error::other)?;
        Ok(kept.outcome.source_date)
    }

    /// Keeps the state of a failed round for `parton shell`.
    fn keep(&self, order: &Order, outcome: &Outcome, stage: Stage) -> Result<(), Error> {
        let kept = super::Kept { order: order.clone(), outcome: outcome.clone() };
        let text = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
        fs::write(stage.path().join("kept.json"), text)?;
        self.store.keep(&order.derivation.name, stage, KEPT)?;
        Ok(())
    }
}

/// Lays a source below a build directory, its files made in this order. Says when the newest file of an archive was changed, in
/// seconds since 1970.
///
/// # Errors
/// It is not in the store, or can't be unpacked.
pub fn lay_source(
    store: &Store,
    source: &SourceInput,
    build: &Path,
    files: tree::Order,
    cancel: &Cancel,
) -> Result<Option<i64>, Error> {
    let dest = build.join(&source.dest);
    match &source.pin {
        SourcePin::Archive { sha256, strip, nested } => {
            let archive = store.blob(*sha256)?.ok_or(Error::NoBlob(*sha256))?;
            let nested = nested.as_deref().map(RelPath::new).transpose().map_err(std::io::Error::other)?;
            let options = Unpack { nested, order: files, cancel: cancel.clone(), ..Unpack::source(*strip) };
            plain_dirs(build, &dest)?;
            let unpacked = tree::unpack(fs::File::open(&archive.path)?, &dest, &options, None)
                .map_err(|error| Error::Unpack { source: error, dest: source.dest.clone() })?;
            return Ok(Some(unpacked.newest_mtime));
        }
        SourcePin::File { sha256 } => {
            let file = store.blob(*sha256)?.ok_or(Error::NoBlob(*sha256))?;
            if let Some(dir) = dest.parent() {
                plain_dirs(build, dir)?;
            }
            fs::copy(&file.path, &dest)?;
        }
        SourcePin::Tree { tree } => {
            let path = store.tree_path(*tree)?.ok_or(Error::NoTree(*tree))?;
            if let Some(dir) = dest.parent() {
                plain_dirs(build, dir)?;
            }
            tree::copy(&path, &dest, tree::Files::Copied)?;
        }
    }
    Ok(None)
}

/// Makes the directories that only some conditions need, below a stage.
fn writable(stage: &Path, conditions: &Conditions, places: &Places) -> Result<(), Error> {
    if conditions.home != conditions.build_path && places.home.starts_with(stage) {
        plain_dirs(stage, &places.home)?;
    }
    if conditions.build_on_overlay {
        plain_dirs(stage, &places.work)?;
    }
    if conditions.tmp_on_disk {
        plain_dirs(stage, &places.tmp)?;
        fs::set_permissions(&places.tmp, std::fs::Permissions::from_mode(0o1777))?;
    }
    Ok(())
}

fn unreadable(path: &Path) -> String {
    let path = crate::base::printable(path.as_os_str().as_encoded_bytes());
    format!("{path} can not be read by its owner: give it a mode that allows it")
}

/// How long all files beneath a directory are together, holes included.
fn length(dir: &Path) -> Result<u64, Error> {
    let mut length = 0_u64;
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        // What can not be listed is found again, and named, when the tree is scanned.
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                waiting.push(entry.path());
            } else if meta.is_file() {
                length = length.saturating_add(meta.len());
            }
        }
    }
    Ok(length)
}

/// Makes the directories from `top` (which is there) to `path` that are missing. Their mode and group are the same
/// whatever the caller's umask is and whether `top` hands its group down: a build can see both.
fn plain_dirs(top: &Path, path: &Path) -> std::io::Result<()> {
    let mut at = top.to_owned();
    for part in path.strip_prefix(top).map_err(std::io::Error::other)?.components() {
        at.push(part);
        match fs::create_dir(&at) {
            Ok(()) => {
                std::os::unix::fs::chown(&at, None, Some(rustix::process::getegid().as_raw()))?;
                fs::set_permissions(&at, std::fs::Permissions::from_mode(0o755))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// How a run of phases failed, if it did.
fn failure(exit: &Exit, phases: &[Phase]) -> Option<End> {
    let last = exit.steps.len().saturating_sub(1).min(phases.len().saturating_sub(1));
    let phase = phases.get(last)?;
    if let Some(reason) = &exit.stopped {
        return Some(End::Stopped { phase: phase.name.clone(), reason: reason.clone() });
    }
    let failed = exit.steps.iter().find(|step| step.status != Status::Code(0))?;
    let script = phases.iter().find(|p| p.name == failed.name).map(|p| p.script.clone()).unwrap_or_default();
    Some(End::Failed { phase: failed.name.clone(), script, status: failed.status })
}

/// The log of a round, while it is written.
struct Log {
    file: std::io::BufWriter<fs::File>,
    path: PathBuf,
}

impl Log {
    fn create(stage: &Stage) -> Result<Self, Error> {
        let path = stage.path().join("log");
        Ok(Self { file: std::io::BufWriter::new(fs::File::create(&path)?), path })
    }

    fn line(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.file.write_all(line)?;
        self.file.write_all(b"\n")
    }

    fn finish(mut self) -> Result<PathBuf, Error> {
        self.file.flush()?;
        Ok(self.path)
    }
}

/// Runs jails whose steps are phases, and tells where they are.
struct Steps<'a> {
    progress: &'a Progress<'a>,
    events: Events<'a>,
    package: &'a str,
    first: u64,
}

impl Steps<'_> {
    fn run(
        &mut self,
        launcher: &Launcher,
        jail: &sandbox::Jail,
        phases: &[Phase],
        log: &mut Log,
        cancel: &Cancel,
    ) -> Result<Exit, Error> {
        let mut failed: Option<std::io::Error> = None;
        let exit = sandbox::run(
            launcher,
            jail,
            &mut |report| {
                let written = match report {
                    Report::Step(n) => {
                        let name = phases.get(n).map_or("?", |phase| phase.name.as_str());
                        self.progress.now(self.first + n as u64, format!("{} › {name}", self.package));
                        log.line(format!("═══ {name}").as_bytes())
                    }
                    Report::Line(line) => {
                        (self.events)(Event::Log { package: self.package.to_owned(), line: line.to_vec() });
                        log.line(line)
                    }
                };
                if let Err(error) = written {
                    failed.get_or_insert(error);
                }
            },
            cancel,
        )?;
        match failed {
            Some(error) => Err(Error::Io(error)),
            None => Ok(exit),
        }
    }
}

impl From<&sandbox::StepExit> for PhaseOutcome {
    fn from(step: &sandbox::StepExit) -> Self {
        Self {
            name: step.name.clone(),
            status: step.status,
            wall: step.wall,
            cpu: step.cpu,
            peak_memory: step.peak_memory,
            orphans: step.orphans,
        }
    }
}
