//! Growth: address space from the system.
//!
//! ```text
//! mapping  aligned, an eighth of what we have, 4 to 128 MiB
//! exact    refused? what is needed, at whatever address
//! break    the data segment, as the option `dss` says: before mappings, after them, or never
//! ```
//! G1  A refusal leaves nothing lost: what was mapped but could not be described is kept as `pending` and
//!     described before anything else is asked for.
//! G2  Pages inside our huge pages that are not ours are marked used and untouched for good, or until they
//!     become ours.
//! G3  Neighbouring regions join by themselves, as descriptors know only addresses.

use super::descriptor::{HugeRef, UNITS, key_of};
use super::page_map;
use super::state::{Idle, State};
use crate::meta;
use crate::options::Thp;
use crate::size::{HUGE, HUGE_PAGES, LG_PAGE, PAGE};
use crate::sys::memory;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the first step.
const STEP_MIN: usize = 4 << 20;
/// Bytes of the largest step, but for a request that needs more: describing them takes 0.1 ms, under the lock.
const STEP_MAX: usize = 128 << 20;
/// What a step adds to what there is.
const STEP_SHARE: usize = 8;
/// Bytes of a step under the system's limits.
const STEP_SHORT: usize = 256 << 10;

/// A mapping that is to be made, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Step {
    needed: usize,
    wanted: usize,
    thp: Thp,
}

impl Step {
    /// Maps it, or what is needed at least. Waits for whoever changes mappings: without the heap's lock.
    pub(super) fn map(self) -> Option<(usize, usize)> {
        match map_aligned(self.wanted, HUGE, self.thp) {
            None if self.needed < self.wanted => map_aligned(self.needed, HUGE, self.thp),
            region => region,
        }
    }
}

/// The last number given to a heap; they start from 1.
#[unsafe(link_section = ".data.jemoxide_start")]
static IDENTITIES: AtomicUsize = AtomicUsize::new(0);

impl State {
    /// What is to be mapped for `needed` whole huge pages in a row. `None`: nothing can be described now.
    pub(super) fn plan_mapping(&mut self, needed: usize) -> Option<Step> {
        let needed = needed.checked_mul(HUGE)?;
        if !self.add_pending() {
            return None;
        }
        let share = self.owned / STEP_SHARE * PAGE;
        let step = share.next_multiple_of(HUGE).clamp(STEP_MIN, STEP_MAX);
        Some(Step {
            needed,
            wanted: needed.max(step),
            thp: self.huges.rules.thp,
        })
    }

    /// Maps `pages` pages in a row, at whatever address.
    pub(super) fn grow_exactly(&mut self, pages: usize) -> bool {
        let Some(needed) = pages.checked_mul(PAGE) else {
            return false;
        };
        if !self.add_pending() {
            return false;
        }
        let system = memory::page_size();
        let (needed, step) = (needed.next_multiple_of(system), STEP_SHORT.max(system));
        let bytes = needed.max(step);
        let region = match memory::map(bytes) {
            Some(addr) => Some((addr, bytes)),
            None if needed < bytes => memory::map(needed).map(|addr| (addr, needed)),
            None => None,
        };
        region.is_some_and(|(addr, bytes)| {
            advise_huge(addr, bytes, self.huges.rules.thp);
            self.add((addr.as_ptr().expose_provenance(), bytes), Idle::Zero)
        })
    }

    /// Extends the data segment by `pages` pages in a row.
    pub(super) fn grow_break(&mut self, pages: usize) -> bool {
        let Some(needed) = pages.checked_mul(PAGE) else {
            return false;
        };
        if !self.add_pending() {
            return false;
        }
        let system = memory::page_size();
        let bytes = needed.max(STEP_SHORT).next_multiple_of(system);
        meta::extend_break(bytes).is_some_and(|addr| {
            advise_huge(addr, bytes, self.huges.rules.thp);
            self.add((addr.as_ptr().expose_provenance(), bytes), Idle::Zero)
        })
    }

    /// Describes a region that is ours from now on, its pages free as `how` says. `false`: later, or given up.
    pub(super) fn add(&mut self, region: (usize, usize), how: Idle) -> bool {
        if !self.add_pending() {
            lose(region);
            return false;
        }
        self.pending = Some((region, how));
        self.add_pending()
    }

    /// Describes the region that waits for it, if one does. `false`: it still waits.
    pub(super) fn add_pending(&mut self) -> bool {
        let Some(((addr, bytes), how)) = self.pending else {
            return true;
        };
        if self.describe(addr, bytes).is_none() {
            return false;
        }
        self.pending = None;
        let end = addr + bytes;
        let mut from = addr;
        while from < end {
            let to = end.min((from & !(HUGE - 1)) + HUGE);
            if let Some(huge) = self.find(from) {
                let pages = (to - from) >> LG_PAGE;
                self.owned += pages;
                self.give(huge, (from & (HUGE - 1)) >> LG_PAGE, pages, how);
            }
            from = to;
        }
        true
    }

