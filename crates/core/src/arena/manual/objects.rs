//! Objects of arenas made by request.
//!
//! O1  A small object is a slot of a slab: the fullest slab, the lowest slot. A large one has an extent.
//! O2  Whose an object is tells the record that the page map names for its first page.

use super::arena::ArenaRef;
use super::books::Books;
use super::extent::{ExtentRef, State};
use super::pages::Works;
use super::samples;
use super::slab::{SlabRef, Slabs};
use super::table;
use crate::arena::bin::Utilisation;
use crate::arena::misuse::Misuse;
use crate::arena::record::Kind;
use crate::extent::hooks::Outside;
use crate::extent::page_map;
use crate::size::{
    CLASSES, LARGE_MIN, PAGE, SMALL_CLASSES, SizeClass, class_of, size_of_class, slab_pages,
};
use crate::sys::clock;
use core::ptr;

/// An object of `bytes`, a usable size, at `align`. `None`: out of memory.
pub(crate) fn alloc(
    arena: ArenaRef,
    bytes: usize,
    align: usize,
    zero: bool,
    outside: impl Outside,
) -> Option<*mut u8> {
    if let Some(class) = class_of(bytes).filter(|class| class.is_small()) {
        let mut object = [ptr::null_mut()];
        if take(arena, class, &mut object, 1, outside) == 0 {
            return None;
        }
        if zero {
            // SAFETY: an object of that class, ours alone.
            unsafe { object[0].write_bytes(0, class.size()) };
        }
        return Some(object[0]);
    }
    let works = Works::new(arena, outside);
    let (extent, zeroed) = works.alloc(bytes / PAGE, align, zero)?;
    extent.kind.set(Kind::ManualLarge);
    arena.with(|books| {
        if let Some(large) = books.large.get_mut(large_class(bytes)) {
            large.allocations += 1;
            large.bytes += bytes;
        }
    });
    if zero && !zeroed {
        // SAFETY: an object of that many bytes, ours alone.
        unsafe { extent.base().write_bytes(0, bytes) };
    }
    Some(extent.base())
}

/// Position in the books of the class that covers `bytes` of a large object.
fn large_class(bytes: usize) -> usize {
    let index = class_of(bytes).map_or(CLASSES - 1, |class| class.index());
    index.saturating_sub(SMALL_CLASSES)
}

/// Takes up to `out.len()` objects of `class`, which is small, at least one unless memory is out, for a cache; the answer is
/// how many.
pub(crate) fn fill(
    arena: ArenaRef,
    class: SizeClass,
    out: &mut [*mut u8],
    outside: impl Outside,
) -> usize {
    take(arena, class, out, 0, outside)
}

/// As [`fill`], for so many `requests`. Counts one visit, whatever it takes.
fn take(
    arena: ArenaRef,
    class: SizeClass,
    out: &mut [*mut u8],
    requests: u64,
    outside: impl Outside,
) -> usize {
    let index = class.index();
    let mut filled = 0;
    while filled < out.len() {
        let (first, rest) = (filled == 0, &mut out[filled..]);
        filled += take_from(arena, index, first, requests, |bin| bin.take(rest));
        if filled > 0 && filled >= out.len().min(8) {
            break;
        }
        let works = Works::new(arena, outside);
        let Some((extent, _)) = works.alloc(slab_pages(index), PAGE, false) else {
            break;
        };
        let Some(slab) = SlabRef::create(extent, class) else {
            works.dealloc(extent, clock::now_ns());
            break;
        };
        let (first, rest) = (filled == 0, &mut out[filled..]);
        filled += take_from(arena, index, first, requests, |bin| {
            bin.take_first(slab, rest)
        });
    }
    filled
}

/// Has `take` take objects out of the slabs of a class; the answer is how many. The `first` of a visit count it.
fn take_from(
    arena: ArenaRef,
    class: usize,
    first: bool,
    requests: u64,
    take: impl FnOnce(&mut Slabs) -> usize,
) -> usize {
    let taken = arena.with(|books| {
        let bin = &mut books.bins[class];
        let taken = take(bin);
        if first && taken > 0 {
            bin.fills += 1;
            bin.requests += requests;
        }
        taken
    });
    taken.unwrap_or(0)
}

