//! What the hardened arena keeps without a lock: stacks, and the books of arenas made by request.
//!
//! Twins: the steps of `arena/hardened/traces.rs` and `arena/hardened/figures.rs`, in the same order and with the same
//! orderings, as these files keep their tables in statics and their memory with the system.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use loom::thread;

/// Rules R1 and R2 of the stacks: a place is given once, equal stacks have one number, and who reads a place meanwhile sees
/// frames of its stack, or 0.
#[test]
fn a_stack_has_one_number_and_its_place_no_other() {
    const PLACES: usize = 2;
    type Stack = [usize; 2];
    #[derive(Default)]
    struct Place {
        hash: AtomicU64,
        frames: [AtomicUsize; 2],
    }
    #[derive(Default)]
    struct Table {
        places: [Place; PLACES],
        /// The number of the first stack, one more, once it is known: as marks of an object hand it on.
        number: AtomicUsize,
    }
    impl Table {
        fn keep(&self, hash: u64, stack: Stack) -> Option<usize> {
            for (number, place) in self.places.iter().enumerate() {
                match place
                    .hash
                    .compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => {
                        for (to, from) in place.frames.iter().zip(stack) {
                            to.store(from, Ordering::Relaxed);
                        }
                        return Some(number);
                    }
                    Err(known) if known == hash => return Some(number),
                    Err(_) => {}
                }
            }
            None
        }

        fn stack(&self, number: usize) -> Stack {
            let frames = &self.places[number].frames;
            [0, 1].map(|at| frames[at].load(Ordering::Relaxed))
        }
    }
    const ONE: (u64, Stack) = (11, [1, 2]);
    const OTHER: (u64, Stack) = (13, [3, 4]);
    loom::model(|| {
        let table = Arc::new(Table::default());
        let keepers = [ONE, OTHER].map(|(hash, stack)| {
            let table = table.clone();
            thread::spawn(move || {
                let number = table.keep(hash, stack).unwrap();
                if hash == ONE.0 {
                    table.number.store(number + 1, Ordering::Relaxed);
                }
                number
            })
        });
        if let Some(number) = table.number.load(Ordering::Relaxed).checked_sub(1) {
            for (frame, kept) in table.stack(number).into_iter().zip(ONE.1) {
                assert!(frame == 0 || frame == kept, "R2");
            }
        }
        let again = table.keep(ONE.0, ONE.1).unwrap();
        let [one, other] = keepers.map(|keeper| keeper.join().unwrap());
        assert!(one == again && one != other, "R1");
        assert_eq!((table.stack(one), table.stack(other)), (ONE.1, OTHER.1));
        assert_eq!(table.keep(17, [5, 6]), None, "R1: all places are given");
    });
}

/// Rule F3 of the books: whoever comes first makes them, everybody counts in the same, whole ones, and what went is seen to
/// have come.
#[test]
fn an_arena_has_one_set_of_books_in_which_all_count() {
    /// Stands for the contents of a record before it is written.
    const GARBAGE: u32 = 1000;
    struct Books {
        /// Touched by who makes them, then read only.
        written: UnsafeCell<bool>,
        came: AtomicU32,
        went: AtomicU32,
    }
    struct Arena {
        /// One more than the index of the arena's books; 0: none yet.
        by_request: AtomicU32,
        records: [Books; 2],
        recycled: AtomicU32,
    }
    // SAFETY: `written` is touched by who knows the record alone, and read by who has found it, which is what the model checks.
    unsafe impl Sync for Arena {}
    // SAFETY: plain values.
    unsafe impl Send for Arena {}
    impl Arena {
        fn books(&self) -> Option<&Books> {
            let number = self.by_request.load(Ordering::Acquire);
            let books = &self.records[(number as usize).checked_sub(1)?];
            // SAFETY: nobody writes it any more; the checker verifies that.
            books.written.with(|is| assert!(unsafe { *is }));
            Some(books)
        }

        fn open(&self, record: usize) {
            if self.books().is_some() {
                return;
            }
            let books = &self.records[record];
            // SAFETY: the thread's own record; the checker verifies that.
            books.written.with_mut(|is| unsafe { *is = true });
            books.came.store(0, Ordering::Relaxed);
            let made = self.by_request.compare_exchange(
                0,
                record as u32 + 1,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if made.is_err() {
                // SAFETY: as above: nobody has found it.
                books.written.with_mut(|is| unsafe { *is = false });
                self.recycled.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    loom::model(|| {
        let arena = Arc::new(Arena {
            by_request: AtomicU32::new(0),
            records: [(); 2].map(|()| Books {
                written: UnsafeCell::new(false),
                came: AtomicU32::new(GARBAGE),
                went: AtomicU32::new(0),
            }),
            recycled: AtomicU32::new(0),
        });
        let users = [0, 1].map(|record| {
            let arena = arena.clone();
            thread::spawn(move || {
                arena.open(record);
                arena.books().unwrap().came.fetch_add(1, Ordering::Relaxed);
                arena.books().unwrap().went.fetch_add(1, Ordering::Release);
            })
        });
        if let Some(books) = arena.books() {
            let went = books.went.load(Ordering::Acquire);
            let came = books.came.load(Ordering::Relaxed);
            assert!(went <= came && came <= 2, "{went} of {came}");
        }
        for user in users {
            user.join().unwrap();
        }
        let books = arena.books().unwrap();
        let counts = [&books.came, &books.went].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counts, [2, 2]);
        assert!(arena.recycled.load(Ordering::Relaxed) <= 1);
    });
}
