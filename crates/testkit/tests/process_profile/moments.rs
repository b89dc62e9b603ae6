//! Every file is of one moment (rule H2): while threads go on, processes fork, and readers come back for more.

use std::fs;

use jemoxide_testkit::folder::Folder;

use crate::file::{read, sum};
use crate::{OFTEN, run};

#[test]
fn files_are_of_one_moment_while_threads_go_on_and_processes_fork() {
    let folder = Folder::new();
    let options = "prof:true,lg_prof_sample:8,prof_unbias:false,prof_accum:true";
    let Some(outcome) = run("busy", options, &folder) else {
        return;
    };
    outcome.expect_success();
    for round in 0..12 {
        for name in ["busy", "child"] {
            let profile = read(&folder.join(format!("{name}.{round}.heap")));
            assert_eq!(profile.of_stacks(), profile.total, "H2 {name} {round}");
            let of_threads = sum(profile.threads.values());
            assert_eq!(of_threads, profile.total, "H2 {name} {round}");
            for (frames, lines) in &profile.stacks {
                let threads = lines.iter().filter(|(tag, _)| *tag != "*");
                let sum = sum(threads.map(|(_, numbers)| numbers));
                assert_eq!(sum, lines["*"], "H2 {name} {round} {frames}");
            }
            // After the reset threads may not have run yet.
            assert!(profile.total[2] > 0 || round > 6, "{name} {round}");
        }
    }
    assert_eq!(folder.names().len(), 24, "{:?}", folder.names());
}

#[test]
fn a_reset_that_a_fork_cuts_short_is_finished_by_the_child() {
    let folder = Folder::new();
    for details in [false, true] {
        let options = format!(
            "prof:true,lg_prof_sample:0,prof_accum:true,prof_unbias:false,prof_details:{details}"
        );
        let Some(outcome) = run("fork_reset", &options, &folder) else {
            return;
        };
        outcome.expect_success();
        for round in 0..3 {
            let path = folder.join(format!("child.{round}.heap"));
            let profile = read(&path);
            // 5000 objects of one stack.
            let stacks = profile.stacks.len();
            assert!(stacks < 100, "{round}: {stacks}");
            assert_eq!(profile.of_stacks(), profile.total, "H2 {round}");
        }
    }
}

#[test]
fn who_reads_the_profilers_text_may_come_back_to_it() {
    let folder = Folder::new();
    let recent = "prof_recent_alloc_max:1000,prof_gdump:true";
    let Some(outcome) = run("reader", &format!("{OFTEN},{recent}"), &folder) else {
        return;
    };
    outcome.expect_success();
    assert!(!folder.names().contains(&"inner.heap".to_owned()));
    let profile = read(&folder.join("reader.heap"));
    assert_eq!(profile.of_stacks()[0], profile.total[0], "H2");
    let options = "prof:true,lg_prof_sample:0,prof_recent_alloc_max:100,prof_final:true";
    let outcome = run("reader_ends", options, &folder).unwrap();
    let outcome = outcome.expect_success();
    assert!(
        outcome.stderr.contains("no heap profile at exit: "),
        "{outcome}"
    );
}

#[test]
fn a_child_logs_though_it_was_forked_while_a_log_was_written() {
    let folder = Folder::new();
    let options = "prof:true,lg_prof_sample:0";
    let Some(outcome) = run("fork_log", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let log = fs::read_to_string(folder.join("child.json")).unwrap();
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!(log["allocations"].as_array().unwrap().len(), 1, "{log}");
}
