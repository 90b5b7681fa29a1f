//! What is promised about any bytes given to [`unpack`].

use super::place::Place;
use parton::base::RelPath;
use parton::tree::{Entry, Order, Tree, Unpack, Unpacked, pack, unpack};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

/// Any bytes are unpacked in both orders, or in none, to the same tree.
///
/// - Nothing beside the destination is touched.
/// - What was counted is what lies there.
/// - No link leads out.
/// - The canonical archive of the tree unpacks to the tree, and its own canonical archive is the same bytes.
/// - Another reader of tar that takes the archive to its end sees the same files with the same content.
pub fn check(bytes: &[u8]) {
    let (place, forward) = laid_out(bytes, Order::Forward);
    let (other, reverse) = laid_out(bytes, Order::Reverse);
    assert_eq!(forward, reverse);
    let Some(unpacked) = forward else { return };
    let tree = Tree::scan(&place.dest()).unwrap();
    assert_eq!(tree, Tree::scan(&other.dest()).unwrap());
    assert_counted(&tree, &unpacked);
    assert_links_stay(&tree, &place);
    assert_canonical(&tree, &place);
    if let Some(seen) = second_opinion(bytes) {
        let files = tree.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. }));
        let ours: BTreeMap<Vec<u8>, Vec<u8>> =
            files.map(|(path, _)| (path.as_bytes().to_vec(), fs::read(place.dest().join(path)).unwrap())).collect();
        assert_eq!(ours, seen);
    }
}

fn laid_out(bytes: &[u8], order: Order) -> (Place, Option<Unpacked>) {
    let place = Place::new();
    let result = unpack(bytes, &place.dest(), &Unpack { order, ..Unpack::source(0) }, None);
    place.assert_untouched();
    if let Err(error) = &result {
        assert_printable(&error.to_string());
    }
    (place, result.ok())
}

/// Whatever is said of hostile bytes can be shown on a terminal.
pub fn assert_printable(text: &str) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

pub fn assert_counted(tree: &Tree, unpacked: &Unpacked) {
    let facts = tree.facts();
    assert_eq!((facts.files, facts.dirs, facts.links), (unpacked.files, unpacked.dirs, unpacked.links));
    // A file under two names is unpacked once.
    assert!(facts.bytes >= unpacked.bytes);
}

fn assert_links_stay(tree: &Tree, place: &Place) {
    let top = place.dest().canonicalize().unwrap();
    for (path, entry) in tree.iter() {
        if let Entry::Link { .. } = entry
            && let Ok(end) = place.dest().join(path).canonicalize()
        {
            assert!(end.starts_with(&top), "{path} leads to {}", end.display());
        }
    }
}

pub fn assert_canonical(tree: &Tree, place: &Place) {
    let mut archive = Vec::new();
    pack(tree, &place.dest(), 0, &mut archive).unwrap();
    let again = Place::new();
    // Modes other than 0755 and 0644 are not those of sources.
    let options =
        Unpack { modes: parton::tree::Modes::Kept, links: parton::tree::Links::Anywhere, ..Unpack::source(0) };
    unpack(&archive[..], &again.dest(), &options, None).unwrap();
    let found = Tree::scan(&again.dest()).unwrap();
    assert_eq!((&found, found.digest()), (tree, tree.digest()));
    let mut second = Vec::new();
    pack(&found, &again.dest(), 0, &mut second).unwrap();
    assert!(archive == second);
}

/// The files that the `tar` crate finds; nothing where it gives up, or where the archive is compressed.
fn second_opinion(bytes: &[u8]) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut archive = tar::Archive::new(bytes);
    let mut files: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let name = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        let path = RelPath::new(&name).ok().map(|path| path.as_bytes().to_vec());
        if kind.is_hard_link() {
            let target = RelPath::new(entry.link_name_bytes()?).ok()?;
            let content = files.get(target.as_bytes())?.clone();
            files.insert(path?, content);
        } else if matches!(kind, tar::EntryType::Regular | tar::EntryType::Continuous) && !name.ends_with(b"/") {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).ok()?;
            files.insert(path?, content);
        }
    }
    Some(files)
}
