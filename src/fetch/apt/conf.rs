//! Which archives this machine's apt is configured for.

use super::deb822::Stanzas;
use crate::fetch::place::escape_path;
use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its address, without a slash at the end. Not for messages or records.
    pub base: String,
    /// Suites the machine uses from it.
    pub suites: Vec<String>,
    /// Components the machine uses from it (`main`, …).
    pub components: Vec<String>,
    /// Who may sign its indexes.
    pub keys: Vec<Keys>,
    /// Proxy that apt would use for it.
    pub proxy: Option<String>,
}

/// Keys that may sign.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keys {
    /// A file of certificates, binary or armored.
    File(PathBuf),
    /// Armored certificates written into the configuration itself.
    Inline(String),
    /// Not a key of its own: among all the others only those with these fingerprints may sign.
    Only(Vec<String>),
}

impl Archive {
    /// The address of a file below the archive.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{}", self.base.trim_end_matches('/'), escape_path(path, true))
    }
}

/// Reads `etc/apt` below `root` (which is `/` but in tests): `sources.list`, `sources.list.d/*.list` and `*.sources`,
/// the proxy of `apt.conf` and `apt.conf.d`. What can not be read or understood is left out, as are addresses of kinds
/// that parton does not speak; a machine without apt has no archives.
pub fn discover(root: &Path) -> Vec<Archive> {
    let apt = root.join("etc/apt");
    let proxies = proxies(&apt);
    let mut found = Found { root, default_keys: default_keys(&apt), archives: BTreeMap::new(), order: Vec::new() };
    if let Ok(text) = fs::read_to_string(apt.join("sources.list")) {
        found.one_line_style(&text);
    }
    for path in files(&apt.join("sources.list.d"), &["list", "sources"]) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if path.extension().is_some_and(|e| e == "list") {
            found.one_line_style(&text);
        } else {
            found.stanza_style(&text);
        }
    }
    let Found { mut archives, order, .. } = found;
    let mut out: Vec<Archive> = order.iter().filter_map(|base| archives.remove(base)).collect();
    for archive in &mut out {
        let scheme = archive.base.split(':').next().unwrap_or_default().to_owned();
        // apt uses the http proxy for https too, unless that has its own.
        archive.proxy = proxies.get(&scheme).or_else(|| proxies.get("http")).cloned();
    }
    out
}

struct Found<'a> {
    root: &'a Path,
    default_keys: Vec<Keys>,
    archives: BTreeMap<String, Archive>,
    order: Vec<String>,
}

