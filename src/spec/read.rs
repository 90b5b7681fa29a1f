//! A cursor over parsed TOML that collects mistakes instead of stopping at the first.
//!
//! Opening a table checks it against its [`Table`] of keys: unknown keys, wrong types and missing keys are reported
//! there, once. The getters afterwards are silent about what was already reported and just return nothing.

use super::keys::{Key, Kind, SPEC, Table, WORKSPACE};
use super::types::At;
use crate::base::{Diagnostic, Label, Level, SourceText, nearest};
use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Collects the mistakes of one text.
pub(super) struct Sink {
    pub(super) text: Arc<SourceText>,
    found: RefCell<Vec<Diagnostic>>,
}

impl Sink {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        Self { text: Arc::new(SourceText { path, text }), found: RefCell::default() }
    }

    pub(super) fn label(&self, span: &Range<usize>, text: impl Into<String>) -> Label {
        Label { source: Arc::clone(&self.text), span: span.clone(), text: text.into() }
    }

    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// An error at one place, with what to say there and what to do about it (empty: nothing).
    pub(super) fn error(
        &self,
        rule: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        here: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help: String = help.into();
        let diagnostic = Diagnostic::error(rule, message, self.label(span, here));
        self.push(Diagnostic { help: (!help.is_empty()).then_some(help), ..diagnostic });
    }

    /// The same, but nothing is refused.
    pub(super) fn warning(
        &self,
        rule: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        here: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.error(rule, span, message, here, help);
        if let Some(last) = self.found.borrow_mut().last_mut() {
            last.level = Level::Warning;
        }
    }

    /// The place of a part of a written string; the whole string where escapes hide the part.
    pub(super) fn part(&self, whole: &At<String>, part: Range<usize>) -> Range<usize> {
        let raw = self.text.text.get(whole.span.clone()).unwrap_or_default();
        match raw.find(&whole.value) {
            Some(start) if !whole.value.is_empty() => {
                let start = whole.span.start + start;
                start + part.start..start + part.end
            }
            _ => whole.span.clone(),
        }
    }

    /// All that was found, in the order of the text.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
        found
    }
}

/// Build systems that are known but have no helper: near to a helper's name or not, none of them is a misspelt helper.
const OTHER_SYSTEMS: [&str; 8] = ["meson", "cmake", "cargo", "ninja", "go", "python", "perl", "autotools"];

/// Parses a text; `None` when it is not TOML, which has been reported then.
pub(super) fn parse<'a>(sink: &Sink, text: &'a str) -> Option<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table.into_inner());
    }
    // Recovery guesses, and one missing quote can cause a dozen more complaints: of these only the first is told.
    let mut syntax = 0;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let duplicate = error.message().contains("duplicate");
        if duplicate {
            let what = text.get(span.clone()).unwrap_or_default();
            sink.error("duplicate", &span, format!("`{what}` is defined twice"), "defined again here", "");
        } else if syntax == 0 {
            syntax += 1;
            let here = match error.message() {
                message if message.contains("must be quoted") && rest_of_line(text, span.start).is_empty() => {
                    "no value"
                }
                message => message,
            };
            sink.error("syntax", &span, "this is not TOML", here, "");
        }
    }
    None
}

fn rest_of_line(text: &str, from: usize) -> &str {
    text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
}

/// A table that was checked against its keys.
pub(super) struct Cursor<'a> {
    pub(super) sink: &'a Sink,
    pub(super) span: Range<usize>,
    schema: &'static Table,
    map: &'a DeTable<'a>,
}

impl<'a> Cursor<'a> {
    /// Checks a table: what is unknown, of a wrong type or missing is reported now.
    pub(super) fn open(sink: &'a Sink, schema: &'static Table, span: Range<usize>, map: &'a DeTable<'a>) -> Self {
        let mut misspelt = Vec::new();
        for (name, value) in map {
            match schema.key(name.get_ref()) {
                Some(key) => check_kind(sink, key, value),
                None => misspelt.extend(unknown(sink, schema, name, value)),
            }
        }
        for key in schema.keys.iter().filter(|key| key.required && !map.contains_key(key.name)) {
            // A misspelt key is one mistake, not two.
            if !misspelt.contains(&key.name) {
                missing(sink, schema, &span, key);
            }
        }
        Self { sink, span, schema, map }
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        debug_assert!(self.schema.key(key).is_some(), "{key} is not declared in [{}]", self.schema.name);
        self.map.get(key)
    }

