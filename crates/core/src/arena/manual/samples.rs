//! Samples: objects of arenas made by request that the profiler knows of.
//!
//! ```text
//! extent: samples ──> address | sample | next ──> ... ──> 0        one a sampled object in it, slab or large
//! ```
//! Such an object lies where its arena has it, and its page reads class 0 as all of the arena's do. There are few: a list
//! will do, and who frees an object of an extent without any sees that at a glance.
//!
//! L1  A list changes under the arena's lock. Who has an object sees its own sample, which came before the object did.
//! L2  An object's sample ends before the object does; what an arena discards takes its samples along. One that the hardened
//!     arena serves ends as that has it (A5).
//! Lock: the arena's.

use super::arena::ArenaRef;
use super::extent::ExtentRef;
use super::objects::{self, Place};
use crate::arena::cells::{Address, Number};
use crate::extent::hooks::Outside;
use crate::meta::{self, MetaRef};
use crate::prof::{self, Sample, ThreadRef, hooks};
use core::ffi::c_void;
use core::ptr::{NonNull, with_exposed_provenance_mut};

/// A sampled object.
#[repr(C, align(64))]
struct Entry {
    address: Address,
    sample: Number,
    next: Number,
}

/// An entry by its record, and the record.
#[derive(Clone, Copy)]
struct EntryRef(MetaRef);

impl EntryRef {
    fn create(ptr: *mut u8, sample: Sample) -> Option<Self> {
        let record = meta::allocate(meta::units_of::<Entry>())?;
        let entry: NonNull<Entry> = record.resolve();
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            entry.write(Entry {
                address: Address::new(),
                sample: Number::new(sample.number()),
                next: Number::new(0),
            });
        }
        let entry = Self(record);
        entry.get().address.set(ptr);
        Some(entry)
    }

    fn from_link(number: u32) -> Option<Self> {
        MetaRef::from_number(number).map(Self)
    }

    fn get(&self) -> &Entry {
        // SAFETY: records stay mapped, and all fields are atomics.
        unsafe { self.0.resolve().as_ref() }
    }

    /// Gives the record back; the sample.
    ///
    /// # Safety
    /// The entry is in no list.
    unsafe fn consume(self) -> Option<Sample> {
        let sample = Sample::from_number(self.get().sample.get());
        // SAFETY: the caller's promise; allocated with the same units.
        unsafe { meta::recycle(self.0, meta::units_of::<Entry>()) };
        sample
    }
}

/// Makes the object at `ptr`, the caller's, a sampled one. `false`: it belongs to no arena made by request, or memory is out.
pub(crate) fn attach(ptr: *mut u8, sample: Sample) -> bool {
    let Some(Place { arena, extent }) = objects::place_of(ptr) else {
        return false;
    };
    let Some(entry) = EntryRef::create(ptr, sample) else {
        return false;
    };
    arena.with(|_| {
        entry
            .get()
            .next
            .set(extent.samples.replace(entry.0.number()))
    });
    true
}

/// Makes the object at `ptr` an ordinary one; its sample. `None`: it is no sampled object of an arena made by request.
pub(crate) fn detach(ptr: *mut u8) -> Option<Sample> {
    let Place { arena, extent } = objects::place_of(ptr)?;
    if extent.samples.get() == 0 {
        return None;
    }
    let entry = arena.with(|_| unlink(extent, ptr))??;
    // SAFETY: it was taken out of its list.
    unsafe { entry.consume() }
}

fn unlink(extent: ExtentRef, ptr: *mut u8) -> Option<EntryRef> {
    let mut before: Option<EntryRef> = None;
    let mut entry = EntryRef::from_link(extent.samples.get())?;
    while entry.get().address.get() != ptr {
        before = Some(entry);
        entry = EntryRef::from_link(entry.get().next.get())?;
    }
    let link = before
        .as_ref()
        .map_or(&extent.samples, |before| &before.get().next);
    link.set(entry.get().next.get());
    Some(entry)
}

/// Ends the samples of all objects in `extent`, which the arena discards (L2): they count as freed, and hooks are told as of
/// any that are, while the objects are still there. No lock is held.
pub(super) fn discard(arena: ArenaRef, extent: ExtentRef, outside: impl Outside) {
    let mut link = arena
        .with(|_| extent.samples.replace(0))
        .unwrap_or_default();
    while let Some(entry) = EntryRef::from_link(link) {
        link = entry.get().next.get();
        // SAFETY: the whole list was taken off the extent.
        if let Some(sample) = unsafe { entry.consume() } {
            end(sample, outside);
        }
    }
}

/// Ends the sample of an object that the arena discards (L2). No lock is held.
pub(super) fn end(sample: Sample, outside: impl Outside) {
    if let Some(released) = hooks::released() {
        let (address, usable) = prof::place(sample);
        let object = with_exposed_provenance_mut::<c_void>(address);
        // SAFETY: `prof_sample_free` was given such a function.
        outside.outside(|| unsafe { released(object, usable) });
    }
    prof::release(sample, ThreadRef::PAST, &[]);
}

/// The sample of the object at `ptr`, the caller's, if it has one.
pub(crate) fn sample_of(ptr: *const u8) -> Option<Sample> {
    let Place { arena, extent } = objects::place_of(ptr)?;
    let find = || {
        let mut entry = EntryRef::from_link(extent.samples.get())?;
        while entry.get().address.get().cast_const() != ptr {
            entry = EntryRef::from_link(entry.get().next.get())?;
        }
        Sample::from_number(entry.get().sample.get())
    };
    arena.with(|_| find())?
}
