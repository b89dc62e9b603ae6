//! Tally: how many objects of each class a thread popped and pushed, exactly, and for nothing.
//!
//! ```text
//! granted ── each push takes one ──> left           pushed now = granted - max(left, 0)
//! base    ── pushes add, pops take ──> count        popped now = pushed now + base - count
//! ```
//! Neither fast path counts: a push takes one off the bin's `left`, a pop moves the head. A look reads both off and
//! begins anew. It is due when `left` has run out, and before anything else than a fast path moves the head.
//!
//! L1  After a look `granted` is what is left, `base` the objects in the bin; both counts are exact then.
//! L2  Whatever brings objects into a bin, or takes them out, other than a pop or a push, is preceded by a look and
//!     followed by setting `base`; the purger (see `park`), which may not look, lowers `base`.
//! L3  The counters have one writer, their cache's owner. Others read them, and what came since from the bins, which is
//!     exact for a thread that is not in the allocator, and a magazine off at most for one that is.
//! L4  Bytes are counted by usable size. They are the thread's: whoever adopts its cache begins at zero. Counts of objects
//!     are the cache's.
//!
//! In a child forked while another thread was at a look, that thread's counts may be a magazine off.
//! Where a thread's allocations are sampled, looks also come before a sample does: see `sampling`.
//! Units: objects; bytes where said.

use super::{CacheRef, slot};
use crate::size::{CACHED_CLASSES, SIZES, SizeClass};
use crate::thread::events::{self, Bytes};
use core::sync::atomic::{AtomicU64, Ordering};
use counters::{LARGE, add};
use grant::MOST;

mod counters;
mod grant;

pub(super) use counters::Counters;
pub(crate) use counters::{Counter, Totals};
pub(super) use grant::Grant;

/// Bytes after which a listener is told.
const NEWS_BYTES: u64 = 64 << 10;

/// What a thread did since its bytes were last told.
#[derive(Clone, Copy)]
pub(crate) struct News {
    /// Its bytes when events were looked for last, and now.
    pub(crate) seen: Bytes,
    pub(crate) now: Bytes,
    /// Whether the thread's listener is told, too.
    pub(crate) activity: bool,
}

impl CacheRef {
    fn counters<'a>(self) -> &'a Counters {
        // SAFETY: made with the cache, gone with it; records stay mapped.
        unsafe { self.get().counters.as_ref() }
    }

    pub(super) fn grant(&mut self, class: SizeClass) -> &mut Grant {
        &mut self.get_mut().grants[slot(class)]
    }

    /// Looks at `class`; answers the objects in its bin (L1).
    #[inline]
    pub(super) fn look(&mut self, class: SizeClass) -> usize {
        let (cache, slot) = (self.get_mut(), slot(class));
        let (bin, grant) = (&mut cache.live[slot], &mut cache.grants[slot]);
        let count = grant.count(bin.head);
        let passed = grant.look(bin, count);
        self.note(class, passed);
        count
    }

    /// Lets as many pushes pass as there is room for beside `count` objects, after a look.
    pub(super) fn regrant(&mut self, class: SizeClass, count: usize) {
        let room = self.grant(class).room(count);
        self.set_granted(class, room as i16);
    }

    /// Lets so many pushes pass, after a look.
    pub(super) fn set_granted(&mut self, class: SizeClass, granted: i16) {
        self.grant(class).granted = granted;
        self.bin(class).left = granted;
    }

    /// `gone` objects were taken out of the bin by the purger (L2).
    pub(in super::super) fn note_parked(mut self, class: SizeClass, gone: usize) {
        self.grant(class).base -= gone as i16;
    }

    /// Counts objects of `class` that the thread allocated and freed.
    #[inline]
    pub(crate) fn note(self, class: SizeClass, passed: Totals) {
        let (counters, slot) = (self.counters(), slot(class));
        let size = u64::from(SIZES[slot * 2]);
        counters.slots[slot].add_own(passed);
        counters.add_bytes(passed.popped * size, passed.pushed * size);
        if self.is_sampled() {
            self.pass(slot, passed.popped);
        }
    }

    /// Counts a large object of `bytes`, allocated.
    #[inline]
    pub(crate) fn note_large_alloc(self, bytes: usize) {
        let counters = self.counters();
        add(&counters.slots[LARGE].popped, 1);
        add(&counters.allocated, bytes as u64);
    }

    /// Counts a large object of `bytes`, freed.
    #[inline]
    pub(crate) fn note_large_dealloc(self, bytes: usize) {
        let counters = self.counters();
        add(&counters.slots[LARGE].pushed, 1);
        add(&counters.deallocated, bytes as u64);
    }

    /// Counts bytes that the thread allocated and freed.
    #[inline]
    pub(crate) fn note_bytes(self, allocated: u64, deallocated: u64) {
        self.counters().add_bytes(allocated, deallocated);
    }

    /// Bytes that the calling thread, which uses the cache, allocated and freed so far. Exact.
    pub(crate) fn bytes(self) -> (u64, u64) {
        self.look_at_all();
        let counters = self.counters();
        (
            counters.allocated.load(Ordering::Relaxed),
            counters.deallocated.load(Ordering::Relaxed),
        )
    }

