//! The page heap against a naive twin: a sorted map of the runs handed out, their contents known.

use super::heap::{PageHeap, Run};
use crate::options::Dss;
use crate::size::{HUGE, HUGE_PAGES, PAGE, Pages};
use crate::sys::simulated::{clock, memory as gate};
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
    /// Page counts of all kinds, small ones more often.
    fn pages(&mut self) -> usize {
        match self.below(40) {
            0 => 500 + self.below(1200),
            1 => HUGE_PAGES * (1 + self.below(3)),
            2..8 => 64 + self.below(450),
            8..20 => 8 + self.below(60),
            _ => 1 + self.below(8),
        }
    }
}

/// A heap of one test's own, for good: its descriptors stay in the page map.
fn heap() -> &'static PageHeap {
    let heap = Box::leak(Box::new(PageHeap::new()));
    heap
}

/// The twin: runs by address, each with its pages and the seed of its pattern; a page never written has none.
struct Twin {
    heap: &'static PageHeap,
    runs: BTreeMap<usize, Vec<Option<u64>>>,
}

fn word(addr: usize) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut(addr)
}

impl Twin {
    fn new(heap: &'static PageHeap) -> Self {
        Self {
            heap,
            runs: BTreeMap::new(),
        }
    }

    fn assert_zero(addr: usize, pages: usize) {
        for at in (0..pages * PAGE).step_by(64) {
            // SAFETY: a run just handed out.
            assert_eq!(unsafe { word(addr + at).read() }, 0, "said to be zero");
        }
    }

    fn write(addr: usize, pages: &mut [Option<u64>], seed: u64) {
        for (index, page) in pages.iter_mut().enumerate() {
            let tag = seed.wrapping_add(index as u64) | 1;
            *page = Some(tag);
            for at in [0, 2048, PAGE - 8] {
                // SAFETY: a page of a run that the twin holds.
                unsafe { word(addr + index * PAGE + at).write(tag) };
            }
        }
    }

    fn verify(addr: usize, pages: &[Option<u64>]) {
        for (index, tag) in pages.iter().enumerate() {
            let Some(tag) = tag else { continue };
            for at in [0, 2048, PAGE - 8] {
                // SAFETY: as above.
                let found = unsafe { word(addr + index * PAGE + at).read() };
                assert_eq!(found, *tag, "contents changed");
            }
        }
    }

    /// Nobody else holds any of these pages.
    fn assert_free(&self, addr: usize, pages: usize) {
        if let Some((&start, run)) = self.runs.range(..addr + pages * PAGE).next_back() {
            assert!(start + run.len() * PAGE <= addr, "handed out twice");
        }
    }

    fn alloc(&mut self, pages: usize, align: usize, populate: bool, seed: u64) -> bool {
        let Some(Run { addr, zeroed }) = self.heap.alloc(Pages(pages), align, populate) else {
            return false;
        };
        let addr = addr.as_ptr().expose_provenance();
        assert_eq!(addr % align.max(PAGE), 0);
        self.assert_free(addr, pages);
        if zeroed {
            Self::assert_zero(addr, pages);
        }
        let mut run = std::vec![None; pages];
        // Some runs are written in part only, as programs do.
        let written = if seed % 5 == 0 { pages / 2 } else { pages };
        Self::write(addr, &mut run[..written], seed);
        self.runs.insert(addr, run);
        true
    }

    fn pick(&self, random: &mut Random) -> Option<usize> {
        let count = self.runs.len();
        (count > 0).then(|| *self.runs.keys().nth(random.below(count)).unwrap())
    }

    fn give(&self, addr: usize, pages: usize) {
        let addr = NonNull::new(word(addr).cast()).unwrap();
        // SAFETY: the twin took the pages out of its books.
        unsafe { self.heap.dealloc(addr, Pages(pages)) };
    }

    fn dealloc(&mut self, addr: usize) {
        let run = self.runs.remove(&addr).unwrap();
        Self::verify(addr, &run);
        self.give(addr, run.len());
    }

