//! Pressure: how near memory is to its end, as the floors above found out. What may idle goes by it.
//!
//! ```text
//!            pages, magazines that may wait    thread that allocates
//! calm       as options and use say            does not notice
//! tight      a quarter of the floors           purges as it goes
//! critical   a sixteenth of them               gives all back first
//! ```
//! W1  Who takes pages past the ceiling is noticed: memory is looked at before what it took is touched.
//! W2  Under a limit pages are purged by force: what the system may take when it likes counts until it does.
//! W3  Above the heap's own soft limit pressure is tight at least, and stays so until memory is well below it.
//! All is relaxed: it steers, it guards nothing.

use crate::meta::limit;
use crate::size::PAGE;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// What is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pressure {
    /// Enough, as far as anybody knows.
    Calm,
    /// Little.
    Tight,
    /// Next to nothing.
    Critical,
}

/// Pages that are held before anybody asks what the limit is: a process this small is not what a limit is about.
const UNASKED_PAGES: usize = (8 << 20) / PAGE;

#[unsafe(link_section = ".data.jemoxide_start")]
static LEVEL: AtomicU8 = AtomicU8::new(Pressure::Calm as u8);
#[unsafe(link_section = ".data.jemoxide_start")]
static LIMITED: AtomicBool = AtomicBool::new(false);
#[unsafe(link_section = ".data.jemoxide_start")]
static ALARM: AtomicBool = AtomicBool::new(false);
/// In pages, active and idle ones (W1).
#[unsafe(link_section = ".data.jemoxide_start")]
static CEILING: AtomicUsize = AtomicUsize::new(UNASKED_PAGES);

/// The pressure of this moment.
#[inline]
pub(crate) fn now() -> Pressure {
    match LEVEL.load(Ordering::Relaxed) {
        0 if limit::is_tight() => Pressure::Tight,
        0 => Pressure::Calm,
        1 => Pressure::Tight,
        _ => Pressure::Critical,
    }
}

/// Says what the pressure is, and whether there is a limit (W2).
pub(crate) fn set(pressure: Pressure, is_limited: bool) {
    LEVEL.store(pressure as u8, Ordering::Relaxed);
    LIMITED.store(is_limited, Ordering::Relaxed);
}

/// Whether there is a limit (W2).
pub(crate) fn is_limited() -> bool {
    LIMITED.load(Ordering::Relaxed) || limit::is_set() || limit::is_tight()
}

/// Sets how many bytes may be held before it is noticed (W1).
pub(crate) fn set_ceiling(bytes: usize) {
    CEILING.store(bytes / PAGE, Ordering::Relaxed);
}

/// Bytes that may be held unnoticed.
#[cfg(test)]
pub(crate) fn ceiling_bytes() -> usize {
    CEILING.load(Ordering::Relaxed) * PAGE
}

/// Whether `held` pages are above the ceiling.
#[inline]
pub(super) fn is_above_ceiling(held: usize) -> bool {
    held > CEILING.load(Ordering::Relaxed)
}

#[cold]
pub(super) fn raise_alarm() {
    ALARM.store(true, Ordering::Relaxed);
}

/// Whether the ceiling was passed since [`heed_alarm`].
pub(crate) fn is_alarmed() -> bool {
    ALARM.load(Ordering::Relaxed)
}

/// Somebody is about to look.
pub(crate) fn heed_alarm() {
    ALARM.store(false, Ordering::Relaxed);
}

impl Pressure {
    /// What of a bound on idle memory holds.
    #[inline]
    pub(crate) const fn of(self, bound: usize) -> usize {
        match self {
            Self::Calm => bound,
            Self::Tight => bound / 4,
            Self::Critical => bound / 16,
        }
    }
}
