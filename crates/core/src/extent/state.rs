//! State: the books of a page heap, and runs within one huge page.
//!
//! ```text
//! bins[longest free run] ──> partly used huge pages     runs[length] ──> runs of free huge pages
//!        ^ take, give                                            ^ take_run, insert_run (free_runs.rs)
//!        └──────────── a huge page wholly free / opened ─────────┘
//! ```
//! S1  A huge page with free and with used pages is in the bin of its longest free run; a full one in none.
//! S2  A partly used huge page with idle pages of a kind is in that kind's queue, longest idle first.
//! S3  `owned` counts the pages that came from the system; those not free are `active` or in `transit`.
//! S4  `idle` and `in_transit_idle` together count the pages that hold memory nobody uses.
//! Everything here runs under the heap's lock.

use super::adapt::Adapt;
use super::bits::{self, Words, each_word};
use super::decay::Decay;
use super::descriptor::{Bins, Chain, HugeRef, Kind, List, key_of};
use super::heap::PurgeFigures;
use super::huge::Huges;
use super::peak::Peak;
use super::purge::DirtyBound;
use crate::options::Dss;
use crate::size::{HUGE, HUGE_PAGES, LG_PAGE, PAGE};
use longest::{cut_longest, find_longest, join_longest};

mod longest;
mod place;

pub(super) use place::{Place, Taken, Want};

/// Bins of partly used huge pages: by longest free run, 1 to 511 pages.
const LONGEST_BINS: usize = HUGE_PAGES;

/// Nanoseconds of a unit of `stamp`, as a power of two: about an eighth of a second.
pub(super) const LG_STAMP_NS: u32 = 27;

/// The books.
pub(super) struct State {
    /// Part of the keys of our descriptors; 0 until the heap grows for the first time.
    pub(super) identity: usize,
    pub(super) active: usize,
    pub(super) peak: Peak,
    /// Pages were asked for since the last tick.
    pub(super) asked: bool,
    pub(super) adapt: Adapt,
    pub(super) bound: DirtyBound,
    pub(super) owned: usize,
    /// By [`Kind`].
    pub(super) idle: [usize; 2],
    pub(super) transit: usize,
    pub(super) transit_idle: [usize; 2],
    /// The time as of the last tick, coarse.
    pub(super) stamp: u32,
    pub(super) dss: Dss,
    /// Queues of partly used huge pages and of runs of free ones, by [`Kind`].
    pub(super) queues: [List; 2],
    pub(super) run_queues: [List; 2],
    pub(super) huges: Huges,
    /// Pages marked in [`super::descriptor::Huge::seam`].
    pub(super) seams: usize,
    pub(super) giants: List,
    pub(super) giant_pages: usize,
    /// Pages that count though no other number has them: of giants that the system is about to get back, and what a
    /// collapse under way may give memory.
    pub(super) pledged: usize,
    /// Pages that count (see `count`).
    pub(super) counted: usize,
    pub(super) spares: List,
    pub(super) spare_count: usize,
    /// Descriptors there are, spare ones among them.
    pub(super) descriptors: usize,
    /// Head of the chain of all descriptors of huge pages.
    pub(super) all: u32,
    /// A region that the system gave and that could not be described yet: address and bytes.
    pub(super) pending: Option<((usize, usize), Idle)>,
    pub(super) purges: [PurgeFigures; 2],
    pub(super) bins: Bins<LONGEST_BINS, { LONGEST_BINS / 64 }>,
    pub(super) runs: Bins<256, 4>,
    pub(super) decay: [Decay; 2],
}

/// How pages come to be free (see the table in `descriptor`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// By the application: dirty. From 1, so that an option of it reads zero where it is none.
    Freed = 1,
    /// A system call refused to change them: dirty.
    Refused,
    /// The system provided their memory ahead of use: dirty, but zero.
    Populated,
    /// Purged lazily: muzzy.
    Lazy,
    /// Without memory, not known to read zero.
    Clean,
    /// Without memory, reading zero.
    Zero,
}

impl Idle {
    const fn kind(self) -> Option<Kind> {
        match self {
            Self::Freed | Self::Refused | Self::Populated => Some(Kind::Dirty),
            Self::Lazy => Some(Kind::Muzzy),
            Self::Clean | Self::Zero => None,
        }
    }

    const fn is_zero(self) -> bool {
        matches!(self, Self::Populated | Self::Zero)
    }
}

/// Where a descriptor stands in bins and queues.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    longest: u16,
    idle: [u16; 2],
}

impl Standing {
    pub(super) const NOWHERE: Self = Self {
        longest: 0,
        idle: [0; 2],
    };

    #[inline(always)]
    pub(super) fn of(huge: HugeRef) -> Self {
        let standing = Self {
            longest: huge.longest.get(),
            idle: [huge.idle[0].get(), huge.idle[1].get()],
        };
        // Rule V1.
        if huge.held.get() {
            standing.out_of_queues()
        } else {
            standing
        }
    }

