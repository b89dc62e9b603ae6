//! The live channel: a file that shows a living process, opened only when somebody asks, harmless whatever happens to it.

use std::process::{Command, Stdio};

use jemoxide_testkit::folder::Folder;
use jemoxide_testkit::{artifacts, child, compiler};

/// Runs one part of the program with `options`, where FOLDER stands for its own folder; nothing may be left there.
fn run(what: &str, options: &str) -> Option<child::Outcome> {
    let program = compiler::c("process/channel.c", "channel", &[])?;
    let folder = Folder::new();
    let options = options.replace("FOLDER", folder.text());
    let run = child::Run::new(program)
        .args([what, folder.text()])
        .current_dir(&folder)
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", &options);
    let outcome = run.run();
    assert_eq!(folder.names(), [""; 0], "left: {outcome}");
    Some(outcome)
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
    // What is refused is a number to the program and a line to whoever runs it, which tells what stays.
    if let Some(outcome) = run("mallctl", "") {
        let outcome = outcome.expect_success();
        assert_eq!(outcome.stdout, "done\n", "{outcome}");
        let lines: Vec<_> = outcome.stderr.lines().collect();
        assert_eq!(lines.len(), 4, "{outcome}");
        for (line, (told, stays)) in lines.iter().zip([
            ("name a folder that exists", false),
            ("200 bytes fit", false),
            ("name a folder that exists", true),
            ("200 bytes fit", true),
        ]) {
            assert!(line.contains(told), "{outcome}");
            assert_eq!(line.contains("stays open"), stays, "{outcome}");
        }
    }
}

#[test]
fn a_relative_path_is_one_of_the_folder_where_it_was_opened() {
    succeeds("relative", "control:live");
}

#[test]
fn a_file_that_others_may_read_is_made_anew() {
    succeeds("opened to all", "control:FOLDER/live");
}

#[test]
fn files_of_children_that_did_not_exit_are_swept() {
    succeeds("killed children", "control:FOLDER/live");
}

/// What has `unshare` run one part of the program as process 1 of a namespace of its own, with the channel in `folder` and
/// the options `more`.
fn process_one(what: &str, more: &str, folder: &Folder) -> Option<Vec<String>> {
    let program = compiler::c("process/channel.c", "channel", &[])?;
    let unshare = ["--pid", "--mount-proc", "--fork", "--kill-child"];
    let can = Command::new("unshare").args(unshare).arg("true").status();
    if !can.is_ok_and(|status| status.success()) {
        compiler::announce_untested("this machine lets nobody make namespaces");
        return None;
    }
    let mut words = unshare.map(String::from).to_vec();
    words.extend([
        "env".to_owned(),
        format!("LD_PRELOAD={}", artifacts::library().display()),
        format!("JEMOXIDE_CONF=control:{}/live{more}", folder.display()),
        program.display().to_string(),
        what.to_owned(),
        folder.text().to_owned(),
    ]);
    Some(words)
}

/// Runs one part of the program so; nothing may be left.
fn succeeds_as_process_one(what: &str, more: &str) {
    let folder = Folder::new();
    if let Some(words) = process_one(what, more, &folder) {
        let outcome = child::Run::new("unshare")
            .args(words)
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "done\n", "{outcome}");
    }
    assert_eq!(folder.names(), [""; 0], "all took theirs away");
}

#[test]
fn a_child_that_is_process_1_as_its_parent_is_has_a_file_of_its_own() {
    succeeds_as_process_one("nested", "");
}

#[test]
fn a_child_that_is_process_1_and_gets_the_signal_has_a_file_of_its_own() {
    succeeds_as_process_one("nested signal", ",control_signal:12");
}

#[test]
fn two_containers_that_share_a_folder_share_no_file() {
    let folder = Folder::new();
    // Both are process 1 of their own.
    let start = || {
        let words = process_one("neighbour", "", &folder)?;
        let mut child = Command::new("unshare")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut ready = [0; 6];
        let out = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(out, &mut ready).expect("it is ready");
        Some(child)
    };
    let (Some(mut one), Some(mut two)) = (start(), start()) else {
        return;
    };
    let names = folder.names();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("live.4") && name.ends_with(".1")),
        "{names:?}"
    );
    for child in [&mut one, &mut two] {
        drop(child.stdin.take());
        assert!(child.wait().expect("ends").success());
    }
    assert_eq!(folder.names(), [""; 0], "both took theirs away");
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