    /// Whether the key is written, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where the key is written.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.map.get_key_value(key).map(|(name, _)| name.span())
    }

    /// The place of a key's value if it is written, else of the table.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Whether the key holds an array with nothing in it.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.get(key).and_then(|value| value.get_ref().as_array()).is_some_and(|array| array.iter().next().is_none())
    }

    /// Whether a key is written that was reported as unknown.
    pub(super) fn has_unknown(&self) -> bool {
        self.map.iter().any(|(name, _)| self.schema.key(name.get_ref()).is_none())
    }

    /// Whether a hash is written that does not fix a source.
    pub(super) fn has_weak_hash(&self) -> bool {
        WEAK_HASHES.iter().any(|(key, _)| self.map.contains_key(*key))
    }

    /// A string; an empty one is reported unless the key may be empty.
    pub(super) fn text(&self, key: &str) -> Option<At<String>> {
        let text = self.any_text(key)?;
        if text.value.trim().is_empty() {
            self.sink.error("empty-value", &text.span, format!("`{key}` is empty"), "nothing is written here", "");
            return None;
        }
        Some(text)
    }

    /// A string that may be empty.
    pub(super) fn any_text(&self, key: &str) -> Option<At<String>> {
        checked_text(self.sink, self.get(key)?)
    }

    /// An array of strings.
    pub(super) fn texts(&self, key: &str) -> Vec<At<String>> {
        let array = self.get(key).and_then(|value| value.get_ref().as_array());
        array.into_iter().flatten().filter_map(|value| checked_text(self.sink, value)).collect()
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, key: &str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let integer = value.get_ref().as_integer()?;
        let parsed = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fits = parsed.filter(|number| bounds.contains(number));
        if fits.is_none() {
            let (low, high) = bounds.into_inner();
            let high = if high >= i64::MAX as u64 { String::new() } else { format!(" and at most {high}") };
            let message = format!("`{key}` is out of range");
            self.sink.error("out-of-range", &value.span(), message, format!("must be at least {low}{high}"), "");
        }
        fits
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.get_ref().as_bool()
    }

    /// One of the words that the key allows.
    pub(super) fn choice(&self, key: &str) -> Option<At<&'static str>> {
        let written = self.any_text(key)?;
        let Some(Kind::Choice(words)) = self.schema.key(key).map(|key| key.kind) else { return None };
        if let Some(word) = words.iter().find(|word| **word == written.value) {
            return Some(At { value: word, span: written.span });
        }
        let listed: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let lower = written.value.to_lowercase();
        let near = nearest(&lower, words.iter().copied()).filter(|_| !OTHER_SYSTEMS.contains(&&*lower));
        let help = match (key, near) {
            (_, Some(near)) => format!("did you mean `{near}`?"),
            ("system", None) if lower == "autotools" => "did you mean `configure`?".into(),
            ("system", None) => format!(
                "parton has no helper for `{}` yet: write `system = \"script\"` and its commands in [build.phases]",
                written.value
            ),
            _ => String::new(),
        };
        let message = format!("`{}` is not a value of `{key}`", written.value);
        self.sink.error("unknown-value", &written.span, message, format!("expected {}", listed.join(" or ")), help);
        None
    }

    /// Strings under the author's keys, in the order of the keys.
    pub(super) fn map(&self, key: &str) -> Vec<(At<String>, At<String>)> {
        let table = self.get(key).and_then(|value| value.get_ref().as_table());
        let pairs = table.into_iter().flatten();
        pairs
            .filter_map(|(name, value)| {
                let name = At { value: name.get_ref().to_string(), span: name.span() };
                Some((name, checked_text(self.sink, value)?))
            })
            .collect()
    }

    /// A table, checked.
    pub(super) fn table(&self, key: &str) -> Option<Cursor<'a>> {
        let value = self.get(key)?;
        let schema = self.schema.key(key)?.kind.table()?;
        Some(Cursor::open(self.sink, schema, value.span(), value.get_ref().as_table()?))
    }

    /// An array of tables, each checked.
    pub(super) fn tables(&self, key: &str) -> Vec<Cursor<'a>> {
        let array = self.get(key).and_then(|value| value.get_ref().as_array());
        let Some(schema) = self.schema.key(key).and_then(|key| key.kind.table()) else { return Vec::new() };
        array
            .into_iter()
            .flatten()
            .filter_map(|value| Some(Cursor::open(self.sink, schema, value.span(), value.get_ref().as_table()?)))
            .collect()
    }

    /// Tables under names of the author's choice, each checked.
    pub(super) fn named(&self, key: &str) -> Vec<(At<String>, Cursor<'a>)> {
        let table = self.get(key).and_then(|value| value.get_ref().as_table());
        let Some(schema) = self.schema.key(key).and_then(|key| key.kind.table()) else { return Vec::new() };
        let named = table.into_iter().flatten();
        named
            .filter_map(|(name, value)| {
                let below = Cursor::open(self.sink, schema, value.span(), value.get_ref().as_table()?);
                Some((At { value: name.get_ref().to_string(), span: name.span() }, below))
            })
            .collect()
    }

    /// Raw value of a key that holds text or a number (durations and sizes): the text as written without quotes.
    pub(super) fn quantity(&self, key: &str) -> Option<At<String>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Integer(number) => Some(At { value: number.to_string(), span: value.span() }),
            _ => checked_text(self.sink, value),
        }
    }
}

