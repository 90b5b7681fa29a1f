//! The proof of "against musl": what every ELF file of an output asks for.

use super::outcome::{Fault, Program};
use crate::base::RelPath;
use crate::plan::Linkage;
use crate::tree::elf::Kind;
use crate::tree::{self, Entry, Tree};
use fs_err as fs;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// What was found in the files of an output.
pub struct Inspection {
    /// Programs and libraries, in order of their paths.
    pub programs: Vec<Program>,
    /// Files with a path below `/build` in them.
    pub build_paths: Vec<String>,
    /// What must not be.
    pub faults: Vec<Fault>,
}

/// Reads every file of an output once.
///
/// `inputs` are the libraries that the declared needs provide, by the name they are asked for.
pub fn inspect(root: &Path, files: &Tree, linkage: &Linkage, inputs: &BTreeSet<String>) -> io::Result<Inspection> {
    let mut found = Inspection { programs: Vec::new(), build_paths: Vec::new(), faults: Vec::new() };
    let finder = memchr::memmem::Finder::new(b"/build/");
    let mut rpaths = Vec::new();
    for path in regular(files) {
        let bytes = fs::read(root.join(path))?;
        if finder.find(&bytes).is_some() {
            found.build_paths.push(path.to_string());
        }
        match tree::elf::facts(&bytes) {
            Ok(Some(facts)) if matches!(facts.kind, Kind::Executable | Kind::Shared) => {
                let searched = facts.rpath.iter().chain(&facts.runpath);
                rpaths.extend(searched.map(|rpath| (path.to_string(), rpath.clone())));
                found.programs.push(Program {
                    path: path.to_string(),
                    interpreter: facts.interpreter,
                    needed: facts.needed,
                    soname: facts.soname,
                });
            }
            Ok(_) => {}
            Err(e) => found.faults.push(Fault::Unfit { what: format!("{path} looks like ELF but is malformed: {e}") }),
        }
    }
    // A library can also be asked for by its file name, when it has no soname.
    let own: BTreeSet<String> =
        found.programs.iter().map(|p| p.soname.clone().unwrap_or_else(|| file_name(&p.path).to_owned())).collect();
    for program in &found.programs {
        if let Some(interpreter) = program.interpreter.as_ref().filter(|i| **i != linkage.interpreter) {
            found.faults.push(Fault::Interpreter {
                path: program.path.clone(),
                interpreter: interpreter.clone(),
                expected: linkage.interpreter.clone(),
            });
        }
        for library in &program.needed {
            if ![&own, inputs, &linkage.provided].into_iter().any(|set| set.contains(library)) {
                found.faults.push(Fault::Undeclared { path: program.path.clone(), library: library.clone() });
            }
        }
    }
    for (path, rpath) in rpaths {
        let inside = |dir: &str| dir.starts_with("/build") || dir.starts_with("/out") || dir.starts_with("/sysroot");
        if rpath.split(':').any(inside) {
            found.faults.push(Fault::SearchPath { path, rpath });
        }
    }
    Ok(found)
}

/// The names under which the libraries of an input can be asked for.
pub fn provided(root: &Path) -> Result<BTreeSet<String>, tree::Error> {
    let mut names = BTreeSet::new();
    for path in tree::list(root)? {
        let name = path.to_string();
        if !name.contains(".so") {
            continue;
        }
        // Links are followed by nobody: what they point to is in the list itself.
        let full = root.join(&path);
        if fs::symlink_metadata(&full).is_ok_and(|found| found.is_file())
            && let Ok(Some(facts)) = tree::elf::facts(&fs::read(&full).unwrap_or_default())
        {
            names.insert(facts.soname.unwrap_or_else(|| file_name(&name).to_owned()));
        }
    }
    Ok(names)
}

fn regular(files: &Tree) -> impl Iterator<Item = &RelPath> {
    files.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. })).map(|(path, _)| path)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
