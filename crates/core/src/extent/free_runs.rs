//! Free runs: wholly free huge pages, joined with their neighbours.
//!
//! ```text
//!        | free | free | free | used |        run_len 3 on the first, run_back 3 on the last,
//!        run_len=3      run_back=3            bin and queues hold the first
//! ```
//! F1  Every wholly free huge page is in exactly one free run, and no two free runs touch.
//! F2  `run_len` is not 0 exactly on the first of a run, `run_back` exactly on the last; both are its length.
//! F3  `run_idle` of the first is the sum over the run, and the run is in the queue of every kind it has.
//! Neighbours are found by address through the page map, so joining and cutting cost the same however many
//! runs there are. Bins are exact up to 15 huge pages, then eight per doubling.

use super::bits::Words;
use super::descriptor::{HugeRef, Kind};
use super::state::{Idle, State, Taken, Want};
use crate::size::{HUGE, HUGE_PAGES};

const EXACT: usize = 16;
/// Runs that are compared before one is chosen.
const CANDIDATES: usize = 8;
/// Runs tried in a bin that holds shorter ones too.
const TRIALS: usize = 64;

/// The bin of runs of `len` huge pages.
pub(super) fn bin_of(len: usize) -> usize {
    if len < EXACT {
        return len;
    }
    let lg = len.ilog2() as usize;
    EXACT + (lg - 4) * 8 + (len >> (lg - 3) & 7)
}

/// The first bin that holds only runs of `len` huge pages or more.
fn bin_above(len: usize) -> usize {
    if len < EXACT {
        return len;
    }
    let step = 1 << (len.ilog2() - 3);
    bin_of(len.next_multiple_of(step))
}

impl State {
    /// Finds whole huge pages for `want`, whose tail, if it has one, goes to small runs: a free run, and how many of its
    /// huge pages to leave out at its front.
    pub(super) fn choose_run(&self, want: Want) -> Option<(HugeRef, usize)> {
        let (len, align) = want.huge_pages();
        let head = self.choose_run_of(len + align - 1)?;
        Some((head, skip_to_aligned(head, align)))
    }

    fn choose_run_of(&self, len: usize) -> Option<HugeRef> {
        use super::descriptor::Chain::Place;
        let (exact, above) = (bin_of(len), bin_above(len));
        if exact != above {
            let mut next = self.runs.head(exact);
            for _ in 0..TRIALS {
                let Some(head) = next else { break };
                if head.run_len.get() as usize >= len {
                    return Some(head);
                }
                next = head.next(Place);
            }
        }
        // With memory before without, then lowest address.
        let (_, mut best) = self.runs.first_from(above)?;
        let mut next = best.next(Place);
        for _ in 1..CANDIDATES {
            let Some(head) = next else { break };
            let rank = |run: HugeRef| (run.run_idle[Kind::Dirty as usize].get() == 0, run.base());
            if rank(head) < rank(best) {
                best = head;
            }
            next = head.next(Place);
        }
        Some(best)
    }

    /// Takes `pages` pages of the free run `head`, from its huge page number `skip` on. The run is that long.
    pub(super) fn take_run(
        &mut self,
        head: HugeRef,
        skip: usize,
        pages: usize,
    ) -> Option<(HugeRef, Taken)> {
        let (len, mut idle, clean) = self.remove_run(head);
        let base = head.base();
        let stamp = head.stamp.get();
        if skip > 0 {
            let mut front = [0; 2];
            for index in 0..skip {
                let huge = self.find(base + index * HUGE)?;
                for kind in Kind::BOTH {
                    front[kind as usize] += u32::from(huge.idle[kind as usize].get());
                }
            }
            for kind in Kind::BOTH {
                idle[kind as usize] -= front[kind as usize];
            }
            self.insert_run(head, skip, front, clean.min(skip));
        }
        let first = self.find(base + skip * HUGE)?;
        let mut taken = Taken::nothing();
        let mut huge = first;
        let mut index = skip;
        let mut left = pages;
        loop {
            for kind in Kind::BOTH {
                idle[kind as usize] -= u32::from(huge.idle[kind as usize].get());
            }
            index += 1;
            if left < HUGE_PAGES {
                taken = taken.and(self.open(huge, left));
                break;
            }
            taken = taken.and(self.take_whole(huge));
            left -= HUGE_PAGES;
            if left == 0 {
                break;
            }
            huge = self.find(base + index * HUGE)?;
        }
        if index < len {
            let rest = self.find(base + index * HUGE)?;
            rest.stamp.set(stamp);
            self.insert_run(rest, len - index, idle, clean.saturating_sub(index));
        }
        Some((first, taken))
    }

    /// Takes a wholly free huge page that is in no run any more.
    fn take_whole(&mut self, huge: HugeRef) -> Taken {
        let mut taken = Taken::nothing();
        for index in 0..super::bits::WORDS {
            taken.zeroed &= huge.zero.word(index) == u64::MAX;
            taken.untouched &= huge.touched.word(index) == 0;
        }
        let mut bare = HUGE_PAGES as u16;
        for kind in Kind::BOTH {
            let idle = huge.idle[kind as usize].replace(0);
            bare -= idle;
            self.idle[kind as usize] -= usize::from(idle);
        }
        if huge.gone.get() != 0 {
            self.note_refaults(huge, bare);
        }
        huge.used.fill(u64::MAX);
        huge.touched.fill(u64::MAX);
        huge.zero.fill(0);
        huge.muzzy.fill(0);
        huge.used_pages.set(HUGE_PAGES as u16);
        huge.longest.set(0);
        huge.second.set(0);
        self.active += HUGE_PAGES;
        taken
    }

