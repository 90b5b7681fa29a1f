//! Paths inside a tree.

use super::canon::{Canon, Encoder};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Why bytes are not a relative path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelPathError {
    /// The path is empty, or nothing is left of it without its `.` components.
    #[error("the path is empty")]
    Empty,
    /// The path starts with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// A component is `..`.
    #[error("the path contains '..'")]
    Parent,
    /// A byte is NUL.
    #[error("the path contains a NUL byte")]
    Nul,
    /// Longer than the kernel's 4,096 bytes, or a component longer than 255.
    #[error("the path or one of its components is too long")]
    TooLong,
}

/// A clean relative path: components without `.`, `..` and empty ones, joined by `/`; bytes, not necessarily UTF-8.
///
/// Ordered by bytes with `/` as any other byte. `Display` escapes what is not printable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// Takes a path as archives write it: `./` before it and `/` behind it are dropped.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, RelPathError> {
        let bytes = bytes.as_ref();
        if bytes.contains(&0) {
            return Err(RelPathError::Nul);
        }
        if bytes.first() == Some(&b'/') {
            return Err(RelPathError::Absolute);
        }
        let mut clean = Vec::with_capacity(bytes.len());
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(RelPathError::Parent),
                _ if part.len() > 255 => return Err(RelPathError::TooLong),
                _ => {
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(part);
                }
            }
        }
        match clean.len() {
            0 => Err(RelPathError::Empty),
            4096.. => Err(RelPathError::TooLong),
            _ => Ok(Self(clean)),
        }
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for a file-system call.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The components from the top down; never empty.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        self.components().next_back().unwrap_or(&self.0)
    }

    /// The path without its last component; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..slash].to_vec()))
    }

    /// This path with one or more components behind it.
    pub fn join(&self, more: impl AsRef<[u8]>) -> Result<Self, RelPathError> {
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(RelPath::new(more)?.as_bytes());
        Self::new(bytes)
    }

    /// The path without its first `count` components; `None` when nothing is left.
    pub fn strip(&self, count: usize) -> Option<Self> {
        let rest: Vec<&[u8]> = self.components().skip(count).collect();
        (!rest.is_empty()).then(|| Self(rest.join(&b'/')))
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({self})")
    }
}

impl serde::Serialize for RelPath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Canon for RelPath {
    fn encode(&self, to: &mut Encoder) {
        to.bytes(&self.0);
    }
}

/// Bytes as text for people: UTF-8 stays, control characters, backslashes and stray bytes become escapes (`\x1b`).
///
/// Nothing that comes from an archive may reach a terminal in any other way.
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                // Bidirectional controls reorder what follows them on a terminal; treat them as control characters.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    out.extend(c.escape_unicode());
                }
                c if c.is_control() => out.extend(c.escape_default()),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_spellings_become_one() {
        assert_eq!(RelPath::new("./a//b/./c/").unwrap().as_bytes(), b"a/b/c");
        assert_eq!(RelPath::new("a").unwrap().parent(), None);
        assert_eq!(RelPath::new("a/b").unwrap().strip(1), RelPath::new("b").ok());
        assert_eq!(RelPath::new("a/b").unwrap().strip(2), None);
    }

    #[test]
    fn escapes_are_refused() {
        assert_eq!(RelPath::new("/etc"), Err(RelPathError::Absolute));
        assert_eq!(RelPath::new("a/../b"), Err(RelPathError::Parent));
        assert_eq!(RelPath::new("./"), Err(RelPathError::Empty));
        assert_eq!(RelPath::new(b"a\0b"), Err(RelPathError::Nul));
        assert_eq!(RelPath::new("x".repeat(256)), Err(RelPathError::TooLong));
        assert_eq!(RelPath::new("x/".repeat(3000)), Err(RelPathError::TooLong));
    }

    #[test]
    fn terminals_see_no_control_characters() {
        assert_eq!(printable(b"a\x1b[31m\xff\\"), "a\\u{1b}[31m\\xff\\\\");
        assert_eq!(printable("évil\u{202e}".as_bytes()), "évil\\u{202e}");
    }
}
