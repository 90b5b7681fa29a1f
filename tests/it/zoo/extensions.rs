//! Extended headers that lie: pax records and GNU's long names, malformed, contradicting each other, or read by one reader
//! as something else than by another.

use super::{Case, made, refused};
use crate::tree::archive::{Archive, Head, head};

pub fn cases() -> Vec<Case> {
    let at = |what: &str| format!("the extended header at '' is refused: {what}");
    let of = |archive: Archive| archive.file("x", b"").end();
    let raw = |records: &[u8]| of(Archive::new().with(head(b'x', "pax"), records));
    let form = at("a record is not of the form 'length key=value'");
    let malformed: [(&str, &[u8]); 12] = [
        ("no record", b"nonsense"),
        ("a length that is too short", b"8 path=x\n"),
        ("a length that is too long", b"99 path=x\n"),
        ("a length of nothing", b"0 path=x\n"),
        ("a length and nothing else", b"3 \n"),
        ("a negative length", b"-9 path=x\n"),
        ("no line end", b"10 path=xx"),
        ("no equals sign", b"10 pathhxx\n"),
        ("a length of twenty digits", b"99999999999999999999 path=x\n"),
        ("a size that is no number", b"12 size=1e3\n\n"),
        ("a negative size", b"12 size=-10\n"),
        ("a time that is none", b"15 mtime=noon\n\n"),
    ];
    let mut cases: Vec<Case> =
        malformed.iter().map(|(name, records)| refused(&format!("extensions/{name}"), raw(records), &form)).collect();

    let pax = |records: &[(&str, &[u8])]| Archive::new().pax(records);
    let long = |name: &[u8]| Archive::new().with(head(b'L', "././@LongLink"), name);
    let target = |name: &[u8]| Archive::new().with(head(b'K', "././@LongLink"), name);
    let twice = at("it states one thing twice");
    let second = at("it names the member a second time");
    let nobody = at("it belongs to no member");
    let global = |records: &[(&str, &[u8])]| of(Archive::new().extended(b'g', records));
    let same = at("a global header gives every member the same name or size");
    let giant = |kind: u8| Archive::new().head(Head { size: 1 << 30, ..head(kind, "giant") }).end();
    let too_large =
        |limit: &str| format!(": the size of an extended header is 1073741824, more than the limit of {limit}");
    let size = |size: &[u8]| pax(&[("size", size)]).file("x", b"hides what follows").end();
    cases.extend([
        refused("extensions/a name twice", of(pax(&[("path", b"a"), ("path", b"b")])), &twice),
        refused(
            "extensions/two pax headers",
            of(pax(&[("path", b"a")]).pax(&[("path", b"b")])),
            &at("two pax headers before one member"),
        ),
        refused("extensions/two long names", of(long(b"a\0").with(head(b'L', "l"), b"b\0")), &second),
        refused("extensions/a long name, then a pax name", of(long(b"a\0").pax(&[("path", b"b")])), &twice),
        refused(
            "extensions/a pax name, then a long name",
            of(pax(&[("path", b"b")]).with(head(b'L', "l"), b"a\0")),
            &second,
        ),
        refused(
            "extensions/two long targets",
            of(target(b"a\0").with(head(b'K', "k"), b"b\0")),
            &at("it names the target of the link a second time"),
        ),
        refused("extensions/a pax header of no member", pax(&[("path", b"a")]).end(), &nobody),
        refused("extensions/a long name of no member", long(b"a\0").end(), &nobody),
        refused("extensions/a name for all members", global(&[("path", b"a")]), &same),
        refused("extensions/a target for all members", global(&[("linkpath", b"a")]), &same),
        refused("extensions/a size for all members", global(&[("size", b"9")]), &same),
        refused(
            "extensions/a global header within a member's own",
            of(pax(&[("path", b"a")]).extended(b'g', &[("comment", b"x")])),
            &at("a global header parts a member from its own"),
        ),
        refused("extensions/a pax header of a gibibyte", giant(b'x'), &too_large("1048576")),
        refused("extensions/a global header of a gibibyte", giant(b'g'), &too_large("1048576")),
        refused("extensions/a long name of a gibibyte", giant(b'L'), &too_large("8192")),
        refused("extensions/a long target of a gibibyte", giant(b'K'), &too_large("8192")),
        // Readers that believe the one size find other members than readers that believe the other (RUSTSEC-2026-0067,
        // RUSTSEC-2026-0068, and the like in other languages).
        refused(
            "extensions/a size larger than the plain one",
            size(b"1024"),
            "x: the extended header says 1024 bytes, the plain one 18",
        ),
        refused("extensions/a size of nothing", size(b"0"), "x: the extended header says 0 bytes, the plain one 18"),
        refused(
            "extensions/a size of a terabyte",
            pax(&[("size", b"1099511627776")]).file("x", b"").end(),
            "x: the size of a file is 1099511627776, more than the limit of 4294967296",
        ),
        refused(
            "extensions/a size that hides an archive",
            hidden_archive(),
            "x: the extended header says 2048 bytes, the plain one 0",
        ),
        // Some readers take the size for that of the long name in between (GHSA-3cv2-h65g-fgmm).
        refused(
            "extensions/a size, then a long name",
            pax(&[("size", b"1024")])
                .with(head(b'L', "././@LongLink"), b"long\0")
                .with(head(b'0', "x"), &[b'c'; 1024])
                .end(),
            &at("a size in a pax header and a long name before one member"),
        ),
        refused(
            "extensions/a long target, then a size",
            target(b"t\0").pax(&[("size", b"0")]).link("l", "x").end(),
            &at("a size in a pax header and a long name before one member"),
        ),
        made("extensions/a size that agrees", size(b"18"), &["x = 18"]),
        made(
            "extensions/a comment for all members",
            global(&[("comment", b"0123456789abcdef0123456789abcdef01234567")]),
            &["x = 0"],
        ),
        made("extensions/a name and a time", of(pax(&[("path", b"d/a"), ("mtime", b"-1.5")])), &["d/", "d/a = 0"]),
        made("extensions/a long name", of(long(b"d/long\0")), &["d/", "d/long = 0"]),
        made("extensions/an unknown record", of(pax(&[("VENDOR.key", b"\0\xff")])), &["x = 0"]),
        made("extensions/an empty pax header", of(Archive::new().with(head(b'x', "pax"), b"")), &["x = 0"]),
        made(
            "extensions/names in no known characters",
            of(pax(&[("hdrcharset", b"BINARY"), ("path", b"\xff")])),
            &["\\xff = 0"],
        ),
    ]);
    cases
}

/// To whoever believes the plain size, the content of the first member is a member itself.
fn hidden_archive() -> Vec<u8> {
    let hidden = Archive::new().file("hidden", b"seen by some").end();
    Archive::new().pax(&[("size", b"2048")]).file("x", b"").content(&hidden[..1024]).file("y", b"").end()
}
