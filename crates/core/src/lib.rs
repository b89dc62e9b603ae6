//! jemoxide: a general-purpose memory allocator.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod size;
pub mod stats;