/// What the record says that the page map names for an address.
enum Found {
    Slab(SlabRef),
    Large(ExtentRef),
    Pages(ExtentRef),
}

#[inline]
fn find(ptr: *const u8) -> Option<Found> {
    if !table::is_used() {
        return None;
    }
    let record = page_map::record(ptr)?;
    if let Some(slab) = SlabRef::from_record(record) {
        return Some(Found::Slab(slab));
    }
    let extent = ExtentRef::from_record(record)?;
    Some(if extent.kind.get() == Kind::ManualLarge {
        Found::Large(extent)
    } else {
        Found::Pages(extent)
    })
}

/// Bytes of the object at `ptr`, or what is wrong with the pointer. `None`: it belongs to no arena made by request.
pub(crate) fn inspect(ptr: *const u8) -> Option<Result<usize, Misuse>> {
    let ptr = ptr.cast_mut();
    Some(match find(ptr)? {
        Found::Slab(slab) => slab.inspect(ptr).map(|()| size_of_class(slab.class())),
        Found::Large(extent) if extent.base() == ptr => Ok(extent.bytes()),
        Found::Large(_) => Err(Misuse::Interior),
        Found::Pages(extent) if extent.base() == ptr => Err(Misuse::DoubleFree),
        Found::Pages(_) => Err(Misuse::Foreign),
    })
}

/// Class and arena of the small object at `ptr`, if it is in use, no sample, and of an arena made by request.
#[inline]
pub(crate) fn small_at(ptr: *mut u8) -> Option<(SizeClass, usize)> {
    let Found::Slab(slab) = find(ptr)? else {
        return None;
    };
    slab.inspect(ptr).ok()?;
    let is_plain = slab.extent()?.samples.get() == 0;
    let class = SizeClass::new(slab.class()).filter(|_| is_plain)?;
    Some((class, slab.arena.get() as usize))
}

/// How full the slab is that `ptr` lies in. `None`: it lies in no slab of an arena made by request.
pub(crate) fn utilisation(ptr: *const u8) -> Option<Utilisation> {
    let Some(Found::Slab(slab)) = find(ptr) else {
        return None;
    };
    let arena = table::get(slab.arena.get() as usize)?;
    arena.with(|books| {
        let bin = books.bins.get(slab.class())?;
        Some(bin.utilisation(slab))
    })?
}

/// The index of the arena made by request whose memory is at `ptr`.
pub(crate) fn arena_of(ptr: *const u8) -> Option<usize> {
    let index = match find(ptr)? {
        Found::Slab(slab) => slab.arena.get(),
        Found::Large(extent) | Found::Pages(extent) => extent.arena.get(),
    };
    Some(index as usize)
}

/// Where an object is.
pub(super) struct Place {
    pub(super) arena: ArenaRef,
    /// The object, or the slab that it lies in.
    pub(super) extent: ExtentRef,
}

/// Where the object at `ptr` is. `None`: it belongs to no arena made by request.
pub(super) fn place_of(ptr: *const u8) -> Option<Place> {
    let extent = match find(ptr)? {
        Found::Slab(slab) => slab.extent()?,
        Found::Large(extent) => extent,
        Found::Pages(_) => return None,
    };
    let arena = table::get(extent.arena.get() as usize)?;
    Some(Place { arena, extent })
}

/// Frees the object at `ptr`. `None`: it belongs to no arena made by request.
pub(crate) fn dealloc(ptr: *mut u8, outside: impl Outside) -> Option<Result<(), Misuse>> {
    Some(match find(ptr)? {
        Found::Slab(slab) => dealloc_small(slab, ptr, outside),
        Found::Large(extent) if extent.base() == ptr => dealloc_large(extent, outside),
        Found::Large(_) => Err(Misuse::Interior),
        Found::Pages(extent) if extent.base() == ptr => Err(Misuse::DoubleFree),
        Found::Pages(_) => Err(Misuse::Foreign),
    })
}

fn dealloc_small(slab: SlabRef, ptr: *mut u8, outside: impl Outside) -> Result<(), Misuse> {
    let arena = table::get(slab.arena.get() as usize).ok_or(Misuse::Foreign)?;
    let class = slab.class();
    let give_back = |books: &mut Books| {
        let bin = &mut books.bins[class];
        bin.flushes += 1;
        bin.give_back(slab, ptr)
    };
    let emptied = arena.with(give_back).ok_or(Misuse::Foreign)??;
    if let Some(slab) = emptied {
        discard(slab, Works::new(arena, outside));
    }
    Ok(())
}

