//! Explicit caches: made by name, `tcache.create`, and used by whoever names them, `MALLOCX_TCACHE(i)`.
//!
//! ```text
//! id ──> cache: a claim | whose objects | a bin for each class: a magazine, a starter first, and how full it is
//! ```
//! P1  A cache holds objects of one arena made by request, or of automatic ones; whose, the first that it keeps decides,
//!     until it is empty again. A call about another's objects passes it by: an arena's objects come from that arena.
//! P2  What an arena made by request discards, caches forget.
//! P3  Objects in a cache are taken, as far as their slabs know.
//! P4  The last id that became free is the first to be used again.
//! P5  A cache takes nothing any more from the instant that its end begins; its id is free once its objects are gone.
//! P6  By jemalloc's contract a cache is used by one thread at a time. So whoever wants it claims it by one exchange, and
//!     [`ExplicitRef::try_pop`] and [`ExplicitRef::try_push`] go some other way where it is another's; threads that use one together are safe
//!     nevertheless.
//! P7  A pop and a push change what the cache holds by one store, its count: whole at every instant, they need no passage.
//! P8  What an arena is to know of its objects in caches, and of those that caches served, [`tell_all`] brings to its books;
//!     so does whatever makes a cache another owner's.
//! P9  A thread that is bound to an arena made by request has such a cache of its own, without an id. Where its thread ends
//!     in a forked child, it keeps what it holds, for the next thread that comes to that arena, or until P2.
//! A cache has no upkeep: what it may hold is bounded, and it goes when its user says so.
//! Locks: ids, rank 0; a claim, rank 1. None is held while objects come from or go to an arena.

use super::manual::{self, ArenaRef};
use crate::meta::MetaRef;
use crate::size::{CACHED_CLASSES, SizeClass, magazine_capacity};
use crate::sync::claim::Claim;
use contents::{Bin, Inner, give_all};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use list::all;

mod contents;
mod list;

pub(crate) use list::{create, get, give, own};

/// Caches there may be at a time: ids that fit the flags.
pub(crate) const CACHES_MAX: usize = 4094;
/// Objects that a miss takes from the arena at most.
pub(crate) const FILL: usize = 32;

/// Whose objects: an arena made by request by its index, or all automatic ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner(u32);

impl Owner {
    /// Automatic arenas, the first of which has the index 0.
    pub(crate) const AUTOMATIC: Self = Self(0);

    /// An arena made by request.
    pub(crate) fn manual(index: usize) -> Self {
        Self(index as u32)
    }

    /// Whether it is automatic arenas.
    pub(crate) fn is_automatic(self) -> bool {
        self == Self::AUTOMATIC
    }

    /// The arena made by request, if it is one: somebody may be trying to end it just now. One that has ended has been
    /// forgotten by all caches, so it is told of nothing.
    pub(crate) fn arena(self) -> Option<ArenaRef> {
        match self {
            Self::AUTOMATIC => None,
            Self(index) => manual::held(index as usize),
        }
    }
}

#[repr(C, align(64))]
struct Cache {
    claim: Claim,
    next_free: AtomicU32,
    /// Of one without an id (P9): whether a thread has it, its record's number, and the one that was made before it.
    used: AtomicBool,
    number: u32,
    older: AtomicPtr<Cache>,
    inner: UnsafeCell<Inner>,
}

/// A cache, alive or not: its record stays.
#[derive(Clone, Copy)]
pub(crate) struct ExplicitRef(&'static Cache);

// SAFETY: what is no atomic is the claim's holder's alone.
unsafe impl Sync for Cache {}

impl Cache {
    /// Works on what is in it. Called inside a passage.
    fn with<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        self.claim.take();
        // SAFETY: the claim is held until the end of the call.
        unsafe { self.work(work) }
    }

    /// As [`Cache::with`], if nobody is at work on it; such work needs no passage (P7).
    #[inline(always)]
    fn try_with<R>(&self, work: impl FnOnce(&mut Inner) -> Option<R>) -> Option<R> {
        if !self.claim.try_take() {
            return None;
        }
        // SAFETY: as in `with`.
        unsafe { self.work(work) }
    }

    /// Works on what is in it, and gives the claim back.
    ///
    /// # Safety
    /// The caller holds the claim.
    #[inline(always)]
    unsafe fn work<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: the caller's promise: nobody else looks at it (C1).
        let result = work(unsafe { &mut *self.inner.get() });
        self.claim.give_back();
        result
    }
}

/// What became of an object that was offered to a cache.
pub(crate) enum Offer {
    Taken,
    /// It is another owner's, or the cache has ended.
    Refused,
    /// There is no room: [`ExplicitRef::take_half`] makes some.
    Full,
}

impl ExplicitRef {
    #[inline(always)]
    fn at(cache: *mut Cache) -> Option<Self> {
        // SAFETY: records of caches stay for good; what changes is atomic or behind the claim.
        NonNull::new(cache).map(|cache| Self(unsafe { cache.as_ref() }))
    }

    /// The number of its record, never 0.
    pub(crate) fn number(self) -> u32 {
        self.0.number
    }

