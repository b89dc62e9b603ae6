//! Explicit caches: made by name, `tcache.create`, and used by whoever names them, `MALLOCX_TCACHE(i)`.
//!
//! ```text
//! id ──> cache: a lock | whose objects | a magazine for each class, a starter first
//! ```
//! P1  A cache holds objects of one arena made by request, or of automatic ones; whose, the first that it keeps decides,
//!     until it is empty again. A call about another's objects passes it by: an arena's objects come from that arena.
//! P2  What an arena made by request discards, caches forget.
//! P3  Objects in a cache are taken, as far as their slabs know.
//! P4  The last id that became free is the first to be used again.
//! P5  A cache takes nothing any more from the instant that its end begins; its id is free once its objects are gone.
//! A cache has no upkeep: what it may hold is bounded, and it goes when its user says so.
//! Locks: ids, rank 0; a cache, rank 1. None is held while objects come from or go to an arena.

use super::magazine::{Magazine, STARTER, full_room};
use crate::meta::{self, MetaRef};
use crate::size::{CACHED_CLASSES, SizeClass, magazine_capacity};
use crate::sync::Mutex;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

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
}

struct Inner {
    alive: bool,
    owner: Owner,
    /// Objects in all magazines.
    held: usize,
    /// Numbers of magazines; 0: none yet.
    magazines: [u32; CACHED_CLASSES],
}

#[repr(C, align(64))]
struct Cache {
    next_free: AtomicU32,
    inner: Mutex<Inner, 1>,
}

struct Ids {
    /// One more than the id that is used next, of those that became free.
    free: u32,
}

static IDS: Mutex<Ids, 0> = Mutex::new(Ids { free: 0 });
static RECORDS: [AtomicU32; CACHES_MAX] = [const { AtomicU32::new(0) }; CACHES_MAX];
/// Ids that ever were used.
static END: AtomicUsize = AtomicUsize::new(0);

/// The cache with that id, alive or not: its record stays.
fn get(id: usize) -> Option<&'static Cache> {
    // Acquire: pairs with the Release in `create`.
    let number = RECORDS.get(id)?.load(Ordering::Acquire);
    let cache = MetaRef::from_number(number)?.resolve::<Cache>();
    // SAFETY: records of caches stay for good; what changes is atomic or behind the lock.
    Some(unsafe { cache.as_ref() })
}

/// Makes a cache; its id. `None`: there are as many as there may be, or memory is out.
pub(crate) fn create() -> Option<usize> {
    let mut ids = IDS.lock();
    if let Some(id) = (ids.free as usize).checked_sub(1) {
        let cache = get(id)?;
        ids.free = cache.next_free.load(Ordering::Relaxed);
        cache.inner.lock().alive = true;
        return Some(id);
    }
    let id = END.load(Ordering::Relaxed);
    let slot = RECORDS.get(id)?;
    let record = meta::allocate(meta::units_of::<Cache>())?;
    // SAFETY: a record of that many units, ours alone.
    unsafe {
        record.resolve::<Cache>().write(Cache {
            next_free: AtomicU32::new(0),
            inner: Mutex::new(Inner {
                alive: true,
                owner: Owner::AUTOMATIC,
                held: 0,
                magazines: [0; CACHED_CLASSES],
            }),
        });
    }
    // Release: pairs with the Acquire in `get`.
    slot.store(record.number(), Ordering::Release);
    END.store(id + 1, Ordering::Relaxed);
    Some(id)
}

impl Inner {
    /// Works on the magazine of a class, and keeps the books.
    fn with<R>(&mut self, class: usize, work: impl FnOnce(&mut Magazine) -> R) -> Option<R> {
        let number = *self.magazines.get(class)?;
        // SAFETY: kept here by `put_magazine`; the lock is held, and it is put back.
        let mut magazine = unsafe { Magazine::from_number(number) }?;
        let before = magazine.count();
        let result = work(&mut magazine);
        self.held = self.held + magazine.count() - before;
        self.magazines[class] = magazine.into_number();
        Some(result)
    }

    fn pop(&mut self, class: usize) -> Option<*mut u8> {
        self.with(class, |magazine| {
            let object = *magazine.objects().first()?;
            magazine.set_count(magazine.count() - 1);
            Some(object)
        })?
    }

