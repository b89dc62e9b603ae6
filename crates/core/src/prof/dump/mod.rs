//! Dump: what the books say, as text of one moment, a sheet at a time.
//!
//! ```text
//! begin   pin the books, name the moment          under the lock, at once
//! sort    all stacks there are, by their frames   nothing held: what is pinned does not change
//! fill    some lines onto the sheet               under the lock, some hundred microseconds; again and again
//! end     unpin
//! ```
//! U1  Every count of the `heap_v2` part is of the moment when the dump began, whatever happens until it is written.
//! U2  Its text is that of jemalloc's format, byte by byte, but for the first address of a stack: see [`Dump::frames`].
//! U3  No memory is needed but the sheet.
//! Lock: profile. Source: the testkit's facts of the format.

mod details;
mod sort;

pub(crate) use details::SlabFigures;

use super::BOOKS;
use super::books::Books;
use super::counts::{Counts, Sums};
use super::desk::Sheet;
use super::list;
use super::numbers;
use super::record::{Handle, Pinned};
use super::stack::{OfStack, Stack, Tally};
use super::thread::{self, Thread};

/// Bytes written under one hold of the lock.
const PIECE: usize = 8 << 10;

/// What the first part of a dump found, for a summary of leaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Found {
    /// Samples alive and their bytes, as a reader scales them.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Stacks that have some.
    pub(crate) stacks: u64,
}

/// Where a dump stands.
enum Stage {
    Header,
    Threads(Option<Handle<Thread>>),
    Stacks(Option<Handle<Stack>>),
    Tallies(Handle<Stack>, Option<Handle<Tally>>),
    Done,
}

/// A dump under way.
pub(crate) struct Dump {
    pinned: Pinned,
    moment: u32,
    era: u32,
    lg: u32,
    /// Whether cumulative counts are printed, and whether counts are corrected.
    accumulates: bool,
    unbias: bool,
    /// Threads from this number on came later.
    threads_end: u64,
    newest: Option<Handle<Stack>>,
    first: Option<Handle<Stack>>,
    stage: Stage,
    later: details::Stage,
    found: Found,
}

impl Dump {
    /// Begins a dump; its counts are corrected if `unbias` says so. The caller has the desk. Inside a passage, no lock held.
    pub(crate) fn begin(unbias: bool) -> Self {
        Self::of(&BOOKS.lock(), unbias)
    }

    /// The same, of any books.
    pub(super) fn of(books: &Books, unbias: bool) -> Self {
        books.moment.set(books.moment.get().wrapping_add(1));
        Self {
            pinned: books.pin(),
            moment: books.moment.get(),
            era: books.era.get(),
            lg: books.lg_sample.get(),
            accumulates: books.accumulates.get(),
            unbias,
            threads_end: books.next_uid.get(),
            newest: books.all.first(),
            first: None,
            stage: Stage::Header,
            later: details::Stage::Head,
            found: Found::default(),
        }
    }

    /// Puts the stacks in order. Takes time for each; nothing is held.
    pub(crate) fn sort(&mut self) {
        self.first = sort::sorted(self.newest, &self.pinned);
    }

    /// Writes some more of the `heap_v2` part, as far as there is room. `false`: that was all. Inside a passage, no lock
    /// held.
    pub(crate) fn fill(&mut self, sheet: &mut Sheet) -> bool {
        self.fill_from(&BOOKS.lock(), sheet)
    }

    pub(super) fn fill_from(&mut self, books: &Books, sheet: &mut Sheet) -> bool {
        let begin = sheet.as_bytes().len();
        while !sheet.is_full() && sheet.as_bytes().len() < begin + PIECE {
            if let Stage::Done = self.stage {
                return false;
            }
            self.step(books, sheet);
        }
        true
    }

    /// What was found alive.
    pub(crate) fn found(&self) -> Found {
        self.found
    }

    /// Ends the dump: what had to stay may go. Inside a passage, no lock held.
    pub(crate) fn end(self) {
        let is_untidy = {
            let books = BOOKS.lock();
            books.unpin(self.pinned);
            let is_untidy = books.is_untidy.replace(false);
            if is_untidy {
                books.begin_tidy();
            }
            is_untidy
        };
        while is_untidy && BOOKS.lock().tidy_some() {}
    }

