//! Sampling: what the verbs do where an allocation is a sample, and where one is freed.
//!
//! ```text
//! small, of an automatic arena     a slot of a slab for samples (arena/sampled)       \
//! large                            the object as it comes, its record another kind     > stack ──> prof::record
//! of an arena made by request,     the object as it comes, the sample beside its slab /
//! or of the hardened one
//! ```
//! All of them read class 0 in the page map, so that a free of one goes slow and comes by here. Where the profiler has no
//! memory for a record the object stays as it is, without one. Called inside a passage, no lock held.

use super::free::is_told_by_address;
use super::slow;
use crate::arena::hardened::{self, Ask, Door};
use crate::arena::misuse::Misuse;
use crate::arena::{ArenaIndex, large, manual, sampled};
use crate::extent::hooks::Outside;
use crate::prof::{self, Event, Sample, ThreadRef, hooks, unwind};
use crate::size::{LOOKUP_MAX, SizeClass};
use crate::thread::{self, CacheRef, Inside};
use core::ffi::{c_uint, c_void};
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicU64, Ordering};

/// Frames of a stack that are recorded at most.
const FRAMES: usize = prof::DEPTH_MAX;
/// Frames that most stacks keep to: room for more is made where there are, as room costs clearing it.
const FEW_FRAMES: usize = 40;

/// The random state that threads past their end share, each of whose objects is decided on by itself; 0: not begun.
static PAST: AtomicU64 = AtomicU64::new(0);

/// Whether an object of `usable` bytes that the calling thread is about to allocate is a sample.
#[inline]
pub(super) fn is_due(cache: Option<CacheRef>, usable: usize) -> bool {
    match cache {
        Some(cache) => cache.is_due(usable),
        None => prof::is_sampling() && is_due_past(usable),
    }
}

/// A thread past its end has the switch that threads begin with: its own went with it.
#[cold]
fn is_due_past(usable: usize) -> bool {
    let mut random = match PAST.load(Ordering::Relaxed) {
        0 => ThreadRef::PAST.random() | 1,
        random => random,
    };
    let gap = prof::gap_objects(&mut random, usable, prof::lg_sample());
    PAST.store(random, Ordering::Relaxed);
    gap == 1 && prof::active_at_first()
}

/// A small object that is a sample, counted as the thread's. `None`: out of memory; an ordinary one may do.
#[cold]
#[inline(never)]
pub(super) fn alloc_small(
    cache: Option<CacheRef>,
    class: SizeClass,
    arena: ArenaIndex,
    ask: Ask,
) -> Option<*mut u8> {
    let is_known = ask.door == Door::Rust && class.size() <= LOOKUP_MAX;
    let is_told = is_known && is_told_by_address(ask.align);
    let object = sampled::alloc(class, arena, is_told)?;
    thread::note_alloc(cache, class.size());
    if let Some(sample) = record(cache, object.as_ptr(), ask.bytes, class.size()) {
        sampled::attach(object, sample);
    }
    Some(object.as_ptr())
}

/// Makes the object of `usable` bytes at `ptr`, just allocated, a sample: a large one, or one of an arena made by request.
#[cold]
#[inline(never)]
pub(super) fn attach(cache: Option<CacheRef>, ptr: *mut u8, requested: usize, usable: usize) {
    if let Some(sample) = record(cache, ptr, requested, usable) {
        let is_attached = large::attach(ptr, sample)
            || manual::attach(ptr, sample)
            || hardened::attach(ptr, sample);
        if !is_attached {
            release(cache, sample);
        }
    }
}

/// Frees the object at `ptr`, on a page with class byte 0, if it is a small one in a slab for samples. `None`: it is none, and
/// to be freed as others are; if it was a sample it is none any more.
#[inline]
pub(super) fn dealloc(cache: Option<CacheRef>, ptr: *mut u8) -> Option<Result<(), Misuse>> {
    if prof::generation() == 0 {
        return None;
    }
    dealloc_sampled(cache, ptr)
}

#[cold]
#[inline(never)]
fn dealloc_sampled(cache: Option<CacheRef>, ptr: *mut u8) -> Option<Result<(), Misuse>> {
    if let Some(sample) = sampled::detach(ptr) {
        release(cache, sample);
    }
    let Some(freed) = sampled::dealloc(ptr) else {
        detach(cache, ptr);
        return None;
    };
    Some(freed.map(|class| thread::note_dealloc(cache, class.size())))
}

/// Ends the sample of the large object at `ptr`, or of an object of an arena made by request, if it is one.
pub(super) fn detach(cache: Option<CacheRef>, ptr: *mut u8) {
    if prof::generation() == 0 {
        return;
    }
    let sample = large::detach(ptr)
        .or_else(|| manual::detach(ptr))
        .or_else(|| hardened::detach(ptr));
    if let Some(sample) = sample {
        release(cache, sample);
    }
}

