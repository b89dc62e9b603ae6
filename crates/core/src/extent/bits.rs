//! Bits: maps of the 512 pages of a huge page.
//!
//! ```text
//! word 0                      word 1                           word 7
//! | page 0 ... page 63       | page 64 ... page 127           | ... page 511 |
//! ```
//! B1  Runs may cross words; nothing here walks single bits but to answer with them.
//! Two shapes: [`Map`], whose words change in place under the page heap's lock, and [`Words`], a copy to
//! calculate with.

use crate::size::HUGE_PAGES;
use core::cell::Cell;

/// Words of a map.
pub(super) const WORDS: usize = HUGE_PAGES / 64;

/// A map by value.
pub(super) type Words = [u64; WORDS];

/// A map in its place.
#[repr(transparent)]
pub(super) struct Map([Cell<u64>; WORDS]);

impl Map {
    pub(super) const fn new() -> Self {
        Self([const { Cell::new(0) }; WORDS])
    }

    /// Word `index`, counted modulo [`WORDS`].
    #[inline(always)]
    pub(super) fn word(&self, index: usize) -> u64 {
        self.0[index % WORDS].get()
    }

    /// Changes word `index`.
    #[inline(always)]
    pub(super) fn put(&self, index: usize, word: u64) {
        self.0[index % WORDS].set(word);
    }

    #[inline]
    pub(super) fn has(&self, page: usize) -> bool {
        self.word(page / 64) >> (page % 64) & 1 != 0
    }

    #[inline]
    pub(super) fn fill(&self, word: u64) {
        for cell in &self.0 {
            cell.set(word);
        }
    }

    #[inline]
    pub(super) fn words(&self) -> Words {
        core::array::from_fn(|index| self.word(index))
    }

    /// Length of the run of clear bits that ends right before bit `at`.
    #[inline]
    pub(super) fn clear_before(&self, at: usize) -> usize {
        let (mut word, low) = (at / 64, at % 64);
        let mut count = 0;
        if low > 0 {
            let clear = (self.word(word) << (64 - low)).leading_zeros() as usize;
            if clear < low {
                return clear;
            }
            count = low;
        }
        while word > 0 {
            word -= 1;
            let clear = self.word(word).leading_zeros() as usize;
            count += clear;
            if clear < 64 {
                break;
            }
        }
        count
    }

    /// Length of the run of clear bits that starts at bit `at`, which may be 512.
    #[inline]
    pub(super) fn clear_after(&self, at: usize) -> usize {
        let (mut word, low) = (at / 64, at % 64);
        let mut count = 0;
        if low > 0 && word < WORDS {
            let clear = (self.word(word) >> low).trailing_zeros() as usize;
            if clear < 64 - low {
                return clear;
            }
            count = 64 - low;
            word += 1;
        }
        while word < WORDS {
            let clear = self.word(word).trailing_zeros() as usize;
            count += clear;
            if clear < 64 {
                break;
            }
            word += 1;
        }
        count
    }
}

/// Calls `visit(word, mask)` for every word that the bits `at..at + len` touch.
#[inline(always)]
pub(super) fn each_word(at: usize, len: usize, mut visit: impl FnMut(usize, u64)) {
    let (mut word, mut low, mut left) = (at / 64, at % 64, len);
    while left > 0 && word < WORDS {
        let here = left.min(64 - low);
        visit(word, (u64::MAX >> (64 - here)) << low);
        left -= here;
        low = 0;
        word += 1;
    }
}

/// The bits where a run of at least `len` set bits starts, within one word; `len` from 1 to 64.
#[inline(always)]
const fn starts_of(mut word: u64, len: usize) -> u64 {
    let mut have = 1;
    while have < len && word != 0 {
        let step = if have < len - have { have } else { len - have };
        word &= word >> step;
        have += step;
    }
    word
}

/// Lowest start of a run of at least `len` set bits.
#[inline]
pub(super) fn first_fit(words: &Words, len: usize) -> Option<usize> {
    let mut carry = 0;
    for (index, &word) in words.iter().enumerate() {
        if carry + word.trailing_ones() as usize >= len {
            return Some(index * 64 - carry);
        }
        if word == u64::MAX {
            carry += 64;
            continue;
        }
        if len <= 64 {
            let starts = starts_of(word, len);
            if starts != 0 {
                return Some(index * 64 + starts.trailing_zeros() as usize);
            }
        }
        carry = word.leading_ones() as usize;
    }
    (carry >= len).then_some(HUGE_PAGES - carry)
}

