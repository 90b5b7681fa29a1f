//! Links, and what is written, linked or made through them.

use super::{Case, OUTSIDE, made, refused};
use crate::tree::archive::{Archive, head};

pub fn cases() -> Vec<Case> {
    let link = |name: &str, target: &str| Archive::new().link(name, target).end();
    let out = |name: &str, target: &str| format!("{name}: the link to '{target}' leads out of the tree");
    let through =
        |member: &str, link: &str| format!("{member}: '{link}' is a symbolic link, nothing can be beneath it");
    let hard = |target: &str| Archive::new().file("f", b"").dir("d").link("l", "f").hard("h", target).end();
    let no = |target: &str, what: &str| format!("h: a hard link to '{target}', which is {what}");
    let earlier = "not an earlier member";
    let twice = |name: &str| format!("{name}: the archive has this member twice");
    let outside = |name: &str| format!("{OUTSIDE}/{name}");
    let overlong = "x/".repeat(2100);
    let pax_target = |target: &[u8]| Archive::new().pax(&[("linkpath", target)]).link("l", "x").end();
    let chain = Archive::new().dir("a").dir("a/b").link("a/b/up", "../..").link("l", "a/b/up/../x").end();
    let hops = (0..60).fold(Archive::new(), |archive, n| archive.link(format!("l{n}"), format!("l{}", n + 1)));
    let long_target = Archive::new().with(head(b'K', "././@LongLink"), b"../../x\0").link("l", "ignored").end();
    vec![
        refused("links/to an absolute place", link("l", &outside("file")), &out("l", &outside("file"))),
        refused("links/to the parent", link("l", "../x"), &out("l", "../x")),
        refused("links/to the parent itself", link("l", ".."), &out("l", "..")),
        refused("links/to beyond the top from below", link("a/b/l", "../../../x"), &out("a/b/l", "../../../x")),
        refused("links/down and up", link("l", "a/../../x"), &out("l", "a/../../x")),
        refused("links/out through another link", chain, &out("l", "a/b/up/../x")),
        refused(
            "links/out through a link that comes later",
            Archive::new().link("l", "d/../x").dir("e/f").link("d", ".").end(),
            &out("l", "d/../x"),
        ),
        refused("links/a long target that leads out", long_target, &out("l", "../../x")),
        refused("links/to nothing", link("l", ""), "l: the target of the link is empty"),
        refused(
            "links/a target longer than the kernel takes",
            pax_target(overlong.as_bytes()),
            "l: the target of the link is longer than the kernel takes",
        ),
        refused(
            "links/a NUL in the target",
            pax_target(b"x\0y"),
            "the extended header at '' is refused: a name is empty or contains a NUL byte",
        ),
        made("links/to itself", link("l", "l"), &["l -> l"]),
        made("links/to what is not there", link("l", "not/there"), &["l -> not/there"]),
        made(
            "links/up and inside",
            Archive::new().dir("b").link("a/l", "../b/./c").end(),
            &["a/", "a/l -> ../b/./c", "b/"],
        ),
        made(
            "links/a chain of sixty",
            hops.end(),
            &{
                let mut lines: Vec<String> = (0..60).map(|n| format!("l{n} -> l{}", n + 1)).collect();
                lines.sort();
                lines
            }
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ),
        refused(
            "links/written through, out",
            Archive::new().link("d", "../beside").file("d/file", b"changed").end(),
            &through("d/file", "d"),
        ),
        refused(
            "links/written through, absolute",
            Archive::new().link("d", OUTSIDE).file("d/file", b"changed").end(),
            &out("d", OUTSIDE),
        ),
        refused(
            "links/written through, inside",
            Archive::new().dir("e").link("d", "e").file("d/x", b"").end(),
            &through("d/x", "d"),
        ),
        refused(
            "links/written through, far below",
            Archive::new().dir("e").link("d", "e").file("d/x/y/z", b"").end(),
            &through("d/x/y/z", "d"),
        ),
        refused(
            "links/written through two",
            Archive::new().link("a", ".").link("a/b", "..").file("a/b/file", b"changed").end(),
            &through("a/b", "a"),
        ),
        refused(
            "links/a directory made through one",
            Archive::new().link("d", "../beside").dir("d/new").end(),
            &through("d/new", "d"),
        ),
        refused(
            "links/a link made through one",
            Archive::new().link("d", "../beside").link("d/new", "x").end(),
            &through("d/new", "d"),
        ),
        refused(
            "links/a hard link made through one",
            Archive::new().file("f", b"").link("d", "../beside").hard("d/new", "f").end(),
            &through("d/new", "d"),
        ),
        refused(
            "links/a file over one",
            Archive::new().link("l", "../beside/file").file("l", b"changed").end(),
            &twice("l"),
        ),
        refused(
            "links/a directory over one, then a file in it",
            Archive::new().link("d", "../beside").dir("d").file("d/file", b"changed").end(),
            &twice("d"),
        ),
        refused(
            "links/a directory exchanged for one",
            Archive::new().dir("d").file("d/x", b"").link("d", "../beside").file("d/file", b"changed").end(),
            &twice("d"),
        ),
        refused(
            "links/a file exchanged for one",
            Archive::new().file("x", b"").link("x", "../beside/file").file("x", b"changed").end(),
            &twice("x"),
        ),
        refused(
            "links/hard, to the parent",
            hard("../beside/file"),
            "the name '../beside/file' is refused: the path contains '..'",
        ),
        refused(
            "links/hard, to an absolute place",
            hard(&outside("file")),
            &format!("the name '{OUTSIDE}/file' is refused: the path is absolute"),
        ),
        refused("links/hard, to a symbolic one", hard("l"), &no("l", "a symbolic link")),
        refused("links/hard, to a directory", hard("d"), &no("d", "a directory")),
        refused("links/hard, to what is not there", hard("nowhere"), &no("nowhere", earlier)),
        refused("links/hard, to itself", hard("h"), &no("h", earlier)),
        refused("links/hard, to nothing", hard(""), "the name '' is refused: the path is empty"),
        refused(
            "links/hard, to what comes later",
            Archive::new().hard("h", "f").file("f", b"").end(),
            &no("f", earlier),
        ),
        refused(
            "links/hard, through a symbolic one",
            Archive::new().link("l", "../beside").hard("h", "l/file").end(),
            &no("l/file", earlier),
        ),
        refused(
            "links/hard, to a symbolic one that leads out, then written",
            Archive::new().link("l", "../beside/file").hard("h", "l").file("h", b"changed").end(),
            &no("l", "a symbolic link"),
        ),
        refused(
            "links/hard, over a file",
            Archive::new().file("f", b"").file("g", b"").hard("g", "f").end(),
            &twice("g"),
        ),
        made("links/hard", hard("f"), &["d/", "f = 0", "h = 0", "l -> f"]),
    ]
}