    /// The cache whose record has that number.
    #[inline(always)]
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::at(MetaRef::from_number(number)?.resolve().as_ptr())
    }

    /// The thread that [`own`] gave it to has it no more.
    pub(crate) fn disown(self) {
        // Release: pairs with the Acquire in `own`.
        self.0.used.store(false, Ordering::Release);
    }

    /// An object of `class`, which is cached, of `owner`'s. `None`: there is none.
    pub(crate) fn pop(self, owner: Owner, class: SizeClass) -> Option<*mut u8> {
        self.0.with(|inner| inner.pop(owner, class))
    }

    /// As [`ExplicitRef::pop`], outside any passage; `None` also where another thread is at work on the cache.
    #[inline(always)]
    pub(crate) fn try_pop(self, owner: Owner, class: SizeClass) -> Option<*mut u8> {
        self.0.try_with(|inner| inner.pop(owner, class))
    }

    /// Offers it an object of `class`, which is cached, and of `owner`'s.
    pub(crate) fn push(self, owner: Owner, class: SizeClass, object: *mut u8) -> Offer {
        self.0.with(|inner| {
            if !inner.alive || !inner.become_of(owner) {
                return Offer::Refused;
            }
            loop {
                if inner.push(owner, class, object) {
                    return Offer::Taken;
                }
                if !inner.enlarge(class.index()) {
                    return Offer::Full;
                }
            }
        })
    }

    /// As [`ExplicitRef::push`], outside any passage. `false`: the object is the caller's still.
    #[inline(always)]
    pub(crate) fn try_push(self, owner: Owner, class: SizeClass, object: *mut u8) -> bool {
        let pushed = self
            .0
            .try_with(|inner| inner.push(owner, class, object).then_some(()));
        pushed.is_some()
    }

    /// Keeps `objects` of `class` that came from `owner` along with one that was asked for, which is counted here; how many
    /// it took, from the end on. `None`: it holds another's, or has ended; nothing was counted.
    pub(crate) fn keep(self, owner: Owner, class: SizeClass, objects: &[*mut u8]) -> Option<usize> {
        self.0.with(|inner| {
            if !inner.alive || !inner.become_of(owner) {
                return None;
            }
            let is_kept = |&&object: &&*mut u8| {
                inner.push(owner, class, object)
                    || inner.enlarge(class.index()) && inner.push(owner, class, object)
            };
            let kept = objects.iter().rev().take_while(is_kept).count();
            inner.served[class.index() % CACHED_CLASSES] += 1;
            Some(kept)
        })
    }

    /// Takes the older half of the objects of a class out, as many as there is room for; how many.
    pub(crate) fn take_half(self, owner: Owner, class: SizeClass, out: &mut [*mut u8]) -> usize {
        self.0.with(|inner| {
            let bin = inner.bins.get_mut(class.index());
            let Some(bin) = bin.filter(|_| inner.owner == owner) else {
                return 0;
            };
            let Some(mut magazine) = bin.take() else {
                return 0;
            };
            let objects = magazine.objects();
            let half = objects.len().div_ceil(2).min(out.len());
            let kept = objects.len() - half;
            out[..half].copy_from_slice(&objects[kept..]);
            objects.copy_within(..kept, half);
            magazine.set_count(kept);
            *bin = Bin::of(magazine, magazine_capacity(class.index()));
            half
        })
    }

    /// Takes everything out, for good where it `ends`: gives each class's objects to `each`, with their owner. `false`: it has
    /// ended. No claim is held meanwhile.
    pub(crate) fn flush(
        self,
        ends: bool,
        each: &mut dyn FnMut(SizeClass, Owner, &mut [*mut u8]),
    ) -> bool {
        let emptied = self.0.with(|inner| {
            inner.alive.then(|| {
                inner.alive = !ends;
                (inner.owner, inner.empty(inner.owner.arena()))
            })
        });
        emptied.is_some_and(|(owner, bins)| {
            give_all(bins, |class, objects| each(class, owner, objects));
            true
        })
    }
}

/// Forgets what all caches hold of an arena that discards its objects (P2).
pub(crate) fn forget(arena: ArenaRef) {
    let owner = Owner::manual(arena.index());
    for cache in all() {
        let emptied = cache
            .0
            .with(|inner| (inner.owner == owner).then(|| inner.empty(Some(arena))));
        if let Some(bins) = emptied {
            give_all(bins, |_, _| {});
        }
    }
}

/// Brings what arenas made by request are to know of all caches to their books (P8).
pub(crate) fn tell_all() {
    for cache in all() {
        cache.0.with(|inner| inner.tell(inner.owner.arena()));
    }
}

/// In a forked child: nobody is at work on any (C3).
pub(crate) fn forget_claims() {
    for cache in all() {
        cache.0.claim.give_back();
    }
}

/// Objects of `class` in all caches that hold those of automatic arenas.
pub(crate) fn held(class: usize) -> usize {
    let of = |inner: &mut Inner| match inner.bins.get(class) {
        Some(bin) if inner.owner.is_automatic() => bin.count.into(),
        _ => 0,
    };
    all().map(|cache| cache.0.with(of)).sum()
}

#[cfg(test)]
mod tests;
