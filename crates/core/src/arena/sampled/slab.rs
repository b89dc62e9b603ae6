//! Slab: a run of pages for samples, and what its record knows of each slot.
//!
//! ```text
//! record   0 kind | 1 shape | 4 number | 8 base | 16 next | 20 prev | 24 taken
//!          32 a slot each: 0 place 4 B (class byte, arena, whether odd) | 4 sample 4 B
//! ```
//! Rules of `sampled`. Lock: that of its lists, for all that changes while the slab lives.

use super::eights;
use crate::arena::ArenaIndex;
use crate::arena::misuse::Misuse;
use crate::arena::record::{Kind, KindCell};
use crate::extent::{HEAP, Purpose, page_map};
use crate::meta::{self, MetaRef, UNIT};
use crate::size::{PAGE, Pages, SMALL_MAX, SizeClass};
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// Shortest slots.
const SLOT_MIN: usize = 32;
/// Longest slots that share a page.
const SHARED_MAX: usize = PAGE / 2;
/// Shapes whose slabs are one page, shared.
const SHARED: usize = (SHARED_MAX / SLOT_MIN).ilog2() as usize + 1;
/// How far odd objects lie in their slots (G4).
pub(super) const ODD: usize = 8;
/// All shapes but that of [`Shape::EIGHTS`].
const SLOTTED: usize = SHARED + (SMALL_MAX + ODD).div_ceil(PAGE);
/// All shapes.
pub(super) const SHAPES: usize = SLOTTED + 1;

const SLOTS_AT: usize = 32;

/// How slabs are cut: shared pages by the length of their slots, then those of one slot by their pages, then shared pages in a
/// place of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape(u8);

impl Shape {
    /// Of objects of 8 bytes whose layout is known (see `eights`); cut as the first.
    pub(super) const EIGHTS: Self = Self(SLOTTED as u8);

    /// The shape whose slots hold `bytes`, at most a small class and [`ODD`].
    pub(super) const fn holding(bytes: usize) -> Self {
        if bytes <= SLOT_MIN {
            Self(0)
        } else if bytes <= SHARED_MAX {
            Self((bytes.next_power_of_two() / SLOT_MIN).ilog2() as u8)
        } else {
            Self((SHARED + bytes.div_ceil(PAGE) - 1) as u8)
        }
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize % SHAPES
    }

    /// The shape with that index.
    pub(super) const fn from_index(index: usize) -> Self {
        Self((index % SHAPES) as u8)
    }

    pub(super) const fn slot_bytes(self) -> usize {
        match self.index() {
            shared @ ..SHARED => SLOT_MIN << shared,
            SLOTTED => SLOT_MIN,
            _ => self.pages().bytes(),
        }
    }

    pub(super) const fn pages(self) -> Pages {
        match self.index() {
            ..SHARED | SLOTTED => Pages(1),
            own => Pages(own - SHARED + 1),
        }
    }

    const fn slots(self) -> usize {
        self.pages().bytes() / self.slot_bytes()
    }

    /// Units of the record.
    const fn units(self) -> usize {
        (SLOTS_AT + self.slots() * size_of::<Slot>()).div_ceil(UNIT)
    }
}

/// What is in a slot: 0 for nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

impl Place {
    pub(super) const FREE: Self = Self(0);
    const ODD: u32 = 1 << 16;

    pub(super) fn of(class: SizeClass, arena: ArenaIndex, odd: bool) -> Self {
        let odd = if odd { Self::ODD } else { 0 };
        Self(u32::from(class.byte()) | (arena.index() as u32) << 8 | odd)
    }

    /// `None`: it is free.
    pub(super) fn class(self) -> Option<SizeClass> {
        SizeClass::from_byte(self.0 as u8)
    }

    pub(super) fn arena(self) -> ArenaIndex {
        ArenaIndex::new(usize::from((self.0 >> 8) as u8))
    }

    /// How far the object lies in its slot.
    pub(super) fn offset(self) -> usize {
        if self.0 & Self::ODD != 0 { ODD } else { 0 }
    }
}

#[repr(C)]
pub(super) struct Slot {
    pub(super) place: AtomicU32,
    /// Number of the sample; 0: the profiler has none.
    pub(super) sample: AtomicU32,
}

impl Slot {
    pub(super) fn place(&self) -> Place {
        Place(self.place.load(Ordering::Relaxed))
    }
}

/// The record.
#[repr(C, align(64))]
pub(super) struct Slab {
    kind: KindCell,
    pub(super) shape: Shape,
    pub(super) number: u32,
    pub(super) base: *mut u8,
    pub(super) next: AtomicU32,
    pub(super) prev: AtomicU32,
    pub(super) taken: AtomicU32,
}

const _: () = assert!(core::mem::offset_of!(Slab, taken) + 4 <= SLOTS_AT);

/// A slab by its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SlabRef(NonNull<Slab>);

impl Deref for SlabRef {
    type Target = Slab;
    fn deref(&self) -> &Slab {
        // SAFETY: records stay mapped; what changes while the slab lives is atomic.
        unsafe { self.0.as_ref() }
    }
}

