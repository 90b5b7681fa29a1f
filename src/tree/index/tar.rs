//! `tar` archives in all dialects, member by member, without judging them.

use super::super::header::{BLOCK, Header, number};
use super::{Fact, HEADER, Index, Lister, Member, NAME, Packing, ReadAt, bytes_at};
use crate::base::printable;
use std::io;
use std::ops::Range;

/// The plain header: field, where, whether it is a number.
const FIELDS: [(&str, Range<usize>, bool); 15] = [
    ("name", 0..100, false),
    ("mode", 100..108, true),
    ("uid", 108..116, true),
    ("gid", 116..124, true),
    ("size", 124..136, true),
    ("mtime", 136..148, true),
    ("type", 156..157, false),
    ("link", 157..257, false),
    ("magic", 257..265, false),
    ("user", 265..297, false),
    ("group", 297..329, false),
    ("devmajor", 329..337, true),
    ("devminor", 337..345, true),
    ("prefix", 345..500, false),
    ("reserved", 500..512, false),
];

pub(super) fn is_header(head: &[u8]) -> bool {
    head.first_chunk::<BLOCK>().is_some_and(|block| block != &[0; BLOCK] && Header::read(block).is_some())
}

pub(super) fn index(bytes: &impl ReadAt) -> io::Result<Index> {
    let mut list = Lister::new();
    let (mut at, whole) = (0, bytes.size());
    // Where the headers of the next member begin, and what they say.
    let (mut begin, mut name, mut stated) = (0, None, None);
    loop {
        let block = bytes_at(bytes, at, BLOCK)?;
        let header = block.first_chunk::<BLOCK>().filter(|block| is_header(*block)).and_then(Header::read);
        let Some(header) = header else { return Ok(list.end(begin)) };
        let mut content = at + BLOCK as u64;
        let kind = header.kind();
        let plain = header.size().unwrap_or(0);
        let extended = matches!(kind, b'x' | b'g' | b'L' | b'K' | b'X');
        let size = match kind {
            b'1'..=b'6' => 0,
            _ if extended => plain,
            _ => stated.unwrap_or(plain),
        };
        if kind == b'S' {
            // More of the map of holes follows, as long as each piece says so.
            let mut more = block[482] != 0;
            while more && content < whole {
                more = bytes_at(bytes, content, BLOCK)?.get(504).is_some_and(|flag| *flag != 0);
                content += BLOCK as u64;
            }
        }
        let Some(end) = content.checked_add(size).filter(|end| *end <= whole) else { return Ok(list.end(begin)) };
        let Some(next) = end.checked_next_multiple_of(BLOCK as u64) else { return Ok(list.end(begin)) };
        let next = next.min(whole);
        if extended && size <= HEADER {
            let text = bytes_at(bytes, content, size as usize)?;
            match kind {
                b'L' => name = Some(text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
                b'x' | b'X' => {
                    for (key, value) in records(&text) {
                        match key {
                            b"path" => name = Some(value.to_vec()),
                            b"size" => stated = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok()),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            at = next;
            continue;
        }
        let member = Member {
            name: name.take().unwrap_or_else(|| header.name()),
            heads: vec![begin..content],
            content: content..end,
            packing: Packing::Stored,
            tail: end..next,
        };
        if !list.add(member) {
            return Ok(list.end(begin));
        }
        (at, begin, stated) = (next, next, None);
    }
}

/// Records of the form `length key=value\n`, up to the first that is none.
fn records(mut text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let space = text.iter().take(12).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
        let record = text.get(space + 1..length)?.strip_suffix(b"\n")?;
        text = &text[length..];
        let equals = record.iter().position(|byte| *byte == b'=')?;
        Some((&record[..equals], &record[equals + 1..]))
    })
}

pub(super) fn facts(heads: &[Vec<u8>]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let Some(mut head) = heads.first().map(Vec::as_slice) else { return facts };
    while let Some(block) = head.first_chunk::<BLOCK>() {
        let Some(header) = Header::read(block) else { return facts };
        let size = usize::try_from(header.size().unwrap_or(0)).unwrap_or(usize::MAX);
        let behind = &head[BLOCK..];
        match header.kind() {
            kind @ (b'x' | b'g' | b'X') => {
                let which = if kind == b'g' { "global pax" } else { "pax" };
                // Name, owner and time of the extended header itself.
                for (field, at, is_number) in FIELDS {
                    facts.push(Fact::following(format!("{which} header {field}"), value(&block[at], is_number)));
                }
                for (key, value) in records(behind.get(..size).unwrap_or_default()) {
                    facts.push(Fact::new(format!("{which} {}", cut(key)), cut(value)));
                }
            }
            kind @ (b'L' | b'K') => {
                let which = if kind == b'L' { "long name" } else { "long link" };
                facts.push(Fact::new(which, cut(behind.get(..size).unwrap_or_default().trim_ascii_end())));
            }
            _ => {
                for (field, at, is_number) in FIELDS {
                    let shown = value(&block[at.clone()], is_number);
                    let mode = number(&block[at]).filter(|_| field == "mode").map(|mode| format!("{mode:o}"));
                    facts.push(Fact::new(field, mode.unwrap_or(shown)));
                }
                facts.push(Fact::following("checksum", value(&block[148..156], true)));
                return facts;
            }
        }
        let Some(next) = size.checked_next_multiple_of(BLOCK).and_then(|size| behind.get(size..)) else { return facts };
        head = next;
    }
    facts
}

fn value(field: &[u8], is_number: bool) -> String {
    let end = field.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |at| at + 1);
    match number(field).filter(|_| is_number && end > 0) {
        Some(number) => number.to_string(),
        None => printable(&field[..end]),
    }
}

fn cut(text: &[u8]) -> String {
    printable(&text[..text.len().min(NAME)])
}
