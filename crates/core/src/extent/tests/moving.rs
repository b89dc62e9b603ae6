//! Idle memory is moved to where it is needed.

use super::{Twin, WRITTEN, heap};
use crate::extent::heap::{PageHeap, Purpose, Run};
use crate::size::{PAGE, Pages};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::memory as gate;
use std::vec::Vec;

/// Runs of `pages` pages, written whole, of which every other is given back: what idles lies scattered.
fn scatter(heap: &'static PageHeap, count: usize, pages: usize) -> Vec<Run> {
    let runs: Vec<Run> = (0..count)
        .map(|_| heap.alloc(Pages(pages), 1, WRITTEN).unwrap())
        .collect();
    let mut kept = Vec::new();
    for (index, run) in runs.into_iter().enumerate() {
        // SAFETY: held; every other is given back, once.
        unsafe {
            run.addr.as_ptr().write_bytes(index as u8 | 1, pages * PAGE);
            if index % 2 == 0 {
                heap.dealloc(run.addr, Pages(pages));
            } else {
                kept.push(run);
            }
        }
    }
    kept
}

pub(super) fn give_all(heap: &'static PageHeap, runs: Vec<Run>, pages: usize) {
    for run in runs {
        // SAFETY: held, and given back once.
        unsafe { heap.dealloc(run.addr, Pages(pages)) };
    }
}

#[test]
fn scattered_idle_memory_is_moved_to_where_it_is_needed() {
    let heap = heap();
    let kept = scatter(heap, 40, 64);
    assert_eq!(heap.figures().dirty, 20 * 64 * PAGE);
    // No free run with memory is so long; the memory of ten is.
    let run = heap.alloc(Pages(640), 1, WRITTEN).unwrap();
    assert!(!run.zeroed);
    heap.check();
    assert_eq!(heap.figures().dirty, 10 * 64 * PAGE);
    // SAFETY: pages of the run.
    let page = |at: usize| unsafe { run.addr.as_ptr().add(at * PAGE).read() };
    assert!((0..640).all(|at| page(at) != 0), "memory of its own");
    for (index, run) in kept.iter().enumerate() {
        // SAFETY: held, and written above.
        let byte = unsafe { run.addr.as_ptr().add(63 * PAGE).read() };
        assert_eq!(byte, (2 * index + 1) as u8 | 1);
    }
    // What the memory was moved from serves again, and reads zero.
    let bare = heap.alloc(Pages(64), 1, WRITTEN).unwrap();
    let again = heap.alloc(Pages(640), 1, Purpose::Zeroed).unwrap();
    for (run, pages) in [(bare, 64), (again, 640)] {
        if run.zeroed {
            Twin::assert_zero(run.addr.addr().get(), pages);
        }
    }
    assert!(again.zeroed, "nothing is moved to what shall read zero");
    heap.check();
    give_all(heap, std::vec![run, again], 640);
    give_all(heap, kept, 64);
}

#[test]
fn where_moving_is_refused_nothing_is_lost_and_it_is_not_tried_for_ever() {
    alone(|| {
        let heap = heap();
        let kept = scatter(heap, 24, 64);
        let mut long = Vec::new();
        let mut refused = 0;
        for _ in 0..5 {
            gate::refuse(0, u64::MAX);
            let calls = gate::calls();
            let run = heap.alloc(Pages(100), 1, WRITTEN).unwrap();
            gate::refuse(u64::MAX, 0);
            refused += gate::calls() - calls;
            assert_eq!(heap.figures().dirty, 12 * 64 * PAGE);
            Twin::assert_zero(run.addr.addr().get(), 100);
            long.push(run);
            heap.check();
        }
        assert_eq!(refused, 8, "two for each request, and none for the last");
        give_all(heap, long, 100);
        give_all(heap, kept, 64);
    });
}

#[test]
fn where_several_threads_allocate_only_what_is_long_to_copy_is_moved() {
    let heap = heap();
    let kept = scatter(heap, 24, 64);
    heap.set_threads(2);
    let run = heap.alloc(Pages(100), 1, WRITTEN).unwrap();
    assert_eq!(heap.figures().dirty, 12 * 64 * PAGE, "M4");
    heap.set_threads(1);
    let moved = heap.alloc(Pages(100), 1, WRITTEN).unwrap();
    assert!(heap.figures().dirty < 12 * 64 * PAGE);
    heap.set_threads(2);
    let moves = |pages: usize| {
        let runs = [(); 2].map(|()| heap.alloc(Pages(pages), 1, Purpose::Zeroed).unwrap());
        // SAFETY: two runs of that many pages, held; nobody needs what is in them.
        let moved = unsafe { heap.relocate(runs[0].addr, runs[1].addr, Pages(pages)) };
        heap.check();
        give_all(heap, runs.into(), pages);
        moved.is_some()
    };
    assert!(!moves(512) && moves(1024));
    give_all(heap, std::vec![run, moved], 100);
    give_all(heap, kept, 64);
}
