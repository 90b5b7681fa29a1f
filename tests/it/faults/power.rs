//! The power is cut. What a program did to a store is recorded call by call; then, for an instant between any two calls, a
//! disk is drawn from all those that the standard lets a file system leave behind, and opened as a store.
//!
//! The model, which is harsher than any file system in use:
//!
//! - The data of a file is durable by `fsync` of it or `syncfs`. What was written since may be there, not at all, in part, as
//!   zeros, or any of these in blocks; so may its length. Its mode and time may be those of before.
//! - A name (made, removed, moved) is durable by `fsync` of a directory it is in, or `syncfs`. Of the changes since, any may
//!   have come to the disk and any not, in any order, except that changes of one name or of the same file keep theirs.
//!   A rename is one change, a new link comes with its text.
//! - In half of the draws the changes of names keep their order, as a journal does, and an instant is drawn up to which they
//!   came.

use super::cycle::{DONE, FAILED, SCENARIOS, Scenario, examine};
use super::errors::scratch;
use super::shim::{Call, Fault, Kind, Op, Watch, run};
use super::{Dice, parameter, report};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Blocks in which data is lost. Small, because the files here are.
const BLOCK: usize = 64;

type Id = usize;

/// What `fsync` of a file makes durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    data: Vec<u8>,
    mode: u32,
    /// `None` is the time when it happened.
    mtime: Option<(i64, i64)>,
}

#[derive(Debug, Clone)]
enum Node {
    File { now: State, durable: State },
    Dir { now: State, durable: State, names: BTreeMap<String, Id> },
    Link(PathBuf),
}

/// A change of names that is one on every file system.
#[derive(Debug, Clone)]
struct Change {
    /// Directory, name, file; a name that goes and one that comes.
    gone: Option<(Id, String)>,
    come: Option<(Id, String)>,
    node: Id,
    durable: bool,
}

impl Change {
    fn touches(&self, dir: Id) -> bool {
        self.gone.iter().chain(&self.come).any(|(of, _)| *of == dir)
    }

    /// Whether the order of the two can't be changed.
    fn is_tied_to(&self, other: &Self) -> bool {
        let names = |change: &Self| [change.gone.clone(), change.come.clone()];
        self.node == other.node
            || names(self).iter().flatten().any(|name| names(other).iter().flatten().any(|o| o == name))
    }
}

/// A disk, as the program sees it and as it is durable.
#[derive(Debug, Clone)]
struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// Names that were there at the start, by directory.
    base: BTreeMap<Id, BTreeMap<String, Id>>,
    changes: Vec<Change>,
}

impl Disk {
    /// What is in a directory now, all of it durable. It is node 0.
    fn read(root: &Path) -> Self {
        let mut disk = Self { root: root.to_owned(), nodes: Vec::new(), base: BTreeMap::new(), changes: Vec::new() };
        disk.take(root);
        disk
    }

