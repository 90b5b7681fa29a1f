//! Numbers and checksums that lie.

use super::{Case, made, refused};
use crate::tree::archive::{Archive, Head, head, seal};

pub fn cases() -> Vec<Case> {
    let giant = |size: u64| Archive::new().head(Head { size, ..head(b'0', "x") }).end();
    let larger = |size: u64| format!("x: the size of a file is {size}, more than the limit of 4294967296");
    let field = |from: usize, bytes: &[u8]| {
        let mut block = head(b'0', "x").block();
        block[from..from + bytes.len()].copy_from_slice(bytes);
        seal(&mut block);
        Archive::new().raw(&block).end()
    };
    let no_number = |field: &str| format!("x: the field '{field}' of its header is not a number");
    let size = |bytes: &[u8]| field(124, bytes);
    let mut wrong = head(b'0', "x").block();
    wrong[0] = b'y';
    let mut signed = head(b'0', b"\xff\xff\xff").block();
    signed[148..156].fill(b' ');
    let sum: i64 = signed.iter().map(|byte| i64::from(i8::from_ne_bytes([*byte]))).sum();
    signed[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let unknown = "neither a tar archive nor one compressed with gzip, bzip2, xz or zstd";
    vec![
        refused("numbers/a size of a terabyte", giant(1 << 40), &larger(1 << 40)),
        refused("numbers/a size of all bits", giant(u64::MAX), &larger(u64::MAX)),
        refused("numbers/a size of nine gibibytes in octal", size(b"77777777777\0"), &larger(0o777_7777_7777)),
        refused("numbers/a size beyond the end", giant(1 << 20), "the tar data ends early"),
        refused(
            "numbers/a size that swallows the next member",
            swallowing(),
            "the header after 'x' has a wrong checksum",
        ),
        refused("numbers/a negative size", size(&[0xff; 12]), &no_number("size")),
        refused(
            "numbers/a size of 95 bits",
            size(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            &no_number("size"),
        ),
        refused("numbers/a size with a letter", size(b"0000000000x\0"), &no_number("size")),
        refused("numbers/a size with an eight", size(b"00000000008\0"), &no_number("size")),
        refused("numbers/a size with a sign", size(b"-0000000001\0"), &no_number("size")),
        refused("numbers/a size with a gap", size(b"0000 000001\0"), &no_number("size")),
        made("numbers/a size of spaces", size(b"            "), &["x = 0"]),
        made("numbers/a small size in binary", binary_size(), &["x = 7"]),
        refused("numbers/a mode that is none", field(100, b"rwxr-xr\0"), &no_number("mode")),
        refused("numbers/a time that is none", field(136, b"yesterday12\0"), &no_number("mtime")),
        made("numbers/a time before 1970", field(136, &[0xff; 12]), &["x = 0"]),
        refused(
            "numbers/a time of 95 bits",
            field(136, b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            &no_number("mtime"),
        ),
        made("numbers/an owner that is none", field(108, b"nobody!\0"), &["x = 0"]),
        refused("numbers/a wrong checksum", Archive::new().raw(&wrong).end(), unknown),
        refused(
            "numbers/a wrong checksum later on",
            Archive::new().file("x", b"").raw(&wrong).end(),
            "the header after 'x' has a wrong checksum",
        ),
        refused("numbers/a checksum of signed bytes", Archive::new().raw(&signed).end(), unknown),
    ]
}

/// The size says two blocks more than there are: whoever believes it misses a member.
fn swallowing() -> Vec<u8> {
    let first = Head { size: 1024, ..head(b'0', "x") };
    Archive::new().head(first).content(&[b'c'; 512]).file("hidden", b"seen by some").end()
}

fn binary_size() -> Vec<u8> {
    let mut block = head(b'0', "x").block();
    block[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x07");
    seal(&mut block);
    Archive::new().raw(&block).content(b"content").end()
}
