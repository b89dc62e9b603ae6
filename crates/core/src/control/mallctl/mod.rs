//! mallctl: every setting and figure by a name.
//!
//! ```text
//! "arena.0.purge" ──split at dots──> tree ──> facts: who may do what, its type, its key
//! [31, 0, 2]      ──numbers───────> tree ──> keys/: the code that answers ──> the caller's bytes
//! ```
//! C1  A name is components with dots between; an index is a number. What is no name is refused as absent: unknown
//!     or empty components, too many of them, folders (though folders have a mib).
//! C2  What may only be read refuses to be written and the other way round, before the key itself looks.
//! C3  Lengths are exact: see `request`.
//! C4  Figures are those of the last epoch: see `epoch`. The first call begins one.
//! C5  A key is answered inside the fork gate with no lock held. What must wait until the caller has left is told to
//!     the floor above as [`Due`].
//!
//! | file | |
//! |---|---|
//! | `row`, `tree` | what keys there are |
//! | `index` | components that are numbers |
//! | `request` | the caller's arguments |
//! | `epoch` | the figures as of the last look |
//! | `keys/` | what each key does, a file for each part of the tree |
//!
//! Source: jemalloc(3) "MALLCTL NAMESPACE".

mod epoch;
mod index;
mod keys;
mod request;
mod row;
mod tree;

pub(crate) use request::{Refusal, Request};
pub(crate) use row::{Access, Kind};
pub(crate) use tree::DEPTH_MAX;

use super::profiling::Job;
use crate::thread::CacheRef;
use row::Facts;
use tree::Place;

/// What is to be done once the caller has left the allocator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Nothing,
    /// The purge thread is wanted.
    Start,
    /// The live channel was opened.
    Channel,
    /// The purge thread was told to leave; the caller waits until it has.
    Leave,
    /// Objects are to be made.
    Batch(Batch),
    /// The profiler has something to do.
    Profile(Job),
}

/// Objects of one size that are to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Batch {
    /// Where their addresses go.
    pub(crate) objects: *mut *mut u8,
    pub(crate) count: usize,
    pub(crate) size: usize,
    /// As for `mallocx`.
    pub(crate) flags: i32,
    /// Where it goes how many there are.
    pub(crate) filled: *mut usize,
}

/// A call on its way to its key.
struct Call {
    request: Request,
    /// The calling thread's cache, if it has one.
    own: Option<CacheRef>,
    /// The indexes of the name.
    indexes: [usize; 2],
    due: Due,
}

/// A key, found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    facts: Facts,
    indexes: [usize; 2],
}

impl Found {
    /// The type of its value.
    pub(crate) const fn kind(&self) -> Kind {
        self.facts.kind
    }

    /// What may be done with it.
    pub(crate) const fn access(&self) -> Access {
        self.facts.access
    }
}

/// Indexes met on the way from the root.
struct Way {
    place: Place,
    indexes: [usize; 2],
    met: usize,
}

impl Way {
    fn begin() -> Self {
        Self {
            place: Place::root(),
            indexes: [0; 2],
            met: 0,
        }
    }

    fn on(&mut self, place: Place, number: usize) {
        self.place = place;
        if place.is_indexed() {
            if let Some(index) = self.indexes.get_mut(self.met) {
                *index = number;
            }
            self.met += 1;
        }
    }

    fn end(&self) -> Result<Found, Refusal> {
        match self.place.facts() {
            Some(facts) => Ok(Found {
                facts,
                indexes: self.indexes,
            }),
            None => Err(Refusal::Absent),
        }
    }
}

/// Begins the next epoch. Called inside a passage, no lock held.
pub(crate) fn refresh() {
    epoch::refresh();
}

/// The key called `name`.
pub(crate) fn by_name(name: &[u8]) -> Result<Found, Refusal> {
    let mut way = Way::begin();
    for component in name.split(|&byte| byte == b'.') {
        let (place, number) = way.place.named(component).ok_or(Refusal::Absent)?;
        way.on(place, number);
    }
    way.end()
}

/// The key at the end of `mib`.
pub(crate) fn by_mib(mib: &[usize]) -> Result<Found, Refusal> {
    let mut way = Way::begin();
    for &number in mib {
        let place = way.place.numbered(number).ok_or(Refusal::Absent)?;
        way.on(place, number);
    }
    way.end()
}

/// Writes the numbers of `name`, folder or key, into `mib` and answers how many; as many as there is room for, the
/// rest of the name being of no interest then, unless it goes on after a key.
pub(crate) fn mib_of(name: &[u8], mib: &mut [usize]) -> Result<usize, Refusal> {
    let mut place = Place::root();
    let mut len = 0;
    let mut components = name.split(|&byte| byte == b'.');
    for number in mib {
        let Some(component) = components.next() else {
            return Ok(len);
        };
        (place, *number) = place.named(component).ok_or(Refusal::Absent)?;
        len += 1;
    }
    let goes_on = components
        .next()
        .is_some_and(|next| len > 0 || next.is_empty());
    if goes_on && (len == 0 || place.facts().is_some()) {
        return Err(Refusal::Absent);
    }
    Ok(len)
}

/// Answers `request` by the key. Called inside a passage, no lock held.
pub(crate) fn answer(
    found: Found,
    request: Request,
    own: Option<CacheRef>,
) -> (Result<(), Refusal>, Due) {
    epoch::begin();
    let mut call = Call {
        request,
        own,
        indexes: found.indexes,
        due: Due::Nothing,
    };
    let allowed = match found.facts.access {
        Access::Read => call.request.only_reads(),
        Access::Write => call.request.only_writes(),
        Access::Both | Access::Own => Ok(()),
        Access::Deed => call
            .request
            .only_reads()
            .and_then(|()| call.request.only_writes()),
    };
    let result = allowed.and_then(|()| keys::answer(found.facts.key, &mut call));
    (result, call.due)
}
