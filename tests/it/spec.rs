//! Mistakes in specs and what a person sees of them.
//!
//! Each case edits a good workspace and snapshots the drawn diagnostics: `snapshots/it__spec__<case>.snap` is the
//! picture. Rules are listed in `parton::spec::RULES`; a rule without a picture fails here.

use parton::base::Diagnostic;
use parton::cli::render::render;
use parton::spec::{LoadError, RULES, SPEC as SPEC_KEYS, WORKSPACE, load};
use std::collections::BTreeSet;
use std::path::Path;

const SPEC: &str = r#"[package]
name = "zlib"
version = "1.3.1"
license = "Zlib"
homepage = "https://zlib.net"
summary = "Compression library"

[[source]]
urls = ["https://zlib.net/fossils/zlib-1.3.1.tar.gz"]
sha256 = "9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23"
size = 1512791
signature = { urls = ["https://zlib.net/fossils/zlib-1.3.1.tar.gz.asc"], key = "keys/madler.asc", fingerprint = "5ED46A6721D365587791E2AA783FCD8E58BCAFBA" }
vcs = { git = "https://github.com/madler/zlib", tag = "v1.3.1", commit = "51b7f2abdade71cd9bb0e7a373ef2610ec6f9daf" }

[needs]
build = ["make"]

[build]
system = "configure"
flags = ["--shared"]
patches = ["soname.patch"]

[check]
script = "make test"
"#;

const CONFIG: &str = r#"[workspace]
profile = "seed"

[fetch]
mirrors = ["https://mirror.example.org/{name}"]
content-mirrors = ["https://cas.example.org/sha256/{sha256}"]
archive-suites = ["bookworm", "trixie", "sid"]

[profile.seed]
seed = "specs/seed.lock"
target = "x86_64-linux-musl"
sysroot = "/"
interpreter = "/lib/ld-musl-x86_64.so.1"
provides = ["libc.so"]

[profile.seed.env]
CFLAGS = "-O2"
"#;

