//! Survey: which pages have memory, asked of the system and held against the books.
//!
//! ```text
//! books     handed out (slab | large)   dirty   muzzy   bare       a copy of the bits, under the lock
//! system    1   1   0   1   1           1   0   1   0   0   1      asked without it
//!           └ slabs ┘   └ large         └ dirty └ muzzy     └ bare: backed by a huge page that its neighbours earned
//! ```
//! V1  The lock is held while the bits of one huge page are copied; the system is asked without it. What changes in
//!     between is counted as it was.
//! V2  Pages on their way through a system call look like holes and are in no figure.
//! V3  Pages of zeros that were read and never written count as memory here, but not in the process's resident set.

use super::bits::Words;
use super::descriptor::Chain;
use super::heap::PageHeap;
use super::page_map::{self, LEAF_SPAN};
use crate::meta::residence;
use crate::size::{HUGE, HUGE_PAGES, PAGE, SMALL_CLASSES, SizeClass};
use crate::sys::memory;

/// Bytes that have memory, by what the books say of their pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Residents {
    /// Handed out as slabs.
    pub(crate) slabs: usize,
    /// Handed out otherwise: large objects.
    pub(crate) large: usize,
    /// Idle, freed lately.
    pub(crate) dirty: usize,
    /// Idle, left to the system.
    pub(crate) muzzy: usize,
    /// Idle in a huge page that is kept whole, or without memory by the books.
    pub(crate) bare: usize,
}

impl Residents {
    /// Adds `more`.
    pub(crate) fn add(&mut self, more: &Self) {
        self.slabs += more.slabs;
        self.large += more.large;
        self.dirty += more.dirty;
        self.muzzy += more.muzzy;
        self.bare += more.bare;
    }

    /// All of it.
    pub(crate) fn sum(&self) -> usize {
        self.slabs + self.large + self.dirty + self.muzzy + self.bare
    }
}

/// The state of a huge page's pages, copied.
struct Picture {
    used: Words,
    touched: Words,
    muzzy: Words,
    /// Idle pages are kept with their neighbours.
    held: bool,
}

impl PageHeap {
    /// Adds what of the heap's pages in `from..to` has memory to `sums`. Called inside a passage, no lock held.
    pub(crate) fn survey(&self, from: usize, to: usize, sums: &mut Residents) {
        let mut at = from & !(HUGE - 1);
        while at < to {
            if !page_map::covers(at) {
                at = (at | (LEAF_SPAN - 1)).saturating_add(1);
                continue;
            }
            if let Some(picture) = self.picture(at) {
                picture.survey(at, from, to, sums);
            }
            at += HUGE;
        }
        self.survey_giants(from, to, sums);
    }

    fn picture(&self, base: usize) -> Option<Picture> {
        let state = self.state.lock();
        let huge = state.find(base)?;
        Some(Picture {
            used: huge.used.words(),
            touched: huge.touched.words(),
            muzzy: huge.muzzy.words(),
            held: huge.held.get(),
        })
    }

    fn survey_giants(&self, from: usize, to: usize, sums: &mut Residents) {
        let mut passed = 0;
        while let Some((start, end)) = self.giant_after(passed) {
            passed = end;
            let (first, last) = (start.max(from), end.min(to));
            if first < last {
                sums.large += residence::resident_bytes(first, last);
            }
        }
    }

    /// The lowest giant that ends above `passed`: where it begins and ends.
    fn giant_after(&self, passed: usize) -> Option<(usize, usize)> {
        let state = self.state.lock();
        let mut next = state.giants.head();
        let mut lowest: Option<(usize, usize)> = None;
        while let Some(giant) = next {
            next = giant.next(Chain::Place);
            let start = giant.base() + giant.giant_skipped.get() * PAGE;
            let end = giant.base() + giant.giant_pages.get() * PAGE;
            if end > passed && lowest.is_none_or(|(found, _)| start < found) {
                lowest = Some((start, end));
            }
        }
        lowest
    }
}

impl Picture {
    fn has(words: &Words, page: usize) -> bool {
        words[page / 64] >> (page % 64) & 1 != 0
    }

    /// Whether page `page` is ours: neither a hole nor on its way.
    fn is_ours(&self, page: usize) -> bool {
        !Self::has(&self.used, page) || Self::has(&self.touched, page)
    }

    /// Adds the pages of the huge page at `base` that lie in `from..to`.
    fn survey(&self, base: usize, from: usize, to: usize, sums: &mut Residents) {
        let first = from.saturating_sub(base) / PAGE;
        let end = (to - base).div_ceil(PAGE).min(HUGE_PAGES);
        let present = self.residence(base);
        // Larger pages of the system's hold several of ours.
        let ratio = (memory::page_size() / PAGE).max(1);
        for page in first..end {
            if present[page / ratio] & 1 == 0 || !self.is_ours(page) {
                continue;
            }
            *self.figure(base, page, sums) += PAGE;
        }
    }

