//! The `parton` program: hands over to the sandbox's first process if it was started as that, else to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else is opened or started: a jail's first process has one thread and no files of ours.
    if std::env::args_os().nth(1).is_some_and(|first| first == parton::sandbox::INIT_ARGUMENT) {
        return parton::sandbox::init();
    }
    parton::cli::main()
}
