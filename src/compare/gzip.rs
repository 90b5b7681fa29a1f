//! gzip files: what the header says, and the content behind it.

use super::bytes::{View, differ, fill};
use super::{Field, Limits, Place, Sides, text};
use crate::base::printable;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Read, Take};

/// The header of the first member is looked for in so many bytes.
const HEAD: usize = 64 << 10;

/// Where two gzip files differ; empty when they are not sound. What is unpacked is taken from `budget`.
pub(super) fn places(a: View<'_>, b: View<'_>, limits: &Limits, budget: &mut u64) -> io::Result<Vec<Place>> {
    let (Some(left), Some(right)) = (header(&a.bytes(0, HEAD)?), header(&b.bytes(0, HEAD)?)) else {
        return Ok(Vec::new());
    };
    let mut places: Vec<Place> = left
        .into_iter()
        .zip(right)
        .filter(|(left, right)| left.1 != right.1)
        .map(|((field, a), (_, b))| Place::GzipHeader(Field { field, values: Sides { a, b } }))
        .collect();
    let limit = *budget;
    let unpack = |view| unpacked(view, limit);
    let (mut left, mut right) = (unpack(a), unpack(b));
    let runs = differ(&mut left, &mut right, limits.places);
    *budget = left.limit().min(right.limit());
    // Where the packed data is corrupt, comparing it as it is says more.
    let Ok(runs) = runs else { return Ok(places) };
    match runs.first() {
        Some(offset) => {
            let found = if is_text(unpack(a))? && is_text(unpack(b))? {
                text::places(unpack(a), unpack(b), &runs)?
            } else {
                runs.places()
            };
            places.push(Place::GzipContent { offset, places: found });
        }
        // Where unpacking ended early nothing is known about the rest.
        None if places.is_empty() && runs.len.0 < limit => places.push(Place::GzipStream),
        None => {}
    }
    Ok(places)
}

/// The content, up to a limit.
fn unpacked(view: View<'_>, limit: u64) -> Take<impl Read> {
    MultiGzDecoder::new(BufReader::new(view.reader())).take(limit)
}

fn is_text(mut stream: impl Read) -> io::Result<bool> {
    let mut head = [0; 4096];
    let filled = fill(&mut stream, &mut head)?;
    Ok(text::is_text(&head[..filled]))
}

/// The fields of a header (RFC 1952), printable.
fn header(head: &[u8]) -> Option<Vec<(&'static str, String)>> {
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
