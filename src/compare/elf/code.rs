//! Machine code, function by function; instructions for x86, bytes for other machines.

use super::super::bytes::{Runs, View};
use super::super::content::Scope;
use super::super::{Change, Format, Place, Sides, Unit, edits};
use super::Pair;
use super::parse::{self, Elf, Section};
use super::symbols::{self, Symbol};
use iced_x86::{Decoder, DecoderOptions, Formatter as _, Instruction, IntelFormatter, OpKind};
use std::collections::BTreeMap;
use std::io;

/// Longer functions are not disassembled.
const FUNCTION: usize = 1 << 20;
/// Instructions that are disassembled in one section.
const INSTRUCTIONS: usize = 4 << 20;

const X86: u64 = 3;
const X86_64: u64 = 62;
const FUNCTION_TYPE: u8 = 2;

/// A function in a section.
struct Function {
    start: u64,
    end: u64,
}

/// Which functions of two sections differ; empty where there are none, or where code was only moved.
pub(super) fn places(pair: Pair<'_, '_>, (p, q): (&[u8], &[u8]), runs: &Runs) -> io::Result<Vec<Place>> {
    let Pair { elf, section: (x, y), scope, .. } = pair;
    let (left, right) = (Names::read(elf.0, x, scope)?, Names::read(elf.1, y, scope)?);
    let mut found = Vec::new();
    let mut room = INSTRUCTIONS;
    for (name, function) in &left.functions {
        if scope.enough(&found) {
            return Ok(found);
        }
        let Some(other) = right.functions.get(name) else { continue };
        let (Some(a), Some(b)) = (code(p, function), code(q, other)) else { continue };
        if a == b {
            continue;
        }
        let places = match machine(elf) {
            Some(bits) if a.len().max(b.len()) <= FUNCTION && room > 0 => {
                let a = disassemble(bits, a, x.address + function.start, &left, &mut room);
                let b = disassemble(bits, b, y.address + other.start, &right, &mut room);
                instructions(&a, &b, scope)
            }
            _ => View::of(a).differ(&View::of(b), scope.limits.places)?.places(),
        };
        if !places.is_empty() {
            let offset = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len())) as u64;
            let more = places.len() > scope.limits.places;
            let change = Change::Content { offset, places: super::first(places, scope), more };
            found.push(Place::part(Format::Elf, Unit::Function, &name.0, change));
        }
    }
    // Where nothing moved, what lies outside of functions can be told by its place.
    if p.len() == q.len() {
        let within = |at: u64| left.functions.values().any(|function| (function.start..function.end).contains(&at));
        let outside = runs.runs.iter().zip(runs.places()).filter(|(run, _)| !within(run.offset));
        found.extend(outside.map(|(_, place)| place));
    }
    Ok(found)
}

fn machine((a, b): (&Elf<'_>, &Elf<'_>)) -> Option<u32> {
    match (a.machine, b.machine) {
        (X86_64, X86_64) => Some(64),
        (X86, X86) => Some(32),
        _ => None,
    }
}

fn code<'b>(section: &'b [u8], function: &Function) -> Option<&'b [u8]> {
    section.get(usize::try_from(function.start).ok()?..usize::try_from(function.end).ok()?)
}

/// What addresses mean in one file.
struct Names {
    /// Of the section at hand, by name and how many of that name were before, offsets within it.
    functions: BTreeMap<(String, u64), Function>,
    /// Everything that has a name, by address.
    known: BTreeMap<u64, (u64, String)>,
    /// Sections by address.
    sections: BTreeMap<u64, (u64, String)>,
    relocatable: bool,
}

