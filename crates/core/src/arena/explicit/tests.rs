//! Explicit caches against stacks, and under several threads.

use super::*;
use crate::extent::hooks::Outside;
use crate::options::Dss;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::{rounds, rounds_at_least};
use core::ptr;
use std::vec::Vec;

/// No gate to leave.
#[derive(Clone, Copy)]
struct Here;

impl Outside for Here {
    fn outside<R>(self, body: impl FnOnce() -> R) -> R {
        body()
    }
}

fn object(number: usize) -> *mut u8 {
    ptr::without_provenance_mut(number * 16)
}

#[test]
fn random_use_agrees_with_stacks() {
    alone(|| {
        use_at_random();
    });
}

fn use_at_random() {
    let id = create().unwrap();
    let cache = get(id).unwrap();
    let index = manual::create(ptr::null_mut(), (0, 0), Dss::Disabled).unwrap();
    let (arena, owner) = (manual::get(index).unwrap(), Owner::manual(index));
    let classes = [0, 5, 30, CACHED_CLASSES - 1].map(|index| SizeClass::new(index).unwrap());
    let mut twin: [Vec<*mut u8>; 4] = Default::default();
    let (mut seed, mut next) = (7u64, 1);
    for _ in 0..rounds(30_000) {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let at = (seed >> 33) as usize % 4;
        let (class, stack) = (classes[at], &mut twin[at]);
        match (seed >> 40) % 100 {
            0 => {
                let mut all = Vec::new();
                assert!(cache.flush(false, &mut |class, whose, objects| {
                    assert_eq!(whose, owner);
                    all.extend(objects.iter().map(|&ptr| (class.index(), ptr)));
                }));
                all.sort_unstable();
                let mut expected = Vec::new();
                for (class, stack) in classes.iter().zip(&mut twin) {
                    expected.extend(stack.drain(..).map(|ptr| (class.index(), ptr)));
                }
                expected.sort_unstable();
                assert_eq!(all, expected);
            }
            1..25 => assert_eq!(cache.pop(owner, class), stack.pop()),
            25..45 => assert_eq!(cache.try_pop(owner, class), stack.pop()),
            45..60 => {
                // Where there is room in the magazine that there is.
                if cache.try_push(owner, class, object(next)) {
                    stack.push(object(next));
                    next += 1;
                }
            }
            _ => match cache.push(owner, class, object(next)) {
                Offer::Taken => {
                    stack.push(object(next));
                    next += 1;
                    assert!(stack.len() <= magazine_capacity(class.index()));
                }
                Offer::Full => {
                    assert_eq!(stack.len(), magazine_capacity(class.index()));
                    let mut out = [ptr::null_mut(); 128];
                    let taken = cache.take_half(owner, class, &mut out);
                    let oldest: Vec<_> = stack.drain(..taken).rev().collect();
                    assert!(taken > 0 && out[..taken] == oldest);
                }
                Offer::Refused => panic!("it is this owner's"),
            },
        }
        // P1: while it holds anything, others are sent away.
        let held = twin.iter().map(Vec::len).sum::<usize>();
        if held > 0 {
            let other = cache.push(Owner::AUTOMATIC, class, object(1));
            assert!(matches!(other, Offer::Refused));
            assert!(cache.pop(Owner::AUTOMATIC, class).is_none());
        }
    }
    // P2
    forget(arena);
    assert!(
        classes
            .iter()
            .all(|&class| cache.pop(owner, class).is_none())
    );
    // P5: what comes while it ends goes elsewhere.
    let offer = || cache.push(owner, classes[0], object(1));
    assert!(matches!(offer(), Offer::Taken));
    let mut left = 0;
    assert!(cache.flush(true, &mut |_, _, objects| {
        assert!(matches!(offer(), Offer::Refused));
        left += objects.len();
    }));
    assert_eq!(left, 1);
    assert!(!cache.flush(true, &mut |_, _, _| {}) && matches!(offer(), Offer::Refused));
    give(id);
    assert_eq!(create(), Some(id), "P4");
    assert!(cache.flush(true, &mut |_, _, _| {}));
    give(id);
}

#[test]
fn what_served_and_what_is_held_comes_to_the_books_of_whose_it_is() {
    alone(|| {
        let make = || manual::create(ptr::null_mut(), (0, 0), Dss::Disabled).unwrap();
        let arenas = [make(), make()].map(|index| manual::get(index).unwrap());
        let class = SizeClass::new(5).unwrap();
        for arena in arenas {
            // Books begin with the first object.
            manual::alloc(arena, class.size(), 1, false, Here).unwrap();
        }
        let id = create().unwrap();
        let cache = get(id).unwrap();
        let mut twin = [[1, 0]; 2];
        for round in 0..6 {
            let at = round % 2;
            let (arena, other) = (arenas[at], arenas[1 - at]);
            let owner = Owner::manual(arena.index());
            for number in 1..10 {
                assert!(matches!(
                    cache.push(owner, class, object(number)),
                    Offer::Taken
                ));
            }
            assert!(cache.pop(owner, class).is_some() && cache.try_pop(owner, class).is_some());
            assert_eq!(cache.keep(owner, class, &[object(20), object(21)]), Some(2));
            twin[at][0] += 3;
            twin[at][1] = 9;
            // P1
            let others = Owner::manual(other.index());
            assert_eq!(cache.keep(others, class, &[object(30)]), None);
            tell_all();
            for (arena, [requests, held]) in arenas.iter().zip(twin) {
                let figures = arena.figures();
                let bytes = held * class.size() as u64;
                assert_eq!(
                    (figures.small_requests, figures.cached_bytes),
                    (requests, bytes)
                );
            }
            // However it becomes empty.
            if round < 4 {
                while cache.pop(owner, class).is_some() {
                    twin[at][0] += 1;
                }
            } else {
                forget(arena);
            }
            twin[at][1] = 0;
        }
        assert!(cache.flush(true, &mut |_, _, _| {}));
        let told = arenas.map(|arena| arena.figures().small_requests);
        assert_eq!(told, twin.map(|[requests, _]| requests), "P8");
    });
}

#[test]
fn threads_that_use_one_together_lose_nothing() {
    const THREADS: usize = 4;
    let each = rounds_at_least(40, 4000);
    let id = create().unwrap();
    let cache = get(id).unwrap();
    let class = SizeClass::new(7).unwrap();
    let owner = Owner::AUTOMATIC;
    let seen: Vec<Vec<*mut u8>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for number in 0..each {
                        let own = object(1 + thread * each + number);
                        let taken = number % 2 == 0 && cache.try_push(owner, class, own)
                            || matches!(cache.push(owner, class, own), Offer::Taken);
                        if !taken {
                            mine.push(own.addr());
                        }
                        let popped = match number % 3 {
                            0 => cache.pop(owner, class),
                            1 => cache.try_pop(owner, class),
                            _ => None,
                        };
                        mine.extend(popped.map(|object| object.addr()));
                    }
                    mine
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .map(|mine| mine.into_iter().map(ptr::without_provenance_mut).collect())
            .collect()
    });
    let mut all: Vec<_> = seen.into_iter().flatten().collect();
    assert!(cache.flush(true, &mut |_, _, objects| all.extend_from_slice(objects)));
    give(id);
    all.sort_unstable();
    let expected: Vec<_> = (1..=THREADS * each).map(object).collect();
    assert!(all == expected, "each object is in one place (P6)");
}
