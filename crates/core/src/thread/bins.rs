//! Bins: one array of pointers per class, and the two operations that matter.
//!
//! ```text
//! bin 16 bytes    0 head 8 | 8 low water 2 | 10 left 2 | 12 active magazine 4
//!
//!                           head              low water            end
//!          |   room          | top ...  objects ...  | untouched    |       the stack grows down
//! ```
//! The head's low 16 bits are compared with the low-water mark: a magazine is far shorter than 64 KiB. `left` is how many
//! more pushes pass before a look; a push that finds none left takes it below zero and goes slow. A pop moves the head and
//! a push takes one off `left`, so that both can be counted later (see `cache/counting`), and neither pays for it.
//!
//! I1  An all-zero bin looks empty and full at once: both operations go slow. So does one with `left` below zero,
//!     whoever takes more off it; who was sent away sets it to zero ([`decline`]), long before it comes round.
//! I2  Bin 0 is all zero but for its magazine number, which marks the array: class byte 0 goes slow.
//! I3  A push stores the object first, the head second: a forked child finds no slot without its object.
//! I4  (Rule A) The head is loaded and stored through one base register, 64 bits wide: with an index register
//!     the processor cannot rename the memory word, 3.9 ns a pair instead of 1.97.
//! I5  An operation under way touches the object on top or the slot above it, and moves the head by one: what lies
//!     deeper may be taken meanwhile (see `park`).

use crate::size::CACHED_CLASSES;
use crate::sys::thread as system;
use crate::sys::{self, cpu};
use core::hint::assert_unchecked;
use core::sync::atomic::{Ordering, compiler_fence};

/// Bins of a cache: one per cached class, and bin 0.
pub(crate) const BINS: usize = CACHED_CLASSES + 1;
/// Marker of live bins (I2).
pub(crate) const LIVE: u32 = 1;
/// Marker of shadow bins (I2).
pub(crate) const SHADOW: u32 = 2;
/// Marker of live bins whose thread's allocations are sampled: what shares a bit with [`LIVE`] is live.
pub(crate) const WATCHED: u32 = LIVE | 4;

/// One bin.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Bin {
    pub(crate) head: *mut *mut u8,
    pub(crate) low_water: u16,
    pub(crate) left: i16,
    pub(crate) active: u32,
}

const _: () = assert!(size_of::<Bin>() == 16);
const _: () = assert!(size_of::<[Bin; BINS + 1]>() <= size_of::<system::EmptyBins>());

impl Bin {
    pub(crate) const EMPTY: Self = Self {
        head: core::ptr::null_mut(),
        low_water: 0,
        left: 0,
        active: 0,
    };
}

impl Bin {
    /// Puts `object` on top.
    ///
    /// # Safety
    /// The active magazine has room for it.
    #[inline(always)]
    pub(crate) unsafe fn put(&mut self, object: *mut u8) {
        self.head = self.head.wrapping_sub(1);
        // SAFETY: the caller's promise.
        unsafe { *self.head = object };
    }
}

/// The part of an address that marks are compared with.
#[inline(always)]
pub(crate) fn mark(position: *mut *mut u8) -> u16 {
    position.addr() as u16
}

/// The marker of the bins that a thread word points at.
#[inline]
pub(crate) fn marker(word: *mut u8) -> u32 {
    // SAFETY: the word always points at an array of bins.
    unsafe { (*word.cast::<Bin>()).active }
}

/// The bin of a class byte in the calling thread's bins, its address in a register of its own (I4).
#[inline(always)]
fn bin(byte: usize) -> *mut Bin {
    let addr = system::word().expose_provenance() + byte * size_of::<usize>();
    core::ptr::with_exposed_provenance_mut(sys::opaque(addr))
}

/// Pops an object of the class with byte `byte`. `None`: go slow.
#[inline(always)]
pub(crate) fn pop(byte: u8) -> Option<*mut u8> {
    let bin = bin(byte as usize);
    // SAFETY: the word points at bins of this thread alone, or at all-zero ones that never pass the
    //         compare; below the low-water mark there is an object.
    unsafe {
        let head = (*bin).head;
        if mark(head) == (*bin).low_water {
            return None;
        }
        cpu::step::<{ size_of::<*mut u8>() as isize }, _>(&raw mut (*bin).head);
        let object = *head;
        // No push takes null: Rust's callers need not test what they get.
        assert_unchecked(!object.is_null());
        Some(object)
    }
}

/// Pushes an object of the class with byte `byte`, which may be 0. `false`: go slow.
#[inline(always)]
pub(crate) fn push(byte: u8, object: *mut u8) -> bool {
    let bin = bin(byte as usize);
    // SAFETY: as for `pop`; while pushes are left there is room.
    unsafe {
        let left = (*bin).left.wrapping_sub(1);
        (*bin).left = left;
        if left < 0 {
            return false;
        }
        let head = (*bin).head;
        *head.sub(1) = object;
        compiler_fence(Ordering::Release);
        cpu::step::<{ -(size_of::<*mut u8>() as isize) }, _>(&raw mut (*bin).head);
    }
    true
}

/// A push of class byte `byte` was sent away: the bins keep looking full (I1).
#[inline]
pub(crate) fn decline(byte: u8) {
    // SAFETY: bins of this thread alone, or such as are never more than full.
    unsafe { (*bin(byte as usize)).left = 0 };
}
