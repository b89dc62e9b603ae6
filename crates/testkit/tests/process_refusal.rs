//! Every system call of the library is refused once, by number, in real processes; and every call from some point on.
//! The program goes on or gets null, keeps its data, and is served again.

use std::collections::BTreeSet;

use jemoxide_testkit::refusal::{self, Plan, Run};
use jemoxide_testkit::{artifacts, compiler};

const SERVED: &str = "served again\n";

/// Runs a case once for each of its calls, that call refused, and then with all calls refused from every `stride`th on.
fn each_in_turn(case: &str, options: &str, stride: usize) {
    some_in_turn(case, options, 1, stride);
}

/// As [`each_in_turn`], with every `step`th call refused alone.
fn some_in_turn(case: &str, options: &str, step: usize, stride: usize) {
    let Some(program) = compiler::c("process/refused_anywhere.c", "refused_anywhere", &[]) else {
        return;
    };
    let library = artifacts::library();
    let run = |plan: Plan| -> Option<Run> {
        let run = refusal::run(&program, &[case], options, &library, plan)?;
        run.expect(plan, SERVED);
        Some(run)
    };
    let Some(whole) = run(Plan::NONE) else {
        compiler::announce_untested("the system does not let us trace a child");
        return;
    };
    assert!(whole.calls >= 20, "too few calls to mean anything: {whole}");
    let mut names = BTreeSet::new();
    for from in (0..whole.calls).step_by(step) {
        let run = run(Plan { from, count: 1 }).expect("traced before");
        names.extend(run.refused);
    }
    for from in (0..whole.calls).step_by(stride) {
        let count = u64::MAX;
        let run = run(Plan { from, count }).expect("traced before");
        if step > 1 {
            // Which calls are refused alone is left to chance then.
            names.extend(run.refused);
        }
    }
    println!("{case}, {options}: {} calls: {names:?}", whole.calls);
    assert!(
        names.contains("mmap") && (step > 1 || names.contains("madvise")),
        "{names:?}"
    );
}

#[test]
fn objects() {
    each_in_turn("objects", "", 5);
}

#[test]
fn objects_whose_memory_goes_back_at_once() {
    each_in_turn(
        "objects",
        "dirty_decay_ms:0,muzzy_decay_ms:0,dss:primary",
        7,
    );
}

#[test]
fn threads() {
    each_in_turn("threads", "", 5);
}

#[test]
fn arenas() {
    each_in_turn("arenas", "", 5);
}

#[test]
fn fork() {
    each_in_turn("fork", "", 5);
}

/// Which calls there are is left to chance there, so each run has others.
#[test]
fn objects_of_the_hardened_arena() {
    some_in_turn("objects", "hardening:strong", 61, 131);
}

#[test]
fn control() {
    each_in_turn("control", "", 9);
}
