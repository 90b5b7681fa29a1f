//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! both orders make the same tree beneath the destination and nothing beside it, no link leads out, the canonical archive
//! comes back as the same bytes, and another reader of tar sees the same files. Exactly: `invariants/tar.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parton_fuzz::tar::check(data));
