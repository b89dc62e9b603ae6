//! Model: random operations, every one of them checked against a list of live ranges.
//!
//! V1  An answer is null only where the system may refuse.
//! V2  An object has exactly the usable size that was promised for its request, and its alignment.
//! V3  Live objects share no byte, and keep their contents until they are freed, by whatever thread.
//! V4  What was asked for zeroed reads zero over its usable size.
//! V5  A request that fails changes nothing.
//! V6  The books agree with the list: bytes held by the application, by class.

use crate::api::{
    Footprint, alloc, alloc_aligned, alloc_zeroed, alloc_zeroed_aligned, dealloc, dealloc_sized,
    footprint, realloc, request_size, resize_in_place, trim, usable_size,
};
use crate::extent::HEAP;
use crate::size::{LARGE_MIN, PAGE, QUANTUM};
use crate::sys::simulated::clock;
use crate::sys::simulated::dice::Dice;
use jemoxide_testkit::naive::{Block, LiveRanges};
use std::vec::Vec;

/// What is drawn.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Bytes that are live at most, about.
    pub(super) most_bytes: usize,
    /// Objects that are live at most.
    pub(super) most_blocks: usize,
    /// Largest size; magnitudes up to it are equally likely.
    pub(super) max_size: usize,
    /// Largest alignment; few requests ask for one.
    pub(super) max_align: usize,
    /// Whether null is an answer.
    pub(super) may_fail: bool,
    /// Whether the clock is turned and idle memory trimmed now and then.
    pub(super) ages: bool,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) allocated: usize,
    pub(super) zeroed: usize,
    pub(super) resized: usize,
    pub(super) moved: usize,
    pub(super) in_place: usize,
    pub(super) freed: usize,
    pub(super) refused: usize,
}

/// One thread's share of the model.
pub(super) struct Model<'a> {
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    pub(super) blocks: Vec<Block>,
    pub(super) tally: Tally,
    live: &'a LiveRanges,
    bytes: usize,
    /// Sum of all addresses handed out, each turned by its number: two equal runs have equal sums.
    pub(super) trail: u64,
    origin: Option<usize>,
}

impl<'a> Model<'a> {
    pub(super) fn new(plan: Plan, seed: u64, live: &'a LiveRanges) -> Self {
        Self {
            plan,
            dice: Dice::new(seed),
            blocks: Vec::new(),
            tally: Tally::default(),
            live,
            bytes: 0,
            trail: 0,
            origin: None,
        }
    }

    fn size(&mut self) -> usize {
        let digits = usize::BITS - self.plan.max_size.leading_zeros();
        let size = self.dice.next() as usize & ((1 << self.dice.below(digits as usize + 1)) - 1);
        // Around what rounds: powers of two and pages. What has no bytes has tests of its own.
        let size = match self.dice.below(12) {
            0 => size.next_power_of_two(),
            1 => size.next_multiple_of(PAGE),
            2 => (size.next_power_of_two() + 1).min(self.plan.max_size),
            _ => size,
        };
        size.clamp(1, self.plan.max_size)
    }

    fn align(&mut self) -> usize {
        1 << self.dice.below(self.plan.max_align.ilog2() as usize + 1)
    }

    /// Notes an object that was handed out, checked but for its contents.
    fn admit(&mut self, ptr: *mut u8, size: usize, align: usize) -> Option<Block> {
        if ptr.is_null() {
            assert!(self.plan.may_fail, "V1: {size} bytes at {align}");
            self.tally.refused += 1;
            return None;
        }
        // SAFETY: just handed out.
        let usable = unsafe { usable_size(ptr) };
        assert_eq!(
            Some(usable),
            request_size(size, align),
            "V2: {size} bytes at {align}"
        );
        let natural = if usable >= QUANTUM { QUANTUM } else { 8 };
        assert_eq!(
            ptr.addr() % align.max(natural),
            0,
            "V2: {size} bytes at {align}"
        );
        self.enter(ptr, usable);
        let origin = *self.origin.get_or_insert(ptr.addr());
        let place = ptr.addr().wrapping_sub(origin) as u64;
        self.trail = self
            .trail
            .rotate_left(7)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ place;
        Some(Block {
            ptr,
            size,
            align,
            filled: usable,
            seed: self.dice.next(),
        })
    }

