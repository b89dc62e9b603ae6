//! LiveRanges: where every live block is, as a sorted list (rule N2).
//!
//! A range is entered after the allocator has returned and taken out before the allocator is called
//! to free it, so whenever two entered ranges meet, the allocator gave one byte to two owners. The
//! lock is never held across a call into the heap under test.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// The ranges of all live blocks of a heap, shared by all its threads.
#[derive(Debug, Default)]
pub struct LiveRanges {
    ends: Mutex<BTreeMap<usize, usize>>,
}

impl LiveRanges {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters `len` bytes at `start`; panics if they meet a live range. `len` is not zero.
    pub fn enter(&self, start: usize, len: usize) {
        let end = start
            .checked_add(len)
            .expect("a block does not wrap round memory");
        assert!(len > 0, "an empty range meets nothing");
        let mut ends = self.ends.lock().expect("an earlier check failed");
        if let Some((&other, &other_end)) = ends.range(..end).next_back() {
            assert!(
                other_end <= start,
                "{start:#x}..{end:#x} overlaps the live block {other:#x}..{other_end:#x}"
            );
        }
        ends.insert(start, end);
    }

    /// Takes out the range that starts at `start`; panics if there is none.
    pub fn leave(&self, start: usize) {
        let removed = self
            .ends
            .lock()
            .expect("an earlier check failed")
            .remove(&start);
        assert!(removed.is_some(), "{start:#x} is no live block");
    }

    /// Returns the number of live blocks.
    pub fn count(&self) -> usize {
        self.ends.lock().expect("an earlier check failed").len()
    }
}

#[cfg(test)]
mod tests {
    use super::LiveRanges;

    fn is_refused(start: usize, len: usize) -> bool {
        let live = LiveRanges::new();
        live.enter(100, 10);
        live.enter(120, 10);
        std::panic::catch_unwind(|| live.enter(start, len)).is_err()
    }

    #[test]
    fn every_way_to_overlap_is_seen() {
        for (start, len) in [
            (100, 10),
            (95, 6),
            (109, 1),
            (104, 2),
            (90, 100),
            (119, 2),
            (129, 9),
        ] {
            assert!(is_refused(start, len), "{start} {len}");
        }
        for (start, len) in [(90, 10), (110, 10), (130, 1)] {
            assert!(!is_refused(start, len), "{start} {len}");
        }
    }
}
