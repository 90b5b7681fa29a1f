//! Compiled Python: the header, and the marshalled code behind it, object by object.
//!
//! Read for CPython 3.3 and later; the layout of code objects is chosen by the magic number.

use super::bytes::View;
use super::content::Scope;
use super::{Format, Place, Side, Unit};
use crate::base::printable;
use std::collections::BTreeMap;
use std::io;

/// How deep objects may lie in each other; real ones are not a tenth of it.
const DEPTH: usize = 200;
/// Values are shown up to here.
const SHOWN: usize = 120;

/// Whether it is compiled by a version that is known here: the numbers grow, and each ends in the same two bytes.
pub(super) fn is(head: &[u8]) -> bool {
    head.len() >= 16 && head[2..4] == *b"\r\n" && (3210..4000).contains(&magic(head))
}

fn magic(head: &[u8]) -> u16 {
    u16::from_le_bytes([head[0], head[1]])
}

/// An object: where it lies among the others (`f.constants[2]`), and what it is.
struct Object {
    path: String,
    value: String,
}

struct Pyc {
    header: Vec<(&'static str, String)>,
    objects: Vec<Object>,
    /// Which objects are said to be referred to, as their numbers: the same code may be written with other ones.
    shared: Vec<usize>,
    end: usize,
}

/// Where two files differ; empty where they are not sound.
pub(super) fn places(a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let most = scope.limits.table / 8;
    let (Some(left), Some(right)) = (a.all(most)?, b.all(most)?) else {
        let why = format!("bytecode was not looked into: it is larger than {most} bytes");
        return Ok(vec![Place::Unseen { why: why.into() }]);
    };
    let (Some(x), Some(y)) = (parse(&left), parse(&right)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let none = || "(none)".to_owned();
    let of = |pyc: &Pyc, field: &str| {
        pyc.header.iter().find(|(name, _)| *name == field).map_or_else(none, |(_, value)| value.clone())
    };
    let second = y.header.iter().filter(|(name, _)| !x.header.iter().any(|(other, _)| other == name));
    for (field, _) in x.header.iter().chain(second) {
        let (a, b) = (of(&x, field), of(&y, field));
        if a != b {
            found.push(Place::header(Format::Pyc, *field, a, b));
        }
    }
    let in_b: BTreeMap<&str, &str> = y.objects.iter().map(|object| (&object.path[..], &object.value[..])).collect();
    let in_a: BTreeMap<&str, &str> = x.objects.iter().map(|object| (&object.path[..], &object.value[..])).collect();
    for Object { path, value } in &x.objects {
        if scope.enough(&found) {
            return Ok(found);
        }
        match in_b.get(&path[..]) {
            Some(other) if *other == value => {}
            Some(other) => {
                let (a, b) = around(value, other);
                found.push(Place::value(Format::Pyc, Unit::Object, path, "value", a, b));
            }
            None => found.push(Place::only_in(Format::Pyc, Unit::Object, path, Side::A)),
        }
    }
    for Object { path, .. } in y.objects.iter().filter(|object| !in_a.contains_key(&object.path[..])) {
        if scope.enough(&found) {
            return Ok(found);
        }
        found.push(Place::only_in(Format::Pyc, Unit::Object, path, Side::B));
    }
    // An interpreter marks objects as shared by how often it happened to hold them: the same code, written in another way.
    if x.shared != y.shared && found.iter().all(|place| matches!(place, Place::Header { .. })) {
        let count = |pyc: &Pyc| format!("{} of {}", pyc.shared.len(), pyc.objects.len());
        let (mut a, mut b) = (count(&x), count(&y));
        if a == b {
            let first = |one: &Pyc, other: &Pyc| {
                let at = one.shared.iter().zip(&other.shared).position(|(x, y)| x != y).unwrap_or(0);
                format!("object {}", one.shared.get(at).copied().unwrap_or(0))
            };
            (a, b) = (first(&x, &y), first(&y, &x));
        }
        found.push(Place::header(Format::Pyc, "objects marked as shared", a, b));
    }
    let behind = (a.part(x.end as u64, u64::MAX), b.part(y.end as u64, u64::MAX));
    if let Some((offset, rest)) = super::content::compared(behind.0, behind.1, scope.deeper())? {
        let change = super::Change::Content { offset, places: rest.places, more: rest.more };
        found.push(Place::part(Format::Pyc, Unit::Rest, "behind the code", change));
    }
    Ok(found)
}

/// Both values from shortly before they differ.
fn around(a: &str, b: &str) -> (String, String) {
    let at = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map_or(a.len().min(b.len()), |((at, _), _)| at);
    let from = if at < SHOWN / 2 { 0 } else { at - SHOWN / 4 };
    let cut = |text: &str| {
        let before = if from > 0 { "…" } else { "" };
        let tail: String = text.chars().skip(a[..from.min(a.len())].chars().count()).take(SHOWN).collect();
        format!("{before}{tail}")
    };
    let from_is_boundary = a.is_char_boundary(from) && b.is_char_boundary(from);
    if from_is_boundary { (cut(a), cut(b)) } else { (a.chars().take(SHOWN).collect(), b.chars().take(SHOWN).collect()) }
}

fn parse(bytes: &[u8]) -> Option<Pyc> {
    let version = magic(bytes);
    let word = |at: usize| bytes.get(at..at + 4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]));
    let mut header = vec![("version", version.to_string())];
    // Since 3.7 flags say whether a date and size or a hash of the source follows.
    let start = if version >= 3390 {
        let flags = word(4)?;
        header.push(("flags", format!("{flags:#x}")));
        if flags & 1 != 0 {
            header.push(("source hash", bytes[8..16].iter().map(|byte| format!("{byte:02x}")).collect()));
        } else {
            header.push(("source mtime", word(8)?.to_string()));
            header.push(("source size", word(12)?.to_string()));
        }
        16
    } else {
        header.push(("source mtime", word(4)?.to_string()));
        header.push(("source size", word(8)?.to_string()));
        12
    };
    let mut reader = Reader {
        bytes,
        at: start,
        version,
        objects: Vec::new(),
        shared: Vec::new(),
        referable: Vec::new(),
        open: None,
        count: 0,
        kept: 0,
    };
    reader.object("code", 0)?;
    Some(Pyc { header, objects: reader.objects, shared: reader.shared, end: reader.at })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    version: u16,
    objects: Vec<Object>,
    shared: Vec<usize>,
    /// What can be referred to, by its number: shown as it is, or by where it is.
    referable: Vec<String>,
    count: usize,
    /// The number that the object being read has, until its value is known.
    open: Option<usize>,
    /// Bytes of all paths together: a hostile file must not make them many times its size.
    kept: usize,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn word(&mut self) -> Option<usize> {
        let four = self.take(4)?;
        usize::try_from(u32::from_le_bytes([four[0], four[1], four[2], four[3]])).ok()
    }

