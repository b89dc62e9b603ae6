//! Free.
//!
//! The page map's class byte says which bin an object goes to; 0 means "look closer": null, foreign, large,
//! or a thread without bins. A sized free compares the byte with the class of its size: equal pushes, all
//! else is looked at, which finds wrong sizes for the price of the compare.

use super::alloc::{looked_up, outermost};
use super::sampling;
use super::slow;
use crate::arena::hardened::{self, Door, Size, Told};
use crate::arena::large::{Displaced, Offer};
use crate::arena::manual::ArenaRef;
use crate::arena::misuse::{self, Misuse};
use crate::arena::{large, manual, sampled};
use crate::control::modes;
use crate::extent::{HEAP, page_map};
use crate::size::{LOOKUP, LOOKUP_MAX, SMALL_MAX, SizeClass, aligned_size};
use crate::thread::{self, CacheRef, Inside, cache, events, explicit};

/// Frees the object at `ptr`; null is ignored. A pointer that is recognised as wrong ends the process with a
/// message, unless the program has asked to be called then.
///
/// # Safety
/// `ptr` came from this allocator, is not free, and nobody uses it from now on.
#[inline(always)]
pub unsafe fn dealloc(ptr: *mut u8) {
    match page_map::class_byte_below(ptr) {
        Some(byte) if thread::push(byte, ptr) => {}
        byte => dealloc_missed(ptr, byte.unwrap_or(0)),
    }
}

/// As [`dealloc`], by a family of functions other than `free`'s.
///
/// # Safety
/// As for [`dealloc`].
#[inline(always)]
pub unsafe fn dealloc_by(ptr: *mut u8, align: usize, door: Door) {
    match page_map::class_byte_below(ptr) {
        Some(byte) if thread::push(byte, ptr) => {}
        byte => dealloc_missed_by(ptr, byte.unwrap_or(0), align, door),
    }
}

/// Frees the object at `ptr`, allocated with `size` bytes at `align`, a power of two; null is ignored.
///
/// # Safety
/// As for [`dealloc`]; `size` lies between what was asked for and the usable size, `align` is what was asked for.
#[inline(always)]
pub unsafe fn dealloc_sized(ptr: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller's promise.
    unsafe { dealloc_told(ptr, size, align, Door::Malloc, false) }
}

/// As [`dealloc_sized`], by any family of functions; `exact`: `size` is what was asked for.
///
/// # Safety
/// As for [`dealloc_sized`].
#[inline(always)]
pub unsafe fn dealloc_told(ptr: *mut u8, size: usize, align: usize, door: Door, exact: bool) {
    match small_class(size, align) {
        Some(byte) if page_map::class_byte_below(ptr) == Some(byte) => {
            if !thread::push(byte, ptr) {
                if byte == 0 {
                    // The size 0, and what has no bin: an object of no bytes, or another one.
                    thread::decline(0);
                    return dealloc_sized_missed(ptr, size, align, door, exact);
                }
                dealloc_missed(ptr, byte);
            }
        }
        _ => dealloc_sized_missed(ptr, size, align, door, exact),
    }
}

/// Class byte of what `size` bytes at `align` get, where the table answers.
#[inline(always)]
pub(super) fn small_class(size: usize, align: usize) -> Option<u8> {
    if size > LOOKUP_MAX || align > LOOKUP_MAX {
        return None;
    }
    LOOKUP.get((looked_up(size, align) + 7) >> 3).copied()
}

/// As [`dealloc_sized`], for objects that came from [`super::alloc_known`] with this very size and alignment: the class needs
/// no look-up, which halves the cost of a free whose layout the compiler knows.
///
/// # Safety
/// As said; `ptr` is not null.
#[inline(always)]
pub unsafe fn dealloc_known(ptr: *mut u8, size: usize, align: usize) {
    match small_class(size, align) {
        Some(byte) if is_told_by_address(align) => {
            if is_told_apart(ptr, size) {
                dealloc_known_apart(ptr, size, align);
            } else {
                debug_assert!(
                    page_map::class_byte(ptr) == byte || modes::hardened(),
                    "layout of another object"
                );
                if !thread::push(byte, ptr) {
                    dealloc_known_missed(ptr, size, align);
                }
            }
        }
        Some(_) => dealloc_looked_up(ptr, size, align),
        None => dealloc_sized_missed(ptr, size, align, Door::Rust, true),
    }
}

/// Whether samples of layouts with `align` are told from other objects by their addresses.
#[inline(always)]
pub(super) const fn is_told_by_address(align: usize) -> bool {
    align <= 8
}

/// Whether the address of an object of such a layout with `size` bytes tells that it is a sample: it lies 8 above a multiple of
/// 16, as no ordinary object does of a class from 16 bytes on, or in the place of those of 8 bytes.
#[inline(always)]
fn is_told_apart(ptr: *mut u8, size: usize) -> bool {
    if size <= 8 {
        sampled::is_eight(ptr)
    } else {
        ptr.addr() & 8 != 0
    }
}