    /// `false`: there is no room.
    fn push(&mut self, class: SizeClass, object: *mut u8) -> bool {
        let index = class.index();
        let capacity = magazine_capacity(index);
        let pushed = self.with(index, |magazine| {
            let count = magazine.count();
            let room = count < capacity.min(magazine.room());
            if room {
                magazine.set_count(count + 1);
                magazine.objects()[0] = object;
            }
            room
        });
        match pushed {
            Some(true) => true,
            Some(false) => self.enlarge(index, capacity) && self.push(class, object),
            None => self.begin(index) && self.push(class, object),
        }
    }

    /// Gives a class its first magazine. `false`: out of memory.
    fn begin(&mut self, class: usize) -> bool {
        let magazine = Magazine::empty(STARTER).map_or(0, Magazine::into_number);
        if let Some(slot) = self.magazines.get_mut(class) {
            *slot = magazine;
        }
        magazine != 0
    }

    /// Gives a class a magazine that has room for all it may hold. `false`: it has, or out of memory.
    fn enlarge(&mut self, class: usize, capacity: usize) -> bool {
        let larger = |magazine: &mut Magazine| {
            if capacity <= magazine.room() {
                return false;
            }
            let Some(mut more) = Magazine::empty(full_room(capacity)) else {
                return false;
            };
            more.set_count(magazine.count());
            more.objects().copy_from_slice(magazine.objects());
            let mut less = core::mem::replace(magazine, more);
            less.set_count(0);
            less.recycle();
            true
        };
        self.with(class, larger) == Some(true)
    }
}

/// An object of `class`, which is cached, of `owner`'s. `None`: there is none, or no such cache.
pub(crate) fn pop(id: usize, owner: Owner, class: SizeClass) -> Option<*mut u8> {
    let cache = get(id)?;
    let mut inner = cache.inner.lock();
    if inner.owner != owner {
        return None;
    }
    inner.pop(class.index())
}

/// What became of an object that was offered to a cache.
pub(crate) enum Offer {
    Taken,
    /// It is another owner's, or there is no such cache.
    Refused,
    /// There is no room: [`take_half`] makes some.
    Full,
}

/// Offers an object of `class`, which is cached, and of `owner`'s to a cache.
pub(crate) fn push(id: usize, owner: Owner, class: SizeClass, object: *mut u8) -> Offer {
    let Some(cache) = get(id) else {
        return Offer::Refused;
    };
    let mut inner = cache.inner.lock();
    if inner.held == 0 {
        inner.owner = owner;
    }
    if !inner.alive || inner.owner != owner {
        Offer::Refused
    } else if inner.push(class, object) {
        Offer::Taken
    } else {
        Offer::Full
    }
}

/// Takes the older half of the objects of a class out, as many as there is room for; how many.
pub(crate) fn take_half(id: usize, owner: Owner, class: SizeClass, out: &mut [*mut u8]) -> usize {
    let Some(cache) = get(id) else {
        return 0;
    };
    let mut inner = cache.inner.lock();
    if inner.owner != owner {
        return 0;
    }
    let taken = inner.with(class.index(), |magazine| {
        let objects = magazine.objects();
        let half = objects.len().div_ceil(2).min(out.len());
        let kept = objects.len() - half;
        out[..half].copy_from_slice(&objects[kept..]);
        objects.copy_within(..kept, half);
        magazine.set_count(kept);
        half
    });
    taken.unwrap_or(0)
}

/// Takes everything out of a cache, for good where it `ends`: gives each class's objects to `each`, with their owner.
/// `false`: there is no such cache. No lock is held meanwhile.
pub(crate) fn flush(
    id: usize,
    ends: bool,
    each: &mut dyn FnMut(SizeClass, Owner, &mut [*mut u8]),
) -> bool {
    let Some(cache) = get(id) else {
        return false;
    };
    let (magazines, owner) = {
        let mut inner = cache.inner.lock();
        if !inner.alive {
            return false;
        }
        inner.alive = !ends;
        inner.held = 0;
        let magazines = core::mem::replace(&mut inner.magazines, [0; CACHED_CLASSES]);
        (magazines, inner.owner)
    };
    for (index, number) in magazines.into_iter().enumerate() {
        // SAFETY: it was the cache's until now.
        let magazine = unsafe { Magazine::from_number(number) };
        if let (Some(mut magazine), Some(class)) = (magazine, SizeClass::new(index)) {
            each(class, owner, magazine.objects());
            magazine.set_count(0);
            magazine.recycle();
        }
    }
    true
}

