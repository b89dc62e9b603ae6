//! Hardened arena: what serves every allocation at `hardening:strong` and `paranoid`.
//!
//! ```text
//! alloc ──> bytes + 1 fit a small class ──> bin ──> slab: a slot by chance, a canary behind the object
//!      └──> larger, or (paranoid) by chance ──> large: pages of its own, up against a guard page
//! free  ──> record out of line: live? by this door, of this size? whole? ──> zeroed or shut ──> let go ──> quarantine ──> free
//! ```
//! Threads come here by way of their shadow bins, as every operation goes slow at these levels; pages read class 0 in the
//! page map, so nothing of it ever enters a cache, the depot or the run cache. The fast core stays as it is.
//!
//! A1  What is known of an object lies in records of our own, never beside it: what was asked for, by which door, whether it
//!     is live. Every free is held against it.
//! A2  Usable size is what was asked for. What lies beyond in the slot is ours, and looked at.
//! A3  A fault found changes nothing, but is told (`arena::misuse`); a slot found written while free serves nobody again.
//! A4  Whoever is short of memory gets what waits in the quarantine ([`relieve`]).
//! A5  A freed object's place is nobody's until [`Freed::let_go`], before which the profiler's sample ends: two samples never
//!     have one address. One that was no sample may be on its way into the quarantine before. Who is told of the end of a
//!     sample (`prof_sample_free`) finds pages of its own as they were, a slot zeroed, and a slot of the pool shut.
//!     A child forked meanwhile by another thread never lets go of that object: its slot, or its pages, serve nobody there;
//!     slots of the pool, which are few, do.
//! A6  An arena made by request has its objects here as well, each marked with its index, by which a reset finds them. Who gave
//!     such an arena hooks of its own wants its memory from there: what they bring is not hardened.
//!
//! | file | |
//! |---|---|
//! | `door` | families of functions; what an allocation asks, what a free says |
//! | `slab`, `bin` | slots of a class; which of them is taken, what is checked |
//! | `large` | objects with pages of their own |
//! | `canary` | bytes that nobody may write, bytes that read zero |
//! | `bare` | pages that have no memory |
//! | `guard` | pages that nobody may touch, and how many there may be |
//! | `quarantine` | freed objects that wait |
//! | `asleep` | runs that wait for an object of their class |
//! | `watched` | what memcheck is told, where it looks |
//! | `pool` | pages between guards for objects chosen now and then, at any level |
//! | `traces` | stacks of allocation and free |
//! | `random`, `about`, `figures` | numbers; what messages tell; what is counted |
//!
//! Units: bytes, unless a name says pages.

mod about;
mod asleep;
mod bare;
mod bin;
mod canary;
mod door;
mod figures;
mod guard;
mod large;
mod pool;
mod quarantine;
mod random;
mod slab;
#[cfg(test)]
mod tests;
mod traces;
mod watched;

pub(crate) use about::About;
pub(crate) use bare::{bytes as bare_bytes, held_bytes};
pub use door::Door;
pub(crate) use door::{Ask, Size, Told, treat_doors_alike};
pub(crate) use figures::{ARENAS, counted, figures, figures_of, slab_bytes, slabs};
pub(crate) use figures::{by_request_bytes, forget, pages_of, serves};
pub(crate) use traces::FRAMES;

use super::misuse::Misuse;
use crate::extent::{HEAP, Purpose, page_map};
use crate::meta::limit;
use crate::options::Hardening;
use crate::prof::Sample;
use crate::size::{LOOKUP, LOOKUP_MAX, Pages, SMALL_MAX, SizeClass, aligned_size, class_of};
use crate::sys::process;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use large::LargeRef;
use quarantine::{Due, Entry, What};
use slab::{EMPTY, Marks, SlabRef};

/// Bytes from which `paranoid` gives an object pages of its own.
const APART: usize = 2048;
/// One in so many smaller objects gets them too.
const APART_SHARE: u64 = 8;
/// Pages that `paranoid` leaves out at the start, at most, so that runs differ in their addresses.
const SKIPPED_PAGES: u64 = 1 << 12;

/// Runs with guards below which it gives them to every object.
const APART_FIRST: usize = 4096;
/// How much more it lets wait.
const PARANOID_TIMES: usize = 8;

