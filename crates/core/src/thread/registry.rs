//! Registry: all caches there are, and the orphans among them.
//!
//! ```text
//! start:  an orphan? adopt it, warm.  else a new cache, registered
//! end:    word = GONE; the whole cache onto the orphan stack by one exchange
//!         more than ORPHANS_MAX of them: flush, unregister
//! ```
//! J1  A registered cache belongs to one living thread, or is on the orphan stack, or is on its way between.
//! J2  In a forked child the caches of the threads that are gone become orphans, whatever their number; no
//!     object is touched.
//! J3  What a cache counted outlives it: its totals are added to those of the dead.
//! Lock: registry, rank 1, for the list; the stack takes none.

use super::CacheRef;
use super::binding::Inside;
use super::cache::counting::{Counter, Totals};
use super::park::{BATCH, park};
use super::passage::Passage;
use crate::arena::ArenaIndex;
use crate::arena::manual::ArenaRef;
use crate::extent::HEAP;
use crate::size::{CACHED_CLASSES, SizeClass};
use crate::sync::stack::{Links, Stack};
use crate::sync::{LockFigures, Mutex};
use crate::sys::thread::{self as system, ExitKey};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

struct List {
    first: u32,
    /// The cache that the look for idle ones comes to next.
    look: u32,
}

#[unsafe(link_section = ".data.jemoxide_start")]
static REGISTRY: Mutex<List, 1> = Mutex::new(List { first: 0, look: 0 });
#[unsafe(link_section = ".data.jemoxide_start")]
static ORPHANS: Stack = Stack::new();
#[unsafe(link_section = ".data.jemoxide_start")]
static ORPHAN_COUNT: AtomicUsize = AtomicUsize::new(0);
/// Caches orphaned and adopted so far; and what that was when the orphans were last looked at, and last emptied.
static ORPHAN_MOVES: AtomicUsize = AtomicUsize::new(0);
static ORPHANS_SEEN: AtomicUsize = AtomicUsize::new(0);
static ORPHANS_EMPTIED: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static ORPHANS_MAX: AtomicUsize = AtomicUsize::new(0);
/// Number of the exit key plus one; 0 while there is none.
#[unsafe(link_section = ".data.jemoxide_start")]
static KEY: AtomicU32 = AtomicU32::new(0);
/// Whether new threads start on their shadow bins.
#[unsafe(link_section = ".data.jemoxide_start")]
static SHADOWED: AtomicBool = AtomicBool::new(false);
/// Whether new threads do without their caches.
#[unsafe(link_section = ".data.jemoxide_start")]
static UNCACHED: AtomicBool = AtomicBool::new(false);
/// What passed through caches that are no more, and past all caches (J3): by class, and large objects.
static DEAD: [Counter; CACHED_CLASSES] = [const { Counter::new() }; CACHED_CLASSES];
static DEAD_LARGE: Counter = Counter::new();

/// Caches looked at under one hold of the lock.
const LOOKS: usize = 64;

struct OrphanLinks;

impl Links for OrphanLinks {
    fn next(&self, number: u32) -> u32 {
        CacheRef::from_number(number)
            .map_or(0, |cache| cache.get().orphan_link.load(Ordering::Relaxed))
    }

    fn set_next(&self, number: u32, next: u32) {
        if let Some(cache) = CacheRef::from_number(number) {
            cache.get().orphan_link.store(next, Ordering::Relaxed);
        }
    }
}

/// Prepares for threads: `orphans` caches at most wait for adoption; all operations go slow, or as they do; threads do
/// without their caches. Called once, by the boot.
pub(crate) fn prepare(orphans: usize, shadowed: bool, uncached: bool) {
    UNCACHED.store(uncached, Ordering::Relaxed);
    ORPHANS_MAX.store(orphans, Ordering::Relaxed);
    SHADOWED.store(shadowed, Ordering::Relaxed);
    if let Some(key) = ExitKey::create(at_exit) {
        KEY.store(key.number() + 1, Ordering::Relaxed);
    }
}

/// Sets how many caches at most wait for adoption; those that wait already stay.
pub(crate) fn set_orphans(orphans: usize) {
    ORPHANS_MAX.store(orphans, Ordering::Relaxed);
}

/// Gives the calling thread a cache and its word. `None`: out of memory; the thread stays as it was.
/// Afterwards [`arm`] is due, outside the gate.
pub(crate) fn start() -> Option<CacheRef> {
    let cache = adopt().or_else(register)?;
    cache.claim();
    cache.forget_sampling();
    cache.begin_bytes();
    cache.begin_slots();
    cache.enable(!UNCACHED.load(Ordering::Relaxed));
    // SAFETY: the cache is this thread's until its exit function.
    unsafe { system::set_word(cache.word(!cache.is_enabled() || is_shadowed())) };
    cache.vacate();
    HEAP.note_thread(true);
    Some(cache)
}

