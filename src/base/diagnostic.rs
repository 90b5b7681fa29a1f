//! Mistakes in what a person wrote, as values: rule, message, place in the text, advice. `cli` draws them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A text a person wrote, kept so that its mistakes can be shown in place.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Where the text was read from, as the person would name it.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing; nothing is refused.
    Warning,
    /// The text is refused.
    Error,
}

/// A stretch of a text, and what to say there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The text.
    pub source: Arc<SourceText>,
    /// Byte range in it.
    pub span: Range<usize>,
    /// What is to be said at this place; empty for a bare underline.
    pub text: String,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Short fixed name of the rule (`unknown-key`), for machines, tests and suppressions.
    pub rule: &'static str,
    /// Error or warning.
    pub level: Level,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; the first is the main place. Empty when no text is at fault.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at one place.
    pub fn error(rule: &'static str, message: impl Into<String>, label: Label) -> Self {
        Self { rule, level: Level::Error, message: message.into(), labels: vec![label], help: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a further place.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }
}

/// The known word nearest to `word`, for "did you mean": at most a third of its letters may differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(word.chars().count()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours cost one each.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (row[j - 1] + 1).min(last[j] + 1).min(last[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near() {
        let known = ["version", "license", "homepage"];
        assert_eq!(nearest("versoin", known), Some("version"));
        assert_eq!(nearest("licence", known), Some("license"));
        assert_eq!(nearest("colour", known), None);
    }
}
