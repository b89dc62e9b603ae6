//! What one thread writes and others find without a lock: the page map, the slots of the run cache, the boot, counters.
//!
//! Twins: the steps of `extent/page_map.rs`, `arena/run_cache.rs`, `control/boot.rs` and `thread/cache/counting.rs`, in the
//! same order and with the same orderings, as these files reach the system or keep their words in statics.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use loom::thread;

/// A cell that its owner of the moment writes.
struct Owned(UnsafeCell<u32>);

// SAFETY: touched by its owner alone, which is what the models check.
unsafe impl Sync for Owned {}
// SAFETY: plain numbers.
unsafe impl Send for Owned {}

impl Owned {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn touch(&self) -> u32 {
        // SAFETY: the owner; the checker verifies that there is one at a time.
        self.0.with_mut(|value| unsafe {
            *value += 1;
            *value
        })
    }
}

/// Rules P1 to P4 of the page map: who was handed a pointer finds its class, though it reads the map relaxed; who looks up
/// a leaf finds it whole.
#[test]
fn who_was_handed_an_object_finds_its_class_in_the_map() {
    struct Map {
        distance: AtomicUsize,
        class: AtomicU8,
        record: Owned,
        handed: AtomicU32,
    }
    loom::model(|| {
        let map = Arc::new(Map {
            distance: AtomicUsize::new(0),
            class: AtomicU8::new(0),
            record: Owned::new(),
            handed: AtomicU32::new(0),
        });
        let maker = {
            let map = map.clone();
            thread::spawn(move || {
                map.record.touch();
                map.distance.store(1, Ordering::Release);
                map.class.store(7, Ordering::Relaxed);
                // However a program hands an object over, it orders what was before.
                map.handed.store(1, Ordering::Release);
            })
        };
        if map.handed.load(Ordering::Acquire) == 1 {
            assert_eq!(map.distance.load(Ordering::Relaxed), 1);
            assert_eq!(map.class.load(Ordering::Relaxed), 7);
        }
        // Somebody with a foreign pointer: the leaf is whole, or not there.
        if map.distance.load(Ordering::Acquire) != 0 {
            map.record.touch();
        }
        maker.join().unwrap();
    });
}

/// The run cache: an object is in a slot, or one thread's own; hits are counted once each.
#[test]
fn an_object_that_waits_goes_to_one_taker_and_is_counted_once() {
    const LG_HITS: u32 = 32;
    struct Slot {
        word: AtomicU64,
        objects: [Owned; 3],
    }
    impl Slot {
        fn take(&self) -> Option<u32> {
            let mut seen = self.word.load(Ordering::Relaxed);
            loop {
                let record = (seen >> LG_HITS) as u32;
                if record == 0 {
                    return None;
                }
                let taken = (seen + 1) & u64::from(u32::MAX);
                match self.word.compare_exchange_weak(
                    seen,
                    taken,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(record),
                    Err(now) => seen = now,
                }
            }
        }

        /// Leaves one here; the answer is the one that waited.
        fn put(&self, record: u32) -> u32 {
            let mut seen = self.word.load(Ordering::Relaxed);
            loop {
                let with = u64::from(record) << LG_HITS | (seen & u64::from(u32::MAX));
                match self.word.compare_exchange_weak(
                    seen,
                    with,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return (seen >> LG_HITS) as u32,
                    Err(now) => seen = now,
                }
            }
        }
    }
    loom::model(|| {
        let slot = Arc::new(Slot {
            word: AtomicU64::new(0),
            objects: [Owned::new(), Owned::new(), Owned::new()],
        });
        let users: Vec<_> = [1, 2]
            .map(|record| {
                let slot = slot.clone();
                thread::spawn(move || {
                    slot.objects[record as usize].touch();
                    let displaced = slot.put(record);
                    if displaced != 0 {
                        slot.objects[displaced as usize].touch();
                    }
                    let taken = slot.take();
                    if let Some(taken) = taken {
                        slot.objects[taken as usize].touch();
                    }
                    (u32::from(displaced != 0), u32::from(taken.is_some()))
                })
            })
            .into_iter()
            .collect();
        let ends: Vec<_> = users.into_iter().map(|user| user.join().unwrap()).collect();
        let (displaced, taken) = ends
            .iter()
            .fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
        let word = slot.word.load(Ordering::Relaxed);
        assert_eq!(word as u32, taken, "hits");
        assert_eq!(
            displaced + taken + u32::from(word >> LG_HITS != 0),
            2,
            "objects"
        );
    });
}

/// The boot: one thread does it, and whoever comes later sees all of it.
#[test]
fn one_thread_boots_and_the_others_see_it_done() {
    const NEW: u32 = 0;
    const BOOTING: u32 = 1;
    const READY: u32 = 2;
    struct Process {
        state: AtomicU32,
        settings: Owned,
        boots: AtomicU32,
    }
    fn ensure(process: &Process) {
        loop {
            match process
                .state
                .compare_exchange(NEW, BOOTING, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => {
                    process.settings.touch();
                    process.boots.fetch_add(1, Ordering::Relaxed);
                    process.state.store(READY, Ordering::Release);
                    return;
                }
                Err(READY) => return,
                Err(_) => thread::yield_now(),
            }
        }
    }
    loom::model(|| {
        let process = Arc::new(Process {
            state: AtomicU32::new(NEW),
            settings: Owned::new(),
            boots: AtomicU32::new(0),
        });
        let others: Vec<_> = (0..2)
            .map(|_| {
                let process = process.clone();
                thread::spawn(move || {
                    ensure(&process);
                    // SAFETY: written before the boot was over; the checker verifies it.
                    process
                        .settings
                        .0
                        .with(|value| unsafe { assert_eq!(*value, 1) });
                })
            })
            .collect();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(process.boots.load(Ordering::Relaxed), 1);
    });
}

/// Rule L3 of the counters: one thread writes, anybody reads; numbers only grow, and the last is exact.
#[test]
fn a_counter_with_one_writer_is_read_by_others() {
    loom::model(|| {
        let counter = Arc::new(AtomicU64::new(0));
        let writer = {
            let counter = counter.clone();
            thread::spawn(move || {
                for more in [3, 4] {
                    let before = counter.load(Ordering::Relaxed);
                    counter.store(before + more, Ordering::Relaxed);
                }
            })
        };
        let (first, second) = (
            counter.load(Ordering::Relaxed),
            counter.load(Ordering::Relaxed),
        );
        assert!(first <= second && [0, 3, 7].contains(&second));
        writer.join().unwrap();
        assert_eq!(counter.load(Ordering::Relaxed), 7);
    });
}
