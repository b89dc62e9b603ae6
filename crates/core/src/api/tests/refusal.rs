//! The system refuses: every call in turn, and every call from some point on. Every run is a process of its own, so
//! that its first allocation is the process's.

use super::model::{Model, Plan};
use crate::api::{alloc, dealloc, footprint, realloc, trim, usable_size};
use crate::extent::HEAP;
use crate::meta;
use crate::stats::report::Snapshot;
use crate::stats::snapshot;
use crate::sys::simulated::child::{alone, ask, role, say};
use crate::sys::simulated::memory as gate;
use jemoxide_testkit::naive::LiveRanges;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

const MIXED: Plan = Plan {
    most_bytes: 6 << 20,
    most_blocks: 600,
    max_size: 200_000,
    max_align: 1 << 18,
    may_fail: true,
    ages: true,
};

/// Grows all along: what is refused is missed.
const GROWING: Plan = Plan {
    most_bytes: 24 << 20,
    max_size: 1 << 20,
    ..MIXED
};

/// What a child does: one call is refused, or some from there on.
struct Task {
    from: u64,
    count: u64,
    /// 1: idle memory leaves lazily, 2: at once, 3: runs that are far apart, 4: as [`GROWING`] says.
    script: u64,
}

impl Task {
    fn read(role: &str) -> Self {
        let numbers: Vec<u64> = role
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        Self {
            script: numbers[0],
            from: numbers[1],
            count: numbers[2],
        }
    }

    fn role(&self) -> String {
        format!("{} {} {}", self.script, self.from, self.count)
    }
}

/// Ticks: slow entries, so many that the clock is looked at.
fn idle_along() {
    (0..130).for_each(|_| _ = footprint());
}

/// A long object that cannot grow where it is: its pages are moved, if the system does that.
fn move_pages() {
    const LONG: usize = 5 << 20;
    let (long, behind) = (alloc(LONG), alloc(200 << 10));
    if !long.is_null() {
        let word = |object: *mut u8, at: usize| object.wrapping_add(at).cast::<usize>();
        // SAFETY: an object of that many bytes; where it is afterwards is the answer.
        unsafe {
            (0..LONG)
                .step_by(16 << 10)
                .for_each(|at| word(long, at).write(!at));
            let moved = realloc(long, 2 * LONG, 8, false);
            let now = if moved.is_null() { long } else { moved };
            let kept = |at: usize| word(now, at).read() == !at;
            assert!(
                (0..LONG).step_by(16 << 10).all(kept),
                "moved: {}",
                !moved.is_null()
            );
            dealloc(now);
        }
    }
    // SAFETY: an object or null.
    unsafe { dealloc(behind) };
}

fn child(role: &str) {
    let task = Task::read(role);
    gate::refuse(task.from, task.count);
    let live = LiveRanges::new();
    let plan = if task.script == 4 { GROWING } else { MIXED };
    let mut model = Model::new(plan, task.script, &live);
    for step in 0..450 {
        match step {
            // A first segment of records that is nearly used up.
            100 => (0..63).for_each(|_| {
                meta::allocate(1000);
            }),
            // Other ways of giving memory back: lazily, and at once.
            150 if task.script == 1 => HEAP.set_decay_ms(20, 40),
            150 if task.script == 2 => HEAP.set_decay_ms(0, 0),
            // Far apart: leaves of the page map, mappings of their own.
            200 | 260 if task.script == 3 => {
                let far = alloc(5 << 30);
                // SAFETY: just allocated, if it was.
                unsafe { dealloc(far) };
            }
            120 | 230 => move_pages(),
            // Idle memory comes of age.
            170 | 180 | 190 | 250 => idle_along(),
            // All the idle memory goes, and more must come.
            300 => drop(trim()),
            _ => model.step(),
        }
        if step % 150 == 149 {
            model.check(true);
        }
    }
    let calls = gate::calls();
    gate::refuse(u64::MAX, 0);
    model.check(true);
    for kind in gate::refused() {
        say(kind);
    }
    // It works again, for every size.
    model.plan.may_fail = false;
    for size in [1, 100, 5000, 20_000, 100_000, 3 << 20] {
        let object = alloc(size);
        assert!(!object.is_null(), "{size} bytes, the system being willing");
        // SAFETY: just allocated.
        unsafe {
            object.write_bytes(1, usable_size(object));
            dealloc(object);
        }
    }
    (0..100).for_each(|_| model.step());
    model.check(true);
    model.clear();
    model.check(true);
    trim();
    let figures = footprint();
    assert_eq!(
        (figures.allocated, figures.active, figures.dirty),
        (0, 0, 0)
    );
    say(&format!("calls {calls}"));
    say(&format!("null {}", model.tally.refused));
}

