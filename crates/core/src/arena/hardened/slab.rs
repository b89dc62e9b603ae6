//! Slab: slots of one size, with what is known of them out of line.
//!
//! ```text
//! run      | guard | slot 0 | slot 1 | ... | guard |
//! record   0 kind | 4 number | 8 class | 12 slots | 16 base | 24 pages | 28 free | 32 next | 36 prev | 40 all | 44 flags
//!          48 secret | 56 stride | 60 reciprocal
//!          64 16 bytes for each slot: marks | bytes | sample | stacks: made 16, freed 16;  then a bit for each, 1 = free
//! marks    | state 2 | door 3 | lg of the alignment 6 | index of the arena 12 |
//! ```
//! S1  Bit `i` is set exactly if slot `i` is `Free`; `free` is the number of set bits.
//! S2  A slot that is `Free` or `Waiting` reads zero throughout; a slot that is `Live` has a canary behind what was asked for.
//! S3  A slot that was found written while it was free is `Spoilt`: nobody gets it again.
//! S4  The record stays its bin's for good: when the slab goes, `base` is null, and the next slab of that length takes it.
//! The pages of a slab read class 0 in the page map, so that every free comes to look at the record.
//! Lock: the bin's, for all but kind, class, slots, base, secret, stride and reciprocal, which stand still while the slab lives.

use super::about::About;
use super::canary;
use super::door::{Ask, Door};
use super::figures::ARENAS;
use super::random::scale;
use crate::arena::cells::{Address, Number, Size};
use crate::arena::misuse::Misuse;
use crate::arena::record::{Kind, KindCell};
use crate::extent::page_map;
use crate::meta::{self, MetaRef, UNIT};
use crate::prof::Sample;
use crate::size::{PAGE, SMALL_CLASSES, size_of_class};
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// The class of objects of no bytes: their slots have no memory, and nobody may touch them.
pub(super) const EMPTY: usize = SMALL_CLASSES;
/// Classes of slots.
pub(super) const CLASSES: usize = SMALL_CLASSES + 1;
/// Slots of a slab, at most.
const SLOTS_MAX: usize = 2048;
/// Slots that a slab has at least.
const SLOTS_MIN: usize = 8;
/// Pages that a slab has at least.
const PAGES_MIN: usize = 4;
/// How much longer the slabs of a class with many are.
const LONGER: usize = 4;

/// Bytes from one slot of a class to the next.
pub(super) const fn stride(class: usize) -> usize {
    if class < SMALL_CLASSES {
        size_of_class(class)
    } else {
        16
    }
}

/// How long the slabs of a class are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    Short = 0,
    Long = 1,
}

/// Pages of a slab of `class`, guards apart.
pub(super) const fn pages(class: usize, length: Length) -> usize {
    let least = (stride(class) * SLOTS_MIN).div_ceil(PAGE);
    let short = if least < PAGES_MIN { PAGES_MIN } else { least };
    let most = SLOTS_MAX * stride(class) / PAGE;
    match length {
        Length::Short => short,
        Length::Long if short * LONGER > most => most,
        Length::Long => short * LONGER,
    }
}

const fn slots_in(class: usize, pages: usize) -> usize {
    pages * PAGE / stride(class)
}

/// What becomes of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum State {
    /// To be handed out.
    Free = 0,
    /// The application's.
    Live = 1,
    /// Freed, in the quarantine.
    Waiting = 2,
    /// Not to be used (S3).
    Spoilt = 3,
}

/// Where the parts of a mark begin, and which bits they have there: state, door, alignment, arena.
const STATE: u32 = 0b11;
const DOOR_AT: u32 = 2;
const DOOR: u32 = 0b111;
const ALIGN_AT: u32 = 5;
const ALIGN: u32 = 0b11_1111;
const ARENA_AT: u32 = 11;
const ARENA: u32 = ARENAS as u32 - 1;

const _: () = assert!(Door::Rust as u32 <= DOOR && ARENAS.is_power_of_two());

