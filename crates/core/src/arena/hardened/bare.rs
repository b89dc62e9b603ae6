//! Bare: pages of the arena's runs that have no memory, and that nobody is to give any.
//!
//! ```text
//! run of the page heap, counted whole      | guard | pages in use ...... | guard |     | freed, shut ......... |
//! bare                                        1                             1            all of it
//! ```
//! B1  A page is bare from when its memory went and nobody is to touch it, until before it is used or its run goes back. Nearly
//!     all are shut; where there may be no more guards, a write to a freed object gives one memory that is not counted.
//! B2  Bare pages do not count (see `meta::limit`), nor are they active or resident in the figures, though their runs are handed
//!     out: rule C4 of `extent::count`.
//! B3  Before pages are opened for use they are counted again, and where the limit refuses that they stay shut. What is opened to
//!     go back to the page heap is counted whatever the limit is: the heap counts it off in the same breath.
//! Lock: none; who changes a run's pages has them to itself.

use crate::extent::{HEAP, Run};
use crate::meta::limit;
use crate::size::{PAGE, Pages};
use core::sync::atomic::{AtomicUsize, Ordering};

static BARE: AtomicUsize = AtomicUsize::new(0);
/// Pages of the arena's runs, bare ones among them.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Bytes of bare pages.
pub(crate) fn bytes() -> usize {
    BARE.load(Ordering::Relaxed) * PAGE
}

/// Bytes of the arena's runs that may have memory.
pub(crate) fn held_bytes() -> usize {
    (RUNS.load(Ordering::Relaxed) * PAGE).saturating_sub(bytes())
}

/// A run of `pages` pages goes back.
pub(super) fn forget_run(pages: Pages) {
    RUNS.fetch_sub(pages.0, Ordering::Relaxed);
}

/// `pages` pages are bare from now on.
pub(super) fn note(pages: usize) {
    BARE.fetch_add(pages, Ordering::Relaxed);
    limit::give(pages * PAGE);
}

/// `pages` bare pages are about to be used. `false`: the limit refuses them (B3).
pub(super) fn reserve(pages: usize) -> bool {
    let granted = limit::reserve(pages * PAGE);
    if granted {
        BARE.fetch_sub(pages, Ordering::Relaxed);
    }
    granted
}

/// `pages` bare pages are about to go back to the page heap, or were not to be had (B3).
pub(super) fn unnote(pages: usize) {
    limit::add(pages * PAGE);
    BARE.fetch_sub(pages, Ordering::Relaxed);
}

/// Has all of `run`, of `pages` pages and just handed out, read zero, and notes it. Whether it has no memory.
pub(super) fn clear(run: &Run, pages: Pages) -> bool {
    RUNS.fetch_add(pages.0, Ordering::Relaxed);
    // SAFETY: the run just handed out, whose contents are of no use.
    unsafe {
        if run.zeroed || HEAP.renew(run.addr, pages) {
            return true;
        }
        run.addr.as_ptr().write_bytes(0, pages.bytes());
    }
    false
}
