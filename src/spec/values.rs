//! Checks of single values: names, versions, hashes, URLs, paths, quantities.

use super::read::Sink;
use super::types::At;
use crate::base::{RelPath, RelPathError};
use std::ops::Range;
use std::str::FromStr;

/// Why a text is no name of a package: the bad part of it.
fn bad_name(name: &str) -> Option<Range<usize>> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.char_indices()
        .find(|(i, c)| !(good(*c) || *i > 0 && matches!(c, '+' | '.' | '_' | '-')))
        .map(|(i, c)| i..i + c.len_utf8())
}

/// Reports a bad name of a package; says whether it is good.
pub(super) fn name(sink: &Sink, name: &At<String>) -> bool {
    let Some(bad) = bad_name(&name.value) else { return true };
    let bound = name.value.find(|c: char| "<>=~!".contains(c)).map(|at| name.value[..at].trim());
    let lower = name.value.to_lowercase();
    let help = match bound {
        Some(bare) if !bare.is_empty() && bad_name(bare).is_none() => {
            format!("a workspace has one version of each package: write only `{bare}`")
        }
        _ if bad_name(&lower).is_none() => format!("write `{lower}`"),
        _ => "a name has lower-case letters, digits and `+._-`, and starts with a letter or digit".into(),
    };
    let message = format!("`{}` is not a name of a package", name.value);
    sink.error("bad-name", &sink.part(name, bad), message, "not allowed in a name", help);
    false
}

/// Reports a bad name of a needed package, which may name one of its passes; says whether it is good.
pub(super) fn need(sink: &Sink, need: &At<String>) -> bool {
    match need.value.split_once(':') {
        None => name(sink, need),
        Some((package, pass)) if package.is_empty() || pass.is_empty() => {
            let message = format!("`{}` is not a name of a pass", need.value);
            sink.error("bad-name", &need.span, message, "half of it is missing", "as in \"gcc:cross\"");
            false
        }
        Some((package, pass)) => {
            let (before, after) = (0..package.len(), package.len() + 1..need.value.len());
            let part = |value: &str, range| At { value: value.to_owned(), span: sink.part(need, range) };
            name(sink, &part(package, before)) & name(sink, &part(pass, after))
        }
    }
}

/// Reports a bad version.
pub(super) fn version(sink: &Sink, version: &At<String>) {
    let text = &version.value;
    let allowed = |i: usize, c: char| c.is_ascii_alphanumeric() || i > 0 && matches!(c, '.' | '+' | '_' | '~' | '-');
    if let Some((i, c)) = text.char_indices().find(|(i, c)| !allowed(*i, *c)) {
        let here = sink.part(version, i..i + c.len_utf8());
        let help = "a version has letters, digits and `.+_~-`, and starts with a letter or digit";
        sink.error("bad-version", &here, format!("`{text}` is not a version"), "not allowed in a version", help);
    } else if text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        let help = format!("write `{}`; the tag's own spelling goes into `vcs.tag`", &text[1..]);
        let here = sink.part(version, 0..1);
        sink.error("bad-version", &here, "a version starts without `v`", "leave this out", help);
    }
}

/// What a hash is the pin of, and so what helps when it is wrong.
pub(super) enum HashOf {
    /// A downloaded file.
    File,
    /// An exported git tree.
    Tree,
}

