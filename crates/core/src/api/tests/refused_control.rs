//! The system refuses while everything beside plain allocation is at work: arenas made by request, with hooks and
//! without, explicit caches, a bound thread, figures, statistics, limits, decay times, purges, other threads and forks.
//!
//! Each run is a process of its own, in which one call is refused, or all from some point on. The thread that counts calls
//! is the test's own: what other threads ask of the system is granted.

use super::model::{Model, Plan};
use crate::api::mallctl::{self, call, write};
use crate::api::printing::stats_print;
use crate::api::{
    Arena, Flags, alloc, alloc_with, dealloc, dealloc_with, footprint, purge, realloc_with, rss,
    set_decay_ms, set_heap_limit_hard, set_heap_limit_soft, stats, trim, usable_size,
};
use crate::arena::manual;
use crate::extent::HEAP;
use crate::extent::hooks::{Hooks, table as default_table};
use crate::sys::simulated::child::{ask, role, say};
use crate::sys::simulated::clock;
use crate::sys::simulated::memory as gate;
use core::ffi::{c_uint, c_void};
use core::ptr;
use jemoxide_testkit::naive::LiveRanges;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;

const PLAN: Plan = Plan {
    most_bytes: 8 << 20,
    most_blocks: 300,
    max_size: 1 << 20,
    max_align: 1 << 16,
    may_fail: true,
    ages: true,
};

/// Runs of pages that the hook below has handed out.
static HOOKED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn alloc_hook(
    _: *mut Hooks,
    at: *mut c_void,
    size: usize,
    align: usize,
    zero: *mut bool,
    commit: *mut bool,
    index: c_uint,
) -> *mut c_void {
    // What a hook may do: allocate and free of its own.
    let own = alloc(40);
    // SAFETY: just allocated, or null; the default hook, called as we were.
    unsafe {
        dealloc(own);
        let table = default_table();
        let default = (*table).alloc.expect("the default table is full");
        let pages = default(table, at, size, align, zero, commit, index);
        HOOKED.fetch_add(usize::from(!pages.is_null()), Ordering::Relaxed);
        pages
    }
}

/// Bytes of an object that are looked at: from one to the next.
const STEP: usize = 1021;

/// Objects of one arena: each has its own byte all over, as far as [`STEP`] sees.
struct Held {
    arena: Arena,
    objects: Vec<(*mut u8, u8)>,
}

/// Whether the first `len` bytes are `mark`.
///
/// # Safety
/// They are an object's, filled when it came.
unsafe fn has(ptr: *const u8, mark: u8, len: usize) -> bool {
    // SAFETY: the caller's promise.
    (0..len)
        .step_by(STEP)
        .all(|at| unsafe { ptr.add(at).read() } == mark)
}

impl Held {
    fn flags(&self) -> Flags {
        Flags {
            align: 1,
            zero: false,
            uncached: true,
            cache: None,
            arena: Some(self.arena.index()),
        }
    }

    fn fill(&mut self, ptr: *mut u8, mark: u8) {
        if !ptr.is_null() {
            // SAFETY: an object of the arena, of so many bytes.
            unsafe {
                let bytes = usable_size(ptr);
                (0..bytes)
                    .step_by(STEP)
                    .for_each(|at| ptr.add(at).write(mark));
            }
            self.objects.push((ptr, mark));
        }
    }

    fn check(&self) {
        for &(ptr, mark) in &self.objects {
            // SAFETY: live objects, filled when they came.
            let kept = unsafe { has(ptr, mark, usable_size(ptr)) };
            assert!(kept, "an object lost its bytes");
        }
        let arena = manual::get(self.arena.index() as usize).expect("it is there");
        arena.check();
    }

    /// Allocates, resizes and frees.
    fn work(&mut self, round: usize) {
        for step in 0..40 {
            let size = [40, 700, 9000, 20_000, 60_000, 1 << 20][(step * 7 + round) % 6] + step * 8;
            let mark = (step + round * 61) as u8;
            match step % 5 {
                3 if !self.objects.is_empty() => {
                    let (ptr, old) = self.objects.swap_remove(step % self.objects.len());
                    // SAFETY: a live object; if it could not be had, it is as it was.
                    unsafe {
                        let kept = usable_size(ptr).min(size);
                        let moved = realloc_with(ptr, size, self.flags());
                        if moved.is_null() {
                            self.objects.push((ptr, old));
                        } else {
                            assert!(has(moved, old, kept), "moved and changed");
                            self.fill(moved, mark);
                        }
                    }
                }
                4 if !self.objects.is_empty() => {
                    let (ptr, _) = self.objects.swap_remove(step % self.objects.len());
                    // SAFETY: a live object.
                    unsafe { dealloc_with(ptr, self.flags()) };
                }
                _ => self.fill(alloc_with(size, self.flags()), mark),
            }
        }
        self.check();
    }
}

