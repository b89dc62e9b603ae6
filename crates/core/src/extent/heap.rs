//! Page heap: the door to runs of pages.
//!
//! ```text
//! alloc ──> lock, search ──found──> unlock [populate]
//!              └──nothing──> grow, search again
//! dealloc ──> lock, join, unlock [tell that more is idle than may be]
//! giving_back: tick ──> an epoch has passed, or too much is idle ──> one step of purging
//! ```
//! H1  System calls that take long (purging, populating, mapping, unmapping) run without the lock, over pages that are
//!     marked taken meanwhile, or not yet known.
//! H2  `zeroed` is said only of pages that the system gave or took and nobody wrote since; pages purged count
//!     only where a trial has shown that purging zeroes (an emulator may lie).
//! H3  A refusal by the system is `None`; nothing is lost, and the same call may succeed later.
//! Lock: page heap, rank 3. Calls the metadata below it, never an arena.

use super::descriptor::Kind;
use super::giant::GIANT_PAGES;
use super::moving::{Gaps, PIECE_PAGES};
use super::page_map;
use super::state::{Idle, Place, State, Want, all_used};
use crate::options::Dss;
use crate::size::{HUGE, LG_PAGE, PAGE, Pages};
use crate::sync::{Guard, Mutex};
use crate::sys::probe;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use getting::borrow_window;
use giving_back::Trust;

mod figures;
mod getting;
mod giving_back;

pub(crate) use figures::{Figures, PurgeFigures};

/// Active pages from which on a heap counts as growing.
const GROWING_PAGES: usize = (1 << 20) / PAGE;
/// No address space is larger.
const PAGES_MAX: usize = 1 << 36;

/// The heap of all automatic arenas.
#[unsafe(link_section = ".data.jemoxide_start")]
pub(crate) static HEAP: PageHeap = PageHeap::new();

/// What a run of pages is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To be touched at once, page by page, as slabs are: its memory is asked for ahead.
    Filled,
    /// To read zero: pages without memory are as good as any.
    Zeroed,
    /// To be written, sooner or later: idle memory is moved there. So many of its first pages need none, as theirs is
    /// going to be moved there by the caller.
    Written(usize),
}

impl Purpose {
    /// What the application asked for: memory that reads zero, or any.
    pub(crate) const fn of_request(zeroed: bool) -> Self {
        if zeroed {
            Self::Zeroed
        } else {
            Self::Written(0)
        }
    }
}

/// A run of pages handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Where it is.
    pub(crate) addr: NonNull<u8>,
    /// Whether all of it reads zero.
    pub(crate) zeroed: bool,
    /// Whether its first pages, of which [`Purpose::Written`] says that they need none, have mostly no memory: what is
    /// there would be lost by a move.
    pub(crate) vacant: bool,
}

/// A heap of pages.
pub(crate) struct PageHeap {
    pub(super) state: Mutex<State, 3>,
    /// When `tick` has something to do, by the clock.
    next_epoch_ns: AtomicU64,
    /// More is idle than may be, or than goes unnoticed.
    pressed: AtomicBool,
    /// One more than the idle pages that go unnoticed; 0: no number is noticed.
    notice: AtomicUsize,
    /// Somebody is in `tick`.
    ticking: AtomicBool,
    /// See [`Trust`].
    trust: AtomicU8,
    /// The system knows no lazy purging.
    no_lazy: AtomicBool,
    populate_refusals: AtomicU8,
    /// See `moving`.
    pub(super) move_refusals: AtomicU8,
    /// Threads that allocate (M4 of `moving`).
    pub(super) threads: AtomicUsize,
    /// Somebody is in `earn`.
    pub(super) earning: AtomicBool,
    /// Pages in a group that is purged as one; 0: the system's page decides. Set in tests.
    pub(super) grain: AtomicU8,
}

impl PageHeap {
    pub(crate) const fn new() -> Self {
        Self {
            state: Mutex::new(State::new()),
            next_epoch_ns: AtomicU64::new(0),
            pressed: AtomicBool::new(false),
            notice: AtomicUsize::new(0),
            ticking: AtomicBool::new(false),
            trust: AtomicU8::new(Trust::Untried as u8),
            no_lazy: AtomicBool::new(false),
            populate_refusals: AtomicU8::new(0),
            move_refusals: AtomicU8::new(0),
            threads: AtomicUsize::new(0),
            earning: AtomicBool::new(false),
            grain: AtomicU8::new(0),
        }
    }

