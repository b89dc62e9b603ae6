//! The Rust face by its contract: `GlobalAlloc` with layouts of every alignment, against the naive model, and beside
//! another allocator that keeps the rest of the process.
#![cfg(not(loom))]

use jemoxide::Jemoxide;
use jemoxide_testkit::naive::{Global, Workload};
use std::alloc::{GlobalAlloc, Layout};

const HEAP: Jemoxide = Jemoxide;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Reads a byte in every 64, and the last.
///
/// # Safety
/// `object` holds `size` bytes, at least one.
unsafe fn is_all(object: *const u8, size: usize, byte: u8) -> bool {
    let mut places = (0..size).step_by(64).chain([size - 1]);
    // SAFETY: within the object.
    places.all(|at| unsafe { object.add(at).read() } == byte)
}

#[test]
fn every_alignment_up_to_four_mebibytes() {
    for lg in 0..=22 {
        let align = 1 << lg;
        for size in [
            1,
            3,
            16,
            48,
            align / 2 + 1,
            align,
            align + 1,
            3 * align,
            70_000,
        ] {
            let layout = layout(size, align);
            // SAFETY: sizes are not zero; objects are used within their layouts and freed with them.
            unsafe {
                let objects = [
                    HEAP.alloc(layout),
                    HEAP.alloc_zeroed(layout),
                    HEAP.alloc(layout),
                ];
                for object in objects {
                    assert!(!object.is_null());
                    assert_eq!(object.addr() % align, 0, "{size} at {align}");
                }
                assert!(is_all(objects[1], size, 0));
                for (byte, object) in (1..).zip(objects) {
                    object.write_bytes(byte, size);
                }
                for (byte, object) in (1..).zip(objects) {
                    assert!(is_all(object, size, byte), "{size} at {align}");
                    HEAP.dealloc(object, layout);
                }
            }
        }
    }
}

#[test]
fn zeroed_objects_are_zero_after_dirty_reuse() {
    for size in [
        1,
        8,
        24,
        100,
        128,
        129,
        500,
        4096,
        5000,
        14_336,
        20_000,
        32_768,
        40_000,
        1 << 20,
        5 << 20,
    ] {
        for align in [1, 16, 64, 4096] {
            let layout = layout(size, align);
            for round in 0..6 {
                // SAFETY: as above.
                unsafe {
                    let dirty = [(); 3].map(|()| HEAP.alloc(layout));
                    dirty
                        .iter()
                        .for_each(|object| object.write_bytes(0xdd, size));
                    dirty
                        .iter()
                        .for_each(|&object| HEAP.dealloc(object, layout));
                    let clean = [(); 3].map(|()| HEAP.alloc_zeroed(layout));
                    for object in clean {
                        let bytes = core::slice::from_raw_parts(object, size);
                        assert!(
                            bytes.iter().all(|&byte| byte == 0),
                            "{size} at {align}, round {round}"
                        );
                        object.write_bytes(0xcc, size);
                        HEAP.dealloc(object, layout);
                    }
                }
            }
        }
    }
}

#[test]
fn reallocation_keeps_contents_and_alignment() {
    for align in [1, 8, 16, 128, 4096, 1 << 16] {
        let (mut size, mut object) = (1, core::ptr::null_mut::<u8>());
        // SAFETY: as above; after a reallocation the answer is the object.
        unsafe {
            object = if object.is_null() {
                HEAP.alloc(layout(size, align))
            } else {
                object
            };
            object.write(0);
            let sizes = (2..200)
                .chain((200..9000).step_by(333))
                .chain((1..26).map(|lg| (1 << lg) + 5));
            for next in sizes.chain([40 << 20, 100_000, 17_000, 16_384, 1000, 60, 1]) {
                object = HEAP.realloc(object, layout(size, align), next);
                assert!(
                    !object.is_null() && object.addr() % align == 0,
                    "{next} at {align}"
                );
                let kept = size.min(next);
                let mut places = (0..kept).step_by(61).chain([kept - 1]);
                assert!(
                    places.all(|at| object.add(at).read() == (at % 251) as u8),
                    "{size} to {next}"
                );
                (kept..next).for_each(|at| object.add(at).write((at % 251) as u8));
                size = next;
            }
            HEAP.dealloc(object, layout(size, align));
        }
    }
}

#[test]
fn layouts_that_cannot_be_are_null() {
    // SAFETY: nothing is allocated.
    unsafe {
        for align in [1, 4096] {
            let layout = layout(isize::MAX as usize - 8191, align);
            assert!(HEAP.alloc(layout).is_null());
            assert!(HEAP.alloc_zeroed(layout).is_null());
        }
        let small = layout(10, 1);
        let object = HEAP.alloc(small);
        object.write_bytes(3, 10);
        assert!(HEAP.realloc(object, small, isize::MAX as usize).is_null());
        assert!(is_all(object, 10, 3));
        HEAP.dealloc(object, small);
    }
}

#[test]
fn the_naive_model_agrees() {
    let mixed = Workload {
        operations: 12_000,
        live: 600,
        ..Workload::default()
    };
    for plan in [
        Workload {
            max_align: 1 << 20,
            ..mixed.clone()
        },
        Workload {
            operations: 60_000,
            live: 8000,
            max_size: 800,
            max_align: 64,
            ..mixed.clone()
        },
        Workload {
            operations: 600,
            live: 30,
            max_size: 9 << 20,
            max_align: 4 << 20,
            ..mixed.clone()
        },
        Workload {
            operations: 8000,
            live: 300,
            threads: 4,
            ..mixed
        },
    ] {
        let report = plan.run(&Global(HEAP));
        assert!(report.zeroed > 0 && report.resized > 0, "{report:?}");
        assert_eq!(report.freed_remotely > 0, plan.threads > 1, "{report:?}");
    }
}
