//! Parts of files, and where two streams of bytes differ.

use super::{Place, Sides};
use crate::tree::index::ReadAt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

const CHUNK: usize = 128 << 10;
/// Runs of differing bytes with fewer equal bytes than this between them are told as one.
const GAP: u64 = 8;
/// How many bytes of a run are shown.
const SHOWN: usize = 16;

/// Where bytes are held.
#[derive(Debug, Clone, Copy)]
enum Held<'a> {
    File(&'a File),
    Memory(&'a [u8]),
}

/// A part of an open file, or of bytes in memory. Reading it moves nothing, so parts of one file do not disturb each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    held: Held<'a>,
    start: u64,
    len: u64,
}

impl<'a> View<'a> {
    pub(super) fn whole(file: &'a File) -> io::Result<Self> {
        Ok(Self { held: Held::File(file), start: 0, len: file.metadata()?.len() })
    }

    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { held: Held::Memory(bytes), start: 0, len: bytes.len() as u64 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// A part of this part; what lies beyond its end is cut off.
    pub(super) fn part(&self, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self { held: self.held, start: self.start + start, len: len.min(self.len - start) }
    }

    /// The same, of a range.
    pub(super) fn range(&self, range: &Range<u64>) -> Self {
        self.part(range.start, range.end.saturating_sub(range.start))
    }

    /// Up to `max` bytes from `at` on; fewer at the end.
    pub(super) fn bytes(&self, at: u64, max: usize) -> io::Result<Vec<u8>> {
        let part = self.part(at, max as u64);
        let mut bytes = vec![0; part.len as usize];
        let filled = fill(&mut part.reader(), &mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// All of it, if it is not longer than that.
    pub(super) fn all(&self, max: usize) -> io::Result<Option<Vec<u8>>> {
        if self.len > max as u64 { Ok(None) } else { self.bytes(0, max).map(Some) }
    }

    /// Where this part differs from another.
    pub(super) fn differ(&self, other: &Self, max: usize) -> io::Result<Runs> {
        // One byte more than there is, so that one chunk shows the end of both; most parts are small.
        let chunk = usize::try_from(self.len.max(other.len)).map_or(CHUNK, |len| (len + 1).min(CHUNK));
        in_chunks(self.reader(), other.reader(), max, chunk)
    }

    pub(super) fn reader(&self) -> Reader<'a> {
        Reader(*self)
    }
}

impl ReadAt for View<'_> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        fill(&mut self.part(at, buffer.len() as u64).reader(), buffer)
    }
}

/// Reads a [`View`] from its beginning.
#[derive(Debug)]
pub(super) struct Reader<'a>(View<'a>);

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.0.len).unwrap_or(usize::MAX));
        let read = match self.0.held {
            Held::File(file) => file.read_at(&mut buffer[..wanted], self.0.start)?,
            Held::Memory(bytes) => {
                let from = usize::try_from(self.0.start).unwrap_or(usize::MAX);
                buffer[..wanted].copy_from_slice(&bytes[from..from + wanted]);
                wanted
            }
        };
        self.0.start += read as u64;
        self.0.len -= read as u64;
        Ok(read)
    }
}

/// Where two streams differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Lengths of the streams.
    pub(super) len: (u64, u64),
    /// How many bytes differ at equal offsets, plus how many only one stream has.
    pub(super) differing: u64,
    /// The first runs of differing bytes, ascending.
    pub(super) runs: Vec<Run>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// A run of bytes that differ, or differ but for a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) offset: u64,
    end: u64,
    shown: (Vec<u8>, Vec<u8>),
}

impl Runs {
    /// Offset of the first difference, if there is one.
    pub(super) fn first(&self) -> Option<u64> {
        self.runs.first().map(|run| run.offset)
    }

    /// The runs as places.
    pub(super) fn places(&self) -> Vec<Place> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let place =
            |run: &Run| Place::Bytes { offset: run.offset, hex: Sides { a: hex(&run.shown.0), b: hex(&run.shown.1) } };
        self.runs.iter().map(place).collect()
    }

    /// Notes that the bytes from `at` to `end` differ; `a` and `b` are what the streams have from there on.
    fn add(&mut self, at: u64, end: u64, (a, b): (&[u8], &[u8]), max: usize) {
        self.differing += end - at;
        let told = self.runs.len();
        match self.runs.last_mut() {
            Some(last) if at < last.end + GAP => {
                // What is shown goes on as long as the pieces follow each other without a gap.
                if last.end == at {
                    let shown = (at - last.offset) as usize;
                    for (kept, bytes) in [(&mut last.shown.0, a), (&mut last.shown.1, b)] {
                        if kept.len() == shown && shown < SHOWN {
                            kept.extend_from_slice(&bytes[..bytes.len().min(SHOWN - shown)]);
                        }
                    }
                }
                last.end = end;
            }
            _ if told >= max => self.more = true,
            _ => {
                let cut = |bytes: &[u8]| bytes[..bytes.len().min(SHOWN)].to_vec();
                self.runs.push(Run { offset: at, end, shown: (cut(a), cut(b)) });
            }
        }
    }
}

