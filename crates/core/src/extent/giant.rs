//! Giants: runs of 1 GiB and more, mapped one by one.
//!
//! A descriptor for each of their huge pages would cost more than the mapping, and joining what is left of
//! them with smaller runs serves nobody: they go back to the system as they came.
//!
//! I1  A giant covers whole huge pages; no other memory of ours is in them.
//! I2  The page map leads from the first huge page to the giant's record; others are found by a walk over
//!     all giants, of which there are few.
//! I3  The system calls that take memory away run without the heap's lock: until they are done nobody else
//!     can be given the addresses.

use super::descriptor::{Chain, HugeRef, giant_key_of};
use super::grow::map_aligned;
use super::page_map;
use super::state::{Idle, Place, State, Taken, Want};
use crate::size::{HUGE, HUGE_PAGES, PAGE};
use crate::sys::memory;
use core::ptr::{self, NonNull};

/// Pages of the smallest giant.
pub(super) const GIANT_PAGES: usize = (1 << 30) / PAGE;

/// What a freed giant, or a part of one, leaves to do outside the lock.
#[derive(Clone, Copy)]
pub(super) struct Remains {
    /// To be purged: address and bytes.
    pub(super) purge: (usize, usize),
    /// To be unmapped.
    pub(super) unmap: (usize, usize),
}

impl State {
    /// Maps a giant run. `None`: refused, by the system or by the limit; nothing is lost.
    #[cold]
    pub(super) fn alloc_giant(&mut self, want: Want) -> Option<Place> {
        let bytes = want.pages.div_ceil(HUGE_PAGES).checked_mul(HUGE)?;
        if !self.add_pending() {
            return None;
        }
        self.identify();
        self.prepare_spares(1)?;
        if !self.reserve(want.pages) {
            return None;
        }
        // What is refused from here on is counted off when the caller recounts.
        let region = map_aligned(bytes, (want.align * PAGE).max(HUGE), self.huges.rules.thp)?;
        let (start, len) = region;
        if start % (want.align * PAGE).max(HUGE) != 0
            || len != bytes
            || page_map::cover(start, HUGE).is_none()
            || !page_map::count_entries(start, HUGE)
        {
            // It is of use for smaller runs, at least.
            self.add(region, Idle::Zero);
            return None;
        }
        let giant = self.take_spare()?;
        giant.publish(giant_key_of(start, self.identity));
        giant.giant_pages.set(want.pages);
        giant.giant_skipped.set(0);
        self.giants.push_front(giant, Chain::Place);
        self.giant_pages += want.pages;
        Some(Place {
            addr: start,
            taken: Taken::nothing(),
        })
    }

    /// The giant that the application holds `addr` of.
    pub(super) fn giant_at(&self, addr: usize) -> Option<HugeRef> {
        if let Some(giant) = HugeRef::find(addr, giant_key_of(addr & !(HUGE - 1), self.identity)) {
            return giant_holds(giant, addr).then_some(giant);
        }
        let mut next = self.giants.head();
        while let Some(giant) = next {
            if giant_holds(giant, addr) {
                return Some(giant);
            }
            next = giant.next(Chain::Place);
        }
        None
    }

    /// Takes `pages` pages at `addr`, the whole, the tail or the head of a giant, out of the books.
    #[cold]
    pub(super) fn dealloc_giant(&mut self, addr: usize, pages: usize) -> Option<Remains> {
        let giant = self.giant_at(addr)?;
        let (total, skipped) = (giant.giant_pages.get(), giant.giant_skipped.get());
        let base = giant.base();
        let first = (addr - base) / PAGE;
        let mapped_end = base + total.div_ceil(HUGE_PAGES) * HUGE;
        if first + pages > total {
            return None;
        }
        self.giant_pages -= pages;
        self.pledged += pages;
        // Whole huge pages are unmapped; what shares its huge page with the rest is purged only (I1).
        let (from, to) = if first == skipped && first + pages == total {
            self.giants.remove(giant, Chain::Place);
            giant.retire();
            self.put_spare(giant);
            (addr & !(HUGE - 1), mapped_end)
        } else if first + pages == total {
            giant.giant_pages.set(first);
            (addr.next_multiple_of(HUGE), mapped_end)
        } else {
            giant.giant_skipped.set(first + pages);
            (addr & !(HUGE - 1), (addr + pages * PAGE) & !(HUGE - 1))
        };
        let purge = if from > addr {
            (addr, from.min(addr + pages * PAGE) - addr)
        } else {
            let rest = to.max(addr);
            (rest, (addr + pages * PAGE).saturating_sub(rest))
        };
        Some(Remains {
            purge,
            unmap: (from, to.saturating_sub(from)),
        })
    }
}

fn giant_holds(giant: HugeRef, addr: usize) -> bool {
    let page = addr.wrapping_sub(giant.base()) / PAGE;
    (giant.giant_skipped.get()..giant.giant_pages.get()).contains(&page)
}

impl Remains {
    /// Gives the memory to the system. `Some`: this region it did not take; it is purged, and clean.
    pub(super) fn give_back(self) -> Option<(usize, usize)> {
        let system = memory::page_size();
        let (addr, bytes) = self.purge;
        let (first, last) = (
            addr.next_multiple_of(system),
            (addr + bytes) & !(system - 1),
        );
        if first < last {
            if let Some(addr) = NonNull::new(ptr::with_exposed_provenance_mut(first)) {
                // SAFETY: pages that were just freed and that nobody can be given (I3). A refusal costs memory.
                unsafe { memory::purge(addr, last - first) };
            }
        }
        let (addr, bytes) = self.unmap;
        let addr = NonNull::new(ptr::with_exposed_provenance_mut(addr))?;
        // SAFETY: as above; whole huge pages.
        if bytes == 0 || unsafe { memory::unmap(addr, bytes) } {
            return None;
        }
        Some((addr.as_ptr().expose_provenance(), bytes))
    }
}
