//! Geometry: how slabs are cut and how many objects a magazine may hold.
//!
//! A slab is at least 16 KiB, so that the page heap is asked seldom, holds at least four objects, and
//! wastes at most 1/200 of itself at its end.

use super::classes::{CACHED_CLASSES, SMALL_CLASSES, size_of_class};
use super::pages::PAGE;

/// Bytes that one magazine may hold, and with it a thread of one class.
const MAGAZINE_BYTES: usize = 64 << 10;
/// Objects that one magazine may hold at least: of small classes, and of large ones.
const MAGAZINE_LEAST: [usize; 2] = [8, 4];
/// Largest objects whose slabs are populated as they are made: all pages of those are soon touched, whereas a
/// program need not touch the middle of larger ones.
const POPULATED_MAX: usize = 1 << 10;
/// Pointers in a full-size magazine: 2 KiB less its header.
const MAGAZINE_SLOTS: usize = 254;

const fn pages_for(size: usize) -> usize {
    let mut pages = 4;
    loop {
        let bytes = pages * PAGE;
        if bytes / size >= 4 && (bytes % size) * 200 <= bytes {
            return pages;
        }
        pages += 1;
    }
}

const SLAB_PAGES: [u8; SMALL_CLASSES] = {
    let mut table = [0; SMALL_CLASSES];
    let mut class = 0;
    while class < SMALL_CLASSES {
        table[class] = pages_for(size_of_class(class)) as u8;
        class += 1;
    }
    table
};

/// Pages of a slab of the small class with index `class`.
pub const fn slab_pages(class: usize) -> usize {
    SLAB_PAGES[class] as usize
}

/// Whether slabs of the small class with index `class` are worth populating.
pub(crate) const fn is_populated(class: usize) -> bool {
    size_of_class(class) <= POPULATED_MAX
}

/// Objects in a slab of the small class with index `class`.
pub const fn slab_slots(class: usize) -> usize {
    slab_pages(class) * PAGE / size_of_class(class)
}

const CAPACITIES: [u8; CACHED_CLASSES] = {
    let mut table = [0; CACHED_CLASSES];
    let mut class = 0;
    while class < CACHED_CLASSES {
        let fits = MAGAZINE_BYTES / size_of_class(class);
        let least = MAGAZINE_LEAST[(class >= SMALL_CLASSES) as usize];
        table[class] = if fits < least {
            least
        } else if fits > MAGAZINE_SLOTS {
            MAGAZINE_SLOTS
        } else {
            fits
        } as u8;
        class += 1;
    }
    table
};

/// Most objects that one magazine of the cached class with index `class` may hold.
#[inline]
pub const fn magazine_capacity(class: usize) -> usize {
    CAPACITIES[class] as usize
}

/// Division by the size of a class, as a multiplication.
///
/// Exact for every offset within a slab: `offset * reciprocal >> 32` with the reciprocal rounded up is
/// off by less than `offset / 2^32`, and offsets stay below 2^16. A test tries them all.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    /// Bytes of a slot.
    pub size: u32,
    reciprocal: u32,
}

impl Slots {
    const fn of(class: usize) -> Self {
        let size = size_of_class(class) as u64;
        Self {
            size: size as u32,
            reciprocal: (1u64 << 32).div_ceil(size) as u32,
        }
    }

    /// Slot holding the byte at `offset` from the slab's start.
    pub const fn index(self, offset: usize) -> usize {
        ((offset as u64 * self.reciprocal as u64) >> 32) as usize
    }

    /// Offset of slot `index` from the slab's start.
    pub const fn offset(self, index: usize) -> usize {
        index * self.size as usize
    }
}

static SLOTS: [Slots; SMALL_CLASSES] = {
    let mut table = [Slots::of(0); SMALL_CLASSES];
    let mut class = 0;
    while class < SMALL_CLASSES {
        table[class] = Slots::of(class);
        class += 1;
    }
    table
};

/// Slot arithmetic of the small class with index `class`.
pub const fn slots_of(class: usize) -> Slots {
    Slots::of(class)
}

/// Slot arithmetic of the small class with index `class`, from a table.
pub(crate) fn slots_in_slab(class: usize) -> Slots {
    SLOTS[class]
}

const _: () = {
    let mut class = 0;
    while class < CACHED_CLASSES {
        assert!(magazine_capacity(class) >= 2);
        class += 1;
    }
    let mut class = 0;
    while class < SMALL_CLASSES {
        assert!(slab_pages(class) * PAGE <= 1 << 16);
        class += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Miri looks at one number in so many: each costs it a millisecond.
    const STRIDE: usize = if cfg!(miri) { 997 } else { 1 };

    #[test]
    fn slot_index_agrees_with_division_everywhere() {
        for class in 0..SMALL_CLASSES {
            let slots = slots_of(class);
            let size = size_of_class(class);
            for offset in (0..slab_pages(class) * PAGE).step_by(STRIDE) {
                assert_eq!(
                    slots.index(offset),
                    offset / size,
                    "class {class} offset {offset}"
                );
            }
        }
    }

    #[test]
    fn slabs_waste_little() {
        for class in 0..SMALL_CLASSES {
            let bytes = slab_pages(class) * PAGE;
            assert!(bytes >= 16 << 10);
            assert!(slab_slots(class) >= 4);
            assert!((bytes - slab_slots(class) * size_of_class(class)) * 200 <= bytes);
        }
    }
}
