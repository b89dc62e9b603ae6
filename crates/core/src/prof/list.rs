//! Lists: records in a row, linked both ways through a place that each has for it.
//!
//! ```text
//! Ends { first ─> record ⇄ record ⇄ record <─ last }
//! ```
//! A record may be in several lists, by one place for each: a type names which.

use super::record::{Handle, Held, Link, Witness, unlinked};

/// The ends of a list.
pub(super) struct Ends<T> {
    first: Link<T>,
    last: Link<T>,
}

/// A record's place in a list.
pub(super) struct Neighbours<T> {
    prev: Link<T>,
    next: Link<T>,
}

impl<T> Neighbours<T> {
    pub(super) const fn none() -> Self {
        Self {
            prev: unlinked(),
            next: unlinked(),
        }
    }
}

/// What can be in the list `L`.
pub(super) trait Listed<L>: Sized {
    fn neighbours(&self) -> &Neighbours<Self>;
}

impl<T> Ends<T> {
    pub(super) const fn empty() -> Self {
        Self {
            first: unlinked(),
            last: unlinked(),
        }
    }

    pub(super) fn first(&self) -> Option<Handle<T>> {
        self.first.get()
    }

    pub(super) fn last(&self) -> Option<Handle<T>> {
        self.last.get()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// Empties it, leaving the places of what was in it as they are.
    pub(super) fn clear(&self) {
        self.first.set(None);
        self.last.set(None);
    }

    /// Puts `record`, which is in no such list, at the front.
    pub(super) fn push_front<L>(&self, record: Handle<T>, held: &Held)
    where
        T: Listed<L>,
    {
        self.insert(None, record, held);
    }

    /// Puts `record`, which is in no such list, behind `before`; `None`: at the front.
    pub(super) fn insert<L>(&self, before: Option<Handle<T>>, record: Handle<T>, held: &Held)
    where
        T: Listed<L>,
    {
        let after = match before {
            Some(before) => before.of(held).neighbours().next.replace(Some(record)),
            None => self.first.replace(Some(record)),
        };
        match after {
            Some(after) => after.of(held).neighbours().prev.set(Some(record)),
            None => self.last.set(Some(record)),
        }
        let own = record.of(held).neighbours();
        own.prev.set(before);
        own.next.set(after);
    }

    /// Takes `record`, which is in this list, out of it.
    pub(super) fn remove<L>(&self, record: Handle<T>, held: &Held)
    where
        T: Listed<L>,
    {
        let own = record.of(held).neighbours();
        let (before, after) = (own.prev.take(), own.next.take());
        match before {
            Some(before) => before.of(held).neighbours().next.set(after),
            None => self.first.set(after),
        }
        match after {
            Some(after) => after.of(held).neighbours().prev.set(before),
            None => self.last.set(before),
        }
    }
}

/// What follows `record` in the list `L`.
pub(super) fn after<L, T: Listed<L>>(record: Handle<T>, seen: &impl Witness) -> Option<Handle<T>> {
    record.of(seen).neighbours().next.get()
}

/// What stands before `record` in the list `L`.
pub(super) fn before<L, T: Listed<L>>(record: Handle<T>, held: &Held) -> Option<Handle<T>> {
    record.of(held).neighbours().prev.get()
}
