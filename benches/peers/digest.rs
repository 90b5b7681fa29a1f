//! The digest of a large tree of sources.

use crate::Result;
use crate::fetch::blob;
use crate::gauge::Side;
use crate::places::{Places, run, this, version};
use crate::table::{Aim, Table};
use parton::tree::{Tree, Unpack, unpack};
use std::fs::File;
use std::path::Path;
use std::process::Command;

pub fn measure(places: &Places, table: &mut Table) -> Result<()> {
    let archive = blob(places, "openssl")?.path;
    let dir =
        places.once("tree", |dir| run(&mut this(&["unpack", &archive.to_string_lossy(), &dir.to_string_lossy()])?))?;
    let dir = &dir;
    let facts = Tree::scan(dir)?.facts();
    // Each finds the files itself, as parton does; a command line takes them all in one call.
    let finding = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(dir);
        command
    };

    let mut sides = vec![Side::process("parton", || Ok(places.parton(dir, &["hash", "."])))];
    let mut aims = Vec::new();
    match version("b3sum") {
        Some(version) => {
            let line = "find . -type f -print0 | xargs -0 -x -s 2000000 b3sum";
            sides.push(Side::process(format!("b3sum {version}"), move || Ok(finding(line))));
            aims.push(Aim::Ratio(1.0));
        }
        None => table.note("b3sum is not on this machine."),
    }
    match version("git") {
        Some(version) => {
            let line = "find . -type f | git hash-object --no-filters --stdin-paths";
            let git = move || {
                let mut command = finding(line);
                // Else it finds the repository of parton itself and takes the paths as relative to its top.
                command.env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir));
                Ok(command)
            };
            sides.push(Side::process(format!("git {version} hash-object"), git));
            aims.push(Aim::Ratio(1.0));
        }
        None => table.note("git is not on this machine."),
    }
    let figure = format!("digest of a tree ({} files, {:.0} MB)", facts.files, facts.bytes as f64 / 1e6);
    table.measure(&figure, 15, &mut sides, &aims)
}

/// Unpacks in a process of its own, whose memory is not ours.
pub fn child(archive: &Path, dest: &Path) -> Result<()> {
    unpack(File::open(archive)?, dest, &Unpack::source(1), None)?;
    Ok(())
}
