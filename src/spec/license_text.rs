//! Licences recognised by what their texts say.
//!
//! Evidence for a person who writes a spec, not a judgement: whoever writes `license` has to read the files.

/// A licence that a text seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseGuess {
    /// SPDX expression.
    pub expression: String,
    /// The file it was found in.
    pub file: String,
    /// What in the file speaks for it.
    pub evidence: String,
    /// Whether the evidence settles it: the texts of the GPL family do not say whether later versions are allowed.
    pub sure: bool,
}

/// A licence and the phrases that its text has and that it does not have.
struct Text {
    id: &'static str,
    has: &'static [&'static str],
    has_not: &'static [&'static str],
}

const BSD: &str =
    "redistribution and use in source and binary forms, with or without modification, are permitted provided";
const NO_ENDORSEMENT: &str = "to endorse or promote";
const ADVERTISING: &str = "all advertising materials mentioning features or use of this software";
const MIT: &str =
    "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated";
const ISC: &str = "distribute this software for any purpose with or without fee is hereby granted";
const ISC_NOTICE: &str = "provided that the above copyright notice and this permission notice appear in all copies";
const MARKED: &str = "altered source versions must be plainly marked as such";
const NO_WARRANTY: &str = "the software is provided as is, without warranty of any kind";

const TEXTS: &[Text] = &[
    Text { id: "Apache-2.0", has: &["apache license version 2.0, january 2004"], has_not: &[] },
    Text { id: "MPL-2.0", has: &["mozilla public license version 2.0"], has_not: &[] },
    Text { id: "BSL-1.0", has: &["boost software license - version 1.0"], has_not: &[] },
    Text { id: "CC0-1.0", has: &["cc0 1.0 universal"], has_not: &[] },
    Text {
        id: "Unlicense",
        has: &["this is free and unencumbered software released into the public domain"],
        has_not: &[],
    },
    Text { id: "OpenSSL", has: &["openssl license", "original ssleay license"], has_not: &[] },
    Text {
        id: "MIT",
        has: &[MIT, "permission notice"],
        has_not: &["except as contained in this notice, the name", "shall be used for good", "neither the names of"],
    },
    Text { id: "X11", has: &[MIT, "except as contained in this notice, the name"], has_not: &[] },
    Text { id: "ISC", has: &[ISC, ISC_NOTICE], has_not: &[NO_WARRANTY] },
    Text { id: "curl", has: &[ISC, ISC_NOTICE, NO_WARRANTY], has_not: &[] },
    Text { id: "0BSD", has: &[ISC], has_not: &[ISC_NOTICE] },
    Text { id: "bzip2-1.0.6", has: &[MARKED, "redistributions of source code must retain", "julian"], has_not: &[] },
    Text {
        id: "Zlib",
        has: &[MARKED, "the origin of this software must not be misrepresented"],
        has_not: &["redistributions of source code must retain"],
    },
    Text { id: "BSD-4-Clause", has: &[BSD, ADVERTISING, NO_ENDORSEMENT], has_not: &["openssl"] },
    Text { id: "BSD-3-Clause", has: &[BSD, NO_ENDORSEMENT], has_not: &[ADVERTISING, MARKED] },
    Text { id: "BSD-2-Clause", has: &[BSD], has_not: &[NO_ENDORSEMENT, ADVERTISING] },
    Text { id: "PSF-2.0", has: &["python software foundation license version 2"], has_not: &[] },
];

/// The GNU texts: identifier without its ending, and the title as it stands in the text.
const GNU: &[(&str, &str)] = &[
    ("AGPL-3.0", "gnu affero general public license version 3, 19 november 2007"),
    ("GPL-3.0", "gnu general public license version 3, 29 june 2007"),
    ("GPL-2.0", "gnu general public license version 2, june 1991"),
    ("GPL-1.0", "gnu general public license version 1, february 1989"),
    ("LGPL-3.0", "gnu lesser general public license version 3, 29 june 2007"),
    ("LGPL-2.1", "gnu lesser general public license version 2.1, february 1999"),
    ("LGPL-2.0", "gnu library general public license version 2, june 1991"),
];