/// Gives `objects` of `class`, which is small, back to the slabs of `arena`. What is none of its objects is told.
pub(crate) fn flush(arena: ArenaRef, class: SizeClass, objects: &[*mut u8], outside: impl Outside) {
    /// Slabs that become pages again at a time: the lock is not held meanwhile.
    const EMPTIED: usize = 8;
    let mut rest = objects;
    while !rest.is_empty() {
        let mut emptied = [None; EMPTIED];
        let looked = arena.with(|books| {
            let bin = &mut books.bins[class.index()];
            bin.flushes += u64::from(rest.len() == objects.len());
            bin.give_back_all(arena.index, class.index(), rest, &mut emptied)
        });
        for slab in emptied.into_iter().flatten() {
            discard(slab, Works::new(arena, outside));
        }
        rest = &rest[looked.unwrap_or(rest.len())..];
    }
}

/// Makes a slab, which is in no list and nobody's, pages again.
fn discard<O: Outside>(slab: SlabRef, works: Works<O>) {
    let extent = slab.extent();
    // SAFETY: off the books, so nobody finds it; none of its slots is used.
    unsafe { slab.destroy() };
    if let Some(extent) = extent {
        works.dealloc(extent, clock::now_ns());
    }
}

fn dealloc_large(extent: ExtentRef, outside: impl Outside) -> Result<(), Misuse> {
    let arena = table::get(extent.arena.get() as usize).ok_or(Misuse::Foreign)?;
    if !extent.kind.change(Kind::ManualLarge, Kind::ManualPages) {
        return Err(Misuse::DoubleFree);
    }
    note_freed(arena, extent.bytes());
    Works::new(arena, outside).dealloc(extent, clock::now_ns());
    Ok(())
}

fn note_freed(arena: ArenaRef, bytes: usize) {
    arena.with(|books| {
        if let Some(large) = books.large.get_mut(large_class(bytes)) {
            large.frees += 1;
            large.bytes -= bytes;
        }
    });
}

/// Frees everything that is in use.
pub(super) fn discard_all(arena: ArenaRef, outside: impl Outside) {
    let works = Works::new(arena, outside);
    while let Some(Some(extent)) = arena.with(|books| books.oldest(State::Active)) {
        samples::discard(arena, extent, outside);
        match page_map::record(extent.base()).and_then(SlabRef::from_record) {
            Some(slab) => {
                arena.with(|books| books.bins[slab.class()].discard(slab));
                discard(slab, works);
            }
            None => {
                note_freed(arena, extent.bytes());
                works.dealloc(extent, clock::now_ns());
            }
        }
    }
}

/// Changes the large object at `ptr`, the caller's, to `bytes`, large too, where it is. `Some(Some(zeroed))`: done, and
/// whether what was added reads zero; `Some(None)`: it cannot be. `None`: it belongs to no arena made by request.
pub(crate) fn resize(
    ptr: *mut u8,
    bytes: usize,
    zero: bool,
    outside: impl Outside,
) -> Option<Option<bool>> {
    let extent = match find(ptr)? {
        Found::Large(extent) if extent.base() == ptr && bytes >= LARGE_MIN => extent,
        _ => return Some(None),
    };
    let Some(arena) = table::get(extent.arena.get() as usize) else {
        return Some(None);
    };
    let works = Works::new(arena, outside);
    let (before, pages) = (extent.bytes(), bytes / PAGE);
    let zeroed = if pages > extent.pages() {
        works.expand(extent, pages, zero)
    } else {
        let same = pages == extent.pages();
        (same || works.shrink(extent, pages, clock::now_ns())).then_some(true)
    };
    if zeroed.is_some() {
        arena.with(|books| {
            if let Some(large) = books.large.get_mut(large_class(before)) {
                large.frees += 1;
                large.bytes -= before;
            }
            if let Some(large) = books.large.get_mut(large_class(bytes)) {
                large.allocations += 1;
                large.bytes += bytes;
            }
        });
    }
    Some(zeroed)
}
