//! PNG images, chunk by chunk; the image itself is compared as it is before compression.

use super::bytes::View;
use super::content::{Scope, compared};
use super::{Change, Format, Place, Side, Sides, Unit, archive::hex, packed};
use crate::base::printable;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

pub(super) const MAGIC: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// More chunks than this are not listed.
const CHUNKS: usize = 100_000;
/// Texts in chunks are shown up to here.
const TEXT: usize = 200;

struct Chunk {
    /// Its type, and how many of this type were before it.
    key: (String, u64),
    data: Range<u64>,
}

struct Png {
    chunks: Vec<Chunk>,
    /// The pieces of the image.
    image: Vec<Range<u64>>,
    end: u64,
}

/// Where two images differ; empty where they are not sound.
pub(super) fn places(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let (left, right) = (parse(a)?, parse(b)?);
    if left.chunks.is_empty() || right.chunks.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let part = |name: &str, change| Place::part(Format::Png, Unit::Chunk, name, change);
    let index = |png: &Png| -> BTreeMap<(String, u64), usize> {
        png.chunks.iter().enumerate().map(|(at, chunk)| (chunk.key.clone(), at)).collect()
    };
    let (in_a, in_b) = (index(&left), index(&right));
    let common = |png: &Png, other: &BTreeMap<(String, u64), usize>| -> Vec<(String, u64)> {
        png.chunks.iter().map(|chunk| chunk.key.clone()).filter(|key| other.contains_key(key)).collect()
    };
    let (one, other) = (common(&left, &in_b), common(&right, &in_a));
    if let Some((key, _)) = one.iter().zip(&other).find(|(x, y)| x != y) {
        let position = Sides { a: in_a[key] as u64, b: in_b[key] as u64 };
        found.push(Place::Order { format: Format::Png, name: key.0.clone(), position });
    }
    for chunk in &left.chunks {
        if scope.enough(&found) {
            return Ok(found);
        }
        let name = &chunk.key.0;
        let Some(other) = in_b.get(&chunk.key).map(|at| &right.chunks[*at]) else {
            found.push(part(name, Change::OnlyIn { side: Side::A }));
            continue;
        };
        let (x, y) = (a.range(&chunk.data), b.range(&other.data));
        if x.differ(&y, 1)?.first().is_some() {
            found.extend(data(name, x, y, scope)?);
        } else {
            // The checksum lies behind the data.
            let crc = |view: View<'_>, data: &Range<u64>| view.bytes(data.end, 4);
            let (x, y) = (crc(a, &chunk.data)?, crc(b, &other.data)?);
            if x != y {
                found.push(Place::value(Format::Png, Unit::Chunk, name, "crc32", hex(&x), hex(&y)));
            }
        }
    }
    for chunk in right.chunks.iter().filter(|chunk| !in_a.contains_key(&chunk.key)) {
        found.push(part(&chunk.key.0, Change::OnlyIn { side: Side::B }));
    }
    found.extend(image((a, &left.image), (b, &right.image), scope)?);
    let behind = (a.part(left.end, u64::MAX), b.part(right.end, u64::MAX));
    if let Some((offset, rest)) = compared(behind.0, behind.1, scope.deeper())? {
        let change = Change::Content { offset, places: rest.places, more: rest.more };
        found.push(Place::part(Format::Png, Unit::Rest, "behind the image", change));
    }
    Ok(found)
}

fn parse(view: View<'_>) -> io::Result<Png> {
    let mut png = Png { chunks: Vec::new(), image: Vec::new(), end: 0 };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut at = MAGIC.len() as u64;
    loop {
        png.end = at;
        let head = view.bytes(at, 8)?;
        let Some((length, kind)) = head.split_first_chunk::<4>().filter(|(_, kind)| kind.len() == 4) else { break };
        let length = u64::from(u32::from_be_bytes(*length));
        let data = at + 8..at + 8 + length;
        if data.end + 4 > view.len() || !kind.iter().all(u8::is_ascii_alphabetic) || png.chunks.len() == CHUNKS {
            break;
        }
        at = data.end + 4;
        if kind == b"IDAT" {
            png.image.push(data);
            continue;
        }
        let name = printable(kind);
        let count = seen.entry(name.clone()).or_default();
        png.chunks.push(Chunk { key: (name, *count), data });
        *count += 1;
        if kind == b"IEND" {
            png.end = at;
            break;
        }
    }
    Ok(png)
}

