//! Real memory behind a gate: every call may be refused, and the books are kept.

use super::clock;
use crate::size::HUGE;
use crate::size::PAGE;
use crate::sys::linux::memory as real;
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use std::collections::BTreeSet;

pub(crate) use real::{HugePolicy, huge_by_default, page_size, residence};

std::thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static REFUSED: Cell<(u64, u64)> = const { Cell::new((u64::MAX, 0)) };
    static PURGED: Cell<u64> = const { Cell::new(0) };
    static PURGE_NS: Cell<u64> = const { Cell::new(0) };
    static NO_MAPS: Cell<bool> = const { Cell::new(false) };
    static LIES: Cell<bool> = const { Cell::new(false) };
    /// Huge pages that are one, by their addresses.
    // Never dropped: exit functions, which run later than the end of such values, purge too.
    static HUGES: ManuallyDrop<RefCell<BTreeSet<usize>>> =
        const { ManuallyDrop::new(RefCell::new(BTreeSet::new())) };
    static NO_COLLAPSES: Cell<bool> = const { Cell::new(false) };
    /// Purges of a part of a huge page that had not been split.
    static UNSPLIT: Cell<usize> = const { Cell::new(0) };
    static POLICY: Cell<HugePolicy> = const { Cell::new(HugePolicy::Advised) };
    /// One bit for each of [`NAMES`] that was refused.
    static REFUSED_NAMES: Cell<u32> = const { Cell::new(0) };
}

/// The calls that can be refused.
const NAMES: [&str; 12] = [
    "map",
    "unmap",
    "purge",
    "purge_lazy",
    "populate",
    "allow_huge",
    "relocate",
    "extend_break",
    "collapse",
    "protect",
    "fence",
    "unfence",
];

/// Refuses `count` of this thread's calls, the first being call number `from` counted from now (0 = the next).
pub(crate) fn refuse(from: u64, count: u64) {
    let from = CALLS.get().saturating_add(from);
    REFUSED.set((from, from.saturating_add(count)));
}

/// Refuses all mappings of this thread, and nothing else, as long as it is on.
pub(crate) fn refuse_maps(on: bool) {
    NO_MAPS.set(on);
}

/// Makes this thread's forced purges do nothing while saying they did, as some emulators do.
pub(crate) fn lie(on: bool) {
    LIES.set(on);
}

/// Refuses all collapses of this thread, and nothing else, as long as it is on.
pub(crate) fn refuse_collapses(on: bool) {
    NO_COLLAPSES.set(on);
}

/// Sets how the system hands out huge pages, as this thread sees it.
pub(crate) fn set_huge_policy(policy: HugePolicy) {
    POLICY.set(policy);
}

pub(crate) fn huge_policy() -> HugePolicy {
    POLICY.get()
}

/// Whether this thread collapsed the huge page at `base` and nothing split it since.
pub(crate) fn is_huge(base: usize) -> bool {
    HUGES.with(|huges| huges.borrow().contains(&base))
}

/// Purges by this thread of a part of a huge page that had not been split: the system would keep the memory.
pub(crate) fn unsplit_purges() -> usize {
    UNSPLIT.get()
}

/// The huge pages that a range is a part of, but not the whole, are small pages from now on; with `whole`, the others
/// too. Answers how many were huge and covered in part.
fn break_up(addr: NonNull<u8>, len: usize, whole: bool) -> usize {
    let (start, end) = (addr.addr().get(), addr.addr().get() + len);
    let mut parts = 0;
    HUGES.with(|huges| {
        huges.borrow_mut().retain(|&base| {
            let apart = base + HUGE <= start || end <= base;
            let covered = start <= base && base + HUGE <= end;
            parts += usize::from(!apart && !covered);
            apart || covered && !whole
        });
    });
    parts
}

/// Makes this thread's forced purges take so many nanoseconds a page.
pub(crate) fn slow_down(page_ns: u64) {
    PURGE_NS.set(page_ns);
}

/// Calls made by this thread so far.
pub(crate) fn calls() -> u64 {
    CALLS.get()
}

/// Bytes purged by this thread so far.
pub(crate) fn purged_bytes() -> u64 {
    PURGED.get()
}

/// Names of the calls of which this thread had one refused so far.
pub(crate) fn refused() -> impl Iterator<Item = &'static str> {
    let bits = REFUSED_NAMES.get();
    NAMES
        .into_iter()
        .enumerate()
        .filter(move |(bit, _)| bits >> bit & 1 != 0)
        .map(|(_, name)| name)
}

fn granted(name: &str) -> bool {
    let call = CALLS.get();
    CALLS.set(call + 1);
    let (from, to) = REFUSED.get();
    let granted = !(from..to).contains(&call);
    if !granted {
        let bit = NAMES.iter().position(|&known| known == name).unwrap();
        REFUSED_NAMES.set(REFUSED_NAMES.get() | 1 << bit);
    }
    granted
}

pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    if granted("map") && !NO_MAPS.get() {
        real::map(len)
    } else {
        None
    }
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn protect(addr: NonNull<u8>, len: usize, usable: bool) -> bool {
    // SAFETY: the caller's promise.
    granted("protect") && unsafe { real::protect(addr, len, usable) }
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn fence(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    granted("fence") && unsafe { real::fence(addr, len) }
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn unfence(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    granted("unfence") && unsafe { real::unfence(addr, len) }
}

pub(crate) fn map_at(addr: NonNull<u8>, len: usize) -> bool {
    granted("map") && !NO_MAPS.get() && real::map_at(addr, len)
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn unmap(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let done = granted("unmap") && unsafe { real::unmap(addr, len) };
    if done {
        break_up(addr, len, true);
    }
    done
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn purge(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let done = granted("purge") && (LIES.get() || unsafe { real::purge(addr, len) });
    clock::turn(PURGE_NS.get() * (len / PAGE) as u64);
    if done {
        PURGED.set(PURGED.get() + len as u64);
        UNSPLIT.set(UNSPLIT.get() + break_up(addr, len, true));
    }
    done
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn purge_lazy(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let done = granted("purge_lazy") && unsafe { real::purge_lazy(addr, len) };
    if done {
        break_up(addr, len, false);
    }
    done
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn split(addr: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { real::split(addr, len) };
    break_up(addr, len, false);
}

/// Gives memory to every page, as the real one does, whatever huge pages the machine has.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn collapse(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let done = granted("collapse") && !NO_COLLAPSES.get() && unsafe { real::populate(addr, len) };
    if done {
        let bases = (addr.addr().get()..addr.addr().get() + len).step_by(HUGE);
        HUGES.with(|huges| huges.borrow_mut().extend(bases));
    }
    done
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn populate(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    granted("populate") && unsafe { real::populate(addr, len) }
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn allow_huge(addr: NonNull<u8>, len: usize, allowed: bool) -> bool {
    // SAFETY: the caller's promise.
    granted("allow_huge") && unsafe { real::allow_huge(addr, len, allowed) }
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn relocate(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let done = granted("relocate") && unsafe { real::relocate(from, to, len) };
    if done {
        break_up(from, len, true);
        break_up(to, len, true);
    }
    done
}

pub(crate) fn extend_break(len: usize) -> Option<NonNull<u8>> {
    if granted("extend_break") {
        real::extend_break(len)
    } else {
        None
    }
}
