use super::openpgp::{Key, MADE, armored, binary, flags};
use super::{NOW, bytes, now};
use parton::fetch::signature::{Error, Keyring, Policy, Verified, uncompressed, verify};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::SignatureType;
use std::io::{Read, Write as _};

const DATA: &[u8] = b"a release\n";
const DAY: u64 = 86_400;

fn check(key: &Key, signature: &[u8], data: &[u8]) -> Result<Verified, Error> {
    verify(&key.certificate(), &key.fingerprint(), signature, || Ok(data), &Policy::strict(now()))
}

fn refused(key: &Key, signature: &[u8]) -> String {
    check(key, signature, DATA).unwrap_err().to_string()
}

#[test]
fn a_good_signature_by_a_subkey() {
    let alice = Key::alice();
    let verified = check(&alice, &binary(&alice.sign(DATA)), DATA).unwrap();
    assert_eq!(verified.fingerprint, alice.fingerprint());
    assert_ne!(verified.signed_by, verified.fingerprint);
    assert_eq!(verified.user_id, "alice <alice@example.org>");
    assert_eq!(verified.created, (NOW - 1000) as i64);
    assert_eq!((verified.hash.as_str(), verified.notes.as_slice()), ("SHA256", [].as_slice()));
}

#[test]
fn armored_and_binary_files_among_other_text_and_other_keys() {
    let (alice, mallory) = (Key::alice(), Key::mallory());
    let policy = Policy::strict(now());
    let binary_keys = [mallory.certificate(), alice.certificate()].concat();
    let armored_keys = format!("Our keys:\n\n{}\nand\n{}\n", mallory.armored(), alice.armored());
    let spaced = alice.fingerprint().to_lowercase().chars().fold(String::new(), |s, c| s + &c.to_string() + " ");
    for keys in [binary_keys, armored_keys.into_bytes()] {
        for signature in [binary(&alice.sign(DATA)), armored(&alice.sign(DATA)).into_bytes()] {
            verify(&keys, &spaced, &signature, || Ok(DATA), &policy).unwrap();
        }
        assert_eq!(Keyring::parse(&keys).unwrap().keys()[1].fingerprint, alice.fingerprint());
    }
}

#[test]
fn one_good_signature_among_several_suffices() {
    let (alice, mallory) = (Key::alice(), Key::mallory());
    let bad = alice.sign(b"something else");
    let both = [binary(&mallory.sign(DATA)), binary(&bad), binary(&alice.sign(DATA))].concat();
    check(&alice, &both, DATA).unwrap();
    let blocks = armored(&mallory.sign(DATA)) + &armored(&alice.sign(DATA));
    check(&alice, blocks.as_bytes(), DATA).unwrap();
}

#[test]
fn other_data_is_bad() {
    let alice = Key::alice();
    let error = check(&alice, &binary(&alice.sign(DATA)), b"another release\n").unwrap_err();
    assert!(matches!(error, Error::Bad { .. }), "{error}");
    let mut broken = binary(&alice.sign(DATA));
    let last = broken.len() - 1;
    broken[last] ^= 1;
    assert!(matches!(check(&alice, &broken, DATA).unwrap_err(), Error::Bad { .. }));
}

#[test]
fn signatures_over_text_do_not_mind_line_ends() {
    let alice = Key::alice();
    let signature = alice.sign_as(b"a\r\nb\r\n", SignatureType::Text, HashAlgorithm::Sha256, NOW - 10);
    check(&alice, &binary(&signature), b"a\nb\n").unwrap();
}

#[test]
fn only_the_pinned_key_counts() {
    let (alice, mallory) = (Key::alice(), Key::mallory());
    let error = check(&alice, &binary(&mallory.sign(DATA)), DATA).unwrap_err();
    assert!(matches!(&error, Error::OtherKey { issuers, .. } if issuers.len() == 1), "{error}");
    let other = verify(&mallory.certificate(), &alice.fingerprint(), b"", || Ok(DATA), &Policy::strict(now()));
    assert!(matches!(other.unwrap_err(), Error::NoSuchKey { .. }));
    // The end of a fingerprint, or a subkey's, is not the fingerprint.
    for almost in [
        alice.fingerprint()[24..].to_owned(),
        format!("{:X}", {
            use pgp::types::KeyDetails as _;
            alice.public.public_subkeys[0].fingerprint()
        }),
    ] {
        let signature = binary(&alice.sign(DATA));
        let short = verify(&alice.certificate(), &almost, &signature, || Ok(DATA), &Policy::strict(now()));
        assert!(matches!(short.unwrap_err(), Error::NoSuchKey { .. }));
    }
}

