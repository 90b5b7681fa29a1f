//! ELF files, section by section: what moved because something before it grew is not told, what changed is.

use super::bytes::View;
use super::{Change, Field, Limits, Place, Side, Sides};
use crate::base::printable;
use std::collections::BTreeMap;
use std::io;

pub(super) const MAGIC: &[u8; 4] = b"\x7fELF";
/// Larger tables than these are not read: no real file has them.
const SECTIONS: u64 = 100_000;
const NAMES: usize = 8 << 20;
/// Longer names are cut.
const NAME: usize = 512;
/// A section of this type has a size but no bytes in the file.
const NOBITS: u64 = 8;

struct Elf<'a> {
    fields: Vec<(&'static str, u64)>,
    sections: Vec<Section<'a>>,
}

struct Section<'a> {
    /// Its name, and how many of this name were before it.
    key: (String, u64),
    fields: [(&'static str, u64); 4],
    data: View<'a>,
}

/// Where two ELF files differ; empty when they are not sound, or differ only outside of sections.
pub(super) fn places(a: View<'_>, b: View<'_>, limits: &Limits) -> io::Result<Vec<Place>> {
    let (Some(left), Some(right)) = (parse(a)?, parse(b)?) else { return Ok(Vec::new()) };
    let mut places: Vec<Place> = differing(&left.fields, &right.fields).map(Place::ElfHeader).collect();
    let index = |elf: &Elf<'_>| -> BTreeMap<(String, u64), usize> {
        elf.sections.iter().enumerate().map(|(at, section)| (section.key.clone(), at)).collect()
    };
    let (in_a, in_b) = (index(&left), index(&right));
    let mut left_to_read = 2 * (a.len() + b.len());
    for section in &left.sections {
        if places.len() > limits.places {
            return Ok(places);
        }
        let mut add = |change| places.push(Place::ElfSection { name: section.key.0.clone(), change });
        let Some(other) = in_b.get(&section.key).map(|at| &right.sections[*at]) else {
            add(Change::OnlyIn { side: Side::A });
            continue;
        };
        differing(&section.fields, &other.fields).for_each(|field| add(Change::Field(field)));
        // Sections of a real file do not overlap; those of a hostile one could make us read it again and again.
        left_to_read = left_to_read.saturating_sub(section.data.len().max(other.data.len()));
        if left_to_read == 0 {
            return Ok(places);
        }
        let runs = section.data.differ(&other.data, limits.places)?;
        if let Some(offset) = runs.first() {
            add(Change::Content { offset, places: runs.places() });
        }
    }
    for section in right.sections.iter().filter(|section| !in_a.contains_key(&section.key)) {
        places.push(Place::ElfSection { name: section.key.0.clone(), change: Change::OnlyIn { side: Side::B } });
    }
    Ok(places)
}

fn differing<'x>(a: &'x [(&'static str, u64)], b: &'x [(&'static str, u64)]) -> impl Iterator<Item = Field> + 'x {
    a.iter()
        .zip(b)
        .filter(|(a, b)| a != b)
        .map(|((field, a), (_, b))| Field { field, values: Sides { a: format!("{a:#x}"), b: format!("{b:#x}") } })
}

/// Numbers of one file's class and byte order.
#[derive(Clone, Copy)]
struct Order {
    wide: bool,
    big: bool,
}

impl Order {
    /// The number of `size` bytes at `at`; zero where there is none, which no later step takes for more than it is.
    fn number(self, bytes: &[u8], at: usize, size: usize) -> u64 {
        let Some(bytes) = bytes.get(at..at + size) else { return 0 };
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    /// The number at one of two places, as the class says; `native` ones are as wide as an address.
    fn either(self, bytes: &[u8], (narrow, wide): (usize, usize)) -> u64 {
        if self.wide { self.number(bytes, wide, 8) } else { self.number(bytes, narrow, 4) }
    }
}

fn parse(file: View<'_>) -> io::Result<Option<Elf<'_>>> {
    let head = file.bytes(0, 64)?;
    if head.len() < 52 || !matches!(head[4], 1 | 2) || !matches!(head[5], 1 | 2) {
        return Ok(None);
    }
    let order = Order { wide: head[4] == 2, big: head[5] == 2 };
    // Fields behind the addresses lie 12 bytes later in the wide form.
    let shift = if order.wide { 12 } else { 0 };
    let table = order.either(&head, (32, 40));
    let entry_size = order.number(&head, 46 + shift, 2);
    if table == 0 || entry_size != if order.wide { 64 } else { 40 } {
        return Ok(None);
    }
    let first = file.bytes(table, entry_size as usize)?;
    // Numbers that do not fit into the header are in the first section's.
    let count = match order.number(&head, 48 + shift, 2) {
        0 => order.either(&first, (20, 32)),
        count => count,
    };
    let names_at = match order.number(&head, 50 + shift, 2) {
        0xffff => order.number(&first, if order.wide { 40 } else { 24 }, 4),
        index => index,
    };
    if count > SECTIONS {
        return Ok(None);
    }
    let table = file.bytes(table, (count * entry_size) as usize)?;
    let headers: Vec<&[u8]> = table.chunks_exact(entry_size as usize).collect();
    let place = |header: &[u8]| (order.either(header, (16, 24)), order.either(header, (20, 32)));
    let names = match usize::try_from(names_at).ok().and_then(|at| headers.get(at)) {
        Some(header) => {
            let (start, size) = place(header);
            file.part(start, size).bytes(0, NAMES)?
        }
        None => Vec::new(),
    };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let (mut sections, mut named) = (Vec::with_capacity(headers.len()), 0);
    for header in headers.iter().skip(1) {
        let name = names.get(order.number(header, 0, 4) as usize..).unwrap_or_default();
        let end = name.iter().take(NAME).position(|byte| *byte == 0).unwrap_or(name.len().min(NAME));
        let name = printable(&name[..end]);
        named += name.len();
        if named > NAMES {
            return Ok(None);
        }
        let kind = order.number(header, 4, 4);
        let (start, size) = place(header);
        let alignment = order.either(header, (32, 48));
        let flags = order.either(header, (8, 8));
        let count = seen.entry(name.clone()).or_default();
        sections.push(Section {
            key: (name, *count),
            fields: [("type", kind), ("flags", flags), ("alignment", alignment), ("size", size)],
            data: file.part(start, if kind == NOBITS { 0 } else { size }),
        });
        *count += 1;
    }
    let fields = vec![
        ("class", u64::from(head[4])),
        ("byte order", u64::from(head[5])),
        ("ABI", u64::from(head[7])),
        ("type", order.number(&head, 16, 2)),
        ("machine", order.number(&head, 18, 2)),
        ("entry point", order.either(&head, (24, 24))),
        ("flags", order.number(&head, 36 + shift, 4)),
    ];
    Ok(Some(Elf { fields, sections }))
}
