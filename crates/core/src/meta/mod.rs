//! Memory for our own records.
//!
//! ```text
//! MetaRef  | segment 16 | unit 16 |  ──>  SEGMENTS[segment] + unit * 64
//! segment  4 MiB of address space, filled from the front, never given back
//! source   mappings, else the data segment
//! ```
//! Records are whole units of 64 bytes, named by 32-bit numbers, so that links are short and lock-free
//! stacks can carry a tag. Records are kept apart from the application's memory: an overflow there cannot
//! reach them.
//!
//! M1  A record's memory stays mapped for good: a stale read of a link is harmless.
//! M2  A fresh record reads zero; a recycled one is as its last owner left it, but for its first 4 bytes.
//! Lock: metadata, rank 4; resolving a name takes none.

pub(crate) mod source;

use crate::size::Pages;
use crate::sync::Mutex;
use crate::sys::memory;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

pub(crate) use source::allow_break;

/// Bytes of a unit.
pub(crate) const UNIT: usize = 64;
const LG_SEGMENT_UNITS: u32 = 16;
const SEGMENT_UNITS: usize = 1 << LG_SEGMENT_UNITS;
const SEGMENT_BYTES: usize = SEGMENT_UNITS * UNIT;
const SEGMENTS_MAX: usize = 1 << 16;
/// What is mapped at least when the system is short.
const SMALLEST_SEGMENT: usize = 64 << 10;
/// What is taken of the data segment at a time, at least.
const BREAK_SEGMENT: usize = 256 << 10;
/// Records of up to this many units are recycled by size.
const RECYCLED_UNITS: usize = 32;

static SEGMENTS: [AtomicPtr<u8>; SEGMENTS_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS_MAX];

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
        let segment = (self.0 >> LG_SEGMENT_UNITS) as usize;
        // Acquire: pairs with the Release in `Base::grow`.
        let base = SEGMENTS[segment].load(Ordering::Acquire);
        debug_assert!(!base.is_null());
        let unit = self.0 as usize & (SEGMENT_UNITS - 1);
        // SAFETY: 1. numbers come from `allocate` only, within a mapped segment (M1);
        //         2. not null: a segment's base is not.
        unsafe { NonNull::new_unchecked(base.add(unit * UNIT).cast()) }
    }
}

struct Base {
    segment: usize,
    next: usize,
    end: usize,
    recycled: [u32; RECYCLED_UNITS + 1],
}

static BASE: Mutex<Base, 4> = Mutex::new(Base {
    segment: 0,
    next: 0,
    end: 0,
    recycled: [0; RECYCLED_UNITS + 1],
});
static USED_UNITS: AtomicUsize = AtomicUsize::new(0);
static MAPPED_LEAVES: AtomicUsize = AtomicUsize::new(0);

/// Units that hold `T`.
pub(crate) const fn units_of<T>() -> usize {
    size_of::<T>().div_ceil(UNIT)
}

impl Base {
    fn grow(&mut self, units: usize) -> Option<()> {
        let segment = if self.end == 0 { 0 } else { self.segment + 1 };
        if segment >= SEGMENTS_MAX || units > SEGMENT_UNITS - 1 {
            return None;
        }
        let (base, bytes) = obtain((units + 1) * UNIT)?;
        // Release: pairs with the Acquire in `resolve`.
        SEGMENTS[segment].store(base.as_ptr(), Ordering::Release);
        self.segment = segment;
        // Unit 0 of segment 0 stays unused: its name is the null of links.
        self.next = usize::from(segment == 0);
        self.end = bytes / UNIT;
        Some(())
    }

    fn take(&mut self, units: usize) -> Option<MetaRef> {
        if units <= RECYCLED_UNITS && self.recycled[units] != 0 {
            let record = MetaRef(self.recycled[units]);
            // SAFETY: the first word of a recycled record is its link, written by `recycle`.
            self.recycled[units] =
                unsafe { record.resolve::<AtomicU32>().as_ref() }.load(Ordering::Relaxed);
            return Some(record);
        }
        if self.next + units > self.end {
            self.grow(units)?;
        }
        let record = MetaRef((self.segment << LG_SEGMENT_UNITS | self.next) as u32);
        self.next += units;
        Some(record)
    }
}

/// Memory for a segment of at least `needed` bytes: a power of two of them.
fn obtain(needed: usize) -> Option<(NonNull<u8>, usize)> {
    let smallest = SMALLEST_SEGMENT.max(needed);
    let halves = |from: usize| {
        let sizes = core::iter::successors(Some(from), |bytes| Some(bytes / 2));
        sizes.take_while(move |&bytes| bytes >= smallest)
    };
    let mapped = halves(SEGMENT_BYTES).find_map(|bytes| Some((source::map(bytes)?, bytes)));
    mapped.or_else(|| {
        let largest = BREAK_SEGMENT.max(needed.next_power_of_two());
        halves(largest).find_map(|bytes| Some((source::of_break(bytes)?, bytes)))
    })
}

