//! The way into every slow path: state of the thread, fork gate, counting, what is due.

use crate::control::{boot, limit, purger, upkeep};
use crate::extent::HEAP;
use crate::thread::passage::Passage;
use crate::thread::{self, CacheRef, Current, registry};

/// The operation that went slow, for counting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Alloc,
    Free,
    Other,
}

/// Runs `body` with the calling thread's cache, if it has one, inside the fork gate.
#[inline]
pub(super) fn enter<R>(operation: Operation, body: impl FnOnce(Option<CacheRef>) -> R) -> R {
    let cache = match thread::current() {
        Current::Started(cache, shadowed) => {
            if shadowed && operation != Operation::Other && registry::is_counting() {
                cache.count(operation == Operation::Alloc);
            }
            Some(cache)
        }
        Current::Unstarted => start(operation),
        Current::Gone => {
            registry::count_uncached(operation == Operation::Alloc, operation == Operation::Free);
            None
        }
    };
    let passage = Passage::enter(cache);
    let result = body(cache);
    let tick_due = cache.is_some_and(CacheRef::enter_slow) || HEAP.is_pressed();
    let wanted = tick_due && upkeep::tick(cache) && passage.is_outermost();
    let told = tick_due && limit::is_call_due() && passage.is_outermost();
    drop(passage);
    if wanted {
        purger::start();
    }
    if told {
        limit::call();
    }
    result
}

#[cold]
fn start(operation: Operation) -> Option<CacheRef> {
    let cache = boot::start_thread()?;
    // The first operation of a thread counts too.
    if operation != Operation::Other && registry::is_counting() {
        cache.count(operation == Operation::Alloc);
    }
    Some(cache)
}
