//! Block: one live allocation, filled with a pattern that tells it from every other.
//!
//! Word i of a block holds mix(seed + i), so a byte that another block wrote, or that moved, shows.
//! Long blocks are marked at both ends and once per 4 KiB page: what an allocator gets wrong there
//! (a page handed out twice, a wrong copy length) is wrong by pages.

use super::random::mix;

/// Up to this many bytes are filled whole.
const WHOLE: usize = 16 << 10;
/// Length of the marks at both ends of longer blocks.
const EDGE: usize = 4 << 10;
/// Distance of single-word marks between the edges.
const STRIDE: usize = 4 << 10;

/// A live allocation of the heap under test.
#[derive(Debug)]
pub struct Block {
    /// First byte.
    pub ptr: *mut u8,
    /// Bytes asked for.
    pub size: usize,
    /// Alignment asked for.
    pub align: usize,
    /// Bytes that carry the pattern: the usable size where the heap tells it, else `size`.
    pub filled: usize,
    /// What the pattern is made from.
    pub seed: u64,
}

// SAFETY: a block is the only handle to its memory and is moved, not shared; the memory itself is
// plain bytes that any thread may use.
unsafe impl Send for Block {}

impl Block {
    /// Writes the pattern over `filled` bytes.
    ///
    /// # Safety
    /// - The block is live, and `filled` bytes of it may be used.
    pub unsafe fn fill(&self) {
        for (start, len) in marks(self.filled) {
            for at in (start..start + len).step_by(8) {
                let bytes = word(self.seed, at);
                let count = (start + len - at).min(8);
                // SAFETY: `at + count <= filled`, which the caller vouches for; `bytes` is ours.
                unsafe {
                    self.ptr
                        .add(at)
                        .copy_from_nonoverlapping(bytes.as_ptr(), count)
                };
            }
        }
    }

    /// Asserts that the first `len` bytes still carry the pattern (rules N3, N5).
    ///
    /// # Safety
    /// - The block is live and at least `len` bytes long; `len` does not exceed `filled`.
    pub unsafe fn verify(&self, len: usize) {
        assert!(len <= self.filled, "only what was written can be verified");
        for (start, marked) in marks(self.filled) {
            for at in (start..(start + marked).min(len)).step_by(8) {
                let count = ((start + marked).min(len) - at).min(8);
                let mut found = [0; 8];
                // SAFETY: `at + count <= len`, which the caller vouches for; `found` is ours.
                unsafe {
                    self.ptr
                        .add(at)
                        .copy_to_nonoverlapping(found.as_mut_ptr(), count)
                };
                let wanted = word(self.seed, at);
                assert!(
                    found[..count] == wanted[..count],
                    "contents changed at byte {at}: {found:02x?} instead of {wanted:02x?} in {self:?}"
                );
            }
        }
    }

    /// Asserts that all of the first `len` bytes are zero (rule N4).
    ///
    /// # Safety
    /// - The block is live and at least `len` bytes long.
    pub unsafe fn verify_zero(&self, len: usize) {
        let mut buffer = [0; 512];
        for at in (0..len).step_by(buffer.len()) {
            let count = (len - at).min(buffer.len());
            // SAFETY: `at + count <= len`, which the caller vouches for; `buffer` is ours.
            unsafe {
                self.ptr
                    .add(at)
                    .copy_to_nonoverlapping(buffer.as_mut_ptr(), count)
            };
            let dirty = buffer[..count].iter().position(|byte| *byte != 0);
            assert!(
                dirty.is_none(),
                "not zero at byte {} in {self:?}",
                at + dirty.unwrap_or(0)
            );
        }
    }
}

/// Ranges (start, length) of a block of `filled` bytes that carry the pattern. Starts are multiples
/// of eight.
fn marks(filled: usize) -> impl Iterator<Item = (usize, usize)> {
    let whole = filled <= WHOLE;
    let tail = if whole { filled } else { (filled - EDGE) & !7 };
    let head = if whole { (0, filled) } else { (0, EDGE) };
    let middle = (EDGE..tail.saturating_sub(8))
        .step_by(STRIDE)
        .filter(move |_| !whole);
    [head]
        .into_iter()
        .chain(middle.map(|at| (at, 8)))
        .chain([(tail, filled - tail)])
}

fn word(seed: u64, at: usize) -> [u8; 8] {
    mix(seed.wrapping_add(at as u64)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(memory: &mut [u8]) -> Block {
        Block {
            ptr: memory.as_mut_ptr(),
            size: memory.len(),
            align: 1,
            filled: memory.len(),
            seed: 7,
        }
    }

    #[test]
    fn a_changed_byte_is_seen() {
        for len in [1, 7, 8, 9, 100, WHOLE, WHOLE + 1, 3 * WHOLE + 5] {
            for at in [0, len / 2 / STRIDE * STRIDE, len - 1] {
                let mut memory = vec![0; len];
                let block = block(&mut memory);
                // SAFETY: the vector is live and as long as the block says.
                unsafe {
                    block.fill();
                    block.verify(len);
                    *block.ptr.add(at) ^= 1;
                }
                let seen = std::panic::catch_unwind(|| {
                    let block = &block;
                    // SAFETY: as above.
                    unsafe { block.verify(len) }
                });
                assert!(seen.is_err(), "byte {at} of {len}");
            }
        }
    }
}