    /// Gives the heap its number, with the first memory it asks for.
    pub(super) fn identify(&mut self) {
        if self.identity == 0 {
            self.identity = IDENTITIES.fetch_add(1, Ordering::Relaxed) + 1;
        }
    }

    /// Makes sure that every huge page of a region has a descriptor; new ones say that nothing is ours.
    fn describe(&mut self, addr: usize, bytes: usize) -> Option<()> {
        page_map::cover(addr, bytes)?;
        self.identify();
        let bases = (addr & !(HUGE - 1)..addr + bytes).step_by(HUGE);
        bases.clone().for_each(page_map::touch);
        let missing = bases
            .clone()
            .filter(|&base| self.find(base).is_none())
            .count();
        self.prepare_spares(missing)?;
        if !page_map::count_entries(addr, bytes) {
            return None;
        }
        for base in bases {
            if self.find(base).is_none() {
                let huge = self.take_spare()?;
                huge.used.fill(u64::MAX);
                huge.used_pages.set(HUGE_PAGES as u16);
                huge.longest.set(0);
                huge.second.set(0);
                huge.publish(key_of(base, self.identity));
                huge.all_next.set(self.all);
                self.all = huge.number();
            }
        }
        Some(())
    }

    /// Sees to it that there are `count` spare descriptors.
    pub(super) fn prepare_spares(&mut self, count: usize) -> Option<()> {
        while self.spare_count < count {
            let huge = HugeRef::create(meta::allocate(UNITS)?);
            self.descriptors += 1;
            self.put_spare(huge);
        }
        Some(())
    }

    pub(super) fn put_spare(&mut self, huge: HugeRef) {
        self.spares
            .push_front(huge, super::descriptor::Chain::Place);
        self.spare_count += 1;
    }

    pub(super) fn take_spare(&mut self) -> Option<HugeRef> {
        let huge = self.spares.head()?;
        self.spares.remove(huge, super::descriptor::Chain::Place);
        self.spare_count -= 1;
        Some(huge)
    }
}

/// Gives a region that cannot be described back to the system.
fn lose((addr, bytes): (usize, usize)) {
    if let Some(addr) = NonNull::new(ptr::with_exposed_provenance_mut(addr)) {
        // SAFETY: a region that nobody knows. Should the system refuse even this, with one region pending
        //         already, its addresses stay unused and its memory goes.
        unsafe {
            let _ = memory::unmap(addr, bytes) || memory::purge(addr, bytes);
        }
    }
}

/// Maps `bytes`, whole huge pages, at a multiple of `align`, whole huge pages too. Where the system refuses to
/// take the overhang back, the region is larger.
pub(super) fn map_aligned(bytes: usize, align: usize, thp: Thp) -> Option<(usize, usize)> {
    let system = memory::page_size();
    if align == HUGE {
        // Newer kernels align large mappings by themselves.
        let addr = memory::map(bytes)?;
        let start = addr.as_ptr().expose_provenance();
        // SAFETY: just mapped, nobody knows it.
        if start % align == 0 || !unsafe { memory::unmap(addr, bytes) } {
            advise_huge(addr, bytes, thp);
            return Some((start, bytes));
        }
    }
    let total = bytes.checked_add(align - system)?;
    let addr = memory::map(total)?;
    let mut start = addr.as_ptr().expose_provenance();
    let mut end = start + total;
    let front = start.next_multiple_of(align) - start;
    // SAFETY: just mapped, nobody knows it; whole system pages, as all of the numbers are.
    if front > 0 && unsafe { memory::unmap(addr, front) } {
        start += front;
    }
    let wanted = start.next_multiple_of(align) + bytes;
    if wanted < end {
        let tail = NonNull::new(ptr::with_exposed_provenance_mut(wanted));
        // SAFETY: as above.
        if tail.is_some_and(|tail| unsafe { memory::unmap(tail, end - wanted) }) {
            end = wanted;
        }
    }
    advise_huge(
        NonNull::new(ptr::with_exposed_provenance_mut(start))?,
        end - start,
        thp,
    );
    Some((start, end - start))
}

/// Tells the system whether to back a fresh mapping by huge pages: as the option says, and else not, even where it
/// would do so for everyone. They are earned, not given.
fn advise_huge(addr: NonNull<u8>, bytes: usize, thp: Thp) {
    let allowed = match thp {
        Thp::Default if !memory::huge_by_default() => return,
        Thp::Default | Thp::Never => false,
        Thp::Always => true,
    };
    // SAFETY: a fresh mapping of ours. A refusal costs memory or time at worst.
    unsafe { memory::allow_huge(addr, bytes, allowed) };
}
