//! A history of five threads: caches that begin, work and are left to others, an errand, a lock, and forks.
//!
//! ```text
//! worker    adopts an orphan or takes a new cache ──> passages: pops a node, works on it under the lock, pushes it ──>
//!           calls for the errand ──> leaves its cache to the orphans, and begins anew
//! forker    closes the gate: nobody is inside, every node is in the depot ──> opens it
//! ```
//! H1  A node, a cache and the lock have one owner at a time.
//! H2  While the gate is closed nothing moves, and nothing is missing.
//! H3  Every call for the errand is answered by a run that began after it, and there is one runner at a time.
//!
//! shuttle draws schedules from a seed, by chance and by few forced switches (PCT), and prints the one that fails. It takes
//! every access for sequentially consistent: orderings are the models' business.

use crate::sync::errand::Errand;
use crate::sync::gate::Gate;
use crate::sync::lock_word::LockWord;
use crate::sync::stack::{Links, Stack};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::thread;

/// Schedules of each kind.
const SCHEDULES: usize = 1500;
const WORKERS: u32 = 4;
/// Lives of a worker, and passages of a life.
const LIVES: u32 = 3;
const PASSAGES: u32 = 4;
const FORKS: u32 = 4;
/// Nodes 1 to 3 are the depot's; the others are caches.
const DEPOT_NODES: u32 = 3;
const NODES: usize = (1 + DEPOT_NODES + WORKERS * LIVES) as usize;

#[derive(Default)]
struct World {
    gate: Gate,
    depot: Stack,
    orphans: Stack,
    errand: Errand,
    lock: LockWord,
    /// Who holds the lock; 0: nobody (H1).
    holder: AtomicU32,
    links: [AtomicU32; NODES],
    /// Who has a node; 0: nobody (H1).
    owners: [AtomicU32; NODES],
    /// The next cache that nobody has had.
    fresh: AtomicU32,
    /// Whoever is inside, but for the closer.
    inside: AtomicU32,
    called: AtomicU32,
    answered: AtomicU32,
    running: AtomicU32,
}

impl Links for World {
    fn next(&self, node: u32) -> u32 {
        self.links[node as usize].load(Ordering::Relaxed)
    }

    fn set_next(&self, node: u32, next: u32) {
        self.links[node as usize].store(next, Ordering::Relaxed);
    }
}

impl World {
    fn new() -> Self {
        let world = Self::default();
        (1..=DEPOT_NODES).for_each(|node| world.depot.push(node, &world));
        world.fresh.store(DEPOT_NODES + 1, Ordering::Relaxed);
        world
    }

    fn own(&self, node: u32, me: u32) {
        let before = self.owners[node as usize].swap(me, Ordering::SeqCst);
        assert_eq!(before, 0, "H1: node {node}, which {me} was given");
    }

    fn disown(&self, node: u32, me: u32) {
        let before = self.owners[node as usize].swap(0, Ordering::SeqCst);
        assert_eq!(before, me, "H1: node {node}, which {me} had");
    }

    /// `body`, within the gate.
    fn passage(&self, me: u32, body: impl FnOnce()) {
        assert!(self.gate.enter(me as usize, || false));
        self.inside.fetch_add(1, Ordering::SeqCst);
        body();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.gate.leave(me as usize);
    }

    fn live(&self, me: u32) {
        let mut cache = 0;
        self.passage(me, || {
            cache = self
                .orphans
                .pop(self)
                .unwrap_or_else(|| self.fresh.fetch_add(1, Ordering::SeqCst));
            self.own(cache, me);
        });
        for _ in 0..PASSAGES {
            self.passage(me, || {
                if let Some(node) = self.depot.pop(self) {
                    self.own(node, me);
                    self.locked(me);
                    self.disown(node, me);
                    self.depot.push(node, self);
                }
            });
        }
        self.passage(me, || self.call());
        self.passage(me, || {
            self.disown(cache, me);
            self.orphans.push(cache, self);
        });
    }

    /// Holds the lock for a moment.
    fn locked(&self, me: u32) {
        if !self.lock.try_take() {
            self.lock.take_sleeping();
        }
        assert_eq!(self.holder.swap(me, Ordering::SeqCst), 0, "H1: the lock");
        assert_eq!(self.holder.swap(0, Ordering::SeqCst), me, "H1: the lock");
        self.lock.give_back();
    }

    /// Calls for the errand, and is the runner if there is none.
    fn call(&self) {
        self.called.fetch_add(1, Ordering::SeqCst);
        if !self.errand.call() {
            return;
        }
        loop {
            assert_eq!(self.running.swap(1, Ordering::SeqCst), 0, "H3: two runners");
            let called = self.called.load(Ordering::SeqCst);
            self.answered.store(called, Ordering::SeqCst);
            assert_eq!(self.running.swap(0, Ordering::SeqCst), 1, "H3: two runners");
            if self.errand.finish() {
                return;
            }
        }
    }

    /// All nodes of a stack, which are on it again afterwards.
    fn count(&self, stack: &Stack) -> u32 {
        let Some(first) = stack.take_all() else {
            return 0;
        };
        let (mut last, mut count) = (first, 1);
        while self.next(last) != 0 {
            last = self.next(last);
            count += 1;
        }
        stack.push_chain(first, last, self);
        count
    }

    fn fork(&self, number: u32) {
        self.gate.close(None);
        assert_eq!(
            self.inside.load(Ordering::SeqCst),
            0,
            "H2: somebody is inside"
        );
        assert!(!self.gate.enter(0, || true), "the closer passes uncounted");
        assert_eq!(
            self.count(&self.depot),
            DEPOT_NODES,
            "H2: a node is missing"
        );
        let owned = |node: usize| self.owners[node].load(Ordering::SeqCst) != 0;
        let caches = DEPOT_NODES as usize + 1..self.fresh.load(Ordering::SeqCst) as usize;
        let (had, all) = (
            caches.clone().filter(|&node| owned(node)).count(),
            caches.len(),
        );
        let orphans = self.count(&self.orphans) as usize;
        assert_eq!(had + orphans, all, "H2: a cache is missing");
        thread::yield_now();
        assert_eq!(
            self.inside.load(Ordering::SeqCst),
            0,
            "H2: after fork {number}"
        );
        self.gate.open();
    }
}

fn history() {
    let world = Arc::new(World::new());
    let workers: Vec<_> = (1..=WORKERS)
        .map(|me| {
            let world = world.clone();
            thread::spawn(move || (0..LIVES).for_each(|_| world.live(me)))
        })
        .collect();
    (0..FORKS).for_each(|number| world.fork(number));
    for worker in workers {
        worker.join().unwrap();
    }
    world.fork(FORKS);
    let (called, answered) = (
        world.called.load(Ordering::SeqCst),
        world.answered.load(Ordering::SeqCst),
    );
    assert_eq!(called, WORKERS * LIVES);
    assert_eq!(answered, called, "H3: a call was lost");
}

#[test]
fn random_schedules() {
    shuttle::check_random(history, SCHEDULES);
}

#[test]
fn schedules_of_few_forced_switches() {
    shuttle::check_pct(history, SCHEDULES, 4);
}