/// The rest of [`dealloc_known`], for a sample.
#[cold]
#[inline(never)]
fn dealloc_known_apart(ptr: *mut u8, size: usize, align: usize) {
    outermost(|| dealloc_looked_up(ptr, size, align));
}

#[inline(always)]
fn dealloc_looked_up(ptr: *mut u8, size: usize, align: usize) {
    match small_class(size, align) {
        Some(byte) if page_map::class_byte_below(ptr) == Some(byte) && thread::push(byte, ptr) => {}
        _ => dealloc_known_missed(ptr, size, align),
    }
}

/// The rest of [`dealloc_known`], for a layout whose class has a byte.
#[cold]
#[inline(never)]
fn dealloc_known_missed(ptr: *mut u8, size: usize, align: usize) {
    match small_class(size, align) {
        Some(byte) if page_map::class_byte(ptr) == byte => dealloc_missed(ptr, byte),
        pushed => {
            // The object goes elsewhere; bins that always look full must not count a push that was tried.
            if let (Some(byte), None) = (pushed, thread::live()) {
                thread::decline(byte);
            }
            dealloc_sized_missed(ptr, size, align, Door::Rust, true);
        }
    }
}

/// The rest of [`dealloc`], of an object whose page has class byte `byte`. What follows are tail calls: what a look or
/// the run cache takes saves no registers.
#[cold]
#[inline(never)]
fn dealloc_missed(ptr: *mut u8, byte: u8) {
    if byte == 0 {
        dealloc_binless(ptr);
    } else {
        dealloc_looked_at(ptr, byte);
    }
}

/// Frees an object that has a bin, which looked full. Apart from [`dealloc_missed`], whose other branch needs no registers saved.
#[inline(never)]
fn dealloc_looked_at(ptr: *mut u8, byte: u8) {
    let Some(class) = SizeClass::from_byte(byte) else {
        return dealloc_entered(ptr);
    };
    match thread::live() {
        Some(cache) if cache.push_after_look(class, ptr) => {
            // A thread that pops and pushes by turns has no other slow entry.
            if events::is_watched() {
                tick();
            }
        }
        Some(_) => dealloc_entered(ptr),
        None => {
            thread::decline(byte);
            dealloc_entered(ptr);
        }
    }
}

/// Frees what has no bin: null, large, of an arena made by request, foreign.
#[inline(always)]
fn dealloc_binless(ptr: *mut u8) {
    thread::decline(0);
    match thread::live() {
        Some(cache) if !events::is_watched() => dealloc_large(cache, ptr),
        Some(_) => dealloc_entered(ptr),
        None => dealloc_shadowed(ptr),
    }
}

/// Frees what has no bin on a thread without live bins, which may be bound to an arena.
#[inline(never)]
fn dealloc_shadowed(ptr: *mut u8) {
    if !thread::push_bound(ptr) {
        dealloc_entered(ptr);
    }
}

/// Frees what may be a large object.
#[inline(never)]
fn dealloc_large(cache: CacheRef, ptr: *mut u8) {
    match large::dealloc_idle(ptr, cache.arena()) {
        Offer::Taken(bytes, displaced) => {
            cache.note_large_dealloc(bytes);
            match displaced {
                None if HEAP.is_pressed() => tick(),
                None => {}
                Some(displaced) => release(displaced),
            }
        }
        Offer::Refused => dealloc_entered(ptr),
    }
}

#[cold]
#[inline(never)]
fn tick() {
    slow::enter(|_| ());
}

#[cold]
#[inline(never)]
fn release(displaced: Displaced) {
    slow::enter(|_| displaced.release());
}

#[inline(never)]
fn dealloc_entered(ptr: *mut u8) {
    if !ptr.is_null() {
        slow::enter(|cache| give(cache, ptr, &Told::of(Door::Malloc)));
    }
}

/// The rest of [`dealloc_by`].
#[cold]
#[inline(never)]
fn dealloc_missed_by(ptr: *mut u8, byte: u8, align: usize, door: Door) {
    if byte != 0 || !modes::guarded() {
        return dealloc_missed(ptr, byte);
    }
    thread::decline(0);
    if !ptr.is_null() {
        slow::enter(|cache| give(cache, ptr, &Told::new(door, Size::Untold, align)));
    }
}

/// Takes the object at `ptr`, or tells what is wrong with it.
fn give(cache: Option<CacheRef>, ptr: *mut u8, told: &Told) {
    if let Err(error) = take(cache, ptr, told) {
        misuse::report(error, ptr);
    }
}

