//! Drawing diagnostics for people: file, line, caret and advice.

use crate::base::{Diagnostic, Label, Level, SourceText};
use annotate_snippets::{AnnotationKind, Element, Group, Level as Drawn, Renderer, Snippet, normalize_untrusted_str};
use std::borrow::Cow;
use std::sync::Arc;

/// Draws diagnostics, an empty line after each; with escape codes for colours if `colour`.
///
/// Whatever the diagnostics quote, the text has no other control characters in it.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[draw(diagnostic)]));
        out.push_str("\n\n");
    }
    out
}

fn draw(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.level {
        Level::Error => Drawn::ERROR,
        Level::Warning => Drawn::WARNING,
    };
    let title = level.primary_title(said(&diagnostic.message)).id(diagnostic.rule);
    let mut group = Group::with_title(title);
    let mut rest: &[Label] = &diagnostic.labels;
    let mut kind = AnnotationKind::Primary;
    while let Some(first) = rest.first() {
        // One snippet for each stretch of labels in the same text.
        let same = rest.iter().take_while(|label| same_text(&label.source, &first.source)).count();
        let mut snippet = Snippet::source(visible(&first.source.text)).path(said(&first.source.path.to_string_lossy()));
        for label in &rest[..same] {
            let text = (!label.text.is_empty()).then(|| said(&label.text));
            snippet = snippet.annotation(kind.span(within(label)).label(text));
            kind = AnnotationKind::Context;
        }
        group = group.element(Element::Cause(snippet));
        rest = &rest[same..];
    }
    match &diagnostic.help {
        Some(help) => group.element(Drawn::HELP.message(said(help))),
        None => group,
    }
}

fn same_text(a: &Arc<SourceText>, b: &Arc<SourceText>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// The label's span, cut to its text and to whole characters: a wrong span must not take the message with it.
fn within(label: &Label) -> std::ops::Range<usize> {
    let text = &label.source.text;
    let whole = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = whole(label.span.start.min(text.len()));
    start..whole(label.span.end.clamp(start, text.len())).max(start)
}

/// A text to quote from: same length, without the control characters U+0080 to U+009F, which some terminals obey. The
/// renderer itself makes the ASCII ones visible, but only in what it quotes.
fn visible(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if text.contains(obeyed) { Cow::Owned(text.replace(obeyed, "\u{b7}")) } else { Cow::Borrowed(text) }
}

/// A text to say on one line or more, without any control character but line ends.
fn said(text: &str) -> String {
    normalize_untrusted_str(&visible(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str, path: &str, span: std::ops::Range<usize>, says: &str) -> Label {
        Label { source: Arc::new(SourceText { path: path.into(), text: text.into() }), span, text: says.into() }
    }

    #[test]
    fn several_files_and_several_places() {
        let one = label("name = \"a\"\nneeds = [\"b\"]\n", "specs/a/spec.toml", 20..23, "needs `b`");
        let again = Label { span: 7..10, text: "this".into(), ..one.clone() };
        let two = label("needs = [\"a\"]\n", "specs/b/spec.toml", 9..12, "needs `a`");
        let cycle = Diagnostic::error("cycle", "a → b → a", one).label(again).label(two).help("cut it");
        insta::assert_snapshot!(render(&[cycle], false), @r#"
        error[cycle]: a → b → a
         --> specs/a/spec.toml:2:10
          |
        1 | name = "a"
          |        --- this
        2 | needs = ["b"]
          |          ^^^ needs `b`
          |
         ::: specs/b/spec.toml:1:10
          |
        1 | needs = ["a"]
          |          --- needs `a`
          |
          = help: cut it
        "#);
    }

    #[test]
    fn spans_and_texts_of_any_kind_are_drawn() {
        for (text, span) in [("", 0..0), ("a", 5..9), ("é", 1..2), ("a\n", 2..2)] {
            let drawn = render(&[Diagnostic::error("r", "m", label(text, "f", span, "here"))], false);
            assert!(drawn.contains("error[r]: m") && drawn.contains("here"), "{drawn}");
        }
        let bare = Diagnostic { labels: vec![], ..Diagnostic::error("r", "m", label("", "", 0..0, "")) };
        assert_eq!(render(&[bare], false), "error[r]: m\n\n");
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let evil = "x\u{1b}[2J\u{9b}2J\u{7}\u{202e}\r";
        let diagnostic = Diagnostic::error("r", evil, label(evil, evil, 0..1, evil)).help(evil);
        let drawn = render(&[diagnostic], false);
        assert!(drawn.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{drawn:?}");
    }

    #[test]
    fn colour_only_when_asked() {
        let diagnostic = [Diagnostic::error("r", "m", label("a", "f", 0..1, ""))];
        assert!(!render(&diagnostic, false).contains('\u{1b}'));
        assert!(render(&diagnostic, true).contains('\u{1b}'));
    }
}
