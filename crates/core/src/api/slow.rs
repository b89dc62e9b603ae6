//! The way into every slow path: state of the thread, fork gate, what is due.

use crate::control::{boot, limit, purger, upkeep};
use crate::extent::HEAP;
use crate::thread::passage::Passage;
use crate::thread::{self, CacheRef, Current};

/// Runs `body` with the calling thread's cache, if it has one, inside the fork gate.
#[inline]
pub(super) fn enter<R>(body: impl FnOnce(Option<CacheRef>) -> R) -> R {
    let cache = match thread::current() {
        Current::Started(cache) => Some(cache),
        Current::Unstarted => boot::start_thread(),
        Current::Gone => None,
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
