//! Random numbers: which slot, which guard, which bytes.
//!
//! ```text
//! boot: 64 bits from the system ──> SEED;   a shard: SEED mixed with its number ──> splitmix64 from there
//! ```
//! Z1  Who does not know the seed cannot tell the next number; who sees many addresses may work it out: they slow an attack
//!     down, they are not cryptography.
//! Source: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", 2014.

use crate::sys::process;
use core::sync::atomic::{AtomicU64, Ordering};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

static SEED: AtomicU64 = AtomicU64::new(0);

/// Fetches the seed. Called once, by the boot, and in a forked child.
pub(super) fn seed() {
    SEED.store(process::random(), Ordering::Relaxed);
}

/// 64 bits that depend on the seed and `number` alone.
pub(super) fn secret(number: u64) -> u64 {
    mix(SEED.load(Ordering::Relaxed) ^ number.wrapping_mul(STEP))
}

const fn mix(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// 32 bits of chance as a number below `end`, which is below 2^32; 0 for 0.
#[inline]
pub(super) const fn scale(bits: u32, end: usize) -> usize {
    ((bits as u64 * end as u64) >> 32) as usize
}

/// A generator; its shard's lock guards it.
pub(super) struct Random(u64);

impl Random {
    /// One that begins with its first use.
    pub(super) const fn new() -> Self {
        Self(0)
    }

    /// 64 bits. `shard` tells this generator from others.
    pub(super) fn next(&mut self, shard: usize) -> u64 {
        if self.0 == 0 {
            self.0 = secret(shard as u64 + 1);
        }
        self.0 = self.0.wrapping_add(STEP);
        // The seed once more: a forked child has its own, and its parent's state.
        mix(self.0 ^ SEED.load(Ordering::Relaxed))
    }

    /// A number below `end`, which is below 2^32; 0 for 0. `shard` as above.
    pub(super) fn below(&mut self, end: usize, shard: usize) -> usize {
        scale(self.next(shard) as u32, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_their_bits_are_even() {
        let mut random = Random::new();
        let (mut ones, mut last) = ([0u32; 64], 0);
        for _ in 0..10_000 {
            let word = random.next(3);
            assert_ne!(word, last);
            last = word;
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (word >> bit & 1) as u32;
            }
        }
        for count in ones {
            assert!((4700..5300).contains(&count), "{count}");
        }
    }
}
