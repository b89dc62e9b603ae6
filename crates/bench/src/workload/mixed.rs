//! Mixed: several threads, each replacing random ones of its own objects of 16 to 16 000 bytes,
//! written whole.

use super::block::{Block, SMALLEST};
use super::random::Random;
use super::{THREADS, Tally, Workload};
use std::thread;

pub(super) const WORKLOAD: Workload = Workload {
    name: "mixed-threads",
    about: "4 threads, 500 live objects of 16 to 16 000 bytes each, written whole, a random one replaced",
    full: 1_000_000,
    tiny: 2000,
    run,
};

/// Objects alive in each thread.
const LIVE: usize = 500;

fn run(replacements: u64, tally: &mut Tally) {
    let sum = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS as u64)
            .map(|seed| scope.spawn(move || replace(seed, replacements)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread failed"))
            .sum()
    });
    tally.add(THREADS as u64 * replacements, sum);
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
        assert_eq!(super::WORKLOAD.run(700).checksum, 4 * 699 * 700 / 2);
    }
}
