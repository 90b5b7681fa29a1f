//! ELF files, section by section: what moved because something before it grew is not told, what changed is.

#![expect(clippy::single_range_in_vec_init, reason = "a list of what is covered, and its end")]

mod code;
mod dwarf;
mod notes;
mod parse;
mod symbols;
mod texts;

use super::bytes::View;
use super::content::{Scope, compared};
use super::{Change, Field, Format, Place, Side, Sides, Unit, packed};
use parse::{Elf, Section, Value};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

pub(super) const MAGIC: &[u8; 4] = b"\x7fELF";
/// More of what only follows from something else is not kept.
const FOLLOWING: usize = 1000;
/// Bytes between sections are looked at up to here.
const BETWEEN: usize = 1 << 20;

/// Two versions of one section, and the files they are in.
#[derive(Clone, Copy)]
struct Pair<'p, 'v> {
    elf: (&'p Elf<'v>, &'p Elf<'v>),
    section: (&'p Section<'v>, &'p Section<'v>),
    /// What is in them: unpacked, if they are compressed.
    data: (View<'p>, View<'p>),
    scope: Scope<'p>,
}

/// Places, and those that differ only because something else does, as long as nothing else is found.
#[derive(Default)]
struct Told {
    places: Vec<Place>,
    following: Vec<Place>,
}

impl Told {
    fn add(&mut self, follows: bool, place: Place) {
        // Thousands of addresses that moved are not worth their memory.
        match follows {
            true if self.following.len() >= FOLLOWING => {}
            true => self.following.push(place),
            false => self.places.push(place),
        }
    }

    fn all(mut self, scope: Scope<'_>) -> Vec<Place> {
        self.following.truncate(scope.limits.places + 1);
        if self.places.is_empty() { self.following } else { self.places }
    }
}

/// Where two ELF files differ; empty when they are not sound.
pub(super) fn places(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let (Some(left), Some(right)) = (parse::parse(a)?, parse::parse(b)?) else { return Ok(Vec::new()) };
    let mut told = Told::default();
    for (follows, field) in differing(&left.fields, &right.fields) {
        told.add(follows, Place::Header { format: Format::Elf, field });
    }
    segments(&left, &right, &mut told);
    let index = |elf: &Elf<'_>| -> BTreeMap<(String, u64), usize> {
        elf.sections.iter().enumerate().map(|(at, section)| (section.key.clone(), at)).collect()
    };
    let (in_a, in_b) = (index(&left), index(&right));
    let mut left_to_read = 2 * (a.len() + b.len());
    order(&left, &in_b, &right, &in_a, &mut told);
    let causes = left.sections.iter().filter(|section| !consequence(section));
    for section in causes.chain(left.sections.iter().filter(|section| consequence(section))) {
        if scope.enough(&told.places) {
            return Ok(told.places);
        }
        let name = &section.key.0;
        let part = |change| Place::part(Format::Elf, Unit::Section, name, change);
        let Some(other) = in_b.get(&section.key).map(|at| &right.sections[*at]) else {
            told.places.push(part(Change::OnlyIn { side: Side::A }));
            continue;
        };
        for (follows, field) in differing(&section.fields, &other.fields) {
            told.add(follows, part(Change::Field(field)));
        }
        // Sections of a real file do not overlap; those of a hostile one could make us read it again and again.
        left_to_read = left_to_read.saturating_sub(section.data.len().max(other.data.len()));
        if left_to_read == 0 {
            let why = format!("section {name} and those behind it were not looked at: they overlap");
            told.places.push(Place::Unseen { why: why.into() });
            return Ok(told.places);
        }
        let pair = Pair { elf: (&left, &right), section: (section, other), data: (section.data, other.data), scope };
        // Names that a table refers to lie in another section: the same bytes may mean something else.
        let offset = match section.data.differ(&other.data, 1)?.first() {
            None if renamed(pair)? => Some(0),
            offset => offset,
        };
        let places = if offset.is_some() { content(pair)? } else { Vec::new() };
        if let Some(offset) = offset.filter(|_| !places.is_empty()) {
            let more = places.len() > scope.limits.places;
            told.places.push(part(Change::Content { offset, places: first(places, scope), more }));
        }
    }
    for section in right.sections.iter().filter(|section| !in_a.contains_key(&section.key)) {
        let side = Side::B;
        told.places.push(Place::part(Format::Elf, Unit::Section, &section.key.0, Change::OnlyIn { side }));
    }
    let (x, y) = (between(a, &left)?, between(b, &right)?);
    if x != y {
        let (x, y) = (x.concat(), y.concat());
        if let Some((offset, found)) =
            compared(View::of(&x), View::of(&y), Scope { depth: scope.limits.depth, ..scope })?
        {
            let change = Change::Content { offset, places: found.places, more: found.more };
            told.places.push(Place::part(Format::Elf, Unit::Rest, "between sections", change));
        }
    }
    Ok(told.all(scope))
}

