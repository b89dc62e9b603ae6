//! Any text as options: nothing breaks, and what is shown reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jemoxide_fuzz::options::run(bytes));
