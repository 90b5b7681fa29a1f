//! Certificates, what their owners said about them, and the judgement on one signature.

use super::{Error, Policy, Verified};
use crate::base::{date, printable};
use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, SignedUser, Tag};
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far a signature may be dated ahead of now: clocks differ.
const CLOCK_SKEW: i64 = 15 * 60;
/// Bytes of a key or signature file, at most.
const FILE_LIMIT: usize = 16 << 20;

/// Certificates whose signatures count.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// What there is to say about a certificate before anything was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Fingerprint of the primary key, upper case.
    pub fingerprint: String,
    /// Its main user id.
    pub user_id: String,
}

impl Keyring {
    /// Reads certificates, binary or armored, one block or several. Unreadable ones among readable ones are left out.
    ///
    /// # Errors
    /// When there is none at all.
    pub fn parse(file: &[u8]) -> Result<Self, Error> {
        if file.len() > FILE_LIMIT {
            return Err(Error::KeyFile("it is too large for a key file".to_owned()));
        }
        let mut certificates = Vec::new();
        let mut trouble = "it holds no OpenPGP certificate".to_owned();
        let mut collect = |results: Box<dyn Iterator<Item = pgp::errors::Result<SignedPublicKey>> + '_>| {
            for result in results {
                match result {
                    Ok(certificate) => certificates.push(certificate),
                    Err(e) => trouble = e.to_string(),
                }
            }
        };
        if is_binary(file) {
            collect(SignedPublicKey::from_bytes_many(file).map_err(|e| Error::KeyFile(e.to_string()))?);
        } else {
            for block in blocks(file, "PGP PUBLIC KEY BLOCK") {
                if let Ok((results, _)) = SignedPublicKey::from_armor_many(block) {
                    collect(results);
                }
            }
        }
        if certificates.is_empty() { Err(Error::KeyFile(trouble)) } else { Ok(Self { certificates }) }
    }

    /// All of several keyrings.
    pub fn merge(keyrings: impl IntoIterator<Item = Self>) -> Self {
        Self { certificates: keyrings.into_iter().flat_map(|k| k.certificates).collect() }
    }

    /// Whether there is no certificate at all.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// What is in it.
    pub fn keys(&self) -> Vec<KeyInfo> {
        let info = |c: &SignedPublicKey| KeyInfo { fingerprint: fingerprint(c), user_id: user_id(c) };
        self.certificates.iter().map(info).collect()
    }

    /// The certificate with this primary fingerprint, alone. Blanks and case do not matter, every digit does.
    pub(super) fn only(self, wanted: &str) -> Result<Self, Error> {
        let expected: String = wanted.split_whitespace().collect::<String>().to_ascii_uppercase();
        let found = self.certificates.iter().map(fingerprint).collect();
        let certificates: Vec<_> = self.certificates.into_iter().filter(|c| fingerprint(c) == expected).collect();
        if certificates.is_empty() { Err(Error::NoSuchKey { expected, found }) } else { Ok(Self { certificates }) }
    }

    /// Certificates that have one of these fingerprints, as primary key or subkey.
    pub fn restrict(&mut self, fingerprints: &[String]) {
        self.certificates.retain(|c| {
            let subkeys = c.public_subkeys.iter().map(|s| fingerprint(&s.key));
            std::iter::once(fingerprint(c)).chain(subkeys).any(|f| fingerprints.contains(&f))
        });
    }

    /// The first good signature by any certificate.
    pub(super) fn check<'r>(
        &self,
        signatures: &[Signature],
        open: &mut dyn FnMut() -> io::Result<Box<dyn Read + 'r>>,
        policy: &Policy,
    ) -> Result<Verified, Error> {
        let mut first_trouble = None;
        for signature in signatures {
            for certificate in &self.certificates {
                for key in keys(certificate).filter(|key| key.is_named_by(signature)) {
                    match judge(certificate, &key, signature, open, policy) {
                        Ok(verified) => return Ok(verified),
                        Err(Error::Data(e)) => return Err(Error::Data(e)),
                        Err(e) => first_trouble = first_trouble.or(Some(e)),
                    }
                }
            }
        }
        Err(first_trouble.unwrap_or_else(|| Error::OtherKey {
            expected: self.certificates.iter().map(fingerprint).collect::<Vec<_>>().join(" or "),
            issuers: signatures.iter().flat_map(issuers).collect(),
        }))
    }
}

