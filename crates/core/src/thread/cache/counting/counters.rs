//! Counters: objects by class, bytes and their peak, written by one thread and read by all (rules L3 and L4).

use crate::meta::{self, MetaRef};
use crate::thread::bins::BINS;
use core::ops::{Add, AddAssign};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    pub(super) popped: AtomicU64,
    pub(super) pushed: AtomicU64,
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
    pub(super) fn add_own(&self, more: Totals) {
        add(&self.popped, more.popped);
        add(&self.pushed, more.pushed);
    }
}

/// Adds to a counter with one writer: no read-modify-write needed.
#[inline]
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}

/// The counters of a cache.
#[repr(C, align(64))]
pub(in crate::thread::cache) struct Counters {
    /// Where bins are: large objects first, the classes next.
    pub(super) slots: [Counter; BINS],
    /// Bytes that the thread allocated and freed (L4), large ones too.
    pub(super) allocated: AtomicU64,
    pub(super) deallocated: AtomicU64,
    /// The most by which the first of them exceeded the second since `floor` was set; and by how much it did then.
    pub(super) peak: AtomicU64,
    pub(super) floor: AtomicU64,
    /// Who is told of the thread's activity, and with which word; and the sum of both bytes when that was done last.
    pub(super) listener: [AtomicUsize; 2],
    pub(super) told: AtomicU64,
    /// Both bytes when events were looked for last.
    pub(super) seen: [AtomicU64; 2],
}

/// Where large objects are counted.
pub(super) const LARGE: usize = 0;

impl Counters {
    /// New ones, all zero. `None`: out of memory.
    pub(in crate::thread::cache) fn create() -> Option<MetaRef> {
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
    pub(super) fn add_bytes(&self, allocated: u64, deallocated: u64) {
        add(&self.allocated, allocated);
        add(&self.deallocated, deallocated);
    }

    /// Bytes allocated so far, less bytes freed; as a difference, so that it may be below zero.
    pub(super) fn net(&self) -> i64 {
        let allocated = self.allocated.load(Ordering::Relaxed);
        allocated.wrapping_sub(self.deallocated.load(Ordering::Relaxed)) as i64
    }

    pub(super) fn note_peak(&self) {
        let above = self.net() - self.floor.load(Ordering::Relaxed) as i64;
        if above > self.peak.load(Ordering::Relaxed) as i64 {
            self.peak.store(above as u64, Ordering::Relaxed);
        }
    }

    /// Gives the record back.
    ///
    /// # Safety
    /// It came from [`Counters::create`] and nobody uses it from now on, but to look at its numbers.
    pub(in crate::thread::cache) unsafe fn destroy(record: MetaRef) {
        // SAFETY: the caller's promise; allocated with the same units.
        unsafe { meta::recycle(record, meta::units_of::<Self>()) };
    }
}
