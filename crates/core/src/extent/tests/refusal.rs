//! Systems that refuse, or lie.

use super::{Random, Twin, WRITTEN, heap};
use crate::extent::heap::Purpose;
use crate::extent::page_map;
use crate::options::Dss;
use crate::size::{HUGE, HUGE_PAGES, PAGE, Pages};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::memory as gate;
use core::ptr::NonNull;

#[test]
fn a_system_whose_purge_lies_is_not_trusted() {
    gate::lie(true);
    let heap = heap();
    let mut twin = Twin::new(heap);
    let mut random = Random(5);
    for _ in 0..rounds(2000) {
        // Every run said to be zero is read through.
        twin.step(&mut random, 5000);
    }
    twin.check();
    let run = heap.alloc(Pages(100), 1, WRITTEN).unwrap();
    // SAFETY: just handed out; nobody else uses it.
    unsafe {
        run.addr.as_ptr().write_bytes(7, 100 * PAGE);
        heap.dealloc(run.addr, Pages(100));
    }
    heap.purge_all();
    gate::lie(false);
    let again = heap.alloc(Pages(100), 1, WRITTEN).unwrap();
    assert!(!again.zeroed || again.addr != run.addr);
}

#[test]
fn refusing_any_one_call_loses_nothing() {
    alone(|| {
        for (dirty, muzzy) in [(100, 0), (0, 0), (50, 60)] {
            let mut refused = 0;
            loop {
                let heap = heap();
                heap.set_decay_ms(dirty, muzzy);
                let mut twin = Twin::new(heap);
                let mut random = Random(77);
                let before = gate::calls();
                gate::refuse(refused, 1);
                for step in 0..100 {
                    twin.step(&mut random, 6_000);
                    if step % 25 == 0 {
                        twin.check();
                    }
                }
                twin.check();
                let calls = gate::calls() - before;
                gate::refuse(u64::MAX, 0);
                // The heap is whole again: what failed succeeds.
                assert!(twin.alloc(700, 1, WRITTEN, 1) && twin.alloc(3, 1, Purpose::Filled, 2));
                while let Some(addr) = twin.pick(&mut random) {
                    twin.dealloc(addr);
                }
                heap.purge_all();
                twin.check();
                let figures = heap.figures();
                assert_eq!((figures.active, figures.dirty, figures.muzzy), (0, 0, 0));
                refused += 1;
                if refused > calls {
                    break;
                }
            }
            assert!(refused > 10, "too few calls to mean anything: {refused}");
        }
    });
}

#[test]
fn a_system_that_refuses_for_a_while_is_survived() {
    alone(|| {
        for from in 0..15 {
            let heap = heap();
            heap.set_decay_ms(100, 0);
            let mut twin = Twin::new(heap);
            let mut random = Random(from + 500);
            gate::refuse(from * 7, 60);
            for step in 0..400 {
                twin.step(&mut random, 8_000);
                if step % 16 == 0 {
                    twin.check();
                }
            }
            gate::refuse(u64::MAX, 0);
            assert!(twin.alloc(1000, 1, WRITTEN, 1));
            twin.check();
        }
    });
}

#[test]
fn runs_are_found_across_borders_when_the_system_gives_no_more() {
    alone(|| {
        let heap = heap();
        heap.prepare(Dss::Disabled, 10_000, 0);
        let mut twin = Twin::new(heap);
        let mut random = Random(9);
        // Descriptors and leaves are there before the system turns short.
        assert!(twin.alloc(1, 1, WRITTEN, 1));
        heap.state.lock().prepare_spares(50).unwrap();
        // A mapping of exactly what is needed, wherever: no whole huge pages of that many.
        for pages in [600, 700, 1100, 513] {
            let (calls, leaves) = (gate::calls(), page_map::leaves().count());
            assert!(heap.state.lock().grow_exactly(pages));
            // Where it lies in the next leaf of the page map, that is mapped too.
            if page_map::leaves().count() == leaves {
                assert_eq!(gate::calls() - calls, 1);
            }
            gate::refuse_maps(true);
            for round in 0..5 {
                assert!(
                    twin.alloc(pages, 1, WRITTEN, round),
                    "{pages} pages, round {round}"
                );
                let addr = *twin
                    .runs
                    .iter()
                    .find(|(_, run)| run.len() == pages)
                    .unwrap()
                    .0;
                twin.dealloc(addr);
                twin.check();
            }
            assert!(!twin.alloc(HUGE_PAGES * 40, 1, WRITTEN, 0));
            gate::refuse_maps(false);
        }
        while let Some(addr) = twin.pick(&mut random) {
            twin.dealloc(addr);
        }
        twin.check();
    });
}

#[test]
fn the_data_segment_serves_when_mappings_are_refused_and_as_the_option_says() {
    alone(|| {
        let end = || NonNull::addr(gate::extend_break(0).unwrap()).get();
        for mode in [Dss::Secondary, Dss::Primary, Dss::Disabled] {
            let heap = heap();
            heap.prepare(mode, 10_000, 0);
            let mut twin = Twin::new(heap);
            // Leaf and descriptors need mappings of their own.
            page_map::cover(end() & !(HUGE - 1), 32 << 20).unwrap();
            heap.state.lock().prepare_spares(50).unwrap();
            let before = end();
            gate::refuse_maps(mode != Dss::Primary);
            let mut served = 0;
            for (index, pages) in [1, 4, 100, 700, 2000, 3].into_iter().enumerate() {
                served += usize::from(twin.alloc(pages, 1, WRITTEN, index as u64));
                twin.check();
            }
            gate::refuse_maps(false);
            let in_segment = twin
                .runs
                .keys()
                .filter(|&&addr| addr >= before && addr < end())
                .count();
            match mode {
                Dss::Disabled => assert_eq!((served, in_segment), (0, 0)),
                _ => assert_eq!((served, in_segment), (6, 6)),
            }
            let mut random = Random(3);
            for _ in 0..300 {
                twin.step(&mut random, 5_000);
            }
            twin.check();
        }
    });
}
