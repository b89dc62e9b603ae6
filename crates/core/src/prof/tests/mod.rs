//! The books against naive ones: a list of live objects and maps of sums, under the same random operations.

mod dump;
mod twin;

use super::books::Books;
use super::record::Handle;
use super::sample::Life;
use super::stack::hash_of;
use super::thread::{NAME, Thread};
use super::*;
use crate::sys::simulated::dice::Dice;
use crate::sys::simulated::memory as system;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;
use twin::{Object, Twin};

/// Books of a test's own, at the period `2^lg`.
fn books(lg: u32, accumulates: bool) -> Box<Books> {
    let books = Box::new(Books::new());
    books.lg_sample.set(lg);
    books.accumulates.set(accumulates);
    books.keeps_all.set(accumulates);
    books
}

fn begin(books: &Books) -> ThreadRef {
    ThreadRef::from_number(books.begin_thread().unwrap().number())
}

/// A thread ends, to its last tally that may go.
fn end(books: &Books, thread: ThreadRef) {
    let thread = thread.handle().unwrap();
    let mut more = books.end_thread(thread);
    while more {
        more = books.fold_some(thread);
    }
}

fn sample(books: &Books, object: &Object) -> Option<Handle<Life>> {
    let event = Event {
        address: object.address,
        requested: object.requested,
        usable: object.usable,
        thread: object.thread,
        frames: &object.frames,
    };
    books.record(&event, hash_of(&object.frames), object.born_ns)
}

/// Stacks that share beginnings and lengths, up to the deepest.
fn some_frames(dice: &mut Dice) -> Vec<usize> {
    let len = match dice.below(10) {
        0 => 0,
        1 => DEPTH_MAX,
        _ => 1 + dice.below(9),
    };
    let kind = dice.below(40);
    (0..len).map(|at| 0x5000 + (at ^ kind) * 16).collect()
}

fn some_size(dice: &mut Dice) -> (usize, usize) {
    let requested = match dice.below(8) {
        0 => 0,
        1 => 1 << dice.below(46),
        _ => dice.below(20_000),
    };
    let usable = crate::size::usable_size(requested).unwrap();
    (requested, usable)
}

fn run(accumulates: bool, seed: u64, rounds: usize) {
    let mut dice = Dice::new(seed);
    let books = books(12, accumulates);
    let mut twin = Twin::new(12, accumulates);
    let mut threads: Vec<ThreadRef> = (0..3).map(|_| begin(&books)).collect();
    let mut live: Vec<(Handle<Life>, Object)> = Vec::new();
    let mut now = 0;
    for round in 0..rounds {
        now += dice.next() % 1_000_000;
        let thread = threads[dice.below(threads.len())];
        match dice.below(100) {
            0..=54 => {
                let (requested, usable) = some_size(&mut dice);
                thread.set_tag([0, 0, 7, 1000][dice.below(4)]);
                let object = Object {
                    address: 0x1000 * (1 + round),
                    requested,
                    usable,
                    thread,
                    tag: thread.tag(),
                    frames: some_frames(&mut dice),
                    born_ns: now,
                };
                let life = sample(&books, &object).expect("there is memory");
                twin.record(&object);
                live.push((life, object));
            }
            55..=96 if !live.is_empty() => {
                let (life, object) = live.swap_remove(dice.below(live.len()));
                books.release(life, thread, &[], now);
                twin.release(&object, now);
            }
            97 => {
                // A thread ends, another begins.
                let at = dice.below(threads.len());
                end(&books, threads[at]);
                twin.end(threads[at]);
                threads[at] = begin(&books);
            }
            98 if dice.once_in(20) => {
                books.reset(12);
                twin.reset();
                // What is void is cleared bit by bit, others go on meanwhile.
                if dice.once_in(2) {
                    while books.clear_some() {}
                }
            }
            _ => {}
        }
        if round % 500 == 0 || round < 100 {
            books.check();
            twin.compare(&books);
        }
    }
    books.check();
    twin.compare(&books);
    while let Some((life, object)) = live.pop() {
        books.release(life, ThreadRef::PAST, &[], now);
        twin.release(&object, now);
    }
    books.check();
    twin.compare(&books);
    assert_eq!(books.live.get(), numbers::Estimate::ZERO);
}

