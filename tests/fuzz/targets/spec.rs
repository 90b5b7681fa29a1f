//! Errors are fine; a panic, more than ten seconds, or more memory than ci/fuzz allows is a bug. Besides:
//! every diagnostic lies inside its text and can be drawn, and a spec comes out exactly when none is an error. Exactly:
//! `invariants/spec.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| parton_fuzz::spec::check(data));
