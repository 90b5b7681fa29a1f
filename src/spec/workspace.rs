//! Reading `parton.toml` and every spec below it.

use super::keys::WORKSPACE;
use super::package::{self, Place};
use super::read::{self, Cursor, Sink};
use super::types::{At, Config, Profile, Spec, Toolchain, Workspace};
use super::values;
use crate::base::{Diagnostic, Level, SourceText, nearest};
use fs_err as fs;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a workspace could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory holds no `parton.toml`.
    #[error("{} holds no parton.toml", .0.display())]
    NoWorkspace(PathBuf),
    /// A file or directory could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Texts have mistakes: all diagnostics of all files, warnings too, ordered by file and place.
    #[error("{} of the workspace", count(.0))]
    Mistakes(Vec<Diagnostic>),
}

fn count(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
    if errors == 1 { "1 mistake in the files".to_owned() } else { format!("{errors} mistakes in the files") }
}

/// No text that a person wrote is as large as this.
const LARGEST: u64 = 1 << 20;

/// Loads `parton.toml` and all specs below `root`; the diagnostics are warnings.
///
/// # Errors
/// [`LoadError::Mistakes`] with all diagnostics of all files as soon as one of them is an error.
pub fn load(root: &Path) -> Result<(Workspace, Vec<Diagnostic>), LoadError> {
    let path = below(root, &["parton.toml"]);
    let (config, mut found) = match read_text(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LoadError::NoWorkspace(root.to_owned())),
        Err(error) => return Err(error.into()),
        Ok(Err(diagnostic)) => (None, vec![*diagnostic]),
        Ok(Ok(text)) => config(path, text),
    };

    let names = directories(&below(root, &["specs"]))?;
    let patched: BTreeSet<String> = directories(&below(root, &["patches"]))?.into_iter().collect();
    let read = |name: &String| -> io::Result<(Option<Spec>, Vec<Diagnostic>)> {
        let place = Place { root, name, has_patches: patched.contains(name) };
        match read_text(&place.dir().join("spec.toml")) {
            Ok(Ok(text)) => Ok(package::spec(&place, text)),
            Ok(Err(diagnostic)) => Ok((None, vec![*diagnostic])),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, vec![no_spec(name)])),
            Err(error) => Err(error),
        }
    };
    // Small workspaces are read faster than threads wake up.
    let results: io::Result<Vec<_>> = names.par_iter().with_min_len(32).map(read).collect();
    let mut specs = Vec::with_capacity(names.len());
    for (name, (spec, diagnostics)) in names.iter().zip(results?) {
        found.extend(diagnostics);
        if let Some(mut spec) = spec {
            let passes = std::mem::take(&mut spec.passes);
            specs.extend(passes.into_iter().map(|pass| (pass.name.value.clone(), pass)));
            specs.push((name.clone(), spec));
        }
    }
    for name in patched.iter().filter(|name| names.binary_search(name).is_err()) {
        let message = format!("`patches/{name}` belongs to no package");
        found.push(bare_warning("unused-patch", message, format!("there is no specs/{name}: rename or delete it")));
    }

    if found.iter().any(|diagnostic| diagnostic.level == Level::Error) {
        return Err(LoadError::Mistakes(found));
    }
    match config {
        Some(config) => Ok((Workspace { root: root.to_owned(), config, specs: specs.into_iter().collect() }, found)),
        None => Err(LoadError::Mistakes(found)),
    }
}

/// Loads `parton.toml` alone, for commands that need no spec.
///
/// # Errors
/// As [`load`], but only for `parton.toml`.
pub fn load_config(root: &Path) -> Result<Workspace, LoadError> {
    let path = below(root, &["parton.toml"]);
    let (config, found) = match read_text(&path)? {
        Err(diagnostic) => (None, vec![*diagnostic]),
        Ok(text) => config(path, text),
    };
    match config {
        Some(config) => Ok(Workspace { root: root.to_owned(), config, specs: BTreeMap::new() }),
        None => Err(LoadError::Mistakes(found)),
    }
}

impl Workspace {
    /// A workspace that says nothing, for commands that can do without one.
    pub fn empty(root: PathBuf) -> Self {
        let text = Arc::new(SourceText { path: root.join("parton.toml"), text: String::new() });
        let config = Config {
            profile: String::new(),
            profiles: BTreeMap::new(),
            store: None,
            mirrors: Vec::new(),
            content_mirrors: Vec::new(),
            archive_suites: Vec::new(),
            text,
        };
        Self { root, config, specs: BTreeMap::new() }
    }
}

/// Reads the text of one spec as if it lay in `specs/<name>` below `root`: the spec if nothing is wrong with it, and
/// everything there is to say.
pub fn read_spec(root: &Path, name: &str, text: String) -> (Option<Spec>, Vec<Diagnostic>) {
    let has_patches = below(root, &["patches", name]).is_dir();
    package::spec(&Place { root, name, has_patches }, text)
}

