//! Large objects: an extent each.
//!
//! ```text
//! record (64 bytes)   0 kind | 1 class | 2 arena | 3 fenced | 4 sample | 8 base | 16 pages | 24 stretched
//! ```
//! Objects up to 1 MiB wait in the run cache, record and page-map entries and all, before they go to the page heap.
//!
//! A1  The record is named on the object's first page; cached classes (up to 32 KiB) have their class byte there.
//! A2  An object changes hands by its kind: Large -> Idle -> Large by compare-exchange, so a second free loses.
//! A3  What the page heap gave and got is counted on the way; what passes the run cache is counted there, by its
//!     slots. Both together tell what the application has, by class.
//! A4  A sampled object is one of another kind, and its page reads class 0: every free of it comes by [`detach`], which
//!     makes it an ordinary one again.
//! A5  An object is an arena's: of the thread that allocated it, or filled its cache with it. What waits in the run cache is
//!     that arena's for whose threads it waits: a free by a thread of another arena hands it over.
//! A6  The run of an object that is `fenced` has a page more than the object, a fence right behind it, or one that was lowered
//!     for a huge page (see `extent::fence`). The owner of the object moves it when the object changes its length.

use super::empty;
use super::hardened;
use super::manual;
use super::misuse::Misuse;
use super::record::{Kind, KindCell};
use super::run_cache::{self, RunFigures};
use super::sampled;
use super::{ARENAS_MAX, ArenaIndex};
use crate::ds::table::Table;
use crate::extent::{HEAP, Purpose, Run, fence, page_map};
use crate::meta::{self, MetaRef, UNIT};
use crate::prof::Sample;
use crate::size::{
    CACHED_CLASSES, CLASSES, COARSE_MAX, PAGE, Pages, SMALL_CLASSES, SizeClass, class_of,
    size_of_class,
};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// From here on a move by the system beats copying.
pub(crate) const RELOCATE_MIN: usize = 256 << 10;

#[repr(C, align(64))]
struct Large {
    kind: KindCell,
    /// Position in [`BOOKS`] within the arena's.
    class: u8,
    /// Index of its arena (A5).
    arena: AtomicU8,
    /// Whether the run has one page more (A6).
    fenced: bool,
    /// Number of the sample (A4).
    sample: AtomicU32,
    base: *mut u8,
    pages: usize,
    /// Whether a request with room for extra bytes made it longer than anybody asks for with a free.
    stretched: bool,
}

/// What an arena got and gave of a class (A3).
struct Books {
    /// Objects that came of the page heap, and that went back to it or to another arena, those that changed their class
    /// among both.
    came: AtomicU64,
    went: AtomicU64,
    /// Objects that were another arena's until they were freed (A5).
    adopted: AtomicU64,
    /// Bytes of all that came or was adopted, and did not go.
    bytes: AtomicUsize,
}

const LARGE_CLASSES: usize = CLASSES - SMALL_CLASSES;

/// By arena and class, from the first large one on.
static BOOKS: Table<[Books; LARGE_CLASSES], ARENAS_MAX> = Table::new(
    [const {
        [const {
            Books {
                came: AtomicU64::new(0),
                went: AtomicU64::new(0),
                adopted: AtomicU64::new(0),
                bytes: AtomicUsize::new(0),
            }
        }; LARGE_CLASSES]
    }; ARENAS_MAX],
);

/// One past the highest arena that ever had any.
static END: AtomicUsize = AtomicUsize::new(0);

/// The arenas that ever had a large object.
fn arenas() -> impl Iterator<Item = ArenaIndex> {
    (0..END.load(Ordering::Relaxed)).map(ArenaIndex::new)
}

fn books(arena: ArenaIndex, class: u8) -> &'static Books {
    &BOOKS[arena.index()][class as usize % LARGE_CLASSES]
}

