//! Allocate.
//!
//! ```text
//! size <= 4 KiB     LOOKUP -> class byte -> pop                     the fast path
//! size <= 32 KiB    class by arithmetic -> pop
//! above             an extent
//! 0                 class byte 0: an address that nobody may touch
//! ```

use super::block;
use super::sampling;
use super::slow;
use crate::arena::hardened::{self, Ask, Door};
use crate::arena::{ArenaIndex, empty, large, manual};
use crate::control::{hardening, limit, modes, report};
use crate::extent::{HEAP, Purpose};
use crate::size::{
    COARSE_MAX, COARSE_STEP, LOOKUP, LOOKUP_COARSE, LOOKUP_MAX, MAX_SIZE, PAGE, Pages, SIZES,
    SizeClass, aligned_size, class_of, round_up, usable_size,
};
use crate::thread::explicit::{self, Source};
use crate::thread::{self, CacheRef, Inside, cache};
use core::ptr::NonNull;

/// No process can have more.
const ADDRESS_SPACE: usize = 1 << 47;

/// Allocates `size` bytes. Null: out of memory or larger than any class.
///
/// The result is aligned to 16 bytes from 16 bytes on, to 8 below.
#[inline(always)]
pub fn alloc(size: usize) -> *mut u8 {
    match alloc_hit(size) {
        Some(object) => object,
        None => alloc_missed(size),
    }
}

/// The part of [`alloc`] that succeeds at once or not at all: the caller then asks [`alloc_missed`], from a
/// function of its own, so that the hit path keeps no register for it.
#[inline(always)]
pub fn alloc_hit(size: usize) -> Option<*mut u8> {
    if size <= LOOKUP_MAX {
        thread::pop(class_byte(size))
    } else {
        None
    }
}

/// Class byte of a size up to [`LOOKUP_MAX`].
#[inline(always)]
pub(super) fn class_byte(size: usize) -> u8 {
    LOOKUP[(size + 7) >> 3]
}

/// The size whose class `size` bytes at `align` get; both at most [`LOOKUP_MAX`]. Every class keeps alignments up to 8.
#[inline(always)]
pub(super) fn looked_up(size: usize, align: usize) -> usize {
    if align <= 8 {
        size
    } else {
        round_up(size, align)
    }
}

/// As [`alloc`], and all of the usable size reads zero.
#[inline(always)]
pub fn alloc_zeroed(size: usize) -> *mut u8 {
    match alloc_zeroed_hit(size) {
        Some(object) => object,
        None => alloc_zeroed_missed(size),
    }
}

/// The part of [`alloc_zeroed`] that succeeds at once or not at all; [`alloc_zeroed_missed`] does the rest.
#[inline(always)]
pub fn alloc_zeroed_hit(size: usize) -> Option<*mut u8> {
    if size > LOOKUP_MAX {
        return None;
    }
    let byte = class_byte(size);
    let object = thread::pop(byte)?;
    // SAFETY: an object of that class, ours alone.
    unsafe { clear(object, byte) };
    Some(object)
}

/// Zeroes an object of the class with byte `byte`.
///
/// # Safety
/// `object` is such an object, and the caller's.
#[inline(always)]
unsafe fn clear(object: *mut u8, byte: u8) {
    // SAFETY: the caller's promise; a class byte.
    unsafe { block::clear(object, *SIZES.get_unchecked(byte as usize) as usize) }
}

/// Allocates `size` bytes at a multiple of `align`, a power of two. Null: out of memory or out of range.
#[inline(always)]
pub fn alloc_aligned(size: usize, align: usize) -> *mut u8 {
    if size <= LOOKUP_MAX && align <= LOOKUP_MAX {
        // Rounding up to a multiple of the alignment makes the class one too; at most 8 KiB.
        let rounded = looked_up(size, align);
        if rounded <= LOOKUP_MAX {
            if let Some(object) = thread::pop(class_byte(rounded)) {
                return object;
            }
        }
    }
    alloc_aligned_missed(size, align, false, Door::Malloc)
}

/// As [`alloc_aligned`], of a family of functions other than `malloc`'s.
#[inline(always)]
pub fn alloc_by(size: usize, align: usize, door: Door) -> *mut u8 {
    if size <= LOOKUP_MAX && align <= LOOKUP_MAX {
        let rounded = looked_up(size, align);
        if rounded <= LOOKUP_MAX {
            if let Some(object) = thread::pop(class_byte(rounded)) {
                return object;
            }
        }
    }
    alloc_missed_by(size, align, false, door)
}

