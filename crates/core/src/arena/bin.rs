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
use super::slab::{self, DEGREES, SlabRef, UNLISTED};
use super::{ARENAS_MAX, ArenaIndex, automatic, hollow};
use crate::extent::page_map;
use crate::size::{PAGE, SMALL_CLASSES, SizeClass, size_of_class, slab_pages, slab_slots};
use crate::sync::{Contended, Contention, LockFigures, Mutex};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

pub(super) struct Slabs {
    heads: [u32; DEGREES],
    tails: [u32; DEGREES],
    /// The slab that a walk comes to next, 0 at the end of a list; and the list.
    walk_next: u32,
    walk_list: u32,
    /// Slabs in lists.
    listed: u32,
    visits: Visits,
}

/// What was done so far.
#[derive(Clone, Copy)]
struct Visits {
    fills: u64,
    flushes: u64,
    /// Slabs made.
    made: u64,
    /// Times that slots were taken of a slab made earlier.
    reused: u64,
}

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

/// A bin's place among all.
pub(super) struct Place;

/// What is counted of waiting for the bins' locks: apart, as hardly one of them is ever waited for, and the bins of the
/// first arena lie where every process writes.
static CONTENTION: [Contention; SMALL_CLASSES * ARENAS_MAX] =
    [const { Contention::new() }; SMALL_CLASSES * ARENAS_MAX];

