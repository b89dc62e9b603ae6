//! Large objects: an extent each.
//!
//! ```text
//! record (64 bytes)   0 kind | 1 class | 8 base | 16 pages
//! run cache           a slot per number of pages: the last freed object of that size waits there, whole
//! ```
//! A program that allocates and frees a buffer again and again gets the same one back by one exchange.
//!
//! A1  The record is named on the object's first page; cached classes (up to 32 KiB) have their class byte there.
//! A2  An object changes hands by its kind: Large -> Idle -> Large by compare-exchange, so a second free loses.
//! A3  The run cache keeps at most [`IDLE_MAX`] bytes and nothing above [`SLOT_PAGES`]; [`release_idle`] empties it.

use super::ArenaIndex;
use super::misuse::Misuse;
use super::record::{Kind, KindCell};
use crate::extent::{HEAP, page_map};
use crate::meta::{self, MetaRef};
use crate::size::{CACHED_CLASSES, CLASSES, PAGE, Pages, SMALL_CLASSES, class_of};
use crate::sys::memory;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Largest number of pages that the run cache keeps: 1 MiB.
const SLOT_PAGES: usize = 256;
/// Slots in all; a multiple of nothing, indexed by pages.
const SLOTS: usize = SLOT_PAGES + 1;
/// Bytes that the run cache keeps at most.
const IDLE_MAX: usize = 16 << 20;
/// Shards of the run cache: spread by arena.
const SHARDS: usize = 8;
/// From here on a move by the system beats copying.
pub(crate) const RELOCATE_MIN: usize = 4 << 20;

#[repr(C, align(64))]
struct Large {
    kind: KindCell,
    /// Position in [`OUT`].
    class: u8,
    base: *mut u8,
    pages: usize,
}

#[repr(align(64))]
struct RunCache {
    slots: [AtomicU32; SLOTS],
}

static RUNS: [RunCache; SHARDS] = [const {
    RunCache {
        slots: [const { AtomicU32::new(0) }; SLOTS],
    }
}; SHARDS];
static IDLE: AtomicUsize = AtomicUsize::new(0);
/// Bytes of objects by class: of those the application holds, and for cached classes those in caches too.
static OUT: [AtomicUsize; CLASSES - SMALL_CLASSES] =
    [const { AtomicUsize::new(0) }; CLASSES - SMALL_CLASSES];

/// Position in [`OUT`] of the class that covers `bytes`.
fn out_class(bytes: usize) -> u8 {
    let class = class_of(bytes).map_or(CLASSES - 1, |class| class.index());
    class.saturating_sub(SMALL_CLASSES).min(OUT.len() - 1) as u8
}

/// A new large object.
pub(crate) struct Fresh {
    /// Where it is.
    pub(crate) addr: NonNull<u8>,
    /// Whether all of it reads zero.
    pub(crate) zeroed: bool,
}

fn large(record: MetaRef) -> NonNull<Large> {
    record.resolve()
}

/// A large object of `bytes`, a multiple of the page, at `align`. `None`: out of memory.
pub(crate) fn alloc(bytes: usize, align: usize, arena: ArenaIndex) -> Option<Fresh> {
    let pages = Pages(bytes / PAGE);
    let idle = if align <= PAGE {
        alloc_idle(pages, arena)
    } else {
        None
    };
    match idle {
        Some(addr) => Some(Fresh {
            addr,
            zeroed: false,
        }),
        None => alloc_fresh(pages, align),
    }
}

/// A large object of `pages` pages from the run cache, if one waits there. Needs no passage: at every instant of it
/// an object is in a slot, or one thread's own.
#[inline]
pub(crate) fn alloc_idle(pages: Pages, arena: ArenaIndex) -> Option<NonNull<u8>> {
    let slot = RUNS[arena.index() % SHARDS].slots.get(pages.0)?;
    if slot.load(Ordering::Relaxed) == 0 {
        return None;
    }
    // Acquire: pairs with the exchange in `dealloc_idle`.
    let record = MetaRef::from_number(slot.swap(0, Ordering::Acquire))?;
    IDLE.fetch_sub(pages.bytes(), Ordering::Relaxed);
    // SAFETY: the slot held a record of ours; the swap made it this thread's alone.
    let object = unsafe { large(record).as_ref() };
    object.kind.set(Kind::Large);
    OUT[object.class as usize % OUT.len()].fetch_add(pages.bytes(), Ordering::Relaxed);
    NonNull::new(object.base)
}