/// Counts an object of `bytes` bytes that came from the page heap, at a position of [`BOOKS`].
fn note_came(arena: ArenaIndex, class: u8, bytes: usize) {
    let books = books(arena, class);
    note_used(arena);
    books.came.fetch_add(1, Ordering::Relaxed);
    books.bytes.fetch_add(bytes, Ordering::Relaxed);
}

fn note_used(arena: ArenaIndex) {
    if arena.index() >= END.load(Ordering::Relaxed) {
        END.fetch_max(arena.index() + 1, Ordering::Relaxed);
    }
}

/// Counts one that went.
fn note_went(arena: ArenaIndex, class: u8, bytes: usize) {
    let books = books(arena, class);
    // Release: pairs with the Acquire in `figures_in`: what went is seen to have come.
    books.went.fetch_add(1, Ordering::Release);
    books.bytes.fetch_sub(bytes, Ordering::Relaxed);
}

impl Large {
    fn arena(&self) -> ArenaIndex {
        ArenaIndex::new(self.arena.load(Ordering::Relaxed).into())
    }

    /// Makes an object that is the caller's alone another arena's (A5).
    #[cold]
    fn hand_over(&self, arena: ArenaIndex) {
        let bytes = Pages(self.pages).bytes();
        let to = books(arena, self.class);
        note_used(arena);
        to.adopted.fetch_add(1, Ordering::Relaxed);
        to.bytes.fetch_add(bytes, Ordering::Relaxed);
        note_went(self.arena(), self.class, bytes);
        self.arena.store(arena.index() as u8, Ordering::Relaxed);
    }
}

/// Position in [`BOOKS`] of the class that covers `bytes`.
fn out_class(bytes: usize) -> u8 {
    let class = class_of(bytes).map_or(CLASSES - 1, |class| class.index());
    class.saturating_sub(SMALL_CLASSES).min(LARGE_CLASSES - 1) as u8
}

/// A new large object.
pub(crate) struct Fresh {
    /// Where it is.
    pub(crate) addr: NonNull<u8>,
    /// Whether all of it reads zero.
    pub(crate) zeroed: bool,
    /// Whether memory may be moved to its first pages: they have mostly none that would be lost.
    pub(crate) vacant: bool,
}

fn large(record: MetaRef) -> NonNull<Large> {
    record.resolve()
}

/// A large object of `bytes`, a multiple of the page, at `align`. `None`: out of memory.
pub(crate) fn alloc(
    bytes: usize,
    align: usize,
    arena: ArenaIndex,
    purpose: Purpose,
) -> Option<Fresh> {
    let pages = Pages(bytes / PAGE);
    // What waits has memory; where memory is going to be moved to, that would be lost.
    let waiting_serves = !matches!(purpose, Purpose::Written(1..));
    if align <= PAGE && waiting_serves {
        if let Some(addr) = alloc_idle(pages, arena) {
            return Some(Fresh {
                addr,
                zeroed: false,
                vacant: false,
            });
        }
        run_cache::note_miss(pages);
    }
    alloc_fresh(pages, align, arena, purpose)
}

/// A large object of `pages` pages from the run cache, if one waits there. Needs no passage: at every instant of it
/// an object is in a slot, or one thread's own.
#[inline]
pub(crate) fn alloc_idle(pages: Pages, arena: ArenaIndex) -> Option<NonNull<u8>> {
    let record = run_cache::take(pages, arena)?;
    // SAFETY: the run cache holds records of ours; what it gives is this thread's alone.
    let object = unsafe { large(record).as_ref() };
    object.kind.set(Kind::Large);
    NonNull::new(object.base)
}

