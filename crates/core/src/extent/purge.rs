//! Purge: telling the system which pages we do not need.
//!
//! ```text
//! lock    collect: longest-idle runs of free huge pages first, then partly used ones; mark them taken
//! unlock  advise: in address order, neighbours joined into one call
//! lock    finish: the pages are free again, clean or muzzy, or, where refused, as dirty as before
//! ```
//! U1  A page is marked taken while its advice is under way: it cannot be handed out under it.
//! U2  Advice covers whole system pages, all free.
//! U3  One step collects at most [`STEP_RUNS`] runs of pages beyond the last huge page's own, and holds the
//!     lock no longer than that takes.

use super::bits::{self, Words, next_run};
use super::descriptor::{HugeRef, Kind};
use super::pressure::{self, Pressure};
use super::state::{Idle, Standing, State, free_words};
use crate::size::{HUGE, HUGE_PAGES, PAGE};
use crate::sys::memory;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Huge pages in a step.
const STEP_HUGES: usize = 32;
/// Runs after which a step takes no further huge page.
const STEP_RUNS: usize = 64;
/// Huge pages looked at in vain in a step.
pub(super) const STEP_VISITS: usize = 512;
/// Pages in a step: what the system takes back in 0.2 ms where all of them have memory.
pub(super) const STEP_PAGES: usize = 2 * HUGE_PAGES;

/// Bytes in a system call: what others wait for who change mappings.
const CALL_BYTES: usize = STEP_PAGES * PAGE;

/// Dirty pages that may stay beyond what the program held at most lately: a number, or a share of that peak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DirtyBound {
    /// Option `dirty_max`.
    pub(crate) pages: usize,
    /// Option `dirty_share`.
    pub(crate) percent: usize,
}

impl DirtyBound {
    /// Of the options' values.
    pub(crate) const fn of(bytes: usize, percent: usize) -> Self {
        Self {
            pages: bytes / PAGE,
            percent,
        }
    }

    /// Measured in docs/DESIGN.md, "When is memory returned?".
    pub(crate) const DEFAULT: Self = Self {
        pages: (16 << 20) / PAGE,
        percent: 50,
    };
}

/// Pages of one huge page in transit.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) huge: HugeRef,
    pub(super) mask: Words,
    idle: [u16; 2],
    /// To be split first (V3 of `huge`).
    split: bool,
    refused: bool,
}

