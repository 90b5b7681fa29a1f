//! `InRelease`: the signed list of a suite's index files.

use super::conf::{Archive, Keys};
use super::deb822::{Stanzas, checksums};
use crate::base::Sha256;
use crate::fetch::date;
use crate::fetch::signature::{self, Keyring, Policy, Verified};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// A suite's list of index files, its signature checked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Release {
    /// The suite's name as asked for.
    pub suite: String,
    /// Digest of the signed file itself.
    pub sha256: Sha256,
    /// When it was made, seconds since 1970.
    pub date: Option<i64>,
    /// Until when its maker vouches for it, seconds since 1970.
    pub valid_until: Option<i64>,
    /// Who signed it.
    pub signature: Verified,
    /// What a person should know: expired keys, an index past its date.
    pub notes: Vec<String>,
    /// Whether files can be asked for by digest.
    #[serde(skip)]
    pub(super) by_hash: bool,
    #[serde(skip)]
    files: BTreeMap<String, (Sha256, u64)>,
}

/// The certificates that may sign for an archive; those that can not be read are left out.
pub(super) fn keyring(archive: &Archive) -> Result<Keyring, String> {
    let mut rings = Vec::new();
    let mut trouble = "the machine's apt configuration names no key for it".to_owned();
    let mut only = Vec::new();
    for keys in &archive.keys {
        let bytes = match keys {
            Keys::File(path) => match fs_err::read(path) {
                Ok(bytes) => bytes,
                Err(e) => {
                    trouble = e.to_string();
                    continue;
                }
            },
            Keys::Inline(text) => text.clone().into_bytes(),
            Keys::Only(fingerprints) => {
                only.extend(fingerprints.iter().cloned());
                continue;
            }
        };
        match Keyring::parse(&bytes) {
            Ok(ring) => rings.push(ring),
            Err(e) => trouble = e.to_string(),
        }
    }
    let mut ring = Keyring::merge(rings);
    if !only.is_empty() {
        ring.restrict(&only);
    }
    if ring.is_empty() { Err(trouble) } else { Ok(ring) }
}

impl Release {
    /// Checks and reads one.
    pub fn read(suite: &str, bytes: &[u8], keyring: &Keyring, now: SystemTime) -> Result<Self, String> {
        let policy = Policy { after_expiry: true, ..Policy::strict(now) };
        let (text, signature) = signature::verify_cleartext(keyring, bytes, &policy).map_err(|e| e.to_string())?;
        let mut stanzas = Stanzas::new(text.as_bytes(), &[]);
        let stanza = stanzas.next().map_err(|e| e.to_string())?.ok_or("it is empty")?;
        if !matches!(stanzas.next(), Ok(None)) {
            return Err("it has more than one stanza".to_owned());
        }
        let names = [stanza.get("Suite"), stanza.get("Codename")];
        if !names.iter().flatten().any(|name| suite == *name || suite.split('/').next() == Some(name)) {
            // A signed list of another suite under this name would be a trick, or a grave mistake.
            return Err(format!("it is the list of another suite, {}", names[0].or(names[1]).unwrap_or("unnamed")));
        }
        let files: BTreeMap<String, (Sha256, u64)> = checksums(stanza.get("SHA256").unwrap_or_default())
            .map(|(hash, size, name)| (name.to_owned(), (hash, size)))
            .collect();
        if files.is_empty() {
            return Err("it lists no files with SHA-256".to_owned());
        }
        let valid_until = stanza.get("Valid-Until").and_then(date::parse);
        let mut notes = signature.notes.clone();
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        if let Some(until) = valid_until
            && until < now
        {
            notes.push(format!("the index was valid until {}", crate::base::date(until)));
        }
        Ok(Self {
            suite: suite.to_owned(),
            sha256: Sha256::of(bytes),
            date: stanza.get("Date").and_then(date::parse),
            valid_until,
            signature,
            notes,
            by_hash: stanza.get("Acquire-By-Hash").is_some_and(|v| v.eq_ignore_ascii_case("yes")),
            files,
        })
    }

    /// The best form of an index file: its name with ending, digest and size. `stem` is `main/source/Sources`, say.
    pub(super) fn index(&self, stem: &str) -> Option<(String, Sha256, u64)> {
        [".xz", ".gz", ""].iter().find_map(|ending| {
            let name = format!("{stem}{ending}");
            self.files.get(&name).map(|(hash, size)| (name, *hash, *size))
        })
    }
}
