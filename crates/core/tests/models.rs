//! The lock-free protocols under the model checker: every interleaving of a few threads.
//!
//! | protocol | model | of |
//! |---|---|---|
//! | stacks of the depot, of orphans, of empty magazines | here | the library's file |
//! | fork gate, errand of the purge thread | here | the library's files |
//! | mutex and futex | `lock` | the library's file |
//! | claim of an explicit cache | `lock` | the library's file |
//! | parking a cache and the way back, end and adoption, binding to an arena that ends | `hand_over` | a twin |
//! | page map, run cache, boot, counters | `publication` | a twin |
//! | stacks of the hardened arena, books of arenas made by request | `hardened` | a twin |
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p jemoxide --release --test models`.
#![cfg(loom)]

#[path = "models/hand_over.rs"]
mod hand_over;
#[path = "models/hardened.rs"]
mod hardened;
#[path = "models/lock.rs"]
mod lock;
#[path = "models/publication.rs"]
mod publication;

use jemoxide::sync::errand::Errand;
use jemoxide::sync::gate::Gate;
use jemoxide::sync::stack::{Links, Stack};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

const NODES: usize = 4;

/// Nodes 1 to 3, each with a content that only its owner may touch: the checker reports a race on it.
struct Nodes {
    links: [AtomicU32; NODES],
    contents: [UnsafeCell<u32>; NODES],
}

// SAFETY: contents are touched by the owner of the node alone, which is what the models check.
unsafe impl Sync for Nodes {}
// SAFETY: plain numbers.
unsafe impl Send for Nodes {}

impl Nodes {
    fn new() -> Self {
        Self {
            links: std::array::from_fn(|_| AtomicU32::new(0)),
            contents: std::array::from_fn(|_| UnsafeCell::new(0)),
        }
    }

    /// What an owner does with a node.
    fn touch(&self, node: u32) -> u32 {
        // SAFETY: the caller owns the node; the checker verifies it.
        self.contents[node as usize].with_mut(|content| unsafe {
            *content += 1;
            *content
        })
    }
}

impl Links for Nodes {
    fn next(&self, node: u32) -> u32 {
        self.links[node as usize].load(Ordering::Relaxed)
    }

    fn set_next(&self, node: u32, next: u32) {
        self.links[node as usize].store(next, Ordering::Relaxed);
    }
}

/// Pops all that is left and counts how often each node came.
fn drain(stack: &Stack, nodes: &Nodes, counts: &mut [u32; NODES]) {
    while let Some(node) = stack.pop(nodes) {
        counts[node as usize] += 1;
    }
}

#[test]
fn a_stack_hands_every_node_to_one_owner() {
    loom::model(|| {
        let shared = Arc::new((Stack::default(), Nodes::new()));
        for node in [1, 2] {
            shared.0.push(node, &shared.1);
        }
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let node = shared.0.pop(&shared.1);
                    if let Some(node) = node {
                        shared.1.touch(node);
                        shared.0.push(node, &shared.1);
                    }
                })
            })
            .collect();
        for taker in takers {
            taker.join().unwrap();
        }
        let mut counts = [0; NODES];
        drain(&shared.0, &shared.1, &mut counts);
        assert_eq!(counts, [0, 1, 1, 0]);
    });
}

/// One thread sleeps within its pop while the other takes two nodes and puts the first back: the link that the
/// sleeper read is stale, and the tag has to notice (ABA).
#[test]
fn a_stale_link_never_comes_back() {
    loom::model(|| {
        let shared = Arc::new((Stack::default(), Nodes::new()));
        for node in [1, 2, 3] {
            shared.0.push(node, &shared.1);
        }
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                let first = shared.0.pop(&shared.1);
                let second = shared.0.pop(&shared.1);
                if let Some(first) = first {
                    shared.1.touch(first);
                    shared.0.push(first, &shared.1);
                }
                second
            })
        };
        let mut counts = [0; NODES];
        if let Some(node) = shared.0.pop(&shared.1) {
            shared.1.touch(node);
            counts[node as usize] += 1;
        }
        if let Some(node) = other.join().unwrap() {
            counts[node as usize] += 1;
        }
        drain(&shared.0, &shared.1, &mut counts);
        assert_eq!(counts, [0, 1, 1, 1]);
    });
}

/// A thread's end and a thread's start: the cache's contents, written plainly, go with it.
#[test]
fn an_orphan_is_adopted_whole_and_once() {
    loom::model(|| {
        let shared = Arc::new((Stack::default(), Nodes::new()));
        let ending = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.1.touch(1);
                shared.0.push(1, &shared.1);
            })
        };
        let starting = {
            let shared = shared.clone();
            thread::spawn(move || shared.0.pop(&shared.1).map(|node| shared.1.touch(node)))
        };
        let adopted = starting.join().unwrap();
        ending.join().unwrap();
        let left = shared.0.take_all();
        assert!(adopted.is_none_or(|touches| touches == 2));
        assert_eq!(adopted.is_some(), left.is_none());
    });
}

/// A chain that is put back while others take: nothing is lost, nothing comes twice.
#[test]
fn a_chain_is_pushed_as_one() {
    loom::model(|| {
        let shared = Arc::new((Stack::default(), Nodes::new()));
        shared.1.set_next(1, 2);
        let pusher = {
            let shared = shared.clone();
            thread::spawn(move || shared.0.push_chain(1, 2, &shared.1))
        };
        let mut counts = [0; NODES];
        if let Some(node) = shared.0.pop(&shared.1) {
            assert_eq!(node, 1);
            counts[1] += 1;
        }
        pusher.join().unwrap();
        drain(&shared.0, &shared.1, &mut counts);
        assert_eq!(counts, [0, 1, 1, 0]);
    });
}

/// Rule G1: while the gate is closed nobody but the closer is inside.
#[test]
fn a_closed_gate_has_nobody_inside() {
    loom::model(|| {
        let shared = Arc::new((Gate::default(), UnsafeCell::new(0u32)));
        struct Shared(Arc<(Gate, UnsafeCell<u32>)>);
        // SAFETY: the cell is touched inside the gate alone, which is what the model checks.
        unsafe impl Send for Shared {}
        let passing = Shared(shared.clone());
        let passenger = thread::spawn(move || {
            let passing = passing;
            assert!(passing.0.0.enter(1, || false));
            // SAFETY: inside; the checker verifies that no closer writes meanwhile.
            passing
                .0
                .1
                .with(|content| unsafe { std::ptr::read(content) });
            passing.0.0.leave(1);
        });
        shared.0.close(None);
        // SAFETY: the gate is closed.
        shared.1.with_mut(|content| unsafe { *content += 1 });
        assert!(!shared.0.enter(0, || true));
        shared.0.open();
        passenger.join().unwrap();
    });
}

/// A thread that forks from within a passage of its own waits for the others, not for itself.
#[test]
fn the_closer_does_not_wait_for_itself() {
    loom::model(|| {
        let gate = Gate::default();
        assert!(gate.enter(0, || false));
        gate.close(Some(0));
        gate.open_in_child(Some(0));
        gate.leave(0);
        gate.close(None);
        gate.open();
    });
}

/// Rules N1 and N2: of all calls for an errand none is lost, and never two run it.
#[test]
fn every_call_for_an_errand_is_answered_by_one_runner() {
    /// What is to be done, and how much of it a runner has seen.
    struct Work {
        errand: Errand,
        due: AtomicU32,
        done: UnsafeCell<u32>,
    }
    // SAFETY: `done` is touched by the runner alone, which is what the model checks.
    unsafe impl Sync for Work {}
    // SAFETY: plain numbers.
    unsafe impl Send for Work {}

    fn call(work: &Work) {
        work.due.fetch_add(1, Ordering::Relaxed);
        if !work.errand.call() {
            return;
        }
        loop {
            let due = work.due.load(Ordering::Relaxed);
            // SAFETY: the runner; the checker verifies that there is one at a time.
            work.done.with_mut(|done| unsafe { *done = due });
            if work.errand.finish() {
                return;
            }
        }
    }

    loom::model(|| {
        let work = Arc::new(Work {
            errand: Errand::default(),
            due: AtomicU32::new(0),
            done: UnsafeCell::new(0),
        });
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let work = work.clone();
                thread::spawn(move || call(&work))
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        // SAFETY: all runners have left.
        let done = work.done.with(|done| unsafe { *done });
        assert_eq!(done, 2, "a call was lost");
        assert!(work.errand.call(), "nobody runs any more");
    });
}
