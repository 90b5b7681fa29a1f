//! The headers of an ELF file, of any class and byte order.

use super::super::bytes::View;
use crate::base::printable;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// Larger tables than these are not read: no real file has them.
const SECTIONS: u64 = 100_000;
const SEGMENTS: u64 = 10_000;
const NAMES: usize = 8 << 20;
/// Longer names are cut.
const NAME: usize = 512;

/// Types of sections.
pub(super) const SYMBOLS: u64 = 2;
pub(super) const TEXTS: u64 = 3;
pub(super) const DYNAMIC: u64 = 6;
pub(super) const NOTES: u64 = 7;
/// A section of this type has a size but no bytes in the file.
const NOBITS: u64 = 8;
pub(super) const DYNAMIC_SYMBOLS: u64 = 11;

pub(super) struct Elf<'a> {
    pub(super) order: Order,
    pub(super) machine: u64,
    /// Whether addresses are offsets in sections.
    pub(super) relocatable: bool,
    pub(super) fields: Vec<Value>,
    pub(super) segments: Vec<(String, Vec<Value>)>,
    /// All but the first, which is none.
    pub(super) sections: Vec<Section<'a>>,
    /// What headers, tables and sections cover.
    pub(super) covered: Vec<Range<u64>>,
}

/// A named number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) name: &'static str,
    pub(super) number: u64,
    /// Whether it follows from something else.
    pub(super) follows: bool,
}

pub(super) struct Section<'a> {
    /// Its name, and how many of this name were before it.
    pub(super) key: (String, u64),
    pub(super) kind: u64,
    flags: u64,
    pub(super) address: u64,
    link: u64,
    pub(super) fields: Vec<Value>,
    pub(super) data: View<'a>,
}

impl Section<'_> {
    pub(super) fn executable(&self) -> bool {
        self.flags & 4 != 0
    }

    /// Whether it is a table of texts.
    pub(super) fn strings(&self) -> bool {
        self.flags & 0x20 != 0
    }

    pub(super) fn compressed(&self) -> bool {
        self.flags & 0x800 != 0
    }

    pub(super) fn alignment(&self) -> u64 {
        self.fields.iter().find(|value| value.name == "alignment").map_or(4, |value| value.number)
    }
}

impl<'a> Elf<'a> {
    /// The texts that a section's numbers mean.
    pub(super) fn linked(&self, section: &Section<'_>, most: usize) -> io::Result<Vec<u8>> {
        let at = usize::try_from(section.link).ok().and_then(|link| link.checked_sub(1));
        match at.and_then(|at| self.sections.get(at)).filter(|table| table.kind == TEXTS) {
            Some(table) => table.data.bytes(0, most),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.key.0 == name)
    }
}

/// Numbers of one file's class and byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) wide: bool,
    pub(super) big: bool,
}

