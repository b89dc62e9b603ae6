//! Limit: what is done when memory comes near a limit, and how the limits are set. What is counted against them, and
//! where the hard one refuses, is `meta::limit`.
//!
//! ```text
//! soft   pages are taken above it ──> next tick: give back, at most every [`PAUSE_NS`] and before a call
//!          still above, and was below 15/16 since the last call? ──> callback due
//!          the slow path that found it is over ──> call(used, limit)
//! hard   a request is refused ──> give back as much as it needs ──> the request once more ──> out of memory
//! ```
//! T1  What is given back goes in this order, until it is enough: idle pages; what other threads left, the depot and the
//!     run cache; the calling thread's cache, and records of our own. What other living threads have cached stays.
//! T2  The callback is called by whichever thread allocates, when its request has been served: no lock of ours held, the
//!     fork gate passed, so that it may allocate, free, fork and set limits. One call at a time; none from within it.
//! T3  There is one call for each crossing: the next one takes a fall below 15/16 of the limit first.
//! T4  `errno` stays as the program left it.
//! T5  A forked child has its parent's limits, callback and count, which is true of it, as it has a copy of all pages.

use super::upkeep;
use crate::arena::{hardened, magazine, manual};
use crate::ds::text::Line;
use crate::extent::HEAP;
use crate::meta::{self, limit};
use crate::options::Options;
use crate::sys::{clock, futex, process, thread as system};
use crate::thread::{CacheRef, Inside};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Time from one giving back above the soft limit to the next.
const PAUSE_NS: u64 = 100_000_000;
/// The share of the soft limit below which memory must fall before the callback is called again.
const REARM_SHARE: usize = 16;
/// What a request may need beside its own bytes: a slab instead of one object, and records.
const SLACK: usize = 128 << 10;
/// How long a refused request waits for pages that another thread is giving back, and how often it looks.
const WAIT_NS: u64 = 200_000;
const WAITS: u32 = 250;

static NEXT: AtomicU64 = AtomicU64::new(0);
/// One of the two, or none.
static CALLBACK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static C_CALLBACK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
/// The callback is to be called.
#[unsafe(link_section = ".data.jemoxide_start")]
static DUE: AtomicBool = AtomicBool::new(false);
/// The thread that calls it; 0: none does.
static CALLER: AtomicUsize = AtomicUsize::new(0);

/// What is told of a soft limit that was passed: bytes used, and the limit.
pub type SoftLimitCallback = fn(used: usize, limit: usize);
/// The same for C.
type CSoftLimitCallback = extern "C" fn(used: usize, limit: usize);

/// Sets what the options say; `complain` gets a line for what cannot be as they say, and the answer is whether it did.
/// Called once, by the boot.
pub(super) fn prepare(options: &Options, complain: impl Fn(&[u8])) -> bool {
    let (soft, hard) = (options.heap_limit_soft, options.heap_limit_hard);
    let mut complained = false;
    if soft | hard == 0 {
        return complained;
    }
    for (name, bytes) in [("heap_limit_soft", soft), ("heap_limit_hard", hard)] {
        if (1..limit::FLOOR).contains(&bytes) {
            let mut line = Line::new();
            line.text("<jemoxide>: ")
                .text(name)
                .text(":")
                .decimal(bytes);
            line.text(" is less than the allocator works in; ");
            line.decimal(limit::FLOOR).text(" is in force\n");
            complain(line.as_bytes());
            complained = true;
        }
    }
    if hard != 0 && soft >= hard {
        let mut line = Line::new();
        line.text("<jemoxide>: heap_limit_soft is not below heap_limit_hard: it has no effect\n");
        complain(line.as_bytes());
        complained = true;
    }
    limit::set_hard(hard);
    limit::set_soft(soft);
    complained
}

/// Sees to it that little is used above the soft limit. Called inside a passage, no lock held.
#[inline]
pub(super) fn heed(own: Option<CacheRef>) {
    if limit::is_crossed() {
        heed_crossed(own);
    }
}

