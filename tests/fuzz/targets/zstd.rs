//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! parton's decoder and another implementation make the same of the bytes, or one of them refuses; whatever is compressed
//! here comes out again, in one frame and in two. Exactly: `invariants/compressed.rs`.

#![no_main]

use std::io::{Read as _, Write as _};

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), plain.len() as i32 % 10).unwrap();
    out.include_checksum(plain.len() % 2 == 0).unwrap();
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

/// One frame after another; frames to be skipped are left to parton.
fn other(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut bytes).ok()?;
        decoder.by_ref().take(64 << 20).read_to_end(&mut plain).ok()?;
        // It computes the checksum without comparing it.
        let sums = (decoder.decoder.get_checksum_from_data(), decoder.decoder.get_calculated_checksum());
        if let (Some(stated), Some(found)) = sums
            && stated != found
        {
            return None;
        }
    }
    Some(plain)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
    true => parton_fuzz::compressed::check(data, &other),
    false => parton_fuzz::compressed::check_honest(data, &compress),
});
