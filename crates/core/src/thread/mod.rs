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
pub(crate) mod explicit;
mod park;
pub(crate) mod passage;
pub(crate) mod registry;

pub(crate) use binding::Inside;
pub(crate) use bins::{pop, push};
pub(crate) use cache::CacheRef;

use crate::sys::thread as system;

/// What the calling thread's word says.
#[derive(Clone, Copy)]
pub(crate) enum Current {
    /// The thread has not allocated yet.
    Unstarted,
    /// The thread is past its exit function.
    Gone,
    /// The thread has a cache; with `true` its word points at the shadow bins.
    Started(CacheRef, bool),
}

impl Current {
    /// The thread's cache, if it has one.
    pub(crate) fn cache(self) -> Option<CacheRef> {
        match self {
            Self::Started(cache, _) => Some(cache),
            Self::Unstarted | Self::Gone => None,
        }
    }
}

/// [`pop`] for classes above [`crate::size::LOOKUP_MAX`]: the purger is told (see `park`).
#[inline]
pub(crate) fn pop_large(byte: u8) -> Option<*mut u8> {
    match current() {
        Current::Started(cache, false) => cache.announced(|| pop(byte)),
        _ => None,
    }
}

/// The calling thread's state.
#[inline]
pub(crate) fn current() -> Current {
    let word = system::word();
    match bins::marker(word) {
        bins::LIVE => Current::Started(CacheRef::from_live(word), false),
        bins::SHADOW => Current::Started(CacheRef::from_shadow(word), true),
        _ if core::ptr::eq(word, (&raw const system::GONE).cast()) => Current::Gone,
        _ => Current::Unstarted,
    }
}