/// Lowest multiple of `align`, a power of two, where a run of at least `len` set bits can start.
pub(super) fn first_aligned_fit(words: &Words, len: usize, align: usize) -> Option<usize> {
    let mut from = 0;
    while let Some((start, run)) = next_run(words, from) {
        let aligned = start.next_multiple_of(align);
        if aligned + len <= start + run {
            return Some(aligned);
        }
        from = start + run;
    }
    None
}

/// Length of the longest run of set bits.
pub(super) fn longest_run(words: &Words) -> usize {
    let (mut best, mut carry) = (0, 0);
    for &word in words {
        if word == u64::MAX {
            carry += 64;
            continue;
        }
        best = best.max(carry + word.trailing_ones() as usize);
        carry = word.leading_ones() as usize;
        // Inside the word a run is at most 62 long; look only for longer ones than the best.
        let mut starts = if best < 62 {
            starts_of(word, best + 1)
        } else {
            0
        };
        while starts != 0 {
            best += 1;
            // A run of one more starts where one of this length starts and the next bit starts one too.
            starts &= starts >> 1;
        }
    }
    best.max(carry)
}

/// The first run of set bits at or after bit `from`: start and length.
pub(super) fn next_run(words: &Words, from: usize) -> Option<(usize, usize)> {
    let mut index = from / 64;
    let mut word = words.get(index)? & (u64::MAX << (from % 64));
    while word == 0 {
        index += 1;
        word = *words.get(index)?;
    }
    let start = index * 64 + word.trailing_zeros() as usize;
    let mut end = start + (word >> (start % 64)).trailing_ones() as usize;
    while end % 64 == 0 {
        match words.get(end / 64) {
            Some(next) if next & 1 != 0 => end += next.trailing_ones() as usize,
            _ => break,
        }
    }
    Some((start, end - start))
}

/// Number of set bits.
pub(super) fn count(words: &Words) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// The set bits that belong to whole, aligned groups of `group` set bits; `group` a power of two up to 512.
pub(super) fn whole_groups(words: &Words, group: usize) -> Words {
    let mut result = *words;
    if group <= 1 {
        return result;
    }
    let mut from = 0;
    while let Some((start, run)) = next_run(words, from) {
        let (low, high) = (start.next_multiple_of(group), (start + run) & !(group - 1));
        let clear = |at: usize, len: usize, result: &mut Words| {
            each_word(at, len, |index, mask| result[index] &= !mask);
        };
        if low >= high {
            clear(start, run, &mut result);
        } else {
            clear(start, low - start, &mut result);
            clear(high, start + run - high, &mut result);
        }
        from = start + run;
    }
    result
}

/// Clears the runs of set bits that are shorter than `least`.
pub(super) fn keep_long(words: &mut Words, least: usize) {
    let mut from = 0;
    while let Some((start, run)) = next_run(words, from) {
        from = start + run;
        if run < least {
            each_word(start, run, |index, mask| words[index] &= !mask);
        }
    }
}

