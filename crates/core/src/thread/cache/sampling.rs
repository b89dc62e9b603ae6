//! Sampling: which allocations of a thread are samples, found without a look at the others.
//!
//! ```text
//! bytes    ----x-------------x--x----------x----     points of a Poisson process, drawn class by class
//! until    |<- objects ->|                           that may still be allocated before the next sample
//!
//! bin      head ... down ... low water ... end       at most `down` pops, and `up` pushes, each popped again:
//! left     up                                        down + up <= until
//! ```
//! A Poisson process over all bytes is the sum of independent ones, one a class. So every class of a thread has its own
//! countdown of objects, and nothing counts on the way: looks do (see `counting`), and what may be popped before the next
//! look is bounded. Most of that is given to what ran out last, pops or pushes, as that is what the program does with the
//! class: a sample costs two or three looks more.
//!
//! N1  At every instant the fast paths can pop at most `until` objects more of a class before a look. At 0 the next
//!     allocation is the sample, whatever way it goes.
//! N2  Each object that the thread allocates of a class takes one off its `until`, by whatever way: popped, past the cache, of
//!     an arena made by request. Whoever decides asks [`CacheRef::is_due`] first, and every slow operation on a class ends
//!     with [`CacheRef::arm`].
//! N3  What has no class of the cache's has a countdown in bytes: the process has no memory, so that after an object the rest
//!     of a gap is as good as a new one.
//! N4  While the thread samples, its bins have a marker of their own: what has no countdown at all, a hit of the run
//!     cache, declines.
//! N5  A class draws when it is first looked at. Gaps are drawn in the order of need from the thread's own random state, so
//!     that the same operations of a thread have the same samples.
//! N6  As long as a class's next sample is further away than anything that may happen up to the next look, its bin is as that of
//!     a thread that does not sample, and slow operations are those of such a thread: `is_bounded` is off.
//! N7  A switch, or another mean, is noticed at the next slow entry, or look, of each thread: `heard` is the generation that the
//!     countdowns were drawn for.
//!
//! Memory: a record of some 500 bytes a thread, while it samples. See docs/DESIGN.md for what else was tried.

use super::super::bins::{BINS, LIVE, WATCHED, mark};
use super::super::events;
use super::{CacheRef, slot};
use crate::meta::{self, MetaRef};
use crate::prof::{self, ThreadRef};
use crate::size::{CACHED_CLASSES, SizeClass, class_of, size_of_class};
use core::ptr::NonNull;

/// `until` of a class that has not drawn yet (N5).
const UNDRAWN: u64 = u64::MAX;
/// Where large objects are counted, in bytes (N3).
const LARGE: usize = 0;
/// The part of what may pass that is kept for the other side.
const OTHER_SIDE: u64 = 8;

/// What ran out of a bin when it was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Pops,
    Pushes,
}

/// The countdowns of a thread.
#[repr(C, align(64))]
pub(super) struct Points {
    /// What may pass before the next sample, by slot (N1, N3).
    until: [u64; BINS],
    /// Objects that lay untouched at the end of each bin since the gc came by: its low-water mark, as the bin's own serves
    /// here.
    lowest: [u8; BINS],
    /// Whether the bin's pushes are bounded by its point, not by its room.
    is_cut: [bool; BINS],
    /// Whether its pops or its pushes are, or it was never armed (N6).
    is_bounded: [bool; BINS],
    /// What ran out last.
    side: [Side; BINS],
    /// The random state (N5).
    random: u64,
    /// The mean's lg.
    lg: u32,
    /// The thread is at work on a sample: what it allocates meanwhile is none.
    busy: bool,
    /// An address in the frame of the outermost function of ours on the stack; 0 where none said so.
    mark: usize,
}

