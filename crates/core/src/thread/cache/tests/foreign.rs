//! Objects of other threads: they lie under the own ones, so that a line of memory is not shared at once.

use super::*;

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