    fn dealloc_part(&mut self, addr: usize, random: &mut Random) {
        let mut run = self.runs.remove(&addr).unwrap();
        Self::verify(addr, &run);
        let cut = random.below(run.len());
        if cut == 0 {
            self.give(addr, run.len());
        } else if random.below(2) == 0 {
            self.give(addr + cut * PAGE, run.len() - cut);
            run.truncate(cut);
            self.runs.insert(addr, run);
        } else {
            let rest = run.split_off(cut);
            self.give(addr, cut);
            self.runs.insert(addr + cut * PAGE, rest);
        }
    }

    fn expand(&mut self, addr: usize, added: usize, seed: u64) {
        let old = self.runs[&addr].len();
        let ptr = NonNull::new(word(addr).cast()).unwrap();
        // SAFETY: a run that the twin holds.
        let grown = unsafe { self.heap.expand(ptr, Pages(old), Pages(old + added)) };
        let Some(zeroed) = grown else { return };
        let end = addr + old * PAGE;
        self.assert_free(end, added);
        if zeroed {
            Self::assert_zero(end, added);
        }
        let mut tail = std::vec![None; added];
        Self::write(end, &mut tail, seed);
        self.runs.get_mut(&addr).unwrap().extend(tail);
    }

    fn check(&self) {
        self.heap.check();
        let active: usize = self.runs.values().map(Vec::len).sum();
        let figures = self.heap.figures();
        assert_eq!(figures.active, active * PAGE);
        assert_eq!(
            figures.mapped,
            figures.active + figures.dirty + figures.muzzy
        );
        for (&addr, run) in &self.runs {
            assert!(self.heap.owns(core::ptr::without_provenance(addr)));
            let last = addr + run.len() * PAGE - 1;
            assert!(self.heap.owns(core::ptr::without_provenance(last)));
        }
    }

    fn step(&mut self, random: &mut Random, most: usize) {
        let active: usize = self.runs.values().map(Vec::len).sum();
        let seed = random.next() << 1;
        match random.below(20) {
            0..8 if active < most => {
                let align = match random.below(8) {
                    0 => PAGE << random.below(10),
                    1 => HUGE << random.below(2),
                    _ => [1, PAGE][random.below(2)],
                };
                let (pages, populate) = (random.pages(), random.below(2) == 0);
                self.alloc(pages, align, populate, seed);
            }
            8..10 => {
                if let Some(addr) = self.pick(random) {
                    self.dealloc_part(addr, random);
                }
            }
            10..13 if active < most => {
                if let Some(addr) = self.pick(random) {
                    let added = random.pages();
                    self.expand(addr, added, seed);
                }
            }
            13 => match random.below(30) {
                0 => drop(self.heap.purge_all()),
                1 => self.heap.decay_all(clock::now_ns()),
                2 => clock::turn(700_000_000),
                _ => {
                    clock::turn(20_000_000);
                    self.heap.tick(clock::now_ns());
                }
            },
            _ => {
                if let Some(addr) = self.pick(random) {
                    self.dealloc(addr);
                }
            }
        }
    }
}

fn run_twin(heap: &'static PageHeap, seed: u64, steps: usize) {
    let mut twin = Twin::new(heap);
    let mut random = Random(seed);
    for step in 0..steps {
        // Phases of growth and of decline.
        let most = if step / 400 % 2 == 0 { 20_000 } else { 2_000 };
        twin.step(&mut random, most);
        if step % 16 == 0 || steps < 400 {
            twin.check();
        }
    }
    while let Some(addr) = twin.pick(&mut random) {
        twin.dealloc(addr);
    }
    twin.check();
    let before = heap.figures();
    heap.purge_all();
    let after = heap.figures();
    assert_eq!((after.active, after.dirty, after.muzzy), (0, 0, 0));
    assert_eq!(
        after.retained,
        before.retained + before.dirty + before.muzzy
    );
    heap.check();
}

#[test]
fn random_use_agrees_with_the_twin() {
    for seed in 1..5 {
        run_twin(heap(), seed * 7919, 4000);
    }
}
