//! `parton doctor`

use super::super::args::Global;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::base::printable;
use crate::ops::{self, Diagnosis, Problem};
use std::fmt::Write as _;

pub fn run(global: &Global, shell: &Shell) -> Result<(), Failure> {
    let diagnosis = ops::doctor(&ops::launcher())?;
    if global.json {
        super::json(shell, "parton.doctor/1", &diagnosis)?;
    } else {
        shell.out(&text(&diagnosis, global.verbose))?;
    }
    if diagnosis.sealed {
        return Ok(());
    }
    Err(CommandError::new(Kind::Host, "builds can't be sealed on this machine, so parton builds nothing here").into())
}

fn text(diagnosis: &Diagnosis, verbose: bool) -> String {
    const DIM: &str = "\x1b[2m";
    const GREEN: &str = "\x1b[1;32m";
    const RED: &str = "\x1b[1;31m";
    const RESET: &str = "\x1b[0m";
    let mut out = format!("Linux {}\n", diagnosis.kernel);
    let told = |out: &mut String, problem: &Problem| {
        let _ = writeln!(out, "                      {RED}{}{RESET}", problem.what);
        if let Some(help) = &problem.help {
            let _ = writeln!(out, "                      {help}");
        }
    };
    for wall in &diagnosis.walls {
        let (colour, word) = match (&wall.problem, wall.probes.len()) {
            (Some(_), _) => (RED, "missing"),
            (None, 0) => (RESET, "can be built"),
            (None, _) => (GREEN, "holds"),
        };
        let probes = match wall.probes.len() {
            0 => String::new(),
            1 => " · 1 probe".to_owned(),
            n => format!(" · {n} probes"),
        };
        let _ = writeln!(out, "  {:<13} {colour}{word:<7}{RESET} {}{DIM}{probes}{RESET}", wall.name, wall.by);
        if let Some(problem) = &wall.problem {
            told(&mut out, problem);
        }
        if verbose {
            for probe in &wall.probes {
                let _ = writeln!(out, "      {DIM}{}: {}{RESET}", probe.name, printable(probe.by.as_bytes()));
            }
        }
    }
    if let Some(problem) = &diagnosis.problem {
        told(&mut out, problem);
    }
    let control = diagnosis.control.len();
    let _ = writeln!(
        out,
        "control: without walls {} of {} probes get through{}",
        diagnosis.through,
        diagnosis.through + control,
        if verbose && control > 0 { "; stopped all the same:" } else { "" }
    );
    if verbose {
        for probe in &diagnosis.control {
            let _ = writeln!(out, "      {DIM}{}: {}{RESET}", probe.name, printable(probe.by.as_bytes()));
        }
    }
    if diagnosis.sealed {
        let _ = writeln!(out, "{GREEN}builds can be sealed here{RESET}");
    }
    out
}
