//! Helpers expand to plain phases: what is run is what the derivation says, and nothing else knows of helpers.

use super::derivation::Phase;
use crate::spec::{Build, Profile, Spec, System};
use std::fmt::Write as _;

/// The phases of a spec whose main source lies in `dir` (below `/build`), built with this profile.
pub fn expand(spec: &Spec, dir: &str, profile: &Profile) -> Vec<Phase> {
    let build = &spec.build;
    let source = match &build.dir {
        Some(sub) => format!("{dir}/{sub}"),
        None => dir.to_owned(),
    };
    let work = if build.out_of_tree { "obj".to_owned() } else { source.clone() };
    let mut phases = Vec::new();
    let mut phase = |name: &str, dir: &str, script: String| {
        phases.push(Phase { name: name.to_owned(), dir: dir.to_owned(), script });
    };

    if !spec.patches.is_empty() {
        // No fuzz: a patch that only nearly fits is a patch for another release.
        let script = (0..spec.patches.len()).fold(String::new(), |mut script, n| {
            let _ = writeln!(script, "patch -p1 --fuzz=0 --no-backup-if-mismatch -i /patches/{n:03}");
            script
        });
        phase("patch", dir, script);
    }
    let written = |name: &str| build.phases.get(name).map(|script| script.value.clone());
    for name in ["prepare", "configure", "compile", "install", "finish"] {
        let here = if name == "prepare" { &source } else { &work };
        // A phase that is written empty is left out.
        let script = written(name).or_else(|| helper(build, name, &source, profile));
        if let Some(script) = script.filter(|script| !script.trim().is_empty()) {
            phase(name, here, script);
        }
    }
    phases
}

/// What the helper does in a phase that the spec does not write itself.
fn helper(build: &Build, phase: &str, source: &str, profile: &Profile) -> Option<String> {
    let flags: String = build.flags.iter().map(|flag| format!(" {}", quote(flag))).collect();
    let words = |list: &[String]| list.iter().map(|word| format!(" {}", quote(word))).collect::<String>();
    let install = if build.install.is_empty() { " install".to_owned() } else { words(&build.install) };
    match (build.system.value, phase) {
        (System::Configure, "configure") => {
            // From the build directory, so that what compilers note of file names holds no absolute path.
            let script = if build.out_of_tree { format!("../{source}/configure") } else { "./configure".to_owned() };
            let cross = profile.build.as_ref();
            let cross = cross.map(|build| format!(" --build={build} --host={}", profile.target)).unwrap_or_default();
            let places = "--prefix=/usr --sysconfdir=/etc --localstatedir=/var --libdir=/usr/lib";
            Some(format!("{script} {places}{cross}{flags}"))
        }
        (System::Configure, "compile") => Some(format!("make -j\"$JOBS\"{}", words(&build.targets))),
        (System::Configure, "install") => Some(format!("make DESTDIR=\"$OUT\"{install}")),
        (System::Make, "compile") => Some(format!("make -j\"$JOBS\"{flags}{}", words(&build.targets))),
        (System::Make, "install") => Some(format!("make DESTDIR=\"$OUT\"{flags}{install}")),
        _ => None,
    }
}

/// Quotes one word for the shell. Only `$OUT`, `$JOBS` and `$SYSROOT` keep their meaning.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut out = String::from("\"");
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let variable = ["$OUT", "$JOBS", "$SYSROOT"].into_iter().find(|v| {
            rest.strip_prefix(v)
                .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        });
        if let Some(variable) = variable {
            out.push_str(variable);
            rest = &rest[variable.len()..];
            continue;
        }
        if matches!(c, '"' | '\\' | '`' | '$') {
            out.push('\\');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_variables_expand() {
        assert_eq!(quote("--shared"), "--shared");
        assert_eq!(quote("--with-zlib=$SYSROOT/usr"), "\"--with-zlib=$SYSROOT/usr\"");
        assert_eq!(quote("$HOME `id` \"x\" $OUTER"), "\"\\$HOME \\`id\\` \\\"x\\\" \\$OUTER\"");
        assert_eq!(quote(""), "\"\"");
    }
}
