//! Place: where a run is taken from.
//!
//! ```text
//! want ──small──> choose: bins of partly used huge pages, smallest longest run that fits, then fullest, then lowest
//!   └──else, or none──> choose_run: free runs of huge pages (free_runs.rs)
//! ```
//! A search has two halves, so that the caller may look at what it got before it is taken: `locate` changes nothing,
//! `take_spot` takes.
//! Lock: the heap's.

use super::{State, all_free, free_words};
use crate::extent::bits;
use crate::extent::descriptor::{Chain, HugeRef, Kind};
use crate::size::{HUGE, HUGE_PAGES};

/// Huge pages that are compared before one is chosen.
const CANDIDATES: usize = 4;

/// Where to find a place: pages, and alignment in pages.
#[derive(Clone, Copy)]
pub(in crate::extent) struct Want {
    pub(in crate::extent) pages: usize,
    pub(in crate::extent) align: usize,
}

impl Want {
    /// Whether a part of one huge page will do.
    pub(in crate::extent) const fn is_small(self) -> bool {
        self.pages < HUGE_PAGES && self.align < HUGE_PAGES
    }

    /// Whole huge pages that it takes, and their alignment in huge pages.
    pub(in crate::extent) const fn huge_pages(self) -> (usize, usize) {
        let align = self.align / HUGE_PAGES;
        (
            self.pages.div_ceil(HUGE_PAGES),
            if align == 0 { 1 } else { align },
        )
    }
}

/// What was found out about pages taken.
#[derive(Clone, Copy)]
pub(in crate::extent) struct Taken {
    /// All of them read zero.
    pub(in crate::extent) zeroed: bool,
    /// None of them has memory.
    pub(in crate::extent) untouched: bool,
}

impl Taken {
    pub(in crate::extent) const fn nothing() -> Self {
        Self {
            zeroed: true,
            untouched: true,
        }
    }

    pub(in crate::extent) const fn and(self, other: Self) -> Self {
        Self {
            zeroed: self.zeroed && other.zeroed,
            untouched: self.untouched && other.untouched,
        }
    }
}

/// A run that was found.
#[derive(Clone, Copy)]
pub(in crate::extent) struct Place {
    pub(in crate::extent) addr: usize,
    pub(in crate::extent) taken: Taken,
}

/// A place that was found: page `.1` of a partly used huge page, or huge page number `.1` of a free run.
#[derive(Clone, Copy)]
pub(in crate::extent) enum Spot {
    Part(HugeRef, usize),
    Run(HugeRef, usize),
}

impl Spot {
    pub(in crate::extent) fn addr(self) -> usize {
        match self {
            Self::Part(huge, at) => huge.addr(at),
            Self::Run(head, skip) => head.base() + skip * HUGE,
        }
    }
}

impl State {
    /// Finds a place for `want` in what the heap has, and takes it. `None`: there is none, or the limit refuses it.
    #[inline]
    pub(in crate::extent) fn search(&mut self, want: Want) -> Option<Place> {
        let spot = self.locate(want)?;
        self.take_spot(spot, want)
    }

    /// Finds a place for `want` in what the heap has.
    #[inline]
    pub(in crate::extent) fn locate(&self, want: Want) -> Option<Spot> {
        if want.is_small() {
            if let Some((huge, at)) = self.choose(want) {
                return Some(Spot::Part(huge, at));
            }
        }
        let (head, skip) = self.choose_run(want)?;
        Some(Spot::Run(head, skip))
    }

    /// Takes a place that was found for `want`. `None`: the limit refuses it.
    #[inline]
    pub(in crate::extent) fn take_spot(&mut self, spot: Spot, want: Want) -> Option<Place> {
        if !self.reserve_place(spot.addr(), want.pages) {
            return None;
        }
        let (addr, taken) = match spot {
            Spot::Part(huge, at) => (huge.addr(at), self.take(huge, at, want.pages)),
            Spot::Run(head, skip) => {
                let (first, taken) = self.take_run(head, skip, want.pages)?;
                (first.base(), taken)
            }
        };
        Some(Place { addr, taken })
    }

    /// The huge page to take a small run from, and where: smallest longest free run that fits, then fullest,
    /// then lowest address.
    #[inline]
    fn choose(&self, want: Want) -> Option<(HugeRef, usize)> {
        if want.align > 1 {
            return self.choose_aligned(want);
        }
        let (_, head) = self.bins.first_from(want.pages)?;
        let mut best = head;
        let mut next = head.next(Chain::Place);
        for _ in 1..CANDIDATES {
            let Some(huge) = next else { break };
            let (used, best_used) = (huge.used_pages.get(), best.used_pages.get());
            if used > best_used || (used == best_used && huge.base() < best.base()) {
                best = huge;
            }
            next = huge.next(Chain::Place);
        }
        Some((best, fit(best, want.pages)?))
    }

    #[cold]
    fn choose_aligned(&self, want: Want) -> Option<(HugeRef, usize)> {
        // A run this long holds an aligned one wherever it starts; shorter ones are worth a few trials.
        let certain = want.pages + want.align - 1;
        let mut trials = 4 * CANDIDATES;
        let mut from = want.pages;
        while let Some((index, head)) = self.bins.first_from(from) {
            let mut next = Some(head);
            while let Some(huge) = next {
                let free = free_words(huge);
                if let Some(at) = bits::first_aligned_fit(&free, want.pages, want.align) {
                    return Some((huge, at));
                }
                trials -= 1;
                if trials == 0 {
                    let (_, head) = self.bins.first_from(certain.max(index + 1))?;
                    let at = bits::first_aligned_fit(&free_words(head), want.pages, want.align)?;
                    return Some((head, at));
                }
                next = huge.next(Chain::Place);
            }
            from = index + 1;
        }
        None
    }
}

/// Where `len` pages fit: exactly where they are known to; else lowest address, with memory before without.
#[inline]
fn fit(huge: HugeRef, len: usize) -> Option<usize> {
    let spot = huge.spot.get() as usize;
    if huge.longest.get() as usize == len && all_free(huge, spot, len) {
        return Some(spot);
    }
    let free = free_words(huge);
    let dirty = huge.idle[Kind::Dirty as usize].get() as usize;
    if dirty >= len && dirty + (huge.used_pages.get() as usize) < HUGE_PAGES {
        let mut touched = free;
        for (index, word) in touched.iter_mut().enumerate() {
            *word &= huge.touched.word(index);
        }
        if let Some(at) = bits::first_fit(&touched, len) {
            return Some(at);
        }
    }
    bits::first_fit(&free, len)
}
