//! Hand-over: one thread allocates, another frees; two such pairs.
//!
//! Objects travel through a bounded channel, so that memory stays bounded: in batches, where the channel is
//! a small part and the batch's own vector crosses too, or one by one, as messages between actors do.

use crate::block::Block;
use crate::random::Random;
use crate::team::THREADS;
use crate::{Tally, Workload};
use std::sync::mpsc;
use std::thread;

pub(crate) const BATCHES: Workload = Workload {
    name: "producer-consumer",
    about: "2 producers and 2 consumers; objects of 16 to 256 bytes freed by another thread, in batches of 100",
    full: 40_000,
    tiny: 20,
    run: |amount, tally| {
        let make = |random: &mut Random, stamp| (0..BATCH).map(|_| object(random, stamp)).collect();
        let free = |batch: Vec<Block>| batch.into_iter().map(Block::free).sum();
        run(UNDER_WAY, amount, make, free, tally);
        tally.operations *= BATCH as u64;
    },
};

pub(crate) const SINGLE: Workload = Workload {
    name: "producer-consumer-single",
    about: "the same with objects that are handed over one by one",
    full: 1_000_000,
    tiny: 500,
    run: |amount, tally| run(UNDER_WAY * BATCH, amount, object, Block::free, tally),
};

/// Objects of a batch, and batches under way.
const BATCH: usize = 100;
const UNDER_WAY: usize = 16;

fn object(random: &mut Random, stamp: u64) -> Block {
    Block::new(random.within(16, 256), stamp)
}

/// Hands over `count` times in each pair what `make` made to `free`; at most `bound` are under way.
fn run<T: Send>(
    bound: usize,
    count: u64,
    make: impl Fn(&mut Random, u64) -> T + Sync,
    free: impl Fn(T) -> u64 + Sync,
    tally: &mut Tally,
) {
    let pairs = THREADS / 2;
    let (make, free) = (&make, &free);
    let sum = thread::scope(|scope| {
        let consumers: Vec<_> = (0..pairs as u64)
            .map(|pair| {
                let (give, take) = mpsc::sync_channel(bound);
                scope.spawn(move || {
                    let mut random = Random::new(pair);
                    for index in 0..count {
                        let made = make(&mut random, index);
                        give.send(made).expect("the consumer failed");
                    }
                });
                scope.spawn(move || take.iter().map(free).sum::<u64>())
            })
            .collect();
        let sums = consumers
            .into_iter()
            .map(|consumer| consumer.join().expect("a consumer failed"));
        sums.sum()
    });
    tally.add(pairs as u64 * count, sum);
}

#[cfg(test)]
mod tests {
    use super::{BATCH, BATCHES, SINGLE};

    #[test]
    fn every_object_reaches_its_consumer() {
        let (batches, single) = (BATCHES.run(10), SINGLE.run(1000));
        assert_eq!(batches.checksum, 2 * BATCH as u64 * 9 * 10 / 2);
        assert_eq!(batches.operations, 2 * BATCH as u64 * 10);
        assert_eq!(single.checksum, 2 * 999 * 1000 / 2);
        assert_eq!(single.operations, 2 * 1000);
    }
}
