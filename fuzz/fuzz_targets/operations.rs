//! Allocator calls of several threads, one after the other, beside a list of live ranges.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jemoxide_fuzz::operations::run(bytes));
