//! The registry with real threads: they start, use their caches, end, and others take over what they leave.

use super::*;
use crate::arena::{bin, depot};
use crate::extent::HEAP;
use crate::size::SizeClass;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::Dice;
use crate::thread::{Current, bins as thread_bins, cache, current, live};
use core::ptr;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex as StdMutex};
use std::thread;
use std::vec::Vec;

mod parking;

const ORPHANS: usize = 3;

/// Objects of this class are used: a fill of the first allocation takes one.
const INDEX: usize = 9;

/// As many of them any cache keeps.
const HELD: usize = 2;

fn class() -> SizeClass {
    SizeClass::new(INDEX).unwrap()
}

/// Starts the calling thread as the api does.
fn begin() -> CacheRef {
    assert!(matches!(current(), Current::Unstarted));
    let cache = start().unwrap();
    arm(cache);
    cache
}

fn alloc(cache: CacheRef) -> usize {
    let _passage = Passage::enter(Some(cache));
    cache.pop(class()).unwrap().expose_provenance()
}

fn dealloc(cache: CacheRef, object: usize) {
    let _passage = Passage::enter(Some(cache));
    cache.push(class(), ptr::with_exposed_provenance_mut(object));
}

/// What the fast paths do, and the slow ones where those decline.
fn alloc_fast(cache: CacheRef) -> usize {
    match thread_bins::pop(class().byte()) {
        Some(object) => object.expose_provenance(),
        None => alloc(cache),
    }
}

fn dealloc_fast(cache: CacheRef, object: usize) {
    let place = ptr::with_exposed_provenance_mut(object);
    let looks = || live().is_some_and(|cache| cache.push_after_look(class(), place));
    if !thread_bins::push(class().byte(), place) && !looks() {
        dealloc(cache, object);
    }
}

fn registered() -> Vec<u32> {
    let mut numbers = Vec::new();
    for_each(|cache| numbers.push(cache.number()));
    numbers
}

fn orphans() -> usize {
    ORPHAN_COUNT.load(Ordering::Relaxed)
}

/// Asserts rule J1 while only the caller's thread has a cache: all others are orphans, each once.
fn check(own: Option<CacheRef>) {
    let all = registered();
    let distinct: HashSet<u32> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "registered twice");
    let mut waiting = HashSet::new();
    let mut link = super::ORPHANS.take_all().unwrap_or(0);
    let first = link;
    let mut last = link;
    while let Some(cache) = CacheRef::from_number(link) {
        assert!(waiting.insert(link), "an orphan twice");
        assert_eq!(cache.get().orphaned.load(Ordering::Relaxed), 1);
        last = link;
        link = OrphanLinks.next(link);
    }
    if first != 0 {
        super::ORPHANS.push_chain(first, last, &OrphanLinks);
    }
    assert_eq!(waiting.len(), orphans());
    let owned: HashSet<u32> = distinct.difference(&waiting).copied().collect();
    assert_eq!(
        owned,
        own.map(|own| own.number()).into_iter().collect(),
        "J1"
    );
}

/// Runs a thread to its very end.
fn run<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join().unwrap())
}

/// Flushes all that waits; asserts that the slabs of a class have all their objects then.
fn assert_none_lost(index: usize) {
    flush_orphans();
    depot::empty(cache::flush_magazine);
    assert_eq!(bin::taken(index), 0, "objects are lost");
}

/// The same of the class in use, and that nothing else is out.
fn assert_all_back() {
    assert_none_lost(INDEX);
    assert_eq!(HEAP.figures().active, 0);
}

