//! Bounds that options and mallctl set: of one class (rules V1 and V2), and of the classes that are cached at all.

use super::*;

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
