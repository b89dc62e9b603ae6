//! Mutex: three states over a futex word, spinning shortly first.
//!
//! ```text
//! 0 free ──lock──> 1 held ──somebody waits──> 2 held, sleepers
//!   ^──────────unlock──┘          unlock wakes one <──┘
//! ```
//! L1  Every mutex has a rank (see the table in the folder's head); a thread takes them in rising order.
//! L2  What is counted of it is written by its holder, but for who waits: each number is exact, and may be read by
//!     anybody at any time.
//! Critical sections here are tens to hundreds of nanoseconds: a short spin beats a sleep.

use super::lock_word::LockWord;
use super::tally::{Contended, Contention, Figures, Tally};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Looks at a lock that is held, before its waiter sleeps. Source: option `mutex_max_spin`.
static SPINS: AtomicUsize = AtomicUsize::new(100);

/// Sets how often a lock is looked at before its waiter sleeps; negative for always.
pub(crate) fn set_spins(spins: isize) {
    let spins = usize::try_from(spins).unwrap_or(usize::MAX);
    if spins != SPINS.load(Ordering::Relaxed) {
        SPINS.store(spins, Ordering::Relaxed);
    }
}

/// A value that one thread at a time may use; `RANK` is its place in the order (L1).
pub(crate) struct Mutex<T, const RANK: u32, C = Contention> {
    word: LockWord,
    contention: C,
    tally: Tally,
    value: UnsafeCell<T>,
}

// SAFETY: the guard gives the value to one thread at a time.
unsafe impl<T: Send, const RANK: u32, C: Sync> Sync for Mutex<T, RANK, C> {}

impl<T, const RANK: u32> Mutex<T, RANK> {
    pub(crate) const fn new(value: T) -> Self {
        Self::with(value, Contention::new())
    }
}

impl<T, const RANK: u32, C> Mutex<T, RANK, C> {
    /// One whose waits are counted where `contention` says.
    pub(crate) const fn with(value: T, contention: C) -> Self {
        Self {
            word: LockWord::new(),
            contention,
            tally: Tally::new(),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T, const RANK: u32, C: Contended> Mutex<T, RANK, C> {
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T, RANK, C> {
        rank::enter(RANK);
        if !self.word.try_take() {
            self.lock_contended();
        }
        self.tally.note_taken();
        Guard { mutex: self }
    }

    /// Where its waits are counted.
    #[cfg(test)]
    pub(crate) fn contention(&self) -> &Contention {
        self.contention.contention()
    }

    /// What was counted of it.
    pub(crate) fn figures(&self) -> Figures {
        self.tally.figures(self.contention.contention())
    }

    /// Counts anew.
    pub(crate) fn forget_figures(&self) {
        let _held = self.lock();
        self.tally.forget(self.contention.contention());
    }

    /// The value, without waiting; `None` while somebody holds it.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T, RANK, C>> {
        if !self.word.try_take() {
            return None;
        }
        rank::enter(RANK);
        self.tally.note_taken();
        Some(Guard { mutex: self })
    }

    #[cold]
    fn lock_contended(&self) {
        if self.word.take_spinning(SPINS.load(Ordering::Relaxed)) {
            self.contention.contention().note_spun();
            return;
        }
        let contention = self.contention.contention();
        let wait = contention.begin_wait();
        self.word.take_sleeping();
        contention.end_wait(wait);
    }
}

/// The value of a locked [`Mutex`].
pub(crate) struct Guard<'a, T, const RANK: u32, C = Contention> {
    mutex: &'a Mutex<T, RANK, C>,
}

impl<T, const RANK: u32, C: Contended> Guard<'_, T, RANK, C> {
    /// Runs `body` without the lock. The value may be another one afterwards.
    pub(crate) fn unlocked<R>(&mut self, body: impl FnOnce() -> R) -> R {
        self.release();
        let result = body();
        // The guard is alive and must hold the lock again, whatever it takes.
        core::mem::forget(self.mutex.lock());
        result
    }
}

impl<T, const RANK: u32, C> Guard<'_, T, RANK, C> {
    #[inline]
    fn release(&self) {
        rank::leave(RANK);
        self.mutex.word.give_back();
    }
}

impl<T, const RANK: u32, C> Deref for Guard<'_, T, RANK, C> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard's existence means that this thread holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, const RANK: u32, C> DerefMut for Guard<'_, T, RANK, C> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, const RANK: u32, C> Drop for Guard<'_, T, RANK, C> {
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
    use crate::sys::simulated::dice::{are_rounds_fewer, rounds};

    #[test]
    fn increments_under_the_lock_are_not_lost() {
        static COUNT: Mutex<u64, 1> = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..rounds(20_000) {
                        *COUNT.lock() += 1;
                    }
                });
            }
        });
        let all = 4 * rounds(20_000) as u64;
        assert_eq!(*COUNT.lock(), all);
        let figures = COUNT.figures();
        assert_eq!(figures.ops, all + 1, "L2");
        // A thread that begins when another has ended may be taken for it.
        let least = if are_rounds_fewer() { 1 } else { 4 };
        assert!((least..=all + 1).contains(&figures.owner_switches));
        assert!(figures.waits + figures.spins <= figures.ops);
        assert!(figures.waiters_max <= 3 && (figures.waiters_max > 0) == (figures.waits > 0));
    }

    #[test]
    fn a_wait_is_counted_and_timed() {
        static LOCK: Mutex<(), 1> = Mutex::new(());
        std::thread::scope(|scope| {
            let held = LOCK.lock();
            let waiter = scope.spawn(|| drop(LOCK.lock()));
            while !LOCK.word.is_contended() {
                std::thread::yield_now();
            }
            drop(held);
            waiter.join().unwrap();
        });
        let figures = LOCK.figures();
        assert_eq!(
            (
                figures.ops,
                figures.waits,
                figures.spins,
                figures.waiters_max
            ),
            (2, 1, 0, 1)
        );
        assert_eq!(figures.owner_switches, 2);
        assert_eq!(figures.wait_ns, figures.longest_wait_ns);
        LOCK.forget_figures();
        assert_eq!(LOCK.figures(), Figures::ZERO);
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
