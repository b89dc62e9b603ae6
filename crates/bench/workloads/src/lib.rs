//! Workloads: the programs whose time is compared.
//!
//! Each is a real program that any binary can run: the bench itself, on the system's allocator and so on
//! whatever is preloaded, and small binaries with another `#[global_allocator]`. Objects come through
//! `std::alloc`, `Box` and `Vec`; on the system's allocator that is `malloc`, `calloc`, `realloc` and `free`
//! through the PLT, as in a C program.
//!
//! ```text
//! let told = jemoxide_workloads::find("tree")?.run(80);      println!("{}", told.line());
//! ```
//! K1  The work is a function of the amount alone: same operations, same sizes, same checksum under
//!     every allocator and in every run.
//! K2  Each object is stamped at both ends when it is allocated, and the stamps are read back before it
//!     is freed: memory handed out twice, or lost, ends the program. Where objects are those of a library
//!     or of a data structure, what they hold is read back and goes into the checksum.
//! K3  The name says what is done; no allocator gets to know it but through its calls.

mod async_server;
mod big_integers;
mod block;
mod burst;
mod cache_server;
mod crowd;
mod false_sharing;
mod grow;
mod hand_over;
mod json;
mod large;
mod live_set;
mod look_up;
mod mixed;
mod ping_pong;
mod random;
mod short_threads;
mod slow_leak;
mod stress;
mod strings;
mod syntax_trees;
mod team;
mod thread_churn;
mod tree;
mod zeroed;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Name in the tables and on the command line.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Amount that takes a few tenths of a second.
    pub full: u64,
    /// Amount for a test.
    pub tiny: u64,
    run: fn(u64, &mut Tally),
}

/// All workloads, in table order.
pub const WORKLOADS: &[Workload] = &[
    ping_pong::WORKLOAD,
    burst::OF_25,
    burst::OF_400,
    burst::OF_1600,
    burst::OF_100_000,
    live_set::UP_TO_1K,
    live_set::UP_TO_16K,
    live_set::HEAVY_TAILED,
    slow_leak::WORKLOAD,
    grow::WORKLOAD,
    strings::WORKLOAD,
    zeroed::WORKLOAD,
    big_integers::WORKLOAD,
    tree::WORKLOAD,
    syntax_trees::WORKLOAD,
    json::WORKLOAD,
    cache_server::WORKLOAD,
    large::BUFFERS,
    large::TOUCHED,
    hand_over::BATCHES,
    hand_over::SINGLE,
    mixed::FEW,
    mixed::MANY,
    thread_churn::FEW,
    thread_churn::MANY,
    stress::WORKLOAD,
    short_threads::WORKLOAD,
    crowd::WORKLOAD,
    false_sharing::ACTIVE,
    false_sharing::PASSIVE,
    async_server::WORKLOAD,
];

/// Workloads that take too long for the table; docs/BENCH.md tells what they show.
pub const LONG: &[Workload] = &[look_up::WORKLOAD];

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
pub struct Told {
    /// Time of the work, without start and exit of the process.
    pub elapsed_ns: u64,
    /// Processor time of the whole process until the end of the work.
    pub cpu_ns: u64,
    /// Objects allocated, grown or freed, as the workload counts them.
    pub operations: u64,
    /// A sum over everything read back.
    pub checksum: u64,
    /// Time of named parts, in nanoseconds.
    pub parts: BTreeMap<String, u64>,
}

impl Told {
    /// The line in which a process tells it: JSON.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers and names are JSON")
    }
}

/// The workload `name`.
pub fn find(name: &str) -> Option<&'static Workload> {
    let mut all = WORKLOADS.iter().chain(LONG);
    all.find(|workload| workload.name == name)
}

impl Workload {
    /// Does `amount` of the work in this very process.
    pub fn run(&self, amount: u64) -> Told {
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
    use super::{LONG, WORKLOADS, find};
    use std::collections::BTreeSet;

    #[test]
    fn every_workload_does_the_same_work_twice() {
        for workload in WORKLOADS.iter().chain(LONG) {
            let (first, second) = (workload.run(workload.tiny), workload.run(workload.tiny));
            assert!(first.operations > 0, "{} did nothing", workload.name);
            assert_eq!(first.operations, second.operations, "{}", workload.name);
            assert_eq!(first.checksum, second.checksum, "{}", workload.name);
            assert_ne!(first.checksum, 0, "{} read nothing back", workload.name);
        }
    }

    #[test]
    fn more_amount_is_more_work() {
        for workload in WORKLOADS.iter().chain(LONG) {
            let (one, three) = (workload.run(workload.tiny), workload.run(workload.tiny * 3));
            assert!(three.operations > one.operations, "{}", workload.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let all = WORKLOADS.iter().chain(LONG);
        let names: BTreeSet<_> = all.map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len() + LONG.len());
        assert!(find("ping-pong-64").is_some() && find("nothing").is_none());
    }
}
