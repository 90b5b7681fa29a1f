//! A new `spec.toml` as text.

use super::types::{Origin, SignedOver, System};
use crate::base::{Sha256, printable};
use std::fmt::Write as _;

/// What goes into a new spec.
#[derive(Debug, Clone)]
pub struct NewSpec {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Licence expression; empty leaves a place to fill in, which is refused until it is.
    pub license: String,
    /// Upstream's page.
    pub homepage: Option<String>,
    /// One line for people.
    pub summary: Option<String>,
    /// Where the source was fetched.
    pub urls: Vec<String>,
    /// Its hash.
    pub sha256: Sha256,
    /// Its size.
    pub size: u64,
    /// Whether it is an archive.
    pub unpack: bool,
    /// Leading path components to drop; an archive without a common top directory has none.
    pub strip: u32,
    /// What the bits are.
    pub origin: Origin,
    /// Upstream's signature, if it was found.
    pub signature: Option<NewSignature>,
    /// The repository: clone URL, tag, commit.
    pub vcs: Option<(String, Option<String>, Option<String>)>,
    /// Tools needed on the build machine.
    pub needs_build: Vec<String>,
    /// Helper.
    pub system: System,
    /// Phases beside the helper's, in order.
    pub phases: Vec<(String, String)>,
    /// Remarks for the person who goes on: comments at the top.
    pub notes: Vec<String>,
}

/// A signature that was found beside a source.
#[derive(Debug, Clone)]
pub struct NewSignature {
    /// Where.
    pub urls: Vec<String>,
    /// Hash of the signature file.
    pub sha256: Option<Sha256>,
    /// Key file, relative to the spec.
    pub key: String,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// What was signed.
    pub over: SignedOver,
}

/// The text of a new spec: keys in the order of the reference, remarks as comments.
pub fn new_spec(new: &NewSpec) -> String {
    let mut out = String::new();
    for note in &new.notes {
        // A remark quotes file names of strangers: a line end would turn it into keys.
        let _ = writeln!(out, "# {}", printable(note.as_bytes()));
    }
    if !new.notes.is_empty() {
        out.push('\n');
    }
    out.push_str("[package]\n");
    pair(&mut out, "name", &new.name);
    pair(&mut out, "version", &new.version);
    if new.license.is_empty() {
        out.push_str("license = \"\" # fill in: an SPDX expression\n");
    } else {
        pair(&mut out, "license", &new.license);
    }
    for (key, value) in [("homepage", &new.homepage), ("summary", &new.summary)] {
        if let Some(value) = value {
            pair(&mut out, key, value);
        }
    }

    out.push_str("\n[[source]]\n");
    let _ = writeln!(out, "urls = {}", list(&new.urls));
    let _ = writeln!(out, "sha256 = \"{}\"\nsize = {}", new.sha256, new.size);
    match new.origin {
        Origin::Release => {}
        Origin::Forge => out.push_str("origin = \"forge\"\n"),
        Origin::Repack => out.push_str("origin = \"repack\"\norigin-note = \"\" # fill in: who repacked it, and why\n"),
    }
    if !new.unpack {
        out.push_str("unpack = false\n");
    } else if new.strip != 1 {
        let _ = writeln!(out, "strip = {}", new.strip);
    }
    if let Some((git, tag, commit)) = &new.vcs {
        let _ = write!(out, "vcs = {{ git = {}", quoted(git));
        for (key, value) in [("tag", tag), ("commit", commit)] {
            if let Some(value) = value {
                let _ = write!(out, ", {key} = {}", quoted(value));
            }
        }
        out.push_str(" }\n");
    }
    if let Some(signature) = &new.signature {
        out.push_str("\n[source.signature]\n");
        if !signature.urls.is_empty() {
            let _ = writeln!(out, "urls = {}", list(&signature.urls));
        }
        if let Some(sha256) = &signature.sha256 {
            let _ = writeln!(out, "sha256 = \"{sha256}\"");
        }
        pair(&mut out, "key", &signature.key);
        pair(&mut out, "fingerprint", &signature.fingerprint);
        if signature.over == SignedOver::Uncompressed {
            out.push_str("over = \"uncompressed\"\n");
        }
    }

    if !new.needs_build.is_empty() {
        let _ = writeln!(out, "\n[needs]\nbuild = {}", list(&new.needs_build));
    }
    let system = match new.system {
        System::Configure => "configure",
        System::Make => "make",
        System::Script => "script",
    };
    let _ = writeln!(out, "\n[build]\nsystem = \"{system}\"");
    if !new.phases.is_empty() {
        out.push_str("\n[build.phases]\n");
        for (phase, script) in &new.phases {
            let _ = writeln!(out, "{phase} = {}", block(script));
        }
    }
    out
}

