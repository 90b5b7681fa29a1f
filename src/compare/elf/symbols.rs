//! Symbols, by name: what they are, not where they lie.

use super::super::content::Scope;
use super::super::{Field, Format, Place, Side, Unit};
use super::Told;
use super::parse::Elf;
use crate::base::printable;
use std::collections::BTreeMap;

/// Longer names are cut: those of C++ may be long.
const NAME: usize = 1024;

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Its name, and how many of this name were before it.
    pub(super) key: (String, u64),
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) kind: u8,
    bind: u8,
    other: u8,
    /// Number of its section.
    pub(super) section: u64,
}

/// Reads a table of symbols.
pub(super) fn read(elf: &Elf<'_>, table: &[u8], names: &[u8]) -> Vec<Symbol> {
    let order = elf.order;
    let entry = if order.wide { 24 } else { 16 };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    // Names may overlap in their table; those of a hostile one must not come to many times its size.
    let mut named = 0;
    let symbol = |bytes: &[u8]| {
        let at = order.number(bytes, 0, 4) as usize;
        let text = names.get(at..).unwrap_or_default();
        let end = text.iter().take(NAME).position(|byte| *byte == 0).unwrap_or(text.len().min(NAME));
        named += end;
        let name = if named > 8 * (table.len() + names.len()) { String::new() } else { printable(&text[..end]) };
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        let (info, other, section, value, size) = if order.wide {
            (bytes[4], bytes[5], order.number(bytes, 6, 2), order.number(bytes, 8, 8), order.number(bytes, 16, 8))
        } else {
            (bytes[12], bytes[13], order.number(bytes, 14, 2), order.number(bytes, 4, 4), order.number(bytes, 8, 4))
        };
        Symbol { key: (name, *count - 1), value, size, kind: info & 15, bind: info >> 4, other, section }
    };
    table.chunks_exact(entry).map(symbol).collect()
}

/// Where two tables differ.
pub(super) fn places(
    (one, p, names_p): (&Elf<'_>, &[u8], &[u8]),
    (other, q, names_q): (&Elf<'_>, &[u8], &[u8]),
    scope: Scope<'_>,
) -> Vec<Place> {
    let (x, y) = (read(one, p, names_p), read(other, q, names_q));
    let index = |list: &[Symbol]| -> BTreeMap<(String, u64), usize> {
        list.iter().enumerate().map(|(at, symbol)| (symbol.key.clone(), at)).collect()
    };
    let (in_a, in_b) = (index(&x), index(&y));
    let mut told = Told::default();
    for symbol in &x {
        if scope.enough(&told.places) {
            return told.places;
        }
        match in_b.get(&symbol.key) {
            Some(at) => fields((one, symbol), (other, &y[*at]), &mut told),
            None => told.places.push(Place::only_in(Format::Elf, Unit::Symbol, name(symbol), Side::A)),
        }
    }
    for symbol in y.iter().filter(|symbol| !in_a.contains_key(&symbol.key)) {
        if scope.enough(&told.places) {
            return told.places;
        }
        told.places.push(Place::only_in(Format::Elf, Unit::Symbol, name(symbol), Side::B));
    }
    let order = |list: &[Symbol], other: &BTreeMap<(String, u64), usize>| -> Vec<(String, u64)> {
        list.iter().map(|symbol| symbol.key.clone()).filter(|key| other.contains_key(key)).collect()
    };
    let (a, b) = (order(&x, &in_b), order(&y, &in_a));
    if let Some((key, _)) = a.iter().zip(&b).find(|(x, y)| x != y) {
        let (a, b) = (in_a[key].to_string(), in_b[key].to_string());
        told.places.push(Place::value(Format::Elf, Unit::Symbol, &key.0, "position", a, b));
    }
    told.all(scope)
}

fn name(symbol: &Symbol) -> String {
    if symbol.key.0.is_empty() { format!("(nameless, number {})", symbol.key.1) } else { symbol.key.0.clone() }
}

fn fields((one, x): (&Elf<'_>, &Symbol), (other, y): (&Elf<'_>, &Symbol), told: &mut Told) {
    let of = |elf: &Elf<'_>, symbol: &Symbol| {
        let kind = match symbol.kind {
            0 => "none".to_owned(),
            1 => "object".to_owned(),
            2 => "function".to_owned(),
            3 => "section".to_owned(),
            4 => "file".to_owned(),
            5 => "common".to_owned(),
            6 => "thread-local".to_owned(),
            10 => "indirect function".to_owned(),
            other => other.to_string(),
        };
        let bind = match symbol.bind {
            0 => "local".to_owned(),
            1 => "global".to_owned(),
            2 => "weak".to_owned(),
            other => other.to_string(),
        };
        let section = match symbol.section {
            0 => "undefined".to_owned(),
            0xfff1 => "absolute".to_owned(),
            0xfff2 => "common".to_owned(),
            at => usize::try_from(at - 1)
                .ok()
                .and_then(|at| elf.sections.get(at))
                .map_or_else(|| format!("number {at}"), |section| section.key.0.clone()),
        };
        [
            ("size", symbol.size.to_string(), false),
            ("type", kind, false),
            ("binding", bind, false),
            ("visibility", symbol.other.to_string(), false),
            ("section", section, false),
            ("address", format!("{:#x}", symbol.value), true),
            ("section number", symbol.section.to_string(), true),
        ]
    };
    for ((field, a, follows), (_, b, _)) in of(one, x).into_iter().zip(of(other, y)) {
        if a != b {
            let change = super::super::Change::Field(Field::new(field, a, b));
            told.add(follows, Place::part(Format::Elf, Unit::Symbol, name(x), change));
        }
    }
}
