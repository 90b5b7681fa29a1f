//! `parton why`

use super::super::args::{Global, Why};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::ops::{self, WhySettings};
use crate::report::why::text;

pub fn run(global: &Global, args: &Why, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let cpus = context.cpus();
        let builds = usize::try_from(args.builds).unwrap_or(usize::MAX);
        let settings = WhySettings { builds, jobs: args.jobs.unwrap_or(cpus), cpus, fresh: args.fresh };
        let why = ops::why(session, &args.package, &settings)?;
        match global.json {
            true => super::json(shell, "parton.why/1", &why)?,
            false => shell.out(&text(&why, global.verbose))?,
        }
        if why.explained() {
            return Ok(());
        }
        let error = CommandError::new(Kind::Differs, format!("not all that differs in {} has a cause", why.name));
        let more = format!("`parton why {} --builds {}` goes on from here", why.name, why.budget * 2);
        Err(if why.complete { error } else { error.hint(more) }.into())
    })
}
