//! Books: all that an arena made by request knows of its pages, slabs and objects.
//!
//! ```text
//! trees   idle extents by length, a tree for dirty, muzzy, retained
//! lists   extents of each state, oldest first: which to purge, which to discard
//! bins    slabs of each small class, fullest first
//! ```
//! B1  An extent that is not `Moving` is in the list of its state, and in the tree if it is idle.
//! B2  `pages` are those of the extents of each state.
//! B3  Bookings are whole at every instant that the lock is free.
//! Lock: the arena's.

use super::extent::{ExtentRef, State};
use super::slab::Slabs;
use super::tree::Tree;
use crate::extent::Decay;
use crate::size::{CACHED_CLASSES, CLASSES, HUGE_PAGES, SMALL_CLASSES};

/// Extents of one state, oldest first.
#[derive(Clone, Copy, Default)]
struct List {
    oldest: u32,
    newest: u32,
}

/// What became of purging extents of one state.
#[derive(Clone, Copy, Default)]
pub(super) struct Purges {
    pub(super) sweeps: usize,
    pub(super) calls: usize,
    pub(super) pages: usize,
}

/// Large objects of one class.
#[derive(Clone, Copy, Default)]
pub(super) struct Large {
    pub(super) allocations: u64,
    pub(super) frees: u64,
    /// Bytes of those that are out.
    pub(super) bytes: usize,
}

/// The books.
pub(super) struct Books {
    trees: [Tree; 3],
    lists: [List; 4],
    pages: [usize; 4],
    /// Retained pages that may have memory, as the hooks refused to take it; and those that cannot be taken back.
    pub(super) kept_pages: usize,
    pub(super) pinned_pages: usize,
    /// Pages of the next growth; 0: none, as the hooks do not let what comes be cut.
    pub(super) grow_pages: usize,
    pub(super) decays: [Decay; 2],
    pub(super) purges: [Purges; 2],
    /// Requests that explicit caches served, by class, and objects in them, as far as these have told.
    pub(super) served: [u64; CACHED_CLASSES],
    pub(super) cached: [u64; CACHED_CLASSES],
    pub(super) bins: [Slabs; SMALL_CLASSES],
    pub(super) large: [Large; CLASSES - SMALL_CLASSES],
}

impl Books {
    pub(super) const fn new(dirty_ms: isize, muzzy_ms: isize) -> Self {
        const LIST: List = List {
            oldest: 0,
            newest: 0,
        };
        const PURGES: Purges = Purges {
            sweeps: 0,
            calls: 0,
            pages: 0,
        };
        const LARGE: Large = Large {
            allocations: 0,
            frees: 0,
            bytes: 0,
        };
        Self {
            trees: [const { Tree::new() }; 3],
            lists: [LIST; 4],
            pages: [0; 4],
            kept_pages: 0,
            pinned_pages: 0,
            grow_pages: HUGE_PAGES,
            decays: [Decay::new(dirty_ms), Decay::new(muzzy_ms)],
            purges: [PURGES; 2],
            served: [0; CACHED_CLASSES],
            cached: [0; CACHED_CLASSES],
            bins: [const { Slabs::new() }; SMALL_CLASSES],
            large: [LARGE; CLASSES - SMALL_CLASSES],
        }
    }

    /// Pages of the extents in a state that is not `Moving`.
    pub(super) fn pages(&self, state: State) -> usize {
        self.pages.get(state as usize).copied().unwrap_or(0)
    }

    /// Pages that wait for being purged.
    pub(super) fn purgeable(&self) -> usize {
        self.pages(State::Dirty) + self.pages(State::Muzzy)
    }

    /// The oldest extent of a state.
    pub(super) fn oldest(&self, state: State) -> Option<ExtentRef> {
        ExtentRef::from_link(self.lists.get(state as usize)?.oldest)
    }

