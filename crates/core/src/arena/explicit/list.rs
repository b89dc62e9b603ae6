//! Which explicit caches there are: those with an id, by which a program names them, and those of bound threads without one
//! (rules P4, P5 and P9).

use super::contents::Inner;
use super::{CACHES_MAX, Cache, ExplicitRef, Owner};
use crate::ds::table::Table;
use crate::meta;
use crate::sync::Mutex;
use crate::sync::claim::Claim;
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

struct Ids {
    /// One more than the id that is used next, of those that became free.
    free: u32,
}

static IDS: Mutex<Ids, 0> = Mutex::new(Ids { free: 0 });
static CACHES: Table<AtomicPtr<Cache>, CACHES_MAX> =
    Table::new([const { AtomicPtr::new(ptr::null_mut()) }; CACHES_MAX]);
/// Ids that ever were used.
static END: AtomicUsize = AtomicUsize::new(0);
/// The newest of those without an id.
static NEWEST: AtomicPtr<Cache> = AtomicPtr::new(ptr::null_mut());

/// The cache with that id.
#[inline(always)]
pub(crate) fn get(id: usize) -> Option<ExplicitRef> {
    // Acquire: pairs with the Release in `create`.
    ExplicitRef::at(CACHES.get(id)?.load(Ordering::Acquire))
}

/// The caches without an id.
fn owned() -> impl Iterator<Item = ExplicitRef> {
    // Acquire: pairs with the Release in `own`.
    let newest = ExplicitRef::at(NEWEST.load(Ordering::Acquire));
    core::iter::successors(newest, |cache| {
        ExplicitRef::at(cache.0.older.load(Ordering::Relaxed))
    })
}

/// All caches, alive or not.
pub(super) fn all() -> impl Iterator<Item = ExplicitRef> {
    let named = (0..END.load(Ordering::Relaxed)).filter_map(get);
    named.chain(owned())
}

/// Makes a cache; its id. `None`: there are as many as there may be, or memory is out.
pub(crate) fn create() -> Option<usize> {
    let mut ids = IDS.lock();
    if let Some(id) = (ids.free as usize).checked_sub(1) {
        let cache = get(id)?.0;
        ids.free = cache.next_free.load(Ordering::Relaxed);
        cache.with(|inner| inner.alive = true);
        return Some(id);
    }
    let id = END.load(Ordering::Relaxed);
    let slot = CACHES.get(id)?;
    let cache = make()?;
    // Release: pairs with the Acquire in `get`.
    slot.store(cache.as_ptr(), Ordering::Release);
    END.store(id + 1, Ordering::Relaxed);
    Some(id)
}

/// A cache without an id for a thread that has just been bound to `owner` (P9). `None`: out of memory.
pub(crate) fn own(owner: Owner) -> Option<ExplicitRef> {
    let is_free = |cache: &Cache| {
        // Acquire: pairs with the Release in `disown`.
        !cache.used.load(Ordering::Relaxed) && !cache.used.swap(true, Ordering::Acquire)
    };
    for cache in owned().filter(|cache| is_free(cache.0)) {
        if cache.0.with(|inner| inner.become_of(owner)) {
            return Some(cache);
        }
        cache.disown();
    }
    let made = make()?;
    let cache = ExplicitRef::at(made.as_ptr())?;
    cache.0.used.store(true, Ordering::Relaxed);
    cache.0.with(|inner| inner.owner = owner);
    let mut newest = NEWEST.load(Ordering::Relaxed);
    loop {
        cache.0.older.store(newest, Ordering::Relaxed);
        // Release: pairs with the Acquire in `owned`.
        match NEWEST.compare_exchange(newest, made.as_ptr(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return Some(cache),
            Err(now) => newest = now,
        }
    }
}

/// A record. `None`: out of memory.
fn make() -> Option<NonNull<Cache>> {
    let record = meta::allocate(meta::units_of::<Cache>())?;
    let cache: NonNull<Cache> = record.resolve();
    // SAFETY: a record of that many units, ours alone.
    unsafe {
        cache.write(Cache {
            claim: Claim::new(),
            next_free: AtomicU32::new(0),
            used: AtomicBool::new(false),
            number: record.number(),
            older: AtomicPtr::new(ptr::null_mut()),
            inner: UnsafeCell::new(Inner::EMPTY),
        });
    }
    Some(cache)
}

/// Gives the id of a cache back that has just ended.
pub(crate) fn give(id: usize) {
    if let Some(cache) = get(id) {
        let mut ids = IDS.lock();
        cache.0.next_free.store(ids.free, Ordering::Relaxed);
        ids.free = id as u32 + 1;
    }
}
