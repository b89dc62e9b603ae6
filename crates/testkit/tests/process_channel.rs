//! The live channel: a file that shows a living process, opened only when somebody asks, harmless whatever happens to it.

use jemoxide_testkit::{artifacts, child, compiler};
use std::fs;
use std::path::PathBuf;

/// Runs one part of the program with `options`, where FOLDER stands for its own folder; nothing may be left there.
fn run(what: &str, options: &str) -> Option<child::Outcome> {
    let program = compiler::c("process/channel.c", "channel", &[])?;
    let folder = folder(what);
    let options = options.replace("FOLDER", folder.to_str().expect("text"));
    let run = child::Run::new(program)
        .args([what, folder.to_str().expect("text")])
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", &options);
    let outcome = run.run();
    let left: Vec<_> = fs::read_dir(&folder).expect("ours").collect();
    assert!(left.is_empty(), "{left:?} is left: {outcome}");
    fs::remove_dir(&folder).expect("empty");
    Some(outcome)
}

fn folder(what: &str) -> PathBuf {
    let name = format!("jemoxide-channel-{what}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn succeeds(what: &str, options: &str) {
    if let Some(outcome) = run(what, options) {
        let outcome = outcome.expect_success();
        assert_eq!(outcome.stdout, "done\n", "{outcome}");
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

#[test]
fn the_option_opens_it_and_an_idle_process_answers() {
    succeeds("option", "control:FOLDER/live");
}

#[test]
fn it_is_served_where_the_thread_may_not_purge() {
    succeeds(
        "option",
        "control:FOLDER/live,background_thread:false,dirty_decay_ms:-1",
    );
}

#[test]
fn a_program_opens_and_closes_it_itself() {
    succeeds("mallctl", "");
}

#[test]
fn a_signal_opens_it() {
    succeeds("signal", "control:FOLDER/live,control_signal:12");
}

#[test]
fn a_file_cut_off_overwritten_or_taken_away_harms_nobody() {
    succeeds("tampered", "control:FOLDER/live");
}

#[test]
fn a_forked_child_has_a_file_of_its_own() {
    succeeds("fork", "control:FOLDER/live");
}

#[test]
fn it_is_closed_by_default() {
    succeeds("closed", "");
}

#[test]
fn what_cannot_be_opened_is_told_with_the_cure() {
    for (options, told) in [
        ("control:/no/such/folder/live", "name a folder that exists"),
        ("control_signal:11", "12 SIGUSR2"),
        ("control_signal:9", "12 SIGUSR2"),
    ] {
        if let Some(outcome) = run("closed", options) {
            let outcome = outcome.expect_success();
            assert!(outcome.stderr.contains(told), "{outcome}");
            assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        }
    }
}
