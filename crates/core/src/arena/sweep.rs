//! Sweep: a walk over all slabs that are partly used, in search of pages that only free slots touch.
//!
//! ```text
//! bin by bin, where slots came back since the last sweep:
//! lock    look at some slabs; pages idle since the last sweep: mark their slots taken
//! unlock  tell the system
//! lock    the slots are free again, their pages hollow
//! ```
//! W1  A page goes when nothing in its slab was taken or given back between two visits.
//! W2  A lock is held for [`VISITS`] slabs, or fewer of which something goes.
//! W3  A bin that nothing came back to since is left out: a program at rest is swept twice, and then no more.
//! W4  One sweeper at a time; where the system's page is not ours there is none.
//! W5  Who wants all back walks twice: the second time whatever was idle between goes.

use super::bin::{self, Bin};
use super::hollow::{PageBits, runs};
use super::misuse;
use super::slab::SlabRef;
use super::{ArenaIndex, automatic};
use crate::extent::HEAP;
use crate::size::{PAGE, Pages, SMALL_CLASSES};
use crate::sync::{LockFigures, Mutex};
use crate::sys::memory;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// Slabs looked at under one hold of a lock.
const VISITS: usize = 64;
/// Slabs of which something goes in one step.
const BATCH: usize = 16;

/// Nanoseconds from the begin of a sweep to that of the next.
#[unsafe(link_section = ".data.jemoxide_start")]
static INTERVAL: AtomicU64 = AtomicU64::new(0);

/// How far the sweep has come; only who wants all back waits for it.
#[unsafe(link_section = ".data.jemoxide_start")]
static SWEEP: Mutex<Sweep, 1> = Mutex::new(Sweep {
    under_way: false,
    bin: 0,
    entered: false,
    next_ns: 0,
});

struct Sweep {
    under_way: bool,
    /// Number of the bin that is swept.
    bin: usize,
    /// Whether its walk has begun.
    entered: bool,
    /// When the next sweep begins.
    next_ns: u64,
}

/// What was counted of the sweep's lock.
pub(crate) fn lock_figures() -> LockFigures {
    SWEEP.figures()
}

/// Counts that anew.
pub(crate) fn forget_lock_figures() {
    SWEEP.forget_figures();
}

/// Pages on their way through the system.
#[derive(Clone, Copy)]
struct Going {
    slab: SlabRef,
    pages: PageBits,
    hollow: PageBits,
}

/// Sets how often is swept: pages stay for one to two intervals.
pub(crate) fn set_interval_ns(interval: u64) {
    INTERVAL.store(interval, Ordering::Relaxed);
}

/// One step. `true`: the sweep is not at its end. Called inside a passage, no lock held.
pub(crate) fn step(now_ns: u64) -> bool {
    if memory::page_size() != PAGE {
        return false;
    }
    let Some(mut sweep) = SWEEP.try_lock() else {
        return false;
    };
    if !sweep.under_way {
        if now_ns < sweep.next_ns {
            return false;
        }
        sweep.next_ns = now_ns + INTERVAL.load(Ordering::Relaxed);
        (sweep.under_way, sweep.bin, sweep.entered) = (true, 0, false);
    }
    while sweep.bin < bins() {
        let bin = bin::at(sweep.bin % SMALL_CLASSES, arena(sweep.bin));
        if !sweep.entered {
            if !bin.take_changed() {
                sweep.bin += 1;
                continue;
            }
            bin.slabs.lock().begin_walk();
            sweep.entered = true;
        }
        if !walk(bin, &mut 0) {
            sweep.bin += 1;
            sweep.entered = false;
        }
        return true;
    }
    sweep.under_way = false;
    false
}

/// Sweeps all slabs (W5); answers the bytes given back. Called inside a passage, no lock held.
pub(crate) fn all() -> usize {
    if memory::page_size() != PAGE {
        return 0;
    }
    let mut pages = 0;
    let mut sweep = SWEEP.lock();
    for _ in 0..2 {
        for number in 0..bins() {
            let bin = bin::at(number % SMALL_CLASSES, arena(number));
            bin.slabs.lock().begin_walk();
            while walk(bin, &mut pages) {}
        }
    }
    sweep.under_way = false;
    pages * PAGE
}

fn bins() -> usize {
    automatic() * SMALL_CLASSES
}

fn arena(bin: usize) -> ArenaIndex {
    ArenaIndex::new(bin / SMALL_CLASSES)
}

/// Walks on among the slabs of `bin`; adds the pages that go to `pages`. `false`: that was the last of them.
fn walk(bin: &Bin, pages: &mut usize) -> bool {
    let mut batch: [Option<Going>; BATCH] = [None; BATCH];
    let more = collect(bin, &mut batch);
    for going in batch.iter_mut().flatten() {
        advise(going);
        *pages += going.hollow.count_ones() as usize;
    }
    if batch[0].is_some() {
        finish(bin, &mut batch);
    }
    more
}

/// Marks the slots on idle pages taken, up to a batch (W1, W2).
fn collect(bin: &Bin, batch: &mut [Option<Going>; BATCH]) -> bool {
    let mut slabs = bin.slabs.lock();
    let mut places = batch.iter_mut();
    let mut place = places.next();
    for _ in 0..VISITS {
        let Some(mut slab) = slabs.walk_on() else {
            return false;
        };
        let pages = slab.idle_pages();
        if pages == 0 {
            continue;
        }
        // SAFETY: the lock is held to the end of the function.
        unsafe {
            if slab.take_recent() {
                bin.note_changed();
                continue;
            }
            slab.borrow_pages(pages);
        }
        slabs.relist(slab);
        if let Some(place) = place {
            *place = Some(Going {
                slab,
                pages,
                hollow: 0,
            });
        }
        place = places.next();
        if place.is_none() {
            return true;
        }
    }
    true
}

/// Tells the system that the pages are not needed.
fn advise(going: &mut Going) {
    for (first, len) in runs(going.pages) {
        let addr = going.slab.base().wrapping_add(first * PAGE);
        let Some(addr) = NonNull::new(addr) else {
            continue;
        };
        let split = HEAP.breaks_up(addr.as_ptr(), Pages(len));
        // SAFETY: whole pages of a slab in use, all slots on them free and marked taken.
        let purged = unsafe {
            if split {
                memory::split(addr, len * PAGE);
            }
            memory::purge(addr, len * PAGE)
        };
        if purged {
            going.hollow |= ((1 << len) - 1) << first;
        }
    }
}

/// The slots are free again. Slabs of which all others were freed meanwhile go back.
fn finish(bin: &Bin, batch: &mut [Option<Going>; BATCH]) {
    {
        let mut slabs = bin.slabs.lock();
        for entry in batch.iter_mut() {
            let Some(going) = entry else {
                continue;
            };
            let mut slab = going.slab;
            // SAFETY: the lock is held to the end of the block.
            if let Err(error) = unsafe { slab.return_pages(going.pages, going.hollow) } {
                misuse::report(error, slab.base());
            }
            if slab.is_empty() {
                slabs.unlist(slab);
            } else {
                slabs.relist(slab);
                *entry = None;
            }
        }
    }
    for going in batch.iter().flatten() {
        // SAFETY: all its slots are free, it left its list under the lock; nobody can reach it.
        unsafe { bin.destroy(going.slab) };
    }
}
