//! Lines of texts.

use super::bytes::Runs;
use super::{Place, Sides};
use crate::base::printable;
use std::io::{self, Read};

/// How much of a line is shown before and from the difference on.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// Whether bytes from the beginning of a file look like text for people: no control characters but those of texts.
pub(super) fn is_text(head: &[u8]) -> bool {
    !head.is_empty() && head.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\t'..=b'\r' | 0x1b))
}

/// The lines in which the runs lie.
pub(super) fn places(a: impl Read, b: impl Read, runs: &Runs) -> io::Result<Vec<Place>> {
    // After an insertion everything differs; only the first line then says something.
    let told = if runs.len.0 == runs.len.1 { runs.runs.len() } else { 1 };
    let offsets: Vec<u64> = runs.runs.iter().take(told).map(|run| run.offset).collect();
    let (left, right) = (lines_at(a, &offsets)?, lines_at(b, &offsets)?);
    let mut places: Vec<Place> = Vec::new();
    for (a, b) in left.into_iter().zip(right) {
        // The same number of line ends before it: still the same line.
        if a.number != b.number {
            break;
        }
        let line = a.number;
        if matches!(places.last(), Some(Place::TextLine { line: last, .. }) if *last == line) {
            continue;
        }
        places.push(Place::TextLine { line, text: Sides { a: a.show(), b: b.show() } });
    }
    Ok(places)
}

#[derive(Debug, Default)]
struct Line {
    number: u64,
    before: Vec<u8>,
    cut: bool,
    after: Option<Vec<u8>>,
}

impl Line {
    fn show(&self) -> Option<String> {
        let after = self.after.as_ref();
        if after.is_none() && self.before.is_empty() {
            return None;
        }
        let text = printable(&[&self.before[..], after.map_or(&[], |after| &after[..])].concat());
        let end = if after.is_some_and(|after| after.len() == AFTER) { "…" } else { "" };
        Some(format!("{}{text}{end}", if self.cut { "…" } else { "" }))
    }
}

/// The lines in which ascending offsets lie.
fn lines_at(mut text: impl Read, offsets: &[u64]) -> io::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::with_capacity(offsets.len());
    let mut chunk = vec![0; 64 << 10];
    // The end of the current line's beginning, and whether more was before that.
    let (mut number, mut begun, mut cut, mut base) = (1, Vec::new(), false, 0);
    let mut filling = false;
    loop {
        let filled = super::bytes::fill(&mut text, &mut chunk)?;
        for (at, byte) in chunk[..filled].iter().enumerate() {
            if offsets.get(lines.len()) == Some(&(base + at as u64)) {
                lines.push(Line { number, before: begun.clone(), cut, after: Some(Vec::new()) });
                filling = true;
            }
            if *byte == b'\n' {
                number += 1;
                begun.clear();
                (cut, filling) = (false, false);
                continue;
            }
            if let (true, Some(Line { after: Some(after), .. })) = (filling, lines.last_mut()) {
                after.push(*byte);
                filling = after.len() < AFTER;
            }
            if begun.len() == BEFORE {
                begun.remove(0);
                cut = true;
            }
            begun.push(*byte);
        }
        base += filled as u64;
        if filled < chunk.len() || (lines.len() == offsets.len() && !filling) {
            break;
        }
    }
    // Offsets at or behind the end.
    while lines.len() < offsets.len() {
        lines.push(Line { number, before: begun.clone(), cut, after: None });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::bytes::differ;
    use super::*;

    fn shown(a: &str, b: &str) -> Vec<(u64, Option<String>, Option<String>)> {
        let runs = differ(a.as_bytes(), b.as_bytes(), 8).unwrap();
        let places = places(a.as_bytes(), b.as_bytes(), &runs).unwrap();
        places
            .into_iter()
            .map(|place| match place {
                Place::TextLine { line, text } => (line, text.a, text.b),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn lines_are_numbered_and_whole() {
        let both = |line, a: &str, b: &str| (line, Some(a.to_owned()), Some(b.to_owned()));
        assert_eq!(shown("one\ntwo\nthree\n", "one\ntwx\nthree\n"), [both(2, "two", "twx")]);
        let long = "same lines between\n".repeat(3);
        assert_eq!(shown(&format!("a\n{long}b\n"), &format!("c\n{long}d\n")), [both(1, "a", "c"), both(5, "b", "d")]);
        assert_eq!(shown("a\nb\nc\n", "a\nnew\nb\nc\n"), [both(2, "b", "new")]);
        assert_eq!(shown("a\n", "a\nb\n"), [(2, None, Some("b".to_owned()))]);
        assert_eq!(shown("a", "ab"), [both(1, "a", "ab")]);
    }

    #[test]
    fn long_lines_are_cut_around_the_difference() {
        let line = |c: char| format!("{}{c}{}", "x".repeat(1000), "y".repeat(1000));
        let found = shown(&line('1'), &line('2'));
        let expected = format!("…{}1{}…", "x".repeat(BEFORE), "y".repeat(AFTER - 1));
        assert_eq!(found[0].1.as_ref(), Some(&expected));
    }

    #[test]
    fn binaries_are_no_texts() {
        assert!(is_text("# a script\n\té\n".as_bytes()));
        assert!(!is_text(b"\x7fELF"));
        assert!(!is_text(b""));
    }
}
