//! Report: the figures a process leaves for whoever started it.
//!
//! With the option `report_dir:DIR` every process running on the allocator creates `DIR/<pid>` and maps
//! it shared; the allocator keeps the figures in it up to date from its slow paths and completes them
//! at exit, so that even a process that was killed leaves its last ones. A forked child gets a file of
//! its own. The command `jemoxide run` is the reader.
//!
//! R1  `sequence` is odd while the figures are being written; a reader waits for an even value.
//! R2  Every field is a 64-bit number in the machine's byte order; sizes are bytes.
//! R3  `peak` is the snapshot taken when `active` was highest; `now` is the latest.

use super::rss::RssReport;
use crate::size::CLASSES;

/// First word of every report file: the letters `JEMOXRPT`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"JEMOXRPT");

/// Layout of [`Report`]; a reader refuses any other.
pub const LAYOUT: u64 = 3;

/// One look at the allocator's books.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Snapshot {
    /// Bytes of the objects the application holds, by usable size.
    pub allocated: u64,
    /// Bytes of the pages that hold those objects.
    pub active: u64,
    /// Bytes of idle pages whose memory is still there.
    pub dirty: u64,
    /// Bytes of idle pages that the system may take when it likes.
    pub muzzy: u64,
    /// Bytes of address range kept without memory.
    pub retained: u64,
    /// Bytes of the allocator's own records.
    pub metadata: u64,
    /// Bytes at the ends of slabs, too short for a slot.
    pub internal_slack: u64,
    /// Bytes of free slots in partly used slabs, but for those of `hollow`.
    pub free_slots: u64,
    /// Bytes of pages in partly used slabs that hold only free slots and gave their memory back.
    pub hollow: u64,
    /// Bytes of objects in thread caches.
    pub thread_caches: u64,
    /// Bytes of objects in the depot.
    pub depot: u64,
    /// Bytes of freed large objects that wait for a request of their length; a part of `dirty`.
    pub run_cache: u64,
    /// Allocations so far; exact when [`Report::counting`] is 1, else 0.
    pub allocations: u64,
    /// Frees so far; exact when [`Report::counting`] is 1, else 0.
    pub frees: u64,
    /// Live bytes of each size class, by class index.
    pub class_bytes: [u64; CLASSES],
}

impl Snapshot {
    /// Nothing in the books.
    pub const ZERO: Self = Self {
        allocated: 0,
        active: 0,
        dirty: 0,
        muzzy: 0,
        retained: 0,
        metadata: 0,
        internal_slack: 0,
        free_slots: 0,
        hollow: 0,
        thread_caches: 0,
        depot: 0,
        run_cache: 0,
        allocations: 0,
        frees: 0,
        class_bytes: [0; CLASSES],
    };
}

/// The whole file.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Report {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`LAYOUT`].
    pub layout: u64,
    /// Rule R1.
    pub sequence: u64,
    /// The process that wrote it.
    pub pid: u64,
    /// 1 once the process has left through `exit`.
    pub exited: u64,
    /// 1 if every allocation and free was counted (option `count:true`).
    pub counting: u64,
    /// Rule R3.
    pub peak: Snapshot,
    /// Rule R3.
    pub now: Snapshot,
    /// Where the memory was when the process left through `exit`; all zero before.
    pub rss: RssReport,
}