#[test]
fn weak_hashes_are_refused_by_name() {
    let carol = Key::carol();
    check(&carol, &binary(&carol.sign(DATA)), DATA).unwrap();
    for (hash, name) in
        [(HashAlgorithm::Md5, "MD5"), (HashAlgorithm::Sha1, "SHA1"), (HashAlgorithm::Ripemd160, "RIPEMD160")]
    {
        let signature = binary(&carol.sign_as(DATA, SignatureType::Binary, hash, NOW - 10));
        let error = check(&carol, &signature, DATA).unwrap_err();
        assert!(matches!(&error, Error::WeakHash { hash, .. } if hash == name), "{error}");
        let waived = Policy { sha1: true, ..Policy::strict(now()) };
        let result = verify(&carol.certificate(), &carol.fingerprint(), &signature, || Ok(DATA), &waived);
        match (name, result) {
            ("SHA1", Ok(verified)) => assert_eq!(verified.notes, ["the signature uses SHA-1, which was waived"]),
            (_, Err(Error::WeakHash { .. })) => {}
            (name, other) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_key_that_expired_since_is_noted() {
    let mut alice = Key::alice();
    alice.set_expiry(MADE + DAY, NOW - 500);
    let verified = check(&alice, &binary(&alice.sign(DATA)), DATA).unwrap();
    assert_eq!(verified.notes, ["the key has expired since, on 2024-05-31"]);
    let mut alice = Key::alice();
    alice.set_subkey_expiry(MADE + DAY, NOW - 500);
    assert_eq!(check(&alice, &binary(&alice.sign(DATA)), DATA).unwrap().notes.len(), 1);
}

#[test]
fn a_signature_after_the_keys_end_is_refused_unless_it_only_locates() {
    for subkey in [false, true] {
        let mut alice = Key::alice();
        if subkey {
            alice.set_subkey_expiry(MADE + DAY, NOW - 2 * DAY);
        } else {
            alice.set_expiry(MADE + DAY, NOW - 2 * DAY);
        }
        let signature = binary(&alice.sign(DATA));
        assert!(refused(&alice, &signature).ends_with("after its key had expired (2024-05-30)"));
        let lenient = Policy { after_expiry: true, ..Policy::strict(now()) };
        let verified = verify(&alice.certificate(), &alice.fingerprint(), &signature, || Ok(DATA), &lenient).unwrap();
        assert!(verified.notes[0].contains("had expired on 2024-05-30, before it signed"), "{:?}", verified.notes);
    }
}

#[test]
fn the_latest_statement_about_the_end_holds() {
    let mut alice = Key::alice();
    alice.set_expiry(MADE + DAY, NOW - 2 * DAY);
    alice.set_expiry(MADE + 2 * DAY, NOW + 2 * DAY);
    assert_eq!(check(&alice, &binary(&alice.sign(DATA)), DATA).unwrap().notes, [] as [&str; 0]);
}

#[test]
fn dates_that_can_not_be_are_refused() {
    let alice = Key::alice();
    let at = |time| binary(&alice.sign_as(DATA, SignatureType::Binary, HashAlgorithm::Sha256, time));
    assert!(refused(&alice, &at(NOW + 3600)).contains("in the future (today is 2024-06-01)"));
    assert!(refused(&alice, &at(MADE - DAY)).contains("before its key existed (2020-01-01)"));
    check(&alice, &at(NOW + 60), DATA).unwrap();
}

#[test]
fn revoked_keys_and_subkeys_are_refused() {
    let mut alice = Key::alice();
    alice.revoke();
    assert!(refused(&alice, &binary(&alice.sign(DATA))).ends_with("was revoked (laptop stolen)"));
    let mut alice = Key::alice();
    alice.revoke_subkey();
    assert!(refused(&alice, &binary(&alice.sign(DATA))).ends_with("was revoked"));
}

#[test]
fn somebody_elses_revocation_does_not_count() {
    let (mut alice, mut mallory) = (Key::alice(), Key::mallory());
    mallory.revoke();
    alice.public.details.revocation_signatures = mallory.public.details.revocation_signatures;
    check(&alice, &binary(&alice.sign(DATA)), DATA).unwrap();
}

#[test]
fn a_key_not_marked_for_signing_is_refused() {
    let alice = Key::alice();
    assert!(refused(&alice, &binary(&alice.sign_by_primary(DATA))).ends_with("its owner did not mark it for signing"));
}

/// Mallory binds Alice's signing key to his own certificate, to claim her signatures as his.
#[test]
fn a_strangers_subkey_can_not_be_adopted() {
    let (alice, mut mallory) = (Key::alice(), Key::mallory());
    let signature = binary(&alice.sign(DATA));
    let mut stolen = alice.public.public_subkeys[0].clone();
    stolen.signatures = vec![mallory.bind(&stolen.key, MADE + DAY, vec![flags(true)])];
    mallory.public.public_subkeys = vec![stolen.clone()];
    assert!(refused(&mallory, &signature).ends_with("it does not sign back to the primary key"));
    // Nor does the back signature she made for her own primary key help.
    let back = alice.public.public_subkeys[0].signatures[0].embedded_signature().unwrap().clone();
    let back = pgp::packet::SubpacketData::EmbeddedSignature(Box::new(back));
    stolen.signatures = vec![mallory.bind(&stolen.key, MADE + DAY, vec![flags(true), back])];
    mallory.public.public_subkeys = vec![stolen];
    assert!(refused(&mallory, &signature).ends_with("it does not sign back to the primary key"));
}

/// Somebody appends a subkey of his own to a certificate, with a binding that the owner never made.
#[test]
fn a_smuggled_subkey_does_not_count() {
    let (mut alice, mallory) = (Key::alice(), Key::mallory());
    alice.public.public_subkeys.extend(mallory.public.public_subkeys.clone());
    assert!(refused(&alice, &binary(&mallory.sign(DATA))).ends_with("its binding to the primary key is not valid"));
}

#[test]
fn nonsense_is_refused_and_not_a_panic() {
    let alice = Key::alice();
    for nonsense in [&b""[..], b"hello", b"\x99", b"-----BEGIN PGP SIGNATURE-----\n\n!\n-----END PGP SIGNATURE-----\n"]
    {
        assert!(matches!(check(&alice, nonsense, DATA).unwrap_err(), Error::SignatureFile(_)), "{nonsense:?}");
        assert!(matches!(Keyring::parse(nonsense).unwrap_err(), Error::KeyFile(_)), "{nonsense:?}");
    }
    let good = binary(&alice.sign(DATA));
    for end in 0..good.len() {
        assert!(check(&alice, &good[..end], DATA).is_err());
    }
    let certificate = alice.certificate();
    for end in (0..certificate.len()).step_by(7) {
        let _ = Keyring::parse(&certificate[..end]);
    }
}

#[test]
fn trouble_with_the_data_is_not_a_bad_signature() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk on fire"))
        }
    }
    let alice = Key::alice();
    let signature = binary(&alice.sign(DATA));
    let error = verify(&alice.certificate(), &alice.fingerprint(), &signature, || Ok(Failing), &Policy::strict(now()));
    assert!(matches!(error.unwrap_err(), Error::Data(_)));
}

#[test]
fn signatures_over_the_uncompressed_archive() {
    let alice = Key::alice();
    let plain = bytes(100_000);
    let signature = binary(&alice.sign(&plain));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&plain).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&plain).unwrap();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(&plain).unwrap();
    let zst = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for packed in [gz.finish().unwrap(), xz.finish().unwrap(), bz.finish().unwrap(), zst, plain.clone()] {
        let open = || uncompressed(packed.as_slice());
        verify(&alice.certificate(), &alice.fingerprint(), &signature, open, &Policy::strict(now())).unwrap();
    }
}
