//! Quarantine: freed objects wait, so that who still uses them is found out, and does not meet a new owner.
//!
//! ```text
//! free ──> a batch of the bin's ──> | youngest ... changed places by chance ... oldest | ──more bytes than may wait──> released
//! ```
//! Q1  What waits in the queue is at most [`most`] bytes, or one object; each counts with its slot, a large one with an eighth of
//!     the whole at most, as its memory is gone.
//! Q2  The order is nearly that of the frees: each changes places with one of the last [`NEAR`], by chance.
//! Q3  A bin's batch holds up to [`BATCH`] objects, or a [`BATCHES`]th of what may wait: the queue's lock is taken once for all of
//!     them.
//! Lock: rank 3, as it may be taken under a bin's.

use super::random::Random;
use crate::meta;
use crate::sync::Mutex;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Entries of the ring, a power of two.
const ROOM: usize = 1 << 16;
/// Entries handed over, and released, at a time.
const BATCH: usize = 16;
/// See Q3.
const BATCHES: usize = 256;
/// See Q2.
const NEAR: usize = 32;
/// Tells the generator from those of the bins.
const SHARD: usize = 1000;

/// An object that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    record: u32,
    /// Slot of a slab; [`WHOLE`]: a large object.
    slot: u32,
    bytes: usize,
}

const WHOLE: u32 = u32::MAX;

/// What an entry stands for.
pub(super) enum What {
    /// A slot of the slab with that record.
    Slot(u32, usize),
    /// The large object with that record.
    Large(u32),
}

impl Entry {
    const NONE: Self = Self {
        record: 0,
        slot: 0,
        bytes: 0,
    };

    pub(super) const fn slot(record: u32, slot: usize, bytes: usize) -> Self {
        Self {
            record,
            slot: slot as u32,
            bytes,
        }
    }

    pub(super) const fn large(record: u32, bytes: usize) -> Self {
        Self {
            record,
            slot: WHOLE,
            bytes,
        }
    }

    pub(super) const fn what(self) -> What {
        match self.slot {
            WHOLE => What::Large(self.record),
            slot => What::Slot(self.record, slot as usize),
        }
    }
}

/// What is due once an object has been freed, when no lock is held.
#[derive(Debug)]
pub(super) enum Due {
    Nothing,
    /// [`drain_over`].
    Drain,
    /// [`put`].
    Wait(Entry),
}

/// Entries of a bin that are handed over together (Q3).
pub(super) struct Batch {
    entries: [Entry; BATCH],
    len: usize,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self {
            entries: [Entry::NONE; BATCH],
            len: 0,
        }
    }

    /// Takes an entry, of as many bytes as all of this batch have, and hands all over if it is time to; what is due.
    #[inline]
    pub(super) fn put(&mut self, entry: Entry) -> Due {
        let most = MOST.load(Ordering::Relaxed);
        match self.entries.get_mut(self.len) {
            Some(place) if most != 0 => *place = entry,
            _ => return Due::Wait(entry),
        }
        self.len += 1;
        if self.len < BATCH && self.len * entry.bytes < most / BATCHES {
            return Due::Nothing;
        }
        self.hand_over();
        Due::Drain
    }

    /// Hands over what there is.
    #[inline(never)]
    pub(super) fn hand_over(&mut self) {
        let mut queue = QUEUE.lock();
        for &entry in self.entries.iter().take(self.len) {
            queue.push(entry);
        }
        self.len = 0;
    }
}

struct Queue {
    /// Null: nothing waits.
    ring: *mut Entry,
    /// Entries ever put in, and taken out.
    put: usize,
    taken: usize,
    bytes: usize,
    random: Random,
}

// SAFETY: the ring is this queue's alone, used under the lock.
unsafe impl Send for Queue {}

static QUEUE: Mutex<Queue, 3> = Mutex::new(Queue {
    ring: ptr::null_mut(),
    put: 0,
    taken: 0,
    bytes: 0,
    random: Random::new(),
});
/// See Q1. 0: there is no ring.
static MOST: AtomicUsize = AtomicUsize::new(0);

