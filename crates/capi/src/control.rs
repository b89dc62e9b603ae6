//! mallctl: settings and figures by name. `errno` stays; the answer is 0 or an error number.

use core::ffi::{c_char, c_int, c_void};
use jemoxide_core::api::{mallctl, printing};

/// Reads, writes or does what `name` stands for.
///
/// # Safety
/// As jemalloc(3) says: what is not null may be read and written for the lengths given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallctl(
    name: *const c_char,
    old: *mut c_void,
    old_len: *mut usize,
    new: *mut c_void,
    new_len: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { mallctl::by_name(name, old.cast(), old_len, new.cast(), new_len) }
}

/// Translates `name` into numbers, for [`mallctlbymib`].
///
/// # Safety
/// As for [`mallctl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallctlnametomib(
    name: *const c_char,
    mib: *mut usize,
    mib_len: *mut usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { mallctl::name_to_mib(name, mib, mib_len) }
}

/// As [`mallctl`], the name given by its numbers.
///
/// # Safety
/// As for [`mallctl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallctlbymib(
    mib: *const usize,
    mib_len: usize,
    old: *mut c_void,
    old_len: *mut usize,
    new: *mut c_void,
    new_len: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { mallctl::by_mib(mib, mib_len, old.cast(), old_len, new.cast(), new_len) }
}

/// Prints statistics: to `write`, or where messages go; `letters` choose.
///
/// # Safety
/// As jemalloc(3) says: `write` takes `opaque` and C strings, `letters` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_stats_print(
    write: Option<printing::WriteCallback>,
    opaque: *mut c_void,
    letters: *const c_char,
) {
    // SAFETY: the caller's promise.
    unsafe { printing::print_to(write, opaque, letters) }
}
