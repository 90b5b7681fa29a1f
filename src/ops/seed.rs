//! The seed: fetched by hash, unpacked into a layer once, found by its id from then on.

use super::{Error, Session};
use crate::base::{Progress, Task, write_atomic};
use crate::fetch::Pin;
use crate::plan::{ArchiveSeed, PackageSeed, Seed, SeedError, SeedPackage, SeedRecipe};
use crate::spec::Profile;
use crate::tree::{self, Tree};
use fs_err as fs;
use rayon::prelude::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes sure that the seed's layer is in the store.
///
/// # Errors
/// A package can't be had or is not what was pinned, or it can't be unpacked.
pub fn ensure(session: &Session<'_>, seed: &Seed) -> Result<(), Error> {
    if session.store.seed(seed.id())?.is_some() {
        return Ok(());
    }
    let stage = session.store.stage()?;
    let root = stage.path().join("root");
    fs::create_dir(&root)?;
    match seed {
        Seed::Packages(packages) => unpack_packages(session, packages, &root)?,
        Seed::Archive(archive) => unpack_archive(session, archive, &root)?,
    }
    let files = Tree::scan(&root)?;
    if let Seed::Archive(ArchiveSeed { file, tree, .. }) = seed
        && files.digest() != *tree
    {
        return Err(Error::SeedTree { file: file.clone(), pinned: *tree, found: files.digest() });
    }
    let tree = session.store.put_tree(&root, &files)?;
    session.store.bind_seed(seed.id(), tree.digest)?;
    Ok(())
}

/// The packages laid into one directory, and what the recipe does to them.
fn unpack_packages(session: &Session<'_>, seed: &PackageSeed, root: &Path) -> Result<(), Error> {
    let pins: Vec<Pin> = seed
        .packages
        .iter()
        .map(|package| Pin {
            name: format!("{}_{}.deb", package.name, package.version),
            urls: Vec::new(),
            sha256: package.sha256,
            size: Some(package.size),
            archive_path: Some(package.path.clone()),
        })
        .collect();
    super::sources::fetch_pins(session, "the seed", &pins)?;
    let progress = Progress::start(session.events, Task::Unpack, "the seed", Some(seed.size()));
    let done = AtomicU64::new(0);
    // At once: they share nothing but directories, and decompression is all the work there is.
    seed.packages.par_iter().try_for_each(|package| {
        session.go_on()?;
        let blob = session.store.blob(package.sha256)?.ok_or(crate::build::Error::NoBlob(package.sha256))?;
        let options = tree::Unpack { cancel: session.cancel.clone(), ..tree::Unpack::package() };
        tree::unpack_deb(fs::File::open(&blob.path)?, root, &options, None)
            .map_err(|error| Error::SeedPackage { package: package.name.clone(), error })?;
        let done = done.fetch_add(package.size, Ordering::Relaxed) + package.size;
        progress.now(done, &package.name);
        Ok::<(), Error>(())
    })?;
    for pattern in &seed.recipe.remove {
        if tree::remove_matching(root, pattern)? == 0 {
            return Err(Error::SeedPattern(pattern.clone()));
        }
    }
    for (path, target) in &seed.recipe.links {
        let path = fresh(root, path)?;
        symlink(target, path)?;
    }
    for file in &seed.recipe.files {
        let path = fresh(root, &file.path)?;
        fs::write(&path, &file.content)?;
        let bits = file.bits().map_err(|error| Error::Seed { path: file.path.clone().into(), error })?;
        fs::set_permissions(&path, std::fs::Permissions::from_mode(bits))?;
    }
    progress.done();
    Ok(())
}

/// The archive laid into a directory. What it holds is for the caller to compare with the lock.
fn unpack_archive(session: &Session<'_>, seed: &ArchiveSeed, root: &Path) -> Result<(), Error> {
    let pin = Pin {
        name: seed.file.clone(),
        urls: seed.beside.iter().chain(&seed.urls).cloned().collect(),
        sha256: seed.sha256,
        size: Some(seed.size),
        archive_path: None,
    };
    super::sources::fetch_pins(session, "the seed", std::slice::from_ref(&pin))?;
    let blob = session.store.blob(seed.sha256)?.ok_or(crate::build::Error::NoBlob(seed.sha256))?;
    let progress = Progress::start(session.events, Task::Unpack, "the seed", Some(seed.size));
    let options = tree::Unpack { cancel: session.cancel.clone(), ..tree::Unpack::package() };
    tree::unpack(fs::File::open(&blob.path)?, root, &options, Some(&progress))
        .map_err(|error| Error::SeedPackage { package: seed.file.clone(), error })?;
    progress.done();
    Ok(())
}

/// The address of a file of this machine.
pub fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(*byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// A seed that was resolved anew.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The lock that was written.
    pub path: std::path::PathBuf,
    /// The seed as it is now.
    pub seed: PackageSeed,
    /// What a person should look at.
    pub notes: Vec<String>,
}

/// `parton seed resolve`: finds the recipe's packages in the archive's signed index and writes the lock.
///
/// # Errors
/// The archive can't be had or proved, or has no package of a name.
pub fn resolve(session: &Session<'_>, profile: &Profile) -> Result<Resolved, Error> {
    let path = session.workspace.root.join(profile.seed.as_deref().ok_or(Error::NoSeed)?);
    if is_archive(&path)? {
        return Err(Error::Seed { path, error: SeedError::NoRecipe });
    }
    let text = fs::read_to_string(path.with_extension("toml"))?;
    let recipe = SeedRecipe::parse(&text).map_err(|error| Error::Seed { path: path.clone(), error })?;
    let failed = |error| Error::Source { package: "the seed".to_owned(), error };
    let index = session
        .fetcher
        .packages(&recipe.suite, "main", &recipe.arch, session.events, session.cancel)
        .map_err(failed)?;
    let names: Vec<String> = recipe.packages.iter().cloned().collect();
    let resolved = index.resolve(&names, &[]).map_err(|error| failed(error.into()))?;
    let packages = resolved.packages.into_iter().map(|package| SeedPackage {
        name: package.name,
        version: package.version,
        size: package.size,
        sha256: package.sha256,
        path: package.path,
    });
    let seed = PackageSeed { recipe, packages: packages.collect() };
    write_atomic(&path, seed.lock_text().as_bytes())?;
    let notes = resolved
        .unlisted
        .iter()
        .map(|one| {
            format!("{} is not in the seed; asked for by {}", one.alternatives.join(" or "), one.wanted_by.join(", "))
        })
        .collect();
    Ok(Resolved { path, seed, notes })
}

/// Whether there is a lock, and of an archive.
pub fn is_archive(lock: &Path) -> Result<bool, Error> {
    match fs::read_to_string(lock) {
        Ok(text) => Ok(matches!(ArchiveSeed::parse(&text), Ok(Some(_)))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A path in the layer where a file of ours goes: its directory is made, what lies there already is replaced.
fn fresh(root: &Path, path: &str) -> Result<std::path::PathBuf, Error> {
    let clean = crate::base::RelPath::new(path).map_err(|error| std::io::Error::other(format!("{path}: {error}")))?;
    let full = root.join(&clean);
    if let Some(dir) = full.parent() {
        fs::create_dir_all(dir)?;
    }
    match fs::remove_file(&full) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(full),
    }
}
