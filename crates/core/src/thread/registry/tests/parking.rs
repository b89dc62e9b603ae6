//! Threads that stand still are parked by another, at any instruction of theirs (rules of `thread::park`).

use super::*;

fn park_all() {
    let _passage = Passage::enter(None);
    // Seen once, and the second time as it was.
    for _ in 0..2 {
        begin_look();
        while park_idle() {}
    }
}

#[test]
fn an_idle_thread_gives_back_all_but_the_top_and_goes_on() {
    alone(|| {
        prepare(ORPHANS, false, false);
        let (tell, told) = channel();
        let (wake, woken) = channel();
        let sleeper = thread::spawn(move || {
            let cache = begin();
            let objects: Vec<usize> = (0..100).map(|_| alloc_fast(cache)).collect();
            objects
                .iter()
                .for_each(|&object| dealloc_fast(cache, object));
            tell.send(cache.held(INDEX)).unwrap();
            woken.recv().unwrap();
            // All of them again, each once: what went came back through the slabs.
            let again: HashSet<usize> = (0..100).map(|_| alloc_fast(cache)).collect();
            assert_eq!(again.len(), 100);
            again.iter().for_each(|&object| dealloc_fast(cache, object));
            woken.recv().unwrap();
        });
        let held = told.recv().unwrap();
        assert!(held > 10, "{held}");
        let before = bin::taken(INDEX);
        park_all();
        assert_eq!(super::held(INDEX), 1, "the top stays");
        assert_eq!(before - bin::taken(INDEX), held - 1);
        wake.send(()).unwrap();
        park_all();
        // It parks again, and ends parked: its cache is an orphan like any other.
        wake.send(()).unwrap();
        sleeper.join().unwrap();
        check(None);
        assert_none_lost(INDEX);
    });
}

/// Rule X1: an operation that was held up between its compare and its move of the head ends as it should.
#[test]
fn an_operation_under_way_while_its_thread_is_parked_ends_well() {
    alone(|| {
        prepare(ORPHANS, false, false);
        for is_pop in [true, false] {
            let (tell, told) = channel();
            let (wake, woken) = channel();
            let sleeper = thread::spawn(move || {
                let cache = begin();
                let objects: Vec<usize> = (0..60).map(|_| alloc_fast(cache)).collect();
                objects[1..]
                    .iter()
                    .for_each(|&object| dealloc_fast(cache, object));
                let bin = cache.live_bin(class());
                // SAFETY: this thread's own bin; what follows is what the fast paths do.
                let head = unsafe { (*bin).head };
                tell.send(()).unwrap();
                woken.recv().unwrap();
                let mut out = HashSet::new();
                // SAFETY: as above: the head is a filled slot, and there is room above it.
                unsafe {
                    if is_pop {
                        (*bin).head = (*bin).head.wrapping_add(1);
                        out.insert((*head).expose_provenance());
                    } else {
                        *head.wrapping_sub(1) = ptr::with_exposed_provenance_mut(objects[0]);
                        (*bin).head = (*bin).head.wrapping_sub(1);
                    }
                }
                let more = 200 - out.len();
                out.extend((0..more).map(|_| alloc_fast(cache)));
                assert_eq!(out.len(), 200, "handed out twice");
                assert!(is_pop || out.contains(&objects[0]), "lost");
                out.iter().for_each(|&object| dealloc_fast(cache, object));
                if is_pop {
                    dealloc_fast(cache, objects[0]);
                }
            });
            told.recv().unwrap();
            park_all();
            assert_eq!(held(INDEX), 1);
            wake.send(()).unwrap();
            sleeper.join().unwrap();
            assert_none_lost(INDEX);
        }
    });
}

