//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! parton's decoder and liblzma make the same of the bytes, or one of them refuses; whatever liblzma compresses comes out
//! again, in one stream and in two. Exactly: `invariants/compressed.rs`.

#![no_main]

use liblzma::stream::{CONCATENATED, Check, Filters, LzmaOptions, Stream};
use std::io::{Read as _, Write as _};

/// In front of LZMA2 all kinds of filters, as the first bytes of the data say.
fn compress(plain: &[u8]) -> Vec<u8> {
    let byte = |at: usize| plain.get(at).copied().unwrap_or_default();
    let mut filters = Filters::new();
    match byte(0) % 8 {
        1 => _ = filters.x86(),
        2 => _ = filters.arm(),
        3 => _ = filters.arm_thumb(),
        4 => _ = filters.powerpc(),
        5 => _ = filters.sparc(),
        6 => _ = filters.delta_properties(&[byte(1)]).unwrap(),
        _ => {}
    }
    let mut options = LzmaOptions::new_preset(u32::from(byte(1) % 3)).unwrap();
    options.dict_size(1 << 16).position_bits(u32::from(byte(2) % 5)).literal_context_bits(u32::from(byte(3) % 5));
    filters.lzma2(&options);
    let check = [Check::None, Check::Crc32, Check::Crc64, Check::Sha256][usize::from(byte(4) % 4)];
    let stream = Stream::new_stream_encoder(&filters, check).unwrap();
    let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn other(bytes: &[u8]) -> Option<Vec<u8>> {
    let stream = Stream::new_stream_decoder(256 << 20, CONCATENATED).unwrap();
    let mut plain = Vec::new();
    liblzma::bufread::XzDecoder::new_stream(bytes, stream).read_to_end(&mut plain).ok()?;
    Some(plain)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.starts_with(b"\xfd7zXZ\0") {
    true => parton_fuzz::compressed::check(data, &other),
    false => parton_fuzz::compressed::check_honest(data, &compress),
});
