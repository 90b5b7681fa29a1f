//! How an unpacked source is probably built and licensed, for `parton new`.

use super::license_text::{LicenseGuess, recognise};
use super::types::System;

/// What the files of a source suggest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The helper.
    pub system: System,
    /// Phases to write, in order: where there is no helper, a skeleton to fill in.
    pub phases: Vec<(&'static str, String)>,
    /// Tools that the build will need on the build machine.
    pub needs_build: Vec<&'static str>,
    /// Licences with what speaks for each; the first is the most telling. None: nothing was recognised.
    pub licenses: Vec<LicenseGuess>,
    /// What a person has to look at.
    pub notes: Vec<String>,
}

/// Reads at most this much of a text: licences stand at the beginning.
const HEADER: usize = 4096;

/// Guesses from the paths of all files of a source, relative to its top directory, and from the texts of a few.
///
/// `read` gives the text of one of the files, or nothing if it is no text.
pub fn guess(listing: &[String], read: &dyn Fn(&str) -> Option<String>) -> Guess {
    let mut guess =
        Guess { system: System::Script, phases: vec![], needs_build: vec![], licenses: vec![], notes: vec![] };
    guess_system(&mut guess, listing, read);
    guess_licenses(&mut guess, listing, read);
    guess
}

fn guess_system(guess: &mut Guess, listing: &[String], read: &dyn Fn(&str) -> Option<String>) {
    let has = |name: &str| listing.iter().any(|file| file == name);
    let makefile = ["GNUmakefile", "Makefile", "makefile"].into_iter().find(|name| has(name));
    let mut others: Vec<&str> = Vec::new();
    if has("configure") {
        guess.system = System::Configure;
        let by_autoconf = read("configure")
            .is_some_and(|text| text.get(..HEADER.min(text.len())).unwrap_or(&text).contains("Autoconf"));
        if !by_autoconf {
            guess.notes.push(
                "configure was not made by Autoconf: see `./configure --help` for the flags it takes, and replace the phase in [build.phases] if it refuses the usual ones"
                    .into(),
            );
        }
        others.extend(["meson.build", "CMakeLists.txt"]);
    } else if has("configure.ac") || has("configure.in") {
        guess.system = System::Configure;
        guess.phases.push(("prepare", "autoreconf -fi".into()));
        guess.needs_build.extend(["autoconf", "automake", "libtool"]);
        guess.notes.push("there is no configure, only its source: upstream may have a release that contains it".into());
        others.extend(["meson.build", "CMakeLists.txt"]);
    } else if has("meson.build") {
        guess.needs_build.extend(["meson", "ninja"]);
        guess.phases.extend([
            ("configure", "meson setup --prefix=/usr --buildtype=release --wrap-mode=nodownload _build".to_owned()),
            ("compile", "meson compile -C _build".to_owned()),
            ("install", "DESTDIR=\"$OUT\" meson install -C _build --no-rebuild".to_owned()),
        ]);
        guess.notes.push("parton has no helper for Meson yet: read `meson_options.txt` and choose each option".into());
        others.push("CMakeLists.txt");
    } else if has("CMakeLists.txt") {
        guess.needs_build.extend(["cmake", "make"]);
        guess.phases.extend([
            ("configure", "cmake -S . -B _build -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_BUILD_TYPE=Release".to_owned()),
            ("compile", "cmake --build _build".to_owned()),
            ("install", "DESTDIR=\"$OUT\" cmake --install _build".to_owned()),
        ]);
        guess.notes.push("parton has no helper for CMake yet: read CMakeLists.txt and choose each option".into());
        others.extend(makefile);
    } else if has("Configure") || has("config") && makefile.is_none() {
        let script = if has("Configure") { "Configure" } else { "config" };
        guess.needs_build.push("make");
        guess.phases.extend([
            ("configure", format!("./{script} # fill in: prefix and options")),
            ("compile", "make".to_owned()),
            ("install", "make install DESTDIR=\"$OUT\"".to_owned()),
        ]);
        guess.notes.push(format!("{script} is upstream's own: fill in the flags it takes"));
    } else if let Some(makefile) = makefile {
        guess.system = System::Make;
        if !read(makefile).is_some_and(|text| text.contains("DESTDIR")) {
            guess.notes.push(format!(
                "{makefile} knows no DESTDIR: write an `install` phase that copies what was built below $OUT"
            ));
        }
    } else if has("Cargo.toml") {
        guess.needs_build.push("rust");
        guess.phases.extend([
            ("compile", "cargo build --release --offline --frozen".to_owned()),
            ("install", "install -D -t \"$OUT/usr/bin\" target/release/NAME # fill in: NAME".to_owned()),
        ]);
        guess.notes.push("a build has no network: add the vendored crates as a further [[source]]".into());
    } else {
        let known = [
            ("pyproject.toml", "Python"),
            ("setup.py", "Python"),
            ("go.mod", "Go"),
            ("Makefile.PL", "Perl"),
            ("build.zig", "Zig"),
        ];
        guess.notes.push(match known.iter().find(|(file, _)| has(file)) {
            Some((file, language)) => format!("{file} is there, so this is built with {language}: fill in the phases"),
            None => "no build system was recognised: fill in the phases".into(),
        });
        guess.phases.extend([
            ("compile", "# fill in: how it is built\ntrue".to_owned()),
            (
                "install",
                "# fill in: copy what was built below $OUT, as in\n# install -D tool \"$OUT/usr/bin/tool\"\nfalse"
                    .to_owned(),
            ),
        ]);
    }
    if matches!(guess.system, System::Configure | System::Make) {
        guess.needs_build.push("make");
    }
    for other in others.into_iter().filter(|other| has(other)) {
        guess.notes.push(format!("{other} is there too"));
    }
}

