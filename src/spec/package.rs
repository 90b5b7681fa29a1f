//! Reading one `spec.toml`.

use super::keys::SPEC;
use super::read::{self, Cursor, Sink};
use super::source::source;
use super::types::{At, Build, Check, LimitsOverride, Needs, Source, SourceKind, Spec, System};
use super::workspace::files_below;
use super::{license, values};
use crate::base::{Diagnostic, Level, nearest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a spec lies: what it names besides itself is looked for from here.
pub(super) struct Place<'a> {
    pub(super) root: &'a Path,
    /// Name of the spec's directory.
    pub(super) name: &'a str,
    /// Whether `patches/<name>` exists.
    pub(super) has_patches: bool,
}

impl Place<'_> {
    pub(super) fn dir(&self) -> PathBuf {
        super::workspace::below(self.root, &["specs", self.name])
    }
}

/// Reads a spec: the spec if nothing is wrong with it, and everything there is to say.
pub(super) fn spec(place: &Place<'_>, text: String) -> (Option<Spec>, Vec<Diagnostic>) {
    let sink = Sink::new(place.dir().join("spec.toml"), text);
    let text = Arc::clone(&sink.text);
    let parsed = read::parse(&sink, &text.text);
    let spec = parsed.and_then(|map| file(&Cursor::open(&sink, &SPEC, 0..0, &map), place));
    let found = sink.finish();
    let refused = found.iter().any(|diagnostic| diagnostic.level == Level::Error);
    (spec.filter(|_| !refused), found)
}

fn file(table: &Cursor<'_>, place: &Place<'_>) -> Option<Spec> {
    let sink = table.sink;
    let package = table.table("package");
    let text = |key| package.as_ref().and_then(|package| package.text(key));
    let name = text("name");
    if let Some(name) = &name {
        check_name(sink, name, place);
    }
    let version = text("version");
    if let Some(version) = &version {
        values::version(sink, version);
    }
    let license = text("license");
    if let Some(license) = &license {
        license::check(sink, license);
    }
    let homepage = text("homepage");
    if let Some(homepage) = &homepage {
        values::url(sink, homepage, &["https", "http"]);
    }
    let summary = text("summary");

    let tables = table.tables("source");
    let sources: Vec<Source> =
        tables.iter().enumerate().filter_map(|(i, table)| source(table, place, i == 0)).collect();
    check_dirs(sink, &sources, name.as_ref(), version.as_ref());

    let needs = table.table("needs").map_or_else(Needs::default, |needs| read_needs(&needs, place));
    let sourceless = !table.has("source");
    let (build, patches) = match table.table("build") {
        Some(build) => (read_build(&build, sourceless), read_patches(&build, place)),
        None => (None, Vec::new()),
    };
    let check = table.table("check").and_then(|check| Some(Check { script: check.text("script")? }));
    let allow_needed = table.table("elf").map(|elf| elf.texts("allow-needed")).unwrap_or_default();
    let limits = table.table("limits").map_or_else(LimitsOverride::default, |limits| read_limits(&limits));
    let profiles = package.as_ref().map(|package| package.texts("profiles")).unwrap_or_default();

    let mut spec = Spec {
        package: name.as_ref()?.value.clone(),
        name: name?,
        version: version?,
        license: license?,
        homepage: homepage.map(|homepage| homepage.value),
        summary: summary.map(|summary| summary.value),
        sources,
        patches,
        needs,
        build: build?,
        check,
        allow_needed,
        limits,
        profiles,
        passes: Vec::new(),
        dir: place.dir(),
        text: Arc::clone(&sink.text),
    };
    let passes = table.named("pass");
    spec.passes = passes.iter().filter_map(|(name, table)| pass(&spec, name, table, place, sourceless)).collect();
    unused_patches(table, &spec, place);
    Some(spec)
}

