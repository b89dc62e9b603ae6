//! Bin: the slabs of one class of slots, and what is done with a slot.
//!
//! ```text
//! alloc    a slab with room, a slot by chance ──> still zero? canary behind what was asked for
//! dealloc  live? made by this door, of this size? canary whole? neighbours whole? ──> zeroed, to the quarantine
//! release  out of the quarantine: still zero? ──> free;  a second empty slab goes back to the page heap, or sleeps (N5)
//! ```
//! N1  A slab is in the list of those with room exactly if it has free slots and is awake.
//! N2  What is checked and what follows are one step under the lock: of two threads that free an object one is told.
//! N3  Neighbours are looked at within [`NEAR`] bytes of the object that is freed; all of a slot when it changes hands.
//! N4  `paranoid` keeps the addresses of empty slabs for their class: their memory goes, and nobody may touch them.
//! N5  An empty slab that the system does not let go stays awake, and goes with the next one that it lets go.
//! Lock: one for each class, rank 2; page heap, metadata and the quarantine's queue may be taken under it.

use super::bare;
use super::canary;
use super::door::{Ask, Told};
use super::figures;
use super::guard;
use super::large;
use super::quarantine::{Batch, Due, Entry, What};
use super::random::{self, Random};
use super::slab::{
    BARE, BARE_GUARDS, CLASSES, EMPTY, GUARDED, LISTED, LONG, Length, SHUT, Shape, SlabRef, State,
};
use super::{Freed, Place, watched};
use crate::arena::misuse::{self, Misuse};
use crate::extent::{HEAP, Purpose};
use crate::size::{PAGE, Pages};
use crate::sync::Mutex;
use crate::sys::memory;
use core::ptr::NonNull;

/// Bytes of a free neighbour that are looked at (N3).
const NEAR: usize = 64;
/// Objects that are discarded under one lock.
const BATCH: usize = 32;
/// Slabs from which on those that follow are long.
const MANY: usize = 4;

/// The slabs of a class.
pub(super) struct Bin {
    /// Slabs with room (N1).
    room: u32,
    /// All records.
    all: u32,
    /// Records without memory, by length.
    bare: [u32; 2],
    /// Slabs that sleep (N4).
    asleep: u32,
    /// Slabs that are awake, and those of them that are empty.
    slabs: usize,
    empty: usize,
    random: Random,
    /// Slots on their way into the quarantine.
    waiting: Batch,
}

static BINS: [Mutex<Bin, 2>; CLASSES] = [const {
    Mutex::new(Bin {
        room: 0,
        all: 0,
        bare: [0; 2],
        asleep: 0,
        slabs: 0,
        empty: 0,
        random: Random::new(),
        waiting: Batch::new(),
    })
}; CLASSES];

/// A slot of `class`, at most [`EMPTY`], for `ask`, which fits. `None`: out of memory.
#[inline]
pub(super) fn alloc(class: usize, ask: &Ask) -> Option<*mut u8> {
    loop {
        if let Some(object) = BINS[class].lock().take(class, ask) {
            return Some(object);
        }
        grow(class)?;
    }
}

/// Gets the bin a slab with room. `None`: out of memory.
#[cold]
#[inline(never)]
fn grow(class: usize) -> Option<()> {
    let (known, length) = BINS[class].lock().next_slab();
    match known {
        Some(slab) if slab.is(SHUT) => wake(class, slab),
        Some(slab) => furnish(class, slab),
        None => {
            let slab = SlabRef::create(class, length)?;
            BINS[class].lock().register(slab);
            furnish(class, slab)
        }
    }
}

/// Gives a record without memory some, and the bin its slots. `None`: out of memory.
fn furnish(class: usize, slab: SlabRef) -> Option<()> {
    let pages = Pages(slab.pages() + 2);
    let Some(run) = HEAP.alloc(pages, PAGE, Purpose::Zeroed) else {
        BINS[class].lock().put_bare(slab);
        return None;
    };
    let is_bare = bare::clear(&run, pages);
    // SAFETY: within the run just handed out, whose guards nobody uses.
    unsafe {
        let base = run.addr.add(PAGE);
        let is_guarded = large::has_guards() && guard::raise(run.addr, pages, true, is_bare);
        slab.set(GUARDED, is_guarded);
        slab.set(BARE_GUARDS, is_bare && slab.is(GUARDED));
        if class == EMPTY && slab.is(GUARDED) {
            let is_shut = memory::protect(base, slab.pages() * PAGE, false);
            note_bare(slab, is_bare && is_shut);
        }
        slab.begin(base, random::secret(base.addr().get() as u64));
        watched::forbid(base.as_ptr(), slab.pages() * PAGE);
    }
    BINS[class].lock().add(slab);
    Some(())
}

