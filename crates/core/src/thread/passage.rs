//! Passages: every outermost slow path goes through the fork gate.

use super::CacheRef;
use crate::arena::misuse;
use crate::sync::gate::Gate;
use crate::sys::thread as system;
use core::sync::atomic::{AtomicUsize, Ordering};

#[unsafe(link_section = ".data.jemoxide_start")]
static GATE: Gate = Gate::new();
/// Identity of the thread that has closed the gate, 0 while it is open.
#[unsafe(link_section = ".data.jemoxide_start")]
static CLOSER: AtomicUsize = AtomicUsize::new(0);

/// One stay inside the gate; ends when dropped.
pub(crate) struct Passage {
    /// Whose thread has come in by it.
    cache: Option<CacheRef>,
    shard: usize,
    counted: bool,
}

/// Whether the calling thread has closed the gate.
pub(crate) fn is_closer() -> bool {
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
    pub(crate) fn enter(cache: Option<CacheRef>) -> Self {
        let shard = shard_of(cache);
        let nested = cache.is_some_and(CacheRef::is_inside);
        let counted = !nested && GATE.enter(shard, is_closer);
        let cache = cache.filter(|_| !nested);
        if let Some(cache) = cache {
            cache.occupy();
        }
        Self {
            cache,
            shard,
            counted,
        }
    }

    /// Whether the thread is outside the allocator once this ends.
    pub(crate) fn is_outermost(&self) -> bool {
        self.counted
    }
}

impl Drop for Passage {
    #[inline]
    fn drop(&mut self) {
        if let Some(cache) = self.cache {
            cache.vacate();
        }
        if self.counted {
            GATE.leave(self.shard);
            if misuse::is_any() {
                tell_misuse(self.shard);
            }
        }
    }
}

/// Tells what the thread came upon: outside the gate, one fault after the other.
#[cold]
#[inline(never)]
fn tell_misuse(shard: usize) {
    loop {
        let counted = GATE.enter(shard, is_closer);
        let next = misuse::next();
        if counted {
            GATE.leave(shard);
        }
        let Some(fault) = next else { return };
        fault.deliver();
    }
}

/// Runs the application's code from within a passage: outside the gate, so that it may wait for whom it likes, a forking
/// thread among them. No lock is held.
pub(super) fn leave<R>(cache: Option<CacheRef>, body: impl FnOnce() -> R) -> R {
    let shard = shard_of(cache);
    // A thread that has closed the gate, and passes all the same, was not counted.
    let counted = !is_closer();
    if let Some(cache) = cache {
        cache.vacate();
    }
    if counted {
        GATE.leave(shard);
    }
    let result = body();
    if counted {
        GATE.enter(shard, is_closer);
    }
    if let Some(cache) = cache {
        cache.occupy();
    }
    result
}

fn own_shard(cache: Option<CacheRef>) -> Option<usize> {
    cache
        .filter(|cache| cache.is_inside())
        .map(|cache| shard_of(Some(cache)))
}

/// Closes the gate before a fork; the caller may pass all the same. Each of these three does its work once a fork, as a
/// child that was forked while the handlers were registered may have registered them twice.
pub(crate) fn close(cache: Option<CacheRef>) {
    if is_closer() {
        return;
    }
    GATE.close(own_shard(cache));
    CLOSER.store(system::identity(), Ordering::Relaxed);
}

/// Opens the gate after a fork, in the parent.
pub(crate) fn open() {
    if !is_closer() {
        return;
    }
    CLOSER.store(0, Ordering::Relaxed);
    GATE.open();
}

/// Opens the gate after a fork, in the child.
pub(crate) fn open_in_child(cache: Option<CacheRef>) {
    if !is_closer() {
        return;
    }
    CLOSER.store(0, Ordering::Relaxed);
    GATE.open_in_child(own_shard(cache));
}
