//! `parton show`

use super::super::args::{Global, Package};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::report::text;

pub fn run(global: &Global, args: &Package, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let record = session.latest(&args.package)?;
        if global.json {
            // A record names its own schema.
            let mut text = serde_json::to_string_pretty(&record).map_err(std::io::Error::other)?;
            text.push('\n');
            shell.out(&text)?;
        } else {
            shell.out(&text::record(&record, global.verbose))?;
        }
        Ok(())
    })
}