/// Has a slab that sleeps serve again (N4). `None`: the system refuses.
fn wake(class: usize, slab: SlabRef) -> Option<()> {
    let base = NonNull::new(slab.base())?;
    // Objects without bytes stay out of reach.
    let is_empty = class == EMPTY;
    let is_granted = is_empty || bare::reserve(slab.pages());
    if is_granted && !is_empty {
        slab.set(BARE, false);
    }
    // SAFETY: pages of the slab, which is the caller's; they read zero.
    let done =
        is_empty || is_granted && unsafe { memory::protect(base, slab.pages() * PAGE, true) };
    let mut bin = BINS[class].lock();
    if !done {
        note_bare(slab, true);
        slab.next
            .set(core::mem::replace(&mut bin.asleep, slab.number()));
        return None;
    }
    slab.set(SHUT, false);
    bin.add(slab);
    Some(())
}

/// The pages of a slab, the caller's, are bare from now on, if they `are` and were not.
fn note_bare(slab: SlabRef, are: bool) {
    if are && !slab.is(BARE) {
        slab.set(BARE, true);
        bare::note(slab.pages());
    }
}

/// Bare pages of a slab's run.
fn bare_pages(slab: SlabRef) -> usize {
    let pages = if slab.is(BARE) { slab.pages() } else { 0 };
    pages + if slab.is(BARE_GUARDS) { 2 } else { 0 }
}

/// Gives an empty slab's memory back; it is in no list, and the caller's. `false`: the system refuses, it goes on as it is.
#[cold]
fn retire(class: usize, slab: SlabRef, keeps_addresses: bool) -> bool {
    let (Some(run), Some(base)) = (NonNull::new(slab.run()), NonNull::new(slab.base())) else {
        return false;
    };
    let pages = Pages(slab.pages() + 2);
    // SAFETY: all slots are free and nobody finds one: the memory is of no use.
    unsafe {
        if keeps_addresses {
            let bytes = slab.pages() * PAGE;
            if HEAP.renew(base, Pages(slab.pages())) && memory::protect(base, bytes, false) {
                note_bare(slab, true);
                let mut bin = BINS[class].lock();
                slab.next
                    .set(core::mem::replace(&mut bin.asleep, slab.number()));
                return true;
            }
        } else if !slab.is(GUARDED) || guard::lower(run, pages, bare_pages(slab)) {
            slab.set(BARE | BARE_GUARDS, false);
            slab.end();
            watched::allow(run.as_ptr(), pages.bytes());
            bare::forget_run(pages);
            // All of it reads zero but has memory here and there.
            if HEAP.renew(run, pages) {
                HEAP.dealloc_bare(run, pages);
            } else {
                HEAP.dealloc(run, pages);
            }
            let mut bin = BINS[class].lock();
            slab.set(SHUT, false);
            bin.put_bare(slab);
            return true;
        }
    }
    let mut bin = BINS[class].lock();
    slab.set(SHUT, false);
    bin.add(slab);
    false
}

/// Gives back what empty slabs of a class there are beyond one (N5). Called inside a passage, no lock held.
#[cold]
pub(super) fn retire_surplus(class: usize, keeps_addresses: bool) {
    loop {
        let slab = {
            let mut bin = BINS[class].lock();
            match bin.an_empty_one() {
                Some(slab) if bin.empty > 1 => {
                    bin.detach(slab);
                    slab
                }
                _ => return,
            }
        };
        if !retire(class, slab, keeps_addresses) {
            return;
        }
    }
}

/// Frees the object at `ptr`, which lies in `slab`. Otherwise nothing happened.
pub(super) fn dealloc(slab: SlabRef, ptr: *mut u8, told: &Told) -> Result<Freed, Misuse> {
    let class = slab.class();
    let mut bin = BINS[class].lock();
    let shape = slab.shape();
    let slot = inspect_locked(slab, &shape, ptr)?;
    let marks = shape.marks(slot);
    if told.is_wrong_door(marks.door()) {
        return Err(Misuse::WrongDoor);
    }
    let bytes = marks.bytes();
    if !told.fits(bytes, marks.lg_align()) {
        return Err(Misuse::WrongSize);
    }
    if shape.is_solid {
        look_beside(&shape, slot);
    }
    Ok(end(&mut bin, slab, &shape, slot, told.trace))
}

