//! malloc_trim and mallinfo: the C library's calls for operators, with our figures.
//!
//! | field | here |
//! |---|---|
//! | arena | bytes of pages that hold small objects, and idle pages |
//! | hblkhd | bytes of large objects |
//! | uordblks | bytes of small objects in use |
//! | fordblks | what of `arena` is in nobody's use |
//! | keepcost | idle pages that `malloc_trim` would give back |

use core::ffi::c_int;
use jemoxide_core::api;

/// Gives idle memory back to the system. 1: some was; 0: there was none.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(api::trim() > 0)
}

/// The figures of this moment, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let figures = api::footprint();
    // SAFETY: a structure of integers.
    let mut info: libc::mallinfo2 = unsafe { core::mem::zeroed() };
    info.arena = (figures.active + figures.dirty).saturating_sub(figures.large);
    info.hblkhd = figures.large;
    info.uordblks = figures.allocated.saturating_sub(figures.large);
    info.fordblks = info.arena.saturating_sub(info.uordblks);
    info.keepcost = figures.dirty;
    info
}

/// As [`mallinfo2`], in fields too narrow for today's sizes: what does not fit reads as the largest number.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let figures = mallinfo2();
    let narrow = |bytes: usize| c_int::try_from(bytes).unwrap_or(c_int::MAX);
    // SAFETY: a structure of integers.
    let mut info: libc::mallinfo = unsafe { core::mem::zeroed() };
    info.arena = narrow(figures.arena);
    info.hblkhd = narrow(figures.hblkhd);
    info.uordblks = narrow(figures.uordblks);
    info.fordblks = narrow(figures.fordblks);
    info.keepcost = narrow(figures.keepcost);
    info
}
