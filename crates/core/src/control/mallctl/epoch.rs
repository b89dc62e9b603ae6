//! Epoch: figures as of one moment, for all who ask until the next.
//!
//! E1  The first call of all begins epoch 1; from then on a write to the key `epoch` begins the next.
//! E2  The figures are taken in their place, under the lock of this file, which is the first in the order of locks.
//! E3  The inventory of the page heap takes time for each huge page: it is taken when it is first asked for in an epoch.
//! Locks: mallctl, rank 0; another one for the inventory, which is never held together with it.

use crate::arena::bin::{self, BinFigures};
use crate::arena::large::{self, LargeFigures};
use crate::arena::run_cache::{self, RunFigures};
use crate::arena::{ARENAS_MAX, ArenaIndex, automatic, depot, explicit, hardened, manual, sweep};
use crate::control::{boot, purger};
use crate::extent::{self, HEAP, Inventory, RunState};
use crate::meta;
use crate::prof;
use crate::size::{CACHED_CLASSES, CLASSES, SMALL_CLASSES, SizeClass};
use crate::stats::{report::Snapshot, snapshot};
use crate::sync::{LockFigures, Mutex};
use crate::thread::registry;
use core::sync::atomic::{AtomicBool, Ordering};

/// Large classes.
pub(super) const LARGE_CLASSES: usize = CLASSES - SMALL_CLASSES;

/// What is known of the allocator at one moment.
pub(super) struct Figures {
    pub(super) books: Snapshot,
    pub(super) heap: extent::Figures,
    pub(super) purger: purger::Figures,
    /// Sums over the arenas made by request.
    pub(super) by_request: manual::Figures,
    /// By arena and small class.
    pub(super) bins: [[BinFigures; SMALL_CLASSES]; ARENAS_MAX],
    /// By arena and large class.
    pub(super) large: [[LargeFigures; LARGE_CLASSES]; ARENAS_MAX],
    pub(super) runs: RunFigures,
    /// Bytes of the records of slabs, large objects and huge pages.
    pub(super) record_bytes: usize,
    pub(super) locks: Locks,
    /// Objects of each class that threads asked automatic arenas for.
    pub(super) requests: [u64; CACHED_CLASSES],
    /// Objects of each class in thread caches and the depot.
    pub(super) cached: [usize; CACHED_CLASSES],
    /// Since the boot.
    pub(super) uptime_ns: u64,
}

/// What was counted of our locks.
pub(super) struct Locks {
    pub(super) mallctl: LockFigures,
    pub(super) registry: LockFigures,
    pub(super) sweep: LockFigures,
    pub(super) heap: LockFigures,
    pub(super) metadata: LockFigures,
    pub(super) data_segment: LockFigures,
    pub(super) profile: LockFigures,
}

impl Figures {
    const ZERO: Self = Self {
        books: Snapshot::ZERO,
        heap: extent::Figures::ZERO,
        purger: purger::Figures::ZERO,
        by_request: manual::Figures::NONE,
        bins: [[BinFigures::ZERO; SMALL_CLASSES]; ARENAS_MAX],
        large: [[LargeFigures::ZERO; LARGE_CLASSES]; ARENAS_MAX],
        runs: RunFigures::ZERO,
        record_bytes: 0,
        locks: Locks {
            mallctl: LockFigures::ZERO,
            registry: LockFigures::ZERO,
            sweep: LockFigures::ZERO,
            heap: LockFigures::ZERO,
            metadata: LockFigures::ZERO,
            data_segment: LockFigures::ZERO,
            profile: LockFigures::ZERO,
        },
        requests: [0; CACHED_CLASSES],
        cached: [0; CACHED_CLASSES],
        uptime_ns: 0,
    };

