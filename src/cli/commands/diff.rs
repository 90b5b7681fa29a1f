//! `parton diff`

use super::super::args::{Diff, Global};
use super::super::context::{Context, in_workspace, working_directory};
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::ops;
use crate::report::{diff, html};
use fs_err as fs;

pub fn run(global: &Global, args: &Diff, shell: &Shell) -> Result<(), Failure> {
    let base = working_directory(global)?;
    // Files and directories can be compared whatever the specs here are like.
    let paths = [&args.a, &args.b].iter().all(|name| base.join(name).symlink_metadata().is_ok());
    let context = if paths || !in_workspace(global) {
        Context::open_store_only(global, shell)?
    } else {
        Context::open(global, shell)?
    };
    context.with(|session| {
        let sides = (ops::side(session, &base, &args.a)?, ops::side(session, &base, &args.b)?);
        let limits = ops::DiffLimits { places: args.places as usize, depth: args.depth as usize, ..Default::default() };
        let found = ops::diff(session.store, &sides.0, &sides.1, &limits)?;
        if let Some(file) = &args.html {
            let path = base.join(file);
            fs::write(&path, html::page(&found)).map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
            shell.status("Wrote", &file.display().to_string());
        }
        match global.json {
            true => super::json(shell, "parton.diff/1", &found)?,
            false => shell.out(&diff::text(&found))?,
        }
        match found.differences.len() {
            0 => Ok(()),
            // What differs was said.
            _ => Err(CommandError::new(Kind::Differs, "").into()),
        }
    })
}