/// Lets so many bytes wait. Called once, by the boot; where there is no memory for the ring, nothing waits.
pub(super) fn prepare(most: usize) {
    if most == 0 {
        return;
    }
    if let Some(ring) = meta::table(ROOM * size_of::<Entry>()) {
        QUEUE.lock().ring = ring.as_ptr().cast();
        MOST.store(most, Ordering::Relaxed);
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.put - self.taken
    }

    fn at(&self, number: usize) -> *mut Entry {
        self.ring.wrapping_add(number % ROOM)
    }

    /// Takes an entry. If whoever is to drain is late, and the ring full, the entry's object never serves again.
    fn push(&mut self, mut entry: Entry) {
        if self.ring.is_null() || self.len() == ROOM {
            return;
        }
        let most = MOST.load(Ordering::Relaxed);
        entry.bytes = entry.bytes.min(most / 8).max(1);
        let last = self.put;
        self.put += 1;
        self.bytes += entry.bytes;
        let near = self.len().min(NEAR);
        let other = last - self.random.below(near, SHARD);
        // SAFETY: both lie in the ring, which has room for them.
        unsafe {
            self.at(last).write(entry);
            ptr::swap(self.at(last), self.at(other));
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        if self.len() == 0 {
            return None;
        }
        // SAFETY: in the ring, and written.
        let entry = unsafe { self.at(self.taken).read() };
        self.taken += 1;
        self.bytes -= entry.bytes;
        Some(entry)
    }

    fn is_over(&self, most: usize) -> bool {
        self.bytes > most || self.len() > ROOM / 2
    }
}

/// Has `entry` wait, and calls `release` with those that have waited long enough. No lock is held.
pub(super) fn put(entry: Entry, mut release: impl FnMut(&[Entry])) {
    if MOST.load(Ordering::Relaxed) == 0 {
        return release(&[entry]);
    }
    QUEUE.lock().push(entry);
    drain_over(release);
}

/// Calls `release` with those that have waited long enough. No lock is held.
pub(super) fn drain_over(release: impl FnMut(&[Entry])) {
    drain(MOST.load(Ordering::Relaxed), release);
}

/// Calls `release` with the oldest until no more than `most` bytes wait. No lock is held.
pub(super) fn drain(most: usize, mut release: impl FnMut(&[Entry])) {
    loop {
        let mut batch = [Entry::NONE; BATCH];
        let mut count = 0;
        {
            let mut queue = QUEUE.lock();
            for place in &mut batch {
                if !queue.is_over(most) {
                    break;
                }
                let Some(entry) = queue.pop() else { break };
                *place = entry;
                count += 1;
            }
        }
        release(batch.get(..count).unwrap_or(&[]));
        if count < BATCH {
            break;
        }
    }
}

/// Bytes that wait, by Q1.
#[cfg(test)]
pub(super) fn waiting_bytes() -> usize {
    QUEUE.lock().bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[test]
    fn everything_comes_out_once_nearly_in_order_and_within_the_bound() {
        alone(|| {
            super::super::random::seed();
            prepare(64 << 10);
            let (mut out, total) = (Vec::new(), 20_000u32);
            for number in 1..=total {
                put(Entry::slot(number, 0, 64), |entries| {
                    out.extend(entries.iter().map(|entry| entry.record));
                });
                assert!(waiting_bytes() <= 64 << 10, "Q1");
            }
            let early = out.clone();
            drain(0, |entries| {
                out.extend(entries.iter().map(|entry| entry.record))
            });
            let all: BTreeSet<u32> = out.iter().copied().collect();
            assert_eq!((out.len(), all.len()), (total as usize, total as usize));
            let waited = early
                .iter()
                .zip(1..)
                .map(|(&number, place)| number.abs_diff(place));
            assert!(waited.clone().max().unwrap() < 2048, "Q2");
            assert!(waited.filter(|&moved| moved > 0).count() > 1000, "Q2");
        });
    }

    #[test]
    fn a_batch_is_handed_over_as_a_whole() {
        alone(|| {
            prepare(1 << 20);
            let mut batch = Batch::new();
            for number in 1..BATCH as u32 {
                assert!(matches!(
                    batch.put(Entry::slot(number, 0, 64)),
                    Due::Nothing
                ));
            }
            assert_eq!(waiting_bytes(), 0);
            assert!(matches!(batch.put(Entry::slot(99, 0, 64)), Due::Drain));
            assert_eq!(waiting_bytes(), BATCH * 64);
            let large = (1 << 20) / BATCHES;
            assert!(
                matches!(batch.put(Entry::slot(1, 0, large)), Due::Drain),
                "Q3"
            );
            let mut out = 0;
            drain(0, |entries| out += entries.len());
            assert_eq!((out, waiting_bytes()), (BATCH + 1, 0));
        });
    }

    #[test]
    fn without_bytes_nothing_waits() {
        alone(|| {
            prepare(0);
            let mut out = Vec::new();
            put(Entry::large(7, 100), |entries| {
                out.extend(entries.iter().map(|entry| entry.record))
            });
            assert_eq!(out, [7]);
            assert!(matches!(
                Batch::new().put(Entry::slot(7, 0, 64)),
                Due::Wait(_)
            ));
        });
    }
}