/// Ends the live object in slot number `slot`, whose canary is whole, on the stack with that number.
#[inline]
fn end(bin: &mut Bin, slab: SlabRef, shape: &Shape, slot: usize, trace: u16) -> Freed {
    let marks = shape.marks(slot);
    let bytes = marks.bytes();
    if shape.is_solid {
        let used = (bytes + canary::BYTES).min(shape.stride);
        // SAFETY: the slot, which nobody is to use any more.
        unsafe { shape.object(slot).write_bytes(0, used) };
    }
    marks.end(trace);
    // Once it waits it may be another's.
    watched::note_dealloc(shape.object(slot));
    let entry = Entry::slot(slab.number(), slot, shape.stride);
    let mut freed = Freed::of(marks, bytes, Place::Quarantine(Due::Wait(entry)));
    if freed.sample.is_none() {
        freed.place = Place::Quarantine(bin.waiting.put(entry));
    }
    freed
}

/// Has the queue get what the bins have for it.
pub(super) fn hand_over() {
    for bin in &BINS {
        bin.lock().waiting.hand_over();
    }
}

/// Frees all objects of `class` that the arena with index `arena` has, and calls `each` with them, no lock held. What was
/// written behind them is told.
pub(super) fn discard(class: usize, arena: usize, mut each: impl FnMut(Freed)) {
    let mut link = BINS[class].lock().all;
    while let Some(slab) = SlabRef::from_link(link) {
        link = slab.all.get();
        let mut slot = 0;
        while slot < slab.slots() {
            let (ended, next) = watched::quietly(|| end_some_of(arena, slab, slot));
            ended.into_iter().flatten().for_each(&mut each);
            slot = next;
        }
    }
}

/// Ends objects of an arena in slots from number `slot` on; also answers the first slot that was not looked at.
fn end_some_of(arena: usize, slab: SlabRef, mut slot: usize) -> ([Option<Freed>; BATCH], usize) {
    let mut ended = [const { None }; BATCH];
    let mut bin = BINS[slab.class()].lock();
    if !slab.is_alive() {
        return (ended, slab.slots());
    }
    let shape = slab.shape();
    for place in &mut ended {
        while slot < shape.slots && !shape.marks(slot).is_live_of(arena) {
            slot += 1;
        }
        if slot == shape.slots {
            break;
        }
        if !shape.is_whole(slot, shape.marks(slot).bytes()) {
            misuse::report(Misuse::Overflow, shape.object(slot));
            mend(&shape, slot);
        }
        *place = Some(end(&mut bin, slab, &shape, slot, 0));
    }
    (ended, slot)
}

/// The slot of the live object at `ptr`, whose canary is whole.
#[inline]
fn inspect_locked(slab: SlabRef, shape: &Shape, ptr: *const u8) -> Result<usize, Misuse> {
    if !slab.is_alive() {
        return Err(Misuse::Foreign);
    }
    let slot = shape.slot_of(ptr)?;
    let marks = shape.marks(slot);
    match marks.state() {
        State::Live if shape.is_whole(slot, marks.bytes()) => Ok(slot),
        State::Live => Err(Misuse::Overflow),
        State::Free | State::Waiting | State::Spoilt => Err(Misuse::DoubleFree),
    }
}

/// Bytes that the object at `ptr` was asked for with, if it is live and whole.
pub(super) fn inspect(slab: SlabRef, ptr: *const u8) -> Result<usize, Misuse> {
    let _bin = BINS[slab.class()].lock();
    let shape = slab.shape();
    inspect_locked(slab, &shape, ptr).map(|slot| shape.marks(slot).bytes())
}

/// Changes the object at `ptr`, live and whole, to `bytes` where it is; what is added reads zero. The bytes it had;
/// `None`: it cannot be.
pub(super) fn resize(
    slab: SlabRef,
    ptr: *mut u8,
    bytes: usize,
    align: Option<usize>,
) -> Option<usize> {
    let class = slab.class();
    let _bin = BINS[class].lock();
    let shape = slab.shape();
    let Ok(slot) = inspect_locked(slab, &shape, ptr) else {
        return None;
    };
    let (marks, stride) = (shape.marks(slot), shape.stride);
    let old = marks.bytes();
    let fits = bytes < stride && (bytes >= old || bytes * 2 >= stride);
    if !shape.is_solid || !fits {
        return None;
    }
    // SAFETY: within the slot, whose object is the caller's.
    unsafe {
        let (from, to) = (old.min(bytes), (old + canary::BYTES).min(stride));
        ptr.add(from).write_bytes(0, to - from);
        shape.write_canary(slot, bytes);
    }
    marks.set_bytes(bytes);
    if let Some(align) = align {
        marks.set_align(align);
    }
    Some(old)
}

