//! The Rust face.

use super::{alloc_known, dealloc_known, realloc_known};
use core::alloc::{GlobalAlloc, Layout};

/// The allocator as a value, for `#[global_allocator]`.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: jemoxide::Jemoxide = jemoxide::Jemoxide;
///
/// let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
/// assert_eq!(words.concat().len(), 2890);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jemoxide;

// SAFETY: objects are as large and aligned as the layout asks, belong to one caller at a time, and do not move or end
//         but by `dealloc` and `realloc`; nothing here panics.
unsafe impl GlobalAlloc for Jemoxide {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        alloc_known(layout.size(), layout.align(), false)
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        alloc_known(layout.size(), layout.align(), true)
    }

    #[inline(always)]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc_known(ptr, layout.size(), layout.align()) }
    }

    #[inline(always)]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { realloc_known(ptr, layout.size(), layout.align(), new_size) }
    }
}