#[test]
fn books_agree_with_their_naive_twin() {
    run(false, 1, 12_000);
    run(false, 2, 3_000);
}

#[test]
fn cumulative_books_agree_with_their_naive_twin() {
    run(true, 3, 12_000);
    run(true, 4, 3_000);
}

#[test]
fn a_sample_without_memory_is_dropped_and_changes_nothing() {
    // Others would find memory for it.
    crate::sys::simulated::child::alone(|| {
        let books = books(19, false);
        let thread = begin(&books);
        let object = |round: usize| Object {
            address: 64,
            requested: 10,
            usable: 16,
            thread,
            tag: 0,
            frames: (0..1 + round % DEPTH_MAX).map(|at| at + round).collect(),
            born_ns: 5,
        };
        let first = sample(&books, &object(0)).unwrap();
        system::refuse(0, u64::MAX);
        let mut taken = vec![first];
        let mut round = 1;
        // What is left of the records that were mapped already is used up first.
        while books.dropped.get() < 3 {
            taken.extend(sample(&books, &object(round)));
            round += 1;
        }
        books.check();
        system::refuse(0, 0);
        assert_eq!(books.samples.get(), taken.len() as u64, "B2");
        taken.push(sample(&books, &object(round)).expect("there is memory again"));
        for life in taken {
            books.release(life, thread, &[], 6);
        }
        books.check();
        assert_eq!(books.tallies.len(), 0);
    });
}

#[test]
fn idle_stacks_are_evicted_and_used_ones_are_not() {
    let books = books(19, false);
    let thread = begin(&books);
    let object = |number: usize| plain(thread, number);
    let kept: Vec<_> = (0..100)
        .map(|number| sample(&books, &object(number)).unwrap())
        .collect();
    for number in 100..30_000 {
        let life = sample(&books, &object(number)).unwrap();
        books.release(life, thread, &[], 6);
    }
    books.check();
    assert!(books.stacks.len() < 4096 + 100, "B3 {}", books.stacks.len());
    for (number, life) in kept.into_iter().enumerate() {
        let stack = life.of(&books.held).tally.of(&books.held).stack;
        assert_eq!(stack.of(&books.held).frames(), [number; 3]);
        books.release(life, thread, &[], 7);
    }
    books.check();
}

#[test]
fn a_moment_keeps_counts_while_they_change() {
    let books = books(19, false);
    let (one, two) = (begin(&books), begin(&books));
    let object = |thread, usable| Object {
        address: 64,
        requested: usable,
        usable,
        thread,
        tag: 0,
        frames: vec![1, 2, 3],
        born_ns: 5,
    };
    let first = sample(&books, &object(one, 64)).unwrap();
    let then = books.kept.now();
    let pinned = books.pin();
    books.moment.set(books.moment.get() + 1);
    let moment = books.moment.get();
    let second = sample(&books, &object(two, 4096)).unwrap();
    books.release(first, two, &[], 9);
    assert_eq!(books.kept.then(moment), then, "K1");
    assert_ne!(books.kept.now(), then);
    let counts = |thread: ThreadRef| {
        let own: &Thread = thread.handle().unwrap().of(&books.held);
        own.counts.then(moment, 0)
    };
    assert_eq!(counts(one), then, "K1");
    assert_eq!(counts(two).live.objects, 0, "K1");
    // The tally that has nothing left stays as long as the dump is under way, and so does its thread.
    end(&books, one);
    assert_eq!(books.tallies.len(), 2, "R3");
    books.check();
    books.unpin(pinned);
    books.begin_tidy();
    while books.tidy_some() {}
    assert_eq!(books.tallies.len(), 1);
    books.check();
    books.release(second, two, &[], 10);
    books.check();
}

#[test]
fn a_child_forked_amid_a_dump_keeps_nothing_of_what_had_to_stay() {
    let books = books(19, false);
    let (one, two) = (begin(&books), begin(&books));
    let object = |thread| Object {
        address: 64,
        requested: 100,
        usable: 4096,
        thread,
        tag: 0,
        frames: vec![1],
        born_ns: 1,
    };
    let first = sample(&books, &object(one)).unwrap();
    let _second = sample(&books, &object(two)).unwrap();
    // Whoever dumps is another process's: this is never unpinned.
    let _pinned = books.pin();
    books.release(first, two, &[], 9);
    end(&books, one);
    assert_eq!(books.tallies.len(), 2, "R3");
    books.forget_dump();
    assert_eq!(books.tallies.len(), 1);
    assert!(books.threads.first() == two.handle(), "the other is gone");
    books.check();
}

