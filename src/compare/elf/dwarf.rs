//! Files and directories that the line tables of debugging information name: DWARF 2 to 5.

use super::super::content::Scope;
use super::super::{Place, Unit};
use super::parse::{Elf, Order};
use super::texts;
use std::io;

/// More names than this are not read.
const NAMES: usize = 1_000_000;

/// Where the names of two line tables differ; empty where they do not, or are not sound.
pub(super) fn places(
    (one, p): (&Elf<'_>, &[u8]),
    (other, q): (&Elf<'_>, &[u8]),
    scope: Scope<'_>,
) -> io::Result<Vec<Place>> {
    let tables = |elf: &Elf<'_>| -> io::Result<[Vec<u8>; 2]> {
        let read = |name| match elf.section(name).filter(|section| !section.compressed()) {
            Some(section) => section.data.bytes(0, scope.limits.table),
            None => Ok(Vec::new()),
        };
        Ok([read(".debug_line_str")?, read(".debug_str")?])
    };
    let (a, b) = (names(one.order, p, &tables(one)?), names(other.order, q, &tables(other)?));
    Ok(texts::changed(&a, &b, Unit::SourceName, |at| format!("number {at}"), scope))
}

/// All names, directories with a slash behind them, as far as the tables are sound.
fn names(order: Order, lines: &[u8], tables: &[Vec<u8>; 2]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = Cursor { bytes: lines, order, wide: false };
    while !rest.bytes.is_empty() && found.len() < NAMES {
        let Some(mut unit) = rest.unit() else { break };
        if unit.names(&mut found, tables).is_none() {
            break;
        }
    }
    found
}

/// Reads on from where it is.
struct Cursor<'a> {
    bytes: &'a [u8],
    order: Order,
    /// Whether offsets in this unit have eight bytes.
    wide: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(length).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self, size: usize) -> Option<u64> {
        let bytes = self.take(size as u64)?;
        Some(self.order.number(bytes, 0, size))
    }

    fn offset(&mut self) -> Option<u64> {
        self.number(if self.wide { 8 } else { 4 })
    }

    /// A number in groups of seven bits.
    fn leb(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.number(1)?;
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A text up to its zero.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.bytes)?;
        let text = self.take(end as u64)?;
        self.take(1)?;
        Some(text)
    }

    /// The next unit, whole.
    fn unit(&mut self) -> Option<Self> {
        let mut length = self.number(4)?;
        let wide = length == 0xffff_ffff;
        if wide {
            length = self.number(8)?;
        }
        Some(Cursor { bytes: self.take(length)?, order: self.order, wide })
    }

    fn names(&mut self, found: &mut Vec<Vec<u8>>, tables: &[Vec<u8>; 2]) -> Option<()> {
        let version = self.number(2)?;
        if version >= 5 {
            // Sizes of addresses and of segment selectors.
            self.take(2)?;
        }
        self.offset()?;
        self.take(if version >= 4 { 5 } else { 4 })?;
        let opcodes = self.number(1)?;
        self.take(opcodes.checked_sub(1)?)?;
        match version {
            2..=4 => self.plain_names(found),
            5 => {
                self.described_names(found, tables, b"/")?;
                self.described_names(found, tables, b"")
            }
            _ => None,
        }
    }

    fn plain_names(&mut self, found: &mut Vec<Vec<u8>>) -> Option<()> {
        loop {
            match self.text()? {
                [] => break,
                name => found.push([name, b"/"].concat()),
            }
        }
        loop {
            match self.text()? {
                [] => return Some(()),
                name => found.push(name.to_vec()),
            }
            // Directory, time, size.
            for _ in 0..3 {
                self.leb()?;
            }
        }
    }

    fn described_names(&mut self, found: &mut Vec<Vec<u8>>, tables: &[Vec<u8>; 2], end: &[u8]) -> Option<()> {
        let count = self.number(1)?;
        let mut formats = Vec::new();
        for _ in 0..count {
            formats.push((self.leb()?, self.leb()?));
        }
        let entries = self.leb()?;
        if entries > self.bytes.len() as u64 || found.len() as u64 + entries > NAMES as u64 {
            return None;
        }
        for _ in 0..entries {
            for (content, form) in &formats {
                let text = self.form(*form, tables)?;
                if let (1, Some(text)) = (content, text) {
                    found.push([text, end].concat());
                }
            }
        }
        Some(())
    }

    /// Past one value; gives back what it is if it is a text.
    fn form<'t>(&mut self, form: u64, tables: &'t [Vec<u8>; 2]) -> Option<Option<&'t [u8]>>
    where
        'a: 't,
    {
        let text = |table: &'t [u8], at: u64| {
            let text = usize::try_from(at).ok().and_then(|at| table.get(at..)).unwrap_or_default();
            &text[..memchr::memchr(0, &text[..text.len().min(4096)]).unwrap_or(text.len().min(4096))]
        };
        match form {
            // string, line_strp, strp
            0x08 => return self.text().map(Some),
            0x1f => return self.offset().map(|at| Some(text(&tables[0], at))),
            0x0e => return self.offset().map(|at| Some(text(&tables[1], at))),
            // data1, data2, data4, data8, data16, udata
            0x0b => self.take(1)?,
            0x05 => self.take(2)?,
            0x06 => self.take(4)?,
            0x07 => self.take(8)?,
            0x1e => self.take(16)?,
            0x0f => return self.leb().map(|_| None),
            // block
            0x09 => {
                let length = self.leb()?;
                self.take(length)?
            }
            _ => return None,
        };
        Some(None)
    }
}
