//! What is compressed: what the header says, the content behind it, and that the same content was compressed in another way.

use super::bytes::View;
use super::content::{Found, Scope, compared};
use super::spool::{End, Spool, both, count, spool};
use super::{Format, Place};
use crate::base::printable;
use crate::tree::index::Packing;
use crate::tree::{inflated, unpacked, unzlibbed};
use std::io;

/// Headers are looked for in so many bytes.
const HEAD: usize = 64 << 10;

/// Where two compressed files differ; empty where they are not sound.
pub(super) fn places(format: Format, a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let (left, right) = (fields(format, &a.bytes(0, HEAD)?), fields(format, &b.bytes(0, HEAD)?));
    let mut places: Vec<Place> = left
        .into_iter()
        .zip(right)
        .filter(|(left, right)| left.1 != right.1)
        .map(|((field, a), (_, b))| Place::header(format, field, a, b))
        .collect();
    let Some((x, y)) = spooled(a, b, scope)? else {
        return Ok(places);
    };
    content(format, &x, &y, scope, &mut places)?;
    Ok(places)
}

/// The content of two zlib streams.
pub(super) fn spooled_zlib(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Option<(Spool, Spool)>> {
    both(a, b, scope, |input| Some(unzlibbed(input)))
}

/// The content of two streams that say themselves how they are packed.
pub(super) fn spooled(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Option<(Spool, Spool)>> {
    both(a, b, scope, |input| unpacked(input).ok().map(|(_, plain)| plain))
}

/// Where two zlib streams differ, and at which offset what they hold; `None` where they are none.
pub(super) fn zlib(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Option<Vec<Place>>> {
    let Some((x, y)) = spooled_zlib(a, b, scope)? else { return Ok(None) };
    let mut places = Vec::new();
    content(Format::Zlib, &x, &y, scope, &mut places)?;
    Ok(Some(places))
}

/// Where the contents of two members of a zip archive differ that are packed in the same way.
pub(super) fn member(packing: Packing, a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Option<(u64, Found)>> {
    if packing == Packing::Unknown || a.differ(&b, 1)?.first().is_none() {
        return compared(a, b, scope.deeper());
    }
    unlike((packing, a), (packing, b), scope)
}

/// The same where they may be packed in different ways.
pub(super) fn unlike(
    (x, a): (Packing, View<'_>),
    (y, b): (Packing, View<'_>),
    scope: Scope<'_>,
) -> io::Result<Option<(u64, Found)>> {
    let raw = |scope: Scope<'_>| compared(a, b, Scope { depth: scope.limits.depth, ..scope });
    let (Some(left), Some(right)) = (one(x, a, scope)?, one(y, b, scope)?) else { return raw(scope) };
    count(&left, &right, scope)?;
    let mut found = match compared(left.view()?, right.view()?, scope.deeper())? {
        Some(found) => found,
        None if left.end == End::Whole && right.end == End::Whole => {
            // What tells that they were packed by different means is in the header, or in the packed bytes alone.
            let same = x == y;
            let first = a.differ(&b, 1)?.first();
            let stream = Found { places: vec![Place::Stream { format: Format::Zlib }], more: false };
            return Ok(first.filter(|_| same).map(|offset| (offset, stream)));
        }
        None => match raw(scope)? {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    unseen(&left.end, &right.end, &mut found.1.places);
    Ok(Some(found))
}

fn one(packing: Packing, view: View<'_>, scope: Scope<'_>) -> io::Result<Option<Spool>> {
    match packing {
        Packing::Stored => spool(view, scope, |input| Some(Box::new(input))),
        Packing::Deflate => spool(view, scope, |input| Some(inflated(input))),
        Packing::Stream => spool(view, scope, |input| unpacked(input).ok().map(|(_, plain)| plain)),
        Packing::Unknown => Ok(None),
    }
}

/// Compares what was unpacked.
fn content(format: Format, x: &Spool, y: &Spool, scope: Scope<'_>, places: &mut Vec<Place>) -> io::Result<()> {
    match compared(x.view()?, y.view()?, scope.deeper())? {
        Some((offset, found)) => {
            places.push(Place::Content { format, offset, places: found.places, more: found.more });
        }
        // Where unpacking ended early nothing is known about the rest.
        None if places.is_empty() && x.end == End::Whole && y.end == End::Whole => {
            places.push(Place::Stream { format })
        }
        None => {}
    }
    unseen(&x.end, &y.end, places);
    Ok(())
}

pub(super) fn unseen(a: &End, b: &End, places: &mut Vec<Place>) {
    let mut say = |side: &str, end: &End| match end {
        End::Whole => {}
        End::Limit => {
            let why = format!("{side}: the limit on unpacked bytes is passed; what comes behind was not looked at");
            places.push(Place::Unseen { why: why.into() });
        }
        End::Damaged(why) => {
            let why = format!("{side}: damaged ({}); what comes behind was not unpacked", printable(why.as_bytes()));
            places.push(Place::Unseen { why: why.into() });
        }
    };
    if a == b && *a != End::Whole {
        return say("both", a);
    }
    say("the first", a);
    say("the second", b);
}

/// The fields of a header, printable; the same ones for all files of a format.
fn fields(format: Format, head: &[u8]) -> Vec<(&'static str, String)> {
    match format {
        Format::Gzip => gzip(head).unwrap_or_default(),
        Format::Bzip2 => vec![("block size", printable(head.get(3..4).unwrap_or_default()))],
        Format::Xz => xz(head),
        Format::Zstd => zstd(head).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// RFC 1952.
fn gzip(head: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let fixed = head.first_chunk::<10>()?;
    let flags = fixed[3];
    let mut rest = &head[10..];
    let mut extra: &[u8] = &[];
    if flags & 4 != 0 {
        let length = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
        extra = rest.get(2..2 + length)?;
        rest = &rest[2 + length..];
    }
    let mut text = |flag: u8| {
        if flags & flag == 0 {
            return Some("(none)".to_owned());
        }
        let length = rest.iter().position(|byte| *byte == 0)?;
        let found = printable(&rest[..length]);
        rest = &rest[length + 1..];
        Some(found)
    };
    let (name, comment) = (text(8)?, text(16)?);
    Some(vec![
        ("mtime", u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]).to_string()),
        ("level", fixed[8].to_string()),
        ("os", fixed[9].to_string()),
        // Name and comment are told by themselves.
        ("flags", format!("{:#04x}", flags & !(8 | 16))),
        ("extra", extra.iter().take(32).map(|byte| format!("{byte:02x}")).collect()),
        ("name", name),
        ("comment", comment),
    ])
}

/// The stream's flags, and the filters of the first block with their properties: the dictionary's size is in them.
fn xz(head: &[u8]) -> Vec<(&'static str, String)> {
    let check = match head.get(7) {
        Some(0) => "none".to_owned(),
        Some(1) => "crc32".to_owned(),
        Some(4) => "crc64".to_owned(),
        Some(10) => "sha256".to_owned(),
        other => format!("{other:?}"),
    };
    let block = head.get(12).map_or(0, |size| (usize::from(*size) + 1) * 4);
    let header = head.get(13..12 + block.saturating_sub(4).max(1)).unwrap_or_default();
    // Sizes, if the flags say that they are there, follow from the content.
    let flags = header.first().copied().unwrap_or(0);
    let mut filters = header.get(1..).unwrap_or_default();
    let sizes = u32::from(flags & 0x40 != 0) + u32::from(flags & 0x80 != 0);
    for _ in 0..sizes {
        let length = filters.iter().position(|byte| byte & 0x80 == 0).map_or(filters.len(), |at| at + 1);
        filters = &filters[length..];
    }
    let filters = filters.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![("check", check), ("block flags", format!("{flags:#04x}")), ("filters", filters)]
}

/// RFC 8878, the first frame.
fn zstd(head: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let flags = *head.get(4)?;
    let single = flags & 0x20 != 0;
    let window = if single { "(content)".to_owned() } else { format!("{:#04x}", head.get(5)?) };
    let size = match flags >> 6 {
        0 if single => "1 byte",
        0 => "(none)",
        1 => "2 bytes",
        2 => "4 bytes",
        _ => "8 bytes",
    };
    Some(vec![
        ("window", window),
        ("checksum", if flags & 4 != 0 { "yes" } else { "no" }.to_owned()),
        ("dictionary", (flags & 3).to_string()),
        ("content size", size.to_owned()),
    ])
}