impl Points {
    /// Those of a thread that begins to sample. `None`: out of memory.
    fn create(random: u64) -> Option<MetaRef> {
        let record = meta::allocate(meta::units_of::<Self>())?;
        let points: NonNull<Self> = record.resolve();
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            points.as_ptr().write(Self {
                until: [UNDRAWN; BINS],
                lowest: [0; BINS],
                is_cut: [false; BINS],
                is_bounded: [true; BINS],
                side: [Side::Pops; BINS],
                random,
                lg: prof::lg_sample(),
                busy: false,
                mark: 0,
            });
        }
        Some(record)
    }

    /// Up to the next sample, and with it: objects of the class in `slot`, or bytes.
    fn draw(&mut self, slot: usize) -> u64 {
        let size = match slot.checked_sub(1) {
            Some(class) => size_of_class(class),
            None => 1,
        };
        prof::gap_objects(&mut self.random, size, self.lg)
    }

    /// What may pass in `slot` before the next sample.
    fn until(&mut self, slot: usize) -> &mut u64 {
        if self.until[slot] == UNDRAWN {
            self.until[slot] = self.draw(slot) - 1;
        }
        &mut self.until[slot]
    }

    /// Whether the next object of the class in `slot` is a sample; draws anew if so: that one counts like all others.
    fn is_due(&mut self, slot: usize) -> bool {
        let due = *self.until(slot) == 0;
        if due {
            self.until[slot] = self.draw(slot);
        }
        due && !self.busy
    }

    /// Whether an object of `bytes` that has no class of the cache's is a sample; counts it.
    fn is_due_large(&mut self, bytes: u64) -> bool {
        let until = self.until(LARGE);
        if bytes <= *until {
            *until -= bytes;
            return false;
        }
        self.until[LARGE] = self.draw(LARGE) - 1;
        !self.busy
    }
}

impl CacheRef {
    /// Whether the thread's allocations are sampled.
    #[inline]
    pub(crate) fn is_sampled(self) -> bool {
        self.get().points != 0
    }

    /// Whether they are not, and that is no news; and nobody is told of them.
    #[inline]
    pub(crate) fn is_unwatched(self) -> bool {
        !self.is_sampled() && self.get().heard == prof::generation() && !events::is_watched()
    }

    fn points(&mut self) -> Option<&mut Points> {
        let points = MetaRef::from_number(self.get().points)?.resolve::<Points>();
        // SAFETY: made by `begin_sampling`, ours until `stop_sampling`; only the owner's thread works on it, in one slow path
        //         at a time.
        Some(unsafe { &mut *points.as_ptr() })
    }

    /// The profiler's view of the calling thread, which uses the cache. `None`: out of memory.
    pub(crate) fn profiled(mut self) -> Option<ThreadRef> {
        if self.get().profiled.is_none() {
            self.get_mut().profiled = ThreadRef::begin();
        }
        self.get().profiled
    }

    /// Takes notice of a switch (N7). Called inside a passage.
    #[inline]
    pub(crate) fn heed_sampling(self) {
        if self.get().heard != prof::generation() {
            self.retune();
        }
    }

    #[cold]
    #[inline(never)]
    fn retune(mut self) {
        let at_work = self.points().map(|points| (points.busy, points.mark));
        self.stop_sampling();
        self.get_mut().heard = prof::generation();
        if prof::is_sampling() {
            self.begin_sampling();
        }
        if let (Some(points), Some(at_work)) = (self.points(), at_work) {
            (points.busy, points.mark) = at_work;
        }
    }

    /// Has the thread sample. Where memory is out it does not.
    fn begin_sampling(mut self) {
        // Another switch, other draws.
        let turn = u64::from(self.get().heard) << 32;
        let points = self
            .profiled()
            .and_then(|thread| Points::create(thread.random() ^ turn));
        let Some(points) = points else {
            return;
        };
        let cache = self.get_mut();
        cache.points = points.number();
        cache.live[0].active = WATCHED;
        self.arm_all();
    }

