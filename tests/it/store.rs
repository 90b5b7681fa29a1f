//! The store as its callers see it: whole or absent, durable, shared, swept, verified.

use parton::base::{Blake3, Cancel, DrvId, Hasher, Sha256, TreeDigest};
use parton::store::{DamageKind, Error, GcOptions, Object, Record, Refs, Store, Waiting};
use parton::tree::Tree;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn open(path: &Path) -> Store {
    Store::open(path, &mut |_| true).unwrap()
}

fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"));
    (dir, store)
}

pub fn drv(n: u64) -> DrvId {
    DrvId::from_bytes(*Blake3::of(&n.to_le_bytes()).as_bytes())
}

pub fn lay(dir: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

pub fn try_put_tree(store: &Store, files: &[(&str, &str)]) -> Result<TreeDigest, Error> {
    let stage = store.stage()?;
    let dir = stage.path().join("out");
    let io = |source| Error::Io { doing: "test", path: dir.clone(), source };
    for (path, content) in files {
        let path = dir.join(path);
        if !path.parent().unwrap().is_dir() {
            fs::create_dir_all(path.parent().unwrap()).map_err(io)?;
        }
        fs::write(path, content).map_err(io)?;
    }
    let tree = Tree::scan(&dir).map_err(|e| Error::Tree { doing: "read", source: Box::new(e) })?;
    store.put_tree(&dir, &tree).map(|put| put.digest)
}

fn put_tree(store: &Store, files: &[(&str, &str)]) -> TreeDigest {
    try_put_tree(store, files).unwrap()
}

pub fn try_put_blob(store: &Store, bytes: &[u8]) -> Result<Sha256, Error> {
    let stage = store.stage()?;
    let file = stage.path().join("file");
    fs::write(&file, bytes).map_err(|source| Error::Io { doing: "test", path: file.clone(), source })?;
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    let (sha256, blake3) = hasher.finish();
    store.put_blob(&file, sha256, blake3).map(|blob| blob.sha256)
}

fn put_blob(store: &Store, bytes: &[u8]) -> Sha256 {
    try_put_blob(store, bytes).unwrap()
}

fn put_log(store: &Store, text: &str) -> Blake3 {
    let stage = store.stage().unwrap();
    let file = stage.path().join("log");
    fs::write(&file, text).unwrap();
    store.put_log(&file).unwrap()
}

fn record(package: &str, trees: &[TreeDigest]) -> Record {
    let refs = Refs { trees: trees.iter().copied().collect(), ..Refs::default() };
    Record { package: package.into(), profile: "musl".into(), refs, body: format!("{{\"of\":\"{package}\"}}").into() }
}

fn verify(store: &Store) -> Vec<(DamageKind, String)> {
    let found = store.verify(&|_| (), &Cancel::new()).unwrap();
    found.into_iter().map(|damage| (damage.kind, damage.path.to_string_lossy().into_owned())).collect()
}

pub fn children(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn what_was_put_is_found_again_by_another_handle() {
    let (dir, store) = fresh();
    let tree = put_tree(&store, &[("bin/tool", "tool"), ("share/doc", "doc")]);
    let blob = put_blob(&store, b"source");
    let log = put_log(&store, "make: done");
    let refs = Refs { trees: [tree].into(), logs: [log].into(), blobs: [blob].into() };
    let written = Record { package: "zlib".into(), profile: "musl".into(), refs, body: b"\n\0body\n".to_vec() };
    store.bind(drv(1), &written).unwrap();
    store.bind_name("zlib", "musl", drv(1)).unwrap();
    drop(store);

    let store = open(&dir.path().join("store"));
    assert_eq!(store.record(drv(1)).unwrap(), Some(written));
    assert_eq!(store.record(drv(2)).unwrap(), None);
    assert_eq!(store.current("zlib", "musl").unwrap(), Some(drv(1)));
    assert_eq!(store.current("zlib", "other").unwrap(), None);
    assert_eq!(store.latest("zlib").unwrap()[0].drv, drv(1));
    assert_eq!(store.packages().unwrap(), ["zlib"]);
    assert_eq!(fs::read_to_string(store.tree_path(tree).unwrap().unwrap().join("bin/tool")).unwrap(), "tool");
    assert_eq!(fs::read_to_string(store.log(log).unwrap().unwrap()).unwrap(), "make: done");
    let found = store.blob(blob).unwrap().unwrap();
    assert_eq!((found.blake3, found.size), (Blake3::of(b"source"), 6));
    assert!(found.check().unwrap());
    assert_eq!(fs::metadata(&found.path).unwrap().permissions().mode() & 0o7777, 0o444);
    assert_eq!(verify(&store), []);
    assert_eq!(children(&dir.path().join("store/tmp")), 0, "this handle staged nothing");
}

#[test]
fn what_a_tree_shows_depends_on_its_digest_alone() {
    let (_dir, store) = fresh();
    let stage = store.stage().unwrap();
    let out = stage.path().join("out");
    lay(&out, &[("bin/one", "same"), ("locked/file", "same")]);
    fs::hard_link(out.join("bin/one"), out.join("bin/two")).unwrap();
    // The other name of this file lies outside the tree; a write to it must not reach the store.
    let outside = stage.path().join("build-dir-file");
    fs::hard_link(out.join("locked/file"), &outside).unwrap();
    fs::set_permissions(out.join("bin/one"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(out.join("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    symlink("nowhere", out.join("dangling")).unwrap();
    let tree = Tree::scan(&out).unwrap();
    let put = store.put_tree(&out, &tree).unwrap();
    assert!(!put.known);
    fs::write(outside, "evil").unwrap();

    let path = store.tree_path(put.digest).unwrap().unwrap();
    for inner in ["", "bin", "bin/one", "bin/two", "locked", "locked/file", "dangling"] {
        let found = fs::symlink_metadata(path.join(inner)).unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (315_619_200, 0), "{inner}");
        assert!(found.is_dir() || found.nlink() == 1, "{inner}");
    }
    assert_eq!(Tree::scan(&path).unwrap(), tree);
    assert_eq!(verify(&store), []);
}

#[test]
fn threads_that_commit_the_same_tree_all_succeed_and_one_copy_stays() {
    let (dir, first) = fresh();
    let path = dir.path().join("store");
    let start = std::sync::Barrier::new(4);
    let known: Vec<bool> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let store = open(&path);
                    let stage = store.stage().unwrap();
                    let out = stage.path().join("out");
                    lay(&out, &[("a/b", "c"), ("d", "e")]);
                    let tree = Tree::scan(&out).unwrap();
                    start.wait();
                    let put = store.put_tree(&out, &tree).unwrap();
                    assert!(!out.exists());
                    put_blob(&store, b"the same");
                    put.known
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(known.iter().filter(|known| !**known).count(), 1, "{known:?}");
    assert_eq!(verify(&first), []);
    assert_eq!(children(&path.join("tree")), 1);
}

#[test]
fn one_builds_while_the_other_waits() {
    let (dir, store) = fresh();
    let other = open(&dir.path().join("store"));
    let held = store.lock_drv(drv(1), &mut |_| panic!("nobody else is here")).unwrap();
    let _unrelated = other.lock_drv(drv(2), &mut |_| panic!("nobody else builds this")).unwrap();
    let mut asked = Vec::new();
    let error = other.lock_drv(drv(1), &mut |waiting| {
        asked.push(waiting);
        asked.len() < 3
    });
    assert!(matches!(error, Err(Error::GaveUp(Waiting::Derivation(id))) if id == drv(1)));
    assert_eq!(asked, [Waiting::Derivation(drv(1)); 3]);
    drop(held);
    drop(other.lock_drv(drv(1), &mut |_| panic!("it is free")).unwrap());
}

#[test]
fn a_record_can_not_refer_to_what_is_not_there() {
    let (_dir, store) = fresh();
    let missing = TreeDigest::from_bytes([7; 32]);
    let error = store.bind(drv(1), &record("p", &[missing])).unwrap_err();
    assert!(matches!(&error, Error::Missing { object: Object::Tree(id), .. } if *id == missing), "{error}");
    assert!(matches!(store.bind_name("p", "musl", drv(1)), Err(Error::Missing { .. })));
    assert!(matches!(store.bind_seed(Blake3::of(b""), missing), Err(Error::Missing { .. })));
    assert!(matches!(store.pin("x", &Object::Tree(missing)), Err(Error::Missing { .. })));
}

#[test]
fn other_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let try_open = |name: &str| Store::open(&at(name), &mut |_| true).map(drop).unwrap_err();

    fs::create_dir(at("newer")).unwrap();
    fs::write(at("newer/format"), "parton store 2\x1b[31m\n").unwrap();
    let error = try_open("newer");
    assert!(matches!(error, Error::Format { .. }));
    assert!(error.to_string().contains(r"has store format 'parton store 2\u{1b}[31m'"), "{error}");

    fs::create_dir(at("home")).unwrap();
    fs::write(at("home/letter"), "dear").unwrap();
    let error = try_open("home");
    assert!(error.to_string().contains("holds other files (letter)"), "{error}");
    assert_eq!(children(&at("home")), 1, "a refused directory stays as it is");

    fs::write(at("file"), "").unwrap();
    assert!(matches!(try_open("file/store"), Error::Unfit { .. } | Error::Io { .. }));
    let error = Store::open(Path::new("/proc/parton"), &mut |_| true).unwrap_err();
    assert!(matches!(error, Error::Unfit { .. }), "{error}");
}

#[test]
fn a_store_that_was_begun_is_finished_and_one_that_was_moved_works() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    // As a parton killed while creating leaves it.
    fs::create_dir_all(here.join("tmp/99-dead")).unwrap();
    fs::create_dir_all(here.join("blob")).unwrap();
    let store = open(&here);
    let tree = put_tree(&store, &[("a", "b")]);
    store.bind_seed(Blake3::of(b"lock"), tree).unwrap();
    drop(store);
    fs::rename(&here, &there).unwrap();
    assert_eq!(open(&there).seed(Blake3::of(b"lock")).unwrap(), Some(tree));
    assert_eq!(open(&there).seed(Blake3::of(b"other")).unwrap(), None);
}

#[test]
fn stages_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let (dir, store) = fresh();
    let tmp = dir.path().join("store/tmp");
    let living = store.stage().unwrap();
    let outside = dir.path().join("outside");
    lay(&outside, &[("precious", "x")]);
    lay(&tmp, &[("4711-dead/deep/er/file", "x")]);
    symlink(&outside, tmp.join("4711-dead/link")).unwrap();
    symlink(&outside, tmp.join("stray")).unwrap();
    let other = open(&dir.path().join("store"));
    let second = other.stage().unwrap();
    assert!(living.path().is_dir() && second.path().is_dir());
    assert!(!tmp.join("4711-dead").exists() && !tmp.join("stray").is_symlink());
    assert!(outside.join("precious").exists(), "links are not followed");
    let path = second.path().to_owned();
    drop(second);
    assert!(!path.exists());
}

#[test]
fn downloads_under_way_are_swept() {
    let (_dir, mut store) = fresh();
    let partial = store.partial_dir();
    lay(&partial, &[("aa.part", "half"), ("aa.from", "{}"), ("bb.part", "some"), ("lock-aa", "")]);
    let young = GcOptions { keep_since: Some(std::time::UNIX_EPOCH), ..GcOptions::default() };
    assert_eq!(store.gc(&young, &mut |_| true).unwrap().partials.count, 0);
    let swept = store.gc(&GcOptions::default(), &mut |_| true).unwrap();
    assert_eq!((swept.partials.count, swept.partials.bytes), (2, 10));
    assert_eq!(children(&partial), 0);
}

#[test]
fn kept_things_are_numbered_bounded_and_not_taken_from_under_a_person() {
    let (dir, store) = fresh();
    let keep = |text: &str| {
        let stage = store.stage().unwrap();
        lay(stage.path(), &[("build/state", text)]);
        store.keep("busy:box", stage, 2).unwrap()
    };
    let first = keep("1");
    drop(keep("2"));
    drop(keep("3"));
    drop(keep("4"));
    let numbers = |store: &Store| store.kept("busy:box").unwrap().iter().map(|kept| kept.number()).collect::<Vec<_>>();
    assert_eq!(numbers(&store), [4, 3, 1], "the first is in use");
    assert_eq!(fs::read_to_string(first.path().join("build/state")).unwrap(), "1");
    drop(first);
    drop(keep("5"));
    assert_eq!(numbers(&store), [5, 4]);
    assert_eq!(numbers(&open(&dir.path().join("store"))), [5, 4]);
    assert!(store.kept("other").unwrap().is_empty());
}

#[test]
fn gc_keeps_what_roots_lead_to_and_removes_the_rest() {
    let (dir, mut store) = fresh();
    let tree = |n: u64| put_tree(&store, &[("f", &n.to_string())]);
    let trees: Vec<TreeDigest> = (0..8).map(tree).collect();
    let (used, unused) = (put_blob(&store, b"used"), put_blob(&store, b"unused"));
    for n in 0..3 {
        let mut of = record("p", &[trees[n as usize]]);
        of.refs.blobs.insert(used);
        store.bind(drv(n), &of).unwrap();
        store.bind_name("p", "musl", drv(n)).unwrap();
    }
    store.bind(drv(3), &record("nameless", &[trees[3]])).unwrap();
    store.bind(drv(4), &record("pinned", &[trees[4]])).unwrap();
    store.pin("my pin", &Object::Record(drv(4))).unwrap();
    store.pin("tree", &Object::Tree(trees[5])).unwrap();
    store.bind_seed(Blake3::of(b"seed"), trees[6]).unwrap();
    let (log, outside) = (put_log(&store, "orphan"), dir.path().join("outside"));
    lay(&outside, &[("precious", "x")]);
    symlink(&outside, dir.path().join("store/tree").join(trees[7].to_string()).join("link")).unwrap();

    let nobody = &mut |_| panic!("nobody else is here");
    let all = GcOptions { dry_run: true, ..GcOptions::default() };
    let counted = store.gc(&all, nobody).unwrap();
    assert!(store.blob(unused).unwrap().is_some(), "a dry run removes nothing");
    let young = GcOptions { keep_since: Some(std::time::UNIX_EPOCH), ..GcOptions::default() };
    assert_eq!(store.gc(&young, nobody).unwrap().bytes(), 0);

    let swept = store.gc(&GcOptions { keep_latest: 2, ..GcOptions::default() }, nobody).unwrap();
    assert_eq!((swept.records.count, swept.trees.count, swept.blobs.count, swept.logs.count), (2, 3, 1, 1));
    assert_eq!((counted.records.count, counted.trees.count), (3, 4), "without keep_latest one more goes");
    let here: Vec<bool> = trees.iter().map(|id| store.has_tree(*id).unwrap()).collect();
    assert_eq!(here, [false, true, true, false, true, true, true, false]);
    assert!(store.blob(used).unwrap().is_some() && store.blob(unused).unwrap().is_none());
    assert!(store.log(log).unwrap().is_none());
    assert!(outside.join("precious").exists());
    assert_eq!(verify(&store), []);

    store.unpin("tree").unwrap();
    store.forget("p").unwrap();
    store.gc(&GcOptions { keep_latest: 9, seeds: true, ..GcOptions::default() }, nobody).unwrap();
    let here: Vec<bool> = trees.iter().map(|id| store.has_tree(*id).unwrap()).collect();
    assert_eq!(here, [false, false, false, false, true, false, false, false]);
    assert_eq!(store.seed(Blake3::of(b"seed")).unwrap(), None);
    assert_eq!(verify(&store), []);
}

/// The kernel's clock for files stands still for milliseconds: records bound one right after the other were of the same
/// age, and the sweep kept those with the highest ids instead of the newest.
#[test]
fn gc_knows_the_newest_of_records_bound_in_the_same_instant() {
    let (_dir, mut store) = fresh();
    let order: Vec<u64> = (0..60).map(|n| n * 37 % 60).collect();
    for n in &order {
        store.bind(drv(*n), &record("p", &[])).unwrap();
    }
    store.bind_name("p", "musl", drv(order[59])).unwrap();
    store.gc(&GcOptions { keep_latest: 7, ..GcOptions::default() }, &mut |_| false).unwrap();
    let mut newest: Vec<_> = order[53..].iter().map(|n| drv(*n)).collect();
    newest.sort();
    assert_eq!(store.records().unwrap(), newest);
}

#[test]
fn gc_waits_for_builders_and_says_so() {
    let (dir, mut store) = fresh();
    let builder = open(&dir.path().join("store"));
    let error = store.gc(&GcOptions::default(), &mut |_| false).unwrap_err();
    assert_eq!(error.to_string(), "gave up waiting for other partons that use the store; try again when it is done");
    drop(builder);
    store.gc(&GcOptions::default(), &mut |_| false).unwrap();
}

#[test]
fn gc_races_builders_and_loses_nothing() {
    let (dir, first) = fresh();
    drop(first);
    let path = dir.path().join("store");
    let mut swept = 0;
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..2_u64)
            .map(|who| {
                let path = &path;
                scope.spawn(move || {
                    for round in 0..10 {
                        let store = open(path);
                        let tree = put_tree(&store, &[("f", &format!("{who} {round}"))]);
                        let id = drv(who * 1_000_000 + round);
                        store.bind(id, &record(&who.to_string(), &[tree])).unwrap();
                        store.bind_name(&who.to_string(), "musl", id).unwrap();
                        drop(store);
                        // Room for a sweep; what was bound last is a root, so it may not take that.
                        std::thread::sleep(Duration::from_millis(5));
                        let store = open(path);
                        let found = store.record(store.current(&who.to_string(), "musl").unwrap().unwrap()).unwrap();
                        assert_eq!(found.unwrap().refs.trees, BTreeSet::from([tree]));
                        assert!(store.has_tree(tree).unwrap());
                    }
                })
            })
            .collect();
        while !builders.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let mut patience = 20;
            let gone = open(&path).gc(&GcOptions::default(), &mut |_| {
                patience -= 1;
                patience > 0
            });
            swept += gone.map_or(0, |gone| gone.trees.count);
            // Locks are polled: whoever takes one again at once shuts out all others.
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    swept += open(&path).gc(&GcOptions::default(), &mut |_| false).unwrap().trees.count;
    assert_eq!(swept, 18, "of twenty trees, the last one of each builder is kept");
    assert_eq!(verify(&open(&path)), []);
}

#[test]
fn verify_finds_every_kind_of_damage_and_repair_clears_it() {
    let (dir, mut store) = fresh();
    let root = dir.path().join("store");
    type Harm = fn(&Path);
    let harms: [Harm; 6] = [
        |tree| fs::write(tree.join("d/f"), "tesT").unwrap(),
        |tree| fs::remove_file(tree.join("d/f")).unwrap(),
        |tree| fs::set_permissions(tree.join("d/f"), fs::Permissions::from_mode(0o600)).unwrap(),
        |tree| fs::write(tree.join("d/extra"), "").unwrap(),
        |tree| assert!(Command::new("mkfifo").arg(tree.join("d/fifo")).status().unwrap().success()),
        |tree| fs::File::open(tree.join("d/f")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap(),
    ];
    let mut trees = Vec::new();
    for n in 0..=harms.len() as u64 {
        let tree = put_tree(&store, &[("d/f", "test"), ("n", &n.to_string())]);
        store.bind(drv(n), &record(&format!("p{n}"), &[tree])).unwrap();
        store.bind_name(&format!("p{n}"), "musl", drv(n)).unwrap();
        trees.push(tree);
    }
    let (good, bad) = (put_blob(&store, b"good"), put_blob(&store, b"bad"));
    let log = put_log(&store, "log");
    store.bind(drv(100), &record("torn", &[])).unwrap();
    assert_eq!(verify(&store), []);

    let mut expected = BTreeSet::new();
    for (harm, tree) in harms.iter().zip(&trees) {
        let path = store.tree_path(*tree).unwrap().unwrap();
        harm(&path);
        expected.insert((DamageKind::Content, path));
    }
    let touched = expected.iter().find(|(_, path)| path.ends_with(trees[5].to_string())).cloned().unwrap();
    expected.remove(&touched);
    expected.insert((DamageKind::Metadata, touched.1));
    let mut harm = |path: PathBuf, kind| {
        drop(fs::remove_file(&path));
        fs::write(&path, "baD").unwrap();
        expected.insert((kind, path));
    };
    harm(root.join("blob").join(bad.to_string()), DamageKind::Content);
    harm(root.join("log").join(log.to_string()), DamageKind::Content);
    harm(root.join("drv").join(drv(100).to_string()), DamageKind::Content);
    harm(root.join("tree/what is this"), DamageKind::Stray);
    harm(root.join("stray"), DamageKind::Stray);
    assert!(matches!(store.record(drv(100)), Err(Error::Damaged { .. })));

    let damages = store.verify(&|_| (), &Cancel::new()).unwrap();
    let found: BTreeSet<_> = damages.iter().map(|damage| (damage.kind, damage.path.clone())).collect();
    assert_eq!(found, expected);
    assert!(matches!(store.gc(&GcOptions::default(), &mut |_| true), Err(Error::Damaged { .. })));

    let moved = store.repair(&damages, &mut |_| panic!("nobody else is here")).unwrap();
    assert_eq!(verify(&store), []);
    // Five trees with their records, a blob, a log, a torn record, two strays.
    assert_eq!(moved.len(), 15, "{moved:#?}");
    assert_eq!(children(&root.join("damaged")), 15);
    assert!(store.blob(good).unwrap().is_some() && store.blob(bad).unwrap().is_none());
    assert_eq!(store.current("p0", "musl").unwrap(), None, "the next build makes it anew");
    assert_eq!(store.current("p5", "musl").unwrap(), Some(drv(5)), "a touched file costs no rebuild");
    let again = put_tree(&store, &[("d/f", "test"), ("n", "0")]);
    assert_eq!(again, trees[0]);

    let counted = store.gc(&GcOptions { dry_run: true, ..GcOptions::default() }, &mut |_| true).unwrap();
    assert_eq!((counted.damaged.count, children(&root.join("damaged"))), (15, 15));
    assert_eq!(store.gc(&GcOptions::default(), &mut |_| true).unwrap().damaged.count, 15);
    assert_eq!(children(&root.join("damaged")), 0);
}

// Children: this test binary again, running one ignored test.

#[expect(clippy::disallowed_methods, reason = "the child is told by its parent where the store is")]
pub fn store_of_parent() -> Option<PathBuf> {
    std::env::var_os("PARTON_TEST_STORE").map(PathBuf::from)
}

/// The command that runs `test` of this program in a child, behind a shell's `before`.
pub fn child(before: &str, test: &str, store: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} exec \"$@\""), "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("PARTON_TEST_STORE", store);
    command
}

