//! Tally: how often a lock was taken, and how long threads waited for it.
//!
//! ```text
//! uncontended   ops + 1, and where the last holder was another thread: owner switches + 1
//! contended     spins + 1, or waits + 1 with the time waited
//! ```
//! Y1  All but `waiting` is written by the lock's holder alone: no read-modify-write.
//! Y2  The clock is read by who has to sleep only.
//! Units: nanoseconds. The terms are those of jemalloc(3) `stats.mutexes`.

use crate::sys::{clock, thread as system};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What was counted of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Times it was taken.
    pub(crate) ops: u64,
    /// Times that a thread slept for it.
    pub(crate) waits: u64,
    /// Times that a thread got it while spinning.
    pub(crate) spins: u64,
    /// Times that it was taken by another thread than before.
    pub(crate) owner_switches: u64,
    /// Time slept in all.
    pub(crate) wait_ns: u64,
    /// The longest sleep.
    pub(crate) longest_wait_ns: u64,
    /// Most threads that slept at once.
    pub(crate) waiters_max: u32,
}

impl Figures {
    pub(crate) const ZERO: Self = Self {
        ops: 0,
        waits: 0,
        spins: 0,
        owner_switches: 0,
        wait_ns: 0,
        longest_wait_ns: 0,
        waiters_max: 0,
    };

    /// Adds those of another lock.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.waits += other.waits;
        self.spins += other.spins;
        self.owner_switches += other.owner_switches;
        self.wait_ns += other.wait_ns;
        self.longest_wait_ns = self.longest_wait_ns.max(other.longest_wait_ns);
        self.waiters_max = self.waiters_max.max(other.waiters_max);
    }
}

/// Counters of every lock.
pub(super) struct Tally {
    /// Who took it last, in short; 0: nobody.
    owner: AtomicU32,
    ops: AtomicU64,
    owner_switches: AtomicU64,
}

/// Counters of a lock that threads wait for.
pub(crate) struct Contention {
    spins: AtomicU64,
    waits: AtomicU64,
    wait_ns: AtomicU64,
    longest_wait_ns: AtomicU64,
    waiting: AtomicU32,
    waiters_max: AtomicU32,
}

/// Where a lock has its [`Contention`]: with itself, unless there are so many of them that the space matters.
pub(crate) trait Contended {
    /// Where.
    fn contention(&self) -> &Contention;
}

impl Contended for Contention {
    fn contention(&self) -> &Contention {
        self
    }
}

/// A wait that has begun.
pub(super) struct Wait {
    since_ns: u64,
    waiters: u32,
}

/// Adds to a counter of the holder's (Y1).
#[inline(always)]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}

impl Tally {
    pub(super) const fn new() -> Self {
        Self {
            owner: AtomicU32::new(0),
            ops: AtomicU64::new(0),
            owner_switches: AtomicU64::new(0),
        }
    }

    /// The calling thread holds the lock from now on.
    #[inline]
    pub(super) fn note_taken(&self) {
        add(&self.ops, 1);
        // Control blocks of threads lie pages apart.
        let caller = (system::identity() >> 12) as u32;
        if self.owner.load(Ordering::Relaxed) != caller {
            self.owner.store(caller, Ordering::Relaxed);
            add(&self.owner_switches, 1);
        }
    }

    pub(super) fn figures(&self, contention: &Contention) -> Figures {
        Figures {
            ops: self.ops.load(Ordering::Relaxed),
            owner_switches: self.owner_switches.load(Ordering::Relaxed),
            waits: contention.waits.load(Ordering::Relaxed),
            spins: contention.spins.load(Ordering::Relaxed),
            wait_ns: contention.wait_ns.load(Ordering::Relaxed),
            longest_wait_ns: contention.longest_wait_ns.load(Ordering::Relaxed),
            waiters_max: contention.waiters_max.load(Ordering::Relaxed),
        }
    }

    /// Begins at zero again. The caller holds the lock.
    pub(super) fn forget(&self, contention: &Contention) {
        for counter in [
            &self.ops,
            &self.owner_switches,
            &contention.spins,
            &contention.waits,
            &contention.wait_ns,
            &contention.longest_wait_ns,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        contention.waiters_max.store(0, Ordering::Relaxed);
        self.owner.store(0, Ordering::Relaxed);
    }
}

impl Contention {
    pub(crate) const fn new() -> Self {
        Self {
            spins: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            wait_ns: AtomicU64::new(0),
            longest_wait_ns: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            waiters_max: AtomicU32::new(0),
        }
    }

    /// The caller, who holds the lock, got it while spinning.
    pub(super) fn note_spun(&self) {
        add(&self.spins, 1);
    }

    /// The caller is about to sleep for the lock.
    pub(super) fn begin_wait(&self) -> Wait {
        Wait {
            waiters: self.waiting.fetch_add(1, Ordering::Relaxed) + 1,
            since_ns: clock::fine_ns(),
        }
    }

    /// It holds the lock now.
    pub(super) fn end_wait(&self, wait: Wait) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let ns = clock::fine_ns().saturating_sub(wait.since_ns);
        add(&self.waits, 1);
        add(&self.wait_ns, ns);
        if ns > self.longest_wait_ns.load(Ordering::Relaxed) {
            self.longest_wait_ns.store(ns, Ordering::Relaxed);
        }
        if wait.waiters > self.waiters_max.load(Ordering::Relaxed) {
            self.waiters_max.store(wait.waiters, Ordering::Relaxed);
        }
    }
}
