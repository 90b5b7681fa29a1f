//! A program over the library that goes once through all by which a store is changed, says what was promised to it on the
//! way, and is run again after whatever happened.

use crate::store::{child, children, drv, lay, try_put_blob, try_put_tree};
use parton::base::{Blake3, Cancel, Sha256, TreeDigest};
use parton::store::{Error, GcOptions, Object, Record, Refs, Store};
use parton::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the program says when it came to its end.
pub const DONE: &str = "came to the end";
/// What it says before what went wrong.
pub const FAILED: &str = "failed: ";

/// A way through the store's functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A store is made, in directories that are made too.
    Create,
    /// Everything is put, bound, kept and swept.
    Commit,
    /// Damaged things are set aside.
    Repair,
}

pub const SCENARIOS: [Scenario; 3] = [Scenario::Create, Scenario::Commit, Scenario::Repair];

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Commit => "commit",
            Self::Repair => "repair",
        }
    }

    /// The store within the directory of a run.
    pub fn store(self, dir: &Path) -> std::path::PathBuf {
        dir.join(if self == Self::Create { "new/deep/store" } else { "store" })
    }

    /// Makes what the program will find, and says what of it is promised to be there afterwards.
    pub fn prepare(self, dir: &Path) -> Promises {
        let mut promises = Promises::default();
        if self == Self::Create {
            return promises;
        }
        let path = self.store(dir);
        let store = Store::open(&path, &mut |_| true).unwrap();
        let known = try_put_tree(&store, &[("known", "1")]).unwrap();
        let old = try_put_tree(&store, &[("old/f", "2")]).unwrap();
        let orphan = try_put_tree(&store, &[("orphan/f", "3")]).unwrap();
        let blob = try_put_blob(&store, b"old source").unwrap();
        store.note_blob(blob, "somewhere").unwrap();
        let orphaned = try_put_blob(&store, b"orphaned source").unwrap();
        let refs = Refs { trees: [old].into(), logs: BTreeSet::new(), blobs: [blob].into() };
        let record = Record { package: "old".into(), profile: "q".into(), refs, body: b"old".to_vec() };
        store.bind(drv(1), &record).unwrap();
        store.bind_name("old", "q", drv(1)).unwrap();
        store.bind(drv(2), &Record { package: "forgotten".into(), ..record.clone() }).unwrap();
        store.bind_name("forgotten", "q", drv(2)).unwrap();
        // To be swept, and with it all that only it refers to.
        let refs = Refs { trees: [orphan].into(), logs: BTreeSet::new(), blobs: [orphaned].into() };
        store.bind(drv(4), &Record { package: "nameless".into(), refs, ..record.clone() }).unwrap();
        store.bind_seed(Blake3::of(b"seed"), known).unwrap();
        store.pin("pinned", &Object::Tree(known)).unwrap();
        for object in [Object::Tree(known), Object::Tree(old), Object::Blob(blob), Object::Record(drv(1))] {
            promises.objects.insert(object_text(&object));
        }
        promises.objects.insert(object_text(&Object::Seed(Blake3::of(b"seed"))));
        promises.names.insert("old".into(), [drv(1).to_string()].into());
        if self == Self::Repair {
            let bad = try_put_tree(&store, &[("bad/f", "4")]).unwrap();
            let bad_blob = try_put_blob(&store, b"bad source").unwrap();
            let refs = Refs { trees: [bad].into(), logs: BTreeSet::new(), blobs: [bad_blob].into() };
            store.bind(drv(3), &Record { package: "bad".into(), refs, ..record }).unwrap();
            store.bind_name("bad", "q", drv(3)).unwrap();
            store.pin("bad", &Object::Tree(bad)).unwrap();
            fs::write(store.tree_path(bad).unwrap().unwrap().join("bad/f"), "!").unwrap();
            let path = store.blob(bad_blob).unwrap().unwrap().path;
            fs::remove_file(&path).unwrap();
            fs::write(&path, "!").unwrap();
            // Its time is not what a stored tree's is, but its content is.
            fs::File::open(store.tree_path(orphan).unwrap().unwrap().join("orphan/f"))
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH)
                .unwrap();
        }
        promises
    }

    /// The command that goes this way on this store, after reading a line.
    pub fn command(self, store: &Path) -> Command {
        let mut command = child("read go;", "faults::cycle::child_that_goes_through_a_store", store);
        command.env("PARTON_TEST_SCENARIO", self.name()).env("RUST_BACKTRACE", "0");
        command
    }
}

/// What must be there, as text: it comes from another process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promises {
    /// `kind id`.
    objects: BTreeSet<String>,
    /// Packages, and the derivations that each may mean: more than one while it is being changed.
    names: BTreeMap<String, BTreeSet<String>>,
}

