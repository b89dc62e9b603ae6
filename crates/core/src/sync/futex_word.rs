//! Sleeping and waking on an atomic word, by way of the system.
//!
//! Under the model checker the system's part is a lock and a queue of sleepers: the look at the word and the sleep are one
//! step there too, so that a wake that comes too early is lost, and found.

#[cfg(loom)]
use super::checker::sync::{Condvar, Mutex, atomic::AtomicU32};
#[cfg(not(loom))]
use crate::sys::futex;
#[cfg(not(loom))]
use core::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `value`; may return early.
#[cfg(not(loom))]
pub(crate) fn sleep_while(word: &AtomicU32, value: u32) {
    futex::wait(word, value);
}

/// Wakes one sleeper of `word`.
#[cfg(not(loom))]
pub(crate) fn wake_one(word: &AtomicU32) {
    futex::wake(word, 1);
}

/// Wakes all sleepers of `word`.
#[cfg(not(loom))]
pub(crate) fn wake_all(word: &AtomicU32) {
    futex::wake(word, u32::MAX >> 1);
}

#[cfg(loom)]
super::checker::lazy_static! {
    /// Sleepers of the one word that a model sleeps on.
    static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

/// As the system's.
#[cfg(loom)]
pub(crate) fn sleep_while(word: &AtomicU32, value: u32) {
    let (lock, queue) = &*SLEEPERS;
    let guard = lock.lock().expect("nobody panics inside");
    if word.load(super::checker::sync::atomic::Ordering::SeqCst) == value {
        drop(queue.wait(guard));
    }
}

/// As the system's.
#[cfg(loom)]
pub(crate) fn wake_one(_: &AtomicU32) {
    let (lock, queue) = &*SLEEPERS;
    let _guard = lock.lock().expect("nobody panics inside");
    queue.notify_one();
}
