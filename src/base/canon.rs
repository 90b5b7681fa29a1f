//! The canonical encoding: what is hashed when a value gets an identity.
//!
//! The encoding is a contract; changing it changes every id. It is:
//!
//! | value | bytes |
//! |---|---|
//! | a message | domain as text, then the version as number, then the fields in the order of their declaration |
//! | number, length, ordinal | 8 bytes, little endian, unsigned |
//! | signed number | two's complement in 8 bytes, little endian |
//! | truth value | the number 0 or 1 |
//! | bytes or text | length, then the bytes (text is UTF-8 as it is: no normalisation) |
//! | digest | its 32 raw bytes |
//! | sequence | number of elements, then each element |
//! | set or map | as a sequence in ascending order of key bytes; for a map key and value in turn |
//! | optional | the number 0, or the number 1 and the value |
//! | choice | the ordinal written beside the variant in its `encode`, then its fields |
//!
//! The domain (`parton.derivation`, say) keeps two kinds of message from ever sharing a digest; the version is raised
//! when the fields of a message change.

use super::digest::{Blake3, DrvId, Sha256, TreeDigest};
use std::collections::{BTreeMap, BTreeSet};

/// Writes the canonical form of values and hashes it with BLAKE3.
#[derive(Debug)]
pub struct Encoder {
    hasher: blake3::Hasher,
}

impl Encoder {
    /// Starts a message of this domain and version.
    pub fn new(domain: &str, version: u64) -> Self {
        let mut encoder = Self { hasher: blake3::Hasher::new() };
        encoder.bytes(domain.as_bytes());
        encoder.number(version);
        encoder
    }

    /// Encodes a length, an ordinal or any other unsigned number.
    pub fn number(&mut self, value: u64) {
        self.hasher.update(&value.to_le_bytes());
    }

    /// Encodes a byte string with its length before it.
    pub fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.hasher.update(value);
    }

    /// Encodes bytes of a fixed length, such as a digest, without a length before them.
    pub fn fixed(&mut self, value: &[u8; 32]) {
        self.hasher.update(value);
    }

    /// Encodes one value.
    pub fn put<T: Canon + ?Sized>(&mut self, value: &T) -> &mut Self {
        value.encode(self);
        self
    }

    /// The digest of everything encoded so far.
    pub fn finish(self) -> Blake3 {
        Blake3::from_bytes(*self.hasher.finalize().as_bytes())
    }
}

/// A value with a canonical form (see the module's table).
pub trait Canon {
    /// Appends the canonical form of `self`.
    fn encode(&self, to: &mut Encoder);
}

impl<T: Canon + ?Sized> Canon for &T {
    fn encode(&self, to: &mut Encoder) {
        (**self).encode(to);
    }
}

impl Canon for str {
    fn encode(&self, to: &mut Encoder) {
        to.bytes(self.as_bytes());
    }
}

impl Canon for String {
    fn encode(&self, to: &mut Encoder) {
        to.bytes(self.as_bytes());
    }
}

impl Canon for u64 {
    fn encode(&self, to: &mut Encoder) {
        to.number(*self);
    }
}

impl Canon for i64 {
    fn encode(&self, to: &mut Encoder) {
        to.number(u64::from_le_bytes(self.to_le_bytes()));
    }
}

impl Canon for u32 {
    fn encode(&self, to: &mut Encoder) {
        to.number(u64::from(*self));
    }
}

impl Canon for bool {
    fn encode(&self, to: &mut Encoder) {
        to.number(u64::from(*self));
    }
}

impl<T: Canon> Canon for Option<T> {
    fn encode(&self, to: &mut Encoder) {
        to.number(u64::from(self.is_some()));
        if let Some(value) = self {
            value.encode(to);
        }
    }
}

impl<T: Canon> Canon for [T] {
    fn encode(&self, to: &mut Encoder) {
        to.number(self.len() as u64);
        self.iter().for_each(|item| item.encode(to));
    }
}

impl<T: Canon> Canon for Vec<T> {
    fn encode(&self, to: &mut Encoder) {
        self.as_slice().encode(to);
    }
}

impl<T: Canon> Canon for BTreeSet<T> {
    fn encode(&self, to: &mut Encoder) {
        to.number(self.len() as u64);
        self.iter().for_each(|item| item.encode(to));
    }
}

impl<K: Canon, V: Canon> Canon for BTreeMap<K, V> {
    fn encode(&self, to: &mut Encoder) {
        to.number(self.len() as u64);
        for (key, value) in self {
            key.encode(to);
            value.encode(to);
        }
    }
}

macro_rules! canon_digest {
    ($($name:ident),*) => {$(
        impl Canon for $name {
            fn encode(&self, to: &mut Encoder) {
                to.fixed(self.as_bytes());
            }
        }
    )*};
}
canon_digest!(Sha256, Blake3, TreeDigest, DrvId);

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(put: impl FnOnce(&mut Encoder)) -> Blake3 {
        let mut encoder = Encoder::new("test", 1);
        put(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn neighbours_can_not_flow_into_each_other() {
        let one = digest(|e| {
            e.put("ab").put("c");
        });
        let other = digest(|e| {
            e.put("a").put("bc");
        });
        assert_ne!(one, other);
    }

    #[test]
    fn domain_and_version_count() {
        assert_ne!(Encoder::new("a", 1).finish(), Encoder::new("a", 2).finish());
        assert_ne!(Encoder::new("a", 1).finish(), Encoder::new("b", 1).finish());
    }

    /// The encoding is a contract: if this digest changes, every id of every store changes.
    #[test]
    fn the_encoding_is_pinned() {
        let map = BTreeMap::from([("k".to_owned(), vec![1_u64, 2]), ("a".to_owned(), vec![])]);
        let found = digest(|e| {
            e.put(&map).put(&Some(true)).put(&None::<String>).put(&-1_i64).put(&Sha256::of(b""));
        });
        assert_eq!(found.to_string(), "83f6d0e294fcdda86afb9b364c021130d8f146fe438f1f9effabd2155194ed8a");
    }
}