/// The level is `paranoid`.
static PARANOID: AtomicBool = AtomicBool::new(false);
/// Counts allocations, so that chance differs from one to the next.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Prepares for a level from `strong` on, with so many bytes in quarantine, and stacks of so many frames. Called once, by the
/// boot.
pub(crate) fn prepare(level: Hardening, quarantine_bytes: usize, frames: usize) {
    random::seed();
    guard::prepare();
    watched::prepare();
    traces::prepare(frames);
    let is_paranoid = level == Hardening::Paranoid;
    let times = if is_paranoid { PARANOID_TIMES } else { 1 };
    quarantine::prepare(quarantine_bytes.saturating_mul(times));
    if is_paranoid {
        asleep::prepare();
        PARANOID.store(true, Ordering::Relaxed);
        let skipped = random::secret(0) % SKIPPED_PAGES + 1;
        // Never given back, never touched: address space alone.
        let skipped = Pages(skipped as usize);
        if let Some(run) = HEAP.alloc(skipped, 1, Purpose::Zeroed) {
            if bare::clear(&run, skipped) {
                bare::note(skipped.0);
            }
        }
    }
}

/// Has one in `share` allocations that come by a slow path served by the pool, whose objects have whole stacks at any level. Called
/// once, by the boot, after [`prepare`] where a level asks for that.
pub(crate) fn prepare_pool(share: usize) {
    random::seed();
    traces::prepare_whole();
    pool::prepare(share);
}

#[inline]
fn is_paranoid() -> bool {
    PARANOID.load(Ordering::Relaxed)
}

/// An object for `ask`; all of it reads zero. `None`: out of memory.
#[inline]
pub(crate) fn alloc(ask: &Ask) -> Option<*mut u8> {
    let trace = traces::capture();
    let ask = &Ask { trace, ..*ask };
    figures::open(ask.arena)?;
    let object = watched::quietly(|| {
        place(ask).or_else(|| {
            // Addresses may be what is short.
            let may_help = limit::has_room(ask.bytes) && large::relieve(ask.bytes);
            may_help.then(|| place(ask))?
        })
    })?;
    figures::note_came(ask.arena, ask.bytes);
    watched::note_alloc(object, ask.bytes);
    Some(object)
}

#[inline]
fn place(ask: &Ask) -> Option<*mut u8> {
    match class_for(ask) {
        Some(class) => bin::alloc(class, ask),
        None => large::alloc(ask),
    }
}

/// The program did not ask for zeroes in the new object at `object`, of `bytes`.
pub(crate) fn note_any_contents(object: *mut u8, bytes: usize) {
    watched::forget(object, bytes);
}

/// An object for `ask` from the pool, if one is due; all of it reads zero. `None`: it comes from where it comes otherwise.
pub(crate) fn sample(ask: &Ask) -> Option<*mut u8> {
    if !pool::is_due() || !pool::may_serve(ask) {
        return None;
    }
    let trace = traces::capture_whole();
    let object = watched::quietly(|| pool::alloc(&Ask { trace, ..*ask }))?;
    watched::note_alloc(object, ask.bytes);
    figures::note_came(ask.arena, ask.bytes);
    Some(object)
}

/// The class of the slot that `ask` gets. `None`: pages of its own.
#[inline]
fn class_for(ask: &Ask) -> Option<usize> {
    if ask.bytes == 0 && ask.align <= 16 {
        return Some(EMPTY);
    }
    if is_paranoid() && is_apart(ask.bytes) {
        return None;
    }
    // With a byte for the canary at least.
    let bytes = ask.bytes.checked_add(1)?;
    if ask.align <= 8 && bytes <= LOOKUP_MAX {
        return SizeClass::from_byte(LOOKUP[(bytes + 7) >> 3]).map(SizeClass::index);
    }
    let bytes = aligned_size(bytes, ask.align)?;
    let class = class_of(bytes).filter(|_| bytes <= SMALL_MAX)?;
    Some(class.index())
}

/// Whether an object of `bytes` gets pages of its own all the same, as long as there may be more of those.
fn is_apart(bytes: usize) -> bool {
    if !guard::has_plenty() {
        return false;
    }
    if guard::runs() < APART_FIRST {
        return true;
    }
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    bytes >= APART || random::secret(turn) % APART_SHARE == 0
}

/// An object that was freed, whose place is nobody's yet (A5).
#[derive(Debug)]
#[must_use = "its place serves nobody until it is let go"]
pub(crate) struct Freed {
    /// What it was asked for with.
    pub(crate) bytes: usize,
    /// The index of the arena that it was asked of.
    arena: usize,
    /// The profiler's sample that it was, now the caller's.
    pub(crate) sample: Option<Sample>,
    place: Place,
}

/// Where a freed object was.
#[derive(Debug)]
enum Place {
    /// Where it is to wait, or waits already; and what is due.
    Quarantine(Due),
    /// Pages of its own, as it left them.
    Pages(LargeRef),
    /// A slot of the pool.
    Pool(usize),
}

