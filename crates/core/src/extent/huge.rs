//! Huge: which huge pages are one for the system too, and what that may cost.
//!
//! A huge page spares the processor 511 entries of its address cache and the system as many faults; it also keeps in
//! memory what nobody uses. So nothing is huge when it is allocated. A huge page that has been dense for a while is
//! *collapsed* (see `earn`), and *let go* when it is no longer worth it.
//!
//! ```text
//!          dense for `delay`, within the budget                     used pages < KEEP, or over the budget
//! plain ────────────────────────────────────────> held ───────────────────────────────────────────> plain, whole
//!   ^        idle pages leave queues and decay                  idle pages go back to both            │
//!   └──────────── a part of it is purged: split first, and next time it has to be dense for longer ───┘
//! ```
//! V1  A held huge page has [`KEEP_PAGES`] used pages or more. Its idle pages are counted in `held_idle`, not in
//!     `State::idle`, and are in no queue: they do not decay.
//! V2  What huge pages cost, idle pages that are held and pages that only the collapse gave memory, is `rounding`. A
//!     collapse keeps it within `budget` percent of what else the huge pages hold; who frees beyond that has the page
//!     let go.
//! V3  `whole` says that the system may have one huge page here, whether held or not. Before a part of it is purged it
//!     is split: the system would keep its memory (`sys::memory::split`).
//! V4  Each time that one is lost by a purge or refused, the time for which it has to be dense grows eightfold.
//! V5  In a forked child huge pages that the parent had are left alone: a collapse would copy what they share.
//! Everything here runs under the heap's lock.

use super::bits::{self, Words};
use super::descriptor::{HugeRef, Kind};
use super::state::{Standing, State};
use crate::options::{Options, Thp};
use crate::size::{HUGE, HUGE_PAGES, PAGE};

/// Used pages below which a huge page is let go.
const KEEP_PAGES: usize = HUGE_PAGES * 3 / 4;
/// Active pages below which a process is small.
const SMALL_PAGES: usize = (64 << 20) / PAGE;
/// Growth that makes another look worth it.
const GROWTH_PAGES: usize = (8 << 20) / PAGE;
/// Lost chances that count (V4): with the default delay the last is worth half an hour and more.
const LAPSES_MAX: u8 = 4;
/// Binary places of a nanosecond's stamp: about an eighth of a second.
pub(super) const LG_STAMP_NS: u32 = 27;

/// What the options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Whether any is earned.
    pub(super) earn: bool,
    /// What is advised for fresh mappings.
    pub(super) thp: Thp,
    /// Active pages from which on they are earned.
    pub(super) floor: usize,
    /// Active pages by which a process has to grow before it is looked at again.
    pub(super) growth: usize,
    /// Pages of a huge page that have to be used and to have memory.
    pub(super) dense: usize,
    /// For how long, in stamps.
    pub(super) delay: u32,
    /// See V2.
    pub(super) budget: usize,
}

impl Rules {
    pub(super) fn of(options: &Options) -> Self {
        let decays = options.dirty_decay_ms >= 0;
        let delay_ns = (options.hpa_hugify_delay_ms as u64).saturating_mul(1_000_000);
        Self {
            // Where nothing decays the layout must not depend on the clock, unless that is asked for.
            earn: options.thp == Thp::Default && options.huge_budget > 0 && (decays || options.hpa),
            thp: options.thp,
            floor: if options.hpa { 0 } else { SMALL_PAGES },
            growth: if options.hpa {
                HUGE_PAGES
            } else {
                GROWTH_PAGES
            },
            dense: options
                .hpa_hugification_threshold
                .div_ceil(PAGE)
                .clamp(KEEP_PAGES, HUGE_PAGES),
            delay: u32::try_from(delay_ns >> LG_STAMP_NS)
                .unwrap_or(u32::MAX >> 16)
                .clamp(1, u32::MAX >> 16),
            budget: options.huge_budget,
        }
    }
}

/// The figures of huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HugeFigures {
    /// Bytes of huge pages that are held.
    pub(crate) held: usize,
    /// Bytes of idle pages that they keep in memory.
    pub(crate) idle: usize,
    /// Bytes of pages in use that only a collapse gave memory.
    pub(crate) filled: usize,
    /// Huge pages collapsed so far.
    pub(crate) collapses: usize,
    /// Collapses that the system refused.
    pub(crate) refusals: usize,
    /// Huge pages of which a part was purged.
    pub(crate) splits: usize,
}

