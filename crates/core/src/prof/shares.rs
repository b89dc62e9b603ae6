//! Shares: a stack's samples by something that has few values: how long they lived, their tag.
//!
//! A chain of records with three values each, the first come first. Most stacks have a handful of either.
//!
//! S1  A value is in the chain once.
//! S2  A chain has [`LONGEST`] records at most: what comes then is not counted by value.

use super::numbers::Estimate;
use super::record::{Handle, Held, Link, unlinked};
use core::cell::Cell;

/// Values of a record: as many as a unit of our own memory holds.
const VALUES: usize = 3;
/// Records of a chain, at most.
const LONGEST: usize = 64;

/// Three values and what is counted of each.
pub(super) struct Shares {
    next: Link<Shares>,
    values: [Cell<u16>; VALUES],
    estimates: [Cell<Estimate>; VALUES],
}

const _: () = assert!(size_of::<Shares>() <= crate::meta::UNIT);

/// The values of a stack.
pub(super) struct Chain(Link<Shares>);

impl Chain {
    pub(super) const fn empty() -> Self {
        Self(unlinked())
    }

    /// Adds to what is counted of `value`, as long as there is memory for it, and room (S2).
    pub(super) fn add(&self, value: u16, more: Estimate, held: &Held) {
        let mut link = &self.0;
        for _ in 0..LONGEST {
            let Some(handle) = link.get() else {
                let shares = Shares {
                    next: unlinked(),
                    values: [const { Cell::new(0) }; VALUES],
                    estimates: [const { Cell::new(Estimate::ZERO) }; VALUES],
                };
                let Some(made) = Handle::make(shares) else {
                    return;
                };
                link.set(Some(made));
                made.of(held).take(value, more);
                return;
            };
            let shares = handle.of(held);
            if shares.take(value, more) {
                return;
            }
            link = &shares.next;
        }
    }

    /// Calls `visit` with every value and what is counted of it.
    pub(super) fn each(&self, held: &Held, mut visit: impl FnMut(u16, Estimate)) {
        let mut link = self.0.get();
        while let Some(handle) = link {
            let shares = handle.of(held);
            for (value, estimate) in shares.values.iter().zip(&shares.estimates) {
                if estimate.get() != Estimate::ZERO {
                    visit(value.get(), estimate.get());
                }
            }
            link = shares.next.get();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self, held: &Held) {
        let mut link = self.0.take();
        while let Some(handle) = link {
            link = handle.of(held).next.get();
            // SAFETY: the chain was the only one to name it, and is empty now.
            unsafe { handle.forget(held) };
        }
    }
}

impl Shares {
    /// Counts `value`, if it is here or there is a place left.
    fn take(&self, value: u16, more: Estimate) -> bool {
        for (own, estimate) in self.values.iter().zip(&self.estimates) {
            let before = estimate.get();
            // Places are taken in order: behind a free one there is nothing (S1).
            if before == Estimate::ZERO || own.get() == value {
                own.set(value);
                estimate.set(before.plus(more));
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn values_are_added_up_and_too_many_are_left_out() {
        let (held, chain) = (Held::new(), Chain::empty());
        let mut twin = BTreeMap::new();
        for at in 0..1000u64 {
            let value = (at * at % 250) as u16;
            let more = Estimate {
                eighths: at + 8,
                bytes: at,
            };
            chain.add(value, more, &held);
            let known = twin.len() < VALUES * LONGEST || twin.contains_key(&value);
            if known {
                let sum: &mut Estimate = twin.entry(value).or_default();
                *sum = sum.plus(more);
            }
        }
        let mut seen = BTreeMap::new();
        chain.each(&held, |value, estimate| {
            assert!(seen.insert(value, estimate).is_none(), "S1");
        });
        assert_eq!(seen, twin);
        chain.clear(&held);
        chain.each(&held, |_, _| panic!("cleared"));
    }
}
