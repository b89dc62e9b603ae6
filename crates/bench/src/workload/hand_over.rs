//! Hand-over: one thread allocates, another frees; two such pairs.
//!
//! Objects travel in batches through a bounded channel, so that the channel is a small part and memory
//! stays bounded. The batch's own vector crosses too.

use super::block::Block;
use super::random::Random;
use super::{THREADS, Tally, Workload};
use std::sync::mpsc;
use std::thread;

pub(super) const WORKLOAD: Workload = Workload {
    name: "producer-consumer",
    about: "2 producers and 2 consumers; objects of 16 to 256 bytes freed by another thread",
    full: 100_000,
    tiny: 20,
    run,
};

/// Objects of a batch, and batches under way.
const BATCH: usize = 100;
const UNDER_WAY: usize = 16;

fn run(batches: u64, tally: &mut Tally) {
    let pairs = THREADS / 2;
    let sum = thread::scope(|scope| {
        let consumers: Vec<_> = (0..pairs)
            .map(|pair| {
                let (give, take) = mpsc::sync_channel::<Vec<Block>>(UNDER_WAY);
                scope.spawn(move || produce(pair as u64, batches, &give));
                scope.spawn(move || take.iter().flatten().map(Block::free).sum::<u64>())
            })
            .collect();
        let sums = consumers
            .into_iter()
            .map(|consumer| consumer.join().expect("a consumer failed"));
        sums.sum()
    });
    tally.add(pairs as u64 * batches * BATCH as u64, sum);
}

fn produce(seed: u64, batches: u64, give: &mpsc::SyncSender<Vec<Block>>) {
    let mut random = Random::new(seed);
    for batch in 0..batches {
        let blocks = (0..BATCH)
            .map(|_| Block::new(random.within(16, 256), batch))
            .collect();
        give.send(blocks).expect("the consumer failed");
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH, WORKLOAD};

    #[test]
    fn every_object_reaches_its_consumer() {
        assert_eq!(WORKLOAD.run(10).checksum, 2 * BATCH as u64 * 9 * 10 / 2);
    }
}
