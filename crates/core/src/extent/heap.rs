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

use super::descriptor::{self, HugeRef, Kind};
use super::fence;
use super::giant::GIANT_PAGES;
use super::huge::HugeFigures;
use super::moving::{Gaps, PIECE_PAGES};
use super::page_map;
use super::state::{Idle, Place, State, Want, all_used};
use crate::meta::{UNIT, limit};
use crate::options::Dss;
use crate::size::{HUGE, HUGE_PAGES, LG_PAGE, PAGE, Pages};
use crate::sync::{Guard, LockFigures, Mutex};
use crate::sys::{memory, probe};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use giving_back::Trust;

mod giving_back;

/// Pages that are populated at a time.
const WINDOW_PAGES: usize = (64 << 10) / PAGE;
/// Active pages from which on a heap counts as growing.
const GROWING_PAGES: usize = (1 << 20) / PAGE;
/// Refusals in a row after which populating is not tried again.
const POPULATE_REFUSALS: u8 = 8;
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

/// What purging of one kind did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PurgeFigures {
    /// Steps.
    pub(crate) npurge: usize,
    /// System calls.
    pub(crate) nmadvise: usize,
    /// Pages whose memory was given back.
    pub(crate) purged_pages: usize,
}

impl PurgeFigures {
    pub(super) const ZERO: Self = Self {
        npurge: 0,
        nmadvise: 0,
        purged_pages: 0,
    };
}

/// The heap's figures: bytes, but for the counts of purging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// In pages handed out.
    pub(crate) active: usize,
    /// Idle, the memory still there.
    pub(crate) dirty: usize,
    /// Idle, the system may take the memory.
    pub(crate) muzzy: usize,
    /// Address range without memory.
    pub(crate) retained: usize,
    /// Active, dirty and muzzy, and idle in huge pages.
    pub(crate) mapped: usize,
    /// Huge pages.
    pub(crate) huge: HugeFigures,
    /// Descriptors that wait to be used.
    pub(crate) spare_descriptors: usize,
    /// Bytes of all descriptors.
    pub(crate) descriptor_bytes: usize,
    /// Purging of dirty pages.
    pub(crate) dirty_purges: PurgeFigures,
    /// Purging of muzzy pages.
    pub(crate) muzzy_purges: PurgeFigures,
}

impl Figures {
    pub(crate) const ZERO: Self = Self {
        active: 0,
        dirty: 0,
        muzzy: 0,
        retained: 0,
        mapped: 0,
        huge: HugeFigures::ZERO,
        spare_descriptors: 0,
        descriptor_bytes: 0,
        dirty_purges: PurgeFigures::ZERO,
        muzzy_purges: PurgeFigures::ZERO,
    };
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