/// `(case, replacements in specs/zlib/spec.toml)`.
const SPEC_CASES: &[(&str, &[(&str, &str)])] = &[
    ("syntax_unclosed_string", &[("name = \"zlib\"", "name = \"zlib")]),
    ("syntax_no_value", &[("system = \"configure\"", "system =")]),
    ("syntax_empty_file", &[(SPEC, "")]),
    ("duplicate_key", &[("license =", "version = \"1.3\"\nlicense =")]),
    ("duplicate_table", &[("[check]", "[package]\nname = \"zlib\"\n[check]")]),
    ("unknown_key", &[("license", "licence"), ("homepage", "hompage")]),
    ("unknown_key_of_another_table", &[("[needs]\nbuild = [\"make\"]", "[needs]\nflags = [\"x\"]")]),
    ("unknown_key_far_from_all", &[("[check]", "[check]\ncolour = true")]),
    ("unknown_table", &[("[needs]", "[need]"), ("[check]", "[frobnicate]")]),
    ("unknown_phase", &[("[check]", "[build.phases]\ncompiel = \"make\"\npost-install = \"true\"\n[check]")]),
    ("wrong_type_number", &[("version = \"1.3.1\"", "version = 1.3")]),
    ("wrong_type_text_for_list", &[("build = [\"make\"]", "build = \"make\"")]),
    ("wrong_type_in_list", &[("[\"--shared\"]", "[\"--shared\", 64, true]")]),
    ("wrong_type_quoted_number", &[("size = 1512791", "size = \"1512791\"")]),
    ("wrong_type_single_table", &[("[[source]]", "[source]")]),
    ("wrong_type_table_array", &[("[needs]", "[[needs]]")]),
    ("wrong_type_signature", &[("[needs]", "unpack = \"true\"\ndir = 1979-05-27\n[needs]")]),
    ("missing_keys", &[("version = \"1.3.1\"\nlicense = \"Zlib\"\n", ""), ("system = \"configure\"\n", "")]),
    ("missing_tables", &[(SPEC, "# Nothing yet.\n[needs]\nbuild = []\n")]),
    ("empty_values", &[("\"Zlib\"", "\"\""), ("\"make test\"", "\"  \"")]),
    ("nul", &[("\"make test\"", "\"make\\u0000test\"")]),
    ("name_mismatch", &[("name = \"zlib\"", "name = \"zlib-ng\"")]),
    ("bad_name", &[("name = \"zlib\"", "name = \"Zlib\"")]),
    ("bad_name_needed", &[("[\"make\"]", "[\"make>=4.3\", \"gnu make\", \"-x\"]")]),
    ("bad_version_v", &[("version = \"1.3.1\"", "version = \"v1.3.1\"")]),
    ("bad_version_character", &[("version = \"1.3.1\"", "version = \"1:1.3/1\"")]),
    ("license_unknown", &[("\"Zlib\"", "\"MIT OR Zlibb\"")]),
    ("license_case", &[("\"Zlib\"", "\"zlib AND mit\"")]),
    ("license_family", &[("\"Zlib\"", "\"GPLv2\"")]),
    ("license_parenthesis", &[("\"Zlib\"", "\"(MIT OR Zlib\"")]),
    ("license_operator", &[("\"Zlib\"", "\"MIT Zlib\"")]),
    ("license_exception", &[("\"Zlib\"", "\"GPL-3.0-only WITH GCC-exeption-3.1\"")]),
    ("license_deprecated", &[("\"Zlib\"", "\"MIT AND (GPL-2.0 OR LGPL-2.1)\"")]),
    ("license_plus", &[("\"Zlib\"", "\"MIT AND LGPL-2.1+\"")]),
    ("license_words", &[("\"Zlib\"", "\"public domain AND BSD\"")]),
    ("unknown_system_cmake", &[("\"configure\"", "\"cmake\"")]),
    ("missing_hash", &[("sha256 = \"9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23\"\n", "")]),
    (
        "http_without_hash",
        &[
            ("sha256 = \"9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23\"\n", ""),
            ("[\"https://zlib", "[\"http://zlib"),
        ],
    ),
    (
        "http_with_hash",
        &[("urls = [\"https://zlib.net/fossils/zlib-1.3.1.tar.gz\"]", "urls = [\"http://zlib.net/a\"]")],
    ),
    ("weak_hash_key", &[("sha256 =", "md5 =")]),
    (
        "weak_hash_length",
        &[("9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23", "9855b6d802d7fe5b7bd5b196a2271655")],
    ),
    ("bad_hash_digit", &[("9a93b2b7", "9a93b2o7")]),
    ("bad_hash_prefix", &[("\"9a93b2b7", "\"sha256:9a93b2b7")]),
    ("bad_hash_placeholder", &[("9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23", ZEROS)]),
    (
        "bad_hash_of_nothing",
        &[(
            "9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        )],
    ),
    ("hash_length", &[("9a93b2b7dfdac7", "9a93b2b7dfdac")]),
    (
        "bad_url_scheme",
        &[(
            "urls = [\"https://",
            "urls = [\"ftp://ftp.example.org/zlib.tar.gz\", \"zlib.net/zlib.tar.gz\", \"HTTPS://",
        )],
    ),
    (
        "bad_url_content",
        &[(
            "urls = [\"https://",
            "urls = [\"https://me:secret@example.org/a\", \"https:///a\", \"https://a.org/a b\", \"https://",
        )],
    ),
    ("empty_urls", &[("urls = [\"https://zlib.net/fossils/zlib-1.3.1.tar.gz\"]", "urls = []")]),
    ("no_urls", &[("urls = [\"https://zlib.net/fossils/zlib-1.3.1.tar.gz\"]\n", "")]),
    ("duplicate_url", &[("tar.gz\"]\nsha256", "tar.gz\", \"https://zlib.net/fossils/zlib-1.3.1.tar.gz\"]\nsha256")]),
    (
        "forge_archive",
        &[(
            "https://zlib.net/fossils/zlib-1.3.1.tar.gz\"]\nsha",
            "https://github.com/madler/zlib/archive/refs/tags/v1.3.1.tar.gz\"]\nsha",
        )],
    ),
    ("size_out_of_range", &[("size = 1512791", "size = -1\nstrip = 99")]),
    (
        "signature_without_key",
        &[("key = \"keys/madler.asc\", fingerprint = \"5ED46A6721D365587791E2AA783FCD8E58BCAFBA\"", "over = \"file\"")],
    ),
    ("signature_key_missing", &[("keys/madler.asc", "keys/madle.asc")]),
    ("signature_key_outside", &[("keys/madler.asc", "../../keys/madler.asc")]),
    ("signature_short_fingerprint", &[("5ED46A6721D365587791E2AA783FCD8E58BCAFBA", "783FCD8E58BCAFBA")]),
    ("signature_fingerprint_digits", &[("5ED46A6721D365587791E2AA783FCD8E58BCAFBA", "0x5ED46A67")]),
    ("signature_without_place", &[("urls = [\"https://zlib.net/fossils/zlib-1.3.1.tar.gz.asc\"], ", "")]),
    ("signature_over", &[("fingerprint =", "over = \"uncompresed\", fingerprint =")]),
    ("vcs_commit", &[("51b7f2abdade71cd9bb0e7a373ef2610ec6f9daf", "51b7f2ab")]),
    ("repack_without_note", &[("[needs]", "origin = \"repack\"\n[needs]")]),
    (
        "unsafe_paths",
        &[
            ("[needs]", "dir = \"/usr/src\"\nnested = \"../inner.tar\"\n[needs]"),
            ("flags =", "dir = \"a/../../b\"\nflags ="),
        ],
    ),
    ("file_not_unpacked", &[("[needs]", "unpack = false\nstrip = 0\n[needs]")]),
    (
        "git_source",
        &[(
            "[needs]",
            "[[source]]\ngit = \"git://git.example.org/a\"\ncommit = \"main\"\nsize = 3\ndir = \"a\"\n[needs]",
        )],
    ),
    (
        "git_tree_hash",
        &[(
            "[needs]",
            "[[source]]\ngit = \"https://git.example.org/a\"\ncommit = \"51b7f2abdade71cd9bb0e7a373ef2610ec6f9daf\"\ntree = \"51b7f2abdade71cd9bb0e7a373ef2610ec6f9daf\"\ndir = \"a\"\n[needs]",
        )],
    ),
    (
        "second_source_without_dir",
        &[(
            "[needs]",
            "[[source]]\nurls = [\"https://a.org/b.tar\"]\nsha256 = \"9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df24\"\n[needs]",
        )],
    ),
    (
        "two_sources_in_one_dir",
        &[(
            "[needs]",
            "[[source]]\nurls = [\"https://a.org/b.tar\"]\nsha256 = \"9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df24\"\ndir = \"zlib-1.3.1/\"\n[needs]",
        )],
    ),
    ("needs_self_and_twice", &[("[\"make\"]", "[\"make\", \"zlib\", \"make\"]")]),
    (
        "pass",
        &[("[check]", "[pass.\"Cross 1\"]\nneeds = { build = [\"gcc:\", \"gcc:cross\"] }\ncheks = {}\n\n[check]")],
    ),
    ("unknown_system", &[("\"configure\"", "\"meson\"")]),
    ("unknown_system_near", &[("\"configure\"", "\"Configure\"")]),
    ("script_without_phases", &[("system = \"configure\"", "system = \"script\"")]),
    ("make_out_of_tree", &[("system = \"configure\"", "system = \"make\"\nout-of-tree = true")]),
    ("bad_variable", &[("flags =", "env = { \"C-FLAGS\" = \"-O2\", 2X = \"\" }\nflags =")]),
    ("patch_missing", &[("soname.patch", "sonam.patch")]),
    ("patch_unused", &[("patches = [\"soname.patch\"]\n", "")]),
    ("patch_twice", &[("[\"soname.patch\"]", "[\"soname.patch\", \"soname.patch\", \"/etc/passwd\"]")]),
    (
        "limits",
        &[(
            "[check]",
            "[limits]\ntime = \"2 hours\"\nsilence = 0\nmemory = \"4G\"\ndisk = \"99999999TiB\"\nprocesses = 0\n[check]",
        )],
    ),
    (
        "everything_at_once",
        &[
            ("name =", "nmae ="),
            ("\"Zlib\"", "\"zlib\""),
            ("https://zlib.net/fossils/zlib-1.3.1.tar.gz\"]", "http://zlib.net/zlib.tar.gz\"]"),
            ("9a93b2b7", "9A93b2"),
            ("\"configure\"", "\"cnofigure\""),
        ],
    ),
];

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// `(case, replacements in parton.toml)`.
const CONFIG_CASES: &[(&str, &[(&str, &str)])] = &[
    ("config_syntax", &[("[workspace]", "[workspace")]),
    ("config_unknown", &[("mirrors =", "mirors ="), ("[profile.seed.env]", "[profiles.seed.env]")]),
    ("config_missing", &[(CONFIG, "[workspace]\n")]),
    ("config_profile_without_keys", &[("seed = \"specs/seed.lock\"\ntarget = \"x86_64-linux-musl\"\n", "")]),
    ("config_unknown_profile", &[("profile = \"seed\"", "profile = \"sed\"")]),
    ("config_templates", &[("{name}", "{nmae}"), ("/sha256/{sha256}", "/sha256/")]),
    ("config_suite", &[("\"sid\"", "\"sid main\"")]),
    ("config_target", &[("x86_64-linux-musl", "amd64"), ("interpreter = \"/lib", "interpreter = \"lib")]),
    ("config_no_compiler", &[("seed = \"specs/seed.lock\"\n", "tools = [\"gcc\"]\n")]),
    (
        "config_profiles_in_a_circle",
        &[(
            "[profile.seed.env]",
            "[profile.a]\ntoolchain = \"b\"\ntarget = \"x86_64-linux-musl\"\ninterpreter = \"/lib/ld.so\"\n\n[profile.b]\n\
             toolchain = \"a\"\ntarget = \"x86_64-linux-musl\"\ninterpreter = \"/lib/ld.so\"\n\n[profile.seed.env]",
        )],
    ),
    ("config_unknown_toolchain", &[("seed = \"specs/seed.lock\"", "seed = \"specs/seed.lock\"\ntoolchain = \"sead\"")]),
    ("config_variable", &[("CFLAGS =", "1CFLAGS =")]),
    ("config_wrong_type", &[("[profile.seed]", "[profile]\nother = 3\n[profile.seed]")]),
];

fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "nothing to replace: {old}");
        text.replacen(old, new, 1)
    })
}

