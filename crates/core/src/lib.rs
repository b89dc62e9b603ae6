//! jemoxide: a general-purpose memory allocator.
#![no_std]
#![allow(dead_code)]

#[cfg(test)]
extern crate std;

#[cfg(not(loom))]
mod extent;
#[cfg(not(loom))]
mod meta;
pub mod size;
pub mod stats;
#[cfg(not(loom))]
mod sync;
#[cfg(loom)]
pub mod sync;
#[cfg(not(loom))]
mod sys;
