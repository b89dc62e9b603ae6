//! Source: where the memory of our own records comes from.
//!
//! ```text
//! mapping ──refused──> data segment, unless the option `dss` says never
//! ```
//! Z1  What is handed out reads zero, starts at a multiple of the system's page, and stays for good.
//! Z2  The C library moves the end of the data segment by a read and a call, so two movers at a time could get
//!     the same bytes: whoever of us moves it holds the lock of the data segment, rank 5.
//! Z3  Mappings are kept from huge pages, unless the option `metadata_thp` asks for them.
//! Z4  A mapping has a page before and behind it that nobody may touch: a write that runs on from an object, or from anything
//!     else that is mapped beside it, ends there. One that may be huge has none, so that it is aligned.

use crate::options::MetadataThp;
use crate::size::HUGE;
use crate::sync::{LockFigures, Mutex};
use crate::sys::memory;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[unsafe(link_section = ".data.jemoxide_start")]
static FORBIDDEN: AtomicBool = AtomicBool::new(false);
#[unsafe(link_section = ".data.jemoxide_start")]
static BREAK: Mutex<(), 5> = Mutex::new(());

/// Whether our records may come from the data segment when mappings are refused. Set by the boot.
pub(crate) fn allow_break(allowed: bool) {
    FORBIDDEN.store(!allowed, Ordering::Relaxed);
}

#[cfg(not(test))]
fn is_break_allowed() -> bool {
    !FORBIDDEN.load(Ordering::Relaxed)
}

// In unit tests every thread says so for itself: the data segment is also the test runner's, which takes no lock
// of ours.
#[cfg(test)]
std::thread_local! {
    pub(super) static ALLOWED_HERE: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

#[cfg(test)]
fn is_break_allowed() -> bool {
    ALLOWED_HERE.get()
}

/// `metadata_thp`: how many mappings come before the first that may be huge.
#[unsafe(link_section = ".data.jemoxide_start")]
static SMALL_MAPPINGS: AtomicUsize = AtomicUsize::new(NEVER);
const NEVER: usize = usize::MAX;
/// With `auto`: records of 8 MiB are those of a few hundred MiB of small objects.
const AUTO: usize = 2;

/// What is advised about huge pages for our records. Set by the boot.
pub(crate) fn set_huge(mode: MetadataThp) {
    let small = match mode {
        MetadataThp::Disabled => NEVER,
        MetadataThp::Auto => AUTO,
        MetadataThp::Always => 0,
    };
    SMALL_MAPPINGS.store(small, Ordering::Relaxed);
}

/// Whether the mapping that is being made may be huge; counts it.
fn may_be_huge() -> bool {
    let small = SMALL_MAPPINGS.load(Ordering::Relaxed);
    if small != 0 && small != NEVER {
        SMALL_MAPPINGS.store(small - 1, Ordering::Relaxed);
    }
    small == 0
}

/// Huge pages that the system may back our records by, on advice.
static HUGE_PAGES: AtomicUsize = AtomicUsize::new(0);

/// How many those are.
pub(crate) fn huge_pages() -> usize {
    HUGE_PAGES.load(Ordering::Relaxed)
}

/// What was counted of the data segment's lock.
pub(crate) fn break_lock_figures() -> LockFigures {
    BREAK.figures()
}

/// Counts that anew.
pub(super) fn forget_lock_figures() {
    BREAK.forget_figures();
}

/// `bytes` of the data segment, whole system pages. `None`: refused, or others move its end all the time.
pub(crate) fn extend_break(bytes: usize) -> Option<NonNull<u8>> {
    let system = memory::page_size();
    let _moving = BREAK.lock();
    // Others in the process move it too: if one did in between, what came starts anywhere and stays unused.
    for _ in 0..2 {
        let end = memory::extend_break(0)?;
        let padding = end.addr().get().wrapping_neg() & (system - 1);
        let start = memory::extend_break(padding.checked_add(bytes)?)?;
        let first = NonNull::new(start.as_ptr().wrapping_add(padding))?;
        if first.addr().get() % system == 0 {
            return Some(first);
        }
    }
    None
}

/// A mapping of `bytes`, whole system pages, between two pages that nobody may touch (Z4).
pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let huge = may_be_huge();
    let mapped = if huge {
        memory::map(bytes)?
    } else {
        map_guarded(bytes)?
    };
    if huge || memory::huge_by_default() {
        // SAFETY: a fresh mapping of ours. Records are few and spread: a refusal costs memory, or time, at worst.
        unsafe { memory::allow_huge(mapped, bytes, huge) };
    }
    if huge {
        let (from, to) = (mapped.addr().get(), mapped.addr().get() + bytes);
        let whole = (to / HUGE).saturating_sub(from.div_ceil(HUGE));
        HUGE_PAGES.fetch_add(whole, Ordering::Relaxed);
    }
    Some(mapped)
}

fn map_guarded(bytes: usize) -> Option<NonNull<u8>> {
    let system = memory::page_size();
    let whole = bytes.checked_add(2 * system)?;
    let first = memory::map(whole)?;
    // SAFETY: a fresh mapping of ours; its first and last page serve nobody. Where the system refuses they are a gap at least.
    unsafe {
        memory::protect(first, system, false);
        memory::protect(first.add(system + bytes), system, false);
        Some(first.add(system))
    }
}

/// `bytes`, whole system pages, of the data segment, if it may be used (Z2).
pub(super) fn of_break(bytes: usize) -> Option<NonNull<u8>> {
    if is_break_allowed() {
        extend_break(bytes)
    } else {
        None
    }
}
