//! Functions: what each allocates itself, and together with all that it calls.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::amount::Amount;
use crate::frames::Place;
use crate::model::{Profile, Stack};

/// One function.
#[derive(Clone, Debug)]
pub struct FunctionRow<'a> {
    /// Its name, or its place in a file.
    pub name: Cow<'a, str>,
    /// The line of it that allocates most itself; of a function that allocates nothing itself, the first line met.
    pub place: Option<Place<'a>>,
    /// What it allocates itself.
    pub own: Amount,
    /// The same with all that it calls; a recursive function counts once.
    pub total: Amount,
}

/// All functions on any path with anything, the one that allocates most itself first.
pub fn functions<'a>(profile: &'a Profile, of: impl Fn(&Stack) -> Amount) -> Vec<FunctionRow<'a>> {
    let mut rows: Vec<FunctionRow<'a>> = Vec::new();
    let mut by_name: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut lines: HashMap<(usize, u32), f64> = HashMap::new();
    let mut heaviest: Vec<f64> = Vec::new();
    for stack in profile.stacks() {
        let amount = of(stack);
        if amount.is_zero() {
            continue;
        }
        let mut seen = HashSet::new();
        for (depth, frame) in profile.frames(stack).enumerate() {
            let index = *by_name.entry(frame.name()).or_insert_with(|| {
                rows.push(FunctionRow {
                    name: frame.name(),
                    place: frame.place(),
                    own: Amount::ZERO,
                    total: Amount::ZERO,
                });
                heaviest.push(0.0);
                rows.len() - 1
            });
            if depth == 0 {
                rows[index].own += amount;
                let bytes = lines.entry((index, frame.line)).or_default();
                *bytes += amount.bytes;
                if *bytes > heaviest[index] {
                    heaviest[index] = *bytes;
                    rows[index].place = frame.place();
                }
            }
            if seen.insert(index) {
                rows[index].total += amount;
            }
        }
    }
    rows.sort_by(|one, two| {
        super::heavier(one.own, two.own).then_with(|| super::heavier(one.total, two.total))
    });
    rows
}
