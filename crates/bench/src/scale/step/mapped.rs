//! Mapped: much address space that is held and not touched.

use super::block::{Block, SMALLEST, Sizes};
use super::{cost, figures};
use crate::scale::Figures;

/// Blocks that make up one GiB, and the bytes of one.
const BLOCKS: usize = 16;
const BLOCK: usize = 64 << 20;
/// Objects of a burst, bursts, pairs of larger objects.
const BURST: usize = 1000;
const BURSTS: usize = 500;
const PAIRS: usize = 20_000;
const LARGE_PAIRS: usize = 2000;

pub(super) fn run(gibibytes: usize) -> Figures {
    let blocks = gibibytes * BLOCKS;
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(blocks);
    let map = cost(blocks, || {
        held.extend((0..blocks).map(|_| std::hint::black_box(Vec::with_capacity(BLOCK))));
    });
    let mut sizes = Sizes::new(3);
    let mut burst: Vec<Block> = Vec::with_capacity(BURST);
    let small = cost(BURST * BURSTS, || {
        for _ in 0..BURSTS {
            burst.extend((0..BURST).map(|_| Block::new(sizes.within(SMALLEST, 1024))));
            burst.clear();
        }
    });
    let mut pairs = |count, low, high| {
        cost(count, || {
            for _ in 0..count {
                drop(Block::new(sizes.within(low, high)));
            }
        })
    };
    let middle = pairs(PAIRS, 100_000, 340_000);
    let large = pairs(LARGE_PAIRS, 10 << 20, 20 << 20);
    let unmap = cost(blocks, || held.clear());
    figures([
        ("map", map),
        ("small", small),
        ("middle", middle),
        ("large", large),
        ("unmap", unmap),
    ])
}
