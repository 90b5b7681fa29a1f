//! Whatever is compared, what differs is said, where it is said, and what was not looked at is said too.

use super::build::{Pyc, cpio, mo, png, zip, zipped};
use super::{Pair, of_bytes};
use crate::tree::archive::{Archive, Compress, ar, bzip2, gzip, xz, zstd};
use parton::compare::{Change, Content, Limits, Place, compare};
use parton::tree::Tree;
use proptest::prelude::*;

/// A file in files in files, nothing of it packed: its bytes, and for each innermost part the way there and its bytes' place.
struct Nested {
    bytes: Vec<u8>,
    parts: Vec<(&'static [&'static str], std::ops::Range<usize>)>,
}

fn nested() -> &'static Nested {
    static NESTED: std::sync::OnceLock<Nested> = std::sync::OnceLock::new();
    NESTED.get_or_init(|| {
        let text = "the first line of a text\nand the second\n".repeat(4).into_bytes();
        let binary: Vec<u8> = (0..200_u32).map(|n| (n * 7 % 251) as u8).collect();
        let image = png(&(0..160).collect::<Vec<u8>>(), 0, &[]);
        let catalogue = mo(&[("", "Language: de\n"), ("hello", "hallo")], 0);
        let python =
            Pyc { magic: 3495, mtime: 5, text: "built", lines: b"\0\x01\x02", shared: true, constant: 7 }.bytes();
        let stored = |name, content| super::build::Zipped { level: 0, ..zipped(name, content) };
        let inner = cpio(&[("text", 1, &text), ("binary", 2, &binary)]);
        let jar = zip(&[stored("catalogue", &catalogue), stored("python", &python)], "");
        let tar = Archive::new().file("inner.cpio", &inner).file("image", &image).end();
        let bytes = ar(&[("a.tar", &tar), ("b.jar", &jar)]);
        let place = |part: &[u8]| {
            let at = bytes.windows(part.len()).position(|window| window == part).unwrap();
            at..at + part.len()
        };
        let parts: Vec<(&[&str], _)> = vec![
            (&["a.tar", "inner.cpio", "text"], place(&text)),
            (&["a.tar", "inner.cpio", "binary"], place(&binary)),
            (&["a.tar", "image"], place(&image)),
            (&["b.jar", "catalogue"], place(&catalogue)),
            (&["b.jar", "python"], place(&python)),
        ];
        Nested { bytes, parts }
    })
}

