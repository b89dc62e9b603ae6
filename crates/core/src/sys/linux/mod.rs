//! Linux on x86-64, through raw system calls.

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
