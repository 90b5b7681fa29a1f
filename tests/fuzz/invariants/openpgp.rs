//! What is promised about OpenPGP input: key files, signatures, signed texts.

use super::tar::assert_printable;
use parton::fetch::apt::Release;
use parton::fetch::signature::{Keyring, Policy, verify};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The one file and the one text that the good key ever signed.
pub const SIGNED: &[u8] = b"the bytes that were signed";
pub const TEXT: &str = "Suite: stable\nDate: Fri, 31 May 2024 00:00:00 UTC\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/source/Sources\n";

/// Whose signature counts, and whose does not.
pub struct Keys {
    /// The good key's certificate, and its fingerprint.
    pub certificate: Vec<u8>,
    pub fingerprint: String,
    /// [`TEXT`], signed by it.
    pub text: String,
    /// A signature over [`SIGNED`] by another key.
    pub foreign: Vec<u8>,
}

pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_717_200_000)
}

/// Any bytes, taken in turn as a key file, a signature and a signed text, are refused, or
///
/// - as a key file say nothing that a terminal would obey, and do not make another key's signature that of the pinned key;
/// - as a signature hold for nothing but what the good key signed;
/// - as a signed text say what the good key said.
pub fn check(bytes: &[u8], keys: &Keys) {
    let policy = Policy::strict(now());
    match Keyring::parse(bytes) {
        Ok(mut ring) => {
            for key in ring.keys() {
                assert_printable(&key.user_id);
            }
            ring.restrict(std::slice::from_ref(&keys.fingerprint));
        }
        Err(error) => assert_printable(&error.to_string()),
    }
    let by_other = verify(bytes, &keys.fingerprint, &keys.foreign, || Ok(SIGNED), &policy);
    assert_printable(&by_other.unwrap_err().to_string());

    match verify(&keys.certificate, &keys.fingerprint, bytes, || Ok(SIGNED), &policy) {
        Ok(verified) => assert_eq!(verified.fingerprint, keys.fingerprint),
        Err(error) => assert_printable(&error.to_string()),
    }
    let of_other = verify(&keys.certificate, &keys.fingerprint, bytes, || Ok(&b"other bytes"[..]), &policy);
    assert_printable(&of_other.unwrap_err().to_string());

    let ring = Keyring::parse(&keys.certificate).unwrap();
    let read = |bytes: &[u8]| Release::read("stable", bytes, &ring, now());
    match read(bytes) {
        Ok(mut release) => {
            let good = read(keys.text.as_bytes()).unwrap();
            let told = |release: &Release| (release.date, release.valid_until, release.signature.signed_by.clone());
            assert_eq!(told(&release), told(&good));
            (release.sha256, release.signature) = (good.sha256, good.signature.clone());
            assert_eq!(release, good);
        }
        Err(why) => assert_printable(&why),
    }
}
