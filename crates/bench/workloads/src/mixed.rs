//! Mixed: several threads, each replacing random ones of its own objects of 16 to 16 000 bytes,
//! written whole.

use crate::block::{Block, SMALLEST};
use crate::random::Random;
use crate::team::{self, THREADS};
use crate::{Tally, Workload};

pub(crate) const FEW: Workload = Workload {
    name: "mixed-threads",
    about: "4 threads, 500 live objects of 16 to 16 000 bytes each, written whole, a random one replaced",
    full: 200_000,
    tiny: 2000,
    run: |amount, tally| run(THREADS, amount, tally),
};

pub(crate) const MANY: Workload = Workload {
    name: "mixed-threads-16",
    about: "the same with 16 threads",
    full: 40_000,
    tiny: 500,
    run: |amount, tally| run(16, amount, tally),
};

/// Objects alive in each thread.
const LIVE: usize = 500;

fn run(threads: usize, replacements: u64, tally: &mut Tally) {
    let sum = team::sum(threads, |index| replace(index, replacements));
    tally.add(threads as u64 * replacements, sum);
}

fn replace(seed: u64, replacements: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut live: Vec<Option<Block>> = (0..LIVE).map(|_| None).collect();
    let mut sum = 0;
    for index in 0..replacements {
        let slot = &mut live[random.below(LIVE)];
        let mut new = Block::new(random.within(SMALLEST, 16_000), index);
        new.fill();
        sum += slot.replace(new).map_or(0, Block::free);
    }
    sum + live.into_iter().flatten().map(Block::free).sum::<u64>()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_stamp_comes_back_once_a_thread() {
        assert_eq!(super::FEW.run(700).checksum, 4 * 699 * 700 / 2);
        assert_eq!(super::MANY.run(700).checksum, 16 * 699 * 700 / 2);
    }
}