    fn enter(&mut self, ptr: *mut u8, usable: usize) {
        self.live.enter(ptr.addr(), usable);
        self.bytes += usable;
    }

    fn leave(&mut self, block: &Block) {
        self.live.leave(block.ptr.addr());
        self.bytes -= block.filled;
    }

    /// Allocates in one of the four ways. Whether it did.
    pub(super) fn allocate(&mut self) -> bool {
        let size = self.size();
        let aligned = self.dice.once_in(5);
        let align = if aligned { self.align() } else { 1 };
        let zeroed = self.dice.once_in(4);
        let ptr = match (aligned, zeroed) {
            (false, false) => alloc(size),
            (false, true) => alloc_zeroed(size),
            (true, false) => alloc_aligned(size, align),
            (true, true) => alloc_zeroed_aligned(size, align),
        };
        let Some(block) = self.admit(ptr, size, align) else {
            return false;
        };
        self.tally.allocated += 1;
        // SAFETY: just handed out, with that many bytes.
        unsafe {
            if zeroed {
                block.verify_zero(block.filled);
                self.tally.zeroed += 1;
            }
            block.fill();
        }
        self.blocks.push(block);
        true
    }

    fn take(&mut self) -> Option<Block> {
        let count = self.blocks.len();
        (count > 0).then(|| self.blocks.swap_remove(self.dice.below(count)))
    }

    /// A block for another thread.
    pub(super) fn give_up(&mut self) -> Option<Block> {
        let block = self.take()?;
        self.bytes -= block.filled;
        Some(block)
    }

    /// A block from another thread.
    pub(super) fn receive(&mut self, block: Block) {
        self.bytes += block.filled;
        self.free(block);
    }

    fn free(&mut self, block: Block) {
        // SAFETY: a live object, filled when it came.
        unsafe { block.verify(block.filled) };
        self.leave(&block);
        self.tally.freed += 1;
        // SAFETY: a live object; from here on nobody uses it. Any size from what was asked for to what is usable
        //         may be named.
        unsafe {
            match self.dice.below(3) {
                0 => dealloc(block.ptr),
                1 => dealloc_sized(block.ptr, block.size, block.align),
                _ => dealloc_sized(block.ptr, block.filled, block.align),
            }
        }
    }

    fn reallocate(&mut self) {
        let Some(old) = self.take() else { return };
        let near = old.size / 2 + self.dice.below(old.size + 2);
        let size = if self.dice.once_in(2) {
            self.size()
        } else {
            near.clamp(1, self.plan.max_size)
        };
        let zeroed = self.dice.once_in(3);
        // SAFETY: a live object, filled when it came.
        unsafe { old.verify(old.filled) };
        self.leave(&old);
        // SAFETY: a live object; the answer counts from here on.
        let ptr = unsafe { realloc(old.ptr, size, old.align, zeroed) };
        let Some(block) = self.admit(ptr, size, old.align) else {
            self.enter(old.ptr, old.filled);
            // SAFETY: it is as it was (V5).
            unsafe { old.verify(old.filled) };
            self.blocks.push(old);
            return;
        };
        self.tally.resized += 1;
        self.tally.moved += usize::from(ptr != old.ptr);
        self.finish_resize(old, block, zeroed);
    }

    /// Checks contents after a resize from `old` to `block`, and fills it anew.
    fn finish_resize(&mut self, old: Block, block: Block, zeroed: bool) {
        let kept = old.filled.min(block.filled);
        let there = Block {
            ptr: block.ptr,
            ..old
        };
        // SAFETY: the object holds `block.filled` bytes.
        unsafe {
            there.verify(kept);
            if zeroed && block.filled > old.filled {
                let (ptr, filled) = (block.ptr.add(old.filled), block.filled - old.filled);
                Block {
                    ptr,
                    filled,
                    ..block
                }
                .verify_zero(filled);
            }
        }
        // The block with its own pattern again.
        // SAFETY: as above.
        unsafe { block.fill() };
        self.blocks.push(block);
    }