/// SHA-256 of no bytes at all: what a pin becomes when a failed download was hashed.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Parses a digest of 64 hexadecimal digits and reports what is wrong with it.
pub(super) fn digest<T: FromStr>(sink: &Sink, hash: &At<String>, of: &HashOf) -> Option<At<T>> {
    let text = hash.value.as_str();
    let all_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(rest) = text.strip_prefix("sha256").and_then(|rest| rest.strip_prefix([':', '-', '='])) {
        let help = if rest.len() == 64 {
            format!("write only the digits: \"{rest}\"")
        } else {
            "write the hash as 64 hexadecimal digits (`base64 -d | xxd -p -c 64` turns base64 into them)".into()
        };
        let here = sink.part(hash, 0..7);
        sink.error("bad-hash", &here, "a hash is written without its algorithm", "leave this out", help);
    } else if let (true, HashOf::File, Some(weak)) = (all_hex, of, weak_by_length(text.len())) {
        let message = format!("this is the length of {weak}, which does not fix a source");
        let here = format!("{} hexadecimal digits; SHA-256 has 64", text.len());
        sink.error("weak-hash", &hash.span, message, here, "write the SHA-256: `sha256sum FILE` prints it");
    } else if let Some((i, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
        let message = format!("`{}` is not a hexadecimal digit", c.escape_debug());
        sink.error("bad-hash", &sink.part(hash, i..i + c.len_utf8()), message, "not a hexadecimal digit", "");
    } else if text.len() != 64 {
        let help = match (text.len(), of) {
            (128, HashOf::File) => "this looks like SHA-512 or BLAKE2b; the pin is SHA-256: `sha256sum FILE` prints it",
            (96, HashOf::File) => "this looks like SHA-384; the pin is SHA-256: `sha256sum FILE` prints it",
            (_, HashOf::Tree) => "`parton hash URL --commit ID` prints the digest of the tree",
            _ => "",
        };
        let here = format!("{} hexadecimal digits", text.len());
        sink.error("hash-length", &hash.span, "the hash must have 64 hexadecimal digits", here, help);
    } else if text.bytes().all(|b| b == b'0') {
        let help = "`parton hash URL` downloads the source and prints the hash to write here";
        sink.error("bad-hash", &hash.span, "the hash is a placeholder", "nothing has this hash", help);
    } else if text.eq_ignore_ascii_case(EMPTY) {
        let help = "a failed download was hashed: fetch the file again";
        sink.error("bad-hash", &hash.span, "this is the hash of an empty file", "SHA-256 of no bytes", help);
    } else {
        return text.parse().ok().map(|value| At { value, span: hash.span.clone() });
    }
    None
}

fn weak_by_length(digits: usize) -> Option<&'static str> {
    match digits {
        32 => Some("an MD5"),
        40 => Some("a SHA-1"),
        _ => None,
    }
}

/// Reports a commit that is not a full id; says whether it is good.
pub(super) fn commit(sink: &Sink, commit: &At<String>) -> bool {
    let text = &commit.value;
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex && text.len() == 40 {
        return true;
    }
    let (here, help) = if hex && text.len() < 40 {
        ("abbreviated", format!("`git rev-parse {text}` prints all 40 digits"))
    } else if hex {
        ("too long for a commit id", String::new())
    } else {
        ("a name, not an id", format!("names move; `git rev-parse '{text}^{{commit}}'` prints what it names now"))
    };
    let message = "a commit is pinned by its full id of 40 hexadecimal digits";
    sink.error("bad-commit", &commit.span, message, here, help);
    false
}

/// Checks a fingerprint; returns it in upper case without spaces.
pub(super) fn fingerprint(sink: &Sink, written: &At<String>) -> Option<At<String>> {
    let help = "write the full fingerprint, as `gpg --show-keys` prints it";
    let digits: String = written.value.chars().filter(|c| *c != ' ').collect();
    if let Some((i, c)) = written.value.char_indices().find(|(_, c)| !c.is_ascii_hexdigit() && *c != ' ') {
        let here = sink.part(written, i..i + c.len_utf8());
        sink.error("bad-fingerprint", &here, "this is not a fingerprint", "not a hexadecimal digit", help);
        return None;
    }
    match digits.len() {
        40 | 64 => Some(At { value: digits.to_ascii_uppercase(), span: written.span.clone() }),
        8 | 16 => {
            let message = "a short key id can be forged";
            sink.error("bad-fingerprint", &written.span, message, "only the end of a fingerprint", help);
            None
        }
        found => {
            let message = "a fingerprint has 40 or 64 hexadecimal digits";
            sink.error("bad-fingerprint", &written.span, message, format!("{found} hexadecimal digits"), help);
            None
        }
    }
}

