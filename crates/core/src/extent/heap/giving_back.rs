//! Giving back: idle pages go to the system, step by step.
//!
//! ```text
//! tick ──an epoch has passed, or pressed──> advance the decay ──> one step of each kind
//! step ──> lock, collect, unlock ──> advise ──> lock, finish
//! ```
//! B1  One thread ticks at a time; the others go on.
//! B2  What the system refused is tried again in the next epoch, not at the next call.
//! B3  A tick takes no further step once [`BUDGET_NS`] have passed or [`TICK_PAGES`] went: a program that allocates meets ticks.
//! Lock: as in `heap`; the system calls run without it (H1).

use super::PageHeap;
use crate::extent::descriptor::Kind;
use crate::extent::earn::Earner;
use crate::extent::pressure;
use crate::extent::purge::{Batch, DirtyBound, STEP_PAGES, STEP_VISITS};
use crate::extent::state::{Idle, LG_STAMP_NS, State};
use crate::size::{HUGE_PAGES, PAGE, Pages};
use crate::sys::{clock, memory};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

/// Nanoseconds and pages after which a tick ends (B3).
const BUDGET_NS: u64 = 200_000;
const TICK_PAGES: usize = 32 * HUGE_PAGES;

/// What is known about purging: whether it zeroes (H2).
pub(super) enum Trust {
    Untried = 0,
    Zeroes = 1,
    Lies = 2,
}

/// How much a step of purging aims at.
#[derive(Clone, Copy)]
enum Amount {
    /// What is due: a little for a thread that has other things to do, more for the purge thread, which holds the lock a
    /// smaller share of its time that way.
    Due(Earner),
    All,
}

impl PageHeap {
    /// Whether more is idle than may be, so that a tick is due at once.
    #[inline]
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Has a tick follow at once when more is held than goes unnoticed.
    #[inline]
    pub(super) fn note_held(&self, state: &mut State) {
        if state.recount() {
            self.press();
        }
        if pressure::is_above_ceiling(state.counted) {
            pressure::raise_alarm();
            self.press();
        }
    }