    fn take(&mut self, path: &Path) -> Id {
        let found = fs::symlink_metadata(path).unwrap();
        let id = self.nodes.len();
        let mtime = Some((found.mtime(), found.mtime_nsec()));
        let mut state = State { data: Vec::new(), mode: found.mode() & 0o7777, mtime };
        if found.is_symlink() {
            self.nodes.push(Node::Link(fs::read_link(path).unwrap()));
        } else if found.is_dir() {
            self.nodes.push(Node::Dir { now: state.clone(), durable: state, names: BTreeMap::new() });
            let mut children = BTreeMap::new();
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                children.insert(entry.file_name().into_string().unwrap(), self.take(&entry.path()));
            }
            self.base.insert(id, children.clone());
            let Node::Dir { names, .. } = &mut self.nodes[id] else { unreachable!() };
            *names = children;
        } else {
            state.data = fs::read(path).unwrap();
            self.nodes.push(Node::File { now: state.clone(), durable: state });
        }
        id
    }

    /// What has this path for the program; `None` for what has lost its name.
    fn find(&self, path: &Path) -> Option<Id> {
        let mut at = 0;
        for part in path.strip_prefix(&self.root).ok()?.iter() {
            let Node::Dir { names, .. } = &self.nodes[at] else { return None };
            at = *names.get(part.to_str()?)?;
        }
        Some(at)
    }

    fn place(&self, path: &Path) -> (Id, String) {
        let dir = self.find(path.parent().unwrap()).unwrap();
        (dir, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn change(&mut self, gone: Option<(Id, String)>, come: Option<(Id, String)>, node: Id) {
        if let Some((dir, name)) = &gone {
            self.names(*dir).remove(name);
        }
        // What is replaced goes with the same change.
        if let Some((dir, name)) = &come {
            self.names(*dir).insert(name.clone(), node);
        }
        self.changes.push(Change { gone, come, node, durable: false });
    }

    fn names(&mut self, dir: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.nodes[dir] {
            Node::Dir { names, now, .. } => {
                now.mtime = None;
                names
            }
            _ => panic!("no directory"),
        }
    }

    fn add(&mut self, path: &Path, node: Node) {
        let id = self.nodes.len();
        self.nodes.push(node);
        let place = self.place(path);
        self.change(None, Some(place), id);
    }

    fn state(&mut self, path: &Path) -> Option<&mut State> {
        let id = self.find(path)?;
        match &mut self.nodes[id] {
            Node::File { now, .. } | Node::Dir { now, .. } => Some(now),
            Node::Link(_) => None,
        }
    }

    /// Does what the program did.
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { path, mode } => {
                let now = State { mode: *mode, ..State::default() };
                self.add(path, Node::File { durable: now.clone(), now });
            }
            Op::Mkdir { path, mode } => {
                let now = State { mode: *mode, ..State::default() };
                self.add(path, Node::Dir { durable: now.clone(), now, names: BTreeMap::new() });
            }
            Op::Symlink { path, target } => self.add(path, Node::Link(target.clone())),
            Op::Link { from, to } => {
                let (node, place) = (self.find(from).unwrap(), self.place(to));
                self.change(None, Some(place), node);
            }
            Op::Rename { from, to } => {
                let node = self.find(from).unwrap();
                let (gone, come) = (self.place(from), self.place(to));
                self.change(Some(gone), Some(come), node);
            }
            Op::Remove { path } => {
                let node = self.find(path).unwrap();
                let gone = self.place(path);
                self.change(Some(gone), None, node);
            }
            Op::Write { path, at, bytes } => {
                let Some(now) = self.state(path) else { return };
                let (from, to) = (*at as usize, *at as usize + bytes.len());
                now.data.resize(now.data.len().max(to), 0);
                now.data[from..to].copy_from_slice(bytes);
                now.mtime = None;
            }
            Op::Truncate { path, len } => {
                let Some(now) = self.state(path) else { return };
                now.data.resize(*len as usize, 0);
                now.mtime = None;
            }
            Op::Attributes { path, mode, mtime } => {
                let Some(now) = self.state(path) else { return };
                // A time of today's is not worth remembering: it was not set.
                let set = mtime.0 < 1_000_000_000;
                (now.mode, now.mtime) = (*mode, if set { Some(*mtime) } else { now.mtime });
            }
            Op::Sync { path } => self.sync(path),
            Op::SyncAll => {
                self.changes.iter_mut().for_each(|change| change.durable = true);
                (0..self.nodes.len()).for_each(|id| self.settle(id));
            }
            Op::Said(_) => {}
        }
    }

    fn settle(&mut self, id: Id) {
        if let Node::File { now, durable } | Node::Dir { now, durable, .. } = &mut self.nodes[id] {
            durable.clone_from(now);
        }
    }

    fn sync(&mut self, path: &Path) {
        let Some(id) = self.find(path) else { return };
        self.settle(id);
        if !matches!(self.nodes[id], Node::Dir { .. }) {
            return;
        }
        // What is durable takes with it what can't come after it.
        for at in (0..self.changes.len()).rev() {
            let later = &self.changes[at + 1..];
            let tied = later.iter().any(|change| change.durable && change.is_tied_to(&self.changes[at]));
            if tied || self.changes[at].touches(id) {
                self.changes[at].durable = true;
            }
        }
    }

    /// Draws one of the disks that a cut may leave, and writes it to a new directory.
    fn cut(&self, dice: &mut Dice, to: &Path) {
        let likely = [0.0, 0.2, 0.5, 0.8, 1.0][dice.below(5)];
        let kept = self.survivors(dice);
        self.leave(&kept, likely, dice, to);
    }

    /// Writes the disk to which these changes of names came, and each change of data as likely as this.
    fn leave(&self, kept: &[&Change], likely: f64, dice: &mut Dice, to: &Path) {
        let mut names = self.base.clone();
        for change in kept {
            if let Some((dir, name)) = &change.gone {
                let here = names.entry(*dir).or_default();
                if here.get(name) == Some(&change.node) {
                    here.remove(name);
                }
            }
            if let Some((dir, name)) = &change.come {
                names.entry(*dir).or_default().insert(name.clone(), change.node);
            }
        }
        let mut written = BTreeMap::new();
        self.write(0, to, &names, likely, dice, &mut written);
    }

    /// The changes of names that came to the disk, in their order.
    fn survivors(&self, dice: &mut Dice) -> Vec<&Change> {
        if dice.coin(0.5) {
            let least = self.changes.iter().rposition(|change| change.durable).map_or(0, |at| at + 1);
            let end = least + dice.below(self.changes.len() - least + 1);
            return self.changes[..end].iter().collect();
        }
        let likely = [0.0, 0.1, 0.5, 0.9, 1.0][dice.below(5)];
        self.select(|_| dice.coin(likely))
    }

    /// The durable changes, and of the others those that `comes` says, if they can without what did not.
    fn select(&self, mut comes: impl FnMut(usize) -> bool) -> Vec<&Change> {
        let mut lost: Vec<&Change> = Vec::new();
        let mut kept = Vec::new();
        for (at, change) in self.changes.iter().enumerate() {
            let may = !lost.iter().any(|other| other.is_tied_to(change));
            if change.durable || (may && comes(at)) {
                kept.push(change);
            } else {
                lost.push(change);
            }
        }
        kept
    }

    fn write(
        &self,
        id: Id,
        to: &Path,
        names: &BTreeMap<Id, BTreeMap<String, Id>>,
        likely: f64,
        dice: &mut Dice,
        written: &mut BTreeMap<Id, PathBuf>,
    ) {
        let state = match &self.nodes[id] {
            Node::Link(target) => return symlink(target, to).unwrap(),
            Node::File { now, durable } => {
                if let Some(other) = written.get(&id) {
                    return fs::hard_link(other, to).unwrap();
                }
                let state = draw(now, durable, likely, dice);
                fs::write(to, &state.data).unwrap();
                state
            }
            Node::Dir { now, durable, .. } => {
                assert!(!written.contains_key(&id), "a directory of two names");
                fs::create_dir(to).unwrap();
                for (name, child) in names.get(&id).into_iter().flatten() {
                    self.write(*child, &to.join(name), names, likely, dice, written);
                }
                draw(now, durable, likely, dice)
            }
        };
        written.insert(id, to.to_owned());
        fs::set_permissions(to, fs::Permissions::from_mode(state.mode)).unwrap();
        if let Some((seconds, nanoseconds)) = state.mtime {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds as u64, nanoseconds as u32);
            fs::File::open(to).unwrap().set_modified(time).unwrap();
        }
    }
}

