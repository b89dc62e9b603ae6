//! Slots: how many objects of a class a thread may cache, where somebody says so.
//!
//! By default a class is bounded by bytes, and its loads go through the depot. A class with a bound of its own keeps to it:
//! it fills from the slabs and spills to them, as loads of the depot may be larger. A bound of 0 leaves the bin empty for
//! good: every operation goes slow, to the slabs.
//!
//! V1  A bound is kept at every instant: the bin's magazine never holds more.
//! V2  A thread begins with the bounds of the process, also on a cache that another one had.
//! Source: jemalloc(3) `opt.tcache_max`, `thread.tcache.ncached_max.write`.

use super::growth::Bounds;
use super::{BINS, CacheRef, slot};
use crate::arena::magazine::{FULL, STARTER, full_room};
use crate::size::{CACHED_CLASSES, SizeClass, magazine_capacity};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// A bound in a byte: 0 for none, else one more than the objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots(u8);

impl Slots {
    /// No bound but that by bytes.
    pub(crate) const AS_BUILT: Self = Self(0);
    /// Nothing is cached.
    pub(crate) const NONE: Self = Self(1);

    /// A bound of `objects`; more than a thread ever holds of the class bounds nothing.
    pub(crate) fn bound(class: SizeClass, objects: u64) -> Self {
        if objects >= most(class) as u64 {
            Self::AS_BUILT
        } else {
            Self(objects as u8 + 1)
        }
    }

    /// Whether there is one.
    #[inline]
    pub(super) fn is_bound(self) -> bool {
        self.0 != 0
    }

    /// Objects it lets a thread cache of `class`.
    pub(crate) fn objects(self, class: SizeClass) -> usize {
        match self.0.checked_sub(1) {
            Some(objects) => objects.into(),
            None => most(class),
        }
    }
}

/// Objects of `class` that a thread holds at most by default.
pub(crate) fn most(class: SizeClass) -> usize {
    let capacity = magazine_capacity(class.index());
    let room = if capacity > STARTER {
        full_room(capacity)
    } else {
        STARTER
    };
    room.min(2 * capacity).min(FULL)
}

/// Bounds that new threads begin with; by slot.
static BOUNDS: [AtomicU8; BINS] = [const { AtomicU8::new(0) }; BINS];
/// Whether there are any: the table need not be looked at.
#[unsafe(link_section = ".data.jemoxide_start")]
static BOUND: AtomicBool = AtomicBool::new(false);
/// Whether there are any.
pub(super) fn is_any() -> bool {
    BOUND.load(Ordering::Relaxed)
}

/// Largest class that new threads cache, counted from the last one.
#[unsafe(link_section = ".data.jemoxide_start")]
static BELOW_LAST: AtomicU8 = AtomicU8::new(0);
/// lg of the part that a small class with a bound spills, and a large one, less 1.
#[unsafe(link_section = ".data.jemoxide_start")]
static LG_SPILLS: [AtomicU8; 2] = [const { AtomicU8::new(0) }; 2];

const LAST: usize = CACHED_CLASSES - 1;

/// Has new threads begin with a bound.
pub(crate) fn set_default(class: SizeClass, slots: Slots) {
    BOUNDS[slot(class)].store(slots.0, Ordering::Relaxed);
    BOUND.store(true, Ordering::Relaxed);
}

/// Has new threads cache classes up to `largest`.
pub(crate) fn set_default_max(largest: SizeClass) {
    BELOW_LAST.store((LAST - largest.index()) as u8, Ordering::Relaxed);
    BOUND.store(true, Ordering::Relaxed);
}

/// Largest class that new threads cache.
pub(crate) fn default_max() -> usize {
    LAST - usize::from(BELOW_LAST.load(Ordering::Relaxed))
}

/// Sets what a class with a bound spills when it is full: one part of 2 to the power of this; small and large ones.
pub(crate) fn set_spills(lg_small: u8, lg_large: u8) {
    for (spill, lg) in LG_SPILLS.iter().zip([lg_small, lg_large]) {
        spill.store(lg.saturating_sub(1), Ordering::Relaxed);
    }
}

impl CacheRef {
    /// The bound of `class`.
    pub(crate) fn slots(self, class: SizeClass) -> Slots {
        self.get().cold[slot(class)].slots
    }

    /// Bounds `class`, of which nothing is cached.
    fn set_slots(&mut self, class: SizeClass, slots: Slots) {
        self.cold(class).slots = slots;
    }

    /// Begins with the bounds of the process (V2); what was cached under other ones goes.
    pub(in super::super) fn begin_slots(mut self) {
        if self.get().rebounded {
            self.set_max(default_max());
            self.get_mut().rebounded = false;
        }
    }

    /// Index of the largest class that is cached.
    pub(crate) fn max_class(self) -> usize {
        LAST - usize::from(self.get().below_last)
    }

    /// Has classes up to the one with index `largest` cached, by the bounds of the process. Empties the cache.
    pub(crate) fn set_max(mut self, largest: usize) {
        self.flush();
        self.get_mut().below_last = LAST.saturating_sub(largest) as u8;
        self.get_mut().rebounded = true;
        for class in (0..CACHED_CLASSES).filter_map(SizeClass::new) {
            let slots = if class.index() > largest {
                Slots::NONE
            } else {
                Slots(BOUNDS[slot(class)].load(Ordering::Relaxed))
            };
            self.set_slots(class, slots);
        }
    }

    /// Has at most `objects` cached of each class with an index in `classes`. Empties the cache.
    pub(crate) fn bound_classes(mut self, classes: Range<usize>, objects: u64) {
        self.flush();
        self.get_mut().rebounded = true;
        for class in classes
            .filter_map(SizeClass::new)
            .filter(|class| class.is_cached())
        {
            self.set_slots(class, Slots::bound(class, objects));
        }
    }

    /// Objects that a load of `class` may have here.
    pub(super) fn capacity(self, class: SizeClass) -> usize {
        let capacity = magazine_capacity(class.index());
        let slots = self.slots(class);
        if slots.is_bound() {
            slots.objects(class)
        } else {
            capacity
        }
    }

    /// What holds for a magazine with `room` slots of a class with a bound (V1).
    pub(super) fn own_bounds(&mut self, class: SizeClass, room: usize) -> Bounds {
        let brim = self.limit(class).min(room);
        Bounds { brim, keeps: 0 }
    }

    /// Objects that stay when a class with a bound spills, of `count`.
    pub(super) fn stays(self, class: SizeClass, count: usize) -> usize {
        let lg = LG_SPILLS[usize::from(!class.is_small())].load(Ordering::Relaxed) + 1;
        count - (count >> lg).max(1)
    }
}
