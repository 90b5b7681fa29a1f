//! `parton init`: the beginning of a spec repository, with the seed that this parton was tested with.

use super::Error;
use crate::base::write_atomic;
use fs_err as fs;
use std::path::{Path, PathBuf};

/// What a new repository holds besides its configuration. The seed is this project's own, so that both start from the same
/// bytes.
const FILES: &[(&str, &str)] = &[
    ("specs/seed.toml", include_str!("../../specs/seed.toml")),
    ("specs/seed.lock", include_str!("../../specs/seed.lock")),
    (".gitignore", "# Nothing that parton makes lies here: its store is elsewhere.\n"),
];

/// The configuration of a new repository: this project's own, without the profiles that are made of its own packages.
fn config() -> &'static str {
    let own = include_str!("../../parton.toml");
    own.find("\n# The toolchain from source.").map_or(own, |end| &own[..=end])
}

/// Writes the files of a new spec repository, and returns their paths.
///
/// # Errors
/// One of the files is there already; then nothing is written.
pub fn init(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let files: Vec<(&str, &str)> = [("parton.toml", config())].into_iter().chain(FILES.iter().copied()).collect();
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.join(name)).collect();
    // Somebody's .gitignore is theirs; it is no sign of a repository of specs.
    if let Some(there) = paths.iter().find(|path| path.exists() && !path.ends_with(".gitignore")) {
        return Err(Error::Exists(there.clone()));
    }
    let mut written = Vec::new();
    for ((_, text), path) in files.into_iter().zip(paths) {
        if path.exists() {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        write_atomic(&path, text.as_bytes())?;
        written.push(path);
    }
    for name in ["specs", "patches"] {
        fs::create_dir_all(dir.join(name))?;
    }
    Ok(written)
}
