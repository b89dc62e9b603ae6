//! Cache: what a thread keeps of each class, and how it is refilled and emptied.
//!
//! ```text
//! malloc, magazine empty:  a load from the depot, in exchange; else from the slabs (slow start)
//! free,   no push left:    a look (see `counting`): there is room, go on
//!                          full: the load to the depot; the deeper half only, where the last load came from outside
//!                          below its limit's final value: half to the slabs, the limit grows
//! ```
//! H1  A class has one magazine. After a load came in, the first one that goes out is half of one: a program
//!     that frees and allocates by turns is then half a load away from the next visit, whichever way it goes.
//! H2  A class starts with a starter and gets a full-size magazine when it has filled one. One that is looked at again and
//!     again without being full gets the next size each time, and a higher limit, so that looks become rare.
//! H3  Every `GC_PERIOD` slow entries one class is looked at: what lay untouched under its low-water mark
//!     since the last look goes, and its fills are halved. Entries are counted, not time, so that the layout
//!     of a single-threaded program depends on its operations alone.
//! H4  What a thread keeps of a class grows with its use: fills grow by a half each time, the limit of what frees
//!     may pile up is a quarter of the fill and grows by a quarter each time it is met. A thread that touched
//!     many classes a little keeps little; one that works with a class keeps whole loads after a dozen visits.
//! H5  Threads do not share cache lines without need. Fills take as many objects as whole lines hold. What a thread
//!     frees of a class below a line's size before it ever allocated of it lies on lines of others: such objects
//!     go under a line's worth of own ones, until the starter is full (who frees that much is a consumer).
//! H6  A class that keeps whole loads may fill all slots of its magazine, up to two loads, from one look to the next. A
//!     look that finds a load, or less than an eighth of the slots free, passes objects on: the next one is then not near.

use super::binding::Binding;
use super::bins::{BINS, Bin, LIVE, SHADOW, mark};
use super::park::Parking;
use crate::arena::magazine::{FULL, Magazine};
use crate::arena::{self, ArenaIndex, by_cpu};
use crate::meta::{self, MetaRef};
use crate::prof::{self, ThreadRef};
use crate::size::{PAGE, SizeClass, size_of_class};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use counting::{Counters, Grant, Totals};
use sampling::Side;
use slots::Slots;

pub(crate) mod counting;
mod exchange;
mod gc;
mod growth;
mod sampling;
pub(crate) mod slots;
mod supply;

pub(crate) use gc::set_gc_bytes;
use supply::give_away;
pub(crate) use supply::{alloc_uncached, dealloc_uncached, flush_magazine};
pub(super) use supply::{fill_objects, flush_objects, flush_past};

/// Slow entries after which a young thread ticks.
const TICK_SHORTEST: u32 = 32;
/// Slow entries from one tick of the clock to the next.
const TICK_PERIOD: u32 = 128;
const fn min(left: usize, right: usize) -> usize {
    if left < right { left } else { right }
}

/// What is needed of a class on slow paths only.
#[derive(Clone, Copy)]
struct Cold {
    /// A load came in since one last went out (H1).
    drawn: bool,
    /// All that was done so far is to free objects of other threads (H5).
    strange: bool,
    /// Objects that the next fill takes; 0 before the first.
    fill: u8,
    /// Objects that the active magazine may hold (H4); 0 before the first.
    limit: u8,
    /// Looks at which there was room (H2).
    looks: u8,
    slots: Slots,
}

impl Cold {
    const NEW: Self = Self {
        drawn: false,
        strange: false,
        fill: 0,
        limit: 0,
        looks: 0,
        slots: Slots::AS_BUILT,
    };
}

