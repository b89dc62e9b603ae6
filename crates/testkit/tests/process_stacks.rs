//! Stacks of sampled objects, in every way that a program gets the library: also without a loader, without a list of unwind
//! tables, and out of a signal handler.

use jemoxide_testkit::{artifacts, linkage::Linkage};
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
        let Some(run) = way.c("process/stacks.c") else {
            continue;
        };
        let path = artifacts::target().join(format!("stacks-{way:?}.heap"));
        let outcome = run
            .arg(&path)
            .env("MALLOC_CONF", "prof:true,lg_prof_sample:0")
            .run()
            .expect_success();
        let dump = fs::read_to_string(&path).expect("the dump was written");
        fs::remove_file(&path).expect("the dump is ours");
        let stacks: Vec<_> = dump.lines().filter(|line| line.starts_with('@')).collect();
        for callers in outcome.stdout.lines() {
            let is_there = |stack: &&str| format!("{stack} ").contains(&format!(" {callers} "));
            assert!(
                stacks.iter().any(is_there),
                "{way:?}: nobody is called from {callers} in {stacks:#?}"
            );
        }
    }
}
