//! Random operations over several arenas, with the twin's list of live objects.

use super::super::arena::ArenaRef;
use super::super::extent::State;
use super::super::{alloc, arena_of, dealloc, inspect, resize};
use super::{Here, arena, hooks};
use crate::extent::hooks::Hooks;
use crate::extent::page_map;
use crate::size::{LARGE_MIN, PAGE, aligned_size};
use core::ptr;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// A live object: its bytes, its arena, the byte it is full of.
struct Object {
    bytes: usize,
    arena: usize,
    filling: u8,
}

struct Twin {
    arenas: Vec<ArenaRef>,
    live: BTreeMap<usize, (*mut u8, Object)>,
    dice: Dice,
}

fn is_full_of(ptr: *mut u8, bytes: usize, byte: u8) -> bool {
    // SAFETY: an object of that many bytes, the test's.
    let found = unsafe { core::slice::from_raw_parts(ptr, bytes) };
    found[0] == byte && found[1..] == found[..bytes - 1]
}

impl Twin {
    fn enter(&mut self, ptr: *mut u8, object: Object) {
        let (start, end) = (ptr.addr(), ptr.addr() + object.bytes);
        let before = self.live.range(..end).next_back();
        assert!(
            before.is_none_or(|(at, (_, other))| at + other.bytes <= start),
            "handed out twice"
        );
        assert_eq!(arena_of(ptr), Some(self.arenas[object.arena].index()));
        assert_eq!(inspect(ptr), Some(Ok(object.bytes)));
        assert_eq!(page_map::class_byte(ptr), 0, "H1");
        // SAFETY: an object of that many bytes, ours.
        unsafe { ptr.write_bytes(object.filling, object.bytes) };
        self.live.insert(start, (ptr, object));
    }

    fn pick(&mut self) -> Option<(*mut u8, Object)> {
        let count = self.live.len();
        (count > 0).then_some(())?;
        let at = *self.live.keys().nth(self.dice.below(count)).unwrap();
        let (ptr, object) = self.live.remove(&at).unwrap();
        assert!(is_full_of(ptr, object.bytes, object.filling), "overwritten");
        Some((ptr, object))
    }

    fn step(&mut self, now_ns: u64) {
        match self.dice.below(100) {
            0..50 => self.alloc(),
            50..88 => {
                if let Some((ptr, _)) = self.pick() {
                    assert_eq!(dealloc(ptr, Here), Some(Ok(())));
                }
            }
            88..96 => self.resize(),
            _ => {
                let at = self.dice.below(self.arenas.len());
                self.arenas[at].age(now_ns, self.dice.below(3) == 0, Here);
            }
        }
    }

    fn alloc(&mut self) {
        let arena = self.dice.below(self.arenas.len());
        let size = match self.dice.below(4) {
            0 => 1 + self.dice.below(200),
            1 => 1 + self.dice.below(14 << 10),
            2 => 1 + self.dice.below(100 << 10),
            _ => 1 + self.dice.below(900 << 10),
        };
        let most = if self.dice.below(8) == 0 { 17 } else { 8 };
        let align = 1usize << self.dice.below(most);
        let zero = self.dice.below(2) == 0;
        let bytes = aligned_size(size, align).unwrap();
        let Some(ptr) = alloc(self.arenas[arena], bytes, align, zero, Here) else {
            return;
        };
        assert_eq!(ptr.addr() % align, 0);
        if zero {
            assert!(is_full_of(ptr, bytes, 0), "zeroed");
        }
        let filling = self.dice.below(256) as u8;
        self.enter(
            ptr,
            Object {
                bytes,
                arena,
                filling,
            },
        );
    }

    fn resize(&mut self) {
        let Some((ptr, mut object)) = self.pick() else {
            return;
        };
        if object.bytes >= LARGE_MIN {
            let bytes = LARGE_MIN + self.dice.below(200) * PAGE;
            let kept = bytes.min(object.bytes);
            let answer = resize(ptr, bytes, false, Here).expect("of an arena");
            if let Some(zeroed) = answer {
                assert!(is_full_of(ptr, kept, object.filling), "contents stay");
                if zeroed && bytes > kept {
                    assert!(
                        is_full_of(ptr.wrapping_add(kept), bytes - kept, 0),
                        "zeroed"
                    );
                }
                object.bytes = bytes;
            }
        }
        self.enter(ptr, object);
    }

