//! Threads: what each of them owns, from its first allocation to after its end.
//!
//! ```text
//! thread word ──> bins of a cache
//!   UNSTARTED  before the first allocation          every operation goes slow
//!   live       the cache's own bins                 the fast paths work
//!   shadow     bins that look empty and full        every operation goes slow, on purpose
//!   GONE       after the thread's exit function     every operation goes slow, without a cache
//! ```

mod binding;
pub(crate) mod bins;
pub(crate) mod cache;
pub(crate) mod events;
pub(crate) mod explicit;
mod park;
pub(crate) mod passage;
pub(crate) mod registry;

pub(crate) use binding::{Inside, pop as pop_bound, push as push_bound};
pub(crate) use bins::{decline, pop, push};
pub(crate) use cache::CacheRef;

use crate::size::class_of;
use crate::sys::thread as system;
use cache::counting::Totals;
use core::hint::assert_unchecked;

/// What the calling thread's word says.
#[derive(Clone, Copy)]
pub(crate) enum Current {
    /// The thread has not allocated yet.
    Unstarted,
    /// The thread is past its exit function.
    Gone,
    /// The thread has a cache.
    Started(CacheRef),
}

impl Current {
    /// The thread's cache, if it has one.
    pub(crate) fn cache(self) -> Option<CacheRef> {
        match self {
            Self::Started(cache) => Some(cache),
            Self::Unstarted | Self::Gone => None,
        }
    }
}

/// [`pop`] for classes above [`crate::size::LOOKUP_MAX`]: the purger is told (see `park`).
#[inline]
pub(crate) fn pop_large(byte: u8) -> Option<*mut u8> {
    live()?.announced(|| pop(byte))
}

/// The calling thread's cache, if its word points at the live bins.
#[inline]
pub(crate) fn live() -> Option<CacheRef> {
    let word = system::word();
    // SAFETY: the word always points at an array of bins.
    unsafe { assert_unchecked(!word.is_null()) };
    (bins::marker(word) & bins::LIVE != 0).then(|| CacheRef::from_live(word))
}

/// As [`live`], of a thread that nobody watches: its allocations are not sampled, and nobody is told of them.
#[inline]
pub(crate) fn live_unwatched() -> Option<CacheRef> {
    let word = system::word();
    // SAFETY: the word always points at an array of bins.
    unsafe { assert_unchecked(!word.is_null()) };
    let is_unwatched = bins::marker(word) == bins::LIVE && !events::is_watched();
    is_unwatched.then(|| CacheRef::from_live(word))
}

/// The calling thread's state.
#[inline]
pub(crate) fn current() -> Current {
    let word = system::word();
    match bins::marker(word) {
        bins::LIVE | bins::WATCHED => Current::Started(CacheRef::from_live(word)),
        bins::SHADOW => Current::Started(CacheRef::from_shadow(word)),
        _ if word == system::gone() => Current::Gone,
        _ => Current::Unstarted,
    }
}

/// Counts an object of `bytes`, a usable size, that the calling thread with that cache allocated past its bins. One of no
/// bytes is none to count.
pub(crate) fn note_alloc(cache: Option<CacheRef>, bytes: usize) {
    note(cache, bytes, Totals::POPPED);
}

/// As [`note_alloc`], of one that it freed.
pub(crate) fn note_dealloc(cache: Option<CacheRef>, bytes: usize) {
    note(cache, bytes, Totals::PUSHED);
}

fn note(cache: Option<CacheRef>, bytes: usize, passed: Totals) {
    if bytes == 0 {
        return;
    }
    let class = class_of(bytes).filter(|class| class.is_cached());
    match (cache, class) {
        (Some(cache), Some(class)) => {
            cache.note(class, passed);
            cache.arm(class);
        }
        (Some(cache), None) if passed == Totals::POPPED => cache.note_large_alloc(bytes),
        (Some(cache), None) => cache.note_large_dealloc(bytes),
        (None, Some(class)) => registry::note_uncached(class, passed),
        (None, None) => registry::note_uncached_large(passed),
    }
}
