//! Earn: which huge pages are collapsed, and when.
//!
//! ```text
//! round    all descriptors once, [`VISITS`] under one hold of the lock ──dense for long enough──> candidate
//! unlock   which of its pages have memory? (mincore) ──nearly all──> collapse
//! lock     held; or refused
//! pause    until the next may be dense for long enough; a round in vain doubles it
//! settled  nothing left to wait for: until the program has grown again
//! ```
//! N1  A small process has no huge page and pays nothing for it.
//! N2  The system calls run without the lock. The pages are not marked taken: whoever uses or frees one meanwhile finds
//!     it as it was.
//! N3  One collapse a step: it takes from 0.3 ms to 5 ms, for which page faults of other threads wait.
//! N4  Refusals in a row make it rest, longer each time.
//! N5  It comes to an end: rounds in vain are counted.
//! The purge thread calls it, or, where there is none, slow paths do now and then.
//! Lock: as in `heap`.

use super::bits::{self, Words};
use super::descriptor::HugeRef;
use super::fence;
use super::heap::PageHeap;
use super::huge::{LG_STAMP_NS, lacks, lacks_after_lapse, lapse};
use super::pressure::{self, Pressure};
use super::state::State;
use crate::size::{HUGE_PAGES, PAGE, Pages};
use crate::sys::memory::{self, HugePolicy};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

/// Huge pages looked at under one hold of the lock.
const VISITS: usize = 64;
/// The share by which a process has to grow before it is looked at again; see also `Rules::growth`.
const GROWTH_SHARE: usize = 16;
/// Refusals in a row after which it rests.
const REFUSALS: u32 = 4;
/// The first rest and the longest, a doubling each.
const REST_NS: u64 = 20_000_000_000;
const LG_RESTS: u32 = 8;
/// Rounds in vain, the pause doubled after each, until it is settled.
const ROUNDS_IN_VAIN: u32 = 6;
/// The longest pause that a thread is kept for.
const STAY_NS: u64 = 16_000_000_000;
/// Slow paths collapse no more often than that.
const SLOW_NS: u64 = 100_000_000;
/// After a fork it waits: what the child has not given up or overwritten by then is rarely worth a copy.
const FORK_NS: u64 = 10_000_000_000;
const NEVER: u64 = u64::MAX;

/// How far the rounds have come.
pub(super) struct Pace {
    under_way: bool,
    /// The descriptor that is looked at next.
    next: u32,
    /// The first descriptor of those that a forked child has from its parent (V5 of `huge`); 0 is none.
    elder: u32,
    /// Stamps until the first of those seen in this round may be due.
    soonest: Option<u32>,
    /// Candidates of this round: it came to a collapse, or it did not.
    collapsed: bool,
    tried: bool,
    /// One was split since.
    pub(super) again: bool,
    in_vain: u32,
    refusals: u32,
    rests: u32,
    /// When the next round begins.
    due_ns: u64,
    /// Until when nothing is done.
    rest_ns: u64,
    /// Active pages at the end of the last round, or fewer.
    settled: usize,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            under_way: false,
            next: 0,
            elder: 0,
            soonest: None,
            collapsed: false,
            tried: false,
            again: false,
            in_vain: 0,
            refusals: 0,
            rests: 0,
            due_ns: NEVER,
            rest_ns: 0,
            settled: 0,
        }
    }

    /// When there is something to do.
    const fn next_ns(&self) -> u64 {
        match (self.under_way, self.rest_ns > self.due_ns) {
            (true, _) | (false, true) => self.rest_ns,
            (false, false) => self.due_ns,
        }
    }
}

/// Who earns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earner {
    /// A thread that has time.
    Thread,
    /// A slow path.
    Caller,
}

/// What a look at some descriptors found.
enum Look {
    Candidate(HugeRef),
    More,
    End,
}

const fn stamp_of(now_ns: u64) -> u32 {
    let stamp = (now_ns >> LG_STAMP_NS) as u32;
    // 0 says "not dense".
    if stamp == 0 { 1 } else { stamp }
}

impl PageHeap {
    /// Whether there is something to do for [`PageHeap::earn`].
    pub(crate) fn is_earning_due(&self, now_ns: u64) -> bool {
        self.may_earn() && self.state.lock().is_earning_due(now_ns)
    }

