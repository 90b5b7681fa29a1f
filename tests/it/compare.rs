//! What `compare` says about real files that differ in one known way, and about hostile ones.

mod bounds;
mod build;
mod command;
mod formats;

use crate::tree::archive::ar;
use parton::compare::{Content, Difference, Error, Format, Limits, Place, What, compare};
use parton::tree::Tree;
use proptest::prelude::*;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two directories to be filled and compared.
struct Pair {
    _dir: tempfile::TempDir,
    a: PathBuf,
    b: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        Self { _dir: dir, a, b }
    }

    fn write(&self, name: &str, a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) {
        fs::write(self.a.join(name), a).unwrap();
        fs::write(self.b.join(name), b).unwrap();
    }

    /// Runs a shell command on each side.
    fn run(&self, a: &str, b: &str) {
        for (dir, script) in [(&self.a, a), (&self.b, b)] {
            let done = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
            assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }

    fn found(&self) -> Vec<Difference> {
        let scan = |dir: &Path| Tree::scan(dir).unwrap();
        compare(&self.a, &scan(&self.a), &self.b, &scan(&self.b), &Limits::default()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.found().iter().map(ToString::to_string).collect()
    }

    fn content(&self) -> Content {
        let mut found = self.found();
        assert_eq!(found.len(), 1, "{found:#?}");
        match found.remove(0).what {
            What::Content(content) => content,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn equal_trees_have_no_differences() {
    let pair = Pair::new();
    pair.write("f", "same", "same");
    pair.run("mkdir d; ln -s x d/l", "mkdir d; ln -s x d/l");
    assert_eq!(pair.lines(), [""; 0]);
}

#[test]
fn entries_are_told_in_the_order_of_their_paths() {
    let pair = Pair::new();
    pair.run(
        "mkdir -m 755 d e; echo x >d/gone; echo x >kind; echo x >mode; chmod 644 mode; ln -s one link",
        "mkdir -m 700 d e; echo x >e/new;  mkdir kind;   echo y >mode; chmod 4755 mode; ln -s two link",
    );
    fs::set_permissions(pair.b.join("e"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("\u{1b}[31m", pair.b.join("z\n")).unwrap();
    assert_eq!(
        pair.lines(),
        [
            "d: mode 0755 → 0700",
            "d/gone: file only in the first",
            "e/new: file only in the second",
            "kind: file → directory",
            "link: link to one → two",
            "mode: mode 0644 → 4755",
            "mode: line 1: 'x' → 'y'",
            "z\\n: link only in the second",
        ]
    );
}

#[test]
fn text_lines() {
    let pair = Pair::new();
    pair.write("f", "one\ntwo\nthree\n", "one\n2\nthree\n");
    pair.write("g", "same\nend\n", "same\nend\nmore\x1b[2J\n");
    assert_eq!(
        pair.lines(),
        ["f: line 2: 'two' → '2' (size 14 → 12)", "g: line 3 only in the second: 'more\\u{1b}[2J' (size 9 → 18)"]
    );
}

#[test]
fn a_string_in_a_program_is_found_in_its_section() {
    let pair = Pair::new();
    let build = |text: &str| {
        format!(
            "echo 'const char *p = \"{text}\"; int main(void) {{ return !p; }}' >p.c; \
                 cc -Wl,--build-id=none -o p p.c; rm p.c"
        )
    };
    pair.run(&build("Nov 23 2026"), &build("Dec 24 2027"));
    assert_eq!(pair.lines(), ["p: section .rodata: byte 0x4: 'Nov 23 2026' → 'Dec 24 2027'"]);
    let content = pair.content();
    let file = fs::read(pair.a.join("p")).unwrap();
    assert_eq!(&file[content.first_offset as usize..][..11], b"Nov 23 2026");
    assert_eq!(content.differing, 5, "the letters that differ");
}

#[test]
fn what_moved_in_a_program_is_not_told_but_what_grew_is() {
    let pair = Pair::new();
    let build = |body: &str| {
        format!(
            "echo 'int g(int); int f(int a) {{ {body} }} const char s[] = \"same\";' >p.c; cc -c -o p.o p.c; rm p.c"
        )
    };
    pair.run(&build("return g(a);"), &build("return g(a) + g(a + 1) + g(a + 2) + g(a + 3);"));
    let lines = pair.lines();
    assert_eq!(lines.len(), 1);
    let json = serde_json::to_string(&pair.found()).unwrap();
    assert!(lines[0].starts_with("p.o: section .text: size 0x"), "{lines:?}");
    assert!(json.contains(r#""name":".text","change":"content""#), "{json}");
    assert!(!json.contains(".rodata") && !json.contains(".comment"), "{json}");
}

#[test]
fn the_date_macro_in_a_library_is_found_in_its_member() {
    let pair = Pair::new();
    let build = |date: &str| {
        format!(
            "echo 'const char when[] = __DATE__;' >when.c; echo 'int x;' >a_member_with_a_long_name.c; \
                 SOURCE_DATE_EPOCH={date} cc -c when.c a_member_with_a_long_name.c; \
                 ar rcD lib.a a_member_with_a_long_name.o when.o; rm *.c *.o"
        )
    };
    pair.run(&build("1000000000"), &build("1100000000"));
    let line = "lib.a: member when.o: section .rodata: byte 0x0: 'Sep  9 2001' → 'Nov  9 2004'";
    assert_eq!(pair.lines(), [line]);
}

#[test]
fn archives_made_without_d_differ_in_their_headers() {
    let pair = Pair::new();
    let build = |time: &str, mode: &str| {
        format!(
            "echo 'int x;' >x.c; cc -c x.c; cc -c x.c -o a_member_with_a_long_name.o; \
                 chmod {mode} a_member_with_a_long_name.o; touch -d @{time} *.o; \
                 ar rcU lib.a x.o a_member_with_a_long_name.o; rm *.c *.o"
        )
    };
    pair.run(&build("1700000000", "644"), &build("1731000000", "600"));
    assert_eq!(
        pair.content()
            .places
            .iter()
            .map(ToString::to_string)
            .filter(|line| !line.contains("member /:"))
            .collect::<Vec<_>>(),
        [
            "member x.o: header mtime 1700000000 → 1731000000",
            "member a_member_with_a_long_name.o: header mtime 1700000000 → 1731000000",
            "member a_member_with_a_long_name.o: header mode 100644 → 100600",
        ]
    );
}

#[test]
fn members_that_moved_or_are_missing() {
    let pair = Pair::new();
    let build = |members: &str| format!("for n in a b c d; do echo $n >$n; done; ar rcSD lib.a {members}; rm a b c d");
    pair.run(&build("a b c"), &build("b a d"));
    assert_eq!(
        pair.content().places.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["members in another order: a is number 0 → 1", "member c: only in the first", "member d: only in the second",]
    );
}

#[test]
fn gzip_headers_contents_and_streams() {
    let pair = Pair::new();
    pair.run(
        "echo same >name; touch -d @1700000000 name; gzip -N name; \
         printf 'one\\ntwo\\n' | gzip -n >text.gz; seq 10000 | gzip -n1 >level.gz; seq 10000 | gzip -n >x; head -c 4000 x >cut.gz; rm x",
        "echo same | gzip -n >name.gz; \
         printf 'one\\n2\\n' | gzip -n >text.gz; seq 10000 | gzip -n5 >level.gz; seq 10000 | gzip -n >x; head -c 5000 x >cut.gz; rm x",
    );
    let lines = pair.lines();
    assert_eq!(lines[0], "cut.gz: byte 0xfa0: (end) → ".to_owned() + lines[0].split("→ ").nth(1).unwrap() + "→ 5000)");
    assert!(lines[1].starts_with("level.gz: gzip header: level 4 → 0"), "{lines:?}");
    assert_eq!(
        lines[2..],
        [
            "name.gz: gzip header: mtime 1700000000 → 0; and 1 more (size 30 → 25)",
            "text.gz: unpacked: line 2: 'two' → '2' (size 28 → 26)",
        ]
    );
}

#[test]
fn the_same_content_compressed_in_another_way() {
    let pair = Pair::new();
    pair.run("seq 10000 | gzip -n5 >f.gz", "seq 10000 | gzip -n6 >f.gz");
    assert_eq!(pair.content().places, [Place::Stream { format: Format::Gzip }]);
}

#[test]
fn the_json_is_as_documented() {
    let pair = Pair::new();
    pair.write("bin", [0, 1, 2, 3], [0, 1, 9, 3, 4]);
    pair.run("echo x >only; echo x >mode; chmod 644 mode", "echo x >mode; chmod 600 mode");
    let found = serde_json::to_value(pair.found()).unwrap();
    assert_eq!(
        found,
        serde_json::json!([
            {
                "path": "bin", "what": "content", "notes": [],
                "size": { "a": 4, "b": 5 }, "first_offset": 2, "differing": 2, "more": false,
                "places": [{ "place": "bytes", "offset": 2, "a": "0203", "b": "090304" }],
            },
            { "path": "mode", "what": "mode", "a": "0644", "b": "0600", "notes": [] },
            { "path": "only", "what": "only-in", "side": "a", "kind": "file", "notes": [] },
        ])
    );
}

#[test]
fn a_tree_that_changed_since_it_was_scanned_is_an_error() {
    let pair = Pair::new();
    pair.write("d", "one", "two");
    let (a, b) = (Tree::scan(&pair.a).unwrap(), Tree::scan(&pair.b).unwrap());
    let run = || compare(&pair.a, &a, &pair.b, &b, &Limits::default());
    fs::write(pair.b.join("d"), "one").unwrap();
    assert!(matches!(run(), Err(Error::Changed { .. })));
    fs::remove_file(pair.b.join("d")).unwrap();
    symlink("/etc/passwd", pair.b.join("d")).unwrap();
    assert!(matches!(run(), Err(Error::Io { doing: "open", .. })), "links are not followed");
}

fn of_bytes(a: &[u8], b: &[u8]) -> Content {
    let pair = Pair::new();
    pair.write("f", a, b);
    pair.content()
}

/// Real files to be harmed.
fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| {
        let pair = Pair::new();
        let make = "printf 'int f(int a) { return a + 1; }\\nconst char s[] = \"text\";\\n' >f.c; cc -g -c f.c; \
                    cp f.o a_member_with_a_long_name.o; ar rcD lib.a f.o a_member_with_a_long_name.o; \
                    gzip -kN f.c; tar cf t.tar f.c; cc -shared -o f.so f.o";
        pair.run(make, "true");
        ["f.c", "f.o", "lib.a", "f.c.gz", "t.tar", "f.so"].map(|name| fs::read(pair.a.join(name)).unwrap()).to_vec()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_mutation_is_reported_at_its_offset(
        sample in 0..6_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut: Option<prop::sample::Index>,
    ) {
        let a = &samples()[sample];
        let mut b = a.clone();
        for (at, by) in edits {
            let at = at.index(b.len());
            b[at] ^= by;
        }
        if let Some(cut) = cut {
            b.truncate(cut.index(b.len()));
        }
        prop_assume!(*a != b);
        let common = a.len().min(b.len());
        let first = (0..common).find(|at| a[*at] != b[*at]).unwrap_or(common);
        let found = of_bytes(a, &b);
        prop_assert_eq!(found.first_offset, first as u64);
        prop_assert!(!found.places.is_empty());
        let count = (0..common).filter(|at| a[*at] != b[*at]).count() + a.len() - common;
        prop_assert_eq!(found.differing, count as u64);
    }

    #[test]
    fn hostile_bytes_behind_a_magic_do_no_harm(magic in 0..4_usize, a: Vec<u8>, b: Vec<u8>, wide: bool) {
        prop_assume!(a != b);
        let wide: &[u8] = if wide { b"\x7fELF\x02\x01" } else { b"\x7fELF\x01\x02" };
        let magic = [wide, b"!<arch>\n", b"\x1f\x8b\x08", b""][magic];
        prop_assert!(!of_bytes(&[magic, &a].concat(), &[magic, &b].concat()).places.is_empty());
    }
}

/// Sections that all cover the whole file: read one by one it would take a hundred thousand times as long.
#[test]
fn sections_that_overlap_are_not_read_without_end() {
    let count = 60_000_u16;
    let mut file = vec![0_u8; 64 + usize::from(count) * 64 + (4 << 20)];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let size = file.len() as u64;
    file[40..48].copy_from_slice(&64_u64.to_le_bytes());
    file[58..60].copy_from_slice(&64_u16.to_le_bytes());
    file[60..62].copy_from_slice(&count.to_le_bytes());
    for section in 0..usize::from(count) {
        let at = 64 + section * 64;
        file[at + 4] = 1;
        file[at + 32..at + 40].copy_from_slice(&(size - 1).to_le_bytes());
    }
    let mut other = file.clone();
    *other.last_mut().unwrap() = 1;
    let begin = std::time::Instant::now();
    let found = of_bytes(&file, &other);
    assert_eq!(found.first_offset, size - 1);
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// Every compressed member of a library was unpacked up to the limit anew, and libraries lie in libraries: a file of some
/// kilobytes with 17 × 17 × 17 bombs kept the comparison busy for days. What one file unpacks to is counted together.
#[test]
fn bombs_in_one_file_are_counted_together() {
    let gzip = |content: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(content).unwrap();
        out.finish().unwrap()
    };
    let library = |last: u8| {
        let zeros = vec![0; 10 << 20];
        let first = gzip(&[&zeros[..], &[last]].concat());
        let second = gzip(&[&[last][..], &zeros].concat());
        ar(&[("first.gz", &first), ("second.gz", &second)])
    };
    let pair = Pair::new();
    pair.write("lib.a", library(1), library(2));
    let offsets = |unpacked: u64| {
        let limits = Limits { unpacked, ..Limits::default() };
        let found = compare(&pair.a, &Tree::scan(&pair.a).unwrap(), &pair.b, &Tree::scan(&pair.b).unwrap(), &limits);
        let told = serde_json::to_string(&found.unwrap()).unwrap();
        told.matches("gzip-content").count()
    };
    // Both are looked into; the first only, to its end; neither to where it differs.
    assert_eq!((offsets(30 << 20), offsets((10 << 20) + 1), offsets(10 << 20)), (2, 1, 0));
}
