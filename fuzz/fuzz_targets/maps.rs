//! Any text as the system's list of mappings.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jemoxide_fuzz::maps::run(bytes));
