//! Block: one object straight from `malloc`, stamped at both ends (rule K2 of the workloads).
//!
//! ```text
//! | stamp |        ...        | stamp |      len >= 16, so the two never overlap
//! ```
//! The expected stamp is kept beside the address, out of the allocator's reach: memory handed out twice
//! shows the other owner's stamp.

use std::hint::black_box;
use std::ptr::NonNull;

/// Bytes of one stamp.
const STAMP: usize = size_of::<u64>();

/// The smallest block: two stamps.
pub(crate) const SMALLEST: usize = 2 * STAMP;

/// An owned object of `len` bytes.
#[derive(Debug)]
pub(crate) struct Block {
    address: NonNull<u8>,
    len: usize,
    stamp: u64,
}

// SAFETY: the memory belongs to the block alone, and malloc's may be freed by any thread.
unsafe impl Send for Block {}

impl Block {
    /// Allocates `len` bytes and stamps them. Ends the program if there is no memory.
    pub(crate) fn new(len: usize, stamp: u64) -> Self {
        assert!(
            len >= SMALLEST,
            "a block of {len} bytes holds no two stamps"
        );
        // SAFETY: malloc may be called with any size.
        let address = unsafe { libc::malloc(len) };
        let block = Self {
            // The compiler may not know where it comes from, or it could remove the pair.
            address: NonNull::new(black_box(address).cast()).expect("out of memory"),
            len,
            stamp,
        };
        block.write(0, stamp);
        block.write(len - STAMP, stamp);
        block
    }

    /// Changes the size, checks that the old stamps came along, and stamps the new end.
    pub(crate) fn resize(&mut self, len: usize) {
        assert!(
            len >= SMALLEST,
            "a block of {len} bytes holds no two stamps"
        );
        // SAFETY: the address is malloc's and owned; it is replaced at once.
        let address = unsafe { libc::realloc(self.address.as_ptr().cast(), len) };
        self.address = NonNull::new(black_box(address).cast()).expect("out of memory");
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
        // SAFETY: the address is malloc's and owned, and `self` ends here.
        unsafe { libc::free(self.address.as_ptr().cast()) };
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
