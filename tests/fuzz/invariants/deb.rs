//! What is promised about any bytes given to [`unpack_deb`].

use super::place::Place;
use super::tar::{assert_canonical, assert_counted, assert_printable};
use parton::tree::{Tree, Unpack, unpack_deb};

/// Any bytes are refused, or laid out beneath the destination as a tree that can be packed canonically; nothing beside it
/// is touched.
pub fn check(bytes: &[u8]) {
    let place = Place::new();
    let result = unpack_deb(bytes, &place.dest(), &Unpack::package(), None);
    place.assert_untouched();
    match result {
        Ok(unpacked) => {
            let tree = Tree::scan(&place.dest()).unwrap();
            assert_counted(&tree, &unpacked);
            assert_canonical(&tree, &place);
        }
        Err(error) => assert_printable(&error.to_string()),
    }
}
