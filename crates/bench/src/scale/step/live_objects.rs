//! Live objects: what an operation costs beside ten thousand and beside ten million of them.
//!
//! The objects themselves fall out of the processor's caches as they become more, which is the program's
//! business. So the same objects are also touched without the allocator, in the same order, and that is
//! taken off.

use super::block::{Block, SMALLEST, Sizes};
use super::{cost, figures};
use crate::scale::Figures;

/// Objects replaced.
const REPLACED: usize = 500_000;
/// Sizes lie from [`SMALLEST`] to here.
const LARGEST: usize = 240;

pub(super) fn run(objects: usize) -> Figures {
    let mut sizes = Sizes::new(1);
    // Written beforehand: the table's own pages are not part of the figure.
    let mut live: Vec<Option<Block>> = Vec::new();
    live.resize_with(objects, || None);
    let allocate = cost(objects, || {
        live.fill_with(|| Some(Block::new(sizes.within(SMALLEST, LARGEST))));
    });

    let touched = cost(REPLACED, || {
        let mut slots = Sizes::new(2);
        for _ in 0..REPLACED {
            live[slots.within(0, objects)].as_mut().map(Block::touch);
        }
    });
    let replaced = cost(REPLACED, || {
        let mut slots = Sizes::new(2);
        for _ in 0..REPLACED {
            live[slots.within(0, objects)] = Some(Block::new(sizes.within(SMALLEST, LARGEST)));
        }
    });

    // In the order of a shuffled table both touching and freeing jump about.
    for end in (1..objects).rev() {
        live.swap(end, sizes.within(0, end + 1));
    }
    let touched_all = cost(objects, || {
        for block in live.iter_mut().flatten() {
            block.touch();
        }
    });
    let freed = cost(objects, || live.fill_with(|| None));
    figures([
        ("allocate", allocate),
        ("replace", (replaced - touched).max(0.0)),
        ("free", (freed - touched_all).max(0.0)),
    ])
}