/// What the text of a licence file seems to be. `headers` are the beginnings of some source files, by name: where the
/// licence is of the GPL family, only they say whether later versions are allowed.
pub(super) fn recognise(file: &str, text: &str, headers: &[(String, String)]) -> Vec<LicenseGuess> {
    let guess = |expression: &str, evidence: String, sure| LicenseGuess {
        expression: expression.to_owned(),
        file: file.to_owned(),
        evidence,
        sure,
    };
    if let Some(tag) = spdx_tag(text) {
        return vec![guess(&tag, "SPDX-License-Identifier".into(), true)];
    }
    let plain = plain(text);
    let mut found = Vec::new();
    for (id, title) in GNU.iter().filter(|(_, title)| plain.contains(title)) {
        found.push(gnu(&guess, id, title, headers));
    }
    for text in TEXTS {
        let fits = text.has.iter().all(|phrase| plain.contains(phrase))
            && !text.has_not.iter().any(|phrase| plain.contains(phrase));
        // The GNU texts quote no other licence; a permissive one beside them in the same file is a second licence.
        if fits {
            let evidence = format!("“{}…”", text.has[0].chars().take(60).collect::<String>().trim_end());
            found.push(guess(text.id, evidence, true));
        }
    }
    if found.iter().any(|found| found.expression.starts_with("LGPL-3.0")) {
        // It is written as additions to the GPL, whose text some put into the same file.
        found.retain(|found| !found.expression.starts_with("GPL-3.0"));
    }
    if found.iter().any(|found| found.expression == "OpenSSL") {
        found.retain(|found| !found.expression.starts_with("BSD-"));
    }
    found
}

fn gnu(
    guess: &dyn Fn(&str, String, bool) -> LicenseGuess,
    id: &str,
    title: &str,
    headers: &[(String, String)],
) -> LicenseGuess {
    let family = id.split('-').next().unwrap_or_default();
    for (file, header) in headers {
        if let Some(tag) = spdx_tag(header)
            && tag.starts_with(family)
        {
            return guess(&tag, format!("SPDX-License-Identifier in {file}"), true);
        }
        let header = plain(header);
        if !header.contains("general public license") {
            continue;
        }
        if header.contains("any later version") {
            return guess(&format!("{id}-or-later"), format!("“any later version” in {file}"), true);
        }
        let number = id.rsplit('-').next().unwrap_or_default().trim_end_matches(".0");
        if header.contains(&format!("version {number}")) {
            return guess(&format!("{id}-only"), format!("“version {number}” without “later” in {file}"), true);
        }
    }
    let title = title.split(',').next().unwrap_or(title);
    let evidence =
        format!("the text of the {title}; it does not say whether later versions are allowed, the sources do");
    guess(&format!("{id}-or-later"), evidence, false)
}

/// The expression behind `SPDX-License-Identifier:` near the beginning of a text, if it is one.
fn spdx_tag(text: &str) -> Option<String> {
    let line = text.lines().take(40).find_map(|line| line.split_once("SPDX-License-Identifier:"))?.1;
    let expression = line.trim_end_matches(['*', '/', ' ', '-', '>', '\r']).trim();
    spdx::Expression::parse_mode(expression, spdx::ParseMode { allow_deprecated: true, ..spdx::ParseMode::STRICT })
        .ok()?;
    let modern = match expression {
        "GPL-2.0" | "GPL-3.0" | "LGPL-2.0" | "LGPL-2.1" | "LGPL-3.0" | "AGPL-3.0" => format!("{expression}-only"),
        _ => expression.to_owned(),
    };
    Some(modern)
}

