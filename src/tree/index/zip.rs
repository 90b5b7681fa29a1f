//! `zip` archives: jar files, wheels, and programs with one behind them. Read from the directory at the end, as all readers do.

use super::{Fact, HEADER, Index, Lister, Member, Packing, ReadAt, bytes_at};
use crate::base::printable;
use std::io;

const END: &[u8; 4] = b"PK\x05\x06";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const LOCAL: &[u8; 4] = b"PK\x03\x04";
/// The end record with the longest comment.
const TAIL: u64 = 22 + 65535;

fn n2(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 2).map_or(0, |two| u64::from(two[0]) | u64::from(two[1]) << 8)
}

fn n4(bytes: &[u8], at: usize) -> u64 {
    n2(bytes, at) | n2(bytes, at + 2) << 16
}

fn n8(bytes: &[u8], at: usize) -> u64 {
    n4(bytes, at) | n4(bytes, at + 4) << 32
}

pub(super) fn index(bytes: &impl ReadAt) -> io::Result<Index> {
    let whole = bytes.size();
    let from = whole.saturating_sub(TAIL);
    let tail = bytes_at(bytes, from, TAIL as usize)?;
    let fits = |at: &usize| tail[*at..].starts_with(END) && n2(&tail, at + 20) == (tail.len() - at - 22) as u64;
    let Some(found) = (0..tail.len().saturating_sub(21)).rev().find(fits) else { return Ok(Index::default()) };
    let end = &tail[found..];
    let end_at = from + found as u64;
    let (mut count, mut size, mut start) = (n2(end, 10), n4(end, 12), n4(end, 16));
    let mut directory_end = end_at;
    // A record for what does not fit lies before the end record, behind a pointer to it.
    if (count == 0xffff || size == 0xffff_ffff || start == 0xffff_ffff) && end_at >= 20 {
        let pointer = bytes_at(bytes, end_at - 20, 20)?;
        let record = bytes_at(bytes, n8(&pointer, 8), 56)?;
        if pointer.starts_with(b"PK\x06\x07") && record.starts_with(b"PK\x06\x06") && record.len() == 56 {
            (count, size, start) = (n8(&record, 32), n8(&record, 40), n8(&record, 48));
            directory_end = n8(&pointer, 8);
        }
    }
    // What lies before the archive (a program that unpacks it, say) moves everything.
    let Some(directory) = directory_end.checked_sub(size) else { return Ok(Index::default()) };
    let Some(moved) = directory.checked_sub(start) else { return Ok(Index::default()) };
    let mut list = Lister::new();
    list.index.frame = directory_end..whole;
    let mut at = directory;
    for _ in 0..count {
        let central = bytes_at(bytes, at, 46)?;
        if central.len() < 46 || !central.starts_with(CENTRAL) || at >= directory_end {
            break;
        }
        let (name_size, extra_size) = (n2(&central, 28), n2(&central, 30));
        let next = at + 46 + name_size + extra_size + n2(&central, 32);
        let name = bytes_at(bytes, at + 46, name_size as usize)?;
        let extra = bytes_at(bytes, at + 46 + name_size, extra_size as usize)?;
        let (mut packed, mut offset) = (n4(&central, 20), n4(&central, 42));
        wide(&extra, n4(&central, 24) == 0xffff_ffff, &mut packed, &mut offset);
        let local_at = offset.saturating_add(moved);
        let local = bytes_at(bytes, local_at, 30)?;
        let mut heads = vec![at..next];
        let content = if local.len() == 30 && local.starts_with(LOCAL) {
            let content = local_at + 30 + n2(&local, 26) + n2(&local, 28);
            heads.push(local_at..content.min(whole));
            content.min(whole)..content.saturating_add(packed).min(whole)
        } else {
            whole..whole
        };
        // The sizes again, behind the content of what was written as a stream.
        let behind = bytes_at(bytes, content.end, 24)?;
        let descriptor = match n2(&central, 8) & 8 != 0 {
            true if behind.starts_with(b"PK\x07\x08") => 16,
            true => 12,
            false => 0,
        };
        let packing = match n2(&central, 10) {
            _ if n2(&central, 8) & 1 != 0 => Packing::Unknown,
            0 => Packing::Stored,
            8 => Packing::Deflate,
            12 | 93 | 95 => Packing::Stream,
            _ => Packing::Unknown,
        };
        let tail = content.end..(content.end + descriptor).min(whole);
        if !list.add(Member { name, heads, content, packing, tail }) {
            break;
        }
        at = next;
    }
    Ok(list.end(whole))
}

/// Sizes and offsets that do not fit, from the extra field that holds them.
fn wide(mut extra: &[u8], size_is_there: bool, packed: &mut u64, offset: &mut u64) {
    while extra.len() >= 4 {
        let length = n2(extra, 2) as usize;
        let Some(body) = extra.get(4..4 + length) else { return };
        if n2(extra, 0) == 1 {
            let mut at = if size_is_there { 8 } else { 0 };
            for value in [packed, offset] {
                if *value == 0xffff_ffff && at + 8 <= body.len() {
                    *value = n8(body, at);
                    at += 8;
                }
            }
            return;
        }
        extra = &extra[4 + length..];
    }
}

