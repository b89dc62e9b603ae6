//! Books: all that the profiler keeps, behind one lock.
//!
//! ```text
//! record   stack found or made ── tally of (stack, thread) found or made ── sample made ── counted
//! release  counted off ── its lifetime noted ── a tally without live samples goes (without prof_accum)
//! reset    the era grows: everything counted before is void at once, and cleared bit by bit
//! tidy     what could not go while a dump was under way, or when its thread ended, goes bit by bit
//! ```
//! B1  Live counts are sums over the samples of this era that are alive: of the process, of each thread, each stack, each
//!     tally.
//! B2  A sample that there is no memory for is dropped, counted, and changes nothing else.
//! B3  Stacks without live samples stay, for their peak and what was cumulated, until there are [`IDLE_STACKS`] or twice
//!     as many as samples; where all is to be kept, up to [`STACKS_MAX`].
//! B4  Every hold of the lock is short: what goes over many records goes a few at a time.
//! Lock: profile, rank 3. Never held during a system call, but for metadata that grows.

use super::counts::{Counts, Kept, Sums};
use super::list::{self, Ends};
use super::log::Log;
use super::numbers::{self, Estimate};
use super::recent::Recents;
use super::record::{Handle, Held, Link, unlinked};
use super::sample::{self, Life};
use super::stack::{self, DEPTH_MAX, OfStack, OfThread, Stack, Tally};
use super::table::Table;
use super::thread::Thread;
use super::{Event, ThreadRef};
use crate::size::{CLASSES, class_of};
use core::cell::Cell;

/// Stacks that may stay without live samples, at least.
const IDLE_STACKS: usize = 4096;
/// Stacks, at most.
const STACKS_MAX: usize = 1 << 20;
/// Stacks looked at for each that is made, once there are enough.
const LOOKS: usize = 4;
/// Stacks and tallies cleared, and tallies folded, under one hold of the lock (B4).
const SWEPT: usize = 64;
pub(super) const FOLDED: usize = 64;

/// Samples of a size class, by what was asked for: `prof.stats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ClassCounts {
    /// Bytes and objects alive.
    pub(crate) live: [u64; 2],
    /// Bytes and objects that there ever were.
    pub(crate) cumulative: [u64; 2],
}

/// The highest live estimate so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Peak {
    /// Grows with each.
    pub(super) number: u32,
    pub(super) bytes: u64,
    pub(super) ns: u64,
}

/// What the profiler keeps.
pub(super) struct Books {
    pub(super) held: Held,
    pub(super) stacks: Table<Stack>,
    pub(super) tallies: Table<Tally>,
    pub(super) all: Ends<Stack>,
    pub(super) threads: Ends<Thread>,
    pub(super) next_uid: Cell<u64>,
    /// Stands for threads past their ends.
    past: Link<Thread>,
    /// Counts of the process.
    pub(super) kept: Kept,
    pub(super) live: Cell<Estimate>,
    pub(super) peak: Cell<Peak>,
    pub(super) by_class: [Cell<ClassCounts>; CLASSES],
    /// Number of the last moment (see `counts`), of the era, of the objects' generation.
    pub(super) moment: Cell<u32>,
    pub(super) era: Cell<u32>,
    pub(super) generation: Cell<u32>,
    pub(super) lg_sample: Cell<u32>,
    /// Cumulative counts are printed; nothing is forgotten before it must be.
    pub(super) accumulates: Cell<bool>,
    pub(super) keeps_all: Cell<bool>,
    /// A stack had more tags than are told apart.
    pub(super) has_others: Cell<bool>,
    pub(super) samples: Cell<u64>,
    pub(super) dropped: Cell<u64>,
    pub(super) is_pinned: Cell<bool>,
    /// Something that was to go is still there, as a dump was under way.
    pub(super) is_untidy: Cell<bool>,
    /// Where evicting and clearing go on, from the oldest stack to the newest.
    hand: Link<Stack>,
    pub(super) sweep: Link<Stack>,
    /// The tally of the stack at the sweep that is cleared next.
    swept: Link<Tally>,
    /// The thread whose tallies are folded, as a dump is over. It is held as a user.
    tidied: Link<Thread>,
    /// The sample that a dump comes to next.
    pub(super) cursor: Link<Life>,
    /// Bytes from one dump to the next; 0: no such dumps. And what is left of them.
    pub(super) interval: Cell<u64>,
    pub(super) until_dump: Cell<u64>,
    pub(super) recents: Recents,
    pub(super) log: Log,
}

