//! `parton check`

use super::super::args::Global;
use super::super::context;
use super::super::error::Failure;
use super::super::shell::Shell;

pub fn run(global: &Global, shell: &Shell) -> Result<(), Failure> {
    let checked = context::check(global, shell)?;
    if global.json {
        super::json(shell, "parton.check/1", &checked)?;
    } else {
        shell.status("Checked", &format!("{} specs, no mistakes", checked.specs));
    }
    Ok(())
}
