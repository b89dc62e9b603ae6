//! The page heap against a naive twin: a sorted map of the runs handed out, their contents known.

use super::heap::{PageHeap, Purpose, Run};
use crate::options::Dss;
use crate::size::{HUGE, HUGE_PAGES, PAGE, Pages};
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::{clock, memory as gate};
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

mod adapting;
mod giving_back;
mod huge;
mod moving;
mod refusal;

/// What most runs are for.
const WRITTEN: Purpose = Purpose::Written(0);

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
    fn purpose(&mut self) -> Purpose {
        [Purpose::Filled, Purpose::Zeroed, WRITTEN, WRITTEN][self.below(4)]
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
///
/// Two heaps cannot have pages of the same huge page, as the page map names one descriptor for it. Tests in which
/// mappings are refused, so that heaps grow by odd pieces, have a process of their own.
fn heap() -> &'static PageHeap {
    let heap = Box::leak(Box::new(PageHeap::new()));
    heap.prepare(Dss::Secondary, 10_000, 0);
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

    fn alloc(&mut self, pages: usize, align: usize, purpose: Purpose, seed: u64) -> bool {
        let Some(Run { addr, zeroed, .. }) = self.heap.alloc(Pages(pages), align, purpose) else {
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

    /// Moves the memory of a run to a new one, longer by `added` pages.
    fn relocate(&mut self, addr: usize, added: usize) {
        let old = self.runs[&addr].len();
        let purpose = Purpose::Written(old);
        let Some(run) = self.heap.alloc(Pages(old + added), 1, purpose) else {
            return;
        };
        let (from, to) = (NonNull::new(word(addr).cast()).unwrap(), run.addr);
        let to_addr = to.as_ptr().expose_provenance();
        self.assert_free(to_addr, old + added);
        // SAFETY: two runs that the twin holds, the second no shorter.
        let Some(bare) = (unsafe { self.heap.relocate(from, to, Pages(old)) }) else {
            Self::verify(addr, &self.runs[&addr]);
            self.give(to_addr, old + added);
            return;
        };
        let mut contents = self.runs.remove(&addr).unwrap();
        Self::verify(to_addr, &contents);
        if bare {
            Self::assert_zero(addr, old);
            // SAFETY: a run of the twin's, of which it knows no more.
            unsafe { self.heap.dealloc_bare(from, Pages(old)) };
        } else {
            self.give(addr, old);
        }
        contents.extend(std::vec![None; added]);
        self.runs.insert(to_addr, contents);
    }

    fn expand(&mut self, addr: usize, added: usize, seed: u64) {
        let old = self.runs[&addr].len();
        let purpose = [Purpose::Zeroed, WRITTEN][seed as usize / 2 % 2];
        let ptr = NonNull::new(word(addr).cast()).unwrap();
        // SAFETY: a run that the twin holds.
        let grown = unsafe {
            self.heap
                .expand(ptr, Pages(old), Pages(old + added), purpose)
        };
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
            figures.active + figures.dirty + figures.muzzy + figures.huge.idle
        );
        huge::check(self.heap);
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
                let purpose = random.purpose();
                self.alloc(random.pages(), align, purpose, seed);
            }
            8 => {
                if let Some(addr) = self.pick(random) {
                    self.dealloc_part(addr, random);
                }
            }
            9 if active < most => {
                if let Some(addr) = self.pick(random) {
                    let added = random.pages();
                    self.relocate(addr, added);
                }
            }
            10..13 if active < most => {
                if let Some(addr) = self.pick(random) {
                    let added = random.pages();
                    self.expand(addr, added, seed);
                }
            }
            13 => match random.below(36) {
                30.. => huge::earn(self.heap, random.below(100)),
                0 => drop(self.heap.purge_all()),
                3 => self.heap.set_adaptive(seed % 4 != 0),
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
    for seed in 1..4 {
        run_twin(heap(), seed * 7919, 2400);
    }
}

#[test]
fn random_use_with_every_kind_of_decay_agrees_with_the_twin() {
    for (index, (dirty, muzzy)) in [(0, 0), (-1, 0), (300, 400), (50, -1), (1000, 0)]
        .into_iter()
        .enumerate()
    {
        let heap = heap();
        heap.set_decay_ms(dirty, muzzy);
        run_twin(heap, 31 + index as u64, 1200);
    }
}

#[test]
fn giants_come_and_go_whole_or_in_part() {
    let heap = heap();
    let giga = (1 << 30) / PAGE;
    let give = |addr: NonNull<u8>, pages: usize| {
        // SAFETY: a part of a giant that the test holds, once each.
        unsafe { heap.dealloc(addr, Pages(pages)) };
        heap.check();
    };
    let at = |addr: NonNull<u8>, pages: usize| {
        NonNull::new(addr.as_ptr().wrapping_add(pages * PAGE)).unwrap()
    };
    for align in [1, HUGE, 8 * HUGE] {
        for pages in [giga, giga + 1, 3 * giga + 513] {
            let run = heap.alloc(Pages(pages), align, WRITTEN).unwrap();
            assert!(run.zeroed && run.addr.addr().get() % align == 0);
            assert_eq!(heap.figures().active, pages * PAGE);
            let last = at(run.addr, pages - 1);
            assert!(heap.owns(run.addr.as_ptr()) && heap.owns(last.as_ptr()));
            assert!(!heap.owns(at(run.addr, pages).as_ptr()));
            for probe in [run.addr, last, at(run.addr, 699), at(run.addr, 4000)] {
                // SAFETY: inside the run.
                unsafe {
                    assert_eq!(probe.as_ptr().read(), 0);
                    probe.as_ptr().write(1);
                }
            }
            // SAFETY: the run is the test's.
            let grown = unsafe { heap.expand(run.addr, Pages(pages), Pages(pages + 1), WRITTEN) };
            assert_eq!(grown, None);
            match pages - giga {
                0 => give(run.addr, pages),
                1 => {
                    // Tail after tail, then the rest.
                    give(at(run.addr, pages - 3), 3);
                    give(at(run.addr, 700), pages - 703);
                    assert_eq!(heap.figures().active, 700 * PAGE);
                    for held in [run.addr, at(run.addr, 699)] {
                        // SAFETY: still held.
                        assert_eq!(unsafe { held.as_ptr().read() }, 1);
                    }
                    give(run.addr, 700);
                }
                _ => {
                    // Head after head, then the rest.
                    give(run.addr, 1000);
                    give(at(run.addr, 1000), 3000);
                    for held in [at(run.addr, 4000), last] {
                        // SAFETY: still held.
                        assert_eq!(unsafe { held.as_ptr().read() }, 1);
                    }
                    give(at(run.addr, 4000), pages - 4000);
                }
            }
            assert_eq!(heap.figures().active, 0);
        }
    }
    // No call leads to a giant that is refused, and a refused unmapping leaves pages for others.
    let run = heap.alloc(Pages(giga), 1, WRITTEN).unwrap();
    // SAFETY: inside the run.
    unsafe { run.addr.as_ptr().write(9) };
    gate::refuse(0, 1);
    give(run.addr, giga);
    gate::refuse(u64::MAX, 0);
    assert_eq!(heap.figures().dirty, giga * PAGE);
    heap.purge_all();
    let again = heap.alloc(Pages(giga), 1, WRITTEN).unwrap();
    assert_eq!(again.addr, run.addr, "kept pages serve before new mappings");
    // SAFETY: inside the run.
    assert!(!again.zeroed || unsafe { again.addr.as_ptr().read() } == 0);
    give(again.addr, giga);
    for pages in [1 << 40, 1 << 36, usize::MAX >> 12, usize::MAX] {
        assert!(heap.alloc(Pages(pages), 1, WRITTEN).is_none());
    }
    assert!(heap.alloc(Pages(1), 1 << 62, WRITTEN).is_none());
    heap.check();
}

#[test]
fn a_growing_heap_populates_windows_that_read_zero() {
    let heap = heap();
    let first: Vec<Run> = (0..63)
        .map(|_| heap.alloc(Pages(4), 1, Purpose::Filled).unwrap())
        .collect();
    assert_eq!(heap.figures().dirty, 0, "a small heap does not");
    let calls = gate::calls();
    let more: Vec<Run> = (0..64)
        .map(|_| heap.alloc(Pages(4), 1, Purpose::Filled).unwrap())
        .collect();
    assert!(more.iter().all(|run| run.zeroed));
    assert_eq!(gate::calls() - calls, 16, "one call for four runs");
    heap.check();
    for run in first.into_iter().chain(more) {
        Twin::assert_zero(run.addr.addr().get(), 4);
        // SAFETY: held, and given back once.
        unsafe { heap.dealloc(run.addr, Pages(4)) };
    }
    heap.check();
}

#[test]
fn fifty_thousand_huge_pages_are_searched_fast_enough_to_test() {
    let heap = heap();
    heap.set_decay_ms(-1, 0);
    let mut random = Random(1);
    let mut runs: Vec<(Run, usize)> = Vec::new();
    let mut mapped = 0;
    while mapped < 50_000 * HUGE_PAGES {
        let pages = 1 + random.below(20 * HUGE_PAGES);
        runs.push((heap.alloc(Pages(pages), 1, WRITTEN).unwrap(), pages));
        mapped += pages;
    }
    for _ in 0..rounds(5_000) {
        let index = random.below(runs.len());
        let (run, pages) = runs.swap_remove(index);
        // SAFETY: held, and given back once.
        unsafe { heap.dealloc(run.addr, Pages(pages)) };
        let pages = 1 + random.below(20 * HUGE_PAGES);
        runs.push((heap.alloc(Pages(pages), 1, WRITTEN).unwrap(), pages));
    }
    heap.check();
    for (run, pages) in runs {
        // SAFETY: as above.
        unsafe { heap.dealloc(run.addr, Pages(pages)) };
    }
    heap.purge_all();
    heap.check();
    assert_eq!(heap.figures().mapped, 0);
}

#[test]
fn threads_share_one_heap() {
    let heap = heap();
    heap.set_decay_ms(20, 10);
    let before = clock::now_ns();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                clock::turn(before.saturating_sub(clock::now_ns()));
                let mut random = Random(thread + 1);
                let mut held: Vec<(Run, usize, u64)> = Vec::new();
                for _ in 0..rounds(2500) {
                    if held.len() < 60 && random.below(2) == 0 {
                        let pages = random.pages();
                        let run = heap.alloc(Pages(pages), 1, random.purpose()).unwrap();
                        if run.zeroed {
                            Twin::assert_zero(run.addr.addr().get(), pages.min(20));
                        }
                        let tag = random.next() | 1;
                        for page in 0..pages {
                            // SAFETY: just handed out to this thread.
                            unsafe { word(run.addr.addr().get() + page * PAGE).write(tag) };
                        }
                        held.push((run, pages, tag));
                    } else if !held.is_empty() {
                        let index = random.below(held.len());
                        let (run, pages, tag) = held.swap_remove(index);
                        for page in 0..pages {
                            // SAFETY: held by this thread.
                            let found = unsafe { word(run.addr.addr().get() + page * PAGE).read() };
                            assert_eq!(found, tag, "another thread wrote here");
                        }
                        // SAFETY: held by this thread, and given back once.
                        unsafe { heap.dealloc(run.addr, Pages(pages)) };
                    }
                    clock::turn(100_000);
                    heap.tick(clock::now_ns());
                    if random.below(500) == 0 {
                        heap.purge_all();
                    }
                    let figures = heap.figures();
                    assert_eq!(
                        figures.mapped,
                        figures.active + figures.dirty + figures.muzzy
                    );
                }
                for (run, pages, _) in held {
                    // SAFETY: as above.
                    unsafe { heap.dealloc(run.addr, Pages(pages)) };
                }
            });
        }
    });
    heap.check();
    heap.purge_all();
    assert_eq!(heap.figures().mapped, 0);
}