    /// The same place in bins, but in no queue.
    pub(super) const fn out_of_queues(self) -> Self {
        Self {
            longest: self.longest,
            idle: [0; 2],
        }
    }
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            identity: 0,
            active: 0,
            peak: Peak::new(),
            asked: false,
            adapt: Adapt::new(),
            bound: DirtyBound::DEFAULT,
            owned: 0,
            idle: [0; 2],
            transit: 0,
            transit_idle: [0; 2],
            stamp: 0,
            dss: Dss::Secondary,
            queues: [const { List::new() }; 2],
            run_queues: [const { List::new() }; 2],
            huges: Huges::new(),
            seams: 0,
            giants: List::new(),
            giant_pages: 0,
            pledged: 0,
            counted: 0,
            spares: List::new(),
            spare_count: 0,
            descriptors: 0,
            all: 0,
            pending: None,
            purges: [PurgeFigures::ZERO; 2],
            bins: Bins::new(),
            runs: Bins::new(),
            decay: [const { Decay::new(0) }; 2],
        }
    }

    /// The descriptor of the huge page that holds `addr`, if the heap has pages in it.
    #[inline(always)]
    pub(super) fn find(&self, addr: usize) -> Option<HugeRef> {
        HugeRef::find(addr, key_of(addr & !(HUGE - 1), self.identity))
    }

    /// Takes the free pages `at..at + len` of a partly used huge page for the application.
    #[inline]
    pub(super) fn take(&mut self, huge: HugeRef, at: usize, len: usize) -> Taken {
        let before = Standing::of(huge);
        let taken = self.occupy(huge, at, len);
        self.active += len;
        self.relink(huge, before);
        taken
    }

    /// Takes the first `len` pages, not all, of a wholly free huge page that is in no run any more.
    pub(super) fn open(&mut self, huge: HugeRef, len: usize) -> Taken {
        let taken = self.occupy(huge, 0, len);
        self.active += len;
        self.relink(huge, Standing::NOWHERE);
        taken
    }

    /// Marks free pages used.
    #[inline]
    fn occupy(&mut self, huge: HugeRef, at: usize, len: usize) -> Taken {
        let (left, right) = (huge.used.clear_before(at), huge.used.clear_after(at + len));
        let mut tally = Tally::default();
        let any_idle = huge.idle[0].get() | huge.idle[1].get() | huge.gone.get() != 0;
        each_word(at, len, |index, mask| {
            tally.occupy(huge, index, mask, mask, any_idle)
        });
        huge.used_pages.set(huge.used_pages.get() + len as u16);
        if any_idle {
            self.count_off(huge, &tally);
            if huge.gone.get() != 0 {
                self.note_refaults(huge, len as u16 - tally.idle[0] - tally.idle[1]);
            }
        }
        if left + len + right >= huge.longest.get() as usize {
            let piece = if left > right {
                (at - left, left)
            } else {
                (at + len, right)
            };
            cut_longest(huge, piece, left.min(right) as u16);
        }
        tally.taken()
    }

    /// Marks free pages without memory of a partly used huge page as taken for a system call.
    pub(super) fn borrow(&mut self, huge: HugeRef, at: usize, len: usize) {
        let before = Standing::of(huge);
        self.borrow_pages(huge, &mask_of(at, len));
        self.relink(huge, before);
    }

    /// Ends what [`State::borrow`] began.
    pub(super) fn give_back_borrowed(&mut self, huge: HugeRef, at: usize, len: usize, how: Idle) {
        self.return_pages(huge, &mask_of(at, len), [0; 2], how);
    }

    /// Marks the free pages `mask` as taken for a system call; the caller sees to bins and queues. Answers
    /// the idle pages among them, by [`Kind`].
    pub(super) fn borrow_pages(&mut self, huge: HugeRef, mask: &Words) -> [u16; 2] {
        let mut tally = Tally::default();
        for (index, &mask) in mask.iter().enumerate() {
            debug_assert!(huge.used.word(index) & mask == 0);
            tally.occupy(huge, index, mask, 0, true);
        }
        let count = bits::count(mask);
        huge.used_pages.set(huge.used_pages.get() + count as u16);
        self.count_off(huge, &tally);
        self.transit += count;
        for (transit, idle) in self.transit_idle.iter_mut().zip(tally.idle) {
            *transit += usize::from(idle);
        }
        find_longest(huge);
        tally.idle
    }

    fn count_off(&mut self, huge: HugeRef, tally: &Tally) {
        for kind in Kind::BOTH {
            let pages = tally.idle[kind as usize];
            if pages > 0 {
                let idle = &huge.idle[kind as usize];
                idle.set(idle.get() - pages);
                *self.idle_count(huge, kind) -= usize::from(pages);
            }
        }
    }

    /// Notes that `bare` pages without memory were handed out where some were purged (A1 of `adapt`).
    #[cold]
    pub(super) fn note_refaults(&mut self, huge: HugeRef, bare: u16) {
        let gone = huge.gone.get();
        let age = self.stamp.wrapping_sub(huge.gone_stamp.get());
        if age > self.refault_stamps() {
            huge.gone.set(0);
            return;
        }
        let refaults = gone.min(bare);
        huge.gone.set(gone - refaults);
        self.adapt.note_refaults(refaults.into());
    }

    /// Notes that `pages` pages were purged here (A1 of `adapt`).
    pub(super) fn note_gone(&mut self, huge: HugeRef, pages: u16) {
        if !self.adapt.is_on() {
            return;
        }
        self.adapt.note_purged(pages.into());
        let age = self.stamp.wrapping_sub(huge.gone_stamp.get());
        let before = if age > self.refault_stamps() {
            0
        } else {
            huge.gone.get()
        };
        huge.gone.set((before + pages).min(HUGE_PAGES as u16));
        huge.gone_stamp.set(self.stamp);
    }

    /// How long a purged page may be missed (A5 of `adapt`), in units of `stamp`.
    fn refault_stamps(&self) -> u32 {
        let ms = self.decay[Kind::Dirty as usize].decay_ms().max(0) as u64;
        let ns = ms.saturating_mul(1_000_000 << self.adapt.lengthened());
        u32::try_from(ns >> LG_STAMP_NS).unwrap_or(u32::MAX)
    }

    /// Ends what [`State::borrow_pages`] began: the pages `mask` are free again, as `how` says.
    pub(super) fn return_pages(&mut self, huge: HugeRef, mask: &Words, idle: [u16; 2], how: Idle) {
        let before = Standing::of(huge);
        for (index, &mask) in mask.iter().enumerate() {
            release(huge, index, mask, how);
        }
        let count = bits::count(mask);
        self.transit -= count;
        for (transit, idle) in self.transit_idle.iter_mut().zip(idle) {
            *transit -= usize::from(idle);
        }
        self.count_on(huge, count, how);
        find_longest(huge);
        self.settle(huge, before, false);
    }

    /// Frees the used pages `at..at + len` of a huge page.
    #[inline]
    pub(super) fn give(&mut self, huge: HugeRef, at: usize, len: usize, how: Idle) {
        let before = Standing::of(huge);
        each_word(at, len, |index, mask| release(huge, index, mask, how));
        self.count_on(huge, len, how);
        let (left, right) = (huge.used.clear_before(at), huge.used.clear_after(at + len));
        join_longest(huge, left, left + len + right, right);
        if left + len + right >= huge.longest.get() as usize {
            huge.spot.set((at - left) as u16);
        }
        self.settle(huge, before, how == Idle::Freed);
    }

    #[inline(always)]
    fn count_on(&mut self, huge: HugeRef, count: usize, how: Idle) {
        huge.used_pages.set(huge.used_pages.get() - count as u16);
        if let Some(kind) = how.kind() {
            let idle = &huge.idle[kind as usize];
            idle.set(idle.get() + count as u16);
            *self.idle_count(huge, kind) += count;
        }
    }

    /// Puts a huge page, some pages of which were freed, where it belongs.
    #[inline(always)]
    fn settle(&mut self, huge: HugeRef, before: Standing, freed: bool) {
        if huge.used_pages.get() == 0 {
            self.unlink(huge, before);
            self.release_huge(huge);
            if freed {
                huge.stamp.set(self.stamp);
            }
            self.insert_run(
                huge,
                1,
                [u32::from(huge.idle[0].get()), u32::from(huge.idle[1].get())],
                0,
            );
            return;
        }
        self.relink(huge, before);
        if huge.held.get() {
            self.review(huge);
            return;
        }
        if freed && huge.stamp.get() != self.stamp {
            huge.stamp.set(self.stamp);
            // Busy again: to the end of the queue.
            if before.idle[Kind::Dirty as usize] > 0 {
                let queue = &mut self.queues[Kind::Dirty as usize];
                queue.remove(huge, Chain::Dirty);
                queue.push_back(huge, Chain::Dirty);
            }
        }
    }

    /// Moves a partly used or full huge page from where it stood to where it belongs.
    #[inline(always)]
    pub(super) fn relink(&mut self, huge: HugeRef, before: Standing) {
        let now = Standing::of(huge);
        if before.longest != now.longest {
            if before.longest > 0 {
                self.bins.remove(before.longest.into(), huge);
            }
            if now.longest > 0 {
                self.bins.insert(now.longest.into(), huge);
            }
        }
        for kind in Kind::BOTH {
            let queue = &mut self.queues[kind as usize];
            match (before.idle[kind as usize] > 0, now.idle[kind as usize] > 0) {
                (true, false) => queue.remove(huge, kind.chain()),
                (false, true) => queue.push_back(huge, kind.chain()),
                _ => {}
            }
        }
    }

    /// Takes a partly used huge page out of bins and queues.
    fn unlink(&mut self, huge: HugeRef, before: Standing) {
        if before.longest > 0 {
            self.bins.remove(before.longest.into(), huge);
        }
        for kind in Kind::BOTH {
            if before.idle[kind as usize] > 0 {
                self.queues[kind as usize].remove(huge, kind.chain());
            }
        }
    }

    /// Frees the run of `pages` pages at `addr`. `false`: it is not of huge pages of ours.
    #[inline]
    pub(super) fn dealloc(&mut self, addr: usize, pages: usize, how: Idle) -> bool {
        let Some(huge) = self.find(addr) else {
            return false;
        };
        self.peak.note(self.active);
        let at = (addr & (HUGE - 1)) >> LG_PAGE;
        if at + pages <= HUGE_PAGES && pages < HUGE_PAGES {
            debug_assert!(all_used(huge, at, pages), "pages freed twice");
            self.active -= pages;
            self.give(huge, at, pages, how);
            return true;
        }
        self.dealloc_pieces(addr, pages, how);
        true
    }

    /// Frees a run that reaches the end of its first huge page or goes beyond it.
    fn dealloc_pieces(&mut self, mut addr: usize, mut pages: usize, how: Idle) {
        while pages > 0 {
            let Some(huge) = self.find(addr) else { return };
            let at = (addr & (HUGE - 1)) >> LG_PAGE;
            let done = if at == 0 && pages >= HUGE_PAGES {
                self.give_whole(huge, pages / HUGE_PAGES, how) * HUGE_PAGES
            } else {
                let len = pages.min(HUGE_PAGES - at);
                debug_assert!(all_used(huge, at, len), "pages freed twice");
                self.active -= len;
                self.give(huge, at, len, how);
                len
            };
            addr += done * PAGE;
            pages -= done;
        }
    }
}