impl Found<'_> {
    /// `deb [option=value …] address suite component…`
    fn one_line_style(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some(rest) = line.strip_prefix("deb-src ").or_else(|| line.strip_prefix("deb ")) else { continue };
            let rest = rest.trim_start();
            let (options, rest) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
                Some((options, rest)) => (options, rest),
                None => ("", rest),
            };
            let signed_by = options.split_ascii_whitespace().find_map(|o| o.strip_prefix("signed-by="));
            let mut words = rest.split_ascii_whitespace();
            let (Some(uri), Some(suite)) = (words.next(), words.next()) else { continue };
            self.add(uri, &[suite], &words.collect::<Vec<_>>(), signed_by);
        }
    }

    fn stanza_style(&mut self, text: &str) {
        let mut stanzas = Stanzas::new(text.as_bytes(), &[]);
        while let Ok(Some(stanza)) = stanzas.next() {
            if stanza.get("Enabled").is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "no" | "false" | "0")) {
                continue;
            }
            let suites: Vec<&str> = stanza.words("Suites").collect();
            let components: Vec<&str> = stanza.words("Components").collect();
            for uri in stanza.words("URIs") {
                self.add(uri, &suites, &components, stanza.get("Signed-By"));
            }
        }
    }

    fn add(&mut self, uri: &str, suites: &[&str], components: &[&str], signed_by: Option<&str>) {
        let base = uri.trim_end_matches('/').to_owned();
        if !["http://", "https://", "file:/"].iter().any(|scheme| base.starts_with(scheme)) {
            return;
        }
        let keys = match signed_by {
            Some(value) => self.signed_by(value),
            None => self.default_keys.clone(),
        };
        let archive = self.archives.entry(base.clone()).or_insert_with(|| {
            self.order.push(base.clone());
            Archive { base, suites: Vec::new(), components: Vec::new(), keys: Vec::new(), proxy: None }
        });
        // A suite with a slash at its end is a flat directory without components; it has no source index of ours.
        extend(&mut archive.suites, suites.iter().filter(|s| !s.ends_with('/')).map(|s| (*s).to_owned()));
        extend(&mut archive.components, components.iter().map(|c| (*c).to_owned()));
        extend(&mut archive.keys, keys);
    }

    fn signed_by(&self, value: &str) -> Vec<Keys> {
        if value.contains("-----BEGIN") {
            // In a stanza every line of the block starts with a space, and an empty one is written as a dot.
            let lines = value.lines().map(|line| match line.trim() {
                "." => "",
                line => line,
            });
            return vec![Keys::Inline(lines.collect::<Vec<_>>().join("\n") + "\n")];
        }
        let words: Vec<&str> = value.split(|c: char| c == ',' || c.is_ascii_whitespace()).collect();
        let mut keys = Vec::new();
        let mut only = Vec::new();
        for word in words.into_iter().filter(|w| !w.is_empty()) {
            if word.starts_with('/') {
                // However many slashes: what is joined while it begins with one would leave the root.
                keys.push(Keys::File(self.root.join(word.trim_start_matches('/'))));
            } else {
                only.push(word.trim_end_matches('!').to_ascii_uppercase());
            }
        }
        if !only.is_empty() {
            if keys.is_empty() {
                keys.clone_from(&self.default_keys);
            }
            keys.push(Keys::Only(only));
        }
        keys
    }
}

fn extend<T: Ord + Clone>(to: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    let mut known: BTreeSet<T> = to.iter().cloned().collect();
    to.extend(more.into_iter().filter(|item| known.insert(item.clone())));
}

/// The keys of archives that name none.
fn default_keys(apt: &Path) -> Vec<Keys> {
    let mut paths = vec![apt.join("trusted.gpg")];
    paths.extend(files(&apt.join("trusted.gpg.d"), &["gpg", "asc"]));
    paths.into_iter().filter(|path| path.is_file()).map(Keys::File).collect()
}

/// The files of a directory with these endings, sorted by name as apt reads them.
fn files(dir: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)))
        .collect();
    paths.sort();
    paths
}

/// `Acquire::<scheme>::Proxy`, by scheme. Both spellings of apt.conf are read, nested and flat; later ones win.
fn proxies(apt: &Path) -> BTreeMap<String, String> {
    let mut paths = vec![];
    if let Ok(entries) = fs::read_dir(apt.join("apt.conf.d")) {
        paths.extend(entries.flatten().map(|entry| entry.path()).filter(|path| match path.extension() {
            None => true,
            Some(ending) => ending == "conf",
        }));
    }
    paths.sort();
    paths.push(apt.join("apt.conf"));
    let mut out = BTreeMap::new();
    for text in paths.iter().filter_map(|path| fs::read_to_string(path).ok()) {
        for (name, value) in settings(&text) {
            let name = name.to_ascii_lowercase();
            for scheme in ["http", "https"] {
                if name == format!("acquire::{scheme}::proxy") {
                    if value.is_empty() || value.eq_ignore_ascii_case("DIRECT") {
                        out.remove(scheme);
                    } else {
                        out.insert(scheme.to_owned(), value.clone());
                    }
                }
            }
        }
    }
    out
}