    /// Books an extent that is the caller's, from now on as `state`.
    pub(super) fn put(&mut self, extent: ExtentRef, state: State) {
        debug_assert!(extent.state() == State::Moving && state != State::Moving);
        let Some(list) = self.lists.get_mut(state as usize) else {
            return;
        };
        extent.older.set(list.newest);
        extent.newer.set(0);
        match ExtentRef::from_link(list.newest) {
            Some(newest) => newest.newer.set(extent.number()),
            None => list.oldest = extent.number(),
        }
        list.newest = extent.number();
        self.pages[state as usize] += extent.pages();
        if let Some(tree) = self.trees.get_mut(state as usize) {
            tree.insert(extent);
        }
        if state == State::Retained {
            self.kept_pages += kept(extent);
            self.pinned_pages += pinned(extent);
        }
        extent.set_state(state);
    }

    /// Books an extent off: it is the caller's from now on.
    pub(super) fn take(&mut self, extent: ExtentRef) {
        let state = extent.state();
        let Some(list) = self.lists.get_mut(state as usize) else {
            return;
        };
        let (older, newer) = (extent.older.get(), extent.newer.get());
        match ExtentRef::from_link(older) {
            Some(older) => older.newer.set(newer),
            None => list.oldest = newer,
        }
        match ExtentRef::from_link(newer) {
            Some(newer) => newer.older.set(older),
            None => list.newest = older,
        }
        self.pages[state as usize] -= extent.pages();
        if let Some(tree) = self.trees.get_mut(state as usize) {
            tree.remove(extent);
        }
        if state == State::Retained {
            self.kept_pages -= kept(extent);
            self.pinned_pages -= pinned(extent);
        }
        extent.set_state(State::Moving);
    }

    /// Takes the best idle extent of `state` for `pages` pages at `align`, if there is one.
    pub(super) fn take_fit(
        &mut self,
        state: State,
        pages: usize,
        align: usize,
        exact: bool,
    ) -> Option<ExtentRef> {
        let extent = self.trees.get(state as usize)?.fit(pages, align, exact)?;
        self.take(extent);
        Some(extent)
    }

    /// An extent in use has got `more` pages.
    pub(super) fn note_expanded(&mut self, more: usize) {
        self.pages[State::Active as usize] += more;
    }

    /// An extent in use has lost `less` pages.
    pub(super) fn note_shrunk(&mut self, less: usize) {
        self.pages[State::Active as usize] -= less;
    }

    /// Where the extents of a state begin and end, oldest first, from number `from` on; how many there was room for.
    pub(super) fn places(&self, state: State, from: usize, out: &mut [(usize, usize)]) -> usize {
        let next = |extent: &ExtentRef| ExtentRef::from_link(extent.newer.get());
        let extents = core::iter::successors(self.oldest(state), next);
        let places = extents.skip(from).map(|extent| {
            let start = extent.base().addr();
            (start, start + extent.bytes())
        });
        out.iter_mut()
            .zip(places)
            .map(|(out, place)| *out = place)
            .count()
    }

    /// Calls `look` with all idle extents of a state, the shortest first.
    pub(super) fn each_idle(&self, state: State, look: &mut impl FnMut(ExtentRef)) {
        if let Some(tree) = self.trees.get(state as usize) {
            tree.each(look);
        }
    }

    /// Asserts B1 and B2, and what the tree and the slabs assert.
    #[cfg(test)]
    pub(super) fn check(&self) {
        for state in [State::Dirty, State::Muzzy, State::Retained, State::Active] {
            let (mut link, mut last) = (self.lists[state as usize].oldest, 0);
            let (mut count, mut pages) = (0, 0);
            while let Some(extent) = ExtentRef::from_link(link) {
                assert!(extent.state() == state && extent.older.get() == last, "B1");
                (last, link) = (link, extent.newer.get());
                count += 1;
                pages += extent.pages();
            }
            assert_eq!(self.lists[state as usize].newest, last, "B1");
            assert_eq!(self.pages(state), pages, "B2");
            if let Some(tree) = self.trees.get(state as usize) {
                assert_eq!(tree.check(), count, "B1");
            }
        }
        for (class, bin) in self.bins.iter().enumerate() {
            bin.check(class);
        }
    }
}

fn kept(extent: ExtentRef) -> usize {
    if extent.resident.get() {
        extent.pages()
    } else {
        0
    }
}

fn pinned(extent: ExtentRef) -> usize {
    if extent.pinned.get() {
        extent.pages()
    } else {
        0
    }
}
