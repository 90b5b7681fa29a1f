//! Records: what a derivation produced, as bytes the store does not read, and what they refer to, which it does.

use super::error::{At as _, Error, Result};
use super::open::file_name;
use super::{Object, Store};
use crate::base::{Blake3, DrvId, Sha256, TreeDigest};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;

const MAGIC: &str = "parton record 1 ";

/// What a record would be worthless without; kept as long as the record is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// Outputs, and inputs that are worth keeping.
    pub trees: BTreeSet<TreeDigest>,
    /// Logs of the rounds.
    pub logs: BTreeSet<Blake3>,
    /// Sources and signatures.
    pub blobs: BTreeSet<Sha256>,
}

impl Refs {
    /// All of them.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        let trees = self.trees.iter().map(|id| Object::Tree(*id));
        trees.chain(self.logs.iter().map(|id| Object::Log(*id))).chain(self.blobs.iter().map(|id| Object::Blob(*id)))
    }
}

/// What a derivation produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The package that was built, as `name` in the store has it.
    pub package: String,
    /// The profile it was built for.
    pub profile: String,
    /// What it refers to.
    pub refs: Refs,
    /// The caller's bytes.
    pub body: Vec<u8>,
}

impl Store {
    /// Writes or replaces the record of a derivation; when this returns, it and all it refers to survive a power cut.
    pub fn bind(&self, drv: DrvId, record: &Record) -> Result<()> {
        for object in record.refs.objects() {
            if !self.contains(&object)? {
                return Err(Error::Missing { object, by: Object::Record(drv).to_string() });
            }
        }
        let rest = encode(record);
        let head = format!("{MAGIC}{}\n", Blake3::of(&rest));
        self.commit_file(&self.object(&Object::Record(drv)), &[head.as_bytes(), &rest])
    }

    /// The record of a derivation, if it was built. Its trees are not looked for.
    pub fn record(&self, drv: DrvId) -> Result<Option<Record>> {
        let name = file_name(drv.as_bytes());
        let bytes = match self.read_record(CStr::from_bytes_until_nul(&name).unwrap_or_default()) {
            Ok(bytes) => bytes,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e).at("read", &self.object(&Object::Record(drv))),
        };
        decode(bytes).map(Some).map_err(|why| Error::Damaged { drv, why })
    }

    fn read_record(&self, name: &CStr) -> rustix::io::Result<Vec<u8>> {
        let file = rustix::fs::openat(
            &self.records,
            name,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut bytes = Vec::with_capacity(16 << 10);
        loop {
            let read = match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
                Err(Errno::INTR) => continue,
                read => read?,
            };
            // Less than asked for is the end of a regular file; asking once more would cost as much as opening it.
            if read == 0 || bytes.len() < bytes.capacity() {
                return Ok(bytes);
            }
            bytes.reserve(bytes.len());
        }
    }

    /// Every derivation that has a record, sorted.
    pub fn records(&self) -> Result<Vec<DrvId>> {
        let names = super::disk::names(&self.dir("drv"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

fn encode(record: &Record) -> Vec<u8> {
    use io::Write as _;
    let Record { package, profile, refs, body } = record;
    let mut out = Vec::with_capacity(body.len() + 512);
    // Writing to memory does not fail.
    let _ = writeln!(out, "name {} {}", super::name::escape(package), super::name::escape(profile));
    refs.trees.iter().for_each(|id| drop(writeln!(out, "tree {id}")));
    refs.logs.iter().for_each(|id| drop(writeln!(out, "log {id}")));
    refs.blobs.iter().for_each(|id| drop(writeln!(out, "blob {id}")));
    out.push(b'\n');
    out.extend_from_slice(body);
    out
}

fn decode(mut bytes: Vec<u8>) -> std::result::Result<Record, &'static str> {
    let head = MAGIC.len() + 65;
    let digest =
        bytes.get(..head).and_then(|line| std::str::from_utf8(line).ok()?.strip_prefix(MAGIC)?.strip_suffix('\n'));
    let digest: Blake3 = digest.and_then(|text| text.parse().ok()).ok_or("it does not begin like a record")?;
    if Blake3::of(&bytes[head..]) != digest {
        return Err("its bytes changed");
    }
    let malformed = "its lines are malformed";
    let mut at = head;
    let (mut name, mut refs) = (None, Refs::default());
    loop {
        let length = bytes[at..].iter().position(|byte| *byte == b'\n').ok_or(malformed)?;
        let line = std::str::from_utf8(&bytes[at..at + length]).map_err(|_| malformed)?;
        at += length + 1;
        let Some((word, value)) = line.split_once(' ') else {
            if line.is_empty() {
                break;
            }
            return Err(malformed);
        };
        match word {
            "name" => {
                let (package, profile) = value.split_once(' ').ok_or(malformed)?;
                name = super::name::unescape(package).zip(super::name::unescape(profile));
            }
            "tree" => drop(refs.trees.insert(value.parse().map_err(|_| malformed)?)),
            "log" => drop(refs.logs.insert(value.parse().map_err(|_| malformed)?)),
            "blob" => drop(refs.blobs.insert(value.parse().map_err(|_| malformed)?)),
            _ => return Err(malformed),
        }
    }
    let (package, profile) = name.ok_or(malformed)?;
    bytes.drain(..at);
    Ok(Record { package, profile, refs, body: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(record: &Record) -> Vec<u8> {
        let rest = encode(record);
        [format!("{MAGIC}{}\n", Blake3::of(&rest)).as_bytes(), &rest].concat()
    }

    #[test]
    fn the_form_is_pinned() {
        let refs = Refs {
            trees: [TreeDigest::from_bytes([1; 32])].into(),
            logs: [Blake3::from_bytes([2; 32])].into(),
            blobs: [Sha256::from_bytes([3; 32])].into(),
        };
        let record = Record { package: "dbus:boot strap".into(), profile: "musl".into(), refs, body: b"{}".to_vec() };
        let lines = format!(
            "name dbus:boot%20strap musl\ntree {}\nlog {}\nblob {}\n\n{{}}",
            "01".repeat(32),
            "02".repeat(32),
            "03".repeat(32)
        );
        assert_eq!(String::from_utf8(encode(&record)).unwrap(), lines);
        assert_eq!(decode(whole(&record)).unwrap(), record);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(package in ".*", profile in ".*", body: Vec<u8>, ids: Vec<[u8; 32]>) {
            let refs = Refs { trees: ids.into_iter().map(TreeDigest::from_bytes).collect(), ..Refs::default() };
            let record = Record { package, profile, refs, body };
            prop_assert_eq!(decode(whole(&record)).unwrap(), record);
        }

        #[test]
        fn any_change_is_noticed(at: prop::sample::Index, by in 1_u8.., cut: bool) {
            let record = Record { package: "p".into(), profile: "q".into(), refs: Refs::default(), body: b"body".to_vec() };
            let mut bytes = whole(&record);
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= by }
            // A digest may be spelled in upper case; that is no other record.
            prop_assert!(decode(bytes).map_or(true, |found| found == record && !cut));
        }

        #[test]
        fn foreign_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(decode(bytes).is_err());
        }
    }
}
