//! ar archives: static libraries.

use super::bytes::View;
use super::{Change, Field, Limits, Place, Side, Sides, content};
use crate::base::printable;
use std::collections::BTreeMap;
use std::io;

pub(super) const MAGIC: &[u8; 8] = b"!<arch>\n";
/// More members than any library has; an archive with more is compared as bytes.
const MEMBERS: usize = 200_000;
/// Names longer than 16 bytes are in a table; more than this of it is not read, and the names that members make of it may
/// not come to more either.
const NAMES: usize = 8 << 20;
/// Longer names are cut.
const NAME: usize = 1024;

/// The header's fields as they are written: field, from, to.
const FIELDS: [(&str, usize, usize); 5] =
    [("mtime", 16, 28), ("uid", 28, 34), ("gid", 34, 40), ("mode", 40, 48), ("size", 48, 58)];

struct Member<'a> {
    /// Its name, and how many of this name were before it.
    key: (String, u64),
    header: [u8; 60],
    data: View<'a>,
}

/// Where two archives differ; empty when they are not sound, or differ only between members.
pub(super) fn places(
    a: View<'_>,
    b: View<'_>,
    limits: &Limits,
    depth: usize,
    budget: &mut u64,
) -> io::Result<Vec<Place>> {
    let (Some(left), Some(right)) = (members(a)?, members(b)?) else { return Ok(Vec::new()) };
    let index = |members: &[Member<'_>]| -> BTreeMap<(String, u64), usize> {
        members.iter().enumerate().map(|(at, member)| (member.key.clone(), at)).collect()
    };
    let (in_a, in_b) = (index(&left), index(&right));
    let mut places = Vec::new();
    let mut common = left.iter().filter(|member| in_b.contains_key(&member.key));
    let mut also = right.iter().filter(|member| in_a.contains_key(&member.key));
    let moved = std::iter::from_fn(|| common.next().zip(also.next())).find(|(left, right)| left.key != right.key);
    if let Some((member, _)) = moved {
        let position = Sides { a: in_a[&member.key] as u64, b: in_b[&member.key] as u64 };
        places.push(Place::ArOrder { name: member.key.0.clone(), position });
    }
    // The tables change as a consequence of the members; they are told last.
    let tables = |member: &&Member<'_>| matches!(member.key.0.as_str(), "/" | "//" | "/SYM64/");
    for member in left.iter().filter(|member| !tables(member)).chain(left.iter().filter(tables)) {
        if places.len() > limits.places {
            return Ok(places);
        }
        let mut add = |change| places.push(Place::ArMember { name: member.key.0.clone(), change });
        let Some(other) = in_b.get(&member.key).map(|at| &right[*at]) else {
            add(Change::OnlyIn { side: Side::A });
            continue;
        };
        for (field, from, to) in FIELDS {
            let (a, b) = (&member.header[from..to], &other.header[from..to]);
            if a != b {
                let values = Sides { a: printable(a.trim_ascii()), b: printable(b.trim_ascii()) };
                add(Change::Field(Field { field, values }));
            }
        }
        let runs = member.data.differ(&other.data, limits.places)?;
        if let Some(offset) = runs.first() {
            let (found, _) = content::places(member.data, other.data, &runs, limits, depth + 1, budget)?;
            add(Change::Content { offset, places: found });
        }
    }
    for member in right.iter().filter(|member| !in_a.contains_key(&member.key)) {
        places.push(Place::ArMember { name: member.key.0.clone(), change: Change::OnlyIn { side: Side::B } });
    }
    Ok(places)
}

fn members(archive: View<'_>) -> io::Result<Option<Vec<Member<'_>>>> {
    let mut members = Vec::new();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut long_names = Vec::new();
    let (mut at, mut named) = (MAGIC.len() as u64, 0);
    while at < archive.len() {
        let header = archive.bytes(at, 60)?;
        let Ok(header) = <[u8; 60]>::try_from(header) else { return Ok(None) };
        let size = std::str::from_utf8(&header[48..58]).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let (Some(size), b"`\n") = (size, &header[58..]) else { return Ok(None) };
        let data = archive.part(at + 60, size);
        if data.len() != size || members.len() == MEMBERS || named > NAMES {
            return Ok(None);
        }
        let (name, data) = name(header[..16].trim_ascii_end(), data, &long_names)?;
        named += name.len();
        if name == "//" {
            long_names = data.bytes(0, NAMES)?;
        }
        let count = seen.entry(name.clone()).or_default();
        members.push(Member { key: (name, *count), header, data });
        *count += 1;
        at += 60 + size + size % 2;
    }
    Ok(Some(members))
}

/// A member's name in any of the three ways to write it, and its content.
fn name<'a>(field: &[u8], data: View<'a>, long_names: &[u8]) -> io::Result<(String, View<'a>)> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    if let Some(length) = field.strip_prefix(b"#1/").and_then(number) {
        let name = data.bytes(0, length.min(NAME as u64) as usize)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        return Ok((printable(name), data.part(length, u64::MAX)));
    }
    if let Some(offset) = field.strip_prefix(b"/").and_then(number) {
        let name = usize::try_from(offset).ok().and_then(|at| long_names.get(at..)).unwrap_or_default();
        let end = name.iter().position(|byte| *byte == b'\n').unwrap_or(name.len()).min(NAME);
        let name = &name[..end];
        return Ok((printable(name.strip_suffix(b"/").unwrap_or(name)), data));
    }
    let name = match field {
        b"/" | b"//" | b"/SYM64/" => field,
        _ => field.strip_suffix(b"/").unwrap_or(field),
    };
    Ok((printable(name), data))
}