/// A large object past the run cache; as [`alloc`].
#[cold]
pub(crate) fn alloc_fresh(
    pages: Pages,
    align: usize,
    arena: ArenaIndex,
    purpose: Purpose,
) -> Option<Fresh> {
    let record = meta::allocate(1)?;
    let Some((run, fenced)) = take_run(pages, align, purpose) else {
        // SAFETY: just allocated; nobody knows it.
        unsafe { meta::recycle(record, 1) };
        return None;
    };
    let object = large(record);
    let class = out_class(pages.bytes());
    // SAFETY: a record of one unit, ours alone.
    unsafe {
        object.as_ptr().write(Large {
            kind: KindCell::default(),
            class,
            arena: AtomicU8::new(arena.index() as u8),
            fenced,
            sample: AtomicU32::new(0),
            base: run.addr.as_ptr(),
            pages: pages.0,
            stretched: false,
        });
        object.as_ref().kind.set(Kind::Large);
    }
    note_came(arena, class, pages.bytes());
    page_map::set_record(run.addr.as_ptr(), Some(record));
    set_class_byte(run.addr, pages.bytes());
    Some(Fresh {
        addr: run.addr,
        zeroed: run.zeroed,
        vacant: run.vacant,
    })
}

/// A run for an object of `pages` pages, and whether it has a fence behind them (A6).
fn take_run(pages: Pages, align: usize, purpose: Purpose) -> Option<(Run, bool)> {
    // Cached ones come by the magazine.
    if pages.bytes() > COARSE_MAX && fence::is_due(pages) {
        if let Some(run) = HEAP.alloc(Pages(pages.0 + 1), align, purpose) {
            // SAFETY: the last page of the run, ours alone.
            let fenced = unsafe { raise_fence(run.addr.add(pages.bytes())) };
            return Some((run, fenced));
        }
    }
    HEAP.alloc(pages, align, purpose).map(|run| (run, false))
}

/// Makes the last page of a run a fence; a page that is refused goes back to the page heap.
///
/// # Safety
/// The page is the caller's and of no use.
unsafe fn raise_fence(page: NonNull<u8>) -> bool {
    // SAFETY: the caller's promise; the tail of a run.
    unsafe {
        let done = fence::raise(page);
        if !done {
            HEAP.dealloc(page, Pages(1));
        }
        done
    }
}

/// Writes the class byte of an object that is or becomes `bytes` long (A1).
fn set_class_byte(addr: NonNull<u8>, bytes: usize) {
    let byte = match class_of(bytes) {
        Some(class) if class.index() < CACHED_CLASSES => class.byte(),
        _ => 0,
    };
    page_map::set_class_byte(addr.as_ptr(), byte);
}

/// Makes the large object at `ptr`, the caller's, a sampled one (A4). `false`: it is no such object; nothing happened.
pub(crate) fn attach(ptr: *mut u8, sample: Sample) -> bool {
    let Some(record) = page_map::record(ptr) else {
        return false;
    };
    // SAFETY: the page map names records only; their kind says whether this is one of ours.
    let object = unsafe { large(record).as_ref() };
    let attached = object.kind.change(Kind::Large, Kind::SampledLarge);
    if attached {
        object.sample.store(sample.number(), Ordering::Relaxed);
        page_map::set_class_byte(ptr, 0);
    }
    attached
}

/// Makes the sampled large object at `ptr` an ordinary one (A4). `None`: it is no sampled one, or another thread was first.
pub(crate) fn detach(ptr: *mut u8) -> Option<Sample> {
    let record = page_map::record(ptr)?;
    // SAFETY: as in `attach`.
    let object = unsafe { large(record).as_ref() };
    if object.base != ptr || !object.kind.change(Kind::SampledLarge, Kind::Large) {
        return None;
    }
    let sample = object.sample.load(Ordering::Relaxed);
    set_class_byte(NonNull::new(ptr)?, Pages(object.pages).bytes());
    Sample::from_number(sample)
}