#[test]
#[ignore = "run by kill_at_any_instant_loses_nothing"]
fn child_that_commits_until_killed() {
    let Some(path) = store_of_parent() else { return };
    let mut out = std::io::stdout().lock();
    for n in 0.. {
        let store = open(&path);
        // A quarter of the trees are known already.
        let text = format!("{}", if n % 4 == 0 { 0 } else { u64::from(std::process::id()) * 1000 + n });
        let tree = put_tree(&store, &[("a/f", &text), ("a/g", "constant"), ("b/c/h", &text.repeat(1000))]);
        let blob = put_blob(&store, text.as_bytes());
        let log = put_log(&store, &text);
        let refs = Refs { trees: [tree].into(), logs: [log].into(), blobs: [blob].into() };
        let id = drv(u64::from(std::process::id()) * 1000 + n);
        store.bind(id, &Record { package: "p".into(), profile: "q".into(), refs, body: text.into() }).unwrap();
        store.bind_name("p", "q", id).unwrap();
        drop(store.keep("p", store.stage().unwrap(), 2).unwrap());
        writeln!(out, "committed {id}").unwrap();
        out.flush().unwrap();
        if n % 16 == 5 {
            drop(store);
            open(&path).gc(&GcOptions { keep_latest: 100_000, ..GcOptions::default() }, &mut |_| true).unwrap();
        }
    }
}

