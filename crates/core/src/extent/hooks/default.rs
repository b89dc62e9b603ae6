//! The default hooks: mappings of the system's.
//!
//! The application may read their table (`arena.<i>.extent_hooks`), copy it, and call its members from its own hooks,
//! whatever table it hands them. Those that it calls take no lock of ours, so that a fork may come at any time; hence
//! they never use the data segment.
//!
//! F1  `dalloc` unmaps where `retain:false` says so, and refuses otherwise: addresses are kept for later.
//! F2  `commit` and `decommit` refuse: a mapping has memory whenever it is touched.
//! F3  Pages of the data segment are never unmapped.
//! The table is filled when first asked for: an image with addresses in it would have to be relocated in every process.

use super::{Given, Hooks, Range, Wanted};
use crate::meta;
use crate::options::Dss;
use crate::size::PAGE;
use crate::sys::memory;
use core::ffi::{c_uint, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};

/// Arenas there may be.
const ARENAS: usize = 4096;

/// What each arena says about the data segment: 0 nothing, else one more than the choice.
static DSS: [AtomicU8; ARENAS] = [const { AtomicU8::new(0) }; ARENAS];
/// The range within which all that came from the data segment lies: the complement of where it begins, so that 0 is
/// behind every address, and where it ends.
static BREAK_FROM: AtomicUsize = AtomicUsize::new(0);
static BREAK_TO: AtomicUsize = AtomicUsize::new(0);
static UNMAPS: AtomicBool = AtomicBool::new(false);

/// The members of the table, in the order of [`Hooks`].
static TABLE: [AtomicPtr<c_void>; 9] = [const { AtomicPtr::new(ptr::null_mut()) }; 9];

const _: () = assert!(size_of::<Hooks>() == size_of_val(&TABLE));

/// Where the table is, filled or not.
pub(super) fn place() -> *mut Hooks {
    TABLE.as_ptr().cast_mut().cast()
}

/// The table of the defaults, for the application.
pub(crate) fn table() -> *mut Hooks {
    let members: [*mut c_void; 9] = [
        given_alloc as *mut c_void,
        given_dalloc as *mut c_void,
        given_destroy as *mut c_void,
        refuse_part as *mut c_void,
        refuse_part as *mut c_void,
        given_purge_lazy as *mut c_void,
        given_purge_forced as *mut c_void,
        grant_split as *mut c_void,
        given_merge as *mut c_void,
    ];
    for (slot, member) in TABLE.iter().zip(members) {
        slot.store(member, Ordering::Relaxed);
    }
    place()
}

/// Whether `dalloc` unmaps (F1).
pub(crate) fn set_retain(retain: bool) {
    UNMAPS.store(!retain, Ordering::Relaxed);
}

/// Says whether `arena` may use the data segment. Has no effect on one with hooks of its own.
pub(crate) fn set_dss(arena: usize, dss: Dss) {
    if let Some(slot) = DSS.get(arena) {
        slot.store(dss as u8 + 1, Ordering::Relaxed);
    }
}

/// What `arena` says about the data segment; `None`: nothing was said.
pub(crate) fn dss(arena: usize) -> Option<Dss> {
    let said = DSS.get(arena)?.load(Ordering::Relaxed).checked_sub(1)?;
    [Dss::Secondary, Dss::Primary, Dss::Disabled]
        .into_iter()
        .find(|&choice| choice as u8 == said)
}

/// Whether pages come from the data segment.
pub(crate) fn is_of_break(addr: NonNull<u8>) -> bool {
    let range = !BREAK_FROM.load(Ordering::Relaxed)..BREAK_TO.load(Ordering::Relaxed);
    range.contains(&addr.addr().get())
}

/// Pages for an arena of ours with the default hooks.
pub(super) fn alloc(wanted: Wanted, arena: u32) -> Option<Given> {
    let choice = dss(arena as usize).unwrap_or(Dss::Disabled);
    let of_break = || {
        wanted.at.is_null().then_some(())?;
        from_break(wanted.bytes, wanted.align)
    };
    let addr = match choice {
        Dss::Disabled => map(wanted),
        Dss::Primary => of_break().or_else(|| map(wanted)),
        Dss::Secondary => map(wanted).or_else(of_break),
    }?;
    Some(Given {
        range: Range {
            addr,
            bytes: wanted.bytes,
            committed: true,
        },
        zeroed: true,
        pinned: false,
    })
}

fn from_break(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let room = bytes
        .checked_add(align)?
        .checked_next_multiple_of(memory::page_size())?;
    let start = meta::extend_break(room)?;
    let from = start.addr().get();
    BREAK_TO.fetch_max(from + room, Ordering::Relaxed);
    BREAK_FROM.fetch_max(!from, Ordering::Relaxed);
    Some(start.map_addr(|addr| {
        // Never 0: it grows, within the bytes just taken.
        addr.saturating_add(addr.get().wrapping_neg() & (align - 1))
    }))
}

