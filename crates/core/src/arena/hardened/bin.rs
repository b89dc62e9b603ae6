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
//! Lock: one for each class, rank 2; page heap and metadata may be taken under it.

use super::bare;
use super::canary;
use super::door::{Ask, Told};
use super::figures;
use super::guard;
use super::large;
use super::quarantine::Entry;
use super::random::{self, Random};
use super::slab::{
    BARE, BARE_GUARDS, CLASSES, EMPTY, GUARDED, LISTED, LONG, Length, SHUT, SlabRef, State,
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
    })
}; CLASSES];

/// A slot of `class`, at most [`EMPTY`], for `ask`, which fits. `None`: out of memory.
pub(super) fn alloc(class: usize, ask: &Ask) -> Option<*mut u8> {
    loop {
        let (known, length) = {
            let mut bin = BINS[class].lock();
            if let Some(object) = bin.take(class, ask) {
                return Some(object);
            }
            bin.next_slab()
        };
        match known {
            Some(slab) if slab.is(SHUT) => wake(class, slab)?,
            Some(slab) => furnish(class, slab)?,
            None => {
                let slab = SlabRef::create(class, length)?;
                BINS[class].lock().register(slab);
                furnish(class, slab)?;
            }
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
    let _bin = BINS[class].lock();
    let slot = inspect_locked(slab, ptr)?;
    let marks = slab.marks(slot);
    if told.door != marks.door() {
        return Err(Misuse::WrongDoor);
    }
    if !told.fits(marks.bytes(), marks.lg_align()) {
        return Err(Misuse::WrongSize);
    }
    look_beside(slab, slot);
    Ok(end(slab, slot, told.trace))
}

/// Ends the live object in slot number `slot`, whose canary is whole, on the stack with that number. Under the lock.
fn end(slab: SlabRef, slot: usize, trace: u16) -> Freed {
    let marks = slab.marks(slot);
    let bytes = marks.bytes();
    if slab.class() != EMPTY {
        let used = (bytes + canary::BYTES).min(slab.stride());
        // SAFETY: the slot, which nobody is to use any more.
        unsafe { slab.object(slot).write_bytes(0, used) };
    }
    marks.end(trace);
    let entry = Entry::slot(slab.number(), slot, slab.stride());
    Freed::of(marks, bytes, Place::Quarantine(entry))
}

/// Frees all objects of `class` that the arena with index `arena` has, and calls `each` with them, no lock held. What was
/// written behind them is told.
pub(super) fn discard(class: usize, arena: usize, mut each: impl FnMut(*mut u8, Freed)) {
    let mut link = BINS[class].lock().all;
    while let Some(slab) = SlabRef::from_link(link) {
        link = slab.all.get();
        let mut slot = 0;
        while slot < slab.slots() {
            let (ended, next) = watched::quietly(|| end_some_of(arena, slab, slot));
            for (object, freed) in ended.into_iter().flatten() {
                each(object, freed);
            }
            slot = next;
        }
    }
}

/// Ends objects of an arena in slots from number `slot` on; also answers the first slot that was not looked at.
fn end_some_of(
    arena: usize,
    slab: SlabRef,
    mut slot: usize,
) -> ([Option<(*mut u8, Freed)>; BATCH], usize) {
    let mut ended = [const { None }; BATCH];
    let _bin = BINS[slab.class()].lock();
    if !slab.is_alive() {
        return (ended, slab.slots());
    }
    for place in &mut ended {
        while slot < slab.slots() && !slab.marks(slot).is_live_of(arena) {
            slot += 1;
        }
        if slot == slab.slots() {
            break;
        }
        let object = slab.object(slot);
        if !is_whole(slab, slot) {
            misuse::report(Misuse::Overflow, object);
            mend(slab, slot);
        }
        *place = Some((object, end(slab, slot, 0)));
    }
    (ended, slot)
}

/// The slot of the live object at `ptr`, whose canary is whole.
fn inspect_locked(slab: SlabRef, ptr: *const u8) -> Result<usize, Misuse> {
    if !slab.is_alive() {
        return Err(Misuse::Foreign);
    }
    let slot = slab.slot_of(ptr)?;
    match slab.marks(slot).state() {
        State::Live if is_whole(slab, slot) => Ok(slot),
        State::Live => Err(Misuse::Overflow),
        State::Free | State::Waiting | State::Spoilt => Err(Misuse::DoubleFree),
    }
}

/// Bytes that the object at `ptr` was asked for with, if it is live and whole.
pub(super) fn inspect(slab: SlabRef, ptr: *const u8) -> Result<usize, Misuse> {
    let _bin = BINS[slab.class()].lock();
    inspect_locked(slab, ptr).map(|slot| slab.marks(slot).bytes())
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
    let Ok(slot) = inspect_locked(slab, ptr) else {
        return None;
    };
    let (marks, stride) = (slab.marks(slot), slab.stride());
    let old = marks.bytes();
    let fits = bytes < stride && (bytes >= old || bytes * 2 >= stride);
    if class == EMPTY || !fits {
        return None;
    }
    // SAFETY: within the slot, whose object is the caller's.
    unsafe {
        let (from, to) = (old.min(bytes), (old + canary::BYTES).min(stride));
        ptr.add(from).write_bytes(0, to - from);
        canary::write_behind(ptr.add(bytes), stride - bytes, slab.secret());
    }
    marks.set_bytes(bytes);
    if let Some(align) = align {
        marks.set_align(align);
    }
    Some(old)
}

/// Whether the canary of the live slot number `slot` is whole.
fn is_whole(slab: SlabRef, slot: usize) -> bool {
    let (bytes, stride) = (slab.marks(slot).bytes(), slab.stride());
    let behind = slab.object(slot).wrapping_add(bytes);
    // SAFETY: within the slot; its pages are readable where the class is not `EMPTY`.
    slab.class() == EMPTY
        || unsafe { canary::is_whole_behind(behind, stride - bytes, slab.secret()) }
}

/// Whether all of slot number `slot`, which is free, reads zero.
fn is_clean(slab: SlabRef, slot: usize) -> bool {
    // SAFETY: a slot; its pages are readable where the class is not `EMPTY`.
    slab.class() == EMPTY || unsafe { canary::is_zero(slab.object(slot), slab.stride()) }
}

/// Looks at the neighbours of slot number `slot`, and tells what was written there (N3).
fn look_beside(slab: SlabRef, slot: usize) {
    if slab.class() == EMPTY {
        return;
    }
    for beside in [slot.wrapping_sub(1), slot + 1] {
        if beside >= slab.slots() {
            continue;
        }
        let object = slab.object(beside);
        match slab.marks(beside).state() {
            State::Live => {
                if !is_whole(slab, beside) {
                    misuse::report(Misuse::Overflow, object);
                    mend(slab, beside);
                }
            }
            State::Free | State::Waiting => {
                let near = NEAR.min(slab.stride());
                let far_end = slab.stride() - near;
                let from = if beside < slot { far_end } else { 0 };
                let place = object.wrapping_add(from);
                // SAFETY: within a free slot.
                unsafe {
                    if !canary::is_zero(place, near) {
                        misuse::report(Misuse::BesideFree, object);
                        place.write_bytes(0, near);
                    }
                }
            }
            State::Spoilt => {}
        }
    }
}

/// Makes the canary of a live slot whole, so that what was told is not told again.
fn mend(slab: SlabRef, slot: usize) {
    let (bytes, stride) = (slab.marks(slot).bytes(), slab.stride());
    let behind = slab.object(slot).wrapping_add(bytes);
    // SAFETY: behind the object, within its slot.
    unsafe {
        behind.write_bytes(0, stride - bytes);
        canary::write_behind(behind, stride - bytes, slab.secret());
    }
}

/// A slot leaves the quarantine.
pub(super) fn release(slab: SlabRef, slot: usize, keeps_addresses: bool) {
    let class = slab.class();
    let mut bin = BINS[class].lock();
    let marks = slab.marks(slot);
    if marks.state() != State::Waiting {
        return;
    }
    if !is_clean(slab, slot) {
        misuse::report(Misuse::WriteAfterFree, slab.object(slot));
        marks.set_state(State::Spoilt);
        return;
    }
    slab.give_back(slot);
    if !slab.is(LISTED) {
        bin.list(slab);
    }
    if slab.free() == slab.slots() {
        bin.empty += 1;
        if bin.empty > 1 {
            bin.detach(slab);
            let is_last = bin.empty <= 1;
            drop(bin);
            if retire(class, slab, keeps_addresses) && !is_last {
                retire_surplus(class, keeps_addresses);
            }
        }
    }
}

impl Bin {
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
            let (marks, object) = (slab.marks(slot), slab.object(slot));
            if !is_clean(slab, slot) {
                marks.set_state(State::Spoilt);
                misuse::report(Misuse::WriteAfterFree, object);
                continue;
            }
            marks.begin(ask);
            if class != EMPTY {
                let slack = slab.stride() - ask.bytes;
                // SAFETY: behind the object, within its slot.
                unsafe { canary::write_behind(object.add(ask.bytes), slack, slab.secret()) };
            }
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
        figures::note_slab(slab.class(), true);
        self.list(slab);
    }

    /// Takes an empty slab out, which is the caller's then.
    fn detach(&mut self, slab: SlabRef) {
        self.unlist(slab);
        self.empty -= 1;
        self.slabs -= 1;
        figures::note_slab(slab.class(), false);
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
        for slot in 0..slab.slots() {
            let object = slab.object(slot);
            match slab.marks(slot).state() {
                State::Live if !is_whole(slab, slot) => {
                    misuse::report(Misuse::Overflow, object);
                    mend(slab, slot);
                }
                State::Free | State::Waiting if !is_clean(slab, slot) => {
                    misuse::report(Misuse::WriteAfterFree, object);
                    // SAFETY: a free slot.
                    unsafe { object.write_bytes(0, slab.stride()) };
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
        slabs += 1;
        empty += usize::from(slab.free() == slab.slots());
        assert_eq!(slab.is(LISTED), slab.free() > 0, "N1");
        for slot in 0..slab.slots() {
            match slab.marks(slot).state() {
                State::Live => {
                    assert!(is_whole(slab, slot), "S2");
                }
                State::Free | State::Waiting => assert!(is_clean(slab, slot), "S2"),
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
