//! Pages of an arena made by request: from its hooks, to its objects, and back.
//!
//! ```text
//! alloc     dirty, muzzy, retained: best fit ──> carve ──> commit ──> in use
//!             └─ none ──> grow by steps that get larger ──refused──> just what is asked for
//! dealloc   dirty ──decay──> purge_lazy: muzzy ──decay──> dalloc ──refused──> decommit or purge_forced: retained
//! ```
//! G1  Whoever works on an extent has it `Moving`: the lock is free while a hook runs.
//! G2  What a hook refuses leaves everything as it was: an extent that cannot be cut is used whole or not at all, two
//!     that cannot be joined stay two, what cannot be given up is kept.
//! G3  Memory counts (see `meta::limit`) from when it is put to use until it has been given up.
//! G4  In a forked child extents that were `Moving` in other threads are lost, and nothing else.
//! G5  The page map names pages until they are offered back, and no longer: what the system takes it may hand to another
//!     thread before the call has returned.

use super::arena::ArenaRef;
use super::books::Books;
use super::extent::{ExtentRef, State};
use super::tree::skip;
use crate::arena::record::Kind;
use crate::extent::HEAP;
use crate::extent::hooks::{Caller, Given, Outside, Wanted};
use crate::extent::page_map;
use crate::meta::limit;
use crate::size::{PAGE, class_of};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

/// Extents that are purged between two looks at the books.
const BATCH: usize = 16;

/// Pages that are worth a call of the system.
const LEAST_PART: usize = 64;

/// Whether addresses are kept, and asked for in steps that get larger: the option `retain`.
static KEEPS: AtomicBool = AtomicBool::new(true);

/// Says whether arenas keep addresses. Set by the boot.
pub(crate) fn set_retain(retain: bool) {
    KEEPS.store(retain, Ordering::Relaxed);
    crate::extent::hooks::set_retain(retain);
}

/// Why an extent stayed whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uncut {
    /// A hook refused, as it will the next time.
    Refused,
    /// There was no memory for a record.
    NoRecord,
}

/// An arena at work: its hooks, and how to leave for them.
#[derive(Clone, Copy)]
pub(super) struct Works<O> {
    pub(super) arena: ArenaRef,
    pub(super) hooks: Caller<O>,
}

