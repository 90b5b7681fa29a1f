//! Names: out of the destination, over each other, not printable, too long.

use super::{Case, OUTSIDE, made, refused};
use crate::tree::archive::{Archive, Head, head, seal};

pub fn cases() -> Vec<Case> {
    let file = |name: &str| Archive::new().file(name, b"x").end();
    let pax = |name: &[u8]| Archive::new().pax(&[("path", name)]).file("x", b"").end();
    let long = |name: &[u8]| Archive::new().with(head(b'L', "././@LongLink"), name).file("x", b"").end();
    let mut prefixed = head(b'0', "x").block();
    prefixed[345..347].copy_from_slice(b"..");
    seal(&mut prefixed);
    let parent = |name: &str| format!("the name '{name}' is refused: the path contains '..'");
    let empty = |name: &str| format!("the name '{name}' is refused: the path is empty");
    let absolute = format!("{OUTSIDE}/x");
    let is_absolute = format!("the name '{absolute}' is refused: the path is absolute");
    let twice = "x: the archive has this member twice";
    let over = |first: Archive| first.file("x", b"second").end();
    let long_part = "d".repeat(300);
    let deep = "d/".repeat(500);
    let depth = format!("{deep}: the depth of a name is 500, more than the limit of 64");
    let length = |name: &str| format!("{name}: the length of a name is {}, more than the limit of 2048", name.len());
    let wide = "d/".repeat(30) + &"n".repeat(200);
    vec![
        refused("names/parent", file("../x"), &parent("../x")),
        refused("names/parent in the middle", file("a/../../x"), &parent("a/../../x")),
        refused("names/parent that stays inside", file("a/../x"), &parent("a/../x")),
        refused("names/parent at the end", file("a/.."), &parent("a/..")),
        refused("names/parent behind a dot", file("./../x"), &parent("./../x")),
        refused("names/parent as a directory", Archive::new().dir("../").end(), &parent("../")),
        refused("names/parent as a link", Archive::new().link("../l", "x").end(), &parent("../l")),
        refused("names/parent in a pax header", pax(b"../x"), &parent("../x")),
        refused("names/parent in a long name", long(b"../x\0"), &parent("../x")),
        refused("names/parent in the prefix", Archive::new().raw(&prefixed).end(), &parent("../x")),
        refused("names/absolute", file(&absolute), &is_absolute),
        refused("names/absolute in a pax header", pax(absolute.as_bytes()), &is_absolute),
        refused("names/absolute behind slashes", file("//x"), "the name '//x' is refused: the path is absolute"),
        refused("names/empty", file(""), &empty("")),
        refused("names/empty directory", Archive::new().dir("").end(), &empty("")),
        refused("names/a dot", file("."), &empty(".")),
        refused("names/a dot and a slash as a link", Archive::new().link("./", "x").end(), &empty("./")),
        made("names/the top directory", Archive::new().dir("./").file("./x", b"x").end(), &["x = 1"]),
        made("names/dots and slashes within", file("./a//./x"), &["a/", "a/x = 1"]),
        made("names/a slash behind a file", file_with_slash(), &["x/"]),
        refused(
            "names/a slash behind a file with content",
            file("x/"),
            "x/: a directory can not have 1 bytes of content",
        ),
        made("names/dots that are no parents", file(".../..x/x.."), &[".../", ".../..x/", ".../..x/x.. = 1"]),
        made("names/a backslash", file("..\\x"), &["..\\\\x = 1"]),
        made("names/bytes that are no text", Archive::new().file(b"\xff\xfe", b"x").end(), &["\\xff\\xfe = 1"]),
        made("names/control characters", file("\x1b[2Jx\n"), &["\\u{1b}[2Jx\\n = 1"]),
        refused(
            "names/control characters and a parent",
            file("\x1b[2J/../x"),
            "the name '\\u{1b}[2J/../x' is refused: the path contains '..'",
        ),
        made("names/written from right to left", file("a\u{202e}x"), &["a\\u{202e}x = 1"]),
        made(
            "names/differing in case only",
            Archive::new().file("a", b"1").file("A", b"22").end(),
            &["A = 2", "a = 1"],
        ),
        made(
            "names/two ways to write a letter",
            Archive::new().file("\u{e9}", b"").file("e\u{301}", b"").end(),
            &["e\u{301} = 0", "\u{e9} = 0"],
        ),
        made("names/a dash in front", file("--x"), &["--x = 1"]),
        made("names/like a device", file("nul"), &["nul = 1"]),
        made("names/something behind a NUL", nul_in_name(), &["x = 0"]),
        refused(
            "names/a NUL in a pax header",
            pax(b"a\0b"),
            "the extended header at '' is refused: a name is empty or contains a NUL byte",
        ),
        refused(
            "names/empty in a pax header",
            pax(b""),
            "the extended header at '' is refused: a name is empty or contains a NUL byte",
        ),
        refused(
            "names/a NUL in a long name",
            long(b"a\0b\0"),
            "the extended header at '' is refused: a long name is empty or goes on after its NUL",
        ),
        refused(
            "names/a long name of nothing",
            long(b"\0"),
            "the extended header at '' is refused: a long name is empty or goes on after its NUL",
        ),
        made("names/255 bytes", pax("n".repeat(255).as_bytes()), &[&format!("{} = 0", "n".repeat(255))]),
        refused(
            "names/300 bytes",
            pax(long_part.as_bytes()),
            &format!("the name '{long_part}' is refused: the path or one of its components is too long"),
        ),
        refused("names/5,000 bytes", pax("x/".repeat(2500).as_bytes()), &length(&"x/".repeat(2500))),
        refused("names/5,000 bytes in a long name", long("x/".repeat(2500).as_bytes()), &length(&"x/".repeat(2500))),
        refused("names/500 components", Archive::new().pax(&[("path", deep.as_bytes())]).dir("d").end(), &depth),
        refused(
            "names/many directories for one file",
            many_implied(&wide),
            "…: the number of files and directories is 10001, more than the limit of 10000",
        ),
        refused("names/twice", over(Archive::new().file("x", b"first")), twice),
        refused("names/twice, spelt differently", over(Archive::new().file("./x", b"first")), twice),
        refused("names/a file over a directory", over(Archive::new().dir("x")), twice),
        refused("names/a file over an implied directory", over(Archive::new().file("x/y", b"")), twice),
        refused(
            "names/a directory over a file",
            Archive::new().file("x", b"").dir("x/").end(),
            "x/: the archive has this member twice",
        ),
        refused("names/a link twice", Archive::new().link("x", "y").link("x", "y").end(), twice),
        made("names/a directory twice", Archive::new().file("d/f", b"").dir("d").dir("./d/").end(), &["d/", "d/f = 0"]),
        refused(
            "names/a file beneath a file",
            Archive::new().file("f", b"").file("f/x", b"").end(),
            "f/x: 'f' is a file, nothing can be beneath it",
        ),
    ]
}

/// Before POSIX this was the way to write a directory.
fn file_with_slash() -> Vec<u8> {
    Archive::new().file("x/", b"").end()
}

/// The name ends at the NUL; what is behind it says something else to whoever reads on.
fn nul_in_name() -> Vec<u8> {
    Archive::new().head(Head { name: b"x\0/../../y".to_vec(), ..head(b'0', "") }).end()
}

/// Each member implies thirty directories of its own.
fn many_implied(name: &str) -> Vec<u8> {
    let archive = (0..400).fold(Archive::new(), |archive, n| {
        let name = format!("{n}/{name}");
        archive.pax(&[("path", name.as_bytes())]).file("x", b"")
    });
    archive.end()
}
