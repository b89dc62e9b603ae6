//! Cache: what a thread keeps of each class, and how it is refilled and emptied.
//!
//! ```text
//! malloc, active empty:  spare full? swap.  else depot.  else slabs (1, 2, 4 ... objects: slow start)
//! free,   active full:   spare empty? swap. else spare to the depot, active becomes the spare
//!                        below its limit's final value: half to the slabs, the limit grows
//! ```
//! H1  A class has at most two magazines, active and spare; the spare is empty or holds a whole load.
//! H2  A class starts with a starter and gets a full-size magazine when it has filled one.
//! H4  What a thread keeps of a class grows with its use: fills grow by a half each time, the limit of what frees
//!     may pile up is a quarter of the fill and grows by a quarter each time it is met. A thread that touched
//!     many classes a little keeps little; one that works with a class keeps whole loads after a dozen visits.
//! H3  Every [`GC_PERIOD`] slow entries one class is looked at: what lay untouched under its low-water mark
//!     since the last look goes, and its fills are halved. Entries are counted, not time, so that the layout
//!     of a single-threaded program depends on its operations alone.

use super::bins::{BINS, Bin, LIVE, SHADOW, mark};
use crate::arena::depot;
use crate::arena::magazine::{FULL, Magazine, STARTER, full_room};
use crate::arena::{self, ArenaIndex, bin, large, misuse};
use crate::meta::{self, MetaRef};
use crate::size::{PAGE, SizeClass, magazine_capacity, size_of_class};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slow entries from one look of the gc to the next.
const GC_PERIOD: u32 = 32;
/// Slow entries from one tick of the clock to the next.
const TICK_PERIOD: u32 = 128;
/// Bytes of a cache line: what the first fill of a class takes.
const LINE: usize = 64;
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

const fn min(left: usize, right: usize) -> usize {
    if left < right { left } else { right }
}

/// What is needed of a class on slow paths only.
#[derive(Clone, Copy)]
struct Cold {
    /// The spare magazine's number, 0 for none.
    spare: u32,
    /// Objects that the next fill takes; 0 before the first.
    fill: u8,
    /// Objects that the active magazine may hold (H4); 0 before the first.
    limit: u8,
}

impl Cold {
    const NEW: Self = Self {
        spare: 0,
        fill: 0,
        limit: 0,
    };
}

/// A thread's cache.
#[repr(C, align(64))]
pub(crate) struct Cache {
    live: [Bin; BINS],
    shadow: [Bin; BINS],
    cold: [Cold; BINS],
    pub(super) orphan_link: AtomicU32,
    pub(super) orphaned: AtomicU32,
    pub(super) next: u32,
    pub(super) prev: u32,
    number: u32,
    entries: u32,
    gc_class: u8,
    arena: u8,
    pub(super) inside: bool,
    /// Allocations counted so far.
    pub(super) allocations: AtomicU64,
    /// Frees counted so far.
    pub(super) frees: AtomicU64,
}

const SHADOW_AT: usize = core::mem::offset_of!(Cache, shadow);

/// A cache by its address. Only its thread works on it, or whoever took it from the orphans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheRef(NonNull<Cache>);

