//! What becomes of samples apart from a free: slabs that empty, resizes in place, arenas that are reset, threads past their ends,
//! switches while threads run.

use crate::api::sampling::{self, sample_of};
use crate::api::{
    Flags, alloc, alloc_known, alloc_with, dealloc, dealloc_known, profile, realloc, realloc_known,
    resize_in_place, slow, usable_size,
};
use crate::arena::misuse::Misuse;
use crate::arena::{large, manual, sampled};
use crate::options::Dss;
use crate::prof;
use crate::size::class_of;
use crate::sys::simulated::child::alone;
use crate::thread::Inside;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::vec::Vec;

/// Has all allocations of the calling thread be samples, or none.
fn sample_all(on: bool) {
    prof::switch(on.then_some(0), 1);
    slow::enter(|_| ());
}

/// Bytes asked for and objects alive, of the class of `usable` bytes.
fn live(usable: usize) -> [u64; 2] {
    prof::class_counts(class_of(usable).unwrap().index()).live
}

#[test]
fn a_second_free_is_one_after_the_slab_has_gone() {
    alone(|| {
        sample_all(true);
        // More than a slab: all but the last one go as they empty, that one with the trim.
        let objects: Vec<*mut u8> = (0..100).map(|_| alloc(100)).collect();
        let never = objects[0].wrapping_add(48);
        for &object in &objects {
            assert!(sample_of(object).is_some());
            // SAFETY: allocated above.
            unsafe { dealloc(object) };
        }
        sampled::release_empty();
        assert_eq!(sampled::bytes(), 0);
        for &object in &objects {
            assert_eq!(large::inspect(object), Err(Misuse::DoubleFree), "G3");
        }
        assert_eq!(large::inspect(never), Err(Misuse::Foreign));
        let mut own = 0;
        assert_eq!(large::inspect(&raw mut own), Err(Misuse::Foreign));
        sample_all(false);
    });
}

#[test]
fn the_place_of_eights_goes_whole_and_comes_again() {
    alone(|| {
        sample_all(true);
        for _ in 0..2 {
            // Several pages of them.
            let objects: Vec<*mut u8> = (0..1000).map(|_| alloc_known(8, 8, false)).collect();
            assert!(objects.iter().all(|&object| sampled::is_eight(object)));
            let last = objects[500];
            for &object in objects.iter().filter(|&&object| object != last) {
                // SAFETY: allocated above.
                unsafe { dealloc_known(object, 8, 8) };
            }
            sampled::release_empty();
            assert!(sampled::is_eight(last), "Q1: one is left");
            // SAFETY: as above.
            unsafe { dealloc_known(last, 8, 8) };
            sampled::release_empty();
            assert!(!sampled::is_eight(last) && sampled::bytes() == 0, "Q1");
        }
        sample_all(false);
    });
}

#[test]
fn a_resize_within_the_class_is_no_event_and_tells_what_was_asked_for() {
    alone(|| {
        sample_all(true);
        for (before, now) in [(100, 105), (20_000, 20_400), (200_000, 200_500)] {
            let object = alloc(before);
            // SAFETY: just allocated.
            let usable = unsafe { usable_size(object) };
            let sample = sample_of(object);
            assert!(sample.is_some());
            assert_eq!(live(usable), [before as u64, 1]);
            // SAFETY: a live object.
            unsafe {
                assert_eq!(realloc(object, now, 1, false), object);
                assert_eq!(live(usable), [now as u64, 1]);
                assert_eq!(resize_in_place(object, before, 0, 1, false), usable);
            }
            assert_eq!(sample_of(object), sample, "the same sample");
            assert_eq!(live(usable), [before as u64, 1]);
            // SAFETY: as above.
            unsafe { dealloc(object) };
            assert_eq!(live(usable), [0, 0]);
        }
        sample_all(false);
    });
}

static RELEASED: AtomicUsize = AtomicUsize::new(0);

/// A hook that allocates, and so would be told of its own objects if they were samples.
unsafe extern "C" fn released(object: *const core::ffi::c_void, usable: usize) {
    assert!(!object.is_null() && usable > 0);
    RELEASED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: allocated by the first call.
    unsafe { dealloc(alloc(100)) };
}

#[test]
fn what_an_arena_discards_counts_as_freed_and_hooks_are_told() {
    alone(|| {
        sample_all(true);
        let hook: prof::hooks::Released = released;
        prof::hooks::Hook::Released.set((hook as *const ()).expose_provenance());
        let index = manual::create(core::ptr::null_mut(), (0, 0), Dss::Disabled).unwrap();
        let flags = Flags::new((index as i32 + 1) << 20 | 1 << 8);
        let arena = manual::get(index).unwrap();
        for (round, is_end) in [false, true].into_iter().enumerate() {
            for size in [100, 100, 5000, 40_000] {
                assert!(sample_of(alloc_with(size, flags)).is_some());
            }
            assert_eq!(live(112), [200, 2]);
            slow::enter(|cache| match is_end {
                false => arena.reset(Inside(cache)),
                true => assert!(arena.destroy(Inside(cache))),
            });
            for usable in [112, 5120, 40_960] {
                assert_eq!(live(usable), [0, 0], "freed");
            }
            assert_eq!(RELEASED.load(Ordering::Relaxed), 4 * (round + 1));
        }
        prof::hooks::Hook::Released.set(0);
        sample_all(false);
    });
}

