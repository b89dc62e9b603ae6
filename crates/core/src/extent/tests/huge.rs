//! Huge pages: what is collapsed, when, at what cost; against the simulated system's own list of huge pages.

use super::moving::give_all;
use super::{Purpose, Random, Twin, WRITTEN, heap as plain_heap};
use crate::extent::Earner;
use crate::extent::heap::{PageHeap, Run};
use crate::options::{Options, Thp};
use crate::size::{HUGE, HUGE_PAGES, PAGE, Pages};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::{clock, memory as gate};
use std::vec::Vec;

const SECOND: u64 = 1_000_000_000;
/// Huge pages of a process that is not small.
const MANY: usize = 40;

/// Eager: no floor, and a delay of one second.
const EAGER: Options = Options {
    hpa: true,
    ..Options::DEFAULT
};

fn heap(options: &Options) -> &'static PageHeap {
    let heap = plain_heap();
    heap.prepare_huge(options);
    heap
}

/// Asserts that the books and the system agree (V3), and that nothing was purged in vain.
pub(super) fn check(heap: &'static PageHeap) {
    for huge in heap.state.lock().descriptors() {
        let is_huge = gate::is_huge(huge.base());
        assert!(huge.whole.get() || !is_huge, "V3: the system has one more");
        assert!(!huge.held.get() || is_huge, "V3: the system has one less");
    }
    assert_eq!(gate::unsplit_purges(), 0, "V3: purged without a split");
}

/// Takes up to `steps` steps; ends with a round.
pub(super) fn earn(heap: &'static PageHeap, steps: usize) {
    for _ in 0..steps {
        if !heap.earn(clock::now_ns(), Earner::Thread) {
            break;
        }
    }
}

/// Rounds for `seconds`, ten a second.
fn earn_for(heap: &'static PageHeap, seconds: u64) {
    for _ in 0..seconds * 10 {
        clock::turn(SECOND / 10);
        earn(heap, usize::MAX);
    }
}

/// A run of `huges` huge pages at a multiple of their size, written but for `holes` pages of each.
fn written(heap: &'static PageHeap, huges: usize, holes: usize) -> Run {
    let run = heap
        .alloc(Pages(huges * HUGE_PAGES), HUGE, Purpose::Zeroed)
        .unwrap();
    for page in (0..huges * HUGE_PAGES).filter(|page| page % HUGE_PAGES >= holes) {
        // SAFETY: a page of a run just handed out.
        unsafe { run.addr.add(page * PAGE).write(1) };
    }
    run
}

fn held(heap: &'static PageHeap) -> usize {
    heap.check();
    check(heap);
    heap.figures().huge.held / HUGE
}

/// Gives the pages `first..end` of a run back.
fn give(heap: &'static PageHeap, run: Run, pages: core::ops::Range<usize>) {
    // SAFETY: a part of a run of the caller's, who forgets it.
    unsafe {
        let addr = run.addr.add(pages.start * PAGE);
        heap.dealloc(addr, Pages(pages.len()));
    }
}

#[test]
fn dense_pages_are_collapsed_after_the_delay_and_not_before() {
    let heap = heap(&EAGER);
    let run = written(heap, 8, 0);
    earn(heap, usize::MAX);
    clock::turn(SECOND / 2);
    earn(heap, usize::MAX);
    assert_eq!(held(heap), 0);
    earn_for(heap, 2);
    assert_eq!(held(heap), 8);
    assert_eq!(heap.figures().huge.collapses, 8);
    give_all(heap, std::vec![run], 8 * HUGE_PAGES);
    assert_eq!(held(heap), 0);
    heap.purge_all();
    assert_eq!(heap.figures().dirty, 0);
    assert_eq!(heap.figures().huge.splits, 0, "gone as a whole");
    check(heap);
}