/// The spec with the tables of a pass in place of its own.
fn pass(spec: &Spec, name: &At<String>, table: &Cursor<'_>, place: &Place<'_>, sourceless: bool) -> Option<Spec> {
    values::name(table.sink, name);
    let mut pass = spec.clone();
    pass.name = At { value: format!("{}:{}", spec.package, name.value), span: name.span.clone() };
    if table.has("profiles") {
        pass.profiles = table.texts("profiles");
    }
    if let Some(needs) = table.table("needs") {
        pass.needs = read_needs(&needs, place);
    }
    if let Some(build) = table.table("build") {
        pass.build = read_build(&build, sourceless)?;
        pass.patches = read_patches(&build, place);
    }
    if let Some(check) = table.table("check") {
        pass.check = check.any_text("script").filter(|text| !text.value.is_empty()).map(|script| Check { script });
    }
    if let Some(elf) = table.table("elf") {
        pass.allow_needed = elf.texts("allow-needed");
    }
    if let Some(limits) = table.table("limits") {
        pass.limits = read_limits(&limits);
    }
    Some(pass)
}

fn check_name(sink: &Sink, name: &At<String>, place: &Place<'_>) {
    if values::name(sink, name) && name.value != place.name {
        let message = format!("the name is `{}`, but the directory is `{}`", name.value, place.name);
        let help = format!("write name = \"{}\", or rename the directory to specs/{}", place.name, name.value);
        sink.error("name-mismatch", &name.span, message, "must be the name of the directory", help);
    }
}

/// Two sources unpacked to one directory would overwrite each other's files.
fn check_dirs(sink: &Sink, sources: &[Source], name: Option<&At<String>>, version: Option<&At<String>>) {
    let unpacked = |source: &&Source| !matches!(source.kind, SourceKind::File { unpack: false, .. });
    let default = name.zip(version).map(|(name, version)| format!("{}-{}", name.value, version.value));
    let mut taken: Vec<(String, &Source)> = Vec::new();
    for source in sources.iter().filter(unpacked) {
        let written = source.dir.as_ref().map(|dir| dir.value.trim_matches('/').to_owned());
        let Some(dir) = written.or_else(|| default.clone()) else { continue };
        let place = |source: &Source| source.dir.as_ref().map_or(source.span.clone(), |dir| dir.span.clone());
        if let Some((_, before)) = taken.iter().find(|(other, _)| *other == dir) {
            let message = format!("two sources are unpacked to `{dir}`");
            sink.push(
                Diagnostic::error("duplicate-dir", message, sink.label(&place(source), "again here"))
                    .label(sink.label(&place(before), "first here"))
                    .help("give each its own `dir`"),
            );
        }
        taken.push((dir, source));
    }
}

fn read_needs(table: &Cursor<'_>, place: &Place<'_>) -> Needs {
    let list = |key: &str| {
        let names = table.texts(key);
        for (i, name) in names.iter().enumerate() {
            if !values::need(table.sink, name) {
                continue;
            }
            if name.value == place.name {
                let message = format!("`{}` needs itself", name.value);
                table.sink.error("needs-self", &name.span, message, "this very package", "leave it out");
            }
            if let Some(before) = names[..i].iter().find(|before| before.value == name.value) {
                let message = format!("`{}` is needed twice", name.value);
                table.sink.push(
                    Diagnostic::error("duplicate-need", message, table.sink.label(&name.span, "again here"))
                        .label(table.sink.label(&before.span, "first here"))
                        .help("leave one out"),
                );
            }
        }
        names
    };
    Needs { build: list("build"), host: list("host"), target: list("target"), run: list("run") }
}

