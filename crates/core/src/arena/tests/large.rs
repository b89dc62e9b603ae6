//! Large objects against a twin: a list of those that are out, with their contents, and of those that wait in
//! the run cache.

use super::super::ArenaIndex;
use super::super::large::{
    RELOCATE_MIN, alloc, arena_of, dealloc, figures_in, inspect, out_bytes, release_idle, relocate,
    resize,
};
use super::super::misuse::Misuse;
use super::super::run_cache::waiting_bytes;
use crate::extent::{HEAP, Purpose, fence, page_map};
use crate::size::{CACHED_CLASSES, CLASSES, HUGE, PAGE, SMALL_CLASSES, class_of};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::Dice;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::memory as gate;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::{BTreeMap, HashMap};
use std::vec::Vec;

/// What the run cache keeps where every request is a hit, at least, and of one object.
const IDLE_MOST: usize = 16 << 20;
const IDLE_LEAST: usize = 512 << 10;
const IDLE_ONE: usize = 1 << 20;
const ARENAS: usize = 10;
/// What most objects are for.
const WRITTEN: Purpose = Purpose::Written(0);

/// An object that is out: its bytes, its arena, and the tag written at the start and end of each of its pages.
#[derive(Clone, Copy)]
struct Object {
    bytes: usize,
    arena: usize,
    tag: u64,
}

#[derive(Default)]
struct Twin {
    live: BTreeMap<usize, Object>,
    /// What each arena handed out and took back, what it changed in place among both.
    passed: [[u64; 2]; ARENAS],
    /// The address that waits, by arena and bytes.
    idle: HashMap<(usize, usize), usize>,
    /// What became of the requests since the hit rate was looked at, and what may wait since then.
    hits: Vec<bool>,
    idle_bound: usize,
    tags: u64,
}

fn word(addr: usize) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut(addr)
}

fn object_at(addr: usize) -> NonNull<u8> {
    NonNull::new(word(addr).cast()).unwrap()
}

/// Where in a run of `bytes` the twin writes.
fn marks(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes)
        .step_by(PAGE)
        .flat_map(|page| [page, page + PAGE - 8])
}

impl Twin {
    fn write(addr: usize, object: Object) {
        // SAFETY: an object that is out, the twin's.
        marks(object.bytes).for_each(|at| unsafe { word(addr + at).write(object.tag) });
    }

    fn verify(addr: usize, object: Object) {
        for at in marks(object.bytes) {
            // SAFETY: as above.
            let found = unsafe { word(addr + at).read() };
            assert_eq!(found, object.tag, "contents changed");
        }
    }

    fn assert_zero(addr: usize, bytes: usize) {
        for at in (0..bytes).step_by(256) {
            // SAFETY: an object that is out, the twin's.
            assert_eq!(unsafe { word(addr + at).read() }, 0, "said to be zero");
        }
    }

    fn assert_apart(&self, addr: usize, bytes: usize) {
        if let Some((&start, object)) = self.live.range(..addr + bytes).next_back() {
            assert!(start + object.bytes <= addr, "handed out twice");
        }
        assert!(
            !self
                .idle
                .iter()
                .any(|(&(_, len), &start)| start < addr + bytes && addr < start + len)
        );
    }