/// Rule X1 for classes above 4 KiB: nothing stays; a push that was held up ends as it should; while a pop is under way
/// the cache is left alone.
#[test]
fn of_large_classes_nothing_stays_in_an_idle_thread() {
    #[derive(Clone, Copy, PartialEq)]
    enum UnderWay {
        Nothing,
        Push,
        Pop,
    }
    alone(|| {
        prepare(ORPHANS, false, false);
        let large = crate::size::class_of(8192).unwrap();
        for under_way in [UnderWay::Nothing, UnderWay::Push, UnderWay::Pop] {
            let (tell, told) = channel();
            let (wake, woken) = channel();
            let sleeper = thread::spawn(move || {
                let cache = begin();
                let take = || {
                    let _passage = Passage::enter(Some(cache));
                    cache.pop(large).unwrap().expose_provenance()
                };
                let give = |object: usize| {
                    let _passage = Passage::enter(Some(cache));
                    cache.push(large, ptr::with_exposed_provenance_mut(object));
                };
                let objects: Vec<usize> = (0..4).map(|_| take()).collect();
                objects[1..].iter().for_each(|&object| give(object));
                let before = cache.held(large.index());
                let bin = cache.live_bin(large);
                if under_way == UnderWay::Pop {
                    let popped = cache.announced(|| {
                        tell.send(before).unwrap();
                        woken.recv().unwrap();
                        thread_bins::pop(large.byte())
                    });
                    assert!(popped.is_some(), "it was taken away underneath");
                    give(popped.unwrap().expose_provenance());
                } else {
                    // SAFETY: this thread's own bin; what follows is what the fast path of a free does.
                    let head = unsafe { (*bin).head };
                    tell.send(before).unwrap();
                    woken.recv().unwrap();
                    if under_way == UnderWay::Push {
                        // SAFETY: as above: there is room above the head.
                        unsafe {
                            *head.wrapping_sub(1) = ptr::with_exposed_provenance_mut(objects[0]);
                            (*bin).head = head.wrapping_sub(1);
                        }
                    }
                }
                let out: HashSet<usize> = (0..20).map(|_| take()).collect();
                assert_eq!(out.len(), 20, "handed out twice");
                let mut back: Vec<usize> = out.into_iter().collect();
                if under_way != UnderWay::Push {
                    back.push(objects[0]);
                }
                back.into_iter().for_each(give);
            });
            let before = told.recv().unwrap();
            assert!(before > 1, "{before}");
            park_all();
            let stays = if under_way == UnderWay::Pop {
                before
            } else {
                0
            };
            assert_eq!(held(large.index()), stays);
            wake.send(()).unwrap();
            sleeper.join().unwrap();
            assert_none_lost(large.index());
        }
    });
}

/// Threads at work are parked whenever they seem to stand still, which on few processors is anywhere.
#[test]
fn parking_meets_threads_at_any_instruction() {
    alone(|| {
        prepare(ORPHANS, false, false);
        let enough = AtomicBool::new(false);
        let all = AtomicU64::new(0);
        let work = |seed: u64| {
            let cache = begin();
            let mut dice = Dice::new(seed);
            let mut live: Vec<usize> = Vec::new();
            let mut passed = Totals::default();
            for step in 0u64.. {
                if step >= 400_000 && enough.load(Ordering::Relaxed) {
                    break;
                }
                if live.is_empty() || live.len() < 300 && dice.below(2) == 0 {
                    let object = alloc_fast(cache);
                    passed.popped += 1;
                    let stamp = ptr::with_exposed_provenance_mut::<u64>(object);
                    // SAFETY: an object of that class, ours.
                    unsafe { stamp.write(seed << 32 | object as u64 & 0xffff_ffff) };
                    live.push(object);
                } else {
                    let object = live.swap_remove(dice.below(live.len()));
                    let stamp = ptr::with_exposed_provenance_mut::<u64>(object);
                    // SAFETY: as above.
                    let found = unsafe { stamp.read() };
                    assert_eq!(found, seed << 32 | object as u64 & 0xffff_ffff, "shared");
                    // SAFETY: as above.
                    unsafe { stamp.write(0) };
                    dealloc_fast(cache, object);
                    passed.pushed += 1;
                }
                if step % 997 == 0 {
                    let size = class().size() as u64;
                    let bytes = (passed.popped * size, passed.pushed * size);
                    let counted = {
                        let _passage = Passage::enter(Some(cache));
                        cache.bytes()
                    };
                    assert_eq!(counted, bytes, "step {step}");
                }
                if step % 20_000 == 0 {
                    thread::yield_now();
                }
            }
            live.iter().for_each(|&object| dealloc_fast(cache, object));
            all.fetch_add(passed.popped, Ordering::Relaxed);
        };
        let parked = thread::scope(|scope| {
            let workers: Vec<_> = (1..7)
                .map(|seed| {
                    scope.spawn({
                        let work = &work;
                        move || work(seed)
                    })
                })
                .collect();
            let mut parked = 0;
            while !workers.iter().all(|worker| worker.is_finished()) {
                let before = bin::taken(INDEX);
                park_all();
                parked += usize::from(bin::taken(INDEX) != before);
                if parked > 10 {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            // Joined, their exit functions have run too; a scope's end does not wait for those.
            workers
                .into_iter()
                .for_each(|worker| worker.join().unwrap());
            parked
        });
        assert!(parked > 10, "{parked}");
        let (popped, pushed) = (all.load(Ordering::Relaxed), all.load(Ordering::Relaxed));
        assert_eq!(totals(class()), Totals { popped, pushed });
        assert_none_lost(INDEX);
    });
}