/// Clears set bits from the lowest on until at most `keep` are left, in whole aligned groups of `group` bits.
pub(super) fn keep_highest(words: &mut Words, keep: usize, group: usize) {
    let mut excess = count(words).saturating_sub(keep) / group * group;
    while excess > 0 {
        let Some((start, run)) = next_run(words, 0) else {
            return;
        };
        let dropped = run.min(excess);
        each_word(start, dropped, |index, mask| words[index] &= !mask);
        excess -= dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::dice::{rounds, stride};
    use core::ops::RangeInclusive;
    use std::vec::Vec;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
        /// Maps with runs of all lengths.
        fn words(&mut self) -> Words {
            let mut words = [0; WORDS];
            let mut at = 0;
            let scale = 1 << (self.next() % 10);
            while at < HUGE_PAGES {
                at += (self.next() as usize % scale) + usize::from(self.next() % 4 == 0);
                let len = (1 + self.next() as usize % scale).min(HUGE_PAGES.saturating_sub(at));
                each_word(at.min(HUGE_PAGES), len, |index, mask| words[index] |= mask);
                at += len + 1;
            }
            words
        }
    }

    fn runs(words: &Words) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for bit in 0..HUGE_PAGES {
            if words[bit / 64] >> (bit % 64) & 1 != 0 {
                match found.last_mut() {
                    Some((start, len)) if *start + *len == bit => *len += 1,
                    _ => found.push((bit, 1)),
                }
            }
        }
        found
    }

    /// Every search of `words`, for runs of `lens` bits, and around the bits `near`.
    fn searches_agree(
        words: &Words,
        lens: impl Iterator<Item = usize>,
        near: RangeInclusive<usize>,
    ) {
        let runs = runs(words);
        let longest = runs.iter().map(|run| run.1).max().unwrap_or(0);
        assert_eq!(longest_run(words), longest, "{words:x?}");
        assert_eq!(count(words), runs.iter().map(|run| run.1).sum::<usize>());
        let mut from = 0;
        for &run in &runs {
            assert_eq!(next_run(words, from), Some(run), "{words:x?}");
            from = run.0 + run.1;
        }
        assert_eq!(next_run(words, from), None);
        for len in lens {
            let naive = runs.iter().find(|run| run.1 >= len).map(|run| run.0);
            assert_eq!(first_fit(words, len), naive, "len {len}: {words:x?}");
            for align in [1, 2, 16, 64, 256] {
                let naive = runs.iter().find_map(|&(start, run)| {
                    let at = start.next_multiple_of(align);
                    (at + len <= start + run).then_some(at)
                });
                let found = first_aligned_fit(words, len, align);
                assert_eq!(found, naive, "len {len}, align {align}: {words:x?}");
            }
        }
        let map = Map::new();
        for (index, word) in words.iter().enumerate() {
            map.put(index, !word);
        }
        for bit in near {
            let ends = runs
                .iter()
                .find(|run| (run.0 + 1..=run.0 + run.1).contains(&bit));
            let begins = runs
                .iter()
                .find(|run| (run.0..run.0 + run.1).contains(&bit));
            let before = ends.map_or(0, |run| bit - run.0);
            let after = begins.map_or(0, |run| run.0 + run.1 - bit);
            let found = (map.clear_before(bit), map.clear_after(bit));
            assert_eq!(found, (before, after), "bit {bit}: {words:x?}");
        }
    }

    #[test]
    fn searches_agree_with_a_walk_over_single_bits() {
        const LENS: [usize; 15] = [1, 2, 3, 4, 25, 61, 62, 63, 64, 65, 127, 128, 300, 511, 512];
        let mut random = Random(42);
        for round in 0..rounds(4000) {
            let words = match round {
                0 => [0; WORDS],
                1 => [u64::MAX; WORDS],
                _ => random.words(),
            };
            searches_agree(&words, LENS.into_iter(), 0..=HUGE_PAGES);
        }
    }

    /// Every pattern of 14 bits across the seam of two words, alone, and with whole words on either side: runs that begin,
    /// end and pass over it.
    #[test]
    fn every_pattern_at_a_seam_is_seen_as_it_is() {
        const SEAM: usize = 3 * 64;
        const SIDE: usize = 64 + 57;
        const ALL: usize = SIDE + 14 + SIDE;
        for pattern in (0..1u64 << 14).step_by(stride()) {
            let mut words = [0; WORDS];
            words[2] = pattern << 57;
            words[3] = pattern >> 7;
            searches_agree(&words, 1..=15, SEAM - 8..=SEAM + 8);
            // Whole words before and behind: their runs join what touches them.
            (words[1], words[4]) = (u64::MAX, u64::MAX);
            words[2] |= u64::MAX >> 7;
            words[3] |= u64::MAX << 7;
            // With two holes or more no run is longer than one side and twelve.
            let longest = if pattern.count_ones() < 13 {
                SIDE + 15
            } else {
                ALL + 1
            };
            searches_agree(&words, SIDE..=longest, SEAM - 8..=SEAM + 8);
        }
    }

    #[test]
    fn groups_and_trimming_agree_with_a_walk_over_single_bits() {
        let mut random = Random(7);
        for _ in 0..rounds(2000) {
            let words = random.words();
            for group in [1, 4, 16, 512] {
                let whole = whole_groups(&words, group);
                for first in (0..HUGE_PAGES).step_by(group) {
                    let set = |words: &Words, at: usize| words[at / 64] >> (at % 64) & 1 != 0;
                    let all = (first..first + group).all(|at| set(&words, at));
                    for at in first..first + group {
                        assert_eq!(set(&whole, at), all);
                    }
                }
                let keep = random.next() as usize % (HUGE_PAGES + 1);
                let mut kept = whole;
                keep_highest(&mut kept, keep, group);
                assert_eq!(whole_groups(&kept, group), kept);
                let excess = count(&whole).saturating_sub(keep) / group * group;
                assert_eq!(count(&kept), count(&whole) - excess);
                let lowest = next_run(&kept, 0).map_or(HUGE_PAGES, |run| run.0);
                let dropped = runs(&whole).iter().map(|run| run.1).sum::<usize>() - count(&kept);
                let below: usize = (0..lowest)
                    .filter(|&at| whole[at / 64] >> (at % 64) & 1 != 0)
                    .count();
                assert_eq!(below, dropped);
            }
        }
    }
}
