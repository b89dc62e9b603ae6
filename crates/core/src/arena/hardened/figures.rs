//! Figures: what passed through the hardened arena, by whose it was and the size classes of what was asked for.
//!
//! ```text
//! automatic arenas ──> one set of books          arena made by request ──> its own, from its first object on
//! books    by class: objects that came, that went, bytes that are out;    bytes of all classes (F4)
//! ```
//! F1  An object is counted with the class that its request rounds to, whatever slot or pages it has: as anywhere else, so that
//!     sums agree.
//! F2  What an object takes beyond that, free slots, guards, and what waits are in the active pages and in no class.
//! F3  The books of an index stay for it once they were made, and begin anew with each arena ([`forget`]).
//! F4  Arenas made by request share slabs with all others: their share of the active pages is what their objects count with,
//!     but for those of no bytes, which have no memory. All of them together have no more than there is.
//! Lock: none; all are atomics.

use super::bare;
use crate::arena::automatic;
use crate::ds::table::Table;
use crate::meta::{self, MetaRef};
use crate::size::{CLASSES, LOOKUP, LOOKUP_MAX, PAGE, SIZES, SMALL_CLASSES, class_of, usable_size};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// One past the highest index of an arena that the marks of an object have room for.
pub(crate) const ARENAS: usize = 1 << 12;

/// Of a class.
struct Class {
    came: AtomicU64,
    went: AtomicU64,
    bytes: AtomicUsize,
}

struct Books {
    bytes: AtomicUsize,
    classes: [Class; CLASSES],
}

impl Books {
    const fn new() -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            classes: [const {
                Class {
                    came: AtomicU64::new(0),
                    went: AtomicU64::new(0),
                    bytes: AtomicUsize::new(0),
                }
            }; CLASSES],
        }
    }

    fn class(&self, bytes: usize) -> &Class {
        let class = class_of(bytes).map_or(CLASSES - 1, |class| class.index());
        &self.classes[class.min(CLASSES - 1)]
    }
}

static AUTOMATIC: Books = Books::new();
/// Numbers of the records of those made by request, by index; 0: none yet (F3).
static BY_REQUEST: Table<AtomicU32, ARENAS> = Table::new([const { AtomicU32::new(0) }; ARENAS]);
/// One past the highest index with books of its own.
static END: AtomicUsize = AtomicUsize::new(0);

/// Slabs that there are, by the class of their slots, and their pages.
static SLABS: [AtomicUsize; SMALL_CLASSES] = [const { AtomicUsize::new(0) }; SMALL_CLASSES];
static SLAB_PAGES: [AtomicUsize; SMALL_CLASSES] = [const { AtomicUsize::new(0) }; SMALL_CLASSES];

/// Bytes that an object asked for with `bytes` is counted with.
#[inline]
pub(crate) fn counted(bytes: usize) -> usize {
    let least = bytes.max(1);
    if least <= LOOKUP_MAX {
        return SIZES[usize::from(LOOKUP[(least + 7) >> 3])] as usize;
    }
    usable_size(bytes).unwrap_or(bytes)
}

/// The books for the arena with index `arena`. `None`: it had no object yet.
fn books(arena: usize) -> Option<&'static Books> {
    if arena < automatic() {
        return Some(&AUTOMATIC);
    }
    // Acquire: pairs with the Release in `open`, for what the record holds.
    let number = BY_REQUEST.get(arena)?.load(Ordering::Acquire);
    let record = MetaRef::from_number(number)?;
    // SAFETY: written by `open`; records stay mapped, and all fields are atomics.
    Some(unsafe { record.resolve::<Books>().as_ref() })
}

/// Sees to it that the arena with index `arena` has books. `None`: out of memory.
pub(super) fn open(arena: usize) -> Option<()> {
    if books(arena).is_some() {
        return Some(());
    }
    let place = BY_REQUEST.get(arena)?;
    let record = meta::allocate(meta::units_of::<Books>())?;
    // SAFETY: a record of that many units, ours alone.
    unsafe { record.resolve::<Books>().write(Books::new()) };
    // Release: pairs with the Acquire in `books`.
    let made = place.compare_exchange(0, record.number(), Ordering::Release, Ordering::Relaxed);
    if made.is_err() {
        // SAFETY: just allocated; nobody knows it.
        unsafe { meta::recycle(record, meta::units_of::<Books>()) };
    }
    END.fetch_max(arena + 1, Ordering::Relaxed);
    Some(())
}