    /// Has a tick follow at once.
    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::Relaxed);
    }

    /// Has a tick follow at once when `pages` idle ones are more than go unnoticed.
    #[inline]
    pub(crate) fn note_idle(&self, pages: usize) {
        // The level is looked at after the pages were counted: see `set_notice`.
        if pages > self.notice.load(Ordering::SeqCst).wrapping_sub(1) {
            self.pressed.store(true, Ordering::Relaxed);
        }
    }

    /// Sets how many idle pages go unnoticed; `None`: any. Who sets it and then looks at what is idle has missed
    /// nothing.
    pub(crate) fn set_notice(&self, pages: Option<usize>) {
        self.notice
            .store(pages.map_or(0, |pages| pages + 1), Ordering::SeqCst);
    }

    /// Purges what is due by `now_ns`, as much as suits `earner`; cheap when nothing is.
    #[inline]
    pub(crate) fn tick_as(&self, now_ns: u64, earner: Earner) {
        if now_ns >= self.next_epoch_ns.load(Ordering::Relaxed) || self.is_pressed() {
            self.tick_due(now_ns, earner);
        }
    }

    /// A caller's.
    #[cfg(test)]
    pub(crate) fn tick(&self, now_ns: u64) {
        self.tick_as(now_ns, Earner::Caller);
    }

    #[cold]
    fn tick_due(&self, now_ns: u64, earner: Earner) {
        // Acquire: pairs with the Release below; one at a time is enough.
        if self.ticking.swap(true, Ordering::Acquire) {
            return;
        }
        self.advance(now_ns);
        let begin_ns = clock::fine_ns();
        let mut done = 0;
        loop {
            let amount = Amount::Due(earner);
            let pages = self.step(Kind::Muzzy, amount) + self.step(Kind::Dirty, amount);
            done += pages;
            let is_over = clock::fine_ns().saturating_sub(begin_ns) >= BUDGET_NS;
            if pages == 0 || done >= TICK_PAGES || is_over {
                break;
            }
        }
        let state = self.state.lock();
        let more = Kind::BOTH.iter().any(|&kind| state.excess(kind) > 0);
        drop(state);
        // What was refused, locked pages for example, is tried again in the next epoch, not at the next call.
        self.pressed.store(more && done > 0, Ordering::Relaxed);
        self.ticking.store(false, Ordering::Release);
    }

    /// Passes the epochs that ended by `now_ns`.
    fn advance(&self, now_ns: u64) {
        let mut state = self.state.lock();
        // Where nothing decays it stands still: what idled longest is moved first, and the
        // layout must not depend on the clock then.
        if state.decay[Kind::Dirty as usize].decay_ms() >= 0 {
            state.stamp = (now_ns >> LG_STAMP_NS) as u32;
        }
        let active = state.active;
        state.peak.advance(now_ns, active);
        let asked = core::mem::take(&mut state.asked);
        let dirty_ms = state.decay[Kind::Dirty as usize].decay_ms();
        let halvings = state.adapt.advance(now_ns, dirty_ms, asked);
        let stretch = state.adapt.stretch();
        let mut next = u64::MAX;
        for kind in Kind::BOTH {
            let idle = state.idle[kind as usize];
            let decay = &mut state.decay[kind as usize];
            decay.advance(now_ns, idle);
            decay.set_stretch(stretch);
            (0..halvings).for_each(|_| decay.hasten());
            next = next.min(decay.next_epoch_ns().unwrap_or(u64::MAX));
        }
        self.next_epoch_ns.store(next, Ordering::Relaxed);
    }

    /// Purges all that is due by `now_ns`.
    pub(crate) fn decay_all(&self, now_ns: u64) {
        self.advance(now_ns);
        self.purge_due();
    }

    pub(super) fn purge_due(&self) {
        for kind in [Kind::Muzzy, Kind::Dirty] {
            while self.step(kind, Amount::Due(Earner::Caller)) > 0 {}
        }
    }

    /// Purges all idle pages; answers the bytes given back.
    pub(crate) fn purge_all(&self) -> usize {
        self.purge_while(|| true)
    }

    /// Purges idle pages as long as they are `wanted`; answers the bytes given back.
    pub(crate) fn purge_while(&self, wanted: impl Fn() -> bool) -> usize {
        {
            let mut state = self.state.lock();
            // What is not described cannot be purged.
            state.add_pending();
            state.recount();
        }
        let mut pages = 0;
        self.let_all_go();
        // A step looks past so many huge pages only and may find nothing, though it comes further each time.
        let mut in_vain = self.state.lock().owned / (STEP_VISITS * HUGE_PAGES) + 1;
        // By turns: what is of one kind hides what is of the other.
        while in_vain > 0 && wanted() {
            let done = self.step(Kind::Muzzy, Amount::All) + self.step(Kind::Dirty, Amount::All);
            pages += done;
            if self.state.lock().idle == [0; 2] {
                break;
            }
            in_vain -= usize::from(done == 0);
        }
        pages * PAGE
    }

    /// One step of purging pages of `kind`; answers how many it gave back.
    fn step(&self, kind: Kind, amount: Amount) -> usize {
        let grain = self.grain();
        let mut batch = match amount {
            Amount::Due(_) => Batch::new(),
            Amount::All => Batch::new().looking_everywhere(),
        };
        let lazily;
        {
            let mut state = self.state.lock();
            let (want, most) = match amount {
                Amount::Due(Earner::Caller) => (state.excess(kind), STEP_PAGES),
                Amount::Due(Earner::Thread) => (state.excess(kind), usize::MAX),
                Amount::All => (state.idle[kind as usize], STEP_PAGES),
            };
            if want == 0 {
                return 0;
            }
            state.collect(&mut batch, kind, want.min(most), grain);
            state.recount();
            lazily = matches!(amount, Amount::Due(_))
                && kind == Kind::Dirty
                && state.decay[Kind::Muzzy as usize].decay_ms() != 0
                && !pressure::is_limited()
                && !self.no_lazy.load(Ordering::Relaxed);
        }
        if batch.is_empty() {
            return 0;
        }
        let how = if lazily {
            Idle::Lazy
        } else if self.purging_zeroes() {
            Idle::Zero
        } else {
            Idle::Clean
        };
        batch.split();
        batch.advise(|addr, bytes| {
            let Some(addr) = NonNull::new(ptr::with_exposed_provenance_mut(addr)) else {
                return false;
            };
            // SAFETY: pages of ours that are free and marked taken while this runs (H1).
            unsafe {
                if lazily {
                    memory::purge_lazy(addr, bytes)
                } else {
                    memory::purge(addr, bytes)
                }
            }
        });
        let done = self.state.lock().finish(&mut batch, kind, how);
        if lazily && done == 0 {
            self.no_lazy.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Pages that the system purges as one.
    pub(in crate::extent) fn grain(&self) -> usize {
        match self.grain.load(Ordering::Relaxed) {
            0 => (memory::page_size() / PAGE).max(1),
            grain => grain.into(),
        }
    }

    /// Whether purged pages read zero: tried once (H2).
    pub(crate) fn purging_zeroes(&self) -> bool {
        match self.trust.load(Ordering::Relaxed) {
            trust if trust == Trust::Zeroes as u8 => return true,
            trust if trust == Trust::Lies as u8 => return false,
            _ => {}
        }
        let system = memory::page_size();
        let Some(page) = memory::map(system) else {
            return false;
        };
        let byte = page.as_ptr();
        // SAFETY: a page just mapped, ours alone; volatile, as the system changes it behind our back.
        let verdict = unsafe {
            byte.write_volatile(1);
            let purged = memory::purge(page, system);
            let zero = byte.read_volatile() == 0;
            memory::unmap(page, system);
            match (purged, zero) {
                (false, _) => return false,
                (true, true) => Trust::Zeroes,
                (true, false) => Trust::Lies,
            }
        };
        let zeroes = matches!(verdict, Trust::Zeroes);
        self.trust.store(verdict as u8, Ordering::Relaxed);
        zeroes
    }

    /// Takes the memory of pages in use anew, so that they read zero. `false`: it cannot be, nothing changed.
    ///
    /// # Safety
    /// The pages are the caller's, and what they hold is of no use.
    pub(crate) unsafe fn renew(&self, addr: NonNull<u8>, pages: Pages) -> bool {
        let system = self.grain() * PAGE;
        let whole = addr.addr().get() % system == 0 && pages.bytes() % system == 0;
        // SAFETY: the caller's promise; whole pages of the system.
        whole && self.purging_zeroes() && unsafe { memory::purge(addr, pages.bytes()) }
    }

    /// Sets the decay times in milliseconds: -1 never, 0 at once. A kind that keeps its time goes on as it was.
    pub(crate) fn set_decay_ms(&self, dirty_ms: isize, muzzy_ms: isize) {
        {
            let mut state = self.state.lock();
            for (kind, decay_ms) in [(Kind::Dirty, dirty_ms), (Kind::Muzzy, muzzy_ms)] {
                let decay = &mut state.decay[kind as usize];
                if decay.decay_ms() != decay_ms {
                    decay.set_decay_ms(decay_ms);
                }
            }
        }
        self.next_epoch_ns.store(0, Ordering::Relaxed);
        self.purge_due();
    }

    /// Has the decay time adapt to what the program does, or not.
    pub(crate) fn set_adaptive(&self, is_on: bool) {
        let mut state = self.state.lock();
        if state.adapt.is_on() != is_on {
            state.adapt.switch(is_on);
        }
        drop(state);
        // An epoch that was lengthened ends.
        self.next_epoch_ns.store(0, Ordering::Relaxed);
    }

    /// Whether the decay time adapts, and how often it is doubled at this moment; less than 0: halved.
    pub(crate) fn adaptive(&self) -> (bool, i8) {
        let state = self.state.lock();
        (state.adapt.is_on(), state.adapt.stretch())
    }

    /// Bounds dirty pages by amount.
    pub(crate) fn set_dirty_bound(&self, bound: DirtyBound) {
        let mut state = self.state.lock();
        state.bound = bound;
        if state.is_over_bound() {
            self.press();
        }
    }

    /// How dirty pages are bounded by amount.
    pub(crate) fn dirty_bound(&self) -> DirtyBound {
        self.state.lock().bound
    }
}
