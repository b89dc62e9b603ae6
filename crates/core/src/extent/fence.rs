//! Fences: pages that nobody may touch, one right behind a large object.
//!
//! ```text
//! page heap   | pages of an object ... | fence | pages of the next ... | fence | slabs ...
//!                  too far ──────────────> signal <── too far back
//! ```
//! An access that runs beyond an object with a fence, or back into the fence of its neighbour below, ends by a signal at
//! once. What waits in the run cache keeps its fence: a program in its steady state makes no system call for any.
//!
//! F1  A fence is a page of its object's run: taken with it, and given back with it, lowered first.
//! F2  They are bounded, so that they cost nothing that could be measured: objects of up to [`LONGEST`] pages have them, the
//!     first [`BEGIN`] requests one each, later ones one in [`EVERY`]; and so many stand at a time, [`LIGHT`] of those that
//!     leave the mapping in one piece (Linux 6.13), [`HEAVY`] of those that cut it in two.
//! F3  A huge page that is to be one for the system loses the fences in it ([`lower_within`]): the owner of such a page finds
//!     it lowered. None is raised in one that is one.
//! F4  A fence that the system does not let go stays where it is, and its page is nobody's for good.
//! Lock: fences, rank 3, never together with the page heap's; held during the system call, which is for one page.
//! Source of the light ones: Linux, `madvise(2)`, `MADV_GUARD_INSTALL`.

use super::heap::HEAP;
use crate::size::{PAGE, Pages};
use crate::sync::Mutex;
use crate::sys::memory;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Pages of the longest object with a fence: longer ones do not wait in the run cache, and are often to have huge pages.
const LONGEST: usize = (1 << 20) / PAGE;
/// Fences that may stand at a time.
const LIGHT: usize = 64;
const HEAVY: usize = 16;
/// Requests that get one each.
const BEGIN: u32 = 64;
/// Later requests of which one gets one.
const EVERY: u32 = 512;

/// Whether there are any; the boot says so.
#[unsafe(link_section = ".data.jemoxide_start")]
static WANTED: AtomicBool = AtomicBool::new(false);

/// How a fence was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Make {
    Light,
    Heavy,
}

struct Fences {
    /// Addresses of pages, 0: none; and how they were made.
    stand: [(usize, Make); LIGHT],
}

static FENCES: Mutex<Fences, 3> = Mutex::new(Fences {
    stand: [(0, Make::Light); LIGHT],
});
/// Fences that stand; changed under the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Requests so far. Relaxed and not exact: it steers, it guards nothing.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Says whether there are to be any. Called by the boot.
pub(crate) fn want(wanted: bool) {
    WANTED.store(wanted && memory::page_size() == PAGE, Ordering::Relaxed);
}

/// Whether an object of so many pages is to have a fence (F2): a page more is taken for it then, and [`raise`] called.
#[inline]
pub(crate) fn is_due(pages: Pages) -> bool {
    if pages.0 > LONGEST || !WANTED.load(Ordering::Relaxed) {
        return false;
    }
    let asked = ASKED.load(Ordering::Relaxed).wrapping_add(1);
    ASKED.store(asked, Ordering::Relaxed);
    asked <= BEGIN || asked % EVERY == 0
}

/// Makes the page at `page` a fence. `false`: there is none there.
///
/// # Safety
/// The page is the caller's, in use, and its contents are of no use.
pub(crate) unsafe fn raise(page: NonNull<u8>) -> bool {
    if HEAP.is_held(page.addr().get()) {
        return false;
    }
    let mut fences = FENCES.lock();
    let count = COUNT.load(Ordering::Relaxed);
    let Some(place) = fences.stand.iter_mut().find(|(addr, _)| *addr == 0) else {
        return false;
    };
    // SAFETY: the caller's promise.
    let make = unsafe {
        if memory::fence(page, PAGE) {
            Make::Light
        } else if count < HEAVY && memory::protect(page, PAGE, false) {
            Make::Heavy
        } else {
            return false;
        }
    };
    *place = (page.addr().get(), make);
    COUNT.store(count + 1, Ordering::Relaxed);
    true
}

/// Bytes of the fences that stand.
pub(super) fn bytes() -> usize {
    COUNT.load(Ordering::Relaxed) * PAGE
}

/// Lowers the fence that [`raise`] made at `page`: the page is as any other. `false`: refused (F4).
///
/// # Safety
/// The page is the caller's.
pub(crate) unsafe fn lower(page: NonNull<u8>) -> bool {
    let mut fences = FENCES.lock();
    let addr = page.addr().get();
    match fences.stand.iter().position(|&(stands, _)| stands == addr) {
        // SAFETY: the caller's promise.
        Some(place) => unsafe { fences.lower_at(place) },
        // Rule F3.
        None => true,
    }
}

/// Lowers the fences within `bytes` at `start`, which stay their owners' pages (F3).
#[cold]
pub(crate) fn lower_within(start: usize, bytes: usize) {
    let mut fences = FENCES.lock();
    for place in 0..LIGHT {
        if (start..start + bytes).contains(&fences.stand[place].0) {
            // SAFETY: a page that somebody has taken for a fence, and has not lowered: it leaves the table, under this
            //         lock, before it changes hands. One that is refused stands on, and its huge page stays small.
            let _ = unsafe { fences.lower_at(place) };
        }
    }
}

impl Fences {
    /// Lowers the fence at a place of the table.
    ///
    /// # Safety
    /// Nobody uses its page.
    unsafe fn lower_at(&mut self, place: usize) -> bool {
        let (addr, make) = self.stand[place];
        let Some(page) = NonNull::new(ptr::with_exposed_provenance_mut(addr)) else {
            return true;
        };
        // SAFETY: a page of ours; what is there is of no use.
        let done = unsafe {
            match make {
                Make::Light => memory::unfence(page, PAGE),
                Make::Heavy => memory::protect(page, PAGE, true),
            }
        };
        if done {
            self.stand[place].0 = 0;
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
        done
    }
}

/// Whether a fence stands at `addr`.
#[cfg(test)]
pub(crate) fn stands_at(addr: usize) -> bool {
    FENCES
        .lock()
        .stand
        .iter()
        .any(|&(stands, _)| stands == addr)
}

/// Fences that stand.
#[cfg(test)]
pub(crate) fn standing() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Counts requests anew.
#[cfg(test)]
pub(crate) fn begin_anew() {
    ASKED.store(0, Ordering::Relaxed);
}
