//! What enters a derivation, what does not, and who gets whose output.

use parton::base::{Blake3, TreeDigest};
use parton::plan::{Derivation, Ground, NodeId, Place, Plan, Target, explain, resolve};
use parton::spec::{Profile, Spec, Toolchain, read_spec};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

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
        seed: Some("specs/seed.lock".to_owned()),
        toolchain: None,
        diverse: None,
        build: None,
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
    specs
        .iter()
        .flat_map(|spec| spec.passes.iter().chain([spec]))
        .map(|spec| (spec.id().to_owned(), spec.clone()))
        .collect()
}

/// Plans these specs, gives every node its number as output, and hands over the derivation of the last one.
fn last(specs: &[Spec]) -> Derivation {
    let (specs, profiles) = (all(specs), profiles());
    let plan = planned(&specs, &profiles);
    let (id, _) = plan.iter().last().unwrap();
    plan.derivation(id, &|input| Some(tree(u8::try_from(input.0).unwrap()))).unwrap()
}

fn profiles() -> BTreeMap<String, Profile> {
    BTreeMap::from([("seed".to_owned(), profile())])
}

static SEEDS: LazyLock<BTreeMap<String, Blake3>> =
    LazyLock::new(|| BTreeMap::from([("seed".to_owned(), Blake3::of(b"seed"))]));

fn ground<'a>(specs: &'a BTreeMap<String, Spec>, profiles: &'a BTreeMap<String, Profile>) -> Ground<'a> {
    Ground { specs, profiles, seeds: &SEEDS, contract: 1 }
}

fn planned<'a>(specs: &'a BTreeMap<String, Spec>, profiles: &'a BTreeMap<String, Profile>) -> Plan<'a> {
    resolve(ground(specs, profiles), &Target::All, "seed", &|_, file| format!("patch {file}")).unwrap()
}

