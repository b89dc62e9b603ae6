//! Clearing and copying of whole small objects.
//!
//! Below [`INLINE_MAX`] a call costs more than the stores. Class sizes are multiples of 16, but for the smallest:
//!
//! ```text
//! up to 64     | 16 | 16 |  from both ends, overlapping in the middle
//! up to 256    | 32 | 32 | ... | 16 |      the last 16 bytes first, then 32 at a time up to them
//! ```

use core::hint::black_box;
use core::ptr;

/// Sizes up to here are done in place, by a loop from [`UNROLLED_MAX`] on.
const INLINE_MAX: usize = 256;
/// Sizes up to here are done by two or four accesses that may overlap.
const UNROLLED_MAX: usize = 64;

/// Sixteen bytes at once.
type Chunk = u128;
const CHUNK: usize = size_of::<Chunk>();

/// Zeroes the `bytes` of an object.
///
/// # Safety
/// `object` has `bytes` bytes, a small class's size, and is the caller's.
#[inline(always)]
pub(super) unsafe fn clear(object: *mut u8, bytes: usize) {
    // SAFETY: `cover` stays within `bytes`; below a chunk the object is one word.
    unsafe {
        cover(
            bytes,
            |at| object.add(at).cast::<Chunk>().write_unaligned(0),
            || object.cast::<u64>().write_unaligned(0),
            || object.write_bytes(0, bytes),
        );
    }
}

/// Copies `bytes` from one object to another.
///
/// # Safety
/// Both have `bytes` bytes, a small class's size; `from` may be read, `to` is the caller's; they do not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: as in `clear`; a part that is copied twice is the same both times, as they do not overlap.
    unsafe {
        cover(
            bytes,
            |at| {
                let chunk = from.add(at).cast::<Chunk>().read_unaligned();
                to.add(at).cast::<Chunk>().write_unaligned(chunk);
            },
            || {
                let word = from.cast::<u64>().read_unaligned();
                to.cast::<u64>().write_unaligned(word);
            },
            || ptr::copy_nonoverlapping(from, to, bytes),
        );
    }
}

/// Covers `bytes`, a small class's size, and nothing beyond: by `chunk` at offsets, or by one `word`, or by one `call`.
///
/// The sizes asked for most come first, told apart from all others by one compare: three instructions less.
#[inline(always)]
fn cover(bytes: usize, chunk: impl Fn(usize), word: impl FnOnce(), call: impl FnOnce()) {
    if (CHUNK..=UNROLLED_MAX).contains(&bytes) {
        chunk(0);
        chunk(bytes - CHUNK);
        if bytes > 2 * CHUNK {
            chunk(CHUNK);
            chunk(bytes - 2 * CHUNK);
        }
    } else if bytes < CHUNK {
        word();
    } else if bytes <= INLINE_MAX {
        chunk(bytes - CHUNK);
        let mut at = 0;
        while at < bytes - CHUNK {
            chunk(at);
            chunk(at + CHUNK);
            at += 2 * CHUNK;
            // Keeps the loop from becoming the call that it stands for.
            black_box(());
        }
    } else {
        call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::{LOOKUP_MAX, SIZES};
    use std::vec;
    use std::vec::Vec;

    fn sizes() -> impl Iterator<Item = usize> {
        SIZES
            .iter()
            .map(|&size| size as usize)
            .filter(|&size| size > 0 && size <= LOOKUP_MAX)
    }

    #[test]
    fn clearing_takes_the_object_and_nothing_beside_it() {
        for bytes in sizes() {
            let mut memory = vec![7u8; bytes + 64];
            // SAFETY: within the vector.
            unsafe { clear(memory.as_mut_ptr().add(32), bytes) };
            let expected: Vec<u8> = (0..bytes + 64)
                .map(|at| if (32..32 + bytes).contains(&at) { 0 } else { 7 })
                .collect();
            assert_eq!(memory, expected);
        }
    }

    #[test]
    fn copying_takes_the_object_and_nothing_beside_it() {
        for bytes in sizes() {
            let from: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
            let mut to = vec![0xee; bytes + 64];
            // SAFETY: within the vectors.
            unsafe { copy(from.as_ptr(), to.as_mut_ptr().add(32), bytes) };
            assert_eq!(to[32..32 + bytes], from);
            assert!(
                to[..32]
                    .iter()
                    .chain(&to[32 + bytes..])
                    .all(|&byte| byte == 0xee)
            );
        }
    }
}
