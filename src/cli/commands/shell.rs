//! `parton shell`

use super::super::args::{Global, Shell as Args};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::ops::{self, Status};
use serde::Serialize;

#[derive(Serialize)]
struct Ended {
    code: i32,
}

pub fn run(global: &Global, args: &Args, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let opened = ops::open_shell(session, &args.package, args.fresh)?;
        shell.note(&opened.message());
        let status = opened.enter(session, args.command.as_deref())?;
        let code = match status {
            Status::Code(code) => code,
            Status::Signal(signal) => 128 + signal,
        };
        if global.json {
            super::json(shell, "parton.shell/1", &Ended { code })?;
        }
        match code {
            0 => Ok(()),
            _ => Err(CommandError::new(Kind::Failed, format!("the shell ended with {code}")).into()),
        }
    })
}
