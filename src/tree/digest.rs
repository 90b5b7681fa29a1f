//! The digest of a tree. The contract is in the room's doc; changing it changes every tree's digest.

use super::{Entry, Tree};
use crate::base::{Encoder, TreeDigest};
use std::collections::BTreeMap;

const DOMAIN: &str = "parton.tree";
const VERSION: u64 = 1;

/// What is beneath one directory, by name, while its digest is not yet known.
#[derive(Default)]
struct Listing<'a> {
    /// In descending order of names, because the tree is walked from its end.
    rows: Vec<(&'a [u8], Row<'a>)>,
}

enum Row<'a> {
    Plain(&'a Entry),
    Dir { mode: u32, listing: TreeDigest },
}

impl Listing<'_> {
    fn digest(&self) -> TreeDigest {
        let mut to = Encoder::new(DOMAIN, VERSION);
        to.number(self.rows.len() as u64);
        for (name, row) in self.rows.iter().rev() {
            to.bytes(name);
            match row {
                Row::Plain(Entry::File { mode, size, digest }) => {
                    to.number(0);
                    to.put(mode).put(size).put(digest);
                }
                Row::Dir { mode, listing } => {
                    to.number(1);
                    to.put(mode).put(listing);
                }
                Row::Plain(Entry::Link { target }) => {
                    to.number(2);
                    to.bytes(target);
                }
                // A directory always becomes `Row::Dir`; see below.
                Row::Plain(Entry::Dir { .. }) => {}
            }
        }
        TreeDigest::from_bytes(*to.finish().as_bytes())
    }
}

impl Tree {
    /// The digest of the tree: see the contract in [the room's doc](crate::tree#the-digest).
    pub fn digest(&self) -> TreeDigest {
        // A directory sorts before everything beneath it, so from the end every listing is complete when its directory
        // comes. Names of one directory share a prefix, so their order as paths is their order as names.
        let mut open: BTreeMap<&[u8], Listing<'_>> = BTreeMap::new();
        for (path, entry) in self.entries.iter().rev() {
            let (parent, name) = split(path.as_bytes());
            let row = match entry {
                Entry::Dir { mode } => {
                    let listing = open.remove(path.as_bytes()).unwrap_or_default();
                    Row::Dir { mode: *mode, listing: listing.digest() }
                }
                plain => Row::Plain(plain),
            };
            open.entry(parent).or_default().rows.push((name, row));
        }
        open.remove(&b""[..]).unwrap_or_default().digest()
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Blake3, RelPath};

    fn file(mode: u32, content: &[u8]) -> Entry {
        Entry::File { mode, size: content.len() as u64, digest: Blake3::of(content) }
    }

    fn tree(entries: &[(&str, Entry)]) -> Tree {
        let mut tree = Tree::new();
        for (path, entry) in entries {
            tree.insert(RelPath::new(path).unwrap(), entry.clone()).unwrap();
        }
        tree
    }

    fn sample() -> Vec<(&'static str, Entry)> {
        vec![
            ("a", Entry::Dir { mode: 0o755 }),
            ("a-b", file(0o644, b"sorts between the directory and what is in it")),
            ("a/x", file(0o755, b"x")),
            ("a/y", Entry::Link { target: b"../a-b".to_vec() }),
            ("empty", Entry::Dir { mode: 0o700 }),
        ]
    }

    /// The digest is a contract: if these change, every output in every store gets another name.
    #[test]
    fn the_digest_is_pinned() {
        assert_eq!(
            Tree::new().digest().to_string(),
            "f0b045bb3ce86d1f642808973fc2989440ad91da40d4f418734a33cb34450026"
        );
        assert_eq!(
            tree(&sample()).digest().to_string(),
            "91e3862bdc93e9924bccee321d286ddec1a817e8129c081082dfd21e93d6b3ae"
        );
    }

    /// The contract of the room's doc, spelt out byte by byte without the encoder.
    #[test]
    fn the_digest_is_what_the_contract_says() {
        let number = |value: u64| value.to_le_bytes().to_vec();
        let text = |text: &[u8]| [number(text.len() as u64), text.to_vec()].concat();
        let head = |names: u64| [text(b"parton.tree"), number(1), number(names)].concat();
        let inner = [head(1), text(b"l"), number(2), text(b"../f")].concat();
        let dir = [number(1), number(0o755), blake3::hash(&inner).as_bytes().to_vec()].concat();
        let plain = [number(0), number(0o644), number(3), blake3::hash(b"abc").as_bytes().to_vec()].concat();
        let outer = [head(2), text(b"d"), dir, text(b"f"), plain].concat();
        let tree = tree(&[
            ("d", Entry::Dir { mode: 0o755 }),
            ("d/l", Entry::Link { target: b"../f".to_vec() }),
            ("f", file(0o644, b"abc")),
        ]);
        assert_eq!(tree.digest().as_bytes(), blake3::hash(&outer).as_bytes());
    }

    #[test]
    fn everything_counts() {
        let base = tree(&sample()).digest();
        let mut seen = vec![base];
        let changes: [(usize, (&str, Entry)); 7] = [
            (4, ("empty", Entry::Dir { mode: 0o755 })),
            (4, ("vacant", Entry::Dir { mode: 0o700 })),
            (4, ("empty", file(0o700, b""))),
            (3, ("a/y", Entry::Link { target: b"../a".to_vec() })),
            (2, ("a/x", file(0o755, b"y"))),
            (2, ("a/x", file(0o644, b"x"))),
            (1, ("a/z", file(0o644, b"sorts between the directory and what is in it"))),
        ];
        for (at, change) in changes {
            let mut entries = sample();
            entries[at] = change;
            let digest = tree(&entries).digest();
            assert!(!seen.contains(&digest), "{entries:?}");
            seen.push(digest);
        }
    }

    #[test]
    fn the_same_files_in_another_directory_are_another_tree() {
        let dir = Entry::Dir { mode: 0o755 };
        let one = tree(&[("a", dir.clone()), ("b", dir.clone()), ("a/f", file(0o644, b""))]);
        let other = tree(&[("a", dir.clone()), ("b", dir), ("b/f", file(0o644, b""))]);
        assert_ne!(one.digest(), other.digest());
    }
}
