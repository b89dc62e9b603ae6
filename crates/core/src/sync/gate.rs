//! Gate: many pass at a time, or one closes it and waits until nobody is inside.
//!
//! Every outermost slow path is a passage; a fork closes the gate. So no lock of ours is held and no
//! record half written at the instant of a fork, and the child needs no repair.
//!
//! ```text
//! passage:  inside[shard] += 1;  closed?  -no->  work;  inside[shard] -= 1
//!                                   └yes> inside[shard] -= 1, sleep, again
//! fork:     closed = 1;  wait until inside is 0 everywhere, but for the closing thread's own passage
//! ```
//! G1  A passage and a closing never overlap, except a passage of the closing thread itself.
//! G2  The increment and the look at `closed` are sequentially consistent, and so are the closing and
//!     its look at the counters: one of the two sees the other.

#[cfg(loom)]
use super::atomic::AtomicU32;
use super::atomic::Ordering;
#[cfg(not(loom))]
use super::futex_word::{sleep_while, wake_all};
#[cfg(not(loom))]
use core::sync::atomic::AtomicU32;

/// Counters that passages are spread over.
pub const SHARDS: usize = if cfg!(loom) { 2 } else { 8 };

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    inside: AtomicU32,
}

/// The gate.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicU32,
    shards: [Shard; SHARDS],
}

#[cfg(loom)]
fn sleep_while(word: &AtomicU32, value: u32) {
    if word.load(Ordering::SeqCst) == value {
        super::checker::thread::yield_now();
    }
}

#[cfg(loom)]
fn wake_all(_: &AtomicU32) {}

/// Rule G2 under the checker, which takes sequentially consistent accesses for mere acquire and release: a fence
/// says there what the accesses say on the processor.
#[inline(always)]
fn in_total_order() {
    #[cfg(loom)]
    super::checker::sync::atomic::fence(Ordering::SeqCst);
}

impl Gate {
    /// An open gate.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        let shards = [const {
            Shard {
                inside: AtomicU32::new(0),
            }
        }; SHARDS];
        Self {
            closed: AtomicU32::new(0),
            shards,
        }
    }

    /// Enters; sleeps while the gate is closed. `false`: the gate is closed by the caller itself
    /// (`is_closer` says so), who passes uncounted and must not call [`Gate::leave`].
    #[inline]
    pub fn enter(&self, shard: usize, is_closer: impl Fn() -> bool) -> bool {
        let inside = &self.shards[shard % SHARDS].inside;
        inside.fetch_add(1, Ordering::SeqCst);
        in_total_order();
        if self.closed.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.enter_closed(inside, is_closer)
    }

    #[cold]
    fn enter_closed(&self, inside: &AtomicU32, is_closer: impl Fn() -> bool) -> bool {
        loop {
            inside.fetch_sub(1, Ordering::SeqCst);
            wake_all(inside);
            if is_closer() {
                return false;
            }
            while self.closed.load(Ordering::SeqCst) != 0 {
                sleep_while(&self.closed, 1);
            }
            inside.fetch_add(1, Ordering::SeqCst);
            in_total_order();
            if self.closed.load(Ordering::SeqCst) == 0 {
                return true;
            }
        }
    }

    /// Leaves, after an [`Gate::enter`] that answered `true`.
    #[inline]
    pub fn leave(&self, shard: usize) {
        let inside = &self.shards[shard % SHARDS].inside;
        // Release: what was done inside is seen by who closes. SeqCst for rule G2.
        inside.fetch_sub(1, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) != 0 {
            wake_all(inside);
        }
    }

    /// Closes the gate and waits until nobody is inside but the caller, whose own passage, if it is
    /// inside, is counted in shard `own`.
    pub fn close(&self, own: Option<usize>) {
        while self
            .closed
            .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            sleep_while(&self.closed, 1);
        }
        in_total_order();
        for (index, shard) in self.shards.iter().enumerate() {
            let allowed = u32::from(own.is_some_and(|own| own % SHARDS == index));
            loop {
                let inside = shard.inside.load(Ordering::SeqCst);
                if inside <= allowed {
                    break;
                }
                sleep_while(&shard.inside, inside);
            }
        }
    }

    /// Opens the closed gate in a forked child, where the caller is the only thread: passages that others
    /// were about to withdraw at the instant of the fork are forgotten.
    pub fn open_in_child(&self, own: Option<usize>) {
        for (index, shard) in self.shards.iter().enumerate() {
            let inside = u32::from(own.is_some_and(|own| own % SHARDS == index));
            shard.inside.store(inside, Ordering::SeqCst);
        }
        self.open();
    }

    /// Opens the gate that the caller closed.
    pub fn open(&self) {
        self.closed.store(0, Ordering::SeqCst);
        wake_all(&self.closed);
    }
}
