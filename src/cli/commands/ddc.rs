//! `parton ddc`

use super::super::args::{Ddc, Global};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::ops;
use crate::report::ddc::{Verdict, text};

pub fn run(global: &Global, args: &Ddc, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let settings = (!args.known).then(|| context.settings(&args.pace));
        let ddc = ops::ddc(session, &args.packages, args.with.as_deref(), settings.as_ref())?;
        match global.json {
            true => super::json(shell, "parton.ddc/1", &ddc)?,
            false => shell.out(&text(&ddc))?,
        }
        match ddc.verdict {
            Verdict::Equal => Ok(()),
            Verdict::Differs => {
                let message = format!("{} and {} come to different bits", ddc.first.profile, ddc.second.profile);
                Err(CommandError::new(Kind::Differs, message).into())
            }
            Verdict::Unknown => {
                let message = format!("not all of {} and {} is built", ddc.first.profile, ddc.second.profile);
                Err(CommandError::new(Kind::Failed, message).into())
            }
        }
    })
}
