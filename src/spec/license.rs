//! Licence expressions: checked by the SPDX list, with the place inside of the expression.

use super::read::Sink;
use super::types::At;
use crate::base::nearest;
use spdx::error::Reason;
use spdx::expression::ExpressionReq;
use spdx::{LicenseItem, ParseMode};

/// Deprecated identifiers are let through here, to be warned about by name.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

/// Reports what is wrong with a licence expression.
pub(super) fn check(sink: &Sink, license: &At<String>) {
    if unknown_words(sink, license) {
        return;
    }
    let expression = match spdx::Expression::parse_mode(&license.value, MODE) {
        Ok(expression) => expression,
        Err(error) => {
            let start = error.span.start.min(license.value.len());
            let end = error.span.end.clamp(start, license.value.len());
            let (here, help) = match error.reason {
                Reason::GnuNoPlus | Reason::GnuPlusWithSuffix => {
                    let id = license.value[..start].rsplit([' ', '(']).next().unwrap_or_default();
                    let base = id.trim_end_matches("-only").trim_end_matches("-or-later");
                    ("GNU licences have no `+`", format!("write `{base}-or-later`"))
                }
                Reason::Unexpected(_) => {
                    ("not expected here", "join several licences by AND (all hold) or OR (one may be chosen)".into())
                }
                Reason::UnclosedParens => ("never closed", String::new()),
                Reason::UnopenedParens => ("never opened", String::new()),
                Reason::SeparatedPlus => ("the `+` belongs to the word before it", String::new()),
                _ => ("not understood", "write it as in `MIT OR (Apache-2.0 AND BSD-3-Clause)`".into()),
            };
            sink.error("license", &sink.part(license, start..end), "the licence is not an SPDX expression", here, help);
            return;
        }
    };
    for ExpressionReq { req, span } in expression.requirements() {
        let LicenseItem::Spdx { id, .. } = &req.license else { continue };
        if id.is_deprecated() {
            let span = span.start as usize..span.end as usize;
            let help = successor(id.name);
            let why = if id.is_gnu() { ": it does not say whether later versions are allowed" } else { "" };
            let message = format!("`{}` is deprecated{why}", id.name);
            sink.warning("deprecated-license", &sink.part(license, span), message, "deprecated by SPDX", help);
        }
    }
}

/// Reports every word that is neither an operator nor in SPDX's lists; says whether there was one.
fn unknown_words(sink: &Sink, license: &At<String>) -> bool {
    let mut found = false;
    let mut after_with = false;
    let mut start = 0;
    for word in license.value.split([' ', '\t', '\n', '(', ')']) {
        let span = start..start + word.len();
        start = span.end + 1;
        if word.is_empty() {
            continue;
        }
        let base = word.strip_suffix('+').unwrap_or(word);
        let known = matches!(word, "AND" | "and" | "OR" | "or" | "WITH" | "with" | "+")
            || spdx::license_id(base).is_some()
            || spdx::license_id(word).is_some()
            || spdx::exception_id(word).is_some()
            || ["LicenseRef-", "DocumentRef-", "AdditionRef-"].iter().any(|own| word.starts_with(own));
        if !known {
            let help = if after_with { suggest_exception(word) } else { suggest(word) };
            let message = format!("SPDX knows no {} `{word}`", if after_with { "exception" } else { "licence" });
            sink.error("license", &sink.part(license, span), message, "not in its list", help);
            found = true;
        }
        after_with = word.eq_ignore_ascii_case("with");
    }
    found
}

fn suggest_exception(word: &str) -> String {
    let known = || spdx::identifiers::EXCEPTIONS.iter().map(|exception| exception.name);
    let same = known().find(|name| name.eq_ignore_ascii_case(word));
    match same.or_else(|| nearest(word, known())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write an exception of https://spdx.org/licenses/exceptions-index.html".into(),
    }
}

/// What to write instead of an identifier that SPDX deprecated.
fn successor(name: &str) -> String {
    let base = name.trim_end_matches('+');
    let is_gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|family| name.starts_with(family));
    if is_gnu && name.contains("-with-") {
        return "write the exception by WITH, as in `GPL-2.0-only WITH Classpath-exception-2.0`".into();
    }
    if is_gnu && name.ends_with('+') {
        return format!("write `{base}-or-later`");
    }
    if is_gnu {
        return format!("write `{base}-only` or `{base}-or-later`, as the sources say");
    }
    String::new()
}

/// The identifier that was most likely meant.
fn suggest(word: &str) -> String {
    let word = word.trim();
    let lower = word.to_lowercase();
    let ids = || spdx::identifiers::LICENSES.iter().map(|license| license.name);
    if let Some(id) = ids().find(|id| id.to_lowercase() == lower) {
        return format!("did you mean `{id}`?");
    }
    let families: &[(&[&str], &str)] = &[
        (&["gpl", "gplv2", "gpl2", "gpl-2"], "write `GPL-2.0-only` or `GPL-2.0-or-later`, as the sources say"),
        (&["gplv3", "gpl3", "gpl-3"], "write `GPL-3.0-only` or `GPL-3.0-or-later`, as the sources say"),
        (&["gplv2+", "gpl2+"], "did you mean `GPL-2.0-or-later`?"),
        (&["gplv3+", "gpl3+"], "did you mean `GPL-3.0-or-later`?"),
        (
            &["lgpl", "lgplv2.1", "lgpl2.1", "lgpl-2.1"],
            "write `LGPL-2.1-only` or `LGPL-2.1-or-later`, as the sources say",
        ),
        (&["bsd", "bsd-2", "bsd-3", "bsd2", "bsd3"], "write `BSD-2-Clause` or `BSD-3-Clause`, as the sources say"),
        (&["apache", "apache2", "apache-2", "asl2"], "did you mean `Apache-2.0`?"),
        (
            &["public", "public-domain", "pd"],
            "there is no such licence: write `LicenseRef-public-domain`, or `CC0-1.0` or `Unlicense` if it is one of these",
        ),
        (&["expat", "mit/x11", "x11/mit"], "did you mean `MIT`?"),
    ];
    if let Some((_, help)) = families.iter().find(|(words, _)| words.contains(&lower.as_str())) {
        return (*help).to_owned();
    }
    if let Some((id, _)) = spdx::imprecise_license_id(&lower) {
        return format!("did you mean `{}`?", id.name);
    }
    nearest(word, ids()).map_or_else(
        || "write an identifier of https://spdx.org/licenses, or `LicenseRef-NAME` for a licence of its own".into(),
        |near| format!("did you mean `{near}`?"),
    )
}
