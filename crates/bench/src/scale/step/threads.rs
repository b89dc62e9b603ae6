//! Threads: the same work spread over more and more threads, on whatever processors there are.
//!
//! Own: each thread replaces random ones of its 256 objects. Handed: each thread posts batches to its
//! neighbour's box and frees what is in its own; where the box is full it frees its batch itself, so that
//! nobody waits and memory stays bounded.

use super::block::{Block, SMALLEST, Sizes};
use super::{figures, thread_time};
use crate::scale::Figures;
use std::sync::{Barrier, Mutex};
use std::time::Duration;

/// Operations of all threads together.
const OPERATIONS: usize = 3_200_000;
/// Objects that a thread has alive.
const LIVE: usize = 256;
/// Objects in a batch, and batches that a box holds.
const BATCH: usize = 100;
const BOX: usize = 16;

type Letters = Mutex<Vec<Vec<Block>>>;

pub(super) fn run(threads: usize) -> Figures {
    let each = OPERATIONS / threads;
    let own = timed(threads, |index, start| {
        let mut sizes = Sizes::new(index as u64);
        let mut live: Vec<Block> = (0..LIVE)
            .map(|_| Block::new(sizes.within(SMALLEST, 1024)))
            .collect();
        start();
        for _ in 0..each {
            let slot = sizes.within(0, LIVE);
            live[slot] = Block::new(sizes.within(SMALLEST, 1024));
        }
    });
    let boxes: Vec<Letters> = (0..threads).map(|_| Mutex::default()).collect();
    let handed = timed(threads, |index, start| {
        let mut sizes = Sizes::new(index as u64);
        start();
        for _ in 0..each / BATCH {
            let batch = (0..BATCH)
                .map(|_| Block::new(sizes.within(SMALLEST, 256)))
                .collect();
            let refused = post(&boxes[(index + 1) % threads], batch);
            let mine = boxes[index]
                .lock()
                .map(|mut letters| std::mem::take(&mut *letters));
            drop((refused, mine.ok()));
        }
    });
    let per_operation = |time: Duration| time.as_nanos() as f64 / (each * threads) as f64;
    figures([
        ("own", per_operation(own)),
        ("handed", per_operation(handed)),
    ])
}

/// Puts `batch` into a box, or hands it back where the box is full.
fn post(letters: &Letters, batch: Vec<Block>) -> Option<Vec<Block>> {
    let mut letters = letters.lock().ok()?;
    if letters.len() < BOX {
        letters.push(batch);
        None
    } else {
        Some(batch)
    }
}

/// Processor time of all threads from where each calls `start` to its end.
fn timed(threads: usize, work: impl Fn(usize, &mut dyn FnMut()) + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let (barrier, work) = (&barrier, &work);
        let run = |index| {
            scope.spawn(move || {
                let mut started = Duration::ZERO;
                work(index, &mut || {
                    barrier.wait();
                    started = thread_time();
                });
                thread_time() - started
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        let times = running.into_iter().map(|thread| thread.join());
        times.map(|time| time.expect("a thread failed")).sum()
    })
}
