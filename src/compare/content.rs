//! What differing bytes mean, by what kind of file they are in.

use super::bytes::{Runs, View};
use super::{Limits, Place, ar, elf, gzip, text};
use std::io;

/// Where two versions of a file or of a part of one differ, and whether there is more. Never empty if `runs` is not.
/// What may still be unpacked of all that is in the file is `budget`.
pub(super) fn places(
    a: View<'_>,
    b: View<'_>,
    runs: &Runs,
    limits: &Limits,
    depth: usize,
    budget: &mut u64,
) -> io::Result<(Vec<Place>, bool)> {
    let (head_a, head_b) = (a.bytes(0, 4096)?, b.bytes(0, 4096)?);
    let both = |magic: &[u8]| head_a.starts_with(magic) && head_b.starts_with(magic);
    let mut found = match () {
        () if depth >= limits.depth => Vec::new(),
        () if both(elf::MAGIC) => elf::places(a, b, limits)?,
        () if both(ar::MAGIC) => ar::places(a, b, limits, depth, budget)?,
        () if both(&[0x1f, 0x8b, 8]) => gzip::places(a, b, limits, budget)?,
        () if text::is_text(&head_a) && text::is_text(&head_b) => text::places(a.reader(), b.reader(), runs)?,
        () => Vec::new(),
    };
    if found.is_empty() {
        return Ok((runs.places(), runs.more));
    }
    let more = found.len() > limits.places.max(1);
    found.truncate(limits.places.max(1));
    Ok((found, more))
}