impl Books {
    pub(super) const fn new() -> Self {
        Self {
            held: Held::new(),
            stacks: Table::new(),
            tallies: Table::new(),
            all: Ends::empty(),
            threads: Ends::empty(),
            next_uid: Cell::new(0),
            past: unlinked(),
            kept: Kept::born(0),
            live: Cell::new(Estimate::ZERO),
            peak: Cell::new(Peak {
                number: 0,
                bytes: 0,
                ns: 0,
            }),
            by_class: [const {
                Cell::new(ClassCounts {
                    live: [0; 2],
                    cumulative: [0; 2],
                })
            }; CLASSES],
            moment: Cell::new(0),
            era: Cell::new(0),
            generation: Cell::new(0),
            lg_sample: Cell::new(0),
            accumulates: Cell::new(false),
            keeps_all: Cell::new(false),
            has_others: Cell::new(false),
            samples: Cell::new(0),
            dropped: Cell::new(0),
            is_pinned: Cell::new(false),
            is_untidy: Cell::new(false),
            hand: unlinked(),
            sweep: unlinked(),
            swept: unlinked(),
            tidied: unlinked(),
            cursor: unlinked(),
            interval: Cell::new(0),
            until_dump: Cell::new(0),
            recents: Recents::new(),
            log: Log::new(),
        }
    }

    /// Records a sample taken at `now`. `None`: out of memory (B2).
    pub(super) fn record(&self, event: &Event<'_>, hash: u32, now_ns: u64) -> Option<Handle<Life>> {
        let made = self.make(event, hash, now_ns);
        if made.is_none() {
            self.dropped.set(self.dropped.get() + 1);
        }
        made
    }

    fn make(&self, event: &Event<'_>, hash: u32, now_ns: u64) -> Option<Handle<Life>> {
        let held = &self.held;
        let thread = self.recorded(event.thread)?;
        let stack = self.stack_of(event.frames, hash)?;
        let tally = self.tally_of(stack, thread)?;
        let (tag, generation) = (event.thread.tag(), self.generation.get());
        let life = Life::new(event, tally, self.era.get(), now_ns, tag, generation);
        let Some(life) = Handle::make(life) else {
            self.fold_tally(tally);
            return None;
        };
        let own = stack.of(held);
        own.samples.push_front::<sample::OfStack>(life, held);
        let weight = numbers::weight(event.usable, self.lg_sample.get());
        let one = Sums::one(event.usable, weight);
        self.count(tally, |counts| {
            counts.live = counts.live.plus(one);
            counts.cumulative = counts.cumulative.plus(one);
        });
        let peak = self.peak.get();
        own.tide.change(peak.number, |live| live.plus(weight));
        self.live.set(self.live.get().plus(weight));
        if self.live.get().bytes > peak.bytes {
            self.peak.set(Peak {
                number: peak.number.wrapping_add(1),
                bytes: self.live.get().bytes,
                ns: now_ns,
            });
        }
        if tag != 0 && !own.tags.add(tag, weight, held) {
            self.has_others.set(true);
        }
        self.count_class(event.usable, |class| {
            for counts in [&mut class.live, &mut class.cumulative] {
                counts[0] = counts[0].saturating_add(event.requested as u64);
                counts[1] += 1;
            }
        });
        self.samples.set(self.samples.get() + 1);
        self.note_recent(life);
        Some(life)
    }

