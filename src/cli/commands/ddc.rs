//! `parton ddc`

use super::super::args::{Ddc, Global};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::base::TreeDigest;
use crate::ops;
use crate::report::ddc::{Compared, Verdict, text};

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
                let missing = |profile: &str, output: fn(&Compared) -> Option<TreeDigest>| {
                    let names = ddc.packages.iter().filter(|one| output(one).is_none()).map(|one| one.name.as_str());
                    let names = names.collect::<Vec<_>>().join(" ");
                    let say = || {
                        format!("`parton --profile {profile} build {names}` builds what is missing, or says why not")
                    };
                    (!names.is_empty()).then(say)
                };
                let hints =
                    [missing(&ddc.first.profile, |one| one.first), missing(&ddc.second.profile, |one| one.second)];
                let error = CommandError::new(Kind::Failed, message);
                Err(hints.into_iter().flatten().fold(error, CommandError::hint).into())
            }
        }
    })
}
