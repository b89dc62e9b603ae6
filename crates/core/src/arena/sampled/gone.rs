//! Gone: where the last slabs for samples lay that were given back.
//!
//! A slab that emptied takes its slots along, and with them what would tell a second free from a pointer that was never ours.
//! So the last [`KEPT`] places are remembered, address and shape in one word each.
//!
//! O1  Only a pointer into pages that nobody has is looked for here: what lies there again knows its own objects.
//! No lock: each word is whole by itself; one that is overwritten meanwhile is a place forgotten sooner.

use super::slab::{ODD, Shape, SlabRef};
use crate::size::PAGE;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Places that are remembered.
const KEPT: usize = 64;

/// Address of the first page, number of the shape in the bits below.
static PLACES: [AtomicUsize; KEPT] = [const { AtomicUsize::new(0) }; KEPT];
/// How many there were.
static COUNT: AtomicUsize = AtomicUsize::new(0);

const _: () = assert!(super::slab::SHAPES < PAGE);

/// `slab` is about to be given back. Eights are told by their place, and would take all the room here.
pub(super) fn note(slab: SlabRef) {
    if slab.shape != Shape::EIGHTS {
        let at = COUNT.fetch_add(1, Ordering::Relaxed) % KEPT;
        PLACES[at].store(slab.base.addr() | slab.shape.index(), Ordering::Relaxed);
    }
}

/// Whether an object of one of them may have started at `ptr` (O1).
pub(super) fn was_object(ptr: *const u8) -> bool {
    PLACES.iter().any(|place| {
        let word = place.load(Ordering::Relaxed);
        let (base, shape) = (word & !(PAGE - 1), Shape::from_index(word % PAGE));
        let offset = ptr.addr().wrapping_sub(base);
        word != 0
            && offset < shape.pages().bytes()
            && matches!(offset % shape.slot_bytes(), 0 | ODD)
    })
}