    fn tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }

    fn alloc(&mut self, bytes: usize, align: usize, arena: usize, purpose: Purpose) -> bool {
        let serves = !matches!(purpose, Purpose::Written(1..));
        let waiting = if bytes <= IDLE_ONE && align <= PAGE && serves {
            let waiting = self.idle.remove(&(arena, bytes));
            self.note_request(waiting.is_some());
            waiting
        } else {
            None
        };
        let fresh = alloc(bytes, align, ArenaIndex::new(arena), purpose);
        let Some(fresh) = fresh else {
            assert!(waiting.is_none(), "one was waiting");
            return false;
        };
        let addr = fresh.addr.as_ptr().expose_provenance();
        match waiting {
            Some(waiting) => assert_eq!(addr, waiting, "the one that waits comes back"),
            None => assert_eq!(addr % align.max(PAGE), 0),
        }
        self.assert_apart(addr, bytes);
        if fresh.zeroed {
            Self::assert_zero(addr, bytes);
        }
        let object = Object {
            bytes,
            arena,
            tag: self.tag(),
        };
        self.passed[arena][0] += 1;
        Self::write(addr, object);
        self.live.insert(addr, object);
        true
    }

    /// The hit rate counts after every 32 misses (R1).
    fn note_request(&mut self, hit: bool) {
        self.hits.push(hit);
        if self.hits.iter().filter(|&&hit| !hit).count() == 32 {
            let requests = self.hits.len();
            self.idle_bound = IDLE_MOST / requests * (requests - 32);
            self.hits.clear();
        }
    }

    fn dealloc(&mut self, addr: usize, arena: usize) {
        let object = self.live.remove(&addr).unwrap();
        self.passed[object.arena][1] += 1;
        Self::verify(addr, object);
        assert_eq!(
            dealloc(word(addr).cast(), ArenaIndex::new(arena)).map(drop),
            Ok(())
        );
        let idle: usize = self.idle.keys().map(|&(_, bytes)| bytes).sum();
        if object.bytes <= IDLE_ONE && idle + object.bytes <= self.idle_bound.max(IDLE_LEAST) {
            let replaced = self.idle.insert((arena, object.bytes), addr);
            assert!(replaced.is_none_or(|old| page_map::record(word(old).cast()).is_none()));
            assert_eq!(inspect(word(addr).cast()), Err(Misuse::DoubleFree), "A2");
            let again = dealloc(word(addr).cast(), ArenaIndex::new(arena));
            assert_eq!(again, Err(Misuse::DoubleFree), "A2");
        } else {
            assert!(inspect(word(addr).cast()).is_err());
        }
    }

    fn resize(&mut self, addr: usize, bytes: usize) -> bool {
        let old = self.live[&addr];
        let purpose = [WRITTEN, Purpose::Zeroed][bytes / PAGE % 2];
        // SAFETY: an object that is out, the twin's.
        let Some(zeroed) = (unsafe { resize(object_at(addr), bytes, purpose) }) else {
            assert!(bytes > old.bytes, "shrinking needs nobody");
            Self::verify(addr, old);
            return false;
        };
        let kept = Object {
            bytes: old.bytes.min(bytes),
            ..old
        };
        Self::verify(addr, kept);
        if bytes > old.bytes {
            self.live.remove(&addr);
            self.assert_apart(addr, bytes);
            if zeroed {
                Self::assert_zero(addr + old.bytes, bytes - old.bytes);
            }
        }
        for count in &mut self.passed[old.arena] {
            *count += 1;
        }
        let object = Object { bytes, ..old };
        Self::write(addr, object);
        self.live.insert(addr, object);
        true
    }

    fn relocate(&mut self, from: usize, arena: usize) -> bool {
        let old = self.live[&from];
        let bare = Purpose::Written(old.bytes / PAGE);
        if !self.alloc(old.bytes, PAGE, arena, bare) {
            return false;
        }
        let newest = |(_, object): &(&usize, &Object)| object.tag == self.tags;
        let (&to, &there) = self.live.iter().find(newest).unwrap();
        // SAFETY: two objects of that many bytes, the twin's.
        let moved = unsafe { relocate(object_at(from), object_at(to)) };
        if moved {
            Self::verify(to, old);
            self.live.remove(&from);
            self.passed[old.arena][1] += 1;
            self.live.insert(to, Object { arena, ..old });
            assert!(inspect(word(from).cast()).is_err(), "it is free");
            for at in marks(old.bytes) {
                // SAFETY: free pages of the heap, which stay mapped; the twin has one thread.
                let left = unsafe { word(from + at).read() };
                assert!(left == 0 || left == old.tag, "moved away, or copied");
            }
        } else {
            Self::verify(from, old);
            Self::verify(to, there);
        }
        moved
    }

    fn release_idle(&mut self) {
        release_idle();
        for (_, addr) in self.idle.drain() {
            assert_eq!(page_map::record(word(addr).cast()), None);
            assert_eq!(page_map::class_byte(word(addr).cast()), 0);
        }
    }

    fn check(&self) {
        assert_eq!(
            waiting_bytes(),
            self.idle.keys().map(|&(_, bytes)| bytes).sum::<usize>(),
            "R1"
        );
        let mut out = [0; CLASSES];
        for (&addr, object) in &self.live {
            let start: *mut u8 = word(addr).cast();
            let class = class_of(object.bytes).unwrap();
            out[class.index()] += object.bytes;
            assert_eq!(inspect(start), Ok(object.bytes));
            assert_eq!(arena_of(start), Some(ArenaIndex::new(object.arena)), "A5");
            assert!(inspect(start.wrapping_add(8)).is_err());
            let byte = if class.index() < CACHED_CLASSES {
                class.byte()
            } else {
                0
            };
            assert_eq!(page_map::class_byte(start), byte, "A1");
            assert_eq!(
                page_map::record(start.wrapping_add(PAGE)),
                None,
                "A1: the first page only"
            );
        }
        for (index, &bytes) in out.iter().enumerate().skip(SMALL_CLASSES) {
            assert_eq!(out_bytes(index), bytes, "class {index}");
        }
        for (arena, &passed) in self.passed.iter().enumerate() {
            let (mut told, mut bytes) = ([0; 2], 0);
            for index in SMALL_CLASSES..CLASSES {
                let figures = figures_in(ArenaIndex::new(arena), index);
                told[0] += figures.nmalloc;
                told[1] += figures.ndalloc;
                bytes += figures.bytes;
            }
            let own = self.live.values().filter(|object| object.arena == arena);
            let held = own.map(|object| object.bytes).sum::<usize>();
            assert_eq!((told, bytes), (passed, held), "A5: arena {arena}");
        }
        let all = self.live.values().map(|object| object.bytes).sum::<usize>() + waiting_bytes();
        assert_eq!(HEAP.figures().active, all);
    }

    fn pick(&self, dice: &mut Dice) -> Option<usize> {
        let count = self.live.len();
        (count > 0).then(|| *self.live.keys().nth(dice.below(count)).unwrap())
    }

    fn step(&mut self, dice: &mut Dice, most: usize) {
        let arena = dice.below(ARENAS);
        let bytes = PAGE
            * match dice.below(20) {
                0 => 256 + dice.below(2000),
                1..4 => 20 + dice.below(237),
                _ => 4 + dice.below(8),
            };
        let held: usize = self.live.values().map(|object| object.bytes).sum();
        match dice.below(20) {
            0..9 if held < most => {
                let align = if dice.once_in(8) {
                    PAGE << dice.below(10)
                } else {
                    1
                };
                let purpose = [WRITTEN, Purpose::Zeroed][dice.below(2)];
                self.alloc(bytes, align, arena, purpose);
            }
            9..11 => {
                if let Some(addr) = self.pick(dice) {
                    if bytes < self.live[&addr].bytes || held < most {
                        self.resize(addr, bytes);
                    }
                }
            }
            11 if dice.once_in(20) => self.release_idle(),
            12 if dice.once_in(8) => {
                let is_long = |(_, object): &(&usize, &Object)| object.bytes >= RELOCATE_MIN;
                if let Some((&addr, _)) = self.live.iter().find(is_long) {
                    self.relocate(addr, arena);
                }
            }
            _ => {
                if let Some(addr) = self.pick(dice) {
                    self.dealloc(addr, arena);
                }
            }
        }
    }
}

