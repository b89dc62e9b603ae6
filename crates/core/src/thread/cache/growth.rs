//! Growth: how much of a class a thread may keep, by what it did with the class so far (rules H2, H4, H5 and H6).

use super::{CacheRef, min};
use crate::arena::magazine::STARTER;
use crate::size::{SizeClass, magazine_capacity, size_of_class};
use crate::thread::bins::BINS;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;
/// Looks without need after which a class gets a larger magazine (H2).
pub(super) const LOOKS: u8 = 12;
/// Bytes of a class that frees may pile up from the start.
const LIMIT_BYTES: usize = 512;
/// The same in objects, by class.
static LIMITS: [u8; BINS - 1] = {
    let mut limits = [0; BINS - 1];
    let mut class = 0;
    while class < limits.len() {
        let fits = LIMIT_BYTES / size_of_class(class);
        let most = min(STARTER, magazine_capacity(class));
        limits[class] = if fits < 2 { 2 } else { min(fits, most) } as u8;
        class += 1;
    }
    limits
};

/// Objects of `class` on the lines that its objects fill together: 48 bytes fill three lines with four.
pub(super) fn per_line(class: SizeClass) -> usize {
    let size = class.size();
    if size < LINE {
        1 << (LINE.trailing_zeros() - size.trailing_zeros())
    } else {
        1
    }
}

/// How many objects a magazine may hold (H4, H6).
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// From one look to the next.
    pub(super) brim: usize,
    /// A look that finds as many passes them on; 0: the class does not keep whole loads yet, or has no magazine for them.
    pub(super) keeps: usize,
}

impl CacheRef {
    /// What holds for a magazine with `room` slots.
    #[inline]
    pub(super) fn bounds(&mut self, class: SizeClass, room: usize) -> Bounds {
        if self.slots(class).is_bound() {
            return self.own_bounds(class, room);
        }
        let (limit, capacity) = (self.limit(class), magazine_capacity(class.index()));
        if limit < capacity || room < capacity {
            let brim = limit.min(room);
            return Bounds { brim, keeps: 0 };
        }
        let brim = room.min(2 * capacity);
        let keeps = capacity.min(brim - brim / 8);
        Bounds { brim, keeps }
    }

    /// Objects that the active magazine may hold (H4).
    pub(super) fn limit(&mut self, class: SizeClass) -> usize {
        let least = LIMITS[class.index() % LIMITS.len()];
        let limit = usize::from(self.cold(class).limit.max(least));
        let slots = self.slots(class);
        if slots.is_bound() {
            return limit.min(slots.objects(class));
        }
        limit
    }
}
