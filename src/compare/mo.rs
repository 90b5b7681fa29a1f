//! Compiled translations of gettext: the header that tools write their dates into, and each message.

use super::bytes::View;
use super::content::Scope;
use super::{Format, Place, Side, Sides, Unit};
use crate::base::printable;
use std::collections::BTreeMap;
use std::io;

/// Texts are shown up to here.
const TEXT: usize = 120;

pub(super) fn is(head: &[u8]) -> bool {
    head.starts_with(&[0xde, 0x12, 0x04, 0x95]) || head.starts_with(&[0x95, 0x04, 0x12, 0xde])
}

type Messages<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Where two catalogues differ; empty where they are not sound, or differ only in how they are laid out.
pub(super) fn places(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let most = scope.limits.table;
    let (Some(left), Some(right)) = (a.all(most)?, b.all(most)?) else {
        let why = format!("messages were not looked at: the catalogue is larger than {most} bytes");
        return Ok(vec![Place::Unseen { why: why.into() }]);
    };
    let (Some(x), Some(y)) = (messages(&left), messages(&right)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let revision = |bytes: &[u8]| number(bytes, 4).unwrap_or(0).to_string();
    if left[..4] != right[..4] {
        let order = |bytes: &[u8]| if bytes[0] == 0xde { "little endian" } else { "big endian" };
        found.push(Place::header(Format::Mo, "byte order", order(&left), order(&right)));
    } else if revision(&left) != revision(&right) {
        found.push(Place::header(Format::Mo, "revision", revision(&left), revision(&right)));
    }
    let map = |list: &Messages<'_>| -> BTreeMap<Vec<u8>, Vec<u8>> {
        list.iter().map(|(id, text)| (id.to_vec(), text.to_vec())).collect()
    };
    let (in_a, in_b) = (map(&x), map(&y));
    for (id, text) in &x {
        if scope.enough(&found) {
            return Ok(found);
        }
        match in_b.get(*id) {
            Some(other) if other == text => {}
            Some(other) if id.is_empty() => header(text, other, &mut found),
            Some(other) => {
                found.push(Place::value(
                    Format::Mo,
                    Unit::Entry,
                    name(id),
                    "text",
                    around(text, other),
                    around(other, text),
                ));
            }
            None => found.push(Place::only_in(Format::Mo, Unit::Entry, name(id), Side::A)),
        }
    }
    for (id, _) in y.iter().filter(|(id, _)| !in_a.contains_key(*id)) {
        if scope.enough(&found) {
            return Ok(found);
        }
        found.push(Place::only_in(Format::Mo, Unit::Entry, name(id), Side::B));
    }
    if found.is_empty()
        && let Some(at) = x.iter().zip(&y).position(|(x, y)| x.0 != y.0)
    {
        let position = |list: &Messages<'_>| list.iter().position(|(id, _)| *id == x[at].0).unwrap_or(0) as u64;
        let position = Sides { a: position(&x), b: position(&y) };
        found.push(Place::Order { format: Format::Mo, name: name(x[at].0), position });
    }
    Ok(found)
}

/// The lines of the translation of nothing, which are fields.
fn header(a: &[u8], b: &[u8], found: &mut Vec<Place>) {
    let fields = |text: &[u8]| -> Vec<(String, String)> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let pair = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let value = line.get(at + 1..).unwrap_or_default().trim_ascii();
            (shown(&line[..at]), shown(value))
        };
        lines.map(pair).collect()
    };
    let (x, y) = (fields(a), fields(b));
    let before = found.len();
    let none = || "(none)".to_owned();
    let of = |list: &[(String, String)], key: &str| {
        list.iter().find(|(field, _)| field == key).map_or_else(none, |(_, value)| value.clone())
    };
    let keys = x.iter().chain(y.iter().filter(|(key, _)| !x.iter().any(|(field, _)| field == key)));
    for (key, _) in keys {
        let (a, b) = (of(&x, key), of(&y, key));
        if a != b {
            found.push(Place::header(Format::Mo, key.clone(), a, b));
        }
    }
    if found.len() == before {
        found.push(Place::header(Format::Mo, "fields", around(a, b), around(b, a)));
    }
}

/// All messages as they lie there.
fn messages(bytes: &[u8]) -> Option<Messages<'_>> {
    let (count, ids, texts) = (number(bytes, 8)?, number(bytes, 12)?, number(bytes, 16)?);
    if count > bytes.len() / 16 {
        return None;
    }
    let text = |table: usize, at: usize| {
        let entry = table.checked_add(at * 8)?;
        let (length, start) = (number(bytes, entry)?, number(bytes, entry.checked_add(4)?)?);
        bytes.get(start..start.checked_add(length)?)
    };
    // Texts of a hostile catalogue may all be the same bytes.
    let mut total = 0_usize;
    (0..count)
        .map(|at| {
            let pair = (text(ids, at)?, text(texts, at)?);
            total += pair.0.len() + pair.1.len();
            (total <= 2 * bytes.len()).then_some(pair)
        })
        .collect()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = *bytes.get(at..)?.first_chunk::<4>()?;
    let value = if bytes[0] == 0xde { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) };
    usize::try_from(value).ok()
}

/// A message by its original: the context before it and the plural behind it are told too.
fn name(id: &[u8]) -> String {
    if id.is_empty() { "(header)".to_owned() } else { format!("'{}'", shown(id)) }
}

fn shown(text: &[u8]) -> String {
    let end = if text.len() > TEXT { "…" } else { "" };
    format!("{}{end}", printable(&text[..text.len().min(TEXT)]))
}

/// A text from shortly before it differs from another.
fn around(text: &[u8], other: &[u8]) -> String {
    let at = text.iter().zip(other).position(|(x, y)| x != y).unwrap_or(text.len().min(other.len()));
    let from = if at < TEXT / 2 { 0 } else { at - TEXT / 4 };
    format!("{}{}", if from > 0 { "…" } else { "" }, shown(&text[from..]))
}
