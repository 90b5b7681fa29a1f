//! Content that had to be unpacked to be compared: kept in memory while it is small, else in a file without a name.

use super::bytes::{Reader, View, fill};
use super::content::Scope;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More than this goes to the disk. Several of these may be held at once: two for each level of packing.
const MEMORY: usize = 1 << 20;

/// Unpacked content.
pub(super) struct Spool {
    kept: Kept,
    /// Why there is no more of it, if there may be.
    pub(super) end: End,
}

enum Kept {
    Memory(Vec<u8>),
    File(File),
}

/// How unpacking came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// That is all.
    Whole,
    /// More than may be unpacked.
    Limit,
    /// The packed data is damaged.
    Damaged(String),
}

impl Spool {
    pub(super) fn view(&self) -> io::Result<View<'_>> {
        match &self.kept {
            Kept::Memory(bytes) => Ok(View::of(bytes)),
            Kept::File(file) => View::whole(file),
        }
    }

    /// Keeps what a decoder makes of packed bytes, up to `limit` bytes. A decoder that fails, or panics on hostile bytes, leaves
    /// what came before.
    fn fill(unpack: &mut dyn Read, limit: u64, scope: Scope<'_>) -> io::Result<Self> {
        let mut kept = Vec::new();
        let mut file: Option<File> = None;
        let mut chunk = vec![0; 64 << 10];
        let mut length = 0;
        let end = loop {
            let wanted = chunk.len().min(usize::try_from(limit - length).unwrap_or(usize::MAX));
            if wanted == 0 {
                // One more byte tells whether anything was left out.
                break match read(unpack, &mut [0]) {
                    Ok(0) => End::Whole,
                    Ok(_) => End::Limit,
                    Err(why) => End::Damaged(why),
                };
            }
            let read = match read(unpack, &mut chunk[..wanted]) {
                Ok(0) => break End::Whole,
                Ok(read) => read,
                Err(why) => break End::Damaged(why),
            };
            length += read as u64;
            if file.is_none() && kept.len() + read > MEMORY {
                let mut made = tempfile::tempfile_in(&scope.limits.scratch)?;
                made.write_all(&kept)?;
                kept = Vec::new();
                file = Some(made);
            }
            match &mut file {
                Some(file) => file.write_all(&chunk[..read])?,
                None => kept.extend_from_slice(&chunk[..read]),
            }
        };
        Ok(Self { kept: file.map_or(Kept::Memory(kept), Kept::File), end })
    }
}

/// Reads as much as there is; what goes wrong is text, for it says something about hostile bytes and nothing about us.
fn read(from: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, String> {
    struct Whole<'a>(&'a mut dyn Read);
    impl Read for Whole<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }
    let filled = catch_unwind(AssertUnwindSafe(|| fill(&mut Whole(from), buffer)));
    match filled {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("its decoder gave up in disorder".to_owned()),
    }
}

/// Unpacks a part up to what may still be unpacked. `None` where it is not packed in this way at all. The caller counts.
pub(super) fn spool(
    view: View<'_>,
    scope: Scope<'_>,
    open: impl for<'r> FnOnce(BufReader<Reader<'r>>) -> Option<Box<dyn Read + 'r>>,
) -> io::Result<Option<Spool>> {
    let input = BufReader::with_capacity(64 << 10, view.reader());
    match catch_unwind(AssertUnwindSafe(|| open(input))).ok().flatten() {
        Some(mut stream) => Spool::fill(&mut stream, scope.budget.get(), scope).map(Some),
        None => Ok(None),
    }
}

/// Unpacks both sides, each up to the budget, and takes what the longer one had from it.
pub(super) fn both(
    a: View<'_>,
    b: View<'_>,
    scope: Scope<'_>,
    open: impl for<'r> Fn(BufReader<Reader<'r>>) -> Option<Box<dyn Read + 'r>>,
) -> io::Result<Option<(Spool, Spool)>> {
    let (Some(left), Some(right)) = (spool(a, scope, &open)?, spool(b, scope, &open)?) else { return Ok(None) };
    count(&left, &right, scope)?;
    Ok(Some((left, right)))
}

/// Takes what was unpacked from what may be.
pub(super) fn count(left: &Spool, right: &Spool, scope: Scope<'_>) -> io::Result<()> {
    let used = left.view()?.len().max(right.view()?.len());
    scope.budget.set(scope.budget.get().saturating_sub(used));
    Ok(())
}
