//! Sources: from pins to proved bytes in the store, with the evidence for the record.

use super::{Error, Session};
use crate::base::Sha256;
use crate::fetch::{Fetched, Order, Pin, signature};
use crate::report::{SignatureEvidence, SourceEvidence};
use crate::spec::{Origin, Signature, SignedOver, Source, SourceKind, Spec};
use crate::store::Blob;
use crate::tree::Tree;
use fs_err as fs;
use std::collections::BTreeMap;
use std::path::Path;

/// Fetches what is not in the store yet, several files at once. Signatures are not looked at.
///
/// # Errors
/// The first file that can't be had.
pub fn prefetch(session: &Session<'_>, specs: &[&Spec]) -> Result<(), Error> {
    let mut wanted: BTreeMap<Sha256, (&Spec, Pin)> = BTreeMap::new();
    for spec in specs {
        for pin in spec.sources.iter().filter_map(pin) {
            wanted.entry(pin.sha256).or_insert((spec, pin));
        }
    }
    let (owners, pins): (Vec<&Spec>, Vec<Pin>) = wanted.into_values().unzip();
    let name = |n: usize| owners.get(n).map_or_else(String::new, |spec| spec.name.value.clone());
    get(session, &pins, &name)
}

/// Fetches pins that belong to `whom`.
pub fn fetch_pins(session: &Session<'_>, whom: &str, pins: &[Pin]) -> Result<(), Error> {
    get(session, pins, &|_| whom.to_owned())
}

fn get(session: &Session<'_>, pins: &[Pin], owner: &dyn Fn(usize) -> String) -> Result<(), Error> {
    let stage = session.store.stage()?;
    let mut orders = Vec::new();
    let mut owners = Vec::new();
    for (n, pin) in pins.iter().enumerate() {
        if session.store.blob(pin.sha256)?.is_none() {
            orders.push(Order { pin: pin.clone(), dest: stage.path().join(pin.sha256.to_string()) });
            owners.push(owner(n));
        }
    }
    let results = session.fetcher.fetch_all(&orders, session.events, session.cancel);
    let mut failed = None;
    for ((order, owner), result) in orders.iter().zip(owners).zip(results) {
        match result {
            // What did arrive is kept, whatever became of the others.
            Ok(fetched) => keep(session, &order.dest, &fetched)?,
            Err(error) => {
                failed.get_or_insert(Error::Source { package: owner, error });
            }
        }
    }
    session.go_on()?;
    failed.map_or(Ok(()), Err)
}

fn keep(session: &Session<'_>, file: &Path, fetched: &Fetched) -> Result<(), Error> {
    session.store.put_blob(file, fetched.sha256, fetched.blake3)?;
    session.store.note_blob(fetched.sha256, &fetched.place.to_string())?;
    Ok(())
}

/// The pin of a file source.
fn pin(source: &Source) -> Option<Pin> {
    match &source.kind {
        SourceKind::File { urls, sha256, size, .. } => Some(Pin {
            name: file_name(urls.first().map_or("", |url| &url.value)),
            // A repack's addresses name the release it was made from, whose bytes are others: asking them could only
            // bring the wrong ones.
            urls: match source.origin {
                Origin::Repack => Vec::new(),
                Origin::Release | Origin::Forge => urls.iter().map(|url| url.value.clone()).collect(),
            },
            sha256: sha256.value,
            size: *size,
            archive_path: None,
        }),
        SourceKind::Git { .. } => None,
    }
}

fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// Makes sure that every source of a spec is in the store and proved, and says what speaks for each.
///
/// # Errors
/// A source can't be had; a declared signature can't be had or does not hold.
pub fn ensure(session: &Session<'_>, spec: &Spec) -> Result<Vec<SourceEvidence>, Error> {
    let pins: Vec<Pin> = spec.sources.iter().filter_map(pin).collect();
    fetch_pins(session, &spec.name.value, &pins)?;
    spec.sources.iter().map(|source| evidence(session, spec, source)).collect()
}

fn evidence(session: &Session<'_>, spec: &Spec, source: &Source) -> Result<SourceEvidence, Error> {
    let origin = match source.origin {
        Origin::Release => "release",
        Origin::Forge => "forge",
        Origin::Repack => "repack",
    };
    let base = SourceEvidence {
        name: String::new(),
        sha256: None,
        blake3: None,
        size: 0,
        origin: origin.to_owned(),
        origin_note: source.origin_note.clone(),
        place: String::new(),
        signature: SignatureEvidence::None,
    };
    match &source.kind {
        SourceKind::File { urls, sha256, signature, .. } => {
            let blob = session.store.blob(sha256.value)?.ok_or(crate::build::Error::NoBlob(sha256.value))?;
            let name = file_name(urls.first().map_or("", |url| &url.value));
            let signature = match signature {
                Some(signature) => check(session, spec, &name, signature, &blob)?,
                None => SignatureEvidence::None,
            };
            let place = session.store.blob_note(sha256.value)?.unwrap_or_else(|| "the store".to_owned());
            Ok(SourceEvidence {
                name,
                sha256: Some(blob.sha256),
                blake3: Some(blob.blake3),
                size: blob.size,
                place,
                signature,
                ..base
            })
        }
        SourceKind::Git { url, commit, tree } => {
            if session.store.tree_path(tree.value)?.is_none() {
                checkout(session, spec, &url.value, &commit.value, tree.value)?;
            }
            Ok(SourceEvidence {
                name: url.value.clone(),
                place: format!("{} at commit {}", url.value, commit.value),
                ..base
            })
        }
    }
}