/// Whether the places lead this way.
fn leads(places: &[Place], way: &[&str]) -> bool {
    let Some((first, rest)) = way.split_first() else { return !places.is_empty() };
    places.iter().any(|place| match place {
        Place::Part { name, change: Change::Content { places, .. }, .. } => name == first && leads(places, rest),
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// One byte anywhere in it: at least one difference, in the innermost part that the byte belongs to.
    #[test]
    fn a_byte_anywhere_is_found_in_its_innermost_part(at: prop::sample::Index, by in 1_u8..) {
        let Nested { bytes, parts } = nested();
        let at = at.index(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= by;
        let content = of_bytes(bytes, &changed);
        prop_assert!(!content.places.is_empty());
        prop_assert_eq!((content.first_offset, content.differing), (at as u64, 1));
        if let Some((way, _)) = parts.iter().find(|(_, range)| range.contains(&at)) {
            prop_assert!(leads(&content.places, way), "{at}: {way:?}: {:#?}", content.places);
            // Nothing that did not change is told.
            for (other, _) in parts.iter().filter(|(other, _)| other != way) {
                prop_assert!(!leads(&content.places, other), "{at}: {other:?}: {:#?}", content.places);
            }
        }
    }

    /// Two bytes in two parts: both are found.
    #[test]
    fn one_difference_does_not_hide_another(
        pick in prop::sample::subsequence((0..5_usize).collect::<Vec<_>>(), 2),
        at: (prop::sample::Index, prop::sample::Index),
    ) {
        let Nested { bytes, parts } = nested();
        let mut changed = bytes.clone();
        for (part, at) in pick.iter().zip([at.0, at.1]) {
            let range = &parts[*part].1;
            changed[range.start + at.index(range.len())] ^= 0x11;
        }
        let content = of_bytes(bytes, &changed);
        for part in pick {
            prop_assert!(leads(&content.places, parts[part].0), "{:?}: {:#?}", parts[part].0, content.places);
        }
    }

    /// Packed files: a byte of the content is found in it, a byte of what is packed is found at all.
    #[test]
    fn a_byte_behind_any_packing_is_found(
        packing in 0..5_usize,
        at: prop::sample::Index,
        by in 1_u8..,
        within: bool,
    ) {
        let Nested { bytes, parts } = nested();
        let zipping = |content: &[u8]| zip(&[zipped("m", content)], "");
        let pack = [gzip as Compress, xz, zstd, bzip2, zipping][packing];
        let packed = pack(bytes);
        if !within {
            let mut changed = packed.clone();
            changed[at.index(packed.len())] ^= by;
            prop_assert!(!of_bytes(&packed, &changed).places.is_empty());
            return Ok(());
        }
        let at = at.index(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= by;
        let content = of_bytes(&packed, &pack(&changed));
        let inner = content.places.iter().find(|place| !place.parts().0.is_empty());
        prop_assert!(inner.is_some(), "{:#?}", content.places);
        if let Some((way, _)) = parts.iter().find(|(_, range)| range.contains(&at)) {
            prop_assert!(leads(inner.unwrap().parts().0, way), "{at}: {way:?}: {:#?}", content.places);
        }
    }

    #[test]
    fn garbage_that_claims_to_be_something_does_no_harm(magic in 0..10_usize, a: Vec<u8>, b: Vec<u8>) {
        prop_assume!(a != b);
        let tar = Archive::new().file("f", b"x").0;
        let magics: [&[u8]; 10] = [
            b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"070701", &tar, b"\x89PNG\r\n\x1a\n",
            b"\xde\x12\x04\x95", b"\xa7\x0d\r\n\0\0\0\0\0\0\0\0\0\0\0\0c", b"\xff\xfe",
        ];
        let end = if magic == 3 { &b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x10\0\0\0\0\0\0\0\0\0"[..] } else { b"" };
        let of = |bytes: &[u8]| [magics[magic], bytes, end].concat();
        prop_assert!(!of_bytes(&of(&a), &of(&b)).places.is_empty());
    }
}

fn with(limits: &Limits, a: &[u8], b: &[u8]) -> Content {
    let pair = Pair::new();
    pair.write("f", a, b);
    let mut found =
        compare(&pair.a, &Tree::scan(&pair.a).unwrap(), &pair.b, &Tree::scan(&pair.b).unwrap(), limits).unwrap();
    match found.remove(0).what {
        parton::compare::What::Content(content) => content,
        other => panic!("{other:?}"),
    }
}

/// Everything that is said not to have been looked at.
fn unseen(places: &[Place]) -> Vec<String> {
    let each = |place: &Place| match place {
        Place::Unseen { why } => vec![why.to_string()],
        place => unseen(place.parts().0),
    };
    places.iter().flat_map(each).collect()
}

#[test]
fn depth_has_an_end_that_is_said() {
    let deep = |text: &[u8]| (0..40).fold(text.to_vec(), |inner, _| Archive::new().file("f", &inner).end());
    let (a, b) = (deep(b"one\n"), deep(b"two\n"));
    let content = with(&Limits::default(), &a, &b);
    assert_eq!(unseen(&content.places), ["not looked into as tar: it lies deeper than the limit of 12"]);
    assert!(leads(&content.places, &["f"; 12]) && !leads(&content.places, &["f"; 13]));
    let deeper = with(&Limits { depth: 64, ..Limits::default() }, &a, &b);
    assert!(leads(&deeper.places, &["f"; 40]) && unseen(&deeper.places).is_empty());
    // Packing within packing counts too.
    let deep = |text: &[u8]| (0..40).fold(text.to_vec(), |inner, _| gzip(&inner));
    let content = with(&Limits::default(), &deep(b"one\n"), &deep(b"two\n"));
    assert_eq!(unseen(&content.places), ["not looked into as gzip: it lies deeper than the limit of 12"]);
}

#[test]
fn bombs_have_an_end_that_is_said() {
    let bomb = |end: u8| gzip(&gzip(&[&vec![0; 40 << 20][..], &[end]].concat()));
    let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
    let content = with(&limits, &bomb(1), &bomb(2));
    assert_eq!(
        unseen(&content.places),
        ["both: the limit on unpacked bytes is passed; what comes behind was not looked at"]
    );
    assert!(unseen(&with(&Limits::default(), &bomb(1), &bomb(2)).places).is_empty());
    // In members of archives as well, of which each is small.
    let members = |end: u8| {
        let bytes = [&vec![0; 600 << 10][..], &[end]].concat();
        zip(&[zipped("a", &bytes), zipped("b", &bytes)], "")
    };
    let content = with(&limits, &members(1), &members(2));
    assert!(leads(&content.places, &["a"]), "{:#?}", content.places);
    assert_eq!(unseen(&content.places).len(), 1, "{:#?}", content.places);
}

#[test]
fn what_is_damaged_is_said() {
    let text = |last: &str| format!("{}{last}\n", "some text\n".repeat(5000)).into_bytes();
    for (compress, format) in [(gzip as Compress, "gzip"), (xz, "xz"), (zstd, "zstd"), (bzip2, "bzip2")] {
        let (a, mut b) = (compress(&text("one")), compress(&text("two")));
        b.truncate(b.len() - 6);
        let content = of_bytes(&a, &b);
        let said = unseen(&content.places);
        assert!(said.len() == 1 && said[0].starts_with("the second: damaged ("), "{format}: {said:?}");
        assert!(content.places.len() > 1, "{format}: what differs is told too: {:#?}", content.places);
    }
}

/// A decoder of xz is asked for as large a dictionary as the file wishes; ours has a limit, and its refusal is an answer.
#[test]
fn a_dictionary_larger_than_the_limit_is_refused_and_said() {
    let mut a = xz(b"one one one one\n");
    // The size of the dictionary in the block header, and the header's checksum.
    assert_eq!(a[12..15], [2, 0, 0x21]);
    a[16] = 39;
    let sum = super::build::crc32(&a[12..20]);
    a[20..24].copy_from_slice(&sum.to_le_bytes());
    let mut b = a.clone();
    *b.last_mut().unwrap() ^= 1;
    let content = of_bytes(&a, &b);
    assert!(!unseen(&content.places).is_empty(), "{:#?}", content.places);
}

#[test]
fn tables_larger_than_the_limit_are_said_not_to_be_read() {
    let limits = Limits { table: 1000, ..Limits::default() };
    let pixels: Vec<u8> = (0..200_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    let mut other = pixels.clone();
    other[399] ^= 1;
    let content = with(&limits, &png(&pixels, 0, &[]), &png(&other, 0, &[]));
    assert_eq!(unseen(&content.places).len(), 1, "{:#?}", content.places);
    assert!(content.places.len() > 1, "{:#?}", content.places);
    let long = "x".repeat(2000);
    let content = with(&limits, &mo(&[("a", &long)], 0), &mo(&[("a", &(long.clone() + "y"))], 0));
    assert_eq!(unseen(&content.places).len(), 1);
    let places = (0..50).map(|n| format!("{n}\n")).collect::<String>();
    let content =
        with(&Limits { places: 3, ..Limits::default() }, places.as_bytes(), places.replace('\n', "!\n").as_bytes());
    assert_eq!((content.places.len(), content.more), (3, true));
}

/// Entries of a hostile directory may all be the same bytes; what they come to is counted.
#[test]
fn members_that_overlap_are_not_compared_without_end() {
    let content = vec![0_u8; 1 << 20];
    let one = super::build::Zipped { level: 0, ..zipped("m", &content) };
    let mut bytes = zip(&[one], "");
    let end = bytes.len() - 22;
    let start = (1 << 20) + 30 + 1;
    let entry = bytes[start..end].to_vec();
    let count = 60_000_u16;
    let mut many: Vec<u8> = bytes[..start].to_vec();
    for _ in 0..count {
        many.extend_from_slice(&entry);
    }
    let size = (many.len() - start) as u32;
    let mut tail = bytes.split_off(end);
    tail[8..10].copy_from_slice(&count.to_le_bytes());
    tail[10..12].copy_from_slice(&count.to_le_bytes());
    tail[12..16].copy_from_slice(&size.to_le_bytes());
    many.extend_from_slice(&tail);
    let mut other = many.clone();
    other[40] = 1;
    let limits = Limits { unpacked: 8 << 20, places: 100_000, ..Limits::default() };
    let found = with(&limits, &many, &other);
    assert!(unseen(&found.places).iter().any(|why| why.contains("they overlap")), "{}", found.places.len());
}
