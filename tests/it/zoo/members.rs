//! Members that are no files, are sparse, or say they have content.

use super::{Case, made, refused};
use crate::tree::archive::{Archive, Head, head, seal};

pub fn cases() -> Vec<Case> {
    let of = |kind: u8| Archive::new().head(head(kind, "x")).end();
    let with = |head: Head| Archive::new().file("f", b"").with(head, b"content").end();
    let refusal = |what: &str| format!("x: a {what} in an archive is refused");
    let content = |what: &str| format!("x: a {what} can not have 7 bytes of content");
    let sparse = |key: &str, value: &[u8]| Archive::new().pax(&[(key, value)]).file("x", b"").end();
    let hole = ": a sparse file in an archive is refused";
    let setuid = Head { mode: 0o6755, ..head(b'0', "x") };
    vec![
        refused("members/a character device", of(b'3'), &refusal("character device")),
        refused("members/a block device", of(b'4'), &refusal("block device")),
        refused("members/a fifo", of(b'6'), &refusal("fifo")),
        refused("members/of a volume", of(b'V'), "x: members of type 'V' are unknown"),
        refused("members/the rest of one on another tape", of(b'M'), "x: members of type 'M' are unknown"),
        refused("members/a list of names", of(b'D'), "x: members of type 'D' are unknown"),
        refused("members/a Solaris header", of(b'X'), "x: members of type 'X' are unknown"),
        refused("members/an access list", of(b'A'), "x: members of type 'A' are unknown"),
        refused("members/of an unknown type", of(0xff), "x: members of type '\\xff' are unknown"),
        refused("members/a directory with content", with(head(b'5', "x")), &content("directory")),
        refused("members/a symbolic link with content", with(head(b'2', "x").to("f")), &content("symbolic link")),
        refused("members/a hard link with content", with(head(b'1', "x").to("f")), &content("hard link")),
        refused("members/a fifo with content", with(head(b'6', "x")), &refusal("fifo")),
        refused(
            "members/sparse, GNU's old form",
            gnu_sparse(&[(0, 512), (1024, 512)], 1024, 2048),
            &refusal("sparse file"),
        ),
        refused(
            "members/sparse, parts that overlap",
            gnu_sparse(&[(0, 1 << 30), (512, 1 << 30)], 1024, 2048),
            &refusal("sparse file"),
        ),
        refused(
            "members/sparse, of many terabytes",
            gnu_sparse(&[(0o777_7777_7000, 512)], 512, 0o777_7777_7777),
            &refusal("sparse file"),
        ),
        refused("members/sparse, pax 0.0", sparse("GNU.sparse.numblocks", b"1"), hole),
        refused("members/sparse, pax 0.1", sparse("GNU.sparse.map", b"0,512,1024,512"), hole),
        refused("members/sparse, pax 1.0", sparse("GNU.sparse.major", b"1"), hole),
        refused("members/sparse, pax with a name", sparse("GNU.sparse.name", b"../x"), hole),
        refused("members/sparse, with its real size", sparse("GNU.sparse.realsize", b"99999999999"), hole),
        refused("members/sparse, Schilling's", sparse("SCHILY.realsize", b"1024"), hole),
        refused("members/sparse, Sun's", sparse("SUN.holesdata", b" 0 0 1024 "), hole),
        made("members/set-user-id", Archive::new().with(setuid, b"#!").end(), &["x = 2"]),
        made("members/contiguous", Archive::new().with(head(b'7', "x"), b"7").end(), &["x = 1"]),
        made(
            "members/v7",
            Archive::new().head(Head { magic: b"", ..head(0, "x") }).head(Head { magic: b"", ..head(0, "d/") }).end(),
            &["d/", "x = 0"],
        ),
        made("members/GNU's magic, whose times are no prefix", Archive::new().raw(&gnu_with_times()).end(), &["x = 0"]),
        made(
            "members/attributes that a tree does not hold",
            Archive::new()
                .pax(&[("SCHILY.xattr.security.capability", b"\x01\0\0\x02"), ("SCHILY.acl.access", b"user::rwx")])
                .file("x", b"")
                .end(),
            &["x = 0"],
        ),
    ]
}

fn gnu_sparse(parts: &[(u64, u64)], size: u64, real: u64) -> Vec<u8> {
    let mut block = Head { size, magic: b"ustar  \0", ..head(b'S', "x") }.block();
    for (at, (offset, length)) in parts.iter().enumerate() {
        let start = 386 + at * 24;
        block[start..start + 11].copy_from_slice(format!("{offset:011o}").as_bytes());
        block[start + 12..start + 23].copy_from_slice(format!("{length:011o}").as_bytes());
    }
    block[483..494].copy_from_slice(format!("{real:011o}").as_bytes());
    seal(&mut block);
    Archive::new().raw(&block).content(&vec![b's'; size as usize]).end()
}

fn gnu_with_times() -> [u8; 512] {
    let mut block = Head { magic: b"ustar  \0", ..head(b'0', "x") }.block();
    block[345..356].copy_from_slice(b"12345670123");
    seal(&mut block);
    block
}
