//! rusty_alloc behind the names of the C library. Its fast paths are inlined into these functions.

use rusty_alloc::alloc;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// The unit of `valloc` and `pvalloc`.
const PAGE: usize = 4096;

/// Refusals that have numbers of their own; the same on every Linux.
const ENOMEM: c_int = 12;
const EINVAL: c_int = 22;

/// `malloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    alloc::malloc(size).cast()
}

/// `calloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    alloc::calloc(count, size).cast()
}

/// `free` of the C library.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(ptr: *mut c_void) {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { alloc::free_inline(ptr.cast()) }
}

/// `realloc` of the C library.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(ptr: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { alloc::realloc(ptr.cast(), size).cast() }
}

/// `reallocarray` of the C library.
///
/// # Safety
/// As `realloc` there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(ptr: *mut c_void, count: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { alloc::reallocn(ptr.cast(), count, size).cast() }
}

/// `memalign` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    alloc::malloc_aligned(size, align).cast()
}

/// `aligned_alloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    memalign(align, size)
}

/// `posix_memalign` of the C library.
///
/// # Safety
/// `result` leads to a pointer that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    result: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return EINVAL;
    }
    let ptr = memalign(align, size);
    if ptr.is_null() {
        return ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { result.write(ptr) };
    0
}

/// `valloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    memalign(PAGE, size)
}

/// `pvalloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(PAGE) {
        Some(size) => valloc(size),
        None => null_mut(),
    }
}

/// `malloc_usable_size` of the C library.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(ptr: *mut c_void) -> usize {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { alloc::usable_size(ptr.cast()) }
}
