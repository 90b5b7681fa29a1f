//! Tables of texts, each ended by a zero: names of symbols, strings of debugging information, comments of compilers.

use super::super::content::Scope;
use super::super::{Format, Place, Side, Unit, edits};
use crate::base::printable;

/// Texts are shown up to here.
const SHOWN: usize = 160;

/// Where two tables differ; empty where they do only behind the last text.
pub(super) fn places(a: &[u8], b: &[u8], scope: Scope<'_>) -> Vec<Place> {
    let (left, right): (Vec<&[u8]>, Vec<&[u8]>) = (a.split(zero).collect(), b.split(zero).collect());
    // A text is named by where it lies in the first table.
    let place = |at: usize| left[..at].iter().map(|text| text.len() + 1).sum::<usize>();
    changed(&left, &right, Unit::Text, |at| format!("{:#x}", place(at)), scope)
}

fn zero(byte: &u8) -> bool {
    *byte == 0
}

/// Which texts of two lists differ; those that were replaced by another are named by where they are.
pub(super) fn changed<T: AsRef<[u8]> + PartialEq>(
    left: &[T],
    right: &[T],
    unit: Unit,
    name: impl Fn(usize) -> String,
    scope: Scope<'_>,
) -> Vec<Place> {
    let mut found = Vec::new();
    for (x, y) in edits::changed(left, right) {
        for at in 0..x.len().max(y.len()) {
            if scope.enough(&found) {
                return found;
            }
            found.push(match (left[x.clone()].get(at), right[y.clone()].get(at)) {
                (Some(a), Some(b)) => {
                    let (a, b) = (a.as_ref(), b.as_ref());
                    let same = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
                    let (a, b) = (shown(a, same), shown(b, same));
                    Place::value(Format::Elf, unit, name(x.start + at), "value", a, b)
                }
                (Some(text), None) => Place::only_in(Format::Elf, unit, shown(text.as_ref(), 0), Side::A),
                (None, text) => {
                    let text = text.map_or(&[][..], |text| text.as_ref());
                    Place::only_in(Format::Elf, unit, shown(text, 0), Side::B)
                }
            });
        }
    }
    found
}

/// A text, or the part of it around a place.
fn shown(text: &[u8], at: usize) -> String {
    let from = if at < SHOWN / 2 { 0 } else { at - SHOWN / 4 };
    let end = text.len().min(from + SHOWN);
    let (before, after) = (if from > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("'{before}{}{after}'", printable(text.get(from..end).unwrap_or_default()))
}