#[test]
fn kill_at_any_instant_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut seed = 0x5eed_u64;
    let mut committed: Vec<DrvId> = Vec::new();
    for kill in 0..60 {
        let mut running: Child =
            child("", "store::child_that_commits_until_killed", &path).stdout(Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let mut done =
            lines.filter_map(|line| line.unwrap().split_once("committed ").map(|(_, id)| id.parse().unwrap()));
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The first children die while they create the store, later ones anywhere in the work behind a commit, which
        // takes about as long as the way to it.
        if kill < 10 {
            std::thread::sleep(Duration::from_micros(1_000 * kill));
        } else {
            committed.push(done.next().unwrap());
            std::thread::sleep(begin.elapsed().mul_f64((seed >> 33) as f64 / f64::from(1_u32 << 31)));
        }
        running.kill().unwrap();
        running.wait().unwrap();
        committed.extend(done);
        let store = open(&path);
        assert_eq!(verify(&store), [], "after kill {kill}");
        drop(store.stage().unwrap());
        assert_eq!(children(&path.join("tmp")), 0, "after kill {kill}");
    }
    assert!(committed.len() >= 50);
    let store = open(&path);
    for id in committed {
        let record = store.record(id).unwrap().unwrap();
        assert!(record.refs.objects().all(|object| store.contains(&object).unwrap()));
    }
}

