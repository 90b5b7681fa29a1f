//! `parton init`

use super::super::args::{Global, Init};
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
struct Written {
    files: Vec<PathBuf>,
}

pub fn run(global: &Global, args: &Init, shell: &Shell) -> Result<(), Failure> {
    let base = super::super::context::working_directory(global)?;
    // Collected anew, so that no `./` is left in the names that are shown.
    let dir: PathBuf = base.join(&args.dir).components().collect();
    let files = ops::init(&dir)?;
    if global.json {
        return super::json(shell, "parton.init/1", &Written { files });
    }
    for file in &files {
        shell.status("Wrote", &file.display().to_string());
    }
    shell.note("`parton new URL` adds a package, `parton seed resolve` pins the compiler, `parton build PKG` builds");
    Ok(())
}
