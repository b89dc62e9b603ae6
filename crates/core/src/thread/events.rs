//! Events: the application's functions that are told each time a thread has allocated, or freed, so many bytes more.
//!
//! ```text
//! bytes of a thread   0 ....... interval ....... 2 x interval ....... 3 x interval
//!                         seen ──────────────────────────────> now        one call, however many were crossed
//! ```
//! E1  A handler stays once it is registered: threads look at the table without a lock, behind its count.
//! E2  A thread keeps what it had seen, and no count for each handler: an event is a multiple of the interval between that
//!     and now. So a thread pays two words, whoever listens.
//! E3  Threads look on their slow paths: an event comes late by what a magazine holds. What the run cache or an explicit cache
//!     serves goes that way too, from the first time on that anybody asked.
//! Units: bytes, by usable size, as `thread.allocated` counts them. Lock: events, rank 0, for who registers.
//! Source: mallctl `experimental.hooks.thread_event`.

use crate::sync::Mutex;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Handlers there may be.
pub(crate) const HANDLERS_MAX: usize = 4;

/// Bytes that a thread has allocated and freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) allocated: u64,
    pub(crate) deallocated: u64,
}

/// Who is told, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handler {
    /// Address of the function.
    pub(crate) call: usize,
    /// Bytes from one event to the next; not 0.
    pub(crate) interval: u64,
    /// Frees are no events.
    pub(crate) alloc_only: bool,
}

struct Place {
    call: AtomicUsize,
    interval: AtomicU64,
    alloc_only: AtomicUsize,
}

static PLACES: [Place; HANDLERS_MAX] = [const {
    Place {
        call: AtomicUsize::new(0),
        interval: AtomicU64::new(0),
        alloc_only: AtomicUsize::new(0),
    }
}; HANDLERS_MAX];
/// Handlers that are registered.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Somebody once asked to be told, or for a peak.
#[unsafe(link_section = ".data.jemoxide_start")]
static WATCHED: AtomicBool = AtomicBool::new(false);
static REGISTERING: Mutex<(), 0> = Mutex::new(());

/// Has `handler` told from now on; once, however often it is registered. `false`: there are as many as there may be.
pub(crate) fn register(handler: Handler) -> bool {
    let registering = REGISTERING.lock();
    if all().any(|other| other == handler) {
        return true;
    }
    let count = COUNT.load(Ordering::Relaxed);
    let Some(place) = PLACES.get(count) else {
        return false;
    };
    place.call.store(handler.call, Ordering::Relaxed);
    place.interval.store(handler.interval, Ordering::Relaxed);
    let alloc_only = usize::from(handler.alloc_only);
    place.alloc_only.store(alloc_only, Ordering::Relaxed);
    // Release: pairs with the Acquire in `all` (E1).
    COUNT.store(count + 1, Ordering::Release);
    watch();
    drop(registering);
    true
}

/// Has every thread take the slow path where it could pass by unseen for long (E3), from now on.
pub(crate) fn watch() {
    if !is_watched() {
        WATCHED.store(true, Ordering::Relaxed);
    }
}

/// Whether anybody is told of what threads do, or looks at their peaks.
#[inline]
pub(crate) fn is_watched() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

fn all() -> impl Iterator<Item = Handler> {
    // Acquire: pairs with the Release in `register`.
    let count = COUNT.load(Ordering::Acquire);
    PLACES.iter().take(count).map(|place| Handler {
        call: place.call.load(Ordering::Relaxed),
        interval: place.interval.load(Ordering::Relaxed),
        alloc_only: place.alloc_only.load(Ordering::Relaxed) != 0,
    })
}

impl Handler {
    /// Whether a thread that goes from one to the other crosses an event of this handler's by what it allocates, and by
    /// what it frees (E2).
    fn crosses(self, seen: Bytes, now: Bytes) -> [bool; 2] {
        let crosses = |seen: u64, now: u64| {
            let steps = |bytes: u64| bytes.checked_div(self.interval);
            steps(seen) != steps(now)
        };
        [
            crosses(seen.allocated, now.allocated),
            !self.alloc_only && crosses(seen.deallocated, now.deallocated),
        ]
    }
}

/// Calls `tell` for each event between `seen` and `now`: with the address of the function, and whether it is about
/// allocating.
pub(crate) fn between(seen: Bytes, now: Bytes, tell: &mut dyn FnMut(usize, bool)) {
    for handler in all() {
        let [by_alloc, by_dealloc] = handler.crosses(seen, now);
        if by_alloc {
            tell(handler.call, true);
        }
        if by_dealloc {
            tell(handler.call, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_multiples_between() {
        // The naive twin takes every byte by itself.
        let handler = |interval, alloc_only| Handler {
            call: 1,
            interval,
            alloc_only,
        };
        let mut seed = 5u64;
        let mut random = |below: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for _ in 0..3000 {
            let handler = handler(1 + random(50), random(2) == 0);
            let seen = Bytes {
                allocated: random(100),
                deallocated: random(100),
            };
            let now = Bytes {
                allocated: seen.allocated + random(30),
                deallocated: seen.deallocated + random(30),
            };
            let any = |from: u64, to: u64| (from + 1..=to).any(|byte| byte % handler.interval == 0);
            let expected = [
                any(seen.allocated, now.allocated),
                !handler.alloc_only && any(seen.deallocated, now.deallocated),
            ];
            assert_eq!(
                handler.crosses(seen, now),
                expected,
                "{handler:?} {seen:?} {now:?}"
            );
        }
    }
}
