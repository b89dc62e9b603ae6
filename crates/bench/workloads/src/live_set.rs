//! Live set: random sizes over objects that live for a while; each operation replaces a random one.

use crate::block::{Block, SMALLEST};
use crate::random::Random;
use crate::{Tally, Workload};

pub(crate) const UP_TO_1K: Workload = Workload {
    name: "live-set-1k",
    about: "10 000 live objects of 16 bytes to 1 KiB, a random one replaced at a time",
    full: 12_000_000,
    tiny: 30_000,
    run: |amount, tally| run(|random| random.within(SMALLEST, 1 << 10), amount, tally),
};

pub(crate) const UP_TO_16K: Workload = Workload {
    name: "live-set-16k",
    about: "10 000 live objects of 16 bytes to 16 KiB, a random one replaced at a time",
    full: 4_000_000,
    tiny: 30_000,
    run: |amount, tally| run(|random| random.within(SMALLEST, 16 << 10), amount, tally),
};

pub(crate) const HEAVY_TAILED: Workload = Workload {
    name: "live-set-heavy",
    about: "10 000 live objects, most of some 50 bytes, a few of up to 1 MiB, a random one replaced at a time",
    full: 5_000_000,
    tiny: 30_000,
    run: |amount, tally| {
        run(
            |random| random.heavy_tailed(SMALLEST, 1 << 20),
            amount,
            tally,
        )
    },
};

/// Objects alive at a time.
const LIVE: usize = 10_000;

fn run(size: impl Fn(&mut Random) -> usize, replacements: u64, tally: &mut Tally) {
    let mut random = Random::new(LIVE as u64);
    let mut live: Vec<Block> = (0..LIVE)
        .map(|index| Block::new(size(&mut random), index as u64))
        .collect();
    let mut sum = 0_u64;
    for index in 0..replacements {
        let slot = random.below(LIVE);
        let new = Block::new(size(&mut random), index);
        sum = sum.wrapping_add(std::mem::replace(&mut live[slot], new).free());
    }
    let rest: u64 = live.into_iter().map(Block::free).sum();
    tally.add(LIVE as u64 + replacements, sum.wrapping_add(rest));
}

#[cfg(test)]
mod tests {
    use super::{LIVE, UP_TO_1K};

    #[test]
    fn every_stamp_comes_back_once() {
        // Whatever order they leave in: the stamps 0..LIVE and 0..replacements, each once.
        let (live, replacements) = (LIVE as u64, 5000);
        let told = UP_TO_1K.run(replacements);
        let expected = live * (live - 1) / 2 + replacements * (replacements - 1) / 2;
        assert_eq!(told.checksum, expected);
        assert_eq!(told.operations, live + replacements);
    }
}
