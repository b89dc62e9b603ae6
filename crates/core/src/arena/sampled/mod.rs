//! Sampled: small objects that the profiler knows of, in slabs of their own.
//!
//! ```text
//! pages    | slot | slot | slot | slot | ...     of one length: a power of two, or whole pages
//! object     ^ at the start of its slot, or 8 bytes into it (G4)
//! record   | class, arena, sample of each slot           kept apart from the slots, as every slab's (see `slab`)
//! ```
//! Objects of all small classes share a dozen shapes of slabs, so that few pages serve a program with few samples, and a page
//! holds up to 128 of them.
//!
//! G1  Pages read class 0 in the page map: every free comes to look at the record, which knows the slot's class and sample.
//! G2  A slot is free exactly if its place is 0; `taken` counts the others.
//! G3  A slab is in the list of its shape exactly if it has a free slot. One of each shape stays when it is empty, until
//!     memory is asked back: the next sample needs no page, and a second free finds the slot.
//! G4  An odd object lies 8 above a multiple of 16, as no ordinary one does of a class from 16 bytes on: who frees it by its
//!     layout tells it by that bit. One of 8 bytes is told by where it lies (see `eights`).
//!     Of those that went, the last ones are known for a while (see `gone`).
//! G5  Bins count such objects as if they had come of their slabs (see `bin`): figures by class and arena include them.
//! Lock: of all lists, rank 2; the page heap (3) and the metadata (4) may be taken under it. Places and samples of slots
//! that are taken stand still.

mod eights;
mod gone;
mod slab;

use super::misuse::Misuse;
use super::{ArenaIndex, bin, depot};
use crate::meta::MetaRef;
use crate::prof::Sample;
use crate::size::SizeClass;
use crate::sync::Mutex;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use eights::holds as is_eight;
use slab::{Place, SHAPES, Shape, SlabRef};

/// The slabs with free slots, by shape.
struct Lists {
    heads: [u32; SHAPES],
}

static LISTS: Mutex<Lists, 2> = Mutex::new(Lists { heads: [0; SHAPES] });
/// Bytes of all slabs, and of the objects in them, by usable size.
static BYTES: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

impl Lists {
    fn head(&mut self, shape: Shape) -> &mut u32 {
        &mut self.heads[shape.index()]
    }

    fn link(&mut self, slab: SlabRef) {
        let head = self.head(slab.shape);
        let first = core::mem::replace(head, slab.number);
        slab.prev.store(0, Ordering::Relaxed);
        slab.next.store(first, Ordering::Relaxed);
        if let Some(first) = SlabRef::from_link(first) {
            first.prev.store(slab.number, Ordering::Relaxed);
        }
    }

    fn unlink(&mut self, slab: SlabRef) {
        let next = slab.next.load(Ordering::Relaxed);
        let prev = slab.prev.load(Ordering::Relaxed);
        match SlabRef::from_link(prev) {
            Some(prev) => prev.next.store(next, Ordering::Relaxed),
            None => *self.head(slab.shape) = next,
        }
        if let Some(next) = SlabRef::from_link(next) {
            next.prev.store(prev, Ordering::Relaxed);
        }
    }

    /// Takes the slabs of eights off, and their place, if all of them are empty: the first of them, linked to the others.
    fn unlink_eights(&mut self) -> Option<(SlabRef, eights::Place)> {
        let head = *self.head(Shape::EIGHTS);
        let next = |slab: &SlabRef| SlabRef::from_link(slab.next.load(Ordering::Relaxed));
        let first = SlabRef::from_link(head)?;
        let listed = core::iter::successors(Some(first), next);
        let empty = listed.filter(|slab| slab.taken() == 0).count();
        if empty != eights::pages() {
            return None;
        }
        *self.head(Shape::EIGHTS) = 0;
        // A slab for each page that was cut, none of which anybody can reach any more.
        Some((first, eights::take()?))
    }

    /// Whether `slab`, which is listed, is the only one of its shape that is.
    fn is_alone(&mut self, slab: SlabRef) -> bool {
        *self.head(slab.shape) == slab.number && slab.next.load(Ordering::Relaxed) == 0
    }
}

/// An object of `class`, which is small, for a thread whose misses go to `arena`; without a sample. `told`: by its address, as
/// G4 has it. `None`: out of memory. Called inside a passage.
pub(crate) fn alloc(class: SizeClass, arena: ArenaIndex, told: bool) -> Option<NonNull<u8>> {
    let is_eight = told && class.size() == 8;
    let place = Place::of(class, arena, told && !is_eight);
    let shape = if is_eight {
        Shape::EIGHTS
    } else {
        Shape::holding(class.size() + place.offset())
    };
    let mut object = take(&mut LISTS.lock(), shape, place);
    while object.is_none() {
        // The place of eights is cut under the lock; pages of others come without it.
        let fresh = (!is_eight).then(|| SlabRef::create(shape));
        let mut lists = LISTS.lock();
        let slab = fresh.unwrap_or_else(|| SlabRef::create(shape))?;
        lists.link(slab);
        BYTES.fetch_add(shape.pages().bytes(), Ordering::Relaxed);
        object = take(&mut lists, shape, place);
    }
    USED.fetch_add(class.size(), Ordering::Relaxed);
    bin::note_sampled(class, arena);
    depot::note_filled(class, 1);
    object
}

/// Takes a free slot of a slab that is listed. `None`: there is none.
fn take(lists: &mut Lists, shape: Shape, place: Place) -> Option<NonNull<u8>> {
    let slab = SlabRef::from_link(*lists.head(shape))?;
    let at = (slab.slots().iter()).position(|slot| slot.place() == Place::FREE)?;
    let slot = slab.slots().get(at)?;
    slot.sample.store(0, Ordering::Relaxed);
    slot.place.store(place.0, Ordering::Relaxed);
    slab.taken.fetch_add(1, Ordering::Relaxed);
    if slab.is_full() {
        lists.unlink(slab);
    }
    NonNull::new((slab.base).wrapping_add(at * shape.slot_bytes() + place.offset()))
}

