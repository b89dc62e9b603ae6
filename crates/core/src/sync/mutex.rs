//! Mutex: three states over a futex word, spinning shortly first.
//!
//! ```text
//! 0 free ──lock──> 1 held ──somebody waits──> 2 held, sleepers
//!   ^──────────unlock──┘          unlock wakes one <──┘
//! ```
//! L1  Every mutex has a rank (see the table in the folder's head); a thread takes them in rising order.
//! Critical sections here are tens to hundreds of nanoseconds: a short spin beats a sleep.

use super::futex_word::{sleep_while, wake_one};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;
const SPINS: u32 = 100;

/// A value that one thread at a time may use; `RANK` is its place in the order (L1).
pub(crate) struct Mutex<T, const RANK: u32> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the guard gives the value to one thread at a time.
unsafe impl<T: Send, const RANK: u32> Sync for Mutex<T, RANK> {}

impl<T, const RANK: u32> Mutex<T, RANK> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            state: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T, RANK> {
        rank::enter(RANK);
        // Acquire: pairs with the Release in `Guard::drop`.
        if self
            .state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            self.lock_contended();
        }
        Guard { mutex: self }
    }

    /// The value, without waiting; `None` while somebody holds it.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T, RANK>> {
        // Acquire: pairs with the Release in `Guard::drop`.
        self.state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        rank::enter(RANK);
        Some(Guard { mutex: self })
    }

    #[cold]
    fn lock_contended(&self) {
        for _ in 0..SPINS {
            if self.state.load(Ordering::Relaxed) == FREE
                && self
                    .state
                    .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
            core::hint::spin_loop();
        }
        while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
            sleep_while(&self.state, CONTENDED);
        }
    }
}

/// The value of a locked [`Mutex`].
pub(crate) struct Guard<'a, T, const RANK: u32> {
    mutex: &'a Mutex<T, RANK>,
}

impl<T, const RANK: u32> Guard<'_, T, RANK> {
    /// Runs `body` without the lock. The value may be another one afterwards.
    pub(crate) fn unlocked<R>(&mut self, body: impl FnOnce() -> R) -> R {
        self.release();
        let result = body();
        // The guard is alive and must hold the lock again, whatever it takes.
        core::mem::forget(self.mutex.lock());
        result
    }

    #[inline]
    fn release(&self) {
        rank::leave(RANK);
        // Release: pairs with the Acquire of the next holder.
        if self.mutex.state.swap(FREE, Ordering::Release) == CONTENDED {
            wake_one(&self.mutex.state);
        }
    }
}

impl<T, const RANK: u32> Deref for Guard<'_, T, RANK> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard's existence means that this thread holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, const RANK: u32> DerefMut for Guard<'_, T, RANK> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, const RANK: u32> Drop for Guard<'_, T, RANK> {
    #[inline]
    fn drop(&mut self) {
        self.release();
    }
}

/// The check of rule L1, in unit tests.
mod rank {
    #[cfg(test)]
    std::thread_local! {
        static HELD: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };
    }

    #[inline(always)]
    pub(super) fn enter(rank: u32) {
        #[cfg(test)]
        {
            let held = HELD.get();
            assert!(
                held >> rank == 0,
                "lock of rank {rank} taken while ranks {held:#b} are held"
            );
            HELD.set(held | 1 << rank);
        }
        let _ = rank;
    }

    #[inline(always)]
    pub(super) fn leave(rank: u32) {
        #[cfg(test)]
        HELD.set(HELD.get() & !(1 << rank));
        let _ = rank;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_under_the_lock_are_not_lost() {
        static COUNT: Mutex<u64, 1> = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        *COUNT.lock() += 1;
                    }
                });
            }
        });
        assert_eq!(*COUNT.lock(), 80_000);
    }

    #[test]
    fn others_come_in_while_a_guard_is_without_its_lock() {
        static COUNT: Mutex<u64, 1> = Mutex::new(0);
        let mut guard = COUNT.lock();
        *guard = 1;
        let seen = guard.unlocked(|| {
            std::thread::spawn(|| {
                let mut other = COUNT.lock();
                *other += 1;
                *other
            })
            .join()
            .unwrap()
        });
        assert_eq!((seen, *guard), (2, 2));
        assert!(COUNT.try_lock().is_none(), "held again");
        drop(guard);
        assert!(COUNT.try_lock().is_some());
    }

    #[test]
    #[should_panic(expected = "lock of rank 1")]
    fn taking_locks_out_of_order_is_noticed() {
        static HIGH: Mutex<(), 2> = Mutex::new(());
        static LOW: Mutex<(), 1> = Mutex::new(());
        let _high = HIGH.lock();
        let _low = LOW.lock();
    }
}
