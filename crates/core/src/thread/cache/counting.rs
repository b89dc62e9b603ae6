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

use super::super::bins::{BINS, Bin, mark};
use super::super::events::{self, Bytes};
use super::growth::Bounds;
use super::{CacheRef, slot};
use crate::arena::magazine::FULL;
use crate::meta::{self, MetaRef};
use crate::size::{CACHED_CLASSES, SIZES, SizeClass};
use core::ops::{Add, AddAssign};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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

/// Objects that pass from one look to the next, at most: pushes fill a magazine, pops empty it besides.
const MOST: u64 = 2 * FULL as u64;

/// Objects of a class, or of several, that passed through caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    /// Handed to the application.
    pub(crate) popped: u64,
    /// Taken back from it.
    pub(crate) pushed: u64,
}

impl Totals {
    /// One object, allocated.
    pub(crate) const POPPED: Self = Self {
        popped: 1,
        pushed: 0,
    };
    /// One object, freed.
    pub(crate) const PUSHED: Self = Self {
        popped: 0,
        pushed: 1,
    };
}

impl Add for Totals {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            popped: self.popped.wrapping_add(more.popped),
            pushed: self.pushed.wrapping_add(more.pushed),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

/// The same, counted by one thread and read by all.
pub(crate) struct Counter {
    popped: AtomicU64,
    pushed: AtomicU64,
}

impl Counter {
    pub(crate) const fn new() -> Self {
        Self {
            popped: AtomicU64::new(0),
            pushed: AtomicU64::new(0),
        }
    }

    pub(crate) fn read(&self) -> Totals {
        Totals {
            popped: self.popped.load(Ordering::Relaxed),
            pushed: self.pushed.load(Ordering::Relaxed),
        }
    }

    /// Adds, from any thread.
    pub(crate) fn add(&self, more: Totals) {
        self.popped.fetch_add(more.popped, Ordering::Relaxed);
        self.pushed.fetch_add(more.pushed, Ordering::Relaxed);
    }

    /// Adds, from the one that writes (L3).
    #[inline]
    fn add_own(&self, more: Totals) {
        add(&self.popped, more.popped);
        add(&self.pushed, more.pushed);
    }
}

/// Adds to a counter with one writer: no read-modify-write needed.
#[inline]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}

/// The counters of a cache.
#[repr(C, align(64))]
pub(super) struct Counters {
    /// Where bins are: large objects first, the classes next.
    slots: [Counter; BINS],
    /// Bytes that the thread allocated and freed (L4), large ones too.
    allocated: AtomicU64,
    deallocated: AtomicU64,
    /// The most by which the first of them exceeded the second since `floor` was set; and by how much it did then.
    peak: AtomicU64,
    floor: AtomicU64,
    /// Who is told of the thread's activity, and with which word; and the sum of both bytes when that was done last.
    listener: [AtomicUsize; 2],
    told: AtomicU64,
    /// Both bytes when events were looked for last.
    seen: [AtomicU64; 2],
}

/// Where large objects are counted.
const LARGE: usize = 0;

impl Counters {
    /// New ones, all zero. `None`: out of memory.
    pub(super) fn create() -> Option<MetaRef> {
        let record = meta::allocate(meta::units_of::<Self>())?;
        let counters: NonNull<Self> = record.resolve();
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            counters.as_ptr().write(Self {
                slots: [const { Counter::new() }; BINS],
                allocated: AtomicU64::new(0),
                deallocated: AtomicU64::new(0),
                peak: AtomicU64::new(0),
                floor: AtomicU64::new(0),
                listener: [const { AtomicUsize::new(0) }; 2],
                told: AtomicU64::new(0),
                seen: [const { AtomicU64::new(0) }; 2],
            });
        }
        Some(record)
    }

    #[inline]
    fn add_bytes(&self, allocated: u64, deallocated: u64) {
        add(&self.allocated, allocated);
        add(&self.deallocated, deallocated);
    }

    /// Bytes allocated so far, less bytes freed; as a difference, so that it may be below zero.
    fn net(&self) -> i64 {
        let allocated = self.allocated.load(Ordering::Relaxed);
        allocated.wrapping_sub(self.deallocated.load(Ordering::Relaxed)) as i64
    }

    fn note_peak(&self) {
        let above = self.net() - self.floor.load(Ordering::Relaxed) as i64;
        if above > self.peak.load(Ordering::Relaxed) as i64 {
            self.peak.store(above as u64, Ordering::Relaxed);
        }
    }

