//! Count: which of the heap's pages count as ours, and where the limit is asked.
//!
//! ```text
//! locate ──> reserve_place: pages without memory there ──refused──> None, before anything changed
//!                     └──> take ──> recount: what the books hold now is what counts
//! ```
//! C1  Whatever pages are handed out, idle with memory, or on their way through a system call counts (rule L1 of
//!     `meta::limit`); giants count whole, until the system has them back.
//! C2  `counted` is brought up to date by [`State::settle`] before the lock is dropped, whatever changed the books.
//! C3  Under a limit pages are reserved before they are taken; then recounting finds nothing left to count. Without one,
//!     recounting counts them.
//! C4  Pages inside slabs that were purged count off, though their run is handed out: whoever purged them sees to it.
//! C5  What a collapse gave memory in runs handed out counts once more, as it may be pages of rule C4.
//! Lock: the heap's.

use super::bits;
use super::descriptor::Kind;
use super::moving::parts;
use super::state::{Idle, State};
use crate::meta::limit;
use crate::size::PAGE;

impl State {
    /// Pages in use, and idle ones that hold memory: those that count (C1), but for rule C4.
    #[inline]
    pub(super) const fn held(&self) -> usize {
        let idle = self.idle[Kind::Dirty as usize] + self.idle[Kind::Muzzy as usize];
        let huge = self.huges.held_idle() + self.huges.filled();
        let known = self.active + idle + huge + self.transit + self.giant_pages + self.pledged;
        known + self.pending_pages()
    }

    /// Pages with memory of a region that could not be described yet: of a giant that the system did not take back.
    #[inline]
    pub(super) const fn pending_pages(&self) -> usize {
        match self.pending {
            Some(((_, bytes), Idle::Refused)) => bytes / PAGE,
            _ => 0,
        }
    }

    /// Counts what changed since it was last called. `true`: there is more, and it is above the soft limit.
    #[inline]
    pub(super) fn recount(&mut self) -> bool {
        let held = self.held();
        if held == self.counted {
            // Under a hard limit all was counted before (C3), and nobody has looked at the soft one.
            return limit::is_set() && limit::is_crossed();
        }
        self.recount_changed(held)
    }

    fn recount_changed(&mut self, held: usize) -> bool {
        let before = self.counted;
        self.counted = held;
        if held < before {
            limit::give((before - held) * PAGE);
            return false;
        }
        limit::add((held - before) * PAGE);
        limit::is_crossed()
    }

    /// Takes `pages` pages out of the count that another has counted off already (C4): they were freed just now.
    pub(super) const fn forget_counted(&mut self, pages: usize) {
        self.counted -= pages;
    }

    /// Counts `pages` pages that a system call is about to give memory, until [`State::redeem`]. `false`: the limit
    /// refuses them.
    pub(super) fn pledge(&mut self, pages: usize) -> bool {
        if !self.reserve(pages) {
            return false;
        }
        self.pledged += pages;
        true
    }

    /// Ends what [`State::pledge`] began: the books say what has memory.
    pub(super) fn redeem(&mut self, pages: usize) {
        self.pledged -= pages;
        self.recount();
    }

    /// Counts `pages` pages that are about to be taken. `false`: the limit refuses them.
    pub(super) fn reserve(&mut self, pages: usize) -> bool {
        let granted = limit::reserve(pages * PAGE);
        self.counted += if granted { pages } else { 0 };
        granted
    }

    /// Counts what taking the `pages` pages at `addr`, which are free, adds. `false`: the limit refuses it.
    #[inline]
    pub(super) fn reserve_place(&mut self, addr: usize, pages: usize) -> bool {
        !limit::is_set() || self.reserve_bare(addr, pages)
    }

    #[cold]
    fn reserve_bare(&mut self, addr: usize, pages: usize) -> bool {
        let bare = self.bare_pages(addr, pages);
        self.reserve(bare)
    }

    /// Pages without memory among the `pages` free ones at `addr`.
    fn bare_pages(&self, addr: usize, pages: usize) -> usize {
        let mut bare = 0;
        for (addr, at, len) in parts(addr, pages) {
            let Some(huge) = self.find(addr) else { break };
            bits::each_word(at, len, |index, mask| {
                bare += (!huge.touched.word(index) & mask).count_ones() as usize;
            });
        }
        bare
    }
}