pub(super) fn facts(heads: &[Vec<u8>]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let Some(central) = heads.first().filter(|head| head.len() >= 46 && head.len() as u64 <= HEADER) else {
        return facts;
    };
    let (name, extra) = (n2(central, 28) as usize, n2(central, 30) as usize);
    facts.push(Fact::new("made by", format!("{:#06x}", n2(central, 4))));
    facts.push(Fact::new("needs version", n2(central, 6).to_string()));
    facts.push(Fact::new("flags", format!("{:#06x}", n2(central, 8))));
    facts.push(Fact::new("method", method(n2(central, 10))));
    facts.push(Fact::new("mtime", time(n4(central, 12))));
    facts.push(Fact::following("crc32", format!("{:08x}", n4(central, 16))));
    facts.push(Fact::following("packed size", n4(central, 20).to_string()));
    facts.push(Fact::following("size", n4(central, 24).to_string()));
    facts.push(Fact::new("disk", n2(central, 34).to_string()));
    facts.push(Fact::new("internal attributes", format!("{:#06x}", n2(central, 36))));
    facts.push(Fact::new("attributes", format!("{:#010x}", n4(central, 38))));
    facts.push(Fact::following("offset", n4(central, 42).to_string()));
    extras("extra", central.get(46 + name..46 + name + extra).unwrap_or_default(), &mut facts);
    facts.push(Fact::new("comment", printable(central.get(46 + name + extra..).unwrap_or_default())));
    let Some(local) = heads.get(1).filter(|head| head.len() >= 30) else { return facts };
    let name = n2(local, 26) as usize;
    facts.push(Fact::new("local needs version", n2(local, 4).to_string()));
    facts.push(Fact::new("local flags", format!("{:#06x}", n2(local, 6))));
    facts.push(Fact::new("local method", method(n2(local, 8))));
    facts.push(Fact::new("local mtime", time(n4(local, 10))));
    facts.push(Fact::following("local crc32", format!("{:08x}", n4(local, 14))));
    facts.push(Fact::following("local packed size", n4(local, 18).to_string()));
    facts.push(Fact::following("local size", n4(local, 22).to_string()));
    facts.push(Fact::new("local name", printable(local.get(30..30 + name).unwrap_or_default())));
    extras("local extra", local.get(30 + name..).unwrap_or_default(), &mut facts);
    // What both headers say is told once.
    let told: Vec<(String, String)> = facts.iter().map(|fact| (fact.field.to_string(), fact.value.clone())).collect();
    facts.retain(|fact| match fact.field.strip_prefix("local ") {
        Some(field) => !told.iter().any(|(other, value)| other == field && *value == fact.value),
        None => true,
    });
    facts
}

/// Extra fields; those that hold times (0x5455: in seconds) by name.
fn extras(which: &str, mut extra: &[u8], facts: &mut Vec<Fact>) {
    while extra.len() >= 4 {
        let (id, length) = (n2(extra, 0), n2(extra, 2) as usize);
        let Some(body) = extra.get(4..4 + length) else { break };
        let hex = |bytes: &[u8]| bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect::<String>();
        facts.push(match id {
            0x5455 if body.len() >= 5 => Fact::new(format!("{which} mtime"), n4(body, 1).to_string()),
            0x0001 => Fact::following(format!("{which} wide sizes"), hex(body)),
            _ => Fact::new(format!("{which} {id:#06x}"), hex(body)),
        });
        extra = &extra[4 + length..];
    }
}

pub(super) fn frame_facts(frame: &[u8]) -> Vec<Fact> {
    let Some(at) = (0..frame.len().saturating_sub(21)).find(|at| frame[*at..].starts_with(END)) else {
        return Vec::new();
    };
    let end = &frame[at..];
    vec![
        Fact::following("entries", n2(end, 10).to_string()),
        Fact::following("directory size", n4(end, 12).to_string()),
        Fact::following("directory offset", n4(end, 16).to_string()),
        Fact::new("comment", printable(&end[22..])),
    ]
}

fn method(number: u64) -> String {
    match number {
        0 => "stored".to_owned(),
        8 => "deflate".to_owned(),
        12 => "bzip2".to_owned(),
        14 => "lzma".to_owned(),
        93 => "zstd".to_owned(),
        95 => "xz".to_owned(),
        other => other.to_string(),
    }
}

/// A time as DOS wrote it: without a zone, in steps of two seconds.
fn time(stamp: u64) -> String {
    let (time, date) = (stamp & 0xffff, stamp >> 16);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        1980 + (date >> 9),
        date >> 5 & 15,
        date & 31,
        time >> 11,
        time >> 5 & 63,
        (time & 31) * 2
    )
}
