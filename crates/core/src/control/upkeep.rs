//! Upkeep: what slow paths do now and then, and what can be asked for.

use super::report;
use crate::arena::{depot, large, magazine};
use crate::extent::HEAP;
use crate::meta;
use crate::sys::clock;
use crate::thread::{CacheRef, cache, registry};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Nanoseconds that the run cache may sleep before it is emptied.
const RUNS_IDLE_NS: u64 = 1_000_000_000;

static RUNS_DUE: AtomicU64 = AtomicU64::new(0);
static LAST_TICK: AtomicU64 = AtomicU64::new(0);
static AGEING: AtomicBool = AtomicBool::new(true);

/// Lets idle memory age: the depot, the run cache, the page heap. Called inside a passage, no lock held.
#[cold]
pub(crate) fn tick() {
    report::update(false);
    let now = clock::now_ns();
    let last = LAST_TICK.swap(now, Ordering::Relaxed);
    if (last == now || last == 0) && !HEAP.is_pressed() {
        // The clock is coarse: nothing can have aged. The first tick finds nothing old either.
        return;
    }
    if AGEING.load(Ordering::Relaxed) {
        age(now);
    }
    HEAP.tick(now);
}

/// Says whether caches give memory up as time passes; without, the layout of a single-threaded program depends on
/// its operations alone.
pub(super) fn set_ageing(on: bool) {
    AGEING.store(on, Ordering::Relaxed);
}

fn age(now: u64) {
    depot::age(now, cache::flush_magazine);
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
}

/// Gets back what is idle, so that a failed request can be tried again. Called inside a passage, no lock held.
#[cold]
pub(crate) fn relieve() {
    // In this order: what leaves the orphans goes to the depot first, and large objects to the run cache.
    registry::flush_orphans();
    depot::empty(cache::flush_magazine);
    large::release_idle();
}

/// Gives all idle memory to the system, the calling thread's cache included. Bytes given back.
pub(crate) fn trim(own: Option<CacheRef>) -> usize {
    if let Some(cache) = own {
        cache.flush();
    }
    relieve();
    magazine::release_empties();
    HEAP.purge_all() + meta::purge()
}
