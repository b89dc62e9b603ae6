//! Check: walks a heap and asserts its numbered rules.

use super::bits::{self, WORDS};
use super::descriptor::{Chain, HugeRef, Kind};
use super::heap::PageHeap;
use super::purge::Batch;
use super::state::{State, free_words};
use crate::size::{HUGE, HUGE_PAGES, PAGE};
use std::collections::{BTreeMap, HashSet};
use std::vec::Vec;

impl PageHeap {
    /// Moves the heap's coarse time without passing an epoch.
    pub(super) fn advance_stamp(&self, now_ns: u64) {
        self.state.lock().stamp = (now_ns >> 27) as u32;
    }

    /// Bytes that count.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.state.lock().counted * PAGE
    }

    /// Asserts the rules E, S, F, V and C. Nobody else may be using the heap.
    pub(crate) fn check(&self) {
        self.state.lock().check();
    }
}

fn members(list: &super::descriptor::List, chain: Chain) -> Vec<u32> {
    members_from(list.head(), chain)
}

fn members_from(mut next: Option<HugeRef>, chain: Chain) -> Vec<u32> {
    let mut found = Vec::new();
    while let Some(huge) = next {
        found.push(huge.number());
        next = huge.next(chain);
    }
    found
}

impl Batch {
    /// First addresses of the huge pages in a batch.
    pub(super) fn bases(&self) -> Vec<usize> {
        self.huges().map(|huge| huge.base()).collect()
    }
}

impl State {
    /// All descriptors.
    pub(super) fn descriptors(&self) -> Vec<HugeRef> {
        let mut found = Vec::new();
        let mut next = HugeRef::from_link(self.all);
        while let Some(huge) = next {
            found.push(huge);
            next = HugeRef::from_link(huge.all_next.get());
        }
        found
    }