/// Looks at the neighbours of slot number `slot`, and tells what was written there (N3).
#[inline]
fn look_beside(shape: &Shape, slot: usize) {
    if let Some(before) = slot.checked_sub(1) {
        look_at(shape, before, true);
    }
    if slot + 1 < shape.slots {
        look_at(shape, slot + 1, false);
    }
}

/// Looks at slot number `slot`: at its end if it `is_before` the one that is freed.
#[inline]
fn look_at(shape: &Shape, slot: usize, is_before: bool) {
    let marks = shape.marks(slot);
    match marks.state() {
        State::Live => {
            if !shape.is_whole(slot, marks.bytes()) {
                misuse::report(Misuse::Overflow, shape.object(slot));
                mend(shape, slot);
            }
        }
        State::Free | State::Waiting => {
            let near = NEAR.min(shape.stride);
            let from = if is_before { shape.stride - near } else { 0 };
            let place = shape.object(slot).wrapping_add(from);
            // SAFETY: within a free slot.
            unsafe {
                if !canary::is_zero(place, near) {
                    misuse::report(Misuse::BesideFree, shape.object(slot));
                    place.write_bytes(0, near);
                }
            }
        }
        State::Spoilt => {}
    }
}

/// Makes the canary of a live slot whole, so that what was told is not told again.
#[cold]
fn mend(shape: &Shape, slot: usize) {
    let bytes = shape.marks(slot).bytes();
    let behind = shape.object(slot).wrapping_add(bytes);
    // SAFETY: behind the object, within its slot.
    unsafe {
        behind.write_bytes(0, shape.stride - bytes);
        shape.write_canary(slot, bytes);
    }
}

/// The first of `entries`, a slot, leaves the quarantine, and those that follow it as long as they are slots of the same class
/// and no slab is to be retired; how many.
pub(super) fn release(entries: &[Entry], keeps_addresses: bool) -> usize {
    let slot = |entry: &Entry| match entry.what() {
        What::Slot(record, slot) => Some((SlabRef::from_link(record)?, slot)),
        What::Large(_) => None,
    };
    let Some((first, _)) = entries.first().and_then(slot) else {
        return 1;
    };
    let class = first.class();
    let mut bin = BINS[class].lock();
    let mut count = 0;
    for (slab, slot) in entries.iter().map_while(slot) {
        if slab.class() != class {
            break;
        }
        count += 1;
        if bin.release(slab, slot) {
            let is_last = bin.empty <= 1;
            drop(bin);
            if retire(class, slab, keeps_addresses) && !is_last {
                retire_surplus(class, keeps_addresses);
            }
            break;
        }
    }
    count
}

impl Bin {
    /// Slot number `slot` of `slab`, which waited, may serve again. Whether the slab is to be retired: it is in no list then.
    fn release(&mut self, slab: SlabRef, slot: usize) -> bool {
        let shape = slab.shape();
        let marks = shape.marks(slot);
        if marks.state() != State::Waiting {
            return false;
        }
        if !shape.is_clean(slot) {
            misuse::report(Misuse::WriteAfterFree, shape.object(slot));
            marks.set_state(State::Spoilt);
            return false;
        }
        slab.give_back(slot);
        if !slab.is(LISTED) {
            self.list(slab);
        }
        if slab.free() < shape.slots {
            return false;
        }
        self.empty += 1;
        if self.empty == 1 {
            return false;
        }
        self.detach(slab);
        true
    }

    /// A slot of a slab with room. `None`: there is none.
    fn take(&mut self, class: usize, ask: &Ask) -> Option<*mut u8> {
        while let Some(slab) = SlabRef::from_link(self.room) {
            let was_empty = slab.free() == slab.slots();
            let slot = slab.take(self.random.next(class));
            self.empty -= usize::from(was_empty && slot.is_some());
            if slab.free() == 0 {
                self.unlist(slab);
            }
            let Some(slot) = slot else { continue };
            let shape = slab.shape();
            let (marks, object) = (shape.marks(slot), shape.object(slot));
            if !shape.is_clean(slot) {
                marks.set_state(State::Spoilt);
                misuse::report(Misuse::WriteAfterFree, object);
                continue;
            }
            marks.begin(ask);
            // SAFETY: the slot just taken.
            unsafe { shape.write_canary(slot, ask.bytes) };
            return Some(object);
        }
        None
    }

    /// What the next slab is to be: one that sleeps, a record without memory, or a new one of that length.
    fn next_slab(&mut self) -> (Option<SlabRef>, Length) {
        if let Some(slab) = SlabRef::from_link(self.asleep) {
            self.asleep = slab.next.get();
            return (Some(slab), Length::Short);
        }
        let length = if self.slabs >= MANY {
            Length::Long
        } else {
            Length::Short
        };
        let bare = &mut self.bare[length as usize];
        let known = SlabRef::from_link(*bare);
        if let Some(slab) = known {
            *bare = slab.next.get();
        }
        (known, length)
    }