impl HugeFigures {
    pub(super) const ZERO: Self = Self {
        held: 0,
        idle: 0,
        filled: 0,
        collapses: 0,
        refusals: 0,
        splits: 0,
    };
}

/// The books of huge pages.
pub(super) struct Huges {
    pub(super) rules: Rules,
    /// Huge pages that are held.
    held: usize,
    /// Idle pages in them, of both kinds.
    held_idle: usize,
    /// Used pages that only a collapse gave memory, and that have it since.
    filled: usize,
    pub(super) collapses: usize,
    pub(super) refusals: usize,
    pub(super) splits: usize,
    pub(super) pace: super::earn::Pace,
}

impl Huges {
    pub(super) const fn new() -> Self {
        Self {
            rules: Rules {
                earn: false,
                thp: Thp::Default,
                floor: 0,
                growth: 0,
                dense: 0,
                delay: 0,
                budget: 0,
            },
            held: 0,
            held_idle: 0,
            filled: 0,
            collapses: 0,
            refusals: 0,
            splits: 0,
            pace: super::earn::Pace::new(),
        }
    }

    pub(super) const fn held_idle(&self) -> usize {
        self.held_idle
    }

    pub(super) const fn filled(&self) -> usize {
        self.filled
    }

    /// Whether `more` pages of rounding, for `pages` held pages more, would be too much (V2).
    fn is_over_budget(&self, more: usize, pages: usize) -> bool {
        let rounding = self.held_idle + self.filled + more;
        let base = (self.held * HUGE_PAGES + pages).saturating_sub(rounding);
        rounding * 100 > base * self.rules.budget
    }

    /// Whether rounding is more than the budget.
    pub(super) fn is_too_costly(&self) -> bool {
        self.is_over_budget(0, 0)
    }

    pub(super) fn figures(&self) -> HugeFigures {
        HugeFigures {
            held: self.held * HUGE,
            idle: self.held_idle * PAGE,
            filled: self.filled * PAGE,
            collapses: self.collapses,
            refusals: self.refusals,
            splits: self.splits,
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.held, self.held_idle, self.filled)
    }
}

impl State {
    /// The number that counts the idle pages of `huge` of that kind (V1).
    #[inline(always)]
    pub(super) fn idle_count(&mut self, huge: HugeRef, kind: Kind) -> &mut usize {
        if huge.held.get() {
            &mut self.huges.held_idle
        } else {
            &mut self.idle[kind as usize]
        }
    }

    /// Whether a huge page can be one for the system: nearly all used, all of it ours, one mapping.
    pub(super) fn is_dense(&self, huge: HugeRef) -> bool {
        let inner_seams = huge.seam.words().iter().enumerate().any(|(index, &word)| {
            let first = if index == 0 { 1 } else { 0 };
            word & !first != 0
        });
        let foreign = (huge.used.words().iter().zip(huge.touched.words()))
            .any(|(&used, touched)| used & !touched != 0);
        usize::from(huge.used_pages.get()) >= self.huges.rules.dense && !inner_seams && !foreign
    }

    /// Whether a huge page, the pages `resident` of which have memory, may be collapsed: nearly all of it is used and
    /// has memory, and the rest is within the budget.
    pub(super) fn admits(&self, huge: HugeRef, resident: &Words) -> bool {
        let used = huge.used.words();
        let with_memory: Words = core::array::from_fn(|index| used[index] & resident[index]);
        let dense = bits::count(&with_memory);
        let rounding = HUGE_PAGES - dense;
        dense >= self.huges.rules.dense
            && self.is_dense(huge)
            && !self.huges.is_over_budget(rounding, HUGE_PAGES)
    }

