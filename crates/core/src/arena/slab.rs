//! Slab: a run of pages cut into equal slots.
//!
//! ```text
//! record (64 bytes or more)        0 kind | class | arena | degree
//!                                  4 free slots 2 B | slots 2 B
//!                                  8 base
//!                                 16 next | prev            list of its degree
//!                                 24 own number | hollow pages 2 B | touched lately
//!                                 32 bitmap, one bit a slot, 1 = free, as long as needed
//! ```
//! S1  Bit `i` is set exactly if slot `i` is neither held by the application nor by a cache or the depot.
//! S2  `free` is the number of set bits.
//! S3  The record is kept apart from the slots: packing is natural, and an overflow cannot reach it.
//! Lock: the bin's, for all but kind, class, arena and base, which stand still while the slab lives.

use super::ArenaIndex;
use super::hollow::{self, PageBits, pages_of, slots_touching};
use super::misuse::Misuse;
use super::record::{Kind, KindCell};
use crate::extent::{HEAP, Purpose, page_map};
use crate::meta::{self, MetaRef, UNIT};
use crate::size::{PAGE, Pages, SizeClass, is_populated, slab_pages, slab_slots, slots_in_slab};
use crate::sys::probe;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

const BITMAP_AT: usize = 32;

/// Units of the record of a slab of `class`.
const fn units(class: usize) -> usize {
    (BITMAP_AT + slab_slots(class).div_ceil(64) * 8).div_ceil(UNIT)
}

/// Bytes of the record of a slab of `class`.
pub(super) const fn record_bytes(class: usize) -> usize {
    units(class) * UNIT
}

/// Degrees of fullness that partly full slabs are sorted by.
pub(super) const DEGREES: usize = 4;
/// The degree of a slab that is in no list: full, or on its way.
pub(super) const UNLISTED: u8 = u8::MAX;

/// The record.
#[repr(C, align(64))]
pub(super) struct Slab {
    kind: KindCell,
    class: u8,
    arena: u8,
    pub(super) degree: u8,
    pub(super) free: u16,
    slots: u16,
    base: *mut u8,
    pub(super) next: u32,
    pub(super) prev: u32,
    number: u32,
    /// Pages without memory (see `hollow`).
    pub(super) hollow: PageBits,
    /// Slots were taken or given back since the last sweep came by, or it was refused.
    pub(super) recent: bool,
    unused: u8,
    bitmap: [u64; 4],
}

const _: () =
    assert!(core::mem::offset_of!(Slab, bitmap) == BITMAP_AT && size_of::<Slab>() == UNIT);

/// A slab by its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SlabRef(NonNull<Slab>);

impl SlabRef {
    /// Makes a slab of `class`, all slots free, in no list. `None`: out of memory, nothing lost.
    pub(super) fn create(class: SizeClass, arena: ArenaIndex) -> Option<Self> {
        let index = class.index();
        let record = meta::allocate(units(index))?;
        let pages = Pages(slab_pages(index));
        let purpose = if is_populated(index) {
            Purpose::Filled
        } else {
            Purpose::Written(0)
        };
        let Some(run) = HEAP.alloc(pages, PAGE, purpose) else {
            // SAFETY: just allocated, nobody else knows it.
            unsafe { meta::recycle(record, units(index)) };
            return None;
        };
        probe!(jemoxide:slab_new, run.addr.addr().get(), class.size(), pages.bytes());
        let slots = slab_slots(index);
        let slab: NonNull<Slab> = record.resolve();
        // SAFETY: the record is ours alone, of `units` units, and long enough for the bitmap.
        unsafe {
            slab.as_ptr().write(Slab {
                kind: KindCell::default(),
                class: index as u8,
                arena: arena.index() as u8,
                degree: UNLISTED,
                free: slots as u16,
                slots: slots as u16,
                base: run.addr.as_ptr(),
                next: 0,
                prev: 0,
                number: record.number(),
                hollow: 0,
                recent: true,
                unused: 0,
                bitmap: [0; 4],
            });
            let bitmap = slab.cast::<u8>().add(BITMAP_AT).cast::<u64>();
            let words = slots.div_ceil(64);
            for word in 0..words {
                let bits = (slots - word * 64).min(64);
                bitmap.add(word).write(if bits == 64 {
                    u64::MAX
                } else {
                    (1 << bits) - 1
                });
            }
            slab.as_ref().kind.set(Kind::Slab);
        }
        for page in 0..pages.0 {
            let addr = run.addr.as_ptr().wrapping_add(page * PAGE);
            page_map::set_record(addr, Some(record));
            page_map::set_class_byte(addr, class.byte());
        }
        Some(Self(slab))
    }