#[cold]
fn heed_crossed(own: Option<CacheRef>) {
    let soft = limit::soft();
    let (now, next) = (clock::now_ns(), NEXT.load(Ordering::Relaxed));
    if limit::is_over_soft() {
        let won = now >= next
            && NEXT
                .compare_exchange(next, now + PAUSE_NS, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        // Before each call too: what idles is no reason for one.
        if won || !limit::is_watching() {
            limit::forget_crossed();
            // Well below, so that what comes next is a crossing again.
            shrink(rearmed_below(soft), own);
        }
    } else {
        limit::forget_crossed();
    }
    if limit::used() > soft && !limit::is_watching() {
        limit::watch_below(rearmed_below(soft));
        DUE.store(true, Ordering::Relaxed);
    }
}

/// Bytes below which memory must fall before the callback is called again.
const fn rearmed_below(soft: usize) -> usize {
    soft - soft / REARM_SHARE
}

/// Gives back until no more than `goal` bytes are used (T1), or nothing is idle. Called inside a passage, no lock held.
fn shrink(goal: usize, own: Option<CacheRef>) {
    let wanted = || limit::used() > goal;
    HEAP.purge_while(wanted);
    if wanted() {
        upkeep::relieve();
        HEAP.purge_while(wanted);
    }
    if wanted() {
        if let Some(cache) = own {
            cache.flush();
        }
        magazine::release_empties();
        HEAP.purge_while(wanted);
    }
    if wanted() {
        let present = own.is_some_and(|cache| !cache.is_away());
        manual::purge_all(present, Inside(own));
    }
    if wanted() {
        hardened::relieve();
        HEAP.purge_while(wanted);
    }
    if wanted() {
        meta::purge();
    }
}

/// Gets back what is idle, so that a refused request for `bytes` can be tried again. `false`: that is of no use. Called
/// inside a passage, no lock held.
#[cold]
pub(crate) fn relieve(bytes: usize, own: Option<CacheRef>) -> bool {
    let needed = bytes.saturating_add(SLACK);
    if limit::has_room(needed) {
        upkeep::relieve();
        return true;
    }
    let hard = limit::hard();
    if bytes > hard {
        return false;
    }
    shrink(hard.saturating_sub(needed), own);
    for _ in 0..WAITS {
        if limit::has_room(needed) || !HEAP.is_purging() {
            break;
        }
        futex::pause(WAIT_NS);
    }
    true
}

/// Whether the callback is to be called.
#[inline]
pub(crate) fn is_call_due() -> bool {
    DUE.load(Ordering::Relaxed)
}

/// Calls the callback, if it is due still and not being called (T2). Called outside any passage, no lock held.
#[cold]
pub(crate) fn call() {
    let own = system::identity();
    let free = CALLER.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed);
    if free.is_err() {
        return;
    }
    if DUE.swap(false, Ordering::Relaxed) {
        let (used, soft) = (limit::used(), limit::soft());
        if used > soft {
            process::keep_errno(|| call_with(used, soft));
        } else {
            // What idled has gone meanwhile.
            limit::unwatch();
        }
    }
    CALLER.store(0, Ordering::Relaxed);
}

fn call_with(used: usize, limit: usize) {
    // Acquire: pairs with the Release in `set_callback`, for what the callback refers to.
    let (rust, c) = (
        CALLBACK.load(Ordering::Acquire),
        C_CALLBACK.load(Ordering::Acquire),
    );
    if !rust.is_null() {
        call_rust(rust, used, limit);
    } else if !c.is_null() {
        // SAFETY: only functions of this type were stored there.
        let callback = unsafe { transmute::<*mut (), CSoftLimitCallback>(c) };
        callback(used, limit);
    }
}

/// A panic must not pass through an allocation: at the end of a C function it ends the process, with its message.
extern "C" fn call_rust(callback: *mut (), used: usize, limit: usize) {
    // SAFETY: only functions of this type were stored there.
    let callback = unsafe { transmute::<*mut (), SoftLimitCallback>(callback) };
    callback(used, limit);
}

/// Registers what is called above the soft limit; `None`: nothing. Memory that is above it already is a crossing.
pub(crate) fn set_callback(callback: Option<SoftLimitCallback>) {
    let rust = callback.map_or(ptr::null_mut(), |callback| callback as *mut ());
    register(rust, ptr::null_mut());
}

/// As [`set_callback`], for C: the address of a function of type `void (*)(size_t used, size_t limit)`, 0 for none.
pub(super) fn set_c_callback(callback: usize) {
    register(
        ptr::null_mut(),
        ptr::with_exposed_provenance_mut::<()>(callback),
    );
}

/// The address of the callback that C registered; 0: none.
pub(super) fn c_callback() -> usize {
    C_CALLBACK.load(Ordering::Acquire).expose_provenance()
}

fn register(rust: *mut (), c: *mut ()) {
    // Release: pairs with the Acquire in `call_with`.
    CALLBACK.store(rust, Ordering::Release);
    C_CALLBACK.store(c, Ordering::Release);
    set_soft(limit_or_none(limit::soft()));
}

/// Bytes of a limit, 0 where there is none.
pub(crate) const fn limit_or_none(limit: usize) -> usize {
    if limit == limit::NONE { 0 } else { limit }
}

/// Sets the hard limit; 0: none. Where more is used, idle memory goes at once. Called inside a passage, no lock held.
pub(crate) fn set_hard(bytes: usize, own: Option<CacheRef>) {
    limit::set_hard(bytes);
    if !limit::has_room(0) {
        shrink(limit::hard(), own);
    }
}

/// Sets the soft limit; 0: none. Memory that is above it already is a crossing: a tick follows at once.
pub(crate) fn set_soft(bytes: usize) {
    limit::set_soft(bytes);
    if limit::is_crossed() {
        NEXT.store(0, Ordering::Relaxed);
        HEAP.press();
    }
}

/// In a forked child (T5): a call that another thread was making is nobody's. The gate is closed.
pub(super) fn forget_caller() {
    if CALLER.load(Ordering::Relaxed) != system::identity() {
        CALLER.store(0, Ordering::Relaxed);
    }
}
