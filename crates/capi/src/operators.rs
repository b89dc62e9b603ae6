//! C++ operators that never throw: delete, and the nothrow forms of new.
//!
//! The names are weak, so that a program's own operators win in a static link as they do in a dynamic one. Each family has
//! functions of its own, though all do the same while the fast paths serve: what goes slow says by which door it came, and
//! the hardened arena holds a free against that. Where the program has replaced some of them, the others lead to those.

use crate::replaced::{self, Form};
use crate::{names, unwinding};
use core::ffi::c_void;
use core::hint::assert_unchecked;
use core::ptr;
use jemoxide_core::api::{self, Door};

/// Allocates by the program's own operator if `way` leads to one, else here; null where neither helps.
#[inline(always)]
fn new_by(way: &[Form], size: usize, align: usize, door: Door) -> *mut c_void {
    if !replaced::is_none() {
        if let Some(ptr) = replaced::alloc(way, size, align) {
            return ptr;
        }
    }
    // An alignment that is no power of two is undefined in C++; nothing can satisfy it.
    if !align.is_power_of_two() {
        return ptr::null_mut();
    }
    let ptr = api::alloc_by(size, align, door);
    if ptr.is_null() {
        retry(size, align, door)
    } else {
        ptr.cast()
    }
}

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
    ptr::null_mut()
}

/// Frees by the program's own operator if `way` leads to one, else here.
///
/// # Safety
/// `ptr` is null or a live object of that alignment that nobody uses from now on.
#[inline(always)]
unsafe fn delete_by(way: &[Form], ptr: *mut c_void, align: usize, door: Door) {
    // SAFETY: the caller's promise.
    unsafe {
        if replaced::is_none() || !replaced::dealloc(way, ptr, align) {
            api::dealloc_by(ptr.cast(), align, door);
        }
    }
}

/// The same with the object's size.
///
/// # Safety
/// As for [`delete_by`]; the object is of that size.
#[inline(always)]
unsafe fn delete_told(way: &[Form], ptr: *mut c_void, size: usize, align: usize, door: Door) {
    // SAFETY: the caller's promise.
    unsafe {
        if replaced::is_none() || !replaced::dealloc(way, ptr, align) {
            api::dealloc_told(ptr.cast(), size, align, door, true);
        }
    }
}

/// What a plain sized delete leaves to be done: what is large, or may be the program's.
///
/// # Safety
/// As for [`delete_told`].
#[cold]
#[inline(never)]
unsafe fn delete_sized_apart(ptr: *mut c_void, size: usize, door: Door, way: &[Form]) {
    // SAFETY: the caller's promise.
    unsafe { delete_told(way, ptr, size, 1, door) }
}

/// The operators of one family, each with the forms on its way ([`replaced`]); the alignment of an aligned one is its last plain
/// argument.
macro_rules! family {
    ($door:ident: $new:ident $new_way:expr, $delete_sized:ident $delete_nothrow:ident $way:expr) => {
        extern "C" fn $new(size: usize, _: *const c_void) -> *mut c_void {
            new_by($new_way, size, 1, Door::$door)
        }

        /// # Safety
        /// `ptr` is null or a live object of that size that nobody uses from now on.
        unsafe extern "C" fn $delete_sized(ptr: *mut c_void, size: usize) {
            // SAFETY: the caller's promise; what is below the bound is at most that.
            unsafe {
                if size >= replaced::bound() {
                    return delete_sized_apart(ptr, size, Door::$door, $way);
                }
                assert_unchecked(size <= api::FAST_MAX);
                api::dealloc_told(ptr.cast(), size, 1, Door::$door, true)
            }
        }

        /// # Safety
        /// `ptr` is null or a live object that nobody uses from now on.
        unsafe extern "C" fn $delete_nothrow(ptr: *mut c_void, _: *const c_void) {
            // SAFETY: the caller's promise.
            unsafe { delete_by($way, ptr, 1, Door::$door) }
        }
    };
    ($door:ident aligned: $new:ident $new_way:expr, $delete_sized:ident $delete_nothrow:ident $way:expr) => {
        extern "C" fn $new(size: usize, align: usize, _: *const c_void) -> *mut c_void {
            new_by($new_way, size, align, Door::$door)
        }

        /// # Safety
        /// `ptr` is null or a live object of that size and alignment that nobody uses from now on.
        unsafe extern "C" fn $delete_sized(ptr: *mut c_void, size: usize, align: usize) {
            // SAFETY: the caller's promise.
            unsafe { delete_told($way, ptr, size, align, Door::$door) }
        }

        /// # Safety
        /// `ptr` is null or a live object of that alignment that nobody uses from now on.
        unsafe extern "C" fn $delete_nothrow(ptr: *mut c_void, align: usize, _: *const c_void) {
            // SAFETY: the caller's promise.
            unsafe { delete_by($way, ptr, align, Door::$door) }
        }
    };
}

