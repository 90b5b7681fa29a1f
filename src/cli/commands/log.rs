//! `parton log`

use super::super::args::{Global, Log};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use serde::Serialize;

#[derive(Serialize)]
struct LogText {
    name: String,
    round: u32,
    text: String,
}

pub fn run(global: &Global, args: &Log, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let record = session.latest(&args.package)?;
        let rounds: Vec<u32> = record.rounds.iter().map(|round| round.round).collect();
        let Some(round) = record.rounds.iter().find(|round| round.round == args.round) else {
            return Err(CommandError::new(
                Kind::Mistake,
                format!("{} has no round {}; it has {rounds:?}", args.package, args.round),
            )
            .into());
        };
        let bytes = session.log(round)?;
        if global.json {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return super::json(shell, "parton.log/1", &LogText { name: record.name, round: args.round, text });
        }
        shell.out_foreign(&bytes)?;
        Ok(())
    })
}
