//! Ask.

use super::slow;
use crate::arena::large;
use crate::control::modes;
use crate::extent::page_map;
use crate::size::{COARSE_MAX, SIZES, aligned_size, usable_size as usable_for};
use crate::thread::{self, Current};

/// Bytes that the object at `ptr` holds, all of which may be used; null gives 0. A pointer that is recognised as
/// wrong ends the process with a message, or gives 0.
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
    let looked = if modes::guarded() {
        // The hardened arena takes locks, which are taken inside the gate only.
        slow::enter(|_| large::inspect(ptr.cast_mut()))
    } else {
        large::inspect(ptr.cast_mut())
    };
    match looked {
        Ok(bytes) => bytes,
        Err(error) => {
            slow::misused(error, ptr);
            0
        }
    }
}

/// Usable size that a request of `size` bytes at `align`, a power of two, gets; `None` out of range.
#[inline]
pub fn request_size(size: usize, align: usize) -> Option<usize> {
    let bytes = if align <= 1 {
        usable_for(size)?
    } else {
        aligned_size(size, align)?
    };
    Some(if bytes > COARSE_MAX {
        rounded(bytes)
    } else {
        bytes
    })
}

/// Whether objects are no larger than what is asked for. Called when there is an object: the options have been read.
#[cfg(feature = "allocator-api2")]
pub(super) fn is_exact() -> bool {
    modes::guarded()
}

/// `bytes`, rounded as the options say, which are read first if that was not done yet.
fn rounded(bytes: usize) -> usize {
    match thread::current() {
        Current::Unstarted => slow::enter(|_| modes::rounded(bytes)),
        _ => modes::rounded(bytes),
    }
}