/// What is known of a slot, or of an object with pages of its own.
#[repr(C, align(16))]
pub(super) struct Marks {
    word: Number,
    bytes: Number,
    /// Number of the profiler's sample; 0 for none.
    sample: Number,
    /// Stacks of its allocation, in the lower half, and of its last free.
    stacks: Number,
}

const _: () = assert!(size_of::<Marks>() == 16);

impl Marks {
    /// Of a free slot.
    pub(super) const fn new() -> Self {
        Self {
            word: Number::new(0),
            bytes: Number::new(0),
            sample: Number::new(0),
            stacks: Number::new(0),
        }
    }

    pub(super) fn state(&self) -> State {
        match self.word.get() & STATE {
            0 => State::Free,
            1 => State::Live,
            2 => State::Waiting,
            _ => State::Spoilt,
        }
    }

    pub(super) fn set_state(&self, state: State) {
        self.word.set(self.word.get() & !STATE | state as u32);
    }

    /// It is handed out for `ask`.
    pub(super) fn begin(&self, ask: &Ask) {
        let lg_align = ask.align.trailing_zeros();
        let arena = ask.arena as u32 & ARENA;
        let door = (ask.door as u32) << DOOR_AT | lg_align << ALIGN_AT;
        self.word.set(State::Live as u32 | door | arena << ARENA_AT);
        self.bytes.set(ask.bytes as u32);
        self.sample.set(0);
        self.stacks.set(u32::from(ask.trace));
    }

    /// Sets the sample of a live object, or clears it; the one before.
    pub(super) fn replace_sample(&self, sample: Option<Sample>) -> Option<Sample> {
        Sample::from_number(self.sample.replace(sample.map_or(0, Sample::number)))
    }

    /// It is freed, on the stack with that number.
    pub(super) fn end(&self, trace: u16) {
        self.set_state(State::Waiting);
        self.stacks
            .set(u32::from(self.made()) | u32::from(trace) << 16);
    }

    pub(super) fn made(&self) -> u16 {
        self.stacks.get() as u16
    }

    pub(super) fn freed(&self) -> u16 {
        (self.stacks.get() >> 16) as u16
    }

    pub(super) fn door(&self) -> Door {
        Door::from_number(self.word.get() >> DOOR_AT & DOOR)
    }

    pub(super) fn lg_align(&self) -> u32 {
        self.word.get() >> ALIGN_AT & ALIGN
    }

    /// The index of the arena that it was asked of.
    pub(super) fn arena(&self) -> usize {
        (self.word.get() >> ARENA_AT & ARENA) as usize
    }

    /// Whether it is a live object of the arena with that index.
    pub(super) fn is_live_of(&self, arena: usize) -> bool {
        self.state() == State::Live && self.arena() == arena
    }

    /// Bytes asked for.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get() as usize
    }

    pub(super) fn set_bytes(&self, bytes: usize) {
        self.bytes.set(bytes as u32);
    }

    /// What a resize asked for in place of the alignment of before.
    pub(super) fn set_align(&self, align: usize) {
        let before = self.word.get() & !(ALIGN << ALIGN_AT);
        self.word.set(before | align.trailing_zeros() << ALIGN_AT);
    }
}

/// The record; bits and marks follow.
#[repr(C, align(64))]
pub(super) struct Slab {
    kind: KindCell,
    number: Number,
    class: Number,
    slots: Number,
    base: Address,
    pages: Number,
    free: Number,
    pub(super) next: Number,
    pub(super) prev: Number,
    /// The next of all records of the bin, those without memory among them.
    pub(super) all: Number,
    flags: Number,
    secret: Size,
    /// Bytes from one slot to the next, and what a multiplication with divides by that (see [`reciprocal`]).
    stride: Number,
    reciprocal: Number,
}

const _: () = assert!(size_of::<Slab>() == UNIT);

/// The slab has guards.
pub(super) const GUARDED: u32 = 1;
/// It is in the list of those with room.
pub(super) const LISTED: u32 = 2;
/// It is long.
pub(super) const LONG: u32 = 4;
/// Nobody may touch its pages: it waits for use.
pub(super) const SHUT: u32 = 8;
/// Its guards are bare; and its pages.
pub(super) const BARE_GUARDS: u32 = 16;
pub(super) const BARE: u32 = 32;