    /// Has it sample no more; its bins are as ever.
    fn stop_sampling(mut self) {
        let Some(points) = MetaRef::from_number(self.get().points) else {
            return;
        };
        self.each_filled(|mut cache, class| {
            let count = cache.look(class);
            let lowest = cache
                .points()
                .map_or(0, |points| points.lowest[slot(class)]);
            let bin = cache.bin(class);
            bin.low_water = mark(bin.head.wrapping_add(count.saturating_sub(lowest.into())));
            cache.regrant(class, count);
        });
        let cache = self.get_mut();
        cache.points = 0;
        cache.live[0].active = LIVE;
        // SAFETY: from `Points::create`; nobody knows it any more.
        unsafe { meta::recycle(points, meta::units_of::<Points>()) };
    }

    /// The thread is gone in a forked child; nobody has the cache, which keeps its marks.
    pub(in super::super) fn forget_profiled(mut self) {
        if let Some(thread) = self.get_mut().profiled.take() {
            thread.end();
        }
    }

    /// The cache gets another thread, or none.
    pub(in super::super) fn forget_sampling(mut self) {
        self.stop_sampling();
        self.get_mut().heard = 0;
        self.forget_profiled();
    }

    /// Whether an object of `bytes`, a usable size, that the thread is about to allocate, is a sample (N2).
    #[inline]
    pub(crate) fn is_due(self, bytes: usize) -> bool {
        self.is_sampled() && self.is_due_now(bytes)
    }

    #[cold]
    #[inline(never)]
    fn is_due_now(mut self, bytes: usize) -> bool {
        let class = class_of(bytes).filter(|class| class.is_cached());
        if let Some(class) = class {
            if self.is_far(class) {
                return false;
            }
            self.look(class);
        }
        let due = self.points().is_some_and(|points| match class {
            Some(class) => points.is_due(slot(class)),
            None => points.is_due_large(bytes as u64),
        });
        due && self.profiled().is_some_and(ThreadRef::is_active)
    }

    /// Whether an object of `usable` bytes that came otherwise than by an allocation is a sample: decided on by itself.
    pub(crate) fn is_due_apart(mut self, usable: usize) -> bool {
        let due = self.points().is_some_and(|points| {
            prof::gap_objects(&mut points.random, usable, points.lg) == 1 && !points.busy
        });
        due && self.profiled().is_some_and(ThreadRef::is_active)
    }

    /// Has allocations of `work` not sampled: the thread is at work on a sample.
    pub(crate) fn unsampled<R>(mut self, work: impl FnOnce() -> R) -> R {
        let busy = |points: &mut Points| core::mem::replace(&mut points.busy, true);
        let before = self.points().is_some_and(busy);
        let result = work();
        if let Some(points) = self.points() {
            points.busy = before;
        }
        result
    }

    /// Runs `work` of a function of ours that the application called, whose frame has `mark` in it.
    pub(crate) fn marked<R>(mut self, mark: usize, work: impl FnOnce() -> R) -> R {
        let marked = |points: &mut Points| core::mem::replace(&mut points.mark, mark);
        let before = self.points().map_or(0, marked);
        let result = work();
        if let Some(points) = self.points() {
            points.mark = before;
        }
        result
    }

    /// The mark of the function that the application called, or 0.
    pub(crate) fn mark(mut self) -> usize {
        self.points().map_or(0, |points| points.mark)
    }

    /// `popped` objects of the class in `slot` were allocated.
    #[inline]
    pub(super) fn pass(mut self, slot: usize, popped: u64) {
        if let Some(points) = self.points() {
            let until = &mut points.until[slot];
            if *until != UNDRAWN {
                debug_assert!(*until >= popped, "N1");
                *until = until.saturating_sub(popped);
            }
        }
    }

    /// Bounds what the fast paths let pass of `class` until the next slow operation (N1), if the thread samples: the end of
    /// every slow operation.
    #[inline]
    pub(crate) fn arm(self, class: SizeClass) {
        if self.is_sampled() && !self.is_far(class) {
            self.arm_now(class);
        }
    }

