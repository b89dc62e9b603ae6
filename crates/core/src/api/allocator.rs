//! `Allocator` of the crate `allocator-api2`: collections that take an allocator, with excess and in-place growth.

use super::alloc::outermost;
use super::query::is_exact;
use super::{Arena, dealloc_sized_with, realloc_with};
use super::{Jemoxide, alloc_aligned, alloc_zeroed_aligned, dealloc_sized, realloc, request_size};
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::ptr::NonNull;

/// The object at `ptr` with all of its usable size.
fn with_excess(ptr: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    let bytes = excess(layout).ok_or(AllocError)?;
    let ptr = NonNull::new(ptr).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(ptr, bytes))
}

/// Usable size of what `layout` gets: in the hardened arena, and where that is nothing, what was asked for.
fn excess(layout: Layout) -> Option<usize> {
    if layout.size() == 0 || is_exact() {
        Some(layout.size())
    } else {
        request_size(layout.size(), layout.align())
    }
}

/// Makes the object at `ptr` fit `new`, by whatever way is the cheapest.
///
/// # Safety
/// `ptr` is a live object; if this succeeds the answer counts.
unsafe fn resize(ptr: NonNull<u8>, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
    // SAFETY: the caller's promise.
    let resized = unsafe { realloc(ptr.as_ptr(), new.size(), new.align(), false) };
    with_excess(resized, new)
}

/// Zeroes what `object`, which grew, has beyond its `old` size.
///
/// # Safety
/// It is a live object, the caller's, and no shorter than `old`.
unsafe fn clear_beyond(object: NonNull<[u8]>, old: Layout) {
    // SAFETY: the caller's promise: from the old size to the end the bytes are the object's.
    unsafe {
        let fresh = object.cast::<u8>().add(old.size());
        fresh.write_bytes(0, object.len() - old.size());
    }
}

// SAFETY: as for `GlobalAlloc`; the sizes reported are usable sizes, which a free accepts.
unsafe impl Allocator for Jemoxide {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        with_excess(alloc_aligned(layout.size(), layout.align()), layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        with_excess(alloc_zeroed_aligned(layout.size(), layout.align()), layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc_sized(ptr.as_ptr(), layout.size(), layout.align()) }
    }

    unsafe fn grow(
        &self,
        ptr: NonNull<u8>,
        _: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { resize(ptr, new) }
    }

    unsafe fn grow_zeroed(
        &self,
        ptr: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise; the object that grew is no shorter than it was.
        unsafe {
            let grown = resize(ptr, new)?;
            clear_beyond(grown, old);
            Ok(grown)
        }
    }

    unsafe fn shrink(
        &self,
        ptr: NonNull<u8>,
        _: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { resize(ptr, new) }
    }
}

impl Arena {
    /// As `resize` above, within the arena.
    ///
    /// # Safety
    /// `ptr` is a live object of the arena; if this succeeds the answer counts.
    #[inline(never)]
    unsafe fn resize(self, ptr: NonNull<u8>, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let flags = self.flags(new.align(), false);
        // SAFETY: the caller's promise.
        let resized = outermost(|| unsafe { realloc_with(ptr.as_ptr(), new.size(), flags) });
        with_excess(resized, new)
    }
}

// SAFETY: objects are as large and aligned as the layout asks and stay until they are freed, or until the arena is reset or
//         destroyed, which its caller answers for; copies of the handle mean the same arena.
unsafe impl Allocator for Arena {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        with_excess(self.alloc(layout), layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        with_excess(self.alloc_zeroed(layout), layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        let flags = self.flags(layout.align(), false);
        // SAFETY: the caller's promise.
        unsafe { dealloc_sized_with(ptr.as_ptr(), layout.size(), flags) }
    }

    unsafe fn grow(
        &self,
        ptr: NonNull<u8>,
        _: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { self.resize(ptr, new) }
    }

    unsafe fn grow_zeroed(
        &self,
        ptr: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise; the object that grew is no shorter than it was.
        unsafe {
            let grown = self.resize(ptr, new)?;
            clear_beyond(grown, old);
            Ok(grown)
        }
    }

    unsafe fn shrink(
        &self,
        ptr: NonNull<u8>,
        _: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { self.resize(ptr, new) }
    }
}
