//! Short threads: a thread a task, with a common pool of objects that all take from and give to.
//!
//! A task is so short that what the allocator sets up for a thread, and what it does when one ends, is a
//! good part of it.

use crate::block::{Block, SMALLEST};
use crate::random::Random;
use crate::team::{self, THREADS};
use crate::{Tally, Workload};
use std::sync::{Mutex, PoisonError};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "short-threads",
    about: "threads that take 50 objects from a common pool, make 100, put 50 back, and end",
    full: 1000,
    tiny: 10,
    run,
};

/// Objects that a thread takes from the pool and puts back, and that it makes.
const SHARED: usize = 50;
const MADE: usize = 100;

fn run(rounds: u64, tally: &mut Tally) {
    let pool = Mutex::new(Vec::new());
    for round in 0..rounds {
        let sum = team::sum(THREADS, |index| task(round * THREADS as u64 + index, &pool));
        tally.add((THREADS * MADE) as u64, sum);
    }
    let left = pool.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.add(0, left.into_iter().map(Block::free).sum());
}

fn task(seed: u64, pool: &Mutex<Vec<Block>>) -> u64 {
    let mut random = Random::new(seed);
    let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = {
        let mut pool = lock();
        let rest = pool.len().saturating_sub(SHARED);
        pool.split_off(rest)
    };
    let mut sum: u64 = taken.into_iter().map(Block::free).sum();
    let mut made: Vec<Block> = (0..MADE)
        .map(|index| Block::new(random.heavy_tailed(SMALLEST, 8 << 10), index as u64))
        .collect();
    random.shuffle(&mut made);
    lock().extend(made.drain(SHARED..));
    sum += made.into_iter().map(Block::free).sum::<u64>();
    sum
}

#[cfg(test)]
mod tests {
    use super::{MADE, WORKLOAD};

    #[test]
    fn every_stamp_comes_back_once() {
        let made = MADE as u64;
        assert_eq!(WORKLOAD.run(20).checksum, 4 * 20 * made * (made - 1) / 2);
    }
}
