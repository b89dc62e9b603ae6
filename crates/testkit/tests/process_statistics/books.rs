//! Figures against the books that a program keeps of its own allocations.

use jemoxide_testkit::child::Run;
use jemoxide_testkit::{artifacts, compiler};

fn books(case: &str, options: &str) {
    let flags = ["-pthread"];
    let Some(program) = compiler::c("process/statistics.c", "statistics", &flags) else {
        return;
    };
    let outcome = Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn figures_agree_with_the_books_of_a_program_with_caches() {
    books("cached", "background_thread:false");
    books("cached", "background_thread:false,narenas:3");
}

#[test]
fn figures_agree_with_the_books_of_a_program_without_caches() {
    books("direct", "background_thread:false");
    books(
        "direct",
        "background_thread:false,narenas:3,dirty_decay_ms:-1",
    );
}

#[test]
fn figures_agree_with_the_books_of_a_program_without_fences() {
    for case in ["cached", "direct"] {
        books(case, "background_thread:false,hardening:off");
    }
}

#[test]
fn figures_of_each_arena_agree_with_the_books_of_a_program() {
    let flags = ["-pthread", "-fno-builtin"];
    let Some(program) = compiler::c("process/arena_books.c", "arena_books", &flags) else {
        return;
    };
    for case in ["direct", "mixed"] {
        let outcome = Run::new(&program)
            .arg(case)
            .preload(artifacts::library())
            .env("MALLOC_CONF", "narenas:3,background_thread:false")
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "done\n", "{case}: {outcome}");
        assert_eq!(outcome.stderr, "", "{case}: {outcome}");
    }
}

#[test]
fn a_program_defragments_by_what_it_is_told_of_slabs() {
    let Some(program) = compiler::c("process/defragment.c", "defragment", &[]) else {
        return;
    };
    for options in ["background_thread:false", "narenas:3"] {
        let outcome = Run::new(&program)
            .preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "done\n", "{outcome}");
    }
}
