//! What is promised about the indexes of a package archive and the machine's configuration of it.

use super::place::scratch;
use parton::base::{RelPath, Sha256};
use parton::fetch::apt::{Keys, Lookup, Packages, Release, compare_versions, discover};
use parton::fetch::signature::Keyring;
use std::cmp::Ordering;
use std::fs;

use super::openpgp::now;

/// Somebody who signs lists of index files.
pub struct Signer<'a> {
    pub certificate: Vec<u8>,
    /// A text (whose last line ends) with a signature around it.
    pub sign: &'a dyn Fn(&str) -> String,
}

/// The first byte says what the others are: three versions, an index of binary packages, a source index, a list of index
/// files, or the machine's configuration.
pub fn check(bytes: &[u8], signer: &Signer<'_>) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind {
        b'v' => versions(&String::from_utf8_lossy(rest)),
        b'p' => packages(rest, signer),
        b's' => sources(rest),
        b'r' => release(&String::from_utf8_lossy(rest), signer),
        b'c' => configuration(rest),
        _ => {}
    }
}

/// Versions are in a total order.
fn versions(text: &str) {
    let all: Vec<&str> = text.lines().take(4).collect();
    for a in &all {
        assert_eq!(compare_versions(a, a), Ordering::Equal);
        for b in &all {
            let order = compare_versions(a, b);
            assert_eq!(compare_versions(b, a), order.reverse(), "{a:?} {b:?}");
            for c in &all {
                if order.is_le() && compare_versions(b, c).is_le() {
                    assert!(compare_versions(a, c).is_le(), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}

fn empty_release(signer: &Signer<'_>) -> Release {
    let text = (signer.sign)(super::openpgp::TEXT);
    Release::read("stable", text.as_bytes(), &Keyring::parse(&signer.certificate).unwrap(), now()).unwrap()
}

/// An index is an error or packages with paths beneath the archive; each name can be asked for and is the newest of those
/// that the index lists.
fn packages(bytes: &[u8], signer: &Signer<'_>) {
    let Ok(packages) = Packages::read(empty_release(signer), bytes) else { return };
    let text = String::from_utf8_lossy(bytes);
    let field = |line: &'_ str, name: &str| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    let names: Vec<String> = text.lines().filter_map(|line| field(line, "package")).collect();
    for name in names {
        let Ok(resolved) = packages.resolve(std::slice::from_ref(&name), &[]) else { continue };
        let [package] = &resolved.packages[..] else { panic!("{resolved:?}") };
        assert_eq!(package.name, name);
        assert!(RelPath::new(&package.path).is_ok());
        let pin = package.pin();
        assert_eq!((pin.sha256, pin.size), (package.sha256, Some(package.size)));
        assert!(!pin.name.contains('/'));
        assert!(package.depends.iter().chain([&package.provides]).flatten().all(|name| !name.is_empty()));
    }
}

/// A source index is an error or a lookup: each digest in it leads to a path beneath the archive, no other digest leads
/// anywhere, and a lookup with one bit changed is none.
fn sources(bytes: &[u8]) {
    let dir = scratch();
    let path = dir.path().join("lookup");
    let made_from = Sha256::of(bytes);
    if Lookup::build(bytes, made_from, &path).is_err() {
        return;
    }
    let lookup = Lookup::open(&path, made_from).expect("just made");
    assert!(Lookup::open(&path, Sha256::of(b"other")).is_none());
    assert_eq!(lookup.find(&Sha256::of(b"in no index")), None);
    let text = String::from_utf8_lossy(bytes);
    for digest in text.split_ascii_whitespace().filter_map(|word| word.parse::<Sha256>().ok()) {
        if let Some(found) = lookup.find(&digest) {
            assert_eq!(RelPath::new(&found.path).unwrap().as_bytes(), found.path.as_bytes());
            assert!(found.path.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
    let mut changed = fs::read(&path).unwrap();
    let at = usize::from_le_bytes(*made_from.as_bytes().first_chunk().unwrap()) % changed.len();
    changed[at] ^= 1 << (at % 8);
    fs::write(&path, &changed).unwrap();
    assert!(Lookup::open(&path, made_from).is_none(), "a change at {at} was not noticed");
    fs::write(&path, &changed[..at]).unwrap();
    assert!(Lookup::open(&path, made_from).is_none(), "an end at {at} was not noticed");
    fs::write(&path, bytes).unwrap();
    Lookup::open(&path, made_from);
}

/// A list that is signed is an error or of the suite that was asked for.
fn release(text: &str, signer: &Signer<'_>) {
    // What would have to be escaped is not written by the signer here.
    if text.split('\n').any(|line| line.starts_with('-')) || text.contains('\r') {
        return;
    }
    let signed = (signer.sign)(&format!("{}\n", text.trim_end_matches('\n')));
    let ring = Keyring::parse(&signer.certificate).unwrap();
    if let Ok(release) = Release::read("stable", signed.as_bytes(), &ring, now()) {
        let suite = |line: &str| line.split_once(':').is_some_and(|(_, value)| value.trim() == "stable");
        assert!(text.lines().any(suite));
        assert_eq!(release.sha256, Sha256::of(signed.as_bytes()));
    }
}

/// Whatever the machine's files say, archives have addresses that parton speaks, each once.
fn configuration(bytes: &[u8]) {
    let dir = scratch();
    let apt = dir.path().join("etc/apt");
    fs::create_dir_all(apt.join("sources.list.d")).unwrap();
    for file in ["sources.list", "sources.list.d/a.sources", "apt.conf"] {
        fs::write(apt.join(file), bytes).unwrap();
    }
    let found = discover(dir.path());
    for (at, archive) in found.iter().enumerate() {
        assert!(["http://", "https://", "file:/"].iter().any(|scheme| archive.base.starts_with(scheme)));
        assert!(found[..at].iter().all(|other| other.base != archive.base));
        assert!(archive.url("a b").ends_with("/a%20b"));
        for keys in &archive.keys {
            if let Keys::File(path) = keys {
                assert!(path.starts_with(dir.path()));
            }
        }
    }
}
