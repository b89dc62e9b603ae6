//! Memory for our own records.
//!
//! ```text
//! MetaRef  | segment 16 | unit 16 |  ──>  SEGMENTS[segment] + unit * 64
//! segment  | book | records as they come, up to 64 KiB | pages, each of records of one size | ...
//! record   recycled of that size? else from the open page of that size; else from a new or an idle page
//! purge    pages whose records are all recycled ──> idle: their memory is the system's
//! ```
//! Records are whole units of 64 bytes, named by 32-bit numbers, so that links are short and lock-free
//! stacks can carry a tag. Records are kept apart from the application's memory: an overflow there cannot
//! reach them. A small process has all of them side by side; in a large one every page holds one size, so
//! that pages empty and can be given back.
//!
//! M1  A record's addresses stay mapped for good: a stale read of a link is harmless.
//! M2  What a record holds at first is of no meaning. After it was recycled it may read zero at any time, so
//!     what stale readers look at must mean "nothing" when it is zero.
//! M3  Records lie as they come in the first 64 KiB of segment 0, and in pages of one size everywhere else, but for
//!     those that are too large to be recycled.
//! M4  A page counts (see `limit`) from the first record on it until it is purged.
//! Lock: metadata, rank 4; resolving a name takes none.

mod book;
pub(crate) mod limit;
mod purge;
pub(crate) mod residence;
pub(crate) mod source;

use crate::ds::table::Table;
use crate::size::{PAGE, Pages};
use crate::sync::{LockFigures, Mutex};
use crate::sys::memory;
use book::{Idle, SEGMENT_PAGES};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

pub(crate) use source::{allow_break, break_lock_figures, extend_break, huge_pages, set_huge};

/// Bytes of a unit.
pub(crate) const UNIT: usize = 64;
const LG_SEGMENT_UNITS: u32 = 16;
const SEGMENT_UNITS: usize = 1 << LG_SEGMENT_UNITS;
const SEGMENT_BYTES: usize = SEGMENT_UNITS * UNIT;
const SEGMENTS_MAX: usize = 1 << 16;
const PAGE_UNITS: usize = PAGE / UNIT;
/// Units of the first segment, its book among them, where records lie as they come.
const MIXED_UNITS: usize = (64 << 10) / UNIT;
/// What is mapped at a time: a whole segment; in unit tests less, so that there are many.
const MAPPED_SEGMENT: usize = if cfg!(test) { 512 << 10 } else { SEGMENT_BYTES };
/// What is mapped at least when the system is short.
const SMALLEST_SEGMENT: usize = 64 << 10;
/// What is taken of the data segment at a time, at least.
const BREAK_SEGMENT: usize = 256 << 10;
/// Records of up to this many units are recycled by size.
const RECYCLED_UNITS: usize = 32;

const _: () = assert!(SEGMENT_PAGES * PAGE == SEGMENT_BYTES && MIXED_UNITS % PAGE_UNITS == 0);

static SEGMENTS: Table<AtomicPtr<u8>, SEGMENTS_MAX> =
    Table::new([const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS_MAX]);

/// The name of a record: segment and unit. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct MetaRef(u32);

impl MetaRef {
    /// The record with that number; 0 is none.
    #[inline]
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number, never 0.
    #[inline]
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Where the record is.
    #[inline]
    pub(crate) fn resolve<T>(self) -> NonNull<T> {
        const { assert!(align_of::<T>() <= UNIT) };
        // Acquire: pairs with the Release in `Base::grow`.
        let base = SEGMENTS[self.segment()].load(Ordering::Acquire);
        debug_assert!(!base.is_null());
        // SAFETY: 1. numbers come from `allocate` only, within a mapped segment (M1);
        //         2. not null: a segment's base is not.
        unsafe { NonNull::new_unchecked(base.add(self.unit() * UNIT).cast()) }
    }

    /// Where segment `segment` begins, if it exists.
    fn segment_base(segment: usize) -> Option<NonNull<u8>> {
        // Acquire: pairs with the Release in `Base::grow`.
        NonNull::new(SEGMENTS.get(segment)?.load(Ordering::Acquire))
    }

    const fn at(segment: usize, unit: usize) -> Self {
        Self((segment << LG_SEGMENT_UNITS | unit) as u32)
    }

    const fn segment(self) -> usize {
        (self.0 >> LG_SEGMENT_UNITS) as usize
    }

    const fn unit(self) -> usize {
        self.0 as usize & (SEGMENT_UNITS - 1)
    }

