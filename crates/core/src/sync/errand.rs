//! Errand: something that one runner does, as often as anybody calls for it while it is done.
//!
//! ```text
//! IDLE ──call──> RUNNING ──call──> AGAIN          the first caller starts the runner
//!   ^─────finish────┘  ^──────finish──┘           a runner that was called meanwhile goes on
//! ```
//! N1  There is at most one runner.
//! N2  What was done before a call is seen by a runner that begins, or goes on, after it: no call is lost.

#[cfg(loom)]
use super::atomic::AtomicU32;
use super::atomic::Ordering;
#[cfg(not(loom))]
use core::sync::atomic::AtomicU32;

const IDLE: u32 = 0;
const RUNNING: u32 = 1;
const AGAIN: u32 = 2;

/// The state of an errand.
#[derive(Debug, Default)]
pub struct Errand {
    state: AtomicU32,
}

impl Errand {
    /// Nobody runs.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            state: AtomicU32::new(IDLE),
        }
    }

    /// Calls for the errand. `true`: the caller has to start the runner, or to [`Errand::give_up`].
    pub fn call(&self) -> bool {
        // AcqRel: the runner sees what was done before the call (N2), and who starts one what the last one did.
        let before = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
                IDLE => Some(RUNNING),
                _ => Some(AGAIN),
            });
        before == Ok(IDLE)
    }

    /// The runner has done what there was. `true`: it leaves; another may be started. `false`: it was called
    /// meanwhile and goes on.
    pub fn finish(&self) -> bool {
        // AcqRel: as in `call`.
        let before = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
                AGAIN => Some(RUNNING),
                _ => Some(IDLE),
            });
        before != Ok(AGAIN)
    }

    /// There is no runner after all: it could not be started, or the process is a child that has not got it.
    pub fn give_up(&self) {
        self.state.store(IDLE, Ordering::Release);
    }
}