/// What one step takes.
pub(super) struct Batch {
    entries: [Option<Entry>; STEP_HUGES],
    len: usize,
    pages: usize,
    runs: usize,
    calls: usize,
    /// Huge pages that may be looked at in vain.
    visits: usize,
    /// Length of the shortest runs that are taken.
    least: usize,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self {
            entries: [const { None }; STEP_HUGES],
            len: 0,
            pages: 0,
            runs: 0,
            calls: 0,
            visits: STEP_VISITS,
            least: 1,
        }
    }

    /// Looks past whatever hides what is wanted: for a caller who wants all, and waits.
    pub(super) const fn looking_everywhere(mut self) -> Self {
        self.visits = usize::MAX;
        self
    }

    /// Takes only pages that lie `least` in a row.
    pub(super) const fn of_pieces(mut self, least: usize) -> Self {
        self.least = least;
        self
    }

    /// Whether it has room for more, and fewer than `want` pages.
    pub(super) const fn wants(&self, want: usize) -> bool {
        self.pages < want && self.has_room()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    const fn has_room(&self) -> bool {
        self.len < STEP_HUGES && self.runs < STEP_RUNS
    }

    fn push(&mut self, huge: HugeRef, mask: &Words, idle: [u16; 2], split: bool) {
        if let Some(entry) = self.entries.get_mut(self.len) {
            *entry = Some(Entry {
                huge,
                mask: *mask,
                idle,
                split,
                refused: false,
            });
            self.len += 1;
            self.pages += bits::count(mask);
            let mut before = 0;
            for word in mask {
                self.runs += (word & !(word << 1 | before)).count_ones() as usize;
                before = word >> 63;
            }
        }
    }

    /// The huge pages it takes from, for the checks.
    #[cfg(test)]
    pub(super) fn huges(&self) -> impl Iterator<Item = HugeRef> {
        self.entries.iter().flatten().map(|entry| entry.huge)
    }

    pub(super) fn entries(&mut self) -> &mut [Option<Entry>] {
        self.entries.get_mut(..self.len).unwrap_or_default()
    }

    /// Sorts by address; insertion, as there are few, nearly in order.
    fn sort(&mut self) {
        let entries = self.entries();
        let base = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.huge.base());
        for end in 1..entries.len() {
            let mut at = end;
            while at > 0 && base(&entries[at - 1]) > base(&entries[at]) {
                entries.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    /// Splits the huge pages of which a part goes.
    pub(super) fn split(&mut self) {
        for entry in self.entries().iter_mut().flatten() {
            if core::mem::take(&mut entry.split) {
                if let Some((start, run)) = next_run(&entry.mask, 0) {
                    let addr = ptr::with_exposed_provenance_mut(entry.huge.addr(start));
                    if let Some(addr) = NonNull::new(addr) {
                        // SAFETY: pages of ours that are free and marked taken while this runs (U1), whole system
                        //         pages (U2).
                        unsafe { memory::split(addr, run * PAGE) };
                    }
                }
            }
        }
    }

    /// Calls `advice(addr, bytes)` for every run of pages, and keeps in mind where it was refused.
    pub(super) fn advise(&mut self, mut advice: impl FnMut(usize, usize) -> bool) {
        self.sort();
        let mut calls = 0;
        let mut open: Option<(usize, usize, usize)> = None;
        let mut flush = |entries: &mut [Option<Entry>], first: usize, addr: usize, len: usize| {
            calls += 1;
            if !advice(addr, len) {
                entries
                    .iter_mut()
                    .skip(first)
                    .flatten()
                    .for_each(|entry| entry.refused = true);
            }
        };
        for index in 0..self.len {
            let Some(Some(entry)) = self.entries.get(index) else {
                break;
            };
            let (mask, huge) = (entry.mask, entry.huge);
            let mut from = 0;
            while let Some((start, run)) = next_run(&mask, from) {
                from = start + run;
                let (addr, bytes) = (huge.addr(start), run * PAGE);
                open = match open {
                    Some((first, at, len)) if at + len == addr && len + bytes <= CALL_BYTES => {
                        Some((first, at, len + bytes))
                    }
                    Some((first, at, len)) => {
                        // The entries up to the one before this run's, and this one if it began here.
                        let last = if first == index {
                            index
                        } else {
                            self.last_of(at + len, index)
                        };
                        flush(
                            self.entries.get_mut(..=last).unwrap_or_default(),
                            first,
                            at,
                            len,
                        );
                        Some((index, addr, bytes))
                    }
                    None => Some((index, addr, bytes)),
                };
            }
        }
        if let Some((first, at, len)) = open {
            flush(self.entries(), first, at, len);
        }
        self.calls = calls;
    }

    /// The entry up to `index` that holds the byte before `end`.
    fn last_of(&self, end: usize, index: usize) -> usize {
        let holds = |at: usize| matches!(self.entries.get(at), Some(Some(entry)) if entry.huge.base() < end);
        (0..=index).rev().find(|&at| holds(at)).unwrap_or(index)
    }
}

impl State {
    /// Dirty pages that may stay whatever their age.
    fn dirty_bound(&self) -> usize {
        let pressure = pressure::now();
        if pressure != Pressure::Calm {
            return pressure.of(self.bound.pages);
        }
        let peak = self.peak.pages();
        let share = peak * self.bound.percent / 100;
        peak.saturating_sub(self.active) + share.max(self.bound.pages)
    }

    /// Whether there are more dirty pages than may be.
    #[inline]
    pub(super) fn is_over_bound(&self) -> bool {
        let dirty = self.idle[Kind::Dirty as usize];
        dirty > pressure::now().of(self.bound.pages)
            && dirty > self.dirty_bound()
            && self.decay[Kind::Dirty as usize].decay_ms() >= 0
    }

    /// Pages of `kind` that are due.
    pub(super) fn excess(&self, kind: Kind) -> usize {
        let idle = self.idle[kind as usize];
        let by_age = self.decay[kind as usize].excess(idle);
        if kind == Kind::Dirty && self.is_over_bound() {
            // Somewhat below the bound, so that not every free brings a call.
            let bound = self.dirty_bound();
            return by_age.max(idle - (bound - bound / 8));
        }
        by_age
    }

    /// Marks about `want` pages of `kind` taken, in groups of `grain` pages, and puts them into `batch`.
    pub(super) fn collect(&mut self, batch: &mut Batch, kind: Kind, want: usize, grain: usize) {
        let visits = self.collect_runs(batch, kind, want, grain, batch.visits);
        // Here one that is of no use goes to the end: without a bound there would be none.
        let mut visits = visits.min(STEP_VISITS);
        while batch.wants(want) && visits > 0 {
            let Some(huge) = self.queues[kind as usize].head() else {
                break;
            };
            if !self.collect_part(huge, batch, kind, want, grain) {
                visits -= 1;
                let queue = &mut self.queues[kind as usize];
                queue.remove(huge, kind.chain());
                queue.push_back(huge, kind.chain());
            }
        }
    }

    /// The part of [`State::collect`] that looks at free runs, at `visits` huge pages in vain at most; answers how many
    /// it may still look at.
    pub(super) fn collect_runs(
        &mut self,
        batch: &mut Batch,
        kind: Kind,
        want: usize,
        grain: usize,
        mut visits: usize,
    ) -> usize {
        while batch.wants(want) && visits > 0 {
            let Some(head) = self.run_queues[kind as usize].head() else {
                break;
            };
            let before = batch.len;
            self.collect_run(head, batch, kind, want, grain, &mut visits);
            if batch.len == before {
                break;
            }
        }
        visits
    }

    /// Takes what is wanted of a partly used huge page. `false`: there is nothing.
    pub(super) fn collect_part(
        &mut self,
        huge: HugeRef,
        batch: &mut Batch,
        kind: Kind,
        want: usize,
        grain: usize,
    ) -> bool {
        let mask = idle_pages(huge, kind, want - batch.pages, grain, batch.least);
        if bits::count(&mask) == 0 {
            return false;
        }
        let split = self.break_up(huge);
        let before = Standing::of(huge);
        let idle = self.borrow_pages(huge, &mask);
        self.relink(huge, before);
        batch.push(huge, &mask, idle, split);
        true
    }

    /// Takes idle huge pages out of the free run `head`; what lies between them are runs again.
    fn collect_run(
        &mut self,
        head: HugeRef,
        batch: &mut Batch,
        kind: Kind,
        want: usize,
        grain: usize,
        visits: &mut usize,
    ) {
        let (len, mut rest, clean) = self.remove_run(head);
        let (base, stamp) = (head.base(), head.stamp.get());
        // The huge pages from `start` up to `index` stay; they hold `kept` idle pages, the first `lead` none.
        let (mut start, mut kept, mut index, mut lead) = (0, [0; 2], clean, clean);
        while index < len && rest[kind as usize] > 0 && batch.wants(want) && *visits > 0 {
            let Some(huge) = self.find(base + index * HUGE) else {
                break;
            };
            let own = [u32::from(huge.idle[0].get()), u32::from(huge.idle[1].get())];
            rest = [rest[0] - own[0], rest[1] - own[1]];
            let mask = idle_pages(huge, kind, want - batch.pages, grain, batch.least);
            index += 1;
            if bits::count(&mask) == 0 {
                *visits -= 1;
                kept = [kept[0] + own[0], kept[1] + own[1]];
                if kept == [0; 2] {
                    lead = index - start;
                }
                continue;
            }
            self.keep_run(base, start..index - 1, kept, stamp, lead);
            // Where all of it goes there is nothing to split.
            let split = bits::count(&mask) < HUGE_PAGES && self.break_up(huge);
            let idle = self.borrow_open(huge, &mask);
            batch.push(huge, &mask, idle, split);
            (start, kept, lead) = (index, [0; 2], 0);
        }
        let first = if start < len {
            self.find(base + start * HUGE)
        } else {
            None
        };
        if let Some(first) = first {
            first.stamp.set(stamp);
            let idle = [kept[0] + rest[0], kept[1] + rest[1]];
            self.insert_run(first, len - start, idle, lead);
        }
    }

    fn keep_run(
        &mut self,
        base: usize,
        range: Range<usize>,
        idle: [u32; 2],
        stamp: u32,
        clean: usize,
    ) {
        if range.is_empty() {
            return;
        }
        if let Some(first) = self.find(base + range.start * HUGE) {
            first.stamp.set(stamp);
            self.insert_run(first, range.len(), idle, clean);
        }
    }

    /// Ends the step: the pages of `batch`, which were of `kind`, are free again and, where the advice was not
    /// refused, as `how` says. Answers how many are.
    pub(super) fn finish(&mut self, batch: &mut Batch, kind: Kind, how: Idle) -> usize {
        let (mut done, mut purged) = (0, 0);
        let stamp = self.stamp;
        for entry in batch.entries().iter().flatten() {
            if entry.refused {
                // Later than all others.
                entry.huge.stamp.set(stamp);
                self.return_pages(entry.huge, &entry.mask, entry.idle, Idle::Refused);
            } else {
                self.return_pages(entry.huge, &entry.mask, entry.idle, how);
                let pages = bits::count(&entry.mask);
                if how != Idle::Lazy {
                    self.note_gone(entry.huge, entry.idle[0] + entry.idle[1]);
                    if pages == HUGE_PAGES {
                        entry.huge.whole.set(false);
                    }
                }
                done += pages;
                purged += usize::from(entry.idle[0]) + usize::from(entry.idle[1]);
                for kind in Kind::BOTH {
                    self.decay[kind as usize].purged(usize::from(entry.idle[kind as usize]));
                }
            }
        }
        if batch.calls > 0 {
            let figures = &mut self.purges[kind as usize];
            figures.npurge += 1;
            figures.nmadvise += batch.calls;
            figures.purged_pages += purged;
        }
        self.recount();
        done
    }
}

/// The highest `want` free pages of `kind` in groups of `grain`, each group wholly free (U2), in runs of `least` pages
/// or more.
fn idle_pages(huge: HugeRef, kind: Kind, want: usize, grain: usize, least: usize) -> Words {
    if huge.idle[kind as usize].get() == 0 {
        return [0; bits::WORDS];
    }
    let free = free_words(huge);
    let mut mask: Words = core::array::from_fn(|index| {
        let (touched, muzzy) = (huge.touched.word(index), huge.muzzy.word(index));
        free[index]
            & if kind == Kind::Muzzy {
                muzzy
            } else {
                touched & !muzzy
            }
    });
    if grain > 1 {
        let groups = bits::whole_groups(&free, grain);
        let mut whole = [0; bits::WORDS];
        let mut at = 0;
        while at + grain <= HUGE_PAGES {
            let (mut all, mut some) = (true, false);
            bits::each_word(at, grain, |index, bits| {
                all &= groups[index] & bits == bits;
                some |= mask[index] & bits != 0;
            });
            if all && some {
                bits::each_word(at, grain, |index, bits| whole[index] |= bits);
            }
            at += grain;
        }
        mask = whole;
    }
    if least > 1 {
        bits::keep_long(&mut mask, least);
    }
    if !huge.whole.get() {
        // What is one huge page goes whole, or as far as it can.
        bits::keep_highest(&mut mask, want, grain);
    }
    mask
}
