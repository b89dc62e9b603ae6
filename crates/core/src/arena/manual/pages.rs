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
use crate::arena::record::Kind;
use crate::extent::HEAP;
use crate::extent::hooks::{Caller, Given, Outside, Wanted};
use crate::meta::limit;
use crate::size::{PAGE, class_of};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use shape::Uncut;

mod giving_up;
mod shape;

/// Whether addresses are kept, and asked for in steps that get larger: the option `retain`.
static KEEPS: AtomicBool = AtomicBool::new(true);

/// Says whether arenas keep addresses. Set by the boot.
pub(crate) fn set_retain(retain: bool) {
    KEEPS.store(retain, Ordering::Relaxed);
    crate::extent::hooks::set_retain(retain);
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
}
