//! Slab: an extent of an arena made by request, cut into equal slots.
//!
//! ```text
//! record (64 bytes or more)   0 kind | 4 arena | 8 number | 12 class
//!                            16 base | 24 extent | 28 next | 32 prev | 36 degree | 40 free | 44 slots
//!                            48 bitmap, one bit a slot, 1 = free, as long as needed
//! ```
//! S1  Bit `i` is set exactly if slot `i` is neither the application's nor in an explicit cache.
//! S2  `free` is the number of set bits.
//! S3  A slab is in the list of its degree of fullness exactly if it has free slots, oldest first; an empty one is in
//!     none, and goes.
//! The pages of a slab read class 0 in the page map, so that every free comes to look at the record.
//! Lock: the arena's, for all but kind, arena, class, base and extent, which stand still while the slab lives.

use super::extent::ExtentRef;
use crate::arena::bin::Utilisation;
use crate::arena::cells::{Address, Number};
use crate::arena::misuse::{self, Misuse};
use crate::arena::record::{Kind, KindCell};
use crate::extent::page_map;
use crate::meta::{self, MetaRef, UNIT};
use crate::size::{PAGE, SizeClass, slab_pages, slab_slots, slots_in_slab};
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

const BITMAP_AT: usize = 48;
const DEGREES: usize = 4;
/// The degree of a slab that is in no list.
const UNLISTED: u32 = DEGREES as u32;

/// Units of the record of a slab of `class`.
const fn units(class: usize) -> usize {
    (BITMAP_AT + slab_slots(class).div_ceil(64) * 8).div_ceil(UNIT)
}

/// The record.
#[repr(C, align(64))]
pub(super) struct Slab {
    kind: KindCell,
    pub(super) arena: Number,
    number: Number,
    class: Number,
    base: Address,
    extent: Number,
    next: Number,
    prev: Number,
    degree: Number,
    free: Number,
    slots: Number,
    bitmap: [AtomicU64; 2],
}

const _: () =
    assert!(core::mem::offset_of!(Slab, bitmap) == BITMAP_AT && size_of::<Slab>() == UNIT);

/// A slab by its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SlabRef(NonNull<Slab>);

impl Deref for SlabRef {
    type Target = Slab;
    fn deref(&self) -> &Slab {
        // SAFETY: records stay mapped, and all fields are atomics.
        unsafe { self.0.as_ref() }
    }
}

impl SlabRef {
    /// Makes a slab of an extent that is in use and the caller's, all slots free, in no list. `None`: out of memory.
    pub(super) fn create(extent: ExtentRef, class: SizeClass) -> Option<Self> {
        let index = class.index();
        let record = meta::allocate(units(index))?;
        let slots = slab_slots(index);
        let slab: NonNull<Slab> = record.resolve();
        // SAFETY: a record of `units` units, ours alone.
        unsafe {
            slab.as_ptr().write(Slab {
                kind: KindCell::default(),
                arena: Number::new(extent.arena.get()),
                number: Number::new(record.number()),
                class: Number::new(index as u32),
                base: Address::new(),
                extent: Number::new(extent.number()),
                next: Number::new(0),
                prev: Number::new(0),
                degree: Number::new(UNLISTED),
                free: Number::new(slots as u32),
                slots: Number::new(slots as u32),
                bitmap: [const { AtomicU64::new(0) }; 2],
            });
        }
        let slab = Self(slab);
        slab.base.set(extent.base());
        for (word, cell) in slab.bitmap().iter().enumerate() {
            let bits = (slots - word * 64).min(64);
            cell.store(u64::MAX >> (64 - bits), Ordering::Relaxed);
        }
        slab.kind.set(Kind::ManualSlab);
        for page in 0..extent.pages() {
            page_map::set_record(extent.base().wrapping_add(page * PAGE), Some(record));
        }
        Some(slab)
    }

    /// The slab that `record` describes, if it describes one.
    #[inline]
    pub(super) fn from_record(record: MetaRef) -> Option<Self> {
        let slab = Self(record.resolve());
        (slab.kind.get() == Kind::ManualSlab).then_some(slab)
    }

    fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    fn number(self) -> u32 {
        self.number.get()
    }

    pub(super) fn class(self) -> usize {
        self.class.get() as usize
    }

    /// Its pages.
    pub(super) fn extent(self) -> Option<ExtentRef> {
        ExtentRef::from_link(self.extent.get())
    }

    fn bitmap(&self) -> &[AtomicU64] {
        let words = self.0.as_ptr().cast::<u8>().wrapping_add(BITMAP_AT);
        let count = (self.slots.get() as usize).div_ceil(64);
        // SAFETY: as long as `create` made the record, in memory that stays mapped.
        unsafe { core::slice::from_raw_parts(words.cast(), count) }
    }