fn map(wanted: Wanted) -> Option<NonNull<u8>> {
    let Wanted {
        at, bytes, align, ..
    } = wanted;
    let system = memory::page_size();
    if let Some(at) = NonNull::new(at) {
        return memory::map_at(at, bytes).then_some(at);
    }
    if align <= system {
        return memory::map(bytes);
    }
    let room = bytes.checked_add(align)?;
    let start = memory::map(room)?;
    let skip = start.addr().get().wrapping_neg() & (align - 1);
    let (front, back) = (skip, room - skip - bytes);
    // SAFETY: a mapping just made; its first and last bytes are not handed out. Whole system pages: alignment and
    //         room are. A refusal keeps addresses, no memory.
    unsafe {
        let addr = start.add(skip);
        if front > 0 {
            memory::unmap(start, front);
        }
        let end = bytes.next_multiple_of(system);
        if back > end - bytes {
            memory::unmap(addr.add(end), back - (end - bytes));
        }
        Some(addr)
    }
}

/// The system's pages that lie within a range.
fn inner(range: Range) -> Option<(NonNull<u8>, usize)> {
    let system = memory::page_size();
    let skip = range.addr.addr().get().wrapping_neg() & (system - 1);
    let len = range.bytes.checked_sub(skip)? / system * system;
    // SAFETY: within the range.
    (len > 0).then(|| (unsafe { range.addr.add(skip) }, len))
}

/// Whether a range is whole pages of the system.
fn is_whole(range: Range) -> bool {
    inner(range).is_some_and(|(addr, len)| addr == range.addr && len == range.bytes)
}

pub(super) fn dalloc(range: Range) -> bool {
    if !UNMAPS.load(Ordering::Relaxed) {
        return false;
    }
    unmap(range)
}

fn unmap(range: Range) -> bool {
    if is_of_break(range.addr) || !is_whole(range) {
        return false;
    }
    // SAFETY: whoever gives pages up has them and uses them no more.
    unsafe { memory::unmap(range.addr, range.bytes) }
}

pub(super) fn destroy(range: Range) {
    if !unmap(range) {
        // The addresses stay; the memory goes.
        purge(range, false);
    }
}

/// Takes the memory of all pages of a range. `false`: refused, or only a part was taken.
pub(super) fn purge(range: Range, lazy: bool) -> bool {
    let Some((addr, len)) = inner(range) else {
        return false;
    };
    // SAFETY: whoever purges pages has them, and their contents are of no use.
    let done = unsafe {
        if lazy {
            memory::purge_lazy(addr, len)
        } else {
            memory::purge(addr, len)
        }
    };
    done && len == range.bytes
}

fn range(addr: *mut c_void, bytes: usize) -> Option<Range> {
    Some(Range {
        addr: NonNull::new(addr.cast())?,
        bytes,
        committed: true,
    })
}

/// A part of a range.
fn part(addr: *mut c_void, offset: usize, length: usize) -> Option<Range> {
    range(addr.wrapping_byte_add(offset), length)
}

unsafe extern "C" fn given_alloc(
    _hooks: *mut Hooks,
    at: *mut c_void,
    bytes: usize,
    align: usize,
    zero: *mut bool,
    commit: *mut bool,
    _arena: c_uint,
) -> *mut c_void {
    let wanted = Wanted {
        at: at.cast(),
        bytes,
        align: align.max(PAGE),
        zero: true,
        commit: true,
    };
    let Some(addr) = map(wanted) else {
        return ptr::null_mut();
    };
    // SAFETY: the contract of the header: both may be written.
    unsafe {
        *zero = true;
        *commit = true;
    }
    addr.as_ptr().cast()
}

unsafe extern "C" fn given_dalloc(
    _hooks: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    !range(addr, bytes).is_some_and(dalloc)
}

unsafe extern "C" fn given_destroy(
    _hooks: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    _committed: bool,
    _arena: c_uint,
) {
    if let Some(range) = range(addr, bytes) {
        destroy(range);
    }
}

unsafe extern "C" fn refuse_part(
    _hooks: *mut Hooks,
    _addr: *mut c_void,
    _bytes: usize,
    _offset: usize,
    _length: usize,
    _arena: c_uint,
) -> bool {
    true
}

unsafe extern "C" fn given_purge_lazy(
    _hooks: *mut Hooks,
    addr: *mut c_void,
    _bytes: usize,
    offset: usize,
    length: usize,
    _arena: c_uint,
) -> bool {
    !part(addr, offset, length).is_some_and(|range| purge(range, true))
}

unsafe extern "C" fn given_purge_forced(
    _hooks: *mut Hooks,
    addr: *mut c_void,
    _bytes: usize,
    offset: usize,
    length: usize,
    _arena: c_uint,
) -> bool {
    !part(addr, offset, length).is_some_and(|range| purge(range, false))
}

unsafe extern "C" fn grant_split(
    _hooks: *mut Hooks,
    _addr: *mut c_void,
    _bytes: usize,
    _first: usize,
    _second: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    false
}

unsafe extern "C" fn given_merge(
    _hooks: *mut Hooks,
    first: *mut c_void,
    _first_bytes: usize,
    second: *mut c_void,
    _second_bytes: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    let of_break = |addr: *mut c_void| NonNull::new(addr.cast()).is_some_and(is_of_break);
    of_break(first) != of_break(second)
}