    /// Gives the record back.
    ///
    /// # Safety
    /// It came from [`Counters::create`] and nobody uses it from now on, but to look at its numbers.
    pub(super) unsafe fn destroy(record: MetaRef) {
        // SAFETY: the caller's promise; allocated with the same units.
        unsafe { meta::recycle(record, meta::units_of::<Self>()) };
    }
}

/// What is needed of a class to count it, and to let pushes pass.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    /// Pushes that passed for good at the last look, as the bin's `left` was set then.
    granted: i16,
    /// Objects in the bin at the last look, less those that the purger took.
    base: i16,
    /// The mark of the active magazine's end: counts need no look at the magazine.
    end: u16,
    /// Objects that the bin may hold from one look to the next.
    brim: u8,
    /// A look that finds so many passes them on; 0: before that, a larger magazine is due.
    keeps: u8,
}

impl Grant {
    /// Of a bin without a magazine.
    pub(super) const NEW: Self = Self {
        granted: 0,
        base: 0,
        end: 0,
        brim: 0,
        keeps: 0,
    };

    /// Of a bin with a magazine that ends at `end` and holds `count` objects, which were counted.
    #[inline]
    pub(super) fn of(end: *mut *mut u8, count: usize, bounds: Bounds) -> Self {
        let brim = bounds.brim.max(count);
        Self {
            granted: (brim - count) as i16,
            base: count as i16,
            end: mark(end),
            brim: brim as u8,
            keeps: bounds.keeps as u8,
        }
    }

    /// Pushes that pass from the look on that it was made at.
    #[inline]
    pub(super) fn granted(self) -> i16 {
        self.granted
    }

    /// Has no push pass that would lie on top of the `count` objects that are in the bin, until [`Grant::of`] says
    /// otherwise.
    pub(super) fn close(&mut self, count: usize) {
        (self.granted, self.base) = (0, count as i16);
        (self.brim, self.keeps) = (count as u8, 0);
    }

    /// Objects in a bin with its head there.
    #[inline]
    pub(super) fn count(self, head: *mut *mut u8) -> usize {
        self.count_to(head, self.end)
    }

    #[inline]
    fn count_to(self, head: *mut *mut u8, end: u16) -> usize {
        usize::from(end.wrapping_sub(mark(head))) / size_of::<*mut u8>()
    }

    /// Objects that the bin may hold from one look to the next: as many are popped at most up to the next one.
    #[inline]
    pub(super) fn brim(self) -> usize {
        self.brim.into()
    }

    /// Objects from the mark `low_water` down.
    #[inline]
    pub(super) fn below(self, low_water: u16) -> usize {
        usize::from(self.end.wrapping_sub(low_water)) / size_of::<*mut u8>()
    }

    /// Objects that there is room for beside `count`.
    pub(super) fn room(self, count: usize) -> usize {
        usize::from(self.brim).saturating_sub(count)
    }

    /// Whether a look at `count` objects lets pushes pass, and there is no more to it.
    #[inline]
    pub(super) fn has_room(self, count: usize) -> bool {
        count < usize::from(self.keeps)
    }

    /// Whether the class has the largest magazine and keeps whole loads.
    pub(super) fn is_grown(self) -> bool {
        self.keeps > 0
    }

    /// Whether `count` objects are as many as there may be.
    pub(super) fn is_full(self, count: usize) -> bool {
        count >= usize::from(self.brim)
    }

    /// What came since the last look, of a bin with `left` pushes left and `count` objects.
    #[inline]
    fn since(self, left: i16, count: usize) -> Totals {
        let pushed = i64::from(self.granted) - i64::from(left.max(0));
        let popped = pushed + i64::from(self.base) - count as i64;
        Totals {
            popped: popped as u64,
            pushed: pushed as u64,
        }
    }

    /// Looks at `bin`, which holds `count` objects (L1).
    #[inline]
    fn look(&mut self, bin: &mut Bin, count: usize) -> Totals {
        let passed = self.since(bin.left, count);
        debug_assert!(passed.popped <= MOST && passed.pushed <= MOST);
        self.base = count as i16;
        self.granted = bin.left.max(0);
        bin.left = self.granted;
        passed
    }

    /// Looks at a bin with no push left and `count` objects, and lets as many pushes pass as there is room for.
    #[inline]
    pub(super) fn renew(&mut self, count: usize) -> Totals {
        let passed = self.since(0, count);
        debug_assert!(passed.popped <= MOST && passed.pushed <= MOST);
        self.base = count as i16;
        self.granted = i16::from(self.brim) - count as i16;
        passed
    }
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
