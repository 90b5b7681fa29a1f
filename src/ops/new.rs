//! `parton new`: from the URL of a release to a spec that builds, or that says what to fill in.

use super::{Error, Session};
use crate::base::write_atomic;
use crate::spec;
use crate::tree::{self, Unpack};
use fs_err as fs;
use serde::Serialize;
use std::path::Path;

/// A spec that was written for a release.
#[derive(Debug, Clone, Serialize)]
pub struct NewSpec {
    /// The package's name.
    pub name: String,
    /// The spec's text.
    pub text: String,
    /// What a person should look at.
    pub notes: Vec<String>,
}

/// Endings under which upstreams publish detached OpenPGP signatures.
const SIGNATURES: &[&str] = &[".asc", ".sig", ".sign"];

/// Fetches the release at a URL once, looks into it and writes a spec for it.
///
/// # Errors
/// The release can't be had, or is no archive that parton reads.
pub fn new_spec(session: &Session<'_>, url: &str, name: Option<&str>) -> Result<NewSpec, Error> {
    let guessed = spec::release_name(url);
    let mut notes = Vec::new();
    let name = name.map(str::to_owned).or(guessed.name).unwrap_or_else(|| {
        notes.push("the URL does not say what the package is called".to_owned());
        "package".to_owned()
    });
    let version = guessed.version.unwrap_or_else(|| {
        notes.push("the URL does not say which version this is".to_owned());
        "0".to_owned()
    });
    let failed = |error| Error::Source { package: name.clone(), error };
    let stage = session.store.stage()?;
    let file = stage.path().join("release");
    let fetched = session.fetcher.fetch_unpinned(url, &file, session.events, session.cancel).map_err(failed)?;
    let blob = session.store.put_blob(&file, fetched.sha256, fetched.blake3)?;
    session.store.note_blob(fetched.sha256, &fetched.place.to_string())?;

    let source = stage.path().join("source");
    fs::create_dir(&source)?;
    tree::unpack(fs::File::open(&blob.path)?, &source, &Unpack::source(1), None)?;
    let listing: Vec<String> = tree::list(&source)?.iter().map(ToString::to_string).collect();
    let read = |path: &str| {
        let bytes = fs::read(source.join(path)).ok()?;
        (bytes.len() < 4 << 20).then(|| String::from_utf8_lossy(&bytes).into_owned())
    };
    let guess = spec::guess(&listing, &read);
    notes.extend(guess.notes.iter().cloned());
    let (here, elsewhere): (Vec<&str>, Vec<&str>) =
        guess.needs_build.iter().partition(|need| session.workspace.specs.contains_key(**need));
    // Every seed has make; anything else has to be a package.
    let missing: Vec<&str> = elsewhere.into_iter().filter(|need| *need != "make").collect();
    if !missing.is_empty() {
        notes.push(format!("the build seems to need {}, which no spec here provides", missing.join(", ")));
    }
    let needs_build = here.into_iter().filter(|need| *need != "make").map(str::to_owned).collect();
    for ending in SIGNATURES {
        let at = format!("{url}{ending}");
        let dest = stage.path().join("signature");
        if session.fetcher.fetch_unpinned(&at, &dest, session.events, session.cancel).is_ok() {
            notes.push(format!(
                "upstream signs this release ({at}): put its public key below keys/ and write `signature = {{ urls, key, \
                 fingerprint }}` after comparing the fingerprint with what upstream announces"
            ));
            break;
        }
    }
    let text = spec::new_spec(&spec::NewSpec {
        name: name.clone(),
        version,
        license: guess.licenses.first().map(|license| license.expression.clone()).unwrap_or_default(),
        homepage: None,
        summary: None,
        urls: vec![url.to_owned()],
        sha256: fetched.sha256,
        size: fetched.size,
        unpack: true,
        strip: 1,
        origin: spec::Origin::Release,
        signature: None,
        vcs: None,
        system: guess.system,
        phases: guess.phases.iter().map(|(name, script)| ((*name).to_owned(), script.clone())).collect(),
        needs_build,
        notes: notes.clone(),
    });
    Ok(NewSpec { name, text, notes })
}

/// Writes a new spec where none is.
///
/// # Errors
/// A file is there already; it is left alone.
pub fn write_new(path: &Path, new: &NewSpec) -> Result<(), Error> {
    if path.exists() {
        return Err(Error::Exists(path.to_owned()));
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    Ok(write_atomic(path, new.text.as_bytes())?)
}