    /// Whether there will be soon enough that a thread may stay for it.
    pub(crate) fn is_earning_near(&self, now_ns: u64) -> bool {
        self.may_earn() && {
            let mut state = self.state.lock();
            // Looking settles when it is due.
            let due = state.is_earning_due(now_ns);
            // While memory is short nothing is earned, however long it is due.
            due || pressure::now() == Pressure::Calm
                && state.huges.pace.next_ns().saturating_sub(now_ns) <= STAY_NS
        }
    }

    fn may_earn(&self) -> bool {
        self.grain() == 1
    }

    /// One step. `true`: there is more to do at once. Called inside a passage, no lock held.
    pub(crate) fn earn(&self, now_ns: u64, earner: Earner) -> bool {
        // Acquire: pairs with the Release below; one at a time is enough.
        if !self.may_earn() || self.earning.swap(true, Ordering::Acquire) {
            return false;
        }
        let more = self.earn_step(now_ns, earner);
        self.earning.store(false, Ordering::Release);
        more
    }

    fn earn_step(&self, now_ns: u64, earner: Earner) -> bool {
        let huge = {
            let mut state = self.state.lock();
            if !state.is_earning_due(now_ns) {
                return false;
            }
            if memory::huge_policy() == HugePolicy::Never {
                state.huges.rules.earn = false;
                return false;
            }
            match state.look(stamp_of(now_ns)) {
                Look::Candidate(huge) => huge,
                Look::More => return true,
                Look::End => {
                    state.end_round(now_ns);
                    return false;
                }
            }
        };
        let Some(addr) = NonNull::new(ptr::with_exposed_provenance_mut(huge.base())) else {
            return true;
        };
        let mut map = [0; HUGE_PAGES];
        let known = memory::residence(addr.addr().get(), &mut map);
        let mut resident: Words = [0; bits::WORDS];
        for (page, _) in map.iter().enumerate().filter(|(_, byte)| **byte & 1 != 0) {
            resident[page / 64] |= 1 << (page % 64);
        }
        let rounding = HUGE_PAGES - bits::count(&resident);
        {
            let mut state = self.state.lock();
            if !known || !state.admits(huge, &resident) || !state.pledge(rounding) {
                return true;
            }
        }
        fence::lower_within(addr.addr().get(), HUGE_PAGES * PAGE);
        // SAFETY: a huge page of ours, all of it; what the heap has once described stays mapped. Contents stay.
        let done = unsafe { memory::collapse(addr, HUGE_PAGES * PAGE) };
        let mut state = self.state.lock();
        if done {
            state.hold(huge, &resident);
        }
        state.redeem(rounding);
        state.note_collapse(huge, done, now_ns);
        if earner == Earner::Caller {
            let pace = &mut state.huges.pace;
            pace.rest_ns = pace.rest_ns.max(now_ns + SLOW_NS);
        }
        earner == Earner::Thread
    }

    /// Says whether huge pages are wanted, and when. Called by the boot.
    pub(crate) fn prepare_huge(&self, options: &crate::options::Options) {
        self.state.lock().huges.rules = super::huge::Rules::of(options);
    }

    /// A fork has happened: parent and child share their memory.
    pub(crate) fn note_fork(&self, now_ns: u64, is_child: bool) {
        let mut state = self.state.lock();
        let all = state.all;
        let pace = &mut state.huges.pace;
        if is_child {
            *pace = Pace::new();
            pace.elder = all;
        } else {
            pace.rest_ns = pace.rest_ns.max(now_ns + FORK_NS);
        }
    }

    /// Takes note that `pages` pages at `addr`, of a run handed out, are about to be purged by their user. `true`: the
    /// huge pages that they are of are to be split first.
    pub(crate) fn breaks_up(&self, addr: *const u8, pages: Pages) -> bool {
        self.state.lock().break_up_range(addr.addr(), pages.0)
    }

    /// Whether `addr` lies in a huge page that is one for the system too.
    pub(super) fn is_held(&self, addr: usize) -> bool {
        let state = self.state.lock();
        state.find(addr).is_some_and(|huge| huge.held.get())
    }

    /// Lets all huge pages go that keep idle memory.
    pub(super) fn let_all_go(&self) {
        let mut next = {
            let state = self.state.lock();
            if state.huges.held_idle() == 0 {
                return;
            }
            state.all
        };
        while next != 0 {
            let mut state = self.state.lock();
            for _ in 0..VISITS {
                let Some(huge) = HugeRef::from_link(next) else {
                    return;
                };
                next = huge.all_next.get();
                if state.keeps_idle(huge) {
                    state.let_go(huge);
                }
            }
        }
    }
}

