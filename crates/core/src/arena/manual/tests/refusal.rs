//! The system refuses; memory runs out; indexes come back.

use super::super::{alloc, create, end, get, inspect};
use super::{Here, arena, hooks};
use crate::arena::misuse::Misuse;
use crate::meta::limit;
use crate::options::Dss;
use crate::size::PAGE;
use crate::sys::simulated::memory;
use core::ptr;
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
    arena.bind(true);
    assert!(!arena.destroy(Here), "E1");
    arena.bind(false);
    let name = arena.name();
    assert!(name.starts_with(b"manual_") && name[31] == 0);
    for index in made {
        assert!(get(index).unwrap().destroy(Here));
        assert!(get(index).is_none());
    }
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
