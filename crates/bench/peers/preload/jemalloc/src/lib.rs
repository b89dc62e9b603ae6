//! jemalloc, under the names that it exports itself. What it lacks without its C++ part is in `aliases`.
#![no_std]

extern crate tikv_jemalloc_sys as _;

include!("../../no_std.rs");