/// Random operations, with `begin` before each of a number of them.
fn run_random(begin: impl Fn()) {
    let mut twin = Twin::default();
    let mut dice = Dice::new(12);
    for step in 0..rounds(6000) {
        let most = if step / 500 % 2 == 0 {
            80 << 20
        } else {
            8 << 20
        };
        twin.step(&mut dice, most);
        if step % 8 == 0 {
            twin.check();
            begin();
        }
    }
    while let Some(addr) = twin.pick(&mut dice) {
        twin.dealloc(addr, 0);
    }
    twin.release_idle();
    twin.check();
    assert_eq!(HEAP.figures().active, 0);
}

/// The same amid refusals.
fn run_refused(begin: impl Fn()) {
    let mut twin = Twin::default();
    let mut dice = Dice::new(4);
    for round in 0..60 {
        begin();
        gate::refuse(dice.next() % 20, 1 + dice.next() % 12);
        for _ in 0..60 {
            twin.step(&mut dice, if round % 8 < 6 { 60 << 20 } else { 4 << 20 });
        }
        twin.check();
        gate::refuse(u64::MAX, 0);
        assert!(twin.alloc(5 << 20, 1, 0, WRITTEN));
    }
}

/// Has the next requests get fences.
fn fenced() {
    fence::want(true);
    fence::begin_anew();
}