/// Fetches a commit and takes its tree into the store, if it is the pinned one.
fn checkout(
    session: &Session<'_>,
    spec: &Spec,
    url: &str,
    commit: &str,
    pinned: crate::base::TreeDigest,
) -> Result<(), Error> {
    let stage = session.store.stage()?;
    let dest = stage.path().join("tree");
    session
        .fetcher
        .git(url, commit, &dest, session.events, session.cancel)
        .map_err(|error| Error::Git { package: spec.name.value.clone(), error })?;
    let files = Tree::scan(&dest)?;
    let found = files.digest();
    if found != pinned {
        return Err(Error::GitTree { package: spec.name.value.clone(), commit: commit.to_owned(), pinned, found });
    }
    session.store.put_tree(&dest, &files)?;
    Ok(())
}

/// Gets a signature and checks it.
fn check(
    session: &Session<'_>,
    spec: &Spec,
    name: &str,
    declared: &Signature,
    signed: &Blob,
) -> Result<SignatureEvidence, Error> {
    let package = || spec.name.value.clone();
    let bytes = match signature_bytes(session, declared) {
        Ok(bytes) => bytes,
        Err(error) => {
            return match &declared.may_be_missing {
                Some(reason) => Ok(SignatureEvidence::Missing { reason: reason.clone() }),
                None => match error {
                    Error::Source { error, .. } => Err(Error::Source { package: package(), error }),
                    other => Err(other),
                },
            };
        }
    };
    let key = fs::read(spec.dir.join(&declared.key.value))?;
    let policy = signature::Policy {
        sha1: declared.may_be_sha1.is_some(),
        ..signature::Policy::strict(session.fetcher.config().now)
    };
    let fingerprint = &declared.fingerprint.value;
    let file = || std::fs::File::open(&signed.path);
    let verified = match declared.over {
        SignedOver::File => signature::verify(&key, fingerprint, &bytes, file, &policy),
        SignedOver::Uncompressed => {
            signature::verify(&key, fingerprint, &bytes, || signature::uncompressed(file()?), &policy)
        }
    };
    let verified = verified.map_err(|error| Error::Signature {
        package: package(),
        name: name.to_owned(),
        reason: super::chain(&error),
    })?;
    let reason = declared.may_be_sha1.iter().filter(|_| verified.hash.eq_ignore_ascii_case("sha1"));
    let mut notes = verified.notes;
    notes.extend(reason.map(|reason| format!("SHA-1 because {reason}")));
    Ok(SignatureEvidence::Good {
        fingerprint: verified.fingerprint,
        signer: verified.user_id,
        created: verified.created,
        hash: verified.hash,
        notes,
    })
}

/// The signature file: by its digest if the spec has one, else from where it is published.
///
/// The digest only helps to find it, in the store or by content: what counts is whether it verifies. So when nobody has
/// those very bytes, what is published today does as well (the same signature may be armored or binary).
fn signature_bytes(session: &Session<'_>, declared: &Signature) -> Result<Vec<u8>, Error> {
    let urls: Vec<String> = declared.urls.iter().map(|url| url.value.clone()).collect();
    let name = file_name(urls.first().map_or("", |url| url));
    match &declared.sha256 {
        Some(sha256) => {
            let pin = Pin { name, urls: Vec::new(), sha256: sha256.value, size: None, archive_path: None };
            match fetch_pins(session, "", std::slice::from_ref(&pin)) {
                Ok(()) => {
                    let blob = session.store.blob(pin.sha256)?.ok_or(crate::build::Error::NoBlob(pin.sha256))?;
                    Ok(fs::read(&blob.path)?)
                }
                Err(Error::Source { .. }) if !urls.is_empty() => unpinned(session, &urls),
                Err(error) => Err(error),
            }
        }
        None => unpinned(session, &urls),
    }
}

/// The first of these files that can be had. What a signature says is checked, so nothing is trusted by its place.
fn unpinned(session: &Session<'_>, urls: &[String]) -> Result<Vec<u8>, Error> {
    let stage = session.store.stage()?;
    let dest = stage.path().join("signature");
    let mut last = None;
    for url in urls {
        match session.fetcher.fetch_unpinned(url, &dest, session.events, session.cancel) {
            Ok(_) => return Ok(fs::read(&dest)?),
            Err(error) => last = Some(Error::Source { package: String::new(), error }),
        }
    }
    session.go_on()?;
    Err(last.unwrap_or_else(|| std::io::Error::other("a signature without an address").into()))
}
