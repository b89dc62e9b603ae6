//! `Allocator` through `allocator-api2`: collections that name their allocator.
#![cfg(not(loom))]

use allocator_api2::alloc::{Allocator, Layout};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use jemoxide::Jemoxide;
use jemoxide::api::{request_size, usable_size};
use std::ptr::NonNull;
use std::thread;

const HEAP: Jemoxide = Jemoxide;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// The bytes of an object.
///
/// # Safety
/// The object is live and written.
unsafe fn bytes<'a>(object: NonNull<[u8]>) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { &mut *object.as_ptr() }
}

#[test]
fn collections_live_here() {
    let mut list: Vec<u64, Jemoxide> = Vec::new_in(HEAP);
    list.extend(0..1_000_000);
    // SAFETY: a live object of this allocator: that is what is tested.
    assert!(unsafe { usable_size(list.as_ptr().cast()) } >= 8_000_000);
    assert_eq!(list.iter().sum::<u64>(), 499_999_500_000);
    list.truncate(10);
    list.shrink_to_fit();
    assert_eq!(*list, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let boxed = Box::new_in([9u8; 1000], HEAP);
    // SAFETY: as above.
    assert_eq!(unsafe { usable_size(boxed.as_ptr()) }, 1024);
    let threads: std::vec::Vec<_> = (0..4)
        .map(|seed| {
            thread::spawn(move || {
                let mut lists: Vec<Vec<u32, Jemoxide>, Jemoxide> = Vec::new_in(HEAP);
                for n in 0..500 {
                    let mut list = Vec::with_capacity_in(n as usize, HEAP);
                    list.resize(n as usize, seed);
                    lists.push(list);
                }
                lists
            })
        })
        .collect();
    for (seed, thread) in (0..).zip(threads) {
        let lists = thread.join().unwrap();
        assert!(lists.iter().flatten().all(|&found| found == seed));
    }
}

#[test]
fn all_of_what_is_reported_may_be_used() {
    for size in [1, 9, 100, 1025, 4097, 15_000, 33_000, 1_000_001] {
        for align in [1, 8, 16, 256, 4096, 1 << 17] {
            let asked = layout(size, align);
            let object = HEAP.allocate(asked).unwrap();
            assert_eq!(Some(object.len()), request_size(size, align));
            assert_eq!(object.cast::<u8>().addr().get() % align, 0);
            // SAFETY: the object's whole length is ours; any size up to it fits a free.
            unsafe {
                object.as_ptr().cast::<u8>().write_bytes(1, object.len());
                HEAP.deallocate(object.cast(), layout(object.len(), align));
                let zeroed = HEAP.allocate_zeroed(asked).unwrap();
                assert!(bytes(zeroed).iter().all(|&byte| byte == 0));
                HEAP.deallocate(zeroed.cast(), asked);
            }
        }
    }
}

#[test]
fn nothing_is_an_object_too() {
    for align in [1, 16, 4096, 1 << 20] {
        let nothing = layout(0, align);
        let first = HEAP.allocate(nothing).unwrap();
        let second = HEAP.allocate_zeroed(nothing).unwrap();
        assert_eq!(first.cast::<u8>().addr().get() % align, 0);
        // SAFETY: live objects, given back once, one of them after growing from nothing and shrinking to it.
        unsafe {
            let grown = HEAP
                .grow(first.cast(), nothing, layout(3000, align))
                .unwrap();
            bytes(grown).fill(1);
            let shrunk = HEAP
                .shrink(grown.cast(), layout(3000, align), nothing)
                .unwrap();
            HEAP.deallocate(shrunk.cast(), nothing);
            HEAP.deallocate(second.cast(), nothing);
        }
    }
    let list: Vec<(), Jemoxide> = Vec::new_in(HEAP);
    assert!(list.capacity() > 1 << 20);
}

#[test]
fn growth_zeroes_what_is_new_and_may_change_the_alignment() {
    let sizes = [
        1,
        20,
        64,
        65,
        500,
        4000,
        4100,
        20_000,
        33_000,
        100_000,
        5 << 20,
        11 << 20,
    ];
    for (align, later) in [(1, 1), (8, 64), (64, 4096), (4096, 1 << 16)] {
        for pair in sizes.windows(2) {
            let (old, new) = (layout(pair[0], align), layout(pair[1], later));
            // SAFETY: objects are used within their layouts, and where the last answer says.
            unsafe {
                let object = HEAP.allocate(old).unwrap();
                bytes(object).fill(7);
                let grown = HEAP.grow_zeroed(object.cast(), old, new).unwrap();
                assert_eq!(grown.cast::<u8>().addr().get() % later, 0);
                let (kept, fresh) = bytes(grown).split_at(pair[0]);
                assert!(kept.iter().all(|&byte| byte == 7));
                assert!(
                    fresh.iter().all(|&byte| byte == 0),
                    "{} to {}",
                    pair[0],
                    pair[1]
                );
                bytes(grown).fill(8);
                let shrunk = HEAP.shrink(grown.cast(), new, old).unwrap();
                assert!(bytes(shrunk)[..pair[0]].iter().all(|&byte| byte == 8));
                HEAP.deallocate(shrunk.cast(), old);
            }
        }
    }
}

#[test]
fn what_cannot_be_is_an_error() {
    let object = HEAP.allocate(layout(100, 8)).unwrap();
    // SAFETY: the object stays as it is, and is given back once.
    unsafe {
        bytes(object).fill(5);
        let most = layout(isize::MAX as usize - 4095, 8);
        assert!(HEAP.allocate(most).is_err());
        assert!(HEAP.grow(object.cast(), layout(100, 8), most).is_err());
        assert!(bytes(object).iter().all(|&byte| byte == 5));
        HEAP.deallocate(object.cast(), layout(100, 8));
    }
}

#[test]
fn collections_live_in_an_arena_of_their_own() {
    let arena = jemoxide::Arena::new().unwrap();
    let mut list: Vec<u64, jemoxide::Arena> = Vec::new_in(arena);
    list.extend(0..1_000_000);
    assert_eq!(list.iter().sum::<u64>(), 499_999_500_000);
    list.truncate(10);
    list.shrink_to_fit();
    assert_eq!(*list, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let boxed = Box::new_in([9u8; 1000], arena);
    assert_eq!(boxed.iter().map(|&byte| u32::from(byte)).sum::<u32>(), 9000);
    let zeroed = arena.allocate_zeroed(layout(100_000, 4096)).unwrap();
    // SAFETY: a live object, zeroed; then grown, and freed with the layout it has then.
    unsafe {
        assert!(bytes(zeroed).iter().all(|&byte| byte == 0));
        bytes(zeroed)[..100_000].fill(1);
        let (old, new) = (layout(100_000, 4096), layout(400_000, 4096));
        let grown = arena.grow_zeroed(zeroed.cast(), old, new).unwrap();
        assert!(bytes(grown)[..100_000].iter().all(|&byte| byte == 1));
        assert!(bytes(grown)[100_000..].iter().all(|&byte| byte == 0));
        arena.deallocate(grown.cast(), new);
    }
    drop((list, boxed));
    // SAFETY: all of its objects are gone.
    unsafe { arena.destroy().unwrap() };
}