/// Lower case, comment marks and quotes gone, every run of space one space.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '*' | '#')) {
        let word = word.trim_matches(|c: char| matches!(c, '"' | '\'' | '`' | '“' | '”' | '’'));
        if word.is_empty() || word.bytes().all(|b| matches!(b, b'/' | b'|' | b';')) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| !matches!(c, '"' | '“' | '”')).flat_map(char::to_lowercase));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str, headers: &[(&str, &str)]) -> Vec<(String, bool)> {
        let headers: Vec<(String, String)> = headers.iter().map(|(f, t)| ((*f).into(), (*t).into())).collect();
        recognise("COPYING", text, &headers).into_iter().map(|guess| (guess.expression, guess.sure)).collect()
    }

    /// SPDX's own templates are not linked in; these are the decisive parts of each text, set as files set them.
    #[test]
    fn common_texts() {
        let bsd2 = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that the following conditions are met:\n1. Redistributions of source code must retain the above copyright notice\n";
        let bsd3 = format!(
            "{bsd2} * 3. Neither the name of the author nor the names of its contributors may be used\n * to endorse or promote products"
        );
        let isc = "Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted, provided that the above\ncopyright notice and this permission notice appear in all copies.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\" AND THE AUTHOR DISCLAIMS ALL WARRANTIES";
        let mit = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software and associated documentation files ... this permission notice";
        let zlib = "  This software is provided 'as-is', without any express or implied warranty.\n  1. The origin of this software must not be misrepresented; you must not\n  2. Altered source versions must be plainly marked as such, and must not be";
        for (text, id) in [
            (bsd2, "BSD-2-Clause"),
            (&*bsd3, "BSD-3-Clause"),
            (
                &*format!("{bsd3}\n3. All advertising materials mentioning features or use of this software must"),
                "BSD-4-Clause",
            ),
            (isc, "ISC"),
            (
                &*isc.replace(" AND THE AUTHOR DISCLAIMS ALL", ", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED"),
                "curl",
            ),
            (mit, "MIT"),
            (&*format!("{mit}. Except as contained in this notice, the name(s) of the above"), "X11"),
            (zlib, "Zlib"),
            (
                "                                 Apache License\n                           Version 2.0, January 2004\n",
                "Apache-2.0",
            ),
            ("Mozilla Public License Version 2.0\n==================================\n", "MPL-2.0"),
            ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ] {
            assert_eq!(ids(text, &[]), [(id.to_owned(), true)], "{text}");
        }
        let bzip2 = format!(
            "{bsd2}2. The origin of this software must not be misrepresented\n3. Altered source versions must be plainly marked as such. Julian Seward"
        );
        assert!(ids(&bzip2, &[]).contains(&("bzip2-1.0.6".into(), true)), "{:?}", ids(&bzip2, &[]));
        let openssl = format!("OpenSSL License\n{bsd3}\nOriginal SSLeay License\n");
        assert_eq!(ids(&openssl, &[]), [("OpenSSL".to_owned(), true)]);
    }

    #[test]
    fn only_the_sources_say_whether_later_versions_are_allowed() {
        let gpl2 = "\t\t    GNU GENERAL PUBLIC LICENSE\n\t\t       Version 2, June 1991\n and any later version";
        assert_eq!(ids(gpl2, &[]), [("GPL-2.0-or-later".to_owned(), false)]);
        let later = " * under the terms of the GNU General Public License as published by\n * the Free Software Foundation; either version 2, or (at your option)\n * any later version.";
        assert_eq!(ids(gpl2, &[("a.h", "int a;"), ("a.c", later)]), [("GPL-2.0-or-later".to_owned(), true)]);
        let only = "/* Licensed under the GNU General Public License version 2, see LICENSE */";
        assert_eq!(ids(gpl2, &[("a.c", only)]), [("GPL-2.0-only".to_owned(), true)]);
        let tag = "/* SPDX-License-Identifier: GPL-2.0 */";
        assert_eq!(ids(gpl2, &[("a.c", tag)]), [("GPL-2.0-only".to_owned(), true)]);
        let lgpl = "GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999";
        assert_eq!(ids(lgpl, &[]), [("LGPL-2.1-or-later".to_owned(), false)]);
    }

    #[test]
    fn a_text_of_anything_else_is_nothing() {
        for text in ["", "All rights reserved.", "See the GNU General Public License.", "\u{0}\u{ff}"] {
            assert_eq!(ids(text, &[]), []);
        }
    }
}
