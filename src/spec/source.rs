//! Reading `[[source]]`.

use super::package::Place;
use super::read::Cursor;
use super::types::{At, Origin, Signature, SignedOver, Source, SourceKind, Vcs};
use super::values::{self, HashOf};
use crate::base::{Diagnostic, nearest};

const FILE_SCHEMES: &[&str] = &["https", "http", "file"];
const GIT_SCHEMES: &[&str] = &["https", "http", "git", "file"];

/// Reads one source; `None` when it has mistakes, all of which are reported.
pub(super) fn source(table: &Cursor<'_>, place: &Place<'_>, first: bool) -> Option<Source> {
    let origin = origin(table);
    let origin_note = table.text("origin-note").map(|note| note.value);
    if origin == Origin::Repack && !table.has("origin-note") {
        let span = table.place_of("origin");
        let help = "write origin-note = \"who repacked it, why, and what was left out\"";
        table.sink.error("missing-note", &span, "a repack needs a reason", "no `origin-note`", help);
    }
    let dir = table.text("dir").filter(|dir| values::inner_path(table.sink, dir, "`dir`"));
    let vcs = table.table("vcs").and_then(|vcs| read_vcs(&vcs));
    let is_git = ["git", "commit", "tree"].iter().any(|key| table.has(key));
    let kind = if is_git { git(table) } else { file(table, place, origin) };
    let unpacked = table.flag("unpack") != Some(false);
    if !first && unpacked && !table.has("dir") {
        let help = "write dir = \"NAME\", a directory below /build; only the first source has a default";
        table.sink.error("missing-key", &table.span, "`dir` is missing", "a further source", help);
        return None;
    }
    Some(Source { kind: kind?, origin, origin_note, dir, vcs, span: table.span.clone() })
}

fn origin(table: &Cursor<'_>) -> Origin {
    match table.choice("origin").map(|origin| origin.value) {
        Some("forge") => Origin::Forge,
        Some("repack") => Origin::Repack,
        _ => Origin::Release,
    }
}

fn conflict(table: &Cursor<'_>, keys: &[&str], with: &str) {
    for key in keys {
        if let Some(span) = table.key_span(key) {
            let message = format!("`{key}` has no meaning {with}");
            table.sink.error("conflicting-keys", &span, message, "", format!("leave out `{key}`"));
        }
    }
}

fn file(table: &Cursor<'_>, place: &Place<'_>, origin: Origin) -> Option<SourceKind> {
    let sink = table.sink;
    let urls = table.texts("urls");
    if urls.is_empty() && (!table.has("urls") || table.is_empty_list("urls")) {
        let (message, here) = match table.has("urls") {
            true => ("a source without a URL", "empty"),
            false => ("a source needs `urls` or `git`", "neither is here"),
        };
        let help = "write urls = [\"https://…\"], the places where upstream publishes this file";
        sink.error("empty-urls", &table.place_of("urls"), message, here, help);
    }
    let mut plain = None;
    for (i, url) in urls.iter().enumerate() {
        if urls[..i].iter().any(|before| before.value == url.value) {
            sink.warning("duplicate-url", &url.span, "a URL is written twice", "again here", "");
        }
        if values::url(sink, url, FILE_SCHEMES) == Some("http") && plain.is_none() {
            plain = Some(url);
        }
    }
    let sha256 = if let Some(hash) = table.text("sha256") {
        values::digest(sink, &hash, &HashOf::File)
    } else {
        if !table.has("sha256") && !table.has_weak_hash() {
            missing_hash(table, plain);
        }
        None
    };
    if let (Some(url), true) = (plain, table.has("sha256")) {
        let message = "plain http lets everyone on the way read along";
        let help = "write https:// if upstream serves it; the hash protects the content all the same";
        sink.warning("http-url", &sink.part(url, 0..4), message, "not encrypted", help);
    }
    if origin == Origin::Release
        && let Some(url) = urls.iter().find(|url| is_forge_archive(&url.value))
    {
        let message = "this looks like an archive that the forge generates from a tag";
        let help = "its bytes may change one day: use upstream's released file, or write origin = \"forge\"";
        sink.warning("forge-archive", &url.span, message, "not a released file", help);
    }
    let size = table.integer("size", 1..=i64::MAX as u64);
    let unpack = table.flag("unpack").unwrap_or(true);
    if !unpack {
        conflict(table, &["strip", "nested"], "with `unpack = false`");
    }
    let strip = table.integer("strip", 0..=16).unwrap_or(1) as u32;
    let nested = table.text("nested").filter(|path| values::inner_path(sink, path, "`nested`"));
    let signature = match table.table("signature") {
        Some(signature) => Some(read_signature(&signature, place)?),
        None => None,
    };
    Some(SourceKind::File {
        urls,
        sha256: sha256?,
        size,
        signature: signature.map(Box::new),
        unpack,
        strip,
        nested: nested.map(|path| path.value),
    })
}

fn missing_hash(table: &Cursor<'_>, plain: Option<&At<String>>) {
    let sink = table.sink;
    let help =
        "`parton hash URL` downloads it and prints the line to write here; compare it with what upstream publishes";
    let Some(url) = plain else {
        sink.error("missing-hash", &table.span, "a source has no hash", "no `sha256`", help);
        return;
    };
    let message = "plain http and no hash: anyone on the way can put in other bytes";
    sink.push(
        Diagnostic::error("http-without-hash", message, sink.label(&sink.part(url, 0..4), "not encrypted"))
            .label(sink.label(&table.span, "no `sha256`"))
            .help(help),
    );
}

