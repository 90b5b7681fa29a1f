//! `parton fetch`

use super::super::args::{Fetch, Global};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;
use crate::report::text;

pub fn run(global: &Global, args: &Fetch, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let fetched = ops::fetch(session, &args.selection.target())?;
        if global.json {
            return super::json(shell, "parton.fetch/1", &fetched);
        }
        let mut out = String::new();
        for package in &fetched.packages {
            out.push_str(&text::fetched(&package.name, &package.version, &package.sources));
        }
        shell.out(&out)?;
        Ok(())
    })
}