impl<O: Outside> Works<O> {
    pub(super) fn new(arena: ArenaRef, outside: O) -> Self {
        Self {
            arena,
            hooks: arena.caller(outside),
        }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Books) -> R) -> Option<R> {
        self.arena.with(work)
    }

    /// Pages at a multiple of `align`, in use, and whether they read zero. `None`: out of memory.
    pub(super) fn alloc(
        &self,
        pages: usize,
        align: usize,
        zero: bool,
    ) -> Option<(ExtentRef, bool)> {
        let align = align.max(PAGE);
        if !self.arena.has_books() {
            return None;
        }
        let found = self.reuse(pages, align);
        let found = found.or_else(|| self.grow(pages, align));
        let extent = match found.and_then(|found| self.prepare(found)) {
            Some(extent) => extent,
            // What is found may not be committed; what is asked for just so comes with memory.
            None if limit::has_room(pages.checked_mul(PAGE)?) => {
                let fresh = self.exact(pages, align, zero)?;
                self.prepare(fresh)?
            }
            None => return None,
        };
        let zeroed = extent.zeroed.get();
        extent.zeroed.set(false);
        self.with(|books| books.put(extent, State::Active))?;
        Some((extent, zeroed))
    }

    /// Makes an extent ready for use, or puts it back.
    fn prepare(&self, (extent, from): (ExtentRef, State)) -> Option<ExtentRef> {
        if self.ready(extent) {
            Some(extent)
        } else {
            self.put(extent, from);
            None
        }
    }

    /// An idle extent of the length, cut from a longer one if need be.
    fn reuse(&self, pages: usize, align: usize) -> Option<(ExtentRef, State)> {
        for state in State::IDLE {
            for exact in [false, true] {
                let Some(extent) = self.with(|books| books.take_fit(state, pages, align, exact))?
                else {
                    break;
                };
                match self.carve(extent, pages, align, state) {
                    Ok(extent) => return Some((extent, state)),
                    // G2: one of just that length does.
                    Err((rest, _)) => self.put(rest, state),
                }
            }
        }
        None
    }

    /// New pages from the hooks, more than are asked for.
    fn grow(&self, pages: usize, align: usize) -> Option<(ExtentRef, State)> {
        if !KEEPS.load(Ordering::Relaxed) {
            return None;
        }
        let least = pages.checked_add(align / PAGE - 1)?.checked_mul(PAGE)?;
        let limit = self.arena.grow_limit.load(Ordering::Relaxed);
        let step = self.with(|books| books.grow_pages)? * PAGE;
        if step == 0 {
            return None;
        }
        let bytes = class_of(least)?.size().max(step.min(limit & !(PAGE - 1)));
        if bytes > limit {
            return None;
        }
        let given = self.hooks.alloc(Wanted {
            at: ptr::null_mut(),
            bytes,
            align: PAGE,
            zero: false,
            commit: false,
        })?;
        let extent = self.adopt(given)?;
        self.with(|books| {
            let next = class_of(bytes + PAGE).map_or(bytes, |class| class.size());
            books.grow_pages = next.min(limit.max(PAGE)) / PAGE;
        });
        match self.carve(extent, pages, align, State::Retained) {
            Ok(extent) => Some((extent, State::Retained)),
            Err((rest, why)) => {
                // What cannot be cut is not to be asked for in excess, or each time more would lie idle.
                if why == Uncut::Refused {
                    self.with(|books| books.grow_pages = 0);
                }
                self.put(rest, State::Retained);
                None
            }
        }
    }

    /// New pages from the hooks, no more than are asked for.
    fn exact(&self, pages: usize, align: usize, zero: bool) -> Option<(ExtentRef, State)> {
        let given = self.hooks.alloc(Wanted {
            at: ptr::null_mut(),
            bytes: pages.checked_mul(PAGE)?,
            align,
            zero,
            commit: true,
        })?;
        Some((self.adopt(given)?, State::Retained))
    }

    /// Makes an extent of what the hooks gave. `None`: out of memory; it is given up.
    fn adopt(&self, given: Given) -> Option<ExtentRef> {
        let range = given.range;
        let covered = HEAP.cover(range.addr, range.bytes);
        let extent = covered.and_then(|()| ExtentRef::create(self.arena.index));
        let Some(extent) = extent else {
            if !self.hooks.dalloc(range) {
                self.hooks.destroy(range);
            }
            return None;
        };
        extent.committed.set(range.committed);
        extent.zeroed.set(given.zeroed);
        extent.pinned.set(given.pinned);
        extent.place(range.addr.as_ptr(), range.bytes / PAGE);
        Some(extent)
    }

    /// Cuts `pages` pages at a multiple of `align` out of `extent`; the rest is put where it came from. `Err`: it cannot
    /// be cut; what is left of it, and why.
    fn carve(
        &self,
        extent: ExtentRef,
        pages: usize,
        align: usize,
        state: State,
    ) -> Result<ExtentRef, (ExtentRef, Uncut)> {
        let mut extent = extent;
        let lead = skip(extent, align) / PAGE;
        if lead > 0 {
            let tail = self.split(extent, lead).map_err(|why| (extent, why))?;
            self.put(extent, state);
            extent = tail;
        }
        if extent.pages() > pages {
            let tail = self.split(extent, pages).map_err(|why| (extent, why))?;
            self.put(tail, state);
        }
        Ok(extent)
    }

    /// Cuts `extent` behind its first `pages` pages; the answer is the second part.
    fn split(&self, extent: ExtentRef, pages: usize) -> Result<ExtentRef, Uncut> {
        let tail = ExtentRef::create(self.arena.index).ok_or(Uncut::NoRecord)?;
        let first = pages * PAGE;
        let granted = |range| self.hooks.split(range, first);
        if !extent.range().is_some_and(granted) {
            // SAFETY: just made, named nowhere.
            unsafe { tail.recycle() };
            return Err(Uncut::Refused);
        }
        tail.copy_flags(extent);
        tail.place(extent.base().wrapping_add(first), extent.pages() - pages);
        extent.resize(pages);
        Ok(tail)
    }

    /// Joins two extents that lie side by side into the first. `false`: refused.
    fn merge(&self, first: ExtentRef, second: ExtentRef) -> bool {
        let (Some(a), Some(b)) = (first.range(), second.range()) else {
            return false;
        };
        if !self.hooks.merge(a, b) {
            return false;
        }
        if !second.zeroed.get() {
            first.zeroed.set(false);
        }
        let pages = first.pages() + second.pages();
        page_map::set_record(first.end().wrapping_sub(PAGE), None);
        second.unname();
        first.resize(pages);
        // SAFETY: the caller's, and unnamed.
        unsafe { second.recycle() };
        true
    }

    /// Sees to it that an extent may be written to: it is committed, and counts (G3). `false`: refused.
    fn ready(&self, extent: ExtentRef) -> bool {
        if !extent.resident.get() {
            if !limit::reserve(extent.bytes()) {
                return false;
            }
            extent.resident.set(true);
        }
        if extent.committed.get() {
            return true;
        }
        let Some(range) = extent.range() else {
            return false;
        };
        if !self.hooks.commit(range) {
            self.vacate(extent);
            return false;
        }
        extent.committed.set(true);
        extent.zeroed.set(true);
        true
    }

    /// Counts the memory of an extent off.
    fn vacate(&self, extent: ExtentRef) {
        if extent.resident.get() {
            extent.resident.set(false);
            limit::give(extent.bytes());
        }
    }

    /// Books an idle extent, the caller's, joined with its neighbours.
    fn put(&self, extent: ExtentRef, state: State) {
        let mut extent = extent;
        let mut sides = [true; 2];
        loop {
            let neighbour = self.with(|books| {
                for (side, open) in sides.iter().enumerate() {
                    let other = if side == 0 {
                        extent.before()
                    } else {
                        extent.behind()
                    };
                    let other = other.filter(|other| *open && other.state() == state);
                    if let Some(other) = other.filter(|other| other.is_like(extent)) {
                        books.take(other);
                        return Some((side, other));
                    }
                }
                books.put(extent, state);
                None
            });
            let Some(Some((side, other))) = neighbour else {
                return;
            };
            let (first, second) = if side == 0 {
                (other, extent)
            } else {
                (extent, other)
            };
            if self.merge(first, second) {
                extent = first;
            } else {
                sides[side] = false;
                self.with(|books| books.put(other, state));
            }
        }
    }

    /// Frees an extent that is in use and the caller's.
    pub(super) fn dealloc(&self, extent: ExtentRef, now_ns: u64) {
        extent.kind.set(Kind::ManualPages);
        self.with(|books| books.take(extent));
        let oversize = self.arena.oversize.load(Ordering::Relaxed);
        if extent.pinned.get() {
            self.put(extent, State::Retained);
        } else if oversize > 0 && extent.bytes() >= oversize {
            self.release(extent, State::Muzzy);
        } else {
            self.put(extent, State::Dirty);
            self.note_idle(now_ns);
        }
    }

    /// Sees to it that what has just become idle leaves in time.
    fn note_idle(&self, now_ns: u64) {
        let (dirty_ms, muzzy_ms) = self.arena.decay_ms();
        if dirty_ms == 0 {
            self.age(now_ns, false);
        } else if dirty_ms > 0 || muzzy_ms > 0 {
            self.arena.due_ns.fetch_min(now_ns, Ordering::Relaxed);
        }
    }

    /// Gives up an idle extent, the caller's, that was in `state`; the answer is whether a purge was granted.
    fn release(&self, extent: ExtentRef, state: State) -> bool {
        let Some(range) = extent.range() else {
            return false;
        };
        let (_, muzzy_ms) = self.arena.decay_ms();
        if state == State::Dirty && muzzy_ms != 0 && self.hooks.purge_lazy(range) {
            extent.zeroed.set(false);
            self.put(extent, State::Muzzy);
            return true;
        }
        // G5: what is given up may be another's the next instant.
        extent.unname();
        if self.hooks.dalloc(range) {
            self.forget(extent);
            return true;
        }
        extent.name();
        let mut granted = true;
        if range.committed && self.hooks.decommit(range) {
            extent.committed.set(false);
            extent.zeroed.set(false);
            self.vacate(extent);
        } else if range.committed && self.hooks.purge_forced(range) {
            // The application's word is good; the system's was put to a trial.
            extent
                .zeroed
                .set(!self.hooks.is_default() || HEAP.purging_zeroes());
            self.vacate(extent);
        } else {
            extent.zeroed.set(false);
            granted = state == State::Muzzy || self.hooks.purge_lazy(range);
        }
        self.put(extent, State::Retained);
        granted
    }

    /// Ends an extent whose pages are no longer the arena's, unnamed already (G5).
    fn forget(&self, extent: ExtentRef) {
        self.vacate(extent);
        // SAFETY: the caller's, and unnamed.
        unsafe { extent.recycle() };
    }

    /// Gives up what is due by `now_ns`, or with `all` all that is idle; pages given up.
    pub(super) fn age(&self, now_ns: u64, all: bool) -> usize {
        let mut purged = 0;
        let mut due = u64::MAX;
        // First: what becomes idle from here on says when it is due, and is not to be forgotten below.
        self.arena.due_ns.store(u64::MAX, Ordering::Relaxed);
        for (at, state) in [State::Dirty, State::Muzzy].into_iter().enumerate() {
            let mut left = None;
            loop {
                let mut batch = [None; BATCH];
                let next = self.with(|books| {
                    let pages = books.pages(state);
                    let decay = &mut books.decays[at];
                    decay.advance(now_ns, pages);
                    let excess = if all { pages } else { decay.excess(pages) };
                    // No more than there was at first: others may be adding to it all the time.
                    let mut left = left.unwrap_or(excess).min(excess);
                    for slot in &mut batch {
                        let Some(extent) = books.oldest(state).filter(|_| left > 0) else {
                            break;
                        };
                        books.take(extent);
                        let part = self.part(extent, left);
                        books.decays[at].purged(part);
                        left = left.saturating_sub(part);
                        *slot = Some((extent, part));
                    }
                    let due = books.decays[at].next_epoch_ns();
                    let due = due.filter(|_| books.pages(state) > 0 || batch[0].is_some());
                    (left, due.unwrap_or(u64::MAX))
                });
                let Some((still, next_due)) = next else {
                    return purged;
                };
                let (mut calls, mut pages) = (0, 0);
                for (extent, part) in batch.into_iter().flatten() {
                    if part < extent.pages() {
                        if let Ok(rest) = self.split(extent, part) {
                            self.put(rest, state);
                        }
                    }
                    let count = extent.pages();
                    if self.release(extent, state) {
                        calls += 1;
                        pages += count;
                    }
                }
                self.with(|books| {
                    let purges = &mut books.purges[at];
                    purges.sweeps += usize::from(left.is_none() && pages > 0);
                    purges.calls += calls;
                    purges.pages += pages;
                });
                purged += pages;
                left = Some(still);
                if still == 0 || batch[0].is_none() {
                    due = due.min(next_due);
                    break;
                }
            }
        }
        self.arena.due_ns.fetch_min(due, Ordering::Relaxed);
        purged
    }

    /// Pages of an idle extent that are given up where `excess` pages are to be: all, or a part of a long one, so that the
    /// curve holds. An application's hooks are not asked to cut for that.
    fn part(&self, extent: ExtentRef, excess: usize) -> usize {
        let part = excess.max(LEAST_PART);
        if self.hooks.is_default() && extent.pages() >= 2 * part {
            part
        } else {
            extent.pages()
        }
    }

    /// Makes an extent in use `pages` pages long, more than it has, where it is. `Some(zeroed)`: done, and whether what
    /// was added reads zero. `None`: it cannot be.
    pub(super) fn expand(&self, extent: ExtentRef, pages: usize, zero: bool) -> Option<bool> {
        let more = pages.checked_sub(extent.pages())?;
        let (next, from) = self.behind(extent, more).or_else(|| {
            let given = self.hooks.alloc(Wanted {
                at: extent.end(),
                bytes: more.checked_mul(PAGE)?,
                align: PAGE,
                zero,
                commit: true,
            })?;
            Some((self.adopt(given)?, State::Retained))
        })?;
        let zeroed = self.ready(next).then(|| next.zeroed.get());
        match zeroed {
            Some(zeroed)
                if extent.pinned.get() == next.pinned.get() && self.merge(extent, next) =>
            {
                extent.zeroed.set(false);
                self.with(|books| books.note_expanded(more));
                Some(zeroed)
            }
            _ => {
                self.put(next, from);
                None
            }
        }
    }

    /// The `pages` idle pages behind an extent, the caller's from now on.
    fn behind(&self, extent: ExtentRef, pages: usize) -> Option<(ExtentRef, State)> {
        let (next, state) = self.with(|books| {
            let next = extent.behind().filter(|next| next.pages() >= pages)?;
            let state = next.state();
            books.take(next);
            Some((next, state))
        })??;
        match self.carve(next, pages, PAGE, state) {
            Ok(next) => Some((next, state)),
            Err((rest, _)) => {
                self.put(rest, state);
                None
            }
        }
    }

    /// Makes an extent in use `pages` pages long, fewer than it has. `false`: refused.
    pub(super) fn shrink(&self, extent: ExtentRef, pages: usize, now_ns: u64) -> bool {
        let less = extent.pages() - pages;
        let Ok(tail) = self.split(extent, pages) else {
            return false;
        };
        self.with(|books| books.note_shrunk(less));
        if tail.pinned.get() {
            self.put(tail, State::Retained);
        } else {
            self.put(tail, State::Dirty);
            self.note_idle(now_ns);
        }
        true
    }

    /// Ends all idle extents: the arena is about to be no more.
    pub(super) fn destroy(&self) {
        for state in State::IDLE {
            while let Some(Some(extent)) = self.with(|books| {
                let extent = books.oldest(state)?;
                books.take(extent);
                Some(extent)
            }) {
                extent.unname();
                if let Some(range) = extent.range() {
                    if state == State::Retained || !self.hooks.dalloc(range) {
                        self.hooks.destroy(range);
                    }
                }
                self.forget(extent);
            }
        }
    }
}