    fn take(&mut self) {
        self.heap = HEAP.figures();
        // It stands with the arenas made by request.
        let by_request = hardened::by_request_bytes();
        self.heap.mapped = self.heap.mapped.saturating_sub(by_request);
        snapshot::take(&mut self.books);
        self.purger = purger::figures();
        self.by_request = manual::note_all();
        for (index, bins) in self.bins.iter_mut().enumerate().take(automatic()) {
            for (class, figures) in bins.iter_mut().enumerate() {
                *figures = bin::figures(class, ArenaIndex::new(index));
            }
        }
        for (index, large) in self.large.iter_mut().enumerate().take(automatic()) {
            for (class, figures) in large.iter_mut().enumerate() {
                *figures = large::figures_in(ArenaIndex::new(index), SMALL_CLASSES + class);
            }
        }
        self.add_hardened();
        self.runs = large::run_figures();
        let slabs = (0..SMALL_CLASSES).map(|class| {
            let slabs: usize = self.bins.iter().map(|bins| bins[class].curslabs).sum();
            slabs * bin::record_bytes(class)
        });
        self.record_bytes =
            slabs.sum::<usize>() + large::record_bytes() + self.heap.descriptor_bytes;
        for (class, cached) in self.cached.iter_mut().enumerate() {
            *cached = depot::kept(class) + registry::held(class) + explicit::held(class);
        }
        for (class, requests) in self.requests.iter_mut().enumerate() {
            let all = SizeClass::new(class).map_or(0, |class| registry::totals(class).popped);
            *requests = all.saturating_sub(manual::requests(class));
        }
        self.locks = Locks {
            mallctl: EPOCH.figures(),
            registry: registry::lock_figures(),
            sweep: sweep::lock_figures(),
            heap: HEAP.lock_figures(),
            metadata: meta::lock_figures(),
            data_segment: meta::break_lock_figures(),
            profile: prof::lock_figures().unwrap_or(LockFigures::ZERO),
        };
        self.uptime_ns = boot::uptime_ns();
    }

    /// What the hardened arena serves for automatic ones stands with the first of them.
    fn add_hardened(&mut self) {
        for (class, bin) in self.bins[0].iter_mut().enumerate() {
            let hard = hardened::figures(class);
            bin.nmalloc += hard.nmalloc;
            bin.ndalloc += hard.ndalloc;
            bin.curslabs += hardened::slabs(class);
        }
        for (class, large) in self.large[0].iter_mut().enumerate() {
            let hard = hardened::figures(SMALL_CLASSES + class);
            large.nmalloc += hard.nmalloc;
            large.ndalloc += hard.ndalloc;
            large.bytes += hard.bytes;
        }
    }
}

struct Epoch {
    number: u64,
    figures: Figures,
}

/// The heap's idle runs and huge pages, and the epoch that they were looked at in.
struct Looked {
    epoch: u64,
    inventory: Inventory,
}

static BEGUN: AtomicBool = AtomicBool::new(false);
static EPOCH: Mutex<Epoch, 0> = Mutex::new(Epoch {
    number: 0,
    figures: Figures::ZERO,
});
static LOOKED: Mutex<Looked, 0> = Mutex::new(Looked {
    epoch: 0,
    inventory: Inventory::EMPTY,
});

/// Begins the first epoch, if there was none (E1).
pub(super) fn begin() {
    if !BEGUN.load(Ordering::Relaxed) && !BEGUN.swap(true, Ordering::Relaxed) {
        refresh();
    }
}

/// Begins the next epoch; answers its number.
pub(super) fn refresh() -> u64 {
    let mut epoch = EPOCH.lock();
    epoch.figures.take();
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

/// Something out of the heap's inventory (E3).
pub(super) fn inventory<R>(look: impl FnOnce(&Inventory) -> R) -> R {
    let number = number();
    let mut looked = LOOKED.lock();
    if looked.epoch != number {
        looked.epoch = number;
        looked.inventory = Inventory::EMPTY;
        HEAP.take_inventory(&mut looked.inventory);
        // What waits in the run cache is dirty by the books.
        run_cache::each_waiting(|pages| looked.inventory.add_run(RunState::Dirty, pages));
    }
    look(&looked.inventory)
}

/// Counts anew what is counted of all locks.
pub(super) fn forget_lock_figures() {
    EPOCH.forget_figures();
    registry::forget_lock_figures();
    sweep::forget_lock_figures();
    bin::forget_lock_figures();
    HEAP.forget_lock_figures();
    meta::forget_lock_figures();
    prof::forget_lock_figures();
}
