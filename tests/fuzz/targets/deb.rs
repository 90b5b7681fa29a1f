//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! everything lies beneath the destination and comes back from the canonical archive. Exactly: `invariants/deb.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::deb::check(data));