/// What of a slab stands still while it lives, read once.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    base: *mut u8,
    marks: *const Marks,
    /// Bytes of a slot.
    pub(super) stride: usize,
    /// Slots.
    pub(super) slots: usize,
    reciprocal: usize,
    secret: u64,
    /// The slots have memory.
    pub(super) is_solid: bool,
}

impl Shape {
    /// What is known of slot number `slot`.
    #[inline]
    pub(super) fn marks(&self, slot: usize) -> &Marks {
        // SAFETY: as long as `create` made the record; a number beyond the last slot is that of the last.
        unsafe { &*self.marks.add(slot.min(self.slots - 1)) }
    }

    /// Where slot number `slot` begins.
    #[inline]
    pub(super) fn object(&self, slot: usize) -> *mut u8 {
        self.base.wrapping_add(slot * self.stride)
    }

    /// The slot that starts at `ptr`.
    #[inline]
    pub(super) fn slot_of(&self, ptr: *const u8) -> Result<usize, Misuse> {
        let offset = ptr.addr().wrapping_sub(self.base.addr());
        let slot = offset.wrapping_mul(self.reciprocal) >> 32;
        if slot < self.slots && slot * self.stride == offset {
            Ok(slot)
        } else {
            Err(Misuse::Interior)
        }
    }

    /// Whether the canary behind the `bytes` of slot number `slot`, which is live, is whole.
    #[inline]
    pub(super) fn is_whole(&self, slot: usize, bytes: usize) -> bool {
        let behind = self.object(slot).wrapping_add(bytes);
        let slack = self.stride.saturating_sub(bytes);
        // SAFETY: within the slot, whose pages are readable.
        !self.is_solid || unsafe { canary::is_whole_behind(behind, slack, self.secret) }
    }

    /// Writes the canary behind the `bytes` of slot number `slot`, whose bytes behind them read zero.
    ///
    /// # Safety
    /// The slot is the caller's.
    #[inline]
    pub(super) unsafe fn write_canary(&self, slot: usize, bytes: usize) {
        let behind = self.object(slot).wrapping_add(bytes);
        let slack = self.stride.saturating_sub(bytes);
        if self.is_solid {
            // SAFETY: the caller's promise; within the slot, whose pages are writable.
            unsafe { canary::write_behind(behind, slack, self.secret) };
        }
    }

    /// Whether all of slot number `slot`, which is free, reads zero.
    #[inline]
    pub(super) fn is_clean(&self, slot: usize) -> bool {
        // SAFETY: a slot, whose pages are readable.
        !self.is_solid || unsafe { canary::is_zero(self.object(slot), self.stride) }
    }
}

/// A slab by its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SlabRef(NonNull<Slab>);

// SAFETY: records stay mapped, and all fields are atomics.
unsafe impl Send for SlabRef {}

impl Deref for SlabRef {
    type Target = Slab;
    fn deref(&self) -> &Slab {
        // SAFETY: records stay mapped, and all fields are atomics.
        unsafe { self.0.as_ref() }
    }
}

const fn words(slots: usize) -> usize {
    slots.div_ceil(64)
}

/// Bytes from the start of a record to its bits.
const fn bits_at(slots: usize) -> usize {
    UNIT + slots * size_of::<Marks>()
}

const fn units(slots: usize) -> usize {
    (bits_at(slots) + words(slots) * size_of::<u64>()).div_ceil(UNIT)
}

/// `offset * reciprocal >> 32` is `offset / stride` for each multiple of the stride in a slab: rounded up, it is too much by less
/// than `offset / 2^32`.
const fn reciprocal(stride: usize) -> u32 {
    (1u64 << 32).div_ceil(stride as u64) as u32
}

