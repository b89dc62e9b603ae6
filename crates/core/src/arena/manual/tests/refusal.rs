//! The system refuses; memory runs out; indexes come back.

use super::super::{alloc, create, end, get, inspect};
use super::{Here, arena, hooks};
use crate::arena::misuse::Misuse;
use crate::meta::limit;
use crate::options::Dss;
use crate::size::PAGE;
use crate::sys::clock;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::memory;
use core::ptr;
use core::sync::atomic::Ordering;
use std::vec::Vec;

#[test]
fn a_system_that_refuses_gives_null_and_nothing_is_lost() {
    let arena = arena(ptr::null_mut(), (-1, -1));
    for call in 0..4 {
        memory::refuse(call, 3);
        let object = alloc(arena, 64 << 10, PAGE, false, Here);
        memory::refuse(0, 0);
        arena.check();
        let object = object
            .or_else(|| alloc(arena, 64 << 10, PAGE, false, Here))
            .expect("memory");
        assert_eq!(inspect(object), Some(Ok(64 << 10)));
    }
    arena.reset(Here);
    assert!(arena.destroy(Here));
}

#[test]
fn an_index_that_became_free_last_is_used_first() {
    // Other tests make arenas too: only what this one holds is looked at.
    let made: Vec<usize> = (0..4)
        .map(|_| create(ptr::null_mut(), (0, 0), Dss::Disabled).unwrap())
        .collect();
    assert!(
        made.iter()
            .all(|&index| index < end() && get(index).is_some())
    );
    let arena = get(made[1]).unwrap();
    assert!(arena.bind());
    assert!(!arena.destroy(Here), "E1");
    arena.unbind();
    let name = arena.name();
    assert!(name.starts_with(b"manual_") && name[31] == 0);
    for index in made {
        let arena = get(index).unwrap();
        assert!(arena.destroy(Here));
        assert!(get(index).is_none());
        assert!(!arena.bind() && arena.threads() == 0, "E1");
    }
}

#[test]
fn a_system_that_only_says_it_purges_is_found_out() {
    alone(|| {
        memory::lie(true);
        let arena = arena(ptr::null_mut(), (0, 0));
        let bytes = 1 << 20;
        let object = alloc(arena, bytes, PAGE, false, Here).unwrap();
        // SAFETY: an object of that many bytes.
        unsafe { object.write_bytes(1, bytes) };
        assert_eq!(super::super::dealloc(object, Here), Some(Ok(())));
        let again = alloc(arena, bytes, PAGE, true, Here).unwrap();
        assert_eq!(again, object, "purged and used again");
        // SAFETY: as above.
        let bytes = unsafe { core::slice::from_raw_parts(again, bytes) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        memory::lie(false);
    });
}

#[test]
fn what_becomes_idle_while_a_hook_runs_is_still_due() {
    std::thread_local! {
        static OTHER: core::cell::Cell<*mut u8> = const { core::cell::Cell::new(ptr::null_mut()) };
    }
    unsafe extern "C" fn frees_another(
        _: *mut crate::extent::hooks::Hooks,
        _: *mut core::ffi::c_void,
        _: usize,
        _: bool,
        _: core::ffi::c_uint,
    ) -> bool {
        let other = OTHER.replace(ptr::null_mut());
        if !other.is_null() {
            assert_eq!(super::super::dealloc(other, Here), Some(Ok(())));
        }
        true
    }
    let mut table = hooks::TABLE;
    table.dalloc = Some(frees_another);
    let arena = arena(&raw mut table, (0, -1));
    let objects = [(); 2].map(|()| alloc(arena, 1 << 20, PAGE, false, Here).unwrap());
    assert_eq!(super::super::dealloc(objects[0], Here), Some(Ok(())));
    // Nothing is dirty, and what is muzzy is not due by itself.
    arena.set_decay_ms(true, 1000, Here);
    OTHER.set(objects[1]);
    assert!(arena.age(clock::now_ns(), true, Here) > 0 && OTHER.get().is_null());
    assert_ne!(
        arena.due_ns.load(Ordering::Relaxed),
        u64::MAX,
        "the other waits for its time"
    );
    assert!(arena.destroy(Here));
}

#[test]
fn pinned_pages_stay_when_an_object_shrinks() {
    unsafe extern "C" fn pinned(
        hooks: *mut crate::extent::hooks::Hooks,
        at: *mut core::ffi::c_void,
        bytes: usize,
        align: usize,
        zero: *mut bool,
        commit: *mut bool,
        arena: core::ffi::c_uint,
    ) -> *mut core::ffi::c_void {
        let alloc = hooks::TABLE.alloc.expect("a hook");
        // SAFETY: the caller's promise.
        let start = unsafe { alloc(hooks, at, bytes, align, zero, commit, arena) };
        if start.is_null() {
            start
        } else {
            start.wrapping_byte_add(1)
        }
    }
    let mut table = hooks::TABLE;
    table.alloc = Some(pinned);
    let arena = arena(&raw mut table, (0, 0));
    let object = alloc(arena, 1 << 20, PAGE, false, Here).unwrap();
    let before = hooks::calls();
    let small = super::super::resize(object, 512 << 10, false, Here);
    assert_eq!(small, Some(Some(true)));
    arena.age(clock::now_ns(), true, Here);
    let calls = hooks::calls();
    assert_eq!(
        calls[1..7],
        before[1..7],
        "nothing is asked of pinned pages but to be cut"
    );
    assert!(arena.destroy(Here));
}

#[test]
fn misuse_is_recognised() {
    let arena = arena(ptr::null_mut(), (-1, -1));
    let small = alloc(arena, 64, 1, false, Here).unwrap();
    let large = alloc(arena, 64 << 10, 1, false, Here).unwrap();
    assert_eq!(inspect(small.wrapping_add(8)), Some(Err(Misuse::Interior)));
    assert_eq!(
        inspect(small.wrapping_add(64)),
        Some(Err(Misuse::DoubleFree))
    );
    assert_eq!(inspect(large.wrapping_add(16)), Some(Err(Misuse::Interior)));
    assert_eq!(super::super::dealloc(large, Here), Some(Ok(())));
    assert_ne!(inspect(large), Some(Ok(64 << 10)));
    assert!(arena.destroy(Here));
}

#[test]
fn what_counts_as_ours_is_given_back() {
    // Limits are the process's: the test only sees that its own pages come and go.
    let arena = arena(ptr::null_mut(), (-1, -1));
    let before = limit::used();
    let bytes = 64 << 20;
    let object = alloc(arena, bytes, PAGE, false, Here).unwrap();
    assert!(limit::used() >= before + bytes / 2);
    assert_eq!(super::super::dealloc(object, Here), Some(Ok(())));
    assert!(arena.age(0, true, Here) >= bytes / PAGE);
    assert!(limit::used() < before + bytes / 2);
    assert!(arena.destroy(Here));
}

#[test]
fn an_address_that_is_no_page_is_a_refusal() {
    use core::ffi::{c_uint, c_void};
    unsafe extern "C" fn crooked(
        _: *mut crate::extent::hooks::Hooks,
        _: *mut c_void,
        _: usize,
        _: usize,
        _: *mut bool,
        _: *mut bool,
        _: c_uint,
    ) -> *mut c_void {
        ptr::without_provenance_mut(0x1000_0400)
    }
    let mut table = hooks::TABLE;
    table.alloc = Some(crooked);
    (table.dalloc, table.destroy) = (None, None);
    let arena = arena(&raw mut table, (0, 0));
    assert!(alloc(arena, 4 * PAGE, PAGE, false, Here).is_none());
    assert!(arena.destroy(Here));
}
