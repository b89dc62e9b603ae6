//! Supply: objects straight from the arena and straight back, past every cache, and counted by the depot.

use crate::arena::magazine::Magazine;
use crate::arena::{ArenaIndex, bin, depot, large, misuse};
use crate::extent::Purpose;
use crate::size::{PAGE, SizeClass, magazine_capacity};
use core::ptr;

/// Takes up to `out.len()` objects of `class` from the arena; the answer is how many.
pub(in crate::thread) fn fill_objects(
    class: SizeClass,
    arena: ArenaIndex,
    out: &mut [*mut u8],
) -> usize {
    let filled = if class.is_small() {
        bin::fill(class, arena, out)
    } else {
        let mut filled = 0;
        for slot in out {
            match large::alloc(class.size(), PAGE, arena, Purpose::Written(0)) {
                Some(fresh) => *slot = fresh.addr.as_ptr(),
                None => break,
            }
            filled += 1;
        }
        filled
    };
    depot::note_filled(class, filled);
    filled
}

/// Gives objects of `class` that are on nobody's books back to the arena. What is no such object ends the process with a message.
pub(in crate::thread) fn flush_objects(class: SizeClass, objects: &mut [*mut u8]) {
    if class.is_small() {
        bin::flush(class, objects);
    } else {
        for &mut object in objects {
            if let Err(error) = large::dealloc_home(object) {
                misuse::report(error, object);
            }
        }
    }
}

/// Gives objects of `class` that a thread held back to the arena, past the depot.
pub(in crate::thread) fn flush_past(class: SizeClass, objects: &mut [*mut u8]) {
    depot::note_flushed(class, objects.len());
    flush_objects(class, objects);
}

/// One object of `class` straight from the arena, for a thread without a cache. `None`: out of memory.
pub(crate) fn alloc_uncached(class: SizeClass, arena: ArenaIndex) -> Option<*mut u8> {
    let mut object = [ptr::null_mut()];
    (fill_objects(class, arena, &mut object) == 1).then_some(object[0])
}

/// Gives one object of `class` straight back, for a thread without a cache.
pub(crate) fn dealloc_uncached(class: SizeClass, object: *mut u8) {
    flush_past(class, &mut [object]);
}

/// A magazine that a thread is done with: to the depot if it holds a whole load, else to the slabs.
pub(super) fn give_away(class: SizeClass, shard: ArenaIndex, magazine: Magazine) {
    let count = magazine.count();
    let returned = if count * 2 >= magazine_capacity(class.index()) {
        depot::keep(class, shard, magazine).err()
    } else {
        depot::note_flushed(class, count);
        Some(magazine)
    };
    if let Some(magazine) = returned {
        flush_magazine(class, magazine);
    }
}

/// Gives all objects of a magazine that is on nobody's books back to the slabs, and the magazine to the empties.
pub(crate) fn flush_magazine(class: SizeClass, mut magazine: Magazine) {
    flush_objects(class, magazine.objects());
    magazine.set_count(0);
    magazine.recycle();
}
