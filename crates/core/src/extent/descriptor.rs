//! Descriptor: what the page heap knows about the 512 pages of a huge page.
//!
//! ```text
//! page     used touched zero muzzy
//! ours      1     1      0    0     handed out
//! taken     1     0      0    0     somebody else's (a hole), or on its way through a system call
//! dirty     0     1      ?    0     idle, memory still there; zero if only populated
//! muzzy     0     1      0    1     idle, the system may take the memory
//! clean     0     0      ?    0     retained: addresses without memory; zero if known to read so
//! ```
//! E1  Every page is in one of these states.
//! E2  `longest` is the longest run of free (not used) pages; `idle` counts the dirty and muzzy ones.
//! E3  No free run but one that is longest is longer than `second`, a bound that may be too high: thanks to
//!     it most cuts into the longest run need no search for the next.
//! Descriptors are found through the page map, by a key that also names the heap: the neighbour of a huge
//! page may be another heap's. They are recycled as descriptors only, so a stale number in the page map
//! leads to a descriptor whose key differs.
//! Lock: the heap's, for all but the key.

use super::bits::Map;
use super::page_map;
use crate::meta::{MetaRef, UNIT};
use crate::size::{HUGE, HUGE_PAGES, PAGE};
use core::cell::Cell;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The two kinds of idle pages that hold memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Dirty = 0,
    Muzzy = 1,
}

impl Kind {
    pub(super) const BOTH: [Self; 2] = [Self::Dirty, Self::Muzzy];

    /// The chain that the queue of this kind runs through.
    #[inline(always)]
    pub(super) const fn chain(self) -> Chain {
        match self {
            Self::Dirty => Chain::Dirty,
            Self::Muzzy => Chain::Muzzy,
        }
    }
}

/// What a key says beside the address: whose it is, and that it is a giant run's.
const LG_IDENTITY: u32 = 1;
const GIANT: usize = 1;

/// The key of the descriptor of the huge page at `base` in the heap numbered `identity`.
pub(super) const fn key_of(base: usize, identity: usize) -> usize {
    base | identity << LG_IDENTITY
}

/// The key of a giant run (see `giant`) that starts at `base`.
pub(super) const fn giant_key_of(base: usize, identity: usize) -> usize {
    key_of(base, identity) | GIANT
}

/// Lists that a descriptor can be in at the same time.
#[derive(Clone, Copy)]
pub(super) enum Chain {
    /// By place: runs of pages by length, runs of huge pages by length, giants, spares.
    Place = 0,
    Dirty = 1,
    Muzzy = 2,
}

#[derive(Default)]
struct Link {
    next: Cell<u32>,
    prev: Cell<u32>,
}

/// The record.
#[repr(C, align(64))]
pub(super) struct Huge {
    key: AtomicUsize,
    number: u32,
    pub(super) used_pages: Cell<u16>,
    pub(super) longest: Cell<u16>,
    pub(super) second: Cell<u16>,
    /// Where a longest run may start: a guess, to be looked at first.
    pub(super) spot: Cell<u16>,
    /// By [`Kind`].
    pub(super) idle: [Cell<u16>; 2],
    links: [Link; 3],
    /// Huge pages of the free run that starts here; 0: none does.
    pub(super) run_len: Cell<u32>,
    /// Huge pages of the free run that ends here; 0: none does.
    pub(super) run_back: Cell<u32>,
    /// When something here was last freed.
    pub(super) stamp: Cell<u32>,
    /// Pages purged here that may be refaults, and when the last one was purged (see `adapt`).
    pub(super) gone: Cell<u16>,
    pub(super) gone_stamp: Cell<u32>,
    /// Idle pages of the free run that starts here, by [`Kind`].
    pub(super) run_idle: [Cell<u32>; 2],
    /// Huge pages at the front of the free run that are known to hold no idle memory.
    pub(super) front_clean: Cell<u32>,
    /// Next in the chain of all.
    pub(super) all_next: Cell<u32>,
    /// Pages of the giant run that starts here, and how many of its first have been given back.
    pub(super) giant_pages: Cell<usize>,
    pub(super) giant_skipped: Cell<usize>,
    /// The rest is of `huge`. Idle pages here do not decay (V1).
    pub(super) held: Cell<bool>,
    /// The system may have one huge page here (V3).
    pub(super) whole: Cell<bool>,
    /// How often it was lost (V4).
    pub(super) lapses: Cell<u8>,
    /// Used pages that only a collapse gave memory (V2).
    pub(super) filled: Cell<u16>,
    /// Since when it has been dense, in stamps; 0: it was not when looked at last.
    pub(super) dense_since: Cell<u32>,
    pub(super) used: Map,
    pub(super) touched: Map,
    pub(super) zero: Map,
    pub(super) muzzy: Map,
    /// Pages where a mapping of the system may begin that does not continue the one before (see `moving`).
    pub(super) seam: Map,
}

