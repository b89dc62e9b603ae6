//! Threads that are cancelled or leave from deep within, forks of many threads, libraries that come and go. The library's
//! books agree afterwards.

use std::time::Duration;

use jemoxide_testkit::{artifacts, child, compiler};

fn run(case: &str) {
    let Some(program) = compiler::c("process/sudden_ends.c", "sudden_ends", &["-ldl"]) else {
        return;
    };
    for options in ["", "hardening:strong"] {
        let mut run = child::Run::new(&program)
            .arg(case)
            .env("MALLOC_CONF", options)
            .timeout(Duration::from_secs(300))
            .preload(artifacts::library());
        if case == "plugins" {
            let Some(plugin) = compiler::c("process/plugin.c", "plugin.so", &["-shared", "-fPIC"])
            else {
                return;
            };
            run = run.arg(plugin);
        }
        let outcome = run.run().expect_success();
        assert_eq!(outcome.stdout, "in order\n", "{options}: {outcome}");
    }
}

#[test]
fn threads_are_cancelled_at_points_and_while_they_compute() {
    run("cancel");
}

#[test]
fn threads_leave_from_deep_within_with_keys_that_allocate() {
    run("exit");
}

#[test]
fn sixty_four_threads_fork_at_any_time() {
    run("fork");
}

#[test]
fn libraries_come_and_go_under_threads() {
    run("plugins");
}