fn object_text(object: &Object) -> String {
    let kind = match object {
        Object::Blob(_) => "blob",
        Object::Tree(_) => "tree",
        Object::Log(_) => "log",
        Object::Record(_) => "drv",
        Object::Seed(_) => "seed",
    };
    format!("{kind} {}", object_id(object))
}

fn object_id(object: &Object) -> String {
    match object {
        Object::Blob(id) => id.to_string(),
        Object::Tree(id) => id.to_string(),
        Object::Log(id) | Object::Seed(id) => id.to_string(),
        Object::Record(id) => id.to_string(),
    }
}

impl Promises {
    /// Takes over what the program said. Test runners put their own words before the first line.
    pub fn hear(&mut self, line: &str) {
        if let Some((_, text)) = line.split_once("promised: ") {
            self.objects.insert(text.to_owned());
        } else if let Some((_, text)) = line.split_once("named: ") {
            let (package, id) = text.split_once(' ').unwrap();
            self.names.insert(package.to_owned(), [id.to_owned()].into());
        } else if let Some((_, text)) = line.split_once("naming: ") {
            let (package, id) = text.split_once(' ').unwrap();
            self.names.get_mut(package).map(|ids| ids.insert(id.to_owned()));
        } else if let Some((_, text)) = line.split_once("let go: ") {
            self.objects.remove(text);
        }
    }

    pub fn count(&self) -> usize {
        self.objects.len() + self.names.len()
    }

    /// Every promise that is not kept by this store.
    fn broken(&self, store: &Store) -> Vec<String> {
        let mut broken = Vec::new();
        for text in &self.objects {
            let (kind, id) = text.split_once(' ').unwrap();
            let kept = match kind {
                "blob" => store.blob(id.parse().unwrap()).unwrap().is_some_and(|blob| blob.check().unwrap()),
                "tree" => {
                    let id: TreeDigest = id.parse().unwrap();
                    store.tree_path(id).unwrap().is_some_and(|path| Tree::scan(&path).unwrap().digest() == id)
                }
                "log" => {
                    let id: Blake3 = id.parse().unwrap();
                    store.log(id).unwrap().is_some_and(|path| Blake3::of(&fs::read(path).unwrap()) == id)
                }
                "drv" => store.record(id.parse().unwrap()).unwrap().is_some(),
                "seed" => store.seed(id.parse().unwrap()).unwrap().is_some(),
                _ => unreachable!(),
            };
            if !kept {
                broken.push(text.clone());
            }
        }
        for (package, ids) in &self.names {
            if store.current(package, "q").unwrap().is_none_or(|id| !ids.contains(&id.to_string())) {
                broken.push(format!("the name {package}"));
            }
        }
        broken
    }
}

/// Holds a store against what was promised, then works with it, and sees that nothing is left over.
///
/// # Errors
/// What is wrong.
pub fn examine(scenario: Scenario, dir: &Path, promises: &Promises) -> Result<(), String> {
    let path = scenario.store(dir);
    // Processes that other tests start may hold a lock for the moment between fork and exec.
    let mut patience = 50;
    let patient = &mut |_| {
        patience -= 1;
        patience > 0
    };
    let mut store = Store::open(&path, patient).map_err(|e| format!("it can't be opened: {e}"))?;
    let mut damages = store.verify(&|_| (), &Cancel::new()).unwrap();
    if scenario == Scenario::Repair {
        // What was damaged before may be so still. It can be repaired now.
        damages.retain(|damage| !damage_was_made(damage));
        store.verify(&|_| (), &Cancel::new()).and_then(|all| store.repair(&all, patient)).unwrap();
        damages.extend(store.verify(&|_| (), &Cancel::new()).unwrap());
    }
    if !damages.is_empty() {
        return Err(format!("it is damaged: {damages:#?}"));
    }
    let broken = promises.broken(&store);
    if !broken.is_empty() {
        return Err(format!("promised, but not there: {broken:?}"));
    }
    drop(store);
    let mut kept = promises.clone();
    go(Scenario::Commit, &path, &mut |line| kept.hear(&line)).map_err(|e| format!("the next run fails: {e}"))?;
    let store = Store::open(&path, patient).unwrap();
    let damages = store.verify(&|_| (), &Cancel::new()).unwrap();
    let broken = kept.broken(&store);
    if !damages.is_empty() || !broken.is_empty() {
        return Err(format!("after the next run: {damages:#?} {broken:?}"));
    }
    drop(store);
    match children(&path.join("tmp")) {
        0 => Ok(()),
        left => Err(format!("{left} things are left in tmp/")),
    }
}