/// The values of an apt.conf with their full names.
fn settings(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut scopes: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    let mut word = String::new();
    while let Some(c) = chars.next() {
        let comment = match c {
            '#' => true,
            '/' => chars.peek() == Some(&'/'),
            _ => false,
        };
        if comment {
            while chars.next_if(|c| *c != '\n').is_some() {}
            continue;
        }
        if c == '/' && chars.next_if_eq(&'*').is_some() {
            let mut last = ' ';
            for c in chars.by_ref() {
                if (last, c) == ('*', '/') {
                    break;
                }
                last = c;
            }
            continue;
        }
        let ends_word = c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
        if ends_word && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        match c {
            '"' => words.push(chars.by_ref().take_while(|c| *c != '"').collect()),
            '{' => scopes.push(words.drain(..).next().unwrap_or_default()),
            '}' => {
                scopes.pop();
                words.clear();
            }
            ';' => {
                if let [name, value] = words.as_slice() {
                    let full = scopes.iter().chain([name]).map(String::as_str).collect::<Vec<_>>().join("::");
                    out.push((full, value.clone()));
                }
                words.clear();
            }
            c if c.is_whitespace() => {}
            c => word.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn both_styles_are_read_and_merged_by_address() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            "etc/apt/sources.list",
            "# deb http://no.example.org/ x main\n\
             deb [arch=amd64 signed-by=/keys/a.gpg] http://a.example.org/debian/ stable main contrib # why\n\
             deb-src http://b.example.org/debian old main\n\
             deb cdrom:[x]/ stable main\n",
        );
        write(root, "etc/apt/trusted.gpg.d/z.gpg", "");
        write(root, "etc/apt/sources.list.d/c.list.off", "deb http://off.example.org/ x main\n");
        write(
            root,
            "etc/apt/sources.list.d/c.sources",
            "Types: deb\n# a comment in between\nURIs: http://a.example.org/debian file:/srv/mirror\nSuites: stable new\n\
             Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----\n\n\
             Types: deb\nURIs: http://d.example.org/\nSuites: s\nComponents: main\nEnabled: no\n",
        );
        write(
            root,
            "etc/apt/apt.conf.d/90p",
            "// c\nAcquire { http { Proxy \"http://p.example.org:3128/\"; }; };\n/* Acquire::https::Proxy \"x\"; */\n",
        );
        let found = discover(root);
        let bases: Vec<&str> = found.iter().map(|a| a.base.as_str()).collect();
        assert_eq!(bases, ["http://a.example.org/debian", "http://b.example.org/debian", "file:/srv/mirror"]);
        assert_eq!(found[0].suites, ["stable", "new"]);
        assert_eq!(found[0].components, ["main", "contrib"]);
        assert_eq!(found[0].keys[0], Keys::File(root.join("keys/a.gpg")));
        assert_eq!(
            found[0].keys[1],
            Keys::Inline("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ\n-----END PGP PUBLIC KEY BLOCK-----\n".into())
        );
        assert_eq!(found[1].keys, [Keys::File(root.join("etc/apt/trusted.gpg.d/z.gpg"))]);
        assert_eq!(found[0].proxy.as_deref(), Some("http://p.example.org:3128/"));
    }

    #[test]
    fn a_machine_without_apt_has_no_archives() {
        assert_eq!(discover(tempfile::tempdir().unwrap().path()), []);
    }

    #[test]
    fn fingerprints_restrict_the_default_keys() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "etc/apt/trusted.gpg", "x");
        write(dir.path(), "etc/apt/sources.list", "deb [signed-by=ABCDEF!] http://a.example.org s main\n");
        let keys = &discover(dir.path())[0].keys;
        assert_eq!(keys, &[Keys::File(dir.path().join("etc/apt/trusted.gpg")), Keys::Only(vec!["ABCDEF".into()])]);
    }

    #[test]
    fn flat_settings_and_the_last_one_wins() {
        let text = "Acquire::http::Proxy \"http://one.example.org\";\nAcquire::http::Proxy \"DIRECT\";";
        assert_eq!(settings(text).len(), 2);
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "apt.conf", text);
        assert_eq!(proxies(dir.path()), BTreeMap::new());
    }
}
