//! Limit: the bytes that count as ours, and how many may be.
//!
//! ```text
//! pages of the page heap     handed out or idle with memory: +   purged, moved away: -
//! pages inside slabs         purged: -                           filled again: +
//! pages of records           the first record on them: +         purged: -
//! entries of the page map    with the first run of a huge page: +
//!                              USED  <=  HARD, checked in one step with the addition
//! ```
//! L1  What is counted is what the system may charge the process for on our account: pages handed out, touched or
//!     not, as they can be touched at any time without a call; idle pages that have memory; our own records. Address
//!     space alone is not, nor what was given back.
//! L2  Bytes are counted before memory is asked for or handed out, and counted off after it went or was refused. So no
//!     number of threads gets beyond the hard limit together.
//! L3  A refusal changes nothing: it fails no other request, not for an instant.
//! L4  What cannot fail is counted without a look at the limit: memory that came back although the system was asked to
//!     take it, and what was used before the limit was set. Until it falls below the limit, nothing is added.
//! L5  A limit below [`FLOOR`] is one of [`FLOOR`]: the library's own start needs a part of that.
//! Outside the count: the program itself, its stacks and libraries, mappings of its own; of the library the code and
//! the static tables (under 200 KiB touched).
//! Locks: none. The counts are relaxed: they order nothing, and the addition that decides is one atomic step.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// No limit.
pub(crate) const NONE: usize = usize::MAX;
/// The lowest limit there is (L5). A thread that allocates one small object takes 60 KiB of records and pages.
pub(crate) const FLOOR: usize = 1 << 20;

#[unsafe(link_section = ".data.jemoxide_start")]
static USED: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static HARD: AtomicUsize = AtomicUsize::new(NONE);
#[unsafe(link_section = ".data.jemoxide_start")]
static SOFT: AtomicUsize = AtomicUsize::new(NONE);
/// Above so many bytes little may idle: the soft limit, and after it was passed what is waited for.
#[unsafe(link_section = ".data.jemoxide_start")]
static TIGHT: AtomicUsize = AtomicUsize::new(NONE);
/// Less than so many bytes are waited for; 0: no longer, or never.
#[unsafe(link_section = ".data.jemoxide_start")]
static WATCHED: AtomicUsize = AtomicUsize::new(0);
/// Something was added above the soft limit since [`forget_crossed`].
#[unsafe(link_section = ".data.jemoxide_start")]
static CROSSED: AtomicBool = AtomicBool::new(false);

/// Counts `bytes` that are about to be used. `false`: that would be beyond the hard limit; nothing is counted.
#[inline]
pub(crate) fn reserve(bytes: usize) -> bool {
    if !is_set() {
        add(bytes);
        return true;
    }
    reserve_below(bytes, HARD.load(Ordering::Relaxed))
}

#[cold]
fn reserve_below(bytes: usize, hard: usize) -> bool {
    let more = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= hard);
    // Not an addition that is undone where it was too much: others would be refused meanwhile (L3).
    let before = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    before.is_ok_and(|used| {
        note(used + bytes);
        true
    })
}

/// Counts `bytes`, whatever the limit (L4).
#[inline]
pub(crate) fn add(bytes: usize) {
    note(USED.fetch_add(bytes, Ordering::Relaxed) + bytes);
}

/// Counts `bytes` off, whose memory has gone, or was not to be had.
#[inline]
pub(crate) fn give(bytes: usize) {
    let used = USED.fetch_sub(bytes, Ordering::Relaxed) - bytes;
    if used < WATCHED.load(Ordering::Relaxed) {
        unwatch();
    }
}

/// Has it noticed when less than `bytes` are used; until then little may idle above that.
pub(crate) fn watch_below(bytes: usize) {
    TIGHT.store(bytes, Ordering::Relaxed);
    WATCHED.store(bytes, Ordering::Relaxed);
    if used() < bytes {
        unwatch();
    }
}

/// Waits for nothing.
pub(crate) fn unwatch() {
    WATCHED.store(0, Ordering::Relaxed);
    TIGHT.store(soft(), Ordering::Relaxed);
}

/// Whether little may idle.
#[inline]
pub(crate) fn is_tight() -> bool {
    used() > TIGHT.load(Ordering::Relaxed)
}

/// Whether what [`watch_below`] was told to notice has not happened yet.
pub(crate) fn is_watching() -> bool {
    WATCHED.load(Ordering::Relaxed) != 0
}

