//! Threads by the thousands: alive at once, born and dying, handing memory on; and what resident
//! memory they leave behind. Bounds are wide: they catch a cost per dead thread, not a few pages.

use jemoxide_testkit::child::Outcome;
use jemoxide_testkit::{artifacts, child, compiler};

const THREADS: usize = 10_000;

/// While alive: two stack pages, the kernel's own, and a small cache with the pages its dozen
/// sizes came from.
const ALIVE_KIB_PER_THREAD: usize = 24;

/// Right after all are gone: of what was active a moment ago the pages that idle for the next wave, and a bounded number
/// of orphaned caches.
const LEFT_KIB: usize = 128 * 1024;

/// Growth between the first tenth of the threads and the last.
const CHURN_GROWTH_KIB: usize = 32 * 1024;

#[test]
fn ten_thousand_threads_are_alive_at_once() {
    let Some(program) = compiler::c("process/many_threads.c", "many_threads", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .arg(THREADS.to_string())
        .preload(artifacts::library())
        .run()
        .expect_success();
    let threads = figure(&outcome, "threads");
    if threads < THREADS {
        compiler::announce_untested(&format!(
            "{THREADS} threads at once, scaled down: {}",
            outcome.stderr.trim()
        ));
    }
    println!("{}", outcome.stdout);
    let before = figure(&outcome, "before");
    let alive = figure(&outcome, "alive") - before;
    assert!(alive <= threads * ALIVE_KIB_PER_THREAD, "{outcome}");
    assert!(figure(&outcome, "after") <= before + LEFT_KIB, "{outcome}");
    assert!(
        figure(&outcome, "trimmed") <= figure(&outcome, "after"),
        "{outcome}"
    );
}

#[test]
fn dead_threads_leave_nothing_that_grows() {
    let Some(program) = compiler::c("process/thread_churn.c", "thread_churn", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .arg("1000")
        .preload(artifacts::library())
        .run()
        .expect_success();
    println!("{}", outcome.stdout);
    assert_eq!(figure(&outcome, "threads"), 8000, "{outcome}");
    let growth = figure(&outcome, "end").saturating_sub(figure(&outcome, "warm"));
    assert!(growth <= CHURN_GROWTH_KIB, "{growth} KiB: {outcome}");
}

#[test]
fn memory_outlives_the_thread_that_made_it() {
    let Some(program) = compiler::c("process/handover.c", "handover", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "600 generations\n", "{outcome}");
}

/// The number after the word `name` on standard output.
fn figure(outcome: &Outcome, name: &str) -> usize {
    let mut words = outcome.stdout.split_whitespace();
    words
        .find(|&word| word == name)
        .and_then(|_| words.next()?.parse().ok())
        .unwrap_or_else(|| panic!("no figure {name}: {outcome}"))
}

#[test]
fn what_a_thread_allocated_and_freed_is_counted_to_the_byte() {
    let Some(program) = compiler::c("process/thread_counters.c", "thread_counters", &[]) else {
        return;
    };
    for options in ["", "dirty_decay_ms:0", "narenas:3"] {
        let outcome = child::Run::new(&program)
            .env("MALLOC_CONF", options)
            .preload(artifacts::library())
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "counted\n", "{options}");
    }
}

#[test]
fn thread_caches_keep_to_their_bounds() {
    let Some(program) = compiler::c("process/thread_caches.c", "thread_caches", &[]) else {
        return;
    };
    for (which, options) in [
        ("default", ""),
        ("none", "tcache:false"),
        ("max", "tcache_max:4000"),
        ("max", "lg_tcache_max:12"),
        (
            "slots",
            "tcache_nslots_small_min:4,tcache_nslots_small_max:11,tcache_nslots_large:2,tcache_ncached_max:1-8:3",
        ),
    ] {
        let outcome = child::Run::new(&program)
            .arg(which)
            .env(
                "MALLOC_CONF",
                format!(
                    "{options}{}narenas:1",
                    if options.is_empty() { "" } else { "," }
                ),
            )
            .preload(artifacts::library())
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "bounded\n", "{options}");
        assert_eq!(outcome.stderr, "", "{options}");
    }
}
