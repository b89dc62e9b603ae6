//! Longest: the longest free run of a huge page, kept up to date (rules E2 and E3 of `descriptor`).
//!
//! A cut into the longest run leaves a longest that is known without a search as long as the rest of it is no shorter
//! than `second`; a join can only make it longer.

use super::free_words;
use crate::extent::bits::{self, each_word};
use crate::extent::descriptor::HugeRef;

/// Brings `longest` up to date after a cut into a longest run that left `piece` (start, length) as its longer
/// part and `shorter` pages on the other side.
#[inline(always)]
pub(super) fn cut_longest(huge: HugeRef, piece: (usize, usize), shorter: u16) {
    if piece.1 >= huge.second.get() as usize {
        huge.longest.set(piece.1 as u16);
        if shorter > huge.second.get() {
            huge.second.set(shorter);
        }
    } else {
        cut_longest_slowly(huge, piece);
    }
}

#[cold]
fn cut_longest_slowly(huge: HugeRef, (start, len): (usize, usize)) {
    let mut free = free_words(huge);
    let bound = huge.second.get();
    // Often there are several of the same length.
    if let Some(spot) = bits::first_fit(&free, bound.into()) {
        huge.longest.set(bound);
        huge.spot.set(spot as u16);
        return;
    }
    each_word(start, len, |index, mask| free[index] &= !mask);
    let others = bits::longest_run(&free);
    huge.longest.set(others.max(len) as u16);
    huge.second.set(others as u16);
}

/// Brings `longest` up to date after a run became `run` pages long by joining one of `left` and one of `right`.
#[inline(always)]
pub(super) fn join_longest(huge: HugeRef, left: usize, run: usize, right: usize) {
    let (run, longest) = (run as u16, huge.longest.get());
    if run <= longest {
        huge.second.set(huge.second.get().max(run));
        return;
    }
    huge.longest.set(run);
    if left as u16 != longest && right as u16 != longest {
        huge.second.set(longest);
    }
}

/// Finds `longest` anew, after pages changed all over the huge page.
pub(super) fn find_longest(huge: HugeRef) {
    let longest = bits::longest_run(&free_words(huge)) as u16;
    huge.longest.set(longest);
    huge.second.set(longest);
}
