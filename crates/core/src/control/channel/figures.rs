//! Figures: what the channel shows of this moment.
//!
//! The counters are those that statistics are made of, read without stopping anybody: figures of a busy process are a few
//! operations apart. No system call but for the size of the resident set.
#![deny(unsafe_code)]

use crate::arena::{ArenaIndex, automatic, bin, depot, explicit, hardened, large, manual};
use crate::control::{boot, container, limit, purger};
use crate::extent::{HEAP, PurgeFigures};
use crate::meta::limit as counts;
use crate::prof;
use crate::size::{
    CACHED_CLASSES, CLASSES, PAGE, SMALL_CLASSES, SizeClass, size_of_class, slab_pages,
};
use crate::stats::live::{ARENAS_SHOWN, Arena, Class, Figures, LAYOUT, MAGIC, profiling};
use crate::stats::{accounts, snapshot};
use crate::sys::process;
use crate::thread::registry;

/// Puts the figures of this moment into `out`; what was asked for, and when, stays. Inside a passage, no lock held.
pub(super) fn take(out: &mut Figures) {
    out.magic = MAGIC;
    out.layout = LAYOUT;
    out.pid = u64::from(process::id());
    out.uptime_ns = boot::uptime_ns();
    out.profiling = match (prof::is_started(), prof::is_sampling()) {
        (false, _) => profiling::NEVER,
        (true, false) => profiling::OFF,
        (true, true) => profiling::ON,
    };
    out.lg_sample = if prof::is_started() {
        u64::from(prof::lg_sample())
    } else {
        boot::options().prof.lg_sample as u64
    };
    out.resident = accounts::resident();
    out.heap_used = counts::used() as u64;
    out.heap_limit_soft = limit::limit_or_none(counts::soft()) as u64;
    out.heap_limit_hard = limit::limit_or_none(counts::hard()) as u64;
    out.memory_limit = container::known_limit();
    let heap = HEAP.figures();
    out.mapped = heap.mapped as u64;
    let purges = |purges: PurgeFigures| {
        let bytes = purges.purged_pages * PAGE;
        [purges.npurge as u64, purges.nmadvise as u64, bytes as u64]
    };
    out.dirty_purges = purges(heap.dirty_purges);
    out.muzzy_purges = purges(heap.muzzy_purges);
    out.purger_runs = purger::figures().runs;
    snapshot::take(&mut out.now);
    if out.now.active >= out.peak.active {
        out.peak = out.now;
    }
    take_classes(&mut out.classes);
    take_arenas(out);
}

fn take_classes(classes: &mut [Class; SMALL_CLASSES]) {
    for (index, class) in classes.iter_mut().enumerate() {
        let slabs: usize = (0..automatic())
            .map(|arena| bin::figures(index, ArenaIndex::new(arena)).curslabs)
            .sum();
        let slab_bytes = slabs * slab_pages(index) * PAGE + hardened::slab_bytes(index);
        *class = Class {
            slabs: (slabs + hardened::slabs(index)) as u64,
            slab_bytes: slab_bytes as u64,
            free_bytes: bin::room(index).free as u64,
            cached: (depot::kept(index) + registry::held(index) + explicit::held(index)) as u64,
            requests: SizeClass::new(index).map_or(0, |class| registry::totals(class).popped),
        };
    }
}

fn take_arenas(out: &mut Figures) {
    out.arenas = [Arena::ZERO; ARENAS_SHOWN];
    out.arenas_automatic = automatic() as u64;
    out.arenas_by_request = 0;
    out.by_request_bytes = 0;
    out.threads = 0;
    let mut places = out.arenas.iter_mut();
    for index in 0..automatic() {
        let arena = automatic_arena(index);
        out.threads += arena.threads;
        if let Some(place) = places.next() {
            *place = arena;
        }
    }
    if manual::is_used() {
        explicit::tell_all();
    }
    for arena in manual::all() {
        let figures = arena.figures();
        out.arenas_by_request += 1;
        out.by_request_bytes += figures.small_bytes + figures.large_bytes;
        out.threads += figures.threads;
        if let Some(place) = places.next() {
            *place = Arena {
                number: arena.index() as u64 + 1,
                by_request: 1,
                threads: figures.threads,
                small: figures.small_bytes,
                large: figures.large_bytes,
                slabs: 0,
                allocations: figures.small_allocations,
                frees: figures.small_frees,
            };
        }
    }
}

fn automatic_arena(index: usize) -> Arena {
    let of = ArenaIndex::new(index);
    let mut arena = Arena {
        number: index as u64 + 1,
        threads: registry::threads_of(of) as u64,
        ..Arena::ZERO
    };
    for class in 0..SMALL_CLASSES {
        let figures = bin::figures(class, of);
        arena.small += (figures.curregs() * size_of_class(class)) as u64;
        arena.slabs += figures.curslabs as u64;
        arena.allocations += figures.nmalloc;
        arena.frees += figures.ndalloc;
    }
    let out: usize = (SMALL_CLASSES..CLASSES)
        .map(|class| large::figures_in(of, class).bytes)
        .sum();
    arena.large = out as u64;
    if index == 0 {
        // What is cached is booked with the first: see `stats.arenas`.
        let held = |class| depot::kept(class) + registry::held(class) + explicit::held(class);
        let cached = |class| held(class) * size_of_class(class);
        let cached: usize = (SMALL_CLASSES..CACHED_CLASSES).map(cached).sum();
        arena.large = out.saturating_sub(cached) as u64;
        add_hardened(&mut arena);
    }
    arena
}

/// What the hardened arena serves for automatic ones stands with the first of them: see `stats.arenas`.
fn add_hardened(arena: &mut Arena) {
    for class in 0..CLASSES {
        let hard = hardened::figures(class);
        if class < SMALL_CLASSES {
            arena.small += hard.bytes as u64;
            arena.slabs += hardened::slabs(class) as u64;
            arena.allocations += hard.nmalloc;
            arena.frees += hard.ndalloc;
        } else {
            arena.large += hard.bytes as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::hardened::{Ask, Door, Told};
    use crate::options::Hardening;
    use crate::sys::simulated::child::alone;

    #[test]
    fn hardened_objects_stand_with_the_first_arena() {
        alone(|| {
            hardened::prepare(Hardening::Strong, 0, 0);
            let before = automatic_arena(0);
            let objects = [100, 100, 20_000]
                .map(|bytes| hardened::alloc(&Ask::new(bytes, 1, Door::Malloc)).unwrap());
            let freed = hardened::dealloc(objects[0], &Told::of(Door::Malloc));
            freed.unwrap().unwrap().let_go();
            let arena = automatic_arena(0);
            assert_eq!(arena.small, before.small + 112);
            assert_eq!(arena.large, before.large + 20_480);
            assert_eq!(arena.slabs, before.slabs + 1);
            assert_eq!(arena.allocations, before.allocations + 2);
            assert_eq!(arena.frees, before.frees + 1);

            let mut classes = [Class::default(); SMALL_CLASSES];
            take_classes(&mut classes);
            let [slabs, bytes] = [0, 1].map(|at| {
                let of = |class: &Class| [class.slabs, class.slab_bytes][at];
                classes.iter().map(of).sum::<u64>()
            });
            assert_eq!(slabs, arena.slabs);
            assert!(bytes > 0);
        });
    }
}
