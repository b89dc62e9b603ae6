//! Bins against sets of live objects; each test has arenas and classes of its own, so that they do not meet.

use super::*;
use crate::arena::slab::DEGREES;
use crate::size::{size_of_class, slab_slots};
use crate::sys::simulated::dice::rounds;
use std::collections::HashSet;
use std::vec;
use std::vec::Vec;

fn check(class: usize, arena: ArenaIndex) {
    let slabs = at(class, arena).slabs.lock();
    for degree in 0..DEGREES {
        let mut prev = 0;
        let mut link = slabs.heads[degree];
        while let Some(slab) = SlabRef::from_link(link) {
            assert_eq!(slab.prev(), prev);
            assert_eq!(slab.degree() as usize, degree, "B1");
            // SAFETY: the lock is held.
            unsafe { slab.check() };
            prev = link;
            link = slab.next();
        }
        assert_eq!(slabs.tails[degree], prev);
    }
}

#[test]
fn every_bin_has_its_own_count_of_waits() {
    let mut seen = HashSet::new();
    for arena in 0..ARENAS_MAX {
        for class in 0..SMALL_CLASSES {
            let place = &at(class, ArenaIndex::new(arena)).slabs;
            assert!(seen.insert(ptr::from_ref(place.contention()).addr()));
        }
    }
    assert_eq!(seen.len(), SMALL_CLASSES * ARENAS_MAX);
}

#[test]
fn random_fills_and_flushes_agree_with_a_set() {
    for (step, class) in [0usize, 1, 4, 9, 20, 28, 35].into_iter().enumerate() {
        let arena = ArenaIndex::new(20 + step);
        let class = SizeClass::new(class).unwrap();
        let size = size_of_class(class.index());
        let mut live: Vec<*mut u8> = Vec::new();
        let mut seen: HashSet<usize> = HashSet::new();
        let mut seed = 5u64;
        for _ in 0..rounds(2000) {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let count = 1 + (seed >> 33) as usize % 60;
            if seed >> 63 == 0 || live.is_empty() {
                let mut out = vec![ptr::null_mut(); count];
                let filled = fill(class, arena, &mut out);
                assert!(filled > 0);
                for &ptr in &out[..filled] {
                    assert!(seen.insert(ptr.addr()), "handed out twice");
                    assert_eq!(page_map::class_byte(ptr), class.byte());
                    // SAFETY: an object of that size, ours.
                    unsafe { ptr.write_bytes(0xa5, size) };
                    live.push(ptr);
                }
            } else {
                let mut back: Vec<_> = (0..count.min(live.len()))
                    .map(|step| {
                        live.swap_remove((seed as usize >> 7).wrapping_add(step) % live.len())
                    })
                    .collect();
                for ptr in &back {
                    seen.remove(&ptr.addr());
                }
                flush(class, &mut back);
            }
            check(class.index(), arena);
            assert_eq!(at(class.index(), arena).taken(), live.len());
        }
        flush(class, &mut live);
        assert_eq!(at(class.index(), arena).slabs.lock().heads, [0; DEGREES]);
    }
}

#[test]
fn refills_take_the_fullest_slab_lowest_address_first() {
    let (arena, class) = (ArenaIndex::new(28), SizeClass::new(20).unwrap());
    let slots = slab_slots(20);
    let mut objects = vec![ptr::null_mut(); slots * 2];
    assert_eq!(fill(class, arena, &mut objects[..slots]), slots);
    assert_eq!(fill(class, arena, &mut objects[slots..]), slots);
    // The first slab keeps one object, the second all but two.
    flush(class, &mut objects[1..slots].to_vec());
    let (low, high) = (objects[slots + 3], objects[slots + 7]);
    flush(class, &mut [high, low]);
    let mut out = [ptr::null_mut(); 3];
    assert_eq!(fill(class, arena, &mut out), 3);
    assert_eq!(out[..2], [low, high]);
    assert_eq!(out[2], objects[1]);
}

#[test]
fn inspection_tells_live_objects_from_misuse() {
    let (arena, class) = (ArenaIndex::new(29), SizeClass::new(8).unwrap());
    let mut objects = [ptr::null_mut(); 2];
    assert_eq!(fill(class, arena, &mut objects), 2);
    assert_eq!(inspect(objects[0]), Ok(class));
    assert_eq!(inspect(objects[0].wrapping_add(8)), Err(Misuse::Interior));
    flush(class, &mut [objects[0]]);
    assert_eq!(inspect(objects[0]), Err(Misuse::DoubleFree));
    assert_eq!(inspect((&raw mut objects).cast()), Err(Misuse::Foreign));
    flush(class, &mut [objects[1]]);
}
