//! The cases: layouts, owners, raw pointers. No `unsafe` block here keeps its promise: that is the subject.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::mem::{ManuallyDrop, size_of};
use std::rc::Rc;
use std::sync::Arc;
use std::{ptr, slice, thread};

use crate::suite::{
    Case, LARGE, MEDIUM, SMALL, block, erred, erring, fill, layout, opaque, read_stale, refused, victim,
};

const fn case(group: &'static str, name: &'static str, what: &'static str, commit: fn()) -> Case {
    Case {
        group,
        name,
        what,
        commit,
    }
}

const LAYOUT: &str = "Rust layouts";
const OWNER: &str = "Rust owners";
const POINTER: &str = "Rust pointers";

pub(crate) const CASES: &[Case] = &[
    case(LAYOUT, "dealloc_smaller", "dealloc of 64 bytes as 24", || {
        dealloc_as(victim(SMALL), layout(24, 8));
    }),
    case(LAYOUT, "dealloc_larger", "dealloc of 64 bytes as 200", || {
        dealloc_as(victim(SMALL), layout(200, 8));
    }),
    case(LAYOUT, "dealloc_same_class", "dealloc of 62 bytes as 60, the same size class", || {
        dealloc_as(victim(62), layout(60, 8));
    }),
    case(LAYOUT, "dealloc_medium", "dealloc of 4 KiB as 64 bytes", || {
        dealloc_as(victim(MEDIUM), layout(SMALL, 8));
    }),
    case(LAYOUT, "dealloc_small_as_large", "dealloc of 64 bytes as 256 KiB", || {
        dealloc_as(victim(SMALL), layout(LARGE, 8));
    }),
    case(LAYOUT, "dealloc_large_as_small", "dealloc of 256 KiB as 64 bytes", || {
        dealloc_as(victim(LARGE), layout(SMALL, 8));
    }),
    case(LAYOUT, "dealloc_alignment", "dealloc of 64 bytes with an alignment of 4 KiB", || {
        dealloc_as(victim(SMALL), layout(SMALL, 4096));
    }),
    case(LAYOUT, "realloc_layout", "realloc of 64 bytes as 24, to 500", || {
        let memory = victim(SMALL);
        erring();
        // SAFETY: none.
        let moved = unsafe { realloc(memory, layout(24, 8), 500) };
        erred();
        dealloc_quietly(moved, 500);
    }),
    case(LAYOUT, "realloc_freed", "realloc of a freed block", || {
        let memory = victim(SMALL);
        dealloc_quietly(memory, SMALL);
        erring();
        // SAFETY: none.
        opaque(unsafe { realloc(opaque(memory), layout(SMALL, 8), 500) });
        erred();
    }),
    case(LAYOUT, "alloc_largest", "alloc of the largest layout there can be", || {
        block(SMALL);
        erring();
        // SAFETY: the size is not 0.
        refused(opaque(unsafe { alloc(layout(isize::MAX as usize - 7, 8)) }).is_null());
        erred();
    }),
    case(LAYOUT, "realloc_largest", "realloc to the largest size there can be", || {
        let memory = victim(SMALL);
        erring();
        // SAFETY: the layout is the block's.
        refused(opaque(unsafe { realloc(memory, layout(SMALL, 8), isize::MAX as usize - 7) }).is_null());
        erred();
        dealloc_quietly(memory, SMALL);
    }),
    case(LAYOUT, "try_reserve_huge", "Vec::try_reserve of half the address space", || {
        let mut numbers = vec![1_u64; 8];
        block(SMALL);
        erring();
        refused(numbers.try_reserve(std::hint::black_box(usize::MAX / 32)).is_err());
        erred();
    }),
    case(OWNER, "dealloc_twice", "dealloc of a block twice", || {
        let memory = victim(SMALL);
        dealloc_quietly(memory, SMALL);
        dealloc_as(memory, layout(SMALL, 8));
    }),
    case(OWNER, "dealloc_twice_large", "dealloc of 256 KiB twice", || {
        let memory = victim(LARGE);
        dealloc_quietly(memory, LARGE);
        dealloc_as(memory, layout(LARGE, 8));
    }),
    case(OWNER, "dealloc_interior", "dealloc of the middle of a block", || {
        // SAFETY: within the block.
        dealloc_as(unsafe { victim(MEDIUM).add(1024) }, layout(MEDIUM, 8));
    }),
    case(OWNER, "dealloc_unaligned", "dealloc of a block's second byte", || {
        // SAFETY: within the block.
        dealloc_as(unsafe { victim(SMALL).add(1) }, layout(SMALL, 1));
    }),
    case(OWNER, "dealloc_stack", "dealloc of an array on the stack", || {
        let mut array = [1_u64; 8];
        block(SMALL);
        dealloc_as((&raw mut array).cast(), layout(SMALL, 8));
    }),
    case(OWNER, "dealloc_c_memory", "dealloc of what C's malloc gave", dealloc_c_memory),
    case(OWNER, "box_from_raw_twice", "Box::from_raw of one pointer twice", || {
        block(SMALL);
        let raw = Box::into_raw(Box::new([1_u64; 8]));
        // SAFETY: the first owner.
        drop(unsafe { Box::from_raw(raw) });
        erring();
        // SAFETY: none.
        drop(unsafe { Box::from_raw(std::hint::black_box(raw)) });
        erred();
    }),
    case(OWNER, "box_of_static", "Box::from_raw of a static", || {
        static mut NUMBERS: [u64; 8] = [1; 8];
        block(SMALL);
        erring();
        // SAFETY: none.
        drop(unsafe { Box::from_raw(std::hint::black_box(&raw mut NUMBERS)) });
        erred();
    }),
    case(OWNER, "box_of_other_type", "Box<[u8; 64]> dropped as Box<[u8; 1000]>", || {
        block(SMALL);
        let raw = Box::into_raw(Box::new([1_u8; 64]));
        erring();
        // SAFETY: none.
        drop(unsafe { Box::from_raw(std::hint::black_box(raw.cast::<[u8; 1000]>())) });
        erred();
    }),
    case(OWNER, "vec_capacity_larger", "Vec::from_raw_parts with four times the capacity", || {
        vec_with(128, 512);
    }),
    case(OWNER, "vec_capacity_smaller", "Vec::from_raw_parts with a quarter of the capacity", || {
        vec_with(128, 32);
    }),
    case(OWNER, "vec_of_other_type", "Vec<u64> taken for a Vec<u8> of as many elements", || {
        block(64 * size_of::<u64>());
        let mut numbers = ManuallyDrop::new(vec![1_u64; 64]);
        erring();
        // SAFETY: none.
        drop(unsafe { Vec::from_raw_parts(opaque(numbers.as_mut_ptr().cast()), 64, 64) });
        erred();
    }),
    case(OWNER, "vec_of_stack", "Vec::from_raw_parts of an array on the stack", || {
        let mut array = [1_u8; 64];
        block(SMALL);
        erring();
        // SAFETY: none.
        drop(unsafe { Vec::from_raw_parts(opaque(array.as_mut_ptr()), 64, 64) });
        erred();
    }),
    case(OWNER, "string_of_literal", "String::from_raw_parts of a literal", || {
        let text = "a literal of some length, as long as a small block of memory is.";
        block(SMALL);
        erring();
        // SAFETY: none.
        drop(unsafe { String::from_raw_parts(opaque(text.as_ptr().cast_mut()), 64, 64) });
        erred();
    }),
    case(OWNER, "rc_copied", "an Rc copied by ptr::read, both dropped", || {
        block(size_of::<[u64; 10]>());
        let first = Rc::new([1_u64; 8]);
        // SAFETY: none: there are two owners and one count.
        let second = ManuallyDrop::new(unsafe { ptr::read(&raw const first) });
        let raw = Rc::as_ptr(&second).cast::<u8>().cast_mut();
        drop(first);
        // The second drop, as it is once the count has been overwritten: the memory alone is given back.
        // SAFETY: the counts lie before the value.
        dealloc_as(unsafe { raw.sub(16) }, layout(80, 8));
    }),
    case(OWNER, "arc_count_too_low", "an Arc whose count is lowered once too often in another thread", || {
        block(size_of::<[u64; 10]>());
        let shared = Arc::new([1_u64; 8]);
        let address = Arc::as_ptr(&shared).expose_provenance();
        let other = thread::spawn(move || {
            // SAFETY: none: the count is another's.
            unsafe { Arc::decrement_strong_count(ptr::with_exposed_provenance::<[u64; 8]>(address)) };
        });
        other.join().expect("no panic");
        // SAFETY: the counts lie before the value.
        let memory = unsafe { Arc::into_raw(shared).cast::<u8>().cast_mut().sub(16) };
        dealloc_as(memory, layout(80, 8));
    }),
    case(OWNER, "manually_drop_twice", "ManuallyDrop::drop twice", || {
        block(100);
        let mut text = ManuallyDrop::new(vec![b'a'; 100]);
        // SAFETY: the first time.
        unsafe { ManuallyDrop::drop(&mut text) };
        erring();
        // SAFETY: none.
        unsafe { ManuallyDrop::drop(std::hint::black_box(&mut text)) };
        erred();
    }),
    case(POINTER, "write_after_drop", "writes through a raw pointer to a dropped box", || {
        block(SMALL);
        let mut boxed = Box::new([1_u8; 64]);
        let raw = opaque(boxed.as_mut_ptr());
        drop(boxed);
        write_through(raw, 8, 16);
    }),
    case(POINTER, "read_after_drop", "reads through a raw pointer to a dropped vector", || {
        block(1000);
        let mut bytes = vec![0_u8; 1000];
        fill(bytes.as_mut_ptr(), 1000, 1);
        let raw = opaque(bytes.as_mut_ptr());
        drop(bytes);
        erring();
        read_stale(raw, 1000);
        erred();
    }),
    case(POINTER, "write_after_growth", "writes through the old pointer after a vector has grown", || {
        let (raw, _bytes) = grown();
        write_through(raw, 8, 16);
    }),
    case(POINTER, "read_after_growth", "reads through the old pointer after a vector has grown", || {
        let (raw, _bytes) = grown();
        erring();
        read_stale(raw, 1000);
        erred();
    }),
    case(POINTER, "write_beyond_capacity", "set_len beyond the capacity, then a write to the last element", || {
        block(SMALL);
        let mut bytes = Vec::<u8>::with_capacity(64);
        block(SMALL);
        erring();
        // SAFETY: none.
        unsafe { bytes.set_len(65) };
        // SAFETY: none.
        unsafe { *std::hint::black_box(&mut bytes).get_unchecked_mut(64) = b'A' };
        erred();
    }),
    case(POINTER, "read_beyond_capacity", "get_unchecked of the element behind the last", || {
        block(SMALL);
        let bytes = vec![1_u8; 64];
        block(SMALL);
        erring();
        // SAFETY: none.
        std::hint::black_box(unsafe { *std::hint::black_box(&bytes).as_ptr().add(64) });
        erred();
    }),
    case(POINTER, "write_before_start", "a write one element before a vector's first", || {
        write_through(victim(SMALL), -8, 8);
    }),
    case(POINTER, "copy_too_long", "copy_nonoverlapping of 32 bytes too many", || {
        let memory = victim(SMALL);
        let bytes = [b'A'; SMALL + 32];
        erring();
        // SAFETY: none.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), opaque(memory), SMALL + 32) };
        erred();
        dealloc_quietly(memory, SMALL);
    }),
    case(POINTER, "slice_too_long", "slice::from_raw_parts of a MiB over a block of 4 KiB, summed up", || {
        let memory = victim(MEDIUM);
        erring();
        // SAFETY: none.
        let slice = unsafe { slice::from_raw_parts(opaque(memory), 1 << 20) };
        std::hint::black_box(slice.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        erred();
        dealloc_quietly(memory, MEDIUM);
    }),
];

fn dealloc_as(memory: *mut u8, layout: Layout) {
    erring();
    // SAFETY: none.
    unsafe { dealloc(opaque(memory), std::hint::black_box(layout)) };
    erred();
}

fn dealloc_quietly(memory: *mut u8, size: usize) {
    // SAFETY: the caller has it from `victim` of this size, or from a realloc to it.
    unsafe { dealloc(memory, layout(size, 8)) };
}

/// A vector of `capacity` bytes, dropped with another capacity.
fn vec_with(capacity: usize, claimed: usize) {
    block(capacity);
    let mut bytes = ManuallyDrop::new(vec![1_u8; capacity]);
    block(capacity);
    erring();
    // SAFETY: none.
    drop(unsafe { Vec::from_raw_parts(opaque(bytes.as_mut_ptr()), 16, claimed) });
    erred();
}

/// The old address of a vector of 1000 bytes, and the vector after it has grown and moved.
fn grown() -> (*mut u8, Vec<u8>) {
    block(1000);
    let mut bytes = vec![0_u8; 1000];
    fill(bytes.as_mut_ptr(), 1000, 1);
    let raw = opaque(bytes.as_mut_ptr());
    // Whatever lies behind keeps the vector from growing in place.
    block(1000);
    bytes.reserve_exact(100_000);
    assert_ne!(bytes.as_mut_ptr(), raw);
    (raw, bytes)
}

fn write_through(memory: *mut u8, offset: isize, count: usize) {
    erring();
    for index in 0..count {
        // SAFETY: none.
        unsafe { opaque(memory).offset(offset).add(index).write_volatile(b'A') };
    }
    erred();
}

#[cfg(feature = "jemoxide")]
fn dealloc_c_memory() {
    block(SMALL);
    // SAFETY: takes no pointer.
    let memory = unsafe { libc::malloc(SMALL) };
    dealloc_as(memory.cast(), layout(SMALL, 8));
}

/// Rust's allocator is C's here.
#[cfg(not(feature = "jemoxide"))]
fn dealloc_c_memory() {
    crate::suite::absent();
}
