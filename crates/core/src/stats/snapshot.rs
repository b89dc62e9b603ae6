//! Snapshot: one walk over the counters below.
//!
//! Slabs count what left them; what caches and the depot hold is subtracted. The walk takes no lock but the
//! registry's, so figures of a busy process are a few operations apart.
#![deny(unsafe_code)]

use super::report::Snapshot;
use crate::arena::{bin, depot, explicit, hardened, hollow, large, manual, run_cache, sampled};
use crate::extent::{HEAP, page_map};
use crate::meta;
use crate::size::{CACHED_CLASSES, CLASSES, PAGE, SMALL_CLASSES, SizeClass, size_of_class};
use crate::thread::registry;
use core::ops::Range;

/// Fills `out` with the figures of this moment, of all but arenas made by request.
pub(crate) fn take(out: &mut Snapshot) {
    let figures = HEAP.figures();
    let idle = run_cache::waiting_bytes();
    let gone = idle + hardened::bare_bytes() + hardened::by_request_bytes();
    out.active = figures.active.saturating_sub(gone) as u64;
    out.dirty = (figures.dirty + idle) as u64;
    out.muzzy = figures.muzzy as u64;
    out.retained = figures.retained as u64;
    out.metadata = (meta::used_bytes() + page_map::used_bytes()) as u64;
    let passed = (0..CACHED_CLASSES)
        .filter_map(SizeClass::new)
        .fold(registry::large_totals(), |sum, class| {
            sum + registry::totals(class)
        });
    (out.allocations, out.frees) = (passed.popped, passed.pushed);
    out.hollow = hollow::bytes() as u64;
    out.run_cache = idle as u64;
    (out.thread_caches, out.depot) = cached(0..CACHED_CLASSES);
    let (mut free, mut ends) = (0, 0);
    for room in (0..SMALL_CLASSES).map(bin::room) {
        free += room.free as u64;
        ends += room.tails as u64;
    }
    out.free_slots = free.saturating_sub(out.hollow);
    out.internal_slack = ends + sampled::slack_bytes() as u64;
    let mut allocated = 0;
    for index in 0..CLASSES {
        let size = size_of_class(index);
        let out_of_slabs = if index < SMALL_CLASSES {
            bin::taken(index) * size
        } else {
            large::out_bytes(index)
        };
        let cached = if index < CACHED_CLASSES {
            (depot::kept(index) + registry::held(index) + explicit::held(index)) * size
        } else {
            0
        };
        let hard = hardened::figures(index).bytes;
        let bytes = (out_of_slabs.saturating_sub(cached) + hard) as u64;
        out.class_bytes[index] = bytes;
        allocated += bytes;
    }
    out.allocated = allocated;
}

/// Bytes in pages in use of all arenas, told at once: what waits in the run cache among them.
pub(crate) fn active_at_once() -> usize {
    let own = HEAP.figures().active;
    own.saturating_sub(hardened::bare_bytes()) + manual::active_bytes()
}

/// Adds what arenas made by request hold, which [`take`] leaves out.
pub(crate) fn add_by_request(out: &mut Snapshot) {
    let sum = manual::sum();
    let (allocated, active) = (
        sum.small_bytes + sum.large_bytes,
        sum.active_pages * PAGE as u64,
    );
    out.allocated += allocated;
    out.active += active;
    out.dirty += sum.dirty_pages * PAGE as u64;
    out.muzzy += sum.muzzy_pages * PAGE as u64;
    out.retained += sum.retained_bytes;
    out.thread_caches += sum.cached_bytes;
    // The ends of their slabs among them.
    out.free_slots += active.saturating_sub(allocated + sum.cached_bytes);
    manual::add_class_bytes(&mut out.class_bytes);
}

/// Bytes of the objects of these classes, which are cached ones, in caches of threads and explicit ones, and in the depot.
pub(crate) fn cached(classes: Range<usize>) -> (u64, u64) {
    classes.fold((0, 0), |(threads, depot), class| {
        let size = size_of_class(class);
        let held = (registry::held(class) + explicit::held(class)) * size;
        let kept = depot::kept(class) * size;
        (threads + held as u64, depot + kept as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::hardened::{Ask, Door, Told};
    use crate::options::Hardening;
    use crate::sys::simulated::child::alone;

    #[test]
    fn addresses_that_wait_without_memory_are_not_in_use() {
        alone(|| {
            const BYTES: usize = 1000 * PAGE;
            hardened::prepare(Hardening::Paranoid, 0, 0);
            let object = hardened::alloc(&Ask::new(BYTES, 1, Door::Malloc)).unwrap();
            let (before, whole) = (active_at_once(), HEAP.figures().active);
            let freed = hardened::dealloc(object, &Told::of(Door::Malloc));
            freed.unwrap().unwrap().let_go();
            assert_eq!(HEAP.figures().active, whole, "they wait");
            assert_eq!(active_at_once(), before - BYTES);
        });
    }
}
