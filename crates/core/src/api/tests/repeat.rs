//! The same operations give the same addresses: the layout of a single-threaded program depends on what it does.

use super::model::{Model, Plan};
use crate::sys::simulated::child::{ask, role, say};
use jemoxide_testkit::naive::LiveRanges;
use std::format;

/// All of it fits into the first mapping, so that where the system puts others does not matter.
const NEAR: Plan = Plan {
    most_bytes: 1 << 20,
    most_blocks: 4000,
    max_size: 40_000,
    max_align: 4096,
    may_fail: false,
    ages: false,
};
const FAR: Plan = Plan {
    most_bytes: 64 << 20,
    max_size: 6 << 20,
    max_align: 1 << 20,
    ages: true,
    ..NEAR
};

/// Tells where the objects of a run were, at several points of it.
fn run(plan: Plan) {
    let live = LiveRanges::new();
    let mut model = Model::new(plan, 11, &live);
    for _ in 0..10 {
        (0..1200).for_each(|_| model.step());
        say(&format!(
            "{:x} after {} allocations",
            model.trail, model.tally.allocated
        ));
    }
    model.clear();
}

#[test]
fn two_runs_have_the_same_addresses_from_the_first_one_on() {
    let body = |_: &str| run(NEAR);
    match role() {
        Some(role) => body(&role),
        None => {
            let [first, second] = [(); 2].map(|()| ask(&body, "near", false));
            assert_eq!(first.len(), 10);
            assert_eq!(first, second);
        }
    }
}

#[test]
fn two_runs_in_like_address_spaces_have_the_same_addresses() {
    let body = |_: &str| run(FAR);
    match role() {
        Some(role) => body(&role),
        None => {
            let [first, second] = [(); 2].map(|()| ask(&body, "far", true));
            assert_eq!(first.len(), 10);
            assert_eq!(first, second);
        }
    }
}

#[test]
fn another_order_is_noticed() {
    let body = |role: &str| {
        let live = LiveRanges::new();
        let mut model = Model::new(NEAR, role.parse().unwrap(), &live);
        (0..50).for_each(|_| model.step());
        say(&format!("{:x}", model.trail));
        model.clear();
    };
    match role() {
        Some(role) => body(&role),
        None => assert_ne!(ask(&body, "1", false), ask(&body, "2", false)),
    }
}
