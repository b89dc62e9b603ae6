//! The way into every slow path: state of the thread, fork gate, what is due.

use crate::control::{boot, limit, purger, stats_print, upkeep};
use crate::extent::HEAP;
use crate::thread::passage::Passage;
use crate::thread::{self, CacheRef, Current};
use core::ffi::c_void;
use core::ptr::with_exposed_provenance_mut;

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
    let news = cache.and_then(|cache| Some((cache, cache.news()?)));
    let news = news.filter(|_| passage.is_outermost());
    let printing = tick_due && passage.is_outermost() && stats_print::is_due();
    drop(passage);
    if wanted {
        purger::start();
    }
    if told {
        limit::call();
    }
    if let Some((cache, bytes)) = news {
        tell(cache, bytes);
    }
    if printing {
        stats_print::print_due();
    }
    result
}

/// Tells the thread's listener what it has allocated and freed.
#[cold]
#[inline(never)]
fn tell(cache: CacheRef, (allocated, deallocated): (u64, u64)) {
    type Listener = unsafe extern "C" fn(*mut c_void, u64, u64);
    let [call, word] = cache.listener().map(with_exposed_provenance_mut::<c_void>);
    // SAFETY: `experimental.thread.activity_callback` was given such a function, or null, and the word to call it with.
    unsafe {
        let listener: Option<Listener> = core::mem::transmute(call);
        if let Some(listener) = listener {
            listener(word, allocated, deallocated);
        }
    }
}
