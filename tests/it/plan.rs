//! What enters a derivation, what does not, and who gets whose output.

use parton::base::{Blake3, TreeDigest};
use parton::plan::{Derivation, Place, Plan, Target, explain, resolve};
use parton::spec::{Profile, Spec, read_spec};
use std::collections::BTreeMap;
use std::path::Path;

const SPEC: &str = r#"
[package]
name = "NAME"
version = "1.0"
license = "MIT"
summary = "a summary"

[[source]]
urls = ["https://example.org/NAME-1.0.tar.gz"]
sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

[needs]
NEEDS

[build]
system = "configure"
flags = ["--with-x=$SYSROOT/usr", "--greet=hello world"]
"#;

fn spec(name: &str, needs: &str) -> Spec {
    read(name, &SPEC.replace("NAME", name).replace("NEEDS", needs))
}

fn read(name: &str, text: &str) -> Spec {
    let (spec, found) = read_spec(Path::new("/nowhere"), name, text.to_owned());
    spec.unwrap_or_else(|| panic!("{found:#?}"))
}

fn profile() -> Profile {
    Profile {
        seed: "specs/seed.lock".to_owned(),
        target: "x86_64-linux-musl".to_owned(),
        sysroot: "/sysroot".to_owned(),
        interpreter: "/lib/ld-musl-x86_64.so.1".to_owned(),
        provides: vec!["libc.so".to_owned()],
        env: BTreeMap::from([("CC".to_owned(), "gcc".to_owned())]),
    }
}

fn tree(n: u8) -> TreeDigest {
    TreeDigest::from_bytes([n; 32])
}

fn all(specs: &[Spec]) -> BTreeMap<String, Spec> {
    specs.iter().map(|spec| (spec.name.value.clone(), spec.clone())).collect()
}

/// Plans these specs, gives every node its number as output, and hands over the derivation of the last one.
fn last(specs: &[Spec]) -> Derivation {
    let (specs, profile) = (all(specs), profile());
    let plan = planned(&specs, &profile);
    let (id, _) = plan.iter().last().unwrap();
    plan.derivation(id, &|input| Some(tree(u8::try_from(input.0).unwrap()))).unwrap()
}

fn planned<'a>(specs: &'a BTreeMap<String, Spec>, profile: &'a Profile) -> Plan<'a> {
    resolve(specs, &Target::All, profile, Blake3::of(b"seed"), 1, &|_, file| format!("patch {file}")).unwrap()
}

/// If this digest changes, everything that anybody ever built is built again: raise the version in `Derivation::id`
/// and say so in the commit.
#[test]
fn the_id_of_a_derivation_is_pinned() {
    let derivation = last(&[spec("a", "")]);
    assert_eq!(derivation.id().to_string(), "2edf555108b96f22d11a39c3c963d8078e404d5d9aca6c0dc192b7d6e69a108c");
}

#[test]
fn what_people_read_is_not_what_is_built() {
    let plain = last(&[spec("a", "")]);
    let text = SPEC.replace("NAME", "a").replace("NEEDS", "");
    for (from, to) in [
        ("a summary", "another summary"),
        ("\"MIT\"", "\"ISC\""),
        ("[build]", "# a comment\n[build]"),
        ("https://example.org/a-1.0.tar.gz", "https://mirror.example.org/elsewhere/a-1.0.tar.gz"),
    ] {
        assert_eq!(last(&[read("a", &text.replace(from, to))]).id(), plain.id(), "{from} → {to}");
    }
    for (from, to, what) in [
        ("hello world", "hello", "phase configure"),
        ("2d711642", "2d711643", "source a-1.0"),
        ("\"1.0\"", "\"1.1\"", "version"),
        ("[build]", "[build]\nenv = { CFLAGS = \"-O1\" }", "variable CFLAGS"),
    ] {
        let other = last(&[read("a", &text.replace(from, to))]);
        assert_ne!(other.id(), plain.id(), "{from} → {to}");
        let changes = explain(&plain, &other);
        assert!(changes.iter().any(|change| change.what == what), "{what} in {changes:#?}");
    }
    assert!(explain(&plain, &plain).is_empty());
}

#[test]
fn inputs_count_by_their_output_and_not_by_how_it_came_about() {
    let (specs, profile) = (all(&[spec("a", ""), spec("b", "host = [\"a\"]")]), profile());
    let plan = planned(&specs, &profile);
    let b = plan.find("b").unwrap();
    let with = |n: u8| plan.derivation(b, &|_| Some(tree(n))).unwrap();
    assert_eq!(with(1).id(), with(1).id());
    assert_ne!(with(1).id(), with(2).id());
    assert_eq!(explain(&with(1), &with(2))[0].what, "input a (Host)");
    assert!(plan.derivation(b, &|_| None).is_none(), "without its inputs' outputs a build is not described");
}

#[test]
fn libraries_of_libraries_are_there_and_tools_bring_what_they_run_on() {
    let specs = all(&[
        spec("zlib", ""),
        spec("ssl", "host = [\"zlib\"]"),
        spec("tool", "host = [\"zlib\"]\nbuild = [\"make\"]"),
        spec("make", ""),
        spec("app", "host = [\"ssl\"]\nbuild = [\"tool\"]"),
    ]);
    let profile = profile();
    let plan = planned(&specs, &profile);
    let app = plan.find("app").unwrap();
    let derivation = plan.derivation(app, &|input| Some(tree(u8::try_from(input.0).unwrap()))).unwrap();
    let at = |place: Place| -> Vec<&str> {
        derivation.inputs.iter().filter(|input| input.place == place).map(|input| input.name.as_str()).collect()
    };
    assert_eq!(at(Place::Host), ["ssl", "zlib"]);
    assert_eq!(at(Place::Build), ["tool", "zlib"], "a tool's own tools are not its user's");
    for (id, node) in plan.iter() {
        assert!(node.inputs().all(|input| input < id), "{} comes after what it needs", node.spec.name.value);
    }
}

#[test]
fn helpers_expand_to_plain_shell() {
    let derivation = last(&[spec("a", "")]);
    let phases: Vec<(&str, &str, &str)> =
        derivation.phases.iter().map(|p| (p.name.as_str(), p.dir.as_str(), p.script.as_str())).collect();
    assert_eq!(
        phases,
        [
            (
                "configure",
                "a-1.0",
                "./configure --prefix=/usr --sysconfdir=/etc --localstatedir=/var --libdir=/usr/lib \
                 \"--with-x=$SYSROOT/usr\" \"--greet=hello world\""
            ),
            ("compile", "a-1.0", "make -j\"$JOBS\""),
            ("install", "a-1.0", "make DESTDIR=\"$OUT\" install"),
        ]
    );
}
