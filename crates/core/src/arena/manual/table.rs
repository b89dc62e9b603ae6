//! Table: the arenas made by request, by index.
//!
//! ```text
//! index   0 .. automatic | made by request, in the order of their making; an index that is free again is used first
//! ```
//! T1  With the first arena made the number of automatic ones stands still.
//! T2  The last index that became free is the first to be used again.
//! T3  A record is named here for good once it was made.
//! Lock: table, rank 1.

use super::arena::ArenaRef;
use crate::arena::{self, hardened};
use crate::ds::table::Table;
use crate::sync::Mutex;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Arenas there may be, automatic ones among them.
pub(crate) const ARENAS_LIMIT: usize = 4095;

const _: () = assert!(ARENAS_LIMIT <= hardened::ARENAS);

struct Indices {
    /// Number of the record of the first free index; 0: there is none.
    free: u32,
}

static INDICES: Mutex<Indices, 1> = Mutex::new(Indices { free: 0 });
static RECORDS: Table<AtomicU32, ARENAS_LIMIT> =
    Table::new([const { AtomicU32::new(0) }; ARENAS_LIMIT]);
/// One past the highest index ever used; 0: none was made by request.
#[unsafe(link_section = ".data.jemoxide_start")]
static END: AtomicUsize = AtomicUsize::new(0);

/// One past the highest index of all arenas.
pub(crate) fn end() -> usize {
    END.load(Ordering::Relaxed).max(arena::automatic())
}

/// Whether any arena was ever made.
#[inline]
pub(crate) fn is_used() -> bool {
    END.load(Ordering::Relaxed) != 0
}

/// The arena with that index, if it was made by request and is still there.
pub(crate) fn get(index: usize) -> Option<ArenaRef> {
    held(index).filter(|arena| arena.is_alive())
}

/// The arena with that index for who keeps it from ending, a thread bound to it: somebody may be trying to end it just now.
pub(crate) fn held(index: usize) -> Option<ArenaRef> {
    // Acquire: pairs with the Release in `take`.
    let number = RECORDS.get(index)?.load(Ordering::Acquire);
    ArenaRef::from_number(number)
}

/// A record for a new arena. `None`: there are as many as there may be, or memory is out.
pub(super) fn take() -> Option<ArenaRef> {
    let mut indices = INDICES.lock();
    if let Some(arena) = ArenaRef::from_number(indices.free) {
        indices.free = arena.next_free.get();
        return Some(arena);
    }
    if !is_used() {
        arena::freeze();
    }
    let index = end();
    let slot = RECORDS.get(index)?;
    let (arena, record) = ArenaRef::create(index as u32)?;
    // Release: pairs with the Acquire in `get`.
    slot.store(record.number(), Ordering::Release);
    END.store(index + 1, Ordering::Relaxed);
    Some(arena)
}

/// Gives an index back, whose arena has ended.
pub(super) fn give(arena: ArenaRef) {
    let mut indices = INDICES.lock();
    if let Some(slot) = RECORDS.get(arena.index()) {
        arena.next_free.set(indices.free);
        indices.free = slot.load(Ordering::Relaxed);
    }
}

/// All arenas made by request that are there, from index `from` on.
pub(crate) fn all_from(from: usize) -> impl Iterator<Item = ArenaRef> {
    let end = END.load(Ordering::Relaxed);
    (from.max(arena::automatic())..end).filter_map(get)
}

/// All arenas made by request that are there.
pub(crate) fn all() -> impl Iterator<Item = ArenaRef> {
    all_from(0)
}
