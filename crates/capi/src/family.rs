//! malloc and its kin.

use crate::{names, or_enomem, set_errno};
use core::ffi::{c_int, c_void};
use jemoxide_core::api::{self, Classes, Door};
use jemoxide_core::options::ZeroRealloc;

/// Allocates `size` bytes; 0 gives a block of its own. Null and ENOMEM: out of memory.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    match api::alloc_hit(size) {
        Some(ptr) => ptr.cast(),
        None => malloc_missed(size),
    }
}

/// The rest of [`malloc`]: a function of its own, so that the hit path needs no stack.
#[cold]
#[inline(never)]
extern "C" fn malloc_missed(size: usize) -> *mut c_void {
    or_enomem(api::alloc_missed(size))
}

/// Allocates `count` times `size` zeroed bytes. Null and ENOMEM: out of memory, or the product overflows.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let hit = match count.checked_mul(size) {
        Some(bytes) => api::alloc_zeroed_hit(bytes),
        None => None,
    };
    match hit {
        Some(ptr) => ptr.cast(),
        None => calloc_missed(count, size),
    }
}

/// The rest of [`calloc`].
#[cold]
#[inline(never)]
extern "C" fn calloc_missed(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => or_enomem(api::alloc_zeroed_missed(bytes)),
        None => or_enomem(api::refuse(usize::MAX)),
    }
}

/// Frees `ptr`; null is ignored. `errno` stays.
///
/// # Safety
/// `ptr` came from this allocator, is not free, and nobody uses it from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(ptr: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { api::dealloc(ptr.cast()) }
}

/// Makes `ptr` hold `size` bytes, moving it if need be. Null and ENOMEM: out of memory, `ptr` is as it was.
/// A null `ptr` allocates; size 0 does what the option `zero_realloc` says, by default frees and answers null.
///
/// # Safety
/// As for [`free`], when the answer is not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(ptr: *mut c_void, size: usize) -> *mut c_void {
    match api::compare_classes(ptr.cast(), size) {
        Classes::Same => ptr,
        // SAFETY: the caller's promise.
        Classes::Change(old, new) => unsafe { realloc_small(ptr, size, old, new) },
        // SAFETY: the caller's promise.
        Classes::Other => unsafe { realloc_missed(ptr, size) },
    }
}

/// [`realloc`] between two small classes: a function of its own, so that an object that keeps its class needs no stack.
///
/// # Safety
/// As for [`realloc`]; the class bytes are the object's and the size's.
#[inline(never)]
unsafe extern "C" fn realloc_small(ptr: *mut c_void, size: usize, old: u8, new: u8) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe {
        match api::move_small(ptr.cast(), old, new) {
            Some(moved) => moved.cast(),
            None => realloc_missed(ptr, size),
        }
    }
}

/// The rest of [`realloc`].
///
/// # Safety
/// As for [`realloc`].
#[cold]
#[inline(never)]
unsafe extern "C" fn realloc_missed(ptr: *mut c_void, size: usize) -> *mut c_void {
    if ptr.is_null() {
        return malloc(size);
    }
    if size == 0 {
        // SAFETY: the caller's promise.
        return unsafe { realloc_to_zero(ptr) };
    }
    // SAFETY: the caller's promise; not null.
    or_enomem(unsafe { api::realloc_missed(ptr.cast(), size, 1, false) })
}

#[cold]
unsafe fn realloc_to_zero(ptr: *mut c_void) -> *mut c_void {
    match api::zero_realloc() {
        // SAFETY: the caller's promise.
        ZeroRealloc::Alloc => or_enomem(unsafe { api::realloc(ptr.cast(), 1, 1, false) }),
        ZeroRealloc::Free => {
            // SAFETY: the caller's promise.
            unsafe { api::dealloc(ptr.cast()) };
            core::ptr::null_mut()
        }
        ZeroRealloc::Abort => {
            let line = b"<jemoxide>: realloc(ptr, 0) was called, and the option zero_realloc:abort is set\n";
            // SAFETY: plain calls.
            unsafe {
                libc::write(2, line.as_ptr().cast(), line.len());
                libc::abort()
            }
        }
    }
}

/// As `realloc` to `count` times `size` bytes. Null and ENOMEM also if the product overflows.
///
/// # Safety
/// As for [`realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(ptr: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { realloc(ptr, bytes) },
        None => or_enomem(api::refuse(usize::MAX)),
    }
}

/// Stores a block of `size` bytes at a multiple of `alignment` in `*out`. EINVAL: `alignment` is no power of two
/// or below a pointer's size; ENOMEM: out of memory. `errno` and, on failure, `*out` stay.
///
/// # Safety
/// `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    out: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    if !alignment.is_power_of_two() || alignment < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    let ptr = api::alloc_aligned(size, alignment);
    if ptr.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *out = ptr.cast() };
    0
}

/// Allocates `size` bytes at a multiple of `alignment`, a power of two; else null and EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        set_errno(libc::EINVAL);
        return core::ptr::null_mut();
    }
    or_enomem(api::alloc_aligned(size, alignment))
}

/// As [`aligned_alloc`].
#[unsafe(no_mangle)]
pub extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    aligned_alloc(alignment, size)
}

fn page_size() -> usize {
    // SAFETY: plain call.
    let size = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    if size.is_power_of_two() { size } else { 4096 }
}

/// Allocates `size` bytes at the start of a page.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    aligned_alloc(page_size(), size)
}

/// Allocates whole pages that hold `size` bytes, at least one.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match size.max(1).checked_next_multiple_of(page_size()) {
        Some(bytes) => valloc(bytes),
        None => or_enomem(api::refuse(usize::MAX)),
    }
}

/// Bytes that the block at `ptr` holds, all of which may be used; null gives 0.
///
/// # Safety
/// `ptr` came from this allocator and is not free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(ptr: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { api::usable_size(ptr.cast()) }
}

/// Frees `ptr`, which was allocated with `size` bytes; null is ignored.
///
/// # Safety
/// As for [`free`]; `size` lies between what was asked for and the usable size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(ptr: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { api::dealloc_told(ptr.cast(), size, 1, Door::Malloc, true) }
}

/// Frees `ptr`, which was allocated with `size` bytes at `alignment`; null is ignored.
///
/// # Safety
/// As for [`free_sized`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(ptr: *mut c_void, alignment: usize, size: usize) {
    if alignment.is_power_of_two() {
        // SAFETY: the caller's promise.
        unsafe { api::dealloc_told(ptr.cast(), size, alignment, Door::Malloc, true) }
    } else {
        // SAFETY: the caller's promise; the alignment is no use.
        unsafe { api::dealloc(ptr.cast()) }
    }
}

// Second names of the same functions: the C library's own, and one that old programs still know.
names! {
    malloc => "__libc_malloc";
    calloc => "__libc_calloc";
    realloc => "__libc_realloc";
    free => "__libc_free", "cfree";
    memalign => "__libc_memalign";
    valloc => "__libc_valloc";
    pvalloc => "__libc_pvalloc";
}