fn workspace(config: &str, spec: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("parton.toml", config.as_bytes());
    write("specs/zlib/spec.toml", spec);
    write("specs/zlib/keys/madler.asc", b"");
    write("specs/seed.lock", b"");
    write("patches/zlib/soname.patch", b"");
    dir
}

fn diagnostics(root: &Path) -> Vec<Diagnostic> {
    match load(root) {
        Ok((_, warnings)) => warnings,
        Err(LoadError::Mistakes(found)) => found,
        Err(error) => panic!("{error}"),
    }
}

fn picture(root: &Path, found: &[Diagnostic]) -> String {
    render(found, false).replace(&format!("{}/", root.display()), "")
}

/// Draws a case and notes the rules it shows.
fn draw(case: &str, root: &Path, shown: &mut BTreeSet<&'static str>) {
    let found = diagnostics(root);
    shown.extend(found.iter().map(|diagnostic| diagnostic.rule));
    for diagnostic in &found {
        let rule = RULES.iter().find(|rule| rule.name == diagnostic.rule);
        let rule = rule.unwrap_or_else(|| panic!("rule {} is not in RULES", diagnostic.rule));
        let is_warning = diagnostic.level == parton::base::Level::Warning;
        assert_eq!(rule.warning, is_warning, "the level of {} differs from RULES", rule.name);
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "snapshots/spec" }, {
        insta::assert_snapshot!(case, picture(root, &found));
    });
}