    /// What the books of an arena say is what the twin knows.
    fn check(&self) {
        let mut known = 0;
        for (at, arena) in self.arenas.iter().enumerate() {
            arena.check();
            let of = |(_, object): &&(*mut u8, Object)| object.arena == at;
            let bytes: usize = self
                .live
                .values()
                .filter(of)
                .map(|(_, object)| object.bytes)
                .sum();
            let (small, large, pages) = arena
                .with(|books| {
                    let sizes = (0..).map(crate::size::size_of_class);
                    let small: usize = books
                        .bins
                        .iter()
                        .zip(sizes)
                        .map(|(bin, size)| bin.taken * size)
                        .sum();
                    let idle = State::IDLE
                        .iter()
                        .map(|&state| books.pages(state))
                        .sum::<usize>();
                    (
                        small,
                        books.large.iter().map(|large| large.bytes).sum::<usize>(),
                        idle + books.pages(State::Active),
                    )
                })
                .unwrap_or_default();
            assert_eq!(small + large, bytes);
            known += pages * PAGE;
        }
        if !self.arenas[0].hooks().is_null() {
            assert_eq!(known, hooks::bytes(), "every page is somewhere");
        }
    }
}

fn play(seed: u64, steps: usize, table: *mut Hooks, decay_ms: (isize, isize)) {
    let mut twin = Twin {
        arenas: (0..3).map(|_| arena(table, decay_ms)).collect(),
        live: BTreeMap::new(),
        dice: Dice(seed),
    };
    let mut now_ns = 1_000_000_000;
    for step in 0..steps {
        now_ns += 3_000_000;
        twin.step(now_ns);
        if step % 64 == 0 {
            twin.check();
        }
    }
    twin.check();
    // A reset of one arena touches nothing of the others.
    twin.arenas[1].reset(Here);
    twin.live.retain(|_, (_, object)| object.arena != 1);
    twin.check();
    while let Some((ptr, _)) = twin.pick() {
        assert_eq!(dealloc(ptr, Here), Some(Ok(())));
    }
    twin.check();
    for arena in twin.arenas {
        assert_eq!(
            arena.with(|books| books.pages(State::Active)).unwrap_or(0),
            0
        );
        assert!(arena.destroy(Here));
    }
    if !table.is_null() {
        assert_eq!(hooks::bytes(), 0, "all went back");
    }
}

/// A table that stays, as an application's does.
fn table(change: impl FnOnce(&mut Hooks)) -> *mut Hooks {
    let mut table = hooks::TABLE;
    change(&mut table);
    Box::into_raw(Box::new(table))
}

#[test]
fn default_hooks_agree_with_the_twin() {
    play(1, 4000, ptr::null_mut(), (10_000, 0));
    play(2, 3000, ptr::null_mut(), (0, 0));
    play(3, 3000, ptr::null_mut(), (50, 100));
}

#[test]
fn hooks_of_an_application_agree_with_the_twin() {
    let table = table(|_| ());
    play(4, 2000, table, (100, 100));
    assert!(
        hooks::calls()
            .iter()
            .enumerate()
            .all(|(member, &calls)| calls > 0 || [2, 3, 4, 6].contains(&member))
    );
}

#[test]
fn hooks_that_refuse_at_random_leave_everything_as_it_was() {
    for (seed, percent) in [(5, 10), (6, 40), (7, 80)] {
        hooks::refuse(percent);
        play(seed, 2000, table(|_| ()), (100, 0));
        hooks::commit_late(true);
        play(seed, 2000, table(|_| ()), (100, 100));
        hooks::commit_late(false);
    }
    hooks::refuse(0);
    assert!(
        hooks::calls().iter().all(|&calls| calls > 0),
        "every member was called"
    );
}

#[test]
fn absent_members_refuse() {
    play(8, 1500, table(|hooks| hooks.dalloc = None), (0, 0));
    play(9, 1500, table(|hooks| hooks.split = None), (0, 0));
    play(10, 1500, table(|hooks| hooks.merge = None), (0, 0));
    play(
        11,
        1500,
        table(|hooks| {
            (hooks.commit, hooks.decommit) = (None, None);
            (hooks.purge_lazy, hooks.purge_forced) = (None, None);
        }),
        (20, 20),
    );
}
