//! Thread caches against the books: every object is the application's, in a cache, in the depot or in its slab,
//! and in one of them only. The cache under test is this thread's own, worked on as the api does it: by the
//! operations of the thread word first, by the slow ones where those decline.

use super::*;
use crate::arena::magazine::full_room;
use crate::extent::HEAP;
use crate::size::{CACHED_CLASSES, SMALL_CLASSES, magazine_capacity, size_of_class, slab_slots};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::Dice;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::memory as gate;
use crate::thread::{pop, push, registry};
use std::collections::HashSet;
use std::vec::Vec;

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
            for _ in 0..600 {
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
    for _ in 0..24 {
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
fn fills_start_with_a_line_and_grow_to_a_load() {
    alone(|| {
        let mut books = Books::open();
        for index in [0, 1, 2, 4, 7, 28] {
            let (capacity, size) = (magazine_capacity(index), size_of_class(index));
            let line = per_line(class(index));
            let most = capacity - capacity % line;
            let mut wanted = std::vec![line];
            for _ in 0..20 * capacity {
                let before = books.taken(index);
                assert!(books.alloc(index));
                let filled = books.taken(index) - before;
                if filled > 0 {
                    // Less than was asked for only at the end of a slab.
                    let last = *wanted.last().unwrap();
                    let rest = (books.taken(index) % slab_slots(index)) == 0;
                    assert!(
                        filled == last || filled < last && rest,
                        "{filled} of {wanted:?}"
                    );
                    wanted.push(books.cache.cold(class(index)).fill.into());
                }
            }
            assert_eq!(wanted.last(), Some(&most), "class {index}: {wanted:?}");
            assert!(
                wanted.iter().all(|wanted| wanted * size % LINE == 0) || size > LINE,
                "class {index}: {wanted:?} do not end with a line (H5)"
            );
            for pair in wanted.windows(2) {
                let grown = pair[0] < pair[1] && pair[1] <= pair[0] * 2;
                assert!(grown || pair == [most; 2], "class {index}: {wanted:?}");
            }
        }
        books.check();
        books.close();
    });
}

/// The room of the active magazine.
fn room(books: &mut Books, index: usize) -> usize {
    // SAFETY: a look at this thread's own active magazine.
    unsafe { Magazine::from_number(books.cache.bin(class(index)).active) }
        .unwrap()
        .room()
}

#[test]
fn starters_give_way_to_full_ones_when_they_do_not_suffice() {
    alone(|| {
        let mut books = Books::open();
        for index in 0..CACHED_CLASSES {
            fills(&mut books, index, 3);
            assert_eq!(room(&mut books, index), STARTER, "class {index}");
        }
        // A class whose capacity is small stays with its starter, whatever is done.
        for (index, last) in [
            (4, FULL),
            (9, FULL),
            (20, full_room(64)),
            (28, full_room(16)),
            (32, STARTER),
            (35, STARTER),
            (40, STARTER),
        ] {
            warm(&mut books, index);
            books.alloc(index);
            assert_eq!(room(&mut books, index), last, "class {index}");
            books.check();
        }
        books.close();
    });
}

#[test]
fn a_thread_that_touches_many_classes_keeps_little() {
    alone(|| {
        let mut books = Books::open();
        let mut bytes = 0;
        for index in 0..CACHED_CLASSES {
            assert!(books.alloc(index));
            bytes += books.cache.held(index) * size_of_class(index);
            books.dealloc(index, 0);
        }
        assert!(
            bytes <= CACHED_CLASSES * LINE,
            "{bytes} bytes are kept on the side"
        );
        books.close();
    });
}

/// Slow entries of some operations.
fn visits(books: &mut Books, operations: impl Fn(&mut Books)) -> usize {
    let before = books.cache.get().entries;
    operations(books);
    books.cache.get().entries.wrapping_sub(before) as usize
}

#[test]
fn turns_about_a_boundary_stay_inside_the_cache() {
    alone(|| {
        let mut books = Books::open();
        let index = 7;
        let capacity = magazine_capacity(index);
        warm(&mut books, index);
        // Wherever the stack stands, waves up to half a load are served from it after one visit each way.
        for start in [0, 1, capacity / 2, capacity - 1, capacity, capacity + 1] {
            (0..start).for_each(|_| assert!(books.alloc(index)));
            for count in [1, 3, 40, capacity / 2 - 1] {
                let visits = visits(&mut books, |books| {
                    for _ in 0..50 {
                        (0..count).for_each(|_| assert!(books.alloc(index)));
                        (0..count).for_each(|_| books.dealloc(index, 0));
                    }
                });
                assert!(
                    visits <= 3,
                    "{visits} visits for waves of {count} from {start}"
                );
            }
            while !books.live[index].is_empty() {
                books.dealloc(index, 0);
            }
        }
        books.close();
    });
}

#[test]
fn full_loads_go_to_the_depot_and_come_back_whole() {
    alone(|| {
        let mut books = Books::open();
        let index = 7;
        warm(&mut books, index);
        fills(&mut books, index, 12 * FULL);
        let taken = books.taken(index);
        while !books.live[index].is_empty() {
            books.dealloc(index, 0);
        }
        // The first one that goes out after loads came in is half a one.
        assert_eq!(depot::kept(index) % FULL, FULL / 2, "whole magazines");
        assert!(depot::kept(index) >= 9 * FULL);
        assert_eq!(books.taken(index), taken, "no slab was asked");
        books.check();
        assert_eq!(
            fills(&mut books, index, 12 * FULL),
            [0; 0],
            "no slab was asked"
        );
        books.close();
    });
}

/// Slow entries in which the gc looks at every class once.
const ROUND: usize = GC_PERIOD as usize * (BINS - 1);

#[test]
fn what_lies_untouched_goes_and_fills_shrink() {
    alone(|| {
        let mut books = Books::open();
        let index = 6;
        warm(&mut books, index);
        let held = books.cache.held(index);
        assert!(held > FULL / 2);
        let fill = books.cache.cold(class(index)).fill;
        let rounds = |count: usize| {
            (0..count * ROUND).for_each(|_| {
                books.cache.enter_slow();
            });
            books.check();
            books.cache.held(index)
        };
        // The first look may find the mark where the last use left it.
        rounds(1);
        let later = rounds(1);
        assert!(later <= held / 3, "{held} became {later}");
        assert!(rounds(6) <= 1);
        assert!(books.cache.cold(class(index)).fill < fill);
        books.close();
    });
}

#[test]
fn what_is_used_stays_when_the_gc_looks() {
    alone(|| {
        let mut books = Books::open();
        let index = 6;
        warm(&mut books, index);
        let (held, taken) = (books.cache.held(index), books.taken(index));
        for _ in 0..4 {
            // All of it is needed between two looks.
            (0..held).for_each(|_| assert!(books.alloc(index)));
            (0..held).for_each(|_| books.dealloc(index, 0));
            (0..ROUND).for_each(|_| {
                books.cache.enter_slow();
            });
        }
        assert_eq!((books.cache.held(index), books.taken(index)), (held, taken));
        books.close();
    });
}

/// A thread's first operation on a class is a free of an object that another thread allocated: its line is not
/// to be shared at once.
#[test]
fn a_line_is_not_shared_by_passing_an_object_on() {
    alone(|| {
        for (index, above) in [(0, 8), (1, 4), (2, 2), (3, 4), (4, 0), (9, 0)] {
            let foreign = std::thread::scope(|scope| {
                let allocate = || {
                    alloc_uncached(class(index), ArenaIndex::FIRST)
                        .unwrap()
                        .expose_provenance()
                };
                scope.spawn(allocate).join().unwrap()
            });
            let mut books = Books::open();
            books.cache.flush();
            books
                .cache
                .push(class(index), ptr::with_exposed_provenance_mut(foreign));
            books.passed[index] += Totals::PUSHED;
            let held = books.cache.check_class(class(index));
            assert_eq!(held.len(), above + 1, "class {index}");
            assert_eq!(
                held[above], foreign,
                "class {index}: it lies under the own ones"
            );
            (0..above + 1).for_each(|_| assert!(books.alloc(index)));
            assert_eq!(books.live[index][above].addr(), foreign);
            books.close();
        }
    });
}

/// A thread that frees several objects of others and then works with as many of its own does not meet theirs.
#[test]
fn objects_of_others_lie_under_the_own_ones_until_the_starter_is_full() {
    alone(|| {
        for (index, above) in [(0, 8), (1, 4), (2, 2), (3, 4)] {
            let count = STARTER - above;
            let mut books = Books::open();
            books.cache.flush();
            let others: Vec<*mut u8> = (0..=count)
                .map(|_| alloc_uncached(class(index), ArenaIndex::FIRST).unwrap())
                .collect();
            // SAFETY: live objects of that class, ours.
            others
                .iter()
                .for_each(|other| unsafe { other.write(index as u8) });
            for &object in &others[..count] {
                books.give(index, object);
            }
            for _ in 0..3 {
                (0..above).for_each(|_| assert!(books.alloc(index)));
                let own = &books.live[index];
                assert!(own.iter().all(|own| !others.contains(own)), "class {index}");
                (0..above).for_each(|_| books.dealloc(index, 0));
            }
            // The starter is full of them: from here on what was freed last comes first.
            books.give(index, others[count]);
            assert!(books.alloc(index));
            assert_eq!(books.live[index], [others[count]], "class {index}");
            books.close();
        }
    });
}

/// As above, where the slab at hand has fewer free slots than own objects are wanted.
#[test]
fn fewer_own_objects_than_wanted_lie_above_a_foreign_one() {
    alone(|| {
        let (class, left) = (class(1), 2);
        let taken: Vec<*mut u8> = (0..slab_slots(1) - left)
            .map(|_| alloc_uncached(class, ArenaIndex::FIRST).unwrap())
            .collect();
        let (foreign, rest) = taken.split_first().unwrap();
        let mut books = Books::open();
        books.cache.push(class, *foreign);
        books.passed[1] += Totals::PUSHED;
        let held = books.cache.check_class(class);
        assert_eq!((held.len(), held[left]), (left + 1, foreign.addr()));
        books.live[1].extend(rest);
        for object in rest {
            // SAFETY: live objects of that class, ours.
            unsafe { object.write_bytes(1, size_of_class(1)) };
        }
        books.check();
        books.close();
    });
}

#[test]
fn a_system_that_refuses_loses_no_object() {
    alone(|| {
        let mut books = Books::open();
        let mut dice = Dice::new(9);
        let mut refused = 0;
        for round in 0..200 {
            if round % 4 == 3 {
                // The segment that records come from is used up: magazines need the system too.
                gate::refuse(0, u64::MAX);
                while meta::allocate(100).is_some() {}
            }
            // Refused: records for magazines and slabs, and pages; not what is there already.
            gate::refuse(dice.below(4) as u64, 1 + dice.below(400) as u64);
            let index = dice.below(CACHED_CLASSES);
            for _ in 0..dice.below(600) {
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
        assert!(refused > 20, "nothing was refused: {refused}");
        books.close();
    });
}

/// Rule V1, whatever is done.
#[test]
fn bounds_of_their_own_are_kept_at_every_instant() {
    alone(|| {
        let mut dice = Dice::new(21);
        for bound in [0, 1, 2, 3, 13, 14, 15, 62, 63, 100] {
            let mut books = Books::open();
            books.cache.bound_classes(0..CACHED_CLASSES, bound);
            for index in [0, 1, 3, 4, 7, 12, 20, 28, 35, 38] {
                let slots = books.cache.slots(class(index));
                let most = slots.objects(class(index));
                assert!(most as u64 == bound || slots == Slots::AS_BUILT && most as u64 <= bound);
                for _ in 0..rounds(1200) {
                    let count = books.live[index].len();
                    if count == 0 || count < 200 && dice.once_in(2) {
                        assert!(books.alloc(index));
                    } else if dice.once_in(30) {
                        while !books.live[index].is_empty() {
                            books.dealloc(index, 0);
                        }
                    } else {
                        books.dealloc(index, dice.below(count));
                    }
                    let held = books.cache.held(index);
                    assert!(held <= most, "class {index}: {held} of {bound}");
                }
                books.check();
            }
            // As another thread would begin.
            books.cache.begin_slots();
            assert!(books.cache.slots(class(7)) == Slots::AS_BUILT, "V2");
            books.close();
        }
    });
}

#[test]
fn classes_above_the_largest_are_not_cached() {
    alone(|| {
        let mut books = Books::open();
        for largest in [40, 30, 7, 0] {
            books.cache.set_max(largest);
            assert_eq!(books.cache.max_class(), largest);
            for index in 0..CACHED_CLASSES {
                (0..30).for_each(|_| assert!(books.alloc(index)));
                (0..30).for_each(|_| books.dealloc(index, 0));
                assert_eq!(books.cache.held(index) > 0, index <= largest, "{index}");
            }
            books.check();
        }
        books.close();
    });
}
