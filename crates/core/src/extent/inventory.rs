//! Inventory: idle runs by length, and huge pages by what is in them.
//!
//! ```text
//! a huge page   |used|dirty|used|  clean  |muzzy|       one run each of 1, 4 and 2 pages, filed by page class
//! ```
//! N1  A run is of one state and ends at the border of its huge page. What is idle in a held huge page (V1 of `huge`)
//!     is no run: it counts with the huge page alone.
//! N2  Some descriptors are looked at under one hold of the lock; what changes in between is counted as it was. Of a
//!     heap at rest the runs add up to its figures.
//! N3  Runs of 1 GiB and more (see `giant`) have no descriptor: they are in no count of huge pages.
//! Lock: the heap's.

use super::bits::Words;
use super::descriptor::HugeRef;
use super::heap::PageHeap;
use crate::size::{HUGE_PAGES, PAGE, PAGE_CLASSES, page_class_of};

/// Descriptors looked at under one hold of the lock.
const VISITS: usize = 64;

/// Page classes that a run within a huge page can have.
pub(crate) const RUN_CLASSES: usize = 64;

/// Runs of one state and page class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

/// States of idle runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RunState {
    Dirty,
    Muzzy,
    Retained,
}

/// Huge pages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hugepages {
    pub(crate) count: usize,
    /// Pages of them in use, and idle with memory.
    pub(crate) active_pages: usize,
    pub(crate) dirty_pages: usize,
}

impl Hugepages {
    const ZERO: Self = Self {
        count: 0,
        active_pages: 0,
        dirty_pages: 0,
    };

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.active_pages += other.active_pages;
        self.dirty_pages += other.dirty_pages;
    }
}

/// What a walk over all descriptors found.
pub(crate) struct Inventory {
    /// By [`RunState`] and page class.
    pub(crate) runs: [[Runs; PAGE_CLASSES]; 3],
    /// Huge pages, without and with one of the system's, of which all pages are used ...
    pub(crate) full: [Hugepages; 2],
    /// ... none is ...
    pub(crate) empty: [Hugepages; 2],
    /// ... some are, by the page class of the longest free run.
    pub(crate) partial: [[Hugepages; 2]; RUN_CLASSES],
}

impl Inventory {
    pub(crate) const EMPTY: Self = Self {
        runs: [[Runs { count: 0, bytes: 0 }; PAGE_CLASSES]; 3],
        full: [Hugepages::ZERO; 2],
        empty: [Hugepages::ZERO; 2],
        partial: [[Hugepages::ZERO; 2]; RUN_CLASSES],
    };

    /// Adds a run of so many pages.
    pub(crate) fn add_run(&mut self, state: RunState, pages: usize) {
        let runs = &mut self.runs[state as usize][page_class_of(pages) % PAGE_CLASSES];
        runs.count += 1;
        runs.bytes += pages * PAGE;
    }

    /// Huge pages of all kinds, without and with one of the system's.
    pub(crate) fn all(&self) -> [Hugepages; 2] {
        let mut sums = [Hugepages::ZERO; 2];
        for kinds in self.partial.iter().chain([&self.full, &self.empty]) {
            for (sum, kind) in sums.iter_mut().zip(kinds) {
                sum.add(kind);
            }
        }
        sums
    }

    fn add(&mut self, huge: HugeRef) {
        let (used, touched) = (huge.used.words(), huge.touched.words());
        let muzzy = huge.muzzy.words();
        let count = |word: fn(u64, u64) -> u64| -> usize {
            let words = used.iter().zip(&touched);
            words
                .map(|(&used, &touched)| word(used, touched).count_ones() as usize)
                .sum()
        };
        let figures = Hugepages {
            count: 1,
            active_pages: count(|used, touched| used & touched),
            dirty_pages: count(|used, touched| !used & touched),
        };
        let is_huge = usize::from(huge.held.get() || huge.whole.get());
        let kinds = match (usize::from(huge.used_pages.get()), huge.longest.get()) {
            (0, _) => &mut self.empty,
            (HUGE_PAGES, _) | (_, 0) => &mut self.full,
            (_, longest) => &mut self.partial[page_class_of(longest.into()) % RUN_CLASSES],
        };
        // All that is there of it may be somebody else's.
        if figures.active_pages > 0 || huge.used_pages.get() < HUGE_PAGES as u16 {
            kinds[is_huge].add(&figures);
        }
        if !huge.held.get() {
            let word = |look: fn(u64, u64, u64) -> u64| -> Words {
                core::array::from_fn(|at| look(used[at], touched[at], muzzy[at]))
            };
            self.add_runs(
                RunState::Dirty,
                &word(|used, touched, muzzy| !used & touched & !muzzy),
            );
            self.add_runs(RunState::Muzzy, &word(|used, _, muzzy| !used & muzzy));
        }
        let retained: Words = core::array::from_fn(|at| !used[at] & !touched[at]);
        self.add_runs(RunState::Retained, &retained);
    }

