//! Crowd: far more threads than processors, each replacing its objects and passing some to its neighbour.
//!
//! A thread may lose its processor at any instant, with whatever it holds of the allocator at that time;
//! and what every thread keeps for itself is there 64 times.

use crate::block::{Block, SMALLEST};
use crate::random::Random;
use crate::{Tally, Workload, team};
use std::sync::{Mutex, PoisonError};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "crowd-64",
    about: "64 threads, 200 live objects of 16 to 2000 bytes each, a random one replaced, one in 8 passed on",
    full: 150_000,
    tiny: 300,
    run,
};

const THREADS: usize = 64;

/// Objects alive in each thread.
const LIVE: usize = 200;

/// One in so many goes to the neighbour, while fewer than `WAITING` wait there; who owns them looks again
/// after `LOOKS` replacements. The bound keeps the schedule out of the peak.
const PASSED: usize = 8;
const WAITING: usize = 50;
const LOOKS: u64 = 100;

type Inbox = Mutex<Vec<Block>>;

fn run(replacements: u64, tally: &mut Tally) {
    let mut inboxes: Vec<Inbox> = Vec::new();
    inboxes.resize_with(THREADS, Mutex::default);
    let sum = team::sum(THREADS, |index| {
        let index = index as usize;
        let neighbour = &inboxes[(index + 1) % THREADS];
        live(index as u64, replacements, &inboxes[index], neighbour)
    });
    // What came after the last look.
    let rest: u64 = inboxes.iter().map(free_all).sum();
    tally.add(THREADS as u64 * replacements, sum + rest);
}

fn live(seed: u64, replacements: u64, own: &Inbox, neighbour: &Inbox) -> u64 {
    let mut random = Random::new(seed);
    let mut live: Vec<Option<Block>> = (0..LIVE).map(|_| None).collect();
    let mut sum = 0;
    for index in 0..replacements {
        let new = Block::new(random.within(SMALLEST, 2000), index);
        if let Some(old) = live[random.below(LIVE)].replace(new) {
            let rest = if random.below(PASSED) == 0 {
                pass(neighbour, old)
            } else {
                Some(old)
            };
            sum += rest.map_or(0, Block::free);
        }
        if index % LOOKS == 0 {
            sum += free_all(own);
        }
    }
    sum + live.into_iter().flatten().map(Block::free).sum::<u64>()
}

/// Puts `block` into the inbox, or gives it back when that is full.
fn pass(inbox: &Inbox, block: Block) -> Option<Block> {
    let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
    if inbox.len() >= WAITING {
        return Some(block);
    }
    inbox.push(block);
    None
}

/// Frees what lies in the inbox, outside its lock.
fn free_all(inbox: &Inbox) -> u64 {
    let blocks = std::mem::take(&mut *inbox.lock().unwrap_or_else(PoisonError::into_inner));
    blocks.into_iter().map(Block::free).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_stamp_comes_back_once_a_thread() {
        assert_eq!(super::WORKLOAD.run(500).checksum, 64 * 499 * 500 / 2);
    }
}
