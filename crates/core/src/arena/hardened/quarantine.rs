//! Quarantine: freed objects wait, so that who still uses them is found out, and does not meet a new owner.
//!
//! ```text
//! free ──> | youngest ... changed places by chance ... oldest | ──more bytes than may wait──> released
//! ```
//! Q1  What waits is at most [`most`] bytes, or one object; each counts with its slot, a large one with an eighth of the
//!     whole at most, as its memory is gone.
//! Q2  The order is nearly that of the frees: each changes places with one of the last [`NEAR`], by chance.
//! Lock: rank 2, never together with a bin's.

use super::random::Random;
use crate::meta;
use crate::sync::Mutex;
use core::ptr;

/// Entries of the ring, a power of two.
const ROOM: usize = 1 << 16;
/// Entries released at a time.
const BATCH: usize = 16;
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

struct Queue {
    ring: *mut Entry,
    /// Entries ever put in, and taken out.
    put: usize,
    taken: usize,
    bytes: usize,
    /// See Q1.
    most: usize,
    random: Random,
}

// SAFETY: the ring is this queue's alone, used under the lock.
unsafe impl Send for Queue {}

static QUEUE: Mutex<Queue, 2> = Mutex::new(Queue {
    ring: ptr::null_mut(),
    put: 0,
    taken: 0,
    bytes: 0,
    most: 0,
    random: Random::new(),
});

/// Lets so many bytes wait. Called once, by the boot; where there is no memory for the ring, nothing waits.
pub(super) fn prepare(most: usize) {
    if most == 0 {
        return;
    }
    if let Some(ring) = meta::table(ROOM * size_of::<Entry>()) {
        let mut queue = QUEUE.lock();
        queue.ring = ring.as_ptr().cast();
        queue.most = most;
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.put - self.taken
    }

    fn at(&self, number: usize) -> *mut Entry {
        self.ring.wrapping_add(number % ROOM)
    }

    fn push(&mut self, mut entry: Entry) {
        entry.bytes = entry.bytes.min(self.most / 8).max(1);
        let last = self.put;
        self.put += 1;
        self.bytes += entry.bytes;
        let near = self.len().min(NEAR);
        let other = last - self.random.next(SHARD) as usize % near;
        // SAFETY: both lie in the ring, which is not full: `put` pops first.
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
pub(super) fn put(entry: Entry, release: impl FnMut(Entry)) {
    let most = {
        let mut queue = QUEUE.lock();
        if queue.ring.is_null() {
            drop(queue);
            let mut release = release;
            return release(entry);
        }
        queue.push(entry);
        queue.most
    };
    drain(most, release);
}

/// Calls `release` with the oldest until no more than `most` bytes wait. No lock is held.
pub(super) fn drain(most: usize, mut release: impl FnMut(Entry)) {
    loop {
        let mut batch = [Entry::NONE; BATCH];
        let mut count = 0;
        {
            let mut queue = QUEUE.lock();
            while count < BATCH && queue.is_over(most) {
                let Some(entry) = queue.pop() else { break };
                batch[count] = entry;
                count += 1;
            }
        }
        batch[..count].iter().for_each(|&entry| release(entry));
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
                put(Entry::slot(number, 0, 64), |entry| out.push(entry.record));
                assert!(waiting_bytes() <= 64 << 10, "Q1");
            }
            let early = out.clone();
            drain(0, |entry| out.push(entry.record));
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
    fn without_bytes_nothing_waits() {
        alone(|| {
            prepare(0);
            let mut out = Vec::new();
            put(Entry::large(7, 100), |entry| out.push(entry.record));
            assert_eq!(out, [7]);
        });
    }
}
