//! Claim: a word that says who may work on something that is one thread's at a time as a rule.
//!
//! ```text
//! FREE ──try_take: one exchange──> TAKEN ──give_back: one store──> FREE
//! ```
//! Half of a lock's price: who gives back does not ask whether anybody waits, and who waits looks again after a while. For
//! what has one user by its contract, whose work is some ten instructions; others are told to come some other way.
//!
//! C1  It has one holder at most, who sees what the one before did.
//! C2  A holder does not wait for anybody, but for locks of higher ranks.
//! C3  Where the work is whole at every instant, it may be done outside the fork gate: in the child, whose holders are
//!     gone, all claims are made free.
//! The model checker has this file as it is (`crates/core/tests/models`).

#[cfg(loom)]
use super::atomic::AtomicU32;
use super::atomic::Ordering;
#[cfg(not(loom))]
use core::sync::atomic::AtomicU32;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Looks before a waiter sleeps, and for how long it does: the holder may be a thread that is not running.
#[cfg(not(loom))]
const LOOKS: usize = 100;
#[cfg(not(loom))]
const SLEEP_NS: u64 = 20_000;

/// The word.
#[derive(Debug, Default)]
pub struct Claim {
    state: AtomicU32,
}

impl Claim {
    /// A free one.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
        }
    }

    /// Takes it, if it is free.
    #[inline(always)]
    pub fn try_take(&self) -> bool {
        // Acquire: pairs with the Release in `give_back`.
        self.state
            .compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes it, when it is free.
    pub fn take(&self) {
        while !self.try_take() {
            self.wait();
        }
    }

    #[cfg(not(loom))]
    #[cold]
    fn wait(&self) {
        for _ in 0..LOOKS {
            if self.state.load(Ordering::Relaxed) == FREE {
                return;
            }
            core::hint::spin_loop();
        }
        crate::sys::futex::pause(SLEEP_NS);
    }

    #[cfg(loom)]
    fn wait(&self) {
        super::checker::thread::yield_now();
    }

    /// Makes it free, by whoever holds it; or in a forked child, where nobody does (C3).
    #[inline(always)]
    pub fn give_back(&self) {
        // Release: pairs with the Acquire of the next holder.
        self.state.store(FREE, Ordering::Release);
    }
}
