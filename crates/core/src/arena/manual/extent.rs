//! Extent: a run of pages of an arena made by request.
//!
//! ```text
//! record (64 bytes)    0 kind | 4 arena | 8 number | 12 state | 16 base | 24 pages
//!                     32 left | right        by length and address, while idle (see `tree`)
//!                     40 older | newer       of all in its state (see `books`)
//!                     48 committed | zeroed | resident | pinned | 52 samples in it (see `samples`)
//! ```
//! X1  The page map names the record on the first and the last page of an extent that is no slab, so that neighbours
//!     find it; a slab's pages name the slab.
//! X2  `state` says whose it is: `Moving` belongs to one thread, all else to whoever holds the arena's lock. It changes
//!     under the lock only.
//! X3  `resident` extents may have memory, and count as ours (see `meta::limit`).
//! Lock: the arena's.

use crate::arena::cells::{Address, Flag, Number, Size};
use crate::arena::record::{Kind, KindCell};
use crate::extent::hooks::Range;
use crate::extent::page_map;
use crate::meta::{self, MetaRef};
use crate::size::PAGE;
use core::ops::Deref;
use core::ptr::NonNull;

/// Where an extent is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum State {
    /// Idle, its memory still there.
    Dirty = 0,
    /// Idle; the system may take the memory when it likes.
    Muzzy = 1,
    /// Idle; its memory was given back, as far as the hooks let it be.
    Retained = 2,
    /// An object or a slab.
    Active = 3,
    /// In the hands of a thread.
    Moving = 4,
}

impl State {
    /// The states of idle extents, those first that cost least to use.
    pub(super) const IDLE: [Self; 3] = [Self::Dirty, Self::Muzzy, Self::Retained];
}

/// The record.
#[repr(C, align(64))]
pub(super) struct Extent {
    pub(super) kind: KindCell,
    pub(super) arena: Number,
    number: Number,
    state: Number,
    base: Address,
    pages: Size,
    pub(super) left: Number,
    pub(super) right: Number,
    pub(super) older: Number,
    pub(super) newer: Number,
    pub(super) committed: Flag,
    pub(super) zeroed: Flag,
    pub(super) resident: Flag,
    pub(super) pinned: Flag,
    pub(super) samples: Number,
}

const _: () = assert!(size_of::<Extent>() == meta::UNIT);

/// An extent by its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ExtentRef(NonNull<Extent>);

impl Deref for ExtentRef {
    type Target = Extent;
    fn deref(&self) -> &Extent {
        // SAFETY: records stay mapped, and all fields are atomics.
        unsafe { self.0.as_ref() }
    }
}

impl ExtentRef {
    /// A record of nothing yet, the caller's. `None`: out of memory.
    pub(super) fn create(arena: u32) -> Option<Self> {
        let record = meta::allocate(1)?;
        let extent: NonNull<Extent> = record.resolve();
        // SAFETY: a record of one unit, ours alone.
        unsafe {
            extent.as_ptr().write(Extent {
                kind: KindCell::default(),
                arena: Number::new(arena),
                number: Number::new(record.number()),
                state: Number::new(State::Moving as u32),
                base: Address::new(),
                pages: Size::new(0),
                left: Number::new(0),
                right: Number::new(0),
                older: Number::new(0),
                newer: Number::new(0),
                committed: Flag::new(false),
                zeroed: Flag::new(false),
                resident: Flag::new(false),
                pinned: Flag::new(false),
                samples: Number::new(0),
            });
        }
        Some(Self(extent))
    }

    /// Gives the record to whoever needs one.
    ///
    /// # Safety
    /// The caller has the extent, and nothing names it any more.
    pub(super) unsafe fn recycle(self) {
        self.kind.set(Kind::Free);
        if let Some(record) = MetaRef::from_number(self.number()) {
            // SAFETY: the caller's promise; allocated with one unit.
            unsafe { meta::recycle(record, 1) };
        }
    }

