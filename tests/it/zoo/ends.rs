//! Archives that end early, late or not at all, and bytes that are no archive.

use super::{Case, made, plain, refused};
use crate::tree::archive::{Archive, head};

pub fn cases() -> Vec<Case> {
    let good = plain();
    let early = "the tar data ends early";
    let unknown = "neither a tar archive nor one compressed with gzip, bzip2, xz or zstd";
    let trailing = "something that is not tar data follows its end";
    let page = [b"<!DOCTYPE html>".to_vec(), vec![b' '; 1000]].concat();
    let second = Archive::new().file("y", b"").end();
    let mut cases: Vec<Case> = [1, 100, 511, 512, 515, 600, 1024, 1500, 1536, 2000]
        .iter()
        .map(|length| refused(&format!("ends/cut at byte {length}"), good[..*length].to_vec(), early))
        .collect();
    let behind = |more: &[u8]| [&good[..], more].concat();
    cases.extend([
        refused("ends/nothing", Vec::new(), "the archive data ends early"),
        refused("ends/a web page", page, unknown),
        refused("ends/a short web page", b"<!DOCTYPE html><html><title>404</title>".to_vec(), early),
        refused("ends/a zip archive", [&b"PK\x03\x04"[..], &[0; 600]].concat(), unknown),
        refused("ends/text behind", behind(b"more"), trailing),
        refused("ends/two archives", behind(&second), trailing),
        refused("ends/a byte far behind", behind(&[&[0; 9000][..], b"!"].concat()), trailing),
        refused(
            "ends/one block of zeros, then a member",
            [&good[..1536], &head(b'0', "y").block(), &[0; 1024]].concat(),
            trailing,
        ),
        refused("ends/one block of zeros", good[..1536].to_vec(), early),
        made("ends/zeros behind", behind(&[0; 9000]), &["x = 7"]),
        made("ends/no member", vec![0; 1024], &[]),
        made("ends/padding that is not zeros", odd_padding(), &["x = 7"]),
    ]);
    cases
}

/// POSIX says nothing about what fills the last block of a content.
fn odd_padding() -> Vec<u8> {
    let mut archive = plain();
    archive[512 + 7..1024].fill(b'p');
    archive
}
