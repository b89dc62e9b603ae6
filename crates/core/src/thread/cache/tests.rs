//! Thread caches against the books: every object is the application's, in a cache, in the depot or in its slab,
//! and in one of them only. The cache under test is this thread's own, worked on as the api does it: by the
//! operations of the thread word first, by the slow ones where those decline.

use super::gc::GC_PERIOD;
use super::growth::{LINE, per_line};
use super::*;
use crate::arena::magazine::{STARTER, full_room};
use crate::arena::{bin, depot, large};
use crate::extent::HEAP;
use crate::size::{CACHED_CLASSES, SMALL_CLASSES, magazine_capacity, size_of_class, slab_slots};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::{Dice, are_rounds_fewer, rounds, rounds_at_least};
use crate::sys::simulated::memory as gate;
use crate::thread::{pop, push, registry};
use core::ptr;
use std::collections::HashSet;
use std::vec::Vec;

mod bounds;
mod fills;
mod foreign;
mod staying;

fn class(index: usize) -> SizeClass {
    SizeClass::new(index).unwrap()
}

impl CacheRef {
    /// Asserts rule H2 and the marks of one class; answers the objects held, top first.
    fn check_class(mut self, class: SizeClass) -> Vec<usize> {
        let bin = *self.bin(class);
        let capacity = magazine_capacity(class.index());
        let mut held = Vec::new();
        // SAFETY: a look at this thread's own active magazine.
        if let Some(active) = unsafe { Magazine::from_number(bin.active) } {
            let (end, room) = (active.end(), active.room());
            let count = distance(bin.head, end);
            assert!(
                count <= room.min(2 * capacity),
                "more than there is room for (H6)"
            );
            assert!(
                room == STARTER || room <= full_room(capacity) && capacity > STARTER,
                "H2"
            );
            let deep = distance(
                ptr::with_exposed_provenance_mut(end.addr() - low(bin, end)),
                end,
            );
            assert!(deep <= count, "the low-water mark is above the head");
            let left = bin.left.max(0) as usize;
            assert!(count + left <= room, "{count} and {left} of {room}");
            // SAFETY: from the head to the end the slots are filled.
            held.extend((0..count).map(|at| unsafe { bin.head.add(at).read() }.addr()));
        } else {
            assert_eq!((bin.head.addr(), bin.low_water, bin.left), (0, 0, 0));
        }
        held
    }
}

/// Bytes from the low-water mark to the end.
fn low(bin: Bin, end: *mut *mut u8) -> usize {
    mark(end).wrapping_sub(bin.low_water) as usize
}

/// This thread's cache and all that it holds and gave out.
struct Books {
    cache: CacheRef,
    live: Vec<Vec<*mut u8>>,
    /// What passed, by class.
    passed: Vec<Totals>,
}

impl Books {
    fn open() -> Self {
        let cache = registry::start().unwrap();
        Self {
            cache,
            live: (0..CACHED_CLASSES).map(|_| Vec::new()).collect(),
            passed: (0..CACHED_CLASSES)
                .map(|index| cache.totals(class(index)))
                .collect(),
        }
    }

    fn alloc(&mut self, index: usize) -> bool {
        let object = pop(class(index).byte()).or_else(|| {
            let object = self.cache.pop(class(index));
            self.cache.enter_slow();
            object
        });
        let Some(object) = object else { return false };
        self.passed[index] += Totals::POPPED;
        // SAFETY: an object of that class, ours; large ones are marked where they begin.
        unsafe { object.write_bytes(index as u8, size_of_class(index).min(4096)) };
        self.live[index].push(object);
        true
    }

    fn give(&mut self, index: usize, object: *mut u8) {
        // SAFETY: as above.
        assert_eq!(unsafe { object.read() }, index as u8);
        self.passed[index] += Totals::PUSHED;
        if !push(class(index).byte(), object) && !self.cache.push_after_look(class(index), object) {
            self.cache.push(class(index), object);
            self.cache.enter_slow();
        }
    }

    fn dealloc(&mut self, index: usize, at: usize) {
        let object = self.live[index].swap_remove(at);
        self.give(index, object);
    }

    /// Objects of the class that are out of their slabs.
    fn taken(&self, index: usize) -> usize {
        if index < SMALL_CLASSES {
            bin::taken(index)
        } else {
            large::out_bytes(index) / size_of_class(index)
        }
    }

    fn check(&self) {
        for index in 0..CACHED_CLASSES {
            // As others see it, and as the thread itself.
            assert_eq!(self.cache.totals(class(index)), self.passed[index], "L3");
            let held = self.cache.check_class(class(index));
            assert_eq!(self.cache.held(index), held.len());
            let out = self.live[index].iter().map(|object| object.addr());
            let places: HashSet<usize> = out.chain(held.iter().copied()).collect();
            let sum = self.live[index].len() + held.len();
            assert_eq!(
                places.len(),
                sum,
                "class {index}: an object is in two places"
            );
            assert_eq!(
                self.taken(index),
                sum + depot::kept(index),
                "class {index}: objects are lost"
            );
        }
    }