/// Bytes of the large object at `ptr`, or of any object whose page reads class 0; or what is wrong with the pointer.
#[inline]
pub(crate) fn inspect(ptr: *mut u8) -> Result<usize, Misuse> {
    let Some(record) = page_map::record(ptr) else {
        if let Some(looked) = empty::inspect(ptr).or_else(|| hardened::inspect(ptr)) {
            return looked;
        }
        return Err(if HEAP.owns(ptr) {
            Misuse::Interior
        } else if sampled::was_object(ptr) {
            Misuse::DoubleFree
        } else {
            Misuse::Foreign
        });
    };
    // SAFETY: the page map names records only; those of large objects are read under A2.
    let object = unsafe { large(record).as_ref() };
    match object.kind.get() {
        Kind::Large | Kind::SampledLarge if object.base == ptr => Ok(object.pages * PAGE),
        Kind::Idle if object.base == ptr => Err(Misuse::DoubleFree),
        Kind::Large | Kind::SampledLarge | Kind::Idle | Kind::Slab => Err(Misuse::Interior),
        Kind::SampledSlab => sampled::inspect(record, ptr).map(SizeClass::size),
        Kind::ManualSlab | Kind::ManualLarge | Kind::ManualPages => {
            manual::inspect(ptr).unwrap_or(Err(Misuse::Foreign))
        }
        Kind::HardSlab | Kind::HardLarge => hardened::inspect(ptr).unwrap_or(Err(Misuse::Foreign)),
        Kind::Free => Err(Misuse::Foreign),
    }
}

/// Bytes of the object, in use or idle, that starts at `ptr`.
pub(super) fn extent_bytes(ptr: *const u8) -> Option<usize> {
    // SAFETY: the page map names records only; those of large objects are read under A2.
    let object = unsafe { large(page_map::record(ptr)?).as_ref() };
    let is_ours = matches!(
        object.kind.get(),
        Kind::Large | Kind::SampledLarge | Kind::Idle
    );
    (is_ours && object.base.cast_const() == ptr).then_some(object.pages * PAGE)
}

/// An object that [`dealloc_idle`] displaced from its slot: the caller's, to be released.
#[must_use]
pub(crate) struct Displaced(MetaRef);

impl Displaced {
    /// Gives it to the page heap. Called inside a passage.
    pub(crate) fn release(self) {
        release(self.0);
    }
}

/// What became of an object that was offered to the run cache.
pub(crate) enum Offer {
    /// It, an object of so many bytes, waits in its slot; what waited there before is displaced.
    Taken(usize, Option<Displaced>),
    /// It is not a large object that fits there; nothing happened.
    Refused,
}

/// Frees the large object at `ptr`, which is of that arena, into the run cache. Needs no passage, as [`alloc_idle`].
#[inline]
pub(crate) fn dealloc_idle(ptr: *mut u8, arena: ArenaIndex) -> Offer {
    offer::<false>(ptr, Some(arena))
}

/// Offers the large object at `ptr` to the run cache, to wait there for the threads of an arena, by default its own; another
/// one only where it `CHANGES`.
#[inline(always)]
fn offer<const CHANGES: bool>(ptr: *mut u8, arena: Option<ArenaIndex>) -> Offer {
    let Some(record) = page_map::record(ptr) else {
        return Offer::Refused;
    };
    // SAFETY: the page map names records only; their kind says whether this is one of ours.
    let object = unsafe { large(record).as_ref() };
    if object.kind.get() != Kind::Large || object.base != ptr {
        return Offer::Refused;
    }
    let own = object.arena();
    let arena = arena.unwrap_or(own);
    let changes = arena != own;
    if changes && !CHANGES {
        return Offer::Refused;
    }
    let Some(room) = run_cache::reserve(Pages(object.pages), arena) else {
        return Offer::Refused;
    };
    if !object.kind.change(Kind::Large, Kind::Idle) {
        room.cancel();
        return Offer::Refused;
    }
    if changes {
        object.hand_over(arena);
    }
    HEAP.note_idle(room.waiting_bytes() / PAGE);
    let bytes = Pages(object.pages).bytes();
    Offer::Taken(bytes, room.put(record).map(Displaced))
}