    /// The record that follows in a list of recycled ones; 0 is none.
    fn next(self) -> u32 {
        // SAFETY: the first word of a recycled record is its link, written atomically; mapped (M1).
        unsafe { self.resolve::<AtomicU32>().as_ref() }.load(Ordering::Relaxed)
    }

    /// Sets what follows this record, which nobody uses, in a list.
    fn set_next(self, next: u32) {
        // SAFETY: as above.
        unsafe { self.resolve::<AtomicU32>().as_ref() }.store(next, Ordering::Relaxed);
    }
}

/// Lists and cursors.
struct Base {
    segment: usize,
    next: usize,
    end: usize,
    /// First record of each list of recycled ones, by units.
    recycled: [u32; RECYCLED_UNITS + 1],
    /// The next record to be cut off a page, by units; 0: there is no open page.
    open: [u32; RECYCLED_UNITS + 1],
    idle: Idle,
    /// Pages that count (M4).
    counted: usize,
}

/// Records, their lists, and what is counted of them.
struct Metadata {
    base: Mutex<Base, 4>,
    /// Somebody is purging.
    purging: AtomicBool,
    /// Units handed out at least once, less those in pages that were purged since.
    resident_units: AtomicUsize,
}

#[unsafe(link_section = ".data.jemoxide_start")]
static METADATA: Metadata = Metadata::new(0);

/// Units that hold `T`.
pub(crate) const fn units_of<T>() -> usize {
    size_of::<T>().div_ceil(UNIT)
}

/// Records of `units` units in a page.
const fn records_in_page(units: usize) -> usize {
    PAGE_UNITS / units
}

impl Base {
    /// Metadata that gets its memory from segment number `segment` on.
    const fn new(segment: usize) -> Self {
        Self {
            segment,
            next: 0,
            end: 0,
            recycled: [0; RECYCLED_UNITS + 1],
            open: [0; RECYCLED_UNITS + 1],
            idle: Idle::new(),
            counted: 0,
        }
    }

    /// Counts `pages` pages that are about to hold records (M4). `false`: the limit refuses them.
    fn count(&mut self, pages: usize) -> bool {
        let granted = limit::reserve(pages * PAGE);
        self.counted += if granted { pages } else { 0 };
        granted
    }

    fn count_off(&mut self, pages: usize) {
        self.counted -= pages;
        limit::give(pages * PAGE);
    }

    fn grow(&mut self, units: usize) -> Option<()> {
        let segment = self.segment + usize::from(self.end != 0);
        if segment >= SEGMENTS_MAX || units > SEGMENT_UNITS - PAGE_UNITS {
            return None;
        }
        // For the book.
        if !self.count(1) {
            return None;
        }
        let Some((base, bytes)) = obtain((units + PAGE_UNITS) * UNIT) else {
            self.count_off(1);
            return None;
        };
        // Release: pairs with the Acquire in `resolve`.
        SEGMENTS[segment].store(base.as_ptr(), Ordering::Release);
        self.segment = segment;
        // The book comes first. So unit 0 of segment 0 is no record: its name is the null of links.
        self.next = PAGE_UNITS;
        self.end = bytes / UNIT;
        if bytes < MAPPED_SEGMENT {
            book::note_short(segment, bytes);
        }
        Some(())
    }

    /// A recycled record, or else a fresh one: and whether it is that.
    fn take(&mut self, units: usize) -> Option<(MetaRef, bool)> {
        if units > RECYCLED_UNITS {
            return Some((self.cut(units)?, true));
        }
        if let Some(record) = MetaRef::from_number(self.recycled[units]) {
            self.recycled[units] = record.next();
            return Some((record, false));
        }
        let record = match MetaRef::from_number(self.open[units]) {
            Some(record) => record,
            None if self.is_small(units) => return Some((self.cut(units)?, true)),
            None => self.take_page()?,
        };
        let following = record.unit() + units;
        let fits = following % PAGE_UNITS != 0 && following % PAGE_UNITS + units <= PAGE_UNITS;
        self.open[units] = if fits {
            MetaRef::at(record.segment(), following).number()
        } else {
            0
        };
        Some((record, true))
    }

    /// Whether the next record belongs to those of a small process (M3).
    fn is_small(&self, units: usize) -> bool {
        self.segment == 0 && (self.end == 0 || self.next + units <= MIXED_UNITS.min(self.end))
    }

