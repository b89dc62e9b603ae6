//! Moving: memory that idles goes where it is needed.
//!
//! A run whose place is without memory would be faulted in page by page, at 2 us each, while pages with memory idle
//! elsewhere in runs that are too short for it. The system can move their memory to the new place instead: 7 us for
//! 512 pages, 5 for 64. A heap in use so long that free runs are scattered then needs no more memory than one in
//! which all that is free lies together.
//!
//! ```text
//! before   | used |idle| used |idle idle| used |          place, without memory          |
//! after    | used | .. | used | .. .. ..| used | moved | moved moved |  faulted when used  |
//! ```
//! M1  While it is moved, memory is nobody's where it comes from (marked taken) and the caller's where it goes to.
//! M2  What was moved from is without memory, reads zero, and is free.
//! M3  A mapping of the system that was moved does not join its new neighbours. `seam` marks where such mappings may
//!     begin and end; there are at most [`SEAMS_MAX`], as the system limits how many mappings a process may have
//!     and each costs it memory.
//! M4  A move takes the system's lock on all mappings, and waits for every fault and purge that is under way, on a busy
//!     machine for milliseconds. Where more than one thread allocates, only what saves copying [`LONG_PAGES`] is moved.
//! Lock: as in `heap`; the moves run without it (H1).

use super::bits::{self, Words, next_run};
use super::descriptor::Kind;
use super::heap::PageHeap;
use super::purge::Batch;
use super::state::{Idle, State};
use crate::size::{HUGE, LG_PAGE, PAGE, Pages};
use crate::sync::Guard;
use crate::sys::memory;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

/// Shortest run that is moved: a move takes two system calls, which is what a dozen faults take.
pub(super) const PIECE_PAGES: usize = 32;
/// Copying so much takes half a millisecond and more.
const LONG_PAGES: usize = (4 << 20) / PAGE;
/// See rule M3. The usual limit is 65 530 mappings a process.
const SEAMS_MAX: usize = 4096;
/// Gaps of a place that are looked at.
const GAPS: usize = 16;
/// Partly used huge pages that are looked at in a round.
const VISITS: usize = 64;
/// Refusals in a row after which moving is not tried again.
const MOVE_REFUSALS: u8 = 8;

/// Runs of pages without memory in a place that was chosen: address and pages.
pub(super) struct Gaps {
    runs: [(usize, usize); GAPS],
    len: usize,
}

impl Gaps {
    pub(super) const fn none() -> Self {
        Self {
            runs: [(0, 0); GAPS],
            len: 0,
        }
    }

    /// One gap of `pages` pages at `addr`.
    pub(super) fn of(addr: usize, pages: usize) -> Self {
        let mut gaps = Self::none();
        gaps.push(addr, pages);
        gaps
    }

    fn push(&mut self, addr: usize, pages: usize) {
        if let Some((last, len)) = self.len.checked_sub(1).and_then(|at| self.runs.get_mut(at)) {
            if *last + *len * PAGE == addr {
                *len += pages;
                return;
            }
            if *len < PIECE_PAGES {
                (*last, *len) = (addr, pages);
                return;
            }
        }
        if let Some(run) = self.runs.get_mut(self.len) {
            *run = (addr, pages);
            self.len += 1;
        }
    }

    /// Pages in gaps that are worth a move.
    pub(super) fn pages(&self) -> usize {
        let runs = self.runs.iter().take(self.len);
        let worth = runs.filter(|&&(_, pages)| pages >= PIECE_PAGES);
        worth.map(|&(_, pages)| pages).sum()
    }

    /// The first gap with room for a piece.
    fn first(&mut self) -> Option<&mut (usize, usize)> {
        let runs = self.runs.iter_mut().take(self.len);
        runs.into_iter().find(|run| run.1 >= PIECE_PAGES)
    }
}

/// The parts of the `pages` pages at `addr` by huge page: address, page within the huge page, pages.
pub(super) fn parts(addr: usize, pages: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = addr + pages * PAGE;
    let mut next = addr;
    core::iter::from_fn(move || {
        let from = next;
        next = end.min((from & !(HUGE - 1)) + HUGE);
        (from < end).then(|| {
            (
                from,
                (from & (HUGE - 1)) >> LG_PAGE,
                (next - from) >> LG_PAGE,
            )
        })
    })
}

impl State {
    /// The gaps of the `pages` pages at `addr`, which are ours.
    pub(super) fn gaps(&self, addr: usize, pages: usize) -> Gaps {
        let mut gaps = Gaps::none();
        for (addr, at, len) in parts(addr, pages) {
            let Some(huge) = self.find(addr) else { break };
            let mut bare: Words = [0; bits::WORDS];
            bits::each_word(at, len, |index, mask| {
                bare[index] = !huge.touched.word(index) & mask;
            });
            let mut next = 0;
            while let Some((start, len)) = next_run(&bare, next) {
                next = start + len;
                gaps.push(huge.addr(start), len);
            }
        }
        gaps
    }

