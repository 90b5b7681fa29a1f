//! The proof of "against musl": what every ELF file of an output asks for.

use super::outcome::{Fault, Program};
use crate::base::RelPath;
use crate::plan::Linkage;
use crate::tree::elf::Kind;
use crate::tree::{self, Entry, Tree};
use fs_err as fs;
use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;

/// What was found in the files of an output.
pub struct Inspection {
    /// Programs and libraries, in order of their paths.
    pub programs: Vec<Program>,
    /// Files with a path below the build directory in them.
    pub build_paths: Vec<String>,
    /// What must not be.
    pub faults: Vec<Fault>,
}

/// Reads every file of an output once.
///
/// `inputs` are the libraries that the declared needs provide, by the name they are asked for; `build` is where the build
/// directory was.
pub fn inspect(
    root: &Path,
    files: &Tree,
    linkage: &Linkage,
    inputs: &BTreeSet<String>,
    build: &str,
) -> io::Result<Inspection> {
    let mut found = Inspection { programs: Vec::new(), build_paths: Vec::new(), faults: Vec::new() };
    let below = format!("{build}/");
    let finder = memchr::memmem::Finder::new(below.as_bytes());
    let mut rpaths = Vec::new();
    for (path, size) in regular(files) {
        let full = root.join(path);
        if mentions(&full, &finder)? {
            found.build_paths.push(path.to_string());
        }
        let Some(bytes) = program(&full)? else { continue };
        if size > LARGEST_PROGRAM {
            let what = format!("{path} looks like ELF but is {size} bytes long; {LARGEST_PROGRAM} is the most");
            found.faults.push(Fault::Unfit { what });
            continue;
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
        let inside = |dir: &str| dir.starts_with(build) || dir.starts_with("/out") || dir.starts_with("/sysroot");
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
            && let Ok(Some(bytes)) = program(&full)
            && let Ok(Some(facts)) = tree::elf::facts(&bytes)
        {
            names.insert(facts.soname.unwrap_or_else(|| file_name(&name).to_owned()));
        }
    }
    Ok(names)
}

/// Programs are read whole; of a longer file most may be a hole, which took its build no disk but would take memory here.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// The bytes, as far as a program may be long, of a file that begins as ELF files do; nothing of any other.
fn program(path: &Path) -> io::Result<Option<Vec<u8>>> {
    const BEGIN: &[u8] = b"\x7fELF";
    let mut file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(BEGIN.len() as u64).read_to_end(&mut bytes)?;
    if bytes != BEGIN {
        return Ok(None);
    }
    if file.metadata()?.len() <= LARGEST_PROGRAM {
        file.take(LARGEST_PROGRAM).read_to_end(&mut bytes)?;
    }
    Ok(Some(bytes))
}

/// Whether a file holds these bytes somewhere; never more than a piece of it is in memory.
fn mentions(path: &Path, finder: &memchr::memmem::Finder<'_>) -> io::Result<bool> {
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        let read = match file.read(&mut piece[filled..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        filled += read;
        if finder.find(&piece[..filled]).is_some() {
            return Ok(true);
        }
        // They may begin at the end of this piece.
        let kept = filled.min(finder.needle().len() - 1);
        piece.copy_within(filled - kept..filled, 0);
        filled = kept;
    }
}

fn regular(files: &Tree) -> impl Iterator<Item = (&RelPath, u64)> {
    files.iter().filter_map(|(path, entry)| match entry {
        Entry::File { size, .. } => Some((path, *size)),
        _ => None,
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_pieces_meet() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let finder = memchr::memmem::Finder::new(b"/build/");
        for at in (0..20).map(|n| (256 << 10) - n).chain([0, 1, 700_000]) {
            let mut bytes = vec![b'/'; at];
            bytes.extend(b"/build/");
            fs::write(&file, &bytes).unwrap();
            assert!(mentions(&file, &finder).unwrap(), "{at}");
            fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
            assert!(!mentions(&file, &finder).unwrap(), "{at}");
        }
    }
}
