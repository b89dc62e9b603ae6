//! The C door: `libjemoxide.so` to preload or link, `libjemoxide.a` to link into C and C++ programs.
//!
//! | file | symbols |
//! |---|---|
//! | `family` | malloc and its kin, as the C library has them |
//! | `extended` | mallocx and its kin, as jemalloc has them |
//! | `control` | mallctl and its kin, malloc_stats_print |
//! | `operators` | C++ new and delete |
//! | `replaced` | where they lead when the program has some of its own |
//! | `unwinding` | what of those may throw: assembly, as no exception may pass through a Rust frame |
//! | `figures` | malloc_trim, mallinfo |
//! | `names` | how one function gets several symbols |
//!
//! Only this layer sets `errno`, and only when it answers null.
#![cfg_attr(not(test), no_std)]
#![allow(
    unreachable_pub,
    reason = "the symbols are reached by name, from outside Rust"
)]

mod control;
mod extended;
mod family;
mod figures;
mod names;
mod operators;
mod replaced;
mod unwinding;

use core::arch::global_asm;
use core::panic::PanicInfo;
use names::names;

// The only library that is needed.
#[link(name = "c")]
unsafe extern "C" {}

// Who registers a function with the C library says what it belongs to, so that unloading that unregisters it. Null
// is what is never unloaded. The shared library has no start-up objects that would define this; where the static one
// is linked they do, and theirs is taken.
global_asm!(
    ".pushsection .rodata.jemoxide_dso,\"a\",@progbits",
    ".p2align 3",
    ".weak __dso_handle",
    ".hidden __dso_handle",
    ".type __dso_handle, @object",
    ".size __dso_handle, 8",
    "__dso_handle:",
    ".quad 0",
    ".popsection",
);

// Tells the allocator that the functions around it are this library's, whose frames are in no program's call paths.
global_asm!(
    ".pushsection .rodata.jemoxide_dso,\"a\",@progbits",
    // Weak, as who asks for it has it: the two meet in one file, where the assembler tells of a change.
    ".weak jemoxide_c_door",
    ".hidden jemoxide_c_door",
    ".type jemoxide_c_door, @object",
    ".size jemoxide_c_door, 8",
    "jemoxide_c_door:",
    ".quad 0",
    ".popsection",
);

// The variables that a program may define to give options, and to get messages: null where it does not. They lie with what the first
// allocation writes to, which reads them.
global_asm!(
    ".pushsection .data.jemoxide_start,\"aw\",@progbits",
    ".p2align 3",
    ".weak malloc_conf",
    ".type malloc_conf, @object",
    ".size malloc_conf, 8",
    "malloc_conf:",
    ".quad 0",
    ".weak malloc_conf_2_conf_harder",
    ".type malloc_conf_2_conf_harder, @object",
    ".size malloc_conf_2_conf_harder, 8",
    "malloc_conf_2_conf_harder:",
    ".quad 0",
    ".weak malloc_message",
    ".type malloc_message, @object",
    ".size malloc_message, 8",
    "malloc_message:",
    ".quad 0",
    ".popsection",
);

// The unwind tables of `core` name this function. Code of it that is not inlined is kept, so somebody has to have it: without
// optimisation, and where checks of ours may panic. Nothing of ours unwinds, so it is not called; a program that gets a real one
// from an archive is given that. Hidden: a shared library that the program loads keeps its own.
#[cfg(any(debug_assertions, unoptimised))]
global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, @function",
    "rust_eh_personality:",
    "ud2",
    ".size rust_eh_personality, . - rust_eh_personality",
    ".popsection",
);

/// Nothing in here panics; should it, the process ends rather than run on with a broken heap.
#[cfg_attr(not(test), panic_handler)]
#[cfg_attr(
    test,
    expect(dead_code, reason = "lints look at this library as a test too")
)]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: plain call.
    unsafe { libc::abort() }
}

/// Sets `errno`.
#[cold]
fn set_errno(code: i32) {
    // SAFETY: the C library's own per-thread word.
    unsafe { *libc::__errno_location() = code };
}

/// `ptr`, with `errno` set if it is null.
#[inline(always)]
fn or_enomem(ptr: *mut u8) -> *mut libc::c_void {
    if ptr.is_null() {
        set_errno(libc::ENOMEM);
    }
    ptr.cast()
}
