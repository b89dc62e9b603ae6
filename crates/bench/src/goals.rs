//! Goals: the numbers that jemoxide has to reach, one table, a row per measure.
//!
//! A must hold, B is where we are going. Lower is better in every row. Rows of `instructions` and
//! `memory` are absolute; rows of `compare` are ratios to the best peer of that very row; rows of `scale` are
//! ratios of one allocator's far end to its own near end.
//!
//! G1  A name is used by exactly one row of one table; a test compares the names with the rows. Rows of the
//!     Rust binaries, which do the same workloads, have none.
//! G2  `b <= a`.

/// What one measure should come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Goal {
    /// Key of the row.
    pub(crate) key: &'static str,
    /// Must hold.
    pub(crate) a: f64,
    /// Where we are going.
    pub(crate) b: f64,
}

const fn goal(key: &'static str, a: f64, b: f64) -> Goal {
    Goal { key, a, b }
}

/// Every goal that the bench can check.
pub(crate) const GOALS: &[Goal] = &[
    // Instructions per operation.
    goal("ping_pong", 50.0, 44.0),
    goal("random_live", 55.0, 48.0),
    goal("burst", 50.0, 44.0),
    goal("zeroed", 70.0, 60.0),
    goal("grow", 62.0, 50.0),
    goal("large", 200.0, 120.0),
    goal("rust_box", 30.0, 20.0),
    // Memory.
    goal("true_rss_kib", 1150.0, 1050.0),
    goal("true_faults", 78.0, 72.0),
    goal("idle_threads_mib", 36.0, 30.0),
    goal("all_freed_mib", 12.0, 10.0),
    goal("mostly_freed_ratio", 5.0, 4.6),
    goal("mostly_freed_peak", 1.10, 1.09),
    goal("metadata_percent", 0.8, 0.5),
    // Longest calls while a large heap is given back, in microseconds.
    goal("stall_free", 1000.0, 500.0),
    goal("stall_beside", 1000.0, 500.0),
    // The soak: mean RSS over mean live bytes; processor time over the fastest peer's.
    goal("soak_rss_over_live", 1.25, 1.25),
    goal("soak_cpu_over_fastest", 1.02, 1.02),
    // Time over the best peer.
    goal("ping-pong-64", 0.80, 0.70),
    goal("burst-1600", 0.70, 0.60),
    goal("burst-100000", 0.60, 0.40),
    goal("producer-consumer", 1.00, 0.50),
    goal("thread-churn", 1.00, 0.90),
    goal("large-touched", 1.05, 1.00),
    goal("mixed-threads", 1.00, 0.90),
    goal("thread-stress", 1.00, 0.90),
    goal("python-json", 1.00, 0.97),
    goal("lua-strings", 1.00, 0.97),
    goal("ghostscript", 1.00, 0.97),
    goal("z3", 1.00, 0.97),
    goal("redis", 1.00, 0.97),
    goal("postgresql", 1.00, 0.97),
    goal("nginx", 1.00, 0.97),
    goal("cargo-build", 1.00, 0.97),
    goal("time_mean", 1.03, 0.97),
    goal("rss_mean", 1.05, 1.00),
    // Cost at the far end of a series over that at its near end.
    goal("scale-threads-own", 1.20, 1.00),
    goal("scale-threads-handed", 1.20, 1.00),
    goal("scale-live-allocate", 1.20, 1.00),
    goal("scale-live-replace", 1.20, 1.00),
    goal("scale-live-free", 1.20, 1.00),
    goal("scale-idle-start", 1.20, 1.00),
    goal("scale-idle-one-more", 1.20, 1.00),
    goal("scale-idle-end", 1.20, 1.00),
    goal("scale-idle-rss", 1.20, 1.00),
    goal("scale-mapped-map", 1.20, 1.00),
    goal("scale-mapped-small", 1.20, 1.00),
    goal("scale-mapped-middle", 1.20, 1.00),
    goal("scale-mapped-large", 1.20, 1.00),
    goal("scale-mapped-unmap", 1.20, 1.00),
];

/// The goal of the row `key`, if it has one.
pub(crate) fn of(key: &str) -> Option<Goal> {
    GOALS.iter().copied().find(|goal| goal.key == key)
}

#[cfg(test)]
mod tests {
    use super::GOALS;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_b_is_the_harder_one() {
        let names: BTreeSet<_> = GOALS.iter().map(|goal| goal.key).collect();
        assert_eq!(names.len(), GOALS.len(), "rule G1");
        assert!(GOALS.iter().all(|goal| goal.b <= goal.a), "rule G2");
    }

    #[test]
    fn every_goal_has_a_row() {
        let mut rows: BTreeSet<&str> = BTreeSet::new();
        rows.extend(crate::instructions::KEYS);
        rows.extend(crate::memory::KEYS);
        rows.extend(crate::compare::keys());
        rows.extend(crate::scale::keys());
        rows.extend(crate::soak::KEYS);
        rows.extend(crate::stall::keys());
        for goal in GOALS {
            assert!(rows.contains(goal.key), "no row measures {}", goal.key);
        }
    }
}