impl Freed {
    /// The object of `bytes` that `marks` tell of, which has ended: its sample is taken from it.
    fn of(marks: &Marks, bytes: usize, place: Place) -> Self {
        Self {
            bytes,
            arena: marks.arena(),
            sample: marks.replace_sample(None),
            place,
        }
    }

    /// Lets go of the object's place. The sample has ended. Called inside a passage, no lock held.
    #[inline]
    pub(crate) fn let_go(self) {
        match self.place {
            Place::Quarantine(Due::Nothing) => {}
            Place::Quarantine(Due::Drain) => watched::quietly(|| quarantine::drain_over(release)),
            Place::Quarantine(Due::Wait(entry)) => {
                watched::quietly(|| quarantine::put(entry, release));
            }
            Place::Pages(large) => watched::quietly(|| quarantine::put(large.let_go(), release)),
            Place::Pool(slot) => pool::release(slot),
        }
    }
}

/// What the page map says of an address.
#[derive(Clone, Copy)]
enum Found {
    Slab(SlabRef),
    Large(LargeRef),
    /// A slot of the pool.
    Pool(usize),
}

#[inline]
fn find(ptr: *const u8) -> Option<Found> {
    if let Some(slot) = pool::slot_of(ptr) {
        return Some(Found::Pool(slot));
    }
    let record = page_map::record(ptr)?;
    if let Some(slab) = SlabRef::from_record(record) {
        return Some(Found::Slab(slab));
    }
    LargeRef::from_record(record).map(Found::Large)
}

/// Whether the memory at `ptr` is of this arena.
pub(crate) fn owns(ptr: *const u8) -> bool {
    find(ptr).is_some()
}

/// Frees the object at `ptr`, whose place is to be let go (A5), or what is wrong; then nothing happened. `None`: it is not of
/// this arena. Called inside a passage, no lock held.
#[inline]
pub(crate) fn dealloc(ptr: *mut u8, told: &Told) -> Option<Result<Freed, Misuse>> {
    let found = find(ptr)?;
    let trace = match found {
        Found::Pool(_) => traces::capture_whole(),
        Found::Slab(_) | Found::Large(_) => traces::capture(),
    };
    let told = &Told { trace, ..*told };
    let freed = watched::quietly(|| match found {
        Found::Slab(slab) => bin::dealloc(slab, ptr, told),
        Found::Large(large) => large.dealloc(ptr, told),
        Found::Pool(slot) => pool::dealloc(slot, ptr, told),
    });
    Some(freed.inspect(|freed| figures::note_went(freed.arena, freed.bytes)))
}

/// Frees all objects of the arena with index `arena`, which nobody uses any more, as a reset of it does: they wait as what was
/// freed one by one. Their samples are handed to `end`. Called inside a passage, no lock held.
pub(crate) fn discard(arena: usize, mut end: impl FnMut(Sample)) {
    if !serves(arena) {
        return;
    }
    let mut each = |mut freed: Freed| {
        figures::note_went(freed.arena, freed.bytes);
        if let Some(sample) = freed.sample.take() {
            end(sample);
        }
        freed.let_go();
    };
    (0..slab::CLASSES).for_each(|class| bin::discard(class, arena, &mut each));
    large::discard(arena, each);
}

fn release(mut entries: &[Entry]) {
    while let Some(first) = entries.first() {
        let count = match first.what() {
            What::Slot(..) => bin::release(entries, is_paranoid()),
            What::Large(record) => {
                if let Some(large) = large::of_record(record) {
                    large.release(is_paranoid());
                }
                1
            }
        };
        entries = entries.get(count..).unwrap_or(&[]);
    }
}

/// Bytes that the object at `ptr` was asked for with, or what is wrong with it. `None`: it is not of this arena.
pub(crate) fn inspect(ptr: *const u8) -> Option<Result<usize, Misuse>> {
    let found = find(ptr)?;
    Some(watched::quietly(|| match found {
        Found::Slab(slab) => bin::inspect(slab, ptr),
        Found::Large(large) => large.inspect(ptr),
        Found::Pool(slot) => pool::inspect(slot, ptr),
    }))
}

/// As [`inspect`], for a call that says `told` of the object.
pub(crate) fn inspect_for(ptr: *const u8, told: &Told) -> Option<Result<usize, Misuse>> {
    let door = find(ptr)?.with_marks(ptr, Marks::door);
    Some(inspect(ptr)?.and_then(|bytes| match door {
        Some(door) if told.is_wrong_door(door) => Err(Misuse::WrongDoor),
        _ => Ok(bytes),
    }))
}

