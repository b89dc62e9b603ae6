//! Eights: the one place where samples of 8 bytes lie whose layout is known to who frees them.
//!
//! ```text
//! 2 MiB at a multiple of 2 MiB   | slab | slab | slab | not cut yet ...      one page each, in order
//! ```
//! Objects of 8 bytes fill their pages, so no bit of an address tells a sample from another object (G4 of `sampled`); the huge
//! page that it lies in does, by one compare.
//!
//! Q1  There is one such place, taken with the first sample of this kind. Slabs in it stay until all of them are empty and memory
//!     is asked back: then the place goes whole, outside the lock. Most of it is never touched.
//! Q2  When all of it is taken, objects of 8 bytes are no samples: 65,536 live ones are 32 GiB of such objects at the default
//!     rate.
//! Lock: that of the lists of `sampled`, for all that changes.

use crate::extent::{HEAP, Purpose};
use crate::size::{HUGE, HUGE_PAGES, LG_HUGE, PAGE, Pages};
use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicU32, Ordering};

/// Number of the huge page; 0: there is none yet.
#[unsafe(link_section = ".data.jemoxide_start")]
static PLACE: AtomicU32 = AtomicU32::new(0);
/// Pages that were cut off it.
static CUT: AtomicU32 = AtomicU32::new(0);

const fn number_of(addr: usize) -> u32 {
    // Addresses have 47 bits.
    (addr >> LG_HUGE) as u32
}

/// Whether `ptr`, an object of ours, lies there.
#[inline(always)]
pub(crate) fn holds(ptr: *const u8) -> bool {
    number_of(ptr.addr()) == PLACE.load(Ordering::Relaxed)
}

/// A page of it, the caller's. `None`: all of it is taken, or memory is out. The lists are locked.
pub(super) fn cut() -> Option<NonNull<u8>> {
    let place = match PLACE.load(Ordering::Relaxed) {
        0 => begin()?,
        place => place,
    };
    let page = CUT.load(Ordering::Relaxed);
    if page as usize >= HUGE_PAGES {
        return None;
    }
    CUT.store(page + 1, Ordering::Relaxed);
    NonNull::new(start_of(place).wrapping_byte_add(page as usize * PAGE))
}

/// Pages that were cut. The lists are locked.
pub(super) fn pages() -> usize {
    CUT.load(Ordering::Relaxed) as usize
}

#[cold]
fn begin() -> Option<u32> {
    let run = HEAP.alloc(Pages(HUGE_PAGES), HUGE, Purpose::Zeroed)?;
    let place = number_of(run.addr.as_ptr().expose_provenance());
    PLACE.store(place, Ordering::Relaxed);
    Some(place)
}

fn start_of(place: u32) -> *mut u8 {
    with_exposed_provenance_mut((place as usize) << LG_HUGE)
}

/// A place that is nobody's any more.
#[must_use]
pub(super) struct Place(NonNull<u8>);

/// Takes the place off: the next object of this kind begins another. The lists are locked, and have no slab in it.
pub(super) fn take() -> Option<Place> {
    let place = PLACE.swap(0, Ordering::Relaxed);
    CUT.store(0, Ordering::Relaxed);
    // Who still takes this for the place looks at the page map, no more.
    NonNull::new(start_of(place)).map(Place)
}

impl Place {
    /// Gives it back to the page heap, which may purge: the lists are not locked.
    ///
    /// # Safety
    /// No slab is left in it.
    pub(super) unsafe fn give_back(self) {
        // SAFETY: the whole run, as `begin` got it; by the caller's promise nobody uses it.
        unsafe { HEAP.dealloc(self.0, Pages(HUGE_PAGES)) };
    }
}