#[test]
fn an_orphan_is_adopted_with_all_it_holds() {
    alone(|| {
        prepare(ORPHANS, false, false);
        let (number, freed, held) = run(|| {
            let cache = begin();
            let objects: Vec<usize> = (0..20).map(|_| alloc(cache)).collect();
            objects.iter().for_each(|&object| dealloc(cache, object));
            (cache.number(), objects, cache.held(INDEX))
        });
        check(None);
        assert_eq!(orphans(), 1);
        assert!(held >= HELD);
        let taken = bin::taken(INDEX);
        run(|| {
            let cache = begin();
            assert_eq!(cache.number(), number, "the orphan's cache");
            assert_eq!(orphans(), 0);
            // What was freed last comes first, and no slab is asked for the rest.
            let again: Vec<usize> = (0..held).map(|_| alloc(cache)).collect();
            assert_eq!(again.first(), freed.last());
            assert_eq!(bin::taken(INDEX), taken);
            again.into_iter().for_each(|object| dealloc(cache, object));
        });
        check(None);
        assert_all_back();
    });
}

#[test]
fn more_orphans_than_may_wait_are_flushed() {
    alone(|| {
        const THREADS: usize = 8;
        prepare(ORPHANS, false, false);
        let started = Barrier::new(THREADS);
        thread::scope(|scope| {
            let body = || {
                let cache = begin();
                let objects: Vec<usize> = (0..30).map(|_| alloc(cache)).collect();
                started.wait();
                objects
                    .into_iter()
                    .for_each(|object| dealloc(cache, object));
                assert_eq!(registered().len(), THREADS);
                // Nobody ends before all have counted, and then one after the other.
                started.wait();
                thread::park();
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(body)).collect();
            for thread in threads {
                thread.thread().unpark();
                thread.join().unwrap();
            }
        });
        check(None);
        assert_eq!(orphans(), ORPHANS);
        // Those that wait hold their objects; the others' are back or in the depot.
        let held = held(INDEX);
        assert!(held >= ORPHANS * HELD);
        assert_eq!(bin::taken(INDEX), held + depot::kept(INDEX));
        assert_all_back();
        assert_eq!(
            (orphans(), super::held(INDEX)),
            (ORPHANS, 0),
            "flushed orphans stay orphans"
        );
    });
}

#[test]
fn a_thread_past_its_end_has_no_cache_and_starts_none() {
    alone(|| {
        prepare(ORPHANS, false, false);
        struct Late;
        static SEEN: AtomicU32 = AtomicU32::new(0);
        impl Drop for Late {
            fn drop(&mut self) {
                // The order of a thread's destructors is not defined: either end is right.
                let seen = match current() {
                    Current::Gone => 1,
                    Current::Started(..) => 2,
                    Current::Unstarted => 3,
                };
                SEEN.store(seen, Ordering::Relaxed);
            }
        }
        std::thread_local! { static LATE: Late = const { Late } }
        run(|| {
            let cache = begin();
            LATE.with(|_| ());
            alloc(cache);
            // As the exit function does, but seen from within the thread.
            // SAFETY: the value that the key holds for this thread.
            unsafe { at_exit(cache.word(false).cast()) };
            assert!(matches!(current(), Current::Gone));
            // The key still holds the cache: it must not go a second time.
            let number = KEY.load(Ordering::Relaxed) - 1;
            ExitKey::from_number(number).set(ptr::null_mut());
        });
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
        check(None);
        assert_eq!(orphans(), 1);
    });
}

