//! Decay that adapts to what becomes of purged pages, and to silence.

use super::{WRITTEN, heap};
use crate::extent::DirtyBound;
use crate::extent::heap::PageHeap;
use crate::size::{PAGE, Pages};
use crate::sys::simulated::{clock, memory as gate};
use std::vec::Vec;

const SECOND: u64 = 1_000_000_000;
const RUN: usize = 500;

/// Turns the clock by tenths of a second, with a tick each.
fn pass(heap: &PageHeap, tenths: u64) {
    for _ in 0..tenths {
        clock::turn(SECOND / 10);
        heap.tick(clock::now_ns());
    }
}

/// Takes `runs` runs and gives them back.
fn wave(heap: &PageHeap, runs: usize) {
    let runs: Vec<_> = (0..runs)
        .map(|_| heap.alloc(Pages(RUN), 1, WRITTEN).unwrap())
        .collect();
    for run in runs {
        // SAFETY: held, and given back once.
        unsafe { heap.dealloc(run.addr, Pages(RUN)) };
    }
}

fn adaptive(is_on: bool) -> &'static PageHeap {
    let heap = heap();
    heap.set_adaptive(is_on);
    heap.tick(clock::now_ns());
    heap
}

fn dirty(heap: &PageHeap) -> usize {
    heap.figures().dirty / PAGE
}

#[test]
fn silence_halves_what_is_left_and_calls_for_pages_end_it() {
    let heap = adaptive(true);
    wave(heap, 6);
    pass(heap, 40);
    // Without: 84 % of the pages are there after four seconds. With: nine seconds left become four, three become one and a half.
    assert!(dirty(heap) < 6 * RUN / 20, "{}", dirty(heap));
    pass(heap, 20);
    assert_eq!(dirty(heap), 0);
    // Who asks for pages every half second is not silent, whatever else idles.
    wave(heap, 6);
    for _ in 0..8 {
        pass(heap, 5);
        wave(heap, 1);
    }
    assert!(dirty(heap) > 6 * RUN / 2, "{}", dirty(heap));
    heap.check();
}

#[test]
fn switched_off_silence_and_refaults_leave_the_curve_as_it_is() {
    let heap = adaptive(false);
    for _ in 0..4 {
        wave(heap, 6);
        let pages = 6 * RUN;
        for tenth in 1..=100 {
            pass(heap, 1);
            let x = f64::from(200 - 2 * (tenth - 1)) / 200.0;
            let exact = pages as f64 * (6.0 * x.powi(5) - 15.0 * x.powi(4) + 10.0 * x.powi(3));
            let over = dirty(heap) as f64 - exact;
            assert!(over.abs() <= 2.0, "{tenth}: {} not {exact}", dirty(heap));
        }
        pass(heap, 10);
        assert_eq!(heap.adaptive(), (false, 0));
    }
}

#[test]
fn refaults_lengthen_the_decay_time_and_their_end_brings_it_back() {
    let heap = adaptive(true);
    heap.set_dirty_bound(DirtyBound::of(4 << 30, 100));
    // Waves as far apart as it takes most of the pages to go; a page at a time keeps it from being silent.
    let beat = |seconds: u64| {
        for _ in 0..2 * seconds {
            pass(heap, 5);
            let run = heap.alloc(Pages(1), 1, WRITTEN).unwrap();
            // SAFETY: held, and given back once.
            unsafe { heap.dealloc(run.addr, Pages(1)) };
        }
    };
    let mut before = Vec::new();
    for _ in 0..6 {
        wave(heap, 100);
        beat(7);
        before.push((heap.adaptive().1, dirty(heap)));
    }
    // So many pages are kept that what is still missed costs little: no need for the longest time.
    assert_eq!(before[1].0, 1, "{before:?}");
    assert!(
        before[1].1 > 3 * before[0].1,
        "pages are kept longer: {before:?}"
    );
    // No more waves: it comes back, one whole decay time a step, and the pages go.
    beat(65);
    assert!(heap.adaptive().1 <= 0);
    assert!(
        dirty(heap) < 64,
        "little but the one page that is asked for: {}",
        dirty(heap)
    );
    heap.check();
}

