//! Spans: runs across the borders of huge pages.
//!
//! ```text
//! | partly used ....free | free run of huge pages | free.... partly used |
//!                   └──── tail ──── middle ──── front ┘
//! ```
//! N1  Between two huge pages in use lies at most one free run (rule F1), so whatever is free in a row is a
//!     tail, a middle and a front, each of which may be missing. Nothing has to be walked to know how much.
//! Growing in place uses this always; new runs only when the system gives no more, as looking for a span
//! visits every huge page.

use super::descriptor::HugeRef;
use super::state::{Place, State, Taken, Want};
use crate::size::{HUGE, HUGE_PAGES, LG_PAGE, PAGE};

impl State {
    /// Grows the run of `old` pages at `addr` to `new` into free pages right behind it. `Some(zeroed)`: done,
    /// and whether what was added reads zero.
    pub(super) fn expand(&mut self, addr: usize, old: usize, new: usize) -> Option<bool> {
        let end = addr.checked_add(old.checked_mul(PAGE)?)?;
        let added = new.checked_sub(old)?;
        if added == 0 {
            return Some(true);
        }
        self.find(addr)?;
        (self.free_from(end, added) >= added && self.reserve_place(end, added))
            .then(|| self.take_span(end, added).zeroed)
    }

    /// Pages free in a row from `addr` on, which is not inside a free run; no need to look beyond `enough`.
    fn free_from(&self, addr: usize, enough: usize) -> usize {
        let (mut addr, mut total) = (addr, 0);
        // Tail, middle, front.
        for _ in 0..3 {
            let Some(huge) = self.find(addr) else { break };
            let run = huge.run_len.get() as usize * HUGE_PAGES;
            let at = (addr & (HUGE - 1)) >> LG_PAGE;
            let free = if at == 0 && run > 0 {
                run
            } else {
                huge.used.clear_after(at)
            };
            total += free;
            addr += free * PAGE;
            if total >= enough || free == 0 || addr & (HUGE - 1) != 0 {
                break;
            }
        }
        total
    }

    /// Takes `pages` pages from `addr` on, which are free and do not start inside a free run.
    fn take_span(&mut self, addr: usize, pages: usize) -> Taken {
        let (mut addr, mut left) = (addr, pages);
        let mut taken = Taken::nothing();
        while left > 0 {
            let Some(huge) = self.find(addr) else { break };
            let run = huge.run_len.get() as usize * HUGE_PAGES;
            let at = (addr & (HUGE - 1)) >> LG_PAGE;
            let len = if at == 0 && run > 0 {
                let len = left.min(run);
                let Some((_, run_taken)) = self.take_run(huge, 0, len) else {
                    break;
                };
                taken = taken.and(run_taken);
                len
            } else {
                let len = left.min(HUGE_PAGES - at);
                taken = taken.and(self.take(huge, at, len));
                len
            };
            addr += len * PAGE;
            left -= len;
        }
        taken
    }

    /// Finds a place for `want` anywhere, across borders too, by a look at every huge page, and takes it.
    #[cold]
    pub(super) fn search_spans(&mut self, want: Want) -> Option<Place> {
        let mut next = HugeRef::from_link(self.all);
        while let Some(huge) = next {
            next = HugeRef::from_link(huge.all_next.get());
            let start = if huge.used_pages.get() > 0 {
                huge.addr(HUGE_PAGES - huge.free_tail())
            } else if huge.run_len.get() > 0 {
                huge.base()
            } else {
                continue;
            };
            let addr = start.checked_next_multiple_of(want.align * PAGE)?;
            // An aligned place further inside a free run would have been found by its length.
            let inside = addr > start && addr >= huge.base() + HUGE;
            if !inside
                && self.find(addr).is_some()
                && self.free_from(addr, want.pages) >= want.pages
            {
                if !self.reserve_place(addr, want.pages) {
                    return None;
                }
                let taken = self.take_span(addr, want.pages);
                return Some(Place { addr, taken });
            }
        }
        None
    }
}
