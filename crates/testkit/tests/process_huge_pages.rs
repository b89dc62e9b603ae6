//! Huge pages in a real process: had where they are worth it, at little cost, and nowhere else.

use jemoxide_testkit::{artifacts, child, compiler};
use std::time::Duration;

fn run(mode: &str, options: &str) {
    let Some(program) = compiler::c("process/huge_pages.c", "huge_pages", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .arg(mode)
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", options)
        .timeout(Duration::from_secs(300))
        .run()
        .expect_success();
    // The machine may have none to give.
    assert!(
        ["done\n", "no huge pages here\n"].contains(&outcome.stdout.as_str()),
        "{outcome}"
    );
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn a_large_heap_earns_them_in_silence_and_shrinks_as_ever() {
    run("earned", "dirty_decay_ms:1000");
}

#[test]
fn a_small_heap_has_none() {
    run("small", "");
}

#[test]
fn there_are_none_where_the_options_say_so() {
    run("none", "thp:never");
    run("none", "huge_budget:0");
}

#[test]
fn they_come_at_once_where_they_are_asked_for() {
    run("always", "thp:always");
}

#[test]
fn records_have_them_where_they_are_asked_for() {
    run("records", "huge_budget:0,metadata_thp:always");
}

#[test]
fn slow_paths_earn_them_where_no_thread_may() {
    run("busy", "background_thread:false");
}

#[test]
fn a_forked_child_earns_its_own() {
    run("fork", "");
}
