//! Resize.
//!
//! ```text
//! same usable size           nothing moves
//! large to large             grow into the free pages behind, or give the tail back
//! large, 4 MiB or more       move the pages, not the bytes
//! else                       allocate, copy, free
//! ```

use super::alloc::{SIZES, alloc_aligned, alloc_zeroed_aligned, class_byte};
use super::free::dealloc;
use super::query::{request_size, usable_size};
use super::slow::{self, Operation};
use crate::arena::large::{self, RELOCATE_MIN};
use crate::extent::page_map;
use crate::size::{LARGE_MIN, LOOKUP_MAX};
use crate::thread;
use core::ptr::{self, NonNull};

/// Makes the object at `ptr` hold `size` bytes at `align`, a power of two, moving it if need be; the answer is where
/// it is now. With `zeroed`, what lies beyond the old usable size reads zero. Null: out of memory, the object is
/// as it was.
///
/// # Safety
/// `ptr` is not null, came from this allocator and is not free; after an answer that is not null it is the answer
/// that counts.
#[inline(always)]
pub unsafe fn realloc(ptr: *mut u8, size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if size <= LOOKUP_MAX && align <= 8 {
        let old = page_map::class_byte(ptr);
        let new = class_byte(size);
        if old == new {
            return ptr;
        }
        if !zeroed
            && old != 0
            // SAFETY: the caller's promise; the class byte is the object's.
            && let Some(object) = unsafe { move_small(ptr, old, new) }
        {
            return object;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { realloc_missed(ptr, size, align, zeroed) }
}

/// Moves an object between two cached classes if both bins are ready.
///
/// # Safety
/// As for [`realloc`]; `old` is the object's class byte.
#[inline(always)]
unsafe fn move_small(ptr: *mut u8, old: u8, new: u8) -> Option<*mut u8> {
    let object = thread::pop(new as usize)?;
    let bytes = SIZES[old.min(new) as usize] as usize;
    // SAFETY: two objects of at least that size, both the caller's.
    unsafe {
        ptr::copy_nonoverlapping(ptr, object, bytes);
        dealloc(ptr);
    }
    Some(object)
}

#[cold]
#[inline(never)]
unsafe fn realloc_missed(ptr: *mut u8, size: usize, align: usize, zeroed: bool) -> *mut u8 {
    // SAFETY: the caller's promise.
    let old = unsafe { usable_size(ptr) };
    let Some(new) = request_size(size, align) else {
        return ptr::null_mut();
    };
    let aligned = ptr.addr() & (align - 1) == 0;
    if old == new && aligned {
        return ptr;
    }
    if old >= LARGE_MIN && new >= LARGE_MIN && aligned {
        // SAFETY: a large object of the caller's.
        if unsafe { resize_large(ptr, old, new, zeroed) } {
            return ptr;
        }
    }
    let object = if zeroed {
        alloc_zeroed_aligned(size, align)
    } else {
        alloc_aligned(size, align)
    };
    let (Some(from), Some(to)) = (NonNull::new(ptr), NonNull::new(object)) else {
        return ptr::null_mut();
    };
    let bytes = old.min(new);
    // SAFETY: two objects of at least that size, both the caller's; large ones where pages are moved.
    unsafe {
        if bytes < RELOCATE_MIN || !large::relocate(from, to, bytes) {
            to.copy_from_nonoverlapping(from, bytes);
        }
        dealloc(ptr);
    }
    object
}

/// # Safety
/// `ptr` is a large object of `old` bytes, the caller's.
unsafe fn resize_large(ptr: *mut u8, old: usize, new: usize, zeroed: bool) -> bool {
    let Some(start) = NonNull::new(ptr) else {
        return false;
    };
    // SAFETY: the caller's promise.
    let grown = slow::enter(Operation::Other, |_| unsafe { large::resize(start, new) });
    if grown == Some(false) && zeroed && new > old {
        // SAFETY: the object now holds `new` bytes.
        unsafe { start.add(old).write_bytes(0, new - old) };
    }
    grown.is_some()
}

/// Makes the object at `ptr` hold at least `size` bytes and up to `size + extra`, without moving it; the answer is
/// its usable size now, the old one if nothing was possible.
///
/// # Safety
/// `ptr` is not null, came from this allocator and is not free.
pub unsafe fn resize_in_place(
    ptr: *mut u8,
    size: usize,
    extra: usize,
    align: usize,
    zeroed: bool,
) -> usize {
    // SAFETY: the caller's promise.
    let old = unsafe { usable_size(ptr) };
    if ptr.addr() & (align - 1) != 0 {
        return old;
    }
    let most = size.saturating_add(extra).min(crate::size::MAX_SIZE);
    let (Some(least), Some(most)) = (request_size(size, align), request_size(most, align)) else {
        return old;
    };
    if old < LARGE_MIN {
        return old;
    }
    for new in [most, least] {
        // SAFETY: a large object of the caller's.
        if new == old || new >= LARGE_MIN && unsafe { resize_large(ptr, old, new, zeroed) } {
            return new;
        }
        if (least..=most).contains(&old) {
            break;
        }
    }
    old
}
