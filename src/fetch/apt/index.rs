//! From a digest to a path: a lookup made once from a suite's source index and then asked on disk.
//!
//! A file of these parts, numbers little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `partonBH` |
//! | 4 | version, 1 |
//! | 4 | number of entries |
//! | 32 | SHA-256 of the source index it was made from |
//! | 48 each | entries in ascending order of digest: digest (32), size (8), offset of directory (4), offset of name (4) |
//! | rest but 32 | texts, each as length (2) and bytes; offsets count from the first |
//! | 32 | BLAKE3 of everything before |
//!
//! It is a cache: one that does not hold together is made anew.

use super::deb822::{Stanzas, checksums};
use crate::base::{Sha256, write_atomic};
use std::fs::File;
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const MAGIC: &[u8; 8] = b"partonBH";
const VERSION: u32 = 1;
const HEADER: u64 = 48;
const ENTRY: u64 = 48;
const CHECKSUM: u64 = 32;
/// Files an index may list: twenty times what the largest lists.
const ENTRIES_LIMIT: usize = 4 << 20;
/// Bytes of their names: as many times what the largest has.
const TEXTS_LIMIT: u32 = 256 << 20;

/// An open lookup.
#[derive(Debug)]
pub struct Lookup {
    file: File,
    entries: u64,
    texts: u64,
    end: u64,
}

/// Where a file lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Below the archive's address.
    pub path: String,
    /// In bytes.
    pub size: u64,
}

struct Entry {
    hash: [u8; 32],
    size: u64,
    dir: u32,
    name: u32,
}

