//! Calls with flags that say where an object comes from or goes to.
//!
//! ```text
//! MALLOCX_ARENA(i)      automatic: its slabs, past all caches       made by request: that arena
//! MALLOCX_TCACHE(i)     by way of an explicit cache              one that there is not: past all caches
//! MALLOCX_TCACHE_NONE   past all caches, both ways: the fullest slab, its lowest slot
//! none of both          as the calls without flags
//! ```
//! An arena that there is not gives null.

use super::alloc::{alloc_aligned, alloc_zeroed_aligned, get_guarded_of, looked_up, refuse};
use super::block;
use super::flags::Flags;
use super::free::{dealloc, dealloc_hardened, dealloc_sized, is_size_of};
use super::query::{request_size, usable_size};
use super::resize::{self, realloc};
use super::sampling;
use super::slow;
use crate::arena::explicit::Owner;
use crate::arena::hardened::{self, Ask, Door, Told};
use crate::arena::manual;
use crate::arena::misuse::Misuse;
use crate::arena::{self, ArenaIndex, automatic, large};
use crate::control::{limit, modes};
use crate::extent::{Purpose, page_map};
use crate::size::{LOOKUP, LOOKUP_MAX, PAGE, Pages, SizeClass, class_of};
use crate::thread::cache::counting::Totals;
use crate::thread::explicit::{self, Source};
use crate::thread::{self, CacheRef, Inside, cache};

impl Flags {
    /// Whether the calls without these flags do the same.
    fn is_plain(self) -> bool {
        !self.uncached && self.cache.is_none() && self.arena.is_none()
    }

    /// `None`: there is no such arena.
    fn source(self, own: Option<CacheRef>) -> Option<Source> {
        match self.arena {
            Some(index) if (index as usize) < automatic() => {
                Some(Source::Automatic(ArenaIndex::new(index as usize)))
            }
            Some(index) => manual::get(index as usize).map(Source::Manual),
            None => Some(Source::of(own)),
        }
    }
}

/// Allocates `size` bytes as `flags` say. Null: out of memory, out of range, or there is no such arena.
pub fn alloc_with(size: usize, flags: Flags) -> *mut u8 {
    if flags.is_plain() {
        return if flags.zero {
            alloc_zeroed_aligned(size, flags.align)
        } else {
            alloc_aligned(size, flags.align)
        };
    }
    if let Some(object) = alloc_cached(size, flags) {
        return object;
    }
    let Some(bytes) = request_size(size, flags.align) else {
        return refuse(size);
    };
    slow::enter(|own| {
        if modes::hardened() {
            let ask = Ask::new(size, flags.align, Door::Malloc);
            let source = flags.source(own);
            if let Some(object) = source.and_then(|of| get_guarded_of(own, of, ask, flags.zero)) {
                return object;
            }
        }
        let zero = flags.zero || modes::zero();
        let flags = Flags { zero, ..flags };
        let object = flags.source(own).and_then(|source| {
            take(own, bytes, flags, source, size).or_else(|| {
                limit::relieve(bytes, own);
                take(own, bytes, flags, source, size)
            })
        });
        match object {
            Some(object) => {
                // SAFETY: an object of that many bytes, the caller's from now on.
                unsafe { modes::fill_new(object, bytes, zero) };
                object
            }
            None => modes::refuse(bytes),
        }
    })
}

/// An object out of an explicit cache, where one is at hand: without a passage, as nothing is asked of the thread that makes
/// every operation go slow. `None`: some other way.
#[inline]
fn alloc_cached(size: usize, flags: Flags) -> Option<*mut u8> {
    let id = flags.cache? as usize;
    if size > LOOKUP_MAX || flags.align > LOOKUP_MAX {
        return None;
    }
    let rounded = looked_up(size, flags.align);
    // A switch of sampling is heard the slow way, to which hits alone would never lead.
    let own = thread::live_unwatched().filter(|own| own.is_unwatched())?;
    let owner = match flags.arena {
        Some(index) if index as usize >= automatic() => Owner::manual(index as usize),
        _ => Owner::AUTOMATIC,
    };
    let class = SizeClass::from_byte(*LOOKUP.get((rounded + 7) >> 3)?)?;
    let object = arena::explicit::get(id)?.try_pop(owner, class)?;
    own.note(class, Totals::POPPED);
    if flags.zero {
        // SAFETY: an object of that class, ours alone.
        unsafe { block::clear(object, class.size()) };
    }
    Some(object)
}

/// Frees the object at `ptr` into an explicit cache, as [`alloc_cached`] allocates. `false`: some other way.
#[inline]
fn dealloc_cached(ptr: *mut u8, id: usize) -> bool {
    let Some(own) = thread::live_unwatched() else {
        return false;
    };
    let known = match page_map::class_byte_below(ptr).and_then(SizeClass::from_byte) {
        Some(class) => Some((class, Owner::AUTOMATIC)),
        None => manual::small_at(ptr).map(|(class, arena)| (class, Owner::manual(arena))),
    };
    known.is_some_and(|(class, owner)| {
        let cache = arena::explicit::get(id);
        let pushed = cache.is_some_and(|cache| cache.try_push(owner, class, ptr));
        if pushed {
            own.note(class, Totals::PUSHED);
        }
        pushed
    })
}

/// An object for a request of `size`, counted as the thread's.
fn take(
    own: Option<CacheRef>,
    bytes: usize,
    flags: Flags,
    source: Source,
    size: usize,
) -> Option<*mut u8> {
    let is_due = sampling::is_due(own, bytes);
    if let (true, Source::Automatic(arena)) = (is_due, source) {
        let class = class_of(bytes).filter(|class| class.is_small());
        let sample =
            class.and_then(|class| sampling::alloc_small(own, class, arena, Ask::plain(size)));
        if let Some(object) = sample {
            if flags.zero {
                // SAFETY: an object of that class, ours alone.
                unsafe { object.write_bytes(0, bytes) };
            }
            return Some(object);
        }
    }
    let object = take_ordinary(own, bytes, flags, source)?;
    thread::note_alloc(own, bytes);
    if is_due {
        sampling::attach(own, object, size, bytes);
    }
    Some(object)
}

