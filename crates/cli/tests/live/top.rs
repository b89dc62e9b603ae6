//! `jemoxide top`: what it shows, what its keys do, and how it ends.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use jemoxide_testkit::artifacts;

use crate::screen::{Screen, shows_at_last};
use crate::service::{Service, watched};
use crate::{output, path, said};

#[test]
fn top_shows_parts_history_and_tables_in_80_by_24_and_at_any_size() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let mut screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    let first = screen.shows(&[
        "live_service",
        "live objects",
        "1 arenas",
        "threads",
        "q quit",
    ]);
    for part in [
        "resident",
        "allocated",
        "not profiling",
        "program, libraries, files",
        "now",
    ] {
        assert!(first.contains(part), "{part:?} in\n{first}");
    }
    assert_eq!(first.lines().count(), 24, "the whole screen:\n{first}");
    // 10 000 objects of 4 KiB.
    screen.press("2");
    let classes = screen.shows(&["free in slabs", "4096 B"]);
    let row = classes
        .lines()
        .find(|line| line.contains("4096 B"))
        .expect("there");
    assert!(
        ["9,999", "10,00"].iter().any(|count| row.contains(count)),
        "{row}"
    );
    // Lines of history: braille dots.
    screen.until("history", |text| {
        text.chars()
            .filter(|each| ('\u{2801}'..='\u{28ff}').contains(each))
            .count()
            > 8
    });
    screen.press("?");
    screen.shows(&["what the words mean", "by the system"]);
    screen.press("?");
    screen.until("the table again", |text| {
        !text.contains("what the words mean")
    });
    // Held still, nothing changes; on again, time goes on.
    for (rows, columns) in [(50, 160), (12, 40), (24, 60), (3, 10), (24, 80)] {
        screen.resize(rows, columns);
        let part = if rows == 3 { "too small" } else { "4096 B" };
        screen.shows(&[part]);
        if columns == 60 {
            // What does not fit is left out as a whole.
            screen.until("the narrow one", |text| {
                let header = text.lines().nth(1).unwrap_or_default().trim_end();
                ["iB", " B", "/s", "back"]
                    .iter()
                    .any(|end| header.ends_with(end))
                    && ["space hold", " free in slabs"]
                        .iter()
                        .all(|part| text.contains(part))
                    && !text.contains("...")
            });
        }
    }
    assert_eq!(screen.leave("q"), 0);
}

#[test]
fn top_switches_profiling_on_and_shows_the_hottest_stacks() {
    let Some(service) = Service::start("LIVE,lg_prof_sample:14") else {
        return;
    };
    let mut screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    screen.shows(&["not profiling"]);
    screen.press("3");
    screen.shows(&["press p to switch profiling on"]);
    // It is asked first, and told what it costs; any key but y is a no.
    screen.press("p");
    screen.shows(&[
        "switch profiling on?",
        "16 KiB on average",
        "usual one each 512 KiB",
    ]);
    screen.press("p");
    screen.until("no question", |text| !text.contains("switch profiling on?"));
    screen.shows(&["not profiling"]);
    screen.press("py");
    screen.shows(&["profiling, a sample each 16 KiB"]);
    let stacks = screen.shows(&["load_table < main"]);
    let row = stacks
        .lines()
        .find(|line| line.contains("load_table"))
        .expect("there");
    assert!(row.contains('%') && row.contains("iB"), "{row}");
    let age = |text: &str| {
        let age = text.split(" as of ").nth(1)?.split(" s ago").next()?;
        age.parse::<u64>().ok()
    };
    assert!(age(&stacks).is_some(), "{stacks}");
    screen.press("p");
    screen.shows(&["switch profiling off?"]);
    screen.press("y");
    // No more dumps: what is shown grows old, and says so.
    screen.shows(&["profiling stopped", "load_table < main"]);
    screen.until("an age that grows", |text| {
        age(text).is_some_and(|age| age > 10)
    });
    let dump = PathBuf::from(format!("{}.heap", service.file().display()));
    assert_eq!(screen.leave("q"), 0);
    assert!(!dump.exists(), "what was read is gone");
}

#[test]
fn who_leaves_profiling_on_is_told() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let mut screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 60);
    screen.shows(&["not profiling"]);
    screen.press("3p");
    // The rate is the process's own, whatever it is.
    screen.shows(&["512 KiB on average", "about a percent"]);
    screen.press("y");
    screen.shows(&["profiling, a sample each 512 KiB"]);
    let seen = screen.seen.clone();
    assert_eq!(screen.leave("q"), 0);
    shows_at_last(&seen, "goes on profiling");
}

#[test]
fn a_terminal_without_a_size_is_no_reason_to_fail() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    for (rows, columns) in [(0, 0), (24, 0), (0, 80), (1, 1)] {
        let screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], rows, columns);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(screen.leave("q"), 0, "{rows} rows, {columns} columns");
    }
}

#[test]
fn a_program_that_ends_at_once_is_told_with_its_output_and_status() {
    let library = artifacts::library();
    let words = ["top", "--library", path(&library), "--run"];
    let script = ["sh", "-c", "echo its own words; exit 3"];
    let screen = Screen::start(&[&words[..], &script].concat(), 24, 80);
    let seen = screen.seen.clone();
    // Where it is quicker than the first look there is nothing to leave; else its last figures are there.
    assert_eq!(screen.leave("q"), 3);
    shows_at_last(&seen, "its own words");
    let output = output(&[&words[..], &["/bin/true"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    let lines = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("ended (exit status: 0) before there was anything to watch")
            && text.contains("jemoxide run")
            || lines.contains("the process has ended"),
        "{text}{lines}"
    );
}

#[test]
fn top_tells_when_the_process_ends_and_leaves_by_control_c() {
    let Some(mut service) = Service::start("LIVE") else {
        return;
    };
    let screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    screen.shows(&["live objects"]);
    service.child.kill().expect("ours");
    service.child.wait().expect("ours");
    screen.shows(&["The process has ended", "live objects"]);
    assert_eq!(screen.leave("\u{3}"), 0);
}

#[test]
fn a_stopped_process_is_told_and_does_not_stop_the_command() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &service.pid()]).status();
        assert!(status.expect("kill").success());
    };
    let screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    screen.shows(&["live objects"]);
    signal("-STOP");
    screen.shows(&["No news"]);
    signal("-CONT");
    screen.until("news", |text| !text.contains("No news"));
    assert_eq!(screen.leave("q"), 0);
}

#[test]
fn top_starts_a_program_and_ends_it() {
    let Some(program) = watched() else {
        return;
    };
    let library = artifacts::library();
    let words = ["top", "--library", path(&library), "--run"];
    let words = [&words[..], &[path(&program)]].concat();
    let screen = Screen::start(&words, 24, 80);
    screen.shows(&["live objects", "live_service"]);
    let seen = screen.seen.clone();
    assert_eq!(screen.leave("q"), 7, "the program's own status");
    // The program's output is shown at the end.
    shows_at_last(&seen, "stopped");
}

#[test]
fn without_a_terminal_top_prints_lines() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let text = said(&["top", &service.pid(), "--every", "0.1", "--count", "3"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[0].contains("live_service") && lines[1].contains("resident"),
        "{text}"
    );
    assert!(lines[2..].iter().all(|line| line.contains("MiB")), "{text}");
}
