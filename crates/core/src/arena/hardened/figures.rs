//! Figures: what passed through the hardened arena, by the size classes of what was asked for.
//!
//! F1  An object is counted with the class that its request rounds to, whatever slot or pages it has: as anywhere else, so that
//!     sums agree.
//! F2  What an object takes beyond that, free slots, guards, and what waits are in the active pages and in no class.

use crate::size::{CLASSES, SMALL_CLASSES, class_of, usable_size};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

struct Books {
    came: AtomicU64,
    went: AtomicU64,
    bytes: AtomicUsize,
}

static BOOKS: [Books; CLASSES] = [const {
    Books {
        came: AtomicU64::new(0),
        went: AtomicU64::new(0),
        bytes: AtomicUsize::new(0),
    }
}; CLASSES];

/// Slabs that there are, by the class of their slots.
static SLABS: [AtomicUsize; SMALL_CLASSES] = [const { AtomicUsize::new(0) }; SMALL_CLASSES];

/// Bytes that an object asked for with `bytes` is counted with.
pub(crate) fn counted(bytes: usize) -> usize {
    usable_size(bytes).unwrap_or(bytes)
}

fn books(bytes: usize) -> &'static Books {
    let class = class_of(bytes).map_or(CLASSES - 1, |class| class.index());
    &BOOKS[class.min(CLASSES - 1)]
}

/// Counts an object asked for with `bytes` that was handed out.
pub(super) fn note_came(bytes: usize) {
    let books = books(bytes);
    books.came.fetch_add(1, Ordering::Relaxed);
    books.bytes.fetch_add(counted(bytes), Ordering::Relaxed);
}

/// Counts one that was freed.
pub(super) fn note_went(bytes: usize) {
    let books = books(bytes);
    // Release: pairs with the Acquire in `figures`: what went is seen to have come.
    books.went.fetch_add(1, Ordering::Release);
    books.bytes.fetch_sub(counted(bytes), Ordering::Relaxed);
}

/// Counts a slab of slots of `class` that came or went.
pub(super) fn note_slab(class: usize, came: bool) {
    if let Some(slabs) = SLABS.get(class) {
        if came {
            slabs.fetch_add(1, Ordering::Relaxed);
        } else {
            slabs.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The figures of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HardFigures {
    /// Objects handed out so far, and taken back.
    pub(crate) nmalloc: u64,
    pub(crate) ndalloc: u64,
    /// Bytes that are out (F1).
    pub(crate) bytes: usize,
    /// Slabs with slots of the class, if it is a small one.
    pub(crate) slabs: usize,
}

/// The figures of the class with index `class`.
pub(crate) fn figures(class: usize) -> HardFigures {
    let books = &BOOKS[class.min(CLASSES - 1)];
    // Acquire: pairs with the Release in `note_went`.
    let ndalloc = books.went.load(Ordering::Acquire);
    let slabs = SLABS.get(class);
    HardFigures {
        nmalloc: books.came.load(Ordering::Relaxed),
        ndalloc,
        bytes: books.bytes.load(Ordering::Relaxed),
        slabs: slabs.map_or(0, |slabs| slabs.load(Ordering::Relaxed)),
    }
}
