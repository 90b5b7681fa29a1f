//! What is said about each format, to the letter.

use super::build::{Pyc, chunk, cpio, mo, png, zip, zipped};
use super::{Pair, of_bytes};
use crate::tree::archive::{Archive, COMPRESSIONS, ar, gzip, head, xz};
use parton::compare::{Difference, What};
use parton::report::diff::{Diff, text};

/// The outline of what differs between two files, without its first and last line.
pub fn told(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> String {
    let content = of_bytes(a.as_ref(), b.as_ref());
    let path = parton::base::RelPath::new("f").unwrap();
    let differences = vec![Difference { path, what: What::Content(content), notes: Vec::new() }];
    let outline = text(&Diff { a: "a".into(), b: "b".into(), equal: false, differences });
    let lines: Vec<&str> = outline.lines().collect();
    lines[1..lines.len() - 1].iter().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap())).collect()
}

#[test]
fn tar() {
    let with = |mode: u32, mtime: u64, content: &[u8]| {
        let mut member = head(b'0', "d/f");
        (member.mode, member.mtime) = (mode, mtime);
        Archive::new().dir("d").with(member, content).link("l", "x")
    };
    assert_eq!(
        told(with(0o644, 1_000_000_000, b"one\n").end(), with(0o755, 1_100_000_000, b"two\n").end()),
        "member d/f: header mode 644 → 755\n\
         member d/f: header mtime 1000000000 → 1100000000\n\
         member d/f\n  line 1: 'one' → 'two'\n"
    );
    let a = Archive::new().pax(&[("mtime", b"1.5"), ("path", b"long")]).file("short", b"x");
    let b = Archive::new().pax(&[("mtime", b"2.5"), ("path", b"long")]).file("short", b"x");
    assert_eq!(told(a.end(), b.end()), "member long: header pax mtime 1.5 → 2.5\n");
    let files = |names: &[&str]| names.iter().fold(Archive::new(), |all, name| all.file(name, b"x"));
    assert_eq!(
        told(files(&["a", "b", "c"]).end(), files(&["b", "a", "d"]).end()),
        "members in another order: a is number 0 → 1\nmember c: only in the first\nmember d: only in the second\n"
    );
    // Owners are what tools of this project do not write, and others do.
    let owned = |name: &[u8]| {
        let mut bytes = files(&["a"]).0;
        bytes[265..265 + name.len()].copy_from_slice(name);
        let mut block: [u8; 512] = bytes[..512].try_into().unwrap();
        crate::tree::archive::seal(&mut block);
        bytes[..512].copy_from_slice(&block);
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    };
    assert_eq!(told(owned(b"me"), owned(b"you")), "member a: header user me → you\n");
    let more_zeros = files(&["a"]).raw(&[0; 4096]).end();
    assert_eq!(told(files(&["a"]).end(), more_zeros), "tar header: zeros behind the archive 1024 → 5120\n");
    let behind = files(&["a"]).raw(&[0; 1024]).raw(b"hidden\n").0;
    let other = files(&["a"]).raw(&[0; 1024]).raw(b"hiding\n").0;
    assert_eq!(told(&behind, other), "behind the archive\n  line 1: 'hidden' → 'hiding'\n");
    let mut padded = files(&["a"]).end();
    padded[600] = 7;
    assert!(told(files(&["a"]).end(), padded).starts_with("member a: header padding 00000000"));
}

#[test]
fn cpio_archives_and_what_follows_them() {
    assert_eq!(
        told(cpio(&[("init", 7, b"one\n"), ("x", 1, b"")]), cpio(&[("init", 8, b"two\n"), ("x", 1, b"")])),
        "member init: header mtime 7 → 8\nmember init\n  line 1: 'one' → 'two'\n"
    );
    // An initial file system of Linux: a first archive, and a packed one behind it.
    let both = |text: &[u8]| [cpio(&[("early", 0, b"x")]), gzip(&cpio(&[("late", 0, text)]))].concat();
    assert_eq!(
        told(both(b"one\n"), both(b"two\n")),
        "behind the archive\n  unpacked\n    member late\n      line 1: 'one' → 'two'\n"
    );
}

