//! The only door to the operating system and the processor.
//!
//! Everything above calls these functions and nothing else of the system. Each system is a folder with
//! the same file names; `simulated/` stands in front of the real one in unit tests: it can refuse, and
//! its clock is turned by hand.
//!
//! | file | contract |
//! |---|---|
//! | `memory` | fresh memory reads zero; a refusal is `None` or `false`, never a signal or a message |
//! | `clock` | nanoseconds since boot, coarse, never backwards |
//! | `cpu` | what this process may use |
//! | `files` | texts that the kernel writes; opened, read and closed within a call |
//! | `image` | memory that may not be mapped, read without a fault; what is mapped where |
//! | `registers` | registers as unwind tables number them |
//! | `memcheck` | what Valgrind is told, where it looks |
//! | `probe` | places that a tracer can stop at |
//! | `output` | files that we write; errors are the system's numbers |
//! | `futex` | sleep while a word has a value; may wake early |
//! | `bare` | one thread of our own, unknown to the C library |
//! | `thread` | the thread word, the exit key, the fork handlers |
//! | `shared` | files that other processes read and write too; never mapped |
//! | `signal` | a handler of our own, where the options ask for one |
//! | `fault` | who looks at a refused access before the program |
//! | `process` | environment, messages, files, the end |
//!
//! Y1  No call here allocates from us, sets `errno` on success, or is a cancellation point, but for
//!     the registration calls, which say so.
//! Y2  `cfg(target_*)` stands here and in the C door's stubs alone.
//! Y3  What the first allocation of a process writes to has the section `.data.jemoxide_start`: side by side it takes
//!     three pages, scattered among large tables a page for each. What is there begins as zero, or nearly so.

use core::arch::asm;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "jemoxide runs on x86-64 Linux so far; ARCHITECTURE.md lists what another system needs"
);

/// `value`, which the compiler now knows nothing about: it must be in a register of its own.
#[inline(always)]
pub(crate) fn opaque(mut value: usize) -> usize {
    if cfg!(all(test, miri)) {
        return value;
    }
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

mod linux;
#[cfg(test)]
pub(crate) mod simulated;

pub(crate) use linux::probe::probe;
#[cfg(not(test))]
pub(crate) use linux::{bare, clock, files, memory};
pub(crate) use linux::{
    cpu, fault, futex, image, memcheck, output, process, registers, shared, signal, thread,
};
#[cfg(test)]
pub(crate) use simulated::{bare, clock, files, memory};