/// Reads detached signatures, binary or armored, one block or several.
pub(super) fn parse_signatures(file: &[u8]) -> Result<Vec<Signature>, Error> {
    if file.len() > FILE_LIMIT {
        return Err(Error::SignatureFile("it is too large for a signature".to_owned()));
    }
    let mut signatures = Vec::new();
    let mut trouble = "it holds no OpenPGP signature".to_owned();
    let mut collect = |results: Box<dyn Iterator<Item = pgp::errors::Result<DetachedSignature>> + '_>| {
        for result in results {
            match result {
                Ok(detached) => signatures.push(detached.signature),
                Err(e) => trouble = e.to_string(),
            }
        }
    };
    if is_binary(file) {
        collect(DetachedSignature::from_bytes_many(file).map_err(|e| Error::SignatureFile(e.to_string()))?);
    } else {
        for block in blocks(file, "PGP SIGNATURE") {
            if let Ok((results, _)) = DetachedSignature::from_armor_many(block) {
                collect(results);
            }
        }
    }
    if signatures.is_empty() { Err(Error::SignatureFile(trouble)) } else { Ok(signatures) }
}

/// Every OpenPGP packet begins with the highest bit set; armor is ASCII.
fn is_binary(file: &[u8]) -> bool {
    file.first().is_some_and(|b| b & 0x80 != 0)
}

/// The armored blocks of a kind in a file, whatever stands around them.
fn blocks<'a>(file: &'a [u8], kind: &str) -> Vec<&'a [u8]> {
    let find = |from: usize, what: &str| {
        let what = what.as_bytes();
        file[from..].windows(what.len()).position(|w| w == what).map(|at| from + at)
    };
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(start) = find(at, &begin)
        && let Some(stop) = find(start, &end)
    {
        at = stop + end.len();
        out.push(&file[start..at]);
    }
    out
}

/// A key that might have made a signature.
enum Key<'a> {
    Primary(&'a SignedPublicKey),
    Subkey(&'a SignedPublicKey, &'a SignedPublicSubKey),
}

fn keys(certificate: &SignedPublicKey) -> impl Iterator<Item = Key<'_>> {
    let subkeys = certificate.public_subkeys.iter().map(move |subkey| Key::Subkey(certificate, subkey));
    std::iter::once(Key::Primary(certificate)).chain(subkeys)
}

/// What a key's owner said about it last.
struct Standing {
    created: i64,
    expires: Option<i64>,
    /// The statement rests on SHA-1.
    weak: bool,
}

impl Key<'_> {
    fn details(&self) -> &dyn Named {
        match self {
            Self::Primary(certificate) => &certificate.primary_key,
            Self::Subkey(_, subkey) => &subkey.key,
        }
    }

    /// Whether the signature names this key as its maker. One that names nobody might be anybody's.
    fn is_named_by(&self, signature: &Signature) -> bool {
        let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        let named_by_id = ids.iter().any(|id| **id == self.details().id());
        let named_by_print = prints.iter().any(|print| **print == self.details().print());
        (ids.is_empty() && prints.is_empty()) || named_by_print || (prints.is_empty() && named_by_id)
    }

    fn name(&self) -> String {
        format!("{:X}", self.details().print())
    }

    /// What holds for this key now; an error if it may not sign at all.
    fn standing(&self) -> Result<Standing, Error> {
        match self {
            Self::Primary(certificate) => primary_standing(certificate, true),
            Self::Subkey(certificate, subkey) => {
                primary_standing(certificate, false)?;
                subkey_standing(certificate, subkey)
            }
        }
    }

    fn verify(&self, signature: &Signature, data: &mut dyn Read) -> Result<(), pgp::errors::Error> {
        match self {
            Self::Primary(certificate) => signature.verify(&certificate.primary_key, data),
            Self::Subkey(_, subkey) => signature.verify(&subkey.key, data),
        }
    }
}

/// The names of a key, whichever kind of packet it is in.
trait Named {
    fn id(&self) -> pgp::types::KeyId;
    fn print(&self) -> pgp::types::Fingerprint;
}

impl<K: KeyDetails> Named for K {
    fn id(&self) -> pgp::types::KeyId {
        self.legacy_key_id()
    }

    fn print(&self) -> pgp::types::Fingerprint {
        self.fingerprint()
    }
}

