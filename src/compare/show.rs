//! Differences as one line each, for people.

use super::{Change, Content, Difference, Field, Format, Kind, Mode, Place, Side, Unit, What};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
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

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Body<'a>(&'a Place);
        impl Serialize for Body<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Place::serialize(self.0, serializer)
            }
        }
        #[derive(Serialize)]
        struct Tagged<'a> {
            place: Cow<'static, str>,
            #[serde(flatten)]
            body: Body<'a>,
        }
        Tagged { place: self.kind(), body: Body(self) }.serialize(serializer)
    }
}

impl Place {
    /// What kind of place it is, as it is written in JSON.
    pub fn kind(&self) -> Cow<'static, str> {
        let of = |format: &Format, what: &str| Cow::Owned(format!("{}-{what}", format.name()));
        match self {
            Self::Bytes { .. } => "bytes".into(),
            Self::TextLine { .. } => "text-line".into(),
            Self::Instruction { .. } => "instruction".into(),
            Self::Unseen { .. } => "unseen".into(),
            Self::Header { format, .. } => of(format, "header"),
            Self::Part { format, unit, .. } => of(format, unit.name()),
            Self::Order { format, .. } => of(format, "order"),
            Self::Content { format, .. } => of(format, "content"),
            Self::Stream { format } => of(format, "stream"),
        }
    }

    /// The place in a line of text, without the [`parts`](Self::parts) of it.
    pub fn label(&self) -> String {
        match self {
            Self::Bytes { offset, hex } => format!("byte {offset:#x}: {} → {}", Bytes(&hex.a), Bytes(&hex.b)),
            Self::TextLine { line, line_b, text } => match (&text.a, &text.b) {
                (Some(a), Some(b)) => format!("line {line}: '{a}' → '{b}'"),
                (Some(a), None) => format!("line {line} only in the first: '{a}'"),
                (None, b) => format!("line {line_b} only in the second: '{}'", b.as_deref().unwrap_or_default()),
            },
            Self::Instruction { offset, text } => match (&text.a, &text.b) {
                (Some(a), Some(b)) => format!("+{offset:#x}: {a} → {b}"),
                (Some(a), None) => format!("+{offset:#x} only in the first: {a}"),
                (None, b) => format!("+{offset:#x} only in the second: {}", b.as_deref().unwrap_or_default()),
            },
            Self::Header { format, field } => match format {
                Format::Elf => format!("ELF header: {field}"),
                Format::Text => field.to_string(),
                format => format!("{} header: {field}", format.name()),
            },
            Self::Part { unit, name, change, .. } => {
                let what = match unit {
                    Unit::SourceName => "source name",
                    Unit::Dynamic => "dynamic entry",
                    Unit::Frame | Unit::Rest => "",
                    unit => unit.name(),
                };
                let what = if what.is_empty() { name.clone() } else { format!("{what} {name}") };
                match change {
                    Change::OnlyIn { side } => format!("{what}: only in {side}"),
                    Change::Field(field) if *unit == Unit::Member => format!("{what}: header {field}"),
                    // Parts that are nothing but a value.
                    Change::Field(Field { field, values }) if field == "value" => {
                        format!("{what}: {} → {}", values.a, values.b)
                    }
                    Change::Field(field) => format!("{what}: {field}"),
                    Change::Content { .. } => what,
                }
            }
            Self::Order { format, name, position } => {
                let what = match format {
                    Format::Ar | Format::Tar | Format::Cpio | Format::Zip => "members",
                    Format::Elf => "sections",
                    Format::Png => "chunks",
                    _ => "entries",
                };
                format!("{what} in another order: {name} is number {} → {}", position.a, position.b)
            }
            Self::Content { format: Format::Text, .. } => "as text".to_owned(),
            Self::Content { .. } => "unpacked".to_owned(),
            Self::Stream { .. } => "the same content compressed to other bytes".to_owned(),
            Self::Unseen { why } => why.to_string(),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())?;
        match self.parts() {
            ([], _) => Ok(()),
            (places, more) => {
                f.write_str(": ")?;
                first(places, more, f)
            }
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} → {}", self.field, self.values.a, self.values.b)
    }
}

/// Bytes given in hexadecimal, shown as text where they are text.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a str);

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
