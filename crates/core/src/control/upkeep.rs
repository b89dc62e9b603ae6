//! Upkeep: what slow paths do now and then, and what can be asked for.

use super::{container, limit, purger, report};
use crate::arena::{bin, depot, large, magazine, manual, run_cache, sampled, sweep};
use crate::extent::{Earner, HEAP, Pressure};
use crate::meta;
use crate::options::Dss;
use crate::sys::clock;
use crate::thread::{CacheRef, Inside, cache, registry};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Nanoseconds that the run cache may sleep before it is emptied.
const RUNS_IDLE_NS: u64 = 1_000_000_000;

/// Sweeps of the slabs in a decay time, and the shortest time between two.
const SWEEPS: u64 = 20;
const SWEEP_MIN_NS: u64 = 100_000_000;

/// Bytes that are worth the while of giving them back all at once.
const WORTHWHILE: usize = 2 << 20;

/// Steps of giving back all that is due.
const STEPS_MAX: usize = 100_000;

/// A thread that does not enter the allocator from one look to the next is idle.
const LOOK_NS: u64 = 1_000_000_000;

/// Bytes that were given back when all was asked for last.
static LAST_PURGED: AtomicUsize = AtomicUsize::new(0);
static LOOK_DUE: AtomicU64 = AtomicU64::new(0);
static RUNS_DUE: AtomicU64 = AtomicU64::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static LAST_TICK: AtomicU64 = AtomicU64::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static AGELESS: AtomicBool = AtomicBool::new(false);

/// Lets idle memory age: the depot, the run cache, the page heap. Called inside a passage, no lock held. `true`: a
/// purge thread is wanted, for [`purger::start`] outside the passage.
#[cold]
pub(crate) fn tick(own: Option<CacheRef>) -> bool {
    report::update(false);
    limit::heed(own);
    let now = clock::now_ns();
    heed_pressure(now);
    if !own.is_some_and(CacheRef::is_away) {
        // Hooks of an application are for its own threads.
        manual::tick(now, true, Inside(own));
    }
    if purger::takes_over() {
        return false;
    }
    let last = LAST_TICK.swap(now, Ordering::Relaxed);
    if (last == now || last == 0) && !HEAP.is_pressed() {
        // The clock is coarse: nothing can have aged. The first tick finds nothing old either. But this may be the last
        // one before a long silence.
        return purger::is_wanted(now);
    }
    age(now, Earner::Caller);
    if !purger::is_possible() {
        HEAP.earn(now, Earner::Caller);
    }
    purger::is_wanted(now)
}

/// Gives back what is due by `now`, an amount that suits who does it. `true`: there is more. Called inside a passage, no
/// lock held.
pub(super) fn age(now: u64, earner: Earner) -> bool {
    let more = !AGELESS.load(Ordering::Relaxed) && age_caches(now);
    HEAP.tick_as(now, earner);
    manual::tick(now, false, Inside(None));
    more || HEAP.is_pressed()
}

/// Looks at what the container leaves us, where that is due, and gives back what follows from it. Called inside a
/// passage, no lock held.
pub(super) fn heed_pressure(now: u64) {
    if !container::is_due(now) {
        return;
    }
    match container::look(now) {
        Pressure::Calm => {}
        Pressure::Tight => {
            large::release_short();
            HEAP.press();
        }
        Pressure::Critical => {
            large::release_short();
            if surplus() > WORTHWHILE {
                relieve();
                HEAP.purge_all();
                // It may do already: what comes next should not suffer.
                container::look(now);
            }
        }
    }
}

/// Earns huge pages, a bounded step. `true`: there is more to do at once. Called inside a passage, no lock held, by the
/// purge thread.
pub(super) fn earn(now: u64) -> bool {
    HEAP.earn(now, Earner::Thread)
}

/// Has idle threads give back what they cached, a bounded amount. `true`: there is more. Called inside a passage, no
/// lock held, by the purge thread.
pub(super) fn age_threads(now: u64) -> bool {
    if now >= LOOK_DUE.load(Ordering::Relaxed) {
        LOOK_DUE.store(now + LOOK_NS, Ordering::Relaxed);
        registry::begin_look();
    }
    registry::park_idle()
}

/// Bytes that could be given back in time.
pub(super) fn surplus() -> usize {
    HEAP.idle_bytes()
        + manual::idle_bytes()
        + depot::kept_bytes()
        + run_cache::waiting_bytes()
        + bin::slack_bytes()
}

