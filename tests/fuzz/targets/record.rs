//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! what is read is what was written in the form of the store's page. Exactly: `invariants/record.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::record::check(data));
