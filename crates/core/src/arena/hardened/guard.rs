//! Guards: pages that nobody may touch, on both sides of a run.
//!
//! ```text
//! run of the page heap   | guard | pages of a slab, or of one object ... | guard |
//! ```
//! D1  A run goes back to the page heap as it came: readable and writable throughout.
//! D2  A guarded run costs the system up to four mappings more, two where its neighbours are guarded too, or where it sleeps and
//!     all of it is shut; of those a process may have so many (`vm.max_map_count`).
//!     Half of them are ours to use: beyond, runs stay without guards, and all other checks stay.
//! D3  A quarter of those is for slabs and large objects: small ones that get pages of their own for good measure leave it.
//! D4  Runs that sleep (see `asleep`) take another quarter at most, and make room for those in use.

use super::bare;
use crate::size::{PAGE, Pages};
use crate::sys::{files::File, memory};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Mappings that a process may have where the system does not tell.
const MAPPINGS: usize = 65_530;
/// Mappings that a guarded run takes, and one that sleeps.
const OF_RUN: usize = 4;
const OF_SLEEPER: usize = 2;

/// Mappings that guarded runs may take.
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Guarded runs that there are, but for those that sleep.
static RUNS: AtomicUsize = AtomicUsize::new(0);
/// Those that sleep.
static SLEEPERS: AtomicUsize = AtomicUsize::new(0);

/// Finds out how many guarded runs there may be. Called once, by the boot.
pub(super) fn prepare() {
    let mappings = read_most().unwrap_or(MAPPINGS);
    MOST.store(mappings / 2, Ordering::Relaxed);
}

fn read_most() -> Option<usize> {
    let mut text = [0; 24];
    let len = File::open(c"/proc/sys/vm/max_map_count")?.read(&mut text)?;
    let digits = text.get(..len)?.trim_ascii_end();
    let digit = |sum: usize, byte: &u8| {
        let digit = (*byte as char).to_digit(10)? as usize;
        sum.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0, digit)
}

/// Guarded runs that there are, but for those that sleep.
pub(super) fn runs() -> usize {
    RUNS.load(Ordering::Relaxed)
}

/// Guarded runs that sleep.
pub(super) fn sleepers() -> usize {
    SLEEPERS.load(Ordering::Relaxed)
}

fn most() -> usize {
    MOST.load(Ordering::Relaxed)
}

/// Whether one more guarded run may be that does not need its guards as others do (D3).
pub(super) fn has_plenty() -> bool {
    runs() * OF_RUN < most() / 4 * 3
}

/// Whether one more guarded run may be (D2).
pub(super) fn has_room() -> bool {
    mappings() + OF_RUN <= most()
}

/// Mappings that guarded runs take.
pub(super) fn mappings() -> usize {
    runs() * OF_RUN + sleepers() * OF_SLEEPER
}

/// Lets guarded runs take so many mappings.
#[cfg(test)]
pub(super) fn set_most(mappings: usize) {
    MOST.store(mappings, Ordering::Relaxed);
}

/// Whether no more runs sleep than may (D4).
pub(super) fn may_sleep() -> bool {
    sleepers() * OF_SLEEPER <= most() / 4
}

/// A guarded run sleeps from now on.
pub(super) fn note_asleep() {
    SLEEPERS.fetch_add(1, Ordering::Relaxed);
    RUNS.fetch_sub(1, Ordering::Relaxed);
}

/// A guarded run sleeps no more.
pub(super) fn note_awake() {
    RUNS.fetch_add(1, Ordering::Relaxed);
    SLEEPERS.fetch_sub(1, Ordering::Relaxed);
}

/// Makes the first page of a run, where `before` says so, and the last one guards, which are bare from now on if the run
/// `is_bare`. `false`: refused, nothing changed.
///
/// # Safety
/// The run is the caller's, longer than its guards, and nothing uses those pages.
pub(super) unsafe fn raise(run: NonNull<u8>, pages: Pages, before: bool, is_bare: bool) -> bool {
    if !has_room() {
        return false;
    }
    // SAFETY: the caller's promise; within the run.
    let done = unsafe {
        let last = run.add(pages.bytes() - PAGE);
        memory::protect(last, PAGE, false)
            && (!before
                || memory::protect(run, PAGE, false)
                // One guard that cannot be taken back is one all the same.
                || !memory::protect(last, PAGE, true))
    };
    if done {
        RUNS.fetch_add(1, Ordering::Relaxed);
        if is_bare {
            bare::note(1 + usize::from(before));
        }
    }
    done
}

/// Makes all of a guarded run usable again (D1), of which `bare` pages are bare, its guards among them. `false`: refused; it
/// stays as it is.
///
/// # Safety
/// The run is the caller's, as a whole.
pub(super) unsafe fn lower(run: NonNull<u8>, pages: Pages, bare: usize) -> bool {
    // SAFETY: the caller's promise.
    let done = unsafe { memory::protect(run, pages.bytes(), true) };
    if done {
        RUNS.fetch_sub(1, Ordering::Relaxed);
        bare::unnote(bare);
    }
    done
}
