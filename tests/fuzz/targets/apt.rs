//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! versions are in a total order, indexes lead beneath the archive and nowhere else. Exactly: `invariants/apt.rs`.

#![no_main]

mod keys;

use std::sync::LazyLock;

static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| keys::openpgp::Key::alice().certificate());

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let sign = |text: &str| keys::openpgp::Key::alice().clearsign(text, keys::NOW - 3600);
    parton_fuzz::apt::check(data, &parton_fuzz::apt::Signer { certificate: CERTIFICATE.clone(), sign: &sign });
});