/// Names the sample of an object that [`alloc`] just gave the caller.
pub(crate) fn attach(object: NonNull<u8>, sample: Sample) {
    if let Some(slab) = SlabRef::holding(object.as_ptr()) {
        if let Ok(slot) = slab.slot_of(object.as_ptr()) {
            slot.sample.store(sample.number(), Ordering::Relaxed);
        }
    }
}

/// Takes the sample off the object at `ptr`, if it is one: who frees it tells of its end while the address is still the
/// object's. Called inside a passage.
pub(crate) fn detach(ptr: *const u8) -> Option<Sample> {
    SlabRef::holding(ptr)?;
    let _lists = LISTS.lock();
    // Looked up again: what is freed twice at once may have become something else meanwhile.
    let slab = SlabRef::holding(ptr)?;
    let slot = slab.slot_of(ptr).ok()?;
    Sample::from_number(slot.sample.swap(0, Ordering::Relaxed))
}

/// Frees the object at `ptr`, without a sample, and answers its class, or says what is wrong with the pointer. `None`: it does not lie in such a slab. Called inside a
/// passage.
pub(crate) fn dealloc(ptr: *mut u8) -> Option<Result<SizeClass, Misuse>> {
    SlabRef::holding(ptr)?;
    let (class, arena, emptied) = {
        let mut lists = LISTS.lock();
        // What is freed twice at once may have become another slab meanwhile, or none.
        let Some(slab) = SlabRef::holding(ptr) else {
            return Some(Err(Misuse::DoubleFree));
        };
        let place = match slab.slot_of(ptr) {
            Ok(slot) => Place(slot.place.swap(Place::FREE.0, Ordering::Relaxed)),
            Err(error) => return Some(Err(error)),
        };
        let class = place.class()?;
        let was_full = slab.is_full();
        slab.taken.fetch_sub(1, Ordering::Relaxed);
        if was_full {
            lists.link(slab);
        }
        let emptied = slab.is_spent() && !lists.is_alone(slab);
        if emptied {
            lists.unlink(slab);
        }
        (class, place.arena(), emptied.then_some(slab))
    };
    if let Some(slab) = emptied {
        // SAFETY: all its slots are free, it left its list under the lock; nobody can reach it.
        unsafe { destroy(slab) };
    }
    USED.fetch_sub(class.size(), Ordering::Relaxed);
    bin::note_sampled_gone(class, arena);
    depot::note_flushed(class, 1);
    Some(Ok(class))
}

/// The class of the object at `ptr`, or what is wrong with the pointer; `record` is what the page map names.
pub(super) fn inspect(record: MetaRef, ptr: *const u8) -> Result<SizeClass, Misuse> {
    let slab = SlabRef::from_record(record).ok_or(Misuse::Foreign)?;
    let slot = slab.slot_of(ptr)?;
    slot.place().class().ok_or(Misuse::DoubleFree)
}

/// The arena whose figures count the object at `ptr`. `None`: no such object.
pub(super) fn arena_of(ptr: *const u8) -> Option<ArenaIndex> {
    let slab = SlabRef::holding(ptr)?;
    Some(slab.slot_of(ptr).ok()?.place().arena())
}

/// Gives empty slabs back, those that stayed among them (G3). Called inside a passage.
pub(crate) fn release_empty() {
    if BYTES.load(Ordering::Relaxed) == 0 {
        return;
    }
    while let Some(slab) = unlink_empty() {
        // SAFETY: all its slots are free, it left its list under the lock; nobody can reach it.
        unsafe { destroy(slab) };
    }
    let eights = LISTS.lock().unlink_eights();
    if let Some((first, place)) = eights {
        let mut next = Some(first);
        while let Some(slab) = next {
            next = SlabRef::from_link(slab.next.load(Ordering::Relaxed));
            // SAFETY: all its slots are free, it left its list under the lock; nobody can reach it.
            unsafe { destroy(slab) };
        }
        // SAFETY: all slabs in it have just ended.
        unsafe { place.give_back() };
    }
}

/// Whether an object was at `ptr`, which lies on no page that anybody has, in a slab of samples that is no more (G3): what is
/// freed there is freed twice.
pub(super) fn was_object(ptr: *const u8) -> bool {
    gone::was_object(ptr)
}

/// Gives a slab back.
///
/// # Safety
/// As for [`SlabRef::destroy`].
unsafe fn destroy(slab: SlabRef) {
    gone::note(slab);
    BYTES.fetch_sub(slab.shape.pages().bytes(), Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { slab.destroy() };
}

fn unlink_empty() -> Option<SlabRef> {
    let mut lists = LISTS.lock();
    for mut link in lists.heads {
        while let Some(slab) = SlabRef::from_link(link) {
            if slab.is_spent() {
                lists.unlink(slab);
                return Some(slab);
            }
            link = slab.next.load(Ordering::Relaxed);
        }
    }
    None
}

/// Bytes of all slabs.
pub(crate) fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Bytes of them that no object uses: free slots, and what slots are longer than their objects.
pub(crate) fn slack_bytes() -> usize {
    bytes().saturating_sub(USED.load(Ordering::Relaxed))
}

/// The sample of the object at `ptr`, the caller's, if it has one.
pub(crate) fn sample_of(ptr: *const u8) -> Option<Sample> {
    let slab = SlabRef::holding(ptr)?;
    let slot = slab.slot_of(ptr).ok()?;
    Sample::from_number(slot.sample.load(Ordering::Relaxed))
}
