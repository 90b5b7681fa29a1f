//! Lines of texts, in the encoding that they are in.

use super::bytes::{Reader, Runs, View, fill};
use super::content::Scope;
use super::spool::{count, spool};
use super::{Format, Place, Sides, edits};
use crate::base::printable;
use std::io::{self, BufReader, Read};

/// How much of a line is shown before and from the difference on.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// ASCII too.
    Utf8,
    Utf16Le,
    Utf16Be,
    /// Any text of single bytes that is not UTF-8.
    Latin1,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16, little endian",
            Self::Utf16Be => "UTF-16, big endian",
            Self::Latin1 => "Latin-1",
        }
    }

    fn wide(self) -> bool {
        matches!(self, Self::Utf16Le | Self::Utf16Be)
    }
}

/// Whether bytes from the beginning of a file look like text for people, and in which encoding: no control characters but
/// those of texts.
pub(super) fn encoding(head: &[u8]) -> Option<Encoding> {
    match head {
        [] => return None,
        [0xff, 0xfe, rest @ ..] if wide_text(rest, 0) => return Some(Encoding::Utf16Le),
        [0xfe, 0xff, rest @ ..] if wide_text(rest, 1) => return Some(Encoding::Utf16Be),
        _ => {}
    }
    if !head.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\t'..=b'\r' | 0x1b)) {
        return None;
    }
    match std::str::from_utf8(head) {
        Ok(_) => Some(Encoding::Utf8),
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => Some(Encoding::Utf8),
        Err(_) => Some(Encoding::Latin1),
    }
}

/// Whether units of two bytes are text; their lower byte is the one at `low`.
fn wide_text(units: &[u8], low: usize) -> bool {
    let mut units = units.chunks_exact(2).map(|two| u16::from(two[low]) | u16::from(two[1 - low]) << 8);
    units.all(|unit| unit >= 0x20 && unit != 0xffff || matches!(unit, 0x09..=0x0d))
}