/// A thread's cache.
#[repr(C, align(64))]
pub(crate) struct Cache {
    live: [Bin; BINS],
    shadow: [Bin; BINS],
    grants: [Grant; BINS],
    cold: [Cold; BINS],
    pub(super) orphan_link: AtomicU32,
    pub(super) orphaned: AtomicU32,
    pub(super) next: u32,
    pub(super) prev: u32,
    number: u32,
    entries: u32,
    gc_class: u8,
    arena: u8,
    /// Its thread does without it: everything comes from slabs and goes to slabs, by way of the shadow bins.
    disabled: bool,
    /// Where its thread's allocations go instead, and whether it is away.
    pub(super) binding: Binding,
    /// Its bounds are not those of the process (see `slots`).
    rebounded: bool,
    /// Largest class that is cached, counted from the last one.
    below_last: u8,
    pub(super) parking: Parking,
    counters: NonNull<Counters>,
    counters_number: u32,
    /// The switch of sampling that the thread has heard of, number of its countdowns while it samples (see `sampling`), and
    /// what the profiler knows it as.
    heard: u32,
    points: u32,
    profiled: Option<ThreadRef>,
}

/// Two in a page of records.
const _: () = assert!(size_of::<Cache>() <= PAGE / 2);

impl Cache {
    /// Slow entries so far.
    pub(super) fn entries(&self) -> u32 {
        self.entries
    }
}

const SHADOW_AT: usize = core::mem::offset_of!(Cache, shadow);

/// Where the bin of a class is. Only cached ones have one: nobody asks for others.
#[inline]
fn slot(class: SizeClass) -> usize {
    debug_assert!(class.is_cached());
    min(class.index() + 1, BINS - 1)
}

/// A cache by its address. Only its thread works on it, or whoever took it from the orphans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheRef(NonNull<Cache>);

