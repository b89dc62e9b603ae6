//! `thread.*`: the calling thread's own.

use super::super::index::Arenas;
use super::super::row::{Access, Kind, Row, both, deed, read, row};
use super::{Call, Refusal};
use crate::arena::manual::ArenaRef;
use crate::arena::{ArenaIndex, by_cpu};
use crate::control::options::spans;
use crate::control::{tcache, upkeep};
use crate::size::{COARSE_MAX, size_of_class};
use crate::sys::clock;
use crate::thread::{CacheRef, Inside, registry};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Arena,
    Allocated,
    AllocatedPlace,
    Deallocated,
    DeallocatedPlace,
    PeakRead,
    PeakReset,
    CacheEnabled,
    CacheFlush,
    CacheMax,
    CacheBound,
    CacheBounds,
    Activity,
    Idle,
}

/// Bytes that a text of bounds stays below.
const BOUNDS_MAX: usize = 1000;

const fn key(key: Key) -> super::Key {
    super::Key::Thread(key)
}

pub(super) const ROWS: &[Row] = &[
    both("thread.arena", Kind::U32, key(Key::Arena)),
    read("thread.allocated", Kind::U64, key(Key::Allocated)),
    read("thread.allocatedp", Kind::Other, key(Key::AllocatedPlace)),
    read("thread.deallocated", Kind::U64, key(Key::Deallocated)),
    read(
        "thread.deallocatedp",
        Kind::Other,
        key(Key::DeallocatedPlace),
    ),
    read("thread.peak.read", Kind::U64, key(Key::PeakRead)),
    deed("thread.peak.reset", key(Key::PeakReset)),
    both("thread.tcache.enabled", Kind::Bool, key(Key::CacheEnabled)),
    row(
        "thread.tcache.flush",
        Access::Own,
        Kind::None,
        key(Key::CacheFlush),
    ),
    both("thread.tcache.max", Kind::Size, key(Key::CacheMax)),
    row(
        "thread.tcache.ncached_max.read_sizeclass",
        Access::Both,
        Kind::Size,
        key(Key::CacheBound),
    ),
    row(
        "thread.tcache.ncached_max.write",
        Access::Write,
        Kind::Text,
        key(Key::CacheBounds),
    ),
    both(
        "experimental.thread.activity_callback",
        Kind::Other,
        key(Key::Activity),
    ),
    deed("thread.idle", key(Key::Idle)),
];

/// Has the allocations of the thread that has `cache` come from another arena.
fn bind(cache: CacheRef, arenas: Arenas, index: usize) -> Result<(), Refusal> {
    let arena = match arenas {
        // Threads go where their processors are.
        Arenas::One(_) if by_cpu::is_on() => return Err(Refusal::Forbidden),
        Arenas::One(_) => None,
        Arenas::Manual(arena) => Some(arena),
        _ => return Err(Refusal::Failed),
    };
    let before = cache.binding();
    if !registry::bind(cache, arena) {
        return Err(Refusal::Failed);
    }
    if arena.is_none() {
        cache.set_arena(ArenaIndex::new(index));
    }
    // Nobody may come by for a while: as in the original, what idles in an arena without threads goes.
    if let Some(before) = before.filter(|before| before.threads() == 0) {
        // Another thread may end it from now on.
        before.visit(|| before.age(clock::now_ns(), true, Inside(Some(cache))));
    }
    Ok(())
}

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let own = call.own;
    match key {
        Key::Arena => {
            let wanted = call.request.take::<u32>()?;
            if let Some(cache) = own.filter(|_| by_cpu::is_on()) {
                cache.set_arena(by_cpu::here());
            }
            let automatic = own.map_or(ArenaIndex::FIRST, CacheRef::arena).index();
            let before = own.and_then(CacheRef::binding);
            let before = before.map_or(automatic, ArenaRef::index);
            call.request.give(before as u32)?;
            match wanted {
                Some(wanted) if wanted as usize != before => {
                    // A thread past its end is served by the first.
                    let cache = own.ok_or(Refusal::Failed)?;
                    bind(cache, Arenas::of(wanted as usize), wanted as usize)
                }
                _ => Ok(()),
            }
        }
        Key::Allocated => {
            let bytes = own.map_or(0, |cache| cache.bytes().0);
            call.request.give(bytes)
        }
        Key::Deallocated => {
            let bytes = own.map_or(0, |cache| cache.bytes().1);
            call.request.give(bytes)
        }
        // A thread past its end counts nothing.
        Key::AllocatedPlace => {
            let cache = own.ok_or(Refusal::Failed)?;
            cache.bytes();
            call.request
                .give(cache.places_of_bytes().0.expose_provenance())
        }
        Key::DeallocatedPlace => {
            let cache = own.ok_or(Refusal::Failed)?;
            cache.bytes();
            call.request
                .give(cache.places_of_bytes().1.expose_provenance())
        }
        Key::PeakRead => {
            let bytes = own.map_or(0, |cache| cache.peak());
            call.request.give(bytes)
        }
        Key::PeakReset => {
            if let Some(cache) = own {
                cache.begin_peak();
            }
            Ok(())
        }
        Key::CacheEnabled => {
            let before = own.is_some_and(|cache| cache.is_enabled());
            match (call.request.take_bool()?, own) {
                (Some(wanted), Some(cache)) => {
                    registry::set_enabled(cache, wanted);
                    if !wanted {
                        cache.empty_own_cache(Inside(Some(cache)));
                    }
                }
                (Some(true), None) => return Err(Refusal::Failed),
                _ => {}
            }
            call.request.give_bool(before)
        }
        Key::CacheFlush => {
            let cache = own.filter(|cache| cache.is_enabled());
            let cache = cache.ok_or(Refusal::Failed)?;
            call.request.only_reads()?;
            call.request.only_writes()?;
            upkeep::flush(Some(cache));
            Ok(())
        }
        Key::CacheMax => {
            let wanted = call.request.take::<usize>()?;
            let cache = own.ok_or(Refusal::Failed)?;
            call.request.give(size_of_class(cache.max_class()))?;
            if let Some(bytes) = wanted {
                cache.set_max(tcache::largest(bytes).index());
            }
            Ok(())
        }
        Key::CacheBound => {
            let bytes = call.request.take::<usize>()?.ok_or(Refusal::Invalid)?;
            if bytes > COARSE_MAX {
                return Err(Refusal::Invalid);
            }
            let cache = own.filter(|cache| cache.is_enabled());
            let class = tcache::largest(bytes);
            let objects = cache.map_or(0, |cache| cache.slots(class).objects(class));
            call.request.give(objects)
        }
        Key::CacheBounds => {
            let cache = own.filter(|cache| cache.is_enabled());
            let cache = cache.ok_or(Refusal::Absent)?;
            // SAFETY: the caller's promise to `mallctl`: a C string, where it is not null.
            let text = unsafe { call.request.take_text() }?
                .flatten()
                .ok_or(Refusal::Invalid)?;
            if text.len() >= BOUNDS_MAX || !spans::is_good(text) {
                return Err(Refusal::Invalid);
            }
            for span in spans::all(text) {
                cache.bound_classes(tcache::classes(&span), span.number);
            }
            Ok(())
        }
        Key::Activity => {
            // A function and the word that it is called with.
            let wanted = call.request.take::<[usize; 2]>()?;
            let cache = own.ok_or(Refusal::Failed)?;
            call.request.give(cache.listener())?;
            if let Some(listener) = wanted {
                cache.set_listener(listener);
            }
            Ok(())
        }
        Key::Idle => {
            upkeep::idle(own);
            Ok(())
        }
    }
}
