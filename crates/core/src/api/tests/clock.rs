//! Idle memory and time: the clock stands still unless it is turned.

use super::model::{Model, Plan, assert_empty};
use crate::api::{alloc, dealloc, footprint, trim};
use crate::extent::HEAP;
use crate::size::PAGE;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::{bare, clock, memory};
use jemoxide_testkit::naive::LiveRanges;
use std::vec::Vec;

const MS: u64 = 1_000_000;
/// The decay time that the options set where nothing is said.
const DECAY_MS: u64 = 10_000;

fn touch(object: *mut u8, bytes: usize) {
    // SAFETY: an object of that many bytes.
    (0..bytes)
        .step_by(PAGE)
        .for_each(|at| unsafe { object.add(at).write(1) });
}

/// Slow entries, so many that a tick comes; they change nothing.
fn idle_along() {
    (0..130).for_each(|_| {
        footprint();
    });
}

/// Objects of `bytes`, all touched.
fn objects(count: usize, bytes: usize) -> Vec<*mut u8> {
    let objects: Vec<_> = (0..count).map(|_| alloc(bytes)).collect();
    objects.iter().for_each(|&object| touch(object, bytes));
    objects
}

fn free(objects: Vec<*mut u8>) {
    // SAFETY: live objects, each freed once.
    objects
        .into_iter()
        .for_each(|object| unsafe { dealloc(object) });
}

#[test]
fn idle_pages_leave_along_the_decay_curve_and_not_before() {
    alone(|| {
        idle_along();
        HEAP.set_adaptive(false);
        trim();
        // Below the amount that may be idle at any time: only time counts.
        free(objects(6, 2 << 20));
        let begin = footprint().dirty;
        assert!(begin >= 12 << 20);
        let purged = memory::purged_bytes();
        (0..20).for_each(|_| idle_along());
        assert_eq!(footprint().dirty, begin, "no time has passed");
        // The first tick begins the epochs.
        let mut last = begin;
        let mut half_at = None;
        let steps = 100;
        for step in 1..=steps {
            clock::turn(DECAY_MS * MS / steps);
            idle_along();
            let dirty = footprint().dirty;
            assert!(dirty <= last, "idle pages came from nowhere");
            if step * 10 <= steps {
                assert!(
                    dirty * 20 >= begin * 19,
                    "{step} %: {dirty} of {begin} left"
                );
            }
            if dirty <= begin / 2 {
                half_at.get_or_insert(step);
            }
            last = dirty;
        }
        // The curve is symmetric: half is gone at half the time.
        assert!(
            half_at.is_some_and(|step| (45..=55).contains(&step)),
            "half was gone at {half_at:?} %"
        );
        clock::turn(DECAY_MS * MS / 50);
        idle_along();
        assert_eq!(footprint().dirty, 0, "all of it had its time");
        assert!(memory::purged_bytes() - purged >= begin as u64);
    });
}

#[test]
fn enough_idle_memory_asks_for_the_purge_thread_and_a_refusal_is_remembered() {
    alone(|| {
        idle_along();
        free(objects(3, 2 << 20));
        idle_along();
        assert_eq!(bare::asked(), 0, "6 MiB are not worth a thread");
        let six = objects(3, 2 << 20);
        // SAFETY: live objects; one call of many that none follows.
        unsafe { dealloc(alloc(6 << 20)) };
        assert_eq!(bare::asked(), 0, "still within what was there");
        free(six);
        assert_eq!(bare::asked(), 1, "the free itself asks");
        free(objects(6, 2 << 20));
        idle_along();
        assert_eq!(bare::asked(), 1, "it was refused");
        clock::turn(61_000 * MS);
        idle_along();
        free(objects(6, 2 << 20));
        assert_eq!(bare::asked(), 2, "a minute later it may be had");
    });
}

#[test]
fn what_was_needed_lately_may_idle_and_the_rest_goes_in_two_seconds() {
    alone(|| {
        idle_along();
        HEAP.set_adaptive(false);
        for _ in 0..3 {
            free(objects(40, 2 << 20));
            clock::turn(300 * MS);
            idle_along();
            let dirty = footprint().dirty;
            assert!(dirty >= 78 << 20, "{dirty} bytes: the next wave needs them");
        }
        for _ in 0..22 {
            clock::turn(100 * MS);
            idle_along();
        }
        let dirty = footprint().dirty;
        assert!(dirty <= 16 << 20, "{dirty} bytes are idle");
        assert!(
            dirty >= 8 << 20,
            "{dirty} bytes only: they may stay for their time"
        );
    });
}

