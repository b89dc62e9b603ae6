//! Sizes and alignments at the ends of their ranges.

use crate::api::{
    alloc, alloc_aligned, alloc_zeroed, alloc_zeroed_aligned, dealloc, dealloc_sized, realloc,
    request_size, resize_in_place, usable_size,
};
use crate::size::{CLASSES, MAX_SIZE, PAGE, size_of_class};
use std::vec::Vec;

/// Sizes around every class up to `most`.
fn sizes(most: usize) -> impl Iterator<Item = usize> {
    (0..CLASSES)
        .map(size_of_class)
        .take_while(move |&size| size <= most)
        .flat_map(|size| [size - 1, size, size + 1])
}

/// What an object for that request holds: nothing where nothing is asked for, if its alignment allows.
fn promised(size: usize, align: usize) -> Option<usize> {
    if size == 0 && align <= PAGE {
        return Some(0);
    }
    request_size(size, align)
}

#[test]
fn objects_of_no_bytes_are_objects() {
    // SAFETY: objects of no bytes, freed once, or moved and then freed.
    unsafe {
        let objects: Vec<*mut u8> = (0..5000).map(|_| alloc(0)).collect();
        let mut addrs: Vec<usize> = objects.iter().map(|object| object.addr()).collect();
        addrs.sort_unstable();
        addrs.dedup();
        assert_eq!(addrs.len(), objects.len(), "more than there are places for");
        assert_eq!(usable_size(objects[0]), 0);
        for (at, &object) in objects.iter().enumerate() {
            match at % 4 {
                0 => dealloc_sized(object, 0, 1),
                1 => {
                    let moved = realloc(object, 1000, 1, at % 8 == 1);
                    moved.write_bytes(1, 1000);
                    dealloc(moved);
                }
                2 => assert_eq!(
                    resize_in_place(object, 1, 100, 1, false),
                    usable_size(object)
                ),
                _ => dealloc(object),
            }
        }
        objects
            .iter()
            .skip(2)
            .step_by(4)
            .for_each(|&object| dealloc(object));
    }
}

#[test]
fn every_class_gives_what_it_promises() {
    for size in [0].into_iter().chain(sizes(8 << 20)) {
        let objects: Vec<*mut u8> = (0..3).map(|_| alloc(size)).collect();
        for &object in &objects {
            // SAFETY: an object of that size; freed once.
            unsafe {
                assert_eq!(Some(usable_size(object)), promised(size, 1));
                object.write_bytes(0xaa, usable_size(object));
                dealloc_sized(object, size, 1);
            }
        }
    }
}

#[test]
fn every_alignment_is_kept() {
    for lg in 0..=22 {
        let align = 1 << lg;
        for size in [
            0, 1, 7, 8, 15, 16, 100, 1000, 4096, 5000, 14336, 16384, 20_000, 300_000,
        ] {
            for zeroed in [false, true] {
                let object = match zeroed {
                    true => alloc_zeroed_aligned(size, align),
                    false => alloc_aligned(size, align),
                };
                assert!(!object.is_null());
                assert_eq!(object.addr() % align, 0, "{size} at {align}");
                // SAFETY: an object of that size; freed once.
                unsafe {
                    let usable = usable_size(object);
                    assert_eq!(Some(usable), promised(size, align));
                    let zero = |at: usize| object.add(at).read() == 0;
                    let last = usable.saturating_sub(1);
                    assert!(!zeroed || (0..usable).step_by(64).chain(last..usable).all(zero));
                    object.write_bytes(0x55, usable);
                    if lg % 2 == 0 {
                        dealloc_sized(object, size, align);
                    } else {
                        dealloc(object);
                    }
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_is_null_and_nothing_else_happens() {
    let keep = alloc(100);
    for size in [
        MAX_SIZE,
        MAX_SIZE + 1,
        isize::MAX as usize,
        usize::MAX - PAGE,
        usize::MAX,
    ] {
        assert!(alloc(size).is_null(), "{size:#x}");
        assert!(alloc_zeroed(size).is_null(), "{size:#x}");
        assert!(alloc_aligned(size, PAGE).is_null());
        assert!(alloc_zeroed_aligned(size, 1 << 30).is_null());
        // SAFETY: `keep` is a live object, whatever the answer.
        unsafe {
            assert!(realloc(keep, size, 1, false).is_null());
            assert!(realloc(keep, size, PAGE, true).is_null());
            assert_eq!(resize_in_place(keep, size, 0, 1, false), 112);
            assert_eq!(resize_in_place(keep, 50, size, 1, false), 112);
        }
    }
    for lg in 48..64 {
        assert!(
            alloc_aligned(1, 1 << lg).is_null(),
            "an alignment of 2^{lg}"
        );
        assert!(
            alloc_zeroed_aligned(1 << 20, 1 << lg).is_null(),
            "an alignment of 2^{lg}"
        );
    }
    // SAFETY: live until here; null is ignored.
    unsafe {
        dealloc(keep);
        dealloc(core::ptr::null_mut());
        dealloc_sized(core::ptr::null_mut(), 100, 8);
        assert_eq!(usable_size(core::ptr::null()), 0);
    }
}

#[test]
fn growth_by_small_steps_keeps_the_contents() {
    for (align, step) in [(1, 13), (8, 4099), (64, 1001), (4096, 70_003)] {
        let mut object = alloc_aligned(1, align);
        let mut filled = 0;
        for round in 1..400 {
            let size = round * step;
            // SAFETY: the object, which from here on is where the answer says.
            unsafe {
                object = realloc(object, size, align, false);
                assert!(!object.is_null() && object.addr() % align == 0);
                assert!(
                    (0..filled)
                        .step_by(97)
                        .all(|at| object.add(at).read() == at as u8)
                );
                (filled..size).for_each(|at| object.add(at).write(at as u8));
            }
            filled = size;
        }
        for size in [step * 300, step * 20, step, 1] {
            // SAFETY: as above.
            unsafe {
                object = realloc(object, size, align, false);
                assert!(
                    (0..size)
                        .step_by(97)
                        .all(|at| object.add(at).read() == at as u8)
                );
            }
        }
        // SAFETY: the object's last place.
        unsafe { dealloc_sized(object, 1, align) };
    }
}
