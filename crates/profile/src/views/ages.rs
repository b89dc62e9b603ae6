//! Ages: how old live objects are, and how old those that died became.

use crate::amount::Amount;
use crate::model::{Object, Profile, Stack};

/// What has or had an age of `from_ns` up to, not including, `to_ns`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgedAmount {
    /// Youngest.
    pub from_ns: u64,
    /// Too old; `u64::MAX`: nothing is.
    pub to_ns: u64,
    /// How much.
    pub amount: Amount,
}

/// Bounds that people think in: 1 ms, 10 ms, ... 10 s, 1 min, 10 min, 1 h, 1 day.
const BOUNDS_NS: [u64; 9] = [
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    60_000_000_000,
    600_000_000_000,
    3_600_000_000_000,
    86_400_000_000_000,
];

/// Live objects by age, youngest first; only those that `is_wanted`. Ranges at both ends that hold nothing are left out.
pub fn ages(profile: &Profile, is_wanted: impl Fn(&Object) -> bool) -> Vec<AgedAmount> {
    let objects = profile.stacks().iter().flat_map(|stack| &stack.objects);
    let wanted = objects.filter(|object| is_wanted(object));
    let amounts = wanted.map(|object| {
        let amount = Amount::of_one(object.usable, profile.period());
        (object.age_ns, amount)
    });
    by_bounds(amounts, &BOUNDS_NS)
}

/// Freed objects by the age they died at: a range for each doubling.
pub fn lifetimes(profile: &Profile) -> Vec<AgedAmount> {
    let mut amounts = [Amount::ZERO; 64];
    let all = profile
        .stacks()
        .iter()
        .flat_map(|stack: &Stack| &stack.lifetimes);
    for lifetime in all {
        amounts[usize::from(lifetime.lg_ns).min(63)] += lifetime.amount;
    }
    let ranges = amounts
        .iter()
        .enumerate()
        .map(|(lg_ns, &amount)| AgedAmount {
            from_ns: 1 << lg_ns,
            to_ns: 1u64.checked_shl(lg_ns as u32 + 1).unwrap_or(u64::MAX),
            amount,
        });
    trimmed(ranges.collect())
}

fn by_bounds(amounts: impl Iterator<Item = (u64, Amount)>, bounds: &[u64]) -> Vec<AgedAmount> {
    let mut ranges: Vec<AgedAmount> = (0..=bounds.len())
        .map(|index| AgedAmount {
            from_ns: if index == 0 { 0 } else { bounds[index - 1] },
            to_ns: bounds.get(index).copied().unwrap_or(u64::MAX),
            amount: Amount::ZERO,
        })
        .collect();
    for (age_ns, amount) in amounts {
        let index = bounds.partition_point(|&bound| bound <= age_ns);
        ranges[index].amount += amount;
    }
    trimmed(ranges)
}

fn trimmed(ranges: Vec<AgedAmount>) -> Vec<AgedAmount> {
    let is_empty = |range: &AgedAmount| range.amount.is_zero();
    let first = ranges.iter().position(|range| !is_empty(range));
    let last = ranges.iter().rposition(|range| !is_empty(range));
    match (first, last) {
        (Some(first), Some(last)) => ranges[first..=last].to_vec(),
        _ => Vec::new(),
    }
}
