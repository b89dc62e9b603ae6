//! The ends of a life: allocation before main, in constructors, exit handlers and destructors, in
//! destructors of thread-specific data and of C++ thread storage, and after all of those.

use jemoxide_testkit::{artifacts, child, compiler};

/// Every stage that must have run, in the order the system runs them.
const PROGRAM_TRAIL: &str =
    "preinit constructor-101 constructor main on_exit atexit destructor destructor-101 ";
const LIBRARY_TRAIL: &str = "library-constructor library-thread library-destructor ";

#[test]
fn every_stage_of_a_program_allocates() {
    let Some(program) = compiler::c("process/lifetime.c", "lifetime", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(
        outcome.stdout,
        format!("{PROGRAM_TRAIL}\nbuffered\n"),
        "{outcome}"
    );
}

#[test]
fn a_second_preloaded_library_allocates_before_and_after() {
    let flags = ["-shared", "-fPIC"];
    let (Some(program), Some(second)) = (
        compiler::c("process/lifetime.c", "lifetime_beside", &[]),
        compiler::c("process/lifetime_library.c", "lifetime_library.so", &flags),
    ) else {
        return;
    };
    let (library, second) = (artifacts::library(), second);
    for order in [[&library, &second], [&second, &library]] {
        let preload = format!("{}:{}", order[0].display(), order[1].display());
        let outcome = child::Run::new(&program)
            .env("LD_PRELOAD", &preload)
            .run()
            .expect_success();
        assert_eq!(
            outcome.stdout,
            format!("{PROGRAM_TRAIL}\n{LIBRARY_TRAIL}\nbuffered\n"),
            "{outcome}"
        );
        // The loader only warns about a library it cannot preload.
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

/// 200 threads, 12 keys, all four rounds that POSIX guarantees.
const DESTRUCTOR_CALLS: &str = "9600 destructor calls\n";

#[test]
fn destructors_of_thread_keys_allocate_and_free() {
    thread_keys("few");
}

#[test]
fn a_late_key_of_the_allocator_makes_its_start_reentrant() {
    thread_keys("many");
}

fn thread_keys(case: &str) {
    let Some(program) = compiler::c("process/thread_keys.c", &format!("thread_keys_{case}"), &[])
    else {
        return;
    };
    let outcome = child::Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, DESTRUCTOR_CALLS, "{outcome}");
}

#[test]
fn cxx_thread_storage_is_destroyed_on_a_working_heap() {
    let Some(program) = compiler::cxx("process/thread_locals.cpp", "thread_locals", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "201 hoards destroyed\n", "{outcome}");
}
