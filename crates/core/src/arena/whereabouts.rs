//! Whereabouts: which object an address belongs to, for messages.
//!
//! ```text
//! double free: ...: 0x7f1c40012080, class 64 of arena 1 (...)
//! invalid pointer: ...: 0x7f1c400120a0, 32 bytes into class 64 of arena 1 (...)
//! double free: ...: 0x7f1c40400000, large, 262144 bytes of arena 0 (...)
//! ```
//! Read without a lock from what stands still while a slab or an object lives; of what other threads make and unmake at
//! the same time it may tell what was there before.
//! Units: bytes.

use super::{ArenaIndex, bin, empty, large, manual, sampled};
use crate::ds::text::Line;
use crate::extent::page_map;
use crate::size::SMALL_MAX;

/// What is known of the object, live or free, that an address lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whereabouts {
    /// Bytes of the object: its class, or its pages.
    bytes: usize,
    /// Bytes from its start to the address.
    inside: usize,
    /// The index of its arena.
    arena: Option<usize>,
}

/// The object that `ptr` lies in. `None`: none that could be told.
pub(super) fn of(ptr: *const u8) -> Option<Whereabouts> {
    if let Some((class, inside, arena)) = bin::whereabouts(ptr) {
        return Some(Whereabouts {
            bytes: class.size(),
            inside,
            arena: Some(arena.index()),
        });
    }
    if empty::inspect(ptr).is_some() {
        return Some(Whereabouts::EMPTY);
    }
    let sampled = || Some(sampled::inspect(page_map::record(ptr)?, ptr).ok()?.size());
    let manual = || manual::inspect(ptr)?.ok();
    let arena = sampled::arena_of(ptr).or_else(|| large::arena_of(ptr));
    Some(Whereabouts {
        bytes: large::extent_bytes(ptr).or_else(sampled).or_else(manual)?,
        inside: 0,
        arena: arena
            .map(ArenaIndex::index)
            .or_else(|| manual::arena_of(ptr)),
    })
}

impl Whereabouts {
    /// In the place of an object of no bytes.
    const EMPTY: Self = Self {
        bytes: 0,
        inside: 0,
        arena: None,
    };

    /// Appends it.
    pub(super) fn write(&self, line: &mut Line) {
        line.text(", ");
        if self.bytes == 0 {
            line.text("an object of no bytes");
            return;
        }
        if self.inside > 0 {
            line.decimal(self.inside).text(" bytes into ");
        }
        if self.bytes > SMALL_MAX {
            line.text("large, ").decimal(self.bytes).text(" bytes");
        } else {
            line.text("class ").decimal(self.bytes);
        }
        if let Some(arena) = self.arena {
            line.text(" of arena ").decimal(arena);
        }
    }
}