/// Gives the id of a cache back that has just ended.
pub(crate) fn give(id: usize) {
    if let Some(cache) = get(id) {
        let mut ids = IDS.lock();
        cache.next_free.store(ids.free, Ordering::Relaxed);
        ids.free = id as u32 + 1;
    }
}

/// Forgets what all caches hold of an arena that discards its objects (P2).
pub(crate) fn forget(owner: Owner) {
    for id in 0..END.load(Ordering::Relaxed) {
        let is_its = get(id).is_some_and(|cache| {
            let inner = cache.inner.lock();
            inner.owner == owner && inner.held > 0
        });
        if is_its {
            flush(id, false, &mut |_, _, _| {});
        }
    }
}

/// Objects of `class` in all caches that hold those of automatic arenas.
pub(crate) fn held(class: usize) -> usize {
    let of = |id| {
        let mut inner = get(id)?.inner.lock();
        if !inner.owner.is_automatic() {
            return None;
        }
        inner.with(class, |magazine| magazine.count())
    };
    (0..END.load(Ordering::Relaxed)).filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn object(number: usize) -> *mut u8 {
        core::ptr::without_provenance_mut(number * 16)
    }

    #[test]
    fn random_use_agrees_with_stacks() {
        let id = create().unwrap();
        let owner = Owner::manual(900);
        let classes = [0, 5, 30, CACHED_CLASSES - 1].map(|index| SizeClass::new(index).unwrap());
        let mut twin: [Vec<*mut u8>; 4] = Default::default();
        let (mut seed, mut next) = (7u64, 1);
        for _ in 0..30_000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % 4;
            let (class, stack) = (classes[at], &mut twin[at]);
            match (seed >> 40) % 100 {
                0 => {
                    let mut all = Vec::new();
                    assert!(flush(id, false, &mut |class, whose, objects| {
                        assert_eq!(whose, owner);
                        all.extend(objects.iter().map(|&ptr| (class.index(), ptr)));
                    }));
                    all.sort_unstable();
                    let mut expected = Vec::new();
                    for (class, stack) in classes.iter().zip(&mut twin) {
                        expected.extend(stack.drain(..).map(|ptr| (class.index(), ptr)));
                    }
                    expected.sort_unstable();
                    assert_eq!(all, expected);
                }
                1..45 => assert_eq!(pop(id, owner, class), stack.pop()),
                _ => match push(id, owner, class, object(next)) {
                    Offer::Taken => {
                        stack.push(object(next));
                        next += 1;
                        assert!(stack.len() <= magazine_capacity(class.index()));
                    }
                    Offer::Full => {
                        assert_eq!(stack.len(), magazine_capacity(class.index()));
                        let mut out = [core::ptr::null_mut(); 128];
                        let taken = take_half(id, owner, class, &mut out);
                        let oldest: Vec<_> = stack.drain(..taken).rev().collect();
                        assert!(taken > 0 && out[..taken] == oldest);
                    }
                    Offer::Refused => panic!("it is this owner's"),
                },
            }
            // P1: while it holds anything, others are sent away.
            let held = twin.iter().map(Vec::len).sum::<usize>();
            if held > 0 {
                let other = push(id, Owner::AUTOMATIC, class, object(1));
                assert!(matches!(other, Offer::Refused));
                assert!(pop(id, Owner::AUTOMATIC, class).is_none());
            }
        }
        // P2
        forget(owner);
        assert!(classes.iter().all(|&class| pop(id, owner, class).is_none()));
        // P5: what comes while it ends goes elsewhere.
        let offer = || push(id, owner, classes[0], object(1));
        assert!(matches!(offer(), Offer::Taken));
        let mut left = 0;
        assert!(flush(id, true, &mut |_, _, objects| {
            assert!(matches!(offer(), Offer::Refused));
            left += objects.len();
        }));
        assert_eq!(left, 1);
        assert!(!flush(id, true, &mut |_, _, _| {}) && matches!(offer(), Offer::Refused));
        give(id);
        assert_eq!(create(), Some(id), "P4");
        assert!(flush(id, true, &mut |_, _, _| {}));
        give(id);
    }
}
