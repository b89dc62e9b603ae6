//! Changes: two profiles of one program, side by side.
//!
//! The profiles may be of different processes, even of different builds: addresses and lines differ, so paths are the
//! same where the names of their functions are.

use std::collections::HashMap;

use crate::amount::Amount;
use crate::model::{Profile, Stack};

use super::functions;

/// What was allocated in one place, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Names of functions, innermost first; just one where changes are by function.
    pub frames: Vec<String>,
    /// In the first profile.
    pub before: Amount,
    /// In the second.
    pub after: Amount,
}

impl Change {
    /// Bytes more (or less).
    pub fn bytes(&self) -> f64 {
        self.after.bytes - self.before.bytes
    }

    /// Objects more (or less).
    pub fn objects(&self) -> f64 {
        self.after.objects - self.before.objects
    }

    /// Standard error of the bytes: both profiles are estimates.
    pub fn error(&self) -> f64 {
        (self.before.variance + self.after.variance).max(0.0).sqrt()
    }

    /// Whether sampling alone explains it: it is within two standard errors.
    pub fn is_doubtful(&self) -> bool {
        self.bytes().abs() < 2.0 * self.error()
    }
}

/// All paths that either has, greatest change first.
pub fn changes(before: &Profile, after: &Profile, of: impl Fn(&Stack) -> Amount) -> Vec<Change> {
    let mut all = Changes::default();
    for (profile, is_after) in [(before, false), (after, true)] {
        for stack in profile.stacks() {
            let frames = profile.frames(stack).map(|frame| frame.name().into_owned());
            all.add(frames.collect(), of(stack), is_after);
        }
    }
    all.sorted()
}

/// The same by the functions that allocate themselves.
pub fn function_changes(
    before: &Profile,
    after: &Profile,
    of: impl Fn(&Stack) -> Amount + Copy,
) -> Vec<Change> {
    let mut all = Changes::default();
    for (profile, is_after) in [(before, false), (after, true)] {
        for row in functions(profile, of) {
            all.add(vec![row.name.into_owned()], row.own, is_after);
        }
    }
    all.sorted()
}

#[derive(Default)]
struct Changes {
    list: Vec<Change>,
    by_frames: HashMap<Vec<String>, usize>,
}

impl Changes {
    fn add(&mut self, frames: Vec<String>, amount: Amount, is_after: bool) {
        if amount.is_zero() {
            return;
        }
        let list = &mut self.list;
        let index = *self.by_frames.entry(frames).or_insert_with_key(|frames| {
            list.push(Change {
                frames: frames.clone(),
                before: Amount::ZERO,
                after: Amount::ZERO,
            });
            list.len() - 1
        });
        let change = &mut self.list[index];
        if is_after {
            change.after += amount;
        } else {
            change.before += amount;
        }
    }

    fn sorted(mut self) -> Vec<Change> {
        self.list
            .sort_by(|one, two| two.bytes().abs().total_cmp(&one.bytes().abs()));
        self.list
    }
}