family!(New: new_nothrow &[Form::New], delete_sized delete_nothrow &[Form::Delete]);
family!(NewArray: new_array_nothrow &[Form::NewArray, Form::New],
    delete_array_sized delete_array_nothrow &[Form::DeleteArray, Form::Delete]);
family!(NewAligned aligned: new_aligned_nothrow &[Form::NewAligned],
    delete_sized_aligned delete_aligned_nothrow &[Form::DeleteAligned]);
family!(NewArrayAligned aligned: new_array_aligned_nothrow &[Form::NewArrayAligned, Form::NewAligned],
    delete_array_sized_aligned delete_array_aligned_nothrow &[Form::DeleteArrayAligned, Form::DeleteAligned]);

/// # Safety
/// `ptr` is null or a live object that nobody uses from now on.
pub(crate) unsafe extern "C" fn delete(ptr: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { api::dealloc_by(ptr.cast(), 1, Door::New) }
}

/// # Safety
/// `ptr` is null or a live object that nobody uses from now on.
pub(crate) unsafe extern "C" fn delete_array(ptr: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { delete_by(&[Form::Delete], ptr, 1, Door::NewArray) }
}

/// # Safety
/// `ptr` is null or a live object of that alignment that nobody uses from now on.
pub(crate) unsafe extern "C" fn delete_aligned(ptr: *mut c_void, align: usize) {
    // SAFETY: the caller's promise.
    unsafe { api::dealloc_by(ptr.cast(), align, Door::NewAligned) }
}

/// # Safety
/// `ptr` is null or a live object of that alignment that nobody uses from now on.
pub(crate) unsafe extern "C" fn delete_array_aligned(ptr: *mut c_void, align: usize) {
    // SAFETY: the caller's promise.
    unsafe { delete_by(&[Form::DeleteAligned], ptr, align, Door::NewArrayAligned) }
}

names! { weak:
    new_nothrow => "_ZnwmRKSt9nothrow_t";
    new_array_nothrow => "_ZnamRKSt9nothrow_t";
    new_aligned_nothrow => "_ZnwmSt11align_val_tRKSt9nothrow_t";
    new_array_aligned_nothrow => "_ZnamSt11align_val_tRKSt9nothrow_t";
    delete => "_ZdlPv";
    delete_array => "_ZdaPv";
    delete_aligned => "_ZdlPvSt11align_val_t";
    delete_array_aligned => "_ZdaPvSt11align_val_t";
    delete_nothrow => "_ZdlPvRKSt9nothrow_t";
    delete_array_nothrow => "_ZdaPvRKSt9nothrow_t";
    delete_aligned_nothrow => "_ZdlPvSt11align_val_tRKSt9nothrow_t";
    delete_array_aligned_nothrow => "_ZdaPvSt11align_val_tRKSt9nothrow_t";
    delete_sized => "_ZdlPvm";
    delete_array_sized => "_ZdaPvm";
    delete_sized_aligned => "_ZdlPvmSt11align_val_t";
    delete_array_sized_aligned => "_ZdaPvmSt11align_val_t";
}
