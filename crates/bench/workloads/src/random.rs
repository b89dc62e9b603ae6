//! Random: a generator small enough to stay out of the figures (splitmix64 by Steele, Lea and Flood).

/// A sequence that depends on its seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high` with a heavy tail: from each doubling to the next, three of five go on,
    /// so that the sum is spread over all sizes while most are small.
    pub(crate) fn heavy_tailed(&mut self, low: usize, high: usize) -> usize {
        let mut scale = low;
        while scale < high / 2 && self.below(5) < 3 {
            scale *= 2;
        }
        self.within(scale, (2 * scale).min(high))
    }

    /// Puts `items` into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn ranges_are_kept_and_reached() {
        let mut random = Random::new(1);
        let drawn: Vec<usize> = (0..1000).map(|_| random.within(5, 8)).collect();
        assert!((5..=8).all(|number| drawn.contains(&number)));
        assert!(drawn.iter().all(|number| (5..=8).contains(number)));
    }

    #[test]
    fn a_heavy_tail_reaches_its_end_and_most_are_small() {
        let mut random = Random::new(1);
        let drawn: Vec<usize> = (0..100_000)
            .map(|_| random.heavy_tailed(16, 1 << 20))
            .collect();
        assert!(drawn.iter().all(|number| (16..=1 << 20).contains(number)));
        assert!(drawn.iter().any(|&number| number > 1 << 19));
        let small = drawn.iter().filter(|number| **number <= 64).count();
        assert!((60_000..70_000).contains(&small), "{small}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Random::new(2).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
