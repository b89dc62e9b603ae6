//! Sampling that begins late, goes on and off, by calls and by signals.

use std::fs;

use jemoxide_testkit::folder::Folder;

use crate::file::read;
use crate::run;

#[test]
fn profiling_starts_in_a_process_that_began_without_it() {
    let folder = Folder::new();
    let options = "lg_prof_sample:12,prof_seed:3,prof_final:true";
    let Some(outcome) = run("late", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let profile = read(&folder.join("late.heap"));
    let (_, bytes) = profile.scaled(profile.total);
    assert!((bytes / (10_000.0 * 3072.0) - 1.0).abs() < 0.05, "{bytes}");
    let names = folder.names();
    assert!(
        names.iter().any(|name| name.ends_with(".f.heap")),
        "{names:?}"
    );
}

#[test]
fn a_signal_switches_sampling_and_has_a_profile_written() {
    let folder = Folder::new();
    // SIGUSR1. Once with calls that come by, once in a program that only rests.
    for options in ["prof_signal:10", "prof_signal:10,background_thread:false"] {
        let options = format!("{options},lg_prof_sample:12,prof_seed:3");
        let Some(outcome) = run("signalled", &options, &folder) else {
            return;
        };
        let outcome = outcome.expect_success();
        assert_eq!(outcome.stderr, "", "{outcome}");
        let name = folder.names().pop().unwrap();
        let profile = read(&folder.join(&name));
        let (_, bytes) = profile.scaled(profile.total);
        assert!((bytes / (10_000.0 * 3072.0) - 1.0).abs() < 0.05, "{bytes}");
        fs::remove_file(folder.join(name)).unwrap();
    }
    let outcome = run("leak", "prof_signal:9", &folder).unwrap();
    let outcome = outcome.expect_success();
    assert!(
        outcome.stderr.contains("prof_signal:9 has no effect"),
        "{outcome}"
    );
}

#[test]
fn sampling_goes_on_and_off_while_threads_run() {
    let folder = Folder::new();
    let rate = "lg_prof_sample:12,prof_stats:true";
    for (case, options) in [
        ("switched", "prof:true"),
        ("switched", "prof:true,prof_active:false"),
        (
            "signalled_often",
            "prof:true,prof_active:false,prof_signal:10,prof_prefix:",
        ),
        ("signalled_often", "prof:true,prof_signal:10,prof_prefix:"),
    ] {
        let Some(outcome) = run(case, &format!("{rate},{options}"), &folder) else {
            return;
        };
        outcome.expect_success();
    }
    assert_eq!(folder.names(), [""; 0]);
}
