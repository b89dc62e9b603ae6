//! The naive books: what is alive is a list, sums are taken anew.

use super::super::ThreadRef;
use super::super::books::{Books, ClassCounts};
use super::super::counts::Sums;
use super::super::list;
use super::super::numbers::{Estimate, weight};
use super::super::stack::{OfStack, Stack};
use crate::size::class_of;
use std::collections::BTreeMap;
use std::vec::Vec;

/// A sampled object.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) address: usize,
    pub(super) requested: usize,
    pub(super) usable: usize,
    pub(super) thread: ThreadRef,
    pub(super) tag: u16,
    pub(super) frames: Vec<usize>,
    pub(super) born_ns: u64,
}

/// What is known of a stack.
#[derive(Default, Clone)]
struct Known {
    live: Vec<Object>,
    cumulative: Sums,
    by_thread: BTreeMap<u32, Sums>,
    tags: BTreeMap<u16, Estimate>,
    lives: BTreeMap<u16, Estimate>,
    /// Live at the peak.
    high: Estimate,
}

pub(super) struct Twin {
    lg: u32,
    accumulates: bool,
    stacks: BTreeMap<Vec<usize>, Known>,
    classes: BTreeMap<usize, ClassCounts>,
    peak: u64,
    /// Objects of before the last reset.
    void: Vec<usize>,
    ended: Vec<u32>,
}

fn estimate(objects: &[Object], lg: u32) -> Estimate {
    let weights = objects.iter().map(|object| weight(object.usable, lg));
    weights.fold(Estimate::ZERO, Estimate::plus)
}

impl Twin {
    pub(super) fn new(lg: u32, accumulates: bool) -> Self {
        Self {
            lg,
            accumulates,
            stacks: BTreeMap::new(),
            classes: BTreeMap::new(),
            peak: 0,
            void: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn one(&self, object: &Object) -> Sums {
        Sums::one(object.usable, weight(object.usable, self.lg))
    }

    fn class(&mut self, object: &Object) -> &mut ClassCounts {
        let class = class_of(object.usable).unwrap().index();
        self.classes.entry(class).or_default()
    }

    pub(super) fn record(&mut self, object: &Object) {
        let one = self.one(object);
        let known = self.stacks.entry(object.frames.clone()).or_default();
        known.live.push(object.clone());
        known.cumulative = known.cumulative.plus(one);
        let of_thread = known.by_thread.entry(object.thread.number()).or_default();
        *of_thread = of_thread.plus(one);
        if object.tag != 0 {
            let tagged = known.tags.entry(object.tag).or_default();
            *tagged = tagged.plus(one.estimate);
        }
        let class = self.class(object);
        for counts in [&mut class.live, &mut class.cumulative] {
            counts[0] += object.requested as u64;
            counts[1] += 1;
        }
        let lives: Vec<_> = self
            .stacks
            .values()
            .map(|known| estimate(&known.live, self.lg))
            .collect();
        let live: u64 = lives.iter().map(|live| live.bytes).sum();
        if live > self.peak {
            self.peak = live;
            for (known, live) in self.stacks.values_mut().zip(lives) {
                known.high = live;
            }
        }
    }

    pub(super) fn release(&mut self, object: &Object, now_ns: u64) {
        let one = self.one(object);
        let class = self.class(object);
        class.live[0] -= object.requested as u64;
        class.live[1] -= 1;
        if let Some(at) = self.void.iter().position(|&void| void == object.address) {
            self.void.swap_remove(at);
            return;
        }
        let known = self.stacks.get_mut(&object.frames).unwrap();
        let at = known
            .live
            .iter()
            .position(|live| live.address == object.address);
        known.live.swap_remove(at.unwrap());
        let bucket = (now_ns - object.born_ns).max(1).ilog2() as u16;
        let lived = known.lives.entry(bucket).or_default();
        *lived = lived.plus(one.estimate);
    }

    pub(super) fn end(&mut self, thread: ThreadRef) {
        self.ended.push(thread.number());
    }

    pub(super) fn reset(&mut self) {
        for known in self.stacks.values() {
            self.void.extend(known.live.iter().map(|live| live.address));
        }
        self.stacks.clear();
        self.peak = 0;
    }

    /// Asserts that both say the same.
    pub(super) fn compare(&self, books: &Books) {
        let held = &books.held;
        let mut current = 0;
        books.stacks.check(held, |handle| {
            let own: &Stack = handle.of(held);
            if own.era.get() != books.era.get() {
                return;
            }
            current += 1;
            let nothing = Known::default();
            let known = self.stacks.get(own.frames()).unwrap_or(&nothing);
            assert_eq!(own.tide.live(), estimate(&known.live, self.lg));
            assert_eq!(own.tide.high(books.peak.get().number), known.high);
            let mut cumulative = own.gone.get();
            let mut next = own.tallies.first();
            while let Some(tally) = next {
                let counts = tally.of(held).counts.now(books.era.get());
                cumulative = cumulative.plus(counts.cumulative);
                if self.accumulates {
                    let thread = tally.of(held).thread.number();
                    assert_eq!(
                        counts.cumulative,
                        known.by_thread.get(&thread).copied().unwrap_or_default()
                    );
                }
                next = list::after::<OfStack, _>(tally, held);
            }
            assert_eq!(cumulative, known.cumulative);
            let mut tags = BTreeMap::new();
            own.tags
                .each(held, |tag, sum| assert!(tags.insert(tag, sum).is_none()));
            assert_eq!(tags, known.tags);
            let mut lives = BTreeMap::new();
            own.lives
                .each(held, |life, sum| assert!(lives.insert(life, sum).is_none()));
            assert_eq!(lives, known.lives);
        });
        assert!(current >= self.stacks.len(), "a stack is lost");
        assert_eq!(books.peak.get().bytes, self.peak);
        let live: usize = self.stacks.values().map(|known| known.live.len()).sum();
        assert_eq!(books.samples.get(), live as u64);
        for (&class, counts) in &self.classes {
            assert_eq!(books.by_class[class].get(), *counts);
        }
    }
}
