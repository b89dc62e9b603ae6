//! errno: every entry point leaves it alone when it succeeds, on fast and slow paths alike.

use jemoxide_testkit::{artifacts, child, compiler};

/// Entry points beyond the standard ones that the program looks up by name: 13 operators and
/// sized frees, 5 `__libc_` names, pvalloc, 7 extended calls.
const OPTIONAL: usize = 26;

#[test]
fn success_leaves_errno_untouched() {
    let Some(program) = compiler::c("process/errno_untouched.c", "errno_untouched", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    let found: usize = outcome
        .stdout
        .strip_prefix("errno untouched, ")
        .and_then(|rest| rest.split(' ').next())
        .and_then(|count| count.parse().ok())
        .expect("a count");
    assert!(
        found >= OPTIONAL,
        "only {found} optional entry points: {outcome}"
    );
}
