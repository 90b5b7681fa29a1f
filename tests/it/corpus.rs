//! Every file of the fuzzer's corpora, and every former crash among them, through the promises that the fuzzer checks.

#[path = "../fuzz/invariants/mod.rs"]
pub mod invariants;

use crate::fetch::openpgp::{Key, binary};
use crate::tree::archive::{COMPRESSIONS, Compress};
use invariants::openpgp::{SIGNED, TEXT};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

/// A day before the time that the invariants judge by.
const SIGNED_AT: u64 = 1_717_200_000 - 24 * 3600;

fn corpora() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus"))
}

/// Hands over each file of a target, by name so that a failure tells which it was.
#[expect(clippy::print_stdout, reason = "a test that fails shows what it printed")]
fn each(target: &str, check: impl Fn(&[u8])) {
    let mut names: Vec<_> =
        fs::read_dir(corpora().join(target)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert!(!names.is_empty(), "{target}");
    for name in names {
        println!("{}", name.display());
        check(&fs::read(corpora().join(target).join(name)).unwrap());
    }
}

/// A corpus that no test reads would rot.
#[test]
fn every_target_has_a_corpus_and_a_test() {
    let names = |dir: &Path, ending: &str| -> BTreeSet<String> {
        let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let fitting = all.filter(|path| path.is_dir() == ending.is_empty());
        fitting.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let targets = names(&corpora().with_file_name("targets"), "rs");
    assert_eq!(names(corpora(), ""), targets);
    let source = include_str!("corpus.rs");
    for target in targets {
        let read = [format!("each(\"{target}\""), format!("compressed(\"{target}\"")];
        assert!(read.iter().any(|call| source.contains(call)), "{target}");
    }
}

#[test]
fn tar() {
    each("tar", invariants::tar::check);
}

#[test]
fn deb() {
    each("deb", invariants::deb::check);
}

/// The other decoder is in these tests the ordinary one of the same library; the fuzzer asks other implementations.
fn compressed(target: &str, magic: &[u8], other: invariants::compressed::Other<'_>) {
    let compress: Compress = COMPRESSIONS.iter().find(|(name, _)| *name == target).unwrap().1;
    each(target, |bytes| match bytes.starts_with(magic) {
        true => invariants::compressed::check(bytes, other),
        false => invariants::compressed::check_honest(bytes, &compress),
    });
}

fn all(mut reader: impl Read) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).ok()?;
    Some(plain)
}

#[test]
fn gzip() {
    compressed("gzip", &[0x1f, 0x8b], &|bytes| all(flate2::bufread::MultiGzDecoder::new(bytes)));
}

#[test]
fn bzip2() {
    compressed("bzip2", b"BZh", &|bytes| all(bzip2::bufread::MultiBzDecoder::new(bytes)));
}

#[test]
fn xz() {
    compressed("xz", b"\xfd7zXZ\0", &|bytes| all(lzma_rust2::XzReader::new(bytes, true)));
}

#[test]
fn zstd() {
    compressed("zstd", &[0x28, 0xb5, 0x2f, 0xfd], &|bytes| all(zstd::stream::read::Decoder::with_buffer(bytes).ok()?));
}

#[test]
fn elf() {
    each("elf", |bytes| invariants::elf::check(bytes, &|_| None));
}

#[test]
fn compare() {
    each("compare", invariants::compare::check);
}

#[test]
fn spec() {
    each("spec", |bytes| invariants::spec::check(&String::from_utf8_lossy(bytes)));
}

#[test]
fn record() {
    each("record", invariants::record::check);
}

#[test]
fn path() {
    each("path", invariants::path::check);
}

#[test]
fn openpgp() {
    let (alice, mallory) = (Key::alice(), Key::mallory());
    let keys = invariants::openpgp::Keys {
        certificate: alice.certificate(),
        fingerprint: alice.fingerprint(),
        text: alice.clearsign(TEXT, SIGNED_AT),
        foreign: binary(&mallory.sign(SIGNED)),
    };
    each("openpgp", |bytes| invariants::openpgp::check(bytes, &keys));
}

#[test]
fn apt() {
    let alice = Key::alice();
    let sign = |text: &str| alice.clearsign(text, SIGNED_AT);
    let signer = invariants::apt::Signer { certificate: alice.certificate(), sign: &sign };
    each("apt", |bytes| invariants::apt::check(bytes, &signer));
}
