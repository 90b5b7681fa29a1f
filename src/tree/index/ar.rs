//! `ar` archives, with GNU's and BSD's long names.

use super::{Fact, Index, Lister, Member, NAME, Packing, ReadAt, bytes_at};
use crate::base::printable;
use std::io;

pub(super) const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: u64 = 60;
/// More of the table of long names is not read.
const TABLE: usize = 8 << 20;

/// The header's fields as they are written: field, from, to.
const FIELDS: [(&str, usize, usize); 5] =
    [("mtime", 16, 28), ("uid", 28, 34), ("gid", 34, 40), ("mode", 40, 48), ("size", 48, 58)];

pub(super) fn index(bytes: &impl ReadAt) -> io::Result<Index> {
    let mut list = Lister::new();
    let mut long_names = Vec::new();
    let (mut at, whole) = (MAGIC.len() as u64, bytes.size());
    while at < whole {
        let header = bytes_at(bytes, at, HEADER as usize)?;
        let size = header.get(48..58).and_then(|field| std::str::from_utf8(field).ok()?.trim().parse::<u64>().ok());
        let (Some(size), Some(b"`\n")) = (size, header.get(58..)) else { break };
        let content = at + HEADER;
        let Some(end) = content.checked_add(size).filter(|end| *end <= whole) else { break };
        let (name, skipped) = name(header[..16].trim_ascii_end(), bytes, content, size, &long_names)?;
        if name == b"//" {
            long_names = bytes_at(bytes, content, TABLE.min(usize::try_from(size).unwrap_or(TABLE)))?;
        }
        let next = (end + size % 2).min(whole);
        let member = Member {
            name,
            heads: vec![at..content + skipped],
            content: content + skipped..end,
            packing: Packing::Stored,
            tail: end..next,
        };
        if !list.add(member) {
            break;
        }
        at = next;
    }
    Ok(list.end(at))
}

/// A member's name in any of the three ways to write it, and how many bytes of it lie before the content.
fn name(field: &[u8], bytes: &impl ReadAt, at: u64, size: u64, long_names: &[u8]) -> io::Result<(Vec<u8>, u64)> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    if let Some(length) = field.strip_prefix(b"#1/").and_then(number) {
        let length = length.min(size).min(NAME as u64);
        let name = bytes_at(bytes, at, length as usize)?;
        return Ok((name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(), length));
    }
    if let Some(offset) = field.strip_prefix(b"/").and_then(number) {
        let name = usize::try_from(offset).ok().and_then(|at| long_names.get(at..)).unwrap_or_default();
        let end = name.iter().take(NAME).position(|byte| *byte == b'\n').unwrap_or(name.len().min(NAME));
        let name = &name[..end];
        return Ok((name.strip_suffix(b"/").unwrap_or(name).to_vec(), 0));
    }
    Ok(match field {
        b"/" | b"//" | b"/SYM64/" => (field.to_vec(), 0),
        _ => (field.strip_suffix(b"/").unwrap_or(field).to_vec(), 0),
    })
}

pub(super) fn facts(heads: &[Vec<u8>]) -> Vec<Fact> {
    let Some(header) = heads.first().and_then(|head| head.first_chunk::<{ HEADER as usize }>()) else {
        return Vec::new();
    };
    // Where a long name lies in its table depends on the others.
    let mut facts = vec![Fact::following("name", printable(header[..16].trim_ascii()))];
    facts.extend(FIELDS.iter().map(|(field, from, to)| Fact::new(*field, printable(header[*from..*to].trim_ascii()))));
    facts
}
