//! Limits: random operations under a hard limit, with refusals of the system in between; many threads at once; what the
//! soft limit gives back, and when its callback is called.

use super::model::{Model, Plan};
use crate::api::{
    alloc, alloc_aligned, alloc_zeroed, dealloc, footprint, limits, realloc, set_heap_limit_hard,
    set_heap_limit_soft, set_soft_limit_callback, trim,
};
use crate::arena::hollow;
use crate::extent::{HEAP, page_map};
use crate::meta;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::{clock, memory as gate};
use jemoxide_testkit::naive::LiveRanges;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::vec::Vec;

const MIB: usize = 1 << 20;

const PLAN: Plan = Plan {
    most_bytes: 40 << 20,
    most_blocks: 4000,
    max_size: 4 << 20,
    max_align: 1 << 20,
    may_fail: true,
    ages: true,
};

/// What is counted is what the books of all parts say.
fn check_count() {
    let pages = HEAP.counted_bytes() + meta::counted_bytes() + page_map::counted_bytes();
    assert_eq!(limits().used, pages - hollow::bytes(), "counted");
}

/// Slow entries, so many that the clock is looked at.
fn idle_along() {
    (0..130).for_each(|_| _ = footprint());
}

#[test]
fn random_use_stays_within_the_limit_and_the_count_is_the_books() {
    alone(|| {
        let live = LiveRanges::new();
        let mut model = Model::new(PLAN, 11, &live);
        let mut hard = 12 * MIB;
        set_heap_limit_hard(hard);
        for step in 0..rounds(6000) {
            model.step();
            check_count();
            assert!(limits().used <= hard, "{:?}", limits());
            match step % 500 {
                // Refusals of the system in the middle of things.
                100 => gate::refuse(3, 40),
                200 => gate::refuse(u64::MAX, 0),
                300 => idle_along(),
                499 => {
                    model.check(true);
                    hard = [12 * MIB, 20 * MIB, 6 * MIB][step / 500 % 3];
                    while limits().used > hard {
                        // Lower than what is used: nothing is added until enough was freed.
                        set_heap_limit_hard(hard);
                        let before = limits().used;
                        let object = alloc(3 * MIB);
                        assert!(limits().used <= before.max(hard));
                        // SAFETY: just allocated, if it was.
                        unsafe { dealloc(object) };
                        model.free_one();
                    }
                    set_heap_limit_hard(hard);
                }
                _ => {}
            }
        }
        assert!(model.tally.refused > 100, "{:?}", model.tally);
        model.clear();
        trim();
        check_count();
        // All of it is to be had again.
        let whole = alloc(hard - MIB);
        assert!(!whole.is_null(), "{:?}", limits());
        // SAFETY: just allocated.
        unsafe { dealloc(whole) };
    });
}

#[test]
fn every_way_to_get_memory_counts_and_fails_beyond_the_limit() {
    alone(|| {
        set_heap_limit_hard(64 * MIB);
        // SAFETY: objects of their own, freed once.
        unsafe {
            for round in 0..3 {
                assert!(alloc(65 * MIB).is_null(), "large");
                assert!(alloc(2 << 30).is_null(), "giant");
                assert!(alloc_zeroed(65 * MIB).is_null(), "zeroed");
                assert!(alloc_aligned(65 * MIB, 4 * MIB).is_null(), "aligned");
                let object = alloc(40 * MIB);
                assert!(!object.is_null(), "round {round}: {:?}", limits());
                assert!(realloc(object, 70 * MIB, 8, false).is_null(), "grown");
                assert!(alloc(30 * MIB).is_null(), "beside another");
                let object = realloc(object, 8 * MIB, 8, false);
                let other = alloc(50 * MIB);
                assert!(!other.is_null(), "after a shrink: {:?}", limits());
                dealloc(other);
                dealloc(object);
                check_count();
            }
            // Small objects, to the end, and once more after they were freed.
            for round in 0..2 {
                let mut held = Vec::new();
                loop {
                    let object = alloc(600);
                    if object.is_null() {
                        break;
                    }
                    held.push(object);
                }
                let bytes = held.len() * 600;
                assert!(bytes > 54 * MIB, "round {round}: {bytes}, {:?}", limits());
                assert!(limits().used <= 64 * MIB);
                held.into_iter().for_each(|object| dealloc(object));
                check_count();
            }
        }
    });
}

#[test]
fn giants_count_until_the_system_has_them_back() {
    alone(|| {
        set_heap_limit_hard(3 << 30);
        let giant = alloc(2 << 30);
        assert!(!giant.is_null() && limits().used > 2 << 30);
        assert!(alloc((1 << 30) + MIB).is_null());
        check_count();
        // The unmapping, and not what it takes to describe what stays.
        gate::refuse(0, 1);
        // SAFETY: allocated above.
        unsafe { dealloc(giant) };
        gate::refuse(u64::MAX, 0);
        // Not taken back by the system: idle, and some of it purged since.
        assert!(limits().used > 1 << 30, "{:?}", limits());
        check_count();
        let again = alloc(5 << 29);
        assert!(!again.is_null(), "given back when needed: {:?}", limits());
        // SAFETY: allocated above.
        unsafe { dealloc(again) };
        trim();
        assert!(limits().used < 16 * MIB, "{:?}", limits());
        check_count();
    });
}