#[test]
fn zip_archives() {
    let content: Vec<u8> = (0..3000_u32).flat_map(|n| (n * n % 1000).to_string().into_bytes()).collect();
    let member =
        |time, level, comment| zip(&[super::build::Zipped { time, level, comment, ..zipped("m", &content) }], "");
    assert_eq!(
        told(member(0x5821_6000, 6, ""), member(0x5822_6001, 6, "")),
        "member m: header mtime 2024-01-01 12:00:00 → 2024-01-02 12:00:02\n"
    );
    assert_eq!(told(member(0, 6, "x"), member(0, 6, "y")), "member m: header comment x → y\n");
    assert_eq!(told(member(0, 1, ""), member(0, 9, "")), "member m\n  the same content compressed to other bytes\n");
    assert_eq!(told(member(0, 0, ""), member(0, 9, "")), "member m: header method stored → deflate\n");
    assert_eq!(
        told(zip(&[zipped("m", b"x")], "one"), zip(&[zipped("m", b"x")], "two")),
        "zip header: comment one → two\n"
    );
    // A wheel in a jar, so to speak, behind a line that starts it.
    let nested = |text: &[u8]| {
        let inner = zip(&[zipped("deep", text)], "");
        [b"#!/usr/bin/python\n", &zip(&[zipped("inner.whl", &inner)], "")[..]].concat()
    };
    assert_eq!(
        told(nested(b"one\n"), nested(b"two\n")),
        "member inner.whl\n  member deep\n    line 1: 'one' → 'two'\n"
    );
    let prefixed = |line: &[u8]| [line, &zip(&[zipped("m", b"x")], "")[..]].concat();
    assert_eq!(
        told(prefixed(b"#!/bin/a\n"), prefixed(b"#!/bin/b\n")),
        "between members\n  line 1: '#!/bin/a' → '#!/bin/b'\n"
    );
}

#[test]
fn everything_compressed_is_looked_into() {
    for (format, compress) in COMPRESSIONS {
        let packed = |text: &[u8]| compress(&Archive::new().file("f", text).end());
        assert_eq!(
            told(packed(b"one\n"), packed(b"two\n")),
            "unpacked\n  member f\n    line 1: 'one' → 'two'\n",
            "{format}"
        );
    }
}

#[test]
fn the_same_content_packed_in_another_way() {
    let content: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n % 1000).to_string().into_bytes()).collect();
    let level = |level| zstd::encode_all(&content[..], level).unwrap();
    let (a, b) = (level(1), level(3));
    assert_eq!(told(&a, &b), format!("zstd header: window {:#04x} → {:#04x}\n", a[5], b[5]));
    let xz = |preset| {
        let mut out = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(preset)).unwrap();
        std::io::Write::write_all(&mut out, &content).unwrap();
        out.finish().unwrap()
    };
    // Of the properties of LZMA2 there is one: the size of the dictionary.
    assert!(told(xz(1), xz(6)).starts_with("xz header: filters 2101"));
    let bz = |level| {
        let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
        std::io::Write::write_all(&mut out, &content).unwrap();
        out.finish().unwrap()
    };
    assert_eq!(told(bz(1), bz(9)), "bzip2 header: block size 1 → 9\n");
    let mut slow = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(4));
    std::io::Write::write_all(&mut slow, &content).unwrap();
    assert_eq!(told(gzip(&content), slow.finish().unwrap()), "the same content compressed to other bytes\n");
}

#[test]
fn debian_packages() {
    let package = |control: &[u8], data: &[u8]| {
        let control = gzip(&Archive::new().file("./control", control).end());
        let data = xz(&Archive::new().file("./usr/share/doc/x", data).end());
        ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &control), ("data.tar.xz", &data)])
    };
    assert_eq!(
        told(package(b"Version: 1\n", b"built 1\n"), package(b"Version: 2\n", b"built 2\n")),
        "member control.tar.gz\n  unpacked\n    member ./control\n      line 1: 'Version: 1' → 'Version: 2'\n\
         member data.tar.xz\n  unpacked\n    member ./usr/share/doc/x\n      line 1: 'built 1' → 'built 2'\n"
    );
}

