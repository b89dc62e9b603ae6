//! Maintain: what operators and the C door ask for besides memory.

use super::slow::{self, Operation};
use crate::control::{boot, upkeep};
use crate::options::ZeroRealloc;
use crate::stats::report::Snapshot;
use crate::stats::rss::RssReport;
use crate::stats::{accounts, snapshot};

/// Bytes by state, of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Objects the application holds, by usable size.
    pub allocated: usize,
    /// Of those, objects with an extent of their own.
    pub large: usize,
    /// Pages that hold objects.
    pub active: usize,
    /// Idle pages whose memory is still there.
    pub dirty: usize,
    /// Our own records.
    pub metadata: usize,
}

/// Gives all idle memory to the system: caches of the calling thread and of threads that ended, depot, idle
/// pages. Bytes given back.
pub fn trim() -> usize {
    slow::enter(Operation::Other, upkeep::trim)
}

/// The figures of this moment.
pub fn footprint() -> Footprint {
    let mut figures = Snapshot::ZERO;
    slow::enter(Operation::Other, |_| snapshot::take(&mut figures));
    let large = figures
        .class_bytes
        .iter()
        .skip(crate::size::SMALL_CLASSES)
        .sum::<u64>();
    Footprint {
        allocated: figures.allocated as usize,
        large: large as usize,
        active: figures.active as usize,
        dirty: (figures.dirty + figures.muzzy) as usize,
        metadata: figures.metadata as usize,
    }
}

/// Where the memory of the process is, line by line: see [`RssReport`]. Asks the system about every page of the heap:
/// about 0.2 ms for each GiB that has memory, and 10 us for each mapping of the process.
pub fn rss() -> RssReport {
    let mut report = RssReport::default();
    slow::enter(Operation::Other, |_| accounts::take(&mut report));
    report
}

/// What the option `zero_realloc` says.
pub fn zero_realloc() -> ZeroRealloc {
    boot::zero_realloc()
}