/// Units of metadata of a descriptor.
pub(super) const UNITS: usize = size_of::<Huge>().div_ceil(UNIT);

/// A descriptor by its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct HugeRef(NonNull<Huge>);

impl Deref for HugeRef {
    type Target = Huge;
    #[inline(always)]
    fn deref(&self) -> &Huge {
        // SAFETY: 1. made by `create`, and records stay mapped for good; 2. all that changes is in cells,
        //         which the holder of the heap's lock alone looks at, or atomic.
        unsafe { self.0.as_ref() }
    }
}

impl HugeRef {
    /// Makes a descriptor of the record `record`, of [`UNITS`] units, which becomes a spare.
    pub(super) fn create(record: MetaRef) -> Self {
        let place: NonNull<Huge> = record.resolve();
        // SAFETY: a fresh record, long enough, ours alone.
        unsafe {
            place.write(Huge {
                key: AtomicUsize::new(0),
                number: record.number(),
                used_pages: Cell::new(0),
                longest: Cell::new(0),
                second: Cell::new(0),
                spot: Cell::new(0),
                idle: Default::default(),
                links: Default::default(),
                run_len: Cell::new(0),
                run_back: Cell::new(0),
                stamp: Cell::new(0),
                gone: Cell::new(0),
                gone_stamp: Cell::new(0),
                run_idle: Default::default(),
                front_clean: Cell::new(0),
                all_next: Cell::new(0),
                giant_pages: Cell::new(0),
                giant_skipped: Cell::new(0),
                held: Cell::new(false),
                whole: Cell::new(false),
                lapses: Cell::new(0),
                filled: Cell::new(0),
                dense_since: Cell::new(0),
                used: Map::new(),
                touched: Map::new(),
                zero: Map::new(),
                muzzy: Map::new(),
                seam: Map::new(),
            });
        }
        Self(place)
    }

    /// The descriptor with that number in a link; 0 is none.
    #[inline]
    pub(super) fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    /// The descriptor that the page map names for the huge page that holds `addr`, if it has that key.
    #[inline]
    pub(super) fn find(addr: usize, key: usize) -> Option<Self> {
        let found = Self(page_map::huge(addr)?.resolve());
        (found.key.load(Ordering::Relaxed) == key).then_some(found)
    }

    /// Gives the descriptor its key and names it in the page map, which covers the address.
    pub(super) fn publish(self, key: usize) {
        self.key.store(key, Ordering::Relaxed);
        if let Some(record) = MetaRef::from_number(self.number) {
            page_map::set_huge(key & !(HUGE - 1), record);
        }
    }

    /// Takes the key away: the descriptor becomes a spare.
    pub(super) fn retire(self) {
        self.key.store(0, Ordering::Relaxed);
    }
}

impl Huge {
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Address of the first page.
    #[inline]
    pub(super) fn base(&self) -> usize {
        self.key.load(Ordering::Relaxed) & !(HUGE - 1)
    }

    /// Address of page `at`.
    #[inline]
    pub(super) fn addr(&self, at: usize) -> usize {
        self.base() + at * PAGE
    }

    /// Whether the run of free pages at the end starts with the huge page itself, or how long it is.
    pub(super) fn free_tail(&self) -> usize {
        self.used.clear_before(HUGE_PAGES)
    }

    #[inline(always)]
    pub(super) fn next(&self, chain: Chain) -> Option<HugeRef> {
        HugeRef::from_link(self.links[chain as usize].next.get())
    }

