//! Digests and the identifiers made of them.
//!
//! Every identifier is its own type, so that the digest of a tree can not be handed to something that wants the id of
//! a derivation. All of them print as lower-case hexadecimal and parse from either case.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// The text has another length than the digest's hexadecimal form.
    #[error("expected 64 hexadecimal digits, found {0} characters")]
    Length(usize),
    /// A character is not a hexadecimal digit.
    #[error("'{0}' is not a hexadecimal digit")]
    Digit(char),
}

fn parse_hex(text: &str) -> Result<[u8; 32], ParseDigestError> {
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(ParseDigestError::Digit(bad));
    }
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return Err(ParseDigestError::Length(bytes.len()));
    }
    let nibble = |b: u8| match b {
        b'0'..=b'9' => b - b'0',
        b'a'..=b'f' => b - b'a' + 10,
        _ => b - b'A' + 10,
    };
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    Ok(out)
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the 32 raw bytes of a digest that was computed elsewhere.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 12 hexadecimal digits: enough for people, never for machines.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest_type! {
    /// SHA-256 of a byte stream: how upstream, Debian and everyone else name a source (FIPS 180-4).
    Sha256
}
digest_type! {
    /// BLAKE3 of a byte stream, default mode, 32 bytes of output: how parton names bytes.
    Blake3
}
digest_type! {
    /// Digest of a file tree; changes when a name, kind, mode, link target or content in it changes. See [`crate::tree`].
    TreeDigest
}
digest_type! {
    /// Id of a derivation; changes when anything that could change the build's outcome changes. See [`crate::plan`].
    DrvId
}

impl Sha256 {
    /// Digest of bytes that are already in memory.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl Blake3 {
    /// Digest of bytes that are already in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// Computes SHA-256 and BLAKE3 of one stream in a single pass.
#[derive(Clone, Default)]
pub struct Hasher {
    sha256: sha2::Sha256,
    blake3: blake3::Hasher,
    size: u64,
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        self.sha256.update(bytes);
        self.blake3.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes were fed so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Both digests of what was fed.
    pub fn finish(self) -> (Sha256, Blake3) {
        use sha2::Digest as _;
        (Sha256(self.sha256.finalize().into()), Blake3(*self.blake3.finalize().as_bytes()))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"bc");
        let (sha256, blake3) = hasher.finish();
        assert_eq!(sha256.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(blake3.to_string(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(sha256, Sha256::of(b"abc"));
    }

    #[test]
    fn only_whole_hexadecimal_parses() {
        assert_eq!("ab".parse::<Sha256>(), Err(ParseDigestError::Length(2)));
        assert_eq!("zz".parse::<Sha256>(), Err(ParseDigestError::Digit('z')));
        let digest = Sha256::of(b"x");
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
    }
}
