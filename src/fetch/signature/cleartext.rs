//! The frame around a signed text (RFC 9580, section 7), read strictly: nothing before it, nothing behind it, and
//! nothing in it that only looks signed.

/// A signed text, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The lines that were signed: unescaped, without white space at their ends.
    pub lines: Vec<&'a str>,
    /// The armored signatures.
    pub signature: &'a str,
}

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

pub(super) fn split(message: &[u8]) -> Result<Message<'_>, &'static str> {
    let text = std::str::from_utf8(message).map_err(|_| "the signed text is not UTF-8")?;
    let mut at = 0;
    let mut next = || -> Option<(usize, &str)> {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let line = rest.split_inclusive('\n').next()?;
        at += line.len();
        Some((start, line.trim_end_matches([' ', '\t', '\r', '\n'])))
    };
    if next().map(|(_, line)| line) != Some(BEGIN) {
        return Err("it does not begin as a signed text");
    }
    loop {
        match next() {
            Some((_, "")) => break,
            Some((_, line)) if line.starts_with("Hash: ") => {}
            _ => return Err("the signed text has a header that is not 'Hash'"),
        }
    }
    let mut lines = Vec::new();
    let start = loop {
        let (start, line) = next().ok_or("the signed text has no end")?;
        match line.strip_prefix("- ") {
            Some(escaped) => lines.push(escaped),
            None if line == SIGNATURE => break start,
            // Only a signer's own dashes are escaped to "- "; "-" alone is what is left of "- " at a line's end.
            None if line.starts_with('-') && line != "-" => return Err("a line of the signed text begins with a dash"),
            None if line == "-" => lines.push(""),
            None => lines.push(line),
        }
    };
    let signature = &text[start..];
    let end = signature.find(END).ok_or("the signature has no end")? + END.len();
    if !signature[end..].trim().is_empty() {
        return Err("there is something behind the signature");
    }
    Ok(Message { lines, signature: &signature[..end] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_text_is_taken_apart() {
        let text = format!("{BEGIN}\nHash: SHA256\n\na \t\r\n- -b\n\n- - c\n{SIGNATURE}\n\nxx\n{END}\n\n");
        let message = split(text.as_bytes()).unwrap();
        assert_eq!(message.lines, ["a", "-b", "", "- c"]);
        assert!(message.signature.starts_with(SIGNATURE) && message.signature.ends_with(END));
    }

    #[test]
    fn nothing_unsigned_slips_in() {
        for bad in [
            format!("Suite: evil\n{BEGIN}\n\na\n{SIGNATURE}\n\nxx\n{END}\n"),
            format!("{BEGIN}\nSuite: evil\n\na\n{SIGNATURE}\n\nxx\n{END}\n"),
            format!("{BEGIN}\n\na\n{SIGNATURE}\n\nxx\n{END}\nSuite: evil\n"),
            format!("{BEGIN}\n\na\n-----BEGIN PGP SIGNED MESSAGE-----\n{SIGNATURE}\n\nxx\n{END}\n"),
            format!("{BEGIN}\n\na\n"),
            format!("{BEGIN}\n\na\n{SIGNATURE}\n\nxx\n"),
            "Suite: unsigned\n".to_owned(),
        ] {
            assert!(split(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
