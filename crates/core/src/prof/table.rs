//! Table: records found by their hash. It grows with them, one bucket at a time: nobody waits for a rehash.
//!
//! ```text
//! buckets  | 0 1 2 ... | base ... count |      count = base + split; below `split` a bucket has been cut in two:
//!            ^^^ split ^                       its records are told apart by one bit more of their hash
//! segments | 1024 | 1024 | 2048 | 4096 ...     mapped when first needed, for good
//! ```
//! T1  A record is in the bucket that its hash leads to, once.
//! T2  There are as many buckets as records, or, while memory is short, fewer: chains are longer then.
//! T3  Buckets do not become fewer.
//! Lock: the profiler's (see `record`). Source: Litwin, "Linear hashing", 1980.

use super::record::{Handle, Held, Link};
use crate::meta;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Buckets of the first segment: a page of them.
const FIRST: usize = 1024;
const SEGMENTS: usize = 20;

/// What can be in a table.
pub(super) trait Hashed: Sized {
    fn hash(&self) -> u32;
    /// The next one in its bucket.
    fn chain(&self) -> &Link<Self>;
}

/// A table.
pub(super) struct Table<T> {
    segments: [Cell<*mut Link<T>>; SEGMENTS],
    buckets: Cell<usize>,
    len: Cell<usize>,
}

// SAFETY: what the segments point at is the table's own, and moves with it.
unsafe impl<T> Send for Table<T> {}

impl<T: Hashed> Table<T> {
    pub(super) const fn new() -> Self {
        Self {
            segments: [const { Cell::new(ptr::null_mut()) }; SEGMENTS],
            buckets: Cell::new(0),
            len: Cell::new(0),
        }
    }

    /// Records in it.
    pub(super) fn len(&self) -> usize {
        self.len.get()
    }

    /// The record with `hash` of which `is_it` is true.
    pub(super) fn find(
        &self,
        hash: u32,
        held: &Held,
        is_it: impl Fn(&T) -> bool,
    ) -> Option<Handle<T>> {
        let mut link = self.bucket_of(hash)?.get();
        while let Some(handle) = link {
            let record = handle.of(held);
            if record.hash() == hash && is_it(record) {
                break;
            }
            link = record.chain().get();
        }
        link
    }

    /// Puts `record` in, which is in none. `None`: out of memory for the first buckets.
    pub(super) fn insert(&self, record: Handle<T>, held: &Held) -> Option<()> {
        if self.buckets.get() == 0 {
            self.map(0)?;
            self.buckets.set(FIRST);
        } else if self.len.get() >= self.buckets.get() {
            self.split(held);
        }
        let bucket = self.bucket_of(record.of(held).hash())?;
        record.of(held).chain().set(bucket.replace(Some(record)));
        self.len.set(self.len.get() + 1);
        Some(())
    }

    /// Takes `record`, which is in it, out.
    pub(super) fn remove(&self, record: Handle<T>, held: &Held) {
        let Some(mut link) = self.bucket_of(record.of(held).hash()) else {
            return;
        };
        while let Some(handle) = link.get() {
            if handle == record {
                link.set(record.of(held).chain().take());
                self.len.set(self.len.get() - 1);
                return;
            }
            link = handle.of(held).chain();
        }
    }

    /// The bucket that `hash` leads to, if there are any.
    fn bucket_of(&self, hash: u32) -> Option<&Link<T>> {
        let buckets = self.buckets.get();
        let base = 1 << buckets.checked_ilog2()?;
        let hash = hash as usize;
        let at = match hash & (base - 1) {
            at if at < buckets - base => hash & (2 * base - 1),
            at => at,
        };
        self.bucket(at)
    }

    /// Bucket number `at`, if its segment is mapped.
    fn bucket(&self, at: usize) -> Option<&Link<T>> {
        let (segment, begin) = segment_of(at);
        let buckets = NonNull::new(self.segments.get(segment)?.get())?;
        // SAFETY: 1. a mapped segment, which stays, has all buckets from `begin` to the next segment's begin;
        //         2. zero bytes are a link to nothing.
        Some(unsafe { buckets.add(at - begin).as_ref() })
    }

