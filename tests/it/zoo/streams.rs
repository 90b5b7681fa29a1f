//! Compressed archives: cut short, damaged, in several streams, nested, and bombs.

use super::{Case, lazy, made, plain, refused};
use crate::tree::archive::{Archive, COMPRESSIONS, gzip, xz, zstd};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (format, compress) in COMPRESSIONS {
        let name = |what: &str| format!("streams/{format}, {what}");
        let whole = compress(&plain());
        let early = format!("the {format} data ends early");
        let corrupt = format!("the {format} data is corrupt: …");
        let plain = plain();
        let (one, two) = plain.split_at(700);
        let damaged = |at: usize| {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            damaged
        };
        let behind = match format {
            "gzip" => "something that is not gzip data follows its end".to_owned(),
            "bzip2" => "something that is not bzip2 data follows its end".to_owned(),
            // These decoders can not tell garbage from a damaged next stream.
            _ => corrupt.clone(),
        };
        cases.extend([
            made(&name("honest"), whole.clone(), &["x = 7"]),
            made(&name("in two streams"), [compress(one), compress(two)].concat(), &["x = 7"]),
            made(&name("an empty stream first"), [compress(b""), whole.clone()].concat(), &["x = 7"]),
            // An archive within two layers is not looked for: what is in the outer one is no archive.
            refused(&name("in itself"), compress(&whole), "the tar data ends early"),
            refused(&name("cut in the middle"), whole[..whole.len() / 2].to_vec(), &early),
            refused(&name("cut before its last byte"), whole[..whole.len() - 1].to_vec(), &early),
            refused(&name("only its first bytes"), whole[..7].to_vec(), &early),
            refused(&name("something behind"), [&whole[..], b"garbage!"].concat(), &behind),
            refused(&name("nothing in it"), compress(b""), "the tar data ends early"),
            lazy(
                &name("a bomb"),
                move || compress(&Archive::new().file("x", &vec![0; 80 << 20]).end()),
                "…: more than 200 for one",
            ),
        ]);
        // The checksum of the content; in xz that is before the index, in the others at the end.
        let checksum = if format == "xz" { whole.len() - 40 } else { whole.len() - 3 };
        cases.push(refused(&name("its checksum damaged"), damaged(checksum), &corrupt));
    }
    let mut reserved = gzip(&plain());
    reserved[3] |= 0xe0;
    let mut method = gzip(&plain());
    method[2] = 7;
    let mut length = gzip(&plain());
    let at = length.len() - 1;
    length[at] ^= 1;
    let mut skipped = b"\x50\x2a\x4d\x18\x04\0\0\0skip".to_vec();
    skipped.extend(zstd(&plain()));
    cases.extend([
        refused("streams/gzip, reserved flags", reserved, "the gzip data is corrupt: …"),
        refused("streams/gzip, an unknown method", method, "the gzip data is corrupt: …"),
        refused("streams/gzip, a wrong length", length, "the gzip data is corrupt: …"),
        made("streams/gzip, zeros behind", [gzip(&plain()), vec![0; 600]].concat(), &["x = 7"]),
        refused("streams/gzip, ten thousand empty streams", gzip(b"").repeat(10_000), "the tar data ends early"),
        lazy(
            "streams/gzip, a bomb behind the end",
            || gzip(&[plain(), vec![0; 80 << 20]].concat()),
            "…: more than 200 for one",
        ),
        refused("streams/xz, a dictionary of 4 GiB", xz_dictionary(40), "the xz data is corrupt: …"),
        refused("streams/xz, a dictionary of 1 GiB", xz_dictionary(36), "the xz data is corrupt: …"),
        refused("streams/xz, an unknown filter", xz_filter(&[0x7f, 0]), "the xz data is corrupt: …"),
        refused(
            "streams/xz, LZMA2 before another filter",
            xz_filter(&[0x21, 1, 0x16, 3, 1, 0]),
            "the xz data is corrupt: …",
        ),
        refused("streams/zstd, a window of 2 GiB", zstd_window(0xa8), "the zstd data is corrupt: …"),
        refused("streams/zstd, a window of terabytes", zstd_window(0xff), "the zstd data is corrupt: …"),
        refused("streams/zstd, a dictionary that nobody has", zstd_dictionary(), "the zstd data is corrupt: …"),
        refused("streams/zstd, a frame to be skipped first", skipped, "the tar data ends early"),
    ]);
    cases
}

/// The first block's header with other filters, its checksum right.
fn xz_filter(filter: &[u8]) -> Vec<u8> {
    let mut stream = xz(&plain());
    let size = (usize::from(stream[12]) + 1) * 4;
    let count = if filter.len() > 2 { 1 } else { 0 };
    let mut header = vec![0; size.max(filter.len() + 8).next_multiple_of(4)];
    header[0] = (header.len() / 4 - 1) as u8;
    header[1] = count;
    header[2..2 + filter.len()].copy_from_slice(filter);
    let end = header.len() - 4;
    let checksum = crc32(&header[..end]);
    header[end..].copy_from_slice(&checksum.to_le_bytes());
    stream.splice(12..12 + size, header);
    stream
}

fn xz_dictionary(size: u8) -> Vec<u8> {
    xz_filter(&[0x21, 1, size])
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// A frame whose header asks for a window of this size; one raw block in it.
fn zstd_window(window: u8) -> Vec<u8> {
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, window][..], &[1 | 8, 0, 0, b'x']].concat()
}

fn zstd_dictionary() -> Vec<u8> {
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x23, 0x39, 0x05, 0, 0, 1][..], &[1 | 8, 0, 0, b'x']].concat()
}
