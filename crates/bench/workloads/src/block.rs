//! Block: one object straight from the allocator, stamped at both ends (rule K2 of the workloads).
//!
//! ```text
//! | stamp |        ...        | stamp |      len >= 16, so the two never overlap
//! ```
//! The expected stamp is kept beside the address, out of the allocator's reach: memory handed out twice
//! shows the other owner's stamp.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::hint::black_box;
use std::ptr::NonNull;

/// Bytes of one stamp.
const STAMP: usize = size_of::<u64>();

/// Alignment of every block, that of a structure with pointers or numbers in it.
const ALIGN: usize = align_of::<u64>();

/// The smallest block: two stamps.
pub(crate) const SMALLEST: usize = 2 * STAMP;

/// An owned object of `len` bytes.
#[derive(Debug)]
pub(crate) struct Block {
    address: NonNull<u8>,
    len: usize,
    stamp: u64,
}

// SAFETY: the memory belongs to the block alone, and any thread may free what another allocated.
unsafe impl Send for Block {}

impl Block {
    /// Allocates `len` bytes and stamps them. Ends the program if there is no memory.
    pub(crate) fn new(len: usize, stamp: u64) -> Self {
        let layout = layout(len);
        // SAFETY: the size is not 0.
        let address = unsafe { alloc(layout) };
        let block = Self {
            address: found(address, layout),
            len,
            stamp,
        };
        block.write(0, stamp);
        block.write(len - STAMP, stamp);
        block
    }

    /// Allocates `len` bytes that must be zero, checks the first `used` of them and the last, writes those
    /// that are used, and stamps the block.
    pub(crate) fn zeroed(len: usize, used: usize, stamp: u64) -> Self {
        assert!(used <= len, "{used} bytes of {len} cannot be used");
        let layout = layout(len);
        // SAFETY: the size is not 0.
        let address = unsafe { alloc_zeroed(layout) };
        let block = Self {
            address: found(address, layout),
            len,
            stamp,
        };
        // SAFETY: the first `used` bytes lie inside the block, which is owned and was initialised.
        let part = unsafe { std::slice::from_raw_parts_mut(block.address.as_ptr(), used) };
        assert!(part.iter().all(|&byte| byte == 0), "not zero at the front");
        assert_eq!(block.read(len - STAMP), 0, "not zero at the end");
        part.fill(1);
        block.write(0, stamp);
        block.write(len - STAMP, stamp);
        block
    }

    /// Writes the first stamp once more, so that the memory really sees it.
    pub(crate) fn rewrite(&mut self) {
        // SAFETY: the first stamp lies inside the block, which is owned, and is aligned as the block is.
        unsafe {
            self.address
                .as_ptr()
                .cast::<u64>()
                .write_volatile(self.stamp)
        };
    }

    /// Changes the size, checks that the old stamps came along, and stamps the new end.
    pub(crate) fn resize(&mut self, len: usize) {
        let new = layout(len);
        // SAFETY: the address and the layout are the block's own and are replaced at once; the new length
        // makes a layout, too.
        let address = unsafe { realloc(self.address.as_ptr(), layout(self.len), new.size()) };
        self.address = found(address, new);
        let old = std::mem::replace(&mut self.len, len);
        assert_eq!(self.read(0), self.stamp, "realloc lost the beginning");
        if len >= old {
            assert_eq!(self.read(old - STAMP), self.stamp, "realloc lost the end");
        }
        self.write(len - STAMP, self.stamp);
    }

    /// Writes every byte between the stamps.
    pub(crate) fn fill(&mut self) {
        // SAFETY: the range from the first stamp's end to the second's beginning lies inside the block.
        unsafe {
            let between = self.address.as_ptr().add(STAMP);
            between.write_bytes(1, self.len - 2 * STAMP);
            black_box(between);
        }
    }

    /// Checks both stamps and frees the block; returns what was read. Ends the program if either is not
    /// what was written.
    pub(crate) fn free(self) -> u64 {
        let (front, back) = (self.read(0), self.read(self.len - STAMP));
        assert!(
            front == self.stamp && back == self.stamp,
            "a block of {} bytes was overwritten",
            self.len
        );
        // SAFETY: the address was allocated with this layout and is owned; `self` ends here.
        unsafe { dealloc(self.address.as_ptr(), layout(self.len)) };
        front
    }

    fn write(&self, offset: usize, stamp: u64) {
        debug_assert!(offset + STAMP <= self.len);
        // SAFETY: the stamp lies inside the block, which is owned.
        unsafe {
            self.address
                .as_ptr()
                .add(offset)
                .cast::<u64>()
                .write_unaligned(stamp)
        };
    }

    fn read(&self, offset: usize) -> u64 {
        debug_assert!(offset + STAMP <= self.len);
        // SAFETY: as for `write`; both stamps were written when the block was made.
        unsafe {
            self.address
                .as_ptr()
                .add(offset)
                .cast::<u64>()
                .read_unaligned()
        }
    }
}

fn layout(len: usize) -> Layout {
    assert!(
        len >= SMALLEST,
        "a block of {len} bytes holds no two stamps"
    );
    Layout::from_size_align(len, ALIGN).expect("no block is that long")
}

/// The address, of which the compiler may not know where it comes from, or it could remove a pair.
fn found(address: *mut u8, layout: Layout) -> NonNull<u8> {
    NonNull::new(black_box(address)).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::{Block, SMALLEST};

    #[test]
    fn stamps_come_back() {
        for len in [SMALLEST, 17, 100, 5000] {
            let mut block = Block::new(len, 7);
            block.fill();
            assert_eq!(block.free(), 7);
        }
    }

    #[test]
    fn a_zeroed_block_may_be_used_in_part() {
        for (len, used) in [(SMALLEST, 4), (100, 100), (100_000, 0)] {
            let mut block = Block::zeroed(len, used, 7);
            block.rewrite();
            assert_eq!(block.free(), 7);
        }
    }

    #[test]
    fn a_block_grows_and_shrinks() {
        let mut block = Block::new(SMALLEST, 9);
        for len in [40, 4000, 400_000, 64, SMALLEST] {
            block.resize(len);
            assert_eq!((block.len, block.read(0), block.read(len - 8)), (len, 9, 9));
        }
        block.free();
    }

    #[test]
    #[should_panic(expected = "overwritten")]
    fn an_overwritten_end_is_found() {
        let block = Block::new(64, 7);
        block.write(64 - 8, 8);
        block.free();
    }

    #[test]
    #[should_panic(expected = "overwritten")]
    fn a_block_of_another_owner_is_found() {
        let block = Block::new(64, 7);
        block.write(0, 8);
        block.write(64 - 8, 8);
        block.free();
    }
}