    fn add_runs(&mut self, state: RunState, words: &Words) {
        let mut len = 0;
        for &word in words {
            if word == u64::MAX || word == 0 {
                if word == 0 && len > 0 {
                    self.add_run(state, core::mem::take(&mut len));
                }
                len += word.count_ones() as usize;
                continue;
            }
            for bit in 0..64 {
                if word >> bit & 1 != 0 {
                    len += 1;
                } else if len > 0 {
                    self.add_run(state, core::mem::take(&mut len));
                }
            }
        }
        if len > 0 {
            self.add_run(state, len);
        }
    }
}

impl PageHeap {
    /// Adds what the heap has to an inventory. Called inside a passage; takes the heap's lock again and again.
    pub(crate) fn take_inventory(&self, out: &mut Inventory) {
        // Descriptors of huge pages stay in the chain of all for good; new ones come at its front.
        let mut next = self.state.lock().all;
        while next != 0 {
            let _state = self.state.lock();
            for _ in 0..VISITS {
                let Some(huge) = HugeRef::from_link(next) else {
                    return;
                };
                next = huge.all_next.get();
                out.add(huge);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::heap::Purpose;
    use super::*;
    use crate::size::{HUGE, Pages};
    use std::boxed::Box;
    use std::vec::Vec;

    fn sum(inventory: &Inventory, state: RunState) -> (usize, usize) {
        let runs = &inventory.runs[state as usize];
        runs.iter()
            .fold((0, 0), |sum, runs| (sum.0 + runs.count, sum.1 + runs.bytes))
    }

    #[test]
    fn runs_of_a_heap_at_rest_add_up_to_its_figures() {
        let heap = PageHeap::new();
        let mut dice = 7usize;
        let mut live: Vec<(_, usize)> = Vec::new();
        for step in 0..600 {
            dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1);
            let pages = 1 + (dice >> 33) % if dice >> 60 == 0 { 900 } else { 30 };
            if dice >> 63 == 0 || live.is_empty() {
                let run = heap.alloc(Pages(pages), PAGE, Purpose::Zeroed).unwrap();
                live.push((run.addr, pages));
            } else {
                let (addr, pages) = live.swap_remove(pages % live.len());
                // SAFETY: a run of ours, whole.
                unsafe { heap.dealloc(addr, Pages(pages)) };
            }
            if step % 50 == 0 {
                let mut found = Box::new(Inventory::EMPTY);
                heap.take_inventory(&mut found);
                let figures = heap.figures();
                assert_eq!(sum(&found, RunState::Dirty).1, figures.dirty);
                assert_eq!(sum(&found, RunState::Muzzy).1, figures.muzzy);
                assert_eq!(sum(&found, RunState::Retained).1, figures.retained);
                let [plain, huge] = found.all();
                assert_eq!(
                    (plain.active_pages + huge.active_pages) * PAGE,
                    figures.active
                );
                assert_eq!(huge.count, 0);
                let all = figures.active + figures.dirty + figures.muzzy + figures.retained;
                assert_eq!(plain.count, all.div_ceil(HUGE));
            }
        }
    }

    #[test]
    fn a_run_is_filed_by_its_page_class_of() {
        let mut found = Box::new(Inventory::EMPTY);
        let mut words = [0; 8];
        words[0] = 0b1011;
        words[1] = 1 << 63;
        (words[2], words[3]) = (u64::MAX, 1);
        found.add_runs(RunState::Dirty, &words);
        let at = |pages: usize| found.runs[0][page_class_of(pages)];
        assert_eq!((at(2).count, at(1).count), (1, 1));
        // 63 of word 1, word 2, 0 of word 3.
        assert_eq!(at(66).bytes, 66 * PAGE);
        assert_eq!(sum(&found, RunState::Dirty), (3, 69 * PAGE));
    }
}
