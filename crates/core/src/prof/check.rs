//! The walk over the books that asserts their numbered rules.

use super::books::Books;
use super::counts::{Counts, Sums};
use super::list;
use super::numbers;
use super::sample;
use super::stack::{self, OfStack, OfThread};
use super::thread;

impl Books {
    /// Walks everything.
    pub(super) fn check(&self) {
        let held = &self.held;
        let (mut stacks, mut tallies, mut listed, mut samples) = (0, 0, 0, 0);
        let mut process = Sums::ZERO;
        self.stacks.check(held, |handle| {
            stacks += 1;
            let own = handle.of(held);
            if own.era.get() != self.era.get() {
                return;
            }
            let (mut live, mut last_uid) = (Sums::ZERO, None);
            let mut next = own.tallies.first();
            while let Some(tally) = next {
                let of_stack = tally.of(held);
                assert!(of_stack.stack == handle, "A2");
                let uid = of_stack.thread.of(held).uid;
                assert!(last_uid.is_none_or(|last| last < uid), "in order");
                last_uid = Some(uid);
                let counts = of_stack.counts.now(self.era.get());
                assert!(counts.live.objects <= counts.cumulative.objects, "K2");
                assert!(counts.live.bytes <= counts.cumulative.bytes, "K2");
                let stays = counts.live.objects > 0 || self.accumulates.get();
                let is_to_go = self.is_pinned.get() || self.sweep.get().is_some();
                assert!(stays || is_to_go, "an idle tally");
                live = live.plus(counts.live);
                tallies += 1;
                next = list::after::<OfStack, _>(tally, held);
            }
            let (mut sum, mut next) = (Sums::ZERO, own.samples.first());
            while let Some(life) = next {
                let of_stack = life.of(held);
                assert_eq!(of_stack.era, self.era.get(), "V1");
                assert!(of_stack.tally.of(held).stack == handle, "V2");
                let weight = numbers::weight(of_stack.usable, self.lg_sample.get());
                sum = sum.plus(Sums::one(of_stack.usable, weight));
                samples += 1;
                next = list::after::<sample::OfStack, _>(life, held);
            }
            assert_eq!(live, sum, "B1");
            assert_eq!(own.tide.live(), sum.estimate, "B1");
            process = process.plus(live);
        });
        let mut next = self.all.first();
        while let Some(handle) = next {
            listed += 1;
            next = list::after::<stack::All, _>(handle, held);
        }
        assert_eq!(listed, stacks, "every stack is in the list of all");
        assert_eq!(samples, self.samples.get(), "B1");
        assert_eq!(process, self.kept.now().live, "B1");
        assert_eq!(process.estimate, self.live.get(), "B1");
        let (mut of_threads, mut last_uid) = (0, None);
        let mut all_threads = Counts::ZERO;
        let mut next = self.threads.first();
        while let Some(handle) = next {
            let own = handle.of(held);
            assert!(last_uid.is_none_or(|last| last < own.uid), "D1");
            last_uid = Some(own.uid);
            let mut live = Sums::ZERO;
            let mut tally = own.tallies.first();
            while let Some(one) = tally {
                let is_current = one.of(held).stack.of(held).era.get() == self.era.get();
                if is_current {
                    live = live.plus(one.of(held).counts.now(self.era.get()).live);
                    of_threads += 1;
                }
                tally = list::after::<OfThread, _>(one, held);
            }
            let totals = own.counts.now(self.era.get());
            assert_eq!(live, totals.live, "B1");
            all_threads = all_threads.plus(totals);
            assert!(own.fold.get().is_none(), "nobody folds");
            let stays = !own.is_over.get() || own.users.get() > 0 || !own.tallies.is_empty();
            assert!(stays || self.is_pinned.get(), "D2");
            next = list::after::<thread::All, _>(handle, held);
        }
        assert_eq!(all_threads.live, process, "B1");
        assert_eq!(of_threads, tallies, "a tally is in both lists");
    }
}