/// One of the states that a file may be found in.
fn draw(now: &State, durable: &State, likely: f64, dice: &mut Dice) -> State {
    if now == durable || dice.coin(likely) {
        return now.clone();
    }
    let pick = |dice: &mut Dice| if dice.coin(0.5) { now } else { durable };
    let mut data = match dice.below(5) {
        0 => durable.data.clone(),
        1 => now.data.clone(),
        2 => vec![0; now.data.len()],
        3 => now.data[..dice.below(now.data.len() + 1)].to_vec(),
        _ => {
            let mut mixed = now.data.clone();
            for (n, block) in mixed.chunks_mut(BLOCK).enumerate() {
                match dice.below(3) {
                    0 => block.fill(0),
                    1 => {
                        for (at, byte) in block.iter_mut().enumerate() {
                            *byte = durable.data.get(n * BLOCK + at).copied().unwrap_or(0);
                        }
                    }
                    _ => {}
                }
            }
            mixed
        }
    };
    if now.data == durable.data {
        // Nothing was written to it.
        data.clone_from(&now.data);
    }
    State { data, mode: pick(dice).mode, mtime: pick(dice).mtime }
}

/// Cuts the power at drawn instants, and before every `step`-th change of a name that could come first or last. Before that
/// the program is killed a few times, and begins again.
fn cut_the_power(scenario: Scenario, kills: usize, draws: usize, step: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    let scratch_dir = scratch();
    let dir = scratch_dir.path().join("d");
    let before = scenario.prepare(&dir);
    fs::create_dir_all(&dir).unwrap();
    let disk = Disk::read(&dir);
    let changes = |call: &Call| matches!(call.kind, Kind::Grow | Kind::Change | Kind::Sync);
    let go = |fault| {
        let watch = Watch { root: &dir, counted: &changes, fault, record: true };
        run(&mut scenario.command(&scenario.store(&dir)), &watch)
    };
    let mut ops = Vec::new();
    for _ in 0..kills {
        let killed = go(Some((1 + dice.below(150), Fault::Kill)));
        assert!(!killed.hung && !killed.out.contains(FAILED), "{killed:#?}");
        ops.extend(killed.ops);
    }
    let ran = go(None);
    assert!(ran.out.contains(DONE), "{ran:#?}");
    ops.extend(ran.ops);
    let syncs = ops.iter().filter(|op| matches!(op, Op::Sync { .. } | Op::SyncAll)).count();

    // Where nothing is lost, the model must come to what the program really left.
    let mut whole = disk.clone();
    ops.iter().for_each(|op| whole.apply(op));
    whole.apply(&Op::SyncAll);
    let copied = scratch();
    whole.cut(&mut Dice::new(0), &copied.path().join("d"));
    assert_eq!(list(&copied.path().join("d")), list(&dir), "{scenario:?}");

    let mut disks = 0;
    let mut kinds = BTreeSet::new();
    let mut asked = 0;
    // What is left after so many calls is held against what was promised by then.
    let mut hold = |until: usize, leave: &mut dyn FnMut(&Disk, &Path)| {
        let (mut disk, mut promises) = (disk.clone(), before.clone());
        for op in &ops[..until] {
            disk.apply(op);
            if let Op::Said(line) = op {
                promises.hear(line);
            }
        }
        let found = scratch();
        let found = found.path().join("d");
        leave(&disk, &found);
        let listed = list(&found);
        kinds.insert(listed.iter().map(|(path, _, text)| path.clone() + text).collect::<String>());
        examine(scenario, &found, &promises).unwrap_or_else(|wrong| {
            let last = &ops[until.saturating_sub(12)..until];
            panic!("{scenario:?}, {kills} kills, seed {seed}, cut after {until} calls: {wrong}\n{last:#?}\n{listed:#?}")
        });
        disks += 1;
        asked += promises.count();
    };
    for draw in 0..draws {
        // Every instant once before any is drawn again.
        let until = if draw < ops.len() { draw } else { dice.below(ops.len() + 1) };
        hold(until, &mut |disk, to| disk.cut(&mut dice, to));
    }
    // What goes wrong does so most often because one change came before all others that wait for a sync, or after them.
    let mut state = disk.clone();
    let mut next = 0;
    for (until, op) in ops.iter().enumerate() {
        if matches!(op, Op::Sync { .. } | Op::SyncAll) {
            let open: Vec<usize> = (0..state.changes.len()).filter(|at| !state.changes[*at].durable).collect();
            for one in open {
                for alone in [true, false] {
                    if next % step == 0 {
                        hold(until, &mut |disk, to| {
                            let kept = disk.select(|at| (at == one) == alone);
                            disk.leave(&kept, 1.0, &mut Dice::new(0), to);
                        });
                    }
                    next += 1;
                }
            }
        }
        state.apply(op);
    }
    report(&format!(
        "power in {scenario:?} after {kills} kills: {} changes with {syncs} syncs recorded; {disks} disks left, {} of them \
         different, {asked} promises asked for; all kept, all sound",
        ops.len(),
        kinds.len(),
    ));
    assert!(kinds.len() > 4, "{} different disks", kinds.len());
}

