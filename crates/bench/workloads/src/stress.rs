//! Stress: many short-lived threads, each leaving some objects to threads of the next rounds (after
//! mimalloc's mstress).
//!
//! ```text
//! thread: allocate -- keep some -- free some -- swap some with the shelf -- free what is kept
//!                                                  |  ^
//!                                       shelf of locked slots, lives across rounds
//! ```
//! Which thread meets which object depends on the schedule; the sum of all stamps does not.

use crate::block::Block;
use crate::random::Random;
use crate::team::{self, THREADS};
use crate::{Tally, Workload};
use std::sync::{Mutex, PoisonError};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-stress",
    about: "rounds of 4 threads born and dying, with objects of all sizes passed on across them",
    full: 120,
    tiny: 2,
    run,
};

/// Slots through which objects reach other threads.
const SHELF: usize = 1000;

/// Objects that one thread allocates in its life.
const OBJECTS: u64 = 10_000;

type Shelf = [Mutex<Option<Block>>];

fn run(rounds: u64, tally: &mut Tally) {
    let shelf: Vec<Mutex<Option<Block>>> = (0..SHELF).map(|_| Mutex::new(None)).collect();
    for round in 0..rounds {
        let sum = team::sum(THREADS, |index| {
            live(round * THREADS as u64 + index, &shelf)
        });
        tally.add(THREADS as u64 * OBJECTS, sum);
    }
    let left = shelf.iter().filter_map(|slot| lock(slot).take());
    let rest = left.map(Block::free).sum();
    tally.add(0, rest);
}

fn live(seed: u64, shelf: &Shelf) -> u64 {
    let mut random = Random::new(seed);
    let mut kept: Vec<Block> = Vec::new();
    let mut sum = 0;
    for index in 0..OBJECTS {
        let block = Block::new(size(&mut random), index);
        match random.below(4) {
            0 => sum += block.free(),
            1 => {
                let old = lock(&shelf[random.below(SHELF)]).replace(block);
                sum += old.map_or(0, Block::free);
            }
            _ => kept.push(block),
        }
        if kept.len() > 100 && random.below(3) == 0 {
            let victim = random.below(kept.len());
            sum += kept.swap_remove(victim).free();
        }
    }
    sum + kept.into_iter().map(Block::free).sum::<u64>()
}

/// Small ones are common, and each eightfold size is eight times rarer.
fn size(random: &mut Random) -> usize {
    let scale = match random.below(512) {
        0 => 512,
        1..8 => 64,
        8..64 => 8,
        _ => 1,
    };
    random.within(16, 128) * scale
}

fn lock(slot: &Mutex<Option<Block>>) -> std::sync::MutexGuard<'_, Option<Block>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{OBJECTS, WORKLOAD};

    #[test]
    fn every_stamp_comes_back_once() {
        let threads = 4 * 3;
        assert_eq!(
            WORKLOAD.run(3).checksum,
            threads * (OBJECTS - 1) * OBJECTS / 2
        );
    }
}
