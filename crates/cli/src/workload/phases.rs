//! Phases: threads and lanes through fill, steady, grow, steady, shrink, steady, rest.
//!
//! ```text
//!            phase 0   phase 1   phase 2
//! thread 0   lane 0    lane 1    lane 2      a lane moves on at each phase (rule W3)
//! thread 1   lane 1    lane 2    lane 0
//! thread 2   lane 2    lane 0    lane 1
//! ```
//! All threads meet before and after each phase; the main thread is one more at the meeting, takes the
//! time, and looks at store and memory while the others wait. All threads live to the end: memory at
//! rest is that of a service, not of one that is shutting down.

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::workload::lane::Lane;
use crate::workload::process;
use crate::workload::store::Store;
use crate::workload::{Outcome, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fill,
    /// Percent of the plan's requests.
    Steady(u64),
    Grow,
    Shrink,
    Rest,
}

const PHASES: [Phase; 7] = [
    Phase::Fill,
    Phase::Steady(45),
    Phase::Grow,
    Phase::Steady(45),
    Phase::Shrink,
    Phase::Steady(10),
    Phase::Rest,
];
/// After this phase the store is at its largest.
const GROWN: usize = 3;
const TRICKLE_EVERY: Duration = Duration::from_millis(10);
const SLOWEST_NS: u64 = 60_000_000_000;

/// One run.
pub(crate) fn serve(plan: &Plan) -> Outcome {
    let store = Store::new();
    let lanes: Vec<Mutex<Lane>> = (0..plan.threads)
        .map(|index| Mutex::new(Lane::new(plan, index)))
        .collect();
    let meeting = Barrier::new(plan.threads + 1);
    let mut latencies = empty();
    let mut busy = Duration::ZERO;
    let mut grown = (0, 0);
    let mut rested = (0, 0);
    let mut entries = 0;

    thread::scope(|scope| {
        let worker = |thread: usize| {
            let (store, lanes, meeting) = (&store, &lanes, &meeting);
            move || work(plan, thread, store, lanes, meeting)
        };
        let workers: Vec<_> = (0..plan.threads)
            .map(|thread| scope.spawn(worker(thread)))
            .collect();
        for (number, phase) in PHASES.into_iter().enumerate() {
            meeting.wait();
            let start = Instant::now();
            meeting.wait();
            if phase != Phase::Rest {
                busy += start.elapsed();
            }
            if number == GROWN {
                grown = (process::resident_bytes(), store.content().1);
            }
        }
        // Memory first: adding up the content is not part of the rest.
        let resident = process::resident_bytes();
        let (number, sum) = store.content();
        (rested, entries) = ((resident, sum), number);
        meeting.wait();
        for worker in workers {
            match worker.join() {
                Ok(measured) => latencies += &measured,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });

    Outcome {
        requests: latencies.len(),
        busy_ns: busy.as_nanos() as u64,
        p50_ns: latencies.value_at_quantile(0.50),
        p99_ns: latencies.value_at_quantile(0.99),
        rss_grown: grown.0,
        rss_rested: rested.0,
        content_grown: grown.1,
        content_rested: rested.1,
        entries,
        damaged: lanes
            .into_iter()
            .map(|lane| lane.into_inner().map_or(1, |lane| lane.damaged))
            .sum(),
        code: process::mapped_code(),
    }
}

fn work(
    plan: &Plan,
    thread: usize,
    store: &Store,
    lanes: &[Mutex<Lane>],
    meeting: &Barrier,
) -> Histogram<u64> {
    let mut latencies = empty();
    for (number, phase) in PHASES.into_iter().enumerate() {
        let mut lane = lanes[(thread + number) % lanes.len()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        meeting.wait();
        let mut last = Instant::now();
        let mut done = || {
            let now = Instant::now();
            latencies.saturating_record((now - last).as_nanos() as u64);
            last = now;
        };
        match phase {
            Phase::Fill => lane.fill(store, &mut done),
            Phase::Steady(percent) => {
                let requests = plan.requests * percent / 100 / plan.threads as u64;
                lane.steady(store, requests, &mut done);
            }
            Phase::Grow => lane.grow(store, &mut done),
            Phase::Shrink => lane.shrink(store, &mut done),
            Phase::Rest => rest(plan, &mut lane, store),
        }
        drop(lane);
        meeting.wait();
    }
    // The thread, and what the allocator keeps for it, stays until memory has been looked at.
    meeting.wait();
    latencies
}

fn rest(plan: &Plan, lane: &mut Lane, store: &Store) {
    let end = Instant::now() + Duration::from_millis(plan.rest_ms);
    while Instant::now() < end {
        lane.trickle(store);
        thread::sleep(TRICKLE_EVERY);
    }
}

fn empty() -> Histogram<u64> {
    // Two digits: a hundredth is finer than runs agree.
    Histogram::new_with_bounds(1, SLOWEST_NS, 2).expect("the bounds are constants and valid")
}
