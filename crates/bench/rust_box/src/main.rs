//! What the allocator costs in a Rust program that has it linked in: `rust-box OPERATIONS [KIND]`.
//!
//! | kind | one operation |
//! |---|---|
//! | `box` | `Box::new` of a number and its drop: with fat LTO both are inlined and the class is a constant |
//! | `vector` | a `Vec<u64>` grown to 64 elements by `push`, then dropped: 1 allocation, 4 reallocations, 1 free |
//! | `string` | a `String` grown to 128 bytes by `push_str` of 8, then dropped: 1 allocation, 4 reallocations, 1 free |

use std::hint::black_box;

#[cfg(feature = "jemoxide")]
#[global_allocator]
static ALLOCATOR: jemoxide::Jemoxide = jemoxide::Jemoxide;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operations: u64 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    let operation = match arguments.next().as_deref() {
        None | Some("box") => boxes,
        Some("vector") => vectors,
        Some("string") => strings,
        Some(other) => panic!("no such kind: {other}"),
    };
    operation(operations);
}

/// Never inlined, so that its machine code is found by name.
#[inline(never)]
fn boxes(operations: u64) {
    for index in 0..operations {
        let boxed = Box::new(index);
        // The box must exist in memory: its address leaves through here.
        black_box(&*boxed);
    }
}

#[inline(never)]
fn vectors(operations: u64) {
    for index in 0..operations {
        let mut vector = Vec::new();
        for element in 0..64 {
            vector.push(index + element);
        }
        black_box(&*vector);
    }
}

#[inline(never)]
fn strings(operations: u64) {
    for _ in 0..operations {
        let mut string = String::new();
        for _ in 0..16 {
            string.push_str(black_box("8 bytes."));
        }
        black_box(&*string);
    }
}
