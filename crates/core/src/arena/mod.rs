//! Arenas: slabs, large objects, and the depot in front of them.
//!
//! ```text
//! thread caches ── full magazines ──> depot (a shard's stacks, lock-free)
//!       ^                               │ above its bounds, or aged: deep flush
//!       └──── fill ──── bins (a lock each, slabs with bitmaps) <┘
//!                          │ a slab empties, a slab is needed
//!                          v
//!                      page heap <── large objects (an extent each; run cache in front)
//! ```
//! Few arenas and shards: one for every eight processors that we may use.

pub(crate) mod bin;
pub(crate) mod by_cpu;
mod cells;
pub(crate) mod depot;
pub(crate) mod empty;
pub(crate) mod explicit;
pub(crate) mod hardened;
pub(crate) mod hollow;
pub(crate) mod large;
pub(crate) mod magazine;
pub(crate) mod manual;
pub(crate) mod misuse;
pub(crate) mod record;
pub(crate) mod run_cache;
pub(crate) mod sampled;
mod slab;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;
mod whereabouts;

use crate::extent::HEAP;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Automatic arenas at most; as many depot shards.
pub(crate) const ARENAS_MAX: usize = 32;

/// Arenas that threads are spread over; 0 until the boot, which means one.
#[unsafe(link_section = ".data.jemoxide_start")]
static AUTOMATIC: AtomicUsize = AtomicUsize::new(0);
/// One past the highest that a thread has.
#[unsafe(link_section = ".data.jemoxide_start")]
static USED: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Automatic arenas there will ever be; 0: that is open.
#[unsafe(link_section = ".data.jemoxide_start")]
static FROZEN: AtomicUsize = AtomicUsize::new(0);

/// Index of an automatic arena and of its depot shard; below [`ARENAS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct ArenaIndex(u8);

impl ArenaIndex {
    /// The first arena, which serves threads past their end.
    pub(crate) const FIRST: Self = Self(0);

    /// The arena with that number, wrapped into the range.
    pub(crate) fn new(number: usize) -> Self {
        Self((number % ARENAS_MAX) as u8)
    }

    /// Position in tables.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize % ARENAS_MAX
    }
}

/// Sets how many automatic arenas new threads are spread over; 1 to [`ARENAS_MAX`]. Who has another one keeps it.
pub(crate) fn set_automatic(count: usize) {
    let frozen = FROZEN.load(Ordering::Relaxed);
    let most = if frozen == 0 { ARENAS_MAX } else { frozen };
    AUTOMATIC.store(count.clamp(1, most), Ordering::Relaxed);
}

/// Lets there be no more automatic arenas than there are now: the indexes from there on are for those made by request.
fn freeze() {
    FROZEN.store(automatic(), Ordering::Relaxed);
}

/// How many automatic arenas there are.
pub(crate) fn automatic() -> usize {
    let used = USED.load(Ordering::Relaxed);
    AUTOMATIC.load(Ordering::Relaxed).max(used).max(1)
}

/// The arena for a new thread: round-robin.
pub(crate) fn assign() -> ArenaIndex {
    let count = AUTOMATIC.load(Ordering::Relaxed).max(1);
    let arena = ArenaIndex::new(NEXT.fetch_add(1, Ordering::Relaxed) % count);
    USED.fetch_max(arena.index() + 1, Ordering::Relaxed);
    arena
}

/// The arena that the memory at `ptr` belongs to, which need not be a live object. `None`: none of ours.
///
/// Idle pages, and those of a large object but its first, have no arena but the first one.
pub(crate) fn arena_of(ptr: *const u8) -> Option<ArenaIndex> {
    bin::arena_of(ptr)
        .or_else(|| sampled::arena_of(ptr))
        .or_else(|| large::arena_of(ptr))
        .or_else(|| HEAP.owns(ptr).then_some(ArenaIndex::FIRST))
}