/// Marks pages `mask` of word `index` free.
#[inline(always)]
fn release(huge: HugeRef, index: usize, mask: u64, how: Idle) {
    let change = |map: &bits::Map, on: bool| {
        let word = map.word(index) & !mask;
        map.put(index, if on { word | mask } else { word });
    };
    change(&huge.used, false);
    if how != Idle::Freed {
        // Used pages are touched, and neither zero nor muzzy.
        change(&huge.touched, how.kind().is_some());
        change(&huge.zero, how.is_zero());
        change(&huge.muzzy, how.kind() == Some(Kind::Muzzy));
    }
}

fn mask_of(at: usize, len: usize) -> Words {
    let mut mask = [0; bits::WORDS];
    each_word(at, len, |index, bits| mask[index] |= bits);
    mask
}

/// The free pages of a huge page.
#[inline]
pub(super) fn free_words(huge: HugeRef) -> Words {
    huge.used.words().map(|word| !word)
}

fn all_free(huge: HugeRef, at: usize, len: usize) -> bool {
    let mut used = u64::from(at + len > HUGE_PAGES);
    each_word(at, len, |index, mask| used |= huge.used.word(index) & mask);
    used == 0
}

pub(super) fn all_used(huge: HugeRef, at: usize, len: usize) -> bool {
    let mut all = true;
    each_word(at, len, |index, mask| {
        all &= huge.used.word(index) & huge.touched.word(index) & mask == mask;
    });
    all
}

/// What was counted while pages were taken.
#[derive(Default)]
struct Tally {
    not_zero: u64,
    touched: u64,
    idle: [u16; 2],
}

impl Tally {
    /// Takes the pages `mask` of word `index`, which are touched from now on where `touch` says so.
    #[inline(always)]
    fn occupy(&mut self, huge: HugeRef, index: usize, mask: u64, touch: u64, any_idle: bool) {
        let (touched, zero) = (huge.touched.word(index), huge.zero.word(index));
        self.not_zero |= mask & !zero;
        self.touched |= mask & touched;
        if any_idle {
            let muzzy = huge.muzzy.word(index);
            self.idle[Kind::Dirty as usize] += (mask & touched & !muzzy).count_ones() as u16;
            self.idle[Kind::Muzzy as usize] += (mask & muzzy).count_ones() as u16;
            huge.muzzy.put(index, muzzy & !mask);
        }
        huge.used.put(index, huge.used.word(index) | mask);
        huge.touched.put(index, touched & !mask | touch);
        huge.zero.put(index, zero & !mask);
    }

    const fn taken(&self) -> Taken {
        Taken {
            zeroed: self.not_zero == 0,
            untouched: self.touched == 0,
        }
    }
}
