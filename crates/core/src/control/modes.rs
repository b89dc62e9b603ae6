//! Modes: what the options ask of every allocation and free, looked at in slow paths only.
//!
//! ```text
//! junk, zero, scan       threads start on their shadow bins, so that every operation comes by
//! hardening              the same, from strong on; the hardened arena serves what comes
//! xmalloc, large classes what has no memory, and what is large, goes slow anyway
//! ```
//! O1  Set by the boot, before it is over: slow paths look behind `slow::enter`, when it is.
//! O2  Memory that is to read zero is never junk, and `zero` wins over `junk` for new memory.
//! O3  Freed memory is filled before anybody else can have it, and only when its address is an object's.
//! Source: jemalloc(3) `opt.junk`, `opt.zero`, `opt.xmalloc`, `opt.disable_large_size_classes`.

use crate::arena::misuse::Misuse;
use crate::arena::{bin, large};
use crate::ds::text::Line;
use crate::options::{Hardening, Junk, Options};
use crate::size::{COARSE_MAX, SizeClass, class_of};
use crate::sys::process;
use crate::thread::CacheRef;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

const JUNK_ALLOC: u8 = 1;
const JUNK_FREE: u8 = 2;
const ZERO: u8 = 4;
const XMALLOC: u8 = 8;
const CLASSES: u8 = 16;
const INFALLIBLE_NEW: u8 = 32;
const HARDENED: u8 = 64;
const SAMPLED: u8 = 128;

/// What new memory is filled with, and what freed memory.
const NEW: u8 = 0xa5;
const FREED: u8 = 0x5a;

#[unsafe(link_section = ".data.jemoxide_start")]
static MODES: AtomicU8 = AtomicU8::new(0);
/// Bytes from which memory that is to read zero is had from the system anew.
static ANEW_FROM: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Cached objects that a free is compared with.
static SCANNED: AtomicUsize = AtomicUsize::new(0);

/// Takes over what the options say. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    let set = |is_on: bool, mode: u8| if is_on { mode } else { 0 };
    let modes = set(
        matches!(options.junk, Junk::Always | Junk::Alloc),
        JUNK_ALLOC,
    ) | set(matches!(options.junk, Junk::Always | Junk::Free), JUNK_FREE)
        | set(options.zero, ZERO)
        | set(options.xmalloc, XMALLOC)
        | set(!options.disable_large_size_classes, CLASSES)
        | set(options.experimental_infallible_new, INFALLIBLE_NEW)
        | set(is_hardening(options), HARDENED)
        | set(is_sampling(options), SAMPLED);
    if modes != 0 {
        MODES.store(modes, Ordering::Relaxed);
    }
    if options.debug_double_free_max_scan != 0 {
        SCANNED.store(options.debug_double_free_max_scan, Ordering::Relaxed);
    }
    if options.calloc_madvise_threshold != Options::DEFAULT.calloc_madvise_threshold {
        ANEW_FROM.store(options.calloc_madvise_threshold, Ordering::Relaxed);
    }
}

/// Whether the hardened arena is to serve allocations.
pub(super) fn is_hardening(options: &Options) -> bool {
    options.hardening >= Hardening::Strong
}

#[inline]
fn are(modes: u8) -> bool {
    MODES.load(Ordering::Relaxed) & modes != 0
}

/// Whether every operation is to come by.
pub(super) fn watch_all(options: &Options) -> bool {
    options.zero
        || options.junk != Junk::Never
        || options.debug_double_free_max_scan != 0
        || is_hardening(options)
}

/// Whether the pool of guarded pages is to serve some of them.
pub(super) fn is_sampling(options: &Options) -> bool {
    options.guarded_sampling != 0
}

/// Whether the hardened arena serves all allocations, or some.
#[inline]
pub(crate) fn guarded() -> bool {
    are(HARDENED | SAMPLED)
}

/// Whether the hardened arena serves allocations.
#[inline]
pub(crate) fn hardened() -> bool {
    are(HARDENED)
}