    /// Everything goes back to where it came from.
    fn close(mut self) {
        for index in 0..CACHED_CLASSES {
            while let Some(object) = self.live[index].pop() {
                self.give(index, object);
            }
        }
        self.check();
        self.cache.flush();
        self.check();
        assert!((0..CACHED_CLASSES).all(|index| self.cache.held(index) == 0));
        depot::empty(flush_magazine);
        for index in 0..CACHED_CLASSES {
            assert_eq!(self.taken(index), 0, "class {index}");
        }
        large::release_idle();
        assert_eq!(HEAP.figures().active, 0, "slabs that are empty go back");
    }
}

#[test]
fn every_object_is_in_one_place_whatever_is_done() {
    alone(|| {
        for seed in 0..3 {
            let mut books = Books::open();
            let mut dice = Dice::new(seed);
            for step in 0..rounds(40_000) {
                // Phases that grow and phases that shrink, over a few classes each, so that caches overflow.
                let first = step / 4000 * 5;
                let index = (first + dice.below(4)) % CACHED_CLASSES;
                let most = if step / 1000 % 2 == 0 { 1500 } else { 20 };
                let count = books.live[index].len();
                if count < most && dice.below(10) < 7 || count == 0 {
                    assert!(books.alloc(index));
                } else {
                    let burst = if dice.once_in(20) { count } else { 1 };
                    for left in (0..burst).rev() {
                        books.dealloc(index, dice.below(left + 1 + count - burst));
                    }
                }
                match dice.below(4000) {
                    0 => books.cache.flush(),
                    1 => depot::empty(flush_magazine),
                    2 => drop(depot::age(step as u64 * 1_000_000, flush_magazine)),
                    _ => {}
                }
                if step % 64 == 0 {
                    books.check();
                }
            }
            books.close();
        }
    });
}

#[test]
fn what_was_freed_last_comes_first() {
    alone(|| {
        let mut books = Books::open();
        let mut dice = Dice::new(8);
        for index in [0, 3, 12, 25, 35, 40] {
            assert!(books.alloc(index));
            for _ in 0..rounds_at_least(40, 600) {
                if dice.once_in(2) || books.live[index].is_empty() {
                    assert!(books.alloc(index));
                    continue;
                }
                let freed = *books.live[index].last().unwrap();
                books.dealloc(index, books.live[index].len() - 1);
                assert!(books.alloc(index));
                assert_eq!(*books.live[index].last().unwrap(), freed);
                if dice.once_in(2) {
                    books.dealloc(index, dice.below(books.live[index].len()));
                }
            }
        }
        books.close();
    });
}

/// Sizes of the fills that a class sees while it only allocates.
fn fills(books: &mut Books, index: usize, allocations: usize) -> Vec<usize> {
    let mut fills = Vec::new();
    for _ in 0..allocations {
        let before = books.taken(index);
        assert!(books.alloc(index));
        let filled = books.taken(index) - before;
        if filled > 0 {
            fills.push(filled);
        }
    }
    fills
}

/// Works with a class until its fills and its magazines have their final sizes; all is free again at the end.
fn warm(books: &mut Books, index: usize) {
    for _ in 0..rounds_at_least(8, 24) {
        fills(books, index, 3 * magazine_capacity(index));
        while !books.live[index].is_empty() {
            books.dealloc(index, 0);
        }
    }
    let capacity = magazine_capacity(index);
    assert_eq!(
        books.cache.cold(class(index)).fill as usize,
        capacity - capacity % per_line(class(index))
    );
}

#[test]
fn a_system_that_refuses_loses_no_object() {
    alone(|| {
        let mut books = Books::open();
        let mut dice = Dice::new(9);
        let mut refused = 0;
        for round in 0..rounds_at_least(4, 200) {
            if round % 4 == 3 {
                // The segment that records come from is used up: magazines need the system too.
                gate::refuse(0, u64::MAX);
                while meta::allocate(100).is_some() {}
            }
            // Refused: records for magazines and slabs, and pages; not what is there already.
            gate::refuse(dice.below(4) as u64, 1 + dice.below(400) as u64);
            let index = dice.below(CACHED_CLASSES);
            for _ in 0..dice.below(rounds_at_least(60, 600)) {
                if dice.below(10) < 6 || books.live[index].is_empty() {
                    refused += usize::from(!books.alloc(index));
                } else {
                    books.dealloc(index, 0);
                }
            }
            books.check();
            gate::refuse(u64::MAX, 0);
            assert!(books.alloc(index));
        }
        let is_shown = refused > 20 || are_rounds_fewer();
        assert!(is_shown, "nothing was refused: {refused}");
        books.close();
    });
}
