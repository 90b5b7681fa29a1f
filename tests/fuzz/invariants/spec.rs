//! What is promised about the texts a person writes.

use super::place::scratch;
use parton::base::{Diagnostic, Level};
use parton::cli::render::render;
use parton::plan::{ArchiveSeed, PackageSeed, SeedRecipe};
use parton::spec::{LoadError, load_config, read_spec};
use std::fs;
use std::path::Path;

/// Any text is read or refused with diagnostics; each of them lies inside its text and can be drawn; a spec comes out
/// exactly when none of them is an error. What a seed's lock says survives being written again.
pub fn check(text: &str) {
    let (spec, found) = read_spec(Path::new("/nowhere"), "name", text.to_owned());
    assert_drawn(&found);
    assert_eq!(spec.is_none(), found.iter().any(|diagnostic| diagnostic.level == Level::Error), "{found:#?}");

    let dir = scratch();
    fs::write(dir.path().join("parton.toml"), text).unwrap();
    match load_config(dir.path()) {
        Ok(_) => {}
        Err(LoadError::Mistakes(found)) => {
            assert_drawn(&found);
            assert!(found.iter().any(|diagnostic| diagnostic.level == Level::Error));
        }
        Err(other) => panic!("{other}"),
    }

    // A recipe, and behind a line of its own the lock.
    let (recipe, lock) = text.split_once("\n---\n").unwrap_or((text, text));
    _ = SeedRecipe::parse(recipe);
    if let Ok(Some(seed)) = ArchiveSeed::parse(lock) {
        assert_eq!(ArchiveSeed::parse(&seed.lock_text()).unwrap(), Some(seed));
    }
    if let Ok(seed) = PackageSeed::parse(recipe, lock) {
        let again = PackageSeed::parse(recipe, &seed.lock_text()).unwrap();
        assert_eq!((&again, again.id()), (&seed, seed.id()));
    }
}

fn assert_drawn(found: &[Diagnostic]) {
    for label in found.iter().flat_map(|diagnostic| &diagnostic.labels) {
        let (span, text) = (&label.span, &label.source.text);
        assert!(text.get(span.clone()).is_some(), "{span:?} of {} bytes", text.len());
    }
    let drawn = render(found, false);
    assert!(!drawn.contains(|c: char| c.is_control() && c != '\n'), "{drawn:?}");
    assert!(drawn.matches("\n\n").count() >= found.len());
    render(found, true);
}