#[test]
fn translations() {
    let catalogue = |date: &str, text: &str, unused| {
        let header = format!("Content-Type: text/plain\nPOT-Creation-Date: {date}\n");
        mo(&[("", &header), ("hello", text), ("menu\u{4}open", "öffnen")], unused)
    };
    assert_eq!(
        told(catalogue("2024-01-01", "hallo", 0), catalogue("2025-01-01", "servus", 0)),
        "mo header: POT-Creation-Date 2024-01-01 → 2025-01-01\nentry 'hello': text hallo → servus\n"
    );
    let (a, b) = (mo(&[("a", "x"), ("b", "y")], 0), mo(&[("a", "x"), ("c", "y")], 0));
    assert_eq!(told(a, b), "entry 'b': only in the first\nentry 'c': only in the second\n");
    let (a, b) = (mo(&[("b", "y"), ("a", "x")], 0), mo(&[("a", "x"), ("b", "y")], 0));
    assert_eq!(told(a, b), "entries in another order: 'b' is number 0 → 1\n");
    assert_eq!(
        told(catalogue("1", "x", 0), catalogue("1", "x", 9)),
        "byte 0x4c: 000000000068656c6c6f006d656e7504 → 090909090068656c6c6f006d656e7504\n"
    );
}

#[test]
fn images() {
    let time = |year: u16| chunk(b"tIME", &[&year.to_be_bytes()[..], &[1, 2, 3, 4, 5]].concat());
    let text = |text: &str| chunk(b"tEXt", format!("Software\0{text}").as_bytes());
    let pixels: Vec<u8> = (0..240).collect();
    assert_eq!(
        told(png(&pixels, 6, &[time(2024), text("a")]), png(&pixels, 6, &[time(2025), text("b")])),
        "chunk tIME: time 2024-01-02 03:04:05 → 2025-01-02 03:04:05\nchunk tEXt Software: text a → b\n"
    );
    assert_eq!(told(png(&pixels, 6, &[time(2024)]), png(&pixels, 6, &[])), "chunk tIME: only in the first\n");
    assert_eq!(
        told(png(&pixels, 0, &[]), png(&pixels, 9, &[])),
        "chunk IDAT\n  the same content compressed to other bytes\n"
    );
    let mut other = pixels.clone();
    other[9] = 0;
    assert_eq!(
        told(png(&pixels, 6, &[]), png(&other, 6, &[])),
        "chunk IDAT\n  unpacked\n    byte 0xc: 090a0b000c0d0e0f0010111213001415 → 000a0b000c0d0e0f0010111213001415\n"
    );
    let mut sum = png(&pixels, 6, &[time(2024)]);
    sum[48] ^= 1;
    assert!(told(png(&pixels, 6, &[time(2024)]), sum).starts_with("chunk tIME: crc32 "));
}

#[test]
fn compiled_python() {
    for magic in [3379, 3394, 3413, 3439, 3495, 3531, 3571] {
        let pyc = || Pyc { magic, mtime: 5, text: "built 1", lines: b"\0\x01", shared: false, constant: 7 };
        let changed = Pyc { mtime: 6, text: "built 2", constant: 8, ..pyc() };
        assert_eq!(
            told(pyc().bytes(), changed.bytes()),
            "pyc header: source mtime 5 → 6\n\
             object code.constants[0]: 'built 1' → 'built 2'\n\
             object code.constants[1] f.constants[0]: 7 → 8\n",
            "{magic}"
        );
        let moved = Pyc { lines: b"\0\x02", ..pyc() };
        assert_eq!(
            told(pyc().bytes(), moved.bytes()),
            "object code.constants[1] f.line table: 0001 → 0002\nobject code.line table: 0001 → 0002\n",
            "{magic}"
        );
        // What an interpreter marks as shared depends on what it happened to hold at the time.
        let shared = Pyc { shared: true, ..pyc() };
        let told = told(pyc().bytes(), shared.bytes());
        assert!(told.starts_with("pyc header: objects marked as shared 0 of "), "{magic}: {told}");
    }
    let old = Pyc { magic: 3495, mtime: 5, text: "x", lines: b"", shared: false, constant: 7 };
    let new = Pyc { magic: 3531, ..Pyc { magic: 0, mtime: 5, text: "x", lines: b"", shared: false, constant: 7 } };
    assert_eq!(told(old.bytes(), new.bytes()), "pyc header: version 3495 → 3531\n");
}