    /// Takes a new record.
    fn register(&mut self, slab: SlabRef) {
        slab.all
            .set(core::mem::replace(&mut self.all, slab.number()));
    }

    fn put_bare(&mut self, slab: SlabRef) {
        let bare = &mut self.bare[usize::from(slab.is(LONG))];
        slab.next.set(core::mem::replace(bare, slab.number()));
    }

    /// Takes a slab all slots of which are free.
    fn add(&mut self, slab: SlabRef) {
        self.slabs += 1;
        self.empty += 1;
        figures::note_slab(slab.class(), slab.pages(), true);
        self.list(slab);
    }

    /// Takes an empty slab out, which is the caller's then.
    fn detach(&mut self, slab: SlabRef) {
        self.unlist(slab);
        self.empty -= 1;
        self.slabs -= 1;
        figures::note_slab(slab.class(), slab.pages(), false);
        // Who sweeps leaves it alone from now on.
        slab.set(SHUT, true);
    }

    /// A slab all slots of which are free, if there is one.
    fn an_empty_one(&self) -> Option<SlabRef> {
        let mut link = self.room;
        while let Some(slab) = SlabRef::from_link(link) {
            if slab.free() == slab.slots() {
                return Some(slab);
            }
            link = slab.next.get();
        }
        None
    }

    fn list(&mut self, slab: SlabRef) {
        slab.set(LISTED, true);
        slab.prev.set(0);
        slab.next.set(self.room);
        if let Some(next) = SlabRef::from_link(self.room) {
            next.prev.set(slab.number());
        }
        self.room = slab.number();
    }

    fn unlist(&mut self, slab: SlabRef) {
        if !slab.is(LISTED) {
            return;
        }
        slab.set(LISTED, false);
        let (next, prev) = (slab.next.get(), slab.prev.get());
        match SlabRef::from_link(prev) {
            Some(prev) => prev.next.set(next),
            None => self.room = next,
        }
        if let Some(next) = SlabRef::from_link(next) {
            next.prev.set(prev);
        }
    }

    /// Calls `visit` with all slabs that are awake.
    fn each(&self, mut visit: impl FnMut(SlabRef)) {
        let mut link = self.all;
        while let Some(slab) = SlabRef::from_link(link) {
            link = slab.all.get();
            if slab.is_alive() && !slab.is(SHUT) {
                visit(slab);
            }
        }
    }
}

/// Looks at every slot of a class, and tells what was written where nobody may.
pub(super) fn sweep(class: usize) {
    let bin = BINS[class].lock();
    if class == EMPTY {
        return;
    }
    bin.each(|slab| {
        let shape = slab.shape();
        for slot in 0..shape.slots {
            let (object, marks) = (shape.object(slot), shape.marks(slot));
            match marks.state() {
                State::Live if !shape.is_whole(slot, marks.bytes()) => {
                    misuse::report(Misuse::Overflow, object);
                    mend(&shape, slot);
                }
                State::Free | State::Waiting if !shape.is_clean(slot) => {
                    misuse::report(Misuse::WriteAfterFree, object);
                    // SAFETY: a free slot.
                    unsafe { object.write_bytes(0, shape.stride) };
                }
                _ => {}
            }
        }
    });
}

/// Asserts S1, S2 and N1.
#[cfg(test)]
pub(super) fn check(class: usize) {
    let bin = BINS[class].lock();
    let (mut slabs, mut empty) = (0, 0);
    bin.each(|slab| {
        slab.check();
        let shape = slab.shape();
        slabs += 1;
        empty += usize::from(slab.free() == slab.slots());
        assert_eq!(slab.is(LISTED), slab.free() > 0, "N1");
        for slot in 0..shape.slots {
            let marks = shape.marks(slot);
            match marks.state() {
                State::Live => assert!(shape.is_whole(slot, marks.bytes()), "S2"),
                State::Free | State::Waiting => assert!(shape.is_clean(slot), "S2"),
                State::Spoilt => {}
            }
        }
    });
    assert_eq!((slabs, empty), (bin.slabs, bin.empty));
}

/// Bytes of the slabs of a class that are awake, guards apart, and how many of them are empty.
#[cfg(test)]
pub(super) fn awake(class: usize) -> (usize, usize) {
    let bin = BINS[class].lock();
    let mut bytes = 0;
    bin.each(|slab| bytes += slab.pages() * PAGE);
    (bytes, bin.empty)
}