    /// The sampled object dies at `now`, freed by `thread` from the call path `frames`, which is empty unless recent
    /// samples or a log want it.
    pub(super) fn release(
        &self,
        life: Handle<Life>,
        thread: ThreadRef,
        frames: &[usize],
        now_ns: u64,
    ) {
        let held = &self.held;
        let own = life.of(held);
        self.count_class(own.usable, |class| {
            class.live[0] = class.live[0].saturating_sub(own.requested.get() as u64);
            class.live[1] = class.live[1].saturating_sub(1);
        });
        self.note_death(life, thread, frames, now_ns);
        if own.era == self.era.get() {
            let tally = own.tally;
            let stack = tally.of(held).stack;
            let weight = numbers::weight(own.usable, self.lg_sample.get());
            let one = Sums::one(own.usable, weight);
            self.count(tally, |counts| counts.live = counts.live.minus(one));
            let of_stack = stack.of(held);
            let peak = self.peak.get().number;
            of_stack.tide.change(peak, |live| live.minus(weight));
            self.live.set(self.live.get().minus(weight));
            let lifetime = now_ns.saturating_sub(own.born_ns).max(1).ilog2();
            of_stack.lives.add(lifetime as u16, weight, held);
            if self.cursor.get() == Some(life) {
                self.cursor
                    .set(list::after::<sample::OfStack, _>(life, held));
            }
            of_stack.samples.remove::<sample::OfStack>(life, held);
            self.samples.set(self.samples.get() - 1);
            self.fold_tally(tally);
        }
        // SAFETY: out of its stack's list, or that list is void (V1); `note_death` undid the link of recents.
        unsafe { life.forget(held) };
    }

    /// The object of a sample is asked for `requested` bytes from now on, in its class: what it was asked for before is no more.
    pub(super) fn note_request(&self, life: Handle<Life>, requested: usize) {
        let own = life.of(&self.held);
        let before = own.requested.replace(requested);
        self.count_class(own.usable, |class| {
            let others = class.live[0].saturating_sub(before as u64);
            class.live[0] = others.saturating_add(requested as u64);
        });
    }

    /// The thread's record: those that are past their ends, and still allocate, have one together.
    fn recorded(&self, thread: ThreadRef) -> Option<Handle<Thread>> {
        let known = thread.handle().or_else(|| self.past.get());
        let recorded = known.or_else(|| self.begin_thread());
        if thread == ThreadRef::PAST {
            self.past.set(recorded);
        }
        recorded
    }

    /// Changes the counts of a tally, its thread, and the process.
    fn count(&self, tally: Handle<Tally>, change: impl Fn(&mut Counts)) {
        let (moment, era) = (self.moment.get(), self.era.get());
        let tally = tally.of(&self.held);
        let thread = tally.thread.of(&self.held);
        tally.counts.change(moment, era, &change);
        thread.counts.change(moment, era, &change);
        self.kept.change(moment, &change);
    }

    /// Notes that so many bytes of a sample stand for what was allocated. `true`: the next dump is due.
    pub(super) fn pass_interval(&self, usable: usize) -> bool {
        let interval = self.interval.get();
        if interval == 0 {
            return false;
        }
        let bytes = numbers::weight(usable, self.lg_sample.get()).bytes;
        let left = self.until_dump.get();
        let is_due = bytes >= left;
        self.until_dump.set(match is_due {
            true => interval - (bytes - left) % interval,
            false => left - bytes,
        });
        is_due
    }

    fn count_class(&self, usable: usize, change: impl FnOnce(&mut ClassCounts)) {
        let class = class_of(usable).and_then(|class| self.by_class.get(class.index()));
        if let Some(class) = class {
            let mut counts = class.get();
            change(&mut counts);
            class.set(counts);
        }
    }