fn lines(pair: &Pair) -> Vec<String> {
    let found = pair.found();
    let outline = text(&Diff { a: "a".into(), b: "b".into(), equal: false, differences: found });
    outline.lines().map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn programs_tell_functions_instructions_build_ids_and_names_of_sources() {
    let pair = Pair::new();
    let build = |dir: &str, add: u32, debug: &str| {
        format!(
            "mkdir src-{dir}; printf 'int g(int x) {{ return x ^ 5; }}\\nint f(int x) {{ return g(x) + {add}; }}\\n\
             int main(void) {{ return f(1); }}\\n' >src-{dir}/p.c; \
             for n in $(seq 200); do echo \"int h$n(int x) {{ return x + $n; }}\"; done >>src-{dir}/p.c; \
             cc -O0 {debug} -Wl,--build-id=sha1 -o p src-{dir}/p.c; rm -r src-{dir}"
        )
    };
    // Linkers pack only what becomes smaller: there are enough lines for that.
    for (debug, unpacked) in [("-g", false), ("-gdwarf-4", false), ("-g -gz=zlib", true)] {
        pair.run(&build("one", 0x1234, debug), &build("two", 0x4321, debug));
        let lines = lines(&pair);
        let has = |line: &str| lines.iter().any(|found| found.contains(line));
        assert!(has("note GNU build id: "), "{debug}: {lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("function ")).count(), 1, "{lines:#?}");
        assert!(has("function f"), "{debug}: {lines:#?}");
        if cfg!(target_arch = "x86_64") {
            assert!(has("add eax, 0x1234 → add eax, 0x4321"), "{debug}: {lines:#?}");
        }
        assert!(has("source name number ") && has("'src-one"), "{debug}: {lines:#?}");
        assert_eq!(has("unpacked"), unpacked, "{debug}: {lines:#?}");
        // What is a consequence of everything comes last.
        let at = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap();
        assert!(at("section .text") < at("section .note.gnu.build-id"), "{lines:#?}");
    }
}

#[test]
fn code_that_was_only_moved_is_not_told_as_changed() {
    let pair = Pair::new();
    let build = |more: &str| {
        format!(
            "printf 'static int h(int x) {{ return x * 3{more}; }}\\nint f(int x) {{ return h(x) + 1; }}\\n\
             int g(int x) {{ return f(x) + f(x + 1); }}\\nint main(void) {{ return g(2); }}\\n' >p.c; \
             cc -O0 -Wl,--build-id=none -o p p.c; rm p.c"
        )
    };
    pair.run(&build(""), &build(" + x * x + 77"));
    let lines = lines(&pair);
    let functions: Vec<&String> = lines.iter().filter(|line| line.starts_with("function ")).collect();
    assert_eq!(functions, ["function h"], "{lines:#?}");
}

#[test]
fn what_libraries_are_asked_for_and_which_symbols_there_are() {
    let pair = Pair::new();
    let build = |name: &str, symbol: &str| {
        format!(
            "printf 'int {symbol}(void) {{ return 1; }}\\n' >p.c; \
             cc -shared -fPIC -O1 -Wl,--build-id=none -Wl,-soname,{name} -o p p.c; strip p; rm p.c"
        )
    };
    pair.run(&build("libx.so.1", "one"), &build("libx.so.2", "two"));
    let lines = lines(&pair);
    for line in [
        "dynamic entry SONAME: libx.so.1 → libx.so.2",
        "symbol one: only in the first",
        "symbol two: only in the second",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
    }
}