fn guess_licenses(guess: &mut Guess, listing: &[String], read: &dyn Fn(&str) -> Option<String>) {
    let headers: Vec<(String, String)> = sources(listing)
        .filter_map(|file| Some((file.clone(), read(file)?)))
        .map(|(file, mut text)| {
            let mut end = HEADER.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            (file, text)
        })
        .collect();
    let mut unknown = Vec::new();
    for file in listing.iter().filter(|file| is_license(file)).take(40) {
        let named = file.strip_prefix("LICENSES/").and_then(|name| name.rsplit_once('.')).map(|(id, _)| id);
        if let Some(id) = named.filter(|id| spdx::license_id(id).is_some_and(|id| !id.is_deprecated())) {
            let evidence = "the name of the file".to_owned();
            guess.licenses.push(LicenseGuess { expression: id.to_owned(), file: file.clone(), evidence, sure: true });
            continue;
        }
        let Some(text) = read(file) else { continue };
        let found = recognise(file, &text, &headers);
        if found.is_empty() {
            unknown.push(file.as_str());
        }
        guess.licenses.extend(found);
    }
    if guess.licenses.is_empty() {
        let readme = listing.iter().find(|file| file.to_uppercase().starts_with("README") && !file.contains('/'));
        if let Some(readme) = readme {
            guess.licenses.extend(recognise(readme, &read(readme).unwrap_or_default(), &headers));
        }
    }
    let mut seen: Vec<String> = Vec::new();
    guess.licenses.retain(|license| {
        let new = !seen.contains(&license.expression);
        seen.push(license.expression.clone());
        new
    });
    if !unknown.is_empty() && unknown.len() <= 10 {
        guess.notes.push(format!("no licence was recognised in {}: read it", unknown.join(", ")));
    }
    match guess.licenses.len() {
        0 => guess.notes.push("no licence was recognised: find out and write `license`".into()),
        1 => {}
        _ => guess.notes.push("several licences were found: join those that hold for what is installed".into()),
    }
}

/// Files that hold the text of a licence, judged by their names.
fn is_license(file: &str) -> bool {
    let (dir, name) = file.rsplit_once('/').unwrap_or(("", file));
    let upper = name.to_uppercase();
    let by_name =
        ["COPYING", "LICENSE", "LICENCE", "COPYRIGHT", "UNLICENSE"].iter().any(|word| upper.starts_with(word));
    let code = [".C", ".H", ".PY", ".SH", ".RS", ".PL", ".IN"].iter().any(|ending| upper.ends_with(ending));
    (dir.is_empty() && by_name || dir == "LICENSES" || dir.eq_ignore_ascii_case("doc") && by_name) && !code
}

/// Some source files whose headers say what the licence's text leaves open.
fn sources(listing: &[String]) -> impl Iterator<Item = &String> {
    let is_source = |file: &&String| {
        let depth = file.matches('/').count();
        depth <= 1 && [".c", ".h", ".cc", ".cpp", ".rs"].iter().any(|ending| file.ends_with(ending))
    };
    let generated =
        |file: &&String| !file.contains("test") && !file.starts_with("lib/gnulib") && !file.contains("config");
    listing.iter().filter(is_source).filter(generated).take(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Guess {
        let listing: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        guess(&listing, &|name| files.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn build_systems() {
        for (files, system, needs, phases) in [
            (&["configure", "Makefile.in", "meson.build"][..], System::Configure, &["make"][..], 0),
            (&["configure.ac", "Makefile.am"], System::Configure, &["autoconf", "automake", "libtool", "make"], 1),
            (&["meson.build", "CMakeLists.txt"], System::Script, &["meson", "ninja"], 3),
            (&["CMakeLists.txt", "Makefile"], System::Script, &["cmake", "make"], 3),
            (&["Makefile", "src/a.c"], System::Make, &["make"], 0),
            (&["Configure", "config"], System::Script, &["make"], 3),
            (&["Cargo.toml"], System::Script, &["rust"], 2),
            (&["setup.py"], System::Script, &[], 2),
            (&[], System::Script, &[], 2),
        ] {
            let files: Vec<(&str, &str)> = files.iter().map(|file| (*file, "")).collect();
            let found = of(&files);
            assert_eq!((found.system, &*found.needs_build, found.phases.len()), (system, needs, phases), "{files:?}");
        }
    }

    #[test]
    fn what_a_person_has_to_look_at() {
        let autoconf = "#! /bin/sh\n# Generated by GNU Autoconf 2.72 for tool 1.0.\n";
        assert_eq!(
            of(&[("configure", autoconf), ("COPYING", "Apache License\nVersion 2.0, January 2004")]).notes,
            [""; 0]
        );
        let found = of(&[("configure", "#!/bin/sh\n"), ("CMakeLists.txt", ""), ("LICENSE", "Do as you like.")]);
        assert_eq!(found.notes.len(), 4, "{:?}", found.notes);
        assert!(of(&[("Makefile", "install:\n\tcp tool /usr/bin")]).notes[0].contains("DESTDIR"));
    }

    #[test]
    fn licences_are_found_where_they_lie() {
        let apache = "Apache License\nVersion 2.0, January 2004";
        let found = of(&[
            ("LICENSES/MIT.txt", ""),
            ("LICENSES/GPL-2.0-or-later.txt", ""),
            ("doc/COPYING", apache),
            ("license.c", apache),
        ]);
        let ids: Vec<&str> = found.licenses.iter().map(|license| license.expression.as_str()).collect();
        assert_eq!(ids, ["MIT", "GPL-2.0-or-later", "Apache-2.0"]);
        assert_eq!(of(&[("README.md", apache)]).licenses[0].file, "README.md");
    }
}