    /// The stack with these frames; those beyond [`DEPTH_MAX`] do not count.
    pub(super) fn stack_of(&self, frames: &[usize], hash: u32) -> Option<Handle<Stack>> {
        let held = &self.held;
        let frames = frames.get(..DEPTH_MAX).unwrap_or(frames);
        let known = self
            .stacks
            .find(hash, held, |stack| stack.frames() == frames);
        if let Some(stack) = known {
            self.revive(stack);
            return Some(stack);
        }
        let bound = match self.keeps_all.get() {
            true => STACKS_MAX,
            false => IDLE_STACKS.max(2 * self.samples.get() as usize),
        };
        if self.stacks.len() >= bound {
            self.evict();
        }
        if self.stacks.len() >= STACKS_MAX {
            return None;
        }
        let (era, peak) = (self.era.get(), self.peak.get().number);
        let stack = Stack::make(frames, hash, era, peak, held)?;
        if self.stacks.insert(stack, held).is_none() {
            // SAFETY: just made, in no table and no list.
            unsafe { Stack::forget(stack, held) };
            return None;
        }
        self.all.push_front::<stack::All>(stack, held);
        Some(stack)
    }

    fn tally_of(&self, stack: Handle<Stack>, thread: Handle<Thread>) -> Option<Handle<Tally>> {
        let held = &self.held;
        let hash = Tally::hash_of(stack, thread);
        let is_it = |tally: &Tally| tally.stack == stack && tally.thread == thread;
        if let Some(tally) = self.tallies.find(hash, held, is_it) {
            return Some(tally);
        }
        let tally = Tally::make(stack, thread, self.moment.get(), self.era.get())?;
        if self.tallies.insert(tally, held).is_none() {
            // SAFETY: just made, in no table and no list.
            unsafe { tally.forget(held) };
            return None;
        }
        // By ascending number; the newest thread is the likeliest to be new here.
        let uid = |tally: Handle<Tally>| tally.of(held).thread.of(held).uid;
        let tallies = &stack.of(held).tallies;
        let mut before = tallies.last();
        while let Some(other) = before.filter(|&other| uid(other) > uid(tally)) {
            before = list::before::<OfStack, _>(other, held);
        }
        tallies.insert::<OfStack>(before, tally, held);
        let of_thread = &thread.of(held).tallies;
        of_thread.push_front::<OfThread>(tally, held);
        Some(tally)
    }

    /// Lets go of a tally without live samples, unless cumulative counts are wanted by thread.
    pub(super) fn fold_tally(&self, tally: Handle<Tally>) {
        let counts = tally.of(&self.held).counts.now(self.era.get());
        let is_wanted = self.accumulates.get() && counts.cumulative.objects > 0;
        if is_wanted || counts.live.objects > 0 {
            return;
        }
        if self.is_pinned.get() {
            self.is_untidy.set(true);
            return;
        }
        let stack = tally.of(&self.held).stack.of(&self.held);
        stack.gone.set(stack.gone.get().plus(counts.cumulative));
        self.drop_tally(tally);
    }

    fn drop_tally(&self, tally: Handle<Tally>) {
        let held = &self.held;
        let (stack, thread) = (tally.of(held).stack, tally.of(held).thread);
        if self.swept.get() == Some(tally) {
            self.swept.set(list::after::<OfStack, _>(tally, held));
        }
        let fold = &thread.of(held).fold;
        if fold.get() == Some(tally) {
            fold.set(list::after::<OfThread, _>(tally, held));
        }
        stack.of(held).tallies.remove::<OfStack>(tally, held);
        thread.of(held).tallies.remove::<OfThread>(tally, held);
        self.tallies.remove(tally, held);
        // SAFETY: in no list and not in the table; without live samples, or with those of an earlier era (V1).
        unsafe { tally.forget(held) };
        self.drop_thread(thread);
    }

    /// Clears a stack of an earlier era (A3), but for its tallies: those clear themselves, or go with the sweep.
    fn revive(&self, stack: Handle<Stack>) {
        let held = &self.held;
        let own = stack.of(held);
        if own.era.replace(self.era.get()) == self.era.get() {
            return;
        }
        own.tide.reset(self.peak.get().number);
        own.gone.set(Sums::ZERO);
        own.lives.clear(held);
        own.tags.clear(held);
        own.samples.clear();
    }

