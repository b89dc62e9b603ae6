//! Watched: memcheck is told of the objects, where it looks.
//!
//! ```text
//! slab, pages taken   forbidden ──alloc──> object: may be touched ──free──> forbidden      pages given back: as any memory
//! ```
//! D1  Asked once, by the boot; a process that nobody watches pays one test of a flag, here alone.
//! D2  What we do ourselves to memory that is forbidden (clearing, canaries, looking at what is free) is not told as errors.
//! D3  A misuse that memcheck does not see first is told by our own message, as without it.

use crate::sys::memcheck;
use core::sync::atomic::{AtomicBool, Ordering};

static WATCHED: AtomicBool = AtomicBool::new(false);

/// Asks whether memcheck looks (D1).
pub(super) fn prepare() {
    if memcheck::is_watching() {
        WATCHED.store(true, Ordering::Relaxed);
    }
}

#[inline]
fn is_watched() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

/// Runs `body`, whose accesses are the allocator's (D2).
#[inline(always)]
pub(super) fn quietly<R>(body: impl FnOnce() -> R) -> R {
    // In one place, so that it is inlined.
    let is_watched = is_watched();
    if is_watched {
        memcheck::silence(true);
    }
    let result = body();
    if is_watched {
        memcheck::silence(false);
    }
    result
}

/// The `bytes` at `object` are the program's from now on, and read zero.
#[inline]
pub(super) fn note_alloc(object: *mut u8, bytes: usize) {
    if is_watched() {
        memcheck::note_alloc(object, bytes);
    }
}

/// The object is the program's no more.
#[inline]
pub(super) fn note_dealloc(object: *mut u8) {
    if is_watched() {
        memcheck::note_dealloc(object);
    }
}

/// The object has another length.
#[inline]
pub(super) fn note_resize(object: *mut u8, old: usize, new: usize) {
    if is_watched() {
        memcheck::note_resize(object, old, new);
    }
}

/// The program did not ask for zeroes in the `bytes` at `object`.
#[inline]
pub(super) fn forget(object: *mut u8, bytes: usize) {
    if is_watched() {
        memcheck::forget(object, bytes);
    }
}

/// The `bytes` at `start` are taken for objects to come.
#[inline]
pub(super) fn forbid(start: *mut u8, bytes: usize) {
    if is_watched() {
        memcheck::forbid(start, bytes);
    }
}

/// The `bytes` at `start` are about to be given back.
#[inline]
pub(super) fn allow(start: *mut u8, bytes: usize) {
    if is_watched() {
        memcheck::allow(start, bytes);
    }
}
