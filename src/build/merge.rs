//! Whether trees can be merged: two inputs that have different things at one path would hide one another, and which of them
//! wins is not for the order of layers to decide.

use super::Error;
use crate::base::RelPath;
use crate::tree;
use fs_err as fs;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A tree that is to be merged with others: the package it comes from, and where it lies.
pub type Layer = (String, PathBuf);

/// Refuses layers of which two have different things at one path. Equal files, equal links and directories are fine.
///
/// # Errors
/// [`Error::Collision`] with the first path in order.
pub fn check(layers: &[Layer]) -> Result<(), Error> {
    let mut owners: BTreeMap<RelPath, &Layer> = BTreeMap::new();
    for layer in layers {
        for path in tree::list(&layer.1)? {
            match owners.get(&path) {
                Some(other) if !same(&other.1.join(&path), &layer.1.join(&path))? => {
                    return Err(Error::Collision { path, one: other.0.clone(), other: layer.0.clone() });
                }
                Some(_) => {}
                None => {
                    owners.insert(path, layer);
                }
            }
        }
    }
    Ok(())
}

fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (left, right) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    Ok(match (left.file_type(), right.file_type()) {
        (l, r) if l.is_dir() && r.is_dir() => true,
        (l, r) if l.is_symlink() && r.is_symlink() => fs::read_link(a)? == fs::read_link(b)?,
        (l, r) if l.is_file() && r.is_file() => left.len() == right.len() && fs::read(a)? == fs::read(b)?,
        _ => false,
    })
}