#[test]
fn the_first_use_of_pages_is_no_refault() {
    let heap = adaptive(true);
    let mut runs = Vec::new();
    for _ in 0..60 {
        runs.push(heap.alloc(Pages(700), 1, WRITTEN).unwrap());
        pass(heap, 5);
    }
    assert_eq!(heap.adaptive(), (true, 0));
    for run in runs {
        // SAFETY: held, and given back once.
        unsafe { heap.dealloc(run.addr, Pages(700)) };
    }
}

#[test]
fn the_bound_by_amount_can_be_set_and_follows_at_once() {
    let heap = adaptive(false);
    wave(heap, 24);
    heap.tick(clock::now_ns());
    assert_eq!(dirty(heap), 24 * RUN);
    // The peak is let go first; what is left is what the bound says.
    pass(heap, 21);
    let (most, least) = ((16 << 20) / PAGE, (14 << 20) / PAGE);
    assert!((least..=most).contains(&dirty(heap)), "{}", dirty(heap));
    heap.set_dirty_bound(DirtyBound::of(1 << 20, 0));
    assert!(heap.is_pressed());
    heap.tick(clock::now_ns());
    assert!(dirty(heap) <= (1 << 20) / PAGE, "{}", dirty(heap));
    assert!(!heap.is_pressed());
    // A share: of 200 active ones half may idle.
    heap.set_dirty_bound(DirtyBound::of(0, 50));
    assert_eq!(
        heap.dirty_bound(),
        DirtyBound {
            pages: 0,
            percent: 50
        }
    );
    heap.purge_all();
    let kept: Vec<_> = (0..40)
        .map(|_| heap.alloc(Pages(RUN), 1, WRITTEN).unwrap())
        .collect();
    for run in &kept[..25] {
        // SAFETY: held, and given back once.
        unsafe { heap.dealloc(run.addr, Pages(RUN)) };
    }
    pass(heap, 25);
    let half = 15 * RUN / 2;
    assert!(
        (half * 7 / 8 - 1..=half).contains(&dirty(heap)),
        "{}",
        dirty(heap)
    );
    heap.check();
}

#[test]
fn a_tick_ends_when_its_time_is_over_and_the_next_goes_on() {
    let heap = adaptive(false);
    heap.set_dirty_bound(DirtyBound::of(0, 0));
    heap.set_decay_ms(10_000, 0);
    wave(heap, 40);
    pass(heap, 1);
    heap.purge_all();
    wave(heap, 40);
    clock::turn(3 * SECOND);
    gate::slow_down(100);
    let (mut ticks, mut before) = (0, clock::now_ns());
    heap.tick(before);
    while heap.is_pressed() {
        let now = clock::now_ns();
        // A step after the budget, and the one that reached it.
        assert!(
            now - before <= 200_000 + 2 * 1024 * 100,
            "B3: {} ns",
            now - before
        );
        (ticks, before) = (ticks + 1, now);
        heap.tick(now);
    }
    gate::slow_down(0);
    assert!(ticks > 5, "{ticks}");
    assert_eq!(dirty(heap), 0);
    heap.check();
}

#[test]
fn a_decay_time_that_is_set_leaves_the_other_kind_alone() {
    let heap = heap();
    heap.set_decay_ms(1_000, 5_000);
    heap.tick(clock::now_ns());
    wave(heap, 6);
    pass(heap, 15);
    let muzzy = heap.figures().muzzy;
    assert!(dirty(heap) == 0 && muzzy > 5 * RUN * PAGE, "{muzzy}");
    pass(heap, 30);
    let muzzy = heap.figures().muzzy;
    assert!(muzzy < 6 * RUN * PAGE / 2, "{muzzy}");
    heap.set_decay_ms(2_000, 5_000);
    assert_eq!(heap.decay_ms(), (2_000, 5_000));
    pass(heap, 16);
    assert_eq!(heap.figures().muzzy, 0, "its curve went on");
    heap.check();
}