fn arenas(model: &mut Model) {
    // SAFETY: the default table stays.
    let mut table = unsafe { default_table().read() };
    table.alloc = Some(alloc_hook);
    for round in 0..2 {
        let mut mine = &raw mut table;
        let mut index = 0u32;
        let mut len = size_of::<u32>();
        // SAFETY: a name, room for its value, and a table of hooks that outlives the arena.
        let code = unsafe {
            let (new, new_len) = match round % 2 {
                0 => (ptr::null(), 0),
                _ => ((&raw mut mine).cast_const().cast(), size_of_val(&mine)),
            };
            let place = (&raw mut index).cast();
            mallctl::by_name(c"arenas.create".as_ptr(), place, &mut len, new, new_len)
        };
        assert!([0, libc::EAGAIN].contains(&code), "arenas.create: {code}");
        if code != 0 {
            continue;
        }
        let arena = crate::api::arenas()
            .find(|arena| arena.index() == index)
            .expect("just made");
        let mut held = Held {
            arena,
            objects: Vec::new(),
        };
        held.work(round);
        clock::turn(20_000_000_000);
        _ = arena.give_back_due();
        held.check();
        _ = arena.purge();
        _ = arena.set_decay(Some(0), Some(0));
        held.work(round + 1);
        // SAFETY: the objects are forgotten.
        unsafe { arena.reset() }.expect("an arena made by request");
        held.objects.clear();
        held.work(round + 2);
        if arena.serve_this_thread().is_ok() {
            for _ in 0..30 {
                model.step();
            }
            write("thread.arena", 0u32).expect("arena 0 is there");
            // What came from it goes back before it goes.
            model.clear();
        }
        // SAFETY: nobody uses it.
        unsafe { arena.destroy() }.expect("nobody is served by it");
    }
}

fn explicit_caches() {
    let Ok(id) = mallctl::read::<u32>("tcache.create") else {
        return;
    };
    let flags = Flags {
        cache: Some(id),
        ..Flags::new(0)
    };
    let objects: Vec<*mut u8> = (1..200).map(|at| alloc_with(at * 90, flags)).collect();
    for object in objects.into_iter().filter(|object| !object.is_null()) {
        // SAFETY: live objects.
        unsafe { dealloc_with(object, flags) };
    }
    write("tcache.flush", id).expect("it is there");
    write("tcache.destroy", id).expect("it is there");
}

fn control(model: &mut Model) {
    for round in 0..3 {
        for _ in 0..60 {
            model.step();
        }
        let figures = stats();
        assert!(figures.allocated <= figures.active && figures.active <= figures.mapped);
        let mut printed = 0;
        stats_print("", |part| printed += part.len());
        assert!(printed > 0);
        _ = rss();
        set_heap_limit_hard(8 << 20);
        set_heap_limit_soft(4 << 20);
        for _ in 0..60 {
            model.step();
        }
        set_heap_limit_hard(0);
        set_heap_limit_soft(0);
        set_decay_ms([Some(0), Some(30), None][round]);
        _ = call("thread.tcache.flush");
        _ = call("arena.0.purge");
        purge();
        _ = write("thread.tcache.enabled", round == 2);
        _ = write("background_thread", round == 1);
    }
}

/// Children see what their parent has, and can allocate; other threads come and go beside.
fn family(model: &mut Model) {
    for round in 0..3 {
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| {
                let live = LiveRanges::new();
                let mut other = Model::new(PLAN, round, &live);
                (0..100).for_each(|_| other.step());
                other.clear();
            });
            for _ in 0..60 {
                model.step();
            }
            // The scope's end alone does not wait for the thread's exit functions.
            beside.join().expect("the thread beside");
        });
        trim();
        // SAFETY: the child runs what this thread runs, and leaves without exit functions.
        match unsafe { libc::fork() } {
            0 => {
                model.check(true);
                (0..60).for_each(|_| model.step());
                model.clear();
                trim();
                HEAP.check();
                // SAFETY: plain call. A panic before it is an abort by the harness's thread or a status of its own.
                unsafe { libc::_exit(0) };
            }
            child => {
                let mut status = 0;
                // SAFETY: a place for the status.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!(status, 0, "the child's end");
            }
        }
    }
}

fn child(role: &str) {
    let numbers: Vec<u64> = role.split(' ').map(|word| word.parse().unwrap()).collect();
    let live = LiveRanges::new();
    let mut model = Model::new(PLAN, numbers[0], &live);
    gate::refuse(numbers[1], numbers[2]);
    match numbers[0] {
        0 => arenas(&mut model),
        1 => {
            explicit_caches();
            control(&mut model);
            explicit_caches();
        }
        _ => family(&mut model),
    }
    let calls = gate::calls();
    gate::refuse(u64::MAX, 0);
    model.check(true);
    for kind in gate::refused() {
        say(kind);
    }
    model.plan.may_fail = false;
    (0..100).for_each(|_| model.step());
    model.check(true);
    if numbers[0] == 0 {
        arenas(&mut model);
        assert!(HOOKED.load(Ordering::Relaxed) > 0);
    }
    model.clear();
    // Another thread of the test's, or the purge thread, may be giving something back just now.
    let left = || {
        trim();
        let figures = footprint();
        (figures.allocated, figures.active, figures.dirty)
    };
    let is_gone = |_: &usize| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        left() == (0, 0, 0)
    };
    let _ = (0..200).find(is_gone);
    assert_eq!(left(), (0, 0, 0));
    say(&format!("calls {calls}"));
}

#[test]
fn every_call_in_turn_beside_plain_allocation() {
    let body = |role: &str| child(role);
    if let Some(role) = role() {
        return body(&role);
    }
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for script in 0..3 {
        let mut calls = 1;
        let mut from = 0;
        while from < calls {
            let said = ask(&body, &format!("{script} {from} 1"), false);
            let line = said.iter().find_map(|line| line.strip_prefix("calls "));
            calls = line.and_then(|line| line.parse().ok()).expect("a number");
            kinds.extend(said.iter().filter(|line| !line.contains(' ')).cloned());
            from += 1;
        }
        assert!(calls > 15, "script {script}: too few calls: {calls}");
        for from in (0..calls).step_by(4) {
            ask(&body, &format!("{script} {from} {}", u64::MAX), false);
        }
    }
    for kind in ["map", "unmap", "purge", "populate"] {
        assert!(kinds.contains(kind), "no {kind} was refused: {kinds:?}");
    }
}