/// Frees the large object at `ptr`, to wait for the threads of `arena`. Called inside a passage.
pub(crate) fn dealloc(ptr: *mut u8, arena: ArenaIndex) -> Result<(), Misuse> {
    settle(offer::<true>(ptr, Some(arena)), ptr)
}

/// As [`dealloc`], to wait for the threads of the arena that it is of.
pub(crate) fn dealloc_home(ptr: *mut u8) -> Result<(), Misuse> {
    settle(offer::<true>(ptr, None), ptr)
}

fn settle(offer: Offer, ptr: *mut u8) -> Result<(), Misuse> {
    match offer {
        Offer::Taken(_, Some(displaced)) => displaced.release(),
        Offer::Taken(_, None) => {}
        Offer::Refused => return dealloc_past(ptr),
    }
    Ok(())
}

/// Frees the large object at `ptr`, past the run cache. Called inside a passage.
pub(crate) fn dealloc_past(ptr: *mut u8) -> Result<(), Misuse> {
    if let Some(freed) = empty::dealloc(ptr) {
        return freed;
    }
    inspect(ptr)?;
    let record = page_map::record(ptr).ok_or(Misuse::Foreign)?;
    // SAFETY: `inspect` found the record of this object.
    let object = unsafe { large(record).as_ref() };
    if !object.kind.change(Kind::Large, Kind::Idle) {
        return Err(Misuse::DoubleFree);
    }
    release(record);
    Ok(())
}

/// Gives an idle object, which is the caller's alone, to the page heap.
fn release(record: MetaRef) {
    release_as(record, false);
}

/// As [`release`]; `bare`: its memory was moved away.
fn release_as(record: MetaRef, bare: bool) {
    // SAFETY: a record of a large object, the caller's alone.
    let object = unsafe { large(record).as_ref() };
    object.kind.set(Kind::Free);
    let (base, pages) = (object.base, Pages(object.pages));
    note_went(object.arena(), object.class, pages.bytes());
    page_map::set_class_byte(base, 0);
    page_map::set_record(base, None);
    if let Some(addr) = NonNull::new(base) {
        // SAFETY: the whole run, its fence last (A6); nobody uses it (A2).
        unsafe {
            if bare {
                HEAP.dealloc_bare(addr, pages);
            } else {
                HEAP.dealloc(addr, pages);
            }
            let fence = addr.add(pages.bytes());
            if object.fenced && fence::lower(fence) {
                HEAP.dealloc(fence, Pages(1));
            }
        }
    }
    // SAFETY: allocated with one unit; the page map names it no more.
    unsafe { meta::recycle(record, 1) };
}

/// Gives all idle objects of the run cache to the page heap.
pub(crate) fn release_idle() {
    run_cache::drain(release);
}

/// What became of requests that the run cache may serve.
pub(crate) fn run_figures() -> RunFigures {
    run_cache::figures(arenas())
}

/// Gives all idle objects of the run cache to the page heap, and lets few wait from then on: memory is short.
pub(crate) fn release_short() {
    run_cache::forget_earnings();
    run_cache::drain(release);
}

/// Calls `each` with address and bytes of every object that waits in the run cache. Called inside a passage, no lock
/// held.
pub(crate) fn each_idle(mut each: impl FnMut(usize, usize)) {
    let look = |record| {
        // SAFETY: a record of a large object, the caller's alone until the look is over.
        let object = unsafe { large(record).as_ref() };
        each(object.base.addr(), object.pages * PAGE);
    };
    run_cache::look(look, release);
}

/// The figures of a large class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeFigures {
    /// Objects handed out so far, and taken back.
    pub(crate) nmalloc: u64,
    pub(crate) ndalloc: u64,
    /// Bytes that are out: with the application, and with caches where the class is cached.
    pub(crate) bytes: usize,
}

impl LargeFigures {
    pub(crate) const ZERO: Self = Self {
        nmalloc: 0,
        ndalloc: 0,
        bytes: 0,
    };

    /// Objects that are out.
    pub(crate) fn curlextents(&self) -> usize {
        self.nmalloc.saturating_sub(self.ndalloc) as usize
    }