    /// The degree this slab belongs to: 0 nearly full, 3 nearly empty.
    fn wanted_degree(self) -> u32 {
        let (free, slots) = (self.free.get(), self.slots.get());
        if free == 0 || free == slots {
            UNLISTED
        } else {
            (free - 1) * DEGREES as u32 / slots
        }
    }

    fn is_empty(self) -> bool {
        self.free.get() == self.slots.get()
    }

    /// Takes free slots, lowest address first; the answer is how many.
    fn take(self, out: &mut [*mut u8]) -> usize {
        let arithmetic = slots_in_slab(self.class());
        let mut taken = 0;
        for (at, word) in self.bitmap().iter().enumerate() {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 && taken < out.len() {
                let slot = at * 64 + bits.trailing_zeros() as usize;
                out[taken] = self.base.get().wrapping_add(arithmetic.offset(slot));
                bits &= bits - 1;
                taken += 1;
            }
            word.store(bits, Ordering::Relaxed);
            if taken == out.len() {
                break;
            }
        }
        self.free.set(self.free.get() - taken as u32);
        taken
    }

    /// The slot that starts at `ptr`.
    fn slot_of(self, ptr: *mut u8) -> Result<usize, Misuse> {
        let arithmetic = slots_in_slab(self.class());
        let offset = ptr.addr().wrapping_sub(self.base.get().addr());
        let slot = arithmetic.index(offset);
        if slot < self.slots.get() as usize && arithmetic.offset(slot) == offset {
            Ok(slot)
        } else {
            Err(Misuse::Interior)
        }
    }

    /// Whether `ptr` is a slot that is taken.
    pub(super) fn inspect(self, ptr: *mut u8) -> Result<(), Misuse> {
        let slot = self.slot_of(ptr)?;
        let word = self.bitmap().get(slot / 64).ok_or(Misuse::Interior)?;
        if word.load(Ordering::Relaxed) >> (slot % 64) & 1 != 0 {
            return Err(Misuse::DoubleFree);
        }
        Ok(())
    }

    /// Sets the bit of the slot at `ptr`.
    fn give_back(self, ptr: *mut u8) -> Result<(), Misuse> {
        self.inspect(ptr)?;
        let slot = self.slot_of(ptr)?;
        let word = self.bitmap().get(slot / 64).ok_or(Misuse::Interior)?;
        word.store(
            word.load(Ordering::Relaxed) | 1 << (slot % 64),
            Ordering::Relaxed,
        );
        self.free.set(self.free.get() + 1);
        Ok(())
    }

    /// Gives the record back; the page map names the extent again.
    ///
    /// # Safety
    /// The slab is in no list, none of its slots is used, and nobody else can reach it.
    pub(super) unsafe fn destroy(self) {
        self.kind.set(Kind::Free);
        if let Some(extent) = self.extent() {
            for page in 0..extent.pages() {
                page_map::set_record(extent.base().wrapping_add(page * PAGE), None);
            }
            extent.name();
        }
        if let Some(record) = MetaRef::from_number(self.number()) {
            // SAFETY: the caller's promise; allocated with the same units.
            unsafe { meta::recycle(record, units(self.class())) };
        }
    }
}

/// The slabs of one class, with their counts.
pub(super) struct Slabs {
    heads: [u32; DEGREES],
    tails: [u32; DEGREES],
    /// Slots taken.
    pub(super) taken: usize,
    /// Slabs there are.
    pub(super) count: usize,
    pub(super) allocations: u64,
    pub(super) frees: u64,
    /// Slabs ever made.
    pub(super) made: u64,
    /// Objects that the application asked for, be it a cache that served them.
    pub(super) requests: u64,
    /// Visits that took slots, and those that gave some back.
    pub(super) fills: u64,
    pub(super) flushes: u64,
    /// Slabs that slots were taken of and that had been there before.
    pub(super) reused: u64,
}

impl Slabs {
    pub(super) const fn new() -> Self {
        Self {
            heads: [0; DEGREES],
            tails: [0; DEGREES],
            taken: 0,
            count: 0,
            allocations: 0,
            frees: 0,
            made: 0,
            requests: 0,
            fills: 0,
            flushes: 0,
            reused: 0,
        }
    }

    /// How full `slab`, of this class, is, and all of them.
    pub(super) fn utilisation(&self, slab: SlabRef) -> Utilisation {
        let (slots, class) = (slab.slots.get() as usize, slab.class());
        let bin_slots = self.count * slots;
        let next = self.heads.iter().find_map(|&head| SlabRef::from_link(head));
        Utilisation {
            free: slab.free.get() as usize,
            slots,
            bytes: slab_pages(class) * PAGE,
            bin_free: bin_slots - self.taken.min(bin_slots),
            bin_slots,
            next_slab: next.map_or(ptr::null_mut(), |slab| slab.base.get()),
        }
    }