/// Checks a URL against the schemes that are possible here; returns the scheme if the URL is good.
pub(super) fn url<'u>(sink: &Sink, url: &'u At<String>, schemes: &[&str]) -> Option<&'u str> {
    let bad = |part: Range<usize>, message: String, here: &str, help: String| {
        sink.error("bad-url", &sink.part(url, part), message, here, help);
        None
    };
    let text = url.value.as_str();
    if let Some((i, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
        let message =
            format!("a URL contains {}", if c == ' ' { "a space".into() } else { format!("U+{:04X}", c as u32) });
        return bad(i..i + c.len_utf8(), message, "not allowed in a URL", "write it percent-encoded".into());
    }
    let known = || format!("known here: {}", schemes.join(", "));
    let Some((scheme, rest)) = text.split_once("://") else {
        let help = match text.split_once('/') {
            Some((host, _)) if host.contains('.') && schemes.contains(&"https") => format!("write https://{text}"),
            _ => known(),
        };
        return bad(0..text.len(), "this is not a URL".into(), "no scheme", help);
    };
    if !schemes.contains(&scheme) {
        let help = if schemes.contains(&scheme.to_lowercase().as_str()) {
            format!("write it in lower case: {}", scheme.to_lowercase())
        } else {
            known()
        };
        return bad(0..scheme.len(), format!("`{scheme}` can't be fetched"), "unknown scheme", help);
    }
    let start = scheme.len() + 3;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(at) = host.rfind('@') {
        let help = "a spec is public and ends up in every record; the machine that fetches keeps the password";
        return bad(start..start + at, "a URL contains a user name".into(), "leave this out", help.into());
    }
    if scheme == "file" && !rest.starts_with('/') {
        let message = "a file URL needs an absolute path";
        return bad(start..text.len().max(start), message.into(), "relative", "write file:///…".into());
    }
    if scheme != "file" && (host.is_empty() || host.starts_with(':')) {
        return bad(0..text.len(), "a URL names no host".into(), "no host", String::new());
    }
    Some(scheme)
}

/// Reports a path that could leave its directory; says whether it is good.
pub(super) fn inner_path(sink: &Sink, path: &At<String>, what: &str) -> bool {
    let Err(error) = RelPath::new(&path.value) else { return true };
    let (here, help) = match error {
        RelPathError::Absolute => ("absolute", "paths in a spec are relative"),
        RelPathError::Parent => ("leaves the directory", "a path must stay below its directory: leave out `..`"),
        RelPathError::Empty => ("names nothing", "leave the key out to mean the directory itself"),
        RelPathError::Nul | RelPathError::TooLong => ("no file can have this name", ""),
    };
    sink.error("unsafe-path", &path.span, format!("{what}: {error}"), here, help);
    false
}

/// Seconds from `90`, `"45s"`, `"1h30m"`.
pub(super) fn duration(sink: &Sink, written: &At<String>) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
    let text = written.value.replace(' ', "");
    let parsed = quantities(&text, |unit| UNITS.iter().find(|(name, _)| *name == unit).map(|(_, times)| *times));
    let help = "write seconds, or units as in \"45s\", \"90m\", \"2h\", \"1h30m\", \"1d\"";
    quantity(sink, written, parsed, "a duration", help)
}

/// Bytes from `1048576`, `"512MiB"`, `"4 GB"`.
pub(super) fn size(sink: &Sink, written: &At<String>) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("B", 1),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let text = written.value.replace(' ', "");
    let parsed = quantities(&text, |unit| UNITS.iter().find(|(name, _)| *name == unit).map(|(_, times)| *times));
    let help = match text.trim_start_matches(|c: char| c.is_ascii_digit()) {
        unit @ ("K" | "M" | "G" | "T" | "k" | "m" | "g" | "t" | "kb" | "mb" | "gb" | "tb" | "kib" | "mib" | "gib"
        | "tib") => {
            format!("write \"{}{}iB\"", text.trim_end_matches(char::is_alphabetic), unit[..1].to_uppercase())
        }
        _ => "write bytes, or a unit as in \"512MiB\", \"4GiB\", \"2GB\"".into(),
    };
    quantity(sink, written, parsed, "a size", &help)
}

/// Sums `number unit` pairs; a bare number counts ones. `Err(true)` when the sum is too large.
fn quantities(text: &str, times: impl Fn(&str) -> Option<u64>) -> Result<u64, bool> {
    if text.is_empty() {
        return Err(false);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| true);
    }
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or(false)?;
        let number: u64 = if unit_at == 0 { return Err(false) } else { rest[..unit_at].parse().map_err(|_| true)? };
        let unit_end = rest[unit_at..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| unit_at + end);
        let factor = times(&rest[unit_at..unit_end]).ok_or(false)?;
        sum = number.checked_mul(factor).and_then(|more| sum.checked_add(more)).ok_or(true)?;
        rest = &rest[unit_end..];
    }
    Ok(sum)
}

