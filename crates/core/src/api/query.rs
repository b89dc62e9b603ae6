//! Ask.

use super::slow;
use crate::arena::large;
use crate::arena::misuse::Misuse;
use crate::control::modes;
use crate::extent::page_map;
use crate::size::{COARSE_MAX, PAGE, SIZES, aligned_size, usable_size as usable_for};
use crate::thread::{self, Current};

/// Bytes that the object at `ptr` holds, all of which may be used; null gives 0, and so does what was asked for with 0. A
/// pointer that is recognised as wrong ends the process with a message, or gives 0.
///
/// # Safety
/// `ptr` came from this allocator and is not free.
#[inline]
pub unsafe fn usable_size(ptr: *const u8) -> usize {
    known_size(ptr).unwrap_or(0)
}

/// As [`usable_size`]. `None`: the pointer was recognised as wrong, and is not to be touched.
#[inline]
pub(super) fn known_size(ptr: *const u8) -> Option<usize> {
    let byte = page_map::class_byte(ptr);
    let bytes = SIZES.get(byte as usize).map_or(0, |&bytes| bytes as usize);
    if byte == 0 || ptr.addr() & odd_bits(bytes) != 0 {
        return known_size_missed(ptr, byte);
    }
    Some(bytes)
}

/// Bits that are 0 in the address of every object of a class of `bytes`: slots start on pages, so addresses are multiples
/// of whatever power of two divides the size, up to a page.
const fn odd_bits(bytes: usize) -> usize {
    !bytes & bytes.wrapping_sub(1) & (PAGE - 1)
}

#[cold]
fn known_size_missed(ptr: *const u8, byte: u8) -> Option<usize> {
    if ptr.is_null() {
        return Some(0);
    }
    let looked = if byte != 0 {
        Err(Misuse::Interior)
    } else if modes::guarded() {
        // The hardened arena takes locks, which are taken inside the gate only.
        slow::enter(|_| large::inspect(ptr.cast_mut()))
    } else {
        large::inspect(ptr.cast_mut())
    };
    match looked {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            slow::misused(error, ptr);
            None
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
