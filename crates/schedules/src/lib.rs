//! The allocator's lock-free files as they are, on atomics that a scheduler watches. Tests alone.
//!
//! The core's models (`crates/core/tests/models.rs`) check a protocol in every interleaving of two or three threads and a few
//! steps. What only shows when the protocols meet, in longer histories of more threads, is looked for here, by schedules that
//! are drawn.
#![cfg(test)]

mod history;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "the core's files: what is not used here is used there"
)]
mod sync;