/// Frees the object at `ptr` if it is one of the hardened arena. Its sample ends while nobody else can have its address.
pub(super) fn dealloc_hardened(
    cache: Option<CacheRef>,
    ptr: *mut u8,
    told: &Told,
) -> Option<Result<(), Misuse>> {
    let freed = hardened::dealloc(ptr, told)?;
    Some(freed.map(|freed| {
        thread::note_dealloc(cache, hardened::counted(freed.bytes));
        if let Some(sample) = freed.sample {
            sampling::release(cache, sample);
        }
        freed.let_go();
    }))
}

fn take(cache: Option<CacheRef>, ptr: *mut u8, told: &Told) -> Result<(), Misuse> {
    let byte = page_map::class_byte(ptr);
    if byte == 0 && modes::guarded() {
        if let Some(result) = dealloc_hardened(cache, ptr, told) {
            return result;
        }
    }
    if let Some(cache) = cache {
        modes::scan_for_double_free(ptr, byte, cache)?;
    }
    modes::fill_freed_object(ptr, byte)?;
    if byte == 0 {
        if let Some(result) = sampling::dealloc(cache, ptr) {
            return result;
        }
    }
    match SizeClass::from_byte(page_map::class_byte(ptr)) {
        // What is wrong with the pointer is seen when it goes back to its slab.
        Some(class) => {
            match cache {
                Some(cache) => cache.push(class, ptr),
                None => {
                    thread::note_dealloc(None, class.size());
                    cache::dealloc_uncached(class, ptr);
                }
            }
            Ok(())
        }
        None => {
            let bytes = large::inspect(ptr);
            dealloc_by_request(cache, ptr)
                .unwrap_or_else(|| match cache {
                    Some(cache) => large::dealloc(ptr, cache.arena()),
                    None => large::dealloc_home(ptr),
                })
                .map(|()| thread::note_dealloc(cache, bytes.unwrap_or(0)))
        }
    }
}

/// Frees the object at `ptr` if it is one of an arena made by request; into the thread's cache of that arena, if it is bound to
/// it.
fn dealloc_by_request(cache: Option<CacheRef>, ptr: *mut u8) -> Option<Result<(), Misuse>> {
    let bound = cache.filter(|cache| cache.bound().is_some());
    let small = bound.and_then(|_| manual::small_at(ptr));
    if let (Some(cache), Some((_, arena))) = (bound, small) {
        let own = cache.own_cache();
        if own.is_some() && cache.bound().map(ArenaRef::index) == Some(arena) {
            return Some(explicit::dealloc(own, ptr, Inside(Some(cache))));
        }
    }
    manual::dealloc(ptr, Inside(cache))
}

#[cold]
#[inline(never)]
fn dealloc_sized_missed(ptr: *mut u8, size: usize, align: usize, door: Door, exact: bool) {
    if ptr.is_null() {
        return;
    }
    if modes::guarded() && hardened::owns(ptr) {
        let size = if exact {
            Size::Exact(size)
        } else {
            Size::Rounded(size)
        };
        return slow::enter(|cache| give(cache, ptr, &Told::new(door, size, align)));
    }
    match is_size_of(ptr, size, align) {
        // SAFETY: the caller's promise, as far as it can be checked.
        Ok(()) => unsafe { dealloc(ptr) },
        Err(error) => slow::misused(error, ptr),
    }
}

/// Whether the object at `ptr` may have been asked for with these.
pub(super) fn is_size_of(ptr: *mut u8, size: usize, align: usize) -> Result<(), Misuse> {
    let byte = page_map::class_byte(ptr);
    let fits = match SizeClass::from_byte(byte) {
        None => large::inspect(ptr).map(|usable| fits_closer(ptr, size, align, usable)),
        Some(class) if class.is_small() => Ok(aligned_size(size, align) == Some(class.size())),
        Some(class) => Ok(fits_large(ptr, size, align, class.size())),
    };
    match fits? {
        true => Ok(()),
        false => Err(Misuse::WrongSize),
    }
}

/// Whether an object of `usable` bytes whose pages read class 0 may have been asked for with these: arenas made by request
/// have small ones too.
fn fits_closer(ptr: *mut u8, size: usize, align: usize, usable: usize) -> bool {
    if usable == 0 {
        size == 0
    } else if usable <= SMALL_MAX {
        aligned_size(size, align) == Some(usable)
    } else {
        fits_large(ptr, size, align, usable)
    }
}

/// Whether the large object at `ptr`, of `usable` bytes, may have been asked for with these: growth in place with room to
/// spare leaves objects larger than that, but never a small size with a large object.
fn fits_large(ptr: *mut u8, size: usize, align: usize, usable: usize) -> bool {
    let asked = aligned_size(size, align).filter(|&bytes| bytes > SMALL_MAX);
    asked.is_some_and(|bytes| {
        bytes == usable
            || modes::rounded(bytes) == usable
            || size <= usable && large::is_stretched(ptr)
    })
}
