//! Notes, such as the build id, and the dynamic section.

use super::super::content::Scope;
use super::super::{Change, Field, Format, Place, Side, Unit};
use super::Told;
use super::parse::Elf;
use crate::base::printable;
use std::collections::BTreeMap;

/// Contents are shown up to here.
const SHOWN: usize = 64;

/// Where two sections of notes differ; empty where they are not sound.
pub(super) fn places((one, p): (&Elf<'_>, &[u8]), (other, q): (&Elf<'_>, &[u8]), align: u64) -> Vec<Place> {
    let (Some(x), Some(y)) = (read(one, p, align), read(other, q, align)) else { return Vec::new() };
    keyed(Unit::Note, x, y).places
}

/// A named value, and whether it follows from something else.
type Named = (String, String, bool);

/// What is of the same name in two lists but not of the same value; several of one name in their order.
fn keyed(unit: Unit, x: Vec<Named>, y: Vec<Named>) -> Told {
    let map = |list: &[Named]| -> BTreeMap<(String, u64), String> {
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        let entry = |(name, value, _): &'_ Named| (name.clone(), value.clone());
        list.iter()
            .map(|named| {
                let count = seen.entry(&named.0).or_default();
                *count += 1;
                let (name, value) = entry(named);
                ((name, *count - 1), value)
            })
            .collect()
    };
    let (in_a, in_b) = (map(&x), map(&y));
    let follows: BTreeMap<&str, bool> = x.iter().chain(&y).map(|(name, _, follows)| (&name[..], *follows)).collect();
    let mut told = Told::default();
    for (key, value) in &in_a {
        let change = match in_b.get(key) {
            Some(other) if other == value => continue,
            Some(other) => Change::Field(Field::new("value", value, other)),
            None => Change::OnlyIn { side: Side::A },
        };
        let follows = follows[&key.0[..]] && matches!(change, Change::Field(_));
        told.add(follows, Place::part(Format::Elf, unit, &key.0, change));
    }
    for (key, _) in in_b.iter().filter(|(key, _)| !in_a.contains_key(key)) {
        told.places.push(Place::only_in(Format::Elf, unit, &key.0, Side::B));
    }
    told
}

fn read(elf: &Elf<'_>, notes: &[u8], align: u64) -> Option<Vec<Named>> {
    let align = if align == 8 { 8 } else { 4 };
    let mut found = Vec::new();
    let mut at = 0_usize;
    while at < notes.len() {
        let number = |at: usize| elf.order.number(notes, at, 4);
        let (name_size, size, kind) = (number(at) as usize, number(at + 4) as usize, number(at + 8));
        let name = notes.get(at + 12..(at + 12).checked_add(name_size)?)?;
        let start = (at + 12 + name_size).next_multiple_of(align);
        let content = notes.get(start..start.checked_add(size)?)?;
        let owner = printable(name.split(|byte| *byte == 0).next().unwrap_or_default());
        let name = match (&owner[..], kind) {
            ("GNU", 1) => "GNU ABI tag".to_owned(),
            ("GNU", 3) => "GNU build id".to_owned(),
            ("GNU", 4) => "GNU linker version".to_owned(),
            ("GNU", 5) => "GNU properties".to_owned(),
            (owner, kind) => format!("{owner} {kind:#x}"),
        };
        let printed = content.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | 0)) && content.first() > Some(&0);
        let cut = &content[..content.len().min(SHOWN)];
        let value = if printed && kind != 3 {
            printable(cut.split(|byte| *byte == 0).next().unwrap_or_default())
        } else {
            cut.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        found.push((name, value, false));
        at = (start + size).next_multiple_of(align);
    }
    Some(found)
}

/// Where two dynamic sections differ. Addresses and sizes follow from other sections.
pub(super) fn dynamic(
    (one, p, names_p): (&Elf<'_>, &[u8], &[u8]),
    (other, q, names_q): (&Elf<'_>, &[u8], &[u8]),
    scope: Scope<'_>,
) -> Vec<Place> {
    keyed(Unit::Dynamic, entries(one, p, names_p), entries(other, q, names_q)).all(scope)
}

fn tag_name(tag: u64) -> String {
    const NAMES: [&str; 31] = [
        "NULL",
        "NEEDED",
        "PLTRELSZ",
        "PLTGOT",
        "HASH",
        "STRTAB",
        "SYMTAB",
        "RELA",
        "RELASZ",
        "RELAENT",
        "STRSZ",
        "SYMENT",
        "INIT",
        "FINI",
        "SONAME",
        "RPATH",
        "SYMBOLIC",
        "REL",
        "RELSZ",
        "RELENT",
        "PLTREL",
        "DEBUG",
        "TEXTREL",
        "JMPREL",
        "BIND_NOW",
        "INIT_ARRAY",
        "FINI_ARRAY",
        "INIT_ARRAYSZ",
        "FINI_ARRAYSZ",
        "RUNPATH",
        "FLAGS",
    ];
    let known = usize::try_from(tag).ok().and_then(|tag| NAMES.get(tag));
    match (known, tag) {
        (Some(name), _) => (*name).to_owned(),
        (_, 0x6fff_fef5) => "GNU_HASH".to_owned(),
        (_, 0x6fff_fff0) => "VERSYM".to_owned(),
        (_, 0x6fff_fff9) => "RELACOUNT".to_owned(),
        (_, 0x6fff_fffe) => "VERNEED".to_owned(),
        (_, 0x6fff_ffff) => "VERNEEDNUM".to_owned(),
        (_, tag) => format!("{tag:#x}"),
    }
}

fn entries(elf: &Elf<'_>, table: &[u8], names: &[u8]) -> Vec<Named> {
    let order = elf.order;
    let size = if order.wide { 16 } else { 8 };
    let text = |at: u64| {
        let text = usize::try_from(at).ok().and_then(|at| names.get(at..)).unwrap_or_default();
        let end = text.iter().take(4096).position(|byte| *byte == 0).unwrap_or(text.len().min(4096));
        printable(&text[..end])
    };
    let entry = |bytes: &[u8]| {
        let (tag, value) = (order.either(bytes, (0, 0)), order.either(bytes, (4, 8)));
        let hex = format!("{value:#x}");
        match tag {
            1 => ("NEEDED".to_owned(), text(value), false),
            14 => ("SONAME".to_owned(), text(value), false),
            15 => ("RPATH".to_owned(), text(value), false),
            29 => ("RUNPATH".to_owned(), text(value), false),
            30 => ("FLAGS".to_owned(), hex, false),
            0x6fff_fffb => ("FLAGS_1".to_owned(), hex, false),
            tag => (tag_name(tag), hex, true),
        }
    };
    table.chunks_exact(size).map(entry).collect()
}