/// Whether [`Scenario::prepare`] made this damage, or it follows from that.
fn damage_was_made(damage: &parton::store::Damage) -> bool {
    let text = damage.path.to_string_lossy().into_owned();
    let made = [
        Sha256::of(b"bad source").to_string(),
        drv(3).to_string(),
        tree_of(&[("bad/f", "4")]).to_string(),
        tree_of(&[("orphan/f", "3")]).to_string(),
        "name/bad/q".to_owned(),
        "root/bad".to_owned(),
    ];
    made.iter().any(|name| text.contains(name))
}

fn tree_of(files: &[(&str, &str)]) -> TreeDigest {
    let dir = tempfile::tempdir().unwrap();
    lay(dir.path(), files);
    Tree::scan(dir.path()).unwrap().digest()
}

/// Goes through the store's functions; `say` is told what was promised as soon as it is.
pub fn go(scenario: Scenario, path: &Path, say: &mut dyn FnMut(String)) -> Result<(), Error> {
    let mut store = Store::open(path, &mut |_| true)?;
    if scenario == Scenario::Repair {
        let damages = store.verify(&|_| (), &Cancel::new())?;
        store.repair(&damages, &mut |_| true)?;
        return Ok(());
    }
    let promised = |object: Object| format!("promised: {}", object_text(&object));
    // First what is made durable by itself: a tree takes everything with it.
    let blob = try_put_blob(&store, &b"new source".repeat(1000))?;
    say(promised(Object::Blob(blob)));
    let tree = try_put_tree(&store, &[("a/f", "new"), ("a/g", "new"), ("b/empty", "")])?;
    say(promised(Object::Tree(tree)));
    let known = try_put_tree(&store, &[("known", "1")])?;
    say(promised(Object::Tree(known)));
    store.note_blob(blob, "a place")?;
    let again = try_put_blob(&store, &b"new source".repeat(1000))?;
    say(promised(Object::Blob(again)));
    let mut logs = BTreeSet::new();
    for _ in 0..2 {
        let stage = store.stage()?;
        let file = stage.path().join("log");
        fs::write(&file, "make: done").map_err(|source| Error::Io { doing: "test", path: file.clone(), source })?;
        let log = store.put_log(&file)?;
        say(promised(Object::Log(log)));
        logs.insert(log);
    }
    let refs = Refs { trees: [tree, known].into(), logs, blobs: [blob].into() };
    let record = Record { package: "p".into(), profile: "q".into(), refs, body: b"new".to_vec() };
    for (body, id) in [("first", 10), ("second", 11), ("third", 11)] {
        store.bind(drv(id), &Record { body: body.into(), ..record.clone() })?;
        say(promised(Object::Record(drv(id))));
        // What a name means already is not made durable again; see the promises of the store.
        let new = store.current("p", "q")? != Some(drv(id));
        say(format!("naming: p {}", drv(id)));
        store.bind_name("p", "q", drv(id))?;
        if new {
            say(format!("named: p {}", drv(id)));
        }
    }
    store.bind_seed(Blake3::of(b"new seed"), tree)?;
    say(promised(Object::Seed(Blake3::of(b"new seed"))));
    store.pin("new pin", &Object::Tree(tree))?;
    store.unpin("new pin")?;
    drop(store.keep("p", store.stage()?, 1)?);
    drop(store.keep("p", store.stage()?, 1)?);
    // What is no longer promised is so from before the call on.
    say(format!("let go: {}", object_text(&Object::Record(drv(2)))));
    store.forget("forgotten")?;
    say(format!("let go: {}", object_text(&Object::Record(drv(10)))));
    store.gc(&GcOptions { keep_kept: 1, ..GcOptions::default() }, &mut |_| true)?;
    Ok(())
}

/// Says each line with one call, so that it is heard at once.
#[test]
#[ignore = "run by the tests of faults"]
fn child_that_goes_through_a_store() {
    use std::io::Write as _;
    let Some(path) = crate::store::store_of_parent() else { return };
    let name = std::env::var("PARTON_TEST_SCENARIO").unwrap();
    let scenario = SCENARIOS.into_iter().find(|scenario| scenario.name() == name).unwrap();
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| {
        let _ = out.write_all(format!("{line}\n").as_bytes());
    };
    match go(scenario, &path, &mut say) {
        Ok(()) => say(DONE.to_owned()),
        Err(error) => say(format!("{FAILED}{}", in_full(&error))),
    }
}

/// An error with its causes, in one line, as the command line shows them in several.
fn in_full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", in_full(cause)),
        None => error.to_string(),
    }
}