fn primary_standing(certificate: &SignedPublicKey, must_sign: bool) -> Result<Standing, Error> {
    let key = fingerprint(certificate);
    let primary = &certificate.primary_key;
    for signature in &certificate.details.revocation_signatures {
        if signature.typ() == Some(SignatureType::KeyRevocation) && signature.verify_key(primary).is_ok() {
            return Err(revoked(key, signature));
        }
    }
    let direct = certificate.details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && counts(signature) && signature.verify_key(primary).is_ok()
    });
    let by_user: Vec<&Signature> =
        certificate.details.users.iter().filter_map(|user| self_certification(certificate, user)).collect();
    // A direct statement often says something else only (who may revoke, say); then the user ids' statements hold.
    let direct = direct.filter(|s| by_user.is_empty() || flags(s).is_some() || s.key_expiration_time().is_some());
    let latest = direct.chain(by_user.iter().copied()).max_by_key(|signature| signature.created());
    let Some(latest) = latest else {
        return Err(Error::NotForSigning { key, why: "it has no valid statement by its owner".to_owned() });
    };
    if must_sign && flags(latest) == Some(false) {
        return Err(Error::NotForSigning { key, why: "its owner did not mark it for signing".to_owned() });
    }
    Ok(standing(i64::from(primary.created_at().as_secs()), latest))
}

fn subkey_standing(certificate: &SignedPublicKey, subkey: &SignedPublicSubKey) -> Result<Standing, Error> {
    let key = fingerprint(&subkey.key);
    let primary = &certificate.primary_key;
    let bound = |kind: SignatureType| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(kind) && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    if let Some(signature) = bound(SignatureType::SubkeyRevocation).next() {
        return Err(revoked(key, signature));
    }
    let Some(latest) = bound(SignatureType::SubkeyBinding).filter(|s| counts(s)).max_by_key(|s| s.created()) else {
        return Err(Error::NotForSigning { key, why: "its binding to the primary key is not valid".to_owned() });
    };
    if flags(latest) == Some(false) {
        return Err(Error::NotForSigning { key, why: "its owner did not mark it for signing".to_owned() });
    }
    // Without this a stranger's signing key could be bound to a certificate and its signatures claimed.
    let back = latest.embedded_signature().filter(|back| counts(back));
    if back.is_none_or(|back| back.verify_primary_key_binding(&subkey.key, primary).is_err()) {
        return Err(Error::NotForSigning { key, why: "it does not sign back to the primary key".to_owned() });
    }
    Ok(standing(i64::from(subkey.key.created_at().as_secs()), latest))
}

fn standing(created: i64, latest: &Signature) -> Standing {
    let lifetime = latest.key_expiration_time().map(|d| i64::from(d.as_secs())).filter(|seconds| *seconds > 0);
    Standing {
        created,
        expires: lifetime.map(|seconds| created + seconds),
        weak: latest.hash_alg() == Some(HashAlgorithm::Sha1),
    }
}

/// The latest valid statement of the owner about one user id, unless the id was revoked after it.
fn self_certification<'a>(certificate: &SignedPublicKey, user: &'a SignedUser) -> Option<&'a Signature> {
    let valid = user
        .signatures
        .iter()
        .filter(|s| counts(s) && s.verify_certification(&certificate.primary_key, Tag::UserId, &user.id).is_ok());
    let latest = valid.max_by_key(|s| (s.created(), s.typ() == Some(SignatureType::CertRevocation)))?;
    (latest.typ() != Some(SignatureType::CertRevocation)).then_some(latest)
}

/// Whether a key's own signature counts: hash not broken altogether, nothing critical that we do not understand.
fn counts(signature: &Signature) -> bool {
    let hash = matches!(signature.hash_alg(), Some(hash) if is_strong(hash) || hash == HashAlgorithm::Sha1);
    hash && !has_unknown_critical(signature)
}

fn is_strong(hash: HashAlgorithm) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha224, Sha256, Sha384, Sha512};
    matches!(hash, Sha224 | Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512)
}

fn has_unknown_critical(signature: &Signature) -> bool {
    signature.config().is_none_or(|config| {
        config
            .hashed_subpackets()
            .any(|p| p.is_critical && matches!(p.data, SubpacketData::Other(..) | SubpacketData::Experimental(..)))
    })
}

/// Whether the flags in a statement allow signing; `None` when it has no flags (old keys may then do everything).
fn flags(signature: &Signature) -> Option<bool> {
    signature.config()?.hashed_subpackets().find_map(|p| match &p.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    })
}

fn revoked(key: String, signature: &Signature) -> Error {
    let why = signature.revocation_reason_string().map(|text| String::from_utf8_lossy(text).into_owned());
    Error::Revoked { key, why: why.unwrap_or_default() }
}