    /// The same, of any books.
    #[cfg(test)]
    pub(super) fn end_of(self, books: &Books) {
        books.unpin(self.pinned);
        books.begin_tidy();
        while books.tidy_some() {}
    }

    fn step(&mut self, books: &Books, sheet: &mut Sheet) {
        let held = &books.held;
        self.stage = match self.stage {
            Stage::Header => {
                sheet.text("heap_v2/").decimal(1 << self.lg).text("\n");
                let all = books.kept.then(self.moment);
                let live = all.live;
                (self.found.objects, self.found.bytes) =
                    numbers::scaled(live.objects, live.bytes, self.lg);
                self.line(sheet, None, all);
                sheet.text("\n");
                Stage::Threads(books.threads.first())
            }
            Stage::Threads(Some(at)) => {
                let own = at.of(held);
                if own.uid < self.threads_end {
                    self.line(sheet, Some(own.uid), own.counts.then(self.moment, self.era));
                    let (name, len) = own.name();
                    if len > 0 {
                        sheet.text(" ").bytes(&name[..len]);
                    }
                    sheet.text("\n");
                }
                Stage::Threads(list::after::<thread::All, _>(at, held))
            }
            Stage::Threads(None) => Stage::Stacks(self.first),
            Stage::Stacks(Some(at)) => {
                let own = at.of(held);
                let all = self.sum(own, books);
                if all.live.objects > 0 {
                    self.found.stacks += 1;
                }
                if self.is_listed(all) {
                    Self::frames(sheet, own);
                    self.line(sheet, None, all);
                    sheet.text("\n");
                    Stage::Tallies(at, own.tallies.first())
                } else {
                    Stage::Stacks(own.sorted.get())
                }
            }
            Stage::Tallies(stack, Some(at)) => {
                let own = at.of(held);
                let counts = own.counts.then(self.moment, self.era);
                if self.is_listed(counts) {
                    self.line(sheet, Some(own.thread.of(held).uid), counts);
                    sheet.text("\n");
                }
                Stage::Tallies(stack, list::after::<OfStack, _>(at, held))
            }
            Stage::Tallies(stack, None) => Stage::Stacks(stack.of(held).sorted.get()),
            Stage::Stacks(None) | Stage::Done => Stage::Done,
        };
    }

    /// Counts of a stack over all threads: none of an earlier era.
    fn sum(&self, stack: &Stack, books: &Books) -> Counts {
        if stack.era.get() != books.era.get() {
            return Counts::ZERO;
        }
        let (mut sum, mut next) = (Counts::ZERO, stack.tallies.first());
        while let Some(tally) = next {
            let own = tally.of(&books.held);
            sum = sum.plus(own.counts.then(self.moment, self.era));
            next = list::after::<OfStack, _>(tally, &books.held);
        }
        sum
    }

    /// Whether counts of a stack have a line.
    fn is_listed(&self, counts: Counts) -> bool {
        match self.accumulates {
            true => counts.cumulative.objects > 0,
            false => counts.live.objects > 0,
        }
    }

    /// `  t1: 2: 3 [4: 5]`; without a number, `t*`.
    fn line(&self, sheet: &mut Sheet, uid: Option<u64>, counts: Counts) {
        sheet.text("  t");
        match uid {
            Some(uid) => sheet.decimal(uid),
            None => sheet.text("*"),
        };
        let (live, bytes) = self.pair(counts.live);
        sheet.text(": ").decimal(live).text(": ").decimal(bytes);
        let (ever, bytes) = match self.accumulates {
            true => self.pair(counts.cumulative),
            false => (0, 0),
        };
        sheet.text(" [").decimal(ever).text(": ").decimal(bytes);
        sheet.text("]");
    }

    fn pair(&self, sums: Sums) -> (u64, u64) {
        match self.unbias {
            true => numbers::printed(sums.estimate, self.lg),
            false => (sums.objects, sums.bytes),
        }
    }

    /// `@ 0x1 0x2`: return addresses, innermost first. Readers go one back from each but the first, to be inside the
    /// call: jemalloc's first ones are inside the allocator, ours are the program's, and already one less.
    fn frames(sheet: &mut Sheet, stack: &Stack) {
        sheet.text("@");
        for (at, &frame) in stack.frames().iter().enumerate() {
            let inside = frame.saturating_sub(usize::from(at == 0));
            sheet.text(" ").hex(inside);
        }
        sheet.text("\n");
    }
}
