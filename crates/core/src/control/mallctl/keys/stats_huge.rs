//! `stats.arenas.<i>.hpa_*`: the page heap's huge pages, and the cache in front of it, as of the epoch.
//!
//! | jemalloc's | ours |
//! |---|---|
//! | page slab | 2 MiB of the heap |
//! | huge | a collapse made it one page of the system's |
//! | hugify, dehugify | collapse; loss by a purge |
//! | purge passes, purges | steps of purging dirty pages, and their system calls |
//! | small extent cache | run cache |
//! | calls for several extents at once | none: a run is handed out at a time |

use super::super::epoch::{figure, inventory};
use super::super::index::Arenas;
use super::super::row::{Kind, Row, read};
use super::{Call, Refusal};
use crate::extent::{Hugepages, Inventory};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    SecBytes,
    SecHits,
    SecMisses,
    SecDallocNoflush,
    SecDallocFlush,
    Npageslabs,
    Nactive,
    Ndirty,
    NpurgePasses,
    Npurges,
    Nhugifies,
    NhugifyFailures,
    Ndehugifies,
    /// There is nothing of the kind.
    Zero,
    PlainSlabs,
    HugeSlabs,
    PlainActive,
    HugeActive,
    PlainDirty,
    HugeDirty,
    PlainFull,
    HugeFull,
    PlainFullActive,
    HugeFullActive,
    PlainFullDirty,
    HugeFullDirty,
    PlainEmpty,
    HugeEmpty,
    PlainEmptyActive,
    HugeEmptyActive,
    PlainEmptyDirty,
    HugeEmptyDirty,
    PlainPartial,
    HugePartial,
    PlainPartialActive,
    HugePartialActive,
    PlainPartialDirty,
    HugePartialDirty,
}

const fn size(name: &'static str, key: Key) -> Row {
    read(name, Kind::Size, super::Key::StatsHuge(key))
}

const fn count(name: &'static str, key: Key) -> Row {
    read(name, Kind::U64, super::Key::StatsHuge(key))
}

macro_rules! arena {
    ($name:literal) => {
        concat!("stats.arenas.<i>.", $name)
    };
}

macro_rules! shard {
    ($name:literal) => {
        concat!("stats.arenas.<i>.hpa_shard.", $name)
    };
}

