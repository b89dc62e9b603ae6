//! Dice: numbers that look random and are the same in every run, for tests that draw operations; and how many they draw.

use std::env;
use std::sync::LazyLock;

/// One round in so many is made: more than one where a checker makes each a hundred times slower (ci/miri, ci/sanitizers).
static SHORTER: LazyLock<usize> = LazyLock::new(|| {
    env::var("JEMOXIDE_TEST_SHORTER").map_or(1, |text| text.parse().expect("a number, 1 or more"))
});

/// How many of `count` rounds of the same kind a test makes.
pub(crate) fn rounds(count: usize) -> usize {
    (count / *SHORTER).max(1)
}

/// As [`rounds`], and `least` at least: where fewer would show nothing.
pub(crate) fn rounds_at_least(least: usize, count: usize) -> usize {
    rounds(count).max(least.min(count))
}

/// Whether tests make fewer rounds than they would: what is to have happened often by the end may not have.
pub(crate) fn are_rounds_fewer() -> bool {
    *SHORTER > 1
}

/// The stride of a test over everything there is.
pub(crate) fn stride() -> usize {
    *SHORTER
}

/// A xorshift generator.
pub(crate) struct Dice(u64);

impl Dice {
    /// The sequence that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        // Spread, so that neighbouring seeds do not start alike; never 0, where the sequence would stand still.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// Whether something that happens once in `times` happens now.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
