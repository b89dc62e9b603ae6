//! Block: an object that knows its own size and carries a stamp, so that a table of ten million of them is
//! ten million pointers.
//!
//! ```text
//! | size | stamp = size, turned | ... not touched |
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::ptr::NonNull;

/// Bytes of the smallest block.
pub(super) const SMALLEST: usize = 16;

/// An owned object.
pub(super) struct Block(NonNull<[usize; 2]>);

// SAFETY: the memory belongs to the block alone, and any thread may free what another allocated.
unsafe impl Send for Block {}

impl Block {
    /// Allocates `size` bytes, of which the first 16 are written.
    pub(super) fn new(size: usize) -> Self {
        let layout = layout(size);
        // SAFETY: the size is not 0.
        let address = black_box(unsafe { alloc(layout) });
        let Some(address) = NonNull::new(address.cast()) else {
            handle_alloc_error(layout)
        };
        // SAFETY: at least 16 bytes, aligned for what is written, ours alone.
        unsafe { address.write([size, !size]) };
        Self(address)
    }

    /// Reads the stamp and writes it again. Ends the program if it is not what was written.
    pub(super) fn touch(&mut self) -> usize {
        // SAFETY: written when the block was made, and owned.
        let [size, stamp] = unsafe { self.0.read_volatile() };
        assert_eq!(stamp, !size, "a block was overwritten");
        // SAFETY: as above.
        unsafe { self.0.write_volatile([size, stamp]) };
        size
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let size = self.touch();
        // SAFETY: allocated with this layout, which the stamp has confirmed; nobody uses it any more.
        unsafe { dealloc(self.0.as_ptr().cast(), layout(size)) };
    }
}

fn layout(size: usize) -> Layout {
    assert!(size >= SMALLEST, "a block of {size} bytes holds no stamp");
    Layout::from_size_align(size, align_of::<usize>()).expect("no block is that long")
}

/// Numbers that look random and depend on the seed alone (xorshift by Marsaglia).
pub(super) struct Sizes(u64);

impl Sizes {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from `low` to below `high`.
    pub(super) fn within(&mut self, low: usize, high: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + ((u128::from(self.0) * (high - low) as u128) >> 64) as usize
    }
}