    /// The slab that `record` describes, if it describes one.
    #[inline]
    pub(super) fn from_record(record: MetaRef) -> Option<Self> {
        let slab = Self(record.resolve());
        (slab.get().kind.get() == Kind::Slab).then_some(slab)
    }

    /// The slab numbered `number` in a list; `None` at its end.
    pub(super) fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    fn get(&self) -> &Slab {
        // SAFETY: records stay mapped; the fields that change are changed under the bin's lock, which
        //         whoever reads them holds (see the head).
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    /// The caller holds the bin's lock and no other borrow of this record.
    pub(super) unsafe fn get_mut(&mut self) -> &mut Slab {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_mut() }
    }

    pub(super) fn number(self) -> u32 {
        self.get().number
    }

    pub(super) fn next(self) -> u32 {
        self.get().next
    }

    pub(super) fn prev(self) -> u32 {
        self.get().prev
    }

    pub(super) fn degree(self) -> u8 {
        self.get().degree
    }

    #[inline]
    pub(super) fn class(self) -> usize {
        self.get().class as usize
    }

    #[inline]
    pub(super) fn arena(self) -> ArenaIndex {
        ArenaIndex::new(self.get().arena as usize)
    }

    /// Slots that are free. The caller holds the bin's lock.
    pub(super) fn free_slots(self) -> usize {
        self.get().free as usize
    }

    pub(super) fn slots(self) -> usize {
        self.get().slots as usize
    }

    pub(super) fn base(self) -> *mut u8 {
        self.get().base
    }

    /// The degree this slab belongs to: 0 nearly full, 3 nearly empty, [`UNLISTED`] full.
    pub(super) fn wanted_degree(self) -> u8 {
        let slab = self.get();
        if slab.free == 0 {
            UNLISTED
        } else {
            ((slab.free as usize - 1) * DEGREES / slab.slots as usize) as u8
        }
    }

    /// The bitmap. Words change under the bin's lock; a look without it is true for a slot that the looker owns.
    pub(super) fn bitmap(&self) -> &[AtomicU64] {
        // The record is longer than its type says: the pointer covers the whole record.
        let words = self
            .0
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(BITMAP_AT)
            .cast::<AtomicU64>();
        // SAFETY: as long as `create` made the record, in memory that stays mapped.
        unsafe { core::slice::from_raw_parts(words, self.slots().div_ceil(64)) }
    }

    /// Takes up to `out.len()` free slots, lowest address first, those on hollow pages last; the answer is how many. 0:
    /// the limit refuses the memory of what there is.
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    pub(super) unsafe fn take(&mut self, out: &mut [*mut u8]) -> usize {
        let (class, hollow) = (self.class(), self.hollow());
        let mut taken = 0;
        if hollow != 0 {
            let spared = slots_touching(class, hollow);
            taken = self.take_but(out, |word| spared[word % spared.len()]);
        }
        if taken < out.len() && (hollow == 0 || hollow::reserve(hollow.count_ones())) {
            let rest = &mut out[taken..];
            let filled = self.take_but(rest, |_| 0);
            taken += filled;
            if hollow != 0 {
                // SAFETY: the caller's promise.
                unsafe { self.fill_pages(&rest[..filled]) };
            }
        }
        // SAFETY: the caller's promise.
        let slab = unsafe { self.get_mut() };
        slab.free -= taken as u16;
        slab.recent = true;
        taken
    }

    /// Clears the bits of slots, lowest address first, but for those that `spared` names word by word.
    fn take_but(&self, out: &mut [*mut u8], spared: impl Fn(usize) -> u64) -> usize {
        let base = self.base();
        let arithmetic = slots_in_slab(self.class());
        let mut taken = 0;
        for (at, word) in self.bitmap().iter().enumerate() {
            let all = word.load(Ordering::Relaxed);
            let mut bits = all & !spared(at);
            let kept = all & !bits;
            while bits != 0 && taken < out.len() {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                out[taken] = base.wrapping_add(arithmetic.offset(at * 64 + bit));
                taken += 1;
            }
            word.store(bits | kept, Ordering::Relaxed);
            if taken == out.len() {
                break;
            }
        }
        taken
    }

    /// Notes that `slots`, just taken, will have memory, for which all hollow pages were reserved (rules K2 and K4 of
    /// `hollow`).
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    #[cold]
    unsafe fn fill_pages(&mut self, slots: &[*mut u8]) {
        let (class, base) = (self.class(), self.base().addr());
        let arithmetic = slots_in_slab(class);
        let pages = slots.iter().fold(0, |pages, slot| {
            pages | pages_of(class, arithmetic.index(slot.addr() - base))
        });
        let before = self.hollow();
        hollow::note_filled(before.count_ones(), (before & pages).count_ones());
        // SAFETY: the caller's promise.
        unsafe { self.get_mut() }.hollow &= !pages;
    }