    /// Hands out a run of `pages` pages at a multiple of `align` bytes, a power of two (up to a page: none).
    ///
    /// `None`: the system refused memory, or no address space could hold it.
    #[inline]
    pub(crate) fn alloc(&self, pages: Pages, align: usize, purpose: Purpose) -> Option<Run> {
        if pages.0 == 0 || pages.0 > PAGES_MAX || align > PAGES_MAX * PAGE {
            return None;
        }
        let want = Want {
            pages: pages.0,
            align: (align >> LG_PAGE).max(1),
        };
        let mut state = self.state.lock();
        state.asked = true;
        let mut vacant = false;
        let place = match purpose {
            Purpose::Written(bare) if bare > 0 || want.pages >= PIECE_PAGES => {
                let (place, is_vacant) = self.alloc_filled(state, want, bare)?;
                vacant = is_vacant;
                place
            }
            _ => {
                let place = match state.search(want) {
                    Some(place) => place,
                    None => self.alloc_growing(&mut state, want)?,
                };
                self.note_held(&mut state);
                if purpose == Purpose::Filled
                    && place.taken.untouched
                    && want.is_small()
                    && state.active >= GROWING_PAGES
                {
                    let window = borrow_window(&mut state, place.addr, want.pages);
                    state.recount();
                    drop(state);
                    self.populate(place.addr, want.pages, window);
                }
                place
            }
        };
        let addr = NonNull::new(ptr::with_exposed_provenance_mut(place.addr))?;
        probe!(jemoxide:extent_alloc, place.addr, pages.bytes());
        Some(Run {
            addr,
            zeroed: place.taken.zeroed,
            vacant,
        })
    }

    /// Takes a place for `want` and moves idle memory to where it has none, but for its `bare` first pages. Answers
    /// whether these are vacant, too.
    #[cold]
    fn alloc_filled(
        &self,
        mut state: Guard<'_, State, 3>,
        want: Want,
        bare: usize,
    ) -> Option<(Place, bool)> {
        let (front, rest) = (bare, want.pages - bare);
        let (mut place, vacant, gaps) = match state.locate(want) {
            Some(spot) => {
                let vacant = state.gaps(spot.addr(), front).pages();
                let gaps = state.gaps(spot.addr() + front * PAGE, rest);
                (state.take_spot(spot, want)?, vacant, gaps)
            }
            None => {
                let place = self.alloc_growing(&mut state, want)?;
                // A giant has no descriptors to note seams in (M3 of moving).
                let gaps = if want.pages < GIANT_PAGES {
                    Gaps::of(place.addr + front * PAGE, rest)
                } else {
                    Gaps::none()
                };
                (place, front, gaps)
            }
        };
        self.note_held(&mut state);
        place.taken.zeroed &= !self.fill(state, gaps);
        Some((place, vacant * 2 > front))
    }

