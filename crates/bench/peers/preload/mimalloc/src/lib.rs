//! mimalloc, under the names that it exports itself.
#![no_std]

extern crate libmimalloc_sys as _;

include!("../../no_std.rs");
