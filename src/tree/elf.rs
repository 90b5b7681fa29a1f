//! What an ELF file says about itself: what it is, what it wants to be loaded with, what it still carries.
//!
//! The files come from builds and foreign packages, so every offset in them is a claim: all reads are checked, the work is
//! bounded by the length of the bytes (many headers may lead to the same ones), and what is told by [`TEXT`] and
//! [`LIBRARIES`]: five megabytes at most.

use super::Error;
use crate::base::printable;
use std::cell::Cell;

/// The longest text, in bytes; no path is longer.
const TEXT: usize = 4096;
/// The most libraries that a file may need.
const LIBRARIES: usize = 1024;

/// What kind of ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Kind {
    /// Not yet linked (`.o`).
    Relocatable,
    /// Linked to fixed addresses.
    Executable,
    /// A shared library, or an executable that can be loaded anywhere (then it has an interpreter or is static-pie).
    Shared,
    /// Memory of a process that died.
    Core,
    /// Something a system or processor defines for itself.
    Other(u16),
}

/// What an ELF file says about itself. Texts are made printable.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ElfFacts {
    /// Bits of an address: 32 or 64.
    pub class: u8,
    /// Whether numbers have their low byte first.
    pub little_endian: bool,
    /// The processor, as the ELF standard numbers them (62 is x86-64, 183 is AArch64).
    pub machine: u16,
    /// What kind of file.
    pub kind: Kind,
    /// The program that loads this one (`PT_INTERP`).
    pub interpreter: Option<String>,
    /// Libraries to be loaded with it (`DT_NEEDED`), in their order.
    pub needed: Vec<String>,
    /// The name under which others need it (`DT_SONAME`).
    pub soname: Option<String>,
    /// Where to look for libraries first, old form (`DT_RPATH`).
    pub rpath: Option<String>,
    /// Where to look for libraries (`DT_RUNPATH`).
    pub runpath: Option<String>,
    /// Whether debugging information is in it (`.debug_info` and its kin).
    pub has_debug: bool,
    /// Whether a full symbol table is in it (`.symtab`).
    pub has_symbols: bool,
    /// The build id, in hexadecimal.
    pub build_id: Option<String>,
}

/// The facts of an ELF file; `None` when the bytes do not start like one.
///
/// # Errors
/// [`Error::Elf`] when they do, but what follows does not hold together.
pub fn facts(bytes: &[u8]) -> Result<Option<ElfFacts>, Error> {
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let class = match bytes.get(4) {
        Some(1) => 32,
        Some(2) => 64,
        _ => return Err(malformed("its class is neither 32 nor 64 bits")),
    };
    let little_endian = match bytes.get(5) {
        Some(1) => true,
        Some(2) => false,
        _ => return Err(malformed("its byte order is unknown")),
    };
    let notes = Cell::new(2 * bytes.len());
    let file = File { bytes, wide: class == 64, little_endian, notes: &notes };
    let kind = match file.half(16)? {
        1 => Kind::Relocatable,
        2 => Kind::Executable,
        3 => Kind::Shared,
        4 => Kind::Core,
        other => Kind::Other(other),
    };
    let mut facts = ElfFacts {
        class,
        little_endian,
        machine: file.half(18)?,
        kind,
        interpreter: None,
        needed: Vec::new(),
        soname: None,
        rpath: None,
        runpath: None,
        has_debug: false,
        has_symbols: false,
        build_id: None,
    };
    file.read_sections(&mut facts)?;
    file.read_segments(&mut facts)?;
    Ok(Some(facts))
}

struct File<'a> {
    bytes: &'a [u8],
    wide: bool,
    little_endian: bool,
    /// How many bytes of notes may still be searched. Every note of a real file is told by a section and a segment.
    notes: &'a Cell<usize>,
}

struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
    align: u64,
}

const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const INTERPRETER: u64 = 3;
const NOTE: u64 = 4;

const SECTION_NOTE: u64 = 7;
/// A section that takes no space in the file.
const SECTION_NOBITS: u64 = 8;

const NEEDED: u64 = 1;
const STRTAB: u64 = 5;
const STRSZ: u64 = 10;
const SONAME: u64 = 14;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;

impl<'a> File<'a> {
    /// A value that 32-bit files have at one place in four bytes, and 64-bit files at another in eight.
    fn word(&self, base: u64, narrow: u64, wide: u64) -> Result<u64, Error> {
        match self.wide {
            true => self.number(add(base, wide)?, 8),
            false => self.number(add(base, narrow)?, 4),
        }
    }

    fn half(&self, at: u64) -> Result<u16, Error> {
        self.number(at, 2).map(|value| value as u16)
    }

