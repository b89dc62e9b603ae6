//! The application's hooks in the profiler: told of dumps and samples, and harmless to both.

use jemoxide_testkit::folder::Folder;

use crate::{OFTEN, run};

#[test]
fn hooks_are_told_of_dumps_and_samples() {
    let folder = Folder::new();
    if let Some(outcome) = run("hooks", "prof:true,lg_prof_sample:0", &folder) {
        outcome.expect_success();
    }
}

#[test]
fn nobody_else_has_the_address_of_a_sample_that_ends() {
    let folder = Folder::new();
    for level in [
        "hardening:off",
        "guarded_sampling:1",
        "hardening:strong,quarantine:0",
        "hardening:paranoid,quarantine:0",
    ] {
        let options = format!("prof:true,lg_prof_sample:0,{level}");
        if let Some(outcome) = run("own_address", &options, &folder) {
            outcome.expect_success();
        }
    }
}

#[test]
fn hooks_leave_errno_and_take_no_samples_of_their_own() {
    let folder = Folder::new();
    let Some(outcome) = run("hook_errno", OFTEN, &folder) else {
        return;
    };
    outcome.expect_success();
    let outcome = run("nested_hooks", "prof:true,lg_prof_sample:0", &folder);
    outcome.unwrap().expect_success();
}

#[test]
fn hooks_are_told_of_dumps_however_long_their_path() {
    let folder = Folder::new();
    if let Some(outcome) = run("far", "prof:true", &folder) {
        outcome.expect_success();
    }
}