#[test]
fn a_small_process_has_none() {
    let heap = heap(&Options::DEFAULT);
    let mut runs = std::vec![written(heap, MANY - 10, 0)];
    earn_for(heap, 5);
    assert!(!heap.is_earning_near(clock::now_ns()));
    assert_eq!(held(heap), 0, "N1");
    runs.push(written(heap, 10, 0));
    earn_for(heap, 5);
    assert_eq!(held(heap), MANY, "V2");
}

#[test]
fn none_where_options_or_the_system_say_so() {
    let no_decay = plain_heap();
    no_decay.set_decay_ms(-1, 0);
    for options in [
        Options {
            huge_budget: 0,
            ..EAGER
        },
        Options {
            thp: Thp::Never,
            ..EAGER
        },
        Options {
            thp: Thp::Always,
            ..EAGER
        },
        Options {
            dirty_decay_ms: -1,
            ..Options::DEFAULT
        },
    ] {
        let heap = heap(&options);
        written(heap, MANY, 0);
        earn_for(heap, 5);
        assert_eq!(heap.figures().huge.collapses, 0, "{options:?}");
    }
    gate::set_huge_policy(gate::HugePolicy::Never);
    let heap = heap(&EAGER);
    written(heap, MANY, 0);
    earn_for(heap, 5);
    assert_eq!(heap.figures().huge.collapses, 0);
    assert!(!heap.is_earning_near(clock::now_ns()));
}

#[test]
fn what_was_not_touched_is_not_collapsed_until_it_is() {
    let heap = heap(&EAGER);
    let run = heap
        .alloc(Pages(8 * HUGE_PAGES), HUGE, Purpose::Zeroed)
        .unwrap();
    earn_for(heap, 5);
    assert_eq!(held(heap), 0);
    // SAFETY: a run of this test's own.
    unsafe { run.addr.as_ptr().write_bytes(1, 8 * HUGE) };
    earn_for(heap, 40);
    assert_eq!(held(heap), 8);
}

#[test]
fn it_comes_to_an_end() {
    let heap = heap(&EAGER);
    heap.alloc(Pages(8 * HUGE_PAGES), HUGE, Purpose::Zeroed)
        .unwrap();
    earn_for(heap, 300);
    assert!(!heap.is_earning_near(clock::now_ns()), "N5");
    let run = written(heap, 8, 0);
    assert!(heap.is_earning_due(clock::now_ns()), "it has grown");
    earn_for(heap, 3);
    assert_eq!(held(heap), 8);
    give_all(heap, std::vec![run], 8 * HUGE_PAGES);
}

#[test]
fn rounding_stays_within_the_budget() {
    for (holes, expected) in [(0, 10), (20, 10), (30, 0), (200, 0)] {
        let heap = heap(&EAGER);
        written(heap, 10, holes);
        earn_for(heap, 5);
        assert_eq!(held(heap), expected, "{holes} holes");
        let huge = heap.figures().huge;
        assert_eq!(huge.filled, expected * holes * PAGE);
        assert!((huge.idle + huge.filled) * 100 <= 5 * (huge.held - huge.filled));
    }
    // What is full pays for what is not.
    let heap = heap(&EAGER);
    written(heap, 10, 0);
    written(heap, 10, 50);
    earn_for(heap, 40);
    // 50 x * 100 <= 5 * (10 * 512 + 462 x)
    assert_eq!(held(heap), 19);
}

