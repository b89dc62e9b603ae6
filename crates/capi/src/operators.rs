//! C++ operators that never throw: delete, and the nothrow forms of new.
//!
//! The names are weak, so that a program's own operators win in a static link as they do in a dynamic one. Each family has
//! functions of its own, though all do the same while the fast paths serve: what goes slow says by which door it came, and
//! the hardened arena holds a free against that.

use crate::{names, unwinding};
use core::ffi::c_void;
use jemoxide_core::api::{self, Door};

/// Allocates, calling the new-handler as often as it helps; null when it does not.
#[cold]
fn retry(size: usize, align: usize, door: Door) -> *mut c_void {
    api::refuse_new();
    while let Some(handler) = unwinding::new_handler() {
        if !unwinding::call_handler(handler) {
            break;
        }
        let ptr = api::alloc_by(size, align, door);
        if !ptr.is_null() {
            return ptr.cast();
        }
    }
    core::ptr::null_mut()
}

/// The operators of one family; the alignment of an aligned one is its last plain argument.
macro_rules! family {
    ($door:ident: $new:ident, $delete:ident, $delete_sized:ident) => {
        extern "C" fn $new(size: usize, _: *const c_void) -> *mut c_void {
            let ptr = api::alloc_by(size, 1, Door::$door);
            if ptr.is_null() {
                retry(size, 1, Door::$door)
            } else {
                ptr.cast()
            }
        }

        /// # Safety
        /// `ptr` is null or a live object that nobody uses from now on.
        unsafe extern "C" fn $delete(ptr: *mut c_void) {
            // SAFETY: the caller's promise.
            unsafe { api::dealloc_by(ptr.cast(), 1, Door::$door) }
        }

        /// # Safety
        /// `ptr` is null or a live object of that size that nobody uses from now on.
        unsafe extern "C" fn $delete_sized(ptr: *mut c_void, size: usize) {
            // SAFETY: the caller's promise.
            unsafe { api::dealloc_told(ptr.cast(), size, 1, Door::$door, true) }
        }
    };
    ($door:ident aligned: $new:ident, $delete:ident, $delete_sized:ident) => {
        extern "C" fn $new(size: usize, align: usize, _: *const c_void) -> *mut c_void {
            if !align.is_power_of_two() {
                return core::ptr::null_mut();
            }
            let ptr = api::alloc_by(size, align, Door::$door);
            if ptr.is_null() {
                retry(size, align, Door::$door)
            } else {
                ptr.cast()
            }
        }

        /// # Safety
        /// `ptr` is null or a live object of that alignment that nobody uses from now on.
        unsafe extern "C" fn $delete(ptr: *mut c_void, align: usize) {
            // SAFETY: the caller's promise.
            unsafe { api::dealloc_by(ptr.cast(), align, Door::$door) }
        }

        /// # Safety
        /// `ptr` is null or a live object of that size and alignment that nobody uses from now on.
        unsafe extern "C" fn $delete_sized(ptr: *mut c_void, size: usize, align: usize) {
            // SAFETY: the caller's promise.
            unsafe { api::dealloc_told(ptr.cast(), size, align, Door::$door, true) }
        }
    };
}

family!(New: new_nothrow, delete, delete_sized);
family!(NewArray: new_array_nothrow, delete_array, delete_array_sized);
family!(NewAligned aligned: new_aligned_nothrow, delete_aligned, delete_sized_aligned);
family!(NewArrayAligned aligned:
    new_array_aligned_nothrow, delete_array_aligned, delete_array_sized_aligned);

names! { weak:
    new_nothrow => "_ZnwmRKSt9nothrow_t";
    new_array_nothrow => "_ZnamRKSt9nothrow_t";
    new_aligned_nothrow => "_ZnwmSt11align_val_tRKSt9nothrow_t";
    new_array_aligned_nothrow => "_ZnamSt11align_val_tRKSt9nothrow_t";
    delete => "_ZdlPv", "_ZdlPvRKSt9nothrow_t";
    delete_array => "_ZdaPv", "_ZdaPvRKSt9nothrow_t";
    delete_aligned => "_ZdlPvSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t";
    delete_array_aligned => "_ZdaPvSt11align_val_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t";
    delete_sized => "_ZdlPvm";
    delete_array_sized => "_ZdaPvm";
    delete_sized_aligned => "_ZdlPvmSt11align_val_t";
    delete_array_sized_aligned => "_ZdaPvmSt11align_val_t";
}