fn take_ordinary(
    own: Option<CacheRef>,
    bytes: usize,
    flags: Flags,
    source: Source,
) -> Option<*mut u8> {
    let explicit = flags.cache.and_then(|id| {
        let class = class_of(bytes).filter(|class| class.is_cached())?;
        let cache = arena::explicit::get(id as usize);
        (class.is_small() || flags.align <= PAGE).then_some((cache, class))
    });
    if let Some((cache, class)) = explicit {
        let object = explicit::alloc(cache, class, source, Inside(own))?;
        if flags.zero {
            // SAFETY: an object of that class, ours alone.
            unsafe { object.write_bytes(0, class.size()) };
        }
        return Some(object);
    }
    match source {
        Source::Manual(arena) => manual::alloc(arena, bytes, flags.align, flags.zero, Inside(own)),
        Source::Automatic(arena) => take_past(bytes, flags, arena),
    }
}

/// An object past all caches.
fn take_past(bytes: usize, flags: Flags, arena: ArenaIndex) -> Option<*mut u8> {
    let (object, zeroed) = match class_of(bytes).filter(|class| class.is_small()) {
        Some(class) => (cache::alloc_uncached(class, arena)?, false),
        None => {
            let purpose = Purpose::of_request(flags.zero);
            let fresh =
                large::alloc_fresh(Pages(bytes / PAGE), flags.align.max(PAGE), arena, purpose)?;
            (fresh.addr.as_ptr(), fresh.zeroed)
        }
    };
    if flags.zero && !zeroed {
        // SAFETY: an object of that many bytes, ours alone.
        unsafe { object.write_bytes(0, bytes) };
    }
    Some(object)
}

/// Frees the object at `ptr` as `flags` say; null is ignored.
///
/// # Safety
/// As for [`dealloc`].
pub unsafe fn dealloc_with(ptr: *mut u8, flags: Flags) {
    if flags.is_plain() || !flags.uncached && flags.cache.is_none() {
        // SAFETY: the caller's promise.
        return unsafe { dealloc(ptr) };
    }
    if ptr.is_null()
        || flags
            .cache
            .is_some_and(|id| dealloc_cached(ptr, id as usize))
    {
        return;
    }
    let result = slow::enter(|own| {
        let byte = page_map::class_byte(ptr);
        if byte == 0 && modes::guarded() {
            if let Some(result) = dealloc_hardened(own, ptr, &Told::of(Door::Malloc)) {
                return result;
            }
        }
        modes::fill_freed_object(ptr, byte)?;
        if byte == 0 {
            if let Some(result) = sampling::dealloc(own, ptr) {
                return result;
            }
        }
        let bytes = match SizeClass::from_byte(page_map::class_byte(ptr)) {
            Some(class) => class.size(),
            None => large::inspect(ptr)?,
        };
        thread::note_dealloc(own, bytes);
        match flags.cache {
            Some(id) => explicit::dealloc(arena::explicit::get(id as usize), ptr, Inside(own)),
            None => give(own, ptr),
        }
    });
    if let Err(error) = result {
        slow::misused(error, ptr);
    }
}

/// Gives the object at `ptr` back past all caches.
fn give(own: Option<CacheRef>, ptr: *mut u8) -> Result<(), Misuse> {
    match SizeClass::from_byte(page_map::class_byte(ptr)) {
        Some(class) if class.is_small() => {
            cache::dealloc_uncached(class, ptr);
            Ok(())
        }
        Some(_) => large::dealloc_past(ptr),
        None => manual::dealloc(ptr, Inside(own)).unwrap_or_else(|| large::dealloc_past(ptr)),
    }
}

/// Frees the object at `ptr`, allocated with `size` bytes and these `flags`; null is ignored.
///
/// # Safety
/// As for [`dealloc_sized`].
pub unsafe fn dealloc_sized_with(ptr: *mut u8, size: usize, flags: Flags) {
    // SAFETY: the caller's promise.
    unsafe {
        if !flags.uncached && flags.cache.is_none() {
            dealloc_sized(ptr, size, flags.align);
        } else if !ptr.is_null() {
            if modes::guarded() && hardened::owns(ptr) {
                return dealloc_sized(ptr, size, flags.align);
            }
            match is_size_of(ptr, size, flags.align) {
                Ok(()) => dealloc_with(ptr, flags),
                Err(error) => slow::misused(error, ptr),
            }
        }
    }
}

/// Makes the object at `ptr` hold `size` bytes as `flags` say, moving it if need be; as [`realloc`].
///
/// # Safety
/// As for [`realloc`].
pub unsafe fn realloc_with(ptr: *mut u8, size: usize, flags: Flags) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        if flags.is_plain() {
            return realloc(ptr, size, flags.align, flags.zero);
        }
        let Some(new) = request_size(size, flags.align) else {
            return refuse(size);
        };
        let old = usable_size(ptr);
        let wanted = resize::room_of(ptr, size, new);
        if resize::resize_in_place(ptr, size, 0, flags.align, flags.zero) == wanted
            && ptr.addr() % flags.align == 0
        {
            return ptr;
        }
        let object = alloc_with(size, flags);
        if !object.is_null() {
            ptr.copy_to_nonoverlapping(object, old.min(resize::room_of(object, size, new)));
            dealloc_with(ptr, flags);
        }
        object
    }
}