    fn check(&self) {
        let mut huges: BTreeMap<usize, HugeRef> = BTreeMap::new();
        let mut next = HugeRef::from_link(self.all);
        while let Some(huge) = next {
            assert!(huges.insert(huge.base(), huge).is_none(), "described twice");
            assert!(self.find(huge.base()) == Some(huge));
            next = HugeRef::from_link(huge.all_next.get());
        }
        let mut in_bins: HashSet<u32> = HashSet::new();
        let mut in_runs: HashSet<u32> = HashSet::new();
        let mut queued: [HashSet<u32>; 2] = Default::default();
        let mut run_queued: [HashSet<u32>; 2] = Default::default();
        for kind in Kind::BOTH {
            for number in members(&self.queues[kind as usize], kind.chain()) {
                assert!(queued[kind as usize].insert(number));
            }
            for number in members(&self.run_queues[kind as usize], kind.chain()) {
                assert!(run_queued[kind as usize].insert(number));
            }
        }
        for (index, head) in self.bins.heads() {
            for number in members_from(head, Chain::Place) {
                assert!(in_bins.insert(number));
                let huge = HugeRef::from_link(number).unwrap();
                assert_eq!(usize::from(huge.longest.get()), index, "S1: wrong bin");
            }
        }
        for (index, head) in self.runs.heads() {
            for number in members_from(head, Chain::Place) {
                assert!(in_runs.insert(number));
                let head = HugeRef::from_link(number).unwrap();
                let len = head.run_len.get() as usize;
                assert_eq!(super::free_runs::bin_of(len), index, "wrong bin of runs");
            }
        }
        let (mut idle, mut free_pages, mut holes, mut seams) = ([0; 2], 0, 0, 0);
        let (mut held, mut held_idle, mut filled) = (0, 0, 0);
        for huge in huges.values().copied() {
            let free = free_words(huge);
            let mut counts = [0; 2];
            for index in 0..WORDS {
                let (used, touched) = (huge.used.word(index), huge.touched.word(index));
                let (zero, muzzy) = (huge.zero.word(index), huge.muzzy.word(index));
                assert_eq!(muzzy & !(touched & !used), 0, "E1: muzzy");
                assert_eq!(zero & (used | muzzy), 0, "E1: zero");
                counts[0] += (touched & !used & !muzzy).count_ones() as usize;
                counts[1] += muzzy.count_ones() as usize;
                holes += (used & !touched).count_ones() as usize;
            }
            seams += bits::count(&huge.seam.words());
            let used = HUGE_PAGES - bits::count(&free);
            free_pages += HUGE_PAGES - used;
            assert_eq!(usize::from(huge.used_pages.get()), used);
            assert_eq!(
                usize::from(huge.longest.get()),
                bits::longest_run(&free),
                "E2: longest"
            );
            let (mut lengths, mut from) = (Vec::new(), 0);
            while let Some((start, len)) = bits::next_run(&free, from) {
                lengths.push(len);
                from = start + len;
            }
            lengths.sort_unstable();
            let second = lengths.iter().rev().nth(1).copied().unwrap_or(0);
            assert!(usize::from(huge.second.get()) >= second, "E3: second");
            let is_held = huge.held.get();
            held += usize::from(is_held);
            filled += usize::from(huge.filled.get());
            assert!(!is_held || huge.whole.get(), "V3");
            assert!(used > 0 || !is_held && huge.filled.get() == 0, "V1");
            for kind in Kind::BOTH {
                assert_eq!(
                    usize::from(huge.idle[kind as usize].get()),
                    counts[kind as usize]
                );
                if is_held {
                    held_idle += counts[kind as usize];
                } else {
                    idle[kind as usize] += counts[kind as usize];
                }
            }
            let number = huge.number();
            assert_eq!(
                in_bins.contains(&number),
                used > 0 && used < HUGE_PAGES,
                "S1"
            );
            for kind in Kind::BOTH {
                let expected = used > 0 && counts[kind as usize] > 0 && !is_held;
                assert_eq!(queued[kind as usize].contains(&number), expected, "S2");
            }
            let run = (huge.run_len.get(), huge.run_back.get());
            if used > 0 {
                assert_eq!(run, (0, 0), "F2: a used huge page in a run");
                continue;
            }
            let neighbour = |addr: usize| {
                huges
                    .get(&addr)
                    .is_some_and(|huge| huge.used_pages.get() == 0)
            };
            let is_first = !neighbour(huge.base() - HUGE);
            let is_last = !neighbour(huge.base() + HUGE);
            assert_eq!((run.0 != 0, run.1 != 0), (is_first, is_last), "F2: ends");
            assert_eq!(in_runs.contains(&number), is_first, "F1");
            if is_first {
                let len = run.0 as usize;
                let run: Vec<HugeRef> = (0..len)
                    .map(|index| huges[&(huge.base() + index * HUGE)])
                    .collect();
                assert!(
                    run.iter().all(|huge| huge.used_pages.get() == 0),
                    "F1: length"
                );
                assert_eq!(
                    run[len - 1].run_back.get() as usize,
                    len,
                    "F2: lengths differ"
                );
                for kind in Kind::BOTH {
                    let sum: u32 = run
                        .iter()
                        .map(|h| u32::from(h.idle[kind as usize].get()))
                        .sum();
                    assert_eq!(huge.run_idle[kind as usize].get(), sum, "F3: sum");
                    let queue = &run_queued[kind as usize];
                    assert_eq!(queue.contains(&number), sum > 0, "F3: queue");
                }
                let clean = huge.front_clean.get() as usize;
                assert!(clean <= len);
                assert!(
                    run[..clean]
                        .iter()
                        .all(|huge| { huge.idle[0].get() == 0 && huge.idle[1].get() == 0 })
                );
            }
        }
        assert_eq!((held, held_idle, filled), self.huges.counts(), "V1, V2");
        assert_eq!(seams, self.seams, "M3");
        assert_eq!(idle, self.idle, "S4");
        assert_eq!(self.transit, 0, "something is still on its way");
        assert_eq!(self.transit_idle, [0; 2]);
        assert_eq!(free_pages + self.active, self.owned, "S3");
        assert_eq!(huges.len() * HUGE_PAGES - holes, self.owned, "G2");
        // Pages that were purged inside slabs are touched here: C4 is who purged them.
        let touched: usize = huges
            .values()
            .map(|huge| bits::count(&huge.touched.words()))
            .sum();
        let whole = self.giant_pages + self.pending_pages();
        assert_eq!(touched + filled + whole, self.counted, "C1, C2");
        assert_eq!(self.pledged, 0);
        let giants = members(&self.giants, Chain::Place);
        let held = |&number: &u32| {
            let giant = HugeRef::from_link(number).unwrap();
            giant.giant_pages.get() - giant.giant_skipped.get()
        };
        assert_eq!(giants.iter().map(held).sum::<usize>(), self.giant_pages);
        assert_eq!(members(&self.spares, Chain::Place).len(), self.spare_count);
    }
}