    /// Takes slots of the fullest slabs, lowest address first; the answer is how many.
    pub(super) fn take(&mut self, out: &mut [*mut u8]) -> usize {
        let mut taken = 0;
        while taken < out.len() {
            let Some(slab) = self.heads.iter().find_map(|&head| SlabRef::from_link(head)) else {
                break;
            };
            taken += slab.take(&mut out[taken..]);
            self.reused += 1;
            self.relist(slab);
        }
        self.taken += taken;
        self.allocations += taken as u64;
        taken
    }

    /// Takes slots of a slab that was just made.
    pub(super) fn take_first(&mut self, slab: SlabRef, out: &mut [*mut u8]) -> usize {
        let taken = slab.take(out);
        self.count += 1;
        self.made += 1;
        self.taken += taken;
        self.allocations += taken as u64;
        self.relist(slab);
        taken
    }

    /// Gives the slots at `objects` back, which are of these slabs of `class`, until as many slabs are empty as `emptied` has room
    /// for: those are the caller's. The answer is how many objects were looked at; what was none is told.
    pub(super) fn give_back_all(
        &mut self,
        arena: u32,
        class: usize,
        objects: &[*mut u8],
        emptied: &mut [Option<SlabRef>],
    ) -> usize {
        let mut room = emptied.iter_mut();
        for (at, &ptr) in objects.iter().enumerate() {
            let slab = page_map::record(ptr).and_then(SlabRef::from_record);
            let found = slab.filter(|slab| slab.arena.get() == arena && slab.class() == class);
            let given = found.ok_or(Misuse::Foreign);
            match given.and_then(|slab| self.give_back(slab, ptr)) {
                Ok(None) => {}
                Ok(slab) => {
                    if let Some(place) = room.next() {
                        *place = slab;
                    }
                    if room.len() == 0 {
                        return at + 1;
                    }
                }
                Err(error) => misuse::report(error, ptr),
            }
        }
        objects.len()
    }

    /// Gives the slot at `ptr` back; the slab, if it is empty now and the caller's.
    pub(super) fn give_back(
        &mut self,
        slab: SlabRef,
        ptr: *mut u8,
    ) -> Result<Option<SlabRef>, Misuse> {
        slab.give_back(ptr)?;
        self.taken -= 1;
        self.frees += 1;
        self.relist(slab);
        if slab.is_empty() {
            self.count -= 1;
            return Ok(Some(slab));
        }
        Ok(None)
    }

    /// Books a slab off with all its slots, whoever has them.
    pub(super) fn discard(&mut self, slab: SlabRef) {
        self.unlist(slab);
        let taken = slab.slots.get() - slab.free.get();
        self.taken -= taken as usize;
        self.frees += u64::from(taken);
        self.count -= 1;
    }

    /// Slabs with free slots.
    pub(super) fn nonfull(&self) -> usize {
        let mut count = 0;
        for mut link in self.heads {
            while let Some(slab) = SlabRef::from_link(link) {
                count += 1;
                link = slab.next.get();
            }
        }
        count
    }

    fn relist(&mut self, slab: SlabRef) {
        let wanted = slab.wanted_degree();
        if wanted == slab.degree.get() {
            return;
        }
        self.unlist(slab);
        if wanted != UNLISTED {
            let list = wanted as usize % DEGREES;
            let tail = self.tails[list];
            slab.degree.set(wanted);
            slab.prev.set(tail);
            slab.next.set(0);
            self.tails[list] = slab.number();
            self.link(tail, list, slab.number());
        }
    }

    fn unlist(&mut self, slab: SlabRef) {
        if slab.degree.get() == UNLISTED {
            return;
        }
        let list = slab.degree.get() as usize % DEGREES;
        let (next, prev) = (slab.next.get(), slab.prev.get());
        self.link(prev, list, next);
        match SlabRef::from_link(next) {
            Some(next) => next.prev.set(prev),
            None => self.tails[list] = prev,
        }
        slab.degree.set(UNLISTED);
    }

    fn link(&mut self, prev: u32, list: usize, next: u32) {
        match SlabRef::from_link(prev) {
            Some(prev) => prev.next.set(next),
            None => self.heads[list] = next,
        }
    }

    /// Asserts S2 and S3, as far as slabs in lists go.
    #[cfg(test)]
    pub(super) fn check(&self, class: usize) {
        for (list, &head) in self.heads.iter().enumerate() {
            let (mut link, mut last) = (head, 0);
            while let Some(slab) = SlabRef::from_link(link) {
                assert_eq!((slab.class(), slab.prev.get()), (class, last));
                let bits = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones();
                let free: u32 = slab.bitmap().iter().map(bits).sum();
                assert_eq!(free, slab.free.get(), "S2");
                assert_eq!(slab.wanted_degree() as usize, list, "S3");
                (last, link) = (link, slab.next.get());
            }
            assert_eq!(self.tails[list], last, "S3");
        }
    }
}
