//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! both of parton's decoders make the same of the bytes, or refuse them; so does whatever is compressed here, in one stream
//! and in two. Exactly: `invariants/compressed.rs`.

#![no_main]

use std::io::{Read as _, Write as _};

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(plain.len() as u32 % 10));
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn other(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::bufread::MultiGzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    Some(plain)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.starts_with(&[0x1f, 0x8b]) {
    true => parton_fuzz::compressed::check(data, &other),
    false => parton_fuzz::compressed::check_honest(data, &compress),
});
