use super::*;
use crate::sys::simulated::dice::{rounds, rounds_at_least};
use crate::sys::simulated::memory as gate;
use std::collections::HashSet;
use std::vec::Vec;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// An object that only this magazine holds.
fn object(magazine: &Magazine, user: u64, at: usize) -> *mut u8 {
    core::ptr::without_provenance_mut(
        ((user as usize) << 42) + magazine.0.number() as usize * 256 + at,
    )
}

fn fill(magazine: &mut Magazine, user: u64, count: usize) {
    assert_eq!(magazine.count(), 0);
    magazine.set_count(count);
    for at in 0..count {
        let object = object(magazine, user, at);
        magazine.objects()[at] = object;
    }
}

fn assert_filled(magazine: &mut Magazine, user: u64, room: usize, count: usize) {
    assert_eq!((magazine.room(), magazine.count()), (room, count));
    for at in 0..count {
        let object = object(magazine, user, at);
        assert_eq!(
            magazine.objects()[at],
            object,
            "a magazine has two owners, or was purged"
        );
    }
}

/// Takes, fills, checks and recycles at random, beside others who do and who purge.
fn use_magazines(user: u64, steps: usize) {
    let mut random = Random(user);
    let mut live: Vec<(Magazine, usize, usize)> = Vec::new();
    let mut numbers: HashSet<u32> = HashSet::new();
    for step in 0..steps {
        let wanted = if step / 1000 % 2 == 0 { 300 } else { 3 };
        if random.below(live.len() + wanted) < wanted {
            let room = if random.below(4) == 0 { STARTER } else { FULL };
            let mut magazine = Magazine::empty(room).unwrap();
            let count = random.below(room + 1);
            assert!(numbers.insert(magazine.0.number()), "handed out twice");
            fill(&mut magazine, user, count);
            live.push((magazine, room, count));
        } else {
            let (mut magazine, room, count) = live.swap_remove(random.below(live.len()));
            assert_filled(&mut magazine, user, room, count);
            numbers.remove(&magazine.0.number());
            magazine.set_count(0);
            magazine.recycle();
        }
        if random.below(2000) == 0 {
            release_empties();
            meta::purge();
        }
    }
    for (mut magazine, room, count) in live {
        assert_filled(&mut magazine, user, room, count);
        magazine.set_count(0);
        magazine.recycle();
    }
}

#[test]
fn magazines_in_use_are_left_alone_by_purges() {
    std::thread::scope(|scope| {
        for user in 1..4 {
            scope.spawn(move || use_magazines(user, rounds(40_000)));
        }
        scope.spawn(|| {
            let mut random = Random(0);
            for _ in 0..rounds_at_least(5, 300) {
                release_empties();
                // Now and then the system refuses some of it.
                gate::refuse(random.below(4) as u64, random.below(3) as u64);
                meta::purge();
                std::thread::yield_now();
            }
            gate::refuse(u64::MAX, 0);
        });
    });
}

#[test]
fn empties_give_their_memory_back() {
    let magazines: Vec<_> = (0..4000).map(|_| Magazine::empty(FULL).unwrap()).collect();
    magazines.into_iter().for_each(Magazine::recycle);
    // Others may purge at the same time, and then do it all.
    let before = meta::used_bytes();
    let mut purged = 0;
    for _ in 0..rounds(1000) {
        release_empties();
        purged += meta::purge();
        if purged >= 3 << 20 || meta::used_bytes() + (3 << 20) <= before {
            return;
        }
        std::thread::yield_now();
    }
    panic!(
        "{purged} bytes purged, {before} bytes before, {} after",
        meta::used_bytes()
    );
}
