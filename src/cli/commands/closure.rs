//! `parton closure` and `parton ledger`

use super::super::args::{Global, Ledger, Package};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;
use crate::report::closure as text;

pub fn closure(global: &Global, args: &Package, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let closure = ops::closure(session, &args.package)?;
        if global.json {
            return super::json(shell, "parton.closure/1", &closure);
        }
        shell.out(&text::closure(&closure, global.verbose))?;
        Ok(())
    })
}

pub fn ledger(global: &Global, args: &Ledger, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let ledger = ops::ledger(session, &args.what)?;
        if global.json {
            return super::json(shell, "parton.ledger/1", &ledger);
        }
        shell.out(&text::ledger(&ledger))?;
        Ok(())
    })
}
