//! Fork against threads, and the other ways to start a process. Children hang rather than crash
//! when a lock was forked in the wrong state, so each has an alarm and the whole run a watchdog.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jemoxide_testkit::{artifacts, child, compiler};

/// Storms run one after the other: together they would take each other's processors away.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Far above the seconds that a run takes on two processors.
const TIMEOUT: Duration = Duration::from_secs(300);

#[test]
fn main_forks_while_eight_threads_allocate() {
    storm("main", 8, 200);
}

#[test]
fn main_forks_while_sixteen_threads_allocate() {
    storm("main", 16, 60);
}

#[test]
fn other_threads_fork_at_the_same_time() {
    storm("elsewhere", 10, 120);
}

#[test]
fn fork_handlers_of_the_program_allocate() {
    storm("handlers", 8, 60);
}

#[test]
fn fork_handlers_older_than_the_allocator_allocate() {
    storm("early", 8, 60);
}

#[test]
fn exec_spawn_and_double_fork_work_beside_threads() {
    let Some(program) = compiler::c("process/new_processes.c", "new_processes", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "60 rounds\n", "{outcome}");
}

/// The allocator's own part in a fork: what it writes in the child is few pages, and what the child frees goes back by
/// itself.
#[test]
fn a_child_shares_its_parents_pages_and_purges_its_own() {
    let Some(program) = compiler::c("process/fork_pages.c", "fork_pages", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .timeout(TIMEOUT)
        .preload(artifacts::library())
        .env("MALLOC_CONF", "dirty_decay_ms:400")
        .run()
        .expect_success();
    println!("{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("done\n"), "{outcome}");
}

fn storm(case: &str, workers: usize, forks: usize) {
    let name = format!("fork_storm_{case}_{workers}");
    let Some(program) = compiler::c("process/fork_storm.c", &name, &[]) else {
        return;
    };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = child::Run::new(program)
        .timeout(TIMEOUT)
        .args([case, &workers.to_string(), &forks.to_string()])
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, format!("{forks} forks\n"), "{outcome}");
}
