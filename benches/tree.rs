//! The room `tree` beside the tools it is measured against: ratios of one run, not seconds.
//!
//! `cargo bench --bench tree`. For a real archive: `PARTON_BENCH_ARCHIVE=….tar.gz cargo bench --bench tree`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use parton::tree::{Tree, Unpack, remove_all, unpack};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something like a source release: 3,000 files of text in 60 directories, and a few large ones.
fn sources(dir: &Path) {
    let words = ["static", "int", "return", "struct", "const", "if", "(", ")", "{", "}", ";", "\n", "0x1f", "buffer"];
    let mut seed = 1_u32;
    let mut text = |length: usize| {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(words[(seed >> 24) as usize % words.len()]);
            text.push(' ');
        }
        text
    };
    for at in 0..3000_usize {
        let parent = dir.join(format!("p-1/d{}", at % 60));
        fs::create_dir_all(&parent).unwrap();
        fs::write(parent.join(format!("file{at}.c")), text(500 + at * 7919 % 20_000)).unwrap();
    }
    for at in 0..4 {
        fs::write(dir.join(format!("p-1/large{at}")), text(4 << 20)).unwrap();
    }
}

fn run(command: &mut Command) {
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
}

#[expect(clippy::disallowed_methods, reason = "a bench is started by hand; nothing it does depends on this")]
fn given() -> Option<PathBuf> {
    std::env::var_os("PARTON_BENCH_ARCHIVE").map(PathBuf::from)
}

fn tree(c: &mut Criterion) {
    let temp = tempfile::tempdir().unwrap();
    let archive = given().unwrap_or_else(|| {
        let archive = temp.path().join("p.tar.gz");
        sources(&temp.path().join("made"));
        run(Command::new("tar").arg("czf").arg(&archive).arg("-C").arg(temp.path().join("made")).arg("p-1"));
        archive
    });
    let fresh = || {
        let dest = temp.path().join("dest");
        remove_all(&dest).unwrap();
        fs::create_dir(&dest).unwrap();
        dest
    };

    let mut group = c.benchmark_group("unpack");
    group.sample_size(10);
    group.bench_function("parton", |b| {
        let one = |dest: PathBuf| unpack(fs::File::open(&archive).unwrap(), &dest, &Unpack::source(1), None).unwrap();
        b.iter_batched(fresh, one, BatchSize::PerIteration);
    });
    group.bench_function("tar", |b| {
        let one = |dest: PathBuf| run(Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(dest));
        b.iter_batched(fresh, one, BatchSize::PerIteration);
    });
    group.finish();

    let dir = fresh();
    unpack(fs::File::open(&archive).unwrap(), &dir, &Unpack::source(1), None).unwrap();
    let scanned = Tree::scan(&dir).unwrap();
    let mut group = c.benchmark_group("scan");
    group.sample_size(20).throughput(Throughput::Bytes(scanned.facts().bytes));
    group.bench_function("parton", |b| b.iter(|| Tree::scan(&dir).unwrap().digest()));
    for (name, command) in [
        ("b3sum", "find . -type f -print0 | xargs -0 -n 100000 b3sum"),
        ("sha256sum", "find . -type f -print0 | xargs -0 -n 100000 sha256sum"),
        ("git hash-object", "find . -type f | git hash-object --stdin-paths"),
    ] {
        // What is not installed is not measured, and its line is missing.
        let tool = name.split(' ').next().unwrap_or(name);
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok();
        if found {
            let one = || run(Command::new("sh").arg("-c").arg(command).current_dir(&dir));
            group.bench_function(name, |b| b.iter(one));
        }
    }
    group.finish();
    c.bench_function("digest", |b| b.iter(|| scanned.digest()));
}

criterion_group!(benches, tree);
criterion_main!(benches);