    /// Takes note that a huge page, the pages `resident` of which had memory, was collapsed.
    pub(super) fn hold(&mut self, huge: HugeRef, resident: &Words) {
        self.huges.collapses += 1;
        huge.whole.set(true);
        if huge.held.get() || usize::from(huge.used_pages.get()) < KEEP_PAGES {
            return;
        }
        let before = Standing::of(huge);
        let (mut bare_idle, mut filled) = (0, 0);
        for (index, resident) in resident.iter().enumerate() {
            let (used, touched) = (huge.used.word(index), huge.touched.word(index));
            // Idle pages that had no memory have some now; what they read is as before.
            bare_idle += (!used & !touched).count_ones() as usize;
            huge.touched.put(index, touched | !used);
            filled += (used & !resident).count_ones() as usize;
        }
        for kind in Kind::BOTH {
            let pages = usize::from(huge.idle[kind as usize].get());
            self.idle[kind as usize] -= pages;
            self.decay[kind as usize].purged(pages);
            self.huges.held_idle += pages;
        }
        let dirty = &huge.idle[Kind::Dirty as usize];
        dirty.set(dirty.get() + bare_idle as u16);
        self.huges.held_idle += bare_idle;
        self.huges.filled += filled;
        huge.filled.set(huge.filled.get() + filled as u16);
        self.huges.held += 1;
        huge.held.set(true);
        self.relink(huge, before);
    }

    /// Lets a held huge page go: its idle pages decay like others.
    #[cold]
    pub(super) fn let_go(&mut self, huge: HugeRef) {
        if !huge.held.replace(false) {
            return;
        }
        self.huges.held -= 1;
        for kind in Kind::BOTH {
            let pages = usize::from(huge.idle[kind as usize].get());
            self.huges.held_idle -= pages;
            self.idle[kind as usize] += pages;
        }
        if huge.used_pages.get() > 0 {
            let now = Standing::of(huge);
            self.relink(huge, now.out_of_queues());
        }
    }

    /// All of a huge page is free: it is let go, and what a collapse gave memory is idle like the rest.
    #[inline(always)]
    pub(super) fn release_huge(&mut self, huge: HugeRef) {
        if huge.held.get() || huge.filled.get() > 0 {
            self.huges.filled -= usize::from(huge.filled.replace(0));
            self.let_go(huge);
        }
    }

    /// Whether pages of a huge page may have memory that they were given by a collapse, of the system or of ours.
    pub(super) fn may_be_filled(huge: HugeRef) -> bool {
        huge.whole.get() || huge.lapses.get() > 0
    }

    /// Whether a huge page is held though not all of it is used.
    pub(super) fn keeps_idle(&self, huge: HugeRef) -> bool {
        huge.held.get() && usize::from(huge.used_pages.get()) < HUGE_PAGES
    }

    /// Lets a held huge page of which pages were freed go, if it is not worth it any more (V1, V2).
    #[cold]
    pub(super) fn review(&mut self, huge: HugeRef) {
        if usize::from(huge.used_pages.get()) < KEEP_PAGES || self.huges.is_too_costly() {
            self.let_go(huge);
        }
    }

    /// Takes note that a part of a huge page goes (V3, V4). `true`: it is to be split first.
    pub(super) fn break_up(&mut self, huge: HugeRef) -> bool {
        self.let_go(huge);
        huge.dense_since.set(0);
        // Which of those that a collapse gave memory go with it is not known: none counts any more.
        self.huges.filled -= usize::from(huge.filled.replace(0));
        let whole = huge.whole.replace(false);
        if whole {
            self.huges.splits += 1;
            self.huges.pace.again = true;
            lapse(huge);
        }
        whole || self.huges.rules.thp == Thp::Always
    }

    /// Takes note that parts of the huge pages that hold the `pages` pages at `addr` go. `true`: some are to be split
    /// first.
    pub(super) fn break_up_range(&mut self, addr: usize, pages: usize) -> bool {
        let end = addr + pages * PAGE;
        let mut split = false;
        for base in (addr & !(HUGE - 1)..end).step_by(HUGE) {
            if let Some(huge) = self.find(base) {
                split |= self.break_up(huge);
            }
        }
        split
    }
}

/// A chance was lost (V4).
pub(super) fn lapse(huge: HugeRef) {
    huge.lapses.set((huge.lapses.get() + 1).min(LAPSES_MAX));
}

/// Stamps for which a huge page has to be dense after it was lost once.
pub(super) const fn lacks_after_lapse(delay: u32) -> u32 {
    delay.saturating_mul(8)
}

/// Stamps for which a huge page has to be dense beyond `stamp`; 0: it has been so for long enough.
pub(super) fn lacks(huge: HugeRef, delay: u32, stamp: u32) -> u32 {
    let needed = delay.saturating_mul(1 << (3 * u32::from(huge.lapses.get())));
    needed.saturating_sub(stamp.wrapping_sub(huge.dense_since.get()))
}
