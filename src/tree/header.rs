//! One block of a tar archive: the plain header of a member.
//!
//! Read strictly. Two readers that guess differently about a sloppy header see two different archives, and one of
//! them is the person who reviewed it.

use super::Error;
use crate::base::printable;

/// Headers and contents come in blocks of this size.
pub(super) const BLOCK: usize = 512;

/// A header block whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

/// A time of modification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time {
    pub secs: i64,
    pub nanos: u32,
}

impl<'a> Header<'a> {
    /// `None` when the checksum is wrong.
    pub(super) fn read(block: &'a [u8; BLOCK]) -> Option<Self> {
        let stated = number(&block[148..156])?;
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let field: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        (stated == i128::from(sum - field + 8 * u64::from(b' '))).then_some(Self(block))
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        // GNU's own header has times where POSIX has the front of a long name.
        let prefix = if &self.0[257..263] == b"ustar\0" { until_nul(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn mode(&self) -> Result<u32, Error> {
        // Some writers put the kind of the file into the upper bits.
        self.field("mode", 100..108, |mode| u32::try_from(mode).ok()).map(|mode| mode & 0o7777)
    }

    pub(super) fn size(&self) -> Result<u64, Error> {
        self.field("size", 124..136, |size| u64::try_from(size).ok())
    }

    pub(super) fn mtime(&self) -> Result<Time, Error> {
        self.field("mtime", 136..148, |secs| i64::try_from(secs).ok()).map(|secs| Time { secs, nanos: 0 })
    }

    fn field<T>(
        &self,
        field: &'static str,
        at: std::ops::Range<usize>,
        fit: impl Fn(i128) -> Option<T>,
    ) -> Result<T, Error> {
        number(&self.0[at]).and_then(fit).ok_or_else(|| Error::Number { member: printable(&self.name()), field })
    }
}

/// A number as headers write it: octal digits between spaces and NULs, or binary when the first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Two's complement without the marking bit, at most 95 bits.
        let start = if first & 0x40 != 0 { -1_i128 << 6 } else { 0 } | i128::from(first & 0x3f);
        return Some(rest.iter().fold(start, |value, byte| value << 8 | i128::from(*byte)));
    }
    let padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !padding(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(padding).unwrap_or(digits.len());
    if !digits[end..].iter().all(padding) {
        return None;
    }
    digits[..end].iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'7' => Some(value << 3 | i128::from(digit - b'0')),
        _ => None,
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777 "), Some(0o77777777777));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(2 << 32));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"-000644\0"), None);
        assert_eq!(number(b"064 4\0\0\0"), None);
    }
}
