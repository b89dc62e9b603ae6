//! Bin: the slabs of one small class in one arena.
//!
//! ```text
//! degree 0 (up to 1/4 free)  head <-> ... <-> tail      filled from first, oldest first within
//! degree 1, 2, 3             ...                        full slabs are in no list, empty ones go back
//! ```
//! B1  A slab is in the list of its degree exactly if it has free slots.
//! B2  Objects come from the fullest slabs, so the emptier ones get a chance to empty.
//! B3  A batch takes the lock once; slabs are made and given back outside it.
//! B4  `came` less `went` is what is out of the slabs: counted after it came, before it can go again. Sampled objects are
//!     counted like others, and how many there are besides, as they take no slots here.
//! Lock: the bin's own, rank 2; the page heap (3) and the metadata (4) may be taken under it.

use super::misuse::{self, Misuse};
use super::slab::SlabRef;
use super::{ARENAS_MAX, ArenaIndex};
use crate::ds::table::Table;
use crate::extent::page_map;
use crate::size::{SMALL_CLASSES, SizeClass};
use crate::sync::{Contended, Contention, Mutex};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

mod figures;
mod lists;

pub(crate) use figures::{
    BinFigures, Utilisation, figures, forget_lock_figures, record_bytes, room, slack_bytes, taken,
    utilisation,
};
use lists::Slabs;

/// A bin's place among all.
pub(super) struct Place;

/// What is counted of waiting for the bins' locks: apart, as hardly one of them is ever waited for, and the bins of the
/// first arena lie where every process writes.
static CONTENTION: Table<Contention, { SMALL_CLASSES * ARENAS_MAX }> =
    Table::new([const { Contention::new() }; SMALL_CLASSES * ARENAS_MAX]);

impl Contended for Place {
    fn contention(&self) -> &Contention {
        // By address alone: a place is told, nothing in it looked at.
        let bin_in = |bins: *const Bin, count: usize| {
            let offset = ptr::from_ref(self).addr().wrapping_sub(bins.addr());
            Some(offset / size_of::<Bin>()).filter(|&number| number < count)
        };
        let first = bin_in((&raw const FIRST).cast(), SMALL_CLASSES);
        let others = || {
            let all = (&raw const OTHERS).cast();
            bin_in(all, SMALL_CLASSES * (ARENAS_MAX - 1)).map(|number| number + SMALL_CLASSES)
        };
        let number = first.or_else(others).unwrap_or(0);
        &CONTENTION[number % (SMALL_CLASSES * ARENAS_MAX)]
    }
}

pub(super) struct Bin {
    pub(super) slabs: Mutex<Slabs, 2, Place>,
    /// Slots taken so far, and given back (B4).
    came: AtomicUsize,
    went: AtomicUsize,
    /// Slabs there are.
    count: AtomicU32,
    /// Slots came back since the last sweep.
    changed: AtomicBool,
}

/// The bins of the first arena, which every process uses.
#[unsafe(link_section = ".data.jemoxide_start")]
static FIRST: [Bin; SMALL_CLASSES] = [const { Bin::new() }; SMALL_CLASSES];
/// The bins of all other arenas.
static OTHERS: Table<Bin, { SMALL_CLASSES * (ARENAS_MAX - 1) }> =
    Table::new([const { Bin::new() }; SMALL_CLASSES * (ARENAS_MAX - 1)]);

impl Bin {
    const fn new() -> Self {
        Self {
            slabs: Mutex::with(Slabs::new(), Place),
            came: AtomicUsize::new(0),
            went: AtomicUsize::new(0),
            count: AtomicU32::new(0),
            changed: AtomicBool::new(false),
        }
    }

