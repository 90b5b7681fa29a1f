//! What is promised about compressed bytes: gzip, bzip2, xz and zstd.

use super::place::Place;
use super::tar::assert_printable;
use parton::fetch::signature::uncompressed;
use parton::tree::{Tree, Unpack, unpack};
use std::fs;
use std::io::Read as _;

/// How far a second opinion is followed.
const MOST: u64 = 256 << 20;

/// A decoder of somebody else's: the plain bytes, or nothing if it gives up.
pub type Other<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// Both of parton's decoders (the one for archives and the one for signed or indexed bytes) refuse the bytes or make the
/// same of them, and the same as another implementation does. Nothing comes out of damaged data without an error.
pub fn check(bytes: &[u8], other: Other<'_>) {
    let place = Place::new();
    let result = unpack(bytes, &place.dest(), &Unpack::source(0), None);
    place.assert_untouched();
    let plain = plain(bytes);
    let another = other(bytes);
    if let (Some(plain), Some(another)) = (&plain, &another) {
        assert!(plain == another, "two decoders made different things of the same bytes");
    }
    match result {
        Ok(unpacked) => {
            let plain = plain.expect("the decoder of archives took what the plain one refuses");
            let beside = Place::new();
            assert_eq!(unpack(&plain[..], &beside.dest(), &Unpack::source(0), None).unwrap(), unpacked);
            assert_eq!(Tree::scan(&beside.dest()).unwrap(), Tree::scan(&place.dest()).unwrap());
        }
        Err(error) => assert_printable(&error.to_string()),
    }
}

/// What compresses to `compressed` comes out again, in one stream and in two.
pub fn check_honest(content: &[u8], compress: &dyn Fn(&[u8]) -> Vec<u8>) {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "f", content).unwrap();
    let archive = archive.into_inner().unwrap();
    let (one, two) = archive.split_at(archive.len() / 3);
    for bytes in [compress(&archive), [compress(one), compress(two)].concat()] {
        let place = Place::new();
        unpack(&bytes[..], &place.dest(), &Unpack::source(0), None).unwrap();
        assert!(fs::read(place.dest().join("f")).unwrap() == content);
        assert!(plain(&bytes).unwrap() == archive);
    }
}

fn plain(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let read = uncompressed(bytes).and_then(|stream| stream.take(MOST).read_to_end(&mut plain));
    read.ok().map(|_| plain)
}