/// Changes the object at `ptr` to `bytes` where it is, as if it had been asked for at `align`; `None`: as it was. What is added
/// reads zero. `false`: it cannot be.
pub(crate) fn resize(ptr: *mut u8, bytes: usize, align: Option<usize>) -> bool {
    let Some(found) = find(ptr) else {
        return false;
    };
    let old = watched::quietly(|| match found {
        Found::Slab(slab) => bin::resize(slab, ptr, bytes, align),
        Found::Large(large) => large.resize(ptr, bytes, align),
        Found::Pool(_) => None,
    });
    if let Some(old) = old {
        watched::note_resize(ptr, old, bytes);
        let arena = found.with_marks(ptr, Marks::arena).unwrap_or(0);
        figures::note_came(arena, bytes);
        figures::note_went(arena, old);
    }
    old.is_some()
}

/// Makes the object at `ptr`, the caller's, a sampled one. `false`: it is not of this arena.
pub(crate) fn attach(ptr: *mut u8, sample: Sample) -> bool {
    let attach = |marks: &Marks| marks.replace_sample(Some(sample));
    find(ptr).is_some_and(|found| found.with_marks(ptr, attach).is_some())
}

/// Makes the object at `ptr` an ordinary one; its sample. `None`: it is no sampled object of this arena.
pub(crate) fn detach(ptr: *mut u8) -> Option<Sample> {
    find(ptr)?.with_marks(ptr, |marks| marks.replace_sample(None))?
}

impl Found {
    /// Looks at what is known of the object at `ptr`, which is the caller's. `None`: there is none.
    fn with_marks<R>(self, ptr: *const u8, look: impl FnOnce(&Marks) -> R) -> Option<R> {
        Some(match self {
            Self::Slab(slab) => look(slab.marks(slab.slot_of(ptr).ok()?)),
            Self::Large(large) => look(large.marks()),
            Self::Pool(slot) => look(pool::marks(slot)?),
        })
    }
}

/// The index of the arena that the object around `ptr` was asked of, be it free by now. `None`: it is not of this arena.
pub(crate) fn arena_of(ptr: *const u8) -> Option<usize> {
    Some(about(ptr)?.arena())
}

/// What a message may tell of the object at `ptr`.
pub(crate) fn about(ptr: *const u8) -> Option<About> {
    match find(ptr)? {
        Found::Slab(slab) => slab.about(ptr),
        Found::Large(large) => Some(large.about()),
        Found::Pool(slot) => pool::about(slot),
    }
}

/// What an access of `addr` that the system has refused was, and what is known of the object that was meant. `None`: it has
/// nothing to do with this arena, or with what this arena forbids. Takes no lock.
pub(crate) fn explain(addr: usize) -> Option<(Misuse, Option<About>)> {
    let ptr = core::ptr::without_provenance(addr);
    Some(
        match find(ptr).or_else(|| large::around(addr).map(Found::Large))? {
            Found::Slab(slab) => {
                let (misuse, nearest) = slab.refused(addr)?;
                (misuse, slab.about(nearest))
            }
            Found::Large(large) => (large.refused(addr)?, Some(large.about())),
            Found::Pool(_) => {
                let (misuse, slot) = pool::explain(addr)?;
                (misuse, pool::about(slot))
            }
        },
    )
}

/// Looks at all objects and all free slots, and tells what was written where nobody may. Called inside a passage, no lock
/// held.
pub(crate) fn sweep() {
    watched::quietly(|| {
        (0..slab::CLASSES).for_each(bin::sweep);
        large::sweep();
        pool::sweep();
    });
}

/// Lets go of all that waits, and of what the system would not let go before. Called inside a passage, no lock held.
pub(crate) fn relieve() {
    watched::quietly(|| {
        bin::hand_over();
        quarantine::drain(0, release);
        (0..slab::CLASSES).for_each(|class| bin::retire_surplus(class, is_paranoid()));
    });
}

/// Has all addresses that wait for objects of their class serve anybody, where the system's bound on addresses may be why there
/// is no room for `bytes`. Called inside a passage, no lock held.
pub(crate) fn relieve_addresses(bytes: usize) {
    let is_bounded = process::address_space_limit().is_some_and(|most| bytes < most);
    if is_bounded && limit::has_room(bytes) {
        watched::quietly(|| large::relieve(0));
    }
}

/// In a forked child whose thread lets go of nothing: slots of the pool that other threads would have let go serve again (A5).
pub(crate) fn forget_leaving() {
    pool::forget_leaving();
}

/// In a forked child: its numbers are not its parent's.
pub(crate) fn reseed() {
    random::seed();
}
