//! Records: what the profiler keeps, in memory of our own, named by 32-bit numbers.
//!
//! R1  What is in a record changes under the profiler's lock alone. [`Held`], which only the locked books have, stands
//!     for it; what changes is in cells, so that any number of borrows may look at a record at once.
//! R2  A handle is good until its record is dropped. Before that every link to it is undone, and afterwards nobody uses
//!     it: `check` walks all links.
//! R3  While a dump is under way ([`Pinned`]) no stack, no thread and no counter is dropped.

use crate::meta::{self, MetaRef, UNIT};
use core::cell::Cell;
use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::ptr::NonNull;

/// That the profiler's lock is held.
pub(super) struct Held(());

impl Held {
    /// For the books, which are behind the lock.
    pub(super) const fn new() -> Self {
        Self(())
    }
}

/// That a record may be looked at: under the lock, or, for what does not change while a dump is under way, while it is.
pub(super) trait Witness {}
impl Witness for Held {}
impl Witness for Pinned {}

/// The name of a record of type `T`.
pub(super) struct Handle<T>(NonZeroU32, PhantomData<fn() -> T>);

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Where a record names another.
pub(super) type Link<T> = Cell<Option<Handle<T>>>;

/// A link to nothing.
pub(super) const fn unlinked<T>() -> Link<T> {
    Cell::new(None)
}

impl<T> Handle<T> {
    /// A new record that holds `value`. `None`: out of memory for our own records.
    pub(super) fn make(value: T) -> Option<Self> {
        const { assert!(align_of::<T>() <= UNIT) };
        let record = meta::allocate(meta::units_of::<T>())?;
        // SAFETY: a record of that many units, ours alone.
        unsafe { record.resolve::<T>().write(value) };
        Self::from_number(record.number())
    }

    /// The record. Without the lock, while a dump is under way, only frames, the list of all stacks from its first one on,
    /// and the order of the dump may be looked at.
    pub(super) fn of(self, _: &impl Witness) -> &T {
        // SAFETY: 1. made by `make`, and records stay mapped; not dropped (R2, R3);
        //         2. shared borrows only, what changes is in cells, and one thread holds the lock (R1), or what is looked
        //            at is changed by nobody else.
        unsafe { self.place().as_ref() }
    }

    /// Where the record is, for what does not change, or changes atomically.
    pub(super) fn place(self) -> NonNull<T> {
        self.meta().resolve()
    }

    /// Lets go of the record.
    ///
    /// # Safety
    /// No link names it, and nobody uses the handle or a borrow of the record from now on.
    pub(super) unsafe fn forget(self, _: &Held) {
        // SAFETY: allocated with as many units; the caller's promise.
        unsafe { meta::recycle(self.meta(), meta::units_of::<T>()) };
    }

    pub(super) const fn number(self) -> u32 {
        self.0.get()
    }

    /// The record with that number, which [`Handle::number`] gave.
    pub(super) const fn from_number(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number, PhantomData)),
            None => None,
        }
    }

    fn meta(self) -> MetaRef {
        match MetaRef::from_number(self.number()) {
            Some(record) => record,
            // A handle is not 0.
            None => unreachable_record(),
        }
    }
}

/// There is no such handle.
#[cold]
fn unreachable_record() -> ! {
    crate::sys::process::abort()
}

/// That a dump is under way, which only one can be (R3).
pub(super) struct Pinned(());

impl super::books::Books {
    /// Keeps stacks, threads and counters where they are until `unpin`.
    pub(super) fn pin(&self) -> Pinned {
        self.is_pinned.set(true);
        Pinned(())
    }

    pub(super) fn unpin(&self, _: Pinned) {
        self.is_pinned.set(false);
    }
}
