//! The slabs of a bin by how full they are: lists with ends, a walk over all, and what was done so far (rules B1 and B2).
//!
//! Lock: all of it is the content of the bin's.

use crate::arena::slab::{DEGREES, SlabRef, UNLISTED};

/// What a bin's lock guards.
pub(in crate::arena) struct Slabs {
    pub(super) heads: [u32; DEGREES],
    pub(super) tails: [u32; DEGREES],
    /// The slab that a walk comes to next, 0 at the end of a list; and the list.
    walk_next: u32,
    walk_list: u32,
    /// Slabs in lists.
    pub(super) listed: u32,
    pub(super) visits: Visits,
}

/// What was done so far.
#[derive(Clone, Copy)]
pub(super) struct Visits {
    pub(super) fills: u64,
    pub(super) flushes: u64,
    /// Slabs made.
    pub(super) made: u64,
    /// Times that slots were taken of a slab made earlier.
    pub(super) reused: u64,
}

impl Slabs {
    pub(super) const fn new() -> Self {
        Self {
            heads: [0; DEGREES],
            tails: [0; DEGREES],
            walk_next: 0,
            walk_list: 0,
            listed: 0,
            visits: Visits {
                fills: 0,
                flushes: 0,
                made: 0,
                reused: 0,
            },
        }
    }

    /// A slab that has the fewest free slots.
    pub(super) fn fullest(&self) -> Option<SlabRef> {
        self.heads.iter().find_map(|&head| SlabRef::from_link(head))
    }

    /// Puts the slab where its degree says.
    pub(in crate::arena) fn relist(&mut self, mut slab: SlabRef) {
        let wanted = slab.wanted_degree();
        if slab.degree() != wanted {
            self.unlist(slab);
            if wanted != UNLISTED {
                let (list, number) = (wanted as usize % DEGREES, slab.number());
                let tail = self.tails[list];
                // SAFETY: `self` is the locked content of the slab's bin.
                let record = unsafe { slab.get_mut() };
                record.degree = wanted;
                record.prev = tail;
                record.next = 0;
                self.tails[list] = number;
                self.link(tail, list, number);
                self.listed += 1;
            }
        }
    }

    /// Takes the slab out of its list, if it is in one.
    pub(in crate::arena) fn unlist(&mut self, mut slab: SlabRef) {
        if slab.degree() == UNLISTED {
            return;
        }
        let (list, next, prev) = (slab.degree() as usize % DEGREES, slab.next(), slab.prev());
        if self.walk_next == slab.number() {
            self.walk_next = next;
        }
        self.link(prev, list, next);
        match SlabRef::from_link(next) {
            // SAFETY: `self` is the locked content of the slab's bin.
            Some(mut next) => unsafe { next.get_mut() }.prev = prev,
            None => self.tails[list] = prev,
        }
        // SAFETY: as above.
        unsafe { slab.get_mut() }.degree = UNLISTED;
        self.listed -= 1;
    }

    /// Begins a walk over all slabs in lists, which changes between its steps do not disturb: a slab that moves
    /// meanwhile may be left out or come twice.
    pub(in crate::arena) fn begin_walk(&mut self) {
        (self.walk_list, self.walk_next) = (0, self.heads[0]);
    }

    /// The next slab of the walk.
    pub(in crate::arena) fn walk_on(&mut self) -> Option<SlabRef> {
        loop {
            if let Some(slab) = SlabRef::from_link(self.walk_next) {
                self.walk_next = slab.next();
                return Some(slab);
            }
            self.walk_list += 1;
            self.walk_next = *self.heads.get(self.walk_list as usize)?;
        }
    }

    /// Makes `next` follow `prev`, or be the head where there is none.
    fn link(&mut self, prev: u32, list: usize, next: u32) {
        match SlabRef::from_link(prev) {
            // SAFETY: `self` is the locked content of the slab's bin.
            Some(mut prev) => unsafe { prev.get_mut() }.next = next,
            None => self.heads[list] = next,
        }
    }
}
