//! Lock word: the state of a mutex, taken and given back without knowing what it guards.
//!
//! ```text
//! FREE ──take──> HELD ──give back──> FREE
//!                 └──a waiter──> CONTENDED ──give back, wake one──> FREE
//! ```
//! W1  It has one holder at most, who sees what the one before did.
//! W2  Nobody sleeps for ever: a waiter marks the word before it sleeps, whoever gives back a marked word wakes one, and who
//!     was woken marks it again, as others may sleep behind it.
//! The model checker has this file as it is (`crates/core/tests/models`).

#[cfg(loom)]
use super::atomic::AtomicU32;
use super::atomic::Ordering;
use super::futex_word::{sleep_while, wake_one};
#[cfg(not(loom))]
use core::sync::atomic::AtomicU32;

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// A word that one thread at a time holds.
#[derive(Debug, Default)]
pub struct LockWord {
    state: AtomicU32,
}

impl LockWord {
    /// Free.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
        }
    }

    /// Takes it, unless somebody holds it.
    #[inline(always)]
    pub fn try_take(&self) -> bool {
        // Acquire: pairs with the Release in `give_back`.
        self.state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Looks at it so many times, and takes it if it is free then.
    pub fn take_spinning(&self, looks: usize) -> bool {
        for _ in 0..looks {
            if self.state.load(Ordering::Relaxed) == FREE && self.try_take() {
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }

    /// Sleeps until it can be taken (W2).
    pub fn take_sleeping(&self) {
        // Acquire: as in `try_take`.
        while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
            sleep_while(&self.state, CONTENDED);
        }
    }

    /// The holder gives it back.
    #[inline(always)]
    pub fn give_back(&self) {
        // Release: pairs with the Acquire of the next holder.
        if self.state.swap(FREE, Ordering::Release) == CONTENDED {
            wake_one(&self.state);
        }
    }

    /// Whether somebody may sleep for it.
    #[cfg(test)]
    pub(super) fn is_contended(&self) -> bool {
        self.state.load(Ordering::Relaxed) == CONTENDED
    }
}
