//! Differences as one page for a browser: nothing in it is fetched from anywhere, and no script runs in it.

use super::diff::{Diff, size};
use crate::compare::{Bytes, Change, Difference, Place, Sides, What};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = include_str!("html.css");
/// With more differences than this, each is folded.
const OPEN: usize = 40;
/// With more than this, so is each directory.
const OPEN_DIRS: usize = 2000;
/// How much of its first place a folded file says.
const GLANCE: usize = 100;

/// The page.
pub fn page(diff: &Diff) -> String {
    let mut out = String::with_capacity(4096 + diff.differences.len() * 512);
    let title = format!("{} and {}", escaped(&diff.a), escaped(&diff.b));
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>Differences</h1>\n\
         <dl><dt class=\"a\">first</dt><dd>{}</dd><dt class=\"b\">second</dt><dd>{}</dd></dl>\n",
        escaped(&diff.a),
        escaped(&diff.b)
    );
    summary(diff, &mut out);
    out.push_str("</header>\n<main>\n");
    let open = diff.differences.len() <= OPEN;
    // Files of one directory are folded together: a page of thousands of them stays a page.
    let mut rest = &diff.differences[..];
    while let Some(first) = rest.first() {
        let dir = directory(first);
        let length = rest.iter().take_while(|other| directory(other) == dir).count();
        let (group, others) = rest.split_at(length);
        let _ = writeln!(
            out,
            "<details class=\"dir\"{}><summary>{} <small>{}</small></summary>",
            if diff.differences.len() <= OPEN_DIRS { " open" } else { "" },
            if dir.is_empty() { "(top)".to_owned() } else { format!("{}/", escaped(&dir)) },
            length
        );
        group.iter().for_each(|one| difference(one, open, &mut out));
        out.push_str("</details>\n");
        rest = others;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn directory(difference: &Difference) -> String {
    let path = difference.path.to_string();
    path.rsplit_once('/').map_or(String::new(), |(dir, _)| dir.to_owned())
}

fn summary(diff: &Diff, out: &mut String) {
    if diff.differences.is_empty() {
        out.push_str("<p class=\"equal\">no differences</p>\n");
        return;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &diff.differences {
        *counts.entry(kind(&one.what)).or_default() += 1;
    }
    let counts = counts.iter().map(|(what, count)| format!("<li><b>{count}</b> {what}</li>"));
    let _ = writeln!(out, "<ul class=\"counts\">{}</ul>", counts.collect::<String>());
}

fn kind(what: &What) -> &'static str {
    match what {
        What::OnlyIn { side: crate::compare::Side::A, .. } => "only in the first",
        What::OnlyIn { side: crate::compare::Side::B, .. } => "only in the second",
        What::Kind(_) => "of another kind",
        What::Mode(_) => "with other permissions",
        What::LinkTarget(_) => "links that lead elsewhere",
        What::Content(_) => "with other content",
    }
}

fn difference(difference: &Difference, open: bool, out: &mut String) {
    let path = difference.path.to_string();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let open = if open { " open" } else { "" };
    let notes: String =
        difference.notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note))).collect();
    match &difference.what {
        What::Content(content) => {
            // A folded file says what its first place is.
            let glance = content.places.first().filter(|_| open.is_empty()).map_or_else(String::new, |place| {
                let line = place.to_string();
                let end = if line.chars().nth(GLANCE).is_some() { "…" } else { "" };
                format!(" {}{end}", line.chars().take(GLANCE).collect::<String>())
            });
            let _ = write!(
                out,
                "<details class=\"file\"{open}><summary><code>{}</code><small>{}{}</small></summary>\n{notes}",
                escaped(name),
                escaped(&size(content)),
                escaped(&glance)
            );
            places(&content.places, content.more, out);
            out.push_str("</details>\n");
        }
        what => {
            let _ = writeln!(
                out,
                "<div class=\"file plain\"><code>{}</code> {}{notes}</div>",
                escaped(name),
                escaped(&what.to_string())
            );
        }
    }
}

fn places(list: &[Place], more: bool, out: &mut String) {
    out.push_str("<ul>\n");
    list.iter().for_each(|one| place(one, out));
    if more {
        out.push_str("<li class=\"unseen\">and more</li>\n");
    }
    out.push_str("</ul>\n");
}

fn place(place: &Place, out: &mut String) {
    let (parts, more) = place.parts();
    if !parts.is_empty() {
        let _ = writeln!(out, "<li><details open><summary>{}</summary>", escaped(&place.label()));
        places(parts, more, out);
        out.push_str("</details></li>\n");
        return;
    }
    match place {
        Place::Bytes { offset, hex } => {
            let show = |side: &str| Some(Bytes(side).to_string());
            pair(&format!("byte {offset:#x}"), &Sides { a: show(&hex.a), b: show(&hex.b) }, out);
        }
        Place::TextLine { line, line_b, text } => {
            let label = if line == line_b { format!("line {line}") } else { format!("line {line} / {line_b}") };
            pair(&label, text, out);
        }
        Place::Instruction { offset, text } => pair(&format!("+{offset:#x}"), text, out),
        Place::Header { field, .. } | Place::Part { change: Change::Field(field), .. } => {
            let label = place.label();
            let values = format!("{} → {}", field.values.a, field.values.b);
            let label = label.strip_suffix(&values).unwrap_or(&label).trim_end();
            let Sides { a, b } = &field.values;
            pair(label, &Sides { a: Some(a.clone()), b: Some(b.clone()) }, out);
        }
        Place::Unseen { .. } => {
            let _ = writeln!(out, "<li class=\"unseen\">{}</li>", escaped(&place.label()));
        }
        _ => {
            let _ = writeln!(out, "<li>{}</li>", escaped(&place.label()));
        }
    }
}

/// Two values, one above the other, with what they do not have in common marked.
fn pair(label: &str, values: &Sides<Option<String>>, out: &mut String) {
    let _ = write!(out, "<li><span class=\"at\">{}</span><div class=\"pair\">", escaped(label));
    let (a, b) = (values.a.as_deref(), values.b.as_deref());
    let (front, back) = match (a, b) {
        (Some(a), Some(b)) => in_common(a, b),
        _ => (0, 0),
    };
    for (class, sign, value) in [("a", "−", a), ("b", "+", b)] {
        let Some(value) = value else { continue };
        let (start, middle, end) = match a.is_some() && b.is_some() {
            true => (&value[..front], &value[front..value.len() - back], &value[value.len() - back..]),
            false => ("", value, ""),
        };
        let _ = write!(
            out,
            "<code class=\"{class}\"><i>{sign}</i>{}<mark>{}</mark>{}</code>",
            escaped(start),
            escaped(middle),
            escaped(end)
        );
    }
    out.push_str("</div></li>\n");
}

/// How many bytes two texts have in common at their beginning and at their end, in whole characters.
fn in_common(a: &str, b: &str) -> (usize, usize) {
    let front: usize = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    let (x, y) = (&a[front..], &b[front..]);
    let back: usize = x.chars().rev().zip(y.chars().rev()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    (front, back)
}

/// Text as it may stand anywhere in the page, in attributes too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
