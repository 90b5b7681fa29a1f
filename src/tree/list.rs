//! Looking at names only, and removing by them.

use super::{Error, remove_all};
use crate::base::RelPath;
use std::path::Path;

/// The paths of everything beneath a directory, sorted, without reading a file.
pub fn list(dir: &Path) -> Result<Vec<RelPath>, Error> {
    super::copy::paths(dir)
}

/// Removes what a pattern names beneath a directory, with everything in it, and says how many names it matched. `*`
/// stands for any characters but `/`.
pub fn remove_matching(dir: &Path, pattern: &str) -> Result<usize, Error> {
    let mut matched = 0;
    for path in list(dir)? {
        if fits(pattern.trim_matches('/').as_bytes(), path.as_bytes()) {
            remove_all(&dir.join(&path))?;
            matched += 1;
        }
    }
    Ok(matched)
}

/// Whether a pattern with `*` covers the whole of a path. Linear in both but for the last star that is retried.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while s < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, s));
                p += 1;
            }
            Some(byte) if *byte == path[s] => {
                p += 1;
                s += 1;
            }
            _ => match star {
                Some((at, from)) if path[from] != b'/' => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    s = from + 1;
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_component() {
        let yes = [("usr/bin/*gcov*", "usr/bin/x86-gcov-12"), ("a", "a"), ("*", "a"), ("a*b*c", "aXbYbZc")];
        let no = [("usr/*", "usr/bin/x"), ("a*", "b"), ("a", "ab"), ("*b", "a/b"), ("a*b*c", "aXb/c")];
        yes.iter().for_each(|(pattern, path)| assert!(fits(pattern.as_bytes(), path.as_bytes()), "{pattern} {path}"));
        no.iter().for_each(|(pattern, path)| assert!(!fits(pattern.as_bytes(), path.as_bytes()), "{pattern} {path}"));
    }
}
