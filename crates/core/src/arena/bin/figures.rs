//! What is told of bins: their counters, how full a slab is, what slabs hold in all.

use super::{Bin, at, in_each, sampled};
use crate::arena::slab::{self, SlabRef};
use crate::arena::{ARENAS_MAX, ArenaIndex, automatic, hollow};
use crate::extent::page_map;
use crate::size::{PAGE, SMALL_CLASSES, size_of_class, slab_pages, slab_slots};
use crate::sync::LockFigures;
use core::ptr;
use core::sync::atomic::Ordering;

/// The figures of a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BinFigures {
    /// Slots taken so far, and given back.
    pub(crate) nmalloc: u64,
    pub(crate) ndalloc: u64,
    /// Visits that took some, and that gave some back.
    pub(crate) nfills: u64,
    pub(crate) nflushes: u64,
    /// Slabs made so far, and times that one made earlier was taken from.
    pub(crate) nslabs: u64,
    pub(crate) nreslabs: u64,
    /// Slabs there are, and those of them that have free slots.
    pub(crate) curslabs: usize,
    pub(crate) nonfull_slabs: usize,
    pub(crate) lock: LockFigures,
}

impl BinFigures {
    pub(crate) const ZERO: Self = Self {
        nmalloc: 0,
        ndalloc: 0,
        nfills: 0,
        nflushes: 0,
        nslabs: 0,
        nreslabs: 0,
        curslabs: 0,
        nonfull_slabs: 0,
        lock: LockFigures::ZERO,
    };

    /// Slots that are out: with the application, caches or the depot.
    pub(crate) fn curregs(&self) -> usize {
        self.nmalloc.saturating_sub(self.ndalloc) as usize
    }

    /// Adds those of another bin.
    pub(crate) fn add(&mut self, other: &Self) {
        self.nmalloc += other.nmalloc;
        self.ndalloc += other.ndalloc;
        self.nfills += other.nfills;
        self.nflushes += other.nflushes;
        self.nslabs += other.nslabs;
        self.nreslabs += other.nreslabs;
        self.curslabs += other.curslabs;
        self.nonfull_slabs += other.nonfull_slabs;
        self.lock.add(&other.lock);
    }
}

/// The figures of the bin of `class` in `arena`.
pub(crate) fn figures(class: usize, arena: ArenaIndex) -> BinFigures {
    at(class, arena).figures()
}

impl Bin {
    fn figures(&self) -> BinFigures {
        let lock = self.slabs.figures();
        let (visits, listed) = {
            let slabs = self.slabs.lock();
            (slabs.visits, slabs.listed)
        };
        // As in `taken`.
        let ndalloc = self.went.load(Ordering::Acquire) as u64;
        BinFigures {
            nmalloc: self.came.load(Ordering::Acquire) as u64,
            ndalloc,
            nfills: visits.fills,
            nflushes: visits.flushes,
            nslabs: visits.made,
            nreslabs: visits.reused,
            curslabs: self.count.load(Ordering::Relaxed) as usize,
            nonfull_slabs: listed as usize,
            lock,
        }
    }
}

/// How full a slab is, and its bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utilisation {
    /// Free slots of the slab, and all of them.
    pub(crate) free: usize,
    pub(crate) slots: usize,
    /// Bytes of the slab.
    pub(crate) bytes: usize,
    /// The same of all slabs of the bin.
    pub(crate) bin_free: usize,
    pub(crate) bin_slots: usize,
    /// The slab that the next object comes from; null if one is going to be made.
    pub(crate) next_slab: *mut u8,
}

impl Utilisation {
    pub(crate) const NONE: Self = Self {
        free: 0,
        slots: 0,
        bytes: 0,
        bin_free: 0,
        bin_slots: 0,
        next_slab: ptr::null_mut(),
    };
}

/// How full the slab is that `ptr` lies in. `None`: it lies in none.
pub(crate) fn utilisation(ptr: *const u8) -> Option<Utilisation> {
    let find = || page_map::record(ptr).and_then(SlabRef::from_record);
    let (class, arena) = find().map(|slab| (slab.class(), slab.arena()))?;
    let bin = at(class, arena);
    let slabs = bin.slabs.lock();
    // What nobody holds may have become another slab meanwhile.
    let slab = find().filter(|slab| slab.class() == class && slab.arena() == arena)?;
    let bin_slots = bin.count.load(Ordering::Relaxed) as usize * slab.slots();
    let others = sampled(class, arena).load(Ordering::Relaxed) as usize;
    Some(Utilisation {
        free: slab.free_slots(),
        slots: slab.slots(),
        bytes: slab_pages(class) * PAGE,
        bin_free: bin_slots.saturating_sub(bin.taken().saturating_sub(others)),
        bin_slots,
        next_slab: slabs.fullest().map_or(ptr::null_mut(), SlabRef::base),
    })
}

/// Bytes of free slots of partly used slabs, as far as they have memory.
pub(crate) fn slack_bytes() -> usize {
    let free: usize = (0..SMALL_CLASSES).map(|class| room(class).free).sum();
    free.saturating_sub(hollow::bytes())
}

/// What slabs of one class hold, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// Their free slots, those without memory among them.
    pub(crate) free: usize,
    /// What no slot fits into.
    pub(crate) tails: usize,
}

/// What the slabs of `class` hold, in all arenas.
pub(crate) fn room(class: usize) -> Room {
    let (mut count, mut taken) = (0, 0);
    for (arena, bin) in in_each(class, automatic()).enumerate() {
        let others = sampled(class, ArenaIndex::new(arena)).load(Ordering::Relaxed);
        // In this order, as a slab is counted before its slots are taken: never more taken than there are.
        taken += bin.taken().saturating_sub(others as usize);
        count += bin.count.load(Ordering::Acquire) as usize;
    }
    let (slabs, slots) = (count * slab_pages(class) * PAGE, count * slab_slots(class));
    Room {
        free: slots.saturating_sub(taken) * size_of_class(class),
        tails: slabs - slots * size_of_class(class),
    }
}

/// Bytes of the record of a slab of `class`.
pub(crate) const fn record_bytes(class: usize) -> usize {
    slab::record_bytes(class)
}

/// Counts anew what is counted of the bins' locks.
pub(crate) fn forget_lock_figures() {
    for bin in (0..SMALL_CLASSES).flat_map(|class| in_each(class, automatic())) {
        bin.slabs.forget_figures();
    }
}

/// Objects of `class` that are out of their slabs, in all arenas: with the application, caches or depot.
pub(crate) fn taken(class: usize) -> usize {
    in_each(class, ARENAS_MAX).map(Bin::taken).sum()
}
