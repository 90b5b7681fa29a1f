//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! what is told is bounded and printable, and the `object` crate agrees about needed libraries and name. Exactly:
//! `invariants/elf.rs`.

#![no_main]

use object::elf::{DT_NEEDED, DT_SONAME, FileHeader64, PT_DYNAMIC, PT_LOAD};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::Endianness;
use parton::base::printable;

/// Only for files with one sound dynamic segment, whose texts lie where the first loaded segment that covers their address
/// says; other files are read in other ways by everybody.
fn other(bytes: &[u8]) -> Option<(Vec<String>, Option<String>)> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let dynamic: Vec<_> = segments.iter().filter(|s| s.p_type(endian) == PT_DYNAMIC && s.p_filesz(endian) > 0).collect();
    let [dynamic] = dynamic[..] else { return None };
    let rows = dynamic.dynamic(endian, bytes).ok()??;
    let rows = rows.iter().take_while(|row| row.d_tag(endian) != 0);
    let rows: Vec<(u64, u64)> = rows.map(|row| (row.d_tag(endian), row.d_val(endian))).collect();
    let value = |tag: u32| rows.iter().find(|row| row.0 == u64::from(tag)).map(|row| row.1);
    let (address, size) = (value(object::elf::DT_STRTAB)?, value(object::elf::DT_STRSZ)?);
    let covers = |at: u64, length: u64| address.checked_sub(at).is_some_and(|within| within < length);
    let load = segments.iter().filter(|s| s.p_type(endian) == PT_LOAD);
    let load = load.into_iter().find(|s| covers(s.p_vaddr(endian), s.p_filesz(endian)))?;
    let texts = load.data_range(endian, bytes, address, size).ok()??;
    let strings = object::StringTable::new(texts, 0, texts.len() as u64);
    let text = |offset: u64| Some(printable(strings.get(u32::try_from(offset).ok()?).ok()?));
    let tagged = |tag: u32| rows.iter().filter(move |row| row.0 == u64::from(tag)).map(|row| text(row.1));
    let needed = tagged(DT_NEEDED).collect::<Option<Vec<_>>>()?;
    let soname = match tagged(DT_SONAME).last() {
        Some(name) => Some(name?),
        None => None,
    };
    Some((needed, soname))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::elf::check(data, &other));
