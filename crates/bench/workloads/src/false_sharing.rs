//! False sharing: threads that write small objects of their own, again and again.
//!
//! Two objects of 16 bytes on one cache line, owned by threads on two processors, cost each write a trip
//! between them. An allocator brings that about in two ways (both programs after Hoard's):
//!
//! ```text
//! active    it gives neighbours on one line to two threads that ask for memory at the same time
//! passive   the program gives neighbours to two threads; each frees its own and asks again: does the
//!           allocator hand out the same place?
//! ```

use crate::block::{Block, SMALLEST};
use crate::team::{self, THREADS};
use crate::{Tally, Workload};
use std::sync::{Mutex, PoisonError};

pub(crate) const ACTIVE: Workload = Workload {
    name: "false-sharing-active",
    about: "4 threads that allocate objects of 16 bytes and write each 100 times",
    full: 200_000,
    tiny: 100,
    run: |amount, tally| run(0, amount, tally),
};

pub(crate) const PASSIVE: Workload = Workload {
    name: "false-sharing-passive",
    about: "the same; each thread first frees objects that another has allocated side by side",
    full: 200_000,
    tiny: 100,
    run: |amount, tally| run(OBJECTS, amount, tally),
};

/// Objects that a thread has at a time.
const OBJECTS: usize = 4;

/// Writes to each object.
const WRITES: u64 = 100;

fn run(given: usize, rounds: u64, tally: &mut Tally) {
    // Neighbours go to different threads.
    let mut hands: Vec<Mutex<Vec<Block>>> = Vec::new();
    hands.resize_with(THREADS, Mutex::default);
    for index in 0..given * THREADS {
        let hand = &hands[index % THREADS];
        hand.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Block::new(SMALLEST, index as u64));
    }
    let sum = team::sum(THREADS, |index| {
        let mut hand = hands[index as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let given: u64 = hand.drain(..).map(Block::free).sum();
        given + write(rounds)
    });
    tally.add((THREADS * OBJECTS) as u64 * rounds, sum);
}

fn write(rounds: u64) -> u64 {
    let mut sum = 0;
    for round in 0..rounds {
        let mut objects: [Block; OBJECTS] =
            std::array::from_fn(|index| Block::new(SMALLEST, round + index as u64));
        for _ in 0..WRITES {
            objects.iter_mut().for_each(Block::rewrite);
        }
        sum += objects.into_iter().map(Block::free).sum::<u64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{ACTIVE, PASSIVE};

    #[test]
    fn every_stamp_comes_back_once() {
        // Four threads, fifty rounds of the stamps round .. round + 4.
        let written = 4 * (0..50).map(|round| 4 * round + 6).sum::<u64>();
        assert_eq!(ACTIVE.run(50).checksum, written);
        assert_eq!(PASSIVE.run(50).checksum, written + 15 * 16 / 2);
    }
}
