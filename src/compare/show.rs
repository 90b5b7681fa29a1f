//! Differences as one line each, for people.

use super::{Change, Content, Difference, Field, Kind, Mode, Place, Side, What};
use serde::{Serialize, Serializer};
use std::fmt::{self, Display};

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "the first",
            Self::B => "the second",
        })
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Dir => "directory",
            Self::Link => "link",
        })
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)?;
        self.notes.iter().try_for_each(|note| write!(f, " ({note})"))
    }
}

impl Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyIn { side, kind } => write!(f, "{kind} only in {side}"),
            Self::Kind(kinds) => write!(f, "{} → {}", kinds.a, kinds.b),
            Self::Mode(modes) => write!(f, "mode {} → {}", modes.a, modes.b),
            Self::LinkTarget(targets) => write!(f, "link to {} → {}", targets.a, targets.b),
            Self::Content(content) => content.fmt(f),
        }
    }
}

impl Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        first(&self.places, self.more, f)?;
        if self.size.a != self.size.b {
            write!(f, " (size {} → {})", self.size.a, self.size.b)?;
        }
        Ok(())
    }
}

/// The first place, and how many others there are.
fn first(places: &[Place], more: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(place) = places.first() else { return f.write_str("content differs") };
    place.fmt(f)?;
    match (places.len() - 1, more) {
        (0, false) => Ok(()),
        (0, true) => f.write_str("; and more"),
        (count, false) => write!(f, "; and {count} more"),
        (count, true) => write!(f, "; and more than {count} more"),
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { offset, hex } => {
                write!(f, "byte {offset:#x}: {} → {}", Bytes(&hex.a), Bytes(&hex.b))
            }
            Self::TextLine { line, text } => {
                let show = |text: &Option<String>| text.as_ref().map_or("(end)".to_owned(), |text| format!("'{text}'"));
                write!(f, "line {line}: {} → {}", show(&text.a), show(&text.b))
            }
            Self::ElfHeader(field) => write!(f, "ELF header: {field}"),
            Self::ElfSection { name, change } => write!(f, "section {name}: {change}"),
            Self::ArMember { name, change: Change::Field(field) } => write!(f, "member {name}: header {field}"),
            Self::ArMember { name, change } => write!(f, "member {name}: {change}"),
            Self::ArOrder { name, position } => {
                write!(f, "members in another order: {name} is number {} → {}", position.a, position.b)
            }
            Self::GzipHeader(field) => write!(f, "gzip header: {field}"),
            Self::GzipContent { places, .. } => {
                f.write_str("unpacked: ")?;
                first(places, false, f)
            }
            Self::GzipStream => f.write_str("the same content compressed to other bytes"),
        }
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyIn { side } => write!(f, "only in {side}"),
            Self::Field(field) => field.fmt(f),
            Self::Content { places, .. } => first(places, false, f),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} → {}", self.field, self.values.a, self.values.b)
    }
}

/// Bytes given in hexadecimal, as text where they are text.
struct Bytes<'a>(&'a str);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(end)");
        }
        let bytes: Option<Vec<u8>> = self
            .0
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        match bytes {
            // Text up to a NUL is a string of a program.
            Some(bytes) if bytes.len() > 1 => {
                let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                if text.len() > 1 && text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
                    return write!(f, "'{}'", String::from_utf8_lossy(text));
                }
                f.write_str(self.0)
            }
            _ => f.write_str(self.0),
        }
    }
}
