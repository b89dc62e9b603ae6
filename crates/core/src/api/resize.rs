//! Resize.
//!
//! ```text
//! same usable size           nothing moves
//! large to large             grow into the free pages behind, or give the tail back
//! large, 256 KiB or more     move the pages, not the bytes
//! else                       allocate, copy, free
//! ```

use super::alloc::{
    alloc_aligned, alloc_aligned_missed, alloc_missed_by, alloc_zeroed_aligned, class_byte, refuse,
    unbound,
};
use super::block;
use super::free::{dealloc, dealloc_by, is_size_of, small_class};
use super::query::{known_size, request_size, usable_size};
use super::sampling;
use super::slow;
use crate::arena::hardened::{self, Door, Told};
use crate::arena::large::{self, RELOCATE_MIN};
use crate::arena::misuse::{self, Misuse};
use crate::arena::{ArenaIndex, manual};
use crate::control::modes;
use crate::extent::{Purpose, page_map};
use crate::size::{LARGE_MIN, LOOKUP_MAX, Pages, SIZES};
use crate::thread::{self, CacheRef, Inside};
use core::ptr::{self, NonNull};

/// Makes the object at `ptr` hold `size` bytes at `align`, a power of two, moving it if need be; the answer is where
/// it is now. With `zeroed`, what lies beyond the old usable size reads zero. Null: out of memory, the object is
/// as it was.
///
/// # Safety
/// `ptr` is not null, came from this allocator and is not free; after an answer that is not null it is the answer
/// that counts.
#[inline(always)]
pub unsafe fn realloc(ptr: *mut u8, size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if align <= 8 && !zeroed {
        match compare_classes(ptr, size) {
            Classes::Same => return ptr,
            Classes::Change(old, new) => {
                // SAFETY: the caller's promise; the classes are the object's and the size's.
                if let Some(object) = unsafe { move_small(ptr, old, new) } {
                    return object;
                }
            }
            Classes::Other => {}
        }
    }
    // SAFETY: the caller's promise.
    unsafe { realloc_missed(ptr, size, align, zeroed) }
}

