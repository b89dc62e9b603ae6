//! The unwinder beside the compiler's own: over frames of many shapes, in Rust, C and C++, interrupted anywhere, on stacks
//! of every kind, and on stacks that are spoiled.

mod programs;
mod spoiled;
mod storm;
mod truth;

use super::*;
use crate::sys::simulated::dice::Dice;
use core::hint::black_box;
use core::sync::atomic::AtomicU32;
use std::string::String;
use truth::{assert_same, compare};

/// Rust frames of several shapes, down to `leaf`.
#[inline(never)]
fn descend(depth: usize, dice: &mut Dice, leaf: &mut dyn FnMut()) -> u64 {
    if depth == 0 {
        leaf();
        return black_box(1);
    }
    let shape = dice.below(4);
    let sum = match shape {
        0 => small(depth - 1, dice, leaf),
        1 => wide::<100>(depth - 1, dice, leaf),
        2 => wide::<700>(depth - 1, dice, leaf),
        _ => with_drop(depth - 1, dice, leaf),
    };
    black_box(sum + shape as u64)
}

#[inline(never)]
fn small(depth: usize, dice: &mut Dice, leaf: &mut dyn FnMut()) -> u64 {
    black_box(descend(depth, dice, leaf)) + 1
}

#[inline(never)]
fn wide<const WORDS: usize>(depth: usize, dice: &mut Dice, leaf: &mut dyn FnMut()) -> u64 {
    let words = black_box([depth as u64; WORDS]);
    descend(depth, dice, leaf) + black_box(words)[WORDS / 2]
}

#[inline(never)]
fn with_drop(depth: usize, dice: &mut Dice, leaf: &mut dyn FnMut()) -> u64 {
    let text = black_box(String::from("dropped when the frame goes"));
    let mut closure = || descend(depth, dice, leaf);
    closure() + black_box(text.len()) as u64
}

#[test]
fn rust_frames_of_random_depth() {
    let mut dice = Dice::new(1);
    for _ in 0..2000 {
        let depth = dice.below(60);
        let mut comparison = None;
        descend(depth, &mut dice, &mut || comparison = Some(compare()));
        let comparison = comparison.expect("the leaf was reached");
        assert_same(&comparison);
        assert!(comparison.ours().len() > depth);
    }
}

#[test]
fn a_stack_deeper_than_the_frames_asked_for_is_cut() {
    let deep = || {
        let mut dice = Dice::new(2);
        let mut cut = [0; 16];
        let mut comparison = None;
        descend(3000, &mut dice, &mut || {
            let count = capture(&mut cut);
            assert_eq!(count, cut.len());
            comparison = Some(compare());
        });
        let comparison = comparison.unwrap();
        assert_same(&comparison);
        assert_eq!(comparison.ours().len(), truth::LONGEST);
        assert_eq!(cut[2..], comparison.ours()[2..16]);
        assert_eq!(capture(&mut []), 0);
    };
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    thread.spawn(deep).unwrap().join().unwrap();
}

#[test]
fn a_mark_leaves_out_what_is_inside() {
    #[inline(never)]
    fn outermost(frames: &mut [usize]) -> usize {
        let mark = black_box(0u8);
        let count = middle(frames, &raw const mark as usize);
        black_box(count + usize::from(mark))
    }
    #[inline(never)]
    fn middle(frames: &mut [usize], mark: usize) -> usize {
        let block = black_box([mark; 500]);
        black_box(capture_above(frames, block[7]))
    }
    let (mut inside, mut here) = ([0; 64], [0; 64]);
    let (count, all) = (outermost(&mut inside), capture(&mut here));
    assert_eq!(inside[1..count], here[1..all]);
    assert!(inside[0].abs_diff(here[0]) < 4096);
}

#[test]
fn threads_as_they_end_and_children_of_a_fork() {
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            assert_same(&compare());
        }
    }
    std::thread_local! {
        static LOCAL: AtEnd = const { AtEnd };
    }
    unsafe extern "C" fn at_end(_: *mut core::ffi::c_void) {
        assert_same(&compare());
        ENDED.store(1, Ordering::Relaxed);
    }
    static ENDED: AtomicU32 = AtomicU32::new(0);
    let mut key = 0;
    // SAFETY: plain calls; the function takes any value.
    let thread = std::thread::spawn(move || unsafe {
        assert_eq!(libc::pthread_key_create(&mut key, Some(at_end)), 0);
        assert_eq!(libc::pthread_setspecific(key, (&raw const key).cast()), 0);
        LOCAL.with(|_| {});
        assert_same(&compare());
    });
    thread.join().unwrap();
    assert_eq!(ENDED.load(Ordering::Relaxed), 1);
    crate::sys::simulated::child::alone(|| {
        // SAFETY: the child compares stacks and leaves; nobody else runs in this process.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(!compare().is_same()));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            assert_eq!(status, 0);
        }
    });
}
