//! The archive's text format: stanzas of fields, read line by line from any reader, bounded.

use std::io::{self, BufRead, Read as _};

/// Longest line accepted; the longest real one (a list of build dependencies) has about 20,000 bytes.
const LINE: u64 = 4 << 20;
/// Most bytes of the fields of a stanza that are kept; the list of files of the largest suite has about 200,000.
const STANZA: usize = 16 << 20;

/// One stanza: field names as written, values with their continuation lines joined by newlines.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stanza {
    fields: Vec<(String, String)>,
}

impl Stanza {
    /// A field's value, trimmed; names are compared without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Bytes of all its names and values.
    pub fn len(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// A field of words.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name).unwrap_or_default().split_ascii_whitespace()
    }
}

/// Reads stanza after stanza, keeping only fields that are asked for.
pub(super) struct Stanzas<R> {
    reader: R,
    line: Vec<u8>,
    /// Names of the fields to keep; empty for all.
    keep: &'static [&'static str],
}

impl<R: BufRead> Stanzas<R> {
    pub fn new(reader: R, keep: &'static [&'static str]) -> Self {
        Self { reader, line: Vec::new(), keep }
    }

    /// The next stanza; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Stanza>> {
        let mut stanza = Stanza::default();
        let mut seen = false;
        let mut keeping = false;
        let mut kept = 0;
        loop {
            self.line.clear();
            let n = (&mut self.reader).take(LINE).read_until(b'\n', &mut self.line)?;
            if n as u64 == LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of an index is too long"));
            }
            let line = self.line.trim_ascii_end();
            if n == 0 || line.is_empty() {
                if seen {
                    return Ok(Some(stanza));
                }
                if n == 0 {
                    return Ok(None);
                }
                continue;
            }
            // What is not UTF-8 takes three bytes for one.
            kept += if keeping || line[0] > b' ' { 3 * line.len() } else { 0 };
            if kept > 3 * STANZA {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a stanza of an index is too long"));
            }
            match line[0] {
                b'#' => {}
                b' ' | b'\t' => {
                    if keeping && let Some((_, value)) = stanza.fields.last_mut() {
                        value.push('\n');
                        value.push_str(&String::from_utf8_lossy(line));
                    }
                }
                _ => {
                    seen = true;
                    let colon = line
                        .iter()
                        .position(|b| *b == b':')
                        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a line of an index has no colon"))?;
                    let name = line[..colon].trim_ascii();
                    keeping = self.keep.is_empty() || self.keep.iter().any(|k| name.eq_ignore_ascii_case(k.as_bytes()));
                    if keeping {
                        let value = String::from_utf8_lossy(&line[colon + 1..]).into_owned();
                        stanza.fields.push((String::from_utf8_lossy(name).into_owned(), value));
                    }
                }
            }
        }
    }
}

/// Lines of the form `hash size name`, as in `SHA256` and `Checksums-Sha256`.
pub(super) fn checksums(value: &str) -> impl Iterator<Item = (crate::base::Sha256, u64, &str)> {
    value.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (hash, size, name) = (words.next()?, words.next()?, words.next()?);
        Some((hash.parse().ok()?, size.parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_fields_continuations_and_comments() {
        let text = "\n\nA: 1\n# no\nB:\n x\n y\n\n\nb: z";
        let mut stanzas = Stanzas::new(text.as_bytes(), &[]);
        let first = stanzas.next().unwrap().unwrap();
        assert_eq!(first.get("a"), Some("1"));
        assert_eq!(first.words("B").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(stanzas.next().unwrap().unwrap().get("B"), Some("z"));
        assert_eq!(stanzas.next().unwrap(), None);
    }

    #[test]
    fn only_kept_fields_are_kept() {
        let mut stanzas = Stanzas::new("A: 1\n more\nB: 2\n".as_bytes(), &["B"]);
        let stanza = stanzas.next().unwrap().unwrap();
        assert_eq!((stanza.get("A"), stanza.get("B")), (None, Some("2")));
    }

    /// Lines were bounded and stanzas were not: an index of one endless stanza took all memory there is.
    #[test]
    fn a_stanza_has_an_end() {
        let endless = io::BufReader::new(Endless(b"A: x\n more and more and more\n"));
        let error = Stanzas::new(endless, &["A"]).next().unwrap_err();
        assert_eq!(error.to_string(), "a stanza of an index is too long");
        let endless = io::BufReader::new(Endless(b" of a field that nobody asks for\n"));
        let mut long = Stanzas::new(b"B:\n".chain(endless.take(STANZA as u64 * 2)), &["A"]);
        assert_eq!(long.next().unwrap(), Some(Stanza::default()));
    }

    /// Bytes over and over.
    struct Endless(&'static [u8]);

    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let whole = buffer.len() / self.0.len() * self.0.len();
            for (to, from) in buffer[..whole].iter_mut().zip(self.0.iter().cycle()) {
                *to = *from;
            }
            Ok(whole)
        }
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_stanza() {
        assert!(Stanzas::new("<html>\n".as_bytes(), &[]).next().is_err());
    }
}