#[test]
fn the_good_workspace_is_good() {
    let dir = workspace(CONFIG, SPEC.as_bytes());
    let (workspace, warnings) = load(dir.path()).unwrap();
    assert_eq!(picture(dir.path(), &warnings), "");
    let zlib = &workspace.specs["zlib"];
    assert_eq!(zlib.version.value, "1.3.1");
    assert_eq!(&zlib.text.text[zlib.version.span.clone()], "\"1.3.1\"");
    assert_eq!(zlib.build.install, ["install"]);
    assert_eq!(workspace.config.archive_suites, ["bookworm", "trixie", "sid"]);
}

/// One test, so that a rule that no case shows can be named at its end.
#[test]
fn every_mistake_has_its_picture() {
    let mut shown = BTreeSet::new();
    for (case, edits) in SPEC_CASES {
        let dir = workspace(CONFIG, edited(SPEC, edits).as_bytes());
        draw(case, dir.path(), &mut shown);
    }
    for (case, edits) in CONFIG_CASES {
        let dir = workspace(&edited(CONFIG, edits), SPEC.as_bytes());
        draw(case, dir.path(), &mut shown);
    }

    let (start, end) = (SPEC.find("[[source]]").unwrap(), SPEC.find("[needs]").unwrap());
    let dir = workspace(CONFIG, format!("{}{}", &SPEC[..start], &SPEC[end..]).as_bytes());
    draw("no_source", dir.path(), &mut shown);
    let dir = workspace(CONFIG, b"[package]\nname = \"zl\xffib\"\n");
    draw("encoding", dir.path(), &mut shown);
    let dir = workspace(CONFIG, &b"# padding\n".repeat(110_000));
    draw("too_large", dir.path(), &mut shown);

    let dir = workspace(&edited(CONFIG, &[("profile =", "profil =")]), edited(SPEC, &[("name =", "nam =")]).as_bytes());
    std::fs::create_dir_all(dir.path().join("specs/attr/keys")).unwrap();
    std::fs::create_dir_all(dir.path().join("specs/.git")).unwrap();
    std::fs::create_dir_all(dir.path().join("patches/gone")).unwrap();
    std::fs::create_dir_all(dir.path().join("specs/bash")).unwrap();
    std::fs::write(dir.path().join("specs/bash/spec.toml"), "[package]\nname = \"bash\"\n").unwrap();
    draw("several_files", dir.path(), &mut shown);

    let missing: Vec<_> = RULES.iter().map(|rule| rule.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, [""; 0], "rules without a picture");
}

