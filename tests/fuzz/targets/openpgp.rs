//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! no bytes make a signature hold for what was not signed, or by whom it was not. Exactly: `invariants/openpgp.rs`.

#![no_main]

mod keys;

use std::sync::LazyLock;

static KEYS: LazyLock<parton_fuzz::openpgp::Keys> = LazyLock::new(keys::keys);

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::openpgp::check(data, &KEYS));