#[test]
fn recent_samples_are_the_last_ones_and_a_log_has_the_dead() {
    let books = books(19, false);
    let thread = begin(&books);
    let object = |number: usize| Object {
        address: 64,
        requested: number,
        usable: 4096,
        thread,
        tag: 0,
        frames: vec![number],
        born_ns: number as u64,
    };
    books.set_recents(Some(3));
    let lives: Vec<_> = (1..=5)
        .map(|number| sample(&books, &object(number)).unwrap())
        .collect();
    let recents = |books: &Books| {
        let mut all = Vec::new();
        let mut next = books.recents.list.first();
        while let Some(entry) = next {
            let own = entry.of(&books.held);
            all.push((own.requested, own.died.get().map(|died| died.ns)));
            next = list::after::<recent::InOrder, _>(entry, &books.held);
        }
        all
    };
    assert_eq!(recents(&books), [(3, None), (4, None), (5, None)]);
    assert!(books.start_log(100) && !books.start_log(100));
    books.release(lives[3], thread, &[77], 101);
    // Dead before it came into the log, and one that was born before.
    assert_eq!(recents(&books), [(3, None), (4, Some(101)), (5, None)]);
    let logged = sample(&books, &object(200)).unwrap();
    books.release(logged, ThreadRef::PAST, &[78], 300);
    let entry = books.log.first.get().unwrap().of(&books.held);
    assert_eq!((entry.born.ns, entry.died.ns), (200, 300), "G1");
    assert!(entry.died.thread == thread.handle());
    // The entries hold what they name through a reset and the end of the thread.
    books.reset(19);
    while books.clear_some() {}
    end(&books, thread);
    assert_eq!(
        recents(&books),
        [(4, Some(101)), (5, None), (200, Some(300))]
    );
    assert_eq!(books.stop_log(), Some(100));
    assert_eq!(books.stop_log(), None);
    assert!(!books.start_log(400), "what is to be written comes first");
    assert!(books.drop_entry() && !books.drop_entry());
    books.set_recents(Some(0));
    while books.drop_recent() {}
    assert!(books.threads.is_empty(), "D2");
    for life in [lives[0], lives[1], lives[2], lives[4]] {
        books.release(life, ThreadRef::PAST, &[], 500);
    }
    books.check();
}

#[test]
fn a_thread_has_a_name_a_switch_a_tag_and_a_sequence() {
    crate::sys::simulated::child::alone(|| {
        prepare(&crate::options::Options::DEFAULT.prof);
        let (one, two) = (ThreadRef::begin().unwrap(), ThreadRef::begin().unwrap());
        assert!(one.is_active() && !ThreadRef::PAST.is_active());
        assert_eq!(one.name(), c"");
        assert!(one.set_name(b"worker of the pool") && !two.set_name(b"a\nb"));
        assert_eq!(one.name(), c"worker of the p");
        assert_eq!(one.name().to_bytes().len(), NAME - 1);
        assert!(one.set_name(b"w"));
        assert_eq!((one.name(), two.name()), (c"w", c""));
        assert_ne!(one.random(), two.random());
        assert_eq!(one.random(), one.random());
        set_active_at_first(false);
        let three = ThreadRef::begin().unwrap();
        assert!(!three.is_active() && one.is_active());
        one.end();
        two.end();
        three.end();
        assert!(BOOKS.lock().threads.is_empty(), "D2");
    });
}

#[test]
fn the_generation_tells_of_every_switch() {
    crate::sys::simulated::child::alone(|| {
        prepare(&crate::options::Options::DEFAULT.prof);
        assert!(generation() == 0 && !is_sampling() && !is_started());
        start(false);
        assert!(is_started() && !is_sampling() && lg_sample() == 19);
        assert!(!set_active(true) && is_sampling());
        let first = generation();
        assert!(first != 0 && set_active(true) && generation() == first);
        assert!(set_active(false) && generation() != first);
    });
}

