//! Signal handlers: they may allocate while their thread is outside the allocator, and may
//! interrupt it anywhere as long as they do not.

use jemoxide_testkit::{artifacts, child, compiler};

#[test]
fn handlers_allocate_while_their_thread_is_outside() {
    run("outside", "");
}

#[test]
fn a_storm_of_handlers_interrupts_every_call() {
    run("storm", "");
    run("storm", "hardening:strong");
}

fn run(case: &str, options: &str) {
    let Some(program) = compiler::c("process/signals.c", &format!("signals_{case}"), &[]) else {
        return;
    };
    let outcome = child::Run::new(&program)
        .arg(case)
        .env("MALLOC_CONF", options)
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "signals handled\n", "{options}: {outcome}");
}
