//! Sort: the stacks of a dump in order, by their links alone.
//!
//! ```text
//! bins  | 1 | 2 | 4 | 8 | ...     sorted chains of so many; two of a length are merged into the next
//! ```
//! Order: as the bytes of the addresses compare, the shorter first where one begins the other.

use super::super::list;
use super::super::record::{Handle, Pinned};
use super::super::stack::{self, Stack};
use core::cmp::Ordering;

type Chain = Option<Handle<Stack>>;

/// The chain, by `sorted`, of the stacks from `newest` on in the list of all.
pub(super) fn sorted(newest: Chain, pinned: &Pinned) -> Chain {
    let mut bins: [Chain; 32] = [None; 32];
    let mut next = newest;
    while let Some(at) = next {
        next = list::after::<stack::All, _>(at, pinned);
        at.of(pinned).sorted.set(None);
        let mut carried = Some(at);
        for bin in &mut bins {
            match bin.take() {
                Some(other) => carried = merged(Some(other), carried, pinned),
                None => {
                    *bin = carried.take();
                    break;
                }
            }
        }
    }
    bins.into_iter()
        .fold(None, |all, bin| merged(bin, all, pinned))
}

fn merged(mut left: Chain, mut right: Chain, pinned: &Pinned) -> Chain {
    let (mut first, mut last): (Chain, Chain) = (None, None);
    loop {
        let (from, at) = match (left, right) {
            (None, None) => return first,
            (Some(at), None) => (&mut left, at),
            (None, Some(at)) => (&mut right, at),
            (Some(one), Some(other)) => match compare(one, other, pinned) {
                Ordering::Greater => (&mut right, other),
                _ => (&mut left, one),
            },
        };
        *from = at.of(pinned).sorted.take();
        match last {
            Some(last) => last.of(pinned).sorted.set(Some(at)),
            None => first = Some(at),
        }
        last = Some(at);
    }
}

fn compare(one: Handle<Stack>, other: Handle<Stack>, pinned: &Pinned) -> Ordering {
    let bytes = |stack: Handle<Stack>| stack.of(pinned).frames().iter().map(|frame| frame.to_be());
    bytes(one).cmp(bytes(other))
}
