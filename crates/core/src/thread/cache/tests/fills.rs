//! How many objects a fill brings, and how much room there is for them.

use super::*;

#[test]
fn fills_start_with_a_line_and_grow_to_a_load() {
    alone(|| {
        let mut books = Books::open();
        for index in [0, 1, 2, 4, 7, 28] {
            let (capacity, size) = (magazine_capacity(index), size_of_class(index));
            let line = per_line(class(index));
            let most = capacity - capacity % line;
            let mut wanted = std::vec![line];
            for _ in 0..rounds_at_least(4, 20) * capacity {
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
