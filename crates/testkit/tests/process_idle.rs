//! Memory goes back while a program makes no calls, by a thread that is there only as long as it is needed.

use jemoxide_testkit::{artifacts, child, compiler};

/// A short decay time: the test waits for it.
const QUICK: &str = "dirty_decay_ms:400";

fn start(what: &str, options: &str, is_expected: bool) -> Option<child::Outcome> {
    let program = compiler::c("process/idle_purge.c", "idle_purge", &["-pthread"])?;
    let run = child::Run::new(program)
        .args([what, if is_expected { "1" } else { "0" }])
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", options);
    Some(run.run())
}

fn run(what: &str, options: &str, is_expected: bool) {
    let Some(outcome) = start(what, options, is_expected) else {
        return;
    };
    let outcome = outcome.expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn what_one_thread_freed_goes_back_in_silence() {
    run("silent", QUICK, true);
}

#[test]
fn what_threads_freed_goes_back_while_they_sleep_and_after_they_ended() {
    run("threads", QUICK, true);
}

#[test]
fn misuse_ends_the_process_after_a_purge_too() {
    if let Some(outcome) = start("misuse", QUICK, true) {
        outcome.expect_death("not from this allocator");
    }
}

#[test]
fn a_forked_child_purges_by_itself() {
    run("fork", QUICK, true);
}

#[test]
fn a_little_is_not_worth_a_thread() {
    run("little", QUICK, false);
}

#[test]
fn there_is_a_thread_where_it_is_asked_for() {
    run("silent", &format!("{QUICK},background_thread:true"), true);
}

#[test]
fn there_is_no_thread_where_it_is_refused() {
    run("silent", &format!("{QUICK},background_thread:false"), false);
}

#[test]
fn there_is_no_thread_where_nothing_ever_goes() {
    run("silent", "dirty_decay_ms:-1", false);
}