impl SlabRef {
    /// A record for slabs of that class and length, without memory. `None`: out of memory.
    pub(super) fn create(class: usize, length: Length) -> Option<Self> {
        let pages = pages(class, length);
        let slots = slots_in(class, pages);
        let record = meta::allocate(units(slots))?;
        let slab: NonNull<Slab> = record.resolve();
        let flags = if length == Length::Long { LONG } else { 0 };
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            slab.as_ptr()
                .cast::<u8>()
                .write_bytes(0, units(slots) * UNIT);
            slab.as_ptr().write(Slab {
                kind: KindCell::default(),
                number: Number::new(record.number()),
                class: Number::new(class as u32),
                slots: Number::new(slots as u32),
                base: Address::new(),
                pages: Number::new(pages as u32),
                free: Number::new(0),
                next: Number::new(0),
                prev: Number::new(0),
                all: Number::new(0),
                flags: Number::new(flags),
                secret: Size::new(0),
                stride: Number::new(stride(class) as u32),
                reciprocal: Number::new(reciprocal(stride(class))),
            });
        }
        Some(Self(slab))
    }

    /// Gives it the run at `base`, of [`SlabRef::pages`], which reads zero: all slots are free.
    pub(super) fn begin(self, base: NonNull<u8>, secret: u64) {
        let slots = self.slots();
        for (at, word) in self.bits().iter().enumerate() {
            let bits = (slots - at * 64).min(64);
            word.store(u64::MAX >> (64 - bits), Ordering::Relaxed);
        }
        for slot in 0..slots {
            self.marks(slot).set_state(State::Free);
        }
        self.free.set(slots as u32);
        self.secret.set(secret as usize);
        self.base.set(base.as_ptr());
        self.kind.set(Kind::HardSlab);
        let record = MetaRef::from_number(self.number());
        for page in self.guarded_pages() {
            page_map::set_record(page, record);
        }
    }

    /// Takes its run from it: nobody finds it by an address any more.
    pub(super) fn end(self) {
        self.kind.set(Kind::Free);
        for page in self.guarded_pages() {
            page_map::set_record(page, None);
        }
        self.base.set(core::ptr::null_mut());
    }

    /// The pages of its run, guards among them.
    fn guarded_pages(self) -> impl Iterator<Item = *mut u8> {
        let run = self.run();
        (0..self.pages() + 2).map(move |page| run.wrapping_add(page * PAGE))
    }

    /// Where its run begins: with a guard.
    pub(super) fn run(self) -> *mut u8 {
        self.base().wrapping_sub(PAGE)
    }

    /// The slab that `record` describes, if it describes one.
    #[inline]
    pub(super) fn from_record(record: MetaRef) -> Option<Self> {
        let slab = Self(record.resolve());
        (slab.kind.get() == Kind::HardSlab).then_some(slab)
    }

    pub(super) fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    pub(super) fn number(self) -> u32 {
        self.number.get()
    }

    pub(super) fn class(self) -> usize {
        (self.class.get() as usize).min(EMPTY)
    }

    #[inline]
    pub(super) fn stride(self) -> usize {
        self.stride.get() as usize
    }

    /// Pages, guards apart.
    pub(super) fn pages(self) -> usize {
        self.pages.get() as usize
    }

    pub(super) fn slots(self) -> usize {
        self.slots.get() as usize
    }

    pub(super) fn free(self) -> usize {
        self.free.get() as usize
    }

    pub(super) fn base(self) -> *mut u8 {
        self.base.get()
    }

    /// Whether it has memory now (S4).
    pub(super) fn is_alive(self) -> bool {
        self.kind.get() == Kind::HardSlab
    }

    #[inline]
    pub(super) fn shape(self) -> Shape {
        Shape {
            base: self.base(),
            marks: self.first_marks(),
            stride: self.stride(),
            slots: self.slots(),
            reciprocal: self.reciprocal.get() as usize,
            secret: self.secret.get() as u64,
            is_solid: self.class() != EMPTY,
        }
    }

    /// The marks of slot 0.
    #[inline]
    fn first_marks(self) -> *const Marks {
        let record: *const u8 = self.0.as_ptr().cast();
        record.wrapping_add(UNIT).cast()
    }

    pub(super) fn is(self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    pub(super) fn set(self, flag: u32, on: bool) {
        let others = self.flags.get() & !flag;
        self.flags.set(if on { others | flag } else { others });
    }

    fn bits(&self) -> &[AtomicU64] {
        let slots = self.slots.get() as usize;
        let bits = self.0.as_ptr().cast::<u8>().wrapping_add(bits_at(slots));
        // SAFETY: as long as `create` made the record, in memory that stays mapped.
        unsafe { core::slice::from_raw_parts(bits.cast(), words(slots)) }
    }

    /// What is known of slot number `slot`.
    #[inline]
    pub(super) fn marks(&self, slot: usize) -> &Marks {
        // SAFETY: as long as `create` made the record; a number beyond the last slot is that of the last.
        unsafe { &*self.first_marks().add(slot.min(self.slots() - 1)) }
    }

    /// Where slot number `slot` begins.
    #[inline]
    pub(super) fn object(self, slot: usize) -> *mut u8 {
        self.base().wrapping_add(slot * self.stride())
    }

    /// The slot that starts at `ptr`.
    #[inline]
    pub(super) fn slot_of(self, ptr: *const u8) -> Result<usize, Misuse> {
        self.shape().slot_of(ptr)
    }

    /// Takes a free slot, by chance: it is the caller's, to begin or to spoil. `None`: there is none.
    pub(super) fn take(self, random: u64) -> Option<usize> {
        let bits = self.bits();
        let mut at = scale((random >> 32) as u32, bits.len());
        for _ in 0..bits.len() {
            let word = bits.get(at)?;
            let free = word.load(Ordering::Relaxed);
            if free != 0 {
                let turn = random as u32 & 63;
                let bit = (free.rotate_right(turn).trailing_zeros() + turn) & 63;
                word.store(free & !(1 << bit), Ordering::Relaxed);
                self.free.set(self.free.get() - 1);
                return Some(at * 64 + bit as usize);
            }
            at += 1;
            if at == bits.len() {
                at = 0;
            }
        }
        None
    }

    /// Slot number `slot` may be handed out again.
    pub(super) fn give_back(self, slot: usize) {
        if let Some(word) = self.bits().get(slot / 64) {
            self.marks(slot).set_state(State::Free);
            word.store(
                word.load(Ordering::Relaxed) | 1 << (slot % 64),
                Ordering::Relaxed,
            );
            self.free.set(self.free.get() + 1);
        }
    }

    /// What is known of the slot around `ptr`, as far as can be told without the lock.
    pub(super) fn about(self, ptr: *const u8) -> Option<About> {
        let offset = ptr.addr().wrapping_sub(self.base().addr());
        let slot = offset / self.stride();
        if slot >= self.slots() {
            return None;
        }
        let marks = self.marks(slot);
        Some(About::of(marks, marks.bytes(), self.stride()))
    }

    /// What an access of `addr`, in its run, that the system refuses is; and an address in the slot that was meant, most likely.
    /// `None`: it is not we who have it refused.
    pub(super) fn refused(self, addr: usize) -> Option<(Misuse, *const u8)> {
        let (base, bytes) = (self.base(), self.slots() * self.stride());
        let offset = addr.wrapping_sub(base.addr());
        if offset < bytes {
            let what = if self.class() == EMPTY {
                Misuse::OutOfBounds
            } else if self.is(SHUT) {
                Misuse::UseAfterFree
            } else {
                return None;
            };
            return Some((what, base.wrapping_add(offset)));
        }
        let is_before = addr < base.addr();
        let slot = if is_before { 0 } else { self.slots() - 1 };
        Some((Misuse::OutOfBounds, self.object(slot)))
    }

    /// Asserts S1.
    #[cfg(test)]
    pub(super) fn check(self) {
        let mut free = 0;
        for slot in 0..self.slots() {
            let is_set = self.bits()[slot / 64].load(Ordering::Relaxed) >> (slot % 64) & 1 != 0;
            assert_eq!(is_set, self.marks(slot).state() == State::Free, "S1");
            free += usize::from(is_set);
        }
        assert_eq!(free, self.free(), "S1");
    }
}
