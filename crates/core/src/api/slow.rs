//! The way into every slow path: state of the thread, fork gate, what is due.

use crate::arena::misuse::{self, Misuse};
use crate::control::{boot, hardening, limit, profiling, purger, stats_print, upkeep};
use crate::extent::HEAP;
use crate::sys::process;
use crate::thread::cache::counting::News;
use crate::thread::passage::Passage;
use crate::thread::{self, CacheRef, Current, events};
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
    if let Some(cache) = cache {
        cache.heed_sampling();
    }
    let result = body(cache);
    let tick_due = cache.is_some_and(CacheRef::enter_slow) || HEAP.is_pressed();
    let due = if tick_due {
        tick(cache, &passage)
    } else {
        NOTHING
    };
    let news = cache.and_then(|cache| Some((cache, cache.news()?)));
    let news = news.filter(|_| passage.is_outermost());
    drop(passage);
    if let Some((cache, news)) = news {
        tell(cache, news);
    }
    if due != NOTHING {
        settle(due);
    }
    result
}

/// Tells what was done to `ptr`, outside the gate; returns if the program's callback does.
#[cold]
#[inline(never)]
pub(super) fn misused(misuse: Misuse, ptr: *const u8) {
    enter(|_| misuse::report(misuse, ptr));
}

/// Tells who listens what the thread has allocated and freed; `errno` stays.
#[cold]
#[inline(never)]
fn tell(cache: CacheRef, news: News) {
    type Listener = unsafe extern "C" fn(*mut c_void, u64, u64);
    type Handler = unsafe extern "C" fn(bool, u64, u64);
    let News {
        seen,
        now,
        activity,
    } = news;
    if activity {
        let [call, word] = cache.listener().map(with_exposed_provenance_mut::<c_void>);
        // SAFETY: `experimental.thread.activity_callback` was given such a function, or null, and the word to call it
        //         with.
        unsafe {
            let listener: Option<Listener> = core::mem::transmute(call);
            if let Some(listener) = listener {
                process::keep_errno(|| listener(word, now.allocated, now.deallocated));
            }
        }
    }
    events::between(seen, now, &mut |call, is_alloc| {
        // SAFETY: `experimental.hooks.thread_event` was given such a function, and not null.
        unsafe {
            let handler: Handler =
                core::mem::transmute(with_exposed_provenance_mut::<c_void>(call));
            process::keep_errno(|| handler(is_alloc, now.allocated, now.deallocated));
        }
    });
}

/// What is to be done outside the gate, as bits: nothing, start the purge thread, tell the program about its limit,
/// print statistics, write a profile.
const NOTHING: u8 = 0;
const PURGER: u8 = 1;
const LIMIT: u8 = 2;
const STATISTICS: u8 = 4;
const PROFILE: u8 = 8;

/// Does what is due now and then; answers what else is.
#[cold]
#[inline(never)]
fn tick(cache: Option<CacheRef>, passage: &Passage) -> u8 {
    hardening::watch(cache);
    let wanted = upkeep::tick(cache);
    if !passage.is_outermost() {
        return NOTHING;
    }
    let bit = |due: bool, bit: u8| if due { bit } else { NOTHING };
    bit(wanted, PURGER)
        | bit(limit::is_call_due(), LIMIT)
        | bit(stats_print::is_due(), STATISTICS)
        | bit(profiling::is_due(), PROFILE)
}

#[cold]
#[inline(never)]
fn settle(due: u8) {
    if due & PURGER != 0 {
        purger::start();
    }
    if due & LIMIT != 0 {
        limit::call();
    }
    if due & STATISTICS != 0 {
        stats_print::print_due();
    }
    if due & PROFILE != 0 {
        profiling::run_due();
    }
}