    /// Puts this descriptor in front of a head by place; 0 is none.
    #[inline(always)]
    fn link_before(&self, next: u32) {
        let link = &self.links[Chain::Place as usize];
        link.prev.set(0);
        link.next.set(next);
        if let Some(after) = HugeRef::from_link(next) {
            after.links[Chain::Place as usize].prev.set(self.number);
        }
    }

    /// Takes this descriptor from between its neighbours by place; answers the next one's number.
    #[inline(always)]
    fn unlink(&self) -> u32 {
        let link = &self.links[Chain::Place as usize];
        let (next, prev) = (link.next.get(), link.prev.get());
        if let Some(before) = HugeRef::from_link(prev) {
            before.links[Chain::Place as usize].next.set(next);
        }
        if let Some(after) = HugeRef::from_link(next) {
            after.links[Chain::Place as usize].prev.set(prev);
        }
        next
    }
}

/// A doubly linked list of descriptors through one of their chains.
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: 0, tail: 0 }
    }

    #[inline]
    pub(super) fn head(&self) -> Option<HugeRef> {
        HugeRef::from_link(self.head)
    }

    #[inline]
    pub(super) fn push_front(&mut self, huge: HugeRef, chain: Chain) {
        let link = &huge.links[chain as usize];
        link.prev.set(0);
        link.next.set(self.head);
        match self.head() {
            Some(head) => head.links[chain as usize].prev.set(huge.number),
            None => self.tail = huge.number,
        }
        self.head = huge.number;
    }

    #[inline]
    pub(super) fn push_back(&mut self, huge: HugeRef, chain: Chain) {
        let link = &huge.links[chain as usize];
        link.next.set(0);
        link.prev.set(self.tail);
        match HugeRef::from_link(self.tail) {
            Some(tail) => tail.links[chain as usize].next.set(huge.number),
            None => self.head = huge.number,
        }
        self.tail = huge.number;
    }

    /// Takes `huge` out, which is in this list.
    #[inline]
    pub(super) fn remove(&mut self, huge: HugeRef, chain: Chain) {
        let link = &huge.links[chain as usize];
        let (next, prev) = (link.next.get(), link.prev.get());
        match HugeRef::from_link(prev) {
            Some(before) => before.links[chain as usize].next.set(next),
            None => self.head = next,
        }
        match HugeRef::from_link(next) {
            Some(after) => after.links[chain as usize].prev.set(prev),
            None => self.tail = prev,
        }
    }
}

/// Lists by length, with a summary of those that are not empty. Nothing is added at their ends: heads do.
pub(super) struct Bins<const LISTS: usize, const WORDS: usize> {
    summary: [u64; WORDS],
    heads: [u32; LISTS],
}

impl<const LISTS: usize, const WORDS: usize> Bins<LISTS, WORDS> {
    pub(super) const fn new() -> Self {
        assert!(WORDS * 64 >= LISTS);
        Self {
            summary: [0; WORDS],
            heads: [0; LISTS],
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, index: usize, huge: HugeRef) {
        if let Some(head) = self.heads.get_mut(index) {
            huge.link_before(*head);
            *head = huge.number;
            self.summary[index / 64] |= 1 << (index % 64);
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, index: usize, huge: HugeRef) {
        if let Some(head) = self.heads.get_mut(index) {
            let next = huge.unlink();
            if *head == huge.number {
                *head = next;
            }
            if *head == 0 {
                self.summary[index / 64] &= !(1 << (index % 64));
            }
        }
    }

    /// The first list that is not empty, from `index` on: its index and head.
    #[inline]
    pub(super) fn first_from(&self, index: usize) -> Option<(usize, HugeRef)> {
        let mut word = index / 64;
        let mut bits = self.summary.get(word)? & (u64::MAX << (index % 64));
        while bits == 0 {
            word += 1;
            bits = *self.summary.get(word)?;
        }
        let index = word * 64 + bits.trailing_zeros() as usize;
        Some((index, self.head(index)?))
    }

    /// Head of list `index`.
    pub(super) fn head(&self, index: usize) -> Option<HugeRef> {
        HugeRef::from_link(*self.heads.get(index)?)
    }

    /// All lists with their indexes, for the checks.
    #[cfg(test)]
    pub(super) fn heads(&self) -> impl Iterator<Item = (usize, Option<HugeRef>)> {
        let heads = self.heads.iter().copied().map(HugeRef::from_link);
        heads.enumerate()
    }
}
