//! Random operations on the whole allocator, alone and with threads that free each other's objects.

use super::model::{Model, Plan, Tally, assert_empty};
use crate::extent::HEAP;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::Dice;
use jemoxide_testkit::naive::{Block, LiveRanges};
use std::sync::mpsc::channel;
use std::thread;
use std::vec::Vec;

/// Everything: from nothing to several MiB.
const MIXED: Plan = Plan {
    most_bytes: 48 << 20,
    most_blocks: 1500,
    max_size: 6 << 20,
    max_align: 4 << 20,
    may_fail: false,
    ages: true,
};

/// Small objects, many: slabs fill up and empty.
const SMALL: Plan = Plan {
    most_bytes: 8 << 20,
    most_blocks: 20_000,
    max_size: 600,
    max_align: 256,
    ..MIXED
};

/// Long ones: growth in place, moves by the system.
const LONG: Plan = Plan {
    most_bytes: 120 << 20,
    most_blocks: 30,
    max_size: 24 << 20,
    ..MIXED
};

fn run_alone(plan: Plan, seed: u64, steps: usize) -> Tally {
    let live = LiveRanges::new();
    let mut model = Model::new(plan, seed, &live);
    let all = plan;
    for step in 0..steps {
        // Phases of growth and of decline.
        let grows = step / (steps / 6) % 2 == 0;
        model.plan.most_bytes = if grows {
            all.most_bytes
        } else {
            all.most_bytes / 10
        };
        model.plan.most_blocks = if grows {
            all.most_blocks
        } else {
            all.most_blocks / 10
        };
        model.step();
        if step % (steps / 40) == 0 {
            model.check(true);
        }
    }
    model.check(true);
    model.clear();
    model.check(true);
    assert_eq!(live.count(), 0);
    assert_empty();
    model.tally
}

#[test]
fn sizes_of_every_kind() {
    alone(|| {
        for seed in 0..3 {
            let tally = run_alone(MIXED, seed, 8_000);
            assert!(
                tally.zeroed > 300 && tally.resized > 300 && tally.in_place > 30,
                "{tally:?}"
            );
        }
    });
}

#[test]
fn many_small_ones() {
    alone(|| {
        let tally = run_alone(SMALL, 7, 200_000);
        assert!(tally.allocated > 50_000, "{tally:?}");
    });
}

#[test]
fn long_ones() {
    alone(|| {
        let tally = run_alone(LONG, 8, 2500);
        assert!(tally.moved > 50 && tally.in_place > 50, "{tally:?}");
    });
}

#[test]
fn idle_memory_that_leaves_at_once_or_lazily_is_no_one_elses() {
    alone(|| {
        for (seed, (dirty, muzzy)) in (20..).zip([(0, 0), (100, 200), (-1, -1), (0, 50)]) {
            // The first allocation sets what the options say.
            run_alone(MIXED, seed, 240);
            HEAP.set_decay_ms(dirty, muzzy);
            run_alone(MIXED, seed, 4000);
        }
    });
}

/// `THREADS` at a time, for some generations: each allocates, frees, and sends objects round.
fn run_together(plan: Plan, threads: usize, generations: u64, steps: usize) {
    let live = LiveRanges::new();
    for generation in 0..generations {
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| channel::<Block>()).unzip();
        thread::scope(|scope| {
            let live = &live;
            let workers: Vec<_> = inboxes
                .into_iter()
                .enumerate()
                .map(|(index, inbox)| {
                    let next = senders[(index + 1) % threads].clone();
                    scope.spawn(move || {
                        let seed = generation << 16 | index as u64;
                        let mut model = Model::new(plan, seed, live);
                        let mut dice = Dice::new(!seed);
                        for step in 0..steps {
                            model.step();
                            if dice.once_in(4) {
                                let sent = model.give_up().map(|block| next.send(block));
                                assert!(sent.is_none_or(|sent| sent.is_ok()));
                            }
                            inbox.try_iter().for_each(|block| model.receive(block));
                            if step % (steps / 4) == 0 {
                                model.check(false);
                            }
                        }
                        // What the last generation holds is left to the next thread.
                        model.check(false);
                        while let Some(block) = model.give_up() {
                            assert!(next.send(block).is_ok());
                        }
                        drop(next);
                        inbox.iter().for_each(|block| model.receive(block));
                    })
                })
                .collect();
            drop(senders);
            for worker in workers {
                worker.join().unwrap();
            }
        });
    }
    assert_eq!(live.count(), 0);
    assert_empty();
}

#[test]
fn threads_free_each_others_objects() {
    alone(|| {
        run_together(
            Plan {
                most_blocks: 400,
                ..MIXED
            },
            4,
            3,
            1800,
        )
    });
}

#[test]
fn threads_pass_small_ones_round() {
    alone(|| {
        run_together(
            Plan {
                most_blocks: 3000,
                ..SMALL
            },
            3,
            4,
            15_000,
        )
    });
}

#[test]
fn many_short_threads() {
    alone(|| {
        run_together(
            Plan {
                most_blocks: 50,
                max_size: 50_000,
                ..MIXED
            },
            8,
            20,
            100,
        )
    });
}