/// Chunks whose data differs.
fn data(name: &str, x: View<'_>, y: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let (a, b) = (x.bytes(0, 4096)?, y.bytes(0, 4096)?);
    let fields = |data: &[u8]| -> Vec<(&'static str, String)> {
        let number = |at: usize| data.get(at..at + 4).map_or(0, |n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]));
        match (name, data.len()) {
            ("tIME", 7) => {
                let year = u16::from_be_bytes([data[0], data[1]]);
                let [month, day, hour, minute, second] = [data[2], data[3], data[4], data[5], data[6]];
                vec![("time", format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))]
            }
            ("IHDR", 13) => vec![
                ("width", number(0).to_string()),
                ("height", number(4).to_string()),
                ("bit depth", data[8].to_string()),
                ("colour type", data[9].to_string()),
                ("compression", data[10].to_string()),
                ("filter", data[11].to_string()),
                ("interlace", data[12].to_string()),
            ],
            ("tEXt", _) => {
                let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
                let text = data.get(end + 1..).unwrap_or_default();
                let latin: String = text.iter().take(TEXT).map(|byte| char::from(*byte)).collect();
                vec![("keyword", printable(&data[..end])), ("text", printable(latin.as_bytes()))]
            }
            _ => Vec::new(),
        }
    };
    let differing = fields(&a).into_iter().zip(fields(&b)).filter(|(x, y)| x.1 != y.1);
    let mut found: Vec<Place> = differing
        .map(|((field, a), (_, b))| {
            // Texts of one kind are told apart by their keyword.
            let keyword = a_keyword(name, &x).unwrap_or_default();
            Place::value(Format::Png, Unit::Chunk, format!("{name}{keyword}"), field, a, b)
        })
        .collect();
    if found.is_empty()
        && let Some((offset, rest)) = compared(x, y, scope.deeper())?
    {
        let change = Change::Content { offset, places: rest.places, more: rest.more };
        found.push(Place::part(Format::Png, Unit::Chunk, name, change));
    }
    Ok(found)
}

fn a_keyword(name: &str, data: &View<'_>) -> Option<String> {
    let data = data.bytes(0, 80).ok().filter(|_| name == "tEXt")?;
    let end = data.iter().position(|byte| *byte == 0)?;
    Some(format!(" {}", printable(&data[..end])))
}

/// The image itself.
fn image(
    (a, x): (View<'_>, &[Range<u64>]),
    (b, y): (View<'_>, &[Range<u64>]),
    scope: Scope<'_>,
) -> io::Result<Vec<Place>> {
    let most = scope.limits.table;
    let joined = |view: View<'_>, pieces: &[Range<u64>]| -> io::Result<Option<Vec<u8>>> {
        let mut all = Vec::new();
        for piece in pieces {
            let Some(bytes) = view.range(piece).all(most - all.len())? else { return Ok(None) };
            all.extend_from_slice(&bytes);
        }
        Ok(Some(all))
    };
    let (Some(p), Some(q)) = (joined(a, x)?, joined(b, y)?) else {
        let why = format!("the image was not looked at: it is packed to more than {most} bytes");
        return Ok(vec![Place::Unseen { why: why.into() }]);
    };
    let lengths = |pieces: &[Range<u64>]| pieces.iter().map(|piece| piece.end - piece.start).collect::<Vec<_>>();
    if p == q && lengths(x) == lengths(y) {
        return Ok(Vec::new());
    }
    let offset = p.iter().zip(&q).position(|(x, y)| x != y).unwrap_or(p.len().min(q.len())) as u64;
    let mut places = packed::zlib(View::of(&p), View::of(&q), scope)?.unwrap_or_default();
    if places.iter().all(|place| matches!(place, Place::Unseen { .. })) {
        places.extend(View::of(&p).differ(&View::of(&q), scope.limits.places)?.places());
    }
    let change = Change::Content { offset, places, more: false };
    Ok(vec![Place::part(Format::Png, Unit::Chunk, "IDAT", change)])
}
