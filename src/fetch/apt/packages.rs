//! Binary packages by name, for the lock file of a seed. No solver: what is wanted is listed, and what the listed ones
//! depend on besides is reported, so that a person decides.

use super::Error;
use super::deb822::{Stanza, Stanzas};
use super::locate::Suite;
use super::release::Release;
use super::version::compare;
use crate::base::{Cancel, Events, Sha256, nearest};
use crate::fetch::error::{Failure, Halt};
use crate::fetch::signature::uncompressed;
use crate::fetch::{Error as FetchError, Fetcher, Pin};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;

/// Bytes of the fields of all packages that are kept; five times what the largest suite has.
const LARGEST: usize = 128 << 20;

/// The packages of a suite for one architecture; only what stands in the signed index.
#[derive(Debug)]
pub struct Packages {
    /// The list that vouches for it.
    pub release: Release,
    packages: BTreeMap<String, BinaryPackage>,
}

/// One binary package.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BinaryPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Below the archive's address.
    pub path: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Digest of the file.
    pub sha256: Sha256,
    /// What it needs, from `Pre-Depends` and `Depends`: each with its alternatives, as names only.
    pub depends: Vec<Vec<String>>,
    /// Names that it also answers to.
    pub provides: Vec<String>,
}

impl BinaryPackage {
    /// How to fetch it.
    pub fn pin(&self) -> Pin {
        Pin {
            name: self.path.rsplit('/').next().unwrap_or(&self.path).to_owned(),
            urls: Vec::new(),
            sha256: self.sha256,
            size: Some(self.size),
            archive_path: Some(self.path.clone()),
        }
    }
}

/// The answer to a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// One per name, sorted by name.
    pub packages: Vec<BinaryPackage>,
    /// Dependencies that no listed package meets, sorted.
    pub unlisted: Vec<Unlisted>,
}

/// A dependency that no listed package meets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unlisted {
    /// Its alternatives.
    pub alternatives: Vec<String>,
    /// The listed packages that have it.
    pub wanted_by: Vec<String>,
}

impl Packages {
    /// Exactly the packages with these names.
    ///
    /// `left_out` names dependencies that were considered and are not wanted; they are not reported again.
    ///
    /// # Errors
    /// Names that do not exist, all of them at once.
    pub fn resolve(&self, names: &[String], left_out: &[String]) -> Result<Resolved, Error> {
        let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let missing: Vec<_> = wanted
            .iter()
            .filter(|name| !self.packages.contains_key(**name))
            .map(|name| {
                ((*name).to_owned(), nearest(name, self.packages.keys().map(String::as_str)).map(str::to_owned))
            })
            .collect();
        if !missing.is_empty() {
            return Err(Error::Missing { suite: self.release.suite.clone(), missing });
        }
        let packages: Vec<BinaryPackage> = wanted.iter().filter_map(|n| self.packages.get(*n)).cloned().collect();
        let provided = packages.iter().flat_map(|p| p.provides.iter().map(String::as_str));
        let met: BTreeSet<&str> =
            wanted.iter().copied().chain(provided).chain(left_out.iter().map(String::as_str)).collect();
        let mut unmet: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for package in &packages {
            for alternatives in package.depends.iter().filter(|a| !a.iter().any(|name| met.contains(name.as_str()))) {
                let wanted_by = unmet.entry(alternatives.clone()).or_default();
                if wanted_by.last() != Some(&package.name) {
                    wanted_by.push(package.name.clone());
                }
            }
        }
        let unlisted =
            unmet.into_iter().map(|(alternatives, wanted_by)| Unlisted { alternatives, wanted_by }).collect();
        Ok(Resolved { packages, unlisted })
    }

