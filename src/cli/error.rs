//! The one place where an error gets an exit code and its last words.

use crate::ops;
use std::error::Error as StdError;
use std::fmt;

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 1: something failed; a build, most often.
    Failed,
    /// 2: a mistake in a spec or on the command line.
    Mistake,
    /// 3: rounds that should be the same differ.
    Differs,
    /// 4: the machine lacks what a sealed build needs.
    Host,
    /// 5: a source can't be had, or is not what was pinned.
    Source,
    /// 130: the user wanted to stop.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Mistake => 2,
            Self::Differs => 3,
            Self::Host => 4,
            Self::Source => 5,
            Self::Interrupted => 130,
        }
    }
}

/// An error on its way out: kind, message with its causes, advice.
#[derive(Debug)]
pub struct CommandError {
    /// Decides the exit code.
    pub kind: Kind,
    /// What went wrong, in one or more lines. Empty when everything was said already.
    pub message: String,
    /// What to do.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error with this message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// An error made of another one and all its causes.
    pub fn from_error(kind: Kind, error: &(dyn StdError + 'static)) -> Self {
        Self::new(kind, chain(error))
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What a command fails with.
#[derive(Debug)]
pub enum Failure {
    /// A story of the library failed.
    Ops(ops::Error),
    /// The command itself did.
    Command(CommandError),
}

impl From<ops::Error> for Failure {
    fn from(error: ops::Error) -> Self {
        Self::Ops(error)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

/// A closed or full standard output.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Command(CommandError::new(Kind::Failed, format!("write the result: {error}")))
    }
}

/// An error and its causes, each on a line of its own unless its text is already part of the one before.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str("\n  because: ");
            text.push_str(&line);
        }
        cause = error.source();
    }
    text
}
