//! Judges OpenPGP signatures by a policy that is written down here. No key server, no web of trust, no state: a key
//! counts because its full fingerprint was pinned.
//!
//! | question | answer |
//! |---|---|
//! | whose key | the certificate in the key file whose primary fingerprint is the pinned one, all digits |
//! | made by | its primary key, or a subkey with a valid binding signature, the signing flag and a valid back signature |
//! | hash of the signature | SHA-2 and SHA-3; MD5, SHA-1 and RIPEMD are refused by name ([`Error::WeakHash`]; [`Policy::sha1`] waives the second) |
//! | hash of the key's own signatures | SHA-1 also, with collision detection, and said in a note; MD5 and RIPEMD do not count |
//! | revoked key or subkey | refused, whatever the date or reason |
//! | made after the key had expired | refused ([`Policy::after_expiry`] turns it into a note, for indexes only) |
//! | key expired since | accepted, with a note |
//! | dated more than a quarter of an hour after now, or before the key existed | refused |
//! | several signatures in the file | one good one by the pinned key suffices |
//! | kinds | detached over bytes or text, version 3, 4 and 6; armored or binary |

mod cleartext;
mod keyring;

pub use keyring::{KeyInfo, Keyring};

use std::io::{self, BufRead, BufReader, Read};
use std::time::SystemTime;

/// By what time to judge.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Now.
    pub now: SystemTime,
    /// Note a signature that was made after its key had expired instead of refusing it.
    pub after_expiry: bool,
    /// Note a signature that uses SHA-1 instead of refusing it. Collisions are looked for while hashing, so that a pair of
    /// files made with a known attack is still refused; what is given up is protection against an unknown one. For
    /// upstreams that still sign so (musl does), each with its reason in the spec.
    pub sha1: bool,
}

impl Policy {
    /// The policy for upstream's releases.
    pub fn strict(now: SystemTime) -> Self {
        Self { now, after_expiry: false, sha1: false }
    }
}

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Fingerprint of the primary key, upper case.
    pub fingerprint: String,
    /// Fingerprint of the key that made it: the primary key or a subkey.
    pub signed_by: String,
    /// The key's main user id.
    pub user_id: String,
    /// When it was made, by its own account; seconds since 1970.
    pub created: i64,
    /// Name of the hash algorithm (`SHA256`).
    pub hash: String,
    /// What a person should know all the same (`the key has expired since, on 2020-01-01`).
    pub notes: Vec<String>,
}

/// Why a signature does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key file holds no certificate that can be read.
    #[error("read the key file: {0}")]
    KeyFile(String),
    /// The key file is fine, but the pinned key is not in it.
    #[error("the key file has no key with the pinned fingerprint {expected}; it has {}", list(found))]
    NoSuchKey {
        /// The pinned fingerprint.
        expected: String,
        /// Primary fingerprints in the file.
        found: Vec<String>,
    },
    /// The signature file holds no signature that can be read.
    #[error("read the signature: {0}")]
    SignatureFile(String),
    /// There are signatures, but none by the key.
    #[error("the signature is not by {expected}; it says it is by {}", list(issuers))]
    OtherKey {
        /// Fingerprints of the primary keys that would count.
        expected: String,
        /// Key ids or fingerprints that the signatures name.
        issuers: Vec<String>,
    },
    /// The signature rests on a hash for which collisions can be made.
    #[error("the signature by {key} uses {hash}, for which two files with one signature can be made")]
    WeakHash {
        /// The key.
        key: String,
        /// The algorithm.
        hash: String,
    },
    /// The key was revoked.
    #[error("the key {key} was revoked{}", reason(why))]
    Revoked {
        /// The key or subkey.
        key: String,
        /// What its owner said.
        why: String,
    },
    /// The key may not make such signatures, or does not prove that it belongs to its owner.
    #[error("the key {key} may not sign: {why}")]
    NotForSigning {
        /// The key or subkey.
        key: String,
        /// Why.
        why: String,
    },
    /// The dates do not fit.
    #[error("the signature by {key} is dated {created}, {why}")]
    Time {
        /// The key.
        key: String,
        /// The day it was made.
        created: String,
        /// What is wrong with that.
        why: String,
    },
    /// The mathematics says no: other data, or a forgery.
    #[error("BAD signature: {key} did not sign these bytes")]
    Bad {
        /// The key.
        key: String,
    },
    /// The signed data could not be read.
    #[error("read the signed data")]
    Data(#[source] io::Error),
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn reason(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({})", crate::base::printable(why.as_bytes())) }
}

impl Error {
    /// What a person can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Bad { .. } => "the file or the signature is not the one upstream made; do not use it",
            Self::NoSuchKey { .. } | Self::OtherKey { .. } => {
                "if upstream announced another key, pin its full fingerprint and put its certificate into the key file"
            }
            Self::WeakHash { .. } => {
                "ask upstream for a signature with SHA-256 or better, or waive it in the spec with a reason"
            }
            Self::Time { .. } => "get upstream's current certificate: it may have been extended",
            Self::Revoked { .. } => "find out from upstream why, and which key signs now",
            Self::KeyFile(_) | Self::SignatureFile(_) | Self::NotForSigning { .. } | Self::Data(_) => return None,
        })
    }
}