    /// Where these two are kept. What was allocated since a class was last looked at, at most a magazine of each, is not
    /// in them.
    pub(crate) fn places_of_bytes(self) -> (*const AtomicU64, *const AtomicU64) {
        let counters = self.counters();
        (
            &raw const counters.allocated,
            &raw const counters.deallocated,
        )
    }

    /// The most that the calling thread, which uses the cache, had allocated and not freed since [`CacheRef::begin_peak`].
    /// Noticed at slow entries: what a thread's magazines serve in between may be missing; and what the run cache served
    /// before anybody asked.
    pub(crate) fn peak(self) -> u64 {
        events::watch();
        self.look_at_all();
        self.note_peak();
        self.counters().peak.load(Ordering::Relaxed)
    }

    /// Who is told of the thread's activity: a function and its word, as addresses; 0 for nobody.
    pub(crate) fn listener(self) -> [usize; 2] {
        let [call, word] = &self.counters().listener;
        [call.load(Ordering::Relaxed), word.load(Ordering::Relaxed)]
    }

    /// Has another function told.
    pub(crate) fn set_listener(self, [call, word]: [usize; 2]) {
        let listener = &self.counters().listener;
        listener[1].store(word, Ordering::Relaxed);
        listener[0].store(call, Ordering::Relaxed);
        if call != 0 {
            events::watch();
        }
    }

    /// What is to be told of the thread's bytes, if there is anybody who listens, and something to tell.
    #[inline]
    pub(crate) fn news(self) -> Option<News> {
        if events::is_watched() {
            self.gather()
        } else {
            None
        }
    }

    fn listens(self) -> bool {
        self.counters().listener[0].load(Ordering::Relaxed) != 0
    }

    #[cold]
    #[inline(never)]
    fn gather(self) -> Option<News> {
        let counters = self.counters();
        let now = Bytes {
            allocated: counters.allocated.load(Ordering::Relaxed),
            deallocated: counters.deallocated.load(Ordering::Relaxed),
        };
        let [seen_allocated, seen_deallocated] = &counters.seen;
        let seen = Bytes {
            allocated: seen_allocated.load(Ordering::Relaxed),
            deallocated: seen_deallocated.load(Ordering::Relaxed),
        };
        seen_allocated.store(now.allocated, Ordering::Relaxed);
        seen_deallocated.store(now.deallocated, Ordering::Relaxed);
        let sum = now.allocated.wrapping_add(now.deallocated);
        let passed = sum.wrapping_sub(counters.told.load(Ordering::Relaxed));
        let activity = self.listens() && passed >= NEWS_BYTES;
        if activity {
            counters.told.store(sum, Ordering::Relaxed);
        }
        (activity || seen != now).then_some(News {
            seen,
            now,
            activity,
        })
    }

    /// Begins the peak anew.
    pub(crate) fn begin_peak(self) {
        events::watch();
        self.look_at_all();
        let counters = self.counters();
        counters
            .floor
            .store(counters.net() as u64, Ordering::Relaxed);
        counters.peak.store(0, Ordering::Relaxed);
    }

    /// The thread enters a slow path.
    #[inline]
    pub(super) fn note_peak(self) {
        self.counters().note_peak();
    }

    /// Looks at all classes.
    fn look_at_all(mut self) {
        for class in (0..CACHED_CLASSES).filter_map(SizeClass::new) {
            self.look(class);
        }
    }

    /// Begins the bytes at zero, for the thread that uses the cache from now on (L4).
    pub(in super::super) fn begin_bytes(self) {
        self.look_at_all();
        let counters = self.counters();
        for counter in [
            &counters.allocated,
            &counters.deallocated,
            &counters.peak,
            &counters.floor,
            &counters.told,
            &counters.seen[0],
            &counters.seen[1],
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.set_listener([0; 2]);
    }

    /// What passed of `class`, whoever asks (L3).
    pub(in super::super) fn totals(self, class: SizeClass) -> Totals {
        let counter = &self.counters().slots[slot(class)];
        // While its thread is at a look, the numbers do not belong together.
        for _ in 0..3 {
            let seen = counter.read();
            let since = self.since_look(class);
            let fits = since.popped <= MOST && since.pushed <= MOST;
            if fits && counter.read() == seen {
                return seen + since;
            }
        }
        counter.read()
    }

    /// What passed of `class` since its last look.
    fn since_look(self, class: SizeClass) -> Totals {
        // SAFETY: within the cache; whatever its thread does meanwhile, these are numbers.
        let (bin, grant) = unsafe {
            let grant = &raw const self.get().grants[slot(class)];
            (self.live_bin(class).read_volatile(), grant.read_volatile())
        };
        let end = if self.is_parked() {
            bin.low_water
        } else {
            grant.end
        };
        grant.since(bin.left, grant.count_to(bin.head, end))
    }

    /// Large objects that passed.
    pub(in super::super) fn large_totals(self) -> Totals {
        self.counters().slots[LARGE].read()
    }
}
