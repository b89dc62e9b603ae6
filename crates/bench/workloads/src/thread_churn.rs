//! Thread churn: threads that come and go, each taking over the objects of one that ended (after the
//! server simulation of Larson and Krishnan).

use crate::block::Block;
use crate::random::Random;
use crate::team::THREADS;
use crate::{Tally, Workload};
use std::thread;

pub(crate) const FEW: Workload = Workload {
    name: "thread-churn",
    about: "4 threads at a time, each replacing 1000 inherited objects of 16 to 500 bytes, then ending",
    full: 200,
    tiny: 2,
    run: |amount, tally| run(THREADS, amount, tally),
};

pub(crate) const MANY: Workload = Workload {
    name: "thread-churn-16",
    about: "the same with 16 threads at a time",
    full: 50,
    tiny: 1,
    run: |amount, tally| run(16, amount, tally),
};

/// Objects that are handed on.
const LIVE: usize = 1000;

/// Replacements in the life of one thread.
const REPLACEMENTS: u64 = 20_000;

fn run(threads: usize, generations: u64, tally: &mut Tally) {
    let mut sets: Vec<Vec<Block>> = (0..threads)
        .map(|_| (0..LIVE).map(|_| Block::new(64, 1)).collect())
        .collect();
    for generation in 0..generations {
        let living: Vec<_> = sets
            .into_iter()
            .enumerate()
            .map(|(index, set)| {
                let seed = generation * threads as u64 + index as u64;
                thread::spawn(move || live_one_life(seed, set))
            })
            .collect();
        sets = Vec::with_capacity(threads);
        for thread in living {
            let (set, sum) = thread.join().expect("a thread failed");
            tally.add(REPLACEMENTS, sum);
            sets.push(set);
        }
        // The next thread in line inherits, not the one in the same place.
        sets.rotate_left(1);
    }
    let rest: u64 = sets.into_iter().flatten().map(Block::free).sum();
    tally.add(0, rest);
}

fn live_one_life(seed: u64, mut set: Vec<Block>) -> (Vec<Block>, u64) {
    let mut random = Random::new(seed);
    let mut sum = 0;
    for index in 0..REPLACEMENTS {
        let slot = random.below(LIVE);
        let new = Block::new(random.within(16, 500), index);
        sum += std::mem::replace(&mut set[slot], new).free();
    }
    (set, sum)
}

#[cfg(test)]
mod tests {
    use super::{FEW, LIVE, MANY, REPLACEMENTS};

    #[test]
    fn every_stamp_comes_back_once() {
        for (workload, threads) in [(FEW, 4), (MANY, 16)] {
            let lives = threads * 2;
            let expected = threads * LIVE as u64 + lives * (REPLACEMENTS - 1) * REPLACEMENTS / 2;
            assert_eq!(workload.run(2).checksum, expected, "{}", workload.name);
        }
    }
}