impl SlabRef {
    /// A slab, all slots free, in no list. `None`: out of memory, nothing lost.
    pub(super) fn create(shape: Shape) -> Option<Self> {
        let record = meta::allocate(shape.units())?;
        let base = match shape {
            Shape::EIGHTS => eights::cut(),
            _ => HEAP
                .alloc(shape.pages(), PAGE, Purpose::Written(0))
                .map(|run| run.addr),
        };
        let Some(base) = base else {
            // SAFETY: just allocated, nobody else knows it.
            unsafe { meta::recycle(record, shape.units()) };
            return None;
        };
        let slab: NonNull<Slab> = record.resolve();
        // SAFETY: a record of so many units, ours alone, and long enough for the slots.
        unsafe {
            slab.as_ptr().write(Slab {
                kind: KindCell::default(),
                shape,
                number: record.number(),
                base: base.as_ptr(),
                next: AtomicU32::new(0),
                prev: AtomicU32::new(0),
                taken: AtomicU32::new(0),
            });
            let slots = slab.cast::<u8>().add(SLOTS_AT).cast::<Slot>();
            slots.write_bytes(0, shape.slots());
        }
        let slab = Self(slab);
        slab.kind.set(Kind::SampledSlab);
        slab.each_page(|page| page_map::set_record(page, Some(record)));
        Some(slab)
    }

    /// Gives pages and record back.
    ///
    /// # Safety
    /// All slots are free, the slab is in no list, and nobody else can reach it. The page of one of eights stays.
    pub(super) unsafe fn destroy(self) {
        let shape = self.shape;
        self.kind.set(Kind::Free);
        self.each_page(|page| page_map::set_record(page, None));
        if let Some(base) = NonNull::new(self.base).filter(|_| shape != Shape::EIGHTS) {
            // SAFETY: the whole run, as `create` got it; nobody uses it.
            unsafe { HEAP.dealloc(base, shape.pages()) };
        }
        if let Some(record) = MetaRef::from_number(self.number) {
            // SAFETY: allocated with the same units; the page map names it no more.
            unsafe { meta::recycle(record, shape.units()) };
        }
    }

    fn each_page(self, mut each: impl FnMut(*const u8)) {
        for page in 0..self.shape.pages().0 {
            each(self.base.wrapping_add(page * PAGE));
        }
    }

    /// The slab that `record` describes, if it describes one.
    pub(super) fn from_record(record: MetaRef) -> Option<Self> {
        let slab = Self(record.resolve());
        (slab.kind.get() == Kind::SampledSlab).then_some(slab)
    }

    pub(super) fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    pub(super) fn holding(ptr: *const u8) -> Option<Self> {
        page_map::record(ptr).and_then(Self::from_record)
    }

    pub(super) fn slots(&self) -> &[Slot] {
        let slots = self.0.as_ptr().cast::<u8>().wrapping_add(SLOTS_AT);
        // SAFETY: as many as `create` made room for, in memory that stays mapped; all atomics.
        unsafe { core::slice::from_raw_parts(slots.cast(), self.shape.slots()) }
    }

    pub(super) fn taken(self) -> usize {
        self.taken.load(Ordering::Relaxed) as usize
    }

    /// Whether it is empty and may be given back by itself.
    pub(super) fn is_spent(self) -> bool {
        self.taken() == 0 && self.shape != Shape::EIGHTS
    }

    pub(super) fn is_full(self) -> bool {
        self.taken() == self.shape.slots()
    }

    /// The slot of the object that starts at `ptr`.
    pub(super) fn slot_of(&self, ptr: *const u8) -> Result<&Slot, Misuse> {
        let offset = ptr.addr().wrapping_sub(self.base.addr());
        let bytes = self.shape.slot_bytes();
        let slot = self.slots().get(offset / bytes).ok_or(Misuse::Interior)?;
        let place = slot.place();
        if place == Place::FREE && matches!(offset % bytes, 0 | ODD) {
            Err(Misuse::DoubleFree)
        } else if place == Place::FREE || offset % bytes != place.offset() {
            Err(Misuse::Interior)
        } else {
            Ok(slot)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::SMALL_CLASSES;

    #[test]
    fn every_class_fits_a_shape_and_no_smaller_one() {
        for class in (0..SMALL_CLASSES).filter_map(SizeClass::new) {
            for bytes in [class.size(), class.size() + ODD] {
                let shape = Shape::holding(bytes);
                assert!(shape.slot_bytes() >= bytes && shape.slots() >= 1);
                assert!(shape.index() == 0 || Shape(shape.0 - 1).slot_bytes() < bytes);
                assert!(shape.slots() * shape.slot_bytes() == shape.pages().bytes());
                // Aligned as the class is, up to a page.
                let align = 1 << class.size().trailing_zeros().min(PAGE.trailing_zeros());
                assert_eq!(shape.slot_bytes() % align, 0);
            }
        }
    }
}