    fn map(&self, segment: usize) -> Option<()> {
        let place = self.segments.get(segment)?;
        if place.get().is_null() {
            let buckets = FIRST << segment.saturating_sub(1);
            place.set(meta::table(buckets * size_of::<Link<T>>())?.as_ptr().cast());
        }
        Some(())
    }

    /// Cuts the next bucket in two, if there is memory for one more (T2).
    fn split(&self, held: &Held) {
        let buckets = self.buckets.get();
        let base = 1usize << buckets.ilog2();
        if self.map(segment_of(buckets).0).is_none() {
            return;
        }
        let (Some(old), Some(new)) = (self.bucket(buckets - base), self.bucket(buckets)) else {
            return;
        };
        self.buckets.set(buckets + 1);
        let mut rest = old.take();
        while let Some(handle) = rest {
            let record = handle.of(held);
            rest = record.chain().get();
            let to = if record.hash() as usize & base == 0 {
                old
            } else {
                new
            };
            record.chain().set(to.replace(Some(handle)));
        }
    }

    /// Calls `visit` with every record and asserts the rules.
    #[cfg(test)]
    pub(super) fn check(&self, held: &Held, mut visit: impl FnMut(Handle<T>)) {
        let mut len = 0;
        for at in 0..self.buckets.get() {
            let bucket = self.bucket(at).expect("T2: its segment is mapped");
            let mut link = bucket.get();
            while let Some(handle) = link {
                let leads = self.bucket_of(handle.of(held).hash()).unwrap();
                assert!(ptr::eq(leads, bucket), "T1");
                len += 1;
                visit(handle);
                link = handle.of(held).chain().get();
            }
        }
        assert_eq!(len, self.len.get(), "T1");
        assert!(self.buckets.get() >= len || len > FIRST, "T2");
    }
}

/// The segment of bucket `at`, and its first bucket.
fn segment_of(at: usize) -> (usize, usize) {
    match (at / FIRST).checked_ilog2() {
        None => (0, 0),
        Some(lg) => (lg as usize + 1, FIRST << lg),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::unlinked;
    use super::*;
    use crate::sys::simulated::dice::Dice;
    use crate::sys::simulated::dice::rounds;
    use std::collections::BTreeMap;

    struct Entry {
        key: u32,
        chain: Link<Entry>,
    }

    impl Hashed for Entry {
        fn hash(&self) -> u32 {
            // Many collisions in the low bits, and some keys that are alike.
            self.key / 3 * 64
        }
        fn chain(&self) -> &Link<Self> {
            &self.chain
        }
    }

    fn hash(key: u32) -> u32 {
        key / 3 * 64
    }

    #[test]
    fn segments_follow_each_other_without_gaps() {
        let mut last = (0, 0);
        for at in 0..64 * FIRST {
            let (segment, begin) = segment_of(at);
            assert!(begin <= at && at - begin < FIRST << segment.saturating_sub(1));
            assert!(segment == last.0 || segment == last.0 + 1 && begin == at);
            last = (segment, begin);
        }
    }

    #[test]
    fn a_table_finds_what_its_naive_twin_has() {
        let (held, table) = (Held::new(), Table::<Entry>::new());
        let mut twin = BTreeMap::new();
        let mut dice = Dice::new(7);
        assert!(table.find(0, &held, |_| true).is_none());
        for round in 0..rounds(60_000) {
            // First it grows, then it shrinks.
            let grows = (round < 40_000) != dice.once_in(4);
            let key = dice.below(20_000) as u32;
            let found = table.find(hash(key), &held, |entry| entry.key == key);
            assert_eq!(
                found.map(Handle::number),
                twin.get(&key).map(|handle: &Handle<Entry>| handle.number())
            );
            match found {
                None if grows => {
                    let entry = Entry {
                        key,
                        chain: unlinked(),
                    };
                    let handle = Handle::make(entry).unwrap();
                    table.insert(handle, &held).unwrap();
                    twin.insert(key, handle);
                }
                Some(handle) if !grows => {
                    table.remove(handle, &held);
                    twin.remove(&key);
                    // SAFETY: out of the table and its twin.
                    unsafe { handle.forget(&held) };
                }
                _ => {}
            }
            if round % 5_000 == 0 {
                let mut seen = 0;
                table.check(&held, |_| seen += 1);
                assert_eq!(seen, twin.len());
            }
        }
        assert!(table.len() > 100);
    }
}
