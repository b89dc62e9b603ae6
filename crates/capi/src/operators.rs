//! C++ operators that never throw: delete, and the nothrow forms of new.
//!
//! The names are weak, so that a program's own operators win in a static link as they do in a dynamic one.

use crate::family::{free, free_sized};
use crate::{names, unwinding};
use core::ffi::c_void;
use jemoxide_core::api;

/// Allocates, calling the new-handler as often as it helps; null when it does not.
#[cold]
fn retry(size: usize, align: usize) -> *mut c_void {
    api::refuse_new();
    while let Some(handler) = unwinding::new_handler() {
        if !unwinding::call_handler(handler) {
            break;
        }
        let ptr = api::alloc_aligned(size, align);
        if !ptr.is_null() {
            return ptr.cast();
        }
    }
    core::ptr::null_mut()
}

extern "C" fn new_nothrow(size: usize, _: *const c_void) -> *mut c_void {
    let ptr = api::alloc(size);
    if ptr.is_null() {
        retry(size, 1)
    } else {
        ptr.cast()
    }
}

extern "C" fn new_aligned_nothrow(size: usize, align: usize, _: *const c_void) -> *mut c_void {
    if !align.is_power_of_two() {
        return core::ptr::null_mut();
    }
    let ptr = api::alloc_aligned(size, align);
    if ptr.is_null() {
        retry(size, align)
    } else {
        ptr.cast()
    }
}

/// # Safety
/// `ptr` is null or a live object of that size and alignment that nobody uses from now on.
unsafe extern "C" fn delete_sized_aligned(ptr: *mut c_void, size: usize, align: usize) {
    // SAFETY: the caller's promise.
    unsafe { api::dealloc_sized(ptr.cast(), size, align) }
}

names! { weak:
    new_nothrow => "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t";
    new_aligned_nothrow =>
        "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t";
    free =>
        "_ZdlPv", "_ZdaPv", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t",
        "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t",
        "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t";
    free_sized => "_ZdlPvm", "_ZdaPvm";
    delete_sized_aligned => "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t";
}