#[test]
fn a_limit_below_the_floor_is_the_floor_and_serves() {
    alone(|| {
        set_heap_limit_hard(1);
        assert_eq!(limits().hard, MIB);
        let mut held = Vec::new();
        loop {
            let object = alloc(100);
            if object.is_null() {
                break;
            }
            held.push(object);
        }
        assert!(held.len() > 2000, "{}", held.len());
        assert!(limits().used <= MIB);
        // A thread that cannot have a cache is served too, as far as there is memory.
        // SAFETY: live objects.
        held.drain(..200)
            .for_each(|object| unsafe { dealloc(object) });
        set_heap_limit_hard(0);
        assert_eq!(limits().hard, 0);
        let object = alloc(8 * MIB);
        assert!(!object.is_null());
        // SAFETY: live objects.
        held.drain(..).for_each(|object| unsafe { dealloc(object) });
        // SAFETY: as above.
        unsafe { dealloc(object) };
    });
}

#[test]
fn racing_threads_never_get_beyond_it_together() {
    alone(|| {
        const THREADS: usize = 64;
        const HARD: usize = 96 * MIB;
        set_heap_limit_hard(HARD);
        let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (done, refused) = (&done, &refused);
                scope.spawn(move || {
                    let mut held: Vec<*mut u8> = Vec::new();
                    for round in 0..60usize {
                        let size = [600, 30_000, 200_000, MIB, 3 * MIB][(number + round) % 5];
                        for _ in 0..(2 * MIB / size).max(1) {
                            let object = alloc(size);
                            if object.is_null() {
                                refused.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                            // SAFETY: an object of that size.
                            unsafe { object.write_bytes(1, size) };
                            held.push(object);
                        }
                        if round % 4 == 3 {
                            // SAFETY: live objects.
                            held.drain(..).for_each(|object| unsafe { dealloc(object) });
                        }
                    }
                    // SAFETY: live objects.
                    held.drain(..).for_each(|object| unsafe { dealloc(object) });
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }
            while done.load(Ordering::Relaxed) < THREADS {
                let used = limits().used;
                assert!(used <= HARD, "{used}");
                thread::yield_now();
            }
        });
        assert!(
            refused.load(Ordering::Relaxed) > 0,
            "the limit was never met"
        );
        trim();
        check_count();
        let whole = alloc(HARD - 24 * MIB);
        assert!(!whole.is_null(), "nothing is lost: {:?}", limits());
        // SAFETY: just allocated.
        unsafe { dealloc(whole) };
    });
}

static CALLS: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Allocates and frees in the callback itself, as it may.
fn note_call(used: usize, limit: usize) {
    assert!(used > limit);
    SEEN.store(limit, Ordering::Relaxed);
    CALLS.fetch_add(1, Ordering::Relaxed);
    let objects: Vec<_> = [40, 5000, 2 * MIB].into_iter().map(alloc).collect();
    for object in objects {
        assert!(!object.is_null());
        // SAFETY: just allocated.
        unsafe { dealloc(object) };
    }
    idle_along();
}

#[test]
fn the_soft_limit_gives_back_first_and_calls_once_a_crossing() {
    alone(|| {
        set_soft_limit_callback(Some(note_call));
        set_heap_limit_soft(32 * MIB);
        let calls = || CALLS.load(Ordering::Relaxed);
        // Idle memory goes, and nobody is called.
        for _ in 0..20 {
            clock::turn(200_000_000);
            let objects: Vec<_> = (0..10).map(|_| alloc(2 * MIB)).collect();
            // SAFETY: live objects.
            objects
                .into_iter()
                .for_each(|object| unsafe { dealloc(object) });
            let other = alloc(19 * MIB);
            // SAFETY: just allocated.
            unsafe { dealloc(other) };
            assert!(limits().used <= 40 * MIB, "{:?}", limits());
        }
        assert_eq!(calls(), 0);
        // Memory in use: once, however much more comes.
        let mut held = Vec::new();
        for _ in 0..20 {
            clock::turn(200_000_000);
            held.push(alloc(3 * MIB));
        }
        assert_eq!((calls(), SEEN.load(Ordering::Relaxed)), (1, 32 * MIB));
        // Not far enough below: a crossing, but no call.
        while limits().used > 32 * MIB {
            // SAFETY: a live object.
            unsafe { dealloc(held.pop().unwrap()) };
            trim();
        }
        assert!(limits().used > 30 * MIB, "{:?}", limits());
        clock::turn(200_000_000);
        held.push(alloc(3 * MIB));
        assert_eq!(calls(), 1);
        // Far below, and up once more.
        // SAFETY: live objects.
        held.drain(..).for_each(|object| unsafe { dealloc(object) });
        trim();
        for _ in 0..20 {
            clock::turn(200_000_000);
            held.push(alloc(3 * MIB));
        }
        assert_eq!(calls(), 2);
        // SAFETY: live objects.
        held.drain(..).for_each(|object| unsafe { dealloc(object) });
        set_soft_limit_callback(None);
        check_count();
    });
}

#[test]
fn the_soft_limit_calls_beside_a_hard_one_and_without_waiting_for_the_clock() {
    alone(|| {
        set_soft_limit_callback(Some(note_call));
        set_heap_limit_hard(64 * MIB);
        set_heap_limit_soft(32 * MIB);
        let calls = || CALLS.load(Ordering::Relaxed);
        // The clock stands still: what was given back a moment ago keeps nobody from being told.
        for crossing in 1..4 {
            let held: Vec<_> = (0..40).map(|_| alloc(MIB)).collect();
            assert!(held.iter().all(|object| !object.is_null()));
            assert_eq!(calls(), crossing);
            // SAFETY: live objects.
            held.into_iter()
                .for_each(|object| unsafe { dealloc(object) });
            // Well below the limit again without a word from the program.
            idle_along();
        }
        set_soft_limit_callback(None);
        check_count();
    });
}
