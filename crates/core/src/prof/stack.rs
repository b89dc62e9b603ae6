//! Stack: a call path that samples have, once, with what is counted of it; and its counters by thread.
//!
//! ```text
//! table of stacks ──hash──> Stack ──> frames: return addresses, innermost first
//!                             │ samples ⇄ ...   those alive
//!                             │ tallies ⇄ ...   one a thread, by ascending number of the thread
//!                             └ lives, tags     what died, and came, by lifetime and tag
//! table of tallies ──hash(stack, thread)──> Tally, in the lists of both
//! ```
//! A1  Frames never change. Two stacks differ in them.
//! A2  A tally's counts are those of its thread's samples with its stack. What tallies counted that are no more is in
//!     `gone`.
//! A3  A stack of an earlier era, that is from before the last reset, counts as empty (see `Books::revive`), and so does a
//!     tally. Nobody waits for all of them to be cleared.

use super::counts::{Current, Sums, Tide};
use super::list::{Ends, Listed, Neighbours};
use super::record::{Handle, Held, Link, unlinked};
use super::sample::Life;
use super::shares::Chain;
use super::table::Hashed;
use super::thread::Thread;
use crate::meta::{self, MetaRef, UNIT};
use core::cell::Cell;
use core::slice;

/// Frames of the longest stack that is told apart from others.
pub(crate) const DEPTH_MAX: usize = 256;

/// A call path.
pub(super) struct Stack {
    hash: u32,
    chain: Link<Stack>,
    frames: Option<MetaRef>,
    depth: u32,
    listed: Neighbours<Stack>,
    /// The next in the order of a dump.
    pub(super) sorted: Link<Stack>,
    pub(super) tallies: Ends<Tally>,
    pub(super) samples: Ends<Life>,
    /// Records that name it beside its tallies and samples.
    pub(super) users: Cell<u32>,
    pub(super) era: Cell<u32>,
    pub(super) tide: Tide,
    /// Cumulative counts of tallies that are no more (A2).
    pub(super) gone: Cell<Sums>,
    pub(super) lives: Chain,
    pub(super) tags: Chain,
    /// Its number in a log, plus one.
    pub(super) logged: Cell<u32>,
}

/// The list of all stacks, the newest first.
pub(super) struct All;

impl Listed<All> for Stack {
    fn neighbours(&self) -> &Neighbours<Self> {
        &self.listed
    }
}

impl Hashed for Stack {
    fn hash(&self) -> u32 {
        self.hash
    }
    fn chain(&self) -> &Link<Self> {
        &self.chain
    }
}

/// A number that stacks with other frames rarely have.
pub(super) fn hash_of(frames: &[usize]) -> u32 {
    let mut hash = frames.len() as u64;
    for &frame in frames {
        hash = mixed(hash.rotate_left(5) ^ frame as u64);
    }
    (hash >> 32) as u32
}

fn mixed(number: u64) -> u64 {
    let product = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 29
}

/// Units of the record of so many frames.
const fn units(depth: usize) -> usize {
    (depth * size_of::<usize>()).div_ceil(UNIT)
}

impl Stack {
    /// A new stack, in no table and no list. `None`: out of memory.
    pub(super) fn make(
        frames: &[usize],
        hash: u32,
        era: u32,
        peak: u32,
        held: &Held,
    ) -> Option<Handle<Self>> {
        let kept = match frames {
            [] => None,
            frames => Some(keep(frames)?),
        };
        let made = Handle::make(Self {
            hash,
            chain: unlinked(),
            frames: kept,
            depth: frames.len() as u32,
            listed: Neighbours::none(),
            sorted: unlinked(),
            tallies: Ends::empty(),
            samples: Ends::empty(),
            users: Cell::new(0),
            era: Cell::new(era),
            tide: Tide::born(peak),
            gone: Cell::new(Sums::ZERO),
            lives: Chain::empty(),
            tags: Chain::empty(),
            logged: Cell::new(0),
        });
        if let (None, Some(kept)) = (&made, kept) {
            // SAFETY: just made, and named by nobody.
            unsafe { meta::recycle(kept, units(frames.len())) };
        }
        let _ = held;
        made
    }

    /// Its return addresses, innermost first.
    pub(super) fn frames(&self) -> &[usize] {
        match self.frames {
            // SAFETY: so many addresses, written when it was made, that do not change (A1) and stay as long as it does.
            Some(frames) => unsafe {
                slice::from_raw_parts(frames.resolve().as_ptr(), self.depth as usize)
            },
            None => &[],
        }
    }

    /// Lets go of a stack and its frames.
    ///
    /// # Safety
    /// It is in no table and no list, has no tally, no sample and no user; nobody uses it from now on.
    pub(super) unsafe fn forget(stack: Handle<Self>, held: &Held) {
        let own = stack.of(held);
        own.lives.clear(held);
        own.tags.clear(held);
        if let Some(frames) = own.frames {
            // SAFETY: made with as many units; the stack alone names it.
            unsafe { meta::recycle(frames, units(own.depth as usize)) };
        }
        // SAFETY: the caller's promise.
        unsafe { stack.forget(held) };
    }
}

/// Writes frames down.
fn keep(frames: &[usize]) -> Option<MetaRef> {
    let record = meta::allocate(units(frames.len()))?;
    let place = record.resolve::<usize>();
    // SAFETY: room for so many addresses, ours alone.
    unsafe {
        place
            .as_ptr()
            .copy_from_nonoverlapping(frames.as_ptr(), frames.len());
    }
    Some(record)
}

/// The counters of a stack and a thread.
pub(super) struct Tally {
    hash: u32,
    chain: Link<Tally>,
    pub(super) stack: Handle<Stack>,
    pub(super) thread: Handle<Thread>,
    of_stack: Neighbours<Tally>,
    of_thread: Neighbours<Tally>,
    pub(super) counts: Current,
}

/// The list of a stack's tallies.
pub(super) struct OfStack;
/// The list of a thread's tallies.
pub(super) struct OfThread;

impl Listed<OfStack> for Tally {
    fn neighbours(&self) -> &Neighbours<Self> {
        &self.of_stack
    }
}

impl Listed<OfThread> for Tally {
    fn neighbours(&self) -> &Neighbours<Self> {
        &self.of_thread
    }
}

impl Hashed for Tally {
    fn hash(&self) -> u32 {
        self.hash
    }
    fn chain(&self) -> &Link<Self> {
        &self.chain
    }
}

impl Tally {
    /// The hash of a stack and a thread.
    pub(super) fn hash_of(stack: Handle<Stack>, thread: Handle<Thread>) -> u32 {
        let both = u64::from(stack.number()) << 32 | u64::from(thread.number());
        (mixed(both) >> 32) as u32
    }

    /// A new one, in no table and no list. `None`: out of memory.
    pub(super) fn make(
        stack: Handle<Stack>,
        thread: Handle<Thread>,
        moment: u32,
        era: u32,
    ) -> Option<Handle<Self>> {
        Handle::make(Self {
            hash: Self::hash_of(stack, thread),
            chain: unlinked(),
            stack,
            thread,
            of_stack: Neighbours::none(),
            of_thread: Neighbours::none(),
            counts: Current::born(moment, era),
        })
    }
}