impl CacheRef {
    /// A new cache, all empty. `None`: out of memory.
    pub(super) fn create() -> Option<Self> {
        let counters = Counters::create()?;
        let Some(record) = meta::allocate(meta::units_of::<Cache>()) else {
            // SAFETY: just made; nobody knows them.
            unsafe { Counters::destroy(counters) };
            return None;
        };
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
                grants: [Grant::NEW; BINS],
                cold: [Cold::NEW; BINS],
                orphan_link: AtomicU32::new(0),
                orphaned: AtomicU32::new(0),
                next: 0,
                prev: 0,
                number: record.number(),
                entries: 0,
                gc_class: 0,
                arena: arena::assign().index() as u8,
                disabled: false,
                binding: Binding::NEW,
                rebounded: slots::is_any(),
                below_last: 0,
                parking: Parking::new(),
                counters: counters.resolve(),
                counters_number: counters.number(),
                heard: 0,
                points: 0,
                profiled: None,
            });
        }
        Some(Self(cache))
    }

    /// Gives the records of an empty cache back.
    ///
    /// # Safety
    /// The cache is flushed, in no list, and nobody uses it from now on.
    pub(super) unsafe fn destroy(self) {
        if let Some(counters) = MetaRef::from_number(self.get().counters_number) {
            // SAFETY: the caller's promise.
            unsafe { Counters::destroy(counters) };
        }
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

    /// Has this thread's misses go to another arena.
    pub(crate) fn set_arena(mut self, arena: ArenaIndex) {
        self.get_mut().arena = arena.index() as u8;
    }

    /// Whether the thread uses it.
    pub(crate) fn is_enabled(self) -> bool {
        !self.get().disabled
    }

    /// Has the thread use it, or empties it and has the thread do without: the flag only.
    pub(super) fn enable(mut self, enabled: bool) {
        self.get_mut().disabled = !enabled;
    }

    /// The live bin of `class`, for [`super::park`].
    pub(super) fn live_bin(self, class: SizeClass) -> *mut Bin {
        // SAFETY: within the cache, which stays mapped.
        unsafe { &raw mut (*self.0.as_ptr()).live[slot(class)] }
    }

    fn bin(&mut self, class: SizeClass) -> &mut Bin {
        &mut self.get_mut().live[slot(class)]
    }

    fn cold(&mut self, class: SizeClass) -> &mut Cold {
        &mut self.get_mut().cold[slot(class)]
    }

    /// Counts a slow entry; does the gc's step when it is due. `true`: a tick is due.
    #[inline]
    pub(crate) fn enter_slow(mut self) -> bool {
        self.note_peak();
        let cache = self.get_mut();
        cache.entries = cache.entries.wrapping_add(1);
        if gc::is_due(cache.entries) {
            self.gc_step();
        }
        let cache = self.get_mut();
        if cache.entries % TICK_SHORTEST != 0 {
            return false;
        }
        // A short-lived thread ticks early once or twice, so that its process has something to report.
        cache.entries % TICK_PERIOD == 0 || cache.entries < TICK_PERIOD
    }

    /// Whether the thread has come by slow paths often: what a language's runtime does at its start is done by then.
    pub(crate) fn is_seasoned(self) -> bool {
        self.get().entries >= TICK_SHORTEST
    }

    /// An object of `class`, which is cached. `None`: out of memory.
    pub(crate) fn pop(self, class: SizeClass) -> Option<*mut u8> {
        let object = self.pop_slow(class);
        self.arm_for(class, Side::Pops);
        object
    }

    fn pop_slow(mut self, class: SizeClass) -> Option<*mut u8> {
        if let Some(object) = self.pop_below_mark(class) {
            return Some(object);
        }
        // It is empty then.
        if self.get().disabled || self.slots(class) == Slots::NONE {
            return self.pop_uncached(class);
        }
        if by_cpu::is_on() {
            self.set_arena(by_cpu::here());
        }
        self.look(class);
        if self.draw(class) || self.fill(class) {
            let bin = self.bin(class);
            // SAFETY: a load came in: the head is a filled slot.
            let object = unsafe { *bin.head };
            bin.head = bin.head.wrapping_add(1);
            return Some(object);
        }
        // No memory for a magazine, perhaps; there may be an object all the same.
        self.pop_uncached(class)
    }

    /// An object of `class` past the bins.
    fn pop_uncached(self, class: SizeClass) -> Option<*mut u8> {
        let object = alloc_uncached(class, self.arena())?;
        self.note(class, Totals::POPPED);
        Some(object)
    }

    /// An object from under the low-water mark, if there is one. The mark moves half of the way down.
    fn pop_below_mark(&mut self, class: SizeClass) -> Option<*mut u8> {
        let bin = self.bin(class);
        // SAFETY: the active magazine of this thread's bin; only looked at.
        let end = unsafe { Magazine::from_number(bin.active) }?.end();
        let count = distance(bin.head, end);
        if count == 0 {
            return None;
        }
        if mark(bin.head) == bin.low_water {
            let deep = if count == 1 { 0 } else { count / 2 };
            bin.low_water = mark(end.wrapping_sub(deep));
        }
        // SAFETY: the head is a filled slot.
        let object = unsafe { *bin.head };
        bin.head = bin.head.wrapping_add(1);
        Some(object)
    }

    /// Takes an object of `class`, which is cached, where no push is left but there is room: most frees that are not
    /// fast. Needs no passage. `false`: there is no room, or a slow entry is due for another reason; nothing happened.
    #[inline]
    pub(crate) fn push_after_look(self, class: SizeClass, object: *mut u8) -> bool {
        let pushed = self.announced(|| {
            let mut cache = self;
            let pushed = if prof::generation() == 0 {
                cache.push_roomy(class, object)
            } else {
                cache.push_sampled(class, object)
            };
            pushed.then_some(())
        });
        pushed.is_some()
    }

    /// Takes an object of `class`, which is cached, whether or not there is room.
    pub(crate) fn push(self, class: SizeClass, object: *mut u8) {
        self.push_slow(class, object);
        self.arm_for(class, Side::Pushes);
    }

    fn push_slow(mut self, class: SizeClass, object: *mut u8) {
        if self.get().disabled || self.slots(class) == Slots::NONE {
            // The bin keeps looking full.
            self.look(class);
            self.note(class, Totals::PUSHED);
            return dealloc_uncached(class, object);
        }
        let count = self.look(class);
        if self.grant(class).has_room(count) || self.is_cut(class, count) {
            return self.push_granted(class, count, object);
        }
        if !self.make_room(class, count, object) {
            self.put(class, object);
        }
    }

    /// Lets as many pushes pass as there is room for beside `count` objects, after a look, and `object` as the first.
    fn push_granted(&mut self, class: SizeClass, count: usize, object: *mut u8) {
        self.regrant(class, count);
        self.put(class, object);
    }

    /// Pushes `object`, for which a push is left.
    fn put(&mut self, class: SizeClass, object: *mut u8) {
        let bin = self.bin(class);
        debug_assert!(bin.left > 0);
        bin.left -= 1;
        // SAFETY: while pushes are left the active magazine has room.
        unsafe { bin.put(object) };
    }

    /// Whether `object` is among the `most` objects of `class` that came in last. Called by the owner.
    pub(crate) fn holds(mut self, class: SizeClass, object: *mut u8, most: usize) -> bool {
        let bin = *self.bin(class);
        // SAFETY: the active magazine of this thread's bin; only looked at.
        let Some(end) = (unsafe { Magazine::from_number(bin.active) }).map(|active| active.end())
        else {
            return false;
        };
        let count = distance(bin.head, end).min(most);
        // SAFETY: from the head to the end the slots are filled.
        (0..count).any(|at| unsafe { *bin.head.add(at) } == object)
    }

    /// Pushes `object` if a look at `class` finds room for it and more (H6). `false`: it finds not enough, or the class has
    /// not grown, or somebody else has looked since the push that was sent away; nothing happened.
    #[inline]
    fn push_roomy(&mut self, class: SizeClass, object: *mut u8) -> bool {
        let (cache, slot) = (self.get_mut(), slot(class));
        let (bin, grant) = (&mut cache.live[slot], &mut cache.grants[slot]);
        let count = grant.count(bin.head);
        if !grant.has_room(count) || bin.left >= 0 {
            return false;
        }
        let passed = grant.renew(count);
        bin.left = grant.granted() - 1;
        // SAFETY: the look found room.
        unsafe { bin.put(object) };
        self.note(class, passed);
        true
    }

    /// Makes `magazine` the active one, whatever was that before: it was looked at.
    #[inline]
    fn install(&mut self, class: SizeClass, magazine: Magazine) {
        let (end, count, room) = magazine.shape();
        let bounds = self.bounds(class, room);
        let (cache, slot) = (self.get_mut(), slot(class));
        cache.grants[slot] = Grant::of(end, count, bounds);
        cache.live[slot] = Bin {
            head: end.wrapping_sub(count),
            low_water: mark(end),
            left: cache.grants[slot].granted(),
            active: magazine.into_number(),
        };
    }

    /// Empties the cache: full loads to the depot as far as it takes them, the rest to the slabs.
    pub(crate) fn flush(mut self) {
        for index in 0..BINS - 1 {
            let Some(class) = SizeClass::new(index) else {
                continue;
            };
            self.look(class);
            let bin = core::mem::replace(self.bin(class), Bin::EMPTY);
            // SAFETY: it was this bin's active magazine until now.
            if let Some(mut active) = unsafe { Magazine::from_number(bin.active) } {
                active.set_count(distance(bin.head, active.end()));
                give_away(class, self.arena(), active);
            }
            let slots = self.slots(class);
            *self.cold(class) = Cold { slots, ..Cold::NEW };
            *self.grant(class) = Grant::NEW;
        }
    }

    /// Bytes in this cache.
    pub(crate) fn held_bytes(self) -> usize {
        (0..BINS - 1)
            .map(|class| self.held(class) * size_of_class(class))
            .sum()
    }

    /// Objects of the class with index `class` in this cache, as far as another thread can tell.
    pub(crate) fn held(self, class: usize) -> usize {
        let bin = self.get().live[(class + 1) % BINS];
        // SAFETY: a look only: magazines stay mapped; a torn one gives a number that is cut below.
        let held = unsafe { Magazine::from_number(bin.active) }.map_or(0, |active| {
            distance(bin.head, self.objects_end(&bin, active.end()))
        });
        if held > FULL { 0 } else { held }
    }
}

/// Pointers between two positions of a magazine.
pub(super) fn distance(from: *mut *mut u8, to: *mut *mut u8) -> usize {
    to.addr().wrapping_sub(from.addr()) / size_of::<*mut u8>()
}

#[cfg(test)]
mod tests;