    /// The pages without memory.
    pub(super) fn hollow(&self) -> PageBits {
        self.get().hollow
    }

    /// Whether slots were taken or given back since this was last asked.
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    pub(super) unsafe fn take_recent(&mut self) -> bool {
        // SAFETY: the caller's promise.
        core::mem::take(&mut unsafe { self.get_mut() }.recent)
    }

    /// The slot that starts at `ptr`.
    #[inline]
    pub(super) fn slot_of(self, ptr: *mut u8) -> Result<usize, Misuse> {
        let arithmetic = slots_in_slab(self.class());
        let offset = ptr.addr().wrapping_sub(self.base().addr());
        let slot = arithmetic.index(offset);
        if slot < self.slots() && arithmetic.offset(slot) == offset {
            Ok(slot)
        } else {
            Err(Misuse::Interior)
        }
    }

    /// Whether the bitmap says that `slot` is free.
    pub(super) fn is_free(self, slot: usize) -> bool {
        let word = self
            .bitmap()
            .get(slot / 64)
            .map_or(0, |word| word.load(Ordering::Relaxed));
        word >> (slot % 64) & 1 != 0
    }

    /// Gives the slot at `ptr` back.
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    #[inline]
    pub(super) unsafe fn give_back(&mut self, ptr: *mut u8) -> Result<(), Misuse> {
        let slot = self.slot_of(ptr)?;
        let Some(word) = self.bitmap().get(slot / 64) else {
            return Err(Misuse::Interior);
        };
        let (bits, bit) = (word.load(Ordering::Relaxed), 1 << (slot % 64));
        if bits & bit != 0 {
            return Err(Misuse::DoubleFree);
        }
        word.store(bits | bit, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let slab = unsafe { self.get_mut() };
        slab.free += 1;
        slab.recent = true;
        Ok(())
    }

    /// Whether all slots are free.
    pub(super) fn is_empty(self) -> bool {
        self.get().free == self.get().slots
    }

    /// Gives the pages to the page heap and the record to whoever needs one.
    ///
    /// # Safety
    /// The slab is empty, in no list, and nobody else can reach it.
    pub(super) unsafe fn destroy(self) {
        let (class, base) = (self.class(), self.base());
        probe!(jemoxide:slab_gone, base.addr());
        self.get().kind.set(Kind::Free);
        let hollow = self.hollow();
        let pages = Pages(slab_pages(class));
        for page in 0..pages.0 {
            let addr = base.wrapping_add(page * PAGE);
            page_map::set_class_byte(addr, 0);
            page_map::set_record(addr, None);
        }
        // SAFETY: the whole run, as `create` got it; the caller says nobody uses it.
        unsafe {
            if hollow == 0 {
                give_pages(base, (0, pages.0));
            } else {
                hollow::note_left(hollow.count_ones());
                let all = PageBits::MAX >> (PageBits::BITS as usize - pages.0);
                hollow::runs(hollow).for_each(|run| give_purged_pages(base, run));
                hollow::runs(all & !hollow).for_each(|run| give_pages(base, run));
            }
        }
        if let Some(record) = MetaRef::from_number(self.number()) {
            // SAFETY: allocated with the same units; the page map names it no more.
            unsafe { meta::recycle(record, units(class)) };
        }
    }

    /// Asserts rule S2.
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    #[cfg(test)]
    pub(super) unsafe fn check(&self) {
        let free: u32 = self
            .bitmap()
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum();
        assert_eq!(free as usize, self.free_slots(), "S2");
        assert_eq!(self.degree(), self.wanted_degree());
        self.check_hollow();
    }
}

/// Gives a run of a slab's pages to the page heap: its first page and length.
///
/// # Safety
/// They are pages of a slab that starts at `base`; nobody uses them from now on.
unsafe fn give_pages(base: *mut u8, (first, len): (usize, usize)) {
    if let Some(addr) = NonNull::new(base.wrapping_add(first * PAGE)) {
        // SAFETY: the caller's promise.
        unsafe { HEAP.dealloc(addr, Pages(len)) };
    }
}

/// As [`give_pages`], for hollow pages.
///
/// # Safety
/// As for [`give_pages`]; they have no memory.
#[cold]
unsafe fn give_purged_pages(base: *mut u8, (first, len): (usize, usize)) {
    if let Some(addr) = NonNull::new(base.wrapping_add(first * PAGE)) {
        // SAFETY: the caller's promise; shorter than a huge page, as every slab.
        unsafe { HEAP.dealloc_purged(addr, Pages(len)) };
    }
}
