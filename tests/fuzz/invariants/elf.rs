//! What is promised about any bytes given to [`facts`].

use super::tar::assert_printable;
use parton::tree::elf::{ElfFacts, facts};

/// No text of an ELF file is told longer than this, escapes left out.
const TEXT: usize = 4096;
/// Nor are more libraries told than this.
const LIBRARIES: usize = 1024;

/// Somebody else's view of an ELF file: the libraries it needs and its own name, or nothing if they can't say.
pub type Other<'a> = &'a dyn Fn(&[u8]) -> Option<(Vec<String>, Option<String>)>;

/// Bytes without the magic number are no ELF file; the others are refused or told in bounded, printable texts; a second
/// reader that understands the file agrees about libraries and name.
pub fn check(bytes: &[u8], other: Other<'_>) {
    match facts(bytes) {
        Ok(None) => assert!(!bytes.starts_with(b"\x7fELF")),
        Ok(Some(found)) => {
            assert_bounded(&found);
            if let Some((needed, soname)) = other(bytes) {
                assert_eq!((&found.needed, &found.soname), (&needed, &soname));
            }
        }
        Err(error) => assert_printable(&error.to_string()),
    }
}

fn assert_bounded(found: &ElfFacts) {
    assert!(found.needed.len() <= LIBRARIES);
    let alone = [&found.interpreter, &found.soname, &found.rpath, &found.runpath, &found.build_id];
    for text in alone.into_iter().flatten().chain(&found.needed) {
        // An escape is at most eight characters for a byte.
        assert!(text.len() <= 8 * TEXT, "a text of {} bytes", text.len());
        assert_printable(text);
        assert!(!text.contains('\n'));
    }
}
