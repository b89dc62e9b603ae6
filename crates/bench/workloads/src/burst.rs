//! Bursts: N objects allocated, then all freed: in order, in reverse, and at random.
//!
//! The three orders are timed as parts. Sizes go round 16, 32 .. 128: neighbours differ, and the
//! classes are those that programs use most.

use crate::block::Block;
use crate::random::Random;
use crate::{Tally, Workload};

pub(crate) const OF_25: Workload = workload("burst-25", "bursts of 25 objects", 300_000, |n, t| {
    run(25, n, t)
});
pub(crate) const OF_400: Workload =
    workload("burst-400", "bursts of 400 objects", 20_000, |n, t| {
        run(400, n, t)
    });
pub(crate) const OF_1600: Workload =
    workload("burst-1600", "bursts of 1600 objects", 5_000, |n, t| {
        run(1600, n, t)
    });
pub(crate) const OF_100_000: Workload =
    workload("burst-100000", "bursts of 100 000 objects", 50, |n, t| {
        run(100_000, n, t)
    });

/// Sizes of a burst.
const SIZES: usize = 8;

const fn workload(
    name: &'static str,
    about: &'static str,
    full: u64,
    run: fn(u64, &mut Tally),
) -> Workload {
    Workload {
        name,
        about,
        full,
        tiny: 1,
        run,
    }
}

fn run(len: usize, rounds: u64, tally: &mut Tally) {
    let in_order: Vec<usize> = (0..len).collect();
    let reverse: Vec<usize> = (0..len).rev().collect();
    let mut random = in_order.clone();
    Random::new(len as u64).shuffle(&mut random);
    // One array for all bursts: what is timed is the objects.
    let mut blocks: Vec<Option<Block>> = (0..len).map(|_| None).collect();
    for (name, order) in [
        ("in order", in_order),
        ("reverse", reverse),
        ("random", random),
    ] {
        tally.part(name, |tally| {
            for _ in 0..rounds {
                burst(&mut blocks, &order, tally);
            }
        });
    }
}

fn burst(blocks: &mut [Option<Block>], order: &[usize], tally: &mut Tally) {
    for (index, block) in blocks.iter_mut().enumerate() {
        *block = Some(Block::new(16 + index % SIZES * 16, index as u64));
    }
    let sum = order
        .iter()
        .filter_map(|&index| blocks[index].take())
        .map(Block::free)
        .sum();
    tally.add(order.len() as u64, sum);
}

#[cfg(test)]
mod tests {
    use super::OF_400;

    #[test]
    fn every_object_comes_back_in_every_order() {
        let told = OF_400.run(5);
        assert_eq!(told.operations, 3 * 5 * 400);
        assert_eq!(told.checksum, 3 * 5 * 399 * 400 / 2);
        assert_eq!(told.parts.len(), 3);
    }
}
