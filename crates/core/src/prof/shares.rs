//! Shares: a stack's samples by something that has few values: how long they lived, their tag.
//!
//! A chain of records with three values each, the first come first. Most stacks have a handful of either.
//!
//! S1  A value is in the chain once.
//! S2  A chain has [`LONGEST`] records at most. Values that come then, or find no memory, are counted together, as [`OTHERS`].

use super::numbers::Estimate;
use super::record::{Handle, Held, Link, unlinked};
use core::cell::Cell;

/// Values of a record: as many as a unit of our own memory holds.
const VALUES: usize = 3;
/// Records of a chain, at most.
const LONGEST: usize = 64;
/// Values that are told apart.
pub(crate) const APART: usize = LONGEST * VALUES;
/// Stands for all values beyond those (S2), and for itself.
pub(crate) const OTHERS: u16 = u16::MAX;

/// Three values and what is counted of each.
pub(super) struct Shares {
    next: Link<Shares>,
    values: [Cell<u16>; VALUES],
    estimates: [Cell<Estimate>; VALUES],
}

const _: () = assert!(size_of::<Shares>() <= crate::meta::UNIT);

/// The values of a stack.
pub(super) struct Chain {
    first: Link<Shares>,
    others: Cell<Estimate>,
}

impl Chain {
    pub(super) const fn empty() -> Self {
        Self {
            first: unlinked(),
            others: Cell::new(Estimate::ZERO),
        }
    }

    /// Adds to what is counted of `value`. `false`: it is counted among others (S2).
    pub(super) fn add(&self, value: u16, more: Estimate, held: &Held) -> bool {
        let is_apart = value != OTHERS && self.add_apart(value, more, held);
        if !is_apart {
            self.others.set(self.others.get().plus(more));
        }
        is_apart || value == OTHERS
    }

    /// Adds to what is counted of `value`, as long as there is memory for it, and room.
    fn add_apart(&self, value: u16, more: Estimate, held: &Held) -> bool {
        let mut link = &self.first;
        for _ in 0..LONGEST {
            let Some(handle) = link.get() else {
                let shares = Shares {
                    next: unlinked(),
                    values: [const { Cell::new(0) }; VALUES],
                    estimates: [const { Cell::new(Estimate::ZERO) }; VALUES],
                };
                let Some(made) = Handle::make(shares) else {
                    return false;
                };
                link.set(Some(made));
                return made.of(held).take(value, more);
            };
            let shares = handle.of(held);
            if shares.take(value, more) {
                return true;
            }
            link = &shares.next;
        }
        false
    }

    /// Calls `visit` with every value and what is counted of it.
    pub(super) fn each(&self, held: &Held, mut visit: impl FnMut(u16, Estimate)) {
        let mut link = self.first.get();
        while let Some(handle) = link {
            let shares = handle.of(held);
            for (value, estimate) in shares.values.iter().zip(&shares.estimates) {
                if estimate.get() != Estimate::ZERO {
                    visit(value.get(), estimate.get());
                }
            }
            link = shares.next.get();
        }
        if self.others.get() != Estimate::ZERO {
            visit(OTHERS, self.others.get());
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self, held: &Held) {
        self.others.set(Estimate::ZERO);
        let mut link = self.first.take();
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
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn values_are_added_up_and_too_many_count_as_others() {
        let (held, chain) = (Held::new(), Chain::empty());
        let mut twin = BTreeMap::new();
        let mut seen_apart = BTreeSet::new();
        for at in 0..1000u64 {
            let value = (at * 7 % 250) as u16;
            let more = Estimate {
                eighths: at + 8,
                bytes: at,
            };
            let value = if at % 97 == 0 { OTHERS } else { value };
            let is_told = chain.add(value, more, &held);
            let is_apart = seen_apart.len() < APART || seen_apart.contains(&value);
            assert_eq!(is_told, value == OTHERS || is_apart, "S2");
            let value = if is_apart { value } else { OTHERS };
            if value != OTHERS {
                seen_apart.insert(value);
            }
            let sum: &mut Estimate = twin.entry(value).or_default();
            *sum = sum.plus(more);
        }
        assert_eq!(seen_apart.len(), APART);
        let mut seen = BTreeMap::new();
        chain.each(&held, |value, estimate| {
            assert!(seen.insert(value, estimate).is_none(), "S1");
        });
        assert_eq!(seen, twin);
        chain.clear(&held);
        chain.each(&held, |_, _| panic!("cleared"));
    }
}
