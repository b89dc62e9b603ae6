//! Slow leak: objects come and go, a few stay for ever, and the sizes drift.
//!
//! What stays is scattered among what went, and what went left holes of sizes that nobody asks for any
//! more: the shape of a server that grows over weeks. Peak RSS tells how well the holes are used.

use crate::block::{Block, SMALLEST};
use crate::random::Random;
use crate::{Tally, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "slow-leak",
    about: "20 000 live objects replaced at random while one in 80 stays and sizes drift from 300 to 3000 bytes",
    full: 2_400_000,
    tiny: 40_000,
    run,
};

/// Objects alive at a time, without those that stay.
const LIVE: usize = 20_000;

/// One in so many stays.
const STAYS: usize = 80;

/// The largest size at the beginning, and how much larger it becomes.
const LARGEST: usize = 600;
const GROWTH: u64 = 5400;

fn run(replacements: u64, tally: &mut Tally) {
    let mut random = Random::new(STAYS as u64);
    let mut live: Vec<Option<Block>> = (0..LIVE).map(|_| None).collect();
    let mut stayed = Vec::new();
    let mut sum = 0_u64;
    for index in 0..replacements {
        let largest = LARGEST + (GROWTH * index / replacements) as usize;
        let new = Block::new(random.within(SMALLEST.max(largest / 8), largest), index);
        if let Some(old) = live[random.below(LIVE)].replace(new) {
            if random.below(STAYS) == 0 {
                stayed.push(old);
            } else {
                sum += old.free();
            }
        }
    }
    let rest = live.into_iter().flatten().chain(stayed);
    sum += rest.map(Block::free).sum::<u64>();
    tally.add(replacements, sum);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_stamp_comes_back_once() {
        assert_eq!(super::WORKLOAD.run(50_000).checksum, 49_999 * 50_000 / 2);
    }
}