/// A path below the workspace as a person would name it.
pub(super) fn below(root: &Path, parts: &[&str]) -> PathBuf {
    let mut path = if root == Path::new(".") { PathBuf::new() } else { root.to_owned() };
    path.extend(parts);
    path
}

fn bare_warning(rule: &'static str, message: String, help: String) -> Diagnostic {
    Diagnostic { rule, level: Level::Warning, message, labels: Vec::new(), help: Some(help) }
}

fn no_spec(name: &str) -> Diagnostic {
    let message = format!("`specs/{name}` has no spec.toml");
    bare_warning("no-spec", message, "write one (`parton new URL` starts one), or delete the directory".into())
}

/// Names of the directories in a directory, sorted; hidden ones and files are passed over, and so is a name that is no
/// UTF-8: no package can have it.
fn directories(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_dir = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        if let (true, Ok(name)) = (is_dir, entry.file_name().into_string())
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Paths of all files below a directory, relative to it, sorted; nothing where there is no directory.
pub(super) fn files_below(dir: &Path, depth: usize) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if !path.is_dir() {
            files.push(name);
        } else if depth > 1 {
            files.extend(files_below(&path, depth - 1).into_iter().map(|file| format!("{name}/{file}")));
        }
    }
    files.sort_unstable();
    files
}

/// The text of a file, or what is wrong with it as a text.
fn read_text(path: &Path) -> io::Result<Result<String, Box<Diagnostic>>> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::with_capacity(4096);
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let wrong = |rule, text: String, at: usize, len: usize, message: &str, here: &str| {
        let sink = Sink::new(path.to_owned(), text);
        sink.error(rule, &(at..at + len), message, here, "");
        Ok(Err(Box::new(sink.finish().remove(0))))
    };
    if bytes.len() as u64 > LARGEST {
        return wrong("too-large", String::new(), 0, 0, "the file is larger than 1 MiB", "not read");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Ok(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            wrong("encoding", text, at, '\u{fffd}'.len_utf8(), "the file is not UTF-8", "no character")
        }
    }
}

fn config(path: PathBuf, text: String) -> (Option<Config>, Vec<Diagnostic>) {
    let sink = Sink::new(path, text);
    let text = Arc::clone(&sink.text);
    let config = read::parse(&sink, &text.text).and_then(|map| file(&Cursor::open(&sink, &WORKSPACE, 0..0, &map)));
    (config, sink.finish())
}

fn file(table: &Cursor<'_>) -> Option<Config> {
    let sink = table.sink;
    let mut profiles = BTreeMap::new();
    let named = table.named("profile");
    for (name, below) in &named {
        values::name(sink, name);
        if let Some(profile) = profile(below) {
            profiles.insert(name.value.clone(), profile);
        }
    }
    for (name, below) in &named {
        check_chain(name, below, &named);
    }
    let workspace = table.table("workspace");
    let default = workspace.as_ref().and_then(|workspace| workspace.text("profile"));
    if let Some(default) = &default
        && !named.is_empty()
        && named.iter().all(|(name, _)| name.value != default.value)
    {
        unknown_profile(sink, default, &named);
    }
    let store = workspace.as_ref().and_then(|workspace| workspace.text("store"));
    let fetch = table.table("fetch");
    let list = |key: &str| fetch.as_ref().map(|fetch| fetch.texts(key)).unwrap_or_default();
    let (mirrors, content_mirrors, suites) = (list("mirrors"), list("content-mirrors"), list("archive-suites"));
    for mirror in &mirrors {
        template(sink, mirror, &["sha256", "name"]);
    }
    for mirror in &content_mirrors {
        if template(sink, mirror, &["sha256"]) && !mirror.value.contains("{sha256}") {
            let message = "a content mirror is asked by hash";
            let help = "write a URL with {sha256} in it; a mirror that knows files by name belongs to `mirrors`";
            sink.error("bad-template", &mirror.span, message, "no `{sha256}`", help);
        }
    }
    for suite in &suites {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if suite.value.is_empty() || !suite.value.chars().all(good) {
            let message = format!("`{}` is not the name of a suite", suite.value);
            sink.error("bad-suite", &suite.span, message, "not a name", "as in \"bookworm\", \"trixie\", \"sid\"");
        }
    }
    let plain = |list: Vec<At<String>>| list.into_iter().map(|text| text.value).collect::<Vec<String>>();
    Some(Config {
        profile: default?.value,
        profiles,
        store: store.map(|store| PathBuf::from(store.value)),
        mirrors: plain(mirrors),
        content_mirrors: plain(content_mirrors),
        archive_suites: plain(suites),
        text: Arc::clone(&sink.text),
    })
}

