//! Locks: `stats.mutexes.*`, `stats.arenas.<i>.mutexes.*` and bins' `mutex.*`, as of the epoch.
//!
//! | jemalloc's | ours |
//! |---|---|
//! | `ctl` | mallctl: the epoch's figures |
//! | `prof` | profile: all that the profiler keeps |
//! | `extents_dirty` | page heap: all runs of pages, whatever their state, and their decay |
//! | `extents_retained` | data segment: moving its end |
//! | `decay_dirty` | sweep: who looks for idle pages inside slabs |
//! | `base` | metadata: records |
//! | `tcache_list` | registry: the list of thread caches |
//! | bins' `mutex` | bin |
//! | all others | none: what they guard has no lock here, or is not built in |
//!
//! An arena made by request has one lock, which stands with `extents_dirty`. Those of automatic arenas are shared by all automatic ones, and stand with the first.

use super::super::epoch::{Figures, figure, forget_lock_figures};
use super::super::index::Arenas;
use super::super::row::{Access, Kind, Row, read, row};
use super::stats_classes::bin;
use super::{Call, Refusal};
use crate::sync::LockFigures;

/// Number of the lock in the lists below, times [`COUNTS`], and of the count; or what makes all begin anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Key(u8);

/// What is counted of a lock.
const COUNTS: usize = 7;
const GLOBAL: usize = 9;
const ARENA: usize = 13;
const ROW_COUNT: usize = (GLOBAL + ARENA + 1) * COUNTS + 1;
/// The number of the bins' lock.
const BIN: u8 = (GLOBAL + ARENA) as u8;
const RESET: Key = Key((ROW_COUNT - 1) as u8);

macro_rules! locks {
    ($($prefix:literal: $($name:literal)*;)*) => {
        [$($(
            [
                count(concat!($prefix, $name, ".num_ops"), Kind::U64),
                count(concat!($prefix, $name, ".num_wait"), Kind::U64),
                count(concat!($prefix, $name, ".num_spin_acq"), Kind::U64),
                count(concat!($prefix, $name, ".num_owner_switch"), Kind::U64),
                count(concat!($prefix, $name, ".total_wait_time"), Kind::U64),
                count(concat!($prefix, $name, ".max_wait_time"), Kind::U64),
                count(concat!($prefix, $name, ".max_num_thds"), Kind::U32),
            ],
        )*)*]
    };
}

const fn count(name: &'static str, kind: Kind) -> Row {
    read(name, kind, super::Key::StatsLocks(Key(0)))
}

const LOCKS: [[Row; COUNTS]; GLOBAL + ARENA + 1] = locks! {
    "stats.mutexes.": "background_thread" "max_per_bg_thd" "ctl" "prof" "prof_thds_data" "prof_dump"
        "prof_recent_alloc" "prof_recent_dump" "prof_stats";
    "stats.arenas.<i>.mutexes.": "large" "extent_avail" "extents_dirty" "extents_muzzy" "extents_retained"
        "extents_pinned" "decay_dirty" "decay_muzzy" "base" "tcache_list" "hpa_shard" "hpa_shard_grow" "hpa_sec";
    "stats.arenas.<i>.bins.<j>.": "mutex";
};

const ALL: [Row; ROW_COUNT] = {
    let reset = super::Key::StatsLocks(RESET);
    let reset = row("stats.mutexes.reset", Access::Own, Kind::None, reset);
    let (mut all, mut at) = ([reset; ROW_COUNT], 0);
    while at < ROW_COUNT - 1 {
        all[at] = LOCKS[at / COUNTS][at % COUNTS];
        all[at].facts.key = super::Key::StatsLocks(Key(at as u8));
        at += 1;
    }
    all
};

pub(super) const ROWS: &[Row] = &ALL;

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    // As in the original: whatever else is asked for.
    if key == RESET {
        forget_lock_figures();
        return Ok(());
    }
    let (lock, count) = (key.0 / COUNTS as u8, key.0 % COUNTS as u8);
    let [arena, class] = call.indexes;
    if lock >= GLOBAL as u8 {
        match Arenas::of(arena) {
            Arenas::Absent => return Err(Refusal::Absent),
            // It has one lock for all that it has.
            Arenas::Manual(arena) if lock == GLOBAL as u8 + 2 => {
                return give(call, count, arena.lock_figures());
            }
            _ => {}
        }
    }
    let figures = figure(|figures| match lock {
        BIN => bin(figures, Arenas::of(arena), class).lock,
        _ => counted(lock, Arenas::of(arena), figures),
    });
    give(call, count, figures)
}

fn give(call: &mut Call, count: u8, figures: LockFigures) -> Result<(), Refusal> {
    let number = match count {
        0 => figures.ops,
        1 => figures.waits,
        2 => figures.spins,
        3 => figures.owner_switches,
        4 => figures.wait_ns,
        5 => figures.longest_wait_ns,
        _ => return call.request.give(figures.waiters_max),
    };
    call.request.give(number)
}

/// The table of the head, by the numbers of the rows.
fn counted(lock: u8, arenas: Arenas, figures: &Figures) -> LockFigures {
    let locks = &figures.locks;
    match lock.checked_sub(GLOBAL as u8) {
        None if lock == 2 => locks.mallctl,
        None if lock == 3 => locks.profile,
        Some(_) if !arenas.hold_shared() => LockFigures::ZERO,
        Some(2) => locks.heap,
        Some(4) => locks.data_segment,
        Some(6) => locks.sweep,
        Some(8) => locks.metadata,
        Some(9) => locks.registry,
        _ => LockFigures::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_locks_by_their_numbers() {
        let name = |lock: usize| LOCKS[lock][0].name;
        assert_eq!(name(2), "stats.mutexes.ctl.num_ops");
        assert_eq!(name(3), "stats.mutexes.prof.num_ops");
        for (lock, word) in [
            (2, "extents_dirty"),
            (4, "extents_retained"),
            (6, "decay_dirty"),
            (8, "base"),
            (9, "tcache_list"),
        ] {
            let name = name(GLOBAL + lock);
            assert_eq!(name.split('.').nth(4), Some(word), "{name}");
        }
        assert_eq!(name(BIN.into()), "stats.arenas.<i>.bins.<j>.mutex.num_ops");
    }
}
