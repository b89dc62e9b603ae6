//! Sweeps against a list of the objects that are out: what they touch stays as it is, all other pages of their slabs go.

use super::super::slab::SlabRef;
use super::super::{ArenaIndex, bin, hollow, sweep};
use crate::extent::page_map;
use crate::size::{PAGE, SizeClass, slab_pages};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::{Dice, are_rounds_fewer, rounds};
use crate::sys::simulated::memory as gate;
use std::collections::{HashMap, HashSet};
use std::vec;
use std::vec::Vec;

const INTERVAL_NS: u64 = 1000;
/// Many to a page, not dividing it, and larger than one.
const CLASSES: [usize; 4] = [1, 11, 22, 33];

fn class(index: usize) -> SizeClass {
    SizeClass::new(index).unwrap()
}

/// The objects that are out, all bytes of each written with a value of its own.
struct Twin {
    out: Vec<(usize, *mut u8, u8)>,
    dice: Dice,
    now: u64,
}

impl Twin {
    fn new(seed: u64) -> Self {
        sweep::set_interval_ns(INTERVAL_NS);
        Self {
            out: Vec::new(),
            dice: Dice::new(seed),
            now: 1,
        }
    }

    fn fill(&mut self, index: usize, count: usize) {
        let mut objects = vec![core::ptr::null_mut(); count];
        let filled = bin::fill(class(index), ArenaIndex::FIRST, &mut objects);
        for &object in &objects[..filled] {
            let value = self.dice.below(255) as u8 + 1;
            // SAFETY: an object of that size, ours.
            unsafe { object.write_bytes(value, class(index).size()) };
            self.out.push((index, object, value));
        }
    }

    fn flush(&mut self, count: usize) {
        for _ in 0..count.min(self.out.len()) {
            let (index, object, value) = self.out.swap_remove(self.dice.below(self.out.len()));
            // SAFETY: an object of that size, ours.
            let bytes = unsafe { core::slice::from_raw_parts(object, class(index).size()) };
            assert!(
                bytes.iter().all(|&byte| byte == value),
                "lost under a sweep"
            );
            bin::flush(class(index), &mut [object]);
        }
    }

    fn sweep(&mut self) {
        self.now += INTERVAL_NS + 1;
        while sweep::step(self.now) {}
    }

    /// Pages of all slabs that no object out touches.
    fn untouched(&self) -> usize {
        let mut slabs: HashMap<usize, usize> = HashMap::new();
        let mut touched: HashSet<usize> = HashSet::new();
        for &(index, object, _) in &self.out {
            let slab = SlabRef::from_record(page_map::record(object).unwrap()).unwrap();
            slabs.insert(slab.base().addr(), slab_pages(index));
            let (first, last) = (object.addr(), object.addr() + class(index).size() - 1);
            touched.extend(first / PAGE..=last / PAGE);
        }
        slabs.values().sum::<usize>() - touched.len()
    }

    fn hollow_pages() -> usize {
        hollow::bytes() / PAGE
    }
}

#[test]
fn after_two_sweeps_every_page_that_no_object_touches_is_hollow() {
    alone(|| {
        let mut twin = Twin::new(3);
        for round in 0..60 {
            for index in CLASSES {
                (0..8).for_each(|_| twin.fill(index, 100));
            }
            let gone = twin.out.len() * (20 + round) / 100;
            twin.flush(gone);
            twin.sweep();
            twin.sweep();
            assert_eq!(Twin::hollow_pages(), twin.untouched(), "round {round}");
            if round % 20 == 10 {
                twin.flush(usize::MAX);
                assert_eq!(Twin::hollow_pages(), 0, "gone with their slabs");
            }
        }
        twin.flush(usize::MAX);
    });
}

#[test]
fn random_use_between_the_steps_of_sweeps_loses_nothing() {
    alone(|| {
        let mut twin = Twin::new(7);
        let mut most = 0;
        for step in 0..rounds(6000) {
            match twin.dice.below(10) {
                0..4 => {
                    let (index, count) = (CLASSES[twin.dice.below(4)], twin.dice.below(120));
                    twin.fill(index, count);
                }
                4..7 => {
                    let count = twin.dice.below(160);
                    twin.flush(count);
                }
                _ => {
                    twin.now += INTERVAL_NS / 3;
                    let _ = sweep::step(twin.now);
                }
            }
            if step % 50 == 0 {
                // A pause, long enough for what is idle to be seen twice.
                twin.sweep();
                twin.sweep();
            }
            most = most.max(Twin::hollow_pages());
            assert!(Twin::hollow_pages() <= twin.untouched(), "K1");
        }
        assert!(most > 20 || are_rounds_fewer(), "{most} pages at most");
        twin.flush(usize::MAX);
        assert_eq!(Twin::hollow_pages(), 0);
    });
}

#[test]
fn slots_with_memory_are_taken_before_hollow_ones() {
    alone(|| {
        let mut twin = Twin::new(1);
        // One slab of four pages with a few slots each; one object stays on the last page.
        let index = 22;
        twin.fill(index, crate::size::slab_slots(index));
        let stays = twin.out.iter().map(|&(_, object, _)| object.addr()).max();
        let (mut others, kept): (Vec<_>, Vec<_>) = twin
            .out
            .drain(..)
            .partition(|&(_, object, _)| Some(object.addr()) != stays);
        twin.out = kept;
        others.sort_by_key(|&(_, object, _)| object.addr());
        let mut objects: Vec<_> = others.iter().map(|&(_, object, _)| object).collect();
        bin::flush(class(index), &mut objects);
        twin.sweep();
        twin.sweep();
        let hollow = Twin::hollow_pages();
        assert!(hollow > 0);
        twin.fill(index, 1);
        assert_eq!(Twin::hollow_pages(), hollow, "its page had memory");
        twin.fill(index, objects.len() - 1);
        assert_eq!(Twin::hollow_pages(), 0, "all slots are out");
        twin.flush(usize::MAX);
    });
}

#[test]
fn a_slab_in_use_is_left_alone_and_a_refusal_changes_nothing() {
    alone(|| {
        let mut twin = Twin::new(9);
        for index in CLASSES {
            (0..10).for_each(|_| twin.fill(index, 100));
        }
        twin.flush(twin.out.len() * 3 / 4);
        twin.sweep();
        assert_eq!(Twin::hollow_pages(), 0, "W1: changed since the last visit");
        gate::refuse(0, u64::MAX);
        twin.sweep();
        gate::refuse(0, 0);
        assert_eq!(Twin::hollow_pages(), 0);
        assert!(gate::refused().any(|name| name == "purge"));
        let slack = bin::slack_bytes();
        // Where something changed since, it is tried again.
        twin.flush(twin.out.len() / 4);
        twin.sweep();
        twin.sweep();
        assert!(Twin::hollow_pages() > 0 && bin::slack_bytes() < slack);
        twin.flush(usize::MAX);
        assert_eq!(bin::slack_bytes(), 0);
    });
}