    /// Notes that the mapping of the `pages` pages at `addr` came from elsewhere (M3).
    fn note_seams(&mut self, addr: usize, pages: usize) {
        for (addr, at, len) in parts(addr, pages) {
            let Some(huge) = self.find(addr) else { break };
            bits::each_word(at, len, |index, mask| {
                let seams = huge.seam.word(index);
                self.seams -= (seams & mask).count_ones() as usize;
                huge.seam.put(index, seams & !mask);
            });
        }
        for seam in [addr, addr + pages * PAGE] {
            if let Some(huge) = self.find(seam) {
                let at = (seam & (HUGE - 1)) >> LG_PAGE;
                let (index, bit) = (at / 64, 1 << (at % 64));
                self.seams += usize::from(huge.seam.word(index) & bit == 0);
                huge.seam.put(index, huge.seam.word(index) | bit);
            }
        }
    }
}

impl PageHeap {
    /// One thread more allocates, or one that did has ended (M4).
    pub(crate) fn note_thread(&self, begins: bool) {
        if begins {
            self.threads.fetch_add(1, Ordering::Relaxed);
        } else {
            self.threads.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// In a forked child: no other threads than its own.
    pub(crate) fn set_threads(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
    }

    fn is_crowded(&self) -> bool {
        self.threads.load(Ordering::Relaxed) > 1
    }

    fn may_move(&self, state: &State) -> bool {
        state.seams < SEAMS_MAX
            && self.move_refusals.load(Ordering::Relaxed) < MOVE_REFUSALS
            && self.grain() == 1
    }

    /// Moves idle memory into `gaps`, which are the caller's. Answers whether any was moved.
    #[cold]
    pub(super) fn fill<'a>(&'a self, mut state: Guard<'a, State, 3>, mut gaps: Gaps) -> bool {
        let mut any = false;
        loop {
            let want = gaps.pages();
            if want == 0
                || self.is_crowded()
                || state.idle[Kind::Dirty as usize] < PIECE_PAGES
                || !self.may_move(&state)
            {
                return any;
            }
            let mut batch = Batch::new().of_pieces(PIECE_PAGES);
            state.collect_pieces(&mut batch, want);
            let mut plan = Plan::new();
            for (number, entry) in batch.entries().iter().flatten().enumerate() {
                let mut next = 0;
                while let Some((start, len)) = next_run(&entry.mask, next) {
                    next = start + len;
                    state.pieces(entry.huge.addr(start), len, |from, pages| {
                        plan.fill(number, (from, pages), &mut gaps);
                    });
                }
            }
            drop(state);
            batch.split();
            let mut moved = false;
            for of in plan.iter_mut() {
                of.done = self.move_piece(of);
                moved |= of.done;
            }
            state = self.state.lock();
            state.finish_moves(&mut batch, &plan);
            if !moved {
                return any;
            }
            any = true;
        }
    }

    /// Moves the contents of `pages` pages of one run to another. `Some(bare)`: done, and whether the first is without
    /// memory now and reads zero. `None`: refused, nothing moved.
    ///
    /// # Safety
    /// `from` and `to` are runs of at least that many pages that the caller holds; what is in the second is of no use.
    pub(crate) unsafe fn relocate(
        &self,
        from: NonNull<u8>,
        to: NonNull<u8>,
        pages: Pages,
    ) -> Option<bool> {
        let goal = to.as_ptr().expose_provenance();
        let (mut plan, mut at) = (Plan::new(), goal);
        if self.is_crowded() && pages.0 < LONG_PAGES {
            return None;
        }
        {
            let state = self.state.lock();
            if !self.may_move(&state) {
                return None;
            }
            state.pieces(from.as_ptr().expose_provenance(), pages.0, |from, pages| {
                plan.push(0, from, at, pages);
                at += pages * PAGE;
            });
        }
        if at != goal + pages.bytes() || plan.len == PIECES {
            // Too many pieces.
            return None;
        }
        let (mut any, mut bare) = (false, true);
        for of in plan.iter_mut() {
            of.done = of.pages >= PIECE_PAGES && self.move_piece(of);
            any |= of.done;
            bare &= of.done;
        }
        if !any {
            return None;
        }
        let mut state = self.state.lock();
        plan.iter().filter(|of| of.done).for_each(|of| {
            state.break_up_range(of.from, of.pages);
            state.break_up_range(of.to, of.pages);
            state.note_seams(of.to, of.pages);
        });
        drop(state);
        for of in plan.iter().filter(|of| !of.done) {
            let offset = of.to - goal;
            // SAFETY: pages of two runs that the caller holds.
            unsafe {
                from.add(offset)
                    .copy_to_nonoverlapping(to.add(offset), of.pages * PAGE);
            }
        }
        Some(bare)
    }

    fn move_piece(&self, piece: &Piece) -> bool {
        let place = |addr| NonNull::new(ptr::with_exposed_provenance_mut(addr));
        let (Some(from), Some(to)) = (place(piece.from), place(piece.to)) else {
            return false;
        };
        // SAFETY: whole system pages (`may_move`), disjoint; the caller holds the second, and the first or has marked it
        //         taken (M1).
        let moved = unsafe { memory::relocate(from, to, piece.pages * PAGE) };
        if moved {
            self.move_refusals.store(0, Ordering::Relaxed);
        } else {
            self.move_refusals.fetch_add(1, Ordering::Relaxed);
        }
        moved
    }
}

/// Pieces that are moved in a round.
const PIECES: usize = 64;

/// A piece of memory to be moved.
#[derive(Clone, Copy)]
struct Piece {
    /// The entry of a batch that it is of.
    entry: usize,
    from: usize,
    to: usize,
    pages: usize,
    done: bool,
}

/// What is moved in a round.
struct Plan {
    pieces: [Piece; PIECES],
    len: usize,
}

impl Plan {
    const fn new() -> Self {
        const NONE: Piece = Piece {
            entry: 0,
            from: 0,
            to: 0,
            pages: 0,
            done: false,
        };
        Self {
            pieces: [NONE; PIECES],
            len: 0,
        }
    }