/// Sections that change because others do; they are told last.
fn consequence(section: &Section<'_>) -> bool {
    let name = &section.key.0[..];
    [
        ".rel",
        ".eh_frame",
        ".gnu.hash",
        ".hash",
        ".note.gnu.build-id",
        ".gnu_debuglink",
        ".symtab",
        ".strtab",
        ".shstrtab",
        ".debug_aranges",
        ".debug_loc",
        ".debug_ranges",
        ".debug_rnglists",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Whether sections that both have come in another order.
fn order(
    left: &Elf<'_>,
    in_b: &BTreeMap<(String, u64), usize>,
    right: &Elf<'_>,
    in_a: &BTreeMap<(String, u64), usize>,
    told: &mut Told,
) {
    let common = left.sections.iter().filter(|section| in_b.contains_key(&section.key));
    let also = right.sections.iter().filter(|section| in_a.contains_key(&section.key));
    if let Some((section, _)) = common.zip(also).find(|(x, y)| x.key != y.key) {
        let position = Sides { a: in_a[&section.key] as u64, b: in_b[&section.key] as u64 };
        told.places.push(Place::Order { format: Format::Elf, name: section.key.0.clone(), position });
    }
}

fn first(mut places: Vec<Place>, scope: Scope<'_>) -> Vec<Place> {
    places.truncate(scope.limits.places.max(1));
    places
}

/// Whether the names that two sections refer to differ.
fn renamed(pair: Pair<'_, '_>) -> io::Result<bool> {
    let Pair { elf, section: (x, y), scope, .. } = pair;
    let refers = matches!(x.kind, parse::SYMBOLS | parse::DYNAMIC_SYMBOLS | parse::DYNAMIC) && x.kind == y.kind;
    Ok(refers && elf.0.linked(x, scope.limits.table)? != elf.1.linked(y, scope.limits.table)?)
}

/// What differs in a section, by what it holds. Never empty where its bytes differ.
fn content(pair: Pair<'_, '_>) -> io::Result<Vec<Place>> {
    let Pair { elf, section: (x, y), scope, .. } = pair;
    if x.compressed() && y.compressed() {
        let header = |elf: &Elf<'_>| if elf.order.wide { 24 } else { 12 };
        let method = |elf: &Elf<'_>, section: &Section<'_>| -> io::Result<u64> {
            Ok(elf.order.number(&section.data.bytes(0, 4)?, 0, 4))
        };
        let (p, q) = (x.data.part(header(elf.0), u64::MAX), y.data.part(header(elf.1), u64::MAX));
        let unpacked = match (method(elf.0, x)?, method(elf.1, y)?) {
            (1, 1) => Some((packed::spooled_zlib(p, q, scope)?, Format::Zlib)),
            (2, 2) => Some((packed::spooled(p, q, scope)?, Format::Zstd)),
            _ => None,
        };
        if let Some((Some((p, q)), format)) = unpacked {
            let mut found = Vec::new();
            match p.view()?.differ(&q.view()?, 1)?.first() {
                Some(offset) => {
                    let places = plain(Pair { data: (p.view()?, q.view()?), ..pair })?;
                    let more = places.len() > scope.limits.places;
                    found.push(Place::Content { format, offset, places: first(places, scope), more });
                }
                None => found.push(Place::Stream { format }),
            }
            packed::unseen(&p.end, &q.end, &mut found);
            return Ok(found);
        }
    }
    plain(pair)
}

fn plain(pair: Pair<'_, '_>) -> io::Result<Vec<Place>> {
    let Pair { elf, section: (x, y), data: (a, b), scope } = pair;
    let runs = a.differ(&b, scope.limits.places)?;
    if x.kind != y.kind {
        return Ok(runs.places());
    }
    // What is made of a table of symbols is several times as large.
    let most = scope.limits.table / if matches!(x.kind, parse::SYMBOLS | parse::DYNAMIC_SYMBOLS) { 4 } else { 1 };
    let tabled =
        matches!(x.kind, parse::SYMBOLS | parse::DYNAMIC_SYMBOLS | parse::TEXTS | parse::NOTES | parse::DYNAMIC)
            || x.strings()
            || x.key.0 == ".debug_line"
            || x.executable();
    let mut found = Vec::new();
    if tabled {
        let (Some(p), Some(q)) = (a.all(most)?, b.all(most)?) else {
            let mut places = runs.places();
            let why = format!("not looked into: it is larger than {most} bytes");
            places.push(Place::Unseen { why: why.into() });
            return Ok(places);
        };
        found = match x.kind {
            parse::SYMBOLS | parse::DYNAMIC_SYMBOLS => {
                let names = |elf: &Elf<'_>, section: &Section<'_>| elf.linked(section, most);
                let (x, y) = (names(elf.0, x)?, names(elf.1, y)?);
                symbols::places((elf.0, &p, &x), (elf.1, &q, &y), scope)
            }
            parse::DYNAMIC => {
                let (x, y) = (elf.0.linked(x, most)?, elf.1.linked(y, most)?);
                notes::dynamic((elf.0, &p, &x), (elf.1, &q, &y), scope)
            }
            parse::NOTES => notes::places((elf.0, &p), (elf.1, &q), x.alignment()),
            _ if x.key.0 == ".debug_line" => dwarf::places((elf.0, &p), (elf.1, &q), scope)?,
            _ if x.executable() => code::places(pair, (&p, &q), &runs)?,
            _ => texts::places(&p, &q, scope),
        };
    } else if let Some((_, inner)) = compared(a, b, scope.deeper())? {
        found = inner.places;
    }
    Ok(if found.is_empty() { runs.places() } else { found })
}

/// The program headers: kinds and rights; where things lie follows from what lies before them.
fn segments(left: &Elf<'_>, right: &Elf<'_>, told: &mut Told) {
    let keyed = |elf: &Elf<'_>| -> Vec<((String, u64), Vec<Value>)> {
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        elf.segments
            .iter()
            .map(|(name, fields)| {
                let count = seen.entry(name.clone()).or_default();
                *count += 1;
                ((name.clone(), *count - 1), fields.clone())
            })
            .collect()
    };
    let (x, y) = (keyed(left), keyed(right));
    let part = |(name, _): &(String, u64), change| Place::part(Format::Elf, Unit::Segment, name, change);
    let in_b: BTreeMap<_, _> = y.iter().cloned().collect();
    let in_a: BTreeMap<_, _> = x.iter().cloned().collect();
    for (key, fields) in &x {
        let Some(other) = in_b.get(key) else {
            told.places.push(part(key, Change::OnlyIn { side: Side::A }));
            continue;
        };
        for (follows, field) in differing(fields, other) {
            told.add(follows, part(key, Change::Field(field)));
        }
    }
    for (key, _) in y.iter().filter(|(key, _)| !in_a.contains_key(key)) {
        told.places.push(part(key, Change::OnlyIn { side: Side::B }));
    }
}

fn differing<'x>(a: &'x [Value], b: &'x [Value]) -> impl Iterator<Item = (bool, Field)> + 'x {
    a.iter()
        .zip(b)
        .filter(|(a, b)| a.number != b.number)
        .map(|(a, b)| (a.follows, Field::new(a.name, format!("{:#x}", a.number), format!("{:#x}", b.number))))
}

/// Pieces between sections that are not just zeros.
fn between(file: View<'_>, elf: &Elf<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut covered: Vec<Range<u64>> = elf.covered.clone();
    covered.sort_by_key(|range| range.start);
    let (mut at, mut pieces, mut room) = (0, Vec::new(), BETWEEN);
    for range in covered.into_iter().chain([file.len()..file.len()]) {
        if range.start > at {
            let piece = file.range(&(at..range.start)).bytes(0, room)?;
            room -= piece.len();
            if piece.iter().any(|byte| *byte != 0) {
                pieces.push(piece);
            }
        }
        at = at.max(range.end);
    }
    Ok(pieces)
}