#[test]
fn idle_pages_of_a_huge_page_stay_within_the_budget_and_do_not_decay() {
    let heap = heap(&EAGER);
    let run = written(heap, 10, 0);
    earn_for(heap, 2);
    assert_eq!(held(heap), 10);
    for huge in 0..10 {
        give(heap, run, huge * HUGE_PAGES..huge * HUGE_PAGES + 20);
    }
    let purged = gate::purged_bytes();
    for _ in 0..300 {
        clock::turn(SECOND / 10);
        heap.tick(clock::now_ns());
    }
    assert_eq!(held(heap), 10);
    assert_eq!((gate::purged_bytes(), heap.idle_bytes()), (purged, 0), "V1");
    assert_eq!(heap.figures().huge.idle, 200 * PAGE);
    // They serve whoever comes next, before anything else.
    let again = heap.alloc(Pages(20), 1, WRITTEN).unwrap();
    assert!(
        (run.addr..run.addr.map_addr(|addr| addr.saturating_add(10 * HUGE))).contains(&again.addr)
    );
    // Beyond the budget they go.
    for huge in 0..10 {
        give(heap, run, huge * HUGE_PAGES + 20..huge * HUGE_PAGES + 60);
    }
    for _ in 0..300 {
        clock::turn(SECOND / 10);
        earn(heap, usize::MAX);
        heap.tick(clock::now_ns());
    }
    let huge = heap.figures().huge;
    assert!(held(heap) < 10 && huge.splits > 0);
    assert!((huge.idle + huge.filled) * 100 <= 5 * (huge.held - huge.idle));
    assert_eq!(heap.idle_bytes(), 0);
}

#[test]
fn what_was_split_has_to_be_dense_for_longer() {
    let heap = heap(&EAGER);
    let run = written(heap, 8, 0);
    earn_for(heap, 2);
    for lapse in 1..3 {
        assert_eq!(held(heap), 8);
        give(heap, run, 0..200);
        assert_eq!(held(heap), 7, "V1");
        heap.purge_all();
        assert_eq!(heap.figures().huge.splits, lapse);
        check(heap);
        let again = heap.alloc(Pages(200), 1, WRITTEN).unwrap();
        assert_eq!(again.addr, run.addr);
        // SAFETY: a run just handed out.
        unsafe { again.addr.as_ptr().write_bytes(1, 200 * PAGE) };
        let longer = 8 << (3 * (lapse - 1));
        for second in 0..longer {
            assert_eq!(held(heap), 7, "V4: after {second} of {longer} s");
            earn_for(heap, 1);
        }
        earn_for(heap, 4 + longer as u64);
    }
    assert_eq!(held(heap), 8);
}

#[test]
fn moving_takes_a_huge_page_apart() {
    let heap = heap(&EAGER);
    let run = written(heap, 4, 0);
    earn_for(heap, 2);
    assert_eq!(held(heap), 4);
    let to = heap
        .alloc(Pages(5 * HUGE_PAGES), 1, Purpose::Written(4 * HUGE_PAGES))
        .unwrap();
    // SAFETY: two runs of this test's own.
    assert!(unsafe { heap.relocate(run.addr, to.addr, Pages(4 * HUGE_PAGES)) }.is_some());
    assert_eq!(held(heap), 0);
}

#[test]
fn what_a_user_purges_is_split() {
    let heap = heap(&EAGER);
    let run = written(heap, 2, 0);
    earn_for(heap, 2);
    assert_eq!(held(heap), 2);
    let last = run.addr.as_ptr().wrapping_add(HUGE - 2 * PAGE);
    assert!(heap.breaks_up(last, Pages(2)));
    assert_eq!(heap.figures().huge.held, HUGE);
    assert!(!heap.breaks_up(last, Pages(2)), "once is enough");
    assert!(heap.breaks_up(last, Pages(3)), "it reaches into the next");
}

#[test]
fn refusals_make_it_rest_and_lose_nothing() {
    let heap = heap(&EAGER);
    written(heap, 8, 0);
    gate::refuse_collapses(true);
    earn_for(heap, 60);
    let refusals = heap.figures().huge.refusals;
    assert!((4..20).contains(&refusals), "N4: {refusals}");
    assert_eq!(held(heap), 0);
    gate::refuse_collapses(false);
    earn_for(heap, 3000);
    assert_eq!(held(heap), 8);
}

