//! `parton conditions`

use super::super::args::Global;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;
use std::fmt::Write as _;

pub fn run(global: &Global, shell: &Shell) -> Result<(), Failure> {
    let varying = ops::conditions();
    if global.json {
        return super::json(shell, "parton.conditions/1", &varying);
    }
    let mut out = String::new();
    for knob in &varying.knobs {
        let _ = writeln!(out, "{:<6}  {:<15}  {}", knob.class.name(), knob.name, knob.meaning);
        for level in knob.levels {
            // What is not taken by itself is marked.
            let mark = if level.everyday { " " } else { "*" };
            let _ = writeln!(out, "{:25}{mark}{:<11}  {}", "", level.name, level.meaning);
        }
    }
    let _ = writeln!(
        out,
        "\nEvery further round moves all open conditions and some sealed ones, each to a level that makes most pairs\n\
         which no round before it had; there are {}. What is marked * is moved\n\
         only where it is asked for, by `parton build --vary` and `parton why`.",
        varying.coverage.all().of
    );
    shell.out(&out)?;
    Ok(())
}