/// Checks a detached signature by the pinned key over data.
///
/// `open` begins reading the data anew; it is called once in almost all cases (again if several signatures in the file
/// name the pinned key and the first is not good).
///
/// # Errors
/// Why the signature does not count. When there are several by the key, why the first one does not.
pub fn verify<R: Read>(
    key_file: &[u8],
    fingerprint: &str,
    signature: &[u8],
    mut open: impl FnMut() -> io::Result<R>,
    policy: &Policy,
) -> Result<Verified, Error> {
    let keyring = Keyring::parse(key_file)?.only(fingerprint)?;
    let signatures = keyring::parse_signatures(signature)?;
    keyring.check(&signatures, &mut || Ok(Box::new(open()?) as Box<dyn Read + '_>), policy)
}

/// Checks a text with its signature in one file, as archives write their indexes. Returns the text that was signed.
pub(super) fn verify_cleartext(
    keyring: &Keyring,
    message: &[u8],
    policy: &Policy,
) -> Result<(String, Verified), Error> {
    let message = cleartext::split(message).map_err(|why| Error::SignatureFile(why.to_owned()))?;
    let signatures = keyring::parse_signatures(message.signature.as_bytes())?;
    let signed = message.lines.join("\r\n");
    let verified = keyring.check(&signatures, &mut || Ok(Box::new(signed.as_bytes()) as Box<dyn Read + '_>), policy)?;
    Ok((message.lines.join("\n") + "\n", verified))
}

/// Decompressed bytes that a signature may be checked against, at most: a bomb ends here.
const UNCOMPRESSED_LIMIT: u64 = 32 << 30;
/// Memory for one xz dictionary, in KiB.
const XZ_MEMORY: u32 = 1 << 20;
/// Memory for one window of zstd, as a power of two: what archives may have as well.
const WINDOW_LOG: u32 = 28;

/// What a compressed file holds, for signatures made over the uncompressed archive. The format is told by its first
/// bytes: gzip, bzip2, xz, zstd; anything else is passed on as it is.
///
/// # Errors
/// Those of the reader.
pub fn uncompressed<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    let start = reader.fill_buf()?;
    let inner: Box<dyn Read + 'a> = if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(reader))
    } else if start.starts_with(b"BZh") {
        Box::new(bzip2::bufread::MultiBzDecoder::new(reader))
    } else if start.starts_with(b"\xfd7zXZ\0") {
        Box::new(lzma_rust2::XzReader::new_mem_limit(reader, true, XZ_MEMORY))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut zstd = zstd::stream::read::Decoder::with_buffer(reader)?;
        zstd.window_log_max(WINDOW_LOG)?;
        Box::new(zstd)
    } else {
        Box::new(reader)
    };
    Ok(Box::new(Bounded { inner, left: UNCOMPRESSED_LIMIT }))
}

/// A reader that fails, rather than ends, at its limit.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other("decompresses to too much"))?;
        Ok(n)
    }
}
