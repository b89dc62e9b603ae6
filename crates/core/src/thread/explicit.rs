//! Objects by way of an explicit cache: from it, else from an arena; into it, else back to their arena.
//!
//! No lock is held while an arena is at work: its hooks may be the application's.

use super::cache;
use super::{CacheRef, Inside};
use crate::arena::explicit::{self, ExplicitRef, FILL, Offer, Owner};
use crate::arena::manual::{self, ArenaRef};
use crate::arena::misuse::{self, Misuse};
use crate::arena::{ArenaIndex, large};
use crate::extent::page_map;
use crate::size::{PAGE, SizeClass, class_of, magazine_capacity};
use core::ptr;

/// Objects that leave a full cache together at most.
const HALF: usize = 128;

/// Where a cache that has no object of a class gets some.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    Automatic(ArenaIndex),
    Manual(ArenaRef),
}

impl Source {
    /// Where an allocation of the thread with that cache goes.
    pub(crate) fn of(own: Option<CacheRef>) -> Self {
        match own.and_then(CacheRef::bound) {
            Some(arena) => Self::Manual(arena),
            None => Self::Automatic(own.map_or(ArenaIndex::FIRST, CacheRef::arena)),
        }
    }

    /// The index of the arena, if the hardened arena may serve for it. `None`: its pages come from hooks of the application.
    pub(crate) fn hardened(self) -> Option<usize> {
        match self {
            Self::Automatic(arena) => Some(arena.index()),
            Self::Manual(arena) => arena.hooks().is_null().then(|| arena.index()),
        }
    }

    fn owner(self) -> Owner {
        match self {
            Self::Automatic(_) => Owner::AUTOMATIC,
            Self::Manual(arena) => Owner::manual(arena.index()),
        }
    }
}

/// An object of `class`, which is cached. `None`: out of memory.
pub(crate) fn alloc(
    cache: Option<ExplicitRef>,
    class: SizeClass,
    source: Source,
    inside: Inside,
) -> Option<*mut u8> {
    let owner = source.owner();
    if let Some(object) = cache.and_then(|cache| cache.pop(owner, class)) {
        return Some(object);
    }
    let mut objects = [ptr::null_mut(); FILL];
    let wanted = if class.is_small() {
        (magazine_capacity(class.index()) / 2).clamp(1, FILL)
    } else {
        1
    };
    let wanted = &mut objects[..wanted];
    let filled = match source {
        Source::Automatic(arena) => cache::fill_objects(class, arena, wanted),
        Source::Manual(arena) if class.is_small() => manual::fill(arena, class, wanted, inside),
        Source::Manual(arena) => {
            // Counted as asked for by the arena itself.
            return manual::alloc(arena, class.size(), PAGE, false, inside);
        }
    };
    let (&mut first, rest) = objects[..filled].split_first_mut()?;
    // The lowest comes out next.
    let kept = cache.and_then(|cache| cache.keep(owner, class, rest));
    if let (None, Source::Manual(arena)) = (kept, source) {
        arena.note_request(class.index());
    }
    let left = rest.len() - kept.unwrap_or(0);
    if left > 0 {
        give_back(class, owner, &mut rest[..left], inside);
    }
    Some(first)
}

/// Frees the object at `ptr` into a cache.
pub(crate) fn dealloc(
    cache: Option<ExplicitRef>,
    ptr: *mut u8,
    inside: Inside,
) -> Result<(), Misuse> {
    let (class, owner) = match SizeClass::from_byte(page_map::class_byte(ptr)) {
        Some(class) => (Some(class), Owner::AUTOMATIC),
        None => match manual::arena_of(ptr) {
            Some(index) => (class_of(large::inspect(ptr)?), Owner::manual(index)),
            None => (None, Owner::AUTOMATIC),
        },
    };
    let Some(class) = class.filter(|class| class.is_cached()) else {
        return free(ptr, inside);
    };
    let Some(cache) = cache else {
        give_back(class, owner, &mut [ptr], inside);
        return Ok(());
    };
    match cache.push(owner, class, ptr) {
        Offer::Taken => {}
        Offer::Refused => give_back(class, owner, &mut [ptr], inside),
        Offer::Full => {
            let mut objects = [ptr::null_mut(); HALF];
            let taken = cache.take_half(owner, class, &mut objects);
            give_back(class, owner, &mut objects[..taken], inside);
            if !matches!(cache.push(owner, class, ptr), Offer::Taken) {
                give_back(class, owner, &mut [ptr], inside);
            }
        }
    }
    Ok(())
}

/// Frees an object that no cache takes.
fn free(ptr: *mut u8, inside: Inside) -> Result<(), Misuse> {
    manual::dealloc(ptr, inside).unwrap_or_else(|| large::dealloc_home(ptr))
}

/// Empties a cache. `false`: there is no such cache.
pub(crate) fn flush(id: usize, inside: Inside) -> bool {
    explicit::get(id).is_some_and(|cache| empty(cache, false, inside))
}

/// Empties and ends a cache. `false`: there is no such cache.
pub(crate) fn destroy(id: usize, inside: Inside) -> bool {
    let ended = explicit::get(id).is_some_and(|cache| empty(cache, true, inside));
    if ended {
        explicit::give(id);
    }
    ended
}

/// Empties a cache, for good where it `ends`. `false`: it has ended.
pub(super) fn empty(cache: ExplicitRef, ends: bool, inside: Inside) -> bool {
    cache.flush(ends, &mut |class, owner, objects| {
        give_back(class, owner, objects, inside);
    })
}

fn give_back(class: SizeClass, owner: Owner, objects: &mut [*mut u8], inside: Inside) {
    if owner.is_automatic() {
        return cache::flush_past(class, objects);
    }
    if let (true, Some(arena)) = (class.is_small(), owner.arena()) {
        return manual::flush(arena, class, objects, inside);
    }
    for &mut object in objects {
        if let Err(error) = manual::dealloc(object, inside).unwrap_or(Err(Misuse::Foreign)) {
            misuse::report(error, object);
        }
    }
}
