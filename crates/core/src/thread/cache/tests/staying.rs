//! What stays in a cache: waves about a boundary do, whole loads go to the depot, and what lies untouched goes in time.

use super::*;

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
                    for _ in 0..rounds_at_least(2, 50) {
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
