//! The room `tree` from outside: honest archives come out as they are, within limits, and change nothing beside the
//! destination. Archives that are hostile by themselves live in the zoo (`zoo.rs`).

pub mod archive;

use archive::{Archive, COMPRESSIONS, Head, deb, gzip, head, seal, xz, zstd};
use parton::base::{Cancel, RelPath};
use parton::tree::{Entry, Error, Limits, Modes, Order, Tree, Unpack, Unpacked, pack, unpack, unpack_deb};
use proptest::prelude::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A directory with a destination in it, and things beside the destination that no archive may touch.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self::below(std::env::temp_dir())
    }

    fn below(dir: impl AsRef<Path>) -> Self {
        let place = Self(tempfile::tempdir_in(dir).unwrap());
        fs::create_dir(place.dest()).unwrap();
        fs::create_dir(place.0.path().join("beside")).unwrap();
        fs::write(place.0.path().join("beside/file"), b"untouched").unwrap();
        symlink("dest", place.0.path().join("link")).unwrap();
        place
    }

    fn dest(&self) -> PathBuf {
        self.0.path().join("dest")
    }

    fn at(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.dest().join(OsStr::from_bytes(path.as_ref()))
    }

    /// Everything but what is in the destination, with times.
    fn beside(&self) -> Vec<(PathBuf, u32, u64, i64, i64)> {
        ["beside", "beside/file", "link"]
            .map(|name| {
                let meta = fs::symlink_metadata(self.0.path().join(name)).unwrap();
                (name.into(), meta.mode(), meta.len(), meta.mtime(), meta.nlink() as i64)
            })
            .to_vec()
    }

    fn unpack(&self, archive: &[u8], options: &Unpack) -> Result<Unpacked, Error> {
        let before = self.beside();
        let result = unpack(archive, &self.dest(), options, None);
        assert_eq!(self.beside(), before);
        let names: Vec<_> = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        result
    }

    fn scan(&self) -> Tree {
        Tree::scan(&self.dest()).unwrap()
    }
}

#[track_caller]
fn refusal(archive: &[u8], options: &Unpack) -> String {
    let place = Place::new();
    place.unpack(archive, options).unwrap_err().to_string()
}