#[test]
fn small_objects_leave_caches_depot_and_slabs_in_about_a_second() {
    alone(|| {
        idle_along();
        trim();
        let (count, bytes) = (120_000, 64);
        let small = objects(count, bytes);
        assert!(footprint().allocated >= count * bytes);
        free(small);
        // Freed, but kept at hand: the next wave may come.
        let held = footprint();
        assert_eq!(held.allocated, 0);
        assert!(
            held.active >= count * bytes * 9 / 10,
            "the wave is kept: {held:?}"
        );
        idle_along();
        assert_eq!(footprint().active, held.active, "no time has passed");
        // One step gives back so much at most: about a second for the window, and some steps.
        for _ in 0..100 {
            clock::turn(50 * MS);
            idle_along();
        }
        let later = footprint().active;
        assert!(
            later <= 1 << 20,
            "{later} bytes of {} are still kept",
            held.active
        );
        // And then the pages go, in their time.
        for _ in 0..110 {
            clock::turn(DECAY_MS * MS / 100);
            idle_along();
        }
        assert_eq!(footprint().dirty, 0);
    });
}

#[test]
fn a_wave_that_comes_again_finds_its_memory() {
    alone(|| {
        idle_along();
        let mut calls = 0;
        for wave in 0..6 {
            free(objects(50_000, 64));
            clock::turn(300 * MS);
            idle_along();
            if wave == 1 {
                calls = memory::calls();
            }
        }
        assert_eq!(
            memory::calls(),
            calls,
            "the system was asked though nothing changed"
        );
    });
}

#[test]
fn the_run_cache_is_emptied_within_seconds() {
    alone(|| {
        idle_along();
        trim();
        // One each of many lengths: all wait in the run cache.
        let long: Vec<*mut u8> = (9..60).map(|pages| alloc(pages * PAGE)).collect();
        let bytes: usize = (9..60).sum::<usize>() * PAGE;
        free(long);
        // Waiting objects count as idle, not as active.
        let figures = footprint();
        assert_eq!((figures.allocated, figures.active), (0, 0), "{figures:?}");
        assert!(figures.dirty >= bytes);
        clock::turn(1500 * MS);
        idle_along();
        let again = alloc(30 * PAGE);
        // SAFETY: just allocated.
        unsafe { dealloc(again) };
        for _ in 0..110 {
            clock::turn(DECAY_MS * MS / 100);
            idle_along();
        }
        assert_eq!(footprint().dirty, 0);
    });
}

#[test]
fn trimming_gives_everything_back_at_once() {
    alone(|| {
        let (long, small) = (objects(10, 300_000), objects(20_000, 100));
        let kept = objects(10, 5000);
        free(long);
        free(small);
        assert!(footprint().dirty > 2 << 20);
        assert!(trim() >= 4 << 20, "the bytes that went are counted");
        let figures = footprint();
        assert_eq!(figures.dirty, 0);
        assert_eq!(figures.allocated, 10 * 5120);
        assert_eq!(trim(), 0, "nothing is left to give");
        free(kept);
    });
}

/// A step looks past so much memory of another kind only; what lies behind is reached all the same.
#[test]
fn trimming_reaches_what_lies_behind_gigabytes_of_another_kind() {
    alone(|| {
        let long =
            |count: usize| -> Vec<*mut u8> { (0..count).map(|_| alloc(600 << 20)).collect() };
        idle_along();
        // Addresses in a row, nothing of it ever touched.
        let (front, middle, back) = (long(2), long(4), long(2));
        // What is freed now stays until it is asked for.
        HEAP.set_decay_ms(0, -1);
        free(middle);
        HEAP.set_decay_ms(-1, -1);
        free(back);
        free(front);
        assert!(footprint().dirty >= 8 * (600 << 20));
        trim();
        assert_eq!(footprint().dirty, 0);
    });
}

/// A clock that jumps: days ahead, as after a sleep of the machine, and back, as the contract excludes and a process that
/// was stored and continued elsewhere may see. Nothing is lost, and idle memory leaves once the clock has caught up.
#[test]
fn a_clock_that_jumps_loses_nothing() {
    alone(|| {
        let live = LiveRanges::new();
        let plan = Plan {
            most_bytes: 16 << 20,
            most_blocks: 2000,
            max_size: 1 << 20,
            max_align: 4096,
            may_fail: false,
            ages: true,
        };
        let mut model = Model::new(plan, 3, &live);
        for step in 0..rounds(3000) {
            model.step();
            match model.dice.below(200) {
                0 => clock::turn(3_600_000_000_000),
                1 => clock::turn(1 << 50),
                2 => clock::turn_back(1),
                3 => clock::turn_back(5_000_000_000),
                4 => clock::turn_back(u64::MAX),
                5 => idle_along(),
                _ => {}
            }
            if step % 1000 == 999 {
                model.check(true);
            }
        }
        model.clear();
        model.check(true);
        clock::turn(1 << 60);
        for _ in 0..40 {
            clock::turn(1_000_000_000);
            idle_along();
        }
        assert_eq!(footprint().dirty, 0);
        assert_empty();
    });
}
