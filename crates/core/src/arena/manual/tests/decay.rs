//! Idle pages leave along the curve, and what is idle is used again first.

use super::super::extent::State;
use super::super::{alloc, dealloc};
use super::{Here, arena, hooks};
use crate::size::PAGE;
use std::vec::Vec;

const MS: u64 = 1_000_000;

#[test]
fn idle_pages_leave_along_the_curve() {
    let arena = arena(core::ptr::null_mut(), (10_000, 0));
    let pages = |state| arena.with(|books| books.pages(state)).unwrap();
    let object = alloc(arena, 100 << 20, PAGE, false, Here).unwrap();
    let mut now = 1_000 * MS;
    arena.age(now, false, Here);
    assert_eq!(dealloc(object, Here), Some(Ok(())));
    let all = pages(State::Dirty);
    assert!(all >= (100 << 20) / PAGE);
    for epoch in 0..=200 {
        now += 50 * MS;
        arena.age(now, false, Here);
        arena.check();
        let x = (200 - epoch) as f64 / 200.0;
        let curve = all as f64 * (6.0 * x.powi(5) - 15.0 * x.powi(4) + 10.0 * x.powi(3));
        let dirty = pages(State::Dirty) as f64;
        assert!(
            (dirty - curve).abs() <= 200.0,
            "epoch {epoch}: {dirty}, not {curve}"
        );
    }
    assert_eq!(pages(State::Dirty), 0);
    assert!(arena.destroy(Here));
}

#[test]
fn lazily_purged_pages_are_muzzy_first() {
    let mut table = hooks::TABLE;
    let arena = arena(&raw mut table, (0, -1));
    let pages = |state| arena.with(|books| books.pages(state)).unwrap();
    let before = hooks::calls();
    let object = alloc(arena, 1 << 20, PAGE, false, Here).unwrap();
    assert_eq!(dealloc(object, Here), Some(Ok(())));
    assert_eq!((pages(State::Dirty), pages(State::Muzzy)), (0, 256));
    let calls = hooks::calls();
    assert_eq!(
        (calls[5] - before[5], calls[1] - before[1]),
        (1, 0),
        "lazily, and kept"
    );
    // It is used again before anything is asked of the hooks.
    let again = alloc(arena, 1 << 20, PAGE, false, Here).unwrap();
    assert_eq!((again, hooks::calls()[0]), (object, calls[0]));
    assert_eq!(dealloc(again, Here), Some(Ok(())));
    assert_eq!(arena.age(0, true, Here), 256);
    assert_eq!(pages(State::Muzzy), 0);
    assert!(hooks::calls()[1] > calls[1], "given up");
    assert!(arena.destroy(Here));
    assert_eq!(hooks::bytes(), 0);
}

#[test]
fn an_extent_grows_into_what_is_idle_behind_it_and_gives_its_tail_back() {
    use super::super::resize;
    let arena = arena(core::ptr::null_mut(), (-1, -1));
    let objects: Vec<_> = (0..3)
        .map(|_| alloc(arena, 256 << 10, PAGE, false, Here).unwrap())
        .collect();
    assert_eq!(objects[1].addr() - objects[0].addr(), 256 << 10);
    assert_eq!(
        resize(objects[0], 512 << 10, false, Here),
        Some(None),
        "its neighbour is in use"
    );
    assert_eq!(dealloc(objects[1], Here), Some(Ok(())));
    assert!(
        resize(objects[0], 400 << 10, false, Here)
            .unwrap()
            .is_some()
    );
    assert!(
        resize(objects[0], 512 << 10, false, Here)
            .unwrap()
            .is_some()
    );
    assert_eq!(resize(objects[0], 516 << 10, false, Here), Some(None));
    assert_eq!(resize(objects[0], 16 << 10, false, Here), Some(Some(true)));
    assert_eq!(
        arena.with(|books| books.pages(State::Dirty)),
        Some((512 - 16) / 4)
    );
    arena.check();
    assert!(arena.destroy(Here));
}