/// As [`alloc_aligned`], and all of the usable size reads zero.
#[inline(always)]
pub fn alloc_zeroed_aligned(size: usize, align: usize) -> *mut u8 {
    if size <= LOOKUP_MAX && align <= LOOKUP_MAX {
        let rounded = looked_up(size, align);
        if rounded <= LOOKUP_MAX {
            if let Some(object) = alloc_zeroed_hit(rounded) {
                return object;
            }
        }
    }
    alloc_aligned_missed(size, align, true, Door::Malloc)
}

/// As [`alloc_aligned`], or [`alloc_zeroed_aligned`], for an object that [`super::dealloc_known`] frees: it comes from an
/// automatic arena, whatever the thread is bound to.
#[inline(always)]
pub fn alloc_known(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if size <= LOOKUP_MAX && align <= LOOKUP_MAX {
        let rounded = looked_up(size, align);
        if rounded <= LOOKUP_MAX {
            let byte = class_byte(rounded);
            if let Some(object) = thread::pop(byte) {
                if zeroed {
                    // SAFETY: an object of that class, ours alone.
                    unsafe { clear(object, byte) };
                }
                return object;
            }
        }
    }
    alloc_known_missed(size, align, zeroed)
}

/// The rest of [`alloc`]: a size above the table, an empty bin, or a thread whose word says "look closer".
#[cold]
#[inline(never)]
pub fn alloc_missed(size: usize) -> *mut u8 {
    missed(Ask::plain(size))
}

/// As [`alloc_missed`], for an object that was asked for otherwise.
#[cold]
#[inline(never)]
fn alloc_missed_for(ask: Ask) -> *mut u8 {
    missed(ask)
}

#[inline(always)]
fn missed(ask: Ask) -> *mut u8 {
    let size = ask.bytes;
    // A tail call: what comes out of the run cache saves no registers.
    if size > COARSE_MAX {
        return alloc_extent(size);
    }
    let byte = if size <= LOOKUP_MAX {
        class_byte(size)
    } else {
        let byte = LOOKUP_COARSE[size.div_ceil(COARSE_STEP)];
        if let Some(object) = thread::pop_large(byte) {
            return object;
        }
        byte
    };
    match SizeClass::from_byte(byte) {
        Some(class) => get_cached(class, ask),
        // The size 0.
        None => alloc_extent_entered(size),
    }
}

/// An object of an extent's size.
#[inline(never)]
fn alloc_extent(size: usize) -> *mut u8 {
    if let Some(cache) = thread::live_unwatched() {
        let pages = Pages::holding(size.min(MAX_SIZE));
        if let Some(object) = large::alloc_idle(pages, cache.arena()) {
            cache.note_large_alloc(pages.bytes());
            return object.as_ptr();
        }
    }
    alloc_extent_entered(size)
}

#[inline(never)]
fn alloc_extent_entered(size: usize) -> *mut u8 {
    match usable_size(size) {
        Some(bytes) => get(bytes, PAGE, false, Ask::plain(size)),
        None => refuse(size),
    }
}

/// An object of a cached class, for what `ask` says.
#[inline(never)]
fn get_cached(class: SizeClass, ask: Ask) -> *mut u8 {
    if let Some(object) = thread::pop_bound(class) {
        return object;
    }
    slow::enter(|cache| {
        if modes::guarded() {
            if let Some(object) = get_guarded(cache, ask, false) {
                return object;
            }
        }
        take_cached(cache, class, ask)
            .or_else(|| {
                limit::relieve(class.size(), cache);
                take_cached(cache, class, ask)
            })
            .map_or_else(
                || modes::refuse(class.size()),
                |object| {
                    // SAFETY: an object of that class, the caller's from now on.
                    unsafe { modes::fill_new(object, class.size(), false) };
                    object
                },
            )
    })
}

/// An object of the hardened arena, or, by chance, of its pool; null if it has no memory. `None`: it is for others to serve.
#[cold]
#[inline(never)]
fn get_guarded(cache: Option<CacheRef>, ask: Ask, zeroed: bool) -> Option<*mut u8> {
    get_guarded_of(cache, Source::of(cache), ask, zeroed)
}

/// As [`get_guarded`], of `source`'s arena. The pool has objects of automatic arenas alone.
#[inline]
pub(super) fn get_guarded_of(
    cache: Option<CacheRef>,
    source: Source,
    ask: Ask,
    zeroed: bool,
) -> Option<*mut u8> {
    let ask = ask.of_arena(source.hardened()?);
    if modes::sampled() && matches!(source, Source::Automatic(_)) {
        if let Some(object) = hardened::sample(&ask) {
            hardening::watch(cache);
            note_guarded(cache, object, ask, zeroed);
            return Some(object);
        }
    }
    modes::hardened().then(|| {
        hardening::watch(cache);
        get_hardened(cache, ask, zeroed)
    })
}