#[cold]
fn alloc_fresh(pages: Pages, align: usize) -> Option<Fresh> {
    let record = meta::allocate(1)?;
    let Some(run) = HEAP.alloc(pages, align, false) else {
        // SAFETY: just allocated; nobody knows it.
        unsafe { meta::recycle(record, 1) };
        return None;
    };
    let object = large(record);
    let class = out_class(pages.bytes());
    // SAFETY: a record of one unit, ours alone.
    unsafe {
        object.as_ptr().write(Large {
            kind: KindCell::default(),
            class,
            base: run.addr.as_ptr(),
            pages: pages.0,
        });
        object.as_ref().kind.set(Kind::Large);
    }
    OUT[class as usize].fetch_add(pages.bytes(), Ordering::Relaxed);
    page_map::set_record(run.addr.as_ptr(), Some(record));
    set_class_byte(run.addr, pages.bytes());
    Some(Fresh {
        addr: run.addr,
        zeroed: run.zeroed,
    })
}

/// Writes the class byte of an object that is or becomes `bytes` long (A1).
fn set_class_byte(addr: NonNull<u8>, bytes: usize) {
    let byte = match class_of(bytes) {
        Some(class) if class.index() < CACHED_CLASSES => class.byte(),
        _ => 0,
    };
    page_map::set_class_byte(addr.as_ptr(), byte);
}

/// Bytes of the large object at `ptr`, or what is wrong with the pointer.
#[inline]
pub(crate) fn inspect(ptr: *mut u8) -> Result<usize, Misuse> {
    let Some(record) = page_map::record(ptr) else {
        return Err(if HEAP.owns(ptr) {
            Misuse::Interior
        } else {
            Misuse::Foreign
        });
    };
    // SAFETY: the page map names records only; those of large objects are read under A2.
    let object = unsafe { large(record).as_ref() };
    match object.kind.get() {
        Kind::Large if object.base == ptr => Ok(object.pages * PAGE),
        Kind::Idle if object.base == ptr => Err(Misuse::DoubleFree),
        Kind::Large | Kind::Idle | Kind::Slab => Err(Misuse::Interior),
        Kind::Free => Err(Misuse::Foreign),
    }
}

/// An object that [`dealloc_idle`] displaced from its slot: the caller's, to be released.
#[must_use]
pub(crate) struct Displaced(MetaRef);

impl Displaced {
    /// Gives it to the page heap. Called inside a passage.
    pub(crate) fn release(self) {
        release(self.0);
    }
}

/// What became of an object that was offered to the run cache.
pub(crate) enum Offer {
    /// It waits in its slot; what waited there before is displaced.
    Taken(Option<Displaced>),
    /// It is not a large object that fits there; nothing happened.
    Refused,
}

/// Frees the large object at `ptr` into the run cache. Needs no passage, as [`alloc_idle`].
#[inline]
pub(crate) fn dealloc_idle(ptr: *mut u8, arena: ArenaIndex) -> Offer {
    let Some(record) = page_map::record(ptr) else {
        return Offer::Refused;
    };
    // SAFETY: the page map names records only; their kind says whether this is one of ours.
    let object = unsafe { large(record).as_ref() };
    if object.kind.get() != Kind::Large || object.base != ptr {
        return Offer::Refused;
    }
    let bytes = object.pages * PAGE;
    let Some(slot) = RUNS[arena.index() % SHARDS].slots.get(object.pages) else {
        return Offer::Refused;
    };
    // Counted before it is in its slot: who takes it from there subtracts.
    if IDLE.fetch_add(bytes, Ordering::Relaxed) + bytes > IDLE_MAX
        || !object.kind.change(Kind::Large, Kind::Idle)
    {
        IDLE.fetch_sub(bytes, Ordering::Relaxed);
        return Offer::Refused;
    }
    OUT[object.class as usize % OUT.len()].fetch_sub(bytes, Ordering::Relaxed);
    // Release: the next owner sees the object as it is now. Acquire: so do we with the one displaced.
    let displaced = MetaRef::from_number(slot.swap(record.number(), Ordering::AcqRel));
    if displaced.is_some() {
        IDLE.fetch_sub(bytes, Ordering::Relaxed);
    }
    Offer::Taken(displaced.map(Displaced))
}

/// Frees the large object at `ptr`. Called inside a passage.
pub(crate) fn dealloc(ptr: *mut u8, arena: ArenaIndex) -> Result<(), Misuse> {
    match dealloc_idle(ptr, arena) {
        Offer::Taken(Some(displaced)) => displaced.release(),
        Offer::Taken(None) => {}
        Offer::Refused => {
            let bytes = inspect(ptr)?;
            let record = page_map::record(ptr).ok_or(Misuse::Foreign)?;
            // SAFETY: `inspect` found the record of this object.
            let object = unsafe { large(record).as_ref() };
            if !object.kind.change(Kind::Large, Kind::Idle) {
                return Err(Misuse::DoubleFree);
            }
            OUT[object.class as usize % OUT.len()].fetch_sub(bytes, Ordering::Relaxed);
            release(record);
        }
    }
    Ok(())
}