/// Compares two streams byte by byte, and tells the first `max` runs (at least one) of differing bytes.
#[cfg(test)]
pub(super) fn differ(a: impl Read, b: impl Read, max: usize) -> io::Result<Runs> {
    in_chunks(a, b, max, CHUNK)
}

fn in_chunks(mut a: impl Read, mut b: impl Read, max: usize, chunk: usize) -> io::Result<Runs> {
    let (mut left, mut right) = (vec![0; chunk], vec![0; chunk]);
    let mut found = Runs::default();
    let mut base = 0;
    loop {
        let (a_len, b_len) = (fill(&mut a, &mut left)?, fill(&mut b, &mut right)?);
        let (x, y) = (&left[..a_len], &right[..b_len]);
        let common = a_len.min(b_len);
        if x[..common] != y[..common] {
            let mut at = 0;
            while let Some(start) = (at..common).find(|i| x[*i] != y[*i]) {
                let end = (start..common).find(|i| x[*i] == y[*i]).unwrap_or(common);
                found.add(base + start as u64, base + end as u64, (&x[start..], &y[start..]), max.max(1));
                at = end;
            }
        }
        if a_len != b_len {
            let end = base + a_len.max(b_len) as u64;
            found.add(base + common as u64, end, (&x[common..], &y[common..]), max.max(1));
        }
        found.len.0 += a_len as u64;
        found.len.1 += b_len as u64;
        if a_len < chunk && b_len < chunk {
            return Ok(found);
        }
        base += chunk as u64;
    }
}

/// Reads until the buffer is full or the stream ends.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(a: &[u8], b: &[u8], max: usize) -> Runs {
        differ(a, b, max).unwrap()
    }

    #[test]
    fn near_differences_are_one_run_and_far_ones_are_two() {
        let (a, mut b) = (vec![0; 100], vec![0; 100]);
        for at in [10, 12, 60] {
            b[at] = 0xff;
        }
        let found = runs(&a, &b, 9);
        assert_eq!((found.differing, found.runs.len(), found.more), (3, 2, false));
        assert_eq!((found.runs[0].offset, found.runs[0].end, found.runs[1].offset), (10, 13, 60));
        assert!(runs(&a, &b, 1).more);
        assert_eq!(runs(&a, &a, 1), Runs { len: (100, 100), ..Runs::default() });
    }

    #[test]
    fn a_longer_stream_differs_from_where_the_other_ends() {
        let long = vec![7; 2 * CHUNK + 5];
        let found = runs(&long[..CHUNK], &long, 9);
        assert_eq!((found.first(), found.differing), (Some(CHUNK as u64), CHUNK as u64 + 5));
        assert_eq!(found.runs.len(), 1);
        assert_eq!(
            found.places(),
            [Place::Bytes { offset: CHUNK as u64, hex: Sides { a: String::new(), b: "07".repeat(SHOWN) } }]
        );
    }

    proptest! {
        #[test]
        fn agrees_with_the_obvious_way(mut a: Vec<u8>, edits: Vec<(prop::sample::Index, u8)>, cut: prop::sample::Index) {
            a.push(0);
            let mut b = a.clone();
            for (at, byte) in edits {
                let at = at.index(b.len());
                b[at] = byte;
            }
            b.truncate(cut.index(b.len()) + 1);
            let found = runs(&a, &b, 4);
            let common = a.len().min(b.len());
            let first = (0..common).find(|i| a[*i] != b[*i]).or((a.len() != b.len()).then_some(common));
            let count = (0..common).filter(|i| a[*i] != b[*i]).count() + a.len() - b.len();
            prop_assert_eq!(found.first(), first.map(|at| at as u64));
            prop_assert_eq!(found.differing, count as u64);
            prop_assert!(found.runs.len() <= 4);
            prop_assert!(found.runs.windows(2).all(|two| two[0].end + GAP <= two[1].offset));
        }
    }
}
