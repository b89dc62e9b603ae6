//! What the keys of mallctl do to a process, and that they do it from any place a program may call from.

use jemoxide_testkit::{artifacts, child, compiler};

fn prepare(case: &str, options: &str) -> Option<child::Run> {
    let flags = ["-pthread", "-rdynamic", "-ldl"];
    let program = compiler::c("process/control.c", "control", &flags)?;
    let run = child::Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options);
    Some(run)
}

fn run(case: &str, options: &str) {
    if let Some(run) = prepare(case, options) {
        expect_done(run);
    }
}

fn expect_done(run: child::Run) {
    let outcome = run.run().expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn the_purge_thread_is_switched_off_and_on_while_it_works() {
    run("switch", "dirty_decay_ms:300");
}

#[test]
fn trim_tells_whether_memory_went_back() {
    run("trim", "background_thread:false");
}

#[test]
fn every_way_to_purge_gives_back_what_was_freed() {
    run("purge", "background_thread:false");
}

#[test]
fn decay_times_are_read_and_set() {
    run("decay", "");
}

#[test]
fn a_thread_does_without_its_cache_and_gets_it_again() {
    run("cache", "");
    run("cache", "narenas:3");
}

#[test]
fn a_thread_moves_to_another_arena() {
    run("arena", "narenas:4");
}

#[test]
fn memory_is_told_from_that_of_others() {
    run("lookup", "narenas:1");
}

#[test]
fn a_constructor_may_free_much_while_the_loader_works() {
    let flags = ["-shared", "-fPIC"];
    let library = compiler::c(
        "process/purge_constructor.c",
        "purge_constructor.so",
        &flags,
    );
    let (Some(library), Some(run)) = (library, prepare("loader", "dirty_decay_ms:300")) else {
        return;
    };
    expect_done(run.env("CONSTRUCTOR", library));
}

#[test]
fn a_signal_handler_may_free_much() {
    run("signal", "dirty_decay_ms:300");
}

#[test]
fn a_forked_child_keeps_the_settings_and_purges_by_itself() {
    run("child", "");
}

fn sleepers(case: &str, options: &str) {
    let Some(program) = compiler::c("process/idle_threads.c", "idle_threads", &["-pthread"]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
    assert!(outcome.stdout.starts_with("done: "), "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn four_hundred_sleepers_keep_little() {
    sleepers("sleep", "dirty_decay_ms:500");
}

#[test]
fn four_hundred_sleepers_that_tell_keep_little_without_a_purge_thread() {
    sleepers("tell", "background_thread:false");
}
