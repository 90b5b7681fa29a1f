//! `cpio` archives in the "new" form, with and without checksums, as an initial file system of Linux.

use super::{Fact, Index, Lister, Member, NAME, Packing, ReadAt, bytes_at};
use crate::base::printable;
use std::io;

const HEADER: usize = 110;
const FIELDS: [&str; 13] = [
    "inode",
    "mode",
    "uid",
    "gid",
    "links",
    "mtime",
    "size",
    "devmajor",
    "devminor",
    "rdevmajor",
    "rdevminor",
    "name size",
    "check",
];
const SIZE: usize = 6;
const NAME_SIZE: usize = 11;

fn number(header: &[u8], field: usize) -> Option<u64> {
    let digits = header.get(6 + field * 8..14 + field * 8)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_header(header: &[u8]) -> bool {
    header.len() == HEADER && (header.starts_with(b"070701") || header.starts_with(b"070702"))
}

pub(super) fn index(bytes: &impl ReadAt) -> io::Result<Index> {
    let mut list = Lister::new();
    let (mut at, whole) = (0, bytes.size());
    loop {
        let header = bytes_at(bytes, at, HEADER)?;
        let sizes = number(&header, NAME_SIZE).zip(number(&header, SIZE));
        let Some((name_size, size)) = sizes.filter(|_| is_header(&header)) else { return Ok(list.end(at)) };
        // Both are below 2^32, so nothing here can overflow.
        let content = (at + HEADER as u64 + name_size).next_multiple_of(4);
        let end = content + size;
        if end > whole {
            return Ok(list.end(at));
        }
        let name = bytes_at(bytes, at + HEADER as u64, NAME.min(name_size as usize))?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let next = end.next_multiple_of(4).min(whole);
        if name == b"TRAILER!!!" {
            list.index.frame = at..end;
            return Ok(list.end(end));
        }
        let packing = Packing::Stored;
        if !list.add(Member { name, heads: vec![at..content], content: content..end, packing, tail: end..next }) {
            return Ok(list.end(at));
        }
        at = next;
    }
}

pub(super) fn facts(heads: &[Vec<u8>]) -> Vec<Fact> {
    let Some(header) = heads.first().and_then(|head| head.get(..HEADER)) else { return Vec::new() };
    let mut facts = vec![Fact::new("magic", printable(&header[..6]))];
    for (at, field) in FIELDS.iter().enumerate() {
        let raw = &header[6 + at * 8..14 + at * 8];
        let value = match number(header, at) {
            Some(value) if *field == "mode" => format!("{value:o}"),
            Some(value) => value.to_string(),
            None => printable(raw),
        };
        facts.push(if *field == "check" { Fact::following(*field, value) } else { Fact::new(*field, value) });
    }
    facts
}