/// Has the calling thread use its cache, or do without it.
pub(crate) fn set_enabled(cache: CacheRef, enabled: bool) {
    if !enabled {
        cache.flush();
    }
    cache.enable(enabled);
    // SAFETY: the cache is this thread's until its exit function.
    unsafe { system::set_word(cache.word(cache.is_shadowed() || is_shadowed())) };
}

/// Has the calling thread's allocations come from an arena made by request, or, with `None`, from automatic ones again.
/// `false`: the arena has ended meanwhile.
pub(crate) fn bind(cache: CacheRef, arena: Option<ArenaRef>) -> bool {
    let bound = cache.rebind(arena, Inside(Some(cache)));
    // SAFETY: the cache is this thread's until its exit function.
    unsafe { system::set_word(cache.word(cache.is_shadowed() || is_shadowed())) };
    bound
}

/// Whether threads stay on their shadow bins: all operations go slow.
pub(super) fn is_shadowed() -> bool {
    SHADOWED.load(Ordering::Relaxed)
}

/// Has the thread's end noticed. May allocate from us.
pub(crate) fn arm(cache: CacheRef) {
    if let Some(number) = KEY.load(Ordering::Relaxed).checked_sub(1) {
        // A thread whose end goes unnoticed must not be parked: its word may be gone by then.
        let noticed = ExitKey::from_number(number).set(cache.word(false));
        cache.set_place(noticed);
    }
}

fn adopt() -> Option<CacheRef> {
    let cache = CacheRef::from_number(ORPHANS.pop(&OrphanLinks)?)?;
    ORPHAN_COUNT.fetch_sub(1, Ordering::Relaxed);
    ORPHAN_MOVES.fetch_add(1, Ordering::Relaxed);
    cache.get().orphaned.store(0, Ordering::Relaxed);
    Some(cache)
}

fn register() -> Option<CacheRef> {
    let mut cache = CacheRef::create()?;
    let mut list = REGISTRY.lock();
    cache.get_mut().next = list.first;
    if let Some(mut first) = CacheRef::from_number(list.first) {
        first.get_mut().prev = cache.number();
    }
    list.first = cache.number();
    Some(cache)
}

fn unregister(cache: CacheRef) {
    let mut list = REGISTRY.lock();
    let (next, prev) = (cache.get().next, cache.get().prev);
    if list.look == cache.number() {
        list.look = next;
    }
    match CacheRef::from_number(prev) {
        Some(mut prev) => prev.get_mut().next = next,
        None => list.first = next,
    }
    if let Some(mut next) = CacheRef::from_number(next) {
        next.get_mut().prev = prev;
    }
    for class in (0..CACHED_CLASSES).filter_map(SizeClass::new) {
        DEAD[class.index() % CACHED_CLASSES].add(cache.totals(class));
    }
    DEAD_LARGE.add(cache.large_totals());
}

/// The exit key's function: the thread's cache is orphaned or flushed.
unsafe extern "C" fn at_exit(word: *mut c_void) {
    let cache = CacheRef::from_live(word.cast());
    // The cache is about to be another's: the passage goes by the thread itself.
    let _passage = Passage::enter(None);
    cache.claim();
    cache.set_place(false);
    cache.forget_sampling();
    // SAFETY: static.
    unsafe { system::set_word(system::gone()) };
    // Hooks may run for what was cached: as on a thread that is gone.
    cache.empty_own_cache(Inside(None));
    if cache.get().orphaned.load(Ordering::Relaxed) != 0 {
        // A hook forked, and this is the child, which has nobody in the cache any more.
        return;
    }
    cache.release_binding();
    cache.forget_stay();
    HEAP.note_thread(false);
    // Counted first: of several threads that end at once, no more find room than there is.
    if ORPHAN_COUNT.fetch_add(1, Ordering::Relaxed) < ORPHANS_MAX.load(Ordering::Relaxed) {
        orphan(cache);
    } else {
        ORPHAN_COUNT.fetch_sub(1, Ordering::Relaxed);
        cache.flush();
        unregister(cache);
        while cache.is_being_parked() {
            system::relax();
        }
        // SAFETY: flushed and out of the list; the word says GONE.
        unsafe { cache.destroy() };
    }
}

/// Puts a cache, counted already, onto the stack.
fn orphan(cache: CacheRef) {
    ORPHAN_MOVES.fetch_add(1, Ordering::Relaxed);
    cache.get().orphaned.store(1, Ordering::Relaxed);
    cache.vacate();
    ORPHANS.push(cache.number(), &OrphanLinks);
}