    fn push(&mut self, entry: usize, from: usize, to: usize, pages: usize) {
        if let Some(place) = self.pieces.get_mut(self.len) {
            *place = Piece {
                entry,
                from,
                to,
                pages,
                done: false,
            };
            self.len += 1;
        }
    }

    /// Plans to move the memory of `run`, of entry `entry`, into `gaps`.
    fn fill(&mut self, entry: usize, run: (usize, usize), gaps: &mut Gaps) {
        let (mut from, mut left) = run;
        while left >= PIECE_PAGES && self.len < PIECES {
            let Some(gap) = gaps.first() else { return };
            let pages = left.min(gap.1);
            self.push(entry, from, gap.0, pages);
            *gap = (gap.0 + pages * PAGE, gap.1 - pages);
            from += pages * PAGE;
            left -= pages;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().take(self.len)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        self.pieces.iter_mut().take(self.len)
    }
}

impl State {
    /// Calls `visit` for the pieces of the `pages` pages at `addr` between seams: the system moves one mapping at a time.
    fn pieces(&self, addr: usize, pages: usize, mut visit: impl FnMut(usize, usize)) {
        let mut start = addr;
        for (addr, at, len) in parts(addr, pages) {
            let Some(huge) = self.find(addr) else {
                continue;
            };
            bits::each_word(at, len, |index, mask| {
                let mut seams = huge.seam.word(index) & mask;
                while seams != 0 {
                    let seam = huge.addr(index * 64 + seams.trailing_zeros() as usize);
                    seams &= seams - 1;
                    if seam > start {
                        visit(start, (seam - start) / PAGE);
                        start = seam;
                    }
                }
            });
        }
        visit(start, (addr + pages * PAGE - start) / PAGE);
    }

    /// Marks about `want` dirty pages in long runs taken and puts them into `batch`: from free huge pages first.
    fn collect_pieces(&mut self, batch: &mut Batch, want: usize) {
        let dirty = Kind::Dirty;
        self.collect_runs(batch, dirty, want, 1, VISITS);
        let mut next = self.queues[dirty as usize].head();
        let mut visits = VISITS;
        while let Some(huge) = next.filter(|_| visits > 0 && batch.wants(want)) {
            next = huge.next(dirty.chain());
            visits -= 1;
            self.collect_part(huge, batch, dirty, want, 1);
        }
    }

    /// Ends a round: what was moved is free and without memory (M2), the rest as it was.
    fn finish_moves(&mut self, batch: &mut Batch, plan: &Plan) {
        for (number, entry) in batch.entries().iter().flatten().enumerate() {
            let mut moved: Words = [0; bits::WORDS];
            for of in plan.iter().filter(|of| of.done && of.entry == number) {
                self.break_up_range(of.from, of.pages);
                self.break_up_range(of.to, of.pages);
                self.note_seams(of.to, of.pages);
                let at = (of.from & (HUGE - 1)) >> LG_PAGE;
                bits::each_word(at, of.pages, |index, mask| moved[index] |= mask);
            }
            let rest: Words = core::array::from_fn(|index| entry.mask[index] & !moved[index]);
            for (mask, how) in [(moved, Idle::Zero), (rest, Idle::Refused)] {
                let pages = bits::count(&mask);
                if pages > 0 {
                    self.return_pages(entry.huge, &mask, [pages as u16, 0], how);
                }
            }
        }
        self.recount();
    }
}