    /// The extent with that number in a link; `None` for 0.
    pub(super) fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    /// The extent that `record` describes, if it describes one that is no slab.
    #[inline]
    pub(super) fn from_record(record: MetaRef) -> Option<Self> {
        let extent = Self(record.resolve());
        matches!(extent.kind.get(), Kind::ManualLarge | Kind::ManualPages).then_some(extent)
    }

    pub(super) fn number(self) -> u32 {
        self.number.get()
    }

    pub(super) fn state(self) -> State {
        match self.state.get() {
            0 => State::Dirty,
            1 => State::Muzzy,
            2 => State::Retained,
            3 => State::Active,
            _ => State::Moving,
        }
    }

    /// Under the arena's lock (X2).
    pub(super) fn set_state(self, state: State) {
        self.state.set(state as u32);
    }

    #[inline]
    pub(super) fn base(self) -> *mut u8 {
        self.base.get()
    }

    #[inline]
    pub(super) fn pages(self) -> usize {
        self.pages.get()
    }

    #[inline]
    pub(super) fn bytes(self) -> usize {
        self.pages() * PAGE
    }

    /// One past its last byte.
    pub(super) fn end(self) -> *mut u8 {
        self.base().wrapping_add(self.bytes())
    }

    /// Says where it lies and names it in the page map, which covers it.
    pub(super) fn place(self, base: *mut u8, pages: usize) {
        self.base.set(base);
        self.pages.set(pages);
        self.kind.set(Kind::ManualPages);
        self.name();
    }

    /// Changes its length; its first page stays, its last is named anew.
    pub(super) fn resize(self, pages: usize) {
        self.pages.set(pages);
        self.name();
    }

    /// Names it in the page map (X1).
    pub(super) fn name(self) {
        let record = MetaRef::from_number(self.number());
        page_map::set_record(self.base(), record);
        page_map::set_record(self.end().wrapping_sub(PAGE), record);
    }

    /// Takes its name off the page map.
    pub(super) fn unname(self) {
        page_map::set_record(self.base(), None);
        page_map::set_record(self.end().wrapping_sub(PAGE), None);
    }

    /// As the hooks see it.
    pub(super) fn range(self) -> Option<Range> {
        Some(Range {
            addr: NonNull::new(self.base())?,
            bytes: self.bytes(),
            committed: self.committed.get(),
        })
    }

    /// Whether two extents may become one, as far as we are concerned.
    pub(super) fn is_like(self, other: Self) -> bool {
        self.committed.get() == other.committed.get()
            && self.resident.get() == other.resident.get()
            && self.pinned.get() == other.pinned.get()
    }

    /// Takes what is known of `other` over.
    pub(super) fn copy_flags(self, other: Self) {
        self.committed.set(other.committed.get());
        self.zeroed.set(other.zeroed.get());
        self.resident.set(other.resident.get());
        self.pinned.set(other.pinned.get());
    }

    /// The idle extent of the same arena that ends where this one begins.
    ///
    /// Called under the arena's lock; this extent is the caller's.
    pub(super) fn before(self) -> Option<Self> {
        let last = self.base().wrapping_sub(PAGE);
        self.neighbour(last, |other| other.end() == self.base())
    }

    /// The idle extent of the same arena that begins where this one ends; as [`ExtentRef::before`].
    pub(super) fn behind(self) -> Option<Self> {
        self.neighbour(self.end(), |other| other.base() == self.end())
    }

    fn neighbour(self, addr: *mut u8, meets: impl FnOnce(Self) -> bool) -> Option<Self> {
        let other = Self::from_record(page_map::record(addr)?)?;
        // A record of another arena changes under us; one of this arena does not while it is idle (X2).
        let idle = other.arena.get() == self.arena.get()
            && State::IDLE.contains(&other.state())
            && meets(other);
        idle.then_some(other)
    }
}