#[test]
fn random_use_agrees_with_the_twin() {
    alone(|| run_random(|| {}));
}

#[test]
fn random_use_with_fences_agrees_with_the_twin() {
    alone(|| run_random(fenced));
}

#[test]
fn a_system_that_refuses_leaves_every_object_as_it_was() {
    alone(|| run_refused(|| {}));
}

#[test]
fn a_system_that_refuses_leaves_every_object_with_a_fence_as_it_was() {
    alone(|| run_refused(fenced));
}

#[test]
fn a_fence_stands_behind_an_object_wherever_that_ends() {
    alone(|| {
        fenced();
        let ends_at =
            |addr: NonNull<u8>, pages: usize| fence::stands_at(addr.addr().get() + pages * PAGE);
        let object = alloc(40 * PAGE, 1, ArenaIndex::FIRST, WRITTEN)
            .unwrap()
            .addr;
        assert!(ends_at(object, 40), "A6");
        for pages in [50, 49, 20, 60] {
            // SAFETY: the test's own object.
            assert!(unsafe { resize(object, pages * PAGE, WRITTEN) }.is_some());
            assert!(ends_at(object, pages), "A6, at {pages} pages");
            assert_eq!(fence::standing(), 1);
        }
        // SAFETY: as above; all of it is the test's.
        unsafe { object.write_bytes(1, 60 * PAGE) };
        assert_eq!(
            dealloc(object.as_ptr(), ArenaIndex::FIRST).map(drop),
            Ok(())
        );
        assert!(ends_at(object, 60), "it waits, and the fence with it");
        release_idle();
        assert_eq!((fence::standing(), HEAP.figures().active), (0, 0));
    });
}

#[test]
fn fences_are_few() {
    alone(|| {
        fenced();
        let more = || assert!(alloc(9 * PAGE, 1, ArenaIndex::FIRST, WRITTEN).is_some());
        (0..1000).for_each(|_| more());
        assert_eq!(fence::standing(), 64, "F2");
        fence::want(false);
        fence::begin_anew();
        (0..10).for_each(|_| more());
        assert_eq!(fence::standing(), 64);
    });
}

#[test]
fn a_huge_page_loses_its_fences_before_it_is_one() {
    alone(|| {
        fenced();
        let object = alloc(9 * PAGE, 1, ArenaIndex::FIRST, WRITTEN).unwrap().addr;
        let page = object.addr().get() + 9 * PAGE;
        fence::lower_within(page & !(HUGE - 1), HUGE);
        assert!(!fence::stands_at(page), "F3");
        // SAFETY: the page behind the object, which is its run's (A6).
        unsafe { object.add(9 * PAGE).write_bytes(1, PAGE) };
        assert_eq!(
            dealloc(object.as_ptr(), ArenaIndex::FIRST).map(drop),
            Ok(())
        );
        release_idle();
        assert_eq!(HEAP.figures().active, 0);
    });
}