    /// Adds another arena's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.nmalloc += other.nmalloc;
        self.ndalloc += other.ndalloc;
        self.bytes += other.bytes;
    }
}

/// The figures of the class with index `index`, which is a large one (A3), in an arena.
pub(crate) fn figures_in(arena: ArenaIndex, index: usize) -> LargeFigures {
    let class = index.wrapping_sub(SMALL_CLASSES);
    if class >= LARGE_CLASSES {
        return LargeFigures::ZERO;
    }
    let books = books(arena, class as u8);
    let pages = size_of_class(index - 1) / PAGE + 1..=size_of_class(index) / PAGE;
    // Acquire: pairs with the Release in `note_went`.
    let went = books.went.load(Ordering::Acquire);
    let adopted = books.adopted.load(Ordering::Relaxed);
    let runs = run_cache::figures_of(arena, pages);
    LargeFigures {
        nmalloc: books.came.load(Ordering::Relaxed) + runs.hits,
        // What was adopted was freed as another arena's.
        ndalloc: (went + runs.hits + runs.waiting).saturating_sub(adopted),
        bytes: (books.bytes.load(Ordering::Relaxed)).saturating_sub(runs.waiting_bytes),
    }
}

/// The figures of the class with index `index`, which is a large one, in all arenas.
pub(crate) fn figures(index: usize) -> LargeFigures {
    let mut sum = LargeFigures::ZERO;
    for arena in arenas() {
        sum.add(&figures_in(arena, index));
    }
    sum
}

/// Bytes out of the class with index `index`, which is a large one.
pub(crate) fn out_bytes(index: usize) -> usize {
    figures(index).bytes
}

/// The arena of the large object at `ptr`, be it one that waits in the run cache. `None`: there is none.
pub(crate) fn arena_of(ptr: *const u8) -> Option<ArenaIndex> {
    let record = page_map::record(ptr)?;
    // SAFETY: the page map names records only; their kind says whether this is one of ours.
    let object = unsafe { large(record).as_ref() };
    let is_large = matches!(
        object.kind.get(),
        Kind::Large | Kind::SampledLarge | Kind::Idle
    );
    is_large.then(|| object.arena())
}

/// Bytes of the records of large objects.
pub(crate) fn record_bytes() -> usize {
    let records: u64 = (0..arenas().count())
        .flat_map(|arena| &BOOKS[arena])
        .map(|books| {
            let went = books.went.load(Ordering::Acquire);
            let had = books.came.load(Ordering::Relaxed) + books.adopted.load(Ordering::Relaxed);
            had.saturating_sub(went)
        })
        .sum();
    records as usize * UNIT
}

/// Changes the large object at `ptr`, the caller's, to `bytes` in place. `Some(zeroed)`: done, and whether
/// what was added, for `purpose`, reads zero. `None`: it cannot be.
///
/// # Safety
/// `ptr` is the start of a large object, which the caller holds.
pub(crate) unsafe fn resize(ptr: NonNull<u8>, bytes: usize, purpose: Purpose) -> Option<bool> {
    let record = page_map::record(ptr.as_ptr())?;
    let mut object = large(record);
    // SAFETY: the caller holds the object, so the record is its own.
    let object = unsafe { object.as_mut() };
    let (old, new) = (Pages(object.pages), Pages(bytes / PAGE));
    let mut zeroed = true;
    if new != old && object.fenced {
        // SAFETY: the caller's promise.
        zeroed = unsafe { resize_fenced(ptr, object, new, purpose) }?;
    } else if new > old {
        // SAFETY: the object's whole run.
        zeroed = unsafe { HEAP.expand(ptr, old, new, purpose) }?;
    } else if new < old {
        // SAFETY: the tail of the run, which nobody uses from now on.
        unsafe { HEAP.dealloc(ptr.add(new.bytes()), Pages(old.0 - new.0)) };
    }
    object.pages = new.0;
    object.stretched = false;
    let class = out_class(new.bytes());
    note_came(object.arena(), class, new.bytes());
    note_went(object.arena(), object.class, old.bytes());
    object.class = class;
    set_class_byte(ptr, bytes);
    Some(zeroed)
}