#[test]
fn a_directory_without_parton_toml_is_no_workspace() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(load(dir.path()), Err(LoadError::NoWorkspace(_))));
}

/// Whatever the bytes: no panic, and every label lies inside of its text.
#[test]
fn cut_and_scrambled_specs_are_refused_without_harm() {
    let root = tempfile::tempdir().unwrap();
    let check = |text: String| {
        let (_, found) = parton::spec::read_spec(root.path(), "zlib", text);
        for label in found.iter().flat_map(|diagnostic| &diagnostic.labels) {
            assert!(label.source.text.get(label.span.clone()).is_some(), "{label:?}");
        }
        render(&found, false);
    };
    for end in 0..SPEC.len() {
        check(SPEC[..end].to_owned());
    }
    let lines: Vec<&str> = SPEC.lines().collect();
    for skip in 0..lines.len() {
        let kept: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, line)| *line).collect();
        check(kept.join("\n"));
    }
    for (from, to) in
        [("\"", "'"), ("\"", "\"\"\""), ("=", ". ="), ("[", "[["), ("\n", "\r\n"), ("i", "ï"), ("\"", "7")]
    {
        check(SPEC.replace(from, to));
        check(SPEC.replacen(from, to, 3));
    }
}

const REFERENCE: &str = include_str!("../../docs/spec.md");

/// A table in the reference is the table that the reader follows; after a change, paste what this prints.
#[test]
fn the_reference_has_every_key() {
    for table in SPEC_KEYS.all().into_iter().chain(WORKSPACE.all()) {
        let markdown = table.markdown();
        assert!(REFERENCE.contains(&markdown), "docs/spec.md lacks this table of [{}]:\n\n{markdown}", table.name);
        let title = match table.name {
            "" => continue,
            "source" => "`[[source]]`".to_owned(),
            name => format!("`[{name}]`"),
        };
        assert!(REFERENCE.contains(&format!("\n### {title}\n")), "docs/spec.md lacks a section {title}");
    }
}

#[test]
fn the_reference_has_every_rule() {
    let mut table = String::from("| rule | level | what is wrong |\n|---|---|---|\n");
    for rule in RULES {
        let level = if rule.warning { "warning" } else { "error" };
        table.push_str(&format!("| `{}` | {level} | {} |\n", rule.name, rule.doc));
    }
    assert!(REFERENCE.contains(&table), "docs/spec.md lacks this table:\n\n{table}");
}

/// The examples are whole files: each is read in a workspace that has what it names.
#[test]
fn the_examples_of_the_reference_are_good() {
    let blocks: Vec<&str> = REFERENCE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let (configs, specs): (Vec<&str>, Vec<&str>) = blocks.into_iter().partition(|text| text.contains("[workspace]"));
    assert!(configs.len() == 1 && specs.len() >= 4, "{} and {}", configs.len(), specs.len());
    for text in specs {
        let name = text.split("name = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let dir = workspace(configs[0], SPEC.as_bytes());
        let write = |path: String, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(format!("specs/{name}/spec.toml"), text);
        for quoted in text.split('"').filter(|word| word.starts_with("keys/")) {
            write(format!("specs/{name}/{quoted}"), "");
        }
        for quoted in text.split('"').filter(|word| word.ends_with(".patch")) {
            write(format!("patches/{name}/{quoted}"), "");
        }
        let found = diagnostics(dir.path());
        assert_eq!(picture(dir.path(), &found).replace("patches/zlib/soname.patch", ""), "", "{text}");
    }
}
