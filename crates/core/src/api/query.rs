//! Ask.

use crate::arena::{large, misuse};
use crate::extent::page_map;
use crate::size::{SIZES, aligned_size, usable_size as usable_for};

/// Bytes that the object at `ptr` holds, all of which may be used; null gives 0. A pointer that is recognised as
/// wrong ends the process with a message.
///
/// # Safety
/// `ptr` came from this allocator and is not free.
#[inline]
pub unsafe fn usable_size(ptr: *const u8) -> usize {
    match page_map::class_byte(ptr) {
        0 => usable_size_missed(ptr),
        byte => SIZES.get(byte as usize).map_or(0, |&bytes| bytes as usize),
    }
}

#[cold]
fn usable_size_missed(ptr: *const u8) -> usize {
    if ptr.is_null() {
        return 0;
    }
    match large::inspect(ptr.cast_mut()) {
        Ok(bytes) => bytes,
        Err(error) => misuse::report(error, ptr),
    }
}

/// Usable size that a request of `size` bytes at `align`, a power of two, gets; `None` out of range.
#[inline]
pub fn request_size(size: usize, align: usize) -> Option<usize> {
    if align <= 1 {
        usable_for(size)
    } else {
        aligned_size(size, align)
    }
}