#[test]
fn a_forked_child_leaves_what_it_shares() {
    let heap = heap(&EAGER);
    written(heap, 8, 0);
    heap.note_fork(clock::now_ns(), true);
    let own = written(heap, 8, 0);
    earn_for(heap, 5);
    assert_eq!(held(heap), 8, "V5");
    assert!(gate::is_huge(own.addr.addr().get()));
}

#[test]
fn a_parent_waits_after_a_fork() {
    let heap = heap(&EAGER);
    written(heap, 8, 0);
    earn(heap, usize::MAX);
    heap.note_fork(clock::now_ns(), false);
    earn_for(heap, 8);
    assert_eq!(held(heap), 0);
    earn_for(heap, 8);
    assert_eq!(held(heap), 8);
}

#[test]
fn large_system_pages_are_left_alone() {
    let heap = heap(&EAGER);
    heap.grain.store(4, core::sync::atomic::Ordering::Relaxed);
    written(heap, 8, 0);
    earn_for(heap, 5);
    assert_eq!(heap.figures().huge.collapses, 0);
}

#[test]
fn a_caller_collapses_one_at_a_time() {
    let heap = heap(&EAGER);
    written(heap, 8, 0);
    heap.earn(clock::now_ns(), Earner::Caller);
    clock::turn(2 * SECOND);
    for _ in 0..20 {
        heap.earn(clock::now_ns(), Earner::Caller);
    }
    assert_eq!(held(heap), 1);
    for _ in 0..10 {
        clock::turn(SECOND / 5);
        heap.earn(clock::now_ns(), Earner::Caller);
    }
    assert_eq!(held(heap), 8);
}

#[test]
fn random_use_with_huge_pages_agrees_with_the_twin() {
    let (mut collapses, mut splits) = (0, 0);
    for (seed, (dirty, muzzy)) in [(2_000, 0), (300, 400), (0, 0)].into_iter().enumerate() {
        let quick = Options {
            hpa_hugify_delay_ms: 50,
            hpa_hugification_threshold: 400 * PAGE,
            huge_budget: [5, 20, 50][seed],
            ..EAGER
        };
        let heap = heap(&quick);
        heap.set_decay_ms(dirty, muzzy);
        if seed > 0 {
            // What was moved in is no part of a huge page: in the other runs none is.
            heap.move_refusals
                .store(u8::MAX, core::sync::atomic::Ordering::Relaxed);
        }
        let mut twin = Twin::new(heap);
        let mut random = Random(97 + seed as u64);
        for step in 0..rounds(3000) {
            twin.step(&mut random, [20_000, 8_000][step / 300 % 2]);
            if step % 25 == 0 {
                clock::turn(SECOND / 4);
                earn(heap, usize::MAX);
                twin.check();
            }
        }
        while let Some(addr) = twin.pick(&mut random) {
            twin.dealloc(addr);
        }
        twin.check();
        let huge = heap.figures().huge;
        assert_eq!((huge.held, huge.idle, huge.filled), (0, 0, 0));
        collapses += huge.collapses;
        splits += huge.splits;
    }
    assert!(
        collapses > 20 && splits > 20,
        "too few to mean anything: {collapses}, {splits}"
    );
}

#[test]
fn refusing_any_one_collapse_loses_nothing() {
    alone(|| {
        for from in 0..20 {
            let heap = heap(&Options {
                hpa_hugify_delay_ms: 10,
                ..EAGER
            });
            let mut twin = Twin::new(heap);
            let mut random = Random(from + 41);
            gate::refuse(from * 15, 10);
            for step in 0..300 {
                twin.step(&mut random, 10_000);
                if step % 20 == 0 {
                    clock::turn(SECOND);
                    earn(heap, 20);
                    twin.check();
                }
            }
            gate::refuse(u64::MAX, 0);
            let runs: Vec<usize> = twin.runs.keys().copied().collect();
            runs.into_iter().for_each(|addr| twin.dealloc(addr));
            twin.check();
        }
    });
}