/// Says how long idle memory may stay, less than 0 for ever: without caches that give memory up as time passes, the
/// layout of a single-threaded program depends on its operations alone.
pub(super) fn set_decay_ms(decay_ms: isize) {
    AGELESS.store(decay_ms < 0, Ordering::Relaxed);
    let decay_ns = (decay_ms.max(0) as u64).saturating_mul(1_000_000);
    sweep::set_interval_ns((decay_ns / SWEEPS).max(SWEEP_MIN_NS));
}

fn age_caches(now: u64) -> bool {
    let mut more = depot::age(now, cache::flush_magazine);
    more |= sweep::step(now);
    let due = RUNS_DUE.load(Ordering::Relaxed);
    if now >= due
        && RUNS_DUE
            .compare_exchange(
                due,
                now + RUNS_IDLE_NS,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    {
        large::release_idle();
    }
    more
}

/// Gets back what is idle, so that a failed request can be tried again. Called inside a passage, no lock held.
#[cold]
pub(crate) fn relieve() {
    // In this order: what leaves the orphans goes to the depot first, and large objects to the run cache.
    registry::flush_orphans();
    depot::empty(cache::flush_magazine);
    sampled::release_empty();
    large::release_idle();
}

/// Gives the memory of idle records to the system. Called inside a passage, no lock held.
pub(super) fn tidy() {
    magazine::release_empties();
    meta::purge();
}

/// Gives all idle memory to the system, the calling thread's cache included. Bytes given back.
pub(crate) fn trim(own: Option<CacheRef>) -> usize {
    flush(own);
    let bytes = purge(own);
    LAST_PURGED.store(bytes, Ordering::Relaxed);
    bytes
}

/// Empties the calling thread's cache; answers the bytes that were in it.
pub(crate) fn flush(own: Option<CacheRef>) -> usize {
    own.map_or(0, |cache| {
        let bytes = cache.held_bytes();
        cache.flush();
        cache.empty_own_cache(Inside(own));
        bytes
    })
}

/// Bytes that the last [`trim`] gave back.
pub(super) fn last_purged() -> usize {
    LAST_PURGED.load(Ordering::Relaxed)
}

/// Gives all idle memory that no thread holds to the system. Bytes given back.
pub(super) fn purge(own: Option<CacheRef>) -> usize {
    let away = own.is_some_and(CacheRef::is_away);
    manual::purge_all(!away, Inside(own)) + purge_automatic()
}

/// The same of automatic arenas and of records of our own.
fn purge_automatic() -> usize {
    relieve();
    magazine::release_empties();
    sweep::all() + HEAP.purge_all() + meta::purge()
}

/// The calling thread is about to sleep: empties its cache and gives back what is due. Bytes that were in the cache.
pub(crate) fn idle(own: Option<CacheRef>) -> usize {
    let bytes = flush(own);
    age(clock::now_ns(), Earner::Caller);
    bytes
}

/// How long dirty pages and muzzy ones may stay, in milliseconds.
pub(crate) fn decay_ms() -> (isize, isize) {
    HEAP.decay_ms()
}

/// Gives back what idles of automatic arenas, all of it or all that is due by now. Called inside a passage, no lock held.
pub(super) fn age_automatic(all: bool) {
    if all {
        purge_automatic();
    } else {
        age_all();
    }
}

/// Gives back all that is due by now.
fn age_all() {
    let now = clock::now_ns();
    // Others may be adding to it all the time.
    for _ in 0..STEPS_MAX {
        if !age(now, Earner::Caller) {
            break;
        }
    }
    HEAP.decay_all(now);
}

/// Sets how long idle pages may stay, in milliseconds: -1 for ever, 0 not at all. What is due by that goes at once.
/// Called inside a passage, no lock held.
pub(crate) fn change_decay_ms(dirty_ms: isize, muzzy_ms: isize) {
    HEAP.set_decay_ms(dirty_ms, muzzy_ms);
    set_decay_ms(dirty_ms);
    purger::set_decay_ms(dirty_ms, muzzy_ms);
}

/// Sets where memory comes from, from now on.
pub(super) fn change_dss(dss: Dss) {
    meta::allow_break(dss != Dss::Disabled);
    HEAP.set_dss(dss);
}