    /// The figure that page `page` belongs to.
    fn figure<'a>(&self, base: usize, page: usize, sums: &'a mut Residents) -> &'a mut usize {
        if Self::has(&self.used, page) {
            let addr = core::ptr::without_provenance(base + page * PAGE);
            match SizeClass::from_byte(page_map::class_byte(addr)) {
                Some(class) if class.index() < SMALL_CLASSES => &mut sums.slabs,
                _ => &mut sums.large,
            }
        } else if self.held {
            &mut sums.bare
        } else if Self::has(&self.muzzy, page) {
            &mut sums.muzzy
        } else if Self::has(&self.touched, page) {
            &mut sums.dirty
        } else {
            &mut sums.bare
        }
    }

    /// A byte for each system page of the huge page at `base`: bit 0 says that it has memory.
    fn residence(&self, base: usize) -> [u8; HUGE_PAGES] {
        let mut present = [0; HUGE_PAGES];
        let ratio = (memory::page_size() / PAGE).max(1);
        let pages = HUGE_PAGES / ratio;
        if memory::residence(base, &mut present[..pages]) {
            return present;
        }
        // Not all of it is mapped: one after the other, those that are ours.
        present = [0; HUGE_PAGES];
        for (at, note) in present[..pages].iter_mut().enumerate() {
            let ours = (at * ratio..(at + 1) * ratio).any(|page| self.is_ours(page));
            let mut one = [0];
            if ours && memory::residence(base + at * ratio * PAGE, &mut one) {
                *note = one[0];
            }
        }
        present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::heap::Purpose;
    use crate::size::Pages;
    use crate::sys::simulated::dice::Dice;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn survey(heap: &PageHeap) -> Residents {
        let mut sums = Residents::default();
        heap.survey(0, 1 << 47, &mut sums);
        sums
    }

    #[test]
    fn pages_that_were_written_are_found_by_what_they_are() {
        let heap = PageHeap::new();
        heap.prepare(crate::options::Dss::Disabled, 10_000, 0);
        assert!(
            residence::is_told(),
            "the system says which pages have memory"
        );
        let run = heap.alloc(Pages(100), PAGE, Purpose::Written(0)).unwrap();
        assert_eq!(survey(&heap), Residents::default());
        // SAFETY: 30 pages of a run of 100.
        unsafe { run.addr.as_ptr().write_bytes(1, 30 * PAGE) };
        let large = 30 * PAGE;
        assert_eq!(
            survey(&heap),
            Residents {
                large,
                ..Residents::default()
            }
        );
        // A part of it only.
        let mut part = Residents::default();
        let from = run.addr.addr().get() + 10 * PAGE;
        heap.survey(from, from + 5 * PAGE, &mut part);
        assert_eq!(part.large, 5 * PAGE);
        // SAFETY: the whole run.
        unsafe { heap.dealloc(run.addr, Pages(100)) };
        assert_eq!(
            survey(&heap),
            Residents {
                dirty: large,
                ..Residents::default()
            }
        );
        heap.purge_all();
        assert_eq!(survey(&heap), Residents::default());
    }

    #[test]
    fn giants_count_by_what_was_written() {
        let heap = PageHeap::new();
        heap.prepare(crate::options::Dss::Disabled, 10_000, 0);
        let pages = Pages((1 << 30) / PAGE);
        let run = heap.alloc(pages, PAGE, Purpose::Written(0)).unwrap();
        // SAFETY: within the run.
        unsafe { run.addr.as_ptr().add(700 << 20).write_bytes(1, 7 * PAGE) };
        assert_eq!(survey(&heap).large, 7 * PAGE);
        // SAFETY: the whole run.
        unsafe { heap.dealloc(run.addr, pages) };
        assert_eq!(survey(&heap).sum(), 0);
    }

    /// The naive twin: a map of runs with the pages of each that were written.
    #[test]
    fn random_runs_are_counted_as_their_twin_counts_them() {
        let mut dice = Dice::new(11);
        let heap = PageHeap::new();
        heap.prepare(crate::options::Dss::Disabled, -1, 0);
        let mut live: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
        for round in 0..300 {
            if dice.once_in(2) || live.is_empty() {
                let most = if dice.once_in(9) { 1500 } else { 60 };
                let pages = 1 + dice.below(most);
                let run = heap.alloc(Pages(pages), PAGE, Purpose::Zeroed).unwrap();
                let written: Vec<bool> = (0..pages).map(|_| dice.once_in(3)).collect();
                for (page, _) in written.iter().enumerate().filter(|(_, written)| **written) {
                    // SAFETY: within the run.
                    unsafe { run.addr.as_ptr().add(page * PAGE).write(1) };
                }
                live.insert(run.addr.as_ptr().expose_provenance(), written);
            } else {
                let nth = dice.below(live.len());
                let (&addr, written) = live.iter().nth(nth).unwrap();
                let pages = Pages(written.len());
                let ptr = core::ptr::with_exposed_provenance_mut(addr);
                // SAFETY: the whole run.
                unsafe { heap.dealloc(core::ptr::NonNull::new(ptr).unwrap(), pages) };
                live.remove(&addr);
                // Idle memory gone, so that the next run starts without any.
                heap.purge_all();
            }
            if round % 10 == 0 {
                let written: usize = live.values().flatten().filter(|&&one| one).count();
                let found = survey(&heap);
                let large = written * PAGE;
                assert_eq!(
                    found,
                    Residents {
                        large,
                        ..Residents::default()
                    }
                );
            }
        }
    }
}