/// A small object without a tag, from a stack that `number` says.
fn plain(thread: ThreadRef, number: usize) -> Object {
    Object {
        address: 64,
        requested: 10,
        usable: 16,
        thread,
        tag: 0,
        frames: vec![number; 3],
        born_ns: 5,
    }
}

/// Books in which many threads sampled at one stack, one thread at many, and what was sampled is dead: tallies stay as a dump
/// is under way.
fn idle_tallies(books: &Books, count: usize) -> (ThreadRef, record::Pinned) {
    let pinned = books.pin();
    let busy = begin(books);
    for number in 0..count {
        for object in [plain(busy, number), plain(begin(books), count)] {
            let life = sample(books, &object).unwrap();
            books.release(life, busy, &[], 6);
        }
    }
    (busy, pinned)
}

#[test]
fn what_goes_over_many_records_goes_a_few_at_a_time() {
    const MANY: usize = 1000;
    let step = |books: &Books, mut step: Box<dyn FnMut() -> bool + '_>| {
        let mut steps = 0;
        loop {
            let before = books.tallies.len();
            let more = step();
            assert!(before - books.tallies.len() <= 64, "B4");
            steps += 1;
            if !more {
                return steps;
            }
        }
    };
    // A thread ends.
    let books = books(19, false);
    let (busy, pinned) = idle_tallies(&books, MANY);
    books.unpin(pinned);
    let thread = busy.handle().unwrap();
    let mut is_over = false;
    let steps = step(
        &books,
        Box::new(|| match core::mem::replace(&mut is_over, true) {
            false => books.end_thread(thread),
            true => books.fold_some(thread),
        }),
    );
    assert!(steps > MANY / 64 && books.tallies.len() == MANY);
    // A dump is over, and others are at work meanwhile.
    books.begin_tidy();
    let other = begin(&books);
    let mut round = 0;
    step(
        &books,
        Box::new(|| {
            round += 1;
            let life = sample(&books, &plain(other, MANY)).unwrap();
            books.release(life, other, &[], 6);
            books.tidy_some()
        }),
    );
    assert_eq!(books.tallies.len(), 0);
    books.check();
}

#[test]
fn a_reset_holds_the_lock_for_a_few_tallies_at_a_time() {
    const MANY: usize = 1000;
    let books = books(19, true);
    let (busy, pinned) = idle_tallies(&books, MANY);
    books.unpin(pinned);
    assert_eq!(books.tallies.len(), 2 * MANY);
    books.reset(19);
    books.check();
    // Where the sweep is, one samples again: it counts from nothing, and stays.
    let life = sample(&books, &plain(busy, MANY - 1)).unwrap();
    let counts = |life: Handle<Life>| {
        let tally = life.of(&books.held).tally.of(&books.held);
        tally.counts.now(books.era.get()).cumulative.objects
    };
    assert_eq!(counts(life), 1, "A3");
    loop {
        let before = books.tallies.len();
        let more = books.clear_some();
        assert!(before - books.tallies.len() <= 64, "B4");
        if !more {
            break;
        }
    }
    assert_eq!((books.tallies.len(), books.stacks.len()), (1, 1));
    assert_eq!(counts(life), 1);
    books.check();
    books.release(life, busy, &[], 6);
}

#[test]
fn tags_beyond_those_that_are_told_apart_count_together() {
    let books = books(19, false);
    let thread = begin(&books);
    let mut lives = Vec::new();
    for tag in 1..=TAGS_APART as u16 + 8 {
        assert_eq!(books.has_others.get(), usize::from(tag) > TAGS_APART + 1);
        thread.set_tag(tag);
        let tagged = Object {
            tag,
            ..plain(thread, 1)
        };
        lives.push(sample(&books, &tagged).unwrap());
    }
    let stack = lives[0].of(&books.held).tally.of(&books.held).stack;
    let one = numbers::weight(16, 19);
    let (mut apart, mut others) = (0, None);
    stack.of(&books.held).tags.each(&books.held, |tag, sum| {
        if tag == OTHER_TAGS {
            others = Some(sum);
        } else {
            assert_eq!(sum, one);
            apart += 1;
        }
    });
    assert_eq!(apart, TAGS_APART);
    let eight = (0..8).fold(numbers::Estimate::ZERO, |sum, _| sum.plus(one));
    assert_eq!(others, Some(eight), "S2");
}