impl State {
    /// Whether the process is large, and grown enough since it was looked at.
    pub(super) fn has_grown_enough(&self) -> bool {
        let (rules, settled) = (self.huges.rules, self.huges.pace.settled.min(self.active));
        rules.earn
            && self.active >= rules.floor
            && self.active >= settled + rules.growth.max(settled / GROWTH_SHARE)
    }

    fn is_earning_due(&mut self, now_ns: u64) -> bool {
        let (active, rules) = (self.active, self.huges.rules);
        if !rules.earn {
            (self.huges.pace.under_way, self.huges.pace.due_ns) = (false, NEVER);
            return false;
        }
        let grown = self.has_grown_enough();
        // What a forked child has from its parent is not looked at: it would be due for ever.
        let costly =
            self.huges.pace.elder == 0 && self.huges.held_idle() > 0 && self.huges.is_too_costly();
        let pace = &mut self.huges.pace;
        pace.settled = pace.settled.min(active);
        if costly || grown {
            pace.due_ns = pace.due_ns.min(now_ns);
        } else if core::mem::take(&mut pace.again) {
            let pause = u64::from(lacks_after_lapse(rules.delay)) << LG_STAMP_NS;
            pace.due_ns = pace.due_ns.min(now_ns + pause);
        } else if active < rules.floor {
            (pace.under_way, pace.due_ns) = (false, NEVER);
        }
        // While memory is short none is filled up for the sake of one entry; what costs too much goes all the same.
        now_ns >= pace.next_ns() && (costly || pressure::now() == Pressure::Calm)
    }

    /// Looks at some descriptors.
    fn look(&mut self, stamp: u32) -> Look {
        let delay = self.huges.rules.delay;
        if !self.huges.pace.under_way {
            let pace = &mut self.huges.pace;
            (pace.under_way, pace.next) = (true, self.all);
            (pace.soonest, pace.collapsed, pace.tried) = (None, false, false);
        }
        for _ in 0..VISITS {
            let next = self.huges.pace.next;
            let Some(huge) = HugeRef::from_link(next).filter(|_| next != self.huges.pace.elder)
            else {
                return Look::End;
            };
            self.huges.pace.next = huge.all_next.get();
            if huge.held.get() {
                if self.keeps_idle(huge) && self.huges.is_too_costly() {
                    self.let_go(huge);
                }
                continue;
            }
            if !self.is_dense(huge) {
                huge.dense_since.set(0);
                continue;
            }
            if huge.dense_since.get() == 0 {
                huge.dense_since.set(stamp);
            }
            let lacking = lacks(huge, delay, stamp);
            let pace = &mut self.huges.pace;
            if lacking == 0 {
                // Should it not come to a collapse, it waits like others.
                huge.dense_since.set(stamp);
                pace.tried = true;
                pace.soonest = Some(pace.soonest.map_or(delay, |soonest| soonest.min(delay)));
                return Look::Candidate(huge);
            }
            pace.soonest = Some(pace.soonest.map_or(lacking, |soonest| soonest.min(lacking)));
        }
        Look::More
    }

    fn end_round(&mut self, now_ns: u64) {
        let (active, delay) = (self.active, self.huges.rules.delay);
        let pace = &mut self.huges.pace;
        (pace.under_way, pace.settled) = (false, active);
        pace.in_vain = match (pace.tried, pace.collapsed) {
            (_, true) => 0,
            (true, false) => pace.in_vain + 1,
            (false, false) => pace.in_vain,
        };
        match pace.soonest {
            Some(soonest) if pace.in_vain <= ROUNDS_IN_VAIN => {
                let longer = match pace.in_vain {
                    0 => 0,
                    rounds => u64::from(delay) << rounds.min(ROUNDS_IN_VAIN),
                };
                let stamp = now_ns >> LG_STAMP_NS;
                pace.due_ns = (stamp + longer.max(soonest.into())) << LG_STAMP_NS;
            }
            _ => {
                pace.due_ns = NEVER;
                pace.in_vain = 0;
            }
        }
    }

    fn note_collapse(&mut self, huge: HugeRef, done: bool, now_ns: u64) {
        let pace = &mut self.huges.pace;
        if done {
            (pace.collapsed, pace.refusals, pace.rests) = (true, 0, 0);
            return;
        }
        lapse(huge);
        self.huges.refusals += 1;
        pace.refusals += 1;
        if pace.refusals >= REFUSALS {
            pace.refusals = 0;
            pace.rest_ns = now_ns + (REST_NS << pace.rests);
            pace.rests = (pace.rests + 1).min(LG_RESTS);
        }
    }
}
