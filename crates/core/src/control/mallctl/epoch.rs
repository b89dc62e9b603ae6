//! Epoch: figures as of one moment, for all who ask until the next.
//!
//! E1  The first call of all begins epoch 1; from then on a write to the key `epoch` begins the next.
//! E2  The figures are taken with no lock of this file held: taking them takes others.
//! Lock: mallctl, rank 0; held to copy numbers.

use crate::arena::{bin, depot};
use crate::control::purger;
use crate::extent::{self, HEAP};
use crate::size::{CACHED_CLASSES, SMALL_CLASSES};
use crate::stats::{report::Snapshot, snapshot};
use crate::sync::Mutex;
use crate::thread::registry;
use core::sync::atomic::{AtomicBool, Ordering};

/// What is known of the allocator at one moment.
pub(super) struct Figures {
    pub(super) books: Snapshot,
    pub(super) heap: extent::Figures,
    pub(super) purger: purger::Figures,
    /// Slabs of each small class.
    pub(super) slabs: [usize; SMALL_CLASSES],
    /// Objects of each class in thread caches and the depot.
    pub(super) cached: [usize; CACHED_CLASSES],
}

struct Epoch {
    number: u64,
    figures: Figures,
}

static BEGUN: AtomicBool = AtomicBool::new(false);
static EPOCH: Mutex<Epoch, 0> = Mutex::new(Epoch {
    number: 0,
    figures: Figures {
        books: Snapshot::ZERO,
        heap: extent::Figures::ZERO,
        purger: purger::Figures::ZERO,
        slabs: [0; SMALL_CLASSES],
        cached: [0; CACHED_CLASSES],
    },
});

/// Begins the first epoch, if there was none (E1).
pub(super) fn begin() {
    if !BEGUN.load(Ordering::Relaxed) && !BEGUN.swap(true, Ordering::Relaxed) {
        refresh();
    }
}

/// Begins the next epoch; answers its number.
pub(super) fn refresh() -> u64 {
    let heap = HEAP.figures();
    let mut books = Snapshot::ZERO;
    snapshot::take(&mut books);
    let figures = Figures {
        books,
        heap,
        purger: purger::figures(),
        slabs: core::array::from_fn(bin::slabs),
        cached: core::array::from_fn(|class| depot::kept(class) + registry::held(class)),
    };
    let mut epoch = EPOCH.lock();
    epoch.figures = figures;
    epoch.number += 1;
    epoch.number
}

/// The number of the epoch.
pub(super) fn number() -> u64 {
    EPOCH.lock().number
}

/// Something out of the epoch's figures.
pub(super) fn figure<R>(look: impl FnOnce(&Figures) -> R) -> R {
    look(&EPOCH.lock().figures)
}