/// Checks a URL with holes; says whether it is good.
fn template(sink: &Sink, url: &At<String>, holes: &[&str]) -> bool {
    let known: Vec<String> = holes.iter().map(|hole| format!("{{{hole}}}")).collect();
    let mut rest = 0;
    while let Some(open) = url.value[rest..].find(['{', '}']).map(|at| rest + at) {
        let close = url.value[open..].find('}').map_or(url.value.len(), |at| open + at + 1);
        if !known.iter().any(|hole| *hole == url.value[open..close]) {
            let message = format!("`{}` can't be filled in", &url.value[open..close]);
            let help = format!("known here: {}", known.join(", "));
            sink.error("bad-template", &sink.part(url, open..close), message, "unknown", help);
            return false;
        }
        rest = close;
    }
    values::url(sink, url, &["https", "http", "file"]).is_some()
}

/// A name of another profile that no profile has.
fn unknown_profile(sink: &Sink, name: &At<String>, named: &[(At<String>, Cursor<'_>)]) {
    let known: Vec<&str> = named.iter().map(|(name, _)| name.value.as_str()).collect();
    let help = match nearest(&name.value, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    let message = format!("there is no profile `{}`", name.value);
    sink.error("unknown-profile", &name.span, message, "no [profile] of this name", help);
}

/// Follows the profiles that build a profile's tools: each must exist, and none may need itself.
fn check_chain(name: &At<String>, table: &Cursor<'_>, named: &[(At<String>, Cursor<'_>)]) {
    let sink = table.sink;
    if let Some(other) = table.text("diverse").filter(|other| !named.iter().any(|(name, _)| name.value == other.value))
    {
        unknown_profile(sink, &other, named);
    }
    let Some(first) = table.text("toolchain") else { return };
    let mut path = vec![name.value.clone()];
    let mut next = first.clone();
    loop {
        let Some((_, below)) = named.iter().find(|(other, _)| other.value == next.value) else {
            // Whose own mistake it is says so.
            if path.len() == 1 {
                unknown_profile(sink, &first, named);
            }
            return;
        };
        if path.contains(&next.value) {
            // Each of them leads in the same circle; the first by name says so.
            if next.value == name.value && path.iter().min() == Some(&name.value) {
                let message = format!("profiles build each other: {} → {}", path.join(" → "), next.value);
                let help = "one of them must start from a seed";
                sink.error("cycle", &first.span, message, "leads back here", help);
            }
            return;
        }
        path.push(next.value.clone());
        match below.text("toolchain") {
            Some(further) => next = further,
            None => return,
        }
    }
}

fn profile(table: &Cursor<'_>) -> Option<Profile> {
    let sink = table.sink;
    let absolute = |key: &str| {
        let path = table.text(key)?;
        let inside = path.value.strip_prefix('/').map(|rest| rest.split('/').any(|part| matches!(part, "." | "..")));
        if inside == Some(false) {
            return Some(path.value);
        }
        let message = format!("`{key}` is a path inside of the build's root");
        sink.error("bad-path", &path.span, message, "not absolute and plain", "write it from `/` on, without `..`");
        None
    };
    let seed = table.text("seed").filter(|seed| values::inner_path(sink, seed, "`seed`"));
    let names = |key: &str| -> Vec<String> {
        let names = table.texts(key);
        names.into_iter().filter(|name| values::need(sink, name)).map(|name| name.value).collect()
    };
    let (tools, libraries) = (names("tools"), names("libraries"));
    let toolchain = table.text("toolchain").map(|profile| Toolchain { profile: profile.value, tools, libraries });
    if toolchain.is_none() {
        for key in ["tools", "libraries"] {
            if let Some(span) = table.key_span(key) {
                let message = format!("`{key}` without a profile that builds them");
                sink.error("no-toolchain", &span, message, "who builds these?", "write `toolchain = \"PROFILE\"`");
            }
        }
        if !table.has("seed") {
            let message = "a profile without any compiler";
            let help = "write `seed`, or `toolchain` with `tools` and `libraries`";
            sink.error("no-toolchain", &table.span, message, "neither a seed nor a toolchain", help);
        }
    }
    let build = table.text("build");
    let target = table.text("target");
    for target in target.iter().chain(&build) {
        let parts: Vec<&str> = target.value.split('-').collect();
        let good =
            |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        if !(2..=4).contains(&parts.len()) || !parts.iter().all(good) {
            let message = format!("`{}` is not a target triple", target.value);
            sink.error("bad-target", &target.span, message, "not a triple", "as in \"x86_64-linux-musl\"");
        }
    }
    let env = table.map("env");
    for (name, _) in &env {
        values::variable(sink, name);
    }
    let sysroot = if table.has("sysroot") { absolute("sysroot") } else { Some("/".to_owned()) };
    let interpreter = absolute("interpreter");
    Some(Profile {
        seed: seed.map(|seed| seed.value),
        toolchain,
        target: target?.value,
        build: build.map(|build| build.value),
        sysroot: sysroot?,
        interpreter: interpreter?,
        diverse: table.text("diverse").map(|name| name.value),
        provides: table.texts("provides").into_iter().map(|text| text.value).collect(),
        env: env.into_iter().map(|(name, value)| (name.value, value.value)).collect(),
    })
}