    /// Takes a run back.
    ///
    /// # Safety
    /// `addr` is the start of a run of `pages` pages, or of the head or the tail of one, that `alloc` or
    /// `expand` gave; nobody uses it from now on.
    #[inline]
    pub(crate) unsafe fn dealloc(&self, addr: NonNull<u8>, pages: Pages) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc_as(addr, pages, Idle::Freed) }
    }

    /// Takes a run back whose memory was moved away by [`PageHeap::relocate`].
    ///
    /// # Safety
    /// As for [`PageHeap::dealloc`]; nothing was written to it since.
    pub(crate) unsafe fn dealloc_bare(&self, addr: NonNull<u8>, pages: Pages) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc_as(addr, pages, Idle::Zero) }
    }

    /// # Safety
    /// As for [`PageHeap::dealloc`].
    #[inline(always)]
    unsafe fn dealloc_as(&self, addr: NonNull<u8>, pages: Pages, how: Idle) {
        probe!(jemoxide:extent_dalloc, addr.addr().get(), pages.bytes());
        let mut state = self.state.lock();
        if !state.dealloc(addr.addr().get(), pages.0, how) {
            drop(state);
            self.dealloc_giant(addr.addr().get(), pages.0);
            return;
        }
        let over = state.is_over_bound();
        let dirty = state.idle[Kind::Dirty as usize];
        let at_once = state.decay[Kind::Dirty as usize].decay_ms() == 0;
        state.recount();
        drop(state);
        if over && !self.pressed.load(Ordering::Relaxed) {
            self.pressed.store(true, Ordering::Relaxed);
        }
        self.note_idle(dirty);
        if at_once {
            self.purge_due();
        }
    }

    #[cold]
    fn dealloc_giant(&self, addr: usize, pages: usize) {
        let Some(remains) = self.state.lock().dealloc_giant(addr, pages) else {
            return;
        };
        let refused = remains.give_back();
        let mut state = self.state.lock();
        state.pledged -= pages;
        if let Some(region) = refused {
            // It serves smaller runs from now on.
            state.add(region, Idle::Refused);
        }
        state.recount();
    }

    /// Grows a run in place from `old` to `new` pages into free pages right behind it. `Some(zeroed)`: done, and
    /// whether what was added reads zero.
    ///
    /// # Safety
    /// `addr` is the start of a run of `old` pages that the caller holds.
    pub(crate) unsafe fn expand(
        &self,
        addr: NonNull<u8>,
        old: Pages,
        new: Pages,
        purpose: Purpose,
    ) -> Option<bool> {
        let addr = addr.addr().get();
        let mut state = self.state.lock();
        let added = new.0.checked_sub(old.0)?;
        let gaps = match purpose {
            Purpose::Written(_) if added >= PIECE_PAGES => state.gaps(addr + old.bytes(), added),
            _ => Gaps::none(),
        };
        let zeroed = state.expand(addr, old.0, new.0)?;
        self.note_held(&mut state);
        let filled = self.fill(state, gaps);
        Some(zeroed && !filled)
    }

    /// Makes the page map cover a range that is not this heap's. `None`: out of memory.
    pub(crate) fn cover(&self, addr: NonNull<u8>, bytes: usize) -> Option<()> {
        let _state = self.state.lock();
        page_map::cover(addr.addr().get(), bytes)
    }

    /// Whether `addr` lies in a page that the heap has handed out.
    pub(crate) fn owns(&self, addr: *const u8) -> bool {
        let state = self.state.lock();
        let at = (addr.addr() & (HUGE - 1)) >> LG_PAGE;
        match state.find(addr.addr()) {
            Some(huge) => all_used(huge, at, 1),
            None => state.giant_at(addr.addr()).is_some(),
        }
    }

    /// Takes a part of a run back whose memory was purged, and counted off, by the caller (C4 of `count`).
    ///
    /// # Safety
    /// As for [`PageHeap::dealloc`], of any pages of a run shorter than a huge page; they were not written to since.
    pub(crate) unsafe fn dealloc_purged(&self, addr: NonNull<u8>, pages: Pages) {
        let zeroes = self.purging_zeroes();
        let addr = addr.addr().get();
        let mut state = self.state.lock();
        let how = match (state.find(addr).is_some_and(State::may_be_filled), zeroes) {
            (false, true) => Idle::Zero,
            (false, false) => Idle::Clean,
            (true, true) => Idle::Populated,
            (true, false) => Idle::Refused,
        };
        state.dealloc(addr, pages.0, how);
        state.forget_counted(pages.0);
        state.recount();
    }

    /// The decay times, of dirty pages and of muzzy ones.
    pub(crate) fn decay_ms(&self) -> (isize, isize) {
        let state = self.state.lock();
        let of = |kind: Kind| state.decay[kind as usize].decay_ms();
        (of(Kind::Dirty), of(Kind::Muzzy))
    }

    /// Where memory comes from.
    pub(crate) fn dss(&self) -> Dss {
        self.state.lock().dss
    }

    /// Says where memory comes from, from now on.
    pub(crate) fn set_dss(&self, dss: Dss) {
        self.state.lock().dss = dss;
    }

    /// Says where memory comes from and how long it may stay idle, before there is any: touches little, and purges
    /// nothing.
    pub(crate) fn prepare(&self, dss: Dss, dirty_ms: isize, muzzy_ms: isize) {
        let mut state = self.state.lock();
        state.dss = dss;
        state.decay[Kind::Dirty as usize].begin(dirty_ms);
        state.decay[Kind::Muzzy as usize].begin(muzzy_ms);
    }
}
