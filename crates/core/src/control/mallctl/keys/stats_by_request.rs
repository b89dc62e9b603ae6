//! `stats.arenas.<i>.*` of arenas made by request, of all of them together, and of those that are no more.
//!
//! As of the epoch, but for threads, settings and runs of pages, which are read when asked for.

use super::super::index::Arenas;
use super::stats_arena::Key;
use super::stats_classes::Key as ClassKey;
use super::{Call, Refusal, arena};
use crate::arena::manual::{self, ArenaRef, BinFigures, Figures, LargeFigures};
use crate::extent::hooks;
use crate::options::Dss;

pub(super) fn answer(key: Key, arenas: Arenas, call: &mut Call) -> Result<(), Refusal> {
    let one = match arenas {
        Arenas::Manual(arena) => Some(arena),
        _ => None,
    };
    let decay_ms = one.map_or((-1, -1), ArenaRef::decay_times);
    let request = &mut call.request;
    match key {
        Key::Nthreads => {
            return request.give(one.map_or(0, ArenaRef::threads) as u32);
        }
        Key::Dss => {
            let dss = one.and_then(|arena| hooks::dss(arena.index()));
            return request.give_text(arena::dss_name(dss.unwrap_or(Dss::Disabled)));
        }
        Key::DirtyDecayMs => return request.give(decay_ms.0),
        Key::MuzzyDecayMs => return request.give(decay_ms.1),
        _ => {}
    }
    let number = match one {
        Some(arena) => number(key, &arena.seen()),
        None => number(key, &manual::destroyed()),
    };
    call.request.give(number)
}

/// Threads that are bound to any of them.
pub(super) fn threads() -> usize {
    if manual::is_used() {
        manual::all().map(ArenaRef::threads).sum()
    } else {
        0
    }
}

/// What the key tells of some figures. Records are all with the first arena; what is not told here is nothing, or has an
/// answer of its own.
pub(super) fn number(key: Key, figures: &Figures) -> u64 {
    match key {
        Key::Uptime => figures.uptime_ns,
        Key::Pactive => figures.active_pages,
        Key::Pdirty => figures.dirty_pages,
        Key::Pmuzzy => figures.muzzy_pages,
        Key::Mapped => figures.mapped_bytes(),
        Key::Retained => figures.retained_bytes,
        Key::Pinned => figures.pinned_bytes,
        Key::Resident => figures.resident_bytes,
        Key::DirtyNpurge => figures.dirty.npurge,
        Key::DirtyNmadvise => figures.dirty.nmadvise,
        Key::DirtyPurged => figures.dirty.pages,
        Key::MuzzyNpurge => figures.muzzy.npurge,
        Key::MuzzyNmadvise => figures.muzzy.nmadvise,
        Key::MuzzyPurged => figures.muzzy.pages,
        Key::SmallAllocated => figures.small_bytes,
        Key::SmallNmalloc => figures.small_allocations,
        Key::SmallNdalloc => figures.small_frees,
        Key::SmallNrequests => figures.small_requests,
        Key::SmallNfills => figures.small_fills,
        Key::SmallNflushes => figures.small_flushes,
        Key::TcacheBytes => figures.cached_bytes,
        Key::LargeAllocated => figures.large_bytes,
        Key::LargeNmalloc => figures.large_allocations,
        Key::LargeNdalloc => figures.large_frees,
        Key::LargeNrequests => figures.large_requests,
        Key::LargeNflushes => figures.large_flushes,
        _ => 0,
    }
}

/// What a key of a class tells of an arena made by request, of all of them, or of those that are no more; 0 for others.
pub(super) fn of_class(key: ClassKey, arenas: Arenas, class: usize) -> Result<u64, Refusal> {
    match arenas {
        Arenas::Absent => Err(Refusal::Absent),
        Arenas::Manual(arena) => Ok(class_number(key, arena, class)),
        Arenas::All if manual::is_used() => Ok(manual::all()
            .map(|arena| class_number(key, arena, class))
            .sum()),
        Arenas::Destroyed if key.is_large() => Ok(large(key, &manual::destroyed_large(class))),
        Arenas::Destroyed if !key.is_of_runs() => Ok(bin(key, &manual::destroyed_bin(class))),
        Arenas::One(_) | Arenas::All | Arenas::Destroyed => Ok(0),
    }
}

fn class_number(key: ClassKey, arena: ArenaRef, class: usize) -> u64 {
    let extents = |state: usize| arena.extent_figures(class)[state];
    match key {
        ClassKey::Ndirty => extents(0).0,
        ClassKey::DirtyBytes => extents(0).1,
        ClassKey::Nmuzzy => extents(1).0,
        ClassKey::MuzzyBytes => extents(1).1,
        ClassKey::Nretained => extents(2).0,
        ClassKey::RetainedBytes => extents(2).1,
        ClassKey::Npinned => extents(3).0,
        ClassKey::PinnedBytes => extents(3).1,
        _ if key.is_large() => large(key, &arena.seen_large(class)),
        _ => bin(key, &arena.seen_bin(class)),
    }
}

fn large(key: ClassKey, figures: &LargeFigures) -> u64 {
    match key {
        ClassKey::LargeNmalloc => figures.allocations,
        ClassKey::LargeNdalloc => figures.frees,
        ClassKey::LargeNrequests => figures.requests,
        ClassKey::Curlextents => figures.allocations - figures.frees,
        _ => 0,
    }
}

fn bin(key: ClassKey, figures: &BinFigures) -> u64 {
    match key {
        ClassKey::Nmalloc => figures.allocations,
        ClassKey::Ndalloc => figures.frees,
        ClassKey::Nrequests => figures.requests,
        ClassKey::Curregs => figures.taken,
        ClassKey::Nfills => figures.fills,
        ClassKey::Nflushes => figures.flushes,
        ClassKey::Nslabs => figures.slabs_made,
        ClassKey::Nreslabs => figures.slabs_reused,
        ClassKey::Curslabs => figures.slabs,
        ClassKey::NonfullSlabs => figures.nonfull_slabs,
        _ => 0,
    }
}