pub(super) const ROWS: &[Row] = &[
    size(arena!("hpa_sec_bytes"), Key::SecBytes),
    size(arena!("hpa_sec_hits"), Key::SecHits),
    size(arena!("hpa_sec_misses"), Key::SecMisses),
    size(arena!("hpa_sec_dalloc_noflush"), Key::SecDallocNoflush),
    size(arena!("hpa_sec_dalloc_flush"), Key::SecDallocFlush),
    size(arena!("hpa_sec_overfills"), Key::Zero),
    size(shard!("npageslabs"), Key::Npageslabs),
    size(shard!("nactive"), Key::Nactive),
    size(shard!("ndirty"), Key::Ndirty),
    size(shard!("slabs.npageslabs_nonhuge"), Key::PlainSlabs),
    size(shard!("slabs.npageslabs_huge"), Key::HugeSlabs),
    size(shard!("slabs.nactive_nonhuge"), Key::PlainActive),
    size(shard!("slabs.nactive_huge"), Key::HugeActive),
    size(shard!("slabs.ndirty_nonhuge"), Key::PlainDirty),
    size(shard!("slabs.ndirty_huge"), Key::HugeDirty),
    count(shard!("npurge_passes"), Key::NpurgePasses),
    count(shard!("npurges"), Key::Npurges),
    count(shard!("nhugifies"), Key::Nhugifies),
    count(shard!("nhugify_failures"), Key::NhugifyFailures),
    count(shard!("ndehugifies"), Key::Ndehugifies),
    count(shard!("alloc.<j>.min_extents"), Key::Zero),
    count(shard!("alloc.<j>.max_extents"), Key::Zero),
    count(shard!("alloc.<j>.extents"), Key::Zero),
    count(shard!("alloc.<j>.ps"), Key::Zero),
    count(shard!("alloc.<j>.pages_per_ps"), Key::Zero),
    count(shard!("alloc.<j>.extents_per_ps"), Key::Zero),
    count(shard!("alloc.<j>.total_elapsed_ns_per_ps"), Key::Zero),
    size(shard!("full_slabs.npageslabs_nonhuge"), Key::PlainFull),
    size(shard!("full_slabs.npageslabs_huge"), Key::HugeFull),
    size(shard!("full_slabs.nactive_nonhuge"), Key::PlainFullActive),
    size(shard!("full_slabs.nactive_huge"), Key::HugeFullActive),
    size(shard!("full_slabs.ndirty_nonhuge"), Key::PlainFullDirty),
    size(shard!("full_slabs.ndirty_huge"), Key::HugeFullDirty),
    size(shard!("empty_slabs.npageslabs_nonhuge"), Key::PlainEmpty),
    size(shard!("empty_slabs.npageslabs_huge"), Key::HugeEmpty),
    size(shard!("empty_slabs.nactive_nonhuge"), Key::PlainEmptyActive),
    size(shard!("empty_slabs.nactive_huge"), Key::HugeEmptyActive),
    size(shard!("empty_slabs.ndirty_nonhuge"), Key::PlainEmptyDirty),
    size(shard!("empty_slabs.ndirty_huge"), Key::HugeEmptyDirty),
    size(
        shard!("nonfull_slabs.<j>.npageslabs_nonhuge"),
        Key::PlainPartial,
    ),
    size(
        shard!("nonfull_slabs.<j>.npageslabs_huge"),
        Key::HugePartial,
    ),
    size(
        shard!("nonfull_slabs.<j>.nactive_nonhuge"),
        Key::PlainPartialActive,
    ),
    size(
        shard!("nonfull_slabs.<j>.nactive_huge"),
        Key::HugePartialActive,
    ),
    size(
        shard!("nonfull_slabs.<j>.ndirty_nonhuge"),
        Key::PlainPartialDirty,
    ),
    size(
        shard!("nonfull_slabs.<j>.ndirty_huge"),
        Key::HugePartialDirty,
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let shared = Arenas::of(call.indexes[0]).hold_shared();
    let number = if !shared || key == Key::Zero {
        0
    } else if let Some(number) = counted(key) {
        number
    } else {
        inventory(|inventory| looked_up(key, inventory, call.indexes[1])) as u64
    };
    // A size or a count: of one length here.
    call.request.give(number)
}

/// What is counted as it happens.
fn counted(key: Key) -> Option<u64> {
    figure(|figures| {
        let (runs, heap) = (&figures.runs, &figures.heap);
        Some(match key {
            Key::SecBytes => runs.waiting_bytes as u64,
            Key::SecHits => runs.hits,
            Key::SecMisses => runs.misses,
            // Each object that came has left again by one of these ways, or waits.
            Key::SecDallocNoflush => runs.hits + runs.waiting + runs.drained,
            Key::SecDallocFlush => runs.displaced,
            Key::NpurgePasses => heap.dirty_purges.npurge as u64,
            Key::Npurges => heap.dirty_purges.nmadvise as u64,
            Key::Nhugifies => heap.huge.collapses as u64,
            Key::NhugifyFailures => heap.huge.refusals as u64,
            Key::Ndehugifies => heap.huge.splits as u64,
            _ => return None,
        })
    })
}

/// What a walk over all huge pages found.
fn looked_up(key: Key, inventory: &Inventory, class: usize) -> usize {
    let [plain, huge] = inventory.all();
    let partial = inventory.partial[class % inventory.partial.len()];
    let slabs = |pages: &Hugepages| pages.count;
    let active = |pages: &Hugepages| pages.active_pages;
    let dirty = |pages: &Hugepages| pages.dirty_pages;
    match key {
        Key::Npageslabs => plain.count + huge.count,
        Key::Nactive => plain.active_pages + huge.active_pages,
        Key::Ndirty => plain.dirty_pages + huge.dirty_pages,
        Key::PlainSlabs => slabs(&plain),
        Key::PlainActive => active(&plain),
        Key::PlainDirty => dirty(&plain),
        Key::HugeSlabs => slabs(&huge),
        Key::HugeActive => active(&huge),
        Key::HugeDirty => dirty(&huge),
        Key::PlainFull => slabs(&inventory.full[0]),
        Key::HugeFull => slabs(&inventory.full[1]),
        Key::PlainFullActive => active(&inventory.full[0]),
        Key::HugeFullActive => active(&inventory.full[1]),
        Key::PlainFullDirty => dirty(&inventory.full[0]),
        Key::HugeFullDirty => dirty(&inventory.full[1]),
        Key::PlainEmpty => slabs(&inventory.empty[0]),
        Key::HugeEmpty => slabs(&inventory.empty[1]),
        Key::PlainEmptyActive => active(&inventory.empty[0]),
        Key::HugeEmptyActive => active(&inventory.empty[1]),
        Key::PlainEmptyDirty => dirty(&inventory.empty[0]),
        Key::HugeEmptyDirty => dirty(&inventory.empty[1]),
        Key::PlainPartial => slabs(&partial[0]),
        Key::HugePartial => slabs(&partial[1]),
        Key::PlainPartialActive => active(&partial[0]),
        Key::HugePartialActive => active(&partial[1]),
        Key::PlainPartialDirty => dirty(&partial[0]),
        Key::HugePartialDirty => dirty(&partial[1]),
        _ => 0,
    }
}
