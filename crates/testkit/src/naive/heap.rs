//! Heap: what an allocator must offer to be driven by a [`Workload`](super::Workload).

use std::alloc::{GlobalAlloc, Layout};

/// An allocator under test. All sizes in bytes; `align` is a power of two.
///
/// Null means out of memory, which a workload treats as a failure.
pub trait Heap: Sync {
    /// Allocates `size` bytes at a multiple of `align`.
    ///
    /// # Safety
    /// - `size` is not zero and `align` is a power of two.
    unsafe fn alloc(&self, size: usize, align: usize) -> *mut u8;

    /// Like [`alloc`](Heap::alloc), filled with zeros.
    ///
    /// # Safety
    /// - As for `alloc`.
    unsafe fn alloc_zeroed(&self, size: usize, align: usize) -> *mut u8;

    /// Resizes a block to `new_size`, moving it if need be.
    ///
    /// # Safety
    /// - `ptr` is live, from this heap, with exactly this `size` and `align`.
    /// - `new_size` is not zero.
    unsafe fn realloc(&self, ptr: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8;

    /// Frees a block.
    ///
    /// # Safety
    /// - `ptr` is live, from this heap, with exactly this `size` and `align`.
    unsafe fn dealloc(&self, ptr: *mut u8, size: usize, align: usize);

    /// Returns how many bytes of a block may be used; `None` if the heap doesn't tell.
    ///
    /// # Safety
    /// - `ptr` is live and from this heap.
    unsafe fn usable_size(&self, ptr: *mut u8) -> Option<usize>;
}

/// Any Rust global allocator as a [`Heap`].
pub struct Global<A>(
    /// The allocator under test.
    pub A,
);

impl<A: GlobalAlloc + Sync> Heap for Global<A> {
    unsafe fn alloc(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the size is not zero, as this function's caller promises.
        unsafe { self.0.alloc(layout(size, align)) }
    }

    unsafe fn alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the size is not zero, as this function's caller promises.
        unsafe { self.0.alloc_zeroed(layout(size, align)) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
        // SAFETY: 1. the block is live with this layout, as this function's caller promises;
        //         2. the new size makes a layout too: `layout` asserts it.
        unsafe {
            self.0
                .realloc(ptr, layout(size, align), layout(new_size, align).size())
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, size: usize, align: usize) {
        // SAFETY: the block is live with this layout, as this function's caller promises.
        unsafe { self.0.dealloc(ptr, layout(size, align)) }
    }

    unsafe fn usable_size(&self, _ptr: *mut u8) -> Option<usize> {
        None
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("workloads ask for valid layouts")
}
