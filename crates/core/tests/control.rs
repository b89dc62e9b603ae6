//! The typed control face, in a process whose global allocator this is.
#![cfg(not(loom))]

use std::alloc::Layout;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use jemoxide::{Arena, arenas, mallctl, stats};

#[global_allocator]
static HEAP: jemoxide::Jemoxide = jemoxide::Jemoxide;

/// One test at a time: arenas and figures are the process's.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn figures_follow_what_the_program_holds() {
    let _alone = alone();
    const BYTES: usize = 64 << 20;
    let before = stats();
    let list = vec![1u8; BYTES];
    let with = stats();
    assert!(with.allocated >= before.allocated + BYTES - (1 << 20));
    assert!(with.allocated <= with.active && with.active <= with.resident);
    assert!(with.active <= with.mapped && with.metadata > 0);
    drop(list);
    assert!(stats().allocated + BYTES / 2 < with.allocated);
}

#[test]
fn arenas_are_listed_and_serve_threads() {
    let _alone = alone();
    let all: Vec<Arena> = arenas().collect();
    // Indexes of arenas that are no more count there, too.
    let indexes = mallctl::read::<u32>("arenas.narenas").unwrap();
    let is_there = |index: &u32| mallctl::read(&format!("arena.{index}.initialized")) == Ok(true);
    assert_eq!(all.len(), (0..indexes).filter(is_there).count());
    assert!(all.contains(&Arena::current()));
    thread::spawn(move || {
        let last = *all.last().unwrap();
        last.serve_this_thread().unwrap();
        assert_eq!(Arena::current(), last);
        assert!(last.threads() >= 1);
        let text = format!("{:?}", vec![last.index(); 1000]);
        assert!(text.len() > 1000);
    })
    .join()
    .unwrap();
}

#[test]
fn decay_times_are_set_and_read() {
    let _alone = alone();
    let arena = Arena::current();
    let before = arena.decay().unwrap();
    arena.set_decay(Some(1234), None).unwrap();
    let now = arena.decay().unwrap();
    assert_eq!((now.dirty_ms, now.muzzy_ms), (Some(1234), None));
    assert_eq!(mallctl::read("arena.0.dirty_decay_ms"), Ok(1234isize));
    // What is too long for the key is as long as it takes.
    arena.set_decay(Some(u64::MAX), Some(0)).unwrap();
    assert!(arena.decay().unwrap().dirty_ms > Some(1 << 40));
    arena.set_decay(before.dirty_ms, before.muzzy_ms).unwrap();
    assert_eq!(arena.decay(), Ok(before));
    arena.purge().unwrap();
    arena.give_back_due().unwrap();
}

#[test]
fn an_arena_is_made_used_reset_and_destroyed() {
    let _alone = alone();
    let layout = |size| Layout::from_size_align(size, 64).unwrap();
    let arena = Arena::new().unwrap();
    assert!(arenas().any(|other| other == arena));
    let objects: Vec<_> = [10, 1000, 100_000, 5 << 20]
        .into_iter()
        .map(|size| {
            let object = arena.alloc(layout(size));
            assert!(!object.is_null() && object.addr() % 64 == 0);
            // SAFETY: an object of that size, ours.
            unsafe { object.write_bytes(7, size) };
            let of = mallctl::read::<usize>(&format!("stats.arenas.{}.pactive", arena.index()));
            assert!(of.is_ok());
            (object, size)
        })
        .collect();
    let (object, size) = objects[0];
    // SAFETY: an object of the arena, used no more.
    unsafe { arena.dealloc(object, layout(size)) };
    let zeroed = arena.alloc_zeroed(layout(5000));
    // SAFETY: an object of that size, ours.
    let bytes = unsafe { std::slice::from_raw_parts(zeroed, 5000) };
    assert!(bytes.iter().all(|&byte| byte == 0));
    // SAFETY: nobody uses its objects from now on.
    unsafe { arena.reset().unwrap() };
    assert!(!arena.alloc(layout(100)).is_null());
    // SAFETY: as above.
    unsafe { arena.destroy().unwrap() };
    // SAFETY: automatic arenas stay: nothing happens.
    assert!(unsafe { Arena::current().destroy() }.is_err());
}
