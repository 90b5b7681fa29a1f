//! From what a comparison tells of a file to places that can be told apart over many builds.

use super::{Error, digest};
use crate::base::Blake3;
use crate::compare::Difference;
use crate::compare::search::Site;
use fs_err as fs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A longer text counts as one place.
const LONGEST: u64 = 32 << 20;

/// A file that differs in more places counts as one.
pub const MOST: usize = 48;

/// How one entry differs from the first build's.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Where, and what is there.
    parts: BTreeMap<String, Part>,
    more: bool,
}

#[derive(Debug, Clone)]
struct Part {
    digest: Blake3,
    /// Both versions, where it is a line.
    line: Option<(String, String)>,
}

/// The whole of an entry.
pub fn whole(path: &str) -> Site {
    Site { path: path.to_owned(), part: String::new() }
}

/// The places of all entries.
pub fn of(differences: &[Difference], a: &Path, b: &Path) -> Result<BTreeMap<String, Places>, Error> {
    let mut found: BTreeMap<String, Places> = BTreeMap::new();
    for difference in differences {
        let path = String::from_utf8_lossy(difference.path.as_path().as_os_str().as_encoded_bytes()).into_owned();
        let entry = found.entry(path).or_default();
        // Read as JSON, so that formats which this room has never heard of have places too.
        let value = serde_json::to_value(difference).map_err(std::io::Error::other)?;
        entry.more |= value.get("more").and_then(Value::as_bool).unwrap_or(false);
        let is_line = |place: &Value| place.get("place").and_then(Value::as_str) == Some("text-line");
        match value.get("places").and_then(Value::as_array) {
            // A comparison tells people no more lines than they want to read; here every one counts.
            Some(places) if places.iter().any(is_line) => {
                entry.lines(&a.join(difference.path.as_path()), &b.join(difference.path.as_path()))?;
            }
            Some(places) => {
                for place in places {
                    walk(entry, "", place)?;
                }
            }
            None => {
                let what = value.get("what").and_then(Value::as_str).unwrap_or("entry").to_owned();
                entry.parts.insert(what, Part { digest: digest(&value)?, line: None });
            }
        }
    }
    Ok(found)
}

/// Goes down to the innermost parts.
fn walk(entry: &mut Places, within: &str, place: &Value) -> Result<(), Error> {
    let text = |key: &str| place.get(key).and_then(Value::as_str);
    let kind = text("place").unwrap_or("part");
    let mut label = within.to_owned();
    // Runs of bytes shift with what stands before them: all of them are one part.
    let name = match kind {
        "bytes" => "bytes".to_owned(),
        "text-line" => format!("line {}", place.get("line").and_then(Value::as_u64).unwrap_or(0)),
        _ => {
            let named = [text("name"), text("field")].into_iter().flatten().collect::<Vec<_>>().join(" ");
            format!("{} {named}", kind.replace('-', " ")).trim_end().to_owned()
        }
    };
    if !label.is_empty() {
        label.push_str(", ");
    }
    label.push_str(&name);
    let inner = place.get("places").and_then(Value::as_array).filter(|inner| !inner.is_empty());
    if let Some(inner) = inner {
        for place in inner {
            walk(entry, &label, place)?;
        }
        return Ok(());
    }
    let side = |side: &str| place.get(side).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = (kind == "text-line").then(|| (side("a"), side("b")));
    let found = digest(place)?;
    match entry.parts.get_mut(&label) {
        // The digest of all runs together.
        Some(part) => part.digest = Blake3::of(&[*part.digest.as_bytes(), *found.as_bytes()].concat()),
        None => drop(entry.parts.insert(label, Part { digest: found, line })),
    }
    Ok(())
}

impl Places {
    /// Holds two texts against each other line by line. With lines more or less, no line can be known again in the next
    /// build: the text is one place.
    fn lines(&mut self, a: &Path, b: &Path) -> Result<(), Error> {
        if fs::metadata(a)?.len().max(fs::metadata(b)?.len()) > LONGEST {
            let digest = *blake3::Hasher::new().update_reader(fs::File::open(b)?)?.finalize().as_bytes();
            self.parts.insert("lines".to_owned(), Part { digest: Blake3::from_bytes(digest), line: None });
            return Ok(());
        }
        let (a, b) = (fs::read(a)?, fs::read(b)?);
        let (left, right): (Vec<&[u8]>, Vec<&[u8]>) =
            (a.split(|byte| *byte == b'\n').collect(), b.split(|byte| *byte == b'\n').collect());
        self.more |= left.len() != right.len();
        for (number, (one, other)) in left.iter().zip(&right).enumerate().filter(|(_, (one, other))| one != other) {
            let shown = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            let part = Part { digest: Blake3::of(other), line: Some((shown(one), shown(other))) };
            self.parts.insert(format!("line {}", number + 1), part);
            if self.parts.len() > MOST {
                break;
            }
        }
        if self.parts.is_empty() {
            self.parts.insert("lines".to_owned(), Part { digest: Blake3::of(&b), line: None });
        }
        Ok(())
    }

    /// Whether they are too many to be told apart.
    pub fn are_many(&self) -> bool {
        self.more || self.parts.len() > MOST
    }

    /// The parts, by name.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.parts.keys()
    }

    /// Both versions of a line.
    pub fn line(&self, part: &str) -> Option<(&str, &str)> {
        self.parts.get(part)?.line.as_ref().map(|(a, b)| (a.as_str(), b.as_str()))
    }

    /// What the search is told.
    pub fn sites(&self, path: &str, as_one: bool) -> Vec<(Site, Blake3)> {
        if as_one {
            let all: Vec<u8> = self.parts.values().flat_map(|part| *part.digest.as_bytes()).collect();
            return vec![(whole(path), Blake3::of(&all))];
        }
        let site = |part: &String| Site { path: path.to_owned(), part: part.clone() };
        self.parts.iter().map(|(part, of)| (site(part), of.digest)).collect()
    }
}
