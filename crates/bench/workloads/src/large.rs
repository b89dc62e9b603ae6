//! Large: buffers of many pages, each written whole, a random one replaced at a time.
//!
//! What counts is whether pages come back with their memory or must be asked of the system again, and
//! whether the allocator's peak stays near what is live.

use crate::block::Block;
use crate::random::Random;
use crate::{Tally, Workload};

pub(crate) const BUFFERS: Workload = Workload {
    name: "buffers-100k-2m",
    about: "32 live buffers of 100 KiB to 2 MiB, each written whole, a random one replaced",
    full: 3000,
    tiny: 40,
    run: |amount, tally| run(100 << 10, 2 << 20, 32, amount, tally),
};

pub(crate) const TOUCHED: Workload = Workload {
    name: "large-touched",
    about: "8 live blocks of 5 to 25 MiB, each written whole, a random one replaced",
    full: 100,
    tiny: 10,
    run: |amount, tally| run(5 << 20, 25 << 20, 8, amount, tally),
};

fn run(smallest: usize, largest: usize, live: usize, replacements: u64, tally: &mut Tally) {
    let mut random = Random::new(largest as u64);
    let mut blocks: Vec<Option<Block>> = (0..live).map(|_| None).collect();
    let mut sum = 0_u64;
    for index in 0..replacements {
        let slot = random.below(live);
        sum = sum.wrapping_add(blocks[slot].take().map_or(0, Block::free));
        let mut block = Block::new(random.within(smallest, largest), index);
        block.fill();
        blocks[slot] = Some(block);
    }
    let rest: u64 = blocks.into_iter().flatten().map(Block::free).sum();
    tally.add(replacements, sum.wrapping_add(rest));
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_stamp_comes_back_once() {
        assert_eq!(super::BUFFERS.run(100).checksum, 99 * 100 / 2);
    }
}
