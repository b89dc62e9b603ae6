//! Who owns a cache, and how it passes on: parking and the way back, end and adoption, binding and the end of an arena.
//!
//! Twins: the protocols of `thread/park.rs`, `thread/registry.rs` and `arena/manual/life.rs` live in files that reach the
//! system, so their steps stand here again, in the same order and with the same orderings. The barrier that the purger
//! has every thread pass (`sys::thread::barrier_everywhere`) is a fence on both sides here: that is what it is to whoever
//! runs when it comes.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use loom::thread;

const FREE: u32 = 0;
const PARKING: u32 = 1;
const PARKED: u32 = 2;

/// A cache: what lies deep in it is the owner's, and the purger's while it parks.
struct Cache {
    state: AtomicU32,
    inside: AtomicBool,
    /// Whether a thread uses it.
    place: AtomicBool,
    /// The thread's word: on the shadow bins?
    shadow: AtomicBool,
    deep: UnsafeCell<u32>,
}

// SAFETY: what is deep is touched by its owner alone, which is what the models check.
unsafe impl Sync for Cache {}
// SAFETY: plain numbers.
unsafe impl Send for Cache {}

impl Cache {
    fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            inside: AtomicBool::new(false),
            place: AtomicBool::new(true),
            shadow: AtomicBool::new(false),
            deep: UnsafeCell::new(0),
        }
    }

    /// `CacheRef::claim`: keeps the purger out. `true`: it was parked.
    fn claim(&self) -> bool {
        self.inside.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Acquire) == FREE {
            return false;
        }
        while self.state.load(Ordering::Acquire) == PARKING {
            thread::yield_now();
        }
        let parked = self.state.load(Ordering::Acquire) == PARKED;
        if parked {
            self.touch();
            self.state.store(FREE, Ordering::Release);
        }
        parked
    }

    fn vacate(&self) {
        self.inside.store(false, Ordering::Release);
    }

    /// `CacheRef::is_idle` and `park`. Whether it was parked.
    fn park(&self) -> bool {
        if !self.place.load(Ordering::Relaxed)
            || self
                .state
                .compare_exchange(FREE, PARKING, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
        {
            return false;
        }
        fence(Ordering::SeqCst);
        let inside = self.inside.load(Ordering::Acquire);
        if inside || !self.place.load(Ordering::Relaxed) {
            self.state.store(FREE, Ordering::Release);
            return false;
        }
        self.shadow.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.touch();
        self.state.store(PARKED, Ordering::Release);
        true
    }

    fn touch(&self) {
        // SAFETY: the owner; the checker verifies that there is one at a time.
        self.deep.with_mut(|deep| unsafe { *deep += 1 });
    }
}

/// Rules X1 and X2 of `park`: a thread in a slow path and the purger never work on a cache together, and a thread that
/// was parked is back on its live bins after its next slow path.
#[test]
fn the_purger_and_the_thread_never_work_on_a_cache_together() {
    loom::model(|| {
        let cache = Arc::new(Cache::new());
        let purger = {
            let cache = cache.clone();
            thread::spawn(move || cache.park())
        };
        for _ in 0..2 {
            if cache.claim() {
                cache.shadow.store(false, Ordering::Relaxed);
            }
            cache.touch();
            cache.vacate();
        }
        let parked = purger.join().unwrap();
        let state = cache.state.load(Ordering::Relaxed);
        let shadow = cache.shadow.load(Ordering::Relaxed);
        assert_eq!(state == PARKED, shadow, "the word says what the state says");
        assert!(parked || state == FREE);
        cache.claim();
        cache.touch();
    });
}

/// Rule X3 of `park`, J1 of `registry`: a thread ends while the purger looks at its cache, and the next one adopts it.
#[test]
fn a_cache_is_adopted_whole_though_the_purger_came_by_at_its_threads_end() {
    loom::model(|| {
        let cache = Arc::new(Cache::new());
        let orphan = Arc::new(AtomicBool::new(false));
        let purger = {
            let cache = cache.clone();
            thread::spawn(move || cache.park())
        };
        let ending = {
            let (cache, orphan) = (cache.clone(), orphan.clone());
            thread::spawn(move || {
                cache.claim();
                cache.place.store(false, Ordering::Relaxed);
                cache.touch();
                cache.vacate();
                // Release: as the push onto the orphans' stack.
                orphan.store(true, Ordering::Release);
            })
        };
        if orphan.swap(false, Ordering::Acquire) {
            cache.claim();
            cache.touch();
        }
        ending.join().unwrap();
        purger.join().unwrap();
        cache.claim();
        cache.touch();
    });
}

/// Rule W3 of `binding`: a thread is bound to an arena, or the arena ends; never both.
#[test]
fn a_thread_is_not_bound_to_an_arena_that_ends() {
    struct Arena {
        threads: AtomicUsize,
        closed: AtomicBool,
        records: UnsafeCell<u32>,
    }
    // SAFETY: the records are touched by a bound thread, or by who has closed the arena, which is what the model checks.
    unsafe impl Sync for Arena {}
    // SAFETY: plain numbers.
    unsafe impl Send for Arena {}

    loom::model(|| {
        let arena = Arc::new(Arena {
            threads: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            records: UnsafeCell::new(0),
        });
        let binding = {
            let arena = arena.clone();
            thread::spawn(move || {
                arena.threads.fetch_add(1, Ordering::SeqCst);
                // The checker takes sequentially consistent accesses for mere acquire and release.
                fence(Ordering::SeqCst);
                let stays = !arena.closed.load(Ordering::SeqCst);
                if stays {
                    // SAFETY: bound; the checker verifies that nobody ends the arena.
                    arena.records.with_mut(|records| unsafe { *records += 1 });
                }
                arena.threads.fetch_sub(1, Ordering::SeqCst);
                stays
            })
        };
        arena.closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let ends = arena.threads.load(Ordering::SeqCst) == 0;
        if ends {
            // SAFETY: closed, and nobody is bound; the checker verifies it.
            arena.records.with_mut(|records| unsafe { *records = 0 });
        } else {
            arena.closed.store(false, Ordering::SeqCst);
        }
        binding.join().unwrap();
    });
}
