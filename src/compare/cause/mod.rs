//! Traces of conditions: in bytes, the condition itself; in sources, the usual ways by which it gets in, and what is done
//! about them.

mod habits;
mod moment;

pub use habits::{HABITS, Habit, remedy, suspect};
pub use moment::{Moment, moment};

/// Whether bytes hold a text anywhere.
pub fn holds(bytes: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && memchr::memmem::find(bytes, text).is_some()
}

/// Whether bytes hold a text that is not a part of a longer word or number.
pub fn holds_word(bytes: &[u8], text: &[u8]) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let edge = |byte: Option<&u8>| !word(byte);
    !text.is_empty()
        && memchr::memmem::find_iter(bytes, text).any(|at| {
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            let (first, last) = (text.first(), text.last());
            (!word(first) || edge(before)) && (!word(last) || edge(bytes.get(at + text.len())))
        })
}

/// How two contents are the same but for an order.
pub fn reordered(a: &[u8], b: &[u8]) -> Option<&'static str> {
    let same = |by: fn(&u8) -> bool| {
        let sorted = |bytes: &[u8]| {
            let mut parts: Vec<Vec<u8>> = bytes.split(by).map(<[u8]>::to_vec).collect();
            parts.sort_unstable();
            parts
        };
        a != b && a.len() == b.len() && sorted(a) == sorted(b)
    };
    if same(|byte| *byte == b'\n') {
        Some("the same lines in another order")
    } else if same(|byte| byte.is_ascii_whitespace()) {
        Some("the same words in another order")
    } else if same(|byte| !byte.is_ascii_graphic()) {
        Some("the same names in another order")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_recognised() {
        assert_eq!(reordered(b"a\nb\nc\n", b"c\na\nb\n"), Some("the same lines in another order"));
        assert_eq!(reordered(b"a b c\n", b"c b a\n"), Some("the same words in another order"));
        assert_eq!(reordered(b"a\0b\0c", b"c\0b\0a"), Some("the same names in another order"));
        assert_eq!(reordered(b"a\nb\n", b"a\nc\n"), None);
        assert_eq!(reordered(b"same\n", b"same\n"), None);
    }
}