fn pair(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {}", quoted(value));
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A script: on its own lines when it has several or quotes.
fn block(script: &str) -> String {
    let literal = !script.contains("'''") && !script.ends_with('\'');
    let plain = script.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    match (script.contains('\n'), literal && plain) {
        (true, true) => format!("'''\n{}\n'''", script.trim_end_matches('\n')),
        (false, true) if script.contains(['"', '\\']) && !script.contains('\'') => format!("'{script}'"),
        _ => quoted(script),
    }
}

/// An array of strings; one to a line if they would make a long one.
fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item.as_ref())).collect();
    let line = items.join(", ");
    if items.len() > 1 && line.len() > 100 {
        format!("[\n    {},\n]", items.join(",\n    "))
    } else {
        format!("[{line}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{SourceKind, read_spec};
    use std::path::Path;

    fn new() -> NewSpec {
        NewSpec {
            name: "tree".into(),
            version: "2.2.1".into(),
            license: "GPL-2.0-or-later".into(),
            homepage: Some("https://example.org/tree".into()),
            summary: Some("Lists \"directories\"".into()),
            urls: vec!["https://example.org/tree-2.2.1.tgz".into()],
            sha256: Sha256::of(b"tree"),
            size: 4,
            unpack: true,
            strip: 1,
            origin: Origin::Release,
            signature: None,
            vcs: Some(("https://example.org/tree.git".into(), Some("2.2.1".into()), None)),
            needs_build: vec!["make".into()],
            system: System::Make,
            phases: vec![("install".into(), "make install PREFIX=\"$OUT/usr\"".into())],
            notes: vec!["Makefile knows no DESTDIR".into()],
        }
    }

    #[test]
    fn reads_well() {
        insta::assert_snapshot!(new_spec(&new()), @r#"
        # Makefile knows no DESTDIR

        [package]
        name = "tree"
        version = "2.2.1"
        license = "GPL-2.0-or-later"
        homepage = "https://example.org/tree"
        summary = "Lists \"directories\""

        [[source]]
        urls = ["https://example.org/tree-2.2.1.tgz"]
        sha256 = "dc9c5edb8b2d479e697b4b0b8ab874f32b325138598ce9e7b759eb8292110622"
        size = 4
        vcs = { git = "https://example.org/tree.git", tag = "2.2.1" }

        [needs]
        build = ["make"]

        [build]
        system = "make"

        [build.phases]
        install = 'make install PREFIX="$OUT/usr"'
        "#);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let tricky = "a'b\"c\\d\te\u{1}é\n'''\n\"\"\"";
        for script in ["make", "make \"x\"", "it's", "a\nb\n", "'''", "\n", "a\r\nb", tricky, "ends with '", "'''\n'"] {
            let mut new = new();
            new.phases = vec![("compile".into(), script.into())];
            new.summary = Some(tricky.into());
            new.notes = vec!["evil\n[package]\nname = \"x\"\u{1b}[2J".into()];
            let (spec, found) = read_spec(Path::new("/nowhere"), "tree", new_spec(&new));
            let spec = spec.unwrap_or_else(|| panic!("{found:?}"));
            assert_eq!(found, []);
            assert_eq!(spec.build.phases["compile"].value.trim_end(), script.trim_end(), "{script:?}");
            assert_eq!(spec.summary.as_deref(), Some(tricky));
            let SourceKind::File { sha256, size, .. } = &spec.sources[0].kind else { panic!("a file") };
            assert_eq!((sha256.value, *size), (Sha256::of(b"tree"), Some(4)));
        }
    }

    #[test]
    fn what_is_left_open_is_refused_by_name() {
        let new = NewSpec { license: String::new(), origin: Origin::Repack, ..new() };
        let (spec, found) = read_spec(Path::new("/nowhere"), "tree", new_spec(&new));
        assert!(spec.is_none());
        assert_eq!(found.iter().map(|d| d.rule).collect::<Vec<_>>(), ["empty-value", "empty-value"]);
    }
}
