//! Zeroed: tables that must begin as zeros and are used in part, as hash tables and bit maps are.
//!
//! Clearing what is known to be zero costs time, and touching what the program never touches costs
//! memory as well.

use crate::block::{Block, SMALLEST};
use crate::random::Random;
use crate::{Tally, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "zeroed-tables",
    about: "500 live tables of 16 bytes to 1 MiB from calloc, a quarter of each used, a random one replaced",
    full: 1_000_000,
    tiny: 3000,
    run,
};

/// Tables alive at a time.
const LIVE: usize = 500;

const LARGEST: usize = 1 << 20;

fn run(replacements: u64, tally: &mut Tally) {
    let mut random = Random::new(LARGEST as u64);
    let mut live: Vec<Option<Block>> = (0..LIVE).map(|_| None).collect();
    let mut sum = 0_u64;
    for index in 0..replacements {
        let slot = random.below(LIVE);
        let len = random.heavy_tailed(SMALLEST, LARGEST);
        let new = Block::zeroed(len, len / 4, index);
        sum += live[slot].replace(new).map_or(0, Block::free);
    }
    sum += live.into_iter().flatten().map(Block::free).sum::<u64>();
    tally.add(replacements, sum);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_stamp_comes_back_once() {
        assert_eq!(super::WORKLOAD.run(2000).checksum, 1999 * 2000 / 2);
    }
}
