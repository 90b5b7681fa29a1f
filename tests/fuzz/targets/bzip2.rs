//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! parton's parallel decoder makes the same of the bytes as the ordinary one, or refuses them; whatever is compressed here
//! comes out again, in one stream and in two. Exactly: `invariants/compressed.rs`.

#![no_main]

use std::io::{Read as _, Write as _};

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1 + plain.len() as u32 % 9));
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn other(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    bzip2::bufread::MultiBzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    Some(plain)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.starts_with(b"BZh") {
    true => parton_fuzz::compressed::check(data, &other),
    false => parton_fuzz::compressed::check_honest(data, &compress),
});
