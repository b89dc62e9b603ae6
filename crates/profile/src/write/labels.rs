//! Labels: a stack's amounts as samples of pprof's form, told apart by thread, tag and age where these are known.
//!
//! ```text
//! stack   live by objects      (thread, tag, age) ----+
//!         or by threads        (thread)               +--> samples; whatever is left over has no label
//!         cumulative by tags   (tag), or by threads --+
//!         peak                 ()
//! ```
//! Live and cumulative amounts are shared out in different ways: a sample has a label for the numbers in it that it is known
//! of, and the others are 0.
//!
//! B1  The samples of a stack add up to its amounts, to the last byte that is printed.
//! B2  Objects of about one age are one: `age` is rounded down to a power of two nanoseconds.

use std::collections::BTreeMap;

use crate::amount::Amount;
use crate::model::{Measure, Profile, Stack, ThreadId};

/// Shares that miss less of the whole than this are all of it: the rest is rounding.
const ROUNDING: f64 = 0.01;

/// What is known of a sample's objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels {
    pub(super) thread: Option<ThreadId>,
    /// 0: none, or not known.
    pub(super) tag: u16,
    /// At least so old, as a base-2 logarithm of nanoseconds.
    pub(super) lg_age_ns: Option<u8>,
}

/// A part of a stack's amounts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    live: Amount,
    peak: Amount,
    cumulative: Amount,
}

impl Part {
    /// How much, by `measure`; of lifetimes nothing is known.
    pub(super) fn amount(&self, measure: Measure) -> Amount {
        match measure {
            Measure::Live => self.live,
            Measure::Peak => self.peak,
            Measure::Cumulative => self.cumulative,
            Measure::Temporary { .. } => Amount::ZERO,
        }
    }
}

/// The parts of `stack`, in order of their labels.
pub(super) fn parts(profile: &Profile, stack: &Stack) -> BTreeMap<Labels, Part> {
    let mut parts: BTreeMap<Labels, Part> = BTreeMap::new();
    for (labels, amount) in shared_out(stack.live, live(profile, stack)) {
        parts.entry(labels).or_default().live += amount;
    }
    for (labels, amount) in shared_out(stack.cumulative, cumulative(stack)) {
        parts.entry(labels).or_default().cumulative += amount;
    }
    if !stack.peak.is_zero() {
        parts.entry(Labels::default()).or_default().peak += stack.peak;
    }
    parts
}

fn live(profile: &Profile, stack: &Stack) -> BTreeMap<Labels, Amount> {
    let mut shares: BTreeMap<Labels, Amount> = BTreeMap::new();
    for object in &stack.objects {
        let labels = Labels {
            thread: Some(object.thread),
            tag: object.tag,
            lg_age_ns: Some(object.age_ns.max(1).ilog2() as u8),
        };
        *shares.entry(labels).or_default() += Amount::of_one(object.usable, profile.period);
    }
    if shares.is_empty() {
        for share in &stack.threads {
            *shares.entry(of_thread(share.thread)).or_default() += share.live;
        }
    }
    shares
}

fn cumulative(stack: &Stack) -> BTreeMap<Labels, Amount> {
    let by_tag = stack.tags.iter().map(|share| {
        let labels = Labels {
            tag: share.tag,
            ..Labels::default()
        };
        (labels, share.cumulative)
    });
    let by_thread = stack
        .threads
        .iter()
        .map(|share| (of_thread(share.thread), share.cumulative));
    if stack.tags.is_empty() {
        by_thread.collect()
    } else {
        by_tag.collect()
    }
}

fn of_thread(thread: ThreadId) -> Labels {
    Labels {
        thread: Some(thread),
        ..Labels::default()
    }
}

/// `whole` in `shares`: as they are, with a rest that has no labels; all of them smaller where they are more than the whole.
fn shared_out(
    whole: Amount,
    mut shares: BTreeMap<Labels, Amount>,
) -> impl Iterator<Item = (Labels, Amount)> {
    shares.retain(|_, share| !share.is_zero());
    let sum: Amount = shares.values().copied().sum();
    let missing = whole.bytes - sum.bytes;
    // Objects may be unknown where bytes are not.
    let fit = |whole: f64, sum: f64| if sum > 0.0 { whole / sum } else { 1.0 };
    let (objects, bytes) = if missing < ROUNDING * whole.bytes {
        (fit(whole.objects, sum.objects), fit(whole.bytes, sum.bytes))
    } else {
        (fit(whole.objects, sum.objects).min(1.0), 1.0)
    };
    let scaled = move |share: Amount| Amount {
        objects: share.objects * objects,
        bytes: share.bytes * bytes,
        ..share
    };
    let rest = Amount {
        objects: (whole.objects - sum.objects * objects).max(0.0),
        bytes: (whole.bytes - sum.bytes * bytes).max(0.0),
        ..Amount::ZERO
    };
    shares
        .into_iter()
        .map(move |(labels, share)| (labels, scaled(share)))
        .chain((!rest.is_zero()).then_some((Labels::default(), rest)))
}

/// Rule B1: numbers rounded so that those printed add up to the sum rounded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounding {
    exact: f64,
    printed: i64,
}

impl Rounding {
    /// The next number, as a whole one.
    pub(super) fn next(&mut self, number: f64) -> i64 {
        self.exact += number;
        // A cast saturates.
        let all = self.exact.round() as i64;
        let next = all.saturating_sub(self.printed);
        self.printed = all;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(bytes: f64) -> Amount {
        Amount::estimated(bytes / 16.0, bytes, 1)
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let shares: BTreeMap<Labels, Amount> = (0..random.u32(..5))
                .map(|uid| (of_thread(ThreadId(uid)), amount(random.f64() * 1e6)))
                .collect();
            let sum: f64 = shares.values().map(|share| share.bytes).sum();
            let whole = amount(sum * random.f64() * 2.0 + random.f64());
            let all: Vec<_> = shared_out(whole, shares.clone()).collect();
            let again: Amount = all.iter().map(|(_, share)| *share).sum();
            assert!((again.bytes - whole.bytes).abs() <= 1e-6 * whole.bytes.max(1.0));
            assert!((again.objects - whole.objects).abs() <= 1e-6 * whole.objects.max(1.0));
            for (labels, share) in &all {
                let known = shares.get(labels).copied().unwrap_or(whole);
                assert!(share.bytes <= known.bytes * (1.0 + 2.0 * ROUNDING) + 1e-6);
            }
            let mut rounding = Rounding::default();
            let printed: i64 = all
                .iter()
                .map(|(_, share)| rounding.next(share.bytes))
                .sum();
            assert_eq!(printed, again.bytes.round() as i64);
        }
    }
}