impl CacheRef {
    /// A new cache, all empty. `None`: out of memory.
    pub(super) fn create() -> Option<Self> {
        let record = meta::allocate(meta::units_of::<Cache>())?;
        let cache: NonNull<Cache> = record.resolve();
        let mut live = [Bin::EMPTY; BINS];
        live[0].active = LIVE;
        let mut shadow = [Bin::EMPTY; BINS];
        shadow[0].active = SHADOW;
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            cache.as_ptr().write(Cache {
                live,
                shadow,
                cold: [Cold::NEW; BINS],
                orphan_link: AtomicU32::new(0),
                orphaned: AtomicU32::new(0),
                next: 0,
                prev: 0,
                number: record.number(),
                entries: 0,
                gc_class: 0,
                arena: arena::assign().index() as u8,
                inside: false,
                allocations: AtomicU64::new(0),
                frees: AtomicU64::new(0),
            });
        }
        Some(Self(cache))
    }

    /// Gives the record of an empty cache back.
    ///
    /// # Safety
    /// The cache is flushed, in no list, and nobody uses it from now on.
    pub(super) unsafe fn destroy(self) {
        if let Some(record) = MetaRef::from_number(self.number()) {
            // SAFETY: the caller's promise; allocated with the same units.
            unsafe { meta::recycle(record, meta::units_of::<Cache>()) };
        }
    }

    pub(super) fn from_live(word: *mut u8) -> Self {
        // SAFETY: the marker said that the word is the start of a cache.
        Self(unsafe { NonNull::new_unchecked(word.cast()) })
    }

    pub(super) fn from_shadow(word: *mut u8) -> Self {
        Self::from_live(word.wrapping_sub(SHADOW_AT))
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    /// What the thread's word is to be: the live bins, or the shadow ones.
    pub(super) fn word(self, shadow: bool) -> *mut u8 {
        self.0
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(if shadow { SHADOW_AT } else { 0 })
    }

    pub(super) fn get(&self) -> &Cache {
        // SAFETY: records stay mapped; only the owner changes the plain fields.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn get_mut(&mut self) -> &mut Cache {
        // SAFETY: the owner's thread is in at most one slow path at a time (nested ones use no cache).
        unsafe { self.0.as_mut() }
    }

    pub(super) fn number(self) -> u32 {
        self.get().number
    }

    /// The arena that this thread's misses go to.
    #[inline]
    pub(crate) fn arena(self) -> ArenaIndex {
        ArenaIndex::new(self.get().arena as usize)
    }

    fn bin(&mut self, class: SizeClass) -> &mut Bin {
        &mut self.get_mut().live[(class.index() + 1) % BINS]
    }

    fn cold(&mut self, class: SizeClass) -> &mut Cold {
        &mut self.get_mut().cold[(class.index() + 1) % BINS]
    }

    /// Counts an allocation, or a free.
    pub(crate) fn count(self, allocation: bool) {
        let counter = if allocation {
            &self.get().allocations
        } else {
            &self.get().frees
        };
        // One writer: no read-modify-write needed.
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Counts a slow entry; does the gc's step when it is due. `true`: a tick is due.
    #[inline]
    pub(crate) fn enter_slow(mut self) -> bool {
        let cache = self.get_mut();
        cache.entries = cache.entries.wrapping_add(1);
        if cache.entries % GC_PERIOD != 0 {
            return false;
        }
        // A short-lived thread ticks early once or twice, so that its process has something to report.
        let tick = cache.entries % TICK_PERIOD == 0 || cache.entries < TICK_PERIOD;
        self.gc_step();
        tick
    }

    /// An object of `class`, which is cached. `None`: out of memory.
    pub(crate) fn pop(mut self, class: SizeClass) -> Option<*mut u8> {
        loop {
            let bin = *self.bin(class);
            if bin.active != 0 {
                // SAFETY: the active magazine of this thread's bin.
                let end = unsafe { Magazine::from_number(bin.active) }?.end();
                let count = distance(bin.head, end);
                if count > 0 {
                    let bin = self.bin(class);
                    if mark(bin.head) == bin.low_water {
                        // Went below the mark: look half as deep from here on.
                        bin.low_water = mark(end.wrapping_sub(count / 2));
                        if count == 1 {
                            bin.low_water = mark(end);
                        }
                    }
                    // SAFETY: the head is a filled slot.
                    let object = unsafe { *bin.head };
                    bin.head = bin.head.wrapping_add(1);
                    return Some(object);
                }
            }
            if self.refill(class).is_none() {
                // No memory for a magazine, perhaps; there may be an object all the same.
                return alloc_uncached(class, self.arena());
            }
        }
    }

    /// Gets objects into the active magazine, which is empty or missing. `None`: out of memory.
    fn refill(&mut self, class: SizeClass) -> Option<()> {
        // SAFETY: the spare of this thread's class; it goes to one place below.
        if let Some(spare) = unsafe { Magazine::from_number(self.cold(class).spare) } {
            if spare.count() > 0 {
                let empty = self.replace_active(class, spare);
                self.cold(class).spare = empty.map_or(0, Magazine::into_number);
                return Some(());
            }
        }
        if let Some(full) = depot::take(class, self.arena()) {
            // Whole loads of the class are going round: this thread works with it.
            self.cold(class).limit = magazine_capacity(class.index()) as u8;
            if let Some(empty) = self.replace_active(class, full) {
                if self.cold(class).spare == 0 && empty.room() > STARTER {
                    self.cold(class).spare = empty.into_number();
                } else {
                    empty.recycle();
                }
            }
            return Some(());
        }
        self.fill(class)
    }

    /// Fills the active magazine from the slabs (H2).
    fn fill(&mut self, class: SizeClass) -> Option<()> {
        let capacity = magazine_capacity(class.index());
        let first = (LINE / class.size()).clamp(1, capacity);
        let wanted = match self.cold(class).fill as usize {
            0 => first,
            fill => fill,
        };
        let next = (wanted + wanted.div_ceil(2)).min(capacity);
        let cold = self.cold(class);
        cold.fill = next as u8;
        let limit = if next == capacity { capacity } else { next / 4 };
        cold.limit = cold.limit.max(limit as u8);
        // SAFETY: the active magazine of this thread's bin, empty; it goes back below.
        let active = unsafe { Magazine::from_number(self.bin(class).active) };
        let mut magazine = match active {
            Some(active) if active.room() < wanted && capacity > STARTER => {
                self.bin(class).active = 0;
                match Magazine::empty(full_room(capacity)) {
                    Some(full) => {
                        active.recycle();
                        full
                    }
                    None => active,
                }
            }
            Some(active) => active,
            None if wanted > STARTER => Magazine::empty(full_room(capacity))?,
            None => Magazine::empty(STARTER)?,
        };
        let wanted = wanted.min(magazine.room());
        magazine.set_count(wanted);
        let filled = fill_objects(class, self.arena(), magazine.objects());
        // What came is at the front of the slots meant for `wanted`: move it to the end.
        magazine.objects().copy_within(0..filled, wanted - filled);
        magazine.set_count(filled);
        *self.bin(class) = self.bin_of(class, magazine);
        (filled > 0).then_some(())
    }

    /// Makes `magazine` the active one and returns the one it replaces, empty.
    fn replace_active(&mut self, class: SizeClass, magazine: Magazine) -> Option<Magazine> {
        let old = *self.bin(class);
        *self.bin(class) = self.bin_of(class, magazine);
        // SAFETY: it was this bin's active magazine until now.
        let mut old_magazine = unsafe { Magazine::from_number(old.active) }?;
        old_magazine.set_count(distance(old.head, old_magazine.end()));
        Some(old_magazine)
    }

    /// Takes an object of `class`, which is cached, whether or not there is room.
    pub(crate) fn push(mut self, class: SizeClass, object: *mut u8) {
        let bin = self.bin(class);
        if (bin.active == 0 || mark(bin.head) == bin.full) && self.make_room(class, object) {
            return;
        }
        let bin = self.bin(class);
        bin.head = bin.head.wrapping_sub(1);
        // SAFETY: `make_room` saw to it that the active magazine has room.
        unsafe { *bin.head = object };
    }

    /// Makes room in the active magazine. `true`: that was impossible or wrong and `object` is dealt with.
    fn make_room(&mut self, class: SizeClass, object: *mut u8) -> bool {
        let capacity = magazine_capacity(class.index());
        // SAFETY: the active magazine of this thread's bin; every path below puts it somewhere.
        let Some(mut active) = (unsafe { Magazine::from_number(self.bin(class).active) }) else {
            return self.first_free(class, object);
        };
        active.set_count(distance(self.bin(class).head, active.end()));
        let limit = self.limit(class);
        if limit < capacity {
            // Seldom enough for a look: a second free or an inner pointer that the slab knows of stops here.
            if class.is_small() {
                if let Err(error) = bin::inspect(object) {
                    misuse::report(error, object);
                }
            }
            self.cold(class).limit = (limit + limit / 4 + 1).min(capacity) as u8;
            if active.count() >= limit {
                let kept = active.count().min(self.limit(class)) / 2;
                self.shed(class, &mut active, kept);
            }
        }
        if self.limit(class) > active.room() && active.room() == STARTER {
            let Some(mut full) = Magazine::empty(full_room(capacity)) else {
                *self.bin(class) = self.bin_of(class, active);
                return flush_one(class, object);
            };
            full.set_count(active.count());
            full.objects().copy_from_slice(active.objects());
            active.recycle();
            active = full;
        }
        if active.count() < self.limit(class).min(active.room()) {
            *self.bin(class) = self.bin_of(class, active);
            return false;
        }
        // SAFETY: the spare of this thread's class; every path below puts it somewhere.
        let spare = unsafe { Magazine::from_number(self.cold(class).spare) };
        let empty = match spare {
            Some(spare) if spare.count() == 0 => Some(spare),
            Some(spare) => match depot::keep(class, self.arena(), spare) {
                Ok(()) => Magazine::empty(active.room()),
                Err(mut spare) => {
                    flush_objects(class, spare.objects());
                    spare.set_count(0);
                    Some(spare)
                }
            },
            None => Magazine::empty(active.room()),
        };
        let Some(empty) = empty else {
            // No memory for a magazine: this one's load goes to the slabs.
            self.cold(class).spare = 0;
            self.shed(class, &mut active, 0);
            *self.bin(class) = self.bin_of(class, active);
            return false;
        };
        self.cold(class).spare = active.into_number();
        *self.bin(class) = self.bin_of(class, empty);
        false
    }

    /// Objects of `class` that the active magazine may hold (H4).
    fn limit(&mut self, class: SizeClass) -> usize {
        let least = LIMITS[class.index() % LIMITS.len()];
        self.cold(class).limit.max(least) as usize
    }

    /// A bin with `magazine` as its active one.
    fn bin_of(&mut self, class: SizeClass, magazine: Magazine) -> Bin {
        let end = magazine.end();
        let room = self.limit(class).max(magazine.count()).min(magazine.room());
        Bin {
            head: end.wrapping_sub(magazine.count()),
            low_water: mark(end),
            full: mark(end.wrapping_sub(room)),
            active: magazine.into_number(),
        }
    }

    /// Gives the objects that lie deepest in `magazine` back to their slabs, all but `kept`.
    fn shed(&mut self, class: SizeClass, magazine: &mut Magazine, kept: usize) {
        let gone = magazine.count() - kept;
        let objects = magazine.objects();
        depot::note_flushed(class, gone);
        flush_objects(class, &mut objects[kept..]);
        objects.copy_within(0..kept, gone);
        magazine.set_count(kept);
    }

    /// The first operation on a class is a free: the object comes from another thread. Below a line's size it
    /// goes under objects of our own, so that two threads do not share the line at once.
    fn first_free(&mut self, class: SizeClass, object: *mut u8) -> bool {
        let Some(mut magazine) = Magazine::empty(STARTER) else {
            return flush_one(class, object);
        };
        let above = if class.size() < LINE {
            LINE / class.size()
        } else {
            0
        };
        magazine.set_count(above + 1);
        let filled = fill_objects(class, self.arena(), &mut magazine.objects()[..above]);
        let objects = magazine.objects();
        objects.copy_within(0..filled, above - filled);
        objects[above] = object;
        magazine.set_count(filled + 1);
        *self.bin(class) = self.bin_of(class, magazine);
        true
    }

    /// Looks at one class (H3).
    fn gc_step(&mut self) {
        let cache = self.get_mut();
        let index = cache.gc_class as usize % (BINS - 1);
        cache.gc_class = (index + 1) as u8 % (BINS - 1) as u8;
        let Some(class) = SizeClass::new(index) else {
            return;
        };
        // SAFETY: the active magazine of this thread's bin; it stays there.
        let Some(mut active) = (unsafe { Magazine::from_number(self.bin(class).active) }) else {
            return;
        };
        let bin = *self.bin(class);
        let end = active.end();
        let count = distance(bin.head, end);
        let untouched =
            (mark(end).wrapping_sub(bin.low_water) as usize / size_of::<*mut u8>()).min(count);
        if untouched > 0 {
            self.drop_spare(class);
            active.set_count(count);
            self.shed(class, &mut active, count - (untouched - untouched / 4));
            let cold = self.cold(class);
            cold.fill = (cold.fill / 2).max(1);
            cold.limit /= 2;
            *self.bin(class) = self.bin_of(class, active);
        }
        let bin = self.bin(class);
        bin.low_water = mark(bin.head);
    }

    fn drop_spare(&mut self, class: SizeClass) {
        // SAFETY: the spare of this thread's class, taken out of its place.
        let spare = unsafe { Magazine::from_number(core::mem::take(&mut self.cold(class).spare)) };
        if let Some(spare) = spare {
            give_away(class, self.arena(), spare);
        }
    }

    /// Empties the cache: full loads to the depot as far as it takes them, the rest to the slabs.
    pub(crate) fn flush(mut self) {
        for index in 0..BINS - 1 {
            let Some(class) = SizeClass::new(index) else {
                continue;
            };
            self.drop_spare(class);
            let bin = core::mem::replace(self.bin(class), Bin::EMPTY);
            // SAFETY: it was this bin's active magazine until now.
            if let Some(mut active) = unsafe { Magazine::from_number(bin.active) } {
                active.set_count(distance(bin.head, active.end()));
                give_away(class, self.arena(), active);
            }
            *self.cold(class) = Cold::NEW;
        }
    }

    /// Objects of the class with index `class` in this cache, as far as another thread can tell.
    pub(crate) fn held(self, class: usize) -> usize {
        let bin = self.get().live[(class + 1) % BINS];
        // SAFETY: a look only: magazines stay mapped; a torn one gives a number that is cut below.
        let held = unsafe { Magazine::from_number(bin.active) }
            .map_or(0, |active| distance(bin.head, active.end()));
        // SAFETY: as above.
        let spare = unsafe { Magazine::from_number(self.get().cold[(class + 1) % BINS].spare) }
            .map_or(0, |spare| spare.count());
        if held > FULL || spare > FULL {
            0
        } else {
            held + spare
        }
    }
}

/// Pointers between two positions of a magazine.
fn distance(from: *mut *mut u8, to: *mut *mut u8) -> usize {
    to.addr().wrapping_sub(from.addr()) / size_of::<*mut u8>()
}

/// Takes up to `out.len()` objects of `class` from the arena; the answer is how many.
fn fill_objects(class: SizeClass, arena: ArenaIndex, out: &mut [*mut u8]) -> usize {
    let filled = if class.is_small() {
        bin::fill(class, arena, out)
    } else {
        let mut filled = 0;
        for slot in out {
            match large::alloc(class.size(), PAGE, arena) {
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

/// Gives objects of `class` back to the arena. What is no such object ends the process with a message.
fn flush_objects(class: SizeClass, objects: &mut [*mut u8]) {
    if class.is_small() {
        bin::flush(class, objects);
    } else {
        for &mut object in objects {
            if let Err(error) = large::dealloc(object, ArenaIndex::FIRST) {
                misuse::report(error, object);
            }
        }
    }
}

/// Gives one object that a thread held back to the arena; always `true`.
fn flush_one(class: SizeClass, object: *mut u8) -> bool {
    depot::note_flushed(class, 1);
    flush_objects(class, &mut [object]);
    true
}

/// One object of `class` straight from the arena, for a thread without a cache. `None`: out of memory.
pub(crate) fn alloc_uncached(class: SizeClass, arena: ArenaIndex) -> Option<*mut u8> {
    let mut object = [ptr::null_mut()];
    (fill_objects(class, arena, &mut object) == 1).then_some(object[0])
}

/// Gives one object of `class` straight back, for a thread without a cache.
pub(crate) fn dealloc_uncached(class: SizeClass, object: *mut u8) {
    flush_one(class, object);
}

/// A magazine that a thread is done with: to the depot if it holds a whole load, else to the slabs.
fn give_away(class: SizeClass, shard: ArenaIndex, magazine: Magazine) {
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

#[cfg(test)]
mod tests;