/// Gives an idle object, which is the caller's alone, to the page heap.
fn release(record: MetaRef) {
    // SAFETY: a record of a large object, the caller's alone.
    let object = unsafe { large(record).as_ref() };
    object.kind.set(Kind::Free);
    let (base, pages) = (object.base, Pages(object.pages));
    page_map::set_class_byte(base, 0);
    page_map::set_record(base, None);
    if let Some(addr) = NonNull::new(base) {
        // SAFETY: the whole run; nobody uses it (A2).
        unsafe { HEAP.dealloc(addr, pages) };
    }
    // SAFETY: allocated with one unit; the page map names it no more.
    unsafe { meta::recycle(record, 1) };
}

/// Gives all idle objects of the run cache to the page heap.
pub(crate) fn release_idle() {
    for slot in RUNS.iter().flat_map(|cache| &cache.slots) {
        if slot.load(Ordering::Relaxed) == 0 {
            continue;
        }
        if let Some(record) = MetaRef::from_number(slot.swap(0, Ordering::Acquire)) {
            // SAFETY: the swap made it this thread's alone.
            IDLE.fetch_sub(
                unsafe { large(record).as_ref() }.pages * PAGE,
                Ordering::Relaxed,
            );
            release(record);
        }
    }
}

/// Counts the run cache anew, in a forked child: a thread that is gone may have been between an exchange and its count.
pub(crate) fn recount_idle() {
    let mut bytes = 0;
    for slot in RUNS.iter().flat_map(|cache| &cache.slots) {
        if let Some(record) = MetaRef::from_number(slot.load(Ordering::Relaxed)) {
            // SAFETY: what is in a slot is a record of ours, and no other thread is there.
            bytes += unsafe { large(record).as_ref() }.pages * PAGE;
        }
    }
    IDLE.store(bytes, Ordering::Relaxed);
}

/// Bytes waiting in the run cache.
pub(crate) fn idle_bytes() -> usize {
    IDLE.load(Ordering::Relaxed)
}

/// Bytes out by class, from the first large class on.
pub(crate) fn out_bytes(index: usize) -> usize {
    OUT.get(index.saturating_sub(SMALL_CLASSES))
        .map_or(0, |out| out.load(Ordering::Relaxed))
}

/// Changes the large object at `ptr`, the caller's, to `bytes` in place. `Some(zeroed)`: done, and whether
/// what was added reads zero. `None`: it cannot be.
///
/// # Safety
/// `ptr` is the start of a large object, which the caller holds.
pub(crate) unsafe fn resize(ptr: NonNull<u8>, bytes: usize) -> Option<bool> {
    let record = page_map::record(ptr.as_ptr())?;
    let mut object = large(record);
    // SAFETY: the caller holds the object, so the record is its own.
    let object = unsafe { object.as_mut() };
    let (old, new) = (Pages(object.pages), Pages(bytes / PAGE));
    let mut zeroed = true;
    if new > old {
        // SAFETY: the object's whole run.
        zeroed = unsafe { HEAP.expand(ptr, old, new) }?;
        object.pages = new.0;
    } else if new < old {
        object.pages = new.0;
        // SAFETY: the tail of the run, which nobody uses from now on.
        unsafe { HEAP.dealloc(ptr.add(new.bytes()), Pages(old.0 - new.0)) };
    }
    OUT[object.class as usize % OUT.len()].fetch_sub(old.bytes(), Ordering::Relaxed);
    object.class = out_class(new.bytes());
    OUT[object.class as usize].fetch_add(new.bytes(), Ordering::Relaxed);
    set_class_byte(ptr, bytes);
    Some(zeroed)
}

/// Moves the pages of one large object to another without copying. `false`: the system refused; nothing moved.
///
/// # Safety
/// Both are the starts of large objects of at least `bytes`, which the caller holds; what `to` holds is of no use.
pub(crate) unsafe fn relocate(from: NonNull<u8>, to: NonNull<u8>, bytes: usize) -> bool {
    let system = memory::page_size();
    let aligned = (from.addr().get() | to.addr().get() | bytes) & (system - 1) == 0;
    // SAFETY: disjoint ranges of whole system pages, both the caller's.
    aligned && unsafe { memory::relocate(from, to, bytes) }
}
