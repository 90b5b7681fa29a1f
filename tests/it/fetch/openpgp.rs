//! Throw-away keys and signatures made to order. The secret keys in `keys/` were made for these tests
//! (`gpg --quick-gen-key alice ed25519 cert never`, `--quick-add-key … ed25519 sign never`, both dated 2020-01-01; carol
//! with `rsa2048 cert,sign`) and
//! sign nothing else. Their signatures are deterministic.

use super::NOW;
use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedPublicKey, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, RevocationCode, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails, Password, SigningKey, Tag, Timestamp};

/// 2020-01-01, when the keys were made.
pub const MADE: u64 = 1_577_836_800;

pub struct Key {
    pub secret: SignedSecretKey,
    /// The certificate that is given out; tests change it.
    pub public: SignedPublicKey,
}

impl Key {
    pub fn alice() -> Self {
        Self::read(include_str!("keys/alice.asc"))
    }

    pub fn mallory() -> Self {
        Self::read(include_str!("keys/mallory.asc"))
    }

    /// An RSA key that signs with its primary key.
    pub fn carol() -> Self {
        Self::read(include_str!("keys/carol.asc"))
    }

    fn read(armored: &str) -> Self {
        let (secret, _) = SignedSecretKey::from_string(armored).unwrap();
        let public = secret.to_public_key();
        Self { secret, public }
    }

    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.public.fingerprint())
    }

    pub fn certificate(&self) -> Vec<u8> {
        self.public.to_bytes().unwrap()
    }

    pub fn armored(&self) -> String {
        self.public.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// A statement by the primary key about something of its own.
    fn statement(&self, kind: SignatureType, time: u64, more: Vec<SubpacketData>) -> SignatureConfig {
        config(&self.secret.primary_key, kind, HashAlgorithm::Sha512, time, more)
    }

    /// Says on a day that the primary key lives until another.
    pub fn set_expiry(&mut self, said: u64, until: u64) {
        let more = vec![lifetime(until), flags(false)];
        let primary = &self.secret.primary_key;
        let user = &mut self.public.details.users[0];
        let config = config(primary, SignatureType::CertPositive, HashAlgorithm::Sha512, said, more);
        let signature =
            config.sign_certification(primary, primary.public_key(), &Password::empty(), Tag::UserId, &user.id);
        user.signatures.push(signature.unwrap());
    }

    /// Says on a day that the signing subkey lives until another.
    pub fn set_subkey_expiry(&mut self, said: u64, until: u64) {
        let old = self.public.public_subkeys[0].signatures[0].clone();
        let back = SubpacketData::EmbeddedSignature(Box::new(old.embedded_signature().unwrap().clone()));
        let binding = self.bind(&self.public.public_subkeys[0].key, said, vec![lifetime(until), flags(true), back]);
        self.public.public_subkeys[0].signatures.push(binding);
    }

    pub fn bind(&self, subkey: &pgp::packet::PublicSubkey, said: u64, more: Vec<SubpacketData>) -> Signature {
        let config = self.statement(SignatureType::SubkeyBinding, said, more);
        let primary = &self.secret.primary_key;
        config.sign_subkey_binding(primary, primary.public_key(), &Password::empty(), subkey).unwrap()
    }

    pub fn revoke(&mut self) {
        let why = SubpacketData::RevocationReason(RevocationCode::KeyCompromised, "laptop stolen".into());
        let config = self.statement(SignatureType::KeyRevocation, MADE + 1, vec![why]);
        let primary = &self.secret.primary_key;
        let signature = config.sign_key(primary, &Password::empty(), primary.public_key()).unwrap();
        self.public.details.revocation_signatures.push(signature);
    }

    pub fn revoke_subkey(&mut self) {
        let config = self.statement(SignatureType::SubkeyRevocation, MADE + 1, vec![]);
        let primary = &self.secret.primary_key;
        let subkey = &self.public.public_subkeys[0].key;
        let signature = config.sign_subkey_binding(primary, primary.public_key(), &Password::empty(), subkey).unwrap();
        self.public.public_subkeys[0].signatures.push(signature);
    }

    /// A signature over data by the signing subkey, or by the primary key of one without subkeys.
    pub fn sign(&self, data: &[u8]) -> Signature {
        self.sign_as(data, SignatureType::Binary, HashAlgorithm::Sha256, NOW - 1000)
    }

    pub fn sign_as(&self, data: &[u8], kind: SignatureType, hash: HashAlgorithm, time: u64) -> Signature {
        match self.secret.secret_subkeys.first() {
            Some(subkey) => config(&subkey.key, kind, hash, time, vec![]).sign(&subkey.key, &Password::empty(), data),
            None => {
                let primary = &self.secret.primary_key;
                config(primary, kind, hash, time, vec![]).sign(primary, &Password::empty(), data)
            }
        }
        .unwrap()
    }

    /// A signature over data by the primary key, which is not marked for that.
    pub fn sign_by_primary(&self, data: &[u8]) -> Signature {
        self.statement(SignatureType::Binary, NOW - 1000, vec![])
            .sign(&self.secret.primary_key, &Password::empty(), data)
            .unwrap()
    }

    /// A text signed as archives sign their indexes.
    pub fn clearsign(&self, text: &str, time: u64) -> String {
        assert!(text.ends_with('\n') && !text.contains("\n-"));
        let signed = text.trim_end_matches('\n').replace('\n', "\r\n");
        let signature = self.sign_as(signed.as_bytes(), SignatureType::Text, HashAlgorithm::Sha512, time);
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}{}", armored(&signature))
    }
}

fn config(
    key: &impl SigningKey,
    kind: SignatureType,
    hash: HashAlgorithm,
    time: u64,
    more: Vec<SubpacketData>,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    let created = SubpacketData::SignatureCreationTime(Timestamp::from_secs(u32::try_from(time).unwrap()));
    let basics = [created, SubpacketData::IssuerFingerprint(key.fingerprint())];
    config.hashed_subpackets = basics.into_iter().chain(more).map(|data| Subpacket::regular(data).unwrap()).collect();
    config
}

fn lifetime(until: u64) -> SubpacketData {
    SubpacketData::KeyExpirationTime(Duration::from_secs(u32::try_from(until - MADE).unwrap()))
}

pub fn flags(sign: bool) -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_certify(!sign);
    flags.set_sign(sign);
    SubpacketData::KeyFlags(flags)
}

pub fn binary(signature: &Signature) -> Vec<u8> {
    DetachedSignature::new(signature.clone()).to_bytes().unwrap()
}

pub fn armored(signature: &Signature) -> String {
    DetachedSignature::new(signature.clone()).to_armored_string(ArmorOptions::default()).unwrap()
}