/// The number that a child said for `name`.
fn number(said: &[String], name: &str) -> u64 {
    let line = said
        .iter()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim().parse().unwrap()
}

/// Calls that the scripts are to make, so that each of them is refused once. (Lazy purging is refused in the
/// page heap's own tests: whether a script comes to it depends on what the addresses let join.)
const KINDS: [&str; 5] = ["map", "unmap", "purge", "populate", "relocate"];

#[test]
fn every_call_in_turn() {
    let body = |role: &str| child(role);
    if let Some(role) = role() {
        return body(&role);
    }
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for script in 1..=4 {
        let mut from = 0;
        loop {
            let said = ask(
                &body,
                &Task {
                    script,
                    from,
                    count: 1,
                }
                .role(),
                false,
            );
            let calls = number(&said, "calls");
            kinds.extend(said.iter().filter(|line| !line.contains(' ')).cloned());
            if from >= calls {
                assert!(from > 40, "too few calls to mean anything: {from}");
                assert_eq!(
                    number(&said, "null"),
                    0,
                    "nothing was refused, but something failed"
                );
                break;
            }
            from += 1;
        }
    }
    for kind in KINDS {
        assert!(kinds.contains(kind), "no {kind} was refused: {kinds:?}");
    }
}

#[test]
fn every_call_from_some_point_on() {
    let body = |role: &str| child(role);
    if let Some(role) = role() {
        return body(&role);
    }
    let (mut failed, mut asked_for_segment) = (0, false);
    for from in (0..12).chain((12..120).step_by(5)) {
        let said = ask(
            &body,
            &Task {
                script: 4,
                from,
                count: u64::MAX,
            }
            .role(),
            false,
        );
        failed += u64::from(number(&said, "null") > 0);
        asked_for_segment |= said.iter().any(|line| line == "extend_break");
    }
    assert!(asked_for_segment, "the data segment was never tried");
    assert!(failed > 10, "no request failed in most runs: {failed}");
}

#[test]
fn a_few_calls_in_a_row() {
    let body = |role: &str| child(role);
    if let Some(role) = role() {
        return body(&role);
    }
    for from in 0..60 {
        ask(
            &body,
            &Task {
                script: 1 + from % 3,
                from,
                count: 2 + from % 5 * 3,
            }
            .role(),
            false,
        );
    }
}

fn counted() -> (u64, u64) {
    let mut figures = Snapshot::ZERO;
    snapshot::take(&mut figures);
    (figures.allocations, figures.frees)
}

#[test]
fn what_failed_is_not_counted() {
    alone(|| {
        let first = alloc(100);
        assert!(!first.is_null());
        assert_eq!(counted(), (1, 0));
        gate::refuse(0, u64::MAX);
        let mut taken = std::vec![first];
        let mut failures = 0;
        for size in [100, 20_000, 300_000, 5 << 20] {
            loop {
                let object = alloc(size);
                if object.is_null() {
                    failures += 1;
                    break;
                }
                taken.push(object);
            }
        }
        assert_eq!(failures, 4);
        assert_eq!(counted(), (taken.len() as u64, 0));
        gate::refuse(0, 0);
        let count = taken.len() as u64;
        for object in taken {
            // SAFETY: live objects.
            unsafe { dealloc(object) };
        }
        assert_eq!(counted(), (count, count));
    });
}
