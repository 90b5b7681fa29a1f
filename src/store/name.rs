//! Names that lead to records: what `show`, `log` and `shell` mean by a package, and what a person pinned.

use super::disk::{link_text, make_dir, names, remove_file, sync_dir};
use super::error::{At as _, Error, Result};
use super::{Object, Store};
use crate::base::DrvId;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// The result that a package's name means for one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The profile.
    pub profile: String,
    /// The derivation.
    pub drv: DrvId,
    /// When the name came to mean it.
    pub since: SystemTime,
}

impl Store {
    /// Lets a package's name mean this derivation. Costs one system call when it does already.
    pub fn bind_name(&self, package: &str, profile: &str, drv: DrvId) -> Result<()> {
        let text = format!("../../drv/{drv}");
        let path = self.name_path(package, profile);
        if link_text(&path)?.as_deref() == Some(&text) {
            return Ok(());
        }
        if !self.contains(&Object::Record(drv))? {
            return Err(Error::Missing { object: Object::Record(drv), by: format!("the name {package}") });
        }
        make_dir(&self.dir("name").join(escape(package)))?;
        sync_dir(&self.dir("name"))?;
        self.commit_link(&path, &text)
    }

    /// Lets a package's name mean nothing any more, for any profile; its results can then be swept.
    pub fn forget(&self, package: &str) -> Result<()> {
        self.discard(&self.dir("name").join(escape(package)))
    }

    /// The derivation that a package's name means for a profile.
    pub fn current(&self, package: &str, profile: &str) -> Result<Option<DrvId>> {
        Ok(link_text(&self.name_path(package, profile))?.as_deref().and_then(drv_of))
    }

    /// What a package's name means for each profile, the newest first.
    pub fn latest(&self, package: &str) -> Result<Vec<Current>> {
        let dir = self.dir("name").join(escape(package));
        let mut all = Vec::new();
        for name in names(&dir)? {
            let path = dir.join(&name);
            let (Some(profile), Some(drv)) = (unescape(&name), link_text(&path)?.as_deref().and_then(drv_of)) else {
                continue;
            };
            let since = fs::symlink_metadata(&path).and_then(|found| found.modified()).at("look at", &path)?;
            all.push(Current { profile, drv, since });
        }
        // Names are sorted already, so results of one instant keep a fixed order.
        all.sort_by_key(|current| std::cmp::Reverse(current.since));
        Ok(all)
    }

    /// Every package that has a result, sorted.
    pub fn packages(&self) -> Result<Vec<String>> {
        Ok(names(&self.dir("name"))?.iter().filter_map(|name| unescape(name)).collect())
    }

    /// Keeps an object from being swept until [`Store::unpin`].
    pub fn pin(&self, name: &str, object: &Object) -> Result<()> {
        if !self.contains(object)? {
            return Err(Error::Missing { object: object.clone(), by: format!("the pin {name}") });
        }
        self.commit_link(&self.dir("root").join(escape(name)), &format!("../{}/{}", object.kind(), object.id()))
    }

    /// Lets go of what was pinned under this name.
    pub fn unpin(&self, name: &str) -> Result<()> {
        remove_file(&self.dir("root").join(escape(name)))?;
        sync_dir(&self.dir("root"))
    }

    /// What is pinned, sorted by name.
    pub fn pins(&self) -> Result<Vec<(String, Object)>> {
        let dir = self.dir("root");
        let mut pins = Vec::new();
        for name in names(&dir)? {
            let object = link_text(&dir.join(&name))?.and_then(|text| {
                let (kind, id) = text.strip_prefix("../")?.split_once('/')?;
                Object::parse(kind, id)
            });
            pins.extend(unescape(&name).zip(object));
        }
        Ok(pins)
    }

    pub(super) fn name_path(&self, package: &str, profile: &str) -> PathBuf {
        self.dir("name").join(escape(package)).join(escape(profile))
    }
}

/// The derivation that the text of a link in `name/*/` leads to.
pub(super) fn drv_of(text: &str) -> Option<DrvId> {
    match Object::parse("drv", text.strip_prefix("../../drv/")?)? {
        Object::Record(drv) => Some(drv),
        _ => None,
    }
}

/// A name of any characters as a file name: what is not a letter, digit or one of `-_+:` or an inner dot becomes `%xx`.
pub(super) fn escape(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'+' | b':' => out.push(char::from(byte)),
            b'.' if at > 0 => out.push('.'),
            _ => drop(write!(out, "%{byte:02x}")),
        }
    }
    // The empty name needs a file too.
    if out.is_empty() { "%".to_owned() } else { out }
}

/// The name that [`escape`] was given; `None` when it gives no such file name.
pub(super) fn unescape(file: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = if file == "%" { "" } else { file };
    while let Some(first) = rest.bytes().next() {
        if first == b'%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = &rest[3..];
        } else {
            bytes.push(first);
            rest = rest.get(1..)?;
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (escape(&name) == file).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        assert_eq!(escape("gtk+3.0-dev:boot_strap"), "gtk+3.0-dev:boot_strap");
        assert_eq!(escape("../x"), "%2e.%2fx");
        assert_eq!(unescape("a%2Fb"), None, "the other spelling of a name is not a second name");
        assert_eq!(unescape("a%2"), None);
    }

    proptest! {
        #[test]
        fn escaping_is_reversible_and_safe(name in ".*") {
            let file = escape(&name);
            prop_assert!(!file.contains('/') && !file.starts_with('.') && !file.is_empty());
            prop_assert_eq!(unescape(&file), Some(name));
        }

        #[test]
        fn foreign_file_names_do_no_harm(file in ".*") {
            let _ = unescape(&file);
        }
    }
}
