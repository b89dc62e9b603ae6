//! rpmalloc, whose calls have a prefix; `aliases` takes it away, and what it has no call for is here.
//!
//! The crate's build is used, its Rust part is not: that part would bring Rust's standard library, and
//! with it libgcc_s, into every process that is measured.
#![no_std]

use core::ffi::c_void;
use core::ptr::null_mut;

include!("../../no_std.rs");

/// The unit of `valloc` and `pvalloc`.
const PAGE: usize = 4096;

#[link(name = "rpmalloc", kind = "static")]
unsafe extern "C" {
    fn rpmemalign(align: usize, size: usize) -> *mut c_void;
    fn rprealloc(ptr: *mut c_void, size: usize) -> *mut c_void;
}

/// `reallocarray` of the C library.
///
/// # Safety
/// As `realloc` there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(ptr: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise is the one that is asked for.
        Some(bytes) => unsafe { rprealloc(ptr, bytes) },
        None => null_mut(),
    }
}

/// `valloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    // SAFETY: the alignment is a power of two; any size may be asked for.
    unsafe { rpmemalign(PAGE, size) }
}

/// `pvalloc` of the C library.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(PAGE) {
        Some(size) => valloc(size),
        None => null_mut(),
    }
}