    /// Notes that there is something for a sweep to look at.
    pub(super) fn note_changed(&self) {
        if !self.changed.load(Ordering::Relaxed) {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there is; asked once.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Slots that are out, in this order (B4): never less than there are.
    fn taken(&self) -> usize {
        // Acquire: pairs with the Release in `flush_arena`: what went is seen to have come.
        let went = self.went.load(Ordering::Acquire);
        self.came.load(Ordering::Acquire).wrapping_sub(went)
    }

    /// Gives an empty slab back.
    ///
    /// # Safety
    /// As for [`SlabRef::destroy`]; it is a slab of this bin.
    pub(super) unsafe fn destroy(&self, slab: SlabRef) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { slab.destroy() };
    }
}

/// The bin of the class with index `class` in `arena`.
pub(super) fn at(class: usize, arena: ArenaIndex) -> &'static Bin {
    let class = class % SMALL_CLASSES;
    match arena.index().checked_sub(1) {
        None => &FIRST[class],
        Some(other) => &OTHERS[other % (ARENAS_MAX - 1) * SMALL_CLASSES + class],
    }
}

/// The bins of the class with index `class` in the first `arenas` arenas, by their numbers.
fn in_each(class: usize, arenas: usize) -> impl Iterator<Item = &'static Bin> {
    (0..arenas).map(move |arena| at(class, ArenaIndex::new(arena)))
}

/// Takes up to `out.len()` objects of `class`, at least one unless memory is out; the answer is how many.
pub(crate) fn fill(class: SizeClass, arena: ArenaIndex, out: &mut [*mut u8]) -> usize {
    let bin = at(class.index(), arena);
    let mut filled = 0;
    let mut fresh: Option<SlabRef> = None;
    loop {
        let (mut unused, mut refused) = (None, false);
        {
            let mut slabs = bin.slabs.lock();
            match fresh {
                Some(slab) => {
                    slabs.visits.made += 1;
                    slabs.relist(slab);
                }
                None => slabs.visits.fills += 1,
            }
            while filled < out.len() {
                let Some(mut slab) = slabs.fullest() else {
                    break;
                };
                // SAFETY: the lock is held to the end of the block.
                let taken = unsafe { slab.take(&mut out[filled..]) };
                slabs.relist(slab);
                filled += taken;
                slabs.visits.reused += u64::from(taken > 0 && fresh != Some(slab));
                if taken == 0 {
                    // All its slots are on hollow pages, and the limit refuses their memory.
                    refused = true;
                    break;
                }
            }
            // Another thread's frees may have served us meanwhile.
            if let Some(slab) = fresh.take() {
                if slab.is_empty() {
                    slabs.unlist(slab);
                    unused = Some(slab);
                }
            }
        }
        if let Some(slab) = unused {
            // SAFETY: all its slots are free, it left its list under the lock; nobody can reach it.
            unsafe { bin.destroy(slab) };
        }
        // One new slab a call is enough: what a batch lacks is fetched when it is missed.
        if filled > 0 || refused || out.is_empty() {
            break;
        }
        match SlabRef::create(class, arena) {
            Some(slab) => {
                bin.count.fetch_add(1, Ordering::Relaxed);
                fresh = Some(slab);
            }
            None => break,
        }
    }
    bin.came.fetch_add(filled, Ordering::Relaxed);
    filled
}

/// Gives objects back to their slabs: the deep flush. All are of `class`.
///
/// A pointer that is no such object is told, and left alone.
pub(crate) fn flush(class: SizeClass, objects: &mut [*mut u8]) {
    let mut rest = objects;
    while let Some(&first) = rest.first() {
        let arena = match slab_of(class, first) {
            Ok(slab) => slab.arena(),
            Err(error) => {
                misuse::report(error, first);
                rest = &mut rest[1..];
                continue;
            }
        };
        let kept = flush_arena(class, arena, rest);
        rest = &mut rest[..kept];
    }
}

fn slab_of(class: SizeClass, ptr: *mut u8) -> Result<SlabRef, Misuse> {
    match page_map::record(ptr).and_then(SlabRef::from_record) {
        Some(slab) if slab.class() == class.index() => Ok(slab),
        _ => Err(Misuse::Foreign),
    }
}