/// Writes the lookup of a source index; see [`Lookup::build`].
fn build(sources: impl BufRead, made_from: Sha256, to: &Path) -> io::Result<()> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut texts: Vec<u8> = Vec::new();
    let mut put = |text: &str| -> io::Result<u32> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the index is too large");
        let offset = u32::try_from(texts.len()).ok().filter(|at| *at <= TEXTS_LIMIT).ok_or_else(invalid)?;
        let length = u16::try_from(text.len()).map_err(|_| invalid())?;
        texts.extend_from_slice(&length.to_le_bytes());
        texts.extend_from_slice(text.as_bytes());
        Ok(offset)
    };
    let mut stanzas = Stanzas::new(sources, &["Directory", "Checksums-Sha256"]);
    while let Some(stanza) = stanzas.next()? {
        let (Some(dir), Some(list)) = (stanza.get("Directory"), stanza.get("Checksums-Sha256")) else { continue };
        if !is_plain(dir) {
            continue;
        }
        let dir = put(dir)?;
        for (hash, size, name) in checksums(list).filter(|(_, _, name)| is_plain(name)) {
            entries.push(Entry { hash: *hash.as_bytes(), size, dir, name: put(name)? });
        }
        if entries.len() > ENTRIES_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the index lists too many files"));
        }
    }
    // The same file is listed by several versions of a package; the last one listed is the newest.
    entries.sort_by_key(|entry| entry.hash);
    entries.dedup_by(|later, earlier| {
        let same = later.hash == earlier.hash;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    let mut out = Vec::with_capacity(80 + entries.len() * 48 + texts.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(made_from.as_bytes());
    for entry in &entries {
        out.extend_from_slice(&entry.hash);
        out.extend_from_slice(&entry.size.to_le_bytes());
        out.extend_from_slice(&entry.dir.to_le_bytes());
        out.extend_from_slice(&entry.name.to_le_bytes());
    }
    out.extend_from_slice(&texts);
    let checksum = *blake3::hash(&out).as_bytes();
    out.extend_from_slice(&checksum);
    write_atomic(to, &out)
}

/// Whether a path can be put behind an archive's address: relative, without steps upwards or odd characters.
fn is_plain(path: &str) -> bool {
    crate::base::RelPath::new(path).is_ok_and(|clean| clean.as_bytes() == path.as_bytes())
        && path.bytes().all(|b| b.is_ascii_graphic())
}

impl Lookup {
    /// Writes the lookup of a source index, which has this digest, to a file.
    ///
    /// # Errors
    /// Those of the reader and of the disk; an index that is malformed or larger than any real one.
    pub fn build(sources: impl BufRead, made_from: Sha256, to: &Path) -> io::Result<()> {
        build(sources, made_from, to)
    }

    /// Opens a lookup made from this very index; `None` if there is none or it does not hold together.
    pub fn open(path: &Path, made_from: Sha256) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let len = file.metadata().ok()?.len();
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header).ok()?;
        let entries = u64::from(u32::from_le_bytes(header[12..16].try_into().ok()?));
        let texts = HEADER + entries * ENTRY;
        let end = len.checked_sub(CHECKSUM)?;
        if &header[..8] != MAGIC
            || header[8..12] != VERSION.to_le_bytes()
            || header[16..] != made_from.as_bytes()[..]
            || texts > end
        {
            return None;
        }
        file.seek(SeekFrom::Start(0)).ok()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader((&file).take(end)).ok()?;
        let mut checksum = [0; CHECKSUM as usize];
        file.read_exact_at(&mut checksum, end).ok()?;
        (hasher.finalize().as_bytes() == &checksum).then_some(Self { file, entries, texts, end })
    }

    /// Number of files it knows.
    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.entries
    }

    /// Where the file with this digest lies.
    pub fn find(&self, sha256: &Sha256) -> Option<Located> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; ENTRY as usize];
            self.file.read_exact_at(&mut entry, HEADER + middle * ENTRY).ok()?;
            match entry[..32].cmp(sha256.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let number =
                        |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
                    let size = u64::from(number(32)) | u64::from(number(36)) << 32;
                    let path = format!("{}/{}", self.text(number(40))?, self.text(number(44))?);
                    return Some(Located { path, size });
                }
            }
        }
        None
    }

    fn text(&self, offset: u32) -> Option<String> {
        let at = self.texts + u64::from(offset);
        let mut length = [0; 2];
        self.file.read_exact_at(&mut length, at).ok()?;
        let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
        if at + 2 + bytes.len() as u64 > self.end {
            return None;
        }
        self.file.read_exact_at(&mut bytes, at + 2).ok()?;
        String::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> Sha256 {
        Sha256::of(&[n])
    }

    fn sources() -> String {
        (0..50).fold(String::new(), |text, n| {
            format!(
                "{text}Package: p{n}\nChecksums-Sha256:\n {} 1{n} p{n}.orig.tar.xz\n {} 7 shared.asc\nDirectory: pool/p{n}\n\n",
                hash(n),
                hash(99)
            )
        }) + &format!("Directory: ../up\nChecksums-Sha256:\n {} 1 x\n\n", hash(77))
    }

    #[test]
    fn every_file_is_found_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        build(sources().as_bytes(), hash(1), &path).unwrap();
        let lookup = Lookup::open(&path, hash(1)).unwrap();
        assert_eq!(lookup.count(), 51);
        for n in 0..50 {
            let found = lookup.find(&hash(n)).unwrap();
            assert_eq!(found.path, format!("pool/p{n}/p{n}.orig.tar.xz"));
            assert_eq!(found.size, format!("1{n}").parse::<u64>().unwrap());
        }
        assert!(lookup.find(&hash(99)).unwrap().path.ends_with("/shared.asc"));
        assert_eq!(lookup.find(&hash(60)), None);
        assert_eq!(lookup.find(&hash(77)), None, "a path that leads out of the archive");
    }

    #[test]
    fn a_damaged_or_foreign_lookup_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        build(sources().as_bytes(), hash(1), &path).unwrap();
        assert!(Lookup::open(&path, hash(2)).is_none(), "made from another index");
        let good = std::fs::read(&path).unwrap();
        for at in [0, 9, 13, 20, 100, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(Lookup::open(&path, hash(1)).is_none(), "byte {at}");
        }
        for len in [0, 10, 48, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(Lookup::open(&path, hash(1)).is_none(), "length {len}");
        }
    }
}