/// A record of `units` units. `None`: the system refused memory.
pub(crate) fn allocate(units: usize) -> Option<MetaRef> {
    let record = BASE.lock().take(units)?;
    USED_UNITS.fetch_add(units, Ordering::Relaxed);
    Some(record)
}

/// Hands a record of `units` units on to whoever needs one of that size next.
///
/// # Safety
/// The record came from [`allocate`] with the same `units`, at most 32, and nobody uses it from now on
/// but by stale reads of its atomics.
pub(crate) unsafe fn recycle(record: MetaRef, units: usize) {
    debug_assert!(units <= RECYCLED_UNITS);
    let mut base = BASE.lock();
    // SAFETY: the caller hands the record over; its first word becomes the link.
    let link = unsafe { record.resolve::<AtomicU32>().as_ref() };
    link.store(base.recycled[units], Ordering::Relaxed);
    base.recycled[units] = record.number();
    USED_UNITS.fetch_sub(units, Ordering::Relaxed);
}

/// A table of `bytes` zero bytes that stays for good, outside the segments.
pub(crate) fn table(bytes: usize) -> Option<NonNull<u8>> {
    let bytes = Pages::holding(bytes)
        .bytes()
        .next_multiple_of(memory::page_size());
    source::map(bytes).or_else(|| source::of_break(bytes))
}

/// Counts `bytes` of a table as touched, for the statistics.
pub(crate) fn count_table(bytes: usize) {
    MAPPED_LEAVES.fetch_add(bytes, Ordering::Relaxed);
}

/// Bytes of our own records in use.
pub(crate) fn used_bytes() -> usize {
    USED_UNITS.load(Ordering::Relaxed) * UNIT + MAPPED_LEAVES.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::memory as gate;
    use std::collections::HashMap;
    use std::vec::Vec;

    #[test]
    fn records_do_not_overlap_and_keep_their_contents() {
        let mut live: HashMap<u32, (usize, u8)> = HashMap::new();
        let mut seed = 7u64;
        for round in 0..20_000u32 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            if live.len() < 200 || seed >> 63 == 0 {
                let units = 1 + (seed >> 33) as usize % 20;
                let record = allocate(units).unwrap();
                let fill = round as u8;
                // SAFETY: fresh record of that many units.
                unsafe {
                    record
                        .resolve::<u8>()
                        .as_ptr()
                        .write_bytes(fill, units * UNIT)
                };
                assert!(live.insert(record.number(), (units, fill)).is_none());
            } else {
                let number = *live.keys().next().unwrap();
                let (units, fill) = live.remove(&number).unwrap();
                let record = MetaRef::from_number(number).unwrap();
                // SAFETY: ours until the next line.
                let bytes: &[u8] =
                    unsafe { core::slice::from_raw_parts(record.resolve().as_ptr(), units * UNIT) };
                assert!(bytes.iter().all(|&byte| byte == fill));
                // SAFETY: taken out of the list of live ones.
                unsafe { recycle(record, units) };
            }
        }
    }

    #[test]
    fn a_refusal_is_none_and_later_requests_succeed() {
        let mut base = Base {
            segment: 40_000,
            next: 0,
            end: 1,
            recycled: [0; RECYCLED_UNITS + 1],
        };
        gate::refuse(0, 1000);
        assert!(base.take(3).is_none());
        gate::refuse(u64::MAX, 0);
        let records: Vec<_> = (0..10).map(|_| base.take(3).unwrap().number()).collect();
        assert!(records.windows(2).all(|pair| pair[1] == pair[0] + 3));
    }

    #[test]
    fn the_data_segment_serves_when_mappings_are_refused() {
        let mut base = Base {
            segment: 42_000,
            next: 0,
            end: 1,
            recycled: [0; RECYCLED_UNITS + 1],
        };
        gate::refuse_maps(true);
        assert!(
            base.take(2).is_none() && table(10_000).is_none(),
            "not allowed"
        );
        source::ALLOWED_HERE.set(true);
        let units = BREAK_SEGMENT / UNIT + 10;
        let records = [2, units].map(|units| (base.take(units).unwrap(), units));
        let table = table(10_000).unwrap();
        gate::refuse_maps(false);
        assert_eq!(table.addr().get() % memory::page_size(), 0);
        let ranges = records.map(|(record, units)| (record.resolve::<u8>(), units * UNIT));
        for (addr, bytes) in [ranges[0], ranges[1], (table, 10_000)] {
            // SAFETY: fresh memory of that many bytes, ours alone.
            let bytes = unsafe { core::slice::from_raw_parts_mut(addr.as_ptr(), bytes) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(0xa5);
        }
    }

    #[test]
    fn a_short_system_gets_a_smaller_segment() {
        let mut base = Base {
            segment: 41_000,
            next: 0,
            end: 1,
            recycled: [0; RECYCLED_UNITS + 1],
        };
        gate::refuse(0, 3);
        assert!(base.take(2).is_some());
        assert_eq!(base.end * UNIT, SEGMENT_BYTES / 8);
        gate::refuse(u64::MAX, 0);
    }
}
