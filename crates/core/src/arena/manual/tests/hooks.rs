//! Hooks over real memory that keep books of their own, assert the contract, and refuse at random.

use crate::extent::hooks::Hooks;
use crate::size::PAGE;
use crate::sync::Mutex;
use crate::sys::memory;
use core::cell::{Cell, RefCell};
use core::ffi::{c_uint, c_void};
use core::ptr::{self, NonNull};
use std::collections::BTreeMap;

/// What the application knows of one of its ranges.
struct Known {
    bytes: usize,
    committed: bool,
}

std::thread_local! {
    static BOOK: RefCell<BTreeMap<usize, Known>> = const { RefCell::new(BTreeMap::new()) };
    /// Of 100 calls so many are refused.
    static REFUSALS: Cell<u32> = const { Cell::new(0) };
    static SEED: Cell<u64> = const { Cell::new(11) };
    static CALLS: Cell<[usize; 9]> = const { Cell::new([0; 9]) };
    /// Whether fresh memory comes without being committed where that is allowed.
    static LAZY: Cell<bool> = const { Cell::new(false) };
}

/// Has so many of 100 calls refused, on this thread.
pub(super) fn refuse(percent: u32) {
    REFUSALS.set(percent);
}

/// Has fresh memory come without being committed.
pub(super) fn commit_late(late: bool) {
    LAZY.set(late);
}

/// Calls of each member so far, in the order of the table.
pub(super) fn calls() -> [usize; 9] {
    CALLS.get()
}

/// Bytes that the hooks of this thread have given and not got back.
pub(super) fn bytes() -> usize {
    BOOK.with_borrow(|book| book.values().map(|known| known.bytes).sum())
}

/// Notes a call; whether it is refused.
fn refused(member: usize) -> bool {
    // A lock of the lowest rank: unit tests fail if any other is held.
    static LOWEST: Mutex<(), 0> = Mutex::new(());
    drop(LOWEST.lock());
    let mut calls = CALLS.get();
    calls[member] += 1;
    CALLS.set(calls);
    let seed = SEED
        .get()
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    SEED.set(seed);
    (seed >> 33) % 100 < u64::from(REFUSALS.get())
}

fn with<R>(addr: *mut c_void, bytes: usize, look: impl FnOnce(&mut Known) -> R) -> R {
    BOOK.with_borrow_mut(|book| {
        let known = book.get_mut(&addr.addr()).expect("a range of ours");
        assert_eq!(known.bytes, bytes, "the whole range is named");
        look(known)
    })
}

unsafe extern "C" fn alloc(
    _: *mut Hooks,
    at: *mut c_void,
    bytes: usize,
    align: usize,
    zero: *mut bool,
    commit: *mut bool,
    _: c_uint,
) -> *mut c_void {
    assert!(bytes % PAGE == 0 && align.is_power_of_two() && align >= PAGE);
    if refused(0) || !at.is_null() {
        return ptr::null_mut();
    }
    let Some(start) = memory::map(bytes + align) else {
        return ptr::null_mut();
    };
    let skip = start.addr().get().wrapping_neg() & (align - 1);
    // SAFETY: within the mapping, whose ends stay unused.
    unsafe {
        let addr = start.add(skip);
        let committed = *commit || !LAZY.get();
        *commit = committed;
        *zero = true;
        BOOK.with_borrow_mut(|book| book.insert(addr.addr().get(), Known { bytes, committed }));
        addr.as_ptr().cast()
    }
}

fn give_up(addr: *mut c_void, bytes: usize, committed: bool) {
    with(addr, bytes, |known| assert_eq!(known.committed, committed));
    BOOK.with_borrow_mut(|book| book.remove(&addr.addr()));
    // SAFETY: a range of ours that nobody uses any more.
    unsafe { memory::unmap(NonNull::new(addr.cast()).unwrap(), bytes) };
}

unsafe extern "C" fn dalloc(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    committed: bool,
    _: c_uint,
) -> bool {
    let refused = refused(1);
    if !refused {
        give_up(addr, bytes, committed);
    }
    refused
}

unsafe extern "C" fn destroy(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    committed: bool,
    _: c_uint,
) {
    refused(2);
    give_up(addr, bytes, committed);
}

fn zero(addr: *mut c_void, offset: usize, length: usize) {
    // SAFETY: a part of a range of ours.
    unsafe { addr.cast::<u8>().add(offset).write_bytes(0, length) };
}

unsafe extern "C" fn commit(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    offset: usize,
    length: usize,
    _: c_uint,
) -> bool {
    let refused = refused(3);
    if !refused {
        with(addr, bytes, |known| {
            assert!(!core::mem::replace(&mut known.committed, true));
            assert_eq!((offset, length), (0, bytes));
        });
        zero(addr, offset, length);
    }
    refused
}

unsafe extern "C" fn decommit(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    offset: usize,
    length: usize,
    _: c_uint,
) -> bool {
    let refused = refused(4);
    if !refused {
        with(addr, bytes, |known| {
            assert!(core::mem::replace(&mut known.committed, false));
            assert_eq!((offset, length), (0, bytes));
        });
    }
    refused
}

unsafe extern "C" fn purge_lazy(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    offset: usize,
    length: usize,
    _: c_uint,
) -> bool {
    with(addr, bytes, |known| {
        assert!(known.committed && offset + length <= bytes)
    });
    let refused = refused(5);
    if !refused {
        // SAFETY: a part of a range of ours, whose contents are of no use.
        unsafe { addr.cast::<u8>().add(offset).write_bytes(0x5a, length) };
    }
    refused
}

unsafe extern "C" fn purge_forced(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    offset: usize,
    length: usize,
    _: c_uint,
) -> bool {
    with(addr, bytes, |known| {
        assert!(known.committed && offset + length <= bytes)
    });
    let refused = refused(6);
    if !refused {
        zero(addr, offset, length);
    }
    refused
}

unsafe extern "C" fn split(
    _: *mut Hooks,
    addr: *mut c_void,
    bytes: usize,
    first: usize,
    second: usize,
    committed: bool,
    _: c_uint,
) -> bool {
    assert!(first + second == bytes && first > 0 && second > 0);
    with(addr, bytes, |known| assert_eq!(known.committed, committed));
    let refused = refused(7);
    if !refused {
        with(addr, bytes, |known| known.bytes = first);
        let tail = Known {
            bytes: second,
            committed,
        };
        BOOK.with_borrow_mut(|book| book.insert(addr.addr() + first, tail));
    }
    refused
}

unsafe extern "C" fn merge(
    _: *mut Hooks,
    first: *mut c_void,
    first_bytes: usize,
    second: *mut c_void,
    second_bytes: usize,
    committed: bool,
    _: c_uint,
) -> bool {
    assert_eq!(first.addr() + first_bytes, second.addr());
    with(first, first_bytes, |known| {
        assert_eq!(known.committed, committed)
    });
    with(second, second_bytes, |known| {
        assert_eq!(known.committed, committed)
    });
    let refused = refused(8);
    if !refused {
        BOOK.with_borrow_mut(|book| book.remove(&second.addr()));
        with(first, first_bytes, |known| known.bytes += second_bytes);
    }
    refused
}

/// The table.
pub(super) const TABLE: Hooks = Hooks {
    alloc: Some(alloc),
    dalloc: Some(dalloc),
    destroy: Some(destroy),
    commit: Some(commit),
    decommit: Some(decommit),
    purge_lazy: Some(purge_lazy),
    purge_forced: Some(purge_forced),
    split: Some(split),
    merge: Some(merge),
};
