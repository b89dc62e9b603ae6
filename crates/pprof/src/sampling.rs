//! Sampling: on while requests wait for samples, as it was before when the last of them is done.
//!
//! ```text
//! request 1        |---- 30 s ----|
//! request 2              |---- 10 s ----|
//! sampling   off   |== on, by us =======|   off
//! program                    start() ...........: stays on
//! ```
//! S1  What the program switches is the program's: sampling that was on before is not switched, nor is any that the program
//!     has had a say in since ([`jemoxide::profile::switches`]).
//! S2  At most [`OPEN_MAX`] requests wait: each holds a thread of whoever serves them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jemoxide::profile;

/// Rule S2.
const OPEN_MAX: usize = 8;

/// All windows of the process.
static WINDOWS: Mutex<Windows> = Mutex::new(Windows {
    ends: Vec::new(),
    switched: None,
});

struct Windows {
    /// When each that is open will end.
    ends: Vec<Instant>,
    /// The switch by which sampling was switched on for them.
    switched: Option<u32>,
}

impl Windows {
    /// Whether sampling is on, and only as we switched it on.
    fn is_ours(&self) -> bool {
        profile::is_active() && self.switched == Some(profile::switches())
    }
}

fn windows() -> MutexGuard<'static, Windows> {
    // Nothing in here panics halfway.
    WINDOWS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the program samples, of its own accord.
pub(crate) fn is_on() -> bool {
    profile::is_active() && !windows().is_ours()
}

/// Keeps sampling on while it lives.
#[derive(Debug)]
pub(crate) struct Window {
    end: Instant,
}

impl Window {
    /// One that is to last for `time`. The error is how long the first of those that are open still lasts.
    pub(crate) fn open(time: Duration) -> Result<Self, Duration> {
        let mut windows = windows();
        let now = Instant::now();
        if windows.ends.len() >= OPEN_MAX {
            let soonest = windows.ends.iter().min().copied().unwrap_or(now);
            return Err(soonest.saturating_duration_since(now));
        }
        let end = now + time;
        windows.ends.push(end);
        if let Some(switch) = profile::start_if_off() {
            windows.switched = Some(switch);
        }
        Ok(Self { end })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let mut windows = windows();
        let own = windows.ends.iter().position(|&end| end == self.end);
        if let Some(own) = own {
            windows.ends.swap_remove(own);
        }
        if windows.ends.is_empty() {
            if windows.is_ours() {
                profile::stop();
            }
            windows.switched = None;
        }
    }
}
