//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! a path is clean or none; what is made printable is. Exactly: `invariants/path.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::path::check(data));
