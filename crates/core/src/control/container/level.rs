//! Level: how bad it is, from what was read. Pure.
//!
//! ```text
//!   left of the limit   25 %            10 %              0
//!   ──── calm ───────────┼──── tight ─────┼──── critical ──┤      back up with 5 % more
//! ```
//! Z1  Left is the limit less what the group uses, files' copies not counted, and less what was handed out since and
//!     may not be touched yet.
//! Z2  Rising counts of events, and time in which tasks waited for memory, make it at least tight, and critical where
//!     somebody was ended or all tasks of the group waited; for a while after the last of them.
//! Z3  Nothing readable means calm.
#![deny(unsafe_code)]

use super::limits::{Events, Stalled};
use crate::extent::Pressure;

/// Percent of the limit that are left where it gets tight, and critical.
const TIGHT_PERCENT: u64 = 25;
const CRITICAL_PERCENT: u64 = 10;
/// Percent beyond these from which on a level is left again.
const RETURN_PERCENT: u64 = 5;
/// One part in so many of the time between two looks, spent waiting, counts (Z2).
const STALLED_SHARE: u64 = 10;
/// From one look at it to the next: the kernel adds it up every two seconds.
const STALLED_NS: u64 = 2_000_000_000;
/// How long a rise counts.
const HOLD_NS: u64 = 2_000_000_000;

/// The signs of rule Z2 over time.
pub(super) struct Signs {
    events: Option<Events>,
    /// When, and how much, had been waited when that was last looked at.
    stalled: Option<(u64, Stalled)>,
    /// Until when it is at least tight, and critical.
    tight_until_ns: u64,
    critical_until_ns: u64,
}

impl Signs {
    pub(super) const fn new() -> Self {
        Self {
            events: None,
            stalled: None,
            tight_until_ns: 0,
            critical_until_ns: 0,
        }
    }

    /// Forgets what was read, as it was another group's.
    pub(super) fn forget(&mut self) {
        (self.events, self.stalled) = (None, None);
    }

    /// Takes in counts of events.
    pub(super) fn note_events(&mut self, now_ns: u64, events: Events) {
        if let Some(last) = self.events.replace(events) {
            let until = now_ns.saturating_add(HOLD_NS);
            if events.warned > last.warned {
                self.tight_until_ns = until;
            }
            if events.failed > last.failed {
                self.critical_until_ns = until;
            }
        }
    }

    /// Whether time spent waiting is worth a look: the system adds it up that often.
    pub(super) fn wants_stalled(&self, now_ns: u64) -> bool {
        self.stalled
            .is_none_or(|(then_ns, _)| now_ns.saturating_sub(then_ns) >= STALLED_NS)
    }

    /// Takes in time spent waiting.
    pub(super) fn note_stalled(&mut self, now_ns: u64, stalled: Stalled) {
        if let Some((then_ns, last)) = self.stalled.replace((now_ns, stalled)) {
            let until = now_ns.saturating_add(HOLD_NS);
            let least_us = now_ns.saturating_sub(then_ns) / 1000 / STALLED_SHARE;
            let waited = |now: u64, before: u64| now.saturating_sub(before) > least_us;
            if waited(stalled.some_us, last.some_us) {
                self.tight_until_ns = until;
            }
            if waited(stalled.full_us, last.full_us) {
                self.critical_until_ns = until;
            }
        }
    }

    /// What the signs make of this moment.
    pub(super) fn level(&self, now_ns: u64) -> Pressure {
        if now_ns < self.critical_until_ns {
            Pressure::Critical
        } else if now_ns < self.tight_until_ns {
            Pressure::Tight
        } else {
            Pressure::Calm
        }
    }
}

/// Bytes left (Z1): `grown` is what was handed out since the last look, `used` and `used_before` what the group used
/// now and then.
pub(super) fn left(limit: u64, used: u64, used_before: u64, grown: u64) -> u64 {
    let untouched = grown.saturating_sub(used.saturating_sub(used_before));
    limit.saturating_sub(used).saturating_sub(untouched)
}

/// What `left` bytes of `limit` mean, where it was `before`.
pub(super) fn by_amount(left: u64, limit: u64, before: Pressure) -> Pressure {
    let part = |percent| limit / 100 * percent;
    let is_below = |percent, level| {
        let margin = if before >= level { RETURN_PERCENT } else { 0 };
        left < part(percent + margin)
    };
    if is_below(CRITICAL_PERCENT, Pressure::Critical) {
        Pressure::Critical
    } else if is_below(TIGHT_PERCENT, Pressure::Tight) {
        Pressure::Tight
    } else {
        Pressure::Calm
    }
}

/// Whether `left` is so much that what copies files need not be known.
pub(super) fn is_plenty(left: u64, limit: u64) -> bool {
    left >= limit / 100 * (TIGHT_PERCENT + RETURN_PERCENT)
}

#[cfg(test)]
#[path = "tests/level.rs"]
mod tests;