impl Contended for Place {
    fn contention(&self) -> &Contention {
        let bin_in = |bins: &[Bin]| {
            let offset = ptr::from_ref(self)
                .addr()
                .wrapping_sub(bins.as_ptr().addr());
            Some(offset / size_of::<Bin>()).filter(|&number| number < bins.len())
        };
        let others = || bin_in(OTHERS.as_flattened()).map(|number| number + SMALL_CLASSES);
        let number = bin_in(&FIRST).or_else(others).unwrap_or(0);
        &CONTENTION[number % CONTENTION.len()]
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
static OTHERS: [[Bin; SMALL_CLASSES]; ARENAS_MAX - 1] =
    [const { [const { Bin::new() }; SMALL_CLASSES] }; ARENAS_MAX - 1];

impl Bin {
    const fn new() -> Self {
        let slabs = Slabs {
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
        };
        Self {
            slabs: Mutex::with(slabs, Place),
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

impl Slabs {
    fn fullest(&self) -> Option<SlabRef> {
        self.heads.iter().find_map(|&head| SlabRef::from_link(head))
    }

    /// Puts the slab where its degree says.
    pub(super) fn relist(&mut self, mut slab: SlabRef) {
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

    pub(super) fn unlist(&mut self, mut slab: SlabRef) {
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
    pub(super) fn begin_walk(&mut self) {
        (self.walk_list, self.walk_next) = (0, self.heads[0]);
    }

    /// The next slab of the walk.
    pub(super) fn walk_on(&mut self) -> Option<SlabRef> {
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

/// The bin of the class with index `class` in `arena`.
pub(super) fn at(class: usize, arena: ArenaIndex) -> &'static Bin {
    let bins = match arena.index().checked_sub(1) {
        None => &FIRST,
        Some(other) => &OTHERS[other % OTHERS.len()],
    };
    &bins[class % SMALL_CLASSES]
}

/// The bins of all arenas there may be, by their numbers.
fn all() -> impl Iterator<Item = &'static [Bin; SMALL_CLASSES]> {
    core::iter::once(&FIRST).chain(&OTHERS)
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
    for (arena, bins) in all().take(automatic()).enumerate() {
        let bin = &bins[class % SMALL_CLASSES];
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

/// The figures of the bin of `class` in `arena`.
pub(crate) fn figures(class: usize, arena: ArenaIndex) -> BinFigures {
    at(class, arena).figures()
}

/// Bytes of the record of a slab of `class`.
pub(crate) const fn record_bytes(class: usize) -> usize {
    slab::record_bytes(class)
}

/// Counts anew what is counted of the bins' locks.
pub(crate) fn forget_lock_figures() {
    for bin in all().take(automatic()).flatten() {
        bin.slabs.forget_figures();
    }
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

/// Objects of `class` that are out of their slabs, in all arenas: with the application, caches or depot.
pub(crate) fn taken(class: usize) -> usize {
    all().map(|bins| bins[class % SMALL_CLASSES].taken()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::dice::rounds;
    use std::collections::HashSet;
    use std::vec;
    use std::vec::Vec;

    fn check(class: usize, arena: ArenaIndex) {
        let slabs = at(class, arena).slabs.lock();
        for degree in 0..DEGREES {
            let mut prev = 0;
            let mut link = slabs.heads[degree];
            while let Some(slab) = SlabRef::from_link(link) {
                assert_eq!(slab.prev(), prev);
                assert_eq!(slab.degree() as usize, degree, "B1");
                // SAFETY: the lock is held.
                unsafe { slab.check() };
                prev = link;
                link = slab.next();
            }
            assert_eq!(slabs.tails[degree], prev);
        }
    }

    #[test]
    fn every_bin_has_its_own_count_of_waits() {
        let mut seen = HashSet::new();
        for arena in 0..ARENAS_MAX {
            for class in 0..SMALL_CLASSES {
                let place = &at(class, ArenaIndex::new(arena)).slabs;
                assert!(seen.insert(ptr::from_ref(place.contention()).addr()));
            }
        }
        assert_eq!(seen.len(), CONTENTION.len());
    }

    /// Arena and class pairs of their own, so that tests running side by side do not meet.
    #[test]
    fn random_fills_and_flushes_agree_with_a_set() {
        for (step, class) in [0usize, 1, 4, 9, 20, 28, 35].into_iter().enumerate() {
            let arena = ArenaIndex::new(20 + step);
            let class = SizeClass::new(class).unwrap();
            let size = size_of_class(class.index());
            let mut live: Vec<*mut u8> = Vec::new();
            let mut seen: HashSet<usize> = HashSet::new();
            let mut seed = 5u64;
            for _ in 0..rounds(2000) {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let count = 1 + (seed >> 33) as usize % 60;
                if seed >> 63 == 0 || live.is_empty() {
                    let mut out = vec![ptr::null_mut(); count];
                    let filled = fill(class, arena, &mut out);
                    assert!(filled > 0);
                    for &ptr in &out[..filled] {
                        assert!(seen.insert(ptr.addr()), "handed out twice");
                        assert_eq!(page_map::class_byte(ptr), class.byte());
                        // SAFETY: an object of that size, ours.
                        unsafe { ptr.write_bytes(0xa5, size) };
                        live.push(ptr);
                    }
                } else {
                    let mut back: Vec<_> = (0..count.min(live.len()))
                        .map(|step| {
                            live.swap_remove((seed as usize >> 7).wrapping_add(step) % live.len())
                        })
                        .collect();
                    for ptr in &back {
                        seen.remove(&ptr.addr());
                    }
                    flush(class, &mut back);
                }
                check(class.index(), arena);
                assert_eq!(at(class.index(), arena).taken(), live.len());
            }
            flush(class, &mut live);
            assert_eq!(at(class.index(), arena).slabs.lock().heads, [0; DEGREES]);
        }
    }

    #[test]
    fn refills_take_the_fullest_slab_lowest_address_first() {
        let (arena, class) = (ArenaIndex::new(28), SizeClass::new(20).unwrap());
        let slots = slab_slots(20);
        let mut objects = vec![ptr::null_mut(); slots * 2];
        assert_eq!(fill(class, arena, &mut objects[..slots]), slots);
        assert_eq!(fill(class, arena, &mut objects[slots..]), slots);
        // The first slab keeps one object, the second all but two.
        flush(class, &mut objects[1..slots].to_vec());
        let (low, high) = (objects[slots + 3], objects[slots + 7]);
        flush(class, &mut [high, low]);
        let mut out = [ptr::null_mut(); 3];
        assert_eq!(fill(class, arena, &mut out), 3);
        assert_eq!(out[..2], [low, high]);
        assert_eq!(out[2], objects[1]);
    }

    #[test]
    fn inspection_tells_live_objects_from_misuse() {
        let (arena, class) = (ArenaIndex::new(29), SizeClass::new(8).unwrap());
        let mut objects = [ptr::null_mut(); 2];
        assert_eq!(fill(class, arena, &mut objects), 2);
        assert_eq!(inspect(objects[0]), Ok(class));
        assert_eq!(inspect(objects[0].wrapping_add(8)), Err(Misuse::Interior));
        flush(class, &mut [objects[0]]);
        assert_eq!(inspect(objects[0]), Err(Misuse::DoubleFree));
        assert_eq!(inspect((&raw mut objects).cast()), Err(Misuse::Foreign));
        flush(class, &mut [objects[1]]);
    }
}