/// [`resize`] of an object with a fence, which moves: what was one is a page of the object then, or the page heap's.
///
/// # Safety
/// As for [`resize`]; the record is the object's.
#[cold]
unsafe fn resize_fenced(
    ptr: NonNull<u8>,
    object: &mut Large,
    new: Pages,
    purpose: Purpose,
) -> Option<bool> {
    let old = Pages(object.pages);
    // SAFETY: pages of the object's run, the fence its last one (A6), and of what was added to it; nobody uses them.
    unsafe {
        let was = ptr.add(old.bytes());
        if new > old {
            HEAP.expand(ptr, Pages(old.0 + 1), Pages(new.0 + 1), purpose)?;
            if !fence::lower(was) {
                HEAP.dealloc(was.add(PAGE), Pages(new.0 - old.0));
                return None;
            }
        } else {
            let given = old.0 - new.0 - usize::from(!fence::lower(was));
            if given > 0 {
                HEAP.dealloc(ptr.add(new.bytes() + PAGE), Pages(given));
            }
        }
        object.fenced = fence::is_due(new) && fence::raise(ptr.add(new.bytes()));
        if !object.fenced {
            HEAP.dealloc(ptr.add(new.bytes()), Pages(1));
        }
    }
    // What was written to a page before it became a fence may be there again.
    Some(false)
}

/// Notes that the large object at `ptr`, the caller's, may be longer than what it is freed as.
pub(crate) fn note_stretched(ptr: *mut u8) {
    if let Some(record) = page_map::record(ptr) {
        // SAFETY: the page map names records only; the caller holds the object, so the record is its own.
        unsafe { large(record).as_mut() }.stretched = true;
    }
}

/// Whether the object at `ptr`, of whole pages, may be longer than what it is freed as.
pub(crate) fn is_stretched(ptr: *mut u8) -> bool {
    page_map::record(ptr).is_none_or(|record| {
        // SAFETY: the page map names records only; their kind says whether this is one of ours.
        let object = unsafe { large(record).as_ref() };
        let kind = object.kind.get();
        !matches!(kind, Kind::Large | Kind::SampledLarge) || object.stretched
    })
}

/// Moves the memory of the large object at `from` to the one at `to`, without copying, and frees the former.
/// `false`: the system refused; nothing happened. Called inside a passage.
///
/// # Safety
/// Both are the starts of large objects that the caller holds, `to` is no shorter; what `to` holds is of no use.
pub(crate) unsafe fn relocate(from: NonNull<u8>, to: NonNull<u8>) -> bool {
    let Some(record) = page_map::record(from.as_ptr()) else {
        return false;
    };
    // SAFETY: the caller holds the object, so the record is its own.
    let object = unsafe { large(record).as_ref() };
    let pages = Pages(object.pages);
    if !object.kind.change(Kind::Large, Kind::Idle) {
        return false;
    }
    // SAFETY: two runs of that many pages, the caller's.
    let Some(bare) = (unsafe { HEAP.relocate(from, to, pages) }) else {
        object.kind.set(Kind::Large);
        return false;
    };
    release_as(record, bare);
    true
}

/// The sample of the large object at `ptr`, the caller's, if it has one.
pub(crate) fn sample_of(ptr: *const u8) -> Option<Sample> {
    let record = page_map::record(ptr)?;
    // SAFETY: the page map names records only; their kind says whether this is one of ours.
    let object = unsafe { large(record).as_ref() };
    let is_sampled = object.kind.get() == Kind::SampledLarge && object.base.cast_const() == ptr;
    is_sampled.then(|| Sample::from_number(object.sample.load(Ordering::Relaxed)))?
}