fn read_build(table: &Cursor<'_>, sourceless: bool) -> Option<Build> {
    let sink = table.sink;
    let system = table.choice("system").map(|word| At {
        value: match word.value {
            "configure" => System::Configure,
            "make" => System::Make,
            _ => System::Script,
        },
        span: word.span,
    });
    let mut phases = std::collections::BTreeMap::new();
    let mut misspelt = false;
    if let Some(written) = table.table("phases") {
        misspelt = written.has_unknown();
        for phase in ["prepare", "configure", "compile", "install", "finish"] {
            if let Some(script) = written.any_text(phase) {
                phases.insert(phase.to_owned(), script);
            }
        }
    }
    if let Some(system) = &system {
        let useless: &[&str] = match system.value {
            System::Configure => &[],
            System::Make => &["out-of-tree"],
            System::Script => &["flags", "targets", "install", "out-of-tree"],
        };
        for key in useless {
            if let Some(span) = table.key_span(key) {
                let message = format!("`{key}` has no meaning with this `system`");
                sink.push(
                    Diagnostic::error("conflicting-keys", message, sink.label(&span, "nobody reads this"))
                        .label(sink.label(&system.span, ""))
                        .help(format!("leave out `{key}`")),
                );
            }
        }
        let installs = phases.get("install").is_some_and(|script| !script.value.trim().is_empty());
        if system.value == System::Script && !installs && !misspelt {
            let message = "a script that installs nothing";
            let help = "write at least `install` in [build.phases]: shell that copies what was built below $OUT";
            sink.error("no-phases", &system.span, message, "no `install` phase", help);
        }
        if system.value != System::Script && sourceless {
            let help = "write a [[source]] with urls and sha256";
            sink.error("missing-source", &system.span, "there is nothing to build", "needs a source", help);
        }
    }
    let dir = table.text("dir").filter(|dir| values::inner_path(sink, dir, "`dir`"));
    let env = table.map("env");
    for (name, _) in &env {
        values::variable(sink, name);
    }
    let plain = |key: &str| table.texts(key).into_iter().map(|text| text.value).collect::<Vec<String>>();
    Some(Build {
        system: system?,
        flags: plain("flags"),
        targets: plain("targets"),
        install: if table.has("install") { plain("install") } else { vec!["install".to_owned()] },
        dir: dir.map(|dir| dir.value),
        out_of_tree: table.flag("out-of-tree").unwrap_or(false),
        env: env.into_iter().map(|(name, value)| (name.value, value.value)).collect(),
        phases,
    })
}

fn read_patches(table: &Cursor<'_>, place: &Place<'_>) -> Vec<At<String>> {
    let sink = table.sink;
    let patches = table.texts("patches");
    if patches.is_empty() && !place.has_patches {
        return patches;
    }
    let present = files_below(&super::workspace::below(place.root, &["patches", place.name]), 4);
    for (i, patch) in patches.iter().enumerate() {
        if !values::inner_path(sink, patch, "a patch") {
            continue;
        }
        if let Some(before) = patches[..i].iter().find(|before| before.value == patch.value) {
            let message = format!("`{}` is applied twice", patch.value);
            sink.push(
                Diagnostic::error("duplicate-patch", message, sink.label(&patch.span, "again here"))
                    .label(sink.label(&before.span, "first here"))
                    .help("leave one out"),
            );
        } else if present.binary_search(&patch.value).is_err() {
            let message = format!("there is no patch `{}` in patches/{}", patch.value, place.name);
            let help = match nearest(&patch.value, present.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("put it there: patches/{}/{}", place.name, patch.value),
            };
            sink.error("patch-missing", &patch.span, message, "no such file", help);
        }
    }
    patches
}

/// Warns of patch files that neither the package nor any of its passes applies.
fn unused_patches(table: &Cursor<'_>, spec: &Spec, place: &Place<'_>) {
    if !place.has_patches {
        return;
    }
    let Some(build) = table.table("build") else { return };
    let present = files_below(&super::workspace::below(place.root, &["patches", place.name]), 4);
    let patches: Vec<&At<String>> = std::iter::once(spec).chain(&spec.passes).flat_map(|spec| &spec.patches).collect();
    for file in present.iter().filter(|file| patches.iter().all(|patch| patch.value != **file)) {
        let near = |patch: &&At<String>| nearest(&patch.value, [file.as_str()]).is_some();
        if patches.iter().any(|patch| present.binary_search(&patch.value).is_err() && near(patch)) {
            continue; // Already suggested to the patch that was misspelt.
        }
        let message = format!("`patches/{}/{file}` is never applied", place.name);
        let span = build.place_of("patches");
        let help = "add it to `patches`, or delete the file";
        table.sink.warning("unused-patch", &span, message, "not named here", help);
    }
}

fn read_limits(table: &Cursor<'_>) -> LimitsOverride {
    let sink = table.sink;
    let duration = |key| table.quantity(key).and_then(|written| values::duration(sink, &written));
    let size = |key| table.quantity(key).and_then(|written| values::size(sink, &written));
    LimitsOverride {
        time: duration("time"),
        silence: duration("silence"),
        memory: size("memory"),
        disk: size("disk"),
        processes: table.integer("processes", 1..=4_194_304),
        descriptors: table.integer("descriptors", 16..=1_048_576),
        output: size("output"),
    }
}
