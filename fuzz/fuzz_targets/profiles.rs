//! Any bytes as a heap profile.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jemoxide_fuzz::profiles::run(bytes));