#[test]
fn moving_pages_takes_the_contents_along() {
    alone(|| {
        let mut twin = Twin::default();
        assert!(twin.alloc(RELOCATE_MIN + 3 * PAGE, 1, 0, WRITTEN));
        let (&addr, _) = twin.live.iter().next().unwrap();
        assert!(twin.relocate(addr, 0), "this system moves pages");
        gate::refuse(0, u64::MAX);
        let (&addr, _) = twin.live.iter().next().unwrap();
        let moved = twin.relocate(addr, 0);
        assert!(!moved, "what the system refuses is said");
        gate::refuse(u64::MAX, 0);
        twin.check();
    });
}

/// Rule A2 among threads: of two that free the same object at once, one is told.
#[test]
fn of_two_frees_at_once_one_loses() {
    alone(|| {
        const ROUNDS: usize = 20_000;
        /// Rounds that the first has begun, and both have ended. Both sides spin: a sleeper would come too late.
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        static ENDED: AtomicUsize = AtomicUsize::new(0);
        static OBJECT: AtomicUsize = AtomicUsize::new(0);
        fn wait_for(counter: &AtomicUsize, value: usize) {
            for spins in 0.. {
                if counter.load(Ordering::Acquire) >= value {
                    return;
                }
                if spins > 2000 {
                    std::thread::yield_now();
                }
            }
        }
        fn free() -> usize {
            let object = word(OBJECT.load(Ordering::Relaxed)).cast();
            let freed = dealloc(object, ArenaIndex::FIRST);
            assert!(matches!(freed, Ok(_) | Err(Misuse::DoubleFree)));
            ENDED.fetch_add(1, Ordering::Release);
            usize::from(freed.is_ok())
        }
        let freed = std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let turn = |round| {
                    wait_for(&BEGUN, round);
                    free()
                };
                (1..=ROUNDS).map(turn).sum::<usize>()
            });
            let mut first = 0;
            for round in 1..=ROUNDS {
                let fresh = alloc(9 * PAGE, 1, ArenaIndex::FIRST, WRITTEN).unwrap();
                OBJECT.store(fresh.addr.as_ptr().expose_provenance(), Ordering::Relaxed);
                BEGUN.store(round, Ordering::Release);
                // The other needs a moment to notice: which one varies.
                (0..round % 64).for_each(|_| core::hint::spin_loop());
                first += free();
                wait_for(&ENDED, 2 * round);
            }
            first + second.join().unwrap()
        });
        assert_eq!(freed, ROUNDS);
        release_idle();
        assert_eq!((waiting_bytes(), HEAP.figures().active), (0, 0));
    });
}

#[test]
fn threads_share_the_run_cache() {
    alone(|| {
        // All of one length, in one shard: what one frees another gets.
        let bytes = 9 * PAGE;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let mut live: Vec<(usize, u64)> = Vec::new();
                    let mut dice = Dice::new(thread);
                    for step in 0..rounds(4000) {
                        if live.len() < 5 && dice.once_in(2) || live.is_empty() {
                            let fresh =
                                alloc(bytes, 1, ArenaIndex::FIRST, Purpose::Written(0)).unwrap();
                            let addr = fresh.addr.as_ptr().expose_provenance();
                            let tag = thread << 32 | step as u64;
                            Twin::write(
                                addr,
                                Object {
                                    bytes,
                                    arena: 0,
                                    tag,
                                },
                            );
                            live.push((addr, tag));
                        } else {
                            let (addr, tag) = live.swap_remove(dice.below(live.len()));
                            Twin::verify(
                                addr,
                                Object {
                                    bytes,
                                    arena: 0,
                                    tag,
                                },
                            );
                            assert_eq!(
                                dealloc(word(addr).cast(), ArenaIndex::FIRST).map(drop),
                                Ok(())
                            );
                        }
                        if dice.once_in(500) {
                            release_idle();
                        }
                    }
                    for (addr, tag) in live {
                        Twin::verify(
                            addr,
                            Object {
                                bytes,
                                arena: 0,
                                tag,
                            },
                        );
                        assert_eq!(
                            dealloc(word(addr).cast(), ArenaIndex::FIRST).map(drop),
                            Ok(())
                        );
                    }
                });
            }
        });
        release_idle();
        assert_eq!((waiting_bytes(), HEAP.figures().active), (0, 0));
        HEAP.check();
    });
}