/// Whether the pool of guarded pages serves some of them.
#[inline]
pub(crate) fn sampled() -> bool {
    are(SAMPLED)
}

/// Whether memory is filled as it changes hands.
#[inline]
pub(crate) fn fill() -> bool {
    are(JUNK_ALLOC | JUNK_FREE | ZERO)
}

/// Whether all new memory is to read zero.
#[inline]
pub(crate) fn zero() -> bool {
    are(ZERO)
}

/// Fills the `bytes` of new memory at `start`, of no use yet, as the options say; with `zeroed` it reads zero, and stays
/// so (O2).
///
/// # Safety
/// The memory is the caller's.
#[inline]
pub(crate) unsafe fn fill_new(start: *mut u8, bytes: usize, zeroed: bool) {
    if fill() && !zeroed {
        let byte = match MODES.load(Ordering::Relaxed) & (ZERO | JUNK_ALLOC) {
            0 => return,
            JUNK_ALLOC => NEW,
            _ => 0,
        };
        // SAFETY: the caller's promise.
        unsafe { start.write_bytes(byte, bytes) };
    }
}

/// Fills memory that is about to be free.
///
/// # Safety
/// The `bytes` at `start` are the caller's.
#[inline]
pub(crate) unsafe fn fill_freed(start: *mut u8, bytes: usize) {
    if are(JUNK_FREE) {
        // SAFETY: the caller's promise.
        unsafe { start.write_bytes(FREED, bytes) };
    }
}

/// Fills the object at `ptr`, on a page with class byte `byte`, which is about to be free. What is wrong with the pointer,
/// if it is looked at (O3).
#[inline]
pub(crate) fn fill_freed_object(ptr: *mut u8, byte: u8) -> Result<(), Misuse> {
    if are(JUNK_FREE) {
        let is_small = SizeClass::from_byte(byte).is_some_and(SizeClass::is_small);
        let bytes = if is_small {
            bin::inspect(ptr).map(SizeClass::size)
        } else {
            large::inspect(ptr)
        };
        // SAFETY: an object that is out; who frees it is its owner.
        unsafe { fill_freed(ptr, bytes?) };
    }
    Ok(())
}

/// Looks for `ptr`, which `cache`'s thread is about to free, among what it freed last.
#[inline]
pub(crate) fn scan_for_double_free(ptr: *mut u8, byte: u8, cache: CacheRef) -> Result<(), Misuse> {
    let most = SCANNED.load(Ordering::Relaxed);
    if most > 0 {
        if let Some(class) = SizeClass::from_byte(byte) {
            if cache.holds(class, ptr, most) {
                return Err(Misuse::DoubleFree);
            }
        }
    }
    Ok(())
}

/// Bytes of an object for a request that rounds to `bytes`: large ones round to their class where that is asked for.
#[inline]
pub(crate) fn rounded(bytes: usize) -> usize {
    if bytes > COARSE_MAX && are(CLASSES) {
        class_of(bytes).map_or(bytes, |class| class.size())
    } else {
        bytes
    }
}

/// Whether `bytes` that are to read zero are better had from the system than cleared.
pub(crate) fn is_had_anew(bytes: usize) -> bool {
    bytes >= ANEW_FROM.load(Ordering::Relaxed)
}

/// A request for `bytes` has failed: null, or the end of the process where that is asked for.
#[cold]
pub(crate) fn refuse(bytes: usize) -> *mut u8 {
    if are(XMALLOC) {
        let mut line = Line::new();
        line.text("<jemoxide>: out of memory: ").decimal(bytes);
        line.text(" bytes were asked for, and the option xmalloc:true ends the process\n");
        process::write_error(line.as_bytes());
        process::abort();
    }
    core::ptr::null_mut()
}

/// C++ `new` has failed: the end of the process where that is asked for.
#[cold]
pub(crate) fn refuse_new() {
    if are(INFALLIBLE_NEW) {
        process::write_error(
            b"<jemoxide>: out of memory in operator new, and the option experimental_infallible_new:true ends the process\n",
        );
        process::abort();
    }
}
