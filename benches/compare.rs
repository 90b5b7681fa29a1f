//! The room `compare`: two trees with a few differences in many kinds of files.
//!
//! `cargo bench --bench compare`. Beside diffoscope, on real pairs: `ci/bench-diff`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use parton::compare::{Limits, compare};
use parton::tree::Tree;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// 600 texts, some in archives that are packed; `tag` is in every tenth.
fn fill(dir: &Path, tag: &str) {
    let text = |at: usize| {
        let mark = if at.is_multiple_of(10) { tag } else { "same" };
        let line = |line| format!("line {line} of file {at}\n");
        let (before, after): (String, String) = ((0..200).map(line).collect(), (200..400).map(line).collect());
        format!("{before}built {mark}\n{after}")
    };
    for at in 0..500 {
        fs::write(dir.join(format!("text{at}")), text(at)).unwrap();
    }
    for archive in 0..5 {
        let mut cpio = Vec::new();
        for at in 0..20 {
            let content = text(at);
            let name = format!("m{at:03}\0");
            cpio.extend_from_slice(b"070701");
            for number in [0, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len(), 0] {
                cpio.extend_from_slice(format!("{number:08X}").as_bytes());
            }
            cpio.extend_from_slice(name.as_bytes());
            cpio.resize(cpio.len().next_multiple_of(4), 0);
            cpio.extend_from_slice(content.as_bytes());
            cpio.resize(cpio.len().next_multiple_of(4), 0);
        }
        let file = fs::File::create(dir.join(format!("archive{archive}.gz"))).unwrap();
        let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::new(6));
        out.write_all(&cpio).unwrap();
        out.finish().unwrap();
    }
}

fn trees(c: &mut Criterion) {
    let temp = tempfile::tempdir().unwrap();
    let (a, b) = (temp.path().join("a"), temp.path().join("b"));
    for (dir, tag) in [(&a, "one"), (&b, "two")] {
        fs::create_dir(dir).unwrap();
        fill(dir, tag);
    }
    let (x, y) = (Tree::scan(&a).unwrap(), Tree::scan(&b).unwrap());
    let limits = Limits::default();
    assert_eq!(compare(&a, &x, &b, &y, &limits).unwrap().len(), 55);
    c.bench_function("compare 500 texts and 5 packed archives", |bench| {
        bench.iter(|| compare(&a, &x, &b, &y, &limits).unwrap())
    });
}

criterion_group!(benches, trees);
criterion_main!(benches);