/// Counts an object of that arena, asked for with `bytes`, that was handed out.
pub(super) fn note_came(arena: usize, bytes: usize) {
    if let Some(books) = books(arena) {
        let class = books.class(bytes);
        class.came.fetch_add(1, Ordering::Relaxed);
        class.bytes.fetch_add(counted(bytes), Ordering::Relaxed);
        if bytes > 0 {
            books.bytes.fetch_add(counted(bytes), Ordering::Relaxed);
        }
    }
}

/// Counts one that was freed.
pub(super) fn note_went(arena: usize, bytes: usize) {
    if let Some(books) = books(arena) {
        let class = books.class(bytes);
        // Release: pairs with the Acquire in `of_class`: what went is seen to have come.
        class.went.fetch_add(1, Ordering::Release);
        class.bytes.fetch_sub(counted(bytes), Ordering::Relaxed);
        if bytes > 0 {
            books.bytes.fetch_sub(counted(bytes), Ordering::Relaxed);
        }
    }
}

/// Counts a slab of slots of `class` that came or went, of so many pages.
pub(super) fn note_slab(class: usize, pages: usize, came: bool) {
    if let (Some(slabs), Some(all)) = (SLABS.get(class), SLAB_PAGES.get(class)) {
        if came {
            slabs.fetch_add(1, Ordering::Relaxed);
            all.fetch_add(pages, Ordering::Relaxed);
        } else {
            slabs.fetch_sub(1, Ordering::Relaxed);
            all.fetch_sub(pages, Ordering::Relaxed);
        }
    }
}

/// The figures of a class.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct HardFigures {
    /// Objects handed out so far, and taken back.
    pub(crate) nmalloc: u64,
    pub(crate) ndalloc: u64,
    /// Bytes that are out (F1).
    pub(crate) bytes: usize,
}

impl HardFigures {
    /// Objects that are out.
    pub(crate) fn out(&self) -> u64 {
        self.nmalloc.saturating_sub(self.ndalloc)
    }
}

fn of_class(books: &Books, class: usize) -> HardFigures {
    let class = &books.classes[class.min(CLASSES - 1)];
    // Acquire: pairs with the Release in `note_went`.
    let ndalloc = class.went.load(Ordering::Acquire);
    HardFigures {
        nmalloc: class.came.load(Ordering::Relaxed),
        ndalloc,
        bytes: class.bytes.load(Ordering::Relaxed),
    }
}

/// The figures of the class with index `class`, of all automatic arenas.
pub(crate) fn figures(class: usize) -> HardFigures {
    of_class(&AUTOMATIC, class)
}

/// The same of the arena made by request with index `arena`.
pub(crate) fn figures_of(arena: usize, class: usize) -> HardFigures {
    books(arena).map_or(HardFigures::default(), |books| of_class(books, class))
}

/// Whether the arena made by request with index `arena` ever had objects here.
pub(crate) fn serves(arena: usize) -> bool {
    books(arena).is_some()
}

/// Bytes that the arena made by request with index `arena` has a share of (F4).
fn shared_bytes(arena: usize) -> usize {
    books(arena).map_or(0, |books| books.bytes.load(Ordering::Relaxed))
}

/// The same in pages.
pub(crate) fn pages_of(arena: usize) -> usize {
    shared_bytes(arena).div_ceil(PAGE)
}

/// Bytes of the pages that all of them share.
pub(crate) fn by_request_bytes() -> usize {
    let shared = (automatic()..END.load(Ordering::Relaxed)).map(shared_bytes);
    shared
        .sum::<usize>()
        .next_multiple_of(PAGE)
        .min(bare::held_bytes())
}

/// Slabs that there are with slots of the small class with index `class`.
pub(crate) fn slabs(class: usize) -> usize {
    SLABS
        .get(class)
        .map_or(0, |slabs| slabs.load(Ordering::Relaxed))
}

/// Bytes of their pages, guards apart.
pub(crate) fn slab_bytes(class: usize) -> usize {
    SLAB_PAGES
        .get(class)
        .map_or(0, |pages| pages.load(Ordering::Relaxed) * PAGE)
}

/// The arena made by request with index `arena`, all objects of which are gone, has ended (F3).
pub(crate) fn forget(arena: usize) {
    if let Some(books) = books(arena) {
        books.bytes.store(0, Ordering::Relaxed);
        for class in &books.classes {
            class.went.store(0, Ordering::Relaxed);
            class.came.store(0, Ordering::Relaxed);
            class.bytes.store(0, Ordering::Relaxed);
        }
    }
}
