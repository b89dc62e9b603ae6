//! Passages: every outermost slow path goes through the fork gate.

use super::CacheRef;
use crate::sync::gate::Gate;
use crate::sys::thread as system;
use core::sync::atomic::{AtomicUsize, Ordering};

static GATE: Gate = Gate::new();
/// Identity of the thread that has closed the gate, 0 while it is open.
static CLOSER: AtomicUsize = AtomicUsize::new(0);

/// One stay inside the gate; ends when dropped.
pub(crate) struct Passage {
    cache: Option<CacheRef>,
    shard: usize,
    counted: bool,
}

fn is_closer() -> bool {
    CLOSER.load(Ordering::Relaxed) == system::identity()
}

fn shard_of(cache: Option<CacheRef>) -> usize {
    // Threads' records lie units apart; control blocks pages apart.
    cache.map_or_else(
        || system::identity() >> 12,
        |cache| cache.number() as usize >> 5,
    )
}

impl Passage {
    /// Enters, or waits while another thread forks. A nested entry is not counted.
    #[inline]
    pub(crate) fn enter(mut cache: Option<CacheRef>) -> Self {
        let shard = shard_of(cache);
        let nested = cache.is_some_and(|cache| cache.get().inside);
        let counted = !nested && GATE.enter(shard, is_closer);
        if counted {
            if let Some(cache) = &mut cache {
                cache.get_mut().inside = true;
            }
        }
        Self {
            cache,
            shard,
            counted,
        }
    }
}

impl Drop for Passage {
    #[inline]
    fn drop(&mut self) {
        if self.counted {
            if let Some(cache) = &mut self.cache {
                cache.get_mut().inside = false;
            }
            GATE.leave(self.shard);
        }
    }
}

fn own_shard(cache: Option<CacheRef>) -> Option<usize> {
    cache
        .filter(|cache| cache.get().inside)
        .map(|cache| shard_of(Some(cache)))
}

/// Closes the gate before a fork; the caller may pass all the same.
pub(crate) fn close(cache: Option<CacheRef>) {
    GATE.close(own_shard(cache));
    CLOSER.store(system::identity(), Ordering::Relaxed);
}

/// Opens the gate after a fork, in the parent.
pub(crate) fn open() {
    CLOSER.store(0, Ordering::Relaxed);
    GATE.open();
}

/// Opens the gate after a fork, in the child.
pub(crate) fn open_in_child(cache: Option<CacheRef>) {
    CLOSER.store(0, Ordering::Relaxed);
    GATE.open_in_child(own_shard(cache));
}
