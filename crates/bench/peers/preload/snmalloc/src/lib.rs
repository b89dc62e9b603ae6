//! snmalloc, whose calls of the C library have a prefix; `aliases` takes it away.
#![no_std]

extern crate snmalloc_sys as _;

include!("../../no_std.rs");

// What C++ compilers refer to for exceptions. Nothing is thrown through frames of snmalloc here, as its own
// `operator new` is not part of the crate; with these, the C++ library and libgcc_s need not be loaded into
// every process that is measured. Hidden: the program's own exceptions go where they always go.
core::arch::global_asm!(
    ".hidden __gxx_personality_v0",
    ".globl __gxx_personality_v0",
    "__gxx_personality_v0:",
    ".hidden __cxa_begin_catch",
    ".globl __cxa_begin_catch",
    "__cxa_begin_catch:",
    ".hidden _ZSt9terminatev",
    ".globl _ZSt9terminatev",
    "_ZSt9terminatev:",
    ".hidden _Unwind_Resume",
    ".globl _Unwind_Resume",
    "_Unwind_Resume:",
    "ud2",
);