/// In a forked child: the caches of all threads but the caller's become orphans (J2).
pub(crate) fn orphan_others(own: Option<CacheRef>) {
    for_each(|cache| {
        if Some(cache) != own && cache.get().orphaned.load(Ordering::Relaxed) == 0 {
            cache.set_place(false);
            cache.release_binding();
            cache.forget_stay();
            cache.forget_profiled();
            ORPHAN_COUNT.fetch_add(1, Ordering::Relaxed);
            orphan(cache);
        }
    });
    HEAP.set_threads(usize::from(own.is_some()));
}

/// Empties all orphans' caches, keeping them as orphans.
pub(crate) fn flush_orphans() {
    let mut kept: u32 = 0;
    // Taken one by one and put back together, as flushing may take long.
    let mut last: u32 = 0;
    while let Some(number) = ORPHANS.pop(&OrphanLinks) {
        if let Some(cache) = CacheRef::from_number(number) {
            cache.settle();
            cache.flush();
            OrphanLinks.set_next(number, kept);
            if kept == 0 {
                last = number;
            }
            kept = number;
        }
    }
    if kept != 0 {
        ORPHANS.push_chain(kept, last, &OrphanLinks);
    }
}

/// Begins a look for threads that are idle. Empties the orphans if none came or went since the last look.
pub(crate) fn begin_look() {
    {
        let mut list = REGISTRY.lock();
        list.look = list.first;
    }
    let moves = ORPHAN_MOVES.load(Ordering::Relaxed);
    if ORPHANS_SEEN.swap(moves, Ordering::Relaxed) == moves
        && ORPHANS_EMPTIED.swap(moves, Ordering::Relaxed) != moves
    {
        flush_orphans();
    }
}

/// Looks at some caches; those that look as they did at the last look are parked. `true`: there are more. Inside the
/// fork gate, no lock held.
pub(crate) fn park_idle() -> bool {
    if is_shadowed() {
        return false;
    }
    let mut batch = [None; BATCH];
    let mut count = 0;
    let mut list = REGISTRY.lock();
    for _ in 0..LOOKS {
        let Some(cache) = CacheRef::from_number(list.look) else {
            break;
        };
        list.look = cache.get().next;
        if cache.is_idle() {
            batch[count] = Some(cache);
            count += 1;
            if count == BATCH {
                break;
            }
        }
    }
    let more = list.look != 0;
    drop(list);
    if let Some(&Some(first)) = batch.first() {
        let marked = batch.map(|cache| cache.unwrap_or(first));
        park(&marked[..count]);
    }
    more
}

fn for_each(visit: impl FnMut(CacheRef)) {
    visit_all(&REGISTRY.lock(), visit);
}

fn visit_all(list: &List, mut visit: impl FnMut(CacheRef)) {
    let mut link = list.first;
    while let Some(cache) = CacheRef::from_number(link) {
        link = cache.get().next;
        visit(cache);
    }
}

/// Objects of the class with index `class` in all caches, as far as can be told from outside.
pub(crate) fn held(class: usize) -> usize {
    let mut held = 0;
    for_each(|cache| held += cache.held(class));
    held
}

/// What was counted of the list's lock.
pub(crate) fn lock_figures() -> LockFigures {
    REGISTRY.figures()
}

/// Counts that anew.
pub(crate) fn forget_lock_figures() {
    REGISTRY.forget_figures();
}

/// Living threads whose misses go to `arena`.
pub(crate) fn threads_of(arena: ArenaIndex) -> usize {
    let mut threads = 0;
    for_each(|cache| {
        let lives = cache.get().orphaned.load(Ordering::Relaxed) == 0;
        threads += usize::from(lives && !cache.is_bound() && cache.arena() == arena);
    });
    threads
}

/// Objects of `class`, which is cached, that all threads, living and dead, allocated and freed so far. Exact for threads that
/// are not in the allocator.
pub(crate) fn totals(class: SizeClass) -> Totals {
    sum(&DEAD[class.index() % CACHED_CLASSES], |cache| {
        cache.totals(class)
    })
}

/// As [`totals`], of the objects that no cache holds.
pub(crate) fn large_totals() -> Totals {
    sum(&DEAD_LARGE, CacheRef::large_totals)
}

/// Adds up what `of` says of each cache, and what `dead` says of those that are no more. Under the lock a cache is in one
/// of the two (J3).
fn sum(dead: &Counter, of: impl Fn(CacheRef) -> Totals) -> Totals {
    let list = REGISTRY.lock();
    let mut sum = dead.read();
    visit_all(&list, |cache| sum += of(cache));
    sum
}

/// Counts objects of `class` that a thread without a cache allocated and freed.
pub(crate) fn note_uncached(class: SizeClass, passed: Totals) {
    DEAD[class.index() % CACHED_CLASSES].add(passed);
}

/// Counts large objects that a thread without a cache allocated and freed.
pub(crate) fn note_uncached_large(passed: Totals) {
    DEAD_LARGE.add(passed);
}

#[cfg(test)]
mod tests;
