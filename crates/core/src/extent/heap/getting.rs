//! More for the page heap: pages from the system where none are free, and memory under pages that are about to be touched
//! (rules H1 and H3).

use super::PageHeap;
use crate::extent::descriptor::HugeRef;
use crate::extent::giant::GIANT_PAGES;
use crate::extent::state::{Idle, Place, State, Want};
use crate::meta::limit;
use crate::options::Dss;
use crate::size::{HUGE, HUGE_PAGES, LG_PAGE, PAGE};
use crate::sync::Guard;
use crate::sys::memory;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

/// Pages that are populated at a time.
const WINDOW_PAGES: usize = (64 << 10) / PAGE;
/// Refusals in a row after which populating is not tried again.
const POPULATE_REFUSALS: u8 = 8;

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
    pub(super) fn alloc_growing(
        &self,
        state: &mut Guard<'_, State, 3>,
        want: Want,
    ) -> Option<Place> {
        let place = grow_for(state, want);
        if place.is_none() {
            state.recount();
        } else if state.has_grown_enough() {
            // A tick follows at once where huge pages may be earned: the next call may be far away.
            self.pressed.store(true, Ordering::Relaxed);
        }
        place
    }

    /// Provides memory for a run and the free pages right behind it, of which there are `window.1`.
    #[cold]
    pub(super) fn populate(&self, addr: usize, pages: usize, window: Option<(HugeRef, usize)>) {
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
pub(super) fn borrow_window(
    state: &mut State,
    addr: usize,
    pages: usize,
) -> Option<(HugeRef, usize)> {
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
