//! Purge: pages in which all records are recycled go back to the system.
//!
//! ```text
//! for each size   take its list off; count records per page
//!                 page complete? it goes : its records stay, back into the list
//! then            runs of going pages ──advice──> idle;  refused: their records back into the lists
//! ```
//! U1  One purge at a time: counts and going pages are its alone.
//! U2  A page goes only if the purge holds all records that fit into it: no one can be using any.
//! U3  The lock is taken for moments, never during a walk or a system call; a record that is asked for
//!     meanwhile comes from elsewhere.

use super::book::{self, Notes};
use super::{MIXED_UNITS, MetaRef, Metadata, PAGE_UNITS, RECYCLED_UNITS, records_in_page};
use crate::size::PAGE;
use crate::sys::memory;
use core::sync::atomic::Ordering;

/// The purge in progress.
struct Purge<'a> {
    metadata: &'a Metadata,
    /// The last segment that was noted plus one; 0: none.
    noted: u32,
}

impl Metadata {
    pub(super) fn purge(&self) -> usize {
        // Larger pages hold records of several of ours.
        // Acquire: pairs with the Release below, for the books.
        if memory::page_size() != PAGE || self.purging.swap(true, Ordering::Acquire) {
            return 0;
        }
        let mut purge = Purge {
            metadata: self,
            noted: 0,
        };
        for units in 1..=RECYCLED_UNITS {
            purge.sift(units);
        }
        let bytes = purge.finish();
        self.purging.store(false, Ordering::Release);
        bytes
    }
}

/// The segment and the page of a record, if it lies in a page of one size (M3).
fn place(record: MetaRef) -> Option<(usize, usize)> {
    let (segment, unit) = (record.segment(), record.unit());
    (segment != 0 || unit >= MIXED_UNITS).then_some((segment, unit / PAGE_UNITS))
}

/// The records from the one numbered `first` on; each may be changed once it came.
fn list(first: u32) -> impl Iterator<Item = MetaRef> {
    let mut link = first;
    core::iter::from_fn(move || {
        let record = MetaRef::from_number(link)?;
        link = record.next();
        Some(record)
    })
}

/// Records linked into a list.
#[derive(Default)]
struct Chain {
    ends: Option<(MetaRef, MetaRef)>,
}

impl Chain {
    fn push(&mut self, record: MetaRef) {
        let last = match self.ends {
            Some((first, last)) => {
                record.set_next(first.number());
                last
            }
            None => record,
        };
        self.ends = Some((record, last));
    }
}

impl Purge<'_> {
    /// The notes on a segment.
    fn notes(&mut self, segment: usize) -> &mut Notes {
        // SAFETY: a segment with records exists; its notes are this purge's alone (U1), which is borrowed.
        unsafe { book::notes(segment).as_mut() }
    }

    /// Counts a recycled record of a page.
    fn count(&mut self, segment: usize, page: usize) {
        let noted = self.noted;
        let notes = self.notes(segment);
        notes.free[page] += 1;
        if notes.is_listed == 0 {
            notes.is_listed = 1;
            notes.next = noted;
            self.noted = segment as u32 + 1;
        }
    }

    /// Finds the complete pages of records of `units` units and takes these out of the list.
    fn sift(&mut self, units: usize) {
        let first = core::mem::take(&mut self.metadata.base.lock().recycled[units]);
        for (segment, page) in list(first).filter_map(place) {
            self.count(segment, page);
        }
        let mut kept = Chain::default();
        for record in list(first) {
            let complete = place(record).filter(|&(segment, page)| {
                self.notes(segment).free[page] as usize == records_in_page(units)
            });
            match complete {
                Some((segment, page)) => {
                    let notes = self.notes(segment);
                    notes.going.insert(page);
                    notes.units[page] = units as u8;
                }
                None => kept.push(record),
            }
        }
        self.give_back(kept, units);
    }

    fn give_back(&self, records: Chain, units: usize) {
        if let Some((first, last)) = records.ends {
            self.metadata.recycle(first, last, units);
        }
    }

    /// Purges the pages found; bytes given back.
    fn finish(mut self) -> usize {
        let mut bytes = 0;
        while let Some(segment) = self.noted.checked_sub(1) {
            bytes += self.finish_segment(segment as usize);
        }
        bytes
    }

    fn finish_segment(&mut self, segment: usize) -> usize {
        let (mut bytes, mut units, mut from) = (0, 0, 0);
        while let Some((first, len)) = self.notes(segment).going.run_from(from) {
            from = first + len;
            // SAFETY: pages whose records are all in our hands (U2), but for stale reads (M1, M2).
            if unsafe { memory::purge(book::address(segment, first), len * PAGE) } {
                bytes += len * PAGE;
                let sizes = &self.notes(segment).units[first..from];
                units += sizes
                    .iter()
                    .map(|&size| used_units(size.into()))
                    .sum::<usize>();
            } else {
                (first..from).for_each(|page| self.spare(segment, page));
            }
        }
        let notes = self.notes(segment);
        let gone = notes.going;
        notes.going.clear();
        notes.free.fill(0);
        notes.is_listed = 0;
        self.noted = notes.next;
        self.metadata
            .resident_units
            .fetch_sub(units, Ordering::Relaxed);
        if bytes > 0 {
            let mut base = self.metadata.base.lock();
            base.idle.add(segment, &gone);
            base.count_off(bytes / PAGE);
        }
        bytes
    }

    /// Puts the records of a page that did not go back into their list.
    fn spare(&mut self, segment: usize, page: usize) {
        let notes = self.notes(segment);
        notes.going.remove(page);
        let units = notes.units[page].into();
        let mut records = Chain::default();
        for record in (0..records_in_page(units)).rev() {
            records.push(MetaRef::at(segment, page * PAGE_UNITS + record * units));
        }
        self.give_back(records, units);
    }
}

/// Units of a page that are in records of `units` units.
const fn used_units(units: usize) -> usize {
    records_in_page(units) * units
}