    fn resize_in_place(&mut self) {
        let Some(old) = self.take() else { return };
        let size = (old.filled / 2 + self.dice.below(old.filled * 2)).min(self.plan.max_size);
        let extra = if self.dice.once_in(2) {
            0
        } else {
            self.dice.below(old.filled + 1)
        };
        let zeroed = self.dice.once_in(2);
        self.leave(&old);
        // SAFETY: a live object.
        let now = unsafe { resize_in_place(old.ptr, size, extra, old.align, zeroed) };
        // SAFETY: a live object.
        assert_eq!(unsafe { usable_size(old.ptr) }, now);
        self.enter(old.ptr, now);
        if now == old.filled {
            // SAFETY: it is as it was (V5).
            unsafe { old.verify(old.filled) };
            self.blocks.push(old);
            return;
        }
        let (least, most) = (
            request_size(size, old.align),
            request_size(size + extra, old.align),
        );
        assert!(
            Some(now) >= least && Some(now) <= most,
            "V2: {size} to {}: {now}",
            size + extra
        );
        self.tally.in_place += 1;
        // A free may name what was asked for only where the object became what that asks for.
        let named = if least < Some(LARGE_MIN) { now } else { size };
        let block = Block {
            ptr: old.ptr,
            size: named,
            align: old.align,
            filled: now,
            seed: self.dice.next(),
        };
        self.finish_resize(old, block, zeroed);
    }

    /// Frees down to about the plan's bytes.
    fn is_full(&self) -> bool {
        self.bytes >= self.plan.most_bytes || self.blocks.len() >= self.plan.most_blocks
    }

    /// One operation.
    pub(super) fn step(&mut self) {
        match self.dice.below(20) {
            0..9 if !self.is_full() => drop(self.allocate()),
            9..12 => self.reallocate(),
            12 | 13 => self.resize_in_place(),
            14 if self.plan.ages => match self.dice.below(60) {
                0 => drop(trim()),
                1 => clock::turn(2_000_000_000),
                _ => clock::turn(30_000_000),
            },
            _ => {
                if let Some(block) = self.take() {
                    self.free(block);
                }
            }
        }
    }

    /// Frees one object, if there is one.
    pub(super) fn free_one(&mut self) {
        if let Some(block) = self.take() {
            self.free(block);
        }
    }

    /// Frees everything.
    pub(super) fn clear(&mut self) {
        while let Some(block) = self.take() {
            self.free(block);
        }
    }

    /// Looks at all contents, and at the books if this thread is the only one that allocates (V6).
    pub(super) fn check(&self, alone: bool) {
        for block in &self.blocks {
            // SAFETY: live objects, filled when they came.
            unsafe { block.verify(block.filled) };
        }
        if !alone {
            return;
        }
        HEAP.check();
        let large = |block: &&Block| block.filled >= LARGE_MIN;
        let bytes = |blocks: &mut dyn Iterator<Item = &Block>| -> usize {
            blocks.map(|block| block.filled).sum()
        };
        let figures = footprint();
        assert_eq!(figures.allocated, bytes(&mut self.blocks.iter()), "V6");
        assert_eq!(
            figures.large,
            bytes(&mut self.blocks.iter().filter(large)),
            "V6"
        );
        assert_eq!(figures.allocated, self.bytes);
        assert!(
            figures.active >= figures.allocated && figures.active % PAGE == 0,
            "{figures:?}"
        );
        assert!(figures.metadata > 0 || self.blocks.is_empty());
    }
}

/// Asserts that nothing is left: what was freed is back with the system, but for addresses and records.
pub(super) fn assert_empty() {
    trim();
    let Footprint {
        allocated,
        large,
        active,
        dirty,
        ..
    } = footprint();
    assert_eq!((allocated, large, active, dirty), (0, 0, 0, 0));
    HEAP.check();
}
