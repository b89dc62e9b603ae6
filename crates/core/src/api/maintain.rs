//! Maintain: what operators and the C door ask for besides memory.

use super::slow;
use crate::arena::manual;
use crate::control::options::keys::DECAY_MAX;
use crate::control::{boot, modes, upkeep};
use crate::options::ZeroRealloc;
use crate::size::PAGE;
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
    slow::enter(upkeep::trim)
}

/// Gives all memory that nobody uses to the system, now: what the calling thread cached, what lies between threads, idle
/// pages, pages of partly used slabs that only free objects touch. Answers the bytes given back; what other threads
/// cached for themselves stays with them.
///
/// ```
/// drop(vec![1u8; 64 << 20]);
/// let bytes = jemoxide::purge();
/// println!("{bytes} bytes went back");
/// ```
pub fn purge() -> usize {
    trim()
}

/// Sets how long pages that nobody uses keep their memory, in milliseconds, along the curve of the option
/// `dirty_decay_ms`; `None`: for ever. What is due by that goes before this returns. As `arenas.dirty_decay_ms`.
///
/// ```
/// jemoxide::set_decay_ms(Some(1_000));
/// assert_eq!(jemoxide::mallctl::read("arena.0.dirty_decay_ms"), Ok(1_000isize));
/// # jemoxide::set_decay_ms(Some(10_000));
/// ```
pub fn set_decay_ms(decay_ms: Option<u64>) {
    let dirty_ms = decay_ms.map_or(-1, |ms| ms.min(DECAY_MAX as u64) as isize);
    slow::enter(|_| {
        upkeep::change_decay_ms(dirty_ms, upkeep::decay_ms().1);
    });
}

/// Empties the calling thread's cache, for whoever comes next; answers the bytes that were in it. The thread goes on
/// using its cache. As `thread.tcache.flush`.
///
/// ```
/// drop(vec![String::from("some"), String::from("objects")]);
/// jemoxide::flush_thread_cache();
/// assert_eq!(jemoxide::flush_thread_cache(), 0);
/// ```
pub fn flush_thread_cache() -> usize {
    slow::enter(upkeep::flush)
}

/// Tells that the calling thread is about to sleep for long: what it cached goes to others, and what is due goes to the
/// system. Answers the bytes that were cached. As `thread.idle`; without it the purge thread sees to sleepers, a second
/// or two later.
///
/// ```
/// std::thread::spawn(|| {
///     drop(vec![0u8; 10_000]);
///     jemoxide::idle();
///     // Waits for work here.
/// });
/// ```
pub fn idle() -> usize {
    slow::enter(upkeep::idle)
}

/// The figures of this moment.
pub fn footprint() -> Footprint {
    let mut figures = Snapshot::ZERO;
    let by_request = slow::enter(|_| {
        snapshot::take(&mut figures);
        manual::sum()
    });
    let large = figures
        .class_bytes
        .iter()
        .skip(crate::size::SMALL_CLASSES)
        .sum::<u64>();
    Footprint {
        allocated: (figures.allocated + by_request.small_bytes + by_request.large_bytes) as usize,
        large: (large + by_request.large_bytes) as usize,
        active: figures.active as usize + by_request.active_pages as usize * PAGE,
        dirty: (figures.dirty + figures.muzzy) as usize
            + (by_request.dirty_pages + by_request.muzzy_pages) as usize * PAGE,
        metadata: figures.metadata as usize,
    }
}

/// Where the memory of the process is, line by line: see [`RssReport`]. Asks the system about every page of the heap:
/// 0.3 ms in a small process, 30 to 80 ms for each GiB that has memory. No lock is held meanwhile.
pub fn rss() -> RssReport {
    let mut report = RssReport::default();
    slow::enter(|_| accounts::take(&mut report));
    report
}

/// What the option `zero_realloc` says.
pub fn zero_realloc() -> ZeroRealloc {
    boot::zero_realloc()
}

/// A C++ `new` has failed: ends the process where the option `experimental_infallible_new` asks for that.
pub fn refuse_new() {
    modes::refuse_new();
}
