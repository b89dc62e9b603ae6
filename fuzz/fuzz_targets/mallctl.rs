//! Any name, mib and length put to mallctl.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jemoxide_fuzz::names::run(bytes));
