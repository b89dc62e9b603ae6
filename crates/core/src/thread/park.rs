//! Park: a thread that has not been in the allocator for a while gives back what it cached, without waking.
//!
//! ```text
//! FREE ──purger──> PARKING ──barrier, inside? back──> word = shadow ──barrier──> emptied ──> PARKED
//!  ^                                                                                           │
//!  └───────────────────── its thread's next slow entry: bins put right, word = live <──────────┘
//! ```
//! The fast paths take no lock, so one operation of the thread may be under way, held up for any time between
//! reading the word and moving the head of one bin. Everything else it does finds the shadow bins, goes slow, and
//! waits here. Hence
//!
//! X1  The head of a live bin, the object on top and the slots above it stay as they are: what is under way pops
//!     that object or pushes another. Only what lies deeper goes, and the low-water mark says where it ended.
//!     Of classes above [`LOOKUP_MAX`] all goes: their pops, which have a call of their own, are announced as X2 has
//!     it, and a push does not look at what lies on top.
//! X2  A thread sets `inside` before it looks at `parked`; the purger sets `parked` before it looks at `inside`;
//!     between the two the purger has every thread pass a barrier, so that one of them sees the other.
//! X3  The word is written by others only while its thread is alive and outside the allocator: a thread's end takes
//!     `place` away, inside.

use super::bins::{Bin, mark};
use super::cache::{CacheRef, distance, flush_objects};
use crate::arena::depot;
use crate::arena::magazine::Magazine;
use crate::size::{CACHED_CLASSES, LOOKUP_MAX, SizeClass};
use crate::sys::thread as system;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence};

const FREE: u32 = 0;
const PARKING: u32 = 1;
const PARKED: u32 = 2;

/// Caches that are parked together: their threads, should they wake, wait for all of them.
pub(super) const BATCH: usize = 8;

/// What a cache needs for it.
pub(super) struct Parking {
    state: AtomicU32,
    /// The thread is in a slow path.
    inside: AtomicBool,
    /// The thread pops an object of a class above [`LOOKUP_MAX`], or looks at a class, outside any slow path.
    announced: AtomicBool,
    /// The word of the thread that uses the cache; null: none does.
    place: AtomicPtr<*mut u8>,
    /// What the cache looked like when the purger came by.
    seen: AtomicU64,
}

impl Parking {
    pub(super) const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            inside: AtomicBool::new(false),
            announced: AtomicBool::new(false),
            place: AtomicPtr::new(ptr::null_mut()),
            seen: AtomicU64::new(0),
        }
    }
}

impl CacheRef {
    fn parking(&self) -> &Parking {
        &self.get().parking
    }

    /// Whether the cache's thread is in a slow path.
    #[inline]
    pub(crate) fn is_inside(self) -> bool {
        self.parking().inside.load(Ordering::Relaxed)
    }

    /// The calling thread, which uses the cache, enters a slow path. Inside the fork gate.
    #[inline]
    pub(super) fn occupy(self) {
        if self.claim() {
            self.arm_all();
            // SAFETY: the cache is this thread's until its exit function.
            unsafe { system::set_word(self.word(self.is_shadowed())) };
        }
    }

    /// Keeps the purger out (X2), for whoever has the cache. `true`: it was parked; it is put right. Inside the gate.
    #[inline]
    pub(super) fn claim(self) -> bool {
        let parking = self.parking();
        parking.inside.store(true, Ordering::Relaxed);
        // The processor's part of the order is the purger's barrier.
        compiler_fence(Ordering::SeqCst);
        parking.state.load(Ordering::Acquire) != FREE && self.settle()
    }

    /// Waits while the purger is at work; puts a parked cache right and answers `true`.
    #[cold]
    pub(super) fn settle(self) -> bool {
        let parking = self.parking();
        // Acquire: pairs with the Release in `park`.
        while parking.state.load(Ordering::Acquire) == PARKING {
            system::relax();
        }
        let parked = parking.state.load(Ordering::Acquire) == PARKED;
        if parked {
            for_each_bin(self, |_, bin, mut magazine| put_right(bin, &mut magazine));
            parking.state.store(FREE, Ordering::Release);
        }
        parked
    }

    /// Has the calling thread, which uses the cache, do `work` on it outside any slow path; not while the purger is at work
    /// (X1).
    #[inline]
    pub(super) fn announced<R>(self, work: impl FnOnce() -> Option<R>) -> Option<R> {
        let parking = self.parking();
        parking.announced.store(true, Ordering::Relaxed);
        // The processor's part of the order is the purger's barrier.
        compiler_fence(Ordering::SeqCst);
        let result = match parking.state.load(Ordering::Acquire) {
            FREE => work(),
            _ => None,
        };
        // Release: the purger sees what was done.
        parking.announced.store(false, Ordering::Release);
        result
    }

    /// Lets the purger in again.
    #[inline]
    pub(super) fn vacate(self) {
        // Release: the purger sees what was done inside.
        self.parking().inside.store(false, Ordering::Release);
    }

    /// The calling thread uses the cache from now on; `false`: no longer (X3).
    pub(super) fn set_place(self, used: bool) {
        let place = if used {
            system::word_place()
        } else {
            ptr::null_mut()
        };
        self.parking().place.store(place, Ordering::Relaxed);
    }

