//! `parton completions` and `parton man`: made from the same definition as the command line itself.

use super::super::args::Cli;
use super::super::error::Failure;
use super::super::shell::Shell;
use clap::CommandFactory as _;
use std::path::Path;

pub fn completions(kind: clap_complete::Shell, shell: &Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(kind, &mut Cli::command(), "parton", &mut script);
    shell.out_raw(&script)?;
    Ok(())
}

pub fn pages(dir: Option<&Path>, shell: &Shell) -> Result<(), Failure> {
    match dir {
        Some(dir) => {
            fs_err::create_dir_all(dir)?;
            clap_mangen::generate_to(Cli::command(), dir)?;
            shell.status("Wrote", &format!("the manual pages to {}", dir.display()));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            shell.out_raw(&page)?;
        }
    }
    Ok(())
}
