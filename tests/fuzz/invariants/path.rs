//! What is promised about names that come from outside.

use parton::base::{RelPath, Sha256, printable};
use parton::spec::release_name;

/// A path is refused or clean: without `.`, `..`, empty parts, NUL; what is made of it is clean too and means the same.
/// What is printable has no control characters. A digest's text has one meaning.
pub fn check(bytes: &[u8]) {
    let text = printable(bytes);
    assert!(!text.contains(char::is_control));
    if let Ok(path) = RelPath::new(bytes) {
        let clean = path.as_bytes();
        assert!(clean.len() < 4096 && clean.len() <= bytes.len());
        let parts: Vec<&[u8]> = path.components().collect();
        assert!(
            parts.iter().all(|part| !matches!(*part, b"" | b"." | b"..") && !part.contains(&0) && part.len() < 256)
        );
        assert_eq!(parts.join(&b'/'), clean);
        assert_eq!(RelPath::new(clean).as_ref(), Ok(&path));
        match path.parent() {
            Some(parent) => assert_eq!(parent.join(path.name()).as_ref(), Ok(&path)),
            None => assert_eq!(path.name(), clean),
        }
        assert_eq!(path.strip(0).as_ref(), Some(&path));
        assert_eq!(path.strip(parts.len()), None);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(digest) = text.parse::<Sha256>() {
            assert!(digest.to_string().eq_ignore_ascii_case(text));
        }
        let guessed = release_name(text);
        for word in [guessed.name, guessed.version].into_iter().flatten() {
            assert!(!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{word:?}");
        }
    }
}
