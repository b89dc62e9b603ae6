//! The shape of extents: cut, joined, made ready for use, and booked with their neighbours (rules G1 to G3).

use super::Works;
use crate::arena::manual::extent::{ExtentRef, State};
use crate::arena::manual::tree::skip;
use crate::extent::hooks::Outside;
use crate::extent::page_map;
use crate::meta::limit;
use crate::size::PAGE;

/// Why an extent stayed whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Uncut {
    /// A hook refused, as it will the next time.
    Refused,
    /// There was no memory for a record.
    NoRecord,
}

impl<O: Outside> Works<O> {
    /// Cuts `pages` pages at a multiple of `align` out of `extent`; the rest is put where it came from. `Err`: it cannot
    /// be cut; what is left of it, and why.
    pub(super) fn carve(
        &self,
        extent: ExtentRef,
        pages: usize,
        align: usize,
        state: State,
    ) -> Result<ExtentRef, (ExtentRef, Uncut)> {
        let mut extent = extent;
        let lead = skip(extent, align) / PAGE;
        if lead > 0 {
            let tail = self.split(extent, lead).map_err(|why| (extent, why))?;
            self.put(extent, state);
            extent = tail;
        }
        if extent.pages() > pages {
            let tail = self.split(extent, pages).map_err(|why| (extent, why))?;
            self.put(tail, state);
        }
        Ok(extent)
    }

    /// Cuts `extent` behind its first `pages` pages; the answer is the second part.
    pub(super) fn split(&self, extent: ExtentRef, pages: usize) -> Result<ExtentRef, Uncut> {
        let tail = ExtentRef::create(self.arena.index).ok_or(Uncut::NoRecord)?;
        let first = pages * PAGE;
        let granted = |range| self.hooks.split(range, first);
        if !extent.range().is_some_and(granted) {
            // SAFETY: just made, named nowhere.
            unsafe { tail.recycle() };
            return Err(Uncut::Refused);
        }
        tail.copy_flags(extent);
        tail.place(extent.base().wrapping_add(first), extent.pages() - pages);
        extent.resize(pages);
        Ok(tail)
    }

    /// Joins two extents that lie side by side into the first. `false`: refused.
    pub(super) fn merge(&self, first: ExtentRef, second: ExtentRef) -> bool {
        let (Some(a), Some(b)) = (first.range(), second.range()) else {
            return false;
        };
        if !self.hooks.merge(a, b) {
            return false;
        }
        if !second.zeroed.get() {
            first.zeroed.set(false);
        }
        let pages = first.pages() + second.pages();
        page_map::set_record(first.end().wrapping_sub(PAGE), None);
        second.unname();
        first.resize(pages);
        // SAFETY: the caller's, and unnamed.
        unsafe { second.recycle() };
        true
    }

    /// Sees to it that an extent may be written to: it is committed, and counts (G3). `false`: refused.
    pub(super) fn ready(&self, extent: ExtentRef) -> bool {
        if !extent.resident.get() {
            if !limit::reserve(extent.bytes()) {
                return false;
            }
            extent.resident.set(true);
        }
        if extent.committed.get() {
            return true;
        }
        let Some(range) = extent.range() else {
            return false;
        };
        if !self.hooks.commit(range) {
            self.vacate(extent);
            return false;
        }
        extent.committed.set(true);
        extent.zeroed.set(true);
        true
    }

    /// Counts the memory of an extent off.
    pub(super) fn vacate(&self, extent: ExtentRef) {
        if extent.resident.get() {
            extent.resident.set(false);
            limit::give(extent.bytes());
        }
    }

    /// Books an idle extent, the caller's, joined with its neighbours.
    pub(super) fn put(&self, extent: ExtentRef, state: State) {
        let mut extent = extent;
        let mut sides = [true; 2];
        loop {
            let neighbour = self.with(|books| {
                for (side, open) in sides.iter().enumerate() {
                    let other = if side == 0 {
                        extent.before()
                    } else {
                        extent.behind()
                    };
                    let other = other.filter(|other| *open && other.state() == state);
                    if let Some(other) = other.filter(|other| other.is_like(extent)) {
                        books.take(other);
                        return Some((side, other));
                    }
                }
                books.put(extent, state);
                None
            });
            let Some(Some((side, other))) = neighbour else {
                return;
            };
            let (first, second) = if side == 0 {
                (other, extent)
            } else {
                (extent, other)
            };
            if self.merge(first, second) {
                extent = first;
            } else {
                sides[side] = false;
                self.with(|books| books.put(other, state));
            }
        }
    }
}