fn judge<'r>(
    certificate: &SignedPublicKey,
    key: &Key<'_>,
    signature: &Signature,
    open: &mut dyn FnMut() -> io::Result<Box<dyn Read + 'r>>,
    policy: &Policy,
) -> Result<Verified, Error> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err(Error::SignatureFile("it holds a signature of another kind than over a file".to_owned()));
    }
    if has_unknown_critical(signature) {
        return Err(Error::SignatureFile("it demands something that parton does not know".to_owned()));
    }
    let hash = signature.hash_alg().unwrap_or(HashAlgorithm::None);
    let waived = policy.sha1 && hash == HashAlgorithm::Sha1;
    if !is_strong(hash) && !waived {
        return Err(Error::WeakHash { key: key.name(), hash: hash.to_string() });
    }
    let standing = key.standing()?;
    let mut data = Watched { inner: open().map_err(Error::Data)?, error: None };
    let good = key.verify(signature, &mut data);
    if let Some(e) = data.error {
        return Err(Error::Data(e));
    }
    good.map_err(|_| Error::Bad { key: key.name() })?;
    let (created, mut notes) = dates(certificate, key, &standing, signature, policy)?;
    if waived {
        notes.push("the signature uses SHA-1, which was waived".to_owned());
    }
    Ok(Verified {
        fingerprint: fingerprint(certificate),
        signed_by: key.name(),
        user_id: user_id(certificate),
        created,
        hash: hash.to_string(),
        notes,
    })
}

/// Whether the dates of signature and key fit each other and now, and what is to be said about them.
fn dates(
    certificate: &SignedPublicKey,
    key: &Key<'_>,
    standing: &Standing,
    signature: &Signature,
    policy: &Policy,
) -> Result<(i64, Vec<String>), Error> {
    let now = seconds(policy.now);
    let refuse = |created: i64, why: String| Err(Error::Time { key: key.name(), created: date(created), why });
    let Some(created) = signature.created().map(|at| i64::from(at.as_secs())) else {
        return Err(Error::SignatureFile("it is not dated".to_owned()));
    };
    if created > now.saturating_add(CLOCK_SKEW) {
        return refuse(created, format!("which is in the future (today is {})", date(now)));
    }
    if created < standing.created {
        return refuse(created, format!("before its key existed ({})", date(standing.created)));
    }
    // A subkey lives no longer than its primary key.
    let primary = primary_standing(certificate, false)?;
    let expires = [standing.expires, primary.expires].into_iter().flatten().min();
    let mut notes = Vec::new();
    match expires {
        Some(end) if created > end && policy.after_expiry => {
            notes.push(format!("the key had expired on {}, before it signed on {}", date(end), date(created)));
        }
        Some(end) if created > end => return refuse(created, format!("after its key had expired ({})", date(end))),
        Some(end) if now > end => notes.push(format!("the key has expired since, on {}", date(end))),
        _ => {}
    }
    if let Some(lifetime) = signature.signature_expiration_time().map(|d| i64::from(d.as_secs()))
        && lifetime > 0
        && now > created + lifetime
    {
        notes.push(format!("the signature itself has expired since, on {}", date(created + lifetime)));
    }
    if standing.weak || primary.weak {
        notes.push("the key's own statements rest on SHA-1".to_owned());
    }
    Ok((created, notes))
}

/// Tells an error of the data from an error of the signature.
struct Watched<R> {
    inner: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|e| {
            let copy = io::Error::new(e.kind(), e.to_string());
            self.error = Some(e);
            copy
        })
    }
}

fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

fn fingerprint(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

/// The main user id: the one its owner marked, else the one with the latest statement.
fn user_id(certificate: &SignedPublicKey) -> String {
    let users = certificate.details.users.iter().filter_map(|user| {
        let statement = self_certification(certificate, user)?;
        Some(((statement.is_primary(), statement.created()), user))
    });
    let main = users.max_by_key(|(rank, _)| *rank).map(|(_, user)| user);
    main.map(|user| printable(user.id.id())).unwrap_or_default()
}

/// Who made a signature, by its own account.
fn issuers(signature: &Signature) -> Vec<String> {
    let prints: Vec<String> = signature.issuer_fingerprint().iter().map(|f| format!("{f:X}")).collect();
    if !prints.is_empty() {
        return prints;
    }
    signature.issuer_key_id().iter().map(|id| id.to_string().to_ascii_uppercase()).collect()
}
