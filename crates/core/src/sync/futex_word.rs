//! Sleeping and waking on an atomic word, by way of the system.

use crate::sys::futex;
use core::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `value`; may return early.
pub(crate) fn sleep_while(word: &AtomicU32, value: u32) {
    futex::wait(word, value);
}

/// Wakes one sleeper of `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    futex::wake(word, 1);
}

/// Wakes all sleepers of `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    futex::wake(word, u32::MAX >> 1);
}