impl Order {
    /// The number of `size` bytes at `at`; zero where there is none, which no later step takes for more than it is.
    pub(super) fn number(self, bytes: &[u8], at: usize, size: usize) -> u64 {
        let Some(bytes) = at.checked_add(size).and_then(|end| bytes.get(at..end)) else { return 0 };
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    /// The number at one of two places, as the class says; `native` ones are as wide as an address.
    pub(super) fn either(self, bytes: &[u8], (narrow, wide): (usize, usize)) -> u64 {
        if self.wide { self.number(bytes, wide, 8) } else { self.number(bytes, narrow, 4) }
    }
}

pub(super) fn parse(file: View<'_>) -> io::Result<Option<Elf<'_>>> {
    let head = file.bytes(0, 64)?;
    if head.len() < 52 || !matches!(head[4], 1 | 2) || !matches!(head[5], 1 | 2) {
        return Ok(None);
    }
    let order = Order { wide: head[4] == 2, big: head[5] == 2 };
    // Fields behind the addresses lie 12 bytes later in the wide form.
    let shift = if order.wide { 12 } else { 0 };
    let head_size = if order.wide { 64 } else { 52 };
    let mut covered = vec![0..head_size];
    let value = |name, number| Value { name, number, follows: false };
    let follows = |name, number| Value { name, number, follows: true };
    let table = order.either(&head, (32, 40));
    let segment_table = order.either(&head, (28, 32));
    let fields = vec![
        value("class", u64::from(head[4])),
        value("byte order", u64::from(head[5])),
        value("identification version", u64::from(head[6])),
        value("ABI", u64::from(head[7])),
        value("ABI version", u64::from(head[8])),
        value("identification padding", head[9..16].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
        value("type", order.number(&head, 16, 2)),
        value("machine", order.number(&head, 18, 2)),
        value("version", order.number(&head, 20, 4)),
        follows("entry point", order.either(&head, (24, 24))),
        value("flags", order.number(&head, 36 + shift, 4)),
        value("header size", order.number(&head, 40 + shift, 2)),
        value("segment header size", order.number(&head, 42 + shift, 2)),
        follows("segments", order.number(&head, 44 + shift, 2)),
        value("section header size", order.number(&head, 46 + shift, 2)),
        follows("sections", order.number(&head, 48 + shift, 2)),
        follows("section of names", order.number(&head, 50 + shift, 2)),
        follows("place of segments", segment_table),
        follows("place of sections", table),
    ];
    let (segments, segments_at) = segments(file, order, &head, shift, segment_table)?;
    covered.push(segments_at);
    let entry_size = order.number(&head, 46 + shift, 2);
    let mut elf = Elf {
        order,
        machine: order.number(&head, 18, 2),
        relocatable: order.number(&head, 16, 2) == 1,
        fields,
        segments,
        sections: Vec::new(),
        covered,
    };
    if table == 0 || entry_size != if order.wide { 64 } else { 40 } {
        // Without sections the segments are what there is to compare.
        return Ok(if elf.segments.is_empty() { None } else { Some(elf) });
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
    let headers_size = count * entry_size;
    elf.covered.push(table..table.saturating_add(headers_size));
    let table = file.bytes(table, headers_size as usize)?;
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
    let mut named = 0;
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
        let flags = order.either(header, (8, 8));
        let link = order.number(header, if order.wide { 40 } else { 24 }, 4);
        let count = seen.entry(name.clone()).or_default();
        let in_file = if kind == NOBITS { 0 } else { size };
        if in_file > 0 {
            elf.covered.push(start..start.saturating_add(in_file));
        }
        elf.sections.push(Section {
            key: (name, *count),
            kind,
            flags,
            address: order.either(header, (12, 16)),
            link,
            fields: vec![
                value("type", kind),
                value("flags", flags),
                value("alignment", order.either(header, (32, 48))),
                value("size", size),
                value("entry size", order.either(header, (36, 56))),
                follows("name", order.number(header, 0, 4)),
                follows("address", order.either(header, (12, 16))),
                follows("place", start),
                follows("link", link),
                follows("info", order.number(header, if order.wide { 44 } else { 28 }, 4)),
            ],
            data: file.part(start, in_file),
        });
        *count += 1;
    }
    Ok(Some(elf))
}

type Segments = (Vec<(String, Vec<Value>)>, Range<u64>);

fn segments(file: View<'_>, order: Order, head: &[u8], shift: usize, table: u64) -> io::Result<Segments> {
    let size = order.number(head, 42 + shift, 2);
    let count = order.number(head, 44 + shift, 2);
    if table == 0 || count > SEGMENTS || size != if order.wide { 56 } else { 32 } {
        return Ok((Vec::new(), 0..0));
    }
    let bytes = file.bytes(table, (count * size) as usize)?;
    let segment = |header: &[u8]| {
        let name = match order.number(header, 0, 4) {
            0 => "NULL".to_owned(),
            1 => "LOAD".to_owned(),
            2 => "DYNAMIC".to_owned(),
            3 => "INTERP".to_owned(),
            4 => "NOTE".to_owned(),
            6 => "PHDR".to_owned(),
            7 => "TLS".to_owned(),
            0x6474_e550 => "GNU_EH_FRAME".to_owned(),
            0x6474_e551 => "GNU_STACK".to_owned(),
            0x6474_e552 => "GNU_RELRO".to_owned(),
            0x6474_e553 => "GNU_PROPERTY".to_owned(),
            other => format!("{other:#x}"),
        };
        let of = |name, follows, at| Value { name, number: order.either(header, at), follows };
        let flags = order.number(header, if order.wide { 4 } else { 24 }, 4);
        let fields = vec![
            Value { name: "flags", number: flags, follows: false },
            of("alignment", false, (28, 48)),
            of("place", true, (4, 8)),
            of("address", true, (8, 16)),
            of("physical address", true, (12, 24)),
            of("size in the file", true, (16, 32)),
            of("size in memory", true, (20, 40)),
        ];
        (name, fields)
    };
    let end = table.saturating_add(bytes.len() as u64);
    Ok((bytes.chunks_exact(size as usize).map(segment).collect(), table..end))
}
