//! Book: what is known of the pages of a segment, in its first page. It is touched by purging, and where the system is
//! short of memory.
//!
//! ```text
//!    0 idle pages 128 | next 4 | listed 4       under the lock of the metadata
//!  256 bytes of the segment, where it is shorter than most
//!  512 going pages 128 | next 4 | listed 4 | free records of each page 1024 | units of each 1024
//!                                               of the purge in progress
//! ```
//! K1  A page is idle (all its records were recycled, its memory is the system's), going (about to be), open, or its
//!     records are with their users and in the lists: one of these.
//! K2  A segment is in the list of those with idle pages if it has some; it leaves when it is found without.
//! K3  Idle pages serve records of any size, in the order of their addresses within a segment.

use super::{MetaRef, PAGE_UNITS, SEGMENT_UNITS};
use crate::size::PAGE;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Pages of a whole segment.
pub(super) const SEGMENT_PAGES: usize = SEGMENT_UNITS / PAGE_UNITS;
const WORDS: usize = SEGMENT_PAGES / 64;
const SHORT_AT: usize = 256;
const NOTES_AT: usize = 512;

/// A bit for each page of a segment.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct PageSet([u64; WORDS]);

impl PageSet {
    pub(super) fn contains(&self, page: usize) -> bool {
        self.0[page / 64] >> (page % 64) & 1 != 0
    }

    pub(super) fn insert(&mut self, page: usize) {
        self.0[page / 64] |= 1 << (page % 64);
    }

    pub(super) fn remove(&mut self, page: usize) {
        self.0[page / 64] &= !(1 << (page % 64));
    }

    pub(super) fn clear(&mut self) {
        self.0 = [0; WORDS];
    }

    fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    fn take_lowest(&mut self) -> Option<usize> {
        let word = self.0.iter().position(|&word| word != 0)?;
        let page = word * 64 + self.0[word].trailing_zeros() as usize;
        self.remove(page);
        Some(page)
    }

    /// The first run of neighbours from page `from` on: its first page and its length.
    pub(super) fn run_from(&self, from: usize) -> Option<(usize, usize)> {
        let first = (from..SEGMENT_PAGES).find(|&page| self.contains(page))?;
        let len = (first..SEGMENT_PAGES)
            .take_while(|&page| self.contains(page))
            .count();
        Some((first, len))
    }
}

/// The part of a book that the lock of the metadata guards.
#[repr(C)]
struct IdlePages {
    pages: PageSet,
    /// The next segment in the list plus one; 0: none.
    next: u32,
    is_listed: u32,
}

/// The part of a book that belongs to the purge in progress.
#[repr(C)]
pub(super) struct Notes {
    pub(super) going: PageSet,
    /// The next segment that was noted plus one; 0: none.
    pub(super) next: u32,
    pub(super) is_listed: u32,
    /// Recycled records in each page.
    pub(super) free: [u8; SEGMENT_PAGES],
    /// Units of the records of each going page.
    pub(super) units: [u8; SEGMENT_PAGES],
}

const _: () = assert!(size_of::<IdlePages>() <= SHORT_AT);
const _: () = assert!(NOTES_AT + size_of::<Notes>() <= PAGE);

/// Where page `page` of a segment that exists is.
pub(super) fn address(segment: usize, page: usize) -> NonNull<u8> {
    MetaRef::at(segment, page * PAGE_UNITS).resolve()
}

fn idle_pages(segment: usize) -> NonNull<IdlePages> {
    address(segment, 0).cast()
}

/// The notes on a segment that exists.
pub(super) fn notes(segment: usize) -> NonNull<Notes> {
    // SAFETY: within the first page of a segment, as asserted above.
    unsafe { address(segment, 0).add(NOTES_AT).cast() }
}

fn short(segment: usize) -> NonNull<AtomicUsize> {
    // SAFETY: within the first page of a segment, at a multiple of its alignment.
    unsafe { address(segment, 0).add(SHORT_AT).cast() }
}

/// Notes that a segment is only `bytes` long.
pub(super) fn note_short(segment: usize, bytes: usize) {
    // SAFETY: an atomic of a segment that exists; zero at first.
    unsafe { short(segment).as_ref() }.store(bytes, Ordering::Relaxed);
}

/// Bytes of a segment that is shorter than most; 0: it is not, or not noted.
pub(super) fn short_bytes(segment: usize) -> usize {
    // SAFETY: as above.
    unsafe { short(segment).as_ref() }.load(Ordering::Relaxed)
}

/// The segments with idle pages.
pub(super) struct Idle {
    /// The first of them plus one; 0: none.
    first: u32,
}

impl Idle {
    pub(super) const fn new() -> Self {
        Self { first: 0 }
    }

    /// Whether there surely is no idle page.
    pub(super) const fn is_empty(&self) -> bool {
        self.first == 0
    }

    /// Takes an idle page.
    pub(super) fn take(&mut self) -> Option<MetaRef> {
        loop {
            let segment = self.first.checked_sub(1)? as usize;
            // SAFETY: the first part of a book: ours, as `self` is the content of the lock (K2).
            let idle = unsafe { idle_pages(segment).as_mut() };
            if let Some(page) = idle.pages.take_lowest() {
                return Some(MetaRef::at(segment, page * PAGE_UNITS));
            }
            self.first = idle.next;
            idle.is_listed = 0;
        }
    }

    /// Adds pages of a segment.
    pub(super) fn add(&mut self, segment: usize, pages: &PageSet) {
        // SAFETY: as above.
        let idle = unsafe { idle_pages(segment).as_mut() };
        idle.pages.add(pages);
        if idle.is_listed == 0 {
            idle.is_listed = 1;
            idle.next = self.first;
            self.first = segment as u32 + 1;
        }
    }

    /// Idle pages of a segment.
    #[cfg(test)]
    pub(super) fn of_segment(&self, segment: usize) -> &PageSet {
        // SAFETY: as above.
        unsafe { &idle_pages(segment).as_ref().pages }
    }

    /// Segments in the list.
    #[cfg(test)]
    pub(super) fn listed(&self) -> std::vec::Vec<usize> {
        let after = |&segment: &usize| {
            // SAFETY: as above.
            unsafe { idle_pages(segment).as_ref() }
                .next
                .checked_sub(1)
                .map(|next| next as usize)
        };
        let first = self.first.checked_sub(1).map(|first| first as usize);
        core::iter::successors(first, after).collect()
    }
}