    /// Provides memory for a run and the free pages right behind it, of which there are `window.1`.
    #[cold]
    fn populate(&self, addr: usize, pages: usize, window: Option<(HugeRef, usize)>) {
        let behind = window.map_or(0, |(_, len)| len);
        let mut done = false;
        if self.populate_refusals.load(Ordering::Relaxed) < POPULATE_REFUSALS {
            let system = memory::page_size();
            let (from, to) = (addr & !(system - 1), addr + (pages + behind) * PAGE);
            if let Some(from) = NonNull::new(ptr::with_exposed_provenance_mut(from)) {
                let len = (to - from.addr().get()).next_multiple_of(system);
                // SAFETY: mapped, ours, and whole system pages; contents stay.
                done = unsafe { memory::populate(from, len) };
            }
            if done {
                self.populate_refusals.store(0, Ordering::Relaxed);
            } else {
                self.populate_refusals.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some((huge, len)) = window {
            let at = ((addr & (HUGE - 1)) >> LG_PAGE) + pages;
            let how = if done { Idle::Populated } else { Idle::Zero };
            let mut state = self.state.lock();
            state.give_back_borrowed(huge, at, len, how);
            state.recount();
        }
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

    /// Pages in use, at an address that stays; only ever looked at.
    pub(crate) fn active_pages(&self) -> *const usize {
        let state = self.state.lock();
        &raw const state.active
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

    /// Bytes of the pages that are in use or hold memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.state.lock().held() * PAGE
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

    /// Whether pages are on their way to the system at this instant: they count until they are there.
    pub(crate) fn is_purging(&self) -> bool {
        let state = self.state.lock();
        state.transit + state.pledged > 0
    }

    /// Bytes of idle pages that hold memory.
    pub(crate) fn idle_bytes(&self) -> usize {
        let state = self.state.lock();
        Kind::BOTH
            .iter()
            .map(|&kind| (state.idle[kind as usize] + state.transit_idle[kind as usize]) * PAGE)
            .sum()
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

    /// What was counted of its lock.
    pub(crate) fn lock_figures(&self) -> LockFigures {
        self.state.figures()
    }

    /// Counts that anew.
    pub(crate) fn forget_lock_figures(&self) {
        self.state.forget_figures();
    }

    /// The figures of this instant.
    pub(crate) fn figures(&self) -> Figures {
        let state = self.state.lock();
        let idle =
            |kind: Kind| (state.idle[kind as usize] + state.transit_idle[kind as usize]) * PAGE;
        let (dirty, muzzy) = (idle(Kind::Dirty), idle(Kind::Muzzy));
        // Fences have no memory, and are no idle pages either.
        let fences = if ptr::eq(self, &raw const HEAP) {
            fence::bytes()
        } else {
            0
        };
        let active = ((state.active + state.giant_pages) * PAGE).saturating_sub(fences);
        let huge = state.huges.figures();
        let retained = (state.owned - state.active) * PAGE - dirty - muzzy - huge.idle;
        Figures {
            active,
            dirty,
            muzzy,
            retained,
            mapped: active + dirty + muzzy + huge.idle,
            huge,
            spare_descriptors: state.spare_count,
            descriptor_bytes: state.descriptors * descriptor::UNITS * UNIT,
            dirty_purges: state.purges[Kind::Dirty as usize],
            muzzy_purges: state.purges[Kind::Muzzy as usize],
        }
    }
}

/// Where more pages come from.
#[derive(Clone, Copy)]
enum Source {
    Mapping,
    Exact,
    Break,
}

impl PageHeap {
    /// Gets more from the system and takes `want` from it. `None`: refused, by the system or by the limit.
    #[cold]
    fn alloc_growing(&self, state: &mut Guard<'_, State, 3>, want: Want) -> Option<Place> {
        let place = grow_for(state, want);
        if place.is_none() {
            state.recount();
        } else if state.has_grown_enough() {
            // A tick follows at once where huge pages may be earned: the next call may be far away.
            self.pressed.store(true, Ordering::Relaxed);
        }
        place
    }
}

fn grow_for(state: &mut Guard<'_, State, 3>, want: Want) -> Option<Place> {
    if !limit::has_room(want.pages * PAGE) {
        return None;
    }
    if want.pages >= GIANT_PAGES {
        if let Some(place) = state.alloc_giant(want) {
            return Some(place);
        }
    }
    use Source::{Break, Exact, Mapping};
    let sources: &[Source] = match state.dss {
        Dss::Disabled => &[Mapping, Exact],
        Dss::Primary => &[Break, Mapping, Exact],
        Dss::Secondary => &[Mapping, Exact, Break],
    };
    let (len, align) = want.huge_pages();
    let pages = want.pages + want.align - 1;
    for &source in sources {
        let grown = match source {
            Mapping => {
                let step = state.plan_mapping(len + align - 1);
                // Of several threads that grow at once each maps a step (H1); what is too much serves the next.
                let region = step.and_then(|step| state.unlocked(|| step.map()));
                region.is_some_and(|region| state.add(region, Idle::Zero))
            }
            Exact => state.grow_exactly(pages),
            Break => state.grow_break(pages),
        };
        if grown {
            if let Some(place) = state.search(want) {
                return Some(place);
            }
        }
        if let Some(place) = state.search_spans(want) {
            return Some(place);
        }
    }
    None
}

/// Marks free pages without memory behind a run of `pages` pages at `addr` as taken, so many that they make a
/// window with it.
fn borrow_window(state: &mut State, addr: usize, pages: usize) -> Option<(HugeRef, usize)> {
    let huge = state.find(addr)?;
    let at = ((addr & (HUGE - 1)) >> LG_PAGE) + pages;
    let most = WINDOW_PAGES.saturating_sub(pages).min(HUGE_PAGES - at);
    let fresh =
        |&page: &usize| !huge.used.has(page) && !huge.touched.has(page) && huge.zero.has(page);
    let len = (at..at + most).take_while(fresh).count();
    if len == 0 || limit::is_set() && !state.reserve(len) {
        return None;
    }
    state.borrow(huge, at, len);
    Some((huge, len))
}