#[test]
fn threads_past_their_ends_have_the_switch_that_threads_begin_with() {
    alone(|| {
        sample_all(true);
        assert!(sampling::is_due(None, 1 << 20));
        prof::set_active_at_first(false);
        assert!(!sampling::is_due(None, 1 << 20));
        prof::set_active_at_first(true);
        assert!(sampling::is_due(None, 1 << 20));
        sample_all(false);
        assert!(!sampling::is_due(None, 1 << 20));
    });
}

#[test]
fn rust_switches_sampling_while_threads_run() {
    const THREADS: usize = 3;
    /// Objects that every thread allocates before it has surely heard of a switch: two full magazines.
    const HEARD: u64 = 2000;
    static PASSED: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    fn samples() -> u64 {
        let counts = prof::class_counts(class_of(64).unwrap().index());
        counts.cumulative[1]
    }
    fn let_pass(objects: u64) {
        let before = PASSED
            .each_ref()
            .map(|passed| passed.load(Ordering::Relaxed));
        while !(PASSED.iter().zip(before))
            .all(|(passed, before)| passed.load(Ordering::Relaxed) > before + objects)
        {
            std::thread::yield_now();
        }
    }
    alone(|| {
        profile::set_lg_sample(10);
        std::thread::scope(|scope| {
            for passed in &PASSED {
                scope.spawn(move || {
                    while !IS_OVER.load(Ordering::Relaxed) {
                        // SAFETY: just allocated.
                        unsafe { dealloc(alloc(64)) };
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let_pass(HEARD);
            assert_eq!(samples(), 0);
            for _ in 0..20 {
                profile::start();
                assert!(profile::is_active());
                let_pass(HEARD);
                let (before, passed) = (samples(), 10_000);
                let_pass(passed);
                // 1 in 16.5 is one.
                assert!(samples() > before + passed / 20 * THREADS as u64 / 2);
                profile::stop();
                assert!(!profile::is_active());
                let_pass(HEARD);
                let before = samples();
                let_pass(HEARD);
                assert_eq!(samples(), before, "N6");
            }
            IS_OVER.store(true, Ordering::Relaxed);
        });
    });
}

/// Frames of the last sample that a hook was told of, or that [`own_frames`] found.
static FRAMES: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

fn keep(frames: &[usize]) {
    for (at, place) in FRAMES.iter().enumerate() {
        place.store(frames.get(at).copied().unwrap_or(0), Ordering::Relaxed);
    }
}

unsafe extern "C" fn told(
    _: *const core::ffi::c_void,
    _: usize,
    frames: *mut *mut core::ffi::c_void,
    count: core::ffi::c_uint,
    _: usize,
) {
    // SAFETY: so many addresses.
    let frames = unsafe { core::slice::from_raw_parts(frames.cast::<usize>(), count as usize) };
    keep(frames);
}

/// Does `allocate`, and expects that its sample's first frame is here, in a function that calls the allocator, and the others
/// are this function's callers.
#[inline(never)]
fn expect_caller(what: &str, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    #[inline(never)]
    fn caller(allocate: &dyn Fn() -> *mut u8, here: &mut [usize; 7]) -> *mut u8 {
        prof::unwind::capture(here);
        allocate()
    }
    FRAMES[0].store(0, Ordering::Relaxed);
    let mut here = [0; 7];
    let object = caller(&allocate, &mut here);
    let frames = FRAMES.each_ref().map(|frame| frame.load(Ordering::Relaxed));
    assert_ne!(frames[0], 0, "{what}: no sample");
    // The closure that calls the allocator, then `caller`, at another place than where it looked.
    assert!(
        frames[1].abs_diff(here[0]) < 256,
        "{what}: {frames:x?}, {here:x?}"
    );
    assert_eq!(frames[2..], here[1..], "{what}");
    object
}

#[test]
fn stacks_of_rust_programs_begin_with_the_caller() {
    alone(|| {
        // With the options' depth of stacks.
        profile::start();
        sample_all(true);
        let hook: prof::hooks::Sampled = told;
        prof::hooks::Hook::Sampled.set((hook as *const ()).expose_provenance());
        let arena = crate::api::Arena::new().unwrap();
        let layout = core::alloc::Layout::from_size_align(100, 8).unwrap();
        for size in [8, 100, 5000, 100_000, 3 << 20] {
            for align in [8, 64] {
                // Another class in any case.
                let larger = 3 * size + align;
                let object = expect_caller("alloc", || alloc_known(size, align, false));
                // SAFETY: a live object, whose place is the answer.
                let object = expect_caller("realloc", || unsafe {
                    realloc_known(object, size, align, larger)
                });
                // SAFETY: as above.
                unsafe { dealloc_known(object, larger, align) };
                let object = expect_caller("alloc_zeroed", || alloc_known(size, align, true));
                // SAFETY: as above.
                unsafe { dealloc_known(object, size, align) };
            }
        }
        for object in [
            expect_caller("arena", || arena.alloc(layout)),
            expect_caller("arena, zeroed", || arena.alloc_zeroed(layout)),
        ] {
            // SAFETY: as above.
            unsafe { arena.dealloc(object, layout) };
        }
        prof::hooks::Hook::Sampled.set(0);
        sample_all(false);
    });
}
