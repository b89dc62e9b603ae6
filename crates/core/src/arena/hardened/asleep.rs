//! Asleep: runs of large objects that have left the quarantine at `paranoid`, and wait for an object of their class.
//!
//! ```text
//! quarantine ──> asleep: all of the run shut, without memory, still named in the page map ──> an object of its class
//!                   └── too many, too long, guards or addresses run out: the longest sleeper ──> page heap, for anybody
//! ```
//! P1  A run's class is the small class of what it was first asked for, or else the number of its pages; those with a guard in
//!     front and those without are apart. The longest sleeper of a class serves first.
//! P2  A sleeper costs addresses and its record, and up to two mappings, none where what lies beside it is shut too; no memory
//!     but the system's page tables, a 512th of its length.
//! P3  Sleepers take [`MOST_BYTES`] of addresses at most, a quarter of what the process may have where the system sets a bound
//!     (`ulimit -v`), and as many mappings as `guard` lets them. Beyond, the longest sleeper goes back to the page heap:
//!     only then its addresses may serve another class. So does a run of more than an eighth of that at once,
//!     and one that has no guards as there may be no more, or that the system did not shut.
//! Lock: rank 2, never together with the large objects'.

use super::guard;
use super::large::LargeRef;
use crate::size::{PAGE, SMALL_CLASSES, class_of};
use crate::sync::Mutex;
use crate::sys::process;

/// Bytes of addresses that sleepers take at most (P3).
const MOST_BYTES: usize = 16 << 30;
/// Lists that classes share.
const LISTS: usize = 128;

/// For what objects a run is (P1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RunClass(usize);

impl RunClass {
    /// Of a run with so many `pages` between its guards, for an object of `bytes`.
    pub(super) fn of(bytes: usize, pages: usize, has_front: bool) -> Self {
        let small = class_of(bytes).filter(|class| class.is_small());
        let number = small.map_or(SMALL_CLASSES + pages, |class| class.index());
        Self(number << 1 | usize::from(has_front))
    }

    /// As a record keeps it.
    pub(super) fn number(self) -> usize {
        self.0
    }

    /// From such a number.
    pub(super) fn from_number(number: usize) -> Self {
        Self(number)
    }

    fn list(self) -> usize {
        self.0 % LISTS
    }
}

/// The ends of a list; 0: it is empty.
#[derive(Clone, Copy)]
struct Ends {
    oldest: u32,
    newest: u32,
}

struct Asleep {
    lists: [Ends; LISTS],
    /// All of them.
    all: Ends,
    pages: usize,
    /// See P3.
    most_pages: usize,
}

const NOBODY: Ends = Ends {
    oldest: 0,
    newest: 0,
};

static ASLEEP: Mutex<Asleep, 2> = Mutex::new(Asleep {
    lists: [NOBODY; LISTS],
    all: NOBODY,
    pages: 0,
    most_pages: 0,
});

/// Finds out how many addresses sleepers may take. Called once, by the boot.
pub(super) fn prepare() {
    let bound = process::address_space_limit().unwrap_or(usize::MAX);
    ASLEEP.lock().most_pages = MOST_BYTES.min(bound / 4) / PAGE;
}

/// Has a run sleep, which is shut, the caller's, and in no list. `false`: it is not to.
pub(super) fn put(large: LargeRef) -> bool {
    let mut asleep = ASLEEP.lock();
    if large.pages() > asleep.most_pages / 8 {
        return false;
    }
    asleep.push(large);
    guard::note_asleep();
    true
}

/// A run of that class whose first page between the guards is aligned to `align`: the caller's, shut still.
pub(super) fn take(class: RunClass, align: usize) -> Option<LargeRef> {
    let mut asleep = ASLEEP.lock();
    let mut link = asleep.lists[class.list()].oldest;
    while let Some(large) = LargeRef::from_link(link) {
        if large.class() == class && large.base().addr() % align == 0 {
            asleep.remove(large);
            guard::note_awake();
            return Some(large);
        }
        link = large.next.get();
    }
    None
}

/// The longest sleeper, the caller's to give back, if sleepers are more than may be (P3).
pub(super) fn take_surplus() -> Option<LargeRef> {
    let mut asleep = ASLEEP.lock();
    let is_surplus = asleep.pages > asleep.most_pages || !guard::may_sleep();
    is_surplus.then(|| asleep.take_oldest())?
}

/// The longest sleeper, the caller's to give back.
pub(super) fn take_oldest() -> Option<LargeRef> {
    ASLEEP.lock().take_oldest()
}

/// Bytes of addresses that sleepers take.
pub(super) fn bytes() -> usize {
    ASLEEP.lock().pages * PAGE
}

impl Asleep {
    fn push(&mut self, large: LargeRef) {
        let ends = &mut self.lists[large.class().list()];
        large.next.set(0);
        large.prev.set(ends.newest);
        match LargeRef::from_link(ends.newest) {
            Some(newest) => newest.next.set(large.number()),
            None => ends.oldest = large.number(),
        }
        ends.newest = large.number();
        large.newer.set(0);
        large.older.set(self.all.newest);
        match LargeRef::from_link(self.all.newest) {
            Some(newest) => newest.newer.set(large.number()),
            None => self.all.oldest = large.number(),
        }
        self.all.newest = large.number();
        self.pages += large.pages();
    }

    fn remove(&mut self, large: LargeRef) {
        let ends = &mut self.lists[large.class().list()];
        let (next, prev) = (large.next.get(), large.prev.get());
        match LargeRef::from_link(prev) {
            Some(prev) => prev.next.set(next),
            None => ends.oldest = next,
        }
        match LargeRef::from_link(next) {
            Some(next) => next.prev.set(prev),
            None => ends.newest = prev,
        }
        let (newer, older) = (large.newer.get(), large.older.get());
        match LargeRef::from_link(older) {
            Some(older) => older.newer.set(newer),
            None => self.all.oldest = newer,
        }
        match LargeRef::from_link(newer) {
            Some(newer) => newer.older.set(older),
            None => self.all.newest = older,
        }
        self.pages -= large.pages();
    }

    fn take_oldest(&mut self) -> Option<LargeRef> {
        let large = LargeRef::from_link(self.all.oldest)?;
        self.remove(large);
        guard::note_awake();
        Some(large)
    }
}

/// Lets sleepers take no more than so many bytes of addresses.
#[cfg(test)]
pub(super) fn set_most_bytes(bytes: usize) {
    ASLEEP.lock().most_pages = bytes / PAGE;
}

/// Asserts P1 and P3, and that every list is one.
#[cfg(test)]
pub(super) fn check() {
    let asleep = ASLEEP.lock();
    let (mut runs, mut listed, mut pages) = (0, 0, 0);
    let (mut link, mut last) = (asleep.all.oldest, 0);
    while let Some(large) = LargeRef::from_link(link) {
        assert_eq!(large.older.get(), last);
        assert!(large.is_bare_and_shut(), "P2");
        (last, link) = (link, large.newer.get());
        runs += 1;
        pages += large.pages();
    }
    assert_eq!((asleep.all.newest, asleep.pages), (last, pages));
    for (list, ends) in asleep.lists.iter().enumerate() {
        let (mut link, mut last) = (ends.oldest, 0);
        while let Some(large) = LargeRef::from_link(link) {
            assert!(
                large.prev.get() == last && large.class().list() == list,
                "P1"
            );
            (last, link) = (link, large.next.get());
            listed += 1;
        }
        assert_eq!(ends.newest, last);
    }
    assert!(listed == runs && guard::sleepers() == runs);
    assert!(pages <= asleep.most_pages, "P3");
}
