//! `parton diff`: what differs between two files, two directories or two outputs.

use super::{Error, Session};
use crate::base::{RelPath, TreeDigest, printable};
use crate::compare::{self, Difference, Kind, Limits, Sides, What};
use crate::report::diff::Diff;
use crate::store::Store;
use crate::tree::Tree;
use fs_err as fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// As the user named it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// Finds what a name means: a path (relative to `base`), the digest of a tree in the store, or with a session that has specs a
/// package, optionally as `NAME@PROFILE`, whose last output is meant.
///
/// # Errors
/// It means nothing, or a package has no output.
pub fn side(session: &Session<'_>, base: &Path, name: &str) -> Result<Side, Error> {
    let path = base.join(name);
    let found = |path| Ok(Side { name: name.to_owned(), path });
    if path.symlink_metadata().is_ok() {
        return found(path);
    }
    if let Ok(tree) = name.parse::<TreeDigest>() {
        let path = session.store.tree_path(tree)?;
        return path.map_or_else(|| Err(crate::build::Error::NoTree(tree).into()), found);
    }
    let (package, profile) = match name.split_once('@') {
        Some((package, profile)) => (package, Some(profile)),
        None => (name, session.profile),
    };
    if !session.workspace.specs.contains_key(package) {
        return Err(Error::Nowhere(name.to_owned()));
    }
    found(Session { profile, ..*session }.output(package)?)
}

/// Compares two files, or two directories with everything in them.
///
/// # Errors
/// Something can't be read, or lies in a directory that a tree can not hold.
pub fn diff(store: &Store, a: &Side, b: &Side, limits: &Limits) -> Result<Diff, Error> {
    let stage = store.stage()?;
    let limits = Limits { scratch: stage.path().to_owned(), ..limits.clone() };
    let kind =
        |path: &Path| -> Result<Kind, Error> { Ok(if fs::metadata(path)?.is_dir() { Kind::Dir } else { Kind::File }) };
    let kinds = Sides { a: kind(&a.path)?, b: kind(&b.path)? };
    let differences = match kinds {
        Sides { a: Kind::Dir, b: Kind::Dir } => {
            let (x, y) = rayon::join(|| Tree::scan(&a.path), || Tree::scan(&b.path));
            compare::compare(&a.path, &x?, &b.path, &y?, &limits)?
        }
        Sides { a: Kind::File, b: Kind::File } => {
            let (x, y) = (open(&a.path)?, open(&b.path)?);
            let failed = |source| compare::Error::Io { doing: "compare", path: a.path.clone(), source };
            let content = compare::contents(x.file(), y.file(), &limits).map_err(failed)?;
            content.into_iter().map(|content| one(&a.path, What::Content(content))).collect()
        }
        kinds => vec![one(&a.path, What::Kind(kinds))],
    };
    Ok(Diff { a: a.name.clone(), b: b.name.clone(), equal: differences.is_empty(), differences })
}

/// Opens a regular file. Nothing else has an end that can be relied on.
fn open(path: &Path) -> Result<fs::File, Error> {
    if !fs::metadata(path)?.is_file() {
        return Err(Error::NotComparable(path.to_owned()));
    }
    Ok(fs::File::open(path)?)
}

/// A difference of what the user named.
fn one(path: &Path, what: What) -> Difference {
    let name = path.file_name().map_or(&b"file"[..], |name| name.as_bytes());
    let fallback = || RelPath::new(printable(name).replace('/', "_").as_bytes());
    let path = RelPath::new(name).or_else(|_| fallback()).or_else(|_| RelPath::new("file"));
    Difference { path: path.unwrap_or_else(|_| unreachable!("a plain word is a path")), what, notes: Vec::new() }
}