    /// Frees `len` wholly used huge pages from `first` on, as `how` says: by the application, or without memory and
    /// reading zero. Answers how many there were.
    pub(super) fn give_whole(&mut self, first: HugeRef, len: usize, how: Idle) -> usize {
        let base = first.base();
        let dirty = if how == Idle::Freed { HUGE_PAGES } else { 0 };
        let mut done = 0;
        while done < len {
            let Some(huge) = self.find(base + done * HUGE) else {
                break;
            };
            debug_assert!(huge.used_pages.get() as usize == HUGE_PAGES);
            self.release_huge(huge);
            huge.used.fill(0);
            huge.used_pages.set(0);
            huge.longest.set(HUGE_PAGES as u16);
            huge.second.set(0);
            huge.idle[Kind::Dirty as usize].set(dirty as u16);
            if how == Idle::Zero {
                huge.touched.fill(0);
                huge.zero.fill(u64::MAX);
            }
            done += 1;
        }
        self.active -= done * HUGE_PAGES;
        self.idle[Kind::Dirty as usize] += done * dirty;
        first.stamp.set(self.stamp);
        let clean = if dirty == 0 { done } else { 0 };
        self.insert_run(first, done, [(done * dirty) as u32, 0], clean);
        done
    }

    /// Makes the `len` wholly free huge pages from `first` on, which are in no run, a run, and joins it with
    /// its neighbours. `idle` is the sum over them; the first `clean` hold no idle memory.
    pub(super) fn insert_run(&mut self, first: HugeRef, len: usize, idle: [u32; 2], clean: usize) {
        let base = first.base();
        let (mut head, mut total, mut idle, mut clean) = (first, len, idle, clean);
        let mut stamp = first.stamp.get();
        let left = base.checked_sub(HUGE).and_then(|addr| self.find(addr));
        if let Some(before) = left.filter(|huge| huge.run_back.get() != 0) {
            let before_len = before.run_back.get() as usize;
            if let Some(before_head) = self.find(base - before_len * HUGE) {
                let (_, before_idle, before_clean) = self.remove_run(before_head);
                clean = if before_idle == [0; 2] {
                    before_len + clean
                } else {
                    before_clean
                };
                idle = [idle[0] + before_idle[0], idle[1] + before_idle[1]];
                stamp = stamp.max(before_head.stamp.get());
                head = before_head;
                total += before_len;
            }
        }
        if let Some(after) = self
            .find(base + len * HUGE)
            .filter(|huge| huge.run_len.get() != 0)
        {
            let (after_len, after_idle, after_clean) = self.remove_run(after);
            if idle == [0; 2] {
                clean = total + after_clean;
            }
            idle = [idle[0] + after_idle[0], idle[1] + after_idle[1]];
            stamp = stamp.max(after.stamp.get());
            total += after_len;
        }
        let Some(last) = self.find(head.base() + (total - 1) * HUGE) else {
            return;
        };
        head.run_len.set(total as u32);
        last.run_back.set(total as u32);
        head.run_idle[0].set(idle[0]);
        head.run_idle[1].set(idle[1]);
        head.front_clean.set(clean as u32);
        head.stamp.set(stamp);
        self.runs.insert(bin_of(total), head);
        for kind in Kind::BOTH {
            if idle[kind as usize] > 0 {
                let queue = &mut self.run_queues[kind as usize];
                if stamp == self.stamp {
                    queue.push_back(head, kind.chain());
                } else {
                    queue.push_front(head, kind.chain());
                }
            }
        }
    }

    /// Takes a free run out of the books: its length, idle pages and clean front.
    pub(super) fn remove_run(&mut self, head: HugeRef) -> (usize, [u32; 2], usize) {
        let len = head.run_len.replace(0) as usize;
        if let Some(last) = self.find(head.base() + (len - 1) * HUGE) {
            last.run_back.set(0);
        }
        self.runs.remove(bin_of(len), head);
        let idle = [head.run_idle[0].get(), head.run_idle[1].get()];
        for kind in Kind::BOTH {
            if idle[kind as usize] > 0 {
                self.run_queues[kind as usize].remove(head, kind.chain());
            }
        }
        (len, idle, head.front_clean.get() as usize)
    }

    /// Marks pages of a wholly free huge page that is in no run any more as taken for a system call.
    pub(super) fn borrow_open(&mut self, huge: HugeRef, mask: &Words) -> [u16; 2] {
        let idle = self.borrow_pages(huge, mask);
        self.relink(huge, super::state::Standing::NOWHERE);
        idle
    }
}

/// Huge pages to leave out at the front of a run so that it starts at a multiple of `align` huge pages.
fn skip_to_aligned(head: HugeRef, align: usize) -> usize {
    let base = head.base();
    (base.next_multiple_of(align * HUGE) - base) / HUGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_ordered_and_those_above_hold_only_runs_that_fit() {
        for len in 1..100_000 {
            assert!(bin_of(len) <= bin_of(len + 1) && bin_of(len + 1) <= bin_of(len) + 1);
            let above = bin_above(len);
            assert!(above >= bin_of(len) && above <= bin_of(len) + 1);
            // Nothing shorter is in that bin or a later one.
            assert!(len == 1 || bin_of(len - 1) < above || above == bin_of(len - 1));
            if above == bin_of(len) {
                assert!(len == 1 || bin_of(len - 1) < above);
            }
        }
        assert!(bin_above(1 << 28) < 256);
    }
}
