//! Idle pages go: by age, by hand, and all of them with their arena (rules G2 and G5).

use super::Works;
use crate::arena::manual::extent::{ExtentRef, State};
use crate::extent::HEAP;
use crate::extent::hooks::Outside;
use core::sync::atomic::Ordering;

/// Extents that are purged between two looks at the books.
const BATCH: usize = 16;

/// Pages that are worth a call of the system.
const LEAST_PART: usize = 64;

impl<O: Outside> Works<O> {
    /// Sees to it that what has just become idle leaves in time.
    pub(super) fn note_idle(&self, now_ns: u64) {
        let (dirty_ms, muzzy_ms) = self.arena.decay_ms();
        if dirty_ms == 0 {
            self.age(now_ns, false);
        } else if dirty_ms > 0 || muzzy_ms > 0 {
            self.arena.due_ns.fetch_min(now_ns, Ordering::Relaxed);
        }
    }

    /// Gives up an idle extent, the caller's, that was in `state`; the answer is whether a purge was granted.
    pub(super) fn release(&self, extent: ExtentRef, state: State) -> bool {
        let Some(range) = extent.range() else {
            return false;
        };
        let (_, muzzy_ms) = self.arena.decay_ms();
        if state == State::Dirty && muzzy_ms != 0 && self.hooks.purge_lazy(range) {
            extent.zeroed.set(false);
            self.put(extent, State::Muzzy);
            return true;
        }
        // G5: what is given up may be another's the next instant.
        extent.unname();
        if self.hooks.dalloc(range) {
            self.forget(extent);
            return true;
        }
        extent.name();
        let mut granted = true;
        if range.committed && self.hooks.decommit(range) {
            extent.committed.set(false);
            extent.zeroed.set(false);
            self.vacate(extent);
        } else if range.committed && self.hooks.purge_forced(range) {
            // The application's word is good; the system's was put to a trial.
            extent
                .zeroed
                .set(!self.hooks.is_default() || HEAP.purging_zeroes());
            self.vacate(extent);
        } else {
            extent.zeroed.set(false);
            granted = state == State::Muzzy || self.hooks.purge_lazy(range);
        }
        self.put(extent, State::Retained);
        granted
    }

    /// Ends an extent whose pages are no longer the arena's, unnamed already (G5).
    fn forget(&self, extent: ExtentRef) {
        self.vacate(extent);
        // SAFETY: the caller's, and unnamed.
        unsafe { extent.recycle() };
    }

    /// Gives up what is due by `now_ns`, or with `all` all that is idle; pages given up.
    pub(in crate::arena::manual) fn age(&self, now_ns: u64, all: bool) -> usize {
        let mut purged = 0;
        let mut due = u64::MAX;
        // First: what becomes idle from here on says when it is due, and is not to be forgotten below.
        self.arena.due_ns.store(u64::MAX, Ordering::Relaxed);
        for (at, state) in [State::Dirty, State::Muzzy].into_iter().enumerate() {
            let mut left = None;
            loop {
                let mut batch = [None; BATCH];
                let next = self.with(|books| {
                    let pages = books.pages(state);
                    let decay = &mut books.decays[at];
                    decay.advance(now_ns, pages);
                    let excess = if all { pages } else { decay.excess(pages) };
                    // No more than there was at first: others may be adding to it all the time.
                    let mut left = left.unwrap_or(excess).min(excess);
                    for slot in &mut batch {
                        let Some(extent) = books.oldest(state).filter(|_| left > 0) else {
                            break;
                        };
                        books.take(extent);
                        let part = self.part(extent, left);
                        books.decays[at].purged(part);
                        left = left.saturating_sub(part);
                        *slot = Some((extent, part));
                    }
                    let due = books.decays[at].next_epoch_ns();
                    let due = due.filter(|_| books.pages(state) > 0 || batch[0].is_some());
                    (left, due.unwrap_or(u64::MAX))
                });
                let Some((still, next_due)) = next else {
                    return purged;
                };
                let (mut calls, mut pages) = (0, 0);
                for (extent, part) in batch.into_iter().flatten() {
                    if part < extent.pages() {
                        if let Ok(rest) = self.split(extent, part) {
                            self.put(rest, state);
                        }
                    }
                    let count = extent.pages();
                    if self.release(extent, state) {
                        calls += 1;
                        pages += count;
                    }
                }
                self.with(|books| {
                    let purges = &mut books.purges[at];
                    purges.sweeps += usize::from(left.is_none() && pages > 0);
                    purges.calls += calls;
                    purges.pages += pages;
                });
                purged += pages;
                left = Some(still);
                if still == 0 || batch[0].is_none() {
                    due = due.min(next_due);
                    break;
                }
            }
        }
        self.arena.due_ns.fetch_min(due, Ordering::Relaxed);
        purged
    }

    /// Pages of an idle extent that are given up where `excess` pages are to be: all, or a part of a long one, so that the
    /// curve holds. An application's hooks are not asked to cut for that.
    fn part(&self, extent: ExtentRef, excess: usize) -> usize {
        let part = excess.max(LEAST_PART);
        if self.hooks.is_default() && extent.pages() >= 2 * part {
            part
        } else {
            extent.pages()
        }
    }

    /// Ends all idle extents: the arena is about to be no more.
    pub(in crate::arena::manual) fn destroy(&self) {
        for state in State::IDLE {
            while let Some(Some(extent)) = self.with(|books| {
                let extent = books.oldest(state)?;
                books.take(extent);
                Some(extent)
            }) {
                extent.unname();
                if let Some(range) = extent.range() {
                    if state == State::Retained || !self.hooks.dalloc(range) {
                        self.hooks.destroy(range);
                    }
                }
                self.forget(extent);
            }
        }
    }
}
