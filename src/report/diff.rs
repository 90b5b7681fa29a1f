//! What differs between two files or trees, in full.

use crate::compare::{Content, Difference, Place, What};
use serde::Serialize;
use std::fmt::Write as _;

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// What was compared, as the user named it.
    pub a: String,
    /// With what.
    pub b: String,
    /// Whether nothing differs.
    pub equal: bool,
    /// What differs, ordered by path.
    pub differences: Vec<Difference>,
}

/// The differences as an outline: a path, and what lies within it each a step further to the right.
pub fn text(diff: &Diff) -> String {
    let mut out = String::new();
    for difference in &diff.differences {
        match &difference.what {
            What::Content(content) => {
                let _ = writeln!(out, "{}{}", difference.path, size(content));
                places(&content.places, content.more, 1, &mut out);
            }
            what => {
                let _ = writeln!(out, "{}: {what}", difference.path);
            }
        }
        difference.notes.iter().for_each(|note| {
            let _ = writeln!(out, "  ({note})");
        });
    }
    match diff.differences.len() {
        0 => out.push_str("no differences\n"),
        1 => out.push_str("1 difference\n"),
        count => {
            let _ = writeln!(out, "{count} differences");
        }
    }
    out
}

/// The sizes, if they differ.
pub(super) fn size(content: &Content) -> String {
    match content.size.a == content.size.b {
        true => String::new(),
        false => format!(" (size {} → {})", content.size.a, content.size.b),
    }
}

fn places(list: &[Place], more: bool, depth: usize, out: &mut String) {
    for place in list {
        let _ = writeln!(out, "{:1$}{2}", "", depth * 2, place.label());
        let (parts, more) = place.parts();
        places(parts, more, depth + 1, out);
    }
    if more {
        let _ = writeln!(out, "{:1$}and more", "", depth * 2);
    }
}