    /// Number of packages in the index.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether the index has none.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Reads an index of binary packages, of which the newest version of each counts. Stanzas that lack a field or name an
    /// unsafe path are passed over.
    ///
    /// # Errors
    /// Those of the reader; a line that is none of the format's, or longer than any real one.
    pub fn read(release: Release, reader: impl std::io::BufRead) -> std::io::Result<Self> {
        const FIELDS: &[&str] =
            &["Package", "Version", "Filename", "Size", "SHA256", "Depends", "Pre-Depends", "Provides"];
        let mut packages: BTreeMap<String, BinaryPackage> = BTreeMap::new();
        let mut stanzas = Stanzas::new(reader, FIELDS);
        let mut read = 0;
        while let Some(stanza) = stanzas.next()? {
            read += stanza.len();
            if read > LARGEST {
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the index is too large"));
            }
            let Some(package) = package(&stanza) else { continue };
            match packages.get(&package.name) {
                Some(known) if compare(&known.version, &package.version).is_ge() => {}
                _ => {
                    packages.insert(package.name.clone(), package);
                }
            }
        }
        Ok(Self { release, packages })
    }
}

fn package(stanza: &Stanza) -> Option<BinaryPackage> {
    let field = |name| stanza.get(name).map(str::to_owned);
    let path = field("Filename")?;
    crate::base::RelPath::new(&path).ok()?;
    let mut depends = names(stanza.get("Pre-Depends").unwrap_or_default());
    depends.extend(names(stanza.get("Depends").unwrap_or_default()));
    Some(BinaryPackage {
        name: field("Package")?,
        version: field("Version")?,
        path,
        size: stanza.get("Size")?.parse().ok()?,
        sha256: stanza.get("SHA256")?.parse().ok()?,
        depends,
        provides: names(stanza.get("Provides").unwrap_or_default()).into_iter().flatten().collect(),
    })
}

/// `a (>= 1), b:any | c [amd64]` as names.
fn names(list: &str) -> Vec<Vec<String>> {
    let name = |word: &str| {
        let end = word.find(|c: char| c.is_whitespace() || matches!(c, '(' | ':' | '[' | '<')).unwrap_or(word.len());
        word[..end].to_owned()
    };
    let groups = list.split(',').map(|group| group.split('|').map(|w| name(w.trim())).filter(|n| !n.is_empty()));
    groups.map(Iterator::collect::<Vec<_>>).filter(|group| !group.is_empty()).collect()
}

impl Fetcher {
    /// Reads the index of binary packages of a suite from the first archive that has one, verified.
    ///
    /// # Errors
    /// When no archive is configured, or none has a usable index of this suite.
    pub fn packages(
        &self,
        suite: &str,
        component: &str,
        architecture: &str,
        events: Events<'_>,
        cancel: &Cancel,
    ) -> Result<Packages, FetchError> {
        let what = format!("the packages of suite {suite}");
        let mut last = None;
        for archive in &self.config.archives {
            let asked = Suite { net: &self.net, config: &self.config, archive, suite, events, cancel };
            match asked.packages(component, architecture) {
                Ok(packages) => return Ok(packages),
                Err(halt) => {
                    let why = halt.fatal(&what)?;
                    // An archive that has the suite and fails says more than one that never had it.
                    if last.is_none() || why != Failure::NoSuite {
                        last = Some(why);
                    }
                }
            }
        }
        Err(match last {
            Some(why) => Error::Suite { suite: suite.to_owned(), why },
            None => Error::NoArchive { what },
        }
        .into())
    }
}

impl Suite<'_> {
    fn packages(&self, component: &str, architecture: &str) -> Result<Packages, Halt> {
        let (dir, _lock) = self.lock()?;
        let release = self.release(&dir)?;
        let stem = format!("{component}/binary-{architecture}/Packages");
        let Some((name, sha256, size)) = release.index(&stem) else {
            return Err(Failure::Index(format!("the suite has no {stem}")).into());
        };
        let fetched = self.index_file(&release, &dir, &name, sha256, size)?;
        let opened = std::fs::File::open(&fetched).map_err(Halt::disk("open the index", &fetched))?;
        let read =
            uncompressed(opened).and_then(|plain| Packages::read(release, BufReader::with_capacity(256 << 10, plain)));
        let _ = std::fs::remove_file(&fetched);
        Ok(read.map_err(|e| Failure::Index(format!("{name}: {e}")))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_become_names() {
        assert_eq!(
            names("libc6 (>= 2.34), python3:any | python3.11 [amd64], , debconf <!nocheck>"),
            [vec!["libc6"], vec!["python3", "python3.11"], vec!["debconf"]]
        );
    }
}
