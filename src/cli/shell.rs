//! The terminal: data goes to standard output, everything for people to standard error.

use super::args::{Global, When};
use crate::base::printable;
use anstream::{AutoStream, ColorChoice};
use std::io::{self, IsTerminal as _, Write as _};

/// How to talk to the person who called.
pub struct Shell {
    quiet: bool,
    verbose: bool,
    bars: bool,
    out: ColorChoice,
    err: ColorChoice,
}

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[1;33m";
const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[1;36m";
const RESET: &str = "\x1b[0m";

impl Shell {
    /// Decides once what this terminal can show.
    pub fn new(global: &Global) -> Self {
        let choice = |auto: ColorChoice| match global.color {
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
            When::Auto => auto,
        };
        let err = AutoStream::choice(&io::stderr());
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            bars: io::stderr().is_terminal() && !global.quiet && !global.verbose,
            out: choice(AutoStream::choice(&io::stdout())),
            err: choice(err),
        }
    }

    /// Whether only failures are said.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether everything is said.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Whether bars can move.
    pub fn bars(&self) -> bool {
        self.bars
    }

    /// Whether standard error takes colour.
    pub fn err_colour(&self) -> bool {
        self.err != ColorChoice::Never
    }

    /// Data: text on standard output, coloured text allowed (it is stripped where it must be).
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn out(&self, text: &str) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.out);
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Bytes on standard output as they are.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn out_raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// What a build printed. As it is for a pipe or a file; on a terminal with its control characters made visible, which
    /// could otherwise do there what they want.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn out_foreign(&self, bytes: &[u8]) -> io::Result<()> {
        let out = io::stdout();
        if !out.is_terminal() {
            return self.out_raw(bytes);
        }
        let mut out = out.lock();
        for line in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n') {
            writeln!(out, "{}", printable(line))?;
        }
        out.flush()
    }

    /// Text for people on standard error. A closed standard error is nobody's fault and changes nothing.
    pub fn line(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), self.err);
        let _ = writeln!(err, "{text}");
    }

    /// What was just done, to what.
    pub fn status(&self, verb: &str, what: &str) {
        if !self.quiet {
            self.line(&format!("{GREEN}{verb:>12}{RESET} {what}"));
        }
    }

    /// Worth knowing.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("{CYAN}note{RESET}{BOLD}:{RESET} {text}"));
        }
    }

    /// Worth acting on.
    pub fn warning(&self, text: &str) {
        self.line(&format!("{YELLOW}warning{RESET}{BOLD}:{RESET} {text}"));
    }

    /// What failed.
    pub fn error(&self, text: &str) {
        self.line(&format!("{RED}error{RESET}{BOLD}:{RESET} {text}"));
    }

    /// What to do about it.
    pub fn hint(&self, text: &str) {
        self.line(&format!("{CYAN}hint{RESET}{BOLD}:{RESET} {text}"));
    }
}