/// Counts an object of the hardened arena, and fills it as the options say.
#[inline]
fn note_guarded(cache: Option<CacheRef>, object: *mut u8, ask: Ask, zeroed: bool) {
    let counted = hardened::counted(ask.bytes);
    let is_due = sampling::is_due(cache, counted);
    thread::note_alloc(cache, counted);
    if is_due {
        sampling::attach(cache, object, ask.bytes, counted);
    }
    // SAFETY: an object of that many bytes, the caller's from now on, which reads zero.
    unsafe { modes::fill_new(object, ask.bytes, zeroed || modes::zero()) };
    if !zeroed && !modes::zero() {
        hardened::note_any_contents(object, ask.bytes);
    }
}

/// An object of the hardened arena.
#[inline]
fn get_hardened(cache: Option<CacheRef>, ask: Ask, zeroed: bool) -> *mut u8 {
    if ask.bytes > ADDRESS_SPACE || ask.align > ADDRESS_SPACE {
        return modes::refuse(ask.bytes);
    }
    // By way of one call: the second try has no copy of its own of all that.
    let mut is_last = false;
    let object = loop {
        match hardened::alloc(&ask) {
            Some(object) => break object,
            None if is_last => return modes::refuse(ask.bytes),
            None => {
                hardened::relieve();
                limit::relieve(ask.bytes, cache);
                hardened::relieve_addresses(ask.bytes);
                is_last = true;
            }
        }
    };
    note_guarded(cache, object, ask, zeroed);
    object
}

/// Zeroes the `bytes` of a new object, or fills them as the options say.
///
/// # Safety
/// They are the caller's.
unsafe fn finish(object: *mut u8, bytes: usize, zeroed: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        if zeroed {
            object.write_bytes(0, bytes);
        }
        modes::fill_new(object, bytes, zeroed);
    }
}

/// The rest of [`alloc_known`].
#[cold]
#[inline(never)]
fn alloc_known_missed(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    unbound(|| alloc_missed_by(size, align, zeroed, Door::Rust))
}

/// The rest of [`alloc_by`] and its kin.
#[cold]
#[inline(never)]
pub(super) fn alloc_missed_by(size: usize, align: usize, zeroed: bool, door: Door) -> *mut u8 {
    // What the options ask of doors goes by way of the shadow bins.
    if align <= 8 && !zeroed && thread::live().is_some() {
        return alloc_missed_for(Ask::new(size, align, door));
    }
    alloc_aligned_missed(size, align, zeroed, door)
}

/// Has what `body` allocates come from an automatic arena, whatever the thread is bound to. Its caller as for [`outermost`].
#[inline(always)]
pub(super) fn unbound<R>(body: impl FnOnce() -> R) -> R {
    outermost(|| match (thread::current().cache(), thread::live()) {
        (Some(cache), None) => cache.unbound(body),
        _ => body(),
    })
}

/// Has samples of `body` begin with the caller of the function that this is in: it is the outermost one of ours on the stack,
/// and not inlined.
#[inline(always)]
pub(super) fn outermost<R>(body: impl FnOnce() -> R) -> R {
    let frame = 0u8;
    match thread::current().cache() {
        Some(cache) => cache.marked((&raw const frame).addr(), body),
        None => body(),
    }
}

/// Null, for a request that nothing can satisfy; the end of the process where the option `xmalloc` asks for it.
#[cold]
#[inline(never)]
pub fn refuse(size: usize) -> *mut u8 {
    slow::enter(|_| modes::refuse(size))
}

/// The rest of [`alloc_zeroed`].
#[cold]
#[inline(never)]
pub fn alloc_zeroed_missed(size: usize) -> *mut u8 {
    match usable_size(size) {
        Some(bytes) => get(bytes, PAGE, true, Ask::plain(size)),
        None => refuse(size),
    }
}

/// The rest of [`alloc_aligned`] and its kin.
#[cold]
#[inline(never)]
pub(super) fn alloc_aligned_missed(size: usize, align: usize, zeroed: bool, door: Door) -> *mut u8 {
    match aligned_size(size, align) {
        Some(usable) => get(usable, align, zeroed, Ask::new(size, align, door)),
        None => refuse(size),
    }
}