/// Gives back the objects of one arena and moves the others to the front; the answer is how many those are.
fn flush_arena(class: SizeClass, arena: ArenaIndex, objects: &mut [*mut u8]) -> usize {
    const EMPTIED: usize = 16;
    let bin = at(class.index(), arena);
    bin.note_changed();
    let (mut others, mut faulty) = (0, 0);
    let mut next = 0;
    while next < objects.len() {
        let mut emptied: [Option<SlabRef>; EMPTIED] = [None; EMPTIED];
        let mut emptied_count = 0;
        let before = next;
        let left_before = others + faulty;
        {
            let mut slabs = bin.slabs.lock();
            slabs.visits.flushes += u64::from(before == 0);
            while next < objects.len() && emptied_count < EMPTIED {
                let ptr = objects[next];
                next += 1;
                let found = slab_of(class, ptr);
                let Ok(mut slab) = found else {
                    misuse::report(Misuse::Foreign, ptr);
                    faulty += 1;
                    continue;
                };
                if slab.arena() != arena {
                    objects[others] = ptr;
                    others += 1;
                    continue;
                }
                // SAFETY: the lock is held to the end of the block.
                if let Err(error) = unsafe { slab.give_back(ptr) } {
                    misuse::report(error, ptr);
                    faulty += 1;
                    continue;
                }
                if slab.is_empty() {
                    slabs.unlist(slab);
                    emptied[emptied_count] = Some(slab);
                    emptied_count += 1;
                } else {
                    slabs.relist(slab);
                }
            }
        }
        // Release: pairs with the Acquire in `taken`.
        bin.went.fetch_add(
            next - before - (others + faulty - left_before),
            Ordering::Release,
        );
        for slab in emptied.into_iter().flatten() {
            // SAFETY: all its slots are free, it left its list under the lock; nobody can reach it.
            unsafe { bin.destroy(slab) };
        }
    }
    others
}

/// Looks closely at a pointer into a slab: is it the start of an object that its slab thinks is out?
pub(crate) fn inspect(ptr: *mut u8) -> Result<SizeClass, Misuse> {
    let slab = page_map::record(ptr)
        .and_then(SlabRef::from_record)
        .ok_or(Misuse::Foreign)?;
    let class = SizeClass::new(slab.class()).ok_or(Misuse::Foreign)?;
    let slot = slab.slot_of(ptr)?;
    if slab.is_free(slot) {
        Err(Misuse::DoubleFree)
    } else {
        Ok(class)
    }
}

/// Class and arena of the slot that `ptr` lies in, between them the bytes from its start. `None`: it lies in none.
pub(super) fn whereabouts(ptr: *const u8) -> Option<(SizeClass, usize, ArenaIndex)> {
    let slab = page_map::record(ptr).and_then(SlabRef::from_record)?;
    let class = SizeClass::new(slab.class())?;
    let offset = ptr.addr().wrapping_sub(slab.base().addr());
    Some((class, offset % class.size(), slab.arena()))
}

/// The arena of the slab that holds `ptr`. `None`: no slab does.
pub(super) fn arena_of(ptr: *const u8) -> Option<ArenaIndex> {
    page_map::record(ptr)
        .and_then(SlabRef::from_record)
        .map(SlabRef::arena)
}

/// Sampled objects there are of each bin, which came of other slabs (see `sampled`).
static SAMPLED: [[AtomicU32; SMALL_CLASSES]; ARENAS_MAX] =
    [const { [const { AtomicU32::new(0) }; SMALL_CLASSES] }; ARENAS_MAX];

fn sampled(class: usize, arena: ArenaIndex) -> &'static AtomicU32 {
    &SAMPLED[arena.index()][class % SMALL_CLASSES]
}

/// Counts an object of `class` that the application has as a sample, as if it had come of a slab.
pub(super) fn note_sampled(class: SizeClass, arena: ArenaIndex) {
    sampled(class.index(), arena).fetch_add(1, Ordering::Relaxed);
    let bin = at(class.index(), arena);
    bin.came.fetch_add(1, Ordering::Relaxed);
}

/// Counts that it was freed.
pub(super) fn note_sampled_gone(class: SizeClass, arena: ArenaIndex) {
    let bin = at(class.index(), arena);
    // Release: as in `flush_arena`.
    bin.went.fetch_add(1, Ordering::Release);
    sampled(class.index(), arena).fetch_sub(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
