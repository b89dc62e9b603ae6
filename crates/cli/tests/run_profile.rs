//! `jemoxide run --profile` on the library itself: from a program to the line that allocates, and what is left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jemoxide_profile::{Measure, Profile};
use jemoxide_testkit::folder::Folder;
use jemoxide_testkit::{artifacts, compiler};

const COMMAND: &str = env!("CARGO_BIN_EXE_jemoxide");

/// The service of docs/PROFILING.md; `None` without a compiler, which the kit says.
fn service() -> Option<PathBuf> {
    compiler::cxx("profile/service.cpp", "profile-service", &[])
}

fn run(folder: &Path, words: &[&str], options: &str) -> Output {
    let mut command = Command::new(COMMAND);
    command.args(["run", "--library"]).arg(artifacts::library());
    command
        .args(words)
        .current_dir(folder)
        .env_remove("MALLOC_CONF")
        .env("COLUMNS", "80");
    command.env("JEMOXIDE_CONF", options);
    command.output().expect("starts")
}

#[test]
fn a_service_that_grows_is_led_to_its_line() {
    let Some(service) = service() else { return };
    let folder = Folder::new();
    let service = service.display().to_string();
    let output = run(&folder, &["--profile=x.heap", &service, "5000"], "");
    let screen = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{screen}");
    for line in screen.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let source = include_str!("../../testkit/programs/profile/service.cpp");
    let line = source
        .lines()
        .position(|line| line.ends_with("// SITE open"))
        .expect("marked")
        + 1;
    let (_, heaviest) = screen.split_once("heaviest call paths").expect("there");
    let place = format!("profile/service.cpp:{line}");
    assert!(
        heaviest.contains("Server::open(int)") && heaviest.contains(&place),
        "{screen}"
    );
    assert_eq!(folder.names(), ["x.heap"]);
    let profile = Profile::read_file(&folder.join("x.heap")).expect("whole");
    let known = profile.known();
    assert!(known.peak && known.cumulative && known.lifetimes && known.ages);
    // Settings are 3 MiB, seen for certain; a thousand sessions of 2 KiB stay.
    let peak = profile.total(Measure::Peak);
    assert!(
        (peak.bytes - 5.2e6).abs() < 5.0 * peak.error() + 5e5,
        "{peak:?}"
    );
}

#[test]
fn what_the_user_sets_is_kept() {
    let Some(service) = service() else { return };
    let folder = Folder::new();
    let service = service.display().to_string();
    let options = "lg_prof_sample:10,prof_prefix:/no/such/place,lg_prof_interval:24";
    let output = run(&folder, &["--profile", &service, "3000"], options);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = folder.names();
    let (last, on_the_way): (Vec<_>, Vec<_>) = names
        .iter()
        .partition(|name| name.matches('.').count() == 2);
    assert_eq!(last.len(), 1, "{names:?}");
    assert!(
        last[0].starts_with("profile-service.") && last[0].ends_with(".heap"),
        "{names:?}"
    );
    // 22 MiB and more are allocated, a dump for each 16.
    assert!(
        on_the_way.iter().any(|name| name.ends_with(".i0.heap")),
        "{names:?}"
    );
    let profile = Profile::read_file(&folder.join(last[0])).expect("whole");
    assert_eq!(profile.period(), 1 << 10, "what the environment says");
    let output = run(
        &folder,
        &["--profile=y.heap", "--sample=4K", &service, "10"],
        options,
    );
    assert!(output.status.success());
    let profile = Profile::read_file(&folder.join("y.heap")).expect("whole");
    assert_eq!(profile.period(), 4 << 10, "what the command line says");
}

#[test]
fn of_several_processes_the_largest_is_shown() {
    let Some(service) = service() else { return };
    let folder = Folder::new();
    let script = format!("'{}' 3000; true", service.display());
    let output = run(
        &folder,
        &["--profile=all.heap", "--json", "sh", "-c", &script],
        "",
    );
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let value: serde_json::Value = serde_json::from_str(text.trim()).expect("JSON");
    let heap = &value["heap_profile"];
    let frames = heap["heaviest_paths"][0]["frames"]
        .as_array()
        .expect("a path");
    let function = |frame: &serde_json::Value| frame["function"].as_str().unwrap_or("").to_owned();
    let functions: Vec<String> = frames.iter().map(function).collect();
    assert!(
        functions
            .iter()
            .any(|name| name == "main" || name == "Server::open(int)"),
        "{functions:?}"
    );
    let shown = heap["file"].as_str().expect("a name");
    assert!(folder.join(shown).is_file(), "{shown}");
    assert!(
        folder
            .names()
            .iter()
            .all(|name| name.starts_with("all.") && name.ends_with("heap"))
    );
}
