//! Workload: the programs whose time is compared.
//!
//! Each is a real program: the bench itself, run again with the hidden command `workload NAME` and
//! another allocator preloaded. Objects come straight from `malloc`, `calloc` and `realloc` through the
//! PLT, as in a C program, or from `Box` and `Vec`, which come to the same on the system's allocator.
//!
//! K1  The work is a function of the amount alone: same operations, same sizes, same checksum under
//!     every allocator and in every run.
//! K2  Each object is stamped at both ends when it is allocated, and the stamps are read back before it
//!     is freed: memory handed out twice, or lost, ends the program.
//! K3  The name says what is done; no allocator gets to know it but through its calls.

mod block;
mod burst;
mod grow;
mod hand_over;
mod large;
mod live_set;
mod mixed;
mod ping_pong;
mod random;
mod stress;
mod thread_churn;
mod tree;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Threads of the workloads that have several: the same everywhere, so that the work is too (rule K1).
pub(crate) const THREADS: usize = 4;

/// One workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Name in the tables and on the command line.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    /// Amount that takes a few tenths of a second.
    pub(crate) full: u64,
    /// Amount for a test.
    pub(crate) tiny: u64,
    run: fn(u64, &mut Tally),
}

/// All workloads, in table order.
pub(crate) const WORKLOADS: &[Workload] = &[
    ping_pong::WORKLOAD,
    burst::OF_25,
    burst::OF_400,
    burst::OF_1600,
    burst::OF_100_000,
    live_set::UP_TO_1K,
    live_set::UP_TO_16K,
    grow::WORKLOAD,
    tree::WORKLOAD,
    large::BUFFERS,
    large::TOUCHED,
    hand_over::WORKLOAD,
    mixed::WORKLOAD,
    thread_churn::WORKLOAD,
    stress::WORKLOAD,
];

/// What a workload counts while it runs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Objects allocated, grown or freed, as the workload counts them.
    pub(crate) operations: u64,
    /// A sum over everything read back.
    pub(crate) checksum: u64,
    /// Time of named parts.
    pub(crate) parts: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds the time of `work` to the part `name`.
    pub(crate) fn part(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        let start = Instant::now();
        work(self);
        *self.parts.entry(name.to_owned()).or_default() += start.elapsed().as_nanos() as u64;
    }

    /// Counts `operations` and adds what was read back.
    pub(crate) fn add(&mut self, operations: u64, checksum: u64) {
        self.operations += operations;
        self.checksum = self.checksum.wrapping_add(checksum);
    }
}

/// What a workload process tells in its one line of output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Told {
    /// Time of the work, without start and exit of the process.
    pub(crate) elapsed_ns: u64,
    /// Processor time of the whole process until the end of the work.
    pub(crate) cpu_ns: u64,
    /// See [`Tally::operations`].
    pub(crate) operations: u64,
    /// See [`Tally::checksum`].
    pub(crate) checksum: u64,
    /// See [`Tally::parts`].
    pub(crate) parts: BTreeMap<String, u64>,
}

/// The workload `name`.
pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

impl Workload {
    /// Does `amount` of the work in this very process.
    pub(crate) fn run(&self, amount: u64) -> Told {
        let mut tally = Tally::default();
        let start = Instant::now();
        (self.run)(amount, &mut tally);
        Told {
            elapsed_ns: start.elapsed().as_nanos() as u64,
            cpu_ns: processor_time().as_nanos() as u64,
            operations: tally.operations,
            checksum: tally.checksum,
            parts: tally.parts,
        }
    }
}

fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one timespec, to which the pointer leads.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::{WORKLOADS, find};
    use std::collections::BTreeSet;

    #[test]
    fn every_workload_does_the_same_work_twice() {
        for workload in WORKLOADS {
            let (first, second) = (workload.run(workload.tiny), workload.run(workload.tiny));
            assert!(first.operations > 0, "{} did nothing", workload.name);
            assert_eq!(first.operations, second.operations, "{}", workload.name);
            assert_eq!(first.checksum, second.checksum, "{}", workload.name);
            assert_ne!(first.checksum, 0, "{} read nothing back", workload.name);
        }
    }

    #[test]
    fn more_amount_is_more_work() {
        for workload in WORKLOADS {
            let (one, three) = (workload.run(workload.tiny), workload.run(workload.tiny * 3));
            assert!(three.operations > one.operations, "{}", workload.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        assert!(find("ping-pong-64").is_some() && find("nothing").is_none());
    }
}