/// A string without NUL: no path, variable or command can hold one.
fn checked_text(sink: &Sink, value: &Spanned<DeValue<'_>>) -> Option<At<String>> {
    let text = At { value: value.get_ref().as_str()?.to_owned(), span: value.span() };
    if text.value.contains('\0') {
        sink.error("nul", &text.span, "a text contains a NUL character", "no path or command can hold it", "");
        return None;
    }
    Some(text)
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(array) if array.iter().next().is_some_and(|v| v.get_ref().is_table()) => "a list of tables",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn check_kind(sink: &Sink, key: &Key, value: &Spanned<DeValue<'_>>) {
    let found = value.get_ref();
    let wrong = |value: &Spanned<DeValue<'_>>, what: &str, expected: &str| {
        let raw = sink.text.text.get(value.span()).unwrap_or_default();
        let help = advice(key, value.get_ref(), raw);
        let message = format!("{what} must be {expected}");
        sink.error("wrong-type", &value.span(), message, format!("this is {}", describe(value.get_ref())), help);
    };
    let name = format_args!("`{}`", key.name).to_string();
    match key.kind {
        Kind::Text | Kind::Choice(_) if found.is_str() => {}
        Kind::Text | Kind::Choice(_) => wrong(value, &name, "text"),
        Kind::Texts => match found.as_array() {
            Some(array) => {
                for item in array.iter().filter(|item| !item.get_ref().is_str()) {
                    wrong(item, &format!("everything in {name}"), "text");
                }
            }
            None => wrong(value, &name, &key.kind.describe()),
        },
        Kind::Map => match found.as_table() {
            Some(table) => {
                for (inner, item) in table.iter().filter(|(_, item)| !item.get_ref().is_str()) {
                    wrong(item, &format!("`{}` in {name}", inner.get_ref()), "text");
                }
            }
            None => wrong(value, &name, &key.kind.describe()),
        },
        Kind::Integer if found.is_integer() => {}
        Kind::Flag if found.is_bool() => {}
        Kind::Duration | Kind::Size if found.is_integer() || found.is_str() => {}
        Kind::Table(_) if found.is_table() => {}
        Kind::Tables(_) => match found.as_array() {
            Some(array) => {
                for item in array.iter().filter(|item| !item.get_ref().is_table()) {
                    wrong(item, &format!("everything in {name}"), "a table");
                }
            }
            None => wrong(value, &name, &key.kind.describe()),
        },
        Kind::Named(_) => match found.as_table() {
            Some(table) => {
                for (inner, item) in table.iter().filter(|(_, item)| !item.get_ref().is_table()) {
                    wrong(item, &format!("`{}` in {name}", inner.get_ref()), "a table");
                }
            }
            None => wrong(value, &name, "a table"),
        },
        Kind::Integer | Kind::Flag | Kind::Duration | Kind::Size | Kind::Table(_) => {
            wrong(value, &name, &key.kind.describe());
        }
    }
}

/// How to write what was most likely meant.
fn advice(key: &Key, found: &DeValue<'_>, raw: &str) -> String {
    let one_line = !raw.contains('\n');
    match (key.kind, found) {
        (Kind::Tables(_), DeValue::Table(_)) => format!("there may be several: write [[{}]]", key.name),
        (Kind::Table(_), DeValue::Array(_)) => format!("there is only one: write [{}]", key.name),
        (Kind::Text | Kind::Choice(_) | Kind::Texts | Kind::Map, _)
            if one_line
                && matches!(
                    found,
                    DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Boolean(_)
                ) =>
        {
            match (key.kind, found) {
                (Kind::Texts | Kind::Map, _) => format!("write it in quotes: \"{raw}\""),
                _ => format!("write it in quotes: {} = \"{raw}\"", key.name),
            }
        }
        (Kind::Texts, DeValue::String(_)) if one_line => format!("write {} = [{raw}]", key.name),
        (Kind::Integer, DeValue::String(text)) if text.parse::<u64>().is_ok() => {
            format!("leave out the quotes: {} = {text}", key.name)
        }
        (Kind::Flag, DeValue::String(text)) if matches!(&**text, "true" | "false") => {
            format!("leave out the quotes: {} = {text}", key.name)
        }
        _ => String::new(),
    }
}