/// As [`realloc`], for objects that came from [`super::alloc_aligned`] and its kin with this very `size` and `align`: the old
/// class is only compared with the page's. Nothing is said of what lies beyond the old size.
///
/// # Safety
/// As for [`realloc`]; as said.
#[inline(always)]
pub unsafe fn realloc_known(ptr: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    if let (Some(old), Some(new)) = (small_class(size, align), small_class(new_size, align)) {
        if old == new {
            // A hardened object ends where its size does: another size is another end, in the same class too.
            if !modes::guarded() || !hardened::owns(ptr) {
                return ptr;
            }
        } else if page_map::class_byte_below(ptr) == Some(old) {
            // SAFETY: the caller's promise; the classes are those of the two sizes.
            if let Some(object) = unsafe { move_small(ptr, old, new) } {
                return object;
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { realloc_known_missed(ptr, size, align, new_size) }
}

/// The rest of [`realloc_known`]: as [`super::alloc::alloc_known`] it stays with automatic arenas.
///
/// # Safety
/// As for [`realloc`].
#[cold]
#[inline(never)]
unsafe fn realloc_known_missed(
    ptr: *mut u8,
    size: usize,
    align: usize,
    new_size: usize,
) -> *mut u8 {
    if modes::guarded() && hardened::owns(ptr) {
        // SAFETY: the caller's promise.
        return unbound(|| unsafe { realloc_hardened(ptr, new_size, align, Door::Rust) });
    }
    if let Err(error) = is_size_of(ptr, size, align) {
        slow::misused(error, ptr);
        return ptr::null_mut();
    }
    let fresh = |size, align, zeroed| alloc_missed_by(size, align, zeroed, Door::Rust);
    // SAFETY: the caller's promise.
    unbound(|| unsafe { resize_or_move(ptr, new_size, align, false, fresh) })
}

/// What a resize means for an object's class.
pub enum Classes {
    /// It stays: nothing is to be done.
    Same,
    /// From one class byte to another, both cached: [`move_small`] may do it at once.
    Change(u8, u8),
    /// Null, size 0, large, or not known: [`realloc_missed`] finds out.
    Other,
}

/// Compares the class of the object at `ptr` with the one that `size` bytes get.
#[inline(always)]
pub fn compare_classes(ptr: *const u8, size: usize) -> Classes {
    // One compare for 0 and for what is too large.
    if size.wrapping_sub(1) >= LOOKUP_MAX {
        return Classes::Other;
    }
    match (page_map::class_byte_below(ptr), class_byte(size)) {
        (Some(old), new) if old == new => Classes::Same,
        (Some(old), new) if old != 0 => Classes::Change(old, new),
        _ => Classes::Other,
    }
}

/// Moves an object from class byte `old` to `new`. `None`: an object is not at hand, nothing happened.
///
/// # Safety
/// As for [`realloc`]; `old` is the object's class byte, `new` another one.
#[inline(always)]
pub unsafe fn move_small(ptr: *mut u8, old: u8, new: u8) -> Option<*mut u8> {
    let object = thread::pop(new)?;
    let smaller = usize::from(old.min(new));
    debug_assert!(smaller < SIZES.len());
    // SAFETY: 1. in range: `new` is a class byte, as its bin had an object, and the smaller is no larger;
    //         2. two objects of at least that size: the new one is ours since the pop, the old one is the caller's.
    unsafe {
        let bytes = *SIZES.get_unchecked(smaller) as usize;
        if thread::push(old, ptr) {
            // Freed first, so that nothing need be kept for after the copy. No other thread can take the old
            // object from this one's bin, and this one will not before it returns.
            block::copy(ptr, object, bytes);
            Some(object)
        } else {
            Some(move_and_flush(ptr, object, bytes))
        }
    }
}

/// The rest of [`move_small`], for an object whose bin is full: it may leave the thread as soon as it is freed.
/// The answer is `to`.
///
/// # Safety
/// `from` and `to` have `bytes` bytes; `from` may be freed.
#[cold]
#[inline(never)]
unsafe fn move_and_flush(from: *mut u8, to: *mut u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(from, to, bytes);
        dealloc(from);
    }
    to
}

/// The rest of [`realloc`].
///
/// # Safety
/// As for [`realloc`].
#[cold]
#[inline(never)]
pub unsafe fn realloc_missed(ptr: *mut u8, size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if modes::guarded() && hardened::owns(ptr) {
        // SAFETY: the caller's promise.
        return unsafe { realloc_hardened(ptr, size, align, Door::Malloc) };
    }
    let fresh = |size, align, zeroed| {
        if zeroed {
            alloc_zeroed_aligned(size, align)
        } else {
            alloc_aligned(size, align)
        }
    };
    // SAFETY: the caller's promise.
    unsafe { resize_or_move(ptr, size, align, zeroed, fresh) }
}

/// As [`realloc`]; what does not stay where it is gets its place from `fresh`.
///
/// # Safety
/// As for [`realloc`].
unsafe fn resize_or_move(
    ptr: *mut u8,
    size: usize,
    align: usize,
    zeroed: bool,
    fresh: impl FnOnce(usize, usize, bool) -> *mut u8,
) -> *mut u8 {
    let Some(old) = known_size(ptr) else {
        return ptr::null_mut();
    };
    let Some(new) = request_size(size, align) else {
        return refuse(size);
    };
    let aligned = ptr.addr() & (align - 1) == 0;
    if old == new && aligned {
        sampling::kept(ptr, size);
        return ptr;
    }
    if old >= LARGE_MIN && new >= LARGE_MIN && aligned {
        // SAFETY: a large object of the caller's.
        if unsafe { resize_large(ptr, old, new, zeroed) } {
            return ptr;
        }
    }
    if old >= RELOCATE_MIN && new > old && !zeroed && !modes::fill() {
        // SAFETY: a large object of the caller's.
        if let Some(object) = unsafe { move_large(ptr, old, new, size, align) } {
            return object;
        }
    }
    let object = fresh(size, align, zeroed);
    if !object.is_null() {
        // SAFETY: two objects of at least that size, both the caller's; the first is of no use from now on.
        unsafe {
            ptr.copy_to_nonoverlapping(object, old.min(room_of(object, size, new)));
            dealloc(ptr);
        }
    }
    object
}

/// Bytes of the object at `ptr`, just allocated for `size` bytes, `rounded` by its class: one of the hardened arena holds what
/// was asked for, and one for no bytes may hold none.
pub(super) fn room_of(ptr: *mut u8, size: usize, rounded: usize) -> usize {
    if size == 0 {
        return known_size(ptr).unwrap_or(0);
    }
    if modes::guarded() && hardened::owns(ptr) {
        size
    } else {
        rounded
    }
}

/// Counts the object of the hardened arena at `ptr`, which changed its size; it is decided on anew whether it is a sample.
fn note_resized(cache: Option<CacheRef>, ptr: *mut u8, new: usize, old: usize) {
    let counted = hardened::counted(new);
    let is_due = sampling::is_due(cache, counted);
    thread::note_alloc(cache, counted);
    thread::note_dealloc(cache, hardened::counted(old));
    sampling::detach(cache, ptr);
    if is_due {
        sampling::attach(cache, ptr, new, counted);
    }
}

/// [`realloc`] of an object of the hardened arena: where it is if its slot allows, else into a new one. What is added reads
/// zero in any case. Null: out of memory, or the pointer is wrong; nothing happened.
///
/// # Safety
/// As for [`realloc`].
#[cold]
#[inline(never)]
unsafe fn realloc_hardened(ptr: *mut u8, size: usize, align: usize, door: Door) -> *mut u8 {
    let told = Told::of(door);
    let result = slow::enter(|cache| {
        let old = hardened::inspect_for(ptr, &told).unwrap_or(Err(Misuse::Foreign))?;
        if ptr.addr() & (align - 1) == 0 && hardened::resize(ptr, size, Some(align)) {
            note_resized(cache, ptr, size, old);
            return Ok((old, true));
        }
        Ok((old, false))
    });
    let (old, done) = match result {
        Ok(found) => found,
        Err(error) => {
            slow::misused(error, ptr);
            return ptr::null_mut();
        }
    };
    if done {
        return ptr;
    }
    let object = alloc_aligned_missed(size, align, true, door);
    if !object.is_null() {
        // SAFETY: two objects of at least that size, both the caller's; the first is of no use from now on.
        unsafe {
            ptr.copy_to_nonoverlapping(object, old.min(size));
            dealloc_by(ptr, 1, door);
        }
    }
    object
}

/// Moves a large object into a new one, for a request of `size`: its pages where the new one's are without memory, which a
/// move would lose, its bytes otherwise. `None`: out of memory; nothing happened.
///
/// # Safety
/// `ptr` is a large object of `old` bytes, the caller's; it is no more after an answer.
unsafe fn move_large(
    ptr: *mut u8,
    old: usize,
    new: usize,
    size: usize,
    align: usize,
) -> Option<*mut u8> {
    let from = NonNull::new(ptr)?;
    slow::enter(|cache| {
        if cache.is_some_and(|cache| cache.bound().is_some()) || manual::arena_of(ptr).is_some() {
            // Its own arena's, and not to be moved by the system.
            return None;
        }
        let arena = cache.map_or(ArenaIndex::FIRST, CacheRef::arena);
        let purpose = Purpose::Written(Pages::holding(old).0);
        let is_due = sampling::is_due(cache, new);
        let fresh = large::alloc(new, align, arena, purpose)?;
        let to = fresh.addr;
        thread::note_alloc(cache, new);
        thread::note_dealloc(cache, old);
        sampling::detach(cache, ptr);
        // SAFETY: the caller's promise; an object just allocated, no shorter.
        unsafe {
            if !(fresh.vacant && large::relocate(from, to)) {
                to.copy_from_nonoverlapping(from, old);
                // The caller's object: it fails only if another thread freed it meanwhile.
                if let Err(error) = large::dealloc(ptr, arena) {
                    misuse::report(error, ptr);
                }
            }
        }
        if is_due {
            sampling::attach(cache, to.as_ptr(), size, new);
        }
        Some(to.as_ptr())
    })
}

/// # Safety
/// `ptr` is a large object of `old` bytes, the caller's.
unsafe fn resize_large(ptr: *mut u8, old: usize, new: usize, zeroed: bool) -> bool {
    let Some(start) = NonNull::new(ptr) else {
        return false;
    };
    let zeroed = zeroed || modes::zero();
    let purpose = Purpose::of_request(zeroed);
    if new < old && manual::arena_of(ptr).is_none() {
        // SAFETY: what is given away, which always succeeds, and is the caller's until then.
        unsafe { modes::fill_freed(ptr.add(new), old - new) };
    }
    let grown = slow::enter(|cache| {
        let grown = manual::resize(ptr, new, zeroed, Inside(cache)).unwrap_or_else(|| {
            // SAFETY: the caller's promise; of an automatic arena.
            unsafe { large::resize(start, new, purpose) }
        });
        if grown.is_some() {
            if let Some(cache) = cache {
                cache.note_bytes(new as u64, old as u64);
            }
            sampling::resized(cache, ptr, new);
        }
        grown
    });
    if grown == Some(false) && zeroed && new > old {
        // SAFETY: the object now holds `new` bytes.
        unsafe { start.add(old).write_bytes(0, new - old) };
    }
    if grown.is_some() && new > old {
        // SAFETY: as above.
        unsafe { modes::fill_new(ptr.add(old), new - old, zeroed) };
    }
    grown.is_some()
}

/// Makes the object at `ptr` hold at least `size` bytes and up to `size + extra`, without moving it; the answer is
/// its usable size now, the old one if nothing was possible.
///
/// # Safety
/// `ptr` is not null, came from this allocator and is not free.
pub unsafe fn resize_in_place(
    ptr: *mut u8,
    size: usize,
    extra: usize,
    align: usize,
    zeroed: bool,
) -> usize {
    // SAFETY: the caller's promise.
    let old = unsafe { usable_size(ptr) };
    if ptr.addr() & (align - 1) != 0 {
        return old;
    }
    let most = size.saturating_add(extra).min(crate::size::MAX_SIZE);
    if modes::guarded() && hardened::owns(ptr) {
        return slow::enter(|cache| {
            let new = [most, size]
                .into_iter()
                .find(|&new| hardened::resize(ptr, new, None));
            if let Some(new) = new {
                note_resized(cache, ptr, new, old);
            }
            new.unwrap_or(old)
        });
    }
    let (Some(least), Some(most)) = (request_size(size, align), request_size(most, align)) else {
        return old;
    };
    if old == least {
        sampling::kept(ptr, size);
    }
    if old < LARGE_MIN {
        return old;
    }
    for new in [most, least] {
        // SAFETY: a large object of the caller's.
        if new == old || new >= LARGE_MIN && unsafe { resize_large(ptr, old, new, zeroed) } {
            if new > least {
                large::note_stretched(ptr);
            }
            return new;
        }
        if (least..=most).contains(&old) {
            break;
        }
    }
    old
}
