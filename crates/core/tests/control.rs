//! The typed control face, in a process whose global allocator this is.
#![cfg(not(loom))]

use std::thread;

use jemoxide::{Arena, arenas, mallctl, stats};

#[global_allocator]
static HEAP: jemoxide::Jemoxide = jemoxide::Jemoxide;

#[test]
fn figures_follow_what_the_program_holds() {
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
    let all: Vec<Arena> = arenas().collect();
    assert_eq!(
        all.len() as u32,
        mallctl::read::<u32>("arenas.narenas").unwrap()
    );
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
