//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! two files have no difference or one, at the first byte that differs, told the same way each time, within the limits.
//! Exactly: `invariants/compare.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::compare::check(data));