    /// Whether the next sample of `class` is so far that nothing is bounded by it, after a slow operation, too (N6): up to the
    /// look before that, and from there to the next one, `brim` objects are popped at most.
    #[inline]
    fn is_far(mut self, class: SizeClass) -> bool {
        let (grant, low_water) = (*self.grant(class), self.bin(class).low_water);
        let Some(points) = self.points() else {
            return false;
        };
        let (slot, until) = (slot(class), points.until[slot(class)]);
        let is_far =
            !points.is_bounded[slot] && until != UNDRAWN && until > 2 * grant.brim() as u64;
        if is_far {
            // The mark is the bin's own.
            points.lowest[slot] = grant.below(low_water) as u8;
        }
        is_far
    }

    /// As [`CacheRef::arm`], where `side` had run out.
    #[inline]
    pub(super) fn arm_for(mut self, class: SizeClass, side: Side) {
        if let Some(points) = self.points() {
            points.side[slot(class)] = side;
            self.arm(class);
        }
    }

    #[inline(never)]
    fn arm_now(mut self, class: SizeClass) {
        let (count, slot) = (self.look(class), slot(class));
        let room = self.grant(class).room(count);
        let Some(points) = self.points() else {
            return;
        };
        let until = *points.until(slot);
        let lowest = &mut points.lowest[slot];
        if count < (*lowest).into() {
            *lowest = count.div_ceil(2) as u8;
        }
        let (count_down, room) = ((count - usize::from(*lowest)) as u64, room as u64);
        let most = until - (until / OTHER_SIDE).max(u64::from(until > 1));
        let (down, up) = match points.side[slot] {
            Side::Pops => {
                let down = count_down.min(most);
                (down, room.min(until - down))
            }
            Side::Pushes => {
                let up = room.min(most);
                (count_down.min(until - up), up)
            }
        };
        points.is_cut[slot] = up < room;
        points.is_bounded[slot] = up < room || down < count_down;
        let bin = self.bin(class);
        bin.low_water = mark(bin.head.wrapping_add(down as usize));
        self.set_granted(class, up as i16);
    }

    /// Arms all classes that have a magazine: the bins were worked on by others.
    #[cold]
    #[inline(never)]
    pub(in super::super) fn arm_all(self) {
        if self.is_sampled() {
            self.each_filled(CacheRef::arm_now);
        }
    }

    /// Whether it is not for want of room that no push is left of `class`, whose bin holds `count`.
    pub(super) fn is_cut(mut self, class: SizeClass, count: usize) -> bool {
        let cut = |points: &mut Points| points.is_cut[slot(class)];
        self.points().is_some_and(cut) && self.grant(class).room(count) > 0
    }

    /// Objects that lay untouched in the bin of `class` since [`CacheRef::begin_lowest`]. `None`: the thread does not sample,
    /// and its low-water mark says it.
    pub(super) fn lowest(mut self, class: SizeClass) -> Option<usize> {
        Some(self.points()?.lowest[slot(class)].into())
    }

    /// From now on all objects of `class` in the bin lie untouched.
    pub(super) fn begin_lowest(mut self, class: SizeClass) {
        if self.is_sampled() {
            let count = self.look(class);
            if let Some(points) = self.points() {
                points.lowest[slot(class)] = count as u8;
            }
            self.arm(class);
        }
    }

    /// As `push_roomy`, of a cache whose thread may sample.
    #[cold]
    #[inline(never)]
    pub(super) fn push_sampled(&mut self, class: SizeClass, object: *mut u8) -> bool {
        if self.get().heard != prof::generation() {
            return false;
        }
        if !self.is_sampled() {
            return self.push_roomy(class, object);
        }
        if self.is_far(class) && self.push_roomy(class, object) {
            return true;
        }
        let (bin, grant) = (*self.bin(class), *self.grant(class));
        let count = grant.count(bin.head);
        if bin.left >= 0 || !grant.has_room(count) && !self.is_cut(class, count) {
            return false;
        }
        self.look(class);
        self.push_granted(class, count, object);
        self.arm_for(class, Side::Pushes);
        true
    }

    fn each_filled(self, mut visit: impl FnMut(CacheRef, SizeClass)) {
        for class in (0..CACHED_CLASSES).filter_map(SizeClass::new) {
            let mut cache = self;
            if cache.bin(class).active != 0 {
                visit(cache, class);
            }
        }
    }
}