fn names(place: &Place) -> Vec<String> {
    place.scan().iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn links_that_stay_inside_are_made_as_they_are() {
    let place = Place::new();
    let archive =
        Archive::new().link("a/l", "../b/./c").link("loop", "loop").link("dangling", "not/there").dir("b").end();
    let unpacked = place.unpack(&archive, &Unpack::source(0)).unwrap();
    assert_eq!((unpacked.links, unpacked.dirs, unpacked.files), (3, 2, 0));
    assert_eq!(fs::read_link(place.at("a/l")).unwrap(), Path::new("../b/./c"));
}

#[test]
fn links_that_were_there_before_are_not_followed_either() {
    for (archive, message) in [
        (Archive::new().file("d/file", b"changed").end(), "d/file: 'd' is a symbolic link, nothing can be beneath it"),
        (Archive::new().dir("d").end(), "d: 'd' is a symbolic link, nothing can be beneath it"),
        (Archive::new().file("d", b"changed").end(), "d: the destination already has this name"),
        (Archive::new().link("d", "x").end(), "d: the destination already has this name"),
        (Archive::new().file("x", b"").hard("d", "x").end(), "d: the destination already has this name"),
    ] {
        let place = Place::new();
        symlink("../beside", place.at("d")).unwrap();
        let error = place.unpack(&archive, &Unpack::source(0)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

/// Nor does an archive link to what another left there.
#[test]
fn hard_links_to_what_was_there_before() {
    let place = Place::new();
    fs::write(place.at("earlier"), b"of another archive").unwrap();
    let foreign = Archive::new().hard("h", "earlier").end();
    let error = place.unpack(&foreign, &Unpack::source(0)).unwrap_err();
    assert_eq!(error.to_string(), "h: a hard link to 'earlier', which is not an earlier member");
}

#[test]
fn what_is_there_already_is_not_replaced() {
    let place = Place::new();
    fs::write(place.at("f"), b"mine").unwrap();
    fs::create_dir(place.at("d")).unwrap();
    let error = place.unpack(&Archive::new().file("f", b"theirs").end(), &Unpack::source(0)).unwrap_err();
    assert_eq!(error.to_string(), "f: the destination already has this name");
    let error = place.unpack(&Archive::new().file("f/g", b"theirs").end(), &Unpack::source(0)).unwrap_err();
    assert_eq!(error.to_string(), "f/g: 'f' is a file, nothing can be beneath it");
    let error = place.unpack(&Archive::new().file("d", b"theirs").end(), &Unpack::source(0)).unwrap_err();
    assert_eq!(error.to_string(), "d: the destination already has this name");
    assert_eq!(fs::read(place.at("f")).unwrap(), b"mine");
}

#[test]
fn compressed_data_cut_short() {
    let archive = Archive::new().file("x", &(0..60_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).end();
    for (name, compress) in COMPRESSIONS {
        let whole = compress(&archive);
        for length in [7, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            let message = refusal(&whole[..length], &Unpack::source(0));
            assert_eq!(message, format!("the {name} data ends early"), "{length} of {}", whole.len());
        }
    }
}

#[test]
fn compressed_data_damaged() {
    let archive = Archive::new().file("x", &(0..60_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).end();
    for (name, compress) in COMPRESSIONS {
        let whole = compress(&archive);
        for at in (20..whole.len()).step_by(whole.len() / 50) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            let place = Place::new();
            // Whatever the damage looks like, it is noticed.
            let result = place.unpack(&damaged, &Unpack::source(0));
            assert!(result.is_err(), "{name}: damage at {at} of {} was not noticed", whole.len());
        }
    }
}

#[test]
fn archives_in_several_streams() {
    let archive = Archive::new().file("x", &[7; 5000]).end();
    for (name, compress) in COMPRESSIONS {
        let (one, other) = archive.split_at(700);
        let place = Place::new();
        let unpacked = place.unpack(&[compress(one), compress(other)].concat(), &Unpack::source(0));
        assert_eq!(unpacked.unwrap().bytes, 5000, "{name}");
    }
}

#[test]
fn limits_hold() {
    let options = |change: fn(&mut Limits)| {
        let mut options = Unpack::source(0);
        change(&mut options.limits);
        options
    };
    let files = Archive::new().file("a/b/c/d", &[0; 4000]).file("b", &[0; 4000]).end();
    let refused = |change| refusal(&gzip(&files), &options(change));
    assert_eq!(
        refused(|limits| limits.total = 9000),
        ": the size of the unpacked archive is 10240, more than the limit of 9000"
    );
    assert_eq!(
        refused(|limits| limits.file = 3999),
        "a/b/c/d: the size of a file is 4000, more than the limit of 3999"
    );
    let extended = Archive::new().extended(b'g', &[("comment", b"x")]).file("a", b"").end();
    assert_eq!(
        refusal(&extended, &options(|limits| limits.entries = 1)),
        ": the number of members is 2, more than the limit of 1"
    );
    assert_eq!(refused(|limits| limits.depth = 3), "a/b/c/d: the depth of a name is 4, more than the limit of 3");
    assert_eq!(refused(|limits| limits.name = 6), "a/b/c/d: the length of a name is 7, more than the limit of 6");
    // What is only implied takes as much memory and as many inodes as what is there: a million names of 64 components each,
    // all of them different, were 64 million directories.
    assert_eq!(
        refused(|limits| limits.entries = 4),
        "b: the number of files and directories is 5, more than the limit of 4"
    );
    // a, a/b, a/b/c, a/b/c/d, b
    assert_eq!(
        refused(|limits| limits.names = 16),
        "b: the length of all names together is 17, more than the limit of 16"
    );
    let deep = Archive::new().pax(&[("path", "d/".repeat(500).as_bytes())]).dir("d").end();
    assert!(refusal(&deep, &Unpack::source(0)).ends_with(": the depth of a name is 500, more than the limit of 64"));
    let long = Archive::new().pax(&[("path", "d".repeat(300).as_bytes())]).file("d", b"").end();
    assert!(refusal(&long, &Unpack::source(0)).ends_with("the path or one of its components is too long"));
}

#[test]
fn somebody_stops_it() {
    let cancel = Cancel::new();
    cancel.cancel();
    let options = Unpack { cancel, ..Unpack::source(0) };
    assert_eq!(refusal(&Archive::new().file("x", b"").end(), &options), "cancelled");
}

#[test]
fn honest_archives_in_every_clothing() {
    let gnu_name = "long/".repeat(30) + "name";
    let mut prefixed = head(b'0', "name").block();
    prefixed[345..351].copy_from_slice(b"prefix");
    seal(&mut prefixed);
    let archive = Archive::new()
        .extended(b'g', &[("comment", b"a commit")])
        .dir("./")
        .dir("./d/")
        .with(Head { mode: 0o4775, ..head(b'0', "./d/run") }, b"#!")
        .with(Head { mode: 0o600, mtime: 1_500_000_000, ..head(b'0', b"d/\xffbytes") }, b"")
        .raw(&prefixed)
        .with(head(b'L', "././@LongLink"), &[gnu_name.as_bytes(), b"\0"].concat())
        .file("ignored", b"long")
        .pax(&[("path", "d/päx".as_bytes()), ("mtime", b"1234.5"), ("uid", b"7")])
        .file("ignored", b"pax")
        .head(Head { magic: b"", ..head(0, "old") })
        .head(Head { magic: b"", ..head(0, "olddir/") })
        .hard("hard", "d/run")
        .with(head(b'7', "contiguous"), b"7")
        .end();
    let mut trees = Vec::new();
    let clothes: Vec<Vec<u8>> =
        COMPRESSIONS.iter().map(|(_, compress)| compress(&archive)).chain([archive.clone()]).collect();
    for bytes in clothes {
        for order in [Order::Forward, Order::Reverse] {
            let place = Place::new();
            let unpacked = place.unpack(&bytes, &Unpack { order, ..Unpack::source(0) }).unwrap();
            assert_eq!(unpacked.newest_mtime, 1_500_000_000);
            assert_eq!((unpacked.files, unpacked.bytes), (8, 10));
            assert_eq!(fs::metadata(place.at("d/run")).unwrap().mode() & 0o7777, 0o755);
            assert_eq!(fs::metadata(place.at("d/run")).unwrap().nlink(), 2);
            assert_eq!(fs::metadata(place.at(b"d/\xffbytes")).unwrap().mode() & 0o7777, 0o644);
            let pax = fs::metadata(place.at("d/päx")).unwrap();
            assert_eq!((pax.mtime(), pax.mtime_nsec()), (1234, 500_000_000));
            assert_eq!(fs::metadata(place.at("d")).unwrap().mtime(), 1_000_000_000);
            assert_eq!(fs::metadata(place.at("prefix")).unwrap().mtime(), 1_500_000_000);
            assert_eq!(fs::read(place.at(&gnu_name)).unwrap(), b"long");
            assert!(place.at("olddir").is_dir());
            let facts = place.scan().facts();
            assert_eq!((facts.files, facts.dirs), (unpacked.files, unpacked.dirs));
            trees.push(place.scan());
        }
    }
    assert!(trees.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_other_order_is_another_order() {
    let names: Vec<String> = (0..50).map(|i| format!("f{i:02}")).collect();
    let archive = names.iter().fold(Archive::new(), |archive, name| archive.file(name, name.as_bytes())).end();
    let [forward, reverse] = [Order::Forward, Order::Reverse].map(|order| {
        // In memory, where inodes are numbered in the order of their making; a disk that is in use gives out what is free.
        let place = Place::below("/dev/shm");
        place.unpack(&archive, &Unpack { order, ..Unpack::source(0) }).unwrap();
        let inode = |name: &String| fs::metadata(place.at(name)).unwrap().ino();
        let numbers: Vec<u64> = names.iter().map(inode).collect();
        (place.scan(), numbers.windows(2).filter(|pair| pair[0] < pair[1]).count())
    });
    assert_eq!(forward.0, reverse.0);
    assert!(forward.1 > reverse.1, "{} {}", forward.1, reverse.1);
}

#[test]
fn leading_components_are_stripped() {
    let archive = Archive::new().dir("p-1").dir("p-1/d").file("p-1/d/f", b"").hard("p-1/h", "p-1/d/f").end();
    let place = Place::new();
    place.unpack(&archive, &Unpack::source(1)).unwrap();
    assert_eq!(names(&place), ["d", "d/f", "h"]);
    let refused = |archive: Archive, message: &str| assert_eq!(refusal(&archive.end(), &Unpack::source(1)), message);
    refused(
        Archive::new().file("p/f", b"").file("q/g", b""),
        "q/g: the components to strip differ from the 'p' of earlier members",
    );
    refused(Archive::new().file("f", b""), "f: nothing is left of the name without its first 1 components");
    refused(Archive::new().link("l", "p/f"), "l: nothing is left of the name without its first 1 components");
    refused(
        Archive::new().file("p/f", b"").hard("p/h", "q/f"),
        "p/h: a hard link to 'q/f', which is outside the part that is kept",
    );
    // It points beside the directory that was stripped, and so out of what is left.
    refused(Archive::new().link("p/l", "../q"), "l: the link to '../q' leads out of the tree");
}

#[test]
fn archives_in_archives() {
    let inner = xz(&Archive::new().file("gcc/f", b"inner").end());
    let outer = |inner: &[u8]| Archive::new().file("deb/other", b"").file("deb/in.tar.xz", inner).file("deb/z", b"");
    let nested = |name: &str| Unpack { nested: Some(RelPath::new(name).unwrap()), ..Unpack::source(1) };
    let place = Place::new();
    let unpacked = place.unpack(&gzip(&outer(&inner).end()), &nested("deb/in.tar.xz")).unwrap();
    assert_eq!((names(&place), unpacked.files), (vec!["f".to_owned()], 1));
    let refused = |archive: &[u8], name: &str| refusal(archive, &nested(name));
    assert_eq!(refused(&outer(&inner).end(), "deb/not"), "there is no file 'deb/not' in the archive");
    assert_eq!(refused(&outer(&inner[..80]).end(), "deb/in.tar.xz"), "the xz data ends early");
    assert_eq!(
        refused(&outer(&inner).dir("deb/in.tar.xz").end(), "deb/in.tar.xz"),
        "deb/in.tar.xz: the archive has this member twice"
    );
    assert_eq!(refused(&outer(&inner).0, "deb/in.tar.xz"), "the tar data ends early");
    let escape = gzip(&Archive::new().file("../f", b"").end());
    assert_eq!(refused(&outer(&escape).end(), "deb/in.tar.xz"), "the name '../f' is refused: the path contains '..'");
    let bomb = gzip(&Archive::new().file("a/x", &vec![0; 80 << 20]).end());
    assert!(refused(&outer(&bomb).end(), "deb/in.tar.xz").ends_with(": more than 200 for one"));
}

#[test]
fn packages_are_laid_over_each_other() {
    let dir = |mode| Head { mode, ..head(b'5', "./usr/") };
    let one = Archive::new()
        .dir("./")
        .head(dir(0o555))
        .with(Head { mode: 0o6755, ..head(b'0', "./usr/su") }, b"su")
        .head(Head { mode: 0o1777, ..head(b'5', "./tmp/") })
        .link("./lib", "/usr/lib")
        .end();
    let two = Archive::new().head(dir(0o755)).with(Head { mode: 0o640, ..head(b'0', "./usr/f") }, b"f").end();
    let three = Archive::new().file("./usr/f", b"g").end();
    let four = Archive::new().file("./usr/sub/g", b"g").end();
    let place = Place::new();
    let mode = |path: &str| fs::metadata(place.at(path)).unwrap().permissions().mode() & 0o7777;
    let lay = |data: &[u8]| unpack_deb(&deb(data)[..], &place.dest(), &Unpack::package(), None);
    lay(&xz(&one)).unwrap();
    assert_eq!((mode("usr"), mode("usr/su"), mode("tmp")), (0o555, 0o755, 0o1777));
    assert_eq!(fs::read_link(place.at("lib")).unwrap(), Path::new("/usr/lib"));
    lay(&gzip(&four)).unwrap();
    assert_eq!((mode("usr"), mode("usr/sub")), (0o555, 0o755));
    lay(&zstd(&two)).unwrap();
    assert_eq!((mode("usr"), mode("usr/f")), (0o755, 0o640));
    assert_eq!(lay(&three).unwrap_err().to_string(), "usr/f: the destination already has this name");
}

/// The bytes of the canonical archive are a contract; they also are what other readers of tar take.
#[test]
fn the_canonical_archive_is_pinned() {
    let place = Place::new();
    let long = "directory/".repeat(18) + "name";
    let archive = Archive::new()
        .file("a/x", b"x")
        .file("a-b", b"y")
        .link("l", "a/x")
        .pax(&[("path", long.as_bytes())])
        .file("x", b"split")
        .pax(&[("path", "n".repeat(200).as_bytes())])
        .file("x", b"pax")
        .pax(&[("linkpath", "t".repeat(200).as_bytes())])
        .link("ll", "x")
        .file(b"\xff".repeat(99), b"bytes")
        .end();
    place.unpack(&archive, &Unpack::source(0)).unwrap();
    let tree = place.scan();
    let mut out = Vec::new();
    let written = pack(&tree, &place.dest(), 1_700_000_000, &mut out).unwrap();
    assert_eq!(written, out.len() as u64);
    assert_eq!(
        parton::base::Blake3::of(&out).to_string(),
        "dd5c457847c0b62079aca6e42ef72370f02b50826cc23068c31d515c21ade5e8"
    );
    let again = Place::new();
    let unpacked = again.unpack(&out, &Unpack::source(0)).unwrap();
    assert_eq!((again.scan(), unpacked.newest_mtime), (tree.clone(), 1_700_000_000));
    let mut other = tar::Archive::new(&out[..]);
    let read: usize = other.entries().unwrap().map(|entry| entry.unwrap().path_bytes().len()).sum();
    assert!(read > 400);
    fs::write(place.at("a-b"), b"z").unwrap();
    let error = pack(&tree, &place.dest(), 0, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "a-b: the file changed while it was read, or is not the one the tree describes");
}

#[derive(Debug, Clone)]
enum Thing {
    File(bool, Vec<u8>),
    Dir,
    Link,
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..2000))
            .prop_map(|(run, bytes)| Thing::File(run, bytes)),
        Just(Thing::Dir),
        Just(Thing::Link),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => proptest::collection::vec(b'a'..b'd', 1..3),
        1 => proptest::collection::vec(1_u8..255, 1..200),
    ];
    proptest::collection::vec(part, 1..6).prop_map(|parts| parts.join(&b'/'))
}

/// Makes what can be made of a list of names; what does not fit (a file where a directory is) is left out.
fn make(dir: &Path, things: &[(Vec<u8>, Thing)]) {
    for (name, thing) in things {
        let Ok(path) = RelPath::new(name) else { continue };
        let at = dir.join(&path);
        if at.symlink_metadata().is_ok() || fs::create_dir_all(at.parent().unwrap()).is_err() {
            continue;
        }
        // A parent may be a link made earlier; then the file lies elsewhere in the tree, which is as good.
        match thing {
            Thing::File(run, bytes) => {
                if fs::write(&at, bytes).is_ok() {
                    let mode = if *run { 0o755 } else { 0o644 };
                    fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
            Thing::Dir => _ = fs::create_dir(&at),
            Thing::Link => _ = symlink("there", &at),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Packing, unpacking in either order and scanning gives the tree one started from.
    #[test]
    fn packed_and_unpacked_is_the_same(things in proptest::collection::vec((name(), thing()), 0..20)) {
        let place = Place::new();
        make(&place.dest(), &things);
        let tree = place.scan();
        let mut archive = Vec::new();
        pack(&tree, &place.dest(), 0, &mut archive).unwrap();
        for order in [Order::Forward, Order::Reverse] {
            let other = Place::new();
            let unpacked = other.unpack(&archive, &Unpack { order, modes: Modes::Kept, ..Unpack::source(0) }).unwrap();
            let found = other.scan();
            prop_assert_eq!(&found, &tree);
            prop_assert_eq!(found.digest(), tree.digest());
            prop_assert_eq!(unpacked.bytes, tree.facts().bytes);
        }
    }

    /// Whatever is done to an archive, it is refused or unpacked, and nothing else.
    #[test]
    fn damaged_archives_are_survived(at in 0_usize..4096, bytes in proptest::collection::vec(any::<u8>(), 1..16)) {
        let archive = Archive::new()
            .file("a/f", b"f")
            .link("a/l", "f")
            .pax(&[("path", b"a/x"), ("mtime", b"1.5")])
            .file("x", b"x")
            .end();
        let mut damaged = archive;
        let at = at.min(damaged.len() - bytes.len());
        damaged[at..at + bytes.len()].copy_from_slice(&bytes);
        _ = Place::new().unpack(&damaged, &Unpack::source(0));
    }
}

#[test]
fn a_tree_put_together_by_hand_is_one_that_can_be() {
    let path = |name: &str| RelPath::new(name).unwrap();
    let mut tree = Tree::new();
    let orphan = tree.insert(path("d/l"), Entry::Link { target: b"x".to_vec() }).unwrap_err();
    assert_eq!(orphan.to_string(), "d/l: its parent is no directory of the tree");
    tree.insert(path("d"), Entry::Dir { mode: 0o755 }).unwrap();
    tree.insert(path("d/l"), Entry::Link { target: b"x".to_vec() }).unwrap();
    let twice = tree.insert(path("d"), Entry::Dir { mode: 0o755 }).unwrap_err();
    assert_eq!(twice.to_string(), "d: the tree already has this name");
    assert!(tree.insert(path("d/l/x"), Entry::Dir { mode: 0o755 }).is_err());
}

/// The packages of a seed are unpacked at once into one root. Once, when two of them came to a directory that neither had
/// found, the second to make it failed: "usr: the destination already has this name".
#[test]
fn archives_unpacked_at_once_share_their_directories() {
    let place = Place::new();
    let start = std::sync::Barrier::new(4);
    let unpack_some = |who: usize| -> Vec<Result<Unpacked, Error>> {
        let one = |round: usize| {
            let deep: String = (0..8).map(|level| format!("{round}-{level}/")).collect();
            let archive = Archive::new().file(format!("{deep}{who}"), b"x").end();
            start.wait();
            place.unpack(&archive, &Unpack::source(0))
        };
        (0..60).map(one).collect()
    };
    std::thread::scope(|scope| {
        let unpack_some = &unpack_some;
        let threads: Vec<_> = (0..4).map(|who| scope.spawn(move || unpack_some(who))).collect();
        for result in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            result.unwrap();
        }
    });
    assert_eq!(Tree::scan(&place.dest()).unwrap().facts().files, 240);
}