fn quantity(sink: &Sink, written: &At<String>, parsed: Result<u64, bool>, what: &str, help: &str) -> Option<u64> {
    let text = &written.value;
    match parsed {
        Ok(0) => sink.error("out-of-range", &written.span, "a limit of nothing", "must be more than 0", ""),
        Ok(number) if i64::try_from(number).is_ok() => return Some(number),
        Ok(_) | Err(true) => sink.error("out-of-range", &written.span, "a limit is out of range", "too large", ""),
        Err(false) => sink.error("bad-unit", &written.span, format!("`{text}` is not {what}"), "not understood", help),
    }
    None
}

/// Reports the name of a variable that no shell could set.
pub(super) fn variable(sink: &Sink, name: &At<String>) {
    let good = |(i, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || i > 0 && c.is_ascii_digit();
    if name.value.is_empty() || !name.value.char_indices().all(good) {
        let message = format!("`{}` is not the name of a variable", name.value);
        let help = "letters, digits and `_`, not starting with a digit";
        sink.error("bad-variable", &name.span, message, "no shell could set it", help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T>(text: &str, check: impl Fn(&Sink, &At<String>) -> T) -> (T, Vec<&'static str>) {
        let sink = Sink::new("t".into(), format!("\"{text}\""));
        let at = At { value: text.to_owned(), span: 0..text.len() + 2 };
        let value = check(&sink, &at);
        (value, sink.finish().iter().map(|diagnostic| diagnostic.rule).collect())
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("90", 90), ("45s", 45), ("1h30m", 5400), ("2 h", 7200), ("1d", 86400)] {
            assert_eq!(of(text, duration), (Some(seconds), vec![]), "{text}");
        }
        for (text, rule) in [
            ("", "bad-unit"),
            ("2 hours", "bad-unit"),
            ("h", "bad-unit"),
            ("1h30", "bad-unit"),
            ("1.5h", "bad-unit"),
            ("-1", "bad-unit"),
            ("0", "out-of-range"),
            ("99999999999999999999", "out-of-range"),
            ("9223372036854775807d", "out-of-range"),
        ] {
            assert_eq!(of(text, duration), (None, vec![rule]), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1", 1), ("4GiB", 4 << 30), ("2 GB", 2_000_000_000), ("1GiB512MiB", 1536 << 20)] {
            assert_eq!(of(text, size), (Some(bytes), vec![]), "{text}");
        }
        for text in ["4G", "4gb", "GiB", "four", "4 Gibi"] {
            assert_eq!(of(text, size), (None, vec!["bad-unit"]), "{text}");
        }
    }

    #[test]
    fn names() {
        for text in ["zlib", "gtk+", "libstdc++", "7zip", "a.b_c-d"] {
            assert_eq!(of(text, name), (true, vec![]), "{text}");
        }
        for text in ["Zlib", "-a", "a b", "a/b", "ä", "zlib>=1.2"] {
            assert_eq!(of(text, name), (false, vec!["bad-name"]), "{text}");
        }
    }

    #[test]
    fn urls() {
        let schemes = ["https", "http", "file"];
        for text in ["https://a.b/c.tar.gz", "http://a", "file:///srv/x", "https://a/%20?q=1"] {
            assert!(of(text, |s, a| url(s, a, &schemes).is_some()).0, "{text}");
        }
        for text in [
            "",
            "a.b/c",
            "ftp://a/b",
            "HTTPS://a",
            "https://",
            "https:///a",
            "https://:80/",
            "https://me:pw@a/b",
            "file://a/b",
            "https://a/b c",
            "https://a/b\u{1b}",
            "https://a/\u{202e}b",
        ] {
            let (good, rules) = of(text, |s, a| url(s, a, &schemes).is_some());
            assert!(!good && rules == ["bad-url"], "{text:?} {rules:?}");
        }
    }

    #[test]
    fn fingerprints_lose_their_spaces() {
        let text = "5ED4 6A67 21D3 6558 7791  E2AA 783F CD8E 58BC AFBA".to_lowercase();
        let (found, rules) = of(&text, fingerprint);
        assert_eq!((found.unwrap().value.as_str(), rules), ("5ED46A6721D365587791E2AA783FCD8E58BCAFBA", vec![]));
    }
}
