//! What is promised about comparing any two files.

use super::place::scratch;
use parton::base::RelPath;
use parton::compare::{Limits, What, compare};
use parton::tree::Tree;
use std::fs;

/// Two files, split at the first two bytes (little endian): equal ones have no difference; different ones have exactly
/// one, found at the first byte that differs, with places, no more than asked for, the same each time; and it can be told
/// as JSON. The other way round it begins at the same byte.
pub fn check(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let (a, b) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    let dir = scratch();
    let side = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), content).unwrap();
        let tree = Tree::scan(&path).unwrap();
        (path, tree)
    };
    let ((a_dir, a_tree), (b_dir, b_tree)) = (side("a", a), side("b", b));
    // Small enough to be met.
    let limits = Limits { places: 6, depth: 3, unpacked: 64 << 20, table: 1 << 20, ..Limits::default() };
    let found = compare(&a_dir, &a_tree, &b_dir, &b_tree, &limits).unwrap();
    let again = compare(&a_dir, &a_tree, &b_dir, &b_tree, &limits).unwrap();
    let swapped = compare(&b_dir, &b_tree, &a_dir, &a_tree, &limits).unwrap();
    assert_eq!(found, again);
    if a == b {
        assert!(found.is_empty() && swapped.is_empty());
        return;
    }
    let first = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len())) as u64;
    for found in [&found, &swapped] {
        let [one] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(one.path, RelPath::new("file").unwrap());
        let What::Content(content) = &one.what else { panic!("{one:#?}") };
        assert_eq!(content.first_offset, first);
        assert!(!content.places.is_empty() && content.places.len() <= limits.places, "{one:#?}");
        serde_json::to_string(one).unwrap();
    }
}
