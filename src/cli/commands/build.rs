//! `parton build`

use super::super::args::{Build, Global};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::ops::{self, PackageReport, Report, Settings, State, Vary};
use crate::report::{Verdict, text};

pub fn run(global: &Global, args: &Build, shell: &Shell) -> Result<(), Failure> {
    let vary = match args.vary.as_slice() {
        [] => None,
        words => Some(Vary::read(words).map_err(|reason| {
            CommandError::new(Kind::Mistake, format!("--vary: {reason}")).hint("`parton conditions` lists all")
        })?),
    };
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let seeds = session.seeds()?;
        let plan = session.plan(&args.selection.target(), &seeds)?;
        let settings = Settings {
            vary: vary.clone(),
            rebuild: args.rebuild,
            keep_going: args.keep_going,
            ..context.settings(&args.pace)
        };
        let report = ops::build(session, &plan, &seeds, &settings)?;
        show(global, shell, &report)?;
        judge(&report)
    })
}

fn show(global: &Global, shell: &Shell, report: &Report) -> Result<(), Failure> {
    if global.json {
        return super::json(shell, "parton.build/1", report);
    }
    if global.quiet {
        return Ok(());
    }
    let mut out = String::new();
    for package in &report.packages {
        if let State::Built { record } = &package.state {
            out.push_str(&text::record(record, global.verbose));
            if let Some(log) = &package.log {
                out.push_str(&text::log_tail(&log.path, &log.lines));
            }
            out.push('\n');
        }
    }
    let known: Vec<&PackageReport> =
        report.packages.iter().filter(|p| matches!(p.state, State::Known { .. })).collect();
    for package in known.iter().filter(|package| package.wanted && report.packages.len() <= 40) {
        if let (State::Known { verdict }, Some(output)) = (&package.state, package.output) {
            out.push_str(&format!(
                "{} {}  {} before, output {}\n",
                package.name,
                package.version,
                text::verdict_word(*verdict),
                output.short()
            ));
        }
    }
    for package in &report.packages {
        match &package.state {
            State::Skipped { because } => {
                out.push_str(&format!("{} {}  not built: {because} failed\n", package.name, package.version));
            }
            State::Error { message } => {
                out.push_str(&format!("{} {}  not built: {message}\n", package.name, package.version));
            }
            _ => {}
        }
    }
    out.push_str(&text::summary(report.packages.iter().map(|p| word(&p.state)), report.wall));
    shell.out(&out)?;
    Ok(())
}

fn word(state: &State) -> &'static str {
    match state {
        State::Known { .. } => "known",
        State::Built { record } => text::verdict_word(record.verdict),
        State::Skipped { .. } => "skipped",
        State::Error { .. } => "failed",
    }
}

/// The exit code, and the last words on what failed.
fn judge(report: &Report) -> Result<(), Failure> {
    match report.verdict() {
        Some(Verdict::Identical | Verdict::Unproved) => Ok(()),
        verdict => {
            let mut error = CommandError::new(Kind::Failed, String::new());
            let mut names = Vec::new();
            for package in &report.packages {
                let State::Built { record } = &package.state else { continue };
                match record.verdict {
                    Verdict::Differs => {
                        names.push(format!("{} is not reproducible", record.name));
                        error = error.hint(format!("both outputs are kept: `parton show {} --json`", record.name));
                    }
                    Verdict::Leaks => {
                        names.push(format!("{} leaks what the jail holds still otherwise", record.name));
                        error = error.hint(format!("both outputs are kept: `parton show {} --json`", record.name));
                    }
                    Verdict::Failed => {
                        names.push(format!("{} failed", record.name));
                        let log = format!("`parton log {}` shows the whole log", record.name);
                        error = error.hint(match record.failure() {
                            Some(round) if !round.end.leaves_state() => log,
                            _ => format!("{log}, `parton shell {}` opens a shell at the failed state", record.name),
                        });
                    }
                    Verdict::Identical | Verdict::Unproved => {}
                }
            }
            let broken = report.packages.iter().filter(|p| matches!(p.state, State::Error { .. }));
            names.extend(broken.map(|package| format!("{} could not be built", package.name)));
            error.message = names.join("; ");
            let unproved = report.packages.iter().any(|p| matches!(p.state, State::Error { .. }));
            error.kind = match verdict {
                Some(Verdict::Differs | Verdict::Leaks) => Kind::Differs,
                _ if unproved => Kind::Source,
                _ => Kind::Failed,
            };
            Err(error.into())
        }
    }
}
