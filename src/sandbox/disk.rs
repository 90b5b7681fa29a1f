//! Watches how much the writable directories hold and how much is left beside them.
//!
//! Walking a large tree is dear, asking a file system for its free bytes is not. So the tree is walked only when the file
//! system lost so much since the last walk that the limit could have been passed, and from time to time for safety's sake,
//! since others may free as much as a build takes: the less a walk takes the more often.

use super::jail::{Jail, Limits, Stopped};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the free bytes are asked for.
pub(super) const EVERY: Duration = Duration::from_millis(500);
/// How often at least the trees are walked.
const WALK_AT_LEAST: Duration = Duration::from_secs(60);
/// Walks for safety's sake may take one part in so many of the time.
const SHARE: u32 = 200;
/// The same when the limit may have been passed.
const SHARE_SUSPICIOUS: u32 = 10;
/// How often at most, when there is no suspicion.
const WALK_AT_MOST: Duration = Duration::from_secs(2);

pub(super) struct Disk {
    places: Vec<Place>,
    limit: u64,
    reserve: u64,
    /// What the places held together when they were last walked.
    held: u64,
    walked: Instant,
    /// How long the last walk took.
    cost: Duration,
    looked: Instant,
}

struct Place {
    path: PathBuf,
    /// Free bytes of its file system when the places were last walked.
    free: u64,
}

impl Disk {
    pub(super) fn new(jail: &Jail) -> Self {
        let now = Instant::now();
        let places = jail.binds.iter().filter(|b| b.write);
        let places = places.map(|b| Place { path: b.from.clone(), free: free(&b.from).unwrap_or(0) }).collect();
        let Limits { disk: limit, disk_reserve: reserve, .. } = jail.limits;
        Self { places, limit, reserve, held: 0, walked: now, cost: Duration::ZERO, looked: now }
    }

    /// When to look next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.places.is_empty()).then(|| self.looked + EVERY)
    }

    /// Looks, and says why to stop if there is a reason.
    pub(super) fn look(&mut self) -> Option<Stopped> {
        self.looked = Instant::now();
        let now: Vec<Option<u64>> = self.places.iter().map(|place| free(&place.path)).collect();
        if now.iter().flatten().any(|free| *free < self.reserve) {
            return Some(Stopped::DiskReserve(self.reserve));
        }
        // Places on the same file system lose the same bytes; counting them twice only walks earlier.
        let lost: u64 =
            self.places.iter().zip(&now).map(|(place, free)| place.free.saturating_sub(free.unwrap_or(0))).sum();
        let since = self.walked.elapsed();
        // Before the first walk nothing is known of what the places held at the start: look at half the limit already.
        let suspicious = if self.held == 0 { lost > self.limit / 2 } else { self.held + lost > self.limit };
        let seldom = (self.cost * SHARE).clamp(WALK_AT_MOST, WALK_AT_LEAST);
        if (suspicious && since >= self.cost * SHARE_SUSPICIOUS) || since >= seldom {
            self.walked = Instant::now();
            self.held = self.places.iter().map(|place| held(&place.path)).sum();
            self.cost = self.walked.elapsed();
            for (place, free) in self.places.iter_mut().zip(now) {
                place.free = free.unwrap_or(place.free);
            }
            if self.held > self.limit {
                return Some(Stopped::Disk(self.limit));
            }
        }
        None
    }
}

fn free(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes on disk of everything beneath a directory, as far as it can be read while others change it. Whoever does may put a
/// link in a directory's place at any moment: nothing is reached through one.
fn held(path: &Path) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(top) = rustix::fs::open(path, flags, Mode::empty()) else { return 0 };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut waiting = vec![PathBuf::from(".")];
    let mut bytes = 0_u64;
    while let Some(at) = waiting.pop() {
        let Ok(directory) = rustix::fs::openat2(&top, &at, flags, Mode::empty(), resolve) else { continue };
        let Ok(entries) = rustix::fs::Dir::read_from(&directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(found) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            bytes = bytes.saturating_add((found.st_blocks as u64).saturating_mul(512));
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                waiting.push(at.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn held_counts_blocks_and_follows_no_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/f"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        let bytes = held(dir.path());
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
    }
}
