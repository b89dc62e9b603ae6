//! mallocx and its kin. `errno` stays, also on failure.
//!
//! Size 0 counts as 1, and null where an object is wanted as none: safe answers where the original leaves
//! the behaviour open.

use core::ffi::{c_int, c_void};
use jemoxide_core::api::{self, Flags};

/// Whether flags name an arena or a cache.
#[inline(always)]
const fn places(flags: c_int) -> bool {
    flags as u32 >> 8 != 0
}

/// Allocates `size` bytes as `flags` say. Null: out of memory.
#[unsafe(no_mangle)]
pub extern "C" fn mallocx(size: usize, flags: c_int) -> *mut c_void {
    let size = size.max(1);
    if flags == 0 {
        return api::alloc(size).cast();
    }
    if places(flags) {
        return api::alloc_with(size, Flags::new(flags)).cast();
    }
    let flags = Flags::new(flags);
    let ptr = match (flags.zero, flags.align) {
        (false, 1) => api::alloc(size),
        (true, 1) => api::alloc_zeroed(size),
        (false, align) => api::alloc_aligned(size, align),
        (true, align) => api::alloc_zeroed_aligned(size, align),
    };
    ptr.cast()
}

/// Makes `ptr` hold `size` bytes as `flags` say, moving it if need be. Null: out of memory, `ptr` is as it was.
/// A null `ptr` allocates.
///
/// # Safety
/// `ptr` is null or a live object, and after an answer that is not null the answer counts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rallocx(ptr: *mut c_void, size: usize, flags: c_int) -> *mut c_void {
    if ptr.is_null() {
        return mallocx(size, flags);
    }
    if places(flags) {
        // SAFETY: the caller's promise; not null.
        return unsafe { api::realloc_with(ptr.cast(), size.max(1), Flags::new(flags)) }.cast();
    }
    let flags = Flags::new(flags);
    // SAFETY: the caller's promise; not null.
    unsafe { api::realloc(ptr.cast(), size.max(1), flags.align, flags.zero) }.cast()
}

/// Makes `ptr` hold at least `size`, at best `size + extra` bytes where it is; the answer is its usable size now.
///
/// # Safety
/// `ptr` is null or a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xallocx(
    ptr: *mut c_void,
    size: usize,
    extra: usize,
    flags: c_int,
) -> usize {
    if ptr.is_null() {
        return 0;
    }
    let flags = Flags::new(flags);
    // SAFETY: the caller's promise; not null.
    unsafe { api::resize_in_place(ptr.cast(), size.max(1), extra, flags.align, flags.zero) }
}

/// Usable size of `ptr`; null gives 0.
///
/// # Safety
/// `ptr` is null or a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sallocx(ptr: *const c_void, _flags: c_int) -> usize {
    // SAFETY: the caller's promise.
    unsafe { api::usable_size(ptr.cast()) }
}

/// Frees `ptr`; null is ignored.
///
/// # Safety
/// `ptr` is null or a live object that nobody uses from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dallocx(ptr: *mut c_void, flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe {
        if places(flags) {
            api::dealloc_with(ptr.cast(), Flags::new(flags));
        } else {
            api::dealloc(ptr.cast());
        }
    }
}

/// Frees `ptr`, which holds `size` bytes allocated with the alignment in `flags`; null is ignored.
///
/// # Safety
/// As for [`dallocx`]; `size` lies between what was asked for and the usable size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(ptr: *mut c_void, size: usize, flags: c_int) {
    if places(flags) {
        // SAFETY: the caller's promise.
        return unsafe { api::dealloc_sized_with(ptr.cast(), size, Flags::new(flags)) };
    }
    let flags = Flags::new(flags);
    // SAFETY: the caller's promise.
    unsafe { api::dealloc_sized(ptr.cast(), size, flags.align) }
}

/// Usable size that `mallocx` would give; 0 when size or alignment is out of range.
#[unsafe(no_mangle)]
pub extern "C" fn nallocx(size: usize, flags: c_int) -> usize {
    api::request_size(size, Flags::new(flags).align).unwrap_or(0)
}