impl Names {
    fn read(elf: &Elf<'_>, section: &Section<'_>, scope: Scope<'_>) -> io::Result<Self> {
        let most = scope.limits.table / 4;
        let of = |kind: u64| elf.sections.iter().find(|section| section.kind == kind);
        let table = of(parse::SYMBOLS).or_else(|| of(parse::DYNAMIC_SYMBOLS));
        let symbols = match table {
            Some(table) => symbols::read(elf, &table.data.bytes(0, most)?, &elf.linked(table, most)?),
            None => Vec::new(),
        };
        let number = elf.sections.iter().position(|one| std::ptr::eq(one, section)).map_or(0, |at| at as u64 + 1);
        let base = if elf.relocatable { 0 } else { section.address };
        let function = |symbol: &Symbol| {
            let start = symbol.value.checked_sub(base)?;
            Some((symbol.key.clone(), Function { start, end: start.checked_add(symbol.size)? }))
        };
        let here = |symbol: &&Symbol| symbol.section == number && symbol.kind == FUNCTION_TYPE && symbol.size > 0;
        let functions = symbols.iter().filter(here).filter_map(function).collect();
        let named = |symbol: &&Symbol| {
            let defined = (1..0xff00).contains(&symbol.section) && matches!(symbol.kind, 0..=2);
            defined && !symbol.key.0.is_empty() && (!elf.relocatable || symbol.section == number)
        };
        let known = symbols.iter().filter(named).map(|symbol| (symbol.value, (symbol.size, symbol.key.0.clone())));
        let known = known.collect();
        let sections = elf.sections.iter().filter(|section| section.address > 0);
        let sections = sections
            .map(|section| {
                let size = section.fields.iter().find(|value| value.name == "size").map_or(0, |value| value.number);
                (section.address, (size, section.key.0.clone()))
            })
            .collect();
        Ok(Self { functions, known, sections, relocatable: elf.relocatable })
    }

    /// An address by what lies there.
    fn name(&self, address: u64) -> Option<String> {
        let within = |(start, (size, name)): (&u64, &(u64, String))| match address - start {
            0 => Some(name.clone()),
            offset if offset < *size => Some(format!("{name}+{offset:#x}")),
            _ => None,
        };
        let at = |map: &BTreeMap<u64, (u64, String)>| map.range(..=address).next_back().and_then(within);
        at(&self.known).or_else(|| at(&self.sections))
    }
}

/// An instruction, and where it lies in its function.
struct Line {
    offset: u64,
    text: String,
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Instructions with the names of what they lead to: code that was only moved reads the same.
fn disassemble(bits: u32, code: &[u8], address: u64, names: &Names, room: &mut usize) -> Vec<Line> {
    let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    // What an object leads to is said by its relocations; until then there is only a distance.
    options.set_rip_relative_addresses(names.relocatable);
    let mut lines = Vec::new();
    let mut instruction = Instruction::default();
    while decoder.can_decode() && *room > 0 {
        *room -= 1;
        decoder.decode_out(&mut instruction);
        let offset = instruction.ip().wrapping_sub(address);
        let target = match instruction.op0_kind() {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                let target = instruction.near_branch_target();
                let within = target.wrapping_sub(address);
                // A jump within the function is told by where it leads in it.
                let name = match within < code.len() as u64 {
                    _ if names.relocatable && target == instruction.next_ip() => Some("(relocated)".to_owned()),
                    true => Some(format!("+{within:#x}")),
                    false => names.name(target),
                };
                name.map(|name| (target, name))
            }
            _ if instruction.is_ip_rel_memory_operand() && !names.relocatable => {
                let target = instruction.ip_rel_memory_address();
                names.name(target).map(|name| (target, name))
            }
            _ => None,
        };
        let mut text = String::new();
        if instruction.is_invalid() {
            let at = offset as usize;
            let bytes = code.get(at..at + instruction.len()).unwrap_or_default();
            text = format!("(bytes {})", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        } else {
            formatter.format(&instruction, &mut text);
        }
        if let Some((target, name)) = target {
            text = text.replace(&format!("{target:#x}"), &name);
        }
        lines.push(Line { offset, text });
    }
    lines
}

fn instructions(a: &[Line], b: &[Line], scope: Scope<'_>) -> Vec<Place> {
    let mut found = Vec::new();
    for (x, y) in edits::changed(a, b) {
        for at in 0..x.len().max(y.len()) {
            if scope.enough(&found) {
                return found;
            }
            let (one, other) = (a[x.clone()].get(at), b[y.clone()].get(at));
            let offset = one.or(other).map_or(0, |line| line.offset);
            let text = Sides { a: one.map(|line| line.text.clone()), b: other.map(|line| line.text.clone()) };
            found.push(Place::Instruction { offset, text });
        }
    }
    found
}
