//! A clock that stands still until it is turned.

use core::cell::Cell;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
}

/// Nanoseconds, as last set by [`turn`].
pub(crate) fn now_ns() -> u64 {
    NOW.get()
}

/// As [`now_ns`]: this clock is as fine as it is turned.
pub(crate) fn fine_ns() -> u64 {
    NOW.get()
}

/// A moment that stands still.
pub(crate) fn unix_seconds() -> u64 {
    1_000_000_000
}

/// Moves this thread's clock forward.
pub(crate) fn turn(nanoseconds: u64) {
    NOW.set(NOW.get() + nanoseconds);
}

/// Moves this thread's clock back, as no clock of the contract does.
pub(crate) fn turn_back(nanoseconds: u64) {
    NOW.set(NOW.get().saturating_sub(nanoseconds));
}
