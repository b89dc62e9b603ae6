//! Limits that the heap keeps by itself: beyond the hard one allocations fail, above the soft one memory goes back and
//! a callback is called.

use jemoxide_testkit::{artifacts, child, compiler};
use std::time::Duration;

const HARD: &str = "heap_limit_hard:64M";

/// Far above the seconds that a run takes on two processors.
const TIMEOUT: Duration = Duration::from_secs(300);

fn run(what: &str, options: &str) -> Option<child::Outcome> {
    let name = format!("heap_limit_{what}");
    let program = compiler::c("process/heap_limit.c", &name, &["-pthread"])?;
    let outcome = child::Run::new(program)
        .timeout(TIMEOUT)
        .arg(what)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
    Some(outcome)
}

#[test]
fn every_way_to_ask_for_memory_fails_beyond_the_limit_and_serves_again_after_frees() {
    run("family", HARD);
}

#[test]
fn sixty_four_racing_threads_stay_within_the_limit() {
    run("race", HARD);
}

#[test]
fn a_forked_child_has_the_limit_and_a_count_of_its_own() {
    run("fork", HARD);
}

#[test]
fn the_soft_limit_calls_once_a_crossing() {
    run("soft", "heap_limit_soft:32M");
}

#[test]
fn a_limit_too_low_to_work_in_is_raised_and_said_so() {
    if let Some(outcome) = run("start", "heap_limit_hard:1000") {
        assert_eq!(
            outcome.stderr,
            "<jemoxide>: heap_limit_hard:1000 is less than the allocator works in; 1048576 is in force\n"
        );
    }
}

#[test]
fn a_soft_limit_that_is_never_passed_is_said_so() {
    if let Some(outcome) = run("family", "heap_limit_soft:64M,heap_limit_hard:64M") {
        assert_eq!(
            outcome.stderr,
            "<jemoxide>: heap_limit_soft is not below heap_limit_hard: it has no effect\n"
        );
    }
}