    fn number(&self, at: u64, length: u64) -> Result<u64, Error> {
        let bytes = self.part(at, length)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(match self.little_endian {
            true => bytes.iter().rev().fold(0, join),
            false => bytes.iter().fold(0, join),
        })
    }

    fn part(&self, at: u64, length: u64) -> Result<&'a [u8], Error> {
        let range = usize::try_from(at).ok().zip(usize::try_from(add(at, length)?).ok());
        range
            .and_then(|(from, to)| self.bytes.get(from..to))
            .ok_or_else(|| malformed(&format!("{length} bytes at {at} lie behind its end at {}", self.bytes.len())))
    }

    fn text(&self, table: &[u8], at: u64) -> Result<String, Error> {
        let text = usize::try_from(at).ok().and_then(|at| table.get(at..));
        let text = text.ok_or_else(|| malformed("a text lies behind the end of its table"))?;
        match text.iter().take(TEXT + 1).position(|byte| *byte == 0) {
            Some(end) => Ok(printable(&text[..end])),
            None if text.len() > TEXT => Err(malformed(&format!("a text is longer than {TEXT} bytes"))),
            None => Err(malformed("a text has no end")),
        }
    }

    fn read_sections(&self, facts: &mut ElfFacts) -> Result<(), Error> {
        let start = self.word(0, 32, 40)?;
        if start == 0 {
            return Ok(());
        }
        let size = u64::from(self.half(if self.wide { 58 } else { 46 })?);
        let mut count = u64::from(self.half(if self.wide { 60 } else { 48 })?);
        let mut names = u64::from(self.half(if self.wide { 62 } else { 50 })?);
        if size < if self.wide { 64 } else { 40 } {
            return Err(malformed("its section headers are too small"));
        }
        // Numbers too large for their field are in the first section.
        if count == 0 {
            count = self.word(start, 20, 32)?;
        }
        if names == 0xffff {
            names = self.number(add(start, if self.wide { 40 } else { 24 })?, 4)?;
        }
        if count == 0 || names == 0 {
            return Ok(());
        }
        if names >= count {
            return Err(malformed("the section of section names does not exist"));
        }
        let headers = count.checked_mul(size).ok_or_else(|| malformed("it has too many sections"))?;
        self.part(start, headers)?;
        let table = self.section(start + names * size)?;
        for at in 0..count {
            let header = start + at * size;
            let kind = self.number(header + 4, 4)?;
            if at == 0 || kind == 0 {
                continue;
            }
            let name = self.text(table, self.number(header, 4)?)?;
            facts.has_symbols |= name == ".symtab";
            facts.has_debug |= (name.starts_with(".debug_") || name.starts_with(".zdebug_"))
                && name != ".debug_gdb_scripts"
                && kind != SECTION_NOBITS;
            if kind == SECTION_NOTE && facts.build_id.is_none() {
                facts.build_id = self.build_id(self.section(header)?, self.word(header, 32, 48)?);
            }
        }
        Ok(())
    }

    fn section(&self, header: u64) -> Result<&'a [u8], Error> {
        self.part(self.word(header, 16, 24)?, self.word(header, 20, 32)?)
    }

    fn read_segments(&self, facts: &mut ElfFacts) -> Result<(), Error> {
        let segments = self.segments()?;
        let mut dynamic = false;
        for segment in &segments {
            match segment.kind {
                // Files that hold only debugging information keep the headers of what was taken out.
                _ if segment.size == 0 => {}
                INTERPRETER => {
                    let text = self.text(self.part(segment.offset, segment.size)?, 0)?;
                    facts.interpreter = Some(text);
                }
                NOTE if facts.build_id.is_none() => {
                    facts.build_id = self.build_id(self.part(segment.offset, segment.size)?, segment.align);
                }
                DYNAMIC if std::mem::replace(&mut dynamic, true) => {
                    return Err(malformed("it has two dynamic sections"));
                }
                DYNAMIC => self.read_dynamic(self.part(segment.offset, segment.size)?, &segments, facts)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn segments(&self) -> Result<Vec<Segment>, Error> {
        let start = self.word(0, 28, 32)?;
        if start == 0 {
            return Ok(Vec::new());
        }
        let size = u64::from(self.half(if self.wide { 54 } else { 42 })?);
        let mut count = u64::from(self.half(if self.wide { 56 } else { 44 })?);
        if count == 0xffff {
            let first = self.word(0, 32, 40)?;
            count = self.number(add(first, if self.wide { 44 } else { 28 })?, 4)?;
        }
        if count > 0 && size < if self.wide { 56 } else { 32 } {
            return Err(malformed("its program headers are too small"));
        }
        self.part(start, count * size)?;
        let segment = |at: u64| {
            let header = start + at * size;
            Ok(Segment {
                kind: self.number(header, 4)?,
                offset: self.word(header, 4, 8)?,
                address: self.word(header, 8, 16)?,
                size: self.word(header, 16, 32)?,
                align: self.word(header, 28, 48)?,
            })
        };
        (0..count).map(segment).collect()
    }

    fn read_dynamic(&self, table: &[u8], segments: &[Segment], facts: &mut ElfFacts) -> Result<(), Error> {
        let table = File { bytes: table, ..*self };
        let step = if self.wide { 16 } else { 8 };
        let mut rows = Vec::new();
        for at in 0..table.bytes.len() as u64 / step {
            let tag = table.word(at * step, 0, 0)?;
            if tag == 0 {
                break;
            }
            rows.push((tag, table.word(at * step, 4, 8)?));
        }
        let value = |wanted: u64| rows.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        if !rows.iter().any(|(tag, _)| [NEEDED, SONAME, RPATH, RUNPATH].contains(tag)) {
            return Ok(());
        }
        let (Some(address), Some(length)) = (value(STRTAB), value(STRSZ)) else {
            return Err(malformed("its dynamic section has texts but no table of them"));
        };
        let load = segments.iter().find(|segment| {
            let within = address.checked_sub(segment.address);
            segment.kind == LOAD && within.is_some_and(|within| within < segment.size)
        });
        let load = load.ok_or_else(|| malformed("the texts of its dynamic section are not loaded"))?;
        let within = address - load.address;
        if length > load.size - within {
            return Err(malformed("the texts of its dynamic section are not loaded"));
        }
        let loaded = self.part(load.offset, load.size)?;
        let strings = &loaded[within as usize..(within + length) as usize];
        for (tag, value) in rows {
            match tag {
                NEEDED if facts.needed.len() == LIBRARIES => {
                    return Err(malformed(&format!("it needs more than {LIBRARIES} libraries")));
                }
                NEEDED => facts.needed.push(self.text(strings, value)?),
                SONAME => facts.soname = Some(self.text(strings, value)?),
                RPATH => facts.rpath = Some(self.text(strings, value)?),
                RUNPATH => facts.runpath = Some(self.text(strings, value)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// The build id among notes. Notes are free-form: what can not be read is not a build id.
    fn build_id(&self, notes: &[u8], align: u64) -> Option<String> {
        self.notes.set(self.notes.get().checked_sub(notes.len())?);
        let notes = File { bytes: notes, ..*self };
        let align = if align == 8 { 8 } else { 4 };
        let mut at = 0_u64;
        loop {
            let name_size = notes.number(at, 4).ok()?;
            let size = notes.number(at + 4, 4).ok()?;
            let kind = notes.number(at + 8, 4).ok()?;
            let name = notes.part(at + 12, name_size).ok()?;
            let start = (at + 12 + name_size).next_multiple_of(align);
            let content = notes.part(start, size).ok()?;
            if kind == 3 && name == b"GNU\0" && !content.is_empty() && content.len() <= 64 {
                return Some(content.iter().map(|byte| format!("{byte:02x}")).collect());
            }
            at = (start + size).next_multiple_of(align);
        }
    }
}

fn add(a: u64, b: u64) -> Result<u64, Error> {
    a.checked_add(b).ok_or_else(|| malformed("an offset is out of all bounds"))
}

fn malformed(what: &str) -> Error {
    Error::Elf(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A 64-bit little-endian program with an interpreter, one needed library, a run path and a build id.
    fn sample() -> Vec<u8> {
        let mut file = vec![0; 0x400];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        let n2 = |value: u16| value.to_le_bytes();
        let n4 = |value: u32| value.to_le_bytes();
        let n8 = |value: u64| value.to_le_bytes();
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &n2(3));
        put(18, &n2(62));
        put(32, &n8(64));
        put(54, &n2(56));
        put(56, &n2(4));
        for (at, (kind, offset, address, size)) in
            [(1, 0, 0x1000, 0x400), (2, 0x200, 0x1200, 0x60), (3, 0x300, 0x1300, 21), (4, 0x340, 0x1340, 20)]
                .into_iter()
                .enumerate()
        {
            let header = 64 + at * 56;
            put(header, &n4(kind));
            put(header + 8, &n8(offset));
            put(header + 16, &n8(address));
            put(header + 32, &n8(size));
            put(header + 48, &n8(4));
        }
        for (at, (tag, value)) in [(1, 1), (29, 9), (5, 0x1380), (10, 0x20), (0, 0)].into_iter().enumerate() {
            put(0x200 + at * 16, &n8(tag));
            put(0x208 + at * 16, &n8(value));
        }
        put(0x300, b"/lib/ld-musl-x.so.1\0");
        put(0x340, &n4(4));
        put(0x344, &n4(4));
        put(0x348, &n4(3));
        put(0x34c, b"GNU\0\xde\xad\xbe\xef");
        put(0x380, b"\0libc.so\0/opt/lib\0");
        file
    }

    #[test]
    fn a_program_tells_what_it_needs() {
        let facts = facts(&sample()).unwrap().unwrap();
        assert_eq!((facts.class, facts.machine, facts.kind), (64, 62, Kind::Shared));
        assert_eq!(facts.interpreter.as_deref(), Some("/lib/ld-musl-x.so.1"));
        assert_eq!(facts.needed, ["libc.so"]);
        assert_eq!(facts.runpath.as_deref(), Some("/opt/lib"));
        assert_eq!(facts.build_id.as_deref(), Some("deadbeef"));
        assert!(!facts.has_debug && !facts.has_symbols);
    }

    /// A wide file with these segments (kind, offset, size), all loaded where they lie, and this content behind them.
    fn with_segments(segments: &[(u32, u64, u64)], content: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64 + segments.len() * 56];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[32] = 64;
        file[54] = 56;
        file[56..58].copy_from_slice(&u16::try_from(segments.len()).unwrap().to_le_bytes());
        let behind = file.len() as u64;
        for (at, (kind, offset, size)) in segments.iter().enumerate() {
            let header = &mut file[64 + at * 56..][..56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            for (at, value) in [(8, behind + offset), (16, *offset), (32, *size), (48, 4)] {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        file.extend_from_slice(content);
        file
    }

    fn rows(rows: impl IntoIterator<Item = (u64, u64)>) -> Vec<u8> {
        rows.into_iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()).collect()
    }

    /// Each row of a dynamic section named a text, and a text was as long as its table: a file of one megabyte with 30,000
    /// rows that all name half a megabyte made 15 GB of names. Found by reading, when the bounds were written down for the
    /// fuzzer.
    #[test]
    fn texts_are_bounded() {
        let table = |length: usize| [vec![b'x'; length], vec![0]].concat();
        let needing = |libraries: usize, length: usize| {
            let all = std::iter::repeat_n((NEEDED, 0), libraries);
            let texts = table(length);
            let dynamic = rows(all.chain([(STRTAB, 0), (STRSZ, texts.len() as u64), (0, 0)]));
            let segments = [(1, 0, texts.len() as u64), (2, texts.len() as u64, dynamic.len() as u64)];
            facts(&with_segments(&segments, &[texts, dynamic].concat()))
        };
        assert_eq!(needing(2, 4096).unwrap().unwrap().needed[1].len(), 4096);
        assert_eq!(needing(1, 4097).unwrap_err().to_string(), "malformed ELF file: a text is longer than 4096 bytes");
        assert_eq!(needing(1024, 1).unwrap().unwrap().needed.len(), 1024);
        assert_eq!(needing(1025, 1).unwrap_err().to_string(), "malformed ELF file: it needs more than 1024 libraries");
        let twice = with_segments(&[(1, 0, 1), (2, 0, 32), (2, 0, 32)], &rows([(0, 0), (0, 0)]));
        assert_eq!(facts(&twice).unwrap_err().to_string(), "malformed ELF file: it has two dynamic sections");
    }

    /// Every segment of notes was searched for a build id, wherever it lay: 60,000 of them over the same few megabytes of
    /// notes took hours. Now all of them together are searched no further than twice the file's length.
    #[test]
    fn notes_are_searched_once() {
        let notes = [0_u8; 1 << 20];
        let file = with_segments(&vec![(4, 0, 1 << 20); 60_000], &notes);
        assert_eq!(facts(&file).unwrap().unwrap().build_id, None);
    }

    #[test]
    fn other_bytes_are_no_elf() {
        assert_eq!(facts(b"").unwrap(), None);
        assert_eq!(facts(b"\x7fEL").unwrap(), None);
        assert_eq!(facts(b"#!/bin/sh\n").unwrap(), None);
        assert!(facts(b"\x7fELF").is_err());
    }

    /// This test is itself such a file, made by a real linker.
    #[test]
    fn real_files_are_read() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let facts = facts(&bytes).unwrap().unwrap();
        assert_eq!(facts.class, usize::BITS as u8);
        assert_eq!(facts.kind, Kind::Shared);
        assert!(facts.has_symbols);
    }

    #[test]
    fn no_file_cut_short_makes_it_stumble() {
        let whole = sample();
        for length in 0..whole.len() {
            _ = facts(&whole[..length]);
        }
    }

    proptest! {
        /// Damage anywhere is an error or another reading, never a panic.
        #[test]
        fn damage_is_survived(at in 0_usize..0x400, value in any::<[u8; 8]>(), class in 1_u8..3, order in 1_u8..3) {
            let mut file = sample();
            file[4] = class;
            file[5] = order;
            let end = (at + 8).min(file.len());
            file[at..end].copy_from_slice(&value[..end - at]);
            _ = facts(&file);
        }
    }
}