#[inline]
fn note(used: usize) {
    if used > SOFT.load(Ordering::Relaxed) {
        CROSSED.store(true, Ordering::Relaxed);
    }
}

/// Whether there is a hard limit.
#[inline]
pub(crate) fn is_set() -> bool {
    HARD.load(Ordering::Relaxed) != NONE
}

/// Whether `bytes` more are within the hard limit at this instant.
pub(crate) fn has_room(bytes: usize) -> bool {
    let sum = used().checked_add(bytes);
    sum.is_some_and(|sum| sum <= HARD.load(Ordering::Relaxed))
}

/// Whether something was added above the soft limit.
#[inline]
pub(crate) fn is_crossed() -> bool {
    CROSSED.load(Ordering::Relaxed)
}

/// Forgets it: somebody is about to see to it.
pub(crate) fn forget_crossed() {
    CROSSED.store(false, Ordering::Relaxed);
}

/// Whether more is used than the soft limit says.
#[inline]
pub(crate) fn is_over_soft() -> bool {
    used() > soft()
}

/// Bytes that count.
pub(crate) fn used() -> usize {
    USED.load(Ordering::Relaxed)
}

/// The hard limit; [`NONE`]: none.
pub(crate) fn hard() -> usize {
    HARD.load(Ordering::Relaxed)
}

/// The soft limit; [`NONE`]: none.
pub(crate) fn soft() -> usize {
    SOFT.load(Ordering::Relaxed)
}

/// The limit that `bytes` means: 0 is none, and L5.
const fn meant(bytes: usize) -> usize {
    match bytes {
        0 => NONE,
        1..FLOOR => FLOOR,
        bytes => bytes,
    }
}

/// Sets the hard limit; 0: none.
pub(crate) fn set_hard(bytes: usize) {
    HARD.store(meant(bytes), Ordering::Relaxed);
}

/// Sets the soft limit; 0: none.
pub(crate) fn set_soft(bytes: usize) {
    SOFT.store(meant(bytes), Ordering::Relaxed);
    unwatch();
    CROSSED.store(used() > soft(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;
    use crate::sys::simulated::dice::rounds;
    use std::thread;

    const HARD: usize = 2 << 20;

    #[test]
    fn racing_reservations_never_pass_the_limit_and_fail_nobody_else() {
        alone(|| {
            let (before, threads) = (used(), 64);
            set_hard(HARD);
            let granted = AtomicUsize::new(0);
            thread::scope(|scope| {
                for number in 0..threads {
                    let granted = &granted;
                    scope.spawn(move || {
                        for step in 0..rounds(20_000) {
                            // Small ones, and ones that can never be had.
                            let bytes = if (step + number) % 7 == 0 {
                                HARD
                            } else {
                                96 << 10
                            };
                            if reserve(bytes) {
                                assert!(used() <= HARD, "L2");
                                granted.fetch_add(1, Ordering::Relaxed);
                                give(bytes);
                            }
                        }
                    });
                }
            });
            assert!(granted.load(Ordering::Relaxed) > 0);
            assert_eq!(used(), before, "L3");
        });
    }

    #[test]
    fn a_refusal_fails_no_other_request() {
        alone(|| {
            set_hard(HARD);
            thread::scope(|scope| {
                let greedy =
                    scope.spawn(|| (0..3_000_000).for_each(|_| assert!(!reserve(HARD + 1))));
                while !greedy.is_finished() {
                    assert!(reserve(64 << 10), "L3");
                    give(64 << 10);
                }
            });
        });
    }

    #[test]
    fn limits_are_floors_or_none_and_crossings_are_noted_once_told() {
        alone(|| {
            for (bytes, meant) in [(0, NONE), (1, FLOOR), (FLOOR, FLOOR), (HARD, HARD)] {
                set_hard(bytes);
                assert_eq!(hard(), meant, "L5");
            }
            set_hard(0);
            set_soft(HARD);
            assert!(!is_crossed());
            add(HARD);
            assert!(is_over_soft() == (used() > HARD) && is_crossed() == is_over_soft());
            add(1);
            assert!(is_crossed());
            forget_crossed();
            watch_below(HARD);
            assert!(is_watching());
            give(HARD + 1);
            assert!(!is_watching() && !is_crossed());
        });
    }
}
