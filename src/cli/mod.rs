//! Flags, environment, configuration, colour, progress, exit codes; one file per command below `commands/`.
//!
//! The only room that reads the environment, the clock and the working directory, and the only one that prints: data on
//! standard output, everything for people on standard error.

mod args;
mod commands;
mod context;
mod error;
mod progress;
pub mod render;
mod shell;

use args::{Cli, Command};
use clap::Parser as _;
use error::{Failure, Kind};
use shell::Shell;
use std::process::ExitCode;

/// The whole program: reads the command line, runs the command, says what failed.
pub fn main() -> ExitCode {
    // What others may do with our files is the user's to say; what we may, is not.
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask.difference(rustix::fs::Mode::RWXU));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Kind::Mistake.code() } else { 0 });
        }
    };
    let shell = Shell::new(&cli.global);
    match run(&cli, &shell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let error = match failure {
                Failure::Ops(error) => context::translate(&shell, error),
                Failure::Command(error) => error,
            };
            if !error.message.is_empty() {
                shell.error(&error.message);
            }
            error.hints.iter().for_each(|hint| shell.hint(hint));
            ExitCode::from(error.kind.code())
        }
    }
}

fn run(cli: &Cli, shell: &Shell) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Build(args) => commands::build::run(global, args, shell),
        Command::Check => commands::check::run(global, shell),
        Command::Fetch(args) => commands::fetch::run(global, args, shell),
        Command::Show(args) => commands::show::run(global, args, shell),
        Command::Log(args) => commands::log::run(global, args, shell),
        Command::Shell(args) => commands::shell::run(global, args, shell),
        Command::Why(args) => commands::why::run(global, args, shell),
        Command::WhyRebuild(args) => commands::why_rebuild::run(global, args, shell),
        Command::Conditions => commands::conditions::run(global, shell),
        Command::Graph(args) => commands::graph::run(global, args, shell),
        Command::Closure(args) => commands::closure::closure(global, args, shell),
        Command::Ledger(args) => commands::closure::ledger(global, args, shell),
        Command::Ddc(args) => commands::ddc::run(global, args, shell),
        Command::Diff(args) => commands::diff::run(global, args, shell),
        Command::New(args) => commands::new::run(global, args, shell),
        Command::Hash(args) => commands::hash::run(global, args, shell),
        Command::Init(args) => commands::init::run(global, args, shell),
        Command::Seed { command } => commands::seed::run(global, command, shell),
        Command::Gc(args) => commands::gc::run(global, args, shell),
        Command::Store { command } => commands::store::run(global, command, shell),
        Command::Doctor => commands::doctor::run(global, shell),
        Command::Completions { shell: kind } => commands::manual::completions(*kind, shell),
        Command::Man { dir } => commands::manual::pages(dir.as_deref(), shell),
    }
}