/// If this digest changes, everything that anybody ever built is built again: raise the version in `Derivation::id`
/// and say so in the commit.
#[test]
fn the_id_of_a_derivation_is_pinned() {
    let derivation = last(&[spec("a", "")]);
    assert_eq!(derivation.id().to_string(), "d87577f60a2f1e173771c7fc84cb1e15cbdcb76d963f6fa8c60dc9d926035e63");
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
    let (specs, profiles) = (all(&[spec("a", ""), spec("b", "host = [\"a\"]")]), profiles());
    let plan = planned(&specs, &profiles);
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
    let profiles = profiles();
    let plan = planned(&specs, &profiles);
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

/// Two stages: `first` is built by the seed, `second` by what `first` came to, and the seed is out of sight.
fn stages() -> BTreeMap<String, Profile> {
    let toolchain = |by: &str| {
        let (tools, libraries) = (vec!["cc".to_owned(), "make".to_owned()], vec!["libc".to_owned()]);
        Some(Toolchain { profile: by.to_owned(), tools, libraries })
    };
    let stage = |by: &str| Profile { seed: None, toolchain: toolchain(by), sysroot: "/".to_owned(), ..profile() };
    BTreeMap::from([
        ("seed".to_owned(), profile()),
        ("first".to_owned(), stage("seed")),
        ("second".to_owned(), stage("first")),
    ])
}

fn stage_specs() -> BTreeMap<String, Spec> {
    all(&[spec("cc", "host = [\"mpc\"]"), spec("mpc", ""), spec("make", ""), spec("libc", ""), spec("app", "")])
}

#[test]
fn a_profile_is_built_by_the_one_before_it() {
    let (specs, profiles) = (stage_specs(), stages());
    let target = Target::Names(vec!["app".to_owned()]);
    let plan = resolve(ground(&specs, &profiles), &target, "second", &|_, _| String::new()).unwrap();
    let order: Vec<(&str, &str)> = plan.nodes.iter().map(|node| (node.spec.id(), node.profile)).collect();
    let chain = |stage: &'static str| [("mpc", stage), ("cc", stage), ("make", stage), ("libc", stage)];
    assert_eq!(order, [&chain("seed")[..], &chain("first"), &[("app", "second")]].concat());
    let app = plan.find("app").unwrap();
    let derivation = plan.derivation(app, &|input| Some(tree(u8::try_from(input.0).unwrap()))).unwrap();
    let at = |place: Place| -> Vec<&str> {
        derivation.inputs.iter().filter(|input| input.place == place).map(|input| input.name.as_str()).collect()
    };
    assert_eq!(at(Place::Tools), ["cc", "make", "mpc"], "tools bring what they run on");
    assert_eq!(at(Place::Host), ["libc"]);
    assert_eq!(derivation.seed, None);
    assert_eq!(plan.nodes[0].profile, "seed");
    let first = plan.derivation(NodeId(0), &|_| None).unwrap();
    assert_eq!(first.seed, Some(Blake3::of(b"seed")));
    assert_eq!(plan.seeded().into_iter().collect::<Vec<_>>(), ["seed"]);
}

/// What a cross compiler's libraries are linked against is for another machine; over the tools' own it would hide their headers.
#[test]
fn what_a_compiler_compiles_for_does_not_come_with_it() {
    let cc = spec("cc", "host = [\"mpc\"]\ntarget = [\"libc\"]");
    let specs = all(&[cc, spec("mpc", ""), spec("make", ""), spec("libc", ""), spec("app", "")]);
    let profiles = stages();
    let target = Target::Names(vec!["cc".to_owned()]);
    let plan = resolve(ground(&specs, &profiles), &target, "first", &|_, _| String::new()).unwrap();
    let names = |list: &[NodeId]| -> Vec<&str> { list.iter().map(|id| plan.nodes[id.0].spec.id()).collect() };
    let cc = &plan.nodes[plan.find("cc").unwrap().0];
    assert!(names(&cc.host).contains(&"libc"), "it is linked against it while it is built");
    assert_eq!(names(&cc.run), ["mpc"]);
    assert_eq!(names(&cc.tools), ["mpc", "cc", "make"], "nor do those that the stage before made");
}

/// The fixed point: a stage that comes to what the stage before it came to is the same build from there on.
#[test]
fn stages_that_come_to_the_same_are_the_same() {
    let (specs, profiles) = (stage_specs(), stages());
    let id = |profile: &str, second_differs: bool| {
        let target = Target::Names(vec!["app".to_owned()]);
        let plan = resolve(ground(&specs, &profiles), &target, profile, &|_, _| String::new()).unwrap();
        let output = |id: NodeId| {
            let node = &plan.nodes[id.0];
            let base = node.spec.id().bytes().fold(0, u8::wrapping_add);
            Some(tree(if node.profile == "first" && second_differs { base.wrapping_add(1) } else { base }))
        };
        plan.derivation(plan.find("app").unwrap(), &output).unwrap().id()
    };
    assert_eq!(id("first", false), id("second", false));
    assert_ne!(id("first", true), id("second", true));
}

const PASSES: &str = r#"
[package]
name = "cc"
version = "1"
license = "MIT"
profiles = ["first"]

[[source]]
urls = ["https://example.org/cc-1.tar.gz"]
sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

[build]
system = "configure"

[check]
script = "make check"

[pass.cross]
profiles = ["seed"]
needs = { build = ["make"] }
check = { script = "" }

[pass.cross.build]
system = "configure"
flags = ["--target=x"]
"#;

#[test]
fn a_pass_is_another_build_of_the_same_sources() {
    let specs = all(&[read("cc", PASSES), spec("make", ""), spec("app", "build = [\"cc:cross\"]")]);
    let profiles = stages();
    let plan = planned(&specs, &profiles);
    let order: Vec<&str> = plan.nodes.iter().map(|node| node.spec.id()).collect();
    assert_eq!(order, ["make", "cc:cross", "app"], "what can't be built with a profile is not part of all");
    let cross = plan.derivation(plan.find("cc:cross").unwrap(), &|_| Some(tree(0))).unwrap();
    assert_eq!((cross.name.as_str(), cross.sources[0].dest.as_str()), ("cc:cross", "cc-1"));
    assert!(cross.phases[0].script.ends_with("--target=x"), "{:?}", cross.phases);
    assert_eq!(cross.check, None);
    let target = Target::Names(vec!["cc".to_owned()]);
    let error = resolve(ground(&specs, &profiles), &target, "seed", &|_, _| String::new()).unwrap_err();
    assert_eq!(error[0].message, "'cc' can't be built with the profile 'seed'");
}

#[test]
fn configure_is_told_when_the_machine_that_builds_is_another() {
    let specs = all(&[spec("a", "")]);
    let mut profiles = profiles();
    profiles.get_mut("seed").unwrap().build = Some("x86_64-linux-gnu".to_owned());
    let plan = planned(&specs, &profiles);
    let derivation = plan.derivation(plan.find("a").unwrap(), &|_| None).unwrap();
    assert!(derivation.phases[0].script.contains(" --build=x86_64-linux-gnu --host=x86_64-linux-musl "));
}

/// A tool that a package names for its own build is built with the package's profile. In a profile that builds for another
/// machine this tool would be there and would not start, and the build would fail in the middle with the shell's words.
#[test]
fn what_a_cross_profile_builds_is_not_run_during_its_builds() {
    let specs = all(&[spec("gen", ""), spec("app", "build = [\"gen\"]")]);
    let app = Target::Names(vec!["app".to_owned()]);
    let mut profiles = profiles();
    profiles.get_mut("seed").unwrap().build = Some("x86_64-linux-gnu".to_owned());
    let error = resolve(ground(&specs, &profiles), &app, "seed", &|_, _| String::new()).unwrap_err();
    assert_eq!(error.len(), 1);
    assert_eq!(error[0].message, "the profile 'seed' builds for another machine, on which 'gen' would run");
    assert_eq!(
        error[0].help.as_deref(),
        Some("have 'gen' among the tools of the profile instead, built by its toolchain")
    );
    // Of all that there is it builds what it can.
    let linked = spec("linked", "host = [\"app\"]");
    let specs = all(&[spec("gen", ""), spec("app", "build = [\"gen\"]"), linked]);
    let plan = resolve(ground(&specs, &profiles), &Target::All, "seed", &|_, _| String::new()).unwrap();
    assert_eq!(plan.nodes.iter().map(|node| node.spec.id()).collect::<Vec<_>>(), ["gen"]);
    // The same target is no other machine.
    profiles.get_mut("seed").unwrap().build = Some("x86_64-linux-musl".to_owned());
    assert!(resolve(ground(&specs, &profiles), &app, "seed", &|_, _| String::new()).is_ok());
}