    /// Drops a stack that nothing holds.
    fn drop_stack(&self, stack: Handle<Stack>) {
        let held = &self.held;
        let own = stack.of(held);
        let is_held = !own.samples.is_empty() || !own.tallies.is_empty() || own.users.get() > 0;
        if is_held || self.is_pinned.get() {
            return;
        }
        if self.hand.get() == Some(stack) {
            self.hand.set(list::before::<stack::All, _>(stack, held));
        }
        if self.sweep.get() == Some(stack) {
            self.sweep_to(list::before::<stack::All, _>(stack, held));
        }
        self.stacks.remove(stack, held);
        self.all.remove::<stack::All>(stack, held);
        // SAFETY: in no table, list or cursor; no tally, sample or user names it.
        unsafe { Stack::forget(stack, held) };
    }

    /// Looks at some stacks, the oldest first, and drops those that nothing holds (B3).
    fn evict(&self) {
        for _ in 0..LOOKS {
            let Some(stack) = self.hand.get().or_else(|| self.all.last()) else {
                return;
            };
            self.hand
                .set(list::before::<stack::All, _>(stack, &self.held));
            self.revive_and_drop(stack);
        }
    }

    fn revive_and_drop(&self, stack: Handle<Stack>) {
        if !self.is_pinned.get() {
            self.revive(stack);
            self.drop_stack(stack);
        }
    }

    /// Makes everything counted so far void; samples are taken at `lg_sample` from now on. What is void is cleared by
    /// [`Books::clear_some`]. No dump is under way.
    pub(super) fn reset(&self, lg_sample: u32) {
        self.era.set(self.era.get().wrapping_add(1));
        self.kept.reset(self.moment.get());
        self.live.set(Estimate::ZERO);
        let number = self.peak.get().number.wrapping_add(1);
        let (bytes, ns) = (0, 0);
        self.peak.set(Peak { number, bytes, ns });
        self.samples.set(0);
        self.lg_sample.set(lg_sample);
        self.sweep_to(self.all.last());
    }

    fn sweep_to(&self, stack: Option<Handle<Stack>>) {
        self.sweep.set(stack);
        let first = stack.and_then(|stack| stack.of(&self.held).tallies.first());
        self.swept.set(first);
    }

    /// Clears some of what a reset made void. `true`: there is more.
    pub(super) fn clear_some(&self) -> bool {
        for _ in 0..SWEPT {
            let Some(stack) = self.sweep.get() else {
                return false;
            };
            if let Some(tally) = self.swept.get() {
                self.swept.set(list::after::<OfStack, _>(tally, &self.held));
                self.fold_tally(tally);
            } else {
                self.sweep_to(list::before::<stack::All, _>(stack, &self.held));
                self.revive_and_drop(stack);
            }
        }
        true
    }

    /// In a forked child: a dump that was under way is not, and what had to stay meanwhile goes.
    pub(super) fn forget_dump(&self) {
        self.is_pinned.set(false);
        self.cursor.set(None);
        if self.is_untidy.replace(false) {
            self.begin_tidy();
            while self.tidy_some() {}
        }
    }

    /// Begins to let go of what had to stay while a dump was under way: [`Books::tidy_some`] is to be called, in the same
    /// passage of the fork gate: no child finds it half done.
    pub(super) fn begin_tidy(&self) {
        self.tidy_from(self.threads.first());
    }

    fn tidy_from(&self, thread: Option<Handle<Thread>>) {
        self.tidied.set(thread);
        if let Some(thread) = thread {
            self.begin_fold(thread);
        }
    }

    /// Lets go of some of it. `true`: there is more.
    pub(super) fn tidy_some(&self) -> bool {
        let mut left = FOLDED;
        while let Some(thread) = self.tidied.get() {
            if left == 0 {
                return true;
            }
            left -= 1;
            // Before it may be gone.
            let next = list::after::<super::thread::All, _>(thread, &self.held);
            if self.fold_at_most(thread, &mut left) {
                return true;
            }
            self.tidy_from(next);
        }
        false
    }
}