#[test]
#[ignore = "run by the tests of full disks"]
fn child_on_a_full_disk() {
    let Some(path) = store_of_parent() else { return };
    let mut store = open(&path);
    let mut seen = 0;
    for n in 0..400_u64 {
        let text = n.to_string().repeat(if n % 3 == 0 { 3_000 } else { 10 });
        let done = try_put_tree(&store, &[("f", &text), ("d/g", "x")]).and_then(|tree| {
            try_put_blob(&store, text.as_bytes())?;
            let mut record = record(&format!("p{}", n % 3), &[tree]);
            record.body = text.into();
            store.bind(drv(n), &record)?;
            store.bind_name(&record.package, "musl", drv(n))
        });
        if let Err(error) = done {
            assert!(error.is_space(), "{error}");
            let text = error.to_string();
            assert!(text.contains("no space left") || text.contains("test"), "{text}");
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            assert_eq!(verify(&store), []);
            seen += 1;
            if seen % 4 == 0 {
                store.gc(&GcOptions::default(), &mut |_| true).unwrap();
                put_tree(&store, &[("small", "again")]);
            }
        }
    }
    assert!(seen > 8, "the disk was full {seen} times");
    assert_eq!(verify(&store), []);
}

/// Runs in namespaces of its own, so it needs root or the right to make user namespaces, as parton itself does.
#[test]
fn a_full_disk_is_named_and_does_no_harm_needs_namespaces() {
    let dir = tempfile::tempdir().unwrap();
    let mount = format!(
        "exec unshare --mount --map-root-user sh -c 'mount -t tmpfs -o size=512k,mode=755 none \"{}\" && exec \"$@\"' sh",
        dir.path().display()
    );
    let mut command = Command::new("sh");
    let inner = child("", "store::child_on_a_full_disk", &dir.path().join("store"));
    command.args(["-c", &format!("{mount} \"$@\""), "sh"]).arg(inner.get_program()).args(inner.get_args());
    let output = command.env("PARTON_TEST_STORE", dir.path().join("store")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_limit_on_file_sizes_is_named_and_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let before = "trap '' XFSZ; ulimit -f 8;";
    let output = child(before, "store::child_on_a_full_disk", &dir.path().join("store")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The aim is 5,000 lookups in 40 ms. Run by hand with `--release -- --ignored lookups`.
#[test]
#[ignore = "measures"]
fn lookups_are_quick() {
    let (dir, store) = fresh();
    let tree = put_tree(&store, &[("f", "x")]);
    let mut one = record("p", &[tree]);
    one.body = vec![b'x'; 6_000];
    for n in 0..5_000 {
        store.bind(drv(n), &one).unwrap();
        store.bind_name(&format!("p{n}"), "musl", drv(n)).unwrap();
    }
    drop(store);
    let ids: Vec<(String, DrvId)> = (0..5_000).map(|n| (format!("p{n}"), drv(n))).collect();
    let mut best = [Duration::MAX; 3];
    for _ in 0..20 {
        let begin = Instant::now();
        let store = open(&dir.path().join("store"));
        let opened = begin.elapsed();
        for (_, id) in &ids {
            let record = store.record(*id).unwrap().unwrap();
            assert!(record.refs.trees.iter().all(|tree| store.has_tree(*tree).unwrap()));
        }
        let looked = begin.elapsed() - opened;
        for (name, id) in &ids {
            store.bind_name(name, "musl", *id).unwrap();
        }
        let named = begin.elapsed() - opened - looked;
        for (best, now) in best.iter_mut().zip([opened, looked, named]) {
            *best = now.min(*best);
        }
    }
    let line = format!("open {:?}, 5,000 records and trees {:?}, 5,000 names {:?}\n", best[0], best[1], best[2]);
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    assert!(best[1] < Duration::from_millis(40), "{line}");
}
