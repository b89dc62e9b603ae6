//! Linux on x86-64, through raw system calls.
//!
//! Where Miri runs the unit tests, which knows no assembly, `interpreted` stands in for it.
#![cfg_attr(
    all(test, miri),
    allow(
        unreachable_code,
        reason = "instructions behind what stands in for them"
    )
)]

#[cfg_attr(test, expect(dead_code, reason = "tests start no bare thread"))]
pub(crate) mod bare;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod fault;
pub(crate) mod files;
pub(crate) mod futex;
pub(crate) mod image;
pub(crate) mod memcheck;
pub(crate) mod memory;
pub(crate) mod output;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod registers;
pub(crate) mod shared;
pub(crate) mod signal;
pub(crate) mod thread;

mod call;
#[cfg(all(test, miri))]
mod interpreted;
