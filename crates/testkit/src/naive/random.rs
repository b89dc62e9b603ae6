//! Random: numbers that look random and are the same every time.
//!
//! Source: SplitMix64, Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).

/// A generator; equal seeds give equal sequences.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number below `bound`, nearly uniform. Panics on a zero bound.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing is below zero");
        usize::try_from((u128::from(self.bits()) * bound as u128) >> 64).expect("below bound")
    }

    /// Returns true once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Returns a number in `1..=max` whose magnitude is uniform: small ones are as likely as large.
    pub fn magnitude(&mut self, max: usize) -> usize {
        assert!(max > 0, "no number in an empty range");
        let digits = usize::BITS - max.leading_zeros();
        let digits = 1 + self.below(digits as usize);
        let low = 1_usize << (digits - 1);
        let high = max.min(low.wrapping_mul(2).wrapping_sub(1));
        low + self.below(high - low + 1)
    }
}

/// Scrambles one number; different numbers stay different.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn ranges_are_kept_and_their_ends_reached() {
        let mut random = Random::new(1);
        for max in [1, 2, 3, 7, 8, 1000] {
            let drawn: Vec<_> = (0..20_000).map(|_| random.magnitude(max)).collect();
            assert_eq!(drawn.iter().min(), Some(&1));
            assert_eq!(drawn.iter().max(), Some(&max));
        }
        assert!((0..10_000).all(|_| random.below(3) < 3));
        assert!(random.magnitude(usize::MAX) >= 1);
    }
}
