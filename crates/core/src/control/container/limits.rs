//! Limits: what the groups from ours up to the last one visible allow, and what they use of it.
//!
//! ```text
//! /cg               no limit
//! /cg/pod           memory.max 1 GiB, uses 900 MiB     the least is left here: this level is watched
//! /cg/pod/service   memory.max 2 GiB, uses 300 MiB
//! ```
//! K1  The tightest limit of all levels holds, whichever it is. What is watched is the level with the least left.
//! K2  Of `memory.max` and `memory.high` the lower is a level's limit: beyond `high` the system makes us wait.
//! K3  A file that is missing, or not for us, sets no limit.
#![deny(unsafe_code)]

use super::place::Place;
use super::reading::{Lines, Scratch, value};
use super::text::{self, Version};

/// The group whose memory is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watched {
    /// Which level of the place it is.
    pub(super) level: usize,
    /// What it may use at most, in bytes.
    pub(super) limit: u64,
}

/// What the memory of all levels comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    /// The tightest limit in bytes.
    pub(super) limit: u64,
    pub(super) watched: Watched,
}

/// Looks at all levels. `None`: there is no limit.
pub(super) fn memory(place: &Place, scratch: &mut Scratch) -> Option<Memory> {
    let mut least = None;
    let mut found: Option<Memory> = None;
    for level in place.levels() {
        let Some(limit) = level_limit(place, level, scratch) else {
            continue;
        };
        let left = usage(place, level, scratch).map_or(limit, |used| limit.saturating_sub(used));
        let watched = Watched { level, limit };
        found = Some(Memory {
            limit: found.map_or(limit, |found| found.limit.min(limit)),
            watched: match found {
                Some(found) if least.is_some_and(|least| least <= left) => found.watched,
                _ => watched,
            },
        });
        least = Some(least.map_or(left, |least: u64| least.min(left)));
    }
    found
}

/// The limit of one level (K2).
fn level_limit(place: &Place, level: usize, scratch: &mut Scratch) -> Option<u64> {
    let files: &[&str] = match place.version()? {
        Version::One => &["memory.limit_in_bytes"],
        Version::Two => &["memory.max", "memory.high"],
    };
    let mut read = |name: &&str| text::limit(value(place.open(level, name)?, scratch)?);
    files.iter().filter_map(&mut read).min()
}

/// Bytes that the group at `level` uses, the system's copies of files included.
pub(super) fn usage(place: &Place, level: usize, scratch: &mut Scratch) -> Option<u64> {
    let name = match place.version()? {
        Version::One => "memory.usage_in_bytes",
        Version::Two => "memory.current",
    };
    text::number(value(place.open(level, name)?, scratch)?)
}

/// Bytes of these that copy files: the system takes them back before it ends anybody.
pub(super) fn reclaimable(place: &Place, level: usize, scratch: &mut Scratch) -> Option<u64> {
    let keys: [&[u8]; 2] = match place.version()? {
        Version::One => [b"total_active_file", b"total_inactive_file"],
        Version::Two => [b"active_file", b"inactive_file"],
    };
    sum(place, level, "memory.stat", &keys, scratch)
}

/// How often the group at `level` came to its limit, and how often somebody was ended, or nearly, for it.
pub(super) fn events(place: &Place, level: usize, scratch: &mut Scratch) -> Events {
    match place.version() {
        Some(Version::Two) => {
            let mut read = |keys: &[&[u8]]| sum(place, level, "memory.events", keys, scratch);
            Events {
                warned: read(&[b"high", b"max"]).unwrap_or(0),
                failed: read(&[b"oom", b"oom_kill"]).unwrap_or(0),
            }
        }
        Some(Version::One) => {
            let mut count = |name| text::number(value(place.open(level, name)?, scratch)?);
            Events {
                warned: count("memory.failcnt").unwrap_or(0),
                failed: sum(
                    place,
                    level,
                    "memory.oom_control",
                    &[b"oom_kill", b"under_oom"],
                    scratch,
                )
                .unwrap_or(0),
            }
        }
        None => Events::default(),
    }
}

/// Counts of events so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Events {
    /// The limit was met, and memory was taken back for it.
    pub(super) warned: u64,
    /// Nothing was left to take back.
    pub(super) failed: u64,
}

/// The sum of the lines of a file that have one of `keys`.
fn sum(
    place: &Place,
    level: usize,
    name: &str,
    keys: &[&[u8]],
    scratch: &mut Scratch,
) -> Option<u64> {
    let mut lines = Lines::in_file(place.open(level, name)?, scratch);
    let (mut sum, mut left) = (0u64, keys.len());
    while left > 0 {
        let Some(line) = lines.next() else { break };
        if let Some(number) = keys.iter().find_map(|key| text::keyed(line, key)) {
            sum = sum.saturating_add(number);
            left -= 1;
        }
    }
    (left < keys.len()).then_some(sum)
}

/// Microseconds that tasks waited for memory so far: of the group, where the system tells; else of the machine, of which
/// it is told only that some waited: it need not have been ours.
pub(super) fn stalled(place: &Place, level: usize, scratch: &mut Scratch) -> Stalled {
    let own = match place.version() {
        Some(Version::Two) => place.open(level, "memory.pressure"),
        _ => None,
    };
    let is_own = own.is_some();
    let lines = match own {
        Some(file) => Some(Lines::in_file(file, scratch)),
        None => Lines::of(c"/proc/pressure/memory", scratch),
    };
    let mut stalled = Stalled::default();
    let Some(mut lines) = lines else {
        return stalled;
    };
    while let Some(line) = lines.next() {
        if let Some(us) = text::stalled_us(line, b"some") {
            stalled.some_us = us;
        } else if let (true, Some(us)) = (is_own, text::stalled_us(line, b"full")) {
            stalled.full_us = us;
        }
    }
    stalled
}

/// Time lost so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Stalled {
    /// In which some task waited.
    pub(super) some_us: u64,
    /// In which all of them did.
    pub(super) full_us: u64,
}

/// Processors that the quotas of all levels allow, the tightest of them. `None`: no quota.
pub(super) fn processors(place: &Place, scratch: &mut Scratch) -> Option<usize> {
    let version = place.version()?;
    place
        .levels()
        .filter_map(|level| match version {
            Version::Two => text::cpu_max(value(place.open(level, "cpu.max")?, scratch)?),
            Version::One => {
                let mut read = |name| text::number(value(place.open(level, name)?, scratch)?);
                text::processors(read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?)
            }
        })
        .min()
}

#[cfg(test)]
#[path = "tests/limits.rs"]
mod tests;