/// The object at `ptr` was changed to `usable` bytes where it is: a free and an allocation, decided on anew.
#[inline]
pub(super) fn resized(cache: Option<CacheRef>, ptr: *mut u8, usable: usize) {
    if prof::generation() != 0 {
        decide_anew(cache, ptr, usable);
    }
}

#[cold]
#[inline(never)]
fn decide_anew(cache: Option<CacheRef>, ptr: *mut u8, usable: usize) {
    detach(cache, ptr);
    if cache.map_or_else(
        || prof::is_sampling() && is_due_past(usable),
        |cache| cache.is_due_apart(usable),
    ) {
        attach(cache, ptr, usable, usable);
    }
}

/// The object at `ptr` is asked for `requested` bytes from now on, which its class has: nothing is allocated or freed, but of a
/// sample it is told what was asked for.
#[inline]
pub(super) fn kept(ptr: *mut u8, requested: usize) {
    if prof::generation() != 0 {
        note_request(ptr, requested);
    }
}

#[cold]
#[inline(never)]
fn note_request(ptr: *mut u8, requested: usize) {
    slow::enter(|_| {
        if let Some(sample) = sample_of(ptr) {
            prof::note_request(sample, requested);
        }
    });
}

/// Ends a sample, freed by the calling thread.
pub(super) fn release(cache: Option<CacheRef>, sample: Sample) {
    if let Some(released) = hooks::released() {
        let (address, usable) = prof::place(sample);
        let object = with_exposed_provenance_mut::<c_void>(address);
        // SAFETY: `prof_sample_free` was given such a function.
        Inside(cache).outside(|| unsafe { released(object, usable) });
    }
    if prof::wants_release_frames() {
        let mut frames = [0; FRAMES];
        let depth = capture(cache, &mut frames);
        prof::release(sample, viewed(cache), &frames[..depth]);
    } else {
        prof::release(sample, viewed(cache), &[]);
    }
}

/// The calling thread's stack: how many frames it has.
fn capture(cache: Option<CacheRef>, frames: &mut [usize]) -> usize {
    let depth = prof::depth().min(frames.len());
    if let Some(backtrace) = hooks::backtrace() {
        let (stack, mut count) = (frames.as_mut_ptr().cast::<*mut c_void>(), 0);
        // SAFETY: `prof_backtrace` was given such a function; room for so many addresses.
        Inside(cache).outside(|| unsafe { backtrace(stack, &mut count, depth as c_uint) });
        return depth.min(count as usize);
    }
    let mark = cache.map_or(0, CacheRef::mark);
    let mut work = || unwind::capture_above(&mut frames[..depth], mark).min(depth);
    match cache {
        Some(cache) => cache.unsampled(work),
        None => work(),
    }
}

/// The calling thread, as the profiler sees it.
fn viewed(cache: Option<CacheRef>) -> ThreadRef {
    cache
        .and_then(CacheRef::profiled)
        .unwrap_or(ThreadRef::PAST)
}

/// Records an object with the calling thread's stack. `None`: the profiler is out of memory.
fn record(
    cache: Option<CacheRef>,
    ptr: *mut u8,
    requested: usize,
    usable: usize,
) -> Option<Sample> {
    if hooks::backtrace().is_none() {
        let mut frames = [0; FEW_FRAMES];
        let depth = capture(cache, &mut frames);
        if depth < FEW_FRAMES {
            return record_from(cache, ptr, requested, usable, &mut frames[..depth]);
        }
    }
    record_deep(cache, ptr, requested, usable)
}

/// As [`record`], of a stack with many frames.
#[cold]
#[inline(never)]
fn record_deep(
    cache: Option<CacheRef>,
    ptr: *mut u8,
    requested: usize,
    usable: usize,
) -> Option<Sample> {
    let mut frames = [0; FRAMES];
    let depth = capture(cache, &mut frames);
    record_from(cache, ptr, requested, usable, &mut frames[..depth])
}

/// Records an object that was allocated from `frames`.
fn record_from(
    cache: Option<CacheRef>,
    ptr: *mut u8,
    requested: usize,
    usable: usize,
    frames: &mut [usize],
) -> Option<Sample> {
    let sample = prof::record(&Event {
        address: ptr.addr(),
        requested,
        usable,
        thread: viewed(cache),
        frames,
    })?;
    if let Some(sampled) = hooks::sampled() {
        let (stack, depth) = (
            frames.as_mut_ptr().cast::<*mut c_void>(),
            frames.len() as c_uint,
        );
        let object = ptr.cast::<c_void>();
        // SAFETY: `prof_sample` was given such a function; so many addresses.
        Inside(cache).outside(|| unsafe { sampled(object, requested, stack, depth, usable) });
    }
    Some(sample)
}

/// The sample of the object at `ptr`, the caller's, if it has one.
pub(super) fn sample_of(ptr: *const u8) -> Option<Sample> {
    sampled::sample_of(ptr)
        .or_else(|| large::sample_of(ptr))
        .or_else(|| manual::sample_of(ptr))
}
