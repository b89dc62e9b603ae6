//! Stacks of sampled objects, in every way that a program gets the library: also without a loader, without a list of unwind
//! tables, with holes between its segments, and out of a signal handler.

use jemoxide_testkit::child::Run;
use jemoxide_testkit::{artifacts, compiler, linkage::Linkage};
use std::fs;

#[test]
fn callers_are_found_however_the_program_is_linked() {
    if artifacts::is_stand_in() {
        return;
    }
    let ways = [
        Linkage::Preloaded,
        Linkage::Linked,
        Linkage::Static,
        Linkage::FullyStatic,
    ];
    for way in ways {
        if let Some(run) = way.c("process/stacks.c") {
            assert_callers_are_found(run, &format!("{way:?}"));
        }
    }
}

/// Segments two megabytes apart, as linkers for huge pages lay them out, leave holes, which the kernel leaves in a program.
#[test]
fn callers_are_found_in_programs_with_holes() {
    let far_apart = "-Wl,-z,separate-code,-z,max-page-size=0x200000";
    for (name, kind) in [("moved", "-pie"), ("fixed", "-no-pie")] {
        let flags = ["-rdynamic", kind, far_apart];
        let Some(program) = compiler::c("process/stacks.c", &format!("stacks-{name}"), &flags)
        else {
            continue;
        };
        assert_callers_are_found(Run::new(program).preload(artifacts::library()), name);
    }
}

/// Runs the program, whose output names callers, and looks for them in the profile that it leaves.
fn assert_callers_are_found(run: Run, name: &str) {
    let path = artifacts::target().join(format!("stacks-{name}.heap"));
    let outcome = run
        .arg(&path)
        .env("MALLOC_CONF", "prof:true,lg_prof_sample:0")
        .run()
        .expect_success();
    let dump = fs::read_to_string(&path).expect("the dump was written");
    fs::remove_file(&path).expect("the dump is ours");
    let stacks: Vec<_> = dump.lines().filter(|line| line.starts_with('@')).collect();
    assert!(!outcome.stdout.is_empty(), "{name}: {outcome}");
    for callers in outcome.stdout.lines() {
        let is_there = |stack: &&str| format!("{stack} ").contains(&format!(" {callers} "));
        assert!(
            stacks.iter().any(is_there),
            "{name}: nobody is called from {callers} in {stacks:#?}"
        );
    }
}