/// Whether a forge makes this file on request, instead of serving one that upstream uploaded.
fn is_forge_archive(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let forge = ["github.com", "codeberg.org", "gitea.com", "git.sr.ht"].contains(&host);
    host == "codeload.github.com" || path.contains("/-/archive/") || forge && path.contains("/archive/")
}

fn git(table: &Cursor<'_>) -> Option<SourceKind> {
    let sink = table.sink;
    conflict(table, &["urls", "sha256", "size", "signature", "unpack", "strip", "nested"], "in a git source");
    let need = |key: &'static str, rule: &'static str, help: &str| {
        if !table.has(key) {
            sink.error(rule, &table.span, format!("a git source without `{key}`"), format!("no `{key}`"), help);
        }
    };
    need("git", "missing-key", "write git = \"https://…\", the clone URL");
    need("commit", "missing-key", "write the full commit id; a tag or branch may move");
    need(
        "tree",
        "missing-tree",
        "`parton hash URL --commit ID` prints the digest of its tree to write here: a commit id alone is only SHA-1",
    );
    let url = table.text("git").filter(|url| git_url(table, url));
    let commit = table.text("commit").filter(|commit| values::commit(sink, commit));
    let tree = table.text("tree").and_then(|tree| values::digest(sink, &tree, &HashOf::Tree));
    Some(SourceKind::Git { url: url?, commit: commit?, tree: tree? })
}

fn git_url(table: &Cursor<'_>, url: &At<String>) -> bool {
    let scheme = values::url(table.sink, url, GIT_SCHEMES);
    if let Some(scheme @ ("http" | "git")) = scheme {
        let message = format!("plain {scheme} lets everyone on the way read along");
        let help = "write https:// if upstream serves it; the pin protects the content all the same";
        table.sink.warning("http-url", &table.sink.part(url, 0..scheme.len()), message, "not encrypted", help);
    }
    scheme.is_some()
}

fn read_vcs(table: &Cursor<'_>) -> Option<Vcs> {
    let git = table.text("git").filter(|url| git_url(table, url));
    let tag = table.text("tag");
    let commit = table.text("commit").filter(|commit| values::commit(table.sink, commit));
    Some(Vcs { git: git?, tag, commit })
}

fn read_signature(table: &Cursor<'_>, place: &Place<'_>) -> Option<Signature> {
    let sink = table.sink;
    let urls = table.texts("urls");
    for url in &urls {
        values::url(sink, url, FILE_SCHEMES);
    }
    if urls.is_empty() && !table.has("sha256") && (!table.has("urls") || table.is_empty_list("urls")) {
        let help = "write urls = [\"https://…\"], the place where upstream publishes the signature";
        sink.error("empty-urls", &table.place_of("urls"), "a signature without a place", "no URL", help);
    }
    let sha256 = table.text("sha256").map(|hash| values::digest(sink, &hash, &HashOf::File));
    let key = table.text("key").filter(|key| values::inner_path(sink, key, "`key`"));
    if let Some(key) = &key {
        key_exists(table, place, key);
    }
    let fingerprint = table.text("fingerprint").and_then(|written| values::fingerprint(sink, &written));
    let over = match table.choice("over").map(|over| over.value) {
        Some("uncompressed") => SignedOver::Uncompressed,
        _ => SignedOver::File,
    };
    let may_be_missing = table.text("may-be-missing").map(|reason| reason.value);
    let may_be_sha1 = table.text("may-be-sha1").map(|reason| reason.value);
    let (sha256, key, fingerprint) = (sha256.flatten(), key?, fingerprint?);
    Some(Signature { urls, sha256, key, fingerprint, over, may_be_missing, may_be_sha1 })
}

fn key_exists(table: &Cursor<'_>, place: &Place<'_>, key: &At<String>) {
    let path = place.dir().join(&key.value);
    if path.is_file() {
        return;
    }
    let dir = key.value.rsplit_once('/').map_or("", |(dir, _)| dir);
    let beside = super::workspace::files_below(&place.dir().join(dir), 1);
    let file = key.value.rsplit('/').next().unwrap_or_default();
    let help = match nearest(file, beside.iter().map(String::as_str)) {
        Some(near) if dir.is_empty() => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{dir}/{near}`?"),
        None => format!("put upstream's public key there: specs/{}/{}", place.name, key.value),
    };
    let message = format!("there is no key file `{}`", key.value);
    table.sink.error("key-missing", &key.span, message, "no such file", help);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forges_are_known_by_their_paths() {
        for url in [
            "https://github.com/a/b/archive/refs/tags/v1.tar.gz",
            "https://github.com/a/b/archive/v1.tar.gz",
            "https://codeload.github.com/a/b/tar.gz/v1",
            "https://gitlab.example.org/a/b/-/archive/v1/b-v1.tar.gz",
            "https://git.sr.ht/~a/b/archive/1.0.tar.gz",
        ] {
            assert!(is_forge_archive(url), "{url}");
        }
        for url in ["https://github.com/a/b/releases/download/v1/b-1.tar.gz", "https://example.org/archive/b-1.tar.gz"]
        {
            assert!(!is_forge_archive(url), "{url}");
        }
    }
}