    /// Whether the cache holds something to give back and looks as it did when this was asked before; marks it for
    /// [`park`] then. The caller holds the registry's lock: the cache is registered.
    pub(super) fn is_idle(self) -> bool {
        let parking = self.parking();
        if parking.place.load(Ordering::Relaxed).is_null()
            || parking.state.load(Ordering::Relaxed) != FREE
        {
            return false;
        }
        let (mut deep, mut look) = (false, u64::from(self.get().entries()) | 1 << 63);
        for_each_bin(self, |class, bin, magazine| {
            let head = head_of(bin);
            deep |= distance(head, magazine.end()) > staying(class);
            look = (look ^ head.addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        });
        deep && parking.seen.swap(look, Ordering::Relaxed) == look
            && parking
                .state
                .compare_exchange(FREE, PARKING, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// Whether the purger has it marked. Whoever takes a cache out of the registry waits for the answer no.
    pub(super) fn is_being_parked(self) -> bool {
        self.parking().state.load(Ordering::Acquire) == PARKING
    }

    /// The state is the purger's to change while it is PARKING.
    fn set_free(self) {
        self.parking().state.store(FREE, Ordering::Release);
    }

    /// Whether the cache is parked: its objects end at the low-water marks.
    pub(super) fn is_parked(self) -> bool {
        self.parking().state.load(Ordering::Relaxed) == PARKED
    }

    /// One past the objects of `bin` of a cache that others may have parked, where `end` is the magazine's.
    pub(super) fn objects_end(self, bin: &Bin, end: *mut *mut u8) -> *mut *mut u8 {
        if self.is_parked() {
            bottom(bin.low_water, end)
        } else {
            end
        }
    }
}

/// Parks the caches of `batch`, which [`CacheRef::is_idle`] marked; those in use after all stay as they are. Inside the
/// fork gate, no lock held.
pub(super) fn park(batch: &[CacheRef]) {
    if !system::barrier_everywhere() {
        batch.iter().for_each(|cache| cache.set_free());
        return;
    }
    let mut parking = [None; BATCH];
    for (&cache, slot) in batch.iter().zip(&mut parking) {
        // Acquire: pairs with the Release in `vacate`.
        let inside = cache.parking().inside.load(Ordering::Acquire)
            || cache.parking().announced.load(Ordering::Acquire);
        let place = cache.parking().place.load(Ordering::Relaxed);
        if inside || place.is_null() {
            cache.set_free();
            continue;
        }
        // SAFETY: the thread is alive, outside, and will not come in before the state changes (X2, X3).
        unsafe { AtomicPtr::from_ptr(place) }.store(cache.word(true), Ordering::Relaxed);
        *slot = Some(cache);
    }
    system::barrier_everywhere();
    for cache in parking.into_iter().flatten() {
        for_each_bin(cache, |class, bin, magazine| {
            empty(cache, class, bin, magazine)
        });
        cache.parking().state.store(PARKED, Ordering::Release);
    }
}

/// Calls `visit` for each live bin that has a magazine.
fn for_each_bin(cache: CacheRef, mut visit: impl FnMut(SizeClass, *mut Bin, Magazine)) {
    for class in (0..CACHED_CLASSES).filter_map(SizeClass::new) {
        let bin = cache.live_bin(class);
        // SAFETY: within the cache; the number changes in slow paths only.
        let active = unsafe { (&raw const (*bin).active).read_volatile() };
        // SAFETY: a look at a magazine that stays where it is; a stale number leads to mapped memory.
        if let Some(magazine) = unsafe { Magazine::from_number(active) } {
            visit(class, bin, magazine);
        }
    }
}

fn head_of(bin: *mut Bin) -> *mut *mut u8 {
    // SAFETY: within a cache; a word is read whole, whatever its thread does meanwhile.
    unsafe { (&raw const (*bin).head).read_volatile() }
}

/// The position that a low-water mark stands for.
fn bottom(low_water: u16, end: *mut *mut u8) -> *mut *mut u8 {
    end.wrapping_byte_sub(mark(end).wrapping_sub(low_water) as usize)
}

/// Objects on top of a bin that stay (X1).
const fn staying(class: SizeClass) -> usize {
    if class.size() > LOOKUP_MAX { 0 } else { 1 }
}

/// Gives what lies below the top of a bin, or all, back to the slabs (X1).
fn empty(cache: CacheRef, class: SizeClass, bin: *mut Bin, magazine: Magazine) {
    let (head, end) = (head_of(bin), magazine.end());
    // SAFETY: within the cache; the mark changes in slow paths only, and here.
    let low_water = unsafe { (&raw const (*bin).low_water).read_volatile() };
    // Where the mark is on top, no pop is under way.
    let stay = if mark(head) == low_water {
        0
    } else {
        staying(class)
    };
    let count = distance(head, end);
    if count == 0 {
        return;
    }
    let below = head.wrapping_add(stay);
    // SAFETY: within the cache. An operation under way has compared the mark already, or will find it below the top.
    unsafe { (&raw mut (*bin).low_water).write_volatile(mark(below)) };
    if count > stay {
        // SAFETY: filled slots, which nobody looks at below the mark.
        let objects = unsafe { core::slice::from_raw_parts_mut(below, count - stay) };
        cache.note_parked(class, objects.len());
        depot::note_flushed(class, objects.len());
        flush_objects(class, objects);
    }
}

/// Moves what is left above the low-water mark to the end, where the slow paths expect it.
fn put_right(bin: *mut Bin, magazine: &mut Magazine) {
    let end = magazine.end();
    // SAFETY: the bin is the caller's: the thread's own, or nobody's.
    let bin = unsafe { &mut *bin };
    let bottom = bottom(bin.low_water, end);
    let count = distance(bin.head, bottom);
    let head = end.wrapping_sub(count);
    // SAFETY: from the head to the bottom slots are filled; there are as many before the end.
    unsafe { ptr::copy(bin.head, head, count) };
    bin.head = head;
    bin.low_water = mark(end);
}