    fn leaf(&mut self, path: &str, value: String) -> Option<()> {
        self.kept += path.len() + value.len();
        if self.kept > 64 * self.bytes.len() + (1 << 20) {
            return None;
        }
        if let Some(slot) = self.open.take() {
            self.referable[slot] = value.chars().take(SHOWN).collect();
        }
        self.objects.push(Object { path: path.to_owned(), value });
        Some(())
    }

    /// A text, and the text itself where it may name something.
    fn text(&mut self, path: &str, length: usize) -> Option<Option<String>> {
        let text = printable(self.take(length)?);
        self.leaf(path, format!("'{text}'"))?;
        Some(Some(text))
    }

    /// Reads one object; gives back its text, if it is one.
    fn object(&mut self, path: &str, depth: usize) -> Option<Option<String>> {
        if depth > DEPTH {
            return None;
        }
        let tag = self.byte()?;
        self.count += 1;
        self.open = None;
        if tag & 0x80 != 0 {
            self.shared.push(self.count);
            // Stays like this for what has parts.
            self.referable.push(format!("(the same as {path})"));
            self.kept += path.len();
            if !matches!(tag & 0x7f, b'c' | b'(' | b')' | b'[' | b'{' | b'<' | b'>' | b':' | b'x') {
                self.open = Some(self.referable.len() - 1);
            }
        }
        match tag & 0x7f {
            b'0' => self.leaf(path, "NULL".to_owned())?,
            b'N' => self.leaf(path, "None".to_owned())?,
            b'F' => self.leaf(path, "False".to_owned())?,
            b'T' => self.leaf(path, "True".to_owned())?,
            b'S' => self.leaf(path, "StopIteration".to_owned())?,
            b'.' => self.leaf(path, "...".to_owned())?,
            b'i' => {
                let value = self.word()? as u32 as i32;
                self.leaf(path, value.to_string())?;
            }
            b'I' => {
                let value = i64::from_le_bytes(*self.take(8)?.first_chunk()?);
                self.leaf(path, value.to_string())?;
            }
            b'g' => {
                let value = f64::from_le_bytes(*self.take(8)?.first_chunk()?);
                self.leaf(path, format!("{value:?}"))?;
            }
            b'y' => {
                let bytes: [u8; 16] = *self.take(16)?.first_chunk()?;
                let half = |at: usize| f64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]));
                self.leaf(path, format!("({:?}, {:?}j)", half(0), half(8)))?;
            }
            b'f' => {
                let length = usize::from(self.byte()?);
                return self.text(path, length);
            }
            b'x' => {
                for part in ["real", "imaginary"] {
                    let length = usize::from(self.byte()?);
                    self.text(&format!("{path}.{part}"), length)?;
                }
            }
            b'l' => {
                let digits = self.word()? as u32 as i32;
                let length = usize::try_from(digits.unsigned_abs()).ok()?.checked_mul(2)?;
                let hex: String = self.take(length)?.iter().rev().map(|byte| format!("{byte:02x}")).collect();
                self.leaf(path, format!("{}0x{hex} in digits of 15 bits", if digits < 0 { "-" } else { "" }))?;
            }
            b's' => {
                let length = self.word()?;
                let bytes = self.take(length)?;
                let value = match bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
                    true => format!("b'{}'", printable(bytes)),
                    false => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
                };
                self.leaf(path, value)?;
            }
            b't' | b'u' | b'a' | b'A' => {
                let length = self.word()?;
                return self.text(path, length);
            }
            b'z' | b'Z' => {
                let length = usize::from(self.byte()?);
                return self.text(path, length);
            }
            b'r' => {
                let number = self.word()?;
                // Numbers shift with every object that is or is not shared: which one it is, is told by what it is.
                let value = self.referable.get(number)?.clone();
                self.leaf(path, value)?;
            }
            b'(' | b'[' | b'<' | b'>' => {
                let count = self.word()?;
                self.items(path, count, depth)?;
            }
            b')' => {
                let count = usize::from(self.byte()?);
                self.items(path, count, depth)?;
            }
            b'{' => {
                for at in 0.. {
                    if self.bytes.get(self.at)? & 0x7f == b'0' {
                        self.at += 1;
                        break;
                    }
                    self.object(&format!("{path}.key[{at}]"), depth + 1)?;
                    self.object(&format!("{path}.value[{at}]"), depth + 1)?;
                }
            }
            b':' => {
                for part in ["start", "stop", "step"] {
                    self.object(&format!("{path}.{part}"), depth + 1)?;
                }
            }
            b'c' => self.code(path, depth)?,
            _ => return None,
        }
        Some(None)
    }

    fn items(&mut self, path: &str, count: usize, depth: usize) -> Option<()> {
        if count > self.bytes.len() - self.at {
            return None;
        }
        self.leaf(&format!("{path}.length"), count.to_string())?;
        for at in 0..count {
            self.object(&format!("{path}[{at}]"), depth + 1)?;
        }
        Some(())
    }

    fn code(&mut self, path: &str, depth: usize) -> Option<()> {
        let v = self.version;
        let numbers: &[&str] = match v {
            ..3400 => &["arguments", "keyword arguments", "number of locals", "stack size", "flags"],
            3400..3450 => {
                &["arguments", "positional arguments", "keyword arguments", "number of locals", "stack size", "flags"]
            }
            _ => &["arguments", "positional arguments", "keyword arguments", "stack size", "flags"],
        };
        for name in numbers {
            let value = self.word()?;
            self.leaf(&format!("{path}.{name}"), value.to_string())?;
        }
        let parts: &[&str] = if v < 3450 {
            &["instructions", "constants", "names", "locals", "free", "cells", "file name", "name"]
        } else {
            &["instructions", "constants", "names", "locals", "kinds of locals", "file name", "name", "qualified name"]
        };
        let first = self.objects.len() - numbers.len();
        let mut name = None;
        for part in parts {
            let text = self.object(&format!("{path}.{part}"), depth + 1)?;
            // The qualified name comes last, where there is one.
            name = if part.ends_with("name") && *part != "file name" { text.or(name) } else { name };
        }
        let line = self.word()?;
        self.leaf(&format!("{path}.first line"), line.to_string())?;
        self.object(&format!("{path}.line table"), depth + 1)?;
        if v >= 3450 {
            self.object(&format!("{path}.exception table"), depth + 1)?;
        }
        if let (Some(name), true) = (name, depth > 0) {
            // A function is found by its name; where it lies keeps two of one name apart.
            for object in &mut self.objects[first..] {
                if let Some(rest) = object.path.strip_prefix(path) {
                    object.path = format!("{path} {name}{rest}");
                    self.kept += name.len() + 1;
                }
            }
        }
        Some(())
    }
}