/// Where two texts differ.
pub(super) fn places(a: View<'_>, b: View<'_>, runs: &Runs, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let (head_a, head_b) = (a.bytes(0, 4096)?, b.bytes(0, 4096)?);
    let (Some(x), Some(y)) = (encoding(&head_a), encoding(&head_b)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if x != y {
        found.push(Place::header(Format::Text, "encoding", x.name(), y.name()));
    }
    let mark = |head: &[u8]| if head.starts_with(b"\xef\xbb\xbf") { "yes" } else { "no" };
    if x == y && mark(&head_a) != mark(&head_b) {
        found.push(Place::header(Format::Text, "byte order mark", mark(&head_a), mark(&head_b)));
    }
    if x == y && !x.wide() {
        found.extend(lines((a, b), x, runs.first().unwrap_or(0), scope)?);
        return Ok(found);
    }
    let side = |view, encoding| spool(view, scope, |input| Some(Box::new(Decode::new(input, encoding))));
    let (Some(left), Some(right)) = (side(a, x)?, side(b, y)?) else { return Ok(found) };
    count(&left, &right, scope)?;
    let runs = left.view()?.differ(&right.view()?, 1)?;
    if let Some(offset) = runs.first() {
        let places = lines((left.view()?, right.view()?), Encoding::Utf8, offset, scope)?;
        let more = places.len() > scope.limits.places;
        found.push(Place::Content { format: Format::Text, offset, places, more });
    }
    Ok(found)
}

/// Makes UTF-8 of another encoding. What is none becomes U+FFFD.
struct Decode<R> {
    input: R,
    encoding: Encoding,
    made: Vec<u8>,
    at: usize,
    /// The first half of a pair.
    high: Option<u16>,
}

impl<R: Read> Decode<R> {
    fn new(input: R, encoding: Encoding) -> Self {
        Self { input, encoding, made: Vec::new(), at: 0, high: None }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 8 << 10];
        let filled = fill(&mut self.input, &mut chunk)?;
        (self.made, self.at) = (Vec::with_capacity(2 * filled), 0);
        let mut add = |c: char| self.made.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        match self.encoding {
            Encoding::Utf8 => self.made.extend_from_slice(&chunk[..filled]),
            Encoding::Latin1 => chunk[..filled].iter().for_each(|byte| add(char::from(*byte))),
            wide => {
                for two in chunk[..filled].chunks(2) {
                    let two = [two[0], two.get(1).copied().unwrap_or(0)];
                    let unit =
                        if wide == Encoding::Utf16Le { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) };
                    let units = self.high.take().into_iter().chain([unit]);
                    if matches!(unit, 0xd800..=0xdbff) && units.clone().count() == 1 {
                        self.high = Some(unit);
                        continue;
                    }
                    char::decode_utf16(units).for_each(|c| add(c.unwrap_or(char::REPLACEMENT_CHARACTER)));
                }
                if filled == 0 && self.high.take().is_some() {
                    add(char::REPLACEMENT_CHARACTER);
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decode<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.made.len() {
            self.more()?;
        }
        let length = buffer.len().min(self.made.len() - self.at);
        buffer[..length].copy_from_slice(&self.made[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// A line: where it begins and ends (without its line end), whether it has one, and a digest of it all.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: u64,
    end: u64,
    ended: bool,
    digest: [u8; 16],
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.ended == other.ended
    }
}

/// The lines that differ, told from that of the first difference on.
fn lines((a, b): (View<'_>, View<'_>), encoding: Encoding, first: u64, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    // What is before the first difference is the same in both.
    let (number, start) = line_of(a, first)?;
    let most = scope.limits.table / size_of::<Line>();
    let (left, whole_a) = lines_from(a, start, most)?;
    let (right, whole_b) = lines_from(b, start, most)?;
    let mut places = Vec::new();
    let shown = |view: View<'_>, line: &Line, from: u64| show(view, line, from, encoding);
    for (x, y) in edits::changed(&left, &right) {
        for at in 0..x.len().max(y.len()) {
            if scope.enough(&places) {
                return Ok(places);
            }
            let (one, other) = (left[x.clone()].get(at), right[y.clone()].get(at));
            let from = match (one, other) {
                (Some(one), Some(other)) => common((a, one), (b, other))?,
                _ => 0,
            };
            let text = Sides {
                a: one.map(|line| shown(a, line, from)).transpose()?,
                b: other.map(|line| shown(b, line, from)).transpose()?,
            };
            let text = ends(text, (one, other));
            let line = number + (x.start + at.min(x.len())) as u64;
            let line_b = number + (y.start + at.min(y.len())) as u64;
            places.push(Place::TextLine { line, line_b, text });
        }
    }
    if !whole_a || !whole_b {
        let why = format!("lines behind the first {most} from line {number} on were not looked at");
        places.push(Place::Unseen { why: why.into() });
    }
    Ok(places)
}

/// Says which of two lines that look the same has a line end.
fn ends(mut text: Sides<Option<String>>, (one, other): (Option<&Line>, Option<&Line>)) -> Sides<Option<String>> {
    if text.a == text.b {
        for (text, line) in [(&mut text.a, one), (&mut text.b, other)] {
            if let (Some(text), Some(false)) = (text, line.map(|line| line.ended)) {
                text.push_str(" (no line end)");
            }
        }
    }
    text
}

/// How many bytes two lines have in common at their beginning.
fn common((a, one): (View<'_>, &Line), (b, other): (View<'_>, &Line)) -> io::Result<u64> {
    let (x, y) = (a.range(&(one.start..one.end)), b.range(&(other.start..other.end)));
    Ok(x.differ(&y, 1)?.first().unwrap_or(x.len()))
}

/// A line, or the part of it around `from`.
fn show(view: View<'_>, line: &Line, from: u64, encoding: Encoding) -> io::Result<String> {
    let start = line.start + from.saturating_sub(BEFORE as u64);
    let end = line.end.min(line.start.saturating_add(from + AFTER as u64));
    let mut bytes = view.range(&(start..end)).bytes(0, BEFORE + AFTER)?;
    if encoding == Encoding::Latin1 {
        bytes = bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes();
    }
    let cut_before = if start > line.start { "…" } else { "" };
    let cut_after = if end < line.end { "…" } else { "" };
    Ok(format!("{cut_before}{}{cut_after}", printable(whole_characters(&bytes, start > line.start))))
}

/// Without the halves of characters at both ends of a cut.
fn whole_characters(mut bytes: &[u8], cut: bool) -> &[u8] {
    while cut && bytes.first().is_some_and(|byte| byte & 0xc0 == 0x80) {
        bytes = &bytes[1..];
    }
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

/// The number of the line that a byte is in, counted from 1, and where the line begins.
fn line_of(view: View<'_>, at: u64) -> io::Result<(u64, u64)> {
    let mut input = view.part(0, at).reader();
    let mut chunk = vec![0; 64 << 10];
    let (mut number, mut start, mut base) = (1, 0, 0);
    loop {
        let filled = fill(&mut input, &mut chunk)?;
        if filled == 0 {
            return Ok((number, start));
        }
        for end in memchr::memchr_iter(b'\n', &chunk[..filled]) {
            number += 1;
            start = base + end as u64 + 1;
        }
        base += filled as u64;
    }
}

/// At most so many lines from a place on, and whether these are all.
fn lines_from(view: View<'_>, start: u64, most: usize) -> io::Result<(Vec<Line>, bool)> {
    let mut input = BufReader::with_capacity(128 << 10, view.part(start, u64::MAX).reader());
    let mut lines = Vec::new();
    let mut at = start;
    while let Some(line) = line(&mut input, at)? {
        if lines.len() >= most {
            return Ok((lines, false));
        }
        at = line.end + u64::from(line.ended);
        lines.push(line);
    }
    Ok((lines, true))
}

fn line(input: &mut BufReader<Reader<'_>>, start: u64) -> io::Result<Option<Line>> {
    use io::BufRead as _;
    let mut hasher: Option<blake3::Hasher> = None;
    let mut end = start;
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() && hasher.is_none() {
            return Ok(None);
        }
        let found = memchr::memchr(b'\n', chunk);
        let part = &chunk[..found.unwrap_or(chunk.len())];
        let ended = found.is_some();
        end += part.len() as u64;
        let last = ended || chunk.is_empty();
        // A line within one chunk, as nearly all are, is hashed at once.
        let digest = match &mut hasher {
            None if last => Some(blake3::hash(part)),
            _ => {
                let hasher = hasher.get_or_insert_default();
                hasher.update(part);
                last.then(|| hasher.finalize())
            }
        };
        let used = part.len() + usize::from(ended);
        input.consume(used);
        if let Some(digest) = digest {
            let mut short = [0; 16];
            short.copy_from_slice(&digest.as_bytes()[..16]);
            return Ok(Some(Line { start, end, ended, digest: short }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;
    use std::cell::Cell;

    type Shown = (u64, Option<String>, Option<String>);

    fn of(a: &[u8], b: &[u8], limits: &Limits) -> Vec<Place> {
        let (a, b) = (View::of(a), View::of(b));
        let runs = a.differ(&b, 8).unwrap();
        let budget = Cell::new(limits.unpacked);
        places(a, b, &runs, Scope { limits, depth: 0, budget: &budget }).unwrap()
    }

    fn shown(a: &str, b: &str) -> Vec<Shown> {
        of(a.as_bytes(), b.as_bytes(), &Limits::default())
            .into_iter()
            .map(|place| match place {
                Place::TextLine { line, text, .. } => (line, text.a, text.b),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn lines_are_numbered_and_whole() {
        let both = |line, a: &str, b: &str| (line, Some(a.to_owned()), Some(b.to_owned()));
        assert_eq!(shown("one\ntwo\nthree\n", "one\ntwx\nthree\n"), [both(2, "two", "twx")]);
        let long = "same lines between\n".repeat(3);
        assert_eq!(shown(&format!("a\n{long}b\n"), &format!("c\n{long}d\n")), [both(1, "a", "c"), both(5, "b", "d")]);
        assert_eq!(shown("a\nb\nc\n", "a\nnew\nb\nc\n"), [(2, None, Some("new".to_owned()))]);
        assert_eq!(shown("a\nb\nc\n", "a\nc\n"), [(2, Some("b".to_owned()), None)]);
        assert_eq!(shown("a\n", "a\nb\n"), [(2, None, Some("b".to_owned()))]);
        assert_eq!(shown("a", "ab"), [both(1, "a", "ab")]);
        assert_eq!(shown("a\n", "a"), [both(1, "a", "a (no line end)")]);
        assert_eq!(shown("a\r\n", "a\n"), [both(1, "a\\r", "a")]);
    }

    #[test]
    fn long_lines_are_cut_around_the_difference() {
        let line = |c: char| format!("{}{c}{}", "x".repeat(1000), "y".repeat(1000));
        let found = shown(&line('1'), &line('2'));
        let expected = format!("…{}1{}…", "x".repeat(BEFORE), "y".repeat(AFTER - 1));
        assert_eq!(found[0].1.as_ref(), Some(&expected));
        let line = |c: char| format!("{}{c}{}", "ä".repeat(400_000), "ö".repeat(400));
        let found = shown(&line('1'), &line('2'));
        assert_eq!(found[0].1, Some(format!("…{}1{}…", "ä".repeat(30), "ö".repeat(49))));
    }

    #[test]
    fn encodings_are_told_and_read_through() {
        let wide = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
        };
        let (le, be) = (u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes as fn(u16) -> [u8; 2]);
        let lines =
            |a: &[u8], b: &[u8]| of(a, b, &Limits::default()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(lines(&wide("a\n𝄞 1\n", le), &wide("a\n𝄞 2\n", le)), ["as text: line 2: '𝄞 1' → '𝄞 2'"]);
        assert_eq!(
            lines(&wide("same\n", le), &wide("same\n", be)),
            ["encoding UTF-16, little endian → UTF-16, big endian"]
        );
        assert_eq!(lines("é\n".as_bytes(), b"\xe9\n"), ["encoding UTF-8 → Latin-1"]);
        assert_eq!(lines(b"\xe9t\n", b"\xe8t\n"), ["line 1: 'ét' → 'èt'"]);
        assert_eq!(lines(b"\xef\xbb\xbfx\n", b"x\n"), ["byte order mark yes → no", "line 1: '\u{feff}x' → 'x'"]);
    }

    /// The digests of lines are held in memory; a text with more lines than that is said not to have been read to its end.
    #[test]
    fn a_text_of_too_many_lines_is_not_silently_cut() {
        let limits = Limits { table: 10 * size_of::<Line>(), ..Limits::default() };
        let (a, b) = ("x\n".to_owned() + &"same\n".repeat(20), "y\n".to_owned() + &"same\n".repeat(20));
        let found: Vec<_> = of(a.as_bytes(), b.as_bytes(), &limits).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["line 1: 'x' → 'y'", "lines behind the first 10 from line 1 on were not looked at"]);
    }

    #[test]
    fn binaries_are_no_texts() {
        assert_eq!(encoding("# a script\n\té\n".as_bytes()), Some(Encoding::Utf8));
        assert_eq!(encoding("é".as_bytes().split_last().unwrap().1), Some(Encoding::Utf8), "cut in the middle");
        assert_eq!(encoding(b"\x7fELF"), None);
        assert_eq!(encoding(b""), None);
        assert_eq!(encoding(b"\xff\xfe\0\0"), None);
    }
}