    fn take_page(&mut self) -> Option<MetaRef> {
        if !self.idle.is_empty() {
            if !self.count(1) {
                return None;
            }
            if let Some(page) = self.idle.take() {
                return Some(page);
            }
            self.count_off(1);
        }
        self.next = self.next.next_multiple_of(PAGE_UNITS);
        if self.segment == 0 {
            self.next = self.next.max(MIXED_UNITS);
        }
        self.cut(PAGE_UNITS)
    }

    /// `units` that were never used.
    fn cut(&mut self, units: usize) -> Option<MetaRef> {
        if self.next + units > self.end {
            self.grow(units)?;
        }
        let pages = |units: usize| units.div_ceil(PAGE_UNITS);
        let fresh = pages(self.next + units) - pages(self.next);
        if fresh > 0 && !self.count(fresh) {
            return None;
        }
        let record = MetaRef::at(self.segment, self.next);
        self.next += units;
        Some(record)
    }
}

/// Memory for a segment of at least `needed` bytes: a power of two of them.
fn obtain(needed: usize) -> Option<(NonNull<u8>, usize)> {
    let smallest = SMALLEST_SEGMENT.max(needed);
    let halves = |from: usize| {
        let largest = from.max(needed.next_power_of_two());
        let sizes = core::iter::successors(Some(largest), |bytes| Some(bytes / 2));
        sizes.take_while(move |&bytes| bytes >= smallest)
    };
    let mapped = halves(MAPPED_SEGMENT).find_map(|bytes| Some((source::map(bytes)?, bytes)));
    mapped
        .or_else(|| halves(BREAK_SEGMENT).find_map(|bytes| Some((source::of_break(bytes)?, bytes))))
}

impl Metadata {
    const fn new(first_segment: usize) -> Self {
        Self {
            base: Mutex::new(Base::new(first_segment)),
            purging: AtomicBool::new(false),
            resident_units: AtomicUsize::new(0),
        }
    }

    fn allocate(&self, units: usize) -> Option<MetaRef> {
        let (record, is_fresh) = self.base.lock().take(units)?;
        if is_fresh {
            self.resident_units.fetch_add(units, Ordering::Relaxed);
        }
        Some(record)
    }

    /// Puts the records `first` to `last`, linked already, into the list of those of `units` units.
    fn recycle(&self, first: MetaRef, last: MetaRef, units: usize) {
        debug_assert!(units <= RECYCLED_UNITS);
        let mut base = self.base.lock();
        last.set_next(base.recycled[units]);
        base.recycled[units] = first.number();
    }
}

/// A record of `units` units. `None`: the system refused memory.
pub(crate) fn allocate(units: usize) -> Option<MetaRef> {
    METADATA.allocate(units)
}

/// Hands a record of `units` units on to whoever needs one of that size next.
///
/// # Safety
/// The record came from [`allocate`] with the same `units`, at most 32, and nobody uses it from now on
/// but by stale reads of its atomics.
pub(crate) unsafe fn recycle(record: MetaRef, units: usize) {
    METADATA.recycle(record, record, units);
}

/// Hands on many records of `units` units at once: `first` to `last`, each with the number of the next in its
/// first word, an atomic.
///
/// # Safety
/// As for [`recycle`], of each.
pub(crate) unsafe fn recycle_chain(first: MetaRef, last: MetaRef, units: usize) {
    METADATA.recycle(first, last, units);
}

/// Gives the memory of pages in which all records are recycled to the system; bytes given back. One caller at a
/// time does that: another gets 0 at once. Takes time for each recycled record; no lock may be held.
pub(crate) fn purge() -> usize {
    METADATA.purge()
}

/// A table of `bytes` zero bytes that stays for good, outside the segments.
pub(crate) fn table(bytes: usize) -> Option<NonNull<u8>> {
    let bytes = Pages::holding(bytes)
        .bytes()
        .next_multiple_of(memory::page_size());
    source::map(bytes).or_else(|| source::of_break(bytes))
}

/// Bytes of our own records that take memory, those that wait to be used again among them.
pub(crate) fn used_bytes() -> usize {
    METADATA.resident_units.load(Ordering::Relaxed) * UNIT
}

/// What was counted of the lock of the records.
pub(crate) fn lock_figures() -> LockFigures {
    METADATA.base.figures()
}

/// Counts that, and what was counted of the data segment's lock, anew.
pub(crate) fn forget_lock_figures() {
    METADATA.base.forget_figures();
    source::forget_lock_figures();
}

/// Bytes that count.
#[cfg(test)]
pub(crate) fn counted_bytes() -> usize {
    METADATA.base.lock().counted * PAGE
}

#[cfg(test)]
mod tests;