/// Everything below a directory: path, mode and size or time, content or target.
fn list(dir: &Path) -> Vec<(String, u32, String)> {
    let mut all = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let text = if found.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if found.is_dir() {
                waiting.push(path.clone());
                String::new()
            } else {
                format!("{} {}", found.nlink(), String::from_utf8_lossy(&fs::read(&path).unwrap()))
            };
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let mode = if found.is_symlink() { 0 } else { found.mode() };
            all.push((name, mode, text));
        }
    }
    all.sort();
    all
}

#[test]
fn a_power_cut_takes_nothing_that_was_promised() {
    for scenario in SCENARIOS {
        cut_the_power(scenario, 0, 100, 10, 1);
    }
    cut_the_power(Scenario::Create, 1, 40, 40, 2);
    cut_the_power(Scenario::Commit, 2, 40, 40, 3);
}

#[test]
#[ignore = "takes minutes; run by ci/faults"]
fn all_power_cuts() {
    let draws = parameter("PARTON_FAULTS_CUTS", 2000) as usize;
    let seed = parameter("PARTON_FAULTS_SEED", 1);
    for scenario in SCENARIOS {
        cut_the_power(scenario, 0, draws, 1, seed);
    }
    for scenario in [Scenario::Create, Scenario::Commit] {
        for (kills, seed) in [(1, seed), (1, seed + 1), (1, seed + 2), (1, seed + 3), (3, seed), (3, seed + 1)] {
            cut_the_power(scenario, kills, draws / 6, 4, seed);
        }
    }
}