/// An object of `bytes`, a usable size, at `align`; small classes are aligned by themselves. `ask` is what was asked for.
fn get(bytes: usize, align: usize, zeroed: bool, ask: Ask) -> *mut u8 {
    if bytes > ADDRESS_SPACE || align > ADDRESS_SPACE {
        // Nothing that could be given back would help.
        return refuse(bytes);
    }
    slow::enter(|cache| {
        if modes::guarded() {
            if let Some(object) = get_guarded(cache, ask, zeroed) {
                return object;
            }
        }
        if ask.bytes == 0 && cache.and_then(CacheRef::bound).is_none() {
            if let Some(object) = empty::alloc(ask.align) {
                return object;
            }
        }
        let (bytes, zeroed) = (modes::rounded(bytes), zeroed || modes::zero());
        let object = take(cache, bytes, align, zeroed, ask).or_else(|| {
            if !limit::relieve(bytes, cache) {
                return None;
            }
            take(cache, bytes, align, zeroed, ask)
        });
        if bytes >= report::NOTED_BYTES {
            report::update(false);
        }
        object.unwrap_or_else(|| modes::refuse(bytes))
    })
}

fn take(
    cache: Option<CacheRef>,
    bytes: usize,
    align: usize,
    zeroed: bool,
    ask: Ask,
) -> Option<*mut u8> {
    if let Some(arena) = cache.and_then(CacheRef::bound) {
        let is_due = sampling::is_due(cache, bytes);
        let object = manual::alloc(arena, bytes, align, zeroed, Inside(cache))?;
        thread::note_alloc(cache, bytes);
        if is_due {
            sampling::attach(cache, object, ask.bytes, bytes);
        }
        // SAFETY: an object of that many bytes, the caller's from now on.
        unsafe { modes::fill_new(object, bytes, zeroed) };
        return Some(object);
    }
    let class =
        class_of(bytes).filter(|class| class.is_cached() && (align <= PAGE || class.is_small()));
    match class {
        Some(class) => {
            let object = take_cached(cache, class, ask)?;
            // SAFETY: an object of that class, the caller's from now on.
            unsafe { finish(object, class.size(), zeroed) };
            Some(object)
        }
        None => {
            let is_due = sampling::is_due(cache, bytes);
            let arena = cache.map_or(ArenaIndex::FIRST, CacheRef::arena);
            let fresh = large::alloc(bytes, align, arena, Purpose::of_request(zeroed))?;
            thread::note_alloc(cache, bytes);
            if is_due {
                sampling::attach(cache, fresh.addr.as_ptr(), ask.bytes, bytes);
            }
            if zeroed && !fresh.zeroed {
                // SAFETY: an object of that many bytes, the caller's from now on.
                unsafe { clear_large(fresh.addr, bytes) };
            }
            // SAFETY: as above.
            unsafe { modes::fill_new(fresh.addr.as_ptr(), bytes, zeroed) };
            Some(fresh.addr.as_ptr())
        }
    }
}

/// Zeroes a large object: by hand, or by taking its memory anew where that is asked for.
///
/// # Safety
/// The object has `bytes`, whole pages, and is the caller's.
unsafe fn clear_large(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if !(modes::is_had_anew(bytes) && HEAP.renew(start, Pages::holding(bytes))) {
            start.write_bytes(0, bytes);
        }
    }
}

fn take_cached(cache: Option<CacheRef>, class: SizeClass, ask: Ask) -> Option<*mut u8> {
    if sampling::is_due(cache, class.size()) {
        return take_sample(cache, class, ask);
    }
    take_ordinary(cache, class)
}

/// An object of a cached class that is a sample.
#[cold]
#[inline(never)]
fn take_sample(cache: Option<CacheRef>, class: SizeClass, ask: Ask) -> Option<*mut u8> {
    if class.is_small() && cache.and_then(CacheRef::bound).is_none() {
        let arena = cache.map_or(ArenaIndex::FIRST, CacheRef::arena);
        if let Some(object) = sampling::alloc_small(cache, class, arena, ask) {
            return Some(object);
        }
    }
    let object = take_ordinary(cache, class)?;
    sampling::attach(cache, object, ask.bytes, class.size());
    Some(object)
}

fn take_ordinary(cache: Option<CacheRef>, class: SizeClass) -> Option<*mut u8> {
    match cache {
        Some(cache) => match cache.bound() {
            None => cache.pop(class),
            Some(arena) => {
                let (own, source) = (cache.own_cache(), Source::Manual(arena));
                let object = explicit::alloc(own, class, source, Inside(Some(cache)))?;
                thread::note_alloc(Some(cache), class.size());
                Some(object)
            }
        },
        None => {
            let object = cache::alloc_uncached(class, ArenaIndex::FIRST)?;
            thread::note_alloc(None, class.size());
            Some(object)
        }
    }
}