fn bracketed(table: &Table) -> String {
    match table.name {
        "" => "this file".into(),
        "source" => "[[source]]".into(),
        name => format!("[{name}]"),
    }
}

/// Reports an unknown key; returns the key that was most likely meant.
fn unknown(
    sink: &Sink,
    schema: &'static Table,
    name: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
) -> Option<&'static str> {
    let word: &str = name.get_ref();
    if schema.name == "source" && weak(sink, word, name.span()) {
        return None;
    }
    let is_table = match value.get_ref() {
        DeValue::Table(_) => true,
        DeValue::Array(array) => array.iter().next().is_some_and(|item| item.get_ref().is_table()),
        _ => false,
    };
    let near = nearest(word, schema.keys.iter().map(|key| key.name)).and_then(|near| schema.key(near));
    let help = match (near, elsewhere(schema, word)) {
        (Some(key), _) if is_table && schema.name.is_empty() => match key.kind {
            Kind::Tables(_) => format!("did you mean [[{}]]?", key.name),
            Kind::Named(_) => format!("did you mean [{}.NAME]?", key.name),
            _ => format!("did you mean [{}]?", key.name),
        },
        (Some(key), _) => format!("did you mean `{}`?", key.name),
        (None, Some(table)) => format!("`{word}` belongs to {}", bracketed(table)),
        (None, None) => {
            let known: Vec<String> = schema.keys.iter().map(|key| format!("`{}`", key.name)).collect();
            format!("known here: {}", known.join(", "))
        }
    };
    if is_table && schema.name.is_empty() {
        sink.error("unknown-table", &name.span(), format!("there is no table `{word}`"), "unknown table", help);
    } else {
        let message = format!("there is no key `{word}` in {}", bracketed(schema));
        sink.error("unknown-key", &name.span(), message, "unknown key", help);
    }
    near.map(|key| key.name)
}

/// Another table of the same file that has this key.
fn elsewhere(schema: &'static Table, word: &str) -> Option<&'static Table> {
    let of_config = WORKSPACE.all().into_iter().any(|table| std::ptr::eq(table, schema));
    let file = if of_config { &WORKSPACE } else { &SPEC };
    file.all().into_iter().find(|table| !table.name.is_empty() && table.key(word).is_some())
}

/// Keys of other formats for hashes that don't fix a source, with the name of the hash.
const WEAK_HASHES: [(&str, &str); 5] =
    [("md5", "MD5"), ("md5sum", "MD5"), ("md5sums", "MD5"), ("sha1", "SHA-1"), ("sha1sum", "SHA-1")];

fn weak(sink: &Sink, word: &str, span: Range<usize>) -> bool {
    let Some((_, name)) = WEAK_HASHES.iter().find(|(key, _)| *key == word) else { return false };
    let message = format!("{name} does not fix a source: two files can be made with the same {name}");
    sink.error("weak-hash", &span, message, "broken hash", "write `sha256` instead");
    true
}

fn missing(sink: &Sink, schema: &Table, span: &Range<usize>, key: &Key) {
    let what = match key.kind {
        Kind::Table(_) => format!("[{}]", key.name),
        Kind::Named(_) => format!("[{}.NAME]", key.name),
        _ => format!("`{}`", key.name),
    };
    let message = format!("{what} is missing");
    let (here, help) = match (schema.name, key.name) {
        ("", _) => (String::new(), format!("write {what}: {}", plain(key.doc))),
        ("source.signature", "key") => (
            "no `key`".to_owned(),
            "a signature proves nothing without a pinned key: put upstream's public key beside the spec, as keys/NAME.asc, and write key = \"keys/NAME.asc\"".to_owned(),
        ),
        ("source.signature", "fingerprint") => (
            "no `fingerprint`".to_owned(),
            "write the full fingerprint of the key, as upstream publishes it and `gpg --show-keys` prints it".to_owned(),
        ),
        _ => (format!("no {what}"), plain(key.doc)),
    };
    sink.error("missing-key", span, message, here, help);
}

/// A sentence of the reference as advice: no capital, no full stop.
fn plain(doc: &str) -> String {
    let doc = doc.trim_end_matches('.');
    let acronym = doc.chars().nth(1).is_some_and(char::is_uppercase);
    match doc.chars().next() {
        Some(first) if !acronym => format!("{}{}", first.to_lowercase(), &doc[first.len_utf8()..]),
        _ => doc.to_owned(),
    }
}