/// Threads come and go and pass objects on; nothing is lost, and no object is handed out twice.
#[test]
fn births_and_deaths_lose_nothing() {
    alone(|| {
        const GENERATIONS: u64 = 60;
        const AT_ONCE: u64 = 4;
        prepare(ORPHANS, false, false);
        let (taken, given) = (AtomicU64::new(0), AtomicU64::new(0));
        let out: StdMutex<HashSet<usize>> = StdMutex::default();
        let (sender, receiver) = channel::<usize>();
        let receiver = StdMutex::new(receiver);
        for generation in 0..GENERATIONS {
            thread::scope(|scope| {
                for index in 0..AT_ONCE {
                    let (sender, receiver, out) = (sender.clone(), &receiver, &out);
                    let (taken, given) = (&taken, &given);
                    scope.spawn(move || {
                        let cache = begin();
                        let mut dice = Dice::new(generation << 8 | index);
                        let give = |object: usize| {
                            assert!(out.lock().unwrap().remove(&object));
                            given.fetch_add(1, Ordering::Relaxed);
                            dealloc_fast(cache, object);
                        };
                        for _ in 0..dice.below(400) {
                            let object = alloc_fast(cache);
                            taken.fetch_add(1, Ordering::Relaxed);
                            assert!(out.lock().unwrap().insert(object), "handed out twice");
                            if dice.once_in(2) {
                                give(object);
                            } else {
                                sender.send(object).unwrap();
                            }
                            if dice.once_in(2) {
                                let next = receiver.lock().unwrap().try_recv();
                                next.into_iter().for_each(give);
                            }
                        }
                        if generation + 1 == GENERATIONS {
                            // The last ones clear up.
                            while let Ok(object) = { receiver.lock().unwrap().try_recv() } {
                                give(object);
                            }
                        }
                    });
                }
            });
        }
        while let Ok(object) = receiver.lock().unwrap().try_recv() {
            given.fetch_add(1, Ordering::Relaxed);
            run(|| dealloc(begin(), object));
        }
        while registered().len() > orphans() {
            thread::yield_now();
        }
        assert!(
            orphans() <= ORPHANS + AT_ONCE as usize,
            "checks and counts are apart"
        );
        check(None);
        let passed = Totals {
            popped: taken.into_inner(),
            pushed: given.into_inner(),
        };
        assert_eq!(totals(class()), passed);
        assert_all_back();
        assert_eq!(totals(class()), passed, "flushing neither pops nor pushes");
    });
}

#[test]
fn counts_outlive_their_threads() {
    alone(|| {
        // None may wait: every cache is destroyed at its thread's end.
        prepare(0, false, false);
        for round in 1..=5 {
            run(|| {
                let cache = begin();
                let mut objects: Vec<usize> = (0..70).map(|_| alloc_fast(cache)).collect();
                dealloc_fast(cache, objects.pop().unwrap());
                cache.note_large_alloc(1 << 20);
                assert_eq!(cache.bytes().0, 70 * class().size() as u64 + (1 << 20));
            });
            while !registered().is_empty() {
                thread::yield_now();
            }
            let (popped, pushed) = (70 * round, round);
            assert_eq!(totals(class()), Totals { popped, pushed }, "J3");
            assert_eq!(large_totals().popped, round, "J3");
        }
    });
}

/// Rule J2: after a fork the caches of the threads that are gone wait, beyond all bounds, with all they held.
#[test]
fn in_a_forked_child_the_others_caches_are_orphans() {
    alone(|| {
        const THREADS: usize = 6;
        prepare(ORPHANS, false, false);
        let own = begin();
        let (ready, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let cache = begin();
                    let objects: Vec<usize> = (0..9).map(|_| alloc(cache)).collect();
                    objects
                        .into_iter()
                        .for_each(|object| dealloc(cache, object));
                    ready.wait();
                    done.wait();
                });
            }
            ready.wait();
            // SAFETY: the child does plain arithmetic on what it finds and leaves at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                orphan_others(Some(own));
                let mut good =
                    orphans() == THREADS && own.get().orphaned.load(Ordering::Relaxed) == 0;
                let passed = Totals {
                    popped: 9 * THREADS as u64,
                    pushed: 9 * THREADS as u64,
                };
                good &= totals(class()) == passed;
                for _ in 0..THREADS {
                    good &= adopt().is_some_and(|cache| cache.held(INDEX) >= HELD);
                }
                good &= adopt().is_none();
                // SAFETY: ends the child without its parent's exit handlers.
                unsafe { libc::_exit(if good { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just made; the kernel fills the number.
            let ended = unsafe { libc::waitpid(child, &mut status, 0) };
            // The others may go before anything here fails: a scope waits for them.
            done.wait();
            assert_eq!(
                (ended, status),
                (child, 0),
                "the child found something else"
            );
        });
    });
}
