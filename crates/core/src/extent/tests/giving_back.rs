//! Giving back: when, how much, and what first.

use super::{Random, Twin, WRITTEN, heap, word};
use crate::extent::descriptor::Kind::Dirty;
use crate::extent::heap::Run;
use crate::extent::purge::Batch;
use crate::extent::state::Idle;
use crate::size::{HUGE, HUGE_PAGES, PAGE, Pages};
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::{clock, memory as gate};
use core::ptr::NonNull;
use std::vec::Vec;

#[test]
fn large_system_pages_are_purged_whole_or_not_at_all() {
    for grain in [4, 16] {
        let heap = heap();
        heap.grain
            .store(grain, core::sync::atomic::Ordering::Relaxed);
        let mut twin = Twin::new(heap);
        let mut random = Random(grain.into());
        for step in 0..rounds(2000) {
            twin.step(
                &mut random,
                if step / 400 % 2 == 0 { 20_000 } else { 2_000 },
            );
            if step % 16 == 0 {
                twin.check();
            }
            if step % 50 == 0 {
                heap.purge_all();
                // What is left idle shares a system page with pages in use.
                for huge in heap.state.lock().descriptors() {
                    let grain = usize::from(grain);
                    for group in 0..HUGE_PAGES / grain {
                        let pages = group * grain..(group + 1) * grain;
                        let all_free = pages.clone().all(|page| !huge.used.has(page));
                        let any_dirty = pages
                            .clone()
                            .any(|page| !huge.used.has(page) && huge.touched.has(page));
                        assert!(!(all_free && any_dirty), "a whole system page was left");
                    }
                }
            }
        }
    }
}

#[test]
fn idle_pages_leave_along_the_curve() {
    let heap = heap();
    heap.set_decay_ms(10_000, 0);
    heap.tick(clock::now_ns());
    let pages = 3000;
    let run = heap.alloc(Pages(pages), 1, WRITTEN).unwrap();
    // SAFETY: the run is the test's, and given back once.
    unsafe {
        run.addr.as_ptr().write_bytes(1, pages * PAGE);
        heap.dealloc(run.addr, Pages(pages));
    }
    for epoch in 0..=200 {
        clock::turn(50_000_000);
        heap.tick(clock::now_ns());
        let x = f64::from(200 - epoch) / 200.0;
        let exact = pages as f64 * (6.0 * x.powi(5) - 15.0 * x.powi(4) + 10.0 * x.powi(3));
        let dirty = heap.figures().dirty / PAGE;
        assert!(
            (dirty as f64 - exact).abs() <= 2.0,
            "epoch {epoch}: {dirty}, not {exact}"
        );
        heap.check();
    }
    let figures = heap.figures();
    assert_eq!(figures.dirty_purges.purged_pages, pages);
    assert!(figures.dirty_purges.nmadvise >= figures.dirty_purges.npurge);
}

#[test]
fn idle_pages_are_bounded_by_what_was_active_lately_but_not_without_decay() {
    const PAGES: usize = 1280;
    for (dirty_ms, bounded) in [(10_000, true), (-1, false)] {
        let heap = heap();
        heap.set_decay_ms(dirty_ms, 0);
        heap.tick(clock::now_ns());
        let wave = |runs: usize| {
            let runs: Vec<Run> = (0..runs)
                .map(|_| heap.alloc(Pages(PAGES), 1, WRITTEN).unwrap())
                .collect();
            for run in runs {
                // SAFETY: held, and given back once.
                unsafe { heap.dealloc(run.addr, Pages(PAGES)) };
            }
            heap.tick(clock::now_ns());
            heap.figures().dirty
        };
        assert_eq!(wave(20), 20 * PAGES * PAGE, "the wave may come again");
        clock::turn(900_000_000);
        assert!(wave(10) >= 19 * PAGES * PAGE);
        // The high wave is in the last window still; then it is not.
        clock::turn(900_000_000);
        assert!(wave(10) >= 19 * PAGES * PAGE);
        clock::turn(900_000_000);
        let slack = (10 * PAGES * PAGE / 2).max(16 << 20);
        assert_eq!(wave(10) <= 10 * PAGES * PAGE + slack, bounded);
        for _ in 0..2 {
            clock::turn(1_000_000_000);
            heap.tick(clock::now_ns());
        }
        assert_eq!(heap.figures().dirty <= 16 << 20, bounded);
        heap.check();
    }
}

#[test]
fn pages_on_their_way_through_a_call_are_nobodys() {
    let heap = heap();
    heap.set_decay_ms(-1, 0);
    let mut twin = Twin::new(heap);
    let mut random = Random(2024);
    for round in 0..150 {
        let mut batch = Batch::new();
        let want = 1 + random.below(3000);
        heap.state.lock().collect(&mut batch, Dirty, want, 1);
        for _ in 0..random.below(40) {
            twin.step(&mut random, if round / 20 % 2 == 0 { 8_000 } else { 1_000 });
        }
        let refused = random.below(4) == 0;
        batch.advise(|addr, bytes| {
            let addr = NonNull::new(word(addr).cast()).unwrap();
            // SAFETY: pages of the heap that are marked taken.
            !refused && unsafe { gate::purge(addr, bytes) }
        });
        heap.state.lock().finish(&mut batch, Dirty, Idle::Zero);
        twin.check();
    }
}

#[test]
fn whole_huge_pages_and_long_idle_ones_go_first() {
    let heap = heap();
    heap.set_decay_ms(-1, 0);
    let now = clock::now_ns();
    let whole = heap.alloc(Pages(HUGE_PAGES), 1, WRITTEN).unwrap();
    let parts: Vec<Run> = (0..3)
        .map(|_| heap.alloc(Pages(400), 1, WRITTEN).unwrap())
        .collect();
    let give = |run: &Run, skip: usize, pages: usize, seconds: u64| {
        heap.advance_stamp(now + seconds * 1_000_000_000);
        let addr = NonNull::new(run.addr.as_ptr().wrapping_add(skip * PAGE)).unwrap();
        // SAFETY: a part of a run that the test holds, given back once.
        unsafe { heap.dealloc(addr, Pages(pages)) };
    };
    // The second part is used again last, so the first and third have idled longer.
    give(&parts[1], 300, 50, 1);
    give(&parts[0], 300, 100, 2);
    give(&parts[2], 300, 100, 3);
    give(&parts[1], 350, 50, 4);
    give(&whole, 0, HUGE_PAGES, 5);
    let mut batch = Batch::new();
    let mut state = heap.state.lock();
    state.collect(&mut batch, Dirty, HUGE_PAGES + 150, 1);
    let bases = batch.bases();
    let base = |run: &Run| run.addr.addr().get() & !(HUGE - 1);
    assert_eq!(bases, [base(&whole), base(&parts[0]), base(&parts[2])]);
    let mut calls = Vec::new();
    batch.advise(|addr, bytes| {
        calls.push((addr, bytes));
        true
    });
    assert!(calls.is_sorted());
    state.finish(&mut batch, Dirty, Idle::Clean);
    drop(state);
    heap.check();
    assert_eq!(heap.figures().dirty, 150 * PAGE);
}
